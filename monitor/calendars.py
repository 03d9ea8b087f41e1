"""[calendars.NAME]: opening hours as people write them, made into calendars, and calendars said to people.

What may live here: the settings of a calendar, the working out of its holidays, and the lines that `check`
prints. Counting time in a calendar is `rules.hours`.
"""

from __future__ import annotations

import re
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rules.hours import MINUTES_A_DAY, Calendar, Opening, Spans
from wire.durations import say_duration

YEARS = range(2005, 2046)
"""Holidays and yearly dates are worked out for these, whatever the year is now, so that the same settings
give the same calendar today and in a replay."""

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})", re.ASCII)
_DAY = re.compile(r"(?:(?P<year>[0-9]{4})-)?(?P<month>[0-9]{2})-(?P<day>[0-9]{2})", re.ASCII)
_LEAP_YEAR = 2024


def check_zone(name: str) -> str:
    """The same name. ValueError: it is no time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('expected a time zone such as "Europe/Berlin"') from None
    return name


def _parse_span(text: str) -> tuple[int, int]:
    """(opens, closes) in minutes; one that closes before it opens runs past midnight."""
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'expected hours such as "09:00-17:30", not {text!r:.60}')
    open_hour, open_minute, close_hour, close_minute = (int(number) for number in match.groups())
    opens, closes = open_hour * 60 + open_minute, close_hour * 60 + close_minute
    if max(open_minute, close_minute) > 59 or opens >= MINUTES_A_DAY or closes > MINUTES_A_DAY:
        raise ValueError(f"expected times from 00:00 to 24:00, not {text!r:.60}")
    if opens == closes:
        raise ValueError(f'{text!r} has no length; a whole day is "00:00-24:00"')
    return opens, closes if closes > opens else closes + MINUTES_A_DAY


def _span_text(text: str) -> str:
    _parse_span(text)
    return text


def _day_text(value: Any) -> str:
    """ "2026-12-24", or "12-24" for every year; TOML's own dates become the former."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    match = _DAY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f'expected a date such as 2026-12-24, or "12-24" for every year, not {str(value)!r:.40}'
        )
    try:
        day = date(int(match["year"] or _LEAP_YEAR), int(match["month"]), int(match["day"]))
    except ValueError:
        raise ValueError(f"there is no such date as {value!r}") from None
    if match["year"] and day.year not in YEARS:
        raise ValueError(f"expected a year from {YEARS[0]} to {YEARS[-1]}, not {value!r}")
    return str(value)


def _dates(text: str) -> Iterator[date]:
    """The dates that a day's text means: one, or one in each year that has it."""
    if len(text) == len("2026-12-24"):
        yield date.fromisoformat(text)
        return
    month, day = (int(number) for number in text.split("-"))
    for year in YEARS:
        if (month, day) != (2, 29) or (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)):
            yield date(year, month, day)


def _weekdays(key: str) -> list[int]:
    """The days that a key of `hours` names: "mon", "mon-fri" (or over the weekend, "sat-tue"), "daily"."""
    first, dash, last = key.lower().partition("-")
    if first == "daily" and not dash:
        return list(range(7))
    if first not in _WEEKDAYS or (dash and (last not in _WEEKDAYS or last == first)):
        raise ValueError(f'expected a day such as "mon", "mon-fri" or "daily", not {key!r:.40}')
    start = _WEEKDAYS.index(first)
    count = (_WEEKDAYS.index(last) - start) % 7 + 1 if dash else 1
    return [(start + number) % 7 for number in range(count)]


def _week(hours: Mapping[str, Sequence[str]]) -> dict[int, Sequence[str]]:
    """The hours of each weekday. A day's own key beats a range, and a range beats "daily"."""
    chosen: dict[int, tuple[int, str]] = {}
    for rank, key in sorted(((_rank(key), key) for key in hours), key=lambda pair: -pair[0]):
        for day in _weekdays(key):
            above, other = chosen.setdefault(day, (rank, key))
            if above == rank and other != key:
                raise ValueError(f"expected each day once, and {_WEEKDAYS[day]} is in {other!r} and {key!r}")
    return {day: hours[key] for day, (_, key) in chosen.items()}


def _rank(key: str) -> int:
    return 0 if key.lower() == "daily" else 1 if "-" in key else 2


def _whole_week(hours: dict[str, list[str]]) -> dict[str, list[str]]:
    if not any(_week(hours).values()):
        raise ValueError('expected at least one day with hours, such as mon-fri = "09:00-17:00"')
    return hours


def _region(name: str) -> str:
    """ "DE" or "DE-BY", as the holidays library knows it, the country in capitals."""
    country, dash, subdivision = name.strip().partition("-")
    _holidays(country.upper(), subdivision if dash else None, YEARS[:1])
    return f"{country.upper()}{dash}{subdivision}"


def _holidays(country: str, subdivision: str | None, years: Iterable[int]) -> frozenset[date]:
    """The public holidays of those years. ValueError: the library does not know the place."""
    # It is heavy (all its countries are loaded at once), and most calendars do without.
    import holidays

    known = holidays.list_supported_countries(include_aliases=True)
    if country not in known:
        raise ValueError(
            f'expected a country code such as "DE", or with its part "DE-BY", not {country!r:.40}'
        )
    # Parts have several names (a few countries number them); the library knows them all.
    parts = {*known[country], *holidays.country_holidays(country).subdivisions_aliases}
    if subdivision is not None and subdivision not in parts:
        choices = f"one of {', '.join(known[country])}" if known[country] else "no part: none is known there"
        raise ValueError(f"{country} has no part {subdivision!r:.40}; expected {choices}")
    with warnings.catch_warnings():
        # It warns of years that a country's law does not reach; those have no holidays.
        warnings.simplefilter("ignore")
        return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=years))


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | date) else value


Hours = Annotated[
    list[Annotated[str, AfterValidator(_span_text)]], BeforeValidator(_one_or_many), Field(max_length=24)
]
Day = Annotated[str, BeforeValidator(_day_text)]


class CalendarConfig(BaseModel):
    """[calendars.NAME]: when somebody is there to answer. A target counts in it by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    time_zone: Annotated[str, AfterValidator(check_zone)] | None = Field(
        default=None,
        examples=["Europe/Berlin"],
        description="Whose wall clock the hours are read on; default: monitor.time_zone.",
    )
    hours: Annotated[dict[str, Hours], Field(max_length=100), AfterValidator(_whole_week)] = Field(
        examples=[{"mon-fri": ["09:00-12:30", "13:30-18:00"], "sat": "10:00-14:00"}],
        description='Opening hours by day: "mon", "mon-fri" or "daily"; a day\'s own key beats a range, and '
        'a day not named is closed. "22:00-06:00" runs past midnight; "00:00-24:00" is a whole day.',
    )
    holidays: Annotated[list[Annotated[str, AfterValidator(_region)]], BeforeValidator(_one_or_many)] = Field(
        default=[],
        max_length=20,
        examples=["DE", ["DE-BY", "FR"]],
        description="Countries, or parts of them, whose public holidays are closed.",
    )
    closed: Annotated[list[Day], BeforeValidator(_one_or_many)] = Field(
        default=[],
        max_length=1_000,
        examples=[["2026-12-24", "12-31"]],
        description='Dates of your own on which nobody is there; "12-24" is every year\'s.',
    )
    special: dict[Day, Annotated[Hours, Field(min_length=1)]] = Field(
        default={},
        max_length=1_000,
        examples=[{"2026-12-31": ["09:00-12:00"]}],
        description="Dates with hours of their own, in place of the day's, be it a holiday or not.",
    )

    @model_validator(mode="after")
    def _closed_or_special(self) -> CalendarConfig:
        both = sorted(set(self.closed) & set(self.special))
        if both:
            raise ValueError(f"special: expected hours or closed for {both[0]}, and not both")
        return self


def make_calendar(name: str, config: CalendarConfig, default_zone: str) -> Calendar:
    """The calendar that those settings mean, its holidays and yearly dates worked out for `YEARS`.

    A date of one year beats a yearly one, and special hours beat holidays.
    """
    closed = {day for text in config.closed for day in _dates(text)}
    once = {day for text in config.closed if text[:4].isdecimal() for day in _dates(text)}
    special: dict[date, Spans] = {}
    for text in sorted(config.special, key=len):  # Yearly ones first, so that the others replace them.
        spans = tuple(_parse_span(span) for span in config.special[text])
        yearly = len(text) == len("12-24")
        special.update((day, spans) for day in _dates(text) if not (yearly and day in once))
    for region in config.holidays:
        country, _, subdivision = region.partition("-")
        closed |= _holidays(country, subdivision or None, YEARS)
    return Calendar(
        name=name,
        zone=config.time_zone or default_zone,
        openings=tuple(
            Opening(day, *_parse_span(span)) for day, spans in _week(config.hours).items() for span in spans
        ),
        closed=frozenset(closed - special.keys()),
        special=tuple(special.items()),
    )


def week_lines(calendar: Calendar, first_day: date) -> list[str]:
    """The opening hours of seven days from then on, one line a day, as its people's clocks show them."""
    return [_day_line(calendar, first_day + timedelta(days=number)) for number in range(7)]


def _day_line(calendar: Calendar, day: date) -> str:
    spans = calendar.spans_on(day)
    said = ", ".join(_say_span(calendar, day, opens, closes) for opens, closes in spans) or "closed"
    if day in dict(calendar.special):
        said += " (special hours)"
    elif day in calendar.closed and any(opening.weekday == day.weekday() for opening in calendar.openings):
        said += " (holiday)"
    return f"{day:%a %d %b}  {said}{_say_clock_change(calendar, day)}"


def _say_span(calendar: Calendar, day: date, opens: int, closes: int) -> str:
    over = closes > MINUTES_A_DAY
    end = closes - MINUTES_A_DAY if over else closes
    said = f"{opens // 60:02d}:{opens % 60:02d}-{end // 60:02d}:{end % 60:02d}"
    real = calendar.moment_of(day, closes) - calendar.moment_of(day, opens)
    notes = [f"until {day + timedelta(days=1):%a}"] if over else []
    if real != timedelta(minutes=closes - opens):
        notes.append(f"lasts {say_duration(real.total_seconds())}")
    return f"{said} ({', '.join(notes)})" if notes else said


def _say_clock_change(calendar: Calendar, day: date) -> str:
    """What the local clock does that day, if anything: it explains odd lengths."""
    zone = ZoneInfo(calendar.zone)
    before = calendar.moment_of(day, 0) - timedelta(seconds=1)
    seconds = calendar.moment_of(day, MINUTES_A_DAY) - timedelta(seconds=1) - before
    offset = before.astimezone(zone).utcoffset() or timedelta()

    def changed(second: int) -> timedelta:
        later = (before + timedelta(seconds=second)).astimezone(zone).utcoffset() or timedelta()
        return later - offset

    change = changed(int(seconds.total_seconds()))
    if not change:
        return ""
    second = bisect_left(range(int(seconds.total_seconds())), True, key=lambda s: bool(changed(s)))
    at = (before + timedelta(seconds=second) + offset).replace(tzinfo=None)
    way = "forward" if change > timedelta() else "back"
    time = f"{at:%H:%M}" if at.date() == day else "24:00"
    return f"; the clock goes {way} {say_duration(abs(change).total_seconds())} at {time}"
