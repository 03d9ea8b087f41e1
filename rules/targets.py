"""Targets: the promises that clocks are held to, which case has which, and when it falls due.

Calendars are not here yet: every target counts around the clock. When they come (`hours.py`), only
`due_times` changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.meaning.contract import Priority
from rules.message import Kind

PRIORITY_ORDER = {p: rank for rank, p in enumerate(Priority)}
GAP_SECONDS_DEFAULT = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What a case is, as far as its messages up to some point tell: what targets are matched on."""

    brand: str
    connector: str
    account: str
    public: bool
    kind: Kind
    complaint: bool
    addressed: bool
    needs_reply: bool
    priority: Priority
    followers: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """A promise ("15 minutes") and the cases it is for. A match key that is None matches everything.

    `needs_reply_only`: cases that need no reply are not held to it. `first_response_seconds` None: the
    cases that it matches are promised nothing. `warnings` are shares of the target, ascending.
    A breach is said again every `repeat_seconds`, `repeat_max` times at most. `gap_seconds` of mutual
    silence, with nobody waiting, end a case.
    """

    name: str
    first_response_seconds: float | None
    warnings: tuple[float, ...] = (0.5, 0.8)
    repeat_seconds: float | None = None
    repeat_max: int = 0
    gap_seconds: float = GAP_SECONDS_DEFAULT
    needs_reply_only: bool = True
    brand: str | None = None
    connector: str | None = None
    account: str | None = None
    public: bool | None = None
    kind: Kind | None = None
    complaint: bool | None = None
    addressed: bool | None = None
    priorities: frozenset[Priority] | None = None
    min_followers: int | None = None

    def mismatch(self, traits: Traits) -> str | None:
        """Why it is not for such a case, in words for `case` and `explain`; None where it is."""
        for key in ("brand", "connector", "account", "public", "kind", "complaint", "addressed"):
            wanted = getattr(self, key)
            if wanted is not None and wanted != getattr(traits, key):
                return f"{key} is {getattr(traits, key)}, not {wanted}"
        if self.priorities is not None and traits.priority not in self.priorities:
            return f"priority is {traits.priority}, not {' or '.join(sorted(self.priorities))}"
        if self.min_followers is not None and (traits.followers or 0) < self.min_followers:
            return f"{traits.followers or 0} followers, fewer than {self.min_followers}"
        if self.needs_reply_only and not traits.needs_reply:
            return "no message needs a reply"
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which target a case has (None: no promise), and why: one line for each target looked at."""

    target: Target | None
    reasons: tuple[str, ...]


def choose(targets: Sequence[Target], traits: Traits) -> Target | None:
    """The first target, top to bottom, that is for such a case; None where none is or it promises nothing."""
    for target in targets:
        if target.mismatch(traits) is None:
            return target if target.first_response_seconds is not None else None
    return None


def explain(targets: Sequence[Target], traits: Traits) -> Choice:
    """Like `choose`, with the reasons."""
    reasons: list[str] = []
    for target in targets:
        mismatch = target.mismatch(traits)
        if mismatch is not None:
            reasons.append(f"{target.name}: no, {mismatch}")
            continue
        if target.first_response_seconds is None:
            return Choice(None, (*reasons, f"{target.name}: yes, and it promises nothing"))
        return Choice(target, (*reasons, f"{target.name}: yes"))
    return Choice(None, (*reasons, "no target is for such a case"))


@dataclass(frozen=True, slots=True)
class DueTimes:
    """When people are told: `warnings` are (share, time), ascending."""

    due_at: datetime
    warnings: tuple[tuple[float, datetime], ...]


def due_times(target: Target, started_at: datetime, held_since: datetime) -> DueTimes:
    """When a clock that started then is due.

    `held_since` is when the case came under this target: at its start, or at a later message that made
    it tighter. A target that comes late never breaches before then plus one warning interval (the time
    from the first warning to the breach), so that people have had their warning.
    """
    seconds = target.first_response_seconds
    if seconds is None:
        raise ValueError(f"target {target.name} promises nothing, so nothing is due")
    due_at = started_at + timedelta(seconds=seconds)
    if held_since > started_at:
        first = target.warnings[0] if target.warnings else 1.0
        due_at = max(due_at, held_since + timedelta(seconds=seconds * (1.0 - first)))
    span = due_at - started_at
    return DueTimes(due_at, tuple((share, started_at + span * share) for share in target.warnings))
