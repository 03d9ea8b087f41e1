"""Stories of one customer, held to targets or to a history of them: short ways to fold them."""

from __future__ import annotations

from collections.abc import Sequence

from rules.case import Action, Case, Part
from rules.fold import fold
from rules.hours import Calendar, Opening
from rules.policies import FoldPolicy, Policies
from rules.targets import Target
from tests.rules.build import PLACE, at, verdict

HOUR = 60.0
DAY = 24 * HOUR
CALM = verdict(complaint=False)
THANKS = verdict(complaint=False, needs_reply=False)
OFFICE = Calendar("office", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(7)))
"""Nine to five, every day; `at(0)` is noon."""
NINE = 21 * HOUR
"""The minute at which it opens the next day."""

REST = Target("rest", 900.0, needs_reply_only=False)


def cases(
    targets: Sequence[Target] | Policies, *told: Part | Action, calendars: dict[str, Calendar] | None = None
) -> tuple[Case, ...]:
    """The cases of what was written and said."""
    if not isinstance(targets, Policies):
        targets = Policies.of(FoldPolicy(tuple(targets), calendars=calendars or {"office": OFFICE}))
    parts = [p for p in told if isinstance(p, Part)]
    return fold(PLACE, parts, [a for a in told if isinstance(a, Action)], targets)


def one(targets: Sequence[Target] | Policies, *told: Part | Action) -> Case:
    (case,) = cases(targets, *told)
    return case


def since(*changes: tuple[float, FoldPolicy]) -> Policies:
    """Policies with the minutes from which they hold."""
    return Policies(tuple(at(minute) for minute, _ in changes), tuple(policy for _, policy in changes))
