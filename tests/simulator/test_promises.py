"""Opening hours in the simulated world, counted minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from simulator.promises import OfficeHours, Promise, make_promises, office_hours_around

HOURS = OfficeHours("Africa/Lagos", timedelta(hours=1), ((8 * 60, 10 * 60 + 30), (10 * 60 + 50, 18 * 60)))


def at(hour: int, minute: int, second: int = 0, day: int = 5) -> datetime:
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


def test_a_promise_stands_still_while_nobody_is_there() -> None:
    """Ten minutes from 10:25:30 local, with a break from 10:30 to 10:50, end at 10:55:30."""
    assert HOURS.after(at(9, 25, 30), 600) == at(9, 55, 30)


def test_a_night_is_jumped_over() -> None:
    """Ten minutes from five to six in the evening end at five past eight in the morning."""
    assert HOURS.after(at(16, 55), 600) == at(7, 5, day=6)


def test_who_writes_while_nobody_is_there_waits_from_the_opening_on() -> None:
    """The wait begins to count when the office opens."""
    assert HOURS.after(at(9, 40, 17), 60) == at(9, 51)


def test_a_promise_that_ends_as_the_office_closes_is_due_then() -> None:
    """And not only when it opens again."""
    assert HOURS.after(at(9, 20), 600) == at(9, 30)


def test_around_the_clock_nothing_stands_still() -> None:
    """A promise without hours is counted by the clock on the wall."""
    assert Promise("dm", 60.0, 60.0).after(at(2, 0), 600) == at(2, 10)


def test_an_office_that_never_opens_is_an_error() -> None:
    """It would be waited for for ever."""
    with pytest.raises(ValueError, match="do not pass"):
        OfficeHours("UTC", timedelta(), ()).after(at(9, 0), 1)


@pytest.mark.parametrize("hour", [9, 10, 13, 23])
def test_the_office_is_open_and_closed_in_the_hour_after_the_start(hour: int) -> None:
    """The demo shows both, whenever it pretends to begin by day; by night it is just closed."""
    start = at(hour, 5)
    hours = office_hours_around(start)
    states = [hours.is_open(start + timedelta(minutes=n)) for n in range(60)]
    changes = sum(one != other for one, other in pairwise(states))
    assert changes == (0 if hour == 23 else 2)
    assert make_promises(start).forum.hours == hours
