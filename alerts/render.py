"""An alert's facts put into words, the same for every channel. Pure; escaping is each channel's work.

Times are told in the team's zone, and always as a wait too: nobody should have to subtract at night.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from rules.alert import Alert, CaseFacts, Stage, Trouble
from wire.durations import say_duration

QUOTE_LENGTH_MAX = 1200
HIDDEN = "(a private message; its text is not shown here)"
_PLATFORMS = {"x": "X", "reddit": "Reddit"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What an alert says. `headline` is one line and says the most important thing; `facts` are (label,
    value) lines; `quote` is the customer's own words (None: none, or not to be shown); `link` is where to
    act. `thread_title` is the same for all alerts of one subject, so that mail programs thread them. All of
    it may hold strangers' text: escape it."""

    headline: str
    facts: tuple[tuple[str, str], ...]
    quote: str | None
    reasons: tuple[str, ...]
    caveats: tuple[str, ...]
    link: str | None
    thread_title: str
    footer: str

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self.headline, ""]
        lines += [f"{label}: {value}" for label, value in self.facts]
        if self.quote is not None:
            lines += ["", *(f"> {line}" for line in self.quote.splitlines() or [""])]
        if self.reasons:
            lines += ["", "Why: " + "; ".join(self.reasons)]
        lines += [f"Note: {caveat}" for caveat in self.caveats]
        if self.link is not None:
            lines += ["", self.link]
        return "\n".join([*lines, "", self.footer])


def render(alert: Alert, zone: ZoneInfo) -> Rendered:
    """Put it into words. Raises ValueError for an alert about nothing."""
    if alert.case is not None:
        return _render_case(alert, alert.case, zone)
    if alert.trouble is not None:
        return _render_trouble(alert, alert.trouble, zone)
    raise ValueError(f"alert {alert.key} is about nothing")


def _render_case(alert: Alert, case: CaseFacts, zone: ZoneInfo) -> Rendered:
    place = _PLATFORMS.get(case.connector, case.connector)
    where = f"{place}, {'public' if case.public else 'private message'}, to @{case.account}"
    done = case.outcome is not None
    facts = [("Where", where)]
    facts.append(("Waiting since" if not done else "Asked at", _when(case.waiting_since, zone)))
    if not done:
        facts.append(("Target", f"{say_duration(case.target_seconds)} ({case.target_name})"))
        facts.append(("Due", f"{_when(case.due_at, zone)}, {_against(case.due_at, alert.at)}"))
    if case.followers is not None or case.reach:
        seen = [f"{case.followers:,} followers"] if case.followers is not None else []
        facts.append(
            ("May be seen by", ", ".join([*seen, *([f"{case.reach:,} views"] if case.reach else [])]))
        )
    if case.messages > 1:
        facts.append(("Messages", f"{case.messages} from this customer"))
    if not done:
        facts.append(("Priority", case.priority))
    for label, value in (("Assigned to", case.assignee), ("Taken by", case.acknowledged_by)):
        if value:
            facts.append((label, value))
    if done:
        facts.append(("Outcome", case.outcome or ""))
    return Rendered(
        headline=_headline(alert, case),
        facts=tuple(facts),
        quote=_quote(case) if not done else None,
        reasons=case.reasons if case.complaint and not done else (),
        caveats=case.caveats if not done else (),
        link=case.url,
        thread_title=f"{case.customer} on {place} ({case.brand})",
        footer=f"case {case.case_id}",
    )


def _headline(alert: Alert, case: CaseFacts) -> str:
    who = case.customer
    waited = say_duration((alert.at - case.waiting_since).total_seconds())
    what = "complaint" if case.complaint else "message"
    match alert.stage:
        case Stage.WARNING:
            return f"{who}'s {what} waits for {waited}: {_against(case.due_at, alert.at)}"
        case Stage.BREACH:
            again = " (still)" if alert.repeat else ""
            return f"No answer for {who}{again}: {_against(case.due_at, alert.at)}"
        case Stage.CLEARED:
            return f"{who}: {case.outcome or 'no longer waiting'}"
        case Stage.CORRECTED:
            return f"Correction, {who} was answered in time: {case.outcome or 'we saw it late'}"
        case _:
            return f"{who} on {case.connector}"


def _quote(case: CaseFacts) -> str:
    if case.text is None:
        return HIDDEN
    text = case.text.strip()
    return text if len(text) <= QUOTE_LENGTH_MAX else text[: QUOTE_LENGTH_MAX - 1] + "…"


def _against(due_at: datetime, now: datetime) -> str:
    left = (due_at - now).total_seconds()
    return f"{say_duration(left)} left" if left > 0 else f"{say_duration(-left)} past the target"


def _when(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %H:%M %Z}"


def _render_trouble(alert: Alert, trouble: Trouble, zone: ZoneInfo) -> Rendered:
    facts = [("Since", _when(trouble.since, zone)), ("What", trouble.detail)]
    if trouble.waiting:
        facts.append(("Waiting there", f"{trouble.waiting} customers"))
    if trouble.what_to_do:
        facts.append(("What to do", trouble.what_to_do))
    return Rendered(
        headline=trouble.title,
        facts=tuple(facts),
        quote=None,
        reasons=(),
        caveats=(),
        link=None,
        thread_title=trouble.title if alert.stage is not Stage.CLEARED else alert.subject,
        footer=f"response-monitor, {alert.subject}",
    )
