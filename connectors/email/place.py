"""Where a stream stands: its cursor, one mark a folder, and how it moves. Pure.

A folder's mails are numbered upwards (UID), so they are read in that order, and the mark is the last number
that was handed over. Where the server has numbered them anew (another UIDVALIDITY) the mark means nothing:
the folder is read again from some time before its last reading, and the mails' own ids tell what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

VERSION = 1
OVERLAP = timedelta(days=2)
"""So much before its last reading a folder is read again that was numbered anew."""

_UID_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one folder was read: the last number, under which UIDVALIDITY, from which time on mails count,
    and when the folder was last read to its end."""

    validity: int
    uid: int
    since: datetime
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    """A stream's cursor. `since` is where its first reading began: nothing older is ever handed over."""

    since: datetime
    marks: Mapping[str, Mark]

    @classmethod
    def read(cls, cursor: Mapping[str, Any]) -> Place:
        """A stored cursor. Raises ValueError where it is not one of ours."""
        try:
            if cursor["v"] != VERSION:
                raise ValueError("a cursor of another version")
            marks = {str(name): _read_mark(mark) for name, mark in cursor["marks"].items()}
            return cls(_time(cursor["since"]), marks)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a cursor of a mailbox") from error

    def written(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "v": VERSION,
            "since": self.since.isoformat(),
            "marks": {
                name: {
                    "validity": mark.validity,
                    "uid": mark.uid,
                    "since": mark.since.isoformat(),
                    "read_at": mark.read_at.isoformat(),
                }
                for name, mark in self.marks.items()
            },
        }

    def opened(self, folder: str, validity: int, now: datetime) -> Mark:
        """The mark of a folder that was opened, which may be a new one, or numbered anew."""
        mark = self.marks.get(folder)
        if mark is None:
            return Mark(validity, 0, self.since, now)
        if mark.validity != validity:
            return Mark(validity, 0, max(self.since, mark.read_at - OVERLAP), mark.read_at)
        return mark

    def moved(self, folder: str, mark: Mark) -> Place:
        """After some of a folder was read."""
        return replace(self, marks={**self.marks, folder: mark})


def begin(cursor: Mapping[str, Any] | None, now: datetime, look_back: timedelta) -> tuple[Place, str | None]:
    """The stored place, or a first one; and a gap's reason where what is stored could not be read."""
    if cursor is None:
        return Place(now - look_back, {}), None
    try:
        return Place.read(cursor), None
    except ValueError:
        return Place(now - look_back, {}), "the stored cursor could not be read, so it was started anew"


def _read_mark(mark: Mapping[str, Any]) -> Mark:
    validity, uid = mark["validity"], mark["uid"]
    if type(validity) is not int or type(uid) is not int or not 0 <= uid <= _UID_MAX:
        raise ValueError("a mark that is no number")
    return Mark(validity, uid, _time(mark["since"]), _time(mark["read_at"]))


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC)
