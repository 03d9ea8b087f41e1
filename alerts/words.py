"""The words of alerts: templates, the built-in ones and a team's own.

What may live here: where templates are found, what they are given, and how what they make becomes a
`Rendered`. A template makes plain text for no medium in particular: each channel escapes all of it for its
own, so no template can forget to. What templates are given of strangers' words is inert already: on one line,
bounded, without control letters, so that it cannot pass for a line or a part of its own. A team's own run in
Jinja2's sandbox: they are given values and can call nothing that does anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from alerts.language import Language
from alerts.render import HEADLINE_LENGTH_MAX, WAITS, Line, Rendered, cut, quoted, safe_link
from alerts.trial import invented_alerts
from rules.alert import Alert, Stage
from wire.redact import inert

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from jinja2.runtime import Context

log = logging.getLogger("response_monitor")

KINDS = ("case", "storm", "spike", "trouble")
"""What an alert can be about. Each has a template of that name: case.j2."""

EMAIL = "email.html.j2"
"""The mail's HTML around those words."""

FRAME = "frame.j2"
"""What they all extend: the parts, one after the other."""

BUILTIN = "builtin"
"""The folder under which templates of a team's own find the built-in ones."""

NAMES = (*(f"{kind}.j2" for kind in KINDS), EMAIL)
"""The templates that there are."""

PARTS = (
    "mark",
    "headline",
    "facts",
    "quote_title",
    "quote",
    "cases_title",
    "cases",
    "reasons_title",
    "reasons",
    "note_title",
    "caveats",
    "links",
    "thread_title",
    "footer",
    "story",
)
"""The blocks of which an alert is made."""

TEMPLATE_BYTES_MAX = 64 * 1024
LINE_LENGTH_MAX = 1000
LINES_MAX = 40
NAME_LENGTH_MAX = 40
NOTES_MAX = 6

_LENGTHS = {
    "key": 200,
    "subject": 200,
    "case_id": 200,
    "title": HEADLINE_LENGTH_MAX,
    "detail": 1000,
    "what_to_do": 1000,
    "outcome": 300,
    "queue_command": 300,
    "reasons": 300,
    "caveats": 300,
}
"""So long may a text of the facts be; any other is a name."""

_LEFT_OUT = frozenset({"text", "calls", "slack", "email"})
"""Facts that templates are given otherwise (`quote`), or not: how to call somebody is not for words."""

_AS_THEY_ARE = frozenset({"url", "stage"})
"""Links are made safe by `link`, and stages are compared."""

# Letters that no value has, since `inert` takes them out, and that are no blanks to Jinja2.
_PART, _LINK, _LINK_TEXT = "\x01", "\x02", "\x03"

TITLES = {
    "quote_title": "They wrote",
    "cases_title": "The worst of them",
    "reasons_title": "Why we think that it is a complaint",
    "note_title": "Note",
}
"""What stands above the parts that need it, unless a template says otherwise."""

_INNER = {**TITLES, "quote": "{% if quote is not none %}{{ quote }}{% endif %}"}
_FRAME = "".join(f"{_PART}{{% block {part} %}}{_INNER.get(part, '')}{{% endblock %}}" for part in PARTS)
_UTC = ZoneInfo("UTC")


class BadTemplate(ValueError):
    """A template of a team's own that cannot be used. It names the file, the line and what is wrong."""


class Templates:
    """The templates of one config, for all its channels.

    `folder` is the team's own, or None; a file in it stands for the built-in one of that name, for every
    channel, and one in a folder in it for the channel of that name or type only (`layers` are those that
    there are). They are read and tried out at once. Raises BadTemplate, and ValueError for a language that
    nothing is known of.
    """

    def __init__(self, folder: Path | None = None, language: str = "en", layers: Sequence[str] = ()) -> None:
        self.tag = language
        self._language = Language(language)
        self._own = {} if folder is None else _read(folder, layers)
        for path in self.own:
            self._try_out(path)

    @property
    def own(self) -> Sequence[str]:
        """The team's own, such as "slack/case.j2"."""
        return sorted(self._own)

    def words(self, *layers: str) -> Words:
        """The words of a channel, which looks into these folders first, the closest one first."""
        return Words(self, layers)

    def source(self, name: str, layers: Sequence[str] | None = None) -> str:
        """The text of a template, of NAMES: as those layers have it, or the built-in one."""
        path = None if layers is None else self.find(name, layers)
        text = _builtin(name) if path is None else self._own[path]
        if text is None:
            raise LookupError(f"no template {name!r}; there are {', '.join(NAMES)}")
        return text

    def find(self, name: str, layers: Sequence[str]) -> str | None:
        """The team's own template of that name, or None where the built-in one stands."""
        paths = (*(f"{layer}/{name}" for layer in layers), name)
        return next((path for path in paths if path in self._own), None)

    def load(self, path: str) -> Template:
        """Compiled. The built-in ones are in the folder "builtin"."""
        return self._environment.get_template(path)

    @cached_property
    def _environment(self) -> Environment:
        """For all that comes with us, and in a sandbox where a template is of a team's own."""
        # Jinja2 is imported with the first alert, not by a daemon that has nothing to say.
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        # Without the sandbox, which asks before it reads any fact, the built-in ones are twice as fast.
        environment = (ImmutableSandboxedEnvironment if self._own else Environment)(
            loader=FunctionLoader(self._look_up),
            autoescape=lambda name: name is not None and name.endswith(EMAIL),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters.update(_filters(self._language))
        environment.globals.update(link=_link, headline_length_max=HEADLINE_LENGTH_MAX)
        return environment

    def _look_up(self, path: str) -> tuple[str, str, None] | None:
        """A template's text, and the name that its mistakes are told under."""
        if path in self._own:
            return self._own[path], path, None
        text = _builtin(path.removeprefix(f"{BUILTIN}/"))
        return None if text is None else (text, f"the built-in {path.removeprefix(f'{BUILTIN}/')}", None)

    def _try_out(self, path: str) -> None:
        """Say in it whatever can be said, so that a mistake is found before an alert is needed."""
        *layers, name = path.split("/")
        words = self.words(*layers)
        with _blaming(path):
            for alert in invented_alerts():
                if name == EMAIL:
                    words.fill_mail(path, alert, words.render(alert, _UTC), "a preheader")
                elif name == f"{_kind(alert)}.j2":
                    words.fill(path, alert, _UTC)


class Words:
    """What one channel says. A template of the team's own that fails on an alert does not hold it up: it is
    said in the built-in words, and says so."""

    def __init__(self, templates: Templates, layers: Sequence[str]) -> None:
        self._templates = templates
        self._layers = layers

    def render(self, alert: Alert, zone: ZoneInfo) -> Rendered:
        """An alert in words, with times in that zone. Raises ValueError for an alert about nothing."""
        name = f"{_kind(alert)}.j2"
        own = self._templates.find(name, self._layers)
        if own is not None:
            try:
                with _blaming(own):
                    return self.fill(own, alert, zone)
            except BadTemplate as error:
                log.error("an alert is said in the built-in words: %s", error)
                said = self.fill(f"{BUILTIN}/{name}", alert, zone)
                return replace(said, caveats=(*said.caveats, cut(str(error), LINE_LENGTH_MAX)))
        return self.fill(f"{BUILTIN}/{name}", alert, zone)

    def html(self, alert: Alert, said: Rendered, preheader: str) -> str:
        """The mail's HTML around what is said; `preheader` is what mail programs show beside the subject."""
        own = self._templates.find(EMAIL, self._layers)
        if own is not None:
            try:
                with _blaming(own):
                    return self.fill_mail(own, alert, said, preheader)
            except BadTemplate as error:
                log.error("a mail has the built-in looks: %s", error)
        return self.fill_mail(f"{BUILTIN}/{EMAIL}", alert, said, preheader)

    def fill(self, path: str, alert: Alert, zone: ZoneInfo) -> Rendered:
        """An alert in the words of one template. Raises what Jinja2 does, and ValueError."""
        made = self._templates.load(path).render(_given(alert, zone))
        start, *parts = made.split(_PART)
        if start.strip() or len(parts) != len(PARTS):
            raise ValueError(
                f'expected a template that begins with {{% extends "builtin/{_kind(alert)}.j2" %}}'
            )
        return _assemble(dict(zip(PARTS, parts, strict=True)))

    def fill_mail(self, path: str, alert: Alert, said: Rendered, preheader: str) -> str:
        """The HTML by one template. Raises what Jinja2 does."""
        # A storm that is over is good news, whichever stage says so.
        stage = Stage.CLEARED if _is_over(alert) else alert.stage
        mail = {"said": said, "stage": stage.value, "preheader": preheader, "language": self._templates.tag}
        return self._templates.load(path).render(mail)


def _kind(alert: Alert) -> str:
    """What it is about. Raises ValueError for an alert about nothing."""
    for kind in KINDS:
        if getattr(alert, kind) is not None:
            return kind
    raise ValueError(f"alert {alert.key} is about nothing")


def _is_over(alert: Alert) -> bool:
    return alert.storm is not None and alert.storm.over_at is not None


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """Whatever goes wrong in a template of the team's own, said with its file and line."""
    from jinja2 import TemplateSyntaxError

    try:
        yield
    except TemplateSyntaxError as error:
        raise BadTemplate(
            f"template {error.filename or path}, line {error.lineno}: {error.message}"
        ) from None
    except Exception as error:
        # Whatever it is: a template can fail in any way, and none may cost an alert.
        at, frame = f"template {path}", error.__traceback__
        while frame is not None:
            # Jinja2 shows its compiled code as lines of the template.
            if frame.tb_frame.f_code.co_filename == path:
                at = f"template {path}, line {frame.tb_lineno}"
            frame = frame.tb_next
        raise BadTemplate(f"{at}: {inert(str(error), 300) or type(error).__name__}") from None


def _builtin(name: str) -> str | None:
    """The text of a template that comes with us."""
    if name == FRAME:
        return _FRAME
    if name not in NAMES:
        return None
    return files("alerts").joinpath("templates", name).read_text("utf-8")


def _read(folder: Path, layers: Sequence[str]) -> dict[str, str]:
    """The team's own templates: path in the folder → text. Raises BadTemplate."""
    try:
        found = sorted(folder.iterdir())
        inner = [path for each in found if each.is_dir() for path in sorted(each.iterdir())]
    except OSError as error:
        raise BadTemplate(
            f"templates {folder}: {error.strerror}; expected a folder that can be read"
        ) from None
    read: dict[str, str] = {}
    for path in [*found, *inner]:
        name = path.relative_to(folder).as_posix()
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path in found and path.is_dir():
            if name not in layers:
                known = ", ".join(layers) or "none"
                raise BadTemplate(
                    f"template folder {name}: no channel has that name or type; known are {known}"
                )
            continue
        if path.name not in NAMES:
            raise BadTemplate(f"template {name}: expected a file named {', '.join(NAMES)}")
        read[name] = _read_one(path, name)
    return read


def _read_one(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(TEMPLATE_BYTES_MAX + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise BadTemplate(f"template {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadTemplate(f"template {name}: expected text in UTF-8") from None
    if len(raw) > TEMPLATE_BYTES_MAX:
        raise BadTemplate(f"template {name}: expected at most {TEMPLATE_BYTES_MAX // 1024} KiB")
    if any(mark in text for mark in (_PART, _LINK, _LINK_TEXT)):
        raise BadTemplate(f"template {name}: expected no control letters")
    return text


def _given(alert: Alert, zone: ZoneInfo) -> dict[str, Any]:
    """What a template is given: the alert's facts, inert, and a few things that are said of them often."""
    given: dict[str, Any] = dict.fromkeys(KINDS) | vars(_inert(alert))
    given |= {"zone": zone, "quote": None, "waits": False, "unknown": False, "over": _is_over(alert)}
    case = alert.case
    if case is not None:
        waits = alert.stage in WAITS
        left = (case.due_at - alert.at).total_seconds()
        given |= {
            "who": _name(case.customer),
            "place": _place(case.connector),
            "quote": quoted(case.text),
            "waits": waits,
            "unknown": waits and case.unknown_since is not None,
            "due_by_day": left > max(0.0, case.target_seconds) and bool(_hours(case.calendar)),
        }
    about = alert.storm or alert.spike
    if about is not None:
        given["brand"] = _name(about.brand)
    return given


def _inert(value: Any, length_max: int = NAME_LENGTH_MAX) -> Any:
    """Facts as a template is given them: no text in them can do anything, or pass for more than one line."""
    if isinstance(value, str):
        return inert(value, length_max)
    if isinstance(value, tuple):
        made = tuple(_inert(each, length_max) for each in value)
        lines = all(isinstance(each, str) for each in value)
        return tuple(each for each in made if each)[:NOTES_MAX] if lines else made
    if is_dataclass(value):
        known = [field.name for field in fields(value) if field.name not in _LEFT_OUT]
        return SimpleNamespace(
            **{
                name: getattr(value, name)
                if name in _AS_THEY_ARE
                else _inert(getattr(value, name), _LENGTHS.get(name, NAME_LENGTH_MAX))
                for name in known
            }
        )
    return value


def _assemble(parts: Mapping[str, str]) -> Rendered:
    """What a template made, as an alert in words. Raises ValueError where it makes no sense."""
    headline = cut(_one_line(parts["headline"]), HEADLINE_LENGTH_MAX)
    if not headline:
        raise ValueError("the block headline says nothing")
    links = [_line(line) for line in _lines(parts["links"])]
    first, *more = links or [Line("", None, "")]
    quote = parts["quote"].strip("\n")
    return Rendered(
        mark=_one_line(parts["mark"]),
        headline=headline,
        facts=tuple(_fact(line) for line in _lines(parts["facts"])),
        quote=quote or None,
        reasons=tuple(_lines(parts["reasons"])),
        caveats=tuple(_lines(parts["caveats"])),
        link=first.link,
        link_text=first.link_text,
        thread_title=_one_line(parts["thread_title"]),
        footer=_one_line(parts["footer"]),
        cases=tuple(_line(line) for line in _lines(parts["cases"])),
        more_links=tuple(line for line in more if line.link is not None),
        story=_one_line(parts["story"]),
        **{name: _one_line(parts[name]) for name in TITLES},
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _lines(text: str) -> list[str]:
    """The lines that say something."""
    lines = (_one_line(line) for line in text.split("\n"))
    return [cut(line, LINE_LENGTH_MAX) for line in lines if line][:LINES_MAX]


def _fact(line: str) -> tuple[str, str]:
    label, colon, value = line.partition(": ")
    if not colon:
        raise ValueError(f'expected lines such as "Who: …" in the block facts, not {line:.60}')
    return label, value


def _line(line: str) -> Line:
    """A line, and the link at its end where it has one."""
    text, _, link = line.partition(_LINK)
    url, _, link_text = link.partition(_LINK_TEXT)
    return Line(text.strip(), url or None, link_text)


def _link(url: object, text: object) -> str:
    """A link at the end of a line; its text alone where it is none that is safe to press."""
    safe = safe_link(url if isinstance(url, str) else None) or ""
    return f"{_LINK}{safe}{_LINK_TEXT}{inert(str(text), NAME_LENGTH_MAX * 2)}"


def _name(text: str | None) -> str:
    return inert(text or "", NAME_LENGTH_MAX) or "somebody"


def _place(connector: str) -> str:
    """A platform's name as people write it; those that they write otherwise than "Reddit" are rare."""
    return inert(connector, NAME_LENGTH_MAX).capitalize()


def _hours(calendar: str | None) -> str:
    """In which hours a target counts: " in office hours", or nothing where it always does."""
    name = inert(calendar or "", NAME_LENGTH_MAX).replace("_", " ").replace("-", " ").strip()
    if not name or name == "always":
        return ""
    return f" in {name}" if name.endswith("hours") else f" in {name} hours"


def _filters(language: Language) -> dict[str, Callable[..., Any]]:
    """What templates can do with what they are given. docs/templates.md lists them."""
    from jinja2 import pass_context

    def in_zone(say: Callable[[datetime, ZoneInfo], str]) -> Callable[..., str]:
        @pass_context
        def said(context: Context, at: datetime) -> str:
            return say(at, context["zone"])

        return said

    def plural(count: int, of_what: str) -> str:
        return f"{language.number(count)} {of_what}{'' if count == 1 else 's'}"

    return {
        "when": in_zone(language.when),
        "clock": in_zone(language.clock),
        "weekday": in_zone(language.weekday),
        "duration": language.duration,
        "number": language.number,
        "plural": plural,
        "name": _name,
        "place": _place,
        "hours": _hours,
        "line": _one_line,
        "cut": cut,
        "upper_first": lambda text: text[:1].upper() + text[1:],
    }
