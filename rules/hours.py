"""Calendars: when somebody is there to answer, and time counted in those hours. Pure: the caller says when.

What may live here: opening hours as a value, and the sums over them. Working out holidays and reading
settings is the monitor's.

The one rule for daylight saving: a span begins at the first moment at which the local clock shows its
opening time or a later one, and ends at the first at which it shows its closing time or a later one. So a
wall time that does not exist moves forward to the moment of the jump, one that comes twice counts at its
first coming, and what lies between is real elapsed time: a night shift 22:00-06:00 lasts 7 hours when the
clock jumps forward and 9 when it falls back. Longer hours are never less time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MINUTES_A_DAY = 24 * 60
CLOSED_DAYS_MAX = 3_660
"""After so many days without an opening (ten years) nobody waits for the next one."""

Spans = tuple[tuple[int, int], ...]
"""A day's hours: (opens, closes) in minutes after its local midnight."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_LAST_DAY = date.max.toordinal() - 3
_MICRO = timedelta(microseconds=1)
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = MINUTES_A_DAY * _MINUTE
_HOURS_SAMPLED = range(0, 49, 6)


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """A weekly span of local wall time, from `opens` until just before `closes`.

    `weekday` is the day on which it begins, 0 = Monday. `opens` is in minutes after that day's midnight
    (0 to 1439), and so is `closes` (more than `opens`, at most 2880): 22:00-06:00 is 1320 to 1800.
    """

    weekday: int
    opens: int
    closes: int

    def __post_init__(self) -> None:
        if not 0 <= self.weekday <= 6:
            raise ValueError(f"weekday {self.weekday}: expected 0 (Monday) to 6 (Sunday)")
        _check_span(self.opens, self.closes)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Opening hours in a time zone. Two with the same hours are equal, in whatever order they were given.

    `openings` may be several a day; overlapping and touching ones count once. On a `closed` local date no
    opening begins; one that began the evening before goes on. `special` gives a date hours of its own in
    place of its weekday's, be it closed or not; none at all is closed too. ValueError: an unknown zone, a
    span out of range, a date twice in `special`, a week without an opening.

    Times that go in are aware (TypeError otherwise); times that come out are UTC, exact to the microsecond.
    """

    name: str
    zone: str
    openings: tuple[Opening, ...]
    closed: frozenset[date] = frozenset()
    special: tuple[tuple[date, Spans], ...] = ()
    # Worked out from the above, to be asked fast: the spans of each weekday, and of days unlike theirs.
    _week: tuple[Spans, ...] = field(init=False, repr=False, compare=False)
    _unlike: dict[int, Spans] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f'calendar {self.name}: expected a time zone such as "Europe/Berlin", not {self.zone!r}'
            ) from None
        if not self.openings:
            raise ValueError(f"calendar {self.name}: expected at least one opening in the week")
        week = tuple(
            _merged((o.opens, o.closes) for o in self.openings if o.weekday == day) for day in range(7)
        )
        own = {day: _merged(spans) for day, spans in self.special}
        if len(own) != len(self.special):
            raise ValueError(f"calendar {self.name}: expected each special date once")
        unlike: dict[int, Spans] = {day.toordinal(): () for day in self.closed}
        unlike.update((day.toordinal(), spans) for day, spans in own.items())
        tidy = tuple(Opening(day, *span) for day, spans in enumerate(week) for span in spans)
        object.__setattr__(self, "openings", tidy)
        object.__setattr__(self, "closed", frozenset(self.closed))
        object.__setattr__(self, "special", tuple(sorted(own.items())))
        object.__setattr__(self, "_week", week)
        object.__setattr__(self, "_unlike", unlike)

    def spans_on(self, day: date) -> Spans:
        """The hours that begin on that local date, merged, in minutes after its midnight; () if closed."""
        return self._unlike.get(day.toordinal(), self._week[day.weekday()])

    def moment_of(self, day: date, minute: int) -> datetime:
        """The first moment at which the local clock shows that minute of that date, or a later time."""
        return _moment(_instant(self.zone, day.toordinal(), minute))

    def is_open(self, at: datetime) -> bool:
        """Whether that moment counts. The closing moment does not."""
        moment = _micros(at)
        return any(True for _ in self._pieces(moment, moment + 1))

    def next_open(self, at: datetime) -> datetime | None:
        """The first open moment from then on: `at` itself where it is open; None: none within ten years."""
        moment = _micros(at)
        for begun, _ in self._pieces(moment):
            return _moment(begun)
        return None

    def open_seconds(self, start: datetime, end: datetime) -> float:
        """The open time between, in seconds; 0 where `end` is not after `start`."""
        since, until = _micros(start), _micros(end)
        total = 0
        for begun, ended in self._pieces(since, until):
            total += min(ended, until) - begun
        return total / _SECOND

    def add(self, start: datetime, seconds: float) -> datetime:
        """The first moment at which so much open time has passed since `start`.

        Where the time is up as the doors close, that is the closing moment, not the next opening. Nothing
        added to a closed moment is that moment. ValueError: `seconds` is negative or not finite, or that
        much open time never comes (ten years without an opening, or the end of the calendar).
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"expected a length of time in seconds, not {seconds}")
        since, left = _micros(start), round(seconds * _SECOND)
        if left == 0:
            return _moment(since)
        for begun, ended in self._pieces(since):
            if ended - begun >= left:
                return _moment(begun + left)
            left -= ended - begun
        raise ValueError(f"calendar {self.name}: {seconds:g} s of open time never pass after {start}")

    def openings_between(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """The open stretches between, as (from, until), ascending, with a closed time between any two."""
        since, until = _micros(start), _micros(end)
        stretches: list[tuple[int, int]] = []
        for begun, ended in self._pieces(since, until):
            if stretches and stretches[-1][1] == begun:
                begun, _ = stretches.pop()
            stretches.append((begun, min(ended, until)))
        return [(_moment(begun), _moment(ended)) for begun, ended in stretches]

    def _pieces(self, since: int, until: int | None = None) -> Iterator[tuple[int, int]]:
        """The open pieces after `since`, cut off there, as (begun, ended), ascending, none over another.

        They begin before `until`, or where that is None, go on until no opening comes for ten years. Pieces
        that touch are not joined: a calendar that never closes has no end to wait for.
        """
        # A local date is at most one off the UTC date, and an opening reaches into one date more.
        day = max(since // _DAY + _EPOCH_DAY - 2, 1)
        last_day = day + CLOSED_DAYS_MAX if until is None else until // _DAY + _EPOCH_DAY + 1
        covered = since
        while day <= last_day and day <= _LAST_DAY:
            unlike = self._unlike.get(day)
            for begun, ended in self._on(day, self._week[(day + 6) % 7] if unlike is None else unlike):
                begun = max(begun, covered)
                if until is not None and begun >= until:
                    return
                if ended > begun:
                    yield begun, ended
                    covered = ended
                    if until is None:
                        last_day = day + CLOSED_DAYS_MAX
            day += 1

    def _on(self, day: int, spans: Spans) -> Iterable[tuple[int, int]]:
        """Those hours of that day as real time."""
        if not spans:
            return ()
        offset = _steady_offset(self.zone, day)
        if offset is None:
            return [
                (_instant(self.zone, day, opens), _instant(self.zone, day, closes)) for opens, closes in spans
            ]
        midnight = (day - _EPOCH_DAY) * _DAY - offset
        return [(midnight + opens * _MINUTE, midnight + closes * _MINUTE) for opens, closes in spans]


def _check_span(opens: int, closes: int) -> None:
    if not 0 <= opens < MINUTES_A_DAY:
        raise ValueError(f"opens at minute {opens}: expected 0 to 1439")
    if not opens < closes <= 2 * MINUTES_A_DAY:
        raise ValueError(f"closes at minute {closes}: expected more than {opens} and at most 2880")


def _merged(spans: Iterable[tuple[int, int]]) -> Spans:
    merged: list[tuple[int, int]] = []
    for opens, closes in sorted(spans):
        _check_span(opens, closes)
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], closes))
        else:
            merged.append((opens, closes))
    return tuple(merged)


def _micros(at: datetime) -> int:
    """Microseconds since 1970; whole numbers, so that sums are exact."""
    return (at - _EPOCH) // _MICRO


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


@lru_cache(maxsize=4096)
def _steady_offset(zone: str, day: int) -> int | None:
    """The zone's offset in microseconds from that midnight for 48 hours; None: it changes in between.

    Sampled every six hours: no zone changes and changes back in less.
    """
    midnight = datetime.fromordinal(day).replace(tzinfo=ZoneInfo(zone))
    offsets = {(midnight + timedelta(hours=h)).utcoffset() or timedelta() for h in _HOURS_SAMPLED}
    return offsets.pop() // _MICRO if len(offsets) == 1 else None


def _instant(zone: str, day: int, minute: int) -> int:
    """The first moment at which the zone's clock shows that minute of that day, or a later time."""
    tz = ZoneInfo(zone)
    wall = datetime.fromordinal(day) + timedelta(minutes=minute)
    before = wall.replace(tzinfo=tz)
    offset, after = (before.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    latest = _micros(wall.replace(tzinfo=UTC) - offset)
    if after <= offset:
        return latest  # It exists; where it comes twice, fold 0 is the first.
    # It was jumped over: the jump lies between the readings with the old offset and with the new one.
    seconds = range(_micros(wall.replace(tzinfo=UTC) - after) // _SECOND, latest // _SECOND + 1)
    shows = bisect_left(
        seconds, True, key=lambda s: _moment(s * _SECOND).astimezone(tz).replace(tzinfo=None) >= wall
    )
    return seconds[shows] * _SECOND


def calendar_to_mapping(calendar: Calendar) -> dict[str, Any]:
    """A calendar as plain JSON values, in one form only: equal calendars give equal text."""
    return {
        "name": calendar.name,
        "zone": calendar.zone,
        "openings": [[o.weekday, o.opens, o.closes] for o in calendar.openings],
        "closed": [day.isoformat() for day in sorted(calendar.closed)],
        "special": {day.isoformat(): [list(span) for span in spans] for day, spans in calendar.special},
    }


def calendar_from_mapping(mapping: Mapping[str, Any]) -> Calendar:
    """The calendar that `calendar_to_mapping` wrote. ValueError: it is not such a mapping."""
    try:
        return Calendar(
            name=mapping["name"],
            zone=mapping["zone"],
            openings=tuple(Opening(*row) for row in mapping["openings"]),
            closed=frozenset(date.fromisoformat(day) for day in mapping["closed"]),
            special=tuple((date.fromisoformat(d), _pairs(spans)) for d, spans in mapping["special"].items()),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a calendar as it is stored: {error}") from None


def _pairs(spans: Sequence[Sequence[int]]) -> Spans:
    return tuple((opens, closes) for opens, closes in spans)
