"""What the fold goes by: the policies, with the times from which they hold."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rules.hours import Calendar
from rules.targets import GAP_SECONDS_DEFAULT, Target


@dataclass(frozen=True, slots=True)
class FoldPolicy:
    """What the fold needs of the policy. `quick_seconds`: a reply faster than that is automatic.
    `backlog_seconds`: how old a case from before the first run may be to be alerted on all the same;
    None: as old as its target. `calendars`: the opening hours that targets name."""

    targets: tuple[Target, ...]
    quick_seconds: float = 5.0
    backlog_seconds: float | None = None
    calendars: Mapping[str, Calendar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies with the time from which each holds, ascending, never empty; before the first, the first
    holds. A wait that ended keeps the policy of its end; one that runs takes the latest, and the calendar
    of the day on which its case began."""

    held_from: tuple[datetime, ...]
    policies: tuple[FoldPolicy, ...]
    shortest_gap: timedelta = field(init=False, compare=False)  # no silence shorter than this ends a case

    def __post_init__(self) -> None:
        gaps = [target.gap_seconds for policy in self.policies for target in policy.targets]
        shortest = timedelta(seconds=min([GAP_SECONDS_DEFAULT, *gaps]))
        object.__setattr__(self, "shortest_gap", shortest)

    @classmethod
    def of(cls, policy: FoldPolicy) -> Policies:
        """One that always held."""
        return cls((), (policy,))

    @property
    def latest(self) -> FoldPolicy:
        return self.policies[-1]

    def at(self, when: datetime | None) -> FoldPolicy:
        """The one in force then; None is now, whenever that is."""
        if when is None or len(self.policies) == 1:
            return self.policies[-1]
        return self.policies[max(0, bisect_right(self.held_from, when) - 1)]

    def changes(
        self, start: datetime, stop: datetime | None
    ) -> Iterator[tuple[datetime, FoldPolicy, FoldPolicy]]:
        """What changed after `start` and up to `stop` (None: now), as (when, before, after)."""
        for n in range(max(1, bisect_right(self.held_from, start)), len(self.policies)):
            if stop is None or self.held_from[n] <= stop:
                yield self.held_from[n], self.policies[n - 1], self.policies[n]

    def calendar(self, name: str | None, case_opened_at: datetime) -> Calendar | None:
        """The calendar that a case keeps: as it was when the case began, or, where it did not exist yet, as
        it first was after that. None: always open."""
        if name is None:
            return None
        start = max(0, bisect_right(self.held_from, case_opened_at) - 1)
        return next(
            (p.calendars[name] for p in self.policies[start:] if name in p.calendars),
            next((p.calendars[name] for p in reversed(self.policies[:start]) if name in p.calendars), None),
        )
