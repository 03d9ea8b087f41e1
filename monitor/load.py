"""Reading monitor.toml, the word packs and the secrets; every problem is told at once, with its place."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from enum import Enum
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

import alerts
import connectors
from monitor.config import (
    STAGES,
    AccountConfig,
    AlertsConfig,
    BrandConfig,
    ChannelConfig,
    Config,
    HeartbeatConfig,
    HttpConfig,
    MonitorConfig,
    RoutingConfig,
    RulesConfig,
    TargetConfig,
    WebConfig,
)
from wire.secret import Secret, SecretMissing

FILE_BYTES_MAX = 1_000_000
_SECTIONS: dict[str, type[BaseModel]] = {
    "monitor": MonitorConfig,
    "http": HttpConfig,
    "web": WebConfig,
    "heartbeat": HeartbeatConfig,
    "rules": RulesConfig,
    "alerts": AlertsConfig,
}
_TOP = (*_SECTIONS, "brands", "targets", "channels")
_BRAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it stands, and what was expected."""

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
        number = int(line[1]) if line else None
        raise ConfigError([Problem(str(path), number, "", f"is no TOML: {error}")]) from None
    return _Loading(path, text, raw).config()


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            body = stream.read(FILE_BYTES_MAX + 1)
        if len(body) > FILE_BYTES_MAX:
            raise ConfigError([Problem(str(path), None, "", f"is longer than {FILE_BYTES_MAX} bytes")])
        return body.decode("utf-8")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}; `response-monitor init` writes one"
        raise ConfigError([Problem(str(path), None, "", reason)]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), None, "", "is not UTF-8")]) from None


class _Loading:
    """One file on its way to a Config, gathering what is wrong with it."""

    def __init__(self, path: Path, text: str, raw: Mapping[str, Any]) -> None:
        self._path = path
        self._lines = _line_numbers(text)
        self._raw = raw
        self._problems: list[Problem] = []
        self._warnings: list[str] = []

    def config(self) -> Config:
        for key in self._raw:
            if key not in _TOP:
                self._blame(key, _unknown(key, _TOP))
        sections = {name: self._section(name, model) for name, model in _SECTIONS.items()}
        brands, accounts = self._brands()
        targets = self._targets(set(brands))
        channels = self._channels(set(brands))
        if self._problems:
            raise ConfigError(sorted(self._problems, key=lambda p: (p.line or 0, p.key)))
        self._look_twice(sections["web"], targets, channels, accounts)
        return Config(
            **sections,
            brands=brands,
            targets=tuple(targets),
            channels=channels,
            all_accounts=tuple(accounts),
            warnings=tuple(self._warnings),
        )

    def _blame(self, key: str, message: str) -> None:
        self._problems.append(Problem(str(self._path), self._line(key), key, message))

    def _line(self, key: str) -> int | None:
        """The line of that key, else of the nearest table around it."""
        while key:
            if key in self._lines:
                return self._lines[key]
            shorter = re.sub(r"(\.[^.\[\]]+|\[\d+\])$", "", key)
            key = "" if shorter == key else shorter
        return None

    def _validate(self, model: type[BaseModel], value: Any, where: str) -> Any:
        """The model, or None with its problems noted."""
        if not isinstance(value, dict):
            self._blame(where, f"expected a table, not {type(value).__name__}")
            return None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for found in error.errors(include_url=False, include_input=False):
                key, message = _explain(found, model, where)
                self._blame(key, message)
            return None

    def _section(self, name: str, model: type[BaseModel]) -> Any:
        return self._validate(model, self._raw.get(name, {}), name)

    def _table(self, name: str) -> dict[str, Any]:
        found = self._raw.get(name, {})
        if isinstance(found, dict):
            return found
        self._blame(name, f"expected tables such as [{name}.NAME]")
        return {}

    def _brands(self) -> tuple[dict[str, BrandConfig], list[AccountConfig]]:
        brands: dict[str, BrandConfig] = {}
        accounts: list[AccountConfig] = []
        for name, body in self._table("brands").items():
            where = f"brands.{name}"
            if not _BRAND.fullmatch(name):
                self._blame(where, "expected a name of letters, digits, - and _")
                continue
            if not isinstance(body, dict):
                self._blame(where, "expected a table")
                continue
            own = {k: v for k, v in body.items() if k not in connectors.REGISTRY and not _is_tables(v)}
            strange = [k for k, v in body.items() if k not in connectors.REGISTRY and _is_tables(v)]
            for key in strange:
                self._blame(f"{where}.{key}", _unknown(key, connectors.REGISTRY, "connector"))
            brand = self._validate(BrandConfig, own, where)
            if brand is not None:
                brands[name] = brand
            for connector in connectors.REGISTRY:
                if connector in body:
                    accounts += self._accounts(name, connector, body[connector])
        if not brands and not self._problems:
            self._blame("brands", "expected at least one, such as [brands.acme] with [[brands.acme.x]]")
        return brands, accounts

    def _accounts(self, brand: str, connector: str, value: Any) -> Iterator[AccountConfig]:
        rows = value if isinstance(value, list) else [value]
        seen: set[str] = set()
        for number, row in enumerate(rows):
            where = f"brands.{brand}.{connector}" + (f"[{number}]" if isinstance(value, list) else "")
            settings = self._validate(connectors.load(connector).Settings, row, where)
            if settings is None:
                continue
            handle = str(getattr(settings, "handle", None) or getattr(settings, "username", "")).lower()
            label = settings.account or handle
            if label in seen:
                self._blame(
                    where, f"the account {label!r} stands here twice; give one of them another `account`"
                )
            seen.add(label)
            yield AccountConfig(brand, connector, label, handle, settings)

    def _targets(self, brands: set[str]) -> list[TargetConfig]:
        rows = self._raw.get("targets", [])
        if not isinstance(rows, list):
            self._blame("targets", "expected tables such as [[targets]]")
            return []
        found: list[TargetConfig] = []
        for number, row in enumerate(rows):
            where = f"targets[{number}]"
            target = self._validate(TargetConfig, row, where)
            if target is None:
                continue
            if target.name in {t.name for t in found}:
                self._blame(f"{where}.name", f"{target.name!r} is the name of another target")
            if target.brand is not None and target.brand not in brands:
                self._blame(f"{where}.brand", _unknown(target.brand, brands, "brand"))
            if target.connector is not None and target.connector not in connectors.REGISTRY:
                self._blame(
                    f"{where}.connector", _unknown(target.connector, connectors.REGISTRY, "connector")
                )
            if any(t.matches_all for t in found):
                self._warnings.append(
                    f"{where} ({target.name}) is never reached: a target above it takes every case"
                )
            found.append(target)
        return found

    def _channels(self, brands: set[str]) -> dict[str, ChannelConfig]:
        found: dict[str, ChannelConfig] = {}
        for name, body in self._table("channels").items():
            where = f"channels.{name}"
            if not isinstance(body, dict) or not _BRAND.fullmatch(name):
                self._blame(where, "expected a table with a name of letters, digits, - and _")
                continue
            kind = body.get("type")
            if kind not in alerts.REGISTRY:
                self._blame(f"{where}.type", _unknown(str(kind), alerts.REGISTRY, "type"))
                continue
            generic = {k: v for k, v in body.items() if k in RoutingConfig.model_fields}
            routing = self._validate(RoutingConfig, generic, where)
            model = alerts.load(kind).Settings
            own = {k: v for k, v in body.items() if k not in generic or k in model.model_fields}
            settings = self._validate(model, own, where)
            if routing is None or settings is None:
                continue
            for brand in routing.brands or ():
                if brand not in brands:
                    self._blame(f"{where}.brands", _unknown(brand, brands, "brand"))
            stages = [*routing.stages, *(["corrected"] if "cleared" in routing.stages else [])]
            found[name] = ChannelConfig(
                name,
                kind,
                tuple(stages),
                None if routing.brands is None else tuple(routing.brands),
                routing.min_priority,
                settings,
            )
        return found

    def _look_twice(
        self,
        web: Any,
        targets: Sequence[TargetConfig],
        channels: Mapping[str, ChannelConfig],
        accounts: Sequence[AccountConfig],
    ) -> None:
        """What is allowed and probably not meant."""
        if web.enabled and web.is_public:
            self._warnings.append(f"web.listen: {web.listen} can be reached by others, and has no password")
        if not accounts:
            self._warnings.append("no account is configured, so nothing will be seen")
        if not channels:
            self._warnings.append("no channel is configured, so nobody will be told")
        if not targets:
            self._warnings.append("no target is configured, so nothing can be late")
        for stage in STAGES:
            if channels and not any(stage in c.stages for c in channels.values()):
                self._warnings.append(f"no channel says {stage!r}")


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)
    )


def _unknown(word: str, known: Any, what: str = "key") -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"
    return f"unknown {what} {word!r}; {hint}"


def _explain(found: Any, model: type[BaseModel], where: str) -> tuple[str, str]:
    """pydantic's finding in our words; the value is never repeated, since it may be a secret."""
    key = where
    for step in found["loc"]:
        key += f"[{step}]" if isinstance(step, int) else f".{step}"
    if found["type"] == "extra_forbidden":
        return key, _unknown(str(found["loc"][-1]), model.model_fields)
    if found["type"] == "missing":
        field = model.model_fields.get(str(found["loc"][-1]))
        meaning = f" ({field.description})" if field is not None and field.description else ""
        return key, f"missing{meaning}"
    message = str(found["msg"]).removeprefix("Value error, ")
    named = re.match(r"([a-z_]+(?:\[\d+\])?): (.+)", message, re.DOTALL)
    if named and named[1].split("[")[0] in model.model_fields:
        return f"{key}.{named[1]}", named[2]
    return key, message[:1].lower() + message[1:]


_HEAD = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


def _line_numbers(text: str) -> dict[str, int]:
    """The line of each table and key, by its path ("targets[0].name"); tomllib does not tell."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        head = _HEAD.match(line)
        if head:
            name = head[2].replace('"', "").replace(" ", "")
            if head[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table = f"{name}[{counts[name]}]"
            else:
                table = name
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault(f"{table}.{key[1]}" if table else key[1], number)
    return lines


def find_secrets(value: Any, where: str = "") -> Iterator[tuple[str, Secret]]:
    """Every secret in a config, with the key under which it stands."""
    if isinstance(value, Secret):
        yield where, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from find_secrets(getattr(value, name), f"{where}.{name}" if where else name)
    elif isinstance(value, AccountConfig):
        yield from find_secrets(value.settings, f"brands.{value.brand}.{value.connector} ({value.label})")
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from find_secrets(
                getattr(value, field.name), f"{where}.{field.name}" if where else field.name
            )
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from find_secrets(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from find_secrets(inner, where)


def check_secrets(config: Config) -> list[Problem]:
    """Each secret that cannot be read, by the key that names it."""
    problems = []
    for where, secret in find_secrets(config):
        try:
            secret.reveal()
        except SecretMissing as error:
            problems.append(Problem("secret", None, where.removeprefix("all_accounts."), str(error)))
    return problems


def secret_values(config: Config) -> list[str]:
    """The values that must never be logged; those that cannot be read now are left out."""
    values = []
    for _, secret in find_secrets(config):
        with suppress(SecretMissing):
            values.append(secret.reveal())
    return values


def policy_json(config: Config) -> str:
    """The promises and meanings as canonical JSON, to be kept as a fact. No secret is in it."""
    return json.dumps(
        {
            "brands": {name: _plain(brand) for name, brand in config.brands.items()},
            "rules": _plain(config.rules),
            "alerts": _plain(config.alerts),
            "targets": [_plain(target) for target in config.targets],
        },
        sort_keys=True,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def load_packs() -> list[dict[str, Any]]:
    """The word packs that come with us, parsed."""
    folder = files("rules.meaning").joinpath("packs")
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    return [tomllib.loads(folder.joinpath(name).read_text("utf-8")) for name in names]
