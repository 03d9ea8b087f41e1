"""An alert in words, the same for every channel. Pure; escaping is each channel's work.

What may live here: what an alert consists of once it is said (`alerts.words` says it), and what channels
have to know of an alert to lay it out. Strangers' words in it are inert (no control letters, no bidi
overrides, bounded length) and are still to be escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from rules.alert import Alert, Stage
from wire.redact import inert

HEADLINE_LENGTH_MAX = 140
QUOTE_LENGTH_MAX = 1200
QUOTE_LINES_MAX = 30
LINK_LENGTH_MAX = 2000

WAITS = (Stage.WARNING, Stage.BREACH, Stage.ESCALATED, Stage.MOVED, Stage.TEST)
"""Stages that say that a customer waits."""

NEXT_RESPONSE = "next_response"
RESOLUTION = "resolution"


@dataclass(frozen=True, slots=True)
class Line:
    """A line with a link at its end: None, or an http(s) URL, which `link_text` names."""

    text: str
    link: str | None
    link_text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an alert says, for no medium in particular.

    `mark` is an emoji for the stage. `headline` is one line of at most 140 characters that says the most
    important thing first. `facts` are (label, value) lines. `quote` is the customer's own words on several
    lines (None: none, or not to be shown; then a fact says so). `reasons` say why we think it a complaint,
    `caveats` what we could not see. `link` is an http(s) URL where to act, or None; `link_text` names it.
    `thread_title` stays the same while a case's facts do, so that mail programs keep its alerts together.
    `cases` are the worst ones of many, each on a line. `more_links` are a team's own, beside `link`. `story`
    is a line for the story of a case that moved ("13:04 taken by @ana"), else empty. What ends with `_title`
    stands above the part of that name; `note_title` before each of `caveats`.
    All of it may hold strangers' words: escape it.
    """

    mark: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    quote: str | None
    reasons: tuple[str, ...]
    caveats: tuple[str, ...]
    link: str | None
    link_text: str
    thread_title: str
    footer: str
    cases: tuple[Line, ...] = ()
    more_links: tuple[Line, ...] = ()
    story: str = ""
    quote_title: str = ""
    cases_title: str = ""
    reasons_title: str = ""
    note_title: str = ""

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self.headline, ""]
        lines += [f"{label}: {value}" for label, value in self.facts]
        if self.quote is not None:
            lines += ["", f"{self.quote_title}:", *(f"> {line}".rstrip() for line in self.quote.split("\n"))]
        if self.cases:
            lines += ["", f"{self.cases_title}:"]
            lines += [f"- {each.text}" + (f": {each.link}" if each.link else "") for each in self.cases]
        if self.reasons:
            lines += ["", f"{self.reasons_title}:", *(f"- {reason}" for reason in self.reasons)]
        if self.caveats:
            lines += ["", *(f"{self.note_title}: {caveat}" for caveat in self.caveats)]
        links = [Line("", self.link, self.link_text), *self.more_links]
        said = [f"{each.link_text}: {each.link}" for each in links if each.link is not None]
        lines += ["", *said] if said else []
        return "\n".join([*lines, "", self.footer])

    def guarded(self, guard: Callable[[str], str], guard_link: Callable[[str], str]) -> Rendered:
        """The same with every text passed through `guard` and every link through `guard_link`, for a medium
        that needs it."""
        guarded = _guarded(self, guard, guard_link)
        assert isinstance(guarded, Rendered)
        return guarded


def _guarded(value: object, guard: Callable[[str], str], guard_link: Callable[[str], str]) -> object:
    """Whatever texts it is made of, those that come to be added included, guarded."""
    if isinstance(value, str):
        return guard(value)
    if isinstance(value, tuple):
        return tuple(_guarded(each, guard, guard_link) for each in value)
    if isinstance(value, Rendered | Line):
        guards = {f.name: guard_link if f.name == "link" else guard for f in fields(value)}
        changes: dict[str, Any] = {
            name: _guarded(getattr(value, name), each, guard_link) for name, each in guards.items()
        }
        return replace(value, **changes)
    return value


def calls(alert: Alert) -> bool:
    """Whether people are to be called, not only told: for a broken promise, an escalation, what somebody is
    given, and once for a storm."""
    if alert.storm is not None:
        return alert.stage is Stage.STORM and alert.repeat == 0 and alert.storm.over_at is None
    if alert.stage is Stage.MOVED:
        return alert.addressee is not None
    return alert.stage in (Stage.BREACH, Stage.ESCALATED)


def awaits(alert: Alert) -> bool:
    """Whether it says that a customer waits, so that something can be done about it."""
    return alert.case is not None and alert.stage in WAITS and alert.case.outcome is None


def quoted(text: str | None) -> str | None:
    """A customer's words, line by line: not so many that they push the rest out of sight, and no gaps."""
    if text is None:
        return None
    # Cut before anything else is done with it, so that the time does not depend on its length.
    raw = text[: 4 * QUOTE_LENGTH_MAX].splitlines()
    lines = [line for line in (inert(one, QUOTE_LENGTH_MAX) for one in raw) if line]
    quote = "\n".join(lines[:QUOTE_LINES_MAX])
    more = len(quote) > QUOTE_LENGTH_MAX or len(lines) > QUOTE_LINES_MAX or len(text) > 4 * QUOTE_LENGTH_MAX
    if more:
        quote = quote[: QUOTE_LENGTH_MAX - 1].rstrip() + "…"
    return quote or "(nothing that can be shown)"


def cut(text: str, length_max: int) -> str:
    """The text, or its start with an ellipsis."""
    return text if len(text) <= length_max else text[: length_max - 1].rstrip() + "…"


def safe_link(url: str | None) -> str | None:
    """A link that is safe to press: of the web, printable, and without spaces or quotes."""
    if url is None or len(url) > LINK_LENGTH_MAX or not url.lower().startswith(("https://", "http://")):
        return None
    safe = url.isascii() and url.isprintable() and not any(letter in " <>\"'`\\|{}^" for letter in url)
    return url if safe else None
