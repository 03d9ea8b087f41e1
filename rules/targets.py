"""Targets: the promises that clocks are held to, which case has which, and when it falls due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.hours import Calendar
from rules.match import Match, Traits
from rules.meaning.contract import Priority

PRIORITY_ORDER = {p: rank for rank, p in enumerate(Priority)}
GAP_SECONDS_DEFAULT = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Target(Match):
    """A promise ("15 minutes") and the cases it is for, by the keys of `Match`.

    Three clocks can be promised: the first response, each next response, and the resolution; None: that one
    is promised nothing, and where all are None, neither is anything else. `calendar` names the opening hours
    in which they count (None: always). `pauses`: while the customer is waited for, the resolution's clock
    stands still. `warnings` are shares of a promise, ascending. A breach is said again every
    `repeat_seconds`, `repeat_max` times at most. `gap_seconds` of mutual silence, with nobody waiting, end
    a case. `needs_reply_only`: cases that need no reply are not held to it.
    """

    name: str
    first_response_seconds: float | None
    next_response_seconds: float | None = None
    resolution_seconds: float | None = None
    calendar: str | None = None
    pauses: bool = True
    warnings: tuple[float, ...] = (0.5, 0.8)
    repeat_seconds: float | None = None
    repeat_max: int = 0
    gap_seconds: float = GAP_SECONDS_DEFAULT
    needs_reply_only: bool = True

    @property
    def promises(self) -> bool:
        """Whether anything is promised at all."""
        return (
            self.first_response_seconds is not None
            or self.next_response_seconds is not None
            or self.resolution_seconds is not None
        )

    def mismatch(self, traits: Traits) -> str | None:
        """Why it is not for such a case, in words for `explain`; None where it is."""
        why = Match.mismatch(self, traits)
        if why is None and self.needs_reply_only and not traits.needs_reply:
            return "no message needs a reply"
        return why


@dataclass(frozen=True, slots=True)
class Choice:
    """Which target a case has (None: no promise), and why: one line for each target looked at."""

    target: Target | None
    reasons: tuple[str, ...]


def choose(targets: Sequence[Target], traits: Traits) -> Target | None:
    """The first target, top to bottom, that is for such a case; None where none is or it promises nothing."""
    for target in targets:
        if target.mismatch(traits) is None:
            return target if target.promises else None
    return None


def explain(targets: Sequence[Target], traits: Traits) -> Choice:
    """Like `choose`, with the reasons."""
    reasons: list[str] = []
    for target in targets:
        mismatch = target.mismatch(traits)
        if mismatch is not None:
            reasons.append(f"{target.name}: no, {mismatch}")
            continue
        if not target.promises:
            return Choice(None, (*reasons, f"{target.name}: yes, and it promises nothing"))
        return Choice(target, (*reasons, f"{target.name}: yes"))
    return Choice(None, (*reasons, "no target is for such a case"))


@dataclass(frozen=True, slots=True)
class DueTimes:
    """When people are told: `warnings` are (share, time), ascending."""

    due_at: datetime
    warnings: tuple[tuple[float, datetime], ...]


def due_times(
    seconds: float,
    warnings: Sequence[float],
    started_at: datetime,
    held_since: datetime,
    calendar: Calendar | None = None,
) -> DueTimes:
    """When a clock that started then and is promised so many `seconds` (of the calendar's open time) is due.

    `held_since` is when the case came under this target: at its start, or at a later message that made
    it tighter. A target that comes late never breaches before then plus one warning interval (the time
    from the first warning to the breach), so that people have had their warning.
    """
    due_at = add_time(calendar, started_at, seconds)
    if held_since > started_at:
        first = warnings[0] if warnings else 1.0
        late = add_time(calendar, held_since, seconds * (1.0 - first))
        if late > due_at:
            due_at, seconds = late, open_seconds(calendar, started_at, late)
    return DueTimes(
        due_at, tuple((share, add_time(calendar, started_at, seconds * share)) for share in warnings)
    )


def add_time(calendar: Calendar | None, start: datetime, seconds: float) -> datetime:
    """When so much open time has passed since then. No calendar: always open."""
    return start + timedelta(seconds=seconds) if calendar is None else calendar.add(start, seconds)


def open_seconds(calendar: Calendar | None, start: datetime, end: datetime) -> float:
    """The open time between."""
    if calendar is None:
        return max(0.0, (end - start).total_seconds())
    return calendar.open_seconds(start, end)
