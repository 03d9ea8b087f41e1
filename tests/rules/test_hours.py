"""Time counted in opening hours: never a minute more or less than a person with a clock would count."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.hours import Calendar, Opening, calendar_from_mapping, calendar_to_mapping

CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/New_York": ("2026-03-08T07:00Z", "2026-11-01T06:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00Z", "2026-10-03T15:30Z"),
    "America/St_Johns": ("2010-03-14T03:31Z", "2010-11-07T02:31Z"),
    "Africa/Casablanca": ("2026-02-15T02:00Z", "2026-03-22T02:00Z"),
    "Pacific/Auckland": ("2026-04-04T14:00Z", "2026-09-26T14:00Z"),
    "America/Santiago": ("2026-04-05T03:00Z", "2026-09-06T04:00Z"),
    "America/Havana": ("2026-03-08T05:00Z", "2026-11-01T05:00Z"),
    "Pacific/Apia": ("2011-12-30T10:00Z",),
    "Asia/Kolkata": ("2026-03-29T01:00Z",),
}
"""When each zone's clock changes, in UTC: whole and half hours, at night and at midnight, both ways, a whole
day left out, and never."""


def office(zone: str = "Europe/Berlin", **more: Any) -> Calendar:
    """Monday to Friday, nine to five."""
    openings = tuple(Opening(day, 9 * 60, 17 * 60) for day in range(5))
    return Calendar(**{"name": "office", "zone": zone, "openings": openings, **more})


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


def nights(*weekdays: int, **more: Any) -> Calendar:
    """22:00 to 06:00 from those evenings."""
    return office(openings=tuple(Opening(day, 22 * 60, 30 * 60) for day in weekdays), **more)


def whole_week(zone: str) -> Calendar:
    return office(zone, openings=tuple(Opening(day, 0, 1440) for day in range(7)))


# Golden cases


def test_a_target_goes_on_after_the_weekend() -> None:
    """Written on Friday at 16:45, promised in 30 minutes at 9-17: due on Monday at 09:15 (Hootsuite)."""
    due = office().add(berlin("2026-11-20T16:45"), 1800)
    assert due == berlin("2026-11-23T09:15")
    assert due.tzinfo is UTC


def test_a_holiday_in_between_moves_it_by_that_day() -> None:
    """Nobody is late on a day on which nobody works."""
    holiday = office(closed=frozenset({date(2026, 11, 23)}))
    assert holiday.add(berlin("2026-11-20T16:45"), 1800) == berlin("2026-11-24T09:15")


def test_the_lunch_break_does_not_count() -> None:
    """A split shift, given in any order: ten minutes before lunch and five after it are fifteen."""
    spans = [Opening(0, 13 * 60 + 30, 18 * 60), Opening(0, 9 * 60, 12 * 60 + 30)]
    split = office(openings=tuple(spans))
    assert split.add(berlin("2026-11-23T12:20"), 900) == berlin("2026-11-23T13:35")
    assert split.openings_between(berlin("2026-11-23T00:00"), berlin("2026-11-24T00:00")) == [
        (berlin("2026-11-23T09:00"), berlin("2026-11-23T12:30")),
        (berlin("2026-11-23T13:30"), berlin("2026-11-23T18:00")),
    ]


def test_a_night_shift_runs_past_midnight() -> None:
    """What comes at 23:50 and is promised in 30 minutes is due at 00:20."""
    assert nights(0).add(berlin("2026-11-23T23:50"), 1800) == berlin("2026-11-24T00:20")
    assert nights(0).is_open(berlin("2026-11-24T05:59"))
    assert not nights(0).is_open(berlin("2026-11-24T06:00"))
    assert not nights(0).is_open(berlin("2026-11-24T22:30"))


def test_the_shift_of_saturday_night_goes_on_into_a_holiday() -> None:
    """A holiday closes what begins on it: its own night shift, not the one of the evening before."""
    calendar = nights(5, 6, closed=frozenset({date(2026, 3, 22)}))  # That Sunday.
    assert calendar.is_open(berlin("2026-03-22T05:00"))
    assert not calendar.is_open(berlin("2026-03-22T23:00"))
    assert not calendar.is_open(berlin("2026-03-23T05:00"))
    assert calendar.next_open(berlin("2026-03-22T06:00")) == berlin("2026-03-28T22:00")


@pytest.mark.parametrize(("evening", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-20", 8)])
def test_a_night_in_which_the_clock_changes_has_its_real_length(evening: str, hours: int) -> None:
    """22:00-06:00 lasts 7 hours in spring and 9 in autumn: people wait in real time."""
    start = berlin(f"{evening}T12:00")
    shift = nights(5)
    assert shift.open_seconds(start, start + timedelta(days=1)) == hours * 3600
    assert shift.add(start, hours * 3600).astimezone(ZoneInfo("Europe/Berlin")).hour == 6


def test_hours_that_the_clock_jumps_over_begin_at_the_jump() -> None:
    """02:30 does not exist that night; the shift begins when the clock jumps past it."""
    early = office(openings=(Opening(6, 2 * 60 + 30, 4 * 60),))
    jump = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert early.openings_between(jump - timedelta(days=1), jump + timedelta(days=1)) == [
        (jump, berlin("2026-03-29T04:00"))
    ]
    inside = office(openings=(Opening(6, 2 * 60 + 10, 2 * 60 + 50),))
    assert inside.open_seconds(jump - timedelta(days=1), jump + timedelta(days=1)) == 0


def test_hours_that_come_twice_count_from_the_first_to_the_first() -> None:
    """02:30 comes twice that night; who begins then begins once, and who leaves then has left."""
    begins = office(openings=(Opening(6, 2 * 60 + 30, 4 * 60),))
    leaves = office(openings=(Opening(6, 60, 2 * 60 + 30),))
    day = berlin("2026-10-25T00:00"), berlin("2026-10-26T00:00")
    assert begins.open_seconds(*day) == 2.5 * 3600
    assert leaves.open_seconds(*day) == 1.5 * 3600


def test_a_day_may_have_hours_of_its_own() -> None:
    """Christmas Eve from nine to noon, though the calendar calls it a holiday; New Year's Eve not at all."""
    calendar = office(
        closed=frozenset({date(2026, 12, 24)}),
        special=((date(2026, 12, 24), ((540, 720),)), (date(2026, 12, 31), ())),
    )
    assert calendar.open_seconds(berlin("2026-12-24T00:00"), berlin("2026-12-25T00:00")) == 3 * 3600
    assert calendar.spans_on(date(2026, 12, 24)) == ((540, 720),)
    assert calendar.next_open(berlin("2026-12-31T10:00")) == berlin("2027-01-01T09:00")


def test_overlapping_and_touching_hours_count_once() -> None:
    """Two teams on duty at once do not make time pass twice, even where one comes from yesterday."""
    monday = (Opening(0, 540, 720), Opening(0, 600, 660), Opening(0, 700, 1020), Opening(0, 1020, 1860))
    calendar = office(openings=(*monday, Opening(1, 360, 480)))
    assert calendar == office(openings=(Opening(1, 360, 480), Opening(0, 540, 1860)))
    assert calendar.openings_between(berlin("2026-11-23T00:00"), berlin("2026-11-25T00:00")) == [
        (berlin("2026-11-23T09:00"), berlin("2026-11-24T08:00"))
    ]
    assert calendar.open_seconds(berlin("2026-11-23T00:00"), berlin("2026-11-25T00:00")) == 23 * 3600


def test_the_edges_of_the_doors() -> None:
    """Open at nine sharp, closed at five sharp; and what is due as the doors close is due then."""
    calendar = office()
    assert calendar.is_open(berlin("2026-11-20T09:00"))
    assert not calendar.is_open(berlin("2026-11-20T08:59:59.999999"))
    assert calendar.is_open(berlin("2026-11-20T16:59:59.999999"))
    assert not calendar.is_open(berlin("2026-11-20T17:00"))
    assert calendar.add(berlin("2026-11-20T16:45"), 900) == berlin("2026-11-20T17:00")
    assert calendar.next_open(berlin("2026-11-20T12:00")) == berlin("2026-11-20T12:00")
    assert calendar.next_open(berlin("2026-11-20T17:00")) == berlin("2026-11-23T09:00")


def test_nothing_added_is_no_waiting() -> None:
    """No time at all passes at once, even on a Sunday, and to the microsecond otherwise."""
    sunday = berlin("2026-11-22T12:00")
    assert office().add(sunday, 0) == sunday
    assert office().add(sunday, 0.000001) == berlin("2026-11-23T09:00:00.000001")


def test_time_does_not_run_backwards() -> None:
    """Where the end is not after the start, nothing was open between them."""
    noon = berlin("2026-11-20T12:00")
    assert office().open_seconds(noon, noon) == 0
    assert office().open_seconds(noon, noon - timedelta(days=9)) == 0
    assert office().openings_between(noon, noon - timedelta(days=9)) == []


@pytest.mark.parametrize("zone", sorted(CHANGES))
def test_always_open_is_plain_time(zone: str) -> None:
    """A calendar of seven whole days counts like a watch, over every change of the clock."""
    calendar = whole_week(zone)
    for change in CHANGES[zone]:
        start = datetime.fromisoformat(change) - timedelta(hours=30)
        end = start + timedelta(hours=60)
        assert calendar.open_seconds(start, end) == 60 * 3600
        assert calendar.add(start, 60 * 3600) == end
        assert calendar.openings_between(start, end) == [(start, end)]


def test_a_shift_may_last_until_the_midnight_after_next() -> None:
    """From Friday 20:00 to the end of Saturday, a day behind Greenwich, whose last hour comes twice: 29 h."""
    shift = office("America/Santiago", openings=(Opening(4, 20 * 60, 48 * 60),))
    friday = datetime(2026, 4, 3, 20, tzinfo=ZoneInfo("America/Santiago"))
    sunday = datetime(2026, 4, 5, tzinfo=ZoneInfo("America/Santiago"))
    assert shift.add(friday, 29 * 3600) == sunday
    assert shift.is_open(sunday.astimezone(UTC) - timedelta(seconds=1))
    assert not shift.is_open(sunday)


def test_the_day_that_never_came() -> None:
    """Samoa left out 30 December 2011: nobody worked on it."""
    calendar = office("Pacific/Apia")
    week = datetime(2011, 12, 26, tzinfo=ZoneInfo("Pacific/Apia"))
    assert calendar.open_seconds(week, week + timedelta(days=7)) == 4 * 8 * 3600


def test_moments_are_told_in_local_time() -> None:
    """`check` can say how long a shift really lasts."""
    calendar = office()
    assert calendar.moment_of(date(2026, 3, 28), 1440) == berlin("2026-03-29T00:00")
    assert calendar.moment_of(date(2026, 3, 29), 150) == datetime(2026, 3, 29, 1, tzinfo=UTC)


# What is refused


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"openings": ()}, "calendar office: expected at least one opening in the week"),
        ({"zone": "Mars/Olympus"}, "expected a time zone such as \"Europe/Berlin\", not 'Mars/Olympus'"),
        ({"special": ((date(2026, 12, 24), ()), (date(2026, 12, 24), ((540, 720),)))}, "special date once"),
        ({"special": ((date(2026, 12, 24), ((720, 540),)),)}, "expected more than 720 and at most 2880"),
    ],
)
def test_a_calendar_that_makes_no_sense_is_refused(keys: dict[str, Any], said: str) -> None:
    """A mistake is seen when the calendar is made, not when the first case is late."""
    with pytest.raises(ValueError, match=re.escape(said)):
        office(**keys)


@pytest.mark.parametrize(
    ("weekday", "opens", "closes"),
    [(-1, 0, 60), (7, 0, 60), (0, -1, 60), (0, 1440, 1500), (0, 60, 60), (0, 60, 30), (0, 60, 2881)],
)
def test_an_opening_out_of_range_is_refused(weekday: int, opens: int, closes: int) -> None:
    """No opening on an eighth day, before midnight, of no length or longer than into the next night."""
    with pytest.raises(ValueError, match="expected"):
        Opening(weekday, opens, closes)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_only_lengths_of_time_can_be_added(seconds: float) -> None:
    """A due time before the start, or no time at all, is an error and not a date."""
    with pytest.raises(ValueError, match="expected a length of time"):
        office().add(berlin("2026-11-20T12:00"), seconds)


def test_waiting_for_ever_is_refused() -> None:
    """A calendar closed for ten years gives up and says so, instead of searching on."""
    first = date(2026, 11, 20)
    closed = office(closed=frozenset(first + timedelta(days=n) for n in range(11 * 366)))
    start = berlin("2026-11-20T12:00")
    assert closed.next_open(start) is None
    assert closed.open_seconds(start, start + timedelta(days=3000)) == 0
    with pytest.raises(ValueError, match="never pass after 2026-11-20"):
        closed.add(start, 900)
    # One who asks for a given stretch is answered about all of it.
    assert closed.open_seconds(start, start + timedelta(days=12 * 366)) > 0


def test_a_wait_of_many_years_ends() -> None:
    """Nine closed years are waited for, and so is a promise that takes twenty years of working hours."""
    first = date(2026, 11, 20)
    closed = office(closed=frozenset(first + timedelta(days=n) for n in range(9 * 365)))
    start = berlin("2026-11-20T12:00")
    assert closed.next_open(start) == berlin("2035-11-19T09:00")
    due = office().add(start, 20 * 52 * 40 * 3600)
    assert due == start + timedelta(weeks=20 * 52)


def test_the_end_of_time_is_no_crash() -> None:
    """Dates at the edge of what a computer can write are answered or refused, never an overflow."""
    calendar = office()
    assert calendar.next_open(datetime(9999, 12, 31, 23, tzinfo=UTC)) is None
    with pytest.raises(ValueError, match="never pass"):
        calendar.add(datetime(9999, 12, 1, tzinfo=UTC), 1e7)
    dawn = datetime(1, 1, 1, tzinfo=UTC)
    assert whole_week("UTC").next_open(dawn) == dawn


def test_times_without_a_zone_are_refused() -> None:
    """Nobody can say when "12:00" was."""
    with pytest.raises(TypeError):
        office().is_open(datetime(2026, 11, 20, 12))  # noqa: DTZ001


# Properties

WALL_MINUTES = st.integers(0, 95).map(lambda quarter: quarter * 15)


@st.composite
def openings(draw: st.DrawFn) -> Opening:
    opens = draw(WALL_MINUTES)
    length = draw(st.integers(1, 96)) * 15
    return Opening(draw(st.integers(0, 6)), opens, min(opens + length, 2880))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Calendar, datetime]:
    """A calendar, and a moment near which its clock changes."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone])))
    near = st.integers(-3, 3).map(lambda days: change.date() + timedelta(days=days))
    week = draw(st.lists(openings(), min_size=1, max_size=8))
    closed = draw(st.frozensets(near, max_size=2))
    own = draw(st.dictionaries(near, st.just(((0, 600), (1200, 1700))), max_size=1))
    calendar = Calendar("drawn", zone, tuple(week), closed, tuple(own.items()))
    return calendar, change + timedelta(seconds=draw(st.integers(-100 * 3600, 100 * 3600)))


LENGTHS = st.one_of(st.integers(0, 300 * 3600), st.integers(0, 10**12).map(lambda micros: micros / 1e6))


@settings(max_examples=100, deadline=None)
@given(scenes(), st.integers(0, 200 * 3600), st.integers(0, 200 * 3600))
def test_business_time_is_additive(scene: tuple[Calendar, datetime], first: int, second: int) -> None:
    """From morning to noon and from noon to night is the whole day, over every change of the clock."""
    calendar, start = scene
    middle = start + timedelta(seconds=first)
    end = middle + timedelta(seconds=second)
    whole = calendar.open_seconds(start, end)
    assert whole == calendar.open_seconds(start, middle) + calendar.open_seconds(middle, end)
    assert 0 <= whole <= (end - start).total_seconds()
    stretches = calendar.openings_between(start, end)
    assert whole == sum((b - a).total_seconds() for a, b in stretches)
    edges = [edge for stretch in stretches for edge in stretch]
    assert edges == sorted(set(edges))
    assert all(start <= edge <= end for edge in edges)


@settings(max_examples=100, deadline=None)
@given(scenes(), LENGTHS)
def test_a_due_time_has_exactly_the_promised_time_before_it(
    scene: tuple[Calendar, datetime], seconds: float
) -> None:
    """Counting back from the due time gives the promise, to the microsecond, and no earlier time does."""
    calendar, start = scene
    due = calendar.add(start, seconds)
    assert calendar.open_seconds(start, due) == seconds
    if seconds:
        assert calendar.open_seconds(start, due - timedelta(microseconds=1)) < seconds


@settings(max_examples=100, deadline=None)
@given(scenes(), LENGTHS, LENGTHS, st.integers(0, 100 * 3600))
def test_later_or_longer_is_never_due_earlier(
    scene: tuple[Calendar, datetime], seconds: float, more: float, later: int
) -> None:
    """Who writes later, or is promised more time, is never due before somebody else."""
    calendar, start = scene
    due = calendar.add(start, seconds)
    assert due >= start
    assert calendar.add(start, seconds + more) >= due
    assert calendar.add(start + timedelta(seconds=later), seconds) >= due


@settings(max_examples=100, deadline=None)
@given(scenes())
def test_the_next_opening_is_open_and_nothing_before_it_is(scene: tuple[Calendar, datetime]) -> None:
    """Quiet hours end when the doors open: not before, not after."""
    calendar, start = scene
    opening = calendar.next_open(start)
    assert opening is not None
    assert calendar.is_open(opening)
    assert calendar.open_seconds(start, opening) == 0
    assert calendar.is_open(start) == (opening == start)


def watched_minutes(calendar: Calendar, start: datetime, minutes: int) -> list[bool]:
    """Watch the clock on the wall, minute by minute, for long before `start` and from then on.

    Slow and obvious: the latest time that the clock has shown so far says whose turn it is.
    """
    zone = ZoneInfo(calendar.zone)
    own = dict(calendar.special)
    latest = (start - timedelta(days=3)).astimezone(zone).replace(tzinfo=None)
    turns: list[bool] = []
    for minute in range(-3 * 1440, minutes):
        shown = (start + timedelta(minutes=minute)).astimezone(zone).replace(tzinfo=None)
        latest = max(latest, shown)
        if minute < 0:
            continue
        turn = False
        for back in (0, 1):
            day = latest.date() - timedelta(days=back)
            since_midnight = latest.hour * 60 + latest.minute + back * 1440
            spans = [(o.opens, o.closes) for o in calendar.openings if o.weekday == day.weekday()]
            spans = list(own.get(day, () if day in calendar.closed else spans))
            turn = turn or any(opens <= since_midnight < closes for opens, closes in spans)
        turns.append(turn)
    return turns


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_a_person_who_watches_the_clock_counts_the_same(scene: tuple[Calendar, datetime]) -> None:
    """Minute by minute by the clock on the wall: the same minutes are open, and as many."""
    calendar, moment = scene
    start = moment.replace(second=0)
    turns = watched_minutes(calendar, start, 3 * 1440)
    assert calendar.open_seconds(start, start + timedelta(days=3)) == 60 * sum(turns)
    for minute in range(0, len(turns), 7):
        assert calendar.is_open(start + timedelta(minutes=minute)) == turns[minute]


# As it is stored


@settings(max_examples=100, deadline=None)
@given(scenes(), st.randoms(use_true_random=False))
def test_a_stored_calendar_comes_back_the_same(scene: tuple[Calendar, datetime], random: Random) -> None:
    """A case keeps the hours that it began with: equal calendars give equal text, and the text gives them."""
    calendar, _ = scene
    text = json.dumps(calendar_to_mapping(calendar))
    again = calendar_from_mapping(json.loads(text))
    assert again == calendar
    assert hash(again) == hash(calendar)
    assert pickle.loads(pickle.dumps(calendar)) == calendar
    shuffled = list(calendar.openings)
    random.shuffle(shuffled)
    other = Calendar("drawn", calendar.zone, tuple(shuffled), calendar.closed, calendar.special[::-1])
    assert json.dumps(calendar_to_mapping(other)) == text
    assert replace(calendar, name="another") != calendar


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"zone": None},
        {"openings": [[0, 540]]},
        {"openings": [[0, 1020, 540]]},
        {"openings": 5},
        {"closed": ["someday"]},
        {"special": []},
        {"special": {"2026-12-24": [[540]]}},
    ],
)
def test_a_stored_calendar_that_cannot_be_read_says_so(broken: dict[str, object]) -> None:
    """A damaged row is a ValueError, which the reader of the store knows how to say."""
    mapping = {**calendar_to_mapping(office()), **broken} if broken else {}
    with pytest.raises(ValueError, match=r"\w"):
        calendar_from_mapping(mapping)
