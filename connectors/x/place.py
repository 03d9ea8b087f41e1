"""Where a stream of X stands: its cursor, and how a page moves it. Pure.

X gives the newest first. So a *drain* reads page after page down to where the last one began, and only when
it is through does the mark move; a drain that is interrupted keeps its page token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.contract import Cursor
from connectors.x.parse import ID_DIGITS_MAX, snowflake, time_of

RECENT_MAX = 200
"""At most so many ids of the overlap are remembered; beyond them a post is only handed over twice."""

_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Drain:
    """A drain under way. `floor`: ids at or below it are older than it looks. `start`: the time from which X
    is asked instead of the floor, where X would refuse the id. `newest`: the highest id so far."""

    floor: int
    start: datetime | None
    begun: datetime
    newest: int = 0
    token: str | None = None
    pages: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A stream's cursor. Everything up to `mark` was handed over, as X showed it at `through`; `recent` are
    the ids already handed over of what X may still show late."""

    mark: int = 0
    through: datetime | None = None
    recent: frozenset[int] = frozenset()
    drain: Drain | None = None
    day: str | None = None
    reads: int = 0

    @classmethod
    def read(cls, cursor: Cursor | None) -> Place:
        """From the stored cursor. Raises ValueError for one that is not ours."""
        if cursor is None:
            return cls()
        try:
            if cursor["v"] != 1:
                raise ValueError("of another version")
            drain = cursor.get("drain")
            return cls(
                mark=_id(cursor["mark"]),
                through=_time(cursor.get("through")),
                recent=frozenset(_id(i) for i in cursor.get("recent", ())),
                drain=None if drain is None else _read_drain(drain),
                day=cursor.get("day"),
                reads=int(cursor.get("reads", 0)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("damaged") from error

    def written(self) -> Cursor:
        """As the store keeps it. Ids are texts: JSON's numbers are too short for them elsewhere."""
        cursor: dict[str, Any] = {"v": 1, "mark": str(self.mark), "day": self.day, "reads": self.reads}
        if self.through is not None:
            cursor["through"] = self.through.isoformat()
        if self.recent:
            cursor["recent"] = [str(i) for i in sorted(self.recent)]
        if self.drain is not None:
            d = self.drain
            cursor["drain"] = {
                "floor": str(d.floor),
                "start": d.start and d.start.isoformat(),
                "begun": d.begun.isoformat(),
                "newest": str(d.newest),
                "token": d.token,
                "pages": d.pages,
                "seen": d.seen,
            }
        return cursor


def begin(
    place: Place, now: datetime, *, look_back: timedelta, overlap: timedelta, window: timedelta | None
) -> tuple[Place, str | None]:
    """Start a drain, unless one is under way; and why something may have been missed, if so.

    `window` is how far back X shows this stream at all. The first run looks back by `look_back`.
    """
    if place.drain is not None:
        return place, None
    earliest = now - window + _WITHIN if window is not None else None
    if not place.mark or place.through is None:
        start = now - look_back if earliest is None else max(now - look_back, earliest)
        return replace(place, drain=Drain(snowflake(start), start, now)), None
    floor = min(place.mark, snowflake(place.through - overlap))
    if earliest is None or time_of(floor) >= earliest:
        return replace(place, drain=Drain(floor, None, now)), None
    gap = None
    if place.through < earliest:
        gap = (
            f"not read from {place.through:%Y-%m-%d %H:%M} UTC on, and X shows nothing from before "
            f"{earliest:%Y-%m-%d %H:%M} UTC"
        )
    return replace(place, drain=Drain(floor, earliest, now)), gap


def wanted(place: Place, native: int, *, edited: bool) -> bool:
    """Whether an object of a page is new to us: above the floor, and not handed over by the last drain."""
    if native in place.recent:
        return False
    return edited or place.drain is None or native > place.drain.floor


def take(
    place: Place, ids: Sequence[int], next_token: str | None, *, overlap: timedelta, to_the_floor: bool
) -> Place:
    """The place after a page with those ids. `to_the_floor`: X does not stop there by itself, so we do."""
    drain = place.drain
    if drain is None:
        raise ValueError("a page was taken in where no drain was begun")
    edge = snowflake(drain.begun - overlap)
    recent = sorted(place.recent.union(i for i in ids if i > edge))[-RECENT_MAX:]
    newest = max((*ids, drain.newest))
    through = to_the_floor and any(i <= drain.floor for i in ids)
    if next_token is not None and next_token != drain.token and not through:
        drain = replace(
            drain, newest=newest, token=next_token, pages=drain.pages + 1, seen=drain.seen + len(ids)
        )
        return replace(place, recent=frozenset(recent), drain=drain)
    return replace(
        place,
        mark=max(place.mark, newest, drain.floor),
        through=drain.begun,
        recent=frozenset(i for i in recent if i > edge),
        drain=None,
    )


def from_the_top(place: Place) -> Place:
    """The page token ran out: the drain begins anew, and still goes down to the same floor."""
    if place.drain is None:
        return place
    return replace(place, drain=replace(place.drain, token=None, pages=0, seen=0))


def from_time(place: Place, start: datetime) -> Place:
    """X refuses the mark as too old: ask by time instead."""
    if place.drain is None:
        return place
    return replace(place, drain=replace(place.drain, start=start, token=None, pages=0, seen=0))


def _read_drain(value: Mapping[str, Any]) -> Drain:
    begun = _time(value["begun"])
    if begun is None:
        raise ValueError("no beginning")
    return Drain(
        floor=_id(value["floor"]),
        start=_time(value.get("start")),
        begun=begun,
        newest=_id(value["newest"]),
        token=value.get("token"),
        pages=int(value["pages"]),
        seen=int(value["seen"]),
    )


def _id(value: Any) -> int:
    if not isinstance(value, str) or not value.isascii() or not 0 < len(value) <= ID_DIGITS_MAX:
        raise ValueError("not an id")
    return int(value)


def _time(value: Any) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
