"""What the brands of the simulated world promise their customers, and when their people are there.

What may live here: the promises as numbers, and opening hours counted minute by minute, slowly and plainly.
They are what the truth is told by, so they share nothing with the code that they check.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTES_MAX = 60 * 24 * 400
MINUTE = timedelta(minutes=1)
DAY_OPENS, DAY_CLOSES = 8 * 60, 18 * 60
BREAK_AFTER = timedelta(minutes=20)
BREAK_LENGTH = timedelta(minutes=10)
WARNINGS = (0.5, 0.8)


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """When an office is open, the same every day. `spans` are (opens, closes) in minutes of its local day;
    its clocks are `offset` ahead of UTC the whole year."""

    zone: str
    offset: timedelta
    spans: tuple[tuple[int, int], ...]

    def is_open(self, at: datetime) -> bool:
        """Whether somebody is there."""
        local = at + self.offset
        minute = local.hour * 60 + local.minute
        return any(opens <= minute < closes for opens, closes in self.spans)

    def after(self, start: datetime, seconds: float) -> datetime:
        """When so many seconds of open time have passed since then. Raises ValueError where that is more
        than a year away."""
        at, left = start, timedelta(seconds=seconds)
        for _ in range(MINUTES_MAX):
            next_minute = at.replace(second=0, microsecond=0) + MINUTE
            if self.is_open(at):
                if left <= next_minute - at:
                    return at + left
                left -= next_minute - at
            at = next_minute
        raise ValueError(f"{seconds:g} s of open time do not pass within a year")


def office_hours_around(start: datetime) -> OfficeHours:
    """An office in Lagos (an hour ahead of UTC, summer and winter) whose people leave for a break in the
    middle of the hour after `start`, and come back in it."""
    offset = timedelta(hours=1)
    leave, back = (start + BREAK_AFTER + offset, start + BREAK_AFTER + BREAK_LENGTH + offset)
    spans: tuple[tuple[int, int], ...] = (
        (DAY_OPENS, _minute_of(leave)),
        (_minute_of(back), DAY_CLOSES),
    )
    if not DAY_OPENS < spans[0][1] < spans[1][0] < DAY_CLOSES:
        spans = ((DAY_OPENS, DAY_CLOSES),)  # whoever starts at night has no break
    return OfficeHours("Africa/Lagos", offset, spans)


def _minute_of(local: datetime) -> int:
    return local.hour * 60 + local.minute


@dataclass(frozen=True, slots=True)
class Promise:
    """What one kind of customer is promised, in seconds: a first response, and a next one each time that
    they ask again. `hours`: when those count; None: around the clock."""

    name: str
    first: float
    again: float
    hours: OfficeHours | None = None
    reminder: float | None = None

    def after(self, start: datetime, seconds: float) -> datetime:
        """When so many seconds that count have passed since then."""
        if self.hours is None:
            return start + timedelta(seconds=seconds)
        return self.hours.after(start, seconds)

    def counts(self, at: datetime, slack: timedelta) -> bool:
        """Whether it counts then, or did so shortly before: nobody is to be told of it at other times."""
        return self.hours is None or self.hours.is_open(at) or self.hours.is_open(at - slack)


@dataclass(frozen=True, slots=True)
class Promises:
    """All promises of the demo's brands. `forum`: what is public on Reddit, which the office answers;
    `outage`: the other brand. `escalation`: so long after a broken promise the care lead is told."""

    public: Promise
    dm: Promise
    forum: Promise
    outage: Promise
    escalation: float = 300.0


def make_promises(start: datetime) -> Promises:
    """Those of a day on which people write from `start` on."""
    return Promises(
        public=Promise("public", 900.0, 600.0, reminder=900.0),
        dm=Promise("dm", 1200.0, 720.0),
        forum=Promise("forum", 600.0, 600.0, office_hours_around(start)),
        outage=Promise("outage", 720.0, 600.0),
    )
