"""Where the stream of direct messages stands: its cursor, and what is asked next. Pure.

Bluesky's chat has a log that is read forward from a cursor, but which begins when it is first asked for, and
of which nobody says how long it is kept (atproto issue 2760: ask for the log's cursor first, then read the
conversations, then go on with the log). So a first reading, and one after a long absence, reads the
conversations themselves, as far back as is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.bluesky.parse import Talk

VERSION = 1
ABSENT = timedelta(hours=12)
"""After so long without a reading the log is not relied upon."""

LISTS_MAX = 20
TALK_PAGES_MAX = 20


@dataclass(frozen=True, slots=True)
class Talks:
    """`since` is how far back conversations are read; `log` is where the log goes on; `read_at` is when it
    was last read. A catching up is under way while `listing` (with `list_token` of the page that
    is next, `lists` pages read) or while `waiting` holds conversations to be read, the first of them from
    `token` on (`pages` read)."""

    since: datetime
    log: str
    read_at: datetime
    listing: bool = True
    list_token: str | None = None
    lists: int = 0
    waiting: tuple[str, ...] = ()
    token: str | None = None
    pages: int = 0

    @classmethod
    def read(cls, cursor: Mapping[str, Any]) -> Talks:
        """A stored cursor. Raises ValueError where it is not one of ours."""
        try:
            if cursor["v"] != VERSION:
                raise ValueError("a cursor of another version")
            tokens = [cursor["list_token"], cursor["token"]]
            if not all(t is None or isinstance(t, str) for t in tokens):
                raise ValueError("a page that is not named by a text")
            return cls(
                _time(cursor["since"]),
                str(cursor["log"]),
                _time(cursor["read_at"]),
                bool(cursor["listing"]),
                tokens[0],
                int(cursor["lists"]),
                tuple(str(id) for id in cursor["waiting"]),
                tokens[1],
                int(cursor["pages"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a cursor of direct messages") from error

    def written(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "v": VERSION,
            "since": self.since.isoformat(),
            "log": self.log,
            "read_at": self.read_at.isoformat(),
            "listing": self.listing,
            "list_token": self.list_token,
            "lists": self.lists,
            "waiting": list(self.waiting),
            "token": self.token,
            "pages": self.pages,
        }

    @property
    def caught_up(self) -> bool:
        """Whether only the log is read."""
        return not self.listing and not self.waiting

    def listed(self, talks: Sequence[Talk], token: str | None) -> tuple[Talks, str | None]:
        """After a page of the list of conversations, which has those written in last first; and a gap's
        reason."""
        fresh = [t.id for t in talks if t.last_at is None or t.last_at >= self.since]
        lists = self.lists + 1
        older = any(t.last_at is not None and t.last_at < self.since for t in talks)
        more = token is not None and token != self.list_token and not older
        gap = None
        if more and lists >= LISTS_MAX:
            more, gap = False, f"more than {LISTS_MAX} pages of conversations, so the rest was not read"
        waiting = tuple(dict.fromkeys((*self.waiting, *fresh)))
        there = token if more else None
        return replace(self, listing=more, list_token=there, lists=lists, waiting=waiting), gap

    def talked(self, oldest: datetime | None, token: str | None) -> tuple[Talks, str | None]:
        """After a page of the first conversation that waits, whose oldest message is from then; and a gap's
        reason."""
        pages = self.pages + 1
        more = token is not None and token != self.token and (oldest is None or oldest >= self.since)
        gap = None
        if more and pages >= TALK_PAGES_MAX:
            more, gap = (
                False,
                f"more than {TALK_PAGES_MAX} pages of one conversation, so the rest was not read",
            )
        if more:
            return replace(self, token=token, pages=pages), None
        return replace(self, waiting=self.waiting[1:], token=None, pages=0), gap

    def logged(self, log: str | None, told: bool, now: datetime) -> tuple[Talks, bool]:
        """After a page of the log, which told of something or did not; and whether more of it waits."""
        more = told and log is not None and log != self.log
        return replace(self, log=self.log if log is None else log, read_at=now), more


def begin(log: str | None, since: datetime, now: datetime) -> Talks:
    """A first reading. `log` is what the log said of where it goes on."""
    return Talks(since, log or "", now)


def is_stale(talks: Talks, now: datetime) -> bool:
    """Whether too long has passed since the log was read for it to be relied upon."""
    return talks.caught_up and now - talks.read_at > ABSENT


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC)
