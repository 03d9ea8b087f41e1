"""An alert's facts put into words, the same for every channel. Pure; escaping is each channel's work.

What may live here: how a wait, a target, an outcome or a trouble is said to a person. Times are told in
the team's zone, and always as a wait too: nobody should have to subtract at night. Strangers' words are made
inert here (no control letters, no bidi overrides, bounded length) and are still to be escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from rules.alert import Alert, CaseFacts, Stage, Trouble
from wire.durations import say_duration
from wire.redact import inert

HEADLINE_LENGTH_MAX = 140
NAME_LENGTH_MAX = 40
VALUE_LENGTH_MAX = 300
QUOTE_LENGTH_MAX = 1200
QUOTE_LINES_MAX = 30
NOTES_MAX = 6
LINK_LENGTH_MAX = 2000

_MARKS = {
    Stage.WARNING: "⏳",
    Stage.BREACH: "🔴",
    Stage.CLEARED: "✅",
    Stage.CORRECTED: "↩️",
    Stage.TROUBLE: "⚠️",
    Stage.TEST: "🧪",
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an alert says, for no medium in particular.

    `mark` is an emoji for the stage. `headline` is one line of at most 140 characters that says the most
    important thing first. `facts` are (label, value) lines. `quote` is the customer's own words on several
    lines (None: none, or not to be shown; then a fact says so). `reasons` say why we think it a complaint,
    `caveats` what we could not see. `link` is an http(s) URL where to act, or None; `link_text` names it.
    `thread_title` stays the same while a case's facts do, so that mail programs keep its alerts together.
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

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self.headline, ""]
        lines += [f"{label}: {value}" for label, value in self.facts]
        if self.quote is not None:
            lines += ["", "They wrote:", *(f"> {line}".rstrip() for line in self.quote.split("\n"))]
        if self.reasons:
            lines += ["", "Why we think that it is a complaint:", *(f"- {reason}" for reason in self.reasons)]
        if self.caveats:
            lines += ["", *(f"Note: {caveat}" for caveat in self.caveats)]
        if self.link is not None:
            lines += ["", f"{self.link_text}: {self.link}"]
        return "\n".join([*lines, "", self.footer])


def render(alert: Alert, zone: ZoneInfo) -> Rendered:
    """Put it into words, with times in that zone. Raises ValueError for an alert about nothing."""
    if alert.case is not None:
        return _render_case(alert, alert.case, zone)
    if alert.trouble is not None:
        return _render_trouble(alert, alert.trouble, zone)
    raise ValueError(f"alert {alert.key} is about nothing")


def _render_case(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> Rendered:
    waits = alert.stage in (Stage.WARNING, Stage.BREACH, Stage.TEST)
    facts = [("Who", _who(case)), ("Where", _where(case))]
    facts += _waiting(alert, case, zone) if waits else _ended(alert, case, zone)
    if case.text is None:
        hidden = "the text cannot be shown" if case.public else "private message, text not shown"
        facts.append(("They wrote", hidden))
    who, place, brand = _name(case.customer), _place(case.connector), _name(case.brand)
    footer = f"Case {inert(case.case_id, 200)}"
    if waits and case.acknowledged_by is None:
        footer += f" · to take it: response-monitor ack {inert(case.case_id, 200)}"
    return Rendered(
        mark=_MARKS[alert.stage],
        headline=inert(_headline(alert, case), HEADLINE_LENGTH_MAX),
        facts=tuple(facts),
        quote=_quote(case.text),
        reasons=_notes(case.reasons) if case.complaint and waits else (),
        caveats=_notes(case.caveats) if waits else (),
        link=_link(case.url),
        link_text=f"Open on {place} and reply" if waits else f"Open on {place}",
        thread_title=f"{who} waits for an answer on {place} ({brand})",
        footer=footer,
    )


def _headline(alert: Alert, case: CaseFacts) -> str:
    who, place = _name(case.customer), _place(case.connector)
    waited = say_duration((alert.at - case.waiting_since).total_seconds())
    match alert.stage:
        case Stage.WARNING:
            return f"{_standing(case, alert.at)}: {who} has waited {waited} on {place}"
        case Stage.BREACH if alert.repeat:
            said = f"Still no answer, {_standing(case, alert.at)}"
            return f"{said}: {who} has waited {waited} on {place} (reminder {alert.repeat})"
        case Stage.BREACH:
            return f"{_standing(case, alert.at).capitalize()}: {who} has waited {waited} on {place}"
        case Stage.CLEARED:
            return f"{who} on {place}: {case.outcome or 'nobody waits any more'}"
        case Stage.CORRECTED:
            return f"Correction: {who} on {place} had an answer: {case.outcome or 'we saw it late'}"
        case _:
            return f"Test: {who} has waited {waited} on {place}"


def _standing(case: CaseFacts, at: datetime) -> str:
    """How the clock stands, in the fewest words."""
    left = (case.due_at - at).total_seconds()
    if left > 0:
        return f"{say_duration(left)} left"
    return f"{say_duration(-left)} late" if left <= -60 else "late now"


def _who(case: CaseFacts) -> str:
    count = case.followers
    return _name(case.customer) + ("" if count is None else f" ({_count(count, 'follower')})")


def _where(case: CaseFacts) -> str:
    kind = "public" if case.public else "DM"
    account = inert(case.account, NAME_LENGTH_MAX).lstrip("@")
    return f"{_place(case.connector)}, {kind}, to @{account} ({_name(case.brand)})"


def _waiting(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is to be known while the customer waits."""
    waited = say_duration((alert.at - case.waiting_since).total_seconds())
    facts = [("Waiting since", f"{_when(case.waiting_since, zone)}, {waited} ago")]
    if case.target_seconds > 0:
        target = say_duration(case.target_seconds)
        name = f" ({_name(case.target_name)})" if case.target_name else ""
        due = "due" if case.due_at > alert.at else "was due"
        standing = f"{_standing(case, alert.at)} of {target}{name}"
        if case.due_at <= alert.at:
            standing = f"{_standing(case, alert.at)}, target {target}{name}"
        facts.append(("Target", f"{standing}, {due} {_when(case.due_at, zone)}"))
    facts.append(("Priority", inert(case.priority, NAME_LENGTH_MAX)))
    if case.public and case.reach is not None:
        facts.append(("Reach", f"{case.reach:,} (views, or likes and reposts)"))
    if case.messages > 1:
        facts.append(("Messages", f"{case.messages:,} from this customer so far"))
    if case.assignee:
        facts.append(("Assigned to", _name(case.assignee)))
    if case.acknowledged_by:
        facts.append(("Taken by", _name(case.acknowledged_by)))
    return facts


def _ended(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is to be known of a wait that is over."""
    outcome = inert(case.outcome or "nobody waits any more", VALUE_LENGTH_MAX)
    facts = [("Asked", _when(case.waiting_since, zone))]
    if alert.stage is Stage.CORRECTED:
        facts += [("We said", "that nobody had answered; we saw the answer late"), ("In truth", outcome)]
    else:
        facts.append(("Outcome", outcome))
    if case.answered_at is not None and case.target_seconds > 0:
        after = (case.answered_at - case.due_at).total_seconds()
        target = say_duration(case.target_seconds)
        held = "within" if after <= 0 else f"{say_duration(after)} after"
        facts.append(("Answered", f"{_when(case.answered_at, zone)}, {held} the target of {target}"))
    return facts


def _render_trouble(alert: Alert, trouble: Trouble, zone: ZoneInfo) -> Rendered:
    title = inert(trouble.title, HEADLINE_LENGTH_MAX)
    ago = say_duration((alert.at - trouble.since).total_seconds())
    facts = []
    if alert.stage is not Stage.TEST:
        facts.append(("Since", f"{_when(trouble.since, zone)}, {ago} ago"))
    if trouble.detail:
        facts.append(("What", inert(trouble.detail, 1000)))
    if trouble.waiting:
        facts.append(("Waiting there", _count(trouble.waiting, "case")))
    if trouble.what_to_do:
        facts.append(("What to do", inert(trouble.what_to_do, 1000)))
    return Rendered(
        mark=_MARKS[alert.stage],
        headline=title,
        facts=tuple(facts),
        quote=None,
        reasons=(),
        caveats=(),
        link=None,
        link_text="",
        thread_title=title,
        footer=f"Response monitor · {inert(alert.subject, 200)}",
    )


def _place(connector: str) -> str:
    """A platform's name as people write it; those that they write otherwise than "Reddit" are rare."""
    return inert(connector, NAME_LENGTH_MAX).capitalize()


def _name(text: str) -> str:
    return inert(text, NAME_LENGTH_MAX) or "somebody"


def _count(number: int, of_what: str) -> str:
    return f"{number:,} {of_what}" if number == 1 else f"{number:,} {of_what}s"


def _notes(texts: tuple[str, ...]) -> tuple[str, ...]:
    clean = [inert(text, VALUE_LENGTH_MAX) for text in texts]
    return tuple(text for text in clean if text)[:NOTES_MAX]


def _when(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %H:%M %Z}"


def _quote(text: str | None) -> str | None:
    """A customer's words, line by line: not so many that they push the rest out of sight, and no gaps."""
    if text is None:
        return None
    # Cut before anything else is done with it, so that the time does not depend on its length.
    raw = text[: 4 * QUOTE_LENGTH_MAX].splitlines()
    lines = [line for line in (inert(one, QUOTE_LENGTH_MAX) for one in raw) if line]
    quote = "\n".join(lines[:QUOTE_LINES_MAX])
    cut = len(quote) > QUOTE_LENGTH_MAX or len(lines) > QUOTE_LINES_MAX or len(text) > 4 * QUOTE_LENGTH_MAX
    if cut:
        quote = quote[: QUOTE_LENGTH_MAX - 1].rstrip() + "…"
    return quote or "(nothing that can be shown)"


def _link(url: str | None) -> str | None:
    """A link that is safe to press: of the web, printable, and without spaces or quotes."""
    if url is None or len(url) > LINK_LENGTH_MAX or not url.lower().startswith(("https://", "http://")):
        return None
    safe = url.isascii() and url.isprintable() and not any(letter in " <>\"'`\\|{}^" for letter in url)
    return url if safe else None
