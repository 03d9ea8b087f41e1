"""An alert's facts put into words, the same for every channel. Pure; escaping is each channel's work.

What may live here: how a wait, a target, an outcome or a trouble is said to a person. Times are told in
the team's zone, and always as a wait too: nobody should have to subtract at night. Strangers' words are made
inert here (no control letters, no bidi overrides, bounded length) and are still to be escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rules.alert import Alert, CaseFacts, Spike, Stage, Storm, StormCase, Trouble
from wire.durations import say_duration
from wire.redact import inert

HEADLINE_LENGTH_MAX = 140
NAME_LENGTH_MAX = 40
VALUE_LENGTH_MAX = 300
QUOTE_LENGTH_MAX = 1200
QUOTE_LINES_MAX = 30
NOTES_MAX = 6
WORST_MAX = 5
WORST_TITLE = "The worst of them"
LINK_LENGTH_MAX = 2000

_MARKS = {
    Stage.WARNING: "⏳",
    Stage.BREACH: "🔴",
    Stage.CLEARED: "✅",
    Stage.CORRECTED: "↩️",
    Stage.MOVED: "✋",
    Stage.ESCALATED: "🚨",
    Stage.STORM: "⛈️",
    Stage.SPIKE: "📈",
    Stage.TROUBLE: "⚠️",
    Stage.TEST: "🧪",
}
_UNKNOWN_MARK = "❓"
_WAITS = (Stage.WARNING, Stage.BREACH, Stage.ESCALATED, Stage.MOVED, Stage.TEST)
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
    `cases` are the worst ones of many, each on a line.
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

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self.headline, ""]
        lines += [f"{label}: {value}" for label, value in self.facts]
        if self.quote is not None:
            lines += ["", "They wrote:", *(f"> {line}".rstrip() for line in self.quote.split("\n"))]
        if self.cases:
            lines += ["", f"{WORST_TITLE}:"]
            lines += [f"- {each.text}" + (f": {each.link}" if each.link else "") for each in self.cases]
        if self.reasons:
            lines += ["", "Why we think that it is a complaint:", *(f"- {reason}" for reason in self.reasons)]
        if self.caveats:
            lines += ["", *(f"Note: {caveat}" for caveat in self.caveats)]
        if self.link is not None:
            lines += ["", f"{self.link_text}: {self.link}"]
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
    """Whether people are to be called, not only told: for a broken promise, an escalation, and once for a
    storm."""
    if alert.storm is not None:
        return alert.stage is Stage.STORM and alert.repeat == 0 and alert.storm.over_at is None
    return alert.stage in (Stage.BREACH, Stage.ESCALATED)


def awaits(alert: Alert) -> bool:
    """Whether it says that a customer waits, so that something can be done about it."""
    return alert.case is not None and alert.stage in _WAITS and alert.case.outcome is None


def story(alert: Alert, zone: ZoneInfo) -> str:
    """A line for the story of a case that moved: "13:04 taken by @ana". Raises ValueError without a case."""
    if alert.case is None:
        raise ValueError(f"alert {alert.key} is about no case")
    return f"{_clock_time(alert.at, zone)} {_moved(alert.case, zone)}"


def render(alert: Alert, zone: ZoneInfo) -> Rendered:
    """Put it into words, with times in that zone. Raises ValueError for an alert about nothing."""
    if alert.case is not None:
        return _render_case(alert, alert.case, zone)
    if alert.storm is not None:
        return _render_storm(alert, alert.storm, zone)
    if alert.spike is not None:
        return _render_spike(alert, alert.spike, zone)
    if alert.trouble is not None:
        return _render_trouble(alert, alert.trouble, zone)
    raise ValueError(f"alert {alert.key} is about nothing")


def _render_case(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> Rendered:
    waits = alert.stage in _WAITS
    unknown = waits and case.unknown_since is not None
    facts = [("Who", _who(case)), ("Where", _where(case))]
    facts += _waiting(alert, case, zone) if waits else _ended(alert, case, zone)
    if case.text is None:
        hidden = "the text is not shown" if case.public else "private message, text not shown"
        facts.append(("They wrote", hidden))
    place = _place(case.connector)
    footer = f"Case {inert(case.case_id, 200)}"
    if waits and case.acknowledged_by is None:
        footer += f" · to take it: response-monitor ack {inert(case.case_id, 200)}"
    act = "look" if unknown else "reply"
    return Rendered(
        mark=_UNKNOWN_MARK if unknown and alert.stage is not Stage.TEST else _MARKS[alert.stage],
        headline=inert(_headline(alert, case, zone), HEADLINE_LENGTH_MAX),
        facts=tuple(facts),
        quote=_quote(case.text),
        reasons=_notes(case.reasons) if case.complaint and waits else (),
        caveats=_notes(case.caveats) if waits else (),
        link=safe_link(case.url),
        link_text=f"Open on {place} and {act}" if waits else f"Open on {place}",
        thread_title=_thread_title(case, unknown=unknown),
        footer=footer,
    )


def _thread_title(case: CaseFacts, *, unknown: bool) -> str:
    """What its mails are about. It claims nothing that may be false by the time the next one comes."""
    who, place, brand = _name(case.customer), _place(case.connector), _name(case.brand)
    if unknown:
        return f"Was {who} answered on {place}? ({brand})"
    if case.clock == RESOLUTION:
        return f"The case of {who} on {place} ({brand})"
    return f"{who} waits for an answer on {place} ({brand})"


def _headline(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> str:
    who, place = _name(case.customer), _place(case.connector)
    wait = _wait(alert, case)
    again = f" (reminder {alert.repeat})" if alert.repeat else ""
    standing = _standing(case, alert.at, zone)
    if alert.stage is Stage.CLEARED:
        return f"{who} on {place}: {case.outcome or 'nobody waits any more'}"
    if alert.stage is Stage.CORRECTED:
        if case.clock == RESOLUTION:
            return f"Correction: {who} on {place}: {case.outcome or 'it was over, which we saw late'}"
        return f"Correction: {who} on {place} had an answer: {case.outcome or 'we saw it late'}"
    if alert.stage is Stage.MOVED:
        return f"{_upper(_moved(case, zone))}: {wait}"
    if case.unknown_since is not None and alert.stage is not Stage.TEST:
        said = f"unknown whether answered (blind since {_clock_time(case.unknown_since, zone)})"
        said = f"{_escalated(alert)}, {said}" if alert.stage is Stage.ESCALATED else said
        return f"{_upper(said)}: {wait}{again}"
    match alert.stage:
        case Stage.WARNING:
            return f"{_upper(standing)}: {wait}"
        case Stage.BREACH if alert.repeat:
            still = "Still not resolved" if case.clock == RESOLUTION else "Still no answer"
            return f"{still}, {standing}: {wait}{again}"
        case Stage.BREACH:
            return f"{_upper(standing)}: {wait}"
        case Stage.ESCALATED:
            return f"{_escalated(alert)}, {standing}: {wait}{again}"
        case _:
            return f"Test: {wait}"


def _moved(case: CaseFacts, zone: ZoneInfo) -> str:
    """What an operator said of a wait that goes on."""
    by = f" by {_name(case.moved_by)}" if case.moved_by else ""
    match case.moved:
        case "ack":
            return f"taken{by}"
        case "assign":
            return f"given to {_name(case.assignee or '')}{by}"
        case "snooze" if case.snoozed_until is not None:
            return f"snoozed until {_clock_time(case.snoozed_until, zone)}{by}"
        case "not_complaint":
            return f"no complaint{f', says {_name(case.moved_by)}' if case.moved_by else ''}"
        case _:
            return "changed"


def _escalated(alert: Alert) -> str:
    step = inert(alert.step or "", NAME_LENGTH_MAX)
    return f"Escalated to {step}" if step else "Escalated"


def _wait(alert: Alert, case: CaseFacts) -> str:
    """Who waits, for what, and how long already. Of what we cannot see nothing is claimed."""
    who, place = _name(case.customer), _place(case.connector)
    waited = say_duration((alert.at - case.waiting_since).total_seconds())
    if case.unknown_since is not None:
        return f"{who} wrote on {place} {waited} ago"
    if case.clock == RESOLUTION:
        return f"{who} on {place}, not resolved for {waited}"
    if case.clock == NEXT_RESPONSE:
        return f"{who} has waited {waited} for the next answer on {place}"
    return f"{who} has waited {waited} on {place}"


def _standing(case: CaseFacts, at: datetime, zone: ZoneInfo) -> str:
    """How the clock stands, in the fewest words."""
    left = (case.due_at - at).total_seconds()
    if left > 0 and left > case.target_seconds and _hours(case):
        # Closed hours lie between: "64 h left" of a target of 30 min would be no help.
        return f"due {case.due_at.astimezone(zone):%a %H:%M}"
    if left > 0:
        return f"{say_duration(left)} left"
    return f"{say_duration(-left)} late" if left <= -60 else "late now"


def _hours(case: CaseFacts) -> str:
    """In which hours the target counts: " in office hours", or nothing where it always does."""
    name = inert(case.calendar or "", NAME_LENGTH_MAX).replace("_", " ").replace("-", " ").strip()
    if not name or name == "always":
        return ""
    return f" in {name}" if name.endswith("hours") else f" in {name} hours"


def _who(case: CaseFacts) -> str:
    count = case.followers
    return _name(case.customer) + ("" if count is None else f" ({_count(count, 'follower')})")


def _where(case: CaseFacts) -> str:
    kind = "public" if case.public else "DM"
    account = inert(case.account, NAME_LENGTH_MAX).lstrip("@")
    return f"{_place(case.connector)}, {kind}, to @{account} ({_name(case.brand)})"


def _waiting(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is to be known while the customer waits, or may wait."""
    since = case.waiting_since
    facts = [(_since_label(case), f"{_when(since, zone)}, {_ago(alert.at, since)}")]
    if alert.stage is Stage.ESCALATED and alert.step:
        facts.insert(0, ("Escalated to", inert(alert.step, NAME_LENGTH_MAX)))
    if case.unknown_since is not None:
        blind = f"we have been blind since {_when(case.unknown_since, zone)}; look at the platform itself"
        facts.append(("Answered?", f"unknown: {blind}"))
    if case.target_seconds > 0:
        facts.append(("Target", _target(alert, case, zone)))
    facts.append(("Priority", inert(case.priority, NAME_LENGTH_MAX)))
    if case.public and case.reach is not None:
        facts.append(("Reach", f"{case.reach:,} (views, or likes and reposts)"))
    if case.messages > 1:
        facts.append(("Messages", f"{case.messages:,} from this customer so far"))
    if case.assignee:
        facts.append(("Assigned to", _name(case.assignee)))
    if case.acknowledged_by:
        facts.append(("Taken by", _name(case.acknowledged_by)))
    if case.snoozed_until is not None and case.snoozed_until > alert.at:
        facts.append(("Alerts", f"hidden until {_when(case.snoozed_until, zone)}"))
    return facts


def _since_label(case: CaseFacts) -> str:
    if case.unknown_since is not None:
        return "Asked"
    return {RESOLUTION: "Open since", NEXT_RESPONSE: "Waiting again since"}.get(case.clock, "Waiting since")


def _target(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> str:
    """The promise, how it stands, and when it is due."""
    promise = say_duration(case.target_seconds) + _hours(case)
    promise += f" ({_name(case.target_name)})" if case.target_name else ""
    ahead = case.due_at > alert.at
    due = f"{'due' if ahead else 'was due'} {_when(case.due_at, zone)}"
    standing = _standing(case, alert.at, zone)
    if case.unknown_since is not None or standing.startswith("due "):
        return f"{promise}, {due}"
    return f"{standing} of {promise}, {due}" if ahead else f"{standing}, target {promise}, {due}"


def _ended(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What is to be known of a wait that is over."""
    outcome = inert(case.outcome or "nobody waits any more", VALUE_LENGTH_MAX)
    facts = [("Opened" if case.clock == RESOLUTION else "Asked", _when(case.waiting_since, zone))]
    if alert.stage is Stage.CORRECTED:
        said = "that nobody had answered; we saw the answer late"
        if case.unknown_since is not None:
            said = "that we did not know whether anybody had answered"
        elif case.clock == RESOLUTION:
            said = "that it was not resolved; we saw late that it was over"
        facts += [("We said", said), ("In truth", outcome)]
    else:
        facts.append(("Outcome", outcome))
    if case.answered_at is not None and case.target_seconds > 0:
        after = (case.answered_at - case.due_at).total_seconds()
        target = say_duration(case.target_seconds) + _hours(case)
        held = "within" if after <= 0 else f"{say_duration(after)} after"
        label = "Resolved" if case.clock == RESOLUTION else "Answered"
        facts.append((label, f"{_when(case.answered_at, zone)}, {held} the target of {target}"))
    return facts


def _render_storm(alert: Alert, storm: Storm, zone: ZoneInfo) -> Rendered:
    brand = _name(storm.brand)
    over = storm.over_at is not None
    begun = f"{_when(storm.since, zone)}, {_ago(alert.at, storm.since)}"
    facts = [("Since", begun)]
    if storm.over_at is not None:
        lasted = say_duration((storm.over_at - storm.since).total_seconds())
        facts = [("Lasted", f"{lasted}, from {_when(storm.since, zone)} to {_when(storm.over_at, zone)}")]
    ended = max(0, storm.reached - storm.waiting - storm.answered)
    counts = [f"{storm.waiting:,} still {_wait_verb(storm.waiting)}", f"{storm.answered:,} answered"]
    counts += [f"{ended:,} ended otherwise"] if ended else []
    facts.append(("Cases", f"{storm.reached:,} in all: {', '.join(counts)}"))
    if storm.connectors:
        places = [_place(connector) for connector in storm.connectors[:NOTES_MAX]]
        facts.append(("Where", ", ".join(places)))
    if storm.words:
        words = [f'"{inert(word, NAME_LENGTH_MAX)}" in {count:,}' for word, count in storm.words[:NOTES_MAX]]
        facts.append(("Common words", ", ".join(words)))
    queue = inert(storm.queue_command, VALUE_LENGTH_MAX)
    if not over and storm.held_since is not None:
        facts.append(("Why", "nothing could be said here for a while: this stands for the single alerts"))
    elif not over:
        facts.append(("Meanwhile", "this stands for the single alerts"))
    name, ended_name = f"Storm at {brand}", f"The storm at {brand} is over"
    if storm.held_since is not None:
        name, ended_name = f"Held up at {brand}", f"What was held up at {brand} is over"
    headline = f"{name}: {_count(storm.waiting, 'case')} waiting too long, {storm.answered:,} answered"
    if over:
        left = f"{storm.waiting:,} still {_wait_verb(storm.waiting)}" if storm.waiting else "nobody waits"
        headline = f"{ended_name}: {_count(storm.reached, 'case')}"
        headline += f", {storm.answered:,} answered, {left}"
    return Rendered(
        mark=_MARKS[Stage.CLEARED if over else Stage.STORM],
        headline=inert(headline, HEADLINE_LENGTH_MAX),
        facts=tuple(facts),
        quote=None,
        reasons=(),
        caveats=_notes(storm.caveats),
        link=None,
        link_text="",
        thread_title=f"{name}, {_when(storm.since, zone)}",
        footer=f"All that wait: {queue}",
        cases=tuple(_line(case, alert.at) for case in storm.worst[:WORST_MAX]),
    )


def _wait_verb(count: int) -> str:
    return "waits" if count == 1 else "wait"


def _line(case: StormCase, at: datetime) -> Line:
    """One of the worst cases of a storm, on one line."""
    place = _place(case.connector)
    waited = say_duration((at - case.waiting_since).total_seconds())
    said = f"{_name(case.customer)} on {place}, {inert(case.priority, NAME_LENGTH_MAX)}, has waited {waited}"
    if case.due_at is not None:
        late = (at - case.due_at).total_seconds()
        said += f", {say_duration(late)} late" if late >= 0 else f", {say_duration(-late)} left"
    return Line(f"{said} ({inert(case.case_id, 200)})", safe_link(case.url), f"Open on {place}")


def _render_spike(alert: Alert, spike: Spike, zone: ZoneInfo) -> Rendered:
    brand, window = _name(spike.brand), say_duration(spike.window_seconds)
    usual = "none" if spike.usual == 0 else f"{round(spike.usual, 1):,g}"
    complaints = _count(spike.count, "complaint")
    return Rendered(
        mark=_MARKS[alert.stage],
        headline=inert(f"{complaints} in {window} at {brand}, usually {usual}", HEADLINE_LENGTH_MAX),
        facts=(
            ("Since", f"{_when(spike.since, zone)}, {_ago(alert.at, spike.since)}"),
            ("Usually", f"{usual} in {window} at this hour of past weeks (median)"),
            ("What to do", "look at what they have in common, before they have waited too long"),
        ),
        quote=None,
        reasons=(),
        caveats=(),
        link=None,
        link_text="",
        thread_title=f"More complaints than usual at {brand}, {_when(spike.since, zone)}",
        footer="All that wait: response-monitor queue",
    )


def _render_trouble(alert: Alert, trouble: Trouble, zone: ZoneInfo) -> Rendered:
    title = inert(trouble.title, HEADLINE_LENGTH_MAX)
    headline = title
    if trouble.waiting and alert.stage is Stage.TROUBLE:
        were = "was" if trouble.waiting == 1 else "were"
        waited = f"; {_count(trouble.waiting, 'case')} {were} waiting"
        headline = inert(trouble.title, HEADLINE_LENGTH_MAX - len(waited)) + waited
    facts = []
    if alert.stage is not Stage.TEST:
        facts.append(("Since", f"{_when(trouble.since, zone)}, {_ago(alert.at, trouble.since)}"))
    if trouble.detail:
        facts.append(("What", inert(trouble.detail, 1000)))
    if trouble.waiting:
        facts.append(("Waiting there", _count(trouble.waiting, "case")))
    if trouble.what_to_do:
        facts.append(("What to do", inert(trouble.what_to_do, 1000)))
    return Rendered(
        mark=_MARKS[alert.stage],
        headline=headline,
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


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ago(at: datetime, since: datetime) -> str:
    return f"{say_duration((at - since).total_seconds())} ago"


def _clock_time(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%H:%M}"


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


def safe_link(url: str | None) -> str | None:
    """A link that is safe to press: of the web, printable, and without spaces or quotes."""
    if url is None or len(url) > LINK_LENGTH_MAX or not url.lower().startswith(("https://", "http://")):
        return None
    safe = url.isascii() and url.isprintable() and not any(letter in " <>\"'`\\|{}^" for letter in url)
    return url if safe else None
