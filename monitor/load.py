"""Reading monitor.toml, the word packs and the secrets; every problem is told at once, with its place."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

import alerts
import connectors
from monitor.calendars import CalendarConfig, make_calendar
from monitor.config import (
    AccountConfig,
    AlertsConfig,
    BrandConfig,
    ChannelConfig,
    Config,
    EscalationConfig,
    HeartbeatConfig,
    HttpConfig,
    MonitorConfig,
    PrivacyConfig,
    RoutingConfig,
    RulesConfig,
    SpikesConfig,
    StormsConfig,
    TargetConfig,
    WebConfig,
    plain,
)
from monitor.matching import ALWAYS, MatchConfig
from monitor.places import KeyPath, key_lines, say_key
from monitor.second_look import second_look
from monitor.who import PersonConfig, RouteConfig
from rules.hours import Calendar, calendar_to_mapping
from wire.secret import Secret, SecretMissing

FILE_BYTES_MAX = 1_000_000
_SECTIONS: dict[str, type[BaseModel]] = {
    "monitor": MonitorConfig,
    "http": HttpConfig,
    "web": WebConfig,
    "heartbeat": HeartbeatConfig,
    "rules": RulesConfig,
    "alerts": AlertsConfig,
    "storms": StormsConfig,
    "spikes": SpikesConfig,
    "privacy": PrivacyConfig,
}
_TOP = (*_SECTIONS, "brands", "calendars", "targets", "escalations", "routes", "people", "channels")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")
_NAMED = re.compile(r"(?P<name>[a-z_0-9]+)(?:\[(?P<number>\d+)\])?: (?P<rest>.+)", re.DOTALL)
_ALSO_CALLED = {
    "twitter": "x",
    "email": "smtp",
    "mail": "smtp",
    "prometheus": "alertmanager",
    **dict.fromkeys(("discord", "teams", "msteams", "telegram", "ntfy", "matrix", "sms"), "apprise"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, and what was expected instead."""

    file: str
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(Exception):
    """The config cannot be used; `problems` are all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def load_config(path: Path) -> Config:
    """Read and check a config. Raises ConfigError with everything that is wrong with it."""
    text = _read(path)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        number = int(line[1]) if line else text.count("\n") + 1
        raise ConfigError([Problem(str(path), number, "", f"is no TOML: {error}")]) from None
    except (ValueError, RecursionError):
        # tomllib lets through what int() and the stack say of numbers and nestings beyond all measure.
        reason = "has a number or a nesting that no config needs"
        raise ConfigError([Problem(str(path), None, "", reason)]) from None
    return _Loading(path, text, raw).config()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            body = stream.read(FILE_BYTES_MAX + 1)
        if len(body) > FILE_BYTES_MAX:
            raise ConfigError([Problem(str(path), None, "", f"is longer than {FILE_BYTES_MAX} bytes")])
        return body.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        hint = "; `response-monitor init` writes one" if isinstance(error, FileNotFoundError) else ""
        reason = f"cannot be read: {error.strerror}{hint}"
        raise ConfigError([Problem(str(path), None, "", reason)]) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(str(path), line, "", "is not UTF-8")]) from None


def template() -> str:
    """The commented monitor.toml that `response-monitor init` writes."""
    return files("monitor").joinpath("templates/monitor.toml").read_text("utf-8")


class _Loading:
    """One file on its way to a Config, gathering what is wrong with it."""

    def __init__(self, path: Path, text: str, raw: Mapping[str, Any]) -> None:
        self._path = path
        self._text = text
        self._raw = raw
        self._blamed: list[tuple[KeyPath, str]] = []
        self._connectors = connectors.known()

    def config(self) -> Config:
        for key in self._raw:
            if key not in _TOP:
                self._blame((key,), _unknown(key, _TOP))
        sections = {n: self._validate(model, self._raw.get(n, {}), (n,)) for n, model in _SECTIONS.items()}
        sections["http"] = self._with_ca_file(sections["http"])
        sections["alerts"] = self._with_templates(sections["alerts"])
        brands, accounts = self._brands()
        calendars = self._calendars("UTC" if sections["monitor"] is None else sections["monitor"].time_zone)
        targets = self._targets(brands, calendars)
        channels = self._channels(brands, calendars)
        escalations = self._escalations(brands, targets, channels)
        routes = self._routes(brands, targets, channels)
        people = self._people(calendars)
        self._known_words(("alerts", "fallback"), getattr(sections["alerts"], "fallback", ()), channels)
        self._mails(getattr(sections["alerts"], "people_over", None), channels)
        if self._blamed:
            raise ConfigError(self._problems())
        config = Config(
            **sections,
            brands=brands,
            targets=tuple(targets),
            channels=channels,
            calendars=calendars,
            escalations=tuple(escalations),
            routes=tuple(routes),
            people=tuple(people),
            all_accounts=tuple(accounts),
            file=str(self._path),
        )
        return replace(
            config, warnings=tuple(second_look(config, "targets" in self._raw, find_secrets(config)))
        )

    def _blame(self, where: KeyPath, message: str) -> None:
        self._blamed.append((where, message))

    def _problems(self) -> list[Problem]:
        """What was blamed, with its lines: of that key, else of the nearest table around it."""
        lines = key_lines(self._text)
        found = []
        for where, message in self._blamed:
            line = next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), None)
            found.append(Problem(str(self._path), line, say_key(where), message))
        return sorted(found, key=lambda p: (p.line or 0, p.key))

    def _validate(self, model: type[BaseModel], value: Any, where: KeyPath, also: Iterable[str] = ()) -> Any:
        """The model, or None with its problems noted. `also` are keys that may stand beside the model's."""
        if not isinstance(value, dict):
            self._blame(where, f"expected a table [{say_key(where)}]")
            return None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            blamed: set[KeyPath] = set()
            for found in error.errors(include_url=False):
                key, branched = _locate(found, value, where)
                # Each branch of a union complains; the first says it all.
                message = _explain(found, model, key[len(where) :], also)
                # A model that compares its settings names the one at fault in its words.
                named = _NAMED.fullmatch(message) if not found["loc"] else None
                if named and named["name"] in model.model_fields:
                    key = (*key, named["name"], *([int(named["number"])] if named["number"] else []))
                    message = named["rest"]
                if not (branched and key in blamed):
                    self._blame(key, message)
                blamed.add(key)
            return None

    def _with_ca_file(self, http: Any) -> Any:
        """The same with its CA file's place worked out from the config's folder."""
        if http is None or http.ca_file is None:
            return http
        path = (self._path.parent / http.ca_file).absolute()
        if not path.is_file():
            self._blame(("http", "ca_file"), "there is no such file; expected certificates in PEM")
        return http.model_copy(update={"ca_file": path})

    def _with_templates(self, settings: Any) -> Any:
        """The same with its templates' place worked out from the config's folder."""
        if settings is None or settings.templates is None:
            return settings
        path = (self._path.parent / settings.templates).absolute()
        if not path.is_dir():
            self._blame(("alerts", "templates"), "there is no such folder; see docs/templates.md")
        return settings.model_copy(update={"templates": path})

    def _tables(self, name: str) -> Iterator[tuple[str, dict[str, Any], KeyPath]]:
        """Each [name.NAME] of a section."""
        found = self._raw.get(name, {})
        if not isinstance(found, dict):
            self._blame((name,), f"expected tables such as [{name}.NAME]")
            return
        for key, body in found.items():
            if not isinstance(body, dict):
                self._blame((name, key), f"expected a table such as [{name}.NAME]")
            elif not _NAME.fullmatch(key):
                self._blame((name, key), "expected a name of at most 64 letters, digits, - and _")
            else:
                yield key, body, (name, key)

    def _brands(self) -> tuple[dict[str, BrandConfig], list[AccountConfig]]:
        brands: dict[str, BrandConfig] = {}
        accounts: list[AccountConfig] = []
        for name, body, where in self._tables("brands"):
            others = {k: v for k, v in body.items() if k not in self._connectors}
            for key in [k for k, v in others.items() if _is_tables(v)]:
                if key not in BrandConfig.model_fields:
                    self._blame((*where, key), _unknown(key, self._connectors, "connector"))
                    del others[key]
            brand = self._validate(BrandConfig, others, where, self._connectors)
            # One that is wrong is still there: a target that names it is not wrong too.
            brands[name] = brand if brand is not None else BrandConfig()
            for connector in self._connectors:
                if connector in body:
                    accounts += self._accounts(name, connector, body[connector])
        if self._raw.get("brands", {}) == {}:
            self._blame(("brands",), "expected at least one, such as [brands.acme] with [[brands.acme.x]]")
        return brands, accounts

    def _accounts(self, brand: str, connector: str, value: Any) -> Iterator[AccountConfig]:
        try:
            model = connectors.load(connector).Settings
        except connectors.BadConnector as error:
            self._blame(("brands", brand, connector), str(error))
            return
        several = isinstance(value, list)
        labels: set[str] = set()
        for number, row in enumerate(value if several else [value]):
            where: KeyPath = ("brands", brand, connector, *([number] if several else []))
            settings = self._validate(model, row, where)
            if settings is None:
                continue
            handle, label = settings.handle.lower(), settings.label
            if not _LABEL.fullmatch(label):
                self._blame((*where, "account"), "expected letters, digits and _ . @ + -, at most 64")
            if label in labels:
                said = f"{label!r} is another account's label; expected one of its own"
                self._blame((*where, "account"), f'{said}, such as account = "help"')
            labels.add(label)
            yield AccountConfig(brand, connector, label, handle, settings, say_key(where))

    def _calendars(self, default_zone: str) -> dict[str, Calendar]:
        found: dict[str, Calendar] = {}
        for name, body, where in self._tables("calendars"):
            if name == ALWAYS:
                self._blame(where, f'"{ALWAYS}" is the calendar that is never closed; expected another name')
            settings = self._validate(CalendarConfig, body, where)
            if settings is None:
                continue
            try:
                found[name] = make_calendar(name, settings, default_zone)
            except ValueError as error:
                self._blame(where, str(error))
        return found

    def _known_calendar(self, name: str, calendars: Collection[str], where: KeyPath) -> None:
        """Blame a calendar that is not there, or is there and wrong: one word for each mistake."""
        if name not in {ALWAYS, *calendars, *self._raw.get("calendars", {})}:
            self._blame(where, _unknown(name, {ALWAYS, *calendars}, "calendar"))

    def _escalations(
        self,
        brands: Collection[str],
        targets: Sequence[TargetConfig],
        channels: Collection[str],
    ) -> list[EscalationConfig]:
        found: list[EscalationConfig] = []
        for where, step in self._rows("escalations", EscalationConfig, "step"):
            self._known_words((*where, "channels"), step.channels, channels)
            self._known_words((*where, "brands"), step.brands, brands, "brand")
            self._known_words((*where, "targets"), step.targets, [t.name for t in targets], "target")
            found.append(step)
        return found

    def _routes(
        self, brands: Collection[str], targets: Sequence[TargetConfig], channels: Collection[str]
    ) -> list[RouteConfig]:
        found: list[RouteConfig] = []
        for where, row in self._rows("routes", RouteConfig, "route"):
            self._known_words((*where, "channels"), row.channels, channels)
            self._known_words((*where, "fallback"), row.fallback, channels)
            self._known_words((*where, "target"), row.target, [t.name for t in targets], "target")
            self._known_places(row, brands, where)
            found.append(row)
        return found

    def _people(self, calendars: Collection[str]) -> list[PersonConfig]:
        found: list[PersonConfig] = []
        for where, person in self._rows("people", PersonConfig, "person"):
            self._known_calendar(person.shift or ALWAYS, calendars, (*where, "shift"))
            for key in ("slack", "email", "signature"):
                if getattr(person, key) is not None and getattr(person, key) in {
                    getattr(p, key) for p in found
                }:
                    self._blame((*where, key), "is that of another person")
            found.append(person)
        return found

    def _rows(self, name: str, model: type[Any], what: str) -> Iterator[tuple[KeyPath, Any]]:
        """Each valid [[name]] with its place; names are unique, whatever the case of their letters."""
        rows = self._raw.get(name, [])
        if not isinstance(rows, list):
            self._blame((name,), f"expected tables such as [[{name}]]")
            return
        seen: set[str] = set()
        for number, row in enumerate(rows):
            made = self._validate(model, row, (name, number))
            if made is None:
                continue
            if made.name.casefold() in seen:
                self._blame((name, number, "name"), f"{made.name!r} is the name of another {what}")
            seen.add(made.name.casefold())
            yield (name, number), made

    def _mails(self, name: str | None, channels: Mapping[str, ChannelConfig]) -> None:
        """Blame people_over where it names no channel, or one that sends no mail."""
        there = self._raw.get("channels")
        if name is not None and name in channels and channels[name].type != "smtp":
            self._blame(("alerts", "people_over"), f'{name!r} is no channel of type "smtp"')
        elif name is not None and not (isinstance(there, dict) and name in there):
            self._blame(("alerts", "people_over"), _unknown(name, channels, "channel"))

    def _known_words(
        self, where: KeyPath, words: Iterable[str] | None, known: Collection[str], what: str = "channel"
    ) -> None:
        """Blame each word of a list that names nothing. A channel that is there and wrong is no mistake
        here."""
        there = self._raw.get("channels")
        if what == "channel" and isinstance(there, dict):
            known = {*known, *there}
        for at, word in enumerate(words or ()):
            if word not in known:
                self._blame((*where, at), _unknown(word, known, what))

    def _known_places(self, row: MatchConfig, brands: Collection[str], where: KeyPath) -> None:
        for key, known in (("brand", brands), ("connector", self._connectors)):
            if getattr(row, key) is not None and getattr(row, key) not in known:
                self._blame((*where, key), _unknown(getattr(row, key), known, key))

    def _targets(self, brands: Collection[str], calendars: Collection[str]) -> list[TargetConfig]:
        if self._raw.get("targets") is None:
            return [TargetConfig.model_validate(row) for row in tomllib.loads(template())["targets"]]
        found: list[TargetConfig] = []
        for where, target in self._rows("targets", TargetConfig, "target"):
            self._known_places(target, brands, where)
            self._known_calendar(target.calendar, calendars, (*where, "calendar"))
            found.append(target)
        return found

    def _channels(self, brands: Collection[str], calendars: Collection[str]) -> dict[str, ChannelConfig]:
        found: dict[str, ChannelConfig] = {}
        for name, body, where in self._tables("channels"):
            kind = body.get("type")
            if not isinstance(kind, str) or kind not in alerts.REGISTRY:
                self._blame(
                    (*where, "type"),
                    _unknown(kind, alerts.REGISTRY, "type")
                    if isinstance(kind, str)
                    else f'missing; expected one of {", ".join(alerts.REGISTRY)}, such as type = "slack"',
                )
                continue
            model = alerts.load(kind).Settings
            generic = {k: v for k, v in body.items() if k in RoutingConfig.model_fields}
            own = {k: v for k, v in body.items() if k not in generic or k in model.model_fields}
            routing = self._validate(RoutingConfig, generic, where)
            settings = self._validate(model, own, where, RoutingConfig.model_fields)
            for number, brand in enumerate(routing.brands or () if routing is not None else ()):
                if brand not in brands:
                    self._blame((*where, "brands", number), _unknown(brand, brands, "brand"))
            if routing is None or settings is None:
                continue
            self._known_calendar(routing.hours, calendars, (*where, "hours"))
            stages = [*routing.stages, *(["corrected"] if "cleared" in routing.stages else [])]
            only = None if routing.brands is None else tuple(routing.brands)
            found[name] = ChannelConfig(
                name, kind, tuple(stages), only, routing.min_priority, settings, routing.hours, routing.show
            )
        return found


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
    )


def _unknown(word: str, known: Iterable[str], what: str = "key") -> str:
    choices = sorted(known)
    close = get_close_matches(word.lower(), choices, 1)
    if _ALSO_CALLED.get(word.lower()) in choices:
        close = [_ALSO_CALLED[word.lower()]]
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(choices) or 'none'}"
    return f"unknown {what} {word!r}; {hint}"


def _locate(found: Any, value: Any, where: KeyPath) -> tuple[KeyPath, bool]:
    """Where in the file a finding of pydantic stands, and whether it was of one branch of several: branches
    are named in its path and not in the file."""
    path, at, branched = list(where), value, False
    for number, step in enumerate(found["loc"]):
        missing = found["type"] == "missing" and number == len(found["loc"]) - 1
        if isinstance(at, dict) and (step in at or missing):
            at = at.get(step)
            path.append(step)
        elif isinstance(at, list) and isinstance(step, int) and step < len(at):
            at = at[step]
            path.append(step)
        else:
            branched = True
    return tuple(path), branched


_EXPECTED = {
    "string_type": "expected a text in quotes",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a number",
    "path_type": "expected a path in quotes",
    "list_type": "expected a list in brackets",
    "tuple_type": "expected a list in brackets",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "string_too_short": "expected a text of at least {min_length} letters",
    "string_too_long": "expected a text of at most {max_length} letters",
    "string_pattern_mismatch": "expected a text of the form {pattern}",
    "too_short": "expected at least {min_length} in the list",
    "too_long": "expected at most {max_length} in the list",
}
"""pydantic's types of findings, in our words; the braces are filled from the finding's context."""


def _explain(found: Any, model: type[BaseModel], key: KeyPath, also: Iterable[str]) -> str:
    """pydantic's finding in our words. Texts are never repeated: one may be a secret in the wrong place."""
    field = model.model_fields.get(str(key[0])) if key else None
    context = found.get("ctx", {})
    match found["type"]:
        case "extra_forbidden":
            own = {field.alias or name for name, field in model.model_fields.items()}
            return _unknown(str(key[-1]), {*own, *also} if len(key) == 1 else ())
        case "missing":
            meaning = f" ({field.description})" if field is not None and field.description else ""
            return f"missing{meaning}{_such_as(field, str(key[-1]))}"
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace("'", '"')
            close = get_close_matches(str(found["input"]).lower(), re.findall('"([^"]*)"', expected), 1)
            return f"expected {expected}" + (f"; did you mean {json.dumps(close[0])}?" if close else "")
        case kind if kind in _EXPECTED:
            was = found["input"]
            seen = f", not {json.dumps(was)}" if isinstance(was, bool | int | float) else ""
            return f"{_EXPECTED[kind].format(**context)}{_such_as(field)}{seen}"
    message = str(found["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _such_as(field: Any, key: str = "") -> str:
    """An example from the model: one that it gives, else its default."""
    if field is None:
        return ""
    if Secret in (field.annotation, *get_args(field.annotation)):
        return f', such as {f"{key} = " if key else ""}{{ env = "NAME" }}'
    given = next(iter(field.examples or ()), field.get_default(call_default_factory=True))
    if given in (None, [], ()) or (field.is_required() and not field.examples):
        return ""
    return f", such as {f'{key} = ' if key else ''}{as_toml(given)}"


def as_toml(value: Any) -> str:
    """A setting's value as one would write it in the file."""
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        units = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
        whole = ((size, unit) for size, unit in units if seconds % size == 0 and (seconds or unit == "s"))
        size, unit = next(whole, (0.001, "ms"))
        return f'"{seconds / size:.0f}{unit}"'
    if isinstance(value, Path):
        return json.dumps(str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(v) for v in value)}]"
    return json.dumps(value)


def _secrets_in(value: Any, where: str) -> Iterator[tuple[str, Secret]]:
    if isinstance(value, Secret):
        yield where, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_in(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets_in(inner, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _secrets_in(inner, f"{where}[{number}]")


def find_secrets(config: Config) -> Iterator[tuple[str, Secret]]:
    """Every secret in a config, with the key under which it stands in the file."""
    for name in _SECTIONS:
        yield from _secrets_in(getattr(config, name), name)
    for account in config.all_accounts:
        yield from _secrets_in(account.settings, account.key)
    for channel in config.channels.values():
        yield from _secrets_in(channel.settings, f"channels.{channel.name}")


def check_secrets(config: Config) -> list[Problem]:
    """Each secret that cannot be read, by the key that names it."""
    problems = []
    for where, secret in find_secrets(config):
        try:
            secret.reveal()
        except SecretMissing as error:
            problems.append(Problem(config.file, None, where, str(error)))
    return problems


def secret_values(config: Config) -> list[str]:
    """The values that must never be logged; those that cannot be read now are left out."""
    values = []
    for _, secret in find_secrets(config):
        with suppress(SecretMissing):
            values.append(secret.reveal())
    return values


_TELLING = ("fallback", "people_over", "muted_", "templates")
"""Keys of [alerts] that begin so say to whom and in which words, and change no case."""


def policy_json(config: Config) -> str:
    """The promises and meanings as canonical JSON, to be kept as a fact: the same config, the same text. No
    secret is in it, and nothing of who is told: that changes no case."""
    return json.dumps(
        {
            "brands": {name: plain(brand) for name, brand in config.brands.items()},
            "rules": plain(config.rules),
            "alerts": {k: v for k, v in plain(config.alerts).items() if not k.startswith(_TELLING)},
            "targets": [plain(target) for target in config.targets],
            "calendars": {name: calendar_to_mapping(c) for name, c in config.calendars.items()},
        },
        sort_keys=True,
    )


def load_packs() -> list[dict[str, Any]]:
    """The word packs that come with us, parsed."""
    folder = files("rules.meaning").joinpath("packs")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return [tomllib.loads(folder.joinpath(name).read_text("utf-8")) for name in names]
