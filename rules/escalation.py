"""Escalation: who else is told, and when, if a stage passes and nothing happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.alert import Stage
from rules.case import Case, Clock, ClockName
from rules.hours import Calendar
from rules.meaning.contract import Priority
from rules.targets import PRIORITY_ORDER, add_time


@dataclass(frozen=True, slots=True)
class Step:
    """One step: so long after a stage was reached, these channels are told.

    `after` is WARNING (the last warning before the breach) or BREACH. `repeat_seconds` None: it is said once;
    else again at that interval, `limit` times in all. A match key that is None matches everything. All of
    these times are counted in the calendar of the clock's target: a promise in business hours escalates in
    business hours.
    """

    name: str
    channels: frozenset[str]
    after: Stage = Stage.BREACH
    delay_seconds: float = 0.0
    repeat_seconds: float | None = None
    limit: int = 1
    brands: frozenset[str] | None = None
    targets: frozenset[str] | None = None
    clocks: frozenset[ClockName] | None = None
    min_priority: Priority = Priority.LOW

    def is_for(self, case: Case, clock: Clock) -> bool:
        """Whether this clock of this case is escalated so."""
        return (
            (self.brands is None or case.place.brand in self.brands)
            and (self.targets is None or clock.target in self.targets)
            and (self.clocks is None or clock.name in self.clocks)
            and PRIORITY_ORDER[case.priority] >= PRIORITY_ORDER[self.min_priority]
        )

    def moments(self, clock: Clock, calendar: Calendar | None) -> Iterator[datetime]:
        """When it is to be said, ascending; none where its stage never comes."""
        start = clock.due_at
        if self.after is Stage.WARNING:
            start = clock.warnings[-1][1] if clock.warnings else None
        if start is None:
            return
        for n in range(self.limit if self.repeat_seconds else 1):
            yield add_time(calendar, start, self.delay_seconds + n * (self.repeat_seconds or 0.0))


def find_step(steps: Sequence[Step], name: str | None) -> Step | None:
    """The step with that name; None where the config has it no more."""
    return next((s for s in steps if s.name == name), None)
