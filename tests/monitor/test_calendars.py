"""[calendars.NAME]: the hours that people write down are the hours that count, and mistakes are said."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from monitor.calendars import YEARS, CalendarConfig, make_calendar, week_lines
from rules.hours import Calendar, calendar_from_mapping, calendar_to_mapping

MONDAY = date(2026, 11, 23)


def config(text: str = "", **keys: Any) -> CalendarConfig:
    """Nine to five on weekdays, but for what the text or the keys say."""
    return CalendarConfig.model_validate({"hours": {"mon-fri": "09:00-17:00"}, **tomllib.loads(text), **keys})


def calendar(text: str = "", **keys: Any) -> Calendar:
    return make_calendar("office", config(text, **keys), "Europe/Berlin")


def said_of(keys: dict[str, Any]) -> str:
    """What is said to somebody who wrote this: where, and what is wrong."""
    with pytest.raises(ValidationError) as refused:
        config(**keys)
    (error,) = refused.value.errors(include_url=False)
    return f"{'.'.join(str(step) for step in error['loc'])}: {error['msg']}"


# Hours


def test_hours_are_written_as_on_a_door() -> None:
    """Split shifts, a text for a single one, a short Friday, a night shift, a closed Sunday."""
    office = calendar(
        """
        [hours]
        mon-fri = ["09:00-12:30", "13:30-18:00"]
        fri = "9:00 - 14:00"
        sat = "22:00-06:00"
        sun = []
        """
    )
    days = [(o.weekday, o.opens, o.closes) for o in office.openings]
    split = [(day, *span) for day in range(4) for span in ((540, 750), (810, 1080))]
    assert days == [*split, (4, 540, 840), (5, 1320, 1800)]
    assert office.zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("hours", "weekdays"),
    [
        ({"daily": "00:00-24:00"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"sat-tue": "00:00-24:00"}, [0, 1, 5, 6]),
        ({"Wed": "00:00-24:00"}, [2]),
        ({"daily": [], "mon": "00:00-24:00"}, [0]),
        ({"mon": "00:00-24:00", "mon-fri": [], "daily": "00:00-24:00"}, [0, 5, 6]),
        ({"mon-fri": "00:00-24:00", "fri": [], "fri-sat": []}, [0, 1, 2, 3]),
    ],
)
def test_short_names_of_days(hours: dict[str, Any], weekdays: list[int]) -> None:
    """A day's own key beats a range and a range beats "daily", in whatever order they stand."""
    for keys in (hours, dict(reversed(hours.items()))):
        openings = calendar(hours=keys).openings
        assert [o.weekday for o in openings] == weekdays
        assert {(o.opens, o.closes) for o in openings} == {(0, 1440)}


@pytest.mark.parametrize(
    ("span", "opens", "closes"),
    [
        ("00:00-24:00", 0, 1440),
        ("22:00-06:00", 1320, 1800),
        ("22:00-24:00", 1320, 1440),
        ("22:00-00:00", 1320, 1440),
        ("23:59-23:58", 1439, 2878),
    ],
)
def test_hours_at_the_edges_of_the_day(span: str, opens: int, closes: int) -> None:
    """Midnight is an end as well as a beginning, and a night shift ends tomorrow."""
    (opening,) = calendar(hours={"mon": span}).openings
    assert (opening.opens, opening.closes) == (opens, closes)


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ({"mon": "9-17"}, "hours.mon.0: Value error, expected hours such as \"09:00-17:30\", not '9-17'"),
        ({"mon": ["09:00-12:00", "x"]}, "hours.mon.1: Value error, expected hours such as"),
        ({"mon": "09:00-24:01"}, "expected times from 00:00 to 24:00, not '09:00-24:01'"),
        ({"mon": "24:00-06:00"}, "expected times from 00:00 to 24:00, not '24:00-06:00'"),
        ({"mon": "09:60-10:00"}, "expected times from 00:00 to 24:00, not '09:60-10:00'"),
        ({"mon": "09:00-09:60"}, "expected times from 00:00 to 24:00, not '09:00-09:60'"),
        ({"mon": "09:00-09:00"}, "'09:00-09:00' has no length; a whole day is \"00:00-24:00\""),
        ({"mon": 9}, "hours.mon: Input should be a valid list"),
        ({"monday": "09:00-10:00"}, 'expected a day such as "mon", "mon-fri" or "daily", not \'monday\''),
        ({"mon-": "09:00-10:00"}, "not 'mon-'"),
        ({"mon-mon": "09:00-10:00"}, "not 'mon-mon'"),
        ({"daily-fri": "09:00-10:00"}, "not 'daily-fri'"),
        (
            {"mon-thu": "09:00-10:00", "thu-sat": "10:00-12:00"},
            "expected each day once, and thu is in 'mon-thu' and 'thu-sat'",
        ),
        ({"mon": "09:00-10:00", "Mon": []}, "expected each day once, and mon is in 'mon' and 'Mon'"),
        ({}, 'expected at least one day with hours, such as mon-fri = "09:00-17:00"'),
        ({"mon": [], "sat-sun": []}, "expected at least one day with hours"),
    ],
)
def test_mistakes_in_hours_are_said(hours: dict[str, Any], said: str) -> None:
    """Somebody who mistypes an hour reads where, what was expected, and what stands there."""
    assert said in said_of({"hours": hours})


# Holidays and dates


def test_bavaria_has_holidays_of_its_own() -> None:
    """Corpus Christi is a working day in Berlin and none in Munich."""
    germany, bavaria = calendar(holidays="DE"), calendar(holidays=["DE-BY"])
    assert germany.closed < bavaria.closed
    assert date(2026, 6, 4) in bavaria.closed - germany.closed
    assert {date(2026, 12, 25), date(2005, 10, 3), date(2045, 5, 1)} <= germany.closed
    assert {day.year for day in germany.closed} == set(YEARS)


def test_several_countries_are_closed_together() -> None:
    """A team in two countries is away on the holidays of both."""
    both = calendar(holidays=["fr", "DE"])
    assert {date(2026, 7, 14), date(2026, 10, 3)} <= both.closed
    assert config(holidays="de-BY").holidays == ["DE-BY"]


def test_own_dates_once_and_every_year() -> None:
    """TOML's dates, dates as text, yearly ones, and the leap day only where there is one."""
    office = calendar('closed = [2026-11-24, "2026-11-25", "12-24", "02-29"]')
    assert {date(2026, 11, 24), date(2026, 11, 25)} <= office.closed
    yearly = {date(year, 12, 24) for year in YEARS}
    leap = {date(year, 2, 29) for year in YEARS if year % 4 == 0}
    assert office.closed == yearly | leap | {date(2026, 11, 24), date(2026, 11, 25)}
    assert calendar("closed = 2026-11-24").closed == {date(2026, 11, 24)}


def test_the_more_precise_date_wins() -> None:
    """Special hours beat a holiday, and what is said of one year beats what is said of every year."""
    office = calendar(
        """
        holidays = "DE"
        closed = ["2027-12-24", "12-31"]
        [special]
        2026-12-25 = "10:00-11:00"
        "12-24" = ["09:00-12:00"]
        "2028-12-24" = "08:00-09:00"
        "2026-12-31" = "09:00-10:00"
        """
    )
    assert office.spans_on(date(2026, 12, 25)) == ((600, 660),)
    assert office.spans_on(date(2026, 12, 24)) == ((540, 720),)
    assert office.spans_on(date(2027, 12, 24)) == ()
    assert office.spans_on(date(2028, 12, 24)) == ((480, 540),)
    assert office.spans_on(date(2026, 12, 31)) == ((540, 600),)
    assert office.spans_on(date(2027, 12, 31)) == ()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"holidays": "XY"},
            'Value error, expected a country code such as "DE", or with its part "DE-BY", not \'XY\'',
        ),
        ({"holidays": ["DE", "Germany"]}, "holidays.1: Value error, expected a country code"),
        ({"holidays": "DE-ZZ"}, "DE has no part 'ZZ'; expected one of BB, BE, BW, BY"),
        ({"holidays": "DE-"}, "DE has no part ''"),
        ({"holidays": "CX-1"}, "CX has no part '1'; expected no part: none is known there"),
        ({"holidays": 49}, "holidays: Input should be a valid list"),
        (
            {"closed": "24.12."},
            "expected a date such as 2026-12-24, or \"12-24\" for every year, not '24.12.'",
        ),
        ({"closed": [datetime(2026, 12, 24, tzinfo=UTC)]}, "closed.0: Value error, expected a date such as"),
        ({"closed": ["12-24", "02-30"]}, "closed.1: Value error, there is no such date as '02-30'"),
        ({"closed": ["2026-02-29"]}, "there is no such date as '2026-02-29'"),
        ({"closed": ["0000-01-01"]}, "there is no such date as '0000-01-01'"),
        ({"closed": ["1926-12-24"]}, "expected a year from 2005 to 2045, not '1926-12-24'"),
        ({"special": {"12-41": "09:00-10:00"}}, "there is no such date as '12-41'"),
        ({"special": {"12-24": "9"}}, "special.12-24.0: Value error, expected hours such as"),
        ({"special": {"12-24": []}}, "special.12-24: Value should have at least 1 item"),
        (
            {"special": {"12-24": "09:00-10:00"}, "closed": ["12-24"]},
            "special: expected hours or closed for 12-24, and not both",
        ),
        (
            {"time_zone": "Mars/Olympus"},
            'time_zone: Value error, expected a time zone such as "Europe/Berlin"',
        ),
        ({"open": "always"}, "open: Extra inputs are not permitted"),
    ],
)
def test_mistakes_in_dates_and_places_are_said(keys: dict[str, Any], said: str) -> None:
    """Somebody who mistypes a date or a country reads where, what was expected, and what stands there."""
    assert said in said_of(keys)


def test_the_examples_in_the_reference_work() -> None:
    """What the documentation shows can be copied."""
    for name, field in CalendarConfig.model_fields.items():
        assert field.description
        for example in field.examples or []:
            assert calendar(**{name: example}).openings


# The calendar that comes out


def test_a_calendar_without_a_zone_has_the_teams() -> None:
    """The team's zone is written once; a calendar may have another."""
    assert make_calendar("office", config(), "America/New_York").zone == "America/New_York"
    assert make_calendar("office", config('time_zone = "Asia/Tokyo"'), "UTC").zone == "Asia/Tokyo"


def test_the_same_settings_are_stored_as_the_same_text() -> None:
    """A calendar is a fact that is stored: however it is written, it is one text, and it comes back."""
    one = calendar(
        'holidays = ["DE", "FR"]\nclosed = ["12-24", 2026-11-24]\nspecial = { "12-31" = "09:00-12:00" }'
    )
    other = calendar(
        'hours = { mon-wed = ["09:00-12:00", "12:00-17:00"], fri = "09:00-17:00", thu = "09:00-17:00" }\n'
        'holidays = ["FR", "DE"]\nclosed = ["2026-11-24", "12-24"]\nspecial = { "12-31" = "9:00-12:00" }'
    )
    text = json.dumps(calendar_to_mapping(one))
    assert json.dumps(calendar_to_mapping(other)) == text
    assert calendar_from_mapping(json.loads(text)) == one
    assert json.dumps(calendar_to_mapping(calendar())) != text


# Said to people


def test_next_weeks_hours_are_said_line_by_line() -> None:
    """`check` shows a person the week as it will be, so that a mistake is seen before it costs a weekend."""
    office = calendar(
        """
        hours = { mon-fri = ["09:00-12:30", "13:30-18:00"], sat = "22:00-06:00" }
        holidays = "DE"
        closed = ["12-24"]
        special = { 2026-12-23 = "09:00-12:00" }
        """
    )
    assert week_lines(office, date(2026, 12, 21)) == [
        "Mon 21 Dec  09:00-12:30, 13:30-18:00",
        "Tue 22 Dec  09:00-12:30, 13:30-18:00",
        "Wed 23 Dec  09:00-12:00 (special hours)",
        "Thu 24 Dec  closed (holiday)",
        "Fri 25 Dec  closed (holiday)",
        "Sat 26 Dec  closed (holiday)",
        "Sun 27 Dec  closed",
    ]
    assert week_lines(office, MONDAY)[5:] == ["Sat 28 Nov  22:00-06:00 (until Sun)", "Sun 29 Nov  closed"]


@pytest.mark.parametrize(
    ("zone", "first_day", "lines"),
    [
        (
            "Europe/Berlin",
            date(2026, 3, 28),
            [
                "Sat 28 Mar  22:00-06:00 (until Sun, lasts 7 h)",
                "Sun 29 Mar  22:00-06:00 (until Mon); the clock goes forward 1 h at 02:00",
            ],
        ),
        (
            "Europe/Berlin",
            date(2026, 10, 24),
            [
                "Sat 24 Oct  22:00-06:00 (until Sun, lasts 9 h)",
                "Sun 25 Oct  22:00-06:00 (until Mon); the clock goes back 1 h at 03:00",
            ],
        ),
        (
            "Australia/Lord_Howe",
            date(2026, 4, 4),
            [
                "Sat 04 Apr  22:00-06:00 (until Sun, lasts 8 h 30 min)",
                "Sun 05 Apr  22:00-06:00 (until Mon); the clock goes back 30 min at 02:00",
            ],
        ),
        (
            "America/Santiago",
            date(2026, 4, 4),
            [
                "Sat 04 Apr  22:00-06:00 (until Sun, lasts 9 h); the clock goes back 1 h at 24:00",
                "Sun 05 Apr  22:00-06:00 (until Mon)",
            ],
        ),
        (
            "America/Havana",
            date(2026, 3, 7),
            [
                "Sat 07 Mar  22:00-06:00 (until Sun, lasts 7 h)",
                "Sun 08 Mar  22:00-06:00 (until Mon); the clock goes forward 1 h at 00:00",
            ],
        ),
    ],
)
def test_a_change_of_the_clock_is_said(zone: str, first_day: date, lines: list[str]) -> None:
    """The night that is an hour longer or shorter explains itself, wherever the team sits."""
    night = calendar(time_zone=zone, hours={"daily": "22:00-06:00"})
    assert week_lines(night, first_day)[:2] == lines
