"""Where a stream of Reddit stands: its cursor, and how it moves. Pure; nothing is fetched here.

Reddit's listings come newest first, by `after`. Marks are times and recent ids, never anchors: an anchor
that was deleted meanwhile gives an empty page. A mark moves only when the walk down to it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

VERSION = 1
RECENT_MAX = 200
"""So many ids are remembered for each listing: the newest page, and what may slide back into it."""

ANCHORS_MAX = 3
LISTED_MAX = 1000
"""Reddit's listings end after about so many (Reddit's API docs and praw's, "limit")."""

WALK_MAX = 40
_CIRCLE = "Reddit gave the same page again and again, so the rest was not read"
_ID_LENGTH_MAX = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a listing as far as walking cares: its fullname, when it was written (Unix seconds; None
    where that cannot be read), and a stamp that changes when it was edited or deleted."""

    id: str
    at: float | None
    stamp: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Down to where a listing was read before, and which entries were seen lately."""

    at: float
    recent: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Walk:
    """A reading under way. `listing` is which one of the stream's it is in, `anchors` are the last entries
    of the page before (the last of them is where the next page begins), `top` is what will be the mark."""

    begun: datetime
    listing: int = 0
    anchors: tuple[str, ...] = ()
    top: Mark | None = None
    pages: int = 0
    seen: int = 0
    in_listing: int = 0


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
            raise ValueError("not a cursor of Reddit's streams") from error

    def written(self) -> dict[str, Any]:
        """The JSON form."""
        walk = self.walk
        return {
            "v": VERSION,
            "since": self.since.isoformat(),
            "marks": {name: _write_mark(mark) for name, mark in self.marks.items()},
            "walk": None
            if walk is None
            else {
                "begun": walk.begun.isoformat(),
                "listing": walk.listing,
                "anchors": list(walk.anchors),
                "top": None if walk.top is None else _write_mark(walk.top),
                "pages": walk.pages,
                "seen": walk.seen,
                "in_listing": walk.in_listing,
            },
        }


def begin(place: Place | None, now: datetime, look_back: timedelta, listings: int) -> Place:
    """The place with a walk under way: the stored one, or a new one from the top."""
    if place is None:
        return Place(now - look_back, {}, Walk(now))
    if place.walk is None or place.walk.listing >= listings:
        return replace(place, walk=Walk(now))
    return place


def is_new(place: Place, name: str, row: Row) -> bool:
    """Whether an entry is to be handed over: not older than the first reading, and not already so."""
    if row.at is not None and row.at < place.since.timestamp():
        return False
    mark = place.marks.get(name)
    return mark is None or mark.recent.get(row.id) != row.stamp


def was_changed(place: Place, name: str, row: Row) -> bool:
    """Whether an entry that was handed over before reads otherwise now."""
    mark = place.marks.get(name)
    return mark is not None and mark.recent.get(row.id, row.stamp) != row.stamp


def take(
    place: Place, names: Sequence[str], rows: Sequence[Row], after: str | None, empty: bool
) -> tuple[Place, str | None]:
    """The place after a page of the listing that the walk is in, and what may have been lost. `empty`: the
    page had no entries at all, understood or not."""
    walk = place.walk
    if walk is None:
        raise RuntimeError("a page was taken in where no walk was begun")
    name = names[walk.listing]
    mark = place.marks.get(name)
    floor = place.since.timestamp() if mark is None else mark.at
    walk = replace(walk, pages=walk.pages + 1, in_listing=walk.in_listing + 1)
    endless = walk.in_listing >= WALK_MAX
    if empty and walk.anchors:
        if endless:
            return _next(place, names), _CIRCLE
        # The anchor may have been deleted: go on from the entry before it, at last from the top again.
        left = walk.anchors[:-1]
        return replace(place, walk=replace(walk, anchors=left, seen=walk.seen if left else 0)), None
    walk = replace(walk, seen=walk.seen + len(rows))
    if walk.top is None:
        newest = max((r.at for r in rows if r.at is not None), default=floor)
        walk = replace(walk, top=Mark(max(floor, min(newest, walk.begun.timestamp())), {}))
    walk = replace(walk, top=_remembering(walk.top, rows, mark))
    place = replace(place, walk=walk)
    reached = any(r.at is not None and r.at < floor for r in rows)
    if reached or after is None:
        lost = not reached and walk.seen >= LISTED_MAX - 50
        return _next(place, names), (
            f"Reddit shows only the newest {LISTED_MAX} entries of a listing" if lost else None
        )
    if endless or after in walk.anchors:
        return _next(place, names), _CIRCLE
    anchors = (*(r.id for r in rows if r.id != after), after)[-ANCHORS_MAX:]
    return replace(place, walk=replace(walk, anchors=anchors)), None


def _remembering(top: Mark | None, rows: Sequence[Row], mark: Mark | None) -> Mark | None:
    """The mark to be, with as many entries as it may remember: this walk's, newest first, then older ones."""
    if top is None:
        return None
    recent = dict(top.recent)
    known = mark.recent if mark is not None else {}
    for id, stamp in (*((r.id, r.stamp) for r in rows), *known.items()):
        if len(recent) >= RECENT_MAX:
            break
        recent.setdefault(id, stamp)
    return Mark(top.at, recent)


def _next(place: Place, names: Sequence[str]) -> Place:
    """This listing is read: its mark moves, and the next one's turn comes, if there is one."""
    walk = place.walk
    if walk is None:
        raise RuntimeError("a listing was ended where no walk was begun")
    marks = dict(place.marks)
    if walk.top is not None:
        marks[names[walk.listing]] = walk.top
    # A listing that is no longer read (a subreddit less in the config) leaves no mark behind.
    marks = {n: m for n, m in marks.items() if n in names}
    onward = walk.listing + 1
    going = None if onward >= len(names) else Walk(walk.begun, onward, pages=walk.pages)
    return replace(place, marks=marks, walk=going)


def _write_mark(mark: Mark) -> dict[str, Any]:
    return {"at": mark.at, "recent": dict(mark.recent)}


def _read_mark(value: Any) -> Mark:
    at = value["at"]
    if type(at) not in (int, float) or not 0 <= at < 1e12:
        raise ValueError("a mark without a time")
    recent = {_id(i): _stamp(s) for i, s in value["recent"].items()}
    if len(recent) > RECENT_MAX:
        raise ValueError("a mark with too many ids")
    return Mark(float(at), recent)


def _read_walk(value: Any) -> Walk:
    top = value["top"]
    return Walk(
        begun=_time(value["begun"]),
        listing=_count(value["listing"]),
        anchors=tuple(_ids(value["anchors"])),
        top=None if top is None else _read_mark(top),
        pages=_count(value["pages"]),
        seen=_count(value["seen"]),
        in_listing=_count(value["in_listing"]),
    )


def _ids(values: Any) -> Iterable[str]:
    if type(values) is not list or len(values) > ANCHORS_MAX:
        raise ValueError("not a list of anchors")
    return (_id(v) for v in values)


def _id(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= _ID_LENGTH_MAX:
        raise ValueError("not a fullname")
    return value


def _stamp(value: Any) -> str:
    if type(value) is not str or len(value) > 40:
        raise ValueError("not a stamp")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1_000_000:
        raise ValueError("not a count")
    return value


def _time(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return at.astimezone(UTC)
