"""Where a stream stands whose platform lists the newest first: its cursor, and how it moves. Pure.

Such a list is read from its top, page by page, down to where it was read before; only then does its mark
move, so that a page that fails, or a restart between any two, loses nothing. Pages are asked for by the
platform's own token, which is opaque here. A stream may be read from several lists, one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

VERSION = 1
RECENT_MAX = 300
"""So many ids are remembered for each list: the newest pages, and what may slide back into them."""

PAGES_MAX = 200
"""A list that is longer than so many pages is not read to its end; a gap says so."""

_TOKEN_LENGTH_MAX = 4000
_ID_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a list as far as walking cares: its id, when the platform lists it (Unix seconds; None
    where that cannot be read), and a stamp that changes when the entry does (edited, answered, deleted)."""

    id: str
    at: float | None
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """Down to where a list was read before, and which entries were seen lately."""

    at: float
    recent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Walk:
    """A reading under way: in which list, at which page (None: the top), and what will be the mark of that
    list. `pages` counts all of this reading."""

    begun: datetime
    listing: str
    token: str | None = None
    top: Mark | None = None
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """A stream's cursor. `since` is where the first reading began: nothing older is ever handed over."""

    since: datetime
    marks: Mapping[str, Mark]
    walk: Walk | None = None

    @classmethod
    def read(cls, cursor: Mapping[str, Any]) -> Place:
        """A stored cursor. Raises ValueError where it is not one of ours."""
        try:
            if cursor["v"] != VERSION:
                raise ValueError("a cursor of another version")
            marks = {str(name): _read_mark(mark) for name, mark in cursor["marks"].items()}
            walk = cursor.get("walk")
            return cls(_time(cursor["since"]), marks, None if walk is None else _read_walk(walk))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a cursor of a list that is walked") from error

    def written(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "v": VERSION,
            "since": self.since.isoformat(),
            "marks": {name: _write_mark(mark) for name, mark in self.marks.items()},
            "walk": None if self.walk is None else _write_walk(self.walk),
        }

    @property
    def drained(self) -> bool:
        """Whether every list was read down to its mark."""
        return self.walk is None


def begin(
    cursor: Mapping[str, Any] | None, now: datetime, look_back: timedelta, listings: Sequence[str]
) -> tuple[Place, Walk, str | None]:
    """The place with a reading under way, that reading, and a gap's reason where the stored cursor could not
    be read. `listings` are at least one."""
    gap = None
    try:
        place = Place(now - look_back, {}) if cursor is None else Place.read(cursor)
    except ValueError:
        place, gap = Place(now - look_back, {}), "the stored cursor could not be read, so it was started anew"
    walk = place.walk
    if walk is None or walk.listing not in listings:
        walk = Walk(now, listings[0])
    return replace(place, walk=walk), walk, gap


def is_new(place: Place, listing: str, row: Row) -> bool:
    """Whether an entry is to be handed over: not older than the first reading, and not already so."""
    if row.at is not None and row.at < place.since.timestamp():
        return False
    mark = place.marks.get(listing)
    return mark is None or mark.recent.get(row.id) != row.stamp


def was_changed(place: Place, listing: str, row: Row) -> bool:
    """Whether an entry that was handed over before reads otherwise now."""
    mark = place.marks.get(listing)
    return mark is not None and mark.recent.get(row.id, row.stamp) != row.stamp


def take(
    place: Place,
    listings: Sequence[str],
    rows: Iterable[Row],
    token: str | None,
    *,
    overlap: timedelta = timedelta(0),
    pages_max: int = PAGES_MAX,
) -> tuple[Place, str | None]:
    """Where the stream stands after that page of its reading, and a gap's reason if some was left unread.

    `token` is of the next page; None: there is none. `overlap`: entries may turn up so much below the mark,
    so that the reading goes on until it is that far below. Raises ValueError where no reading is under way.
    """
    walk = place.walk
    if walk is None:
        raise ValueError("no reading is under way")
    found = list(rows)
    mark = place.marks.get(walk.listing)
    top = _add(walk.top, found, place.since)
    walk = replace(walk, top=top, pages=walk.pages + 1)
    floor = place.since.timestamp() if mark is None else max(place.since.timestamp(), mark.at)
    floor -= overlap.total_seconds()
    below = any(row.at is not None and row.at < floor for row in found)
    known = mark is not None and bool(found) and all(mark.recent.get(r.id) == r.stamp for r in found)
    known = known and not overlap  # what turns up late may stand below what is known
    circle = token is not None and (token == walk.token or len(token) > _TOKEN_LENGTH_MAX)
    gap = None
    if circle:
        gap = "the platform gave the same page again, so the rest was not read"
    elif walk.pages >= pages_max and token is not None and not (below or known):
        gap = f"more than {pages_max} pages at once, so the rest was not read"
    if token is not None and not (below or known or gap):
        return replace(place, walk=replace(walk, token=token)), None
    marks = {**place.marks, walk.listing: _merged(top, mark, place.since)}
    after = list(listings).index(walk.listing) + 1
    following = None
    if after < len(listings):
        following = Walk(walk.begun, listings[after], pages=walk.pages if gap is None else 0)
    kept = {name: marks[name] for name in listings if name in marks}
    return replace(place, marks=kept, walk=following), gap


def _add(top: Mark | None, rows: Sequence[Row], since: datetime) -> Mark:
    """What will be the mark, with another page's entries. The newest come first, and stay."""
    times = [row.at for row in rows if row.at is not None]
    at = max([since.timestamp() if top is None else top.at, *times])
    recent = dict(top.recent) if top is not None else {}
    for row in rows:
        if len(recent) < RECENT_MAX:
            recent.setdefault(row.id, row.stamp)
    return Mark(at, recent)


def _merged(top: Mark, mark: Mark | None, since: datetime) -> Mark:
    """The new mark: what was seen now, and of what was seen before as much as there is room for."""
    if mark is None:
        return top
    recent = dict(top.recent)
    for id, stamp in mark.recent.items():
        if len(recent) >= RECENT_MAX:
            break
        recent.setdefault(id, stamp)
    return Mark(max(top.at, mark.at, since.timestamp()), recent)


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC)


def _read_mark(mark: Mapping[str, Any]) -> Mark:
    recent = {str(id)[:_ID_LENGTH_MAX]: str(stamp) for id, stamp in mark["recent"].items()}
    return Mark(float(mark["at"]), recent)


def _write_mark(mark: Mark) -> dict[str, Any]:
    return {"at": mark.at, "recent": dict(mark.recent)}


def _read_walk(walk: Mapping[str, Any]) -> Walk:
    token, top = walk["token"], walk["top"]
    return Walk(
        _time(walk["begun"]),
        str(walk["listing"]),
        None if token is None else str(token),
        None if top is None else _read_mark(top),
        int(walk["pages"]),
    )


def _write_walk(walk: Walk) -> dict[str, Any]:
    return {
        "begun": walk.begun.isoformat(),
        "listing": walk.listing,
        "token": walk.token,
        "top": None if walk.top is None else _write_mark(walk.top),
        "pages": walk.pages,
    }
