"""Messages: what was written, with its revisions, and whose conversation each belongs to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from monitor.store.codec import from_us, from_us_or_none, say_json, to_us, to_us_or_none, verdict_from_json
from rules.attribution import Attribution, Link
from rules.case import Part
from rules.message import Author, Kind, Message

_T = TypeVar("_T")
IN_MAX = 500
"""How many ids one statement names at most."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The little of a stored message that taking in another sighting of it needs."""

    pk: int
    id: str
    conversation: str
    customer: str | None
    text: str
    verdict: str | None
    edited_at: datetime | None
    deleted_at: datetime | None
    streams: str
    created_at: datetime
    outbound: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """A brand's message and where it stands on the ladder."""

    pk: int
    link: Link
    conversation: str
    customer: str | None
    rung: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A message on its way in: with what was found out about it. Times as they are to be stored."""

    message: Message
    seen_at: datetime
    created_at: datetime
    automated: str | None
    addressed: bool
    verdict: str | None
    quiet_before: datetime | None
    stream: str


_LINK = "pk, id, author_id, outbound, parent, addressed_to, handles, created_at, conversation, customer, rung, public"
_PART = (
    "m.id, m.outbound, m.created_at, m.seen_at, m.author_handle, m.verdict, m.first_verdict, m.addressed,"
    " m.automated, m.edited_at, m.deleted_at, m.quiet_before, m.account, m.kind, m.public, m.followers, m.reach,"
    " m.language, m.rating"
)
_INSERT = (
    "INSERT INTO messages (scope, id, account, kind, conversation, customer, rung, parent, addressed_to,"
    " handles, author_id, author_handle, author_name, followers, outbound, automated, created_at, seen_at,"
    " edited_at, deleted_at, quiet_before, public, addressed, language, url, rating, reach, client, text,"
    " verdict, streams) VALUES (" + ", ".join("?" * 31) + ")"
)


def _placed(row: Sequence[Any]) -> Placed:
    pk, id, author, outbound, parent, to, handles, created_at, conversation, customer, rung, public = row
    link = Link(
        id,
        author,
        bool(outbound),
        parent,
        () if to == "[]" else tuple(json.loads(to)),
        () if handles == "[]" else tuple(json.loads(handles)),
        from_us(created_at),
        not public,
    )
    return Placed(pk, link, conversation, customer, rung)


class Messages:
    """The statements about messages of one scope (brand and connector)."""

    def __init__(self, connection: sqlite3.Connection, scope: int) -> None:
        self._connection = connection
        self.scope = scope

    def resolve(self, ids: Iterable[str]) -> dict[str, str]:
        """The id that we store for each of these that is an alias of another."""
        found: dict[str, str] = {}
        for some in _slices(sorted(set(ids))):
            rows = self._connection.execute(
                f"SELECT alias, id FROM aliases WHERE scope = ? AND alias IN ({_marks(some)})",
                (self.scope, *some),
            )
            found.update(rows)
        return found

    def known(self, ids: Iterable[str]) -> dict[str, Stored]:
        """Those of these ids that are stored."""
        found: dict[str, Stored] = {}
        for some in _slices(sorted(set(ids))):
            rows = self._connection.execute(
                "SELECT pk, id, conversation, customer, text, verdict, edited_at, deleted_at, streams, created_at,"
                f" outbound FROM messages WHERE scope = ? AND id IN ({_marks(some)})",
                (self.scope, *some),
            )
            for row in rows:
                pk, id, conversation, customer, text, verdict = row[:6]
                found[id] = Stored(
                    pk,
                    id,
                    conversation,
                    customer,
                    text,
                    verdict,
                    from_us_or_none(row[6]),
                    from_us_or_none(row[7]),
                    row[8],
                    from_us(row[9]),
                    bool(row[10]),
                )
        return found

    def insert(self, judged: Judged, placed: Attribution) -> int:
        """Store a message that is new. Returns its row number."""
        m = judged.message
        cursor = self._connection.execute(
            _INSERT,
            (
                self.scope,
                m.id,
                m.account,
                m.kind,
                m.conversation,
                placed.customer,
                placed.rung,
                m.parent,
                say_json(m.to) if m.to else "[]",
                say_json(m.handles) if m.handles else "[]",
                m.author.id,
                m.author.handle,
                m.author.name,
                m.author.followers,
                m.author.brand,
                judged.automated,
                to_us(judged.created_at),
                to_us(judged.seen_at),
                to_us_or_none(m.edited_at),
                to_us_or_none(m.deleted_at),
                to_us_or_none(judged.quiet_before),
                m.public,
                judged.addressed,
                m.language,
                m.url,
                m.rating,
                m.reach,
                m.client,
                m.text,
                judged.verdict,
                judged.stream,
            ),
        )
        return int(cursor.lastrowid or 0)

    def add_revision(
        self, pk: int, text: str, verdict: str | None, edited_at: datetime | None, recorded_at: datetime
    ) -> None:
        """Keep a text that is not the newest one. The same revision twice is one."""
        self._connection.execute(
            "INSERT OR IGNORE INTO revisions (message, edited_at, text, verdict, recorded_at) VALUES (?, ?, ?, ?, ?)",
            (pk, to_us_or_none(edited_at) or 0, text, verdict, to_us(recorded_at)),
        )

    def replace_text(self, pk: int, text: str, verdict: str | None, edited_at: datetime | None) -> None:
        """Make this the newest text."""
        self._connection.execute(
            "UPDATE messages SET text = ?, verdict = ?, edited_at = ? WHERE pk = ?",
            (text, verdict, to_us_or_none(edited_at), pk),
        )

    def settle_first_verdict(self, pk: int) -> None:
        """The verdict of the first text, for the borders of cases, after a revision came in."""
        self._connection.execute(
            "UPDATE messages SET first_verdict ="
            " (SELECT verdict FROM revisions WHERE message = ? ORDER BY edited_at LIMIT 1) WHERE pk = ?",
            (pk, pk),
        )

    def delete(self, pk: int, at: datetime) -> None:
        """It is gone from its platform. The earliest time that anybody told is kept, and the text too."""
        self._connection.execute(
            "UPDATE messages SET deleted_at = min(coalesce(deleted_at, ?), ?) WHERE pk = ?",
            (to_us(at), to_us(at), pk),
        )

    def check(self, ids: Sequence[str], at: datetime) -> None:
        """The platform was asked about these at that time."""
        self._connection.executemany(
            "UPDATE messages SET checked_at = ? WHERE scope = ? AND id = ?",
            [(to_us(at), self.scope, id) for id in ids],
        )

    def unite_sighting(self, stored: Stored, stream: str) -> None:
        """One more stream has seen it."""
        streams = stored.streams.split(" ")
        if stream not in streams:
            self._connection.execute(
                "UPDATE messages SET streams = ? WHERE pk = ?",
                (" ".join(sorted([*streams, stream])), stored.pk),
            )

    def add_aliases(self, id: str, aliases: Iterable[str]) -> list[str]:
        """Other ids of a message. Replies that named one of them now name the id that we store; returns the
        aliases that were new."""
        new = [a for a in aliases if a != id]
        fresh = []
        for alias in new:
            done = self._connection.execute(
                "INSERT OR IGNORE INTO aliases (scope, alias, id) VALUES (?, ?, ?)", (self.scope, alias, id)
            )
            if done.rowcount:
                fresh.append(alias)
                self._connection.execute(
                    "UPDATE messages SET parent = ? WHERE scope = ? AND parent = ?", (id, self.scope, alias)
                )
        return fresh

    def place(self, pk: int, placed: Attribution) -> None:
        """Say whose conversation it belongs to."""
        self._connection.execute(
            "UPDATE messages SET customer = ?, rung = ? WHERE pk = ?", (placed.customer, placed.rung, pk)
        )

    def replies_of_ours(self, parents: Iterable[str]) -> Iterator[Placed]:
        """The brand's messages that answer one of these."""
        for some in _slices(sorted(set(parents))):
            rows = self._connection.execute(
                f"SELECT {_LINK} FROM messages WHERE scope = ? AND outbound = 1 AND parent IN ({_marks(some)})",
                (self.scope, *some),
            ).fetchall()
            yield from map(_placed, rows)

    def replies_that_address(self, ours: Iterable[str]) -> list[tuple[int, str]]:
        """(pk, id) of customers' messages that answer one of these messages of the brand, and so address
        it, which was not known before."""
        found: list[tuple[int, str]] = []
        for some in _slices(sorted(set(ours))):
            found += self._connection.execute(
                f"SELECT pk, id FROM messages WHERE scope = ? AND parent IN ({_marks(some)})"
                " AND outbound = 0 AND addressed = 0",
                (self.scope, *some),
            ).fetchall()
        return found

    def address(self, pk: int, verdict: str) -> None:
        """It turned out to address the brand, and is judged as such."""
        self._connection.execute("UPDATE messages SET addressed = 1, verdict = ? WHERE pk = ?", (verdict, pk))

    def mark_addressed(self, pk: int) -> None:
        """One of its texts addresses the brand."""
        self._connection.execute("UPDATE messages SET addressed = 1 WHERE pk = ? AND addressed = 0", (pk,))

    def judged_after(self, pk: int, limit: int) -> list[tuple[int, str, bool, str | None]]:
        """(pk, id, addressed, verdict) of customers' messages behind that row, in order."""
        rows = self._connection.execute(
            "SELECT pk, id, addressed, verdict FROM messages WHERE scope = ? AND outbound = 0 AND pk > ?"
            " ORDER BY pk LIMIT ?",
            (self.scope, pk, limit),
        )
        return [(pk, id, bool(addressed), verdict) for pk, id, addressed, verdict in rows]

    def replace_verdict(self, pk: int, verdict: str, *, addressed: bool) -> None:
        """Judged anew."""
        self._connection.execute(
            "UPDATE messages SET verdict = ?, addressed = ? WHERE pk = ?", (verdict, addressed, pk)
        )

    def unplaced(self, conversation: str, after: datetime) -> Iterator[Placed]:
        """The brand's messages of this thread, written after then, that may answer somebody else once we know
        who else had written: we guess, or they name a customer."""
        rows = self._connection.execute(
            f"SELECT {_LINK} FROM messages WHERE scope = ? AND conversation = ? AND created_at > ?"
            " AND rung IN ('to', 'mention', 'inferred', 'nobody')",
            (self.scope, conversation, to_us(after)),
        ).fetchall()
        yield from map(_placed, rows)

    def threads_of(self, conversation: str, customer: str) -> list[str]:
        """The threads that are folded together: all of this customer's, this one first, where one of them is
        private, since a public case may go on there; else this one alone."""
        if customer not in self.with_private([customer]):
            return [conversation]
        rows = self._connection.execute(
            "SELECT DISTINCT conversation FROM messages WHERE scope = ? AND customer = ? ORDER BY 1",
            (self.scope, customer),
        )
        return [conversation, *(thread for (thread,) in rows if thread != conversation)]

    def with_private(self, customers: Iterable[str]) -> set[str]:
        """Those of these customers with whom anything private was written."""
        found: set[str] = set()
        for some in _slices(sorted(set(customers))):
            rows = self._connection.execute(
                "SELECT DISTINCT customer FROM messages INDEXED BY messages_private WHERE scope = ?"
                f" AND public = 0 AND customer IN ({_marks(some)})",
                (self.scope, *some),
            )
            found.update(customer for (customer,) in rows)
        return found

    def parts(self, threads: Sequence[str], customer: str) -> list[Part]:
        """What one customer and the brand wrote in these threads, for the fold; the first is its place."""
        labels = {(thread, customer): thread if number else "" for number, thread in enumerate(threads)}
        found = self.parts_of(labels)
        return [part for where in labels for part in found.get(where, ())]

    def parts_of(self, labels: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], list[Part]]:
        """What was written in each of these (conversation, customer), for the fold; their values label what
        the parts' `thread` is."""
        found: dict[tuple[str, str], list[Part]] = {}
        for some in _slices(list(labels)):
            rows = self._connection.execute(
                f"WITH wanted (conversation, customer) AS (VALUES {', '.join(['(?, ?)'] * len(some))})"
                f" SELECT {_PART}, m.conversation, m.customer FROM wanted w CROSS JOIN messages m"
                " ON m.scope = ? AND m.conversation = w.conversation AND m.customer = w.customer",
                (*(value for where in some for value in where), self.scope),
            )
            for row in rows:
                where = row[19:]
                found.setdefault(where, []).append(_part(row, labels[where]))
        return found

    def read(self, id: str) -> Message | None:
        """The message as it stands now, for alerts, exports and the like."""
        rows = list(read_messages(self._connection, "m.scope = ? AND m.id = ?", (self.scope, id)))
        return rows[0] if rows else None

    def checked_at(self, id: str) -> datetime | None:
        """When the platform last confirmed that it stands; None: never."""
        row = self._connection.execute(
            "SELECT checked_at FROM messages WHERE scope = ? AND id = ?", (self.scope, id)
        ).fetchone()
        return None if row is None else from_us_or_none(row[0])

    def conversations(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        """(conversation, customer) of all conversations in order, those behind `after`."""
        return self._connection.execute(
            "SELECT DISTINCT conversation, customer FROM messages WHERE scope = ? AND customer IS NOT NULL"
            " AND (conversation, customer) > (?, ?) ORDER BY conversation, customer LIMIT ?",
            (self.scope, *after, limit),
        ).fetchall()

    def find_case_place(self, id: str) -> tuple[str, str, datetime] | None:
        """The conversation, the customer and the time of the message with that id or alias."""
        row = self._connection.execute(
            "SELECT conversation, customer, created_at FROM messages WHERE scope = ? AND id ="
            " coalesce((SELECT id FROM aliases WHERE scope = ? AND alias = ?), ?)",
            (self.scope, self.scope, id, id),
        ).fetchone()
        if row is None or row[1] is None:
            return None
        return row[0], row[1], from_us(row[2])


def _part(row: Sequence[Any], thread: str) -> Part:
    (id, outbound, created, seen, handle, verdict, first, addressed, automated, edited, deleted, quiet) = row[
        :12
    ]
    return Part(
        id=id,
        inbound=not outbound,
        created_at=from_us(created),
        seen_at=from_us(seen),
        author_handle=handle,
        verdict=None if verdict is None else verdict_from_json(verdict),
        first_verdict=None if first is None else verdict_from_json(first),
        addressed=bool(addressed),
        automated=automated is not None,
        edited_at=from_us_or_none(edited),
        deleted_at=from_us_or_none(deleted),
        quiet_before=from_us_or_none(quiet),
        account=row[12],
        kind=Kind(row[13]),
        public=bool(row[14]),
        followers=row[15],
        reach=row[16],
        language=row[17],
        rating=row[18],
        thread=thread,
    )


class StoredThread:
    """One thread, as `rules.attribution` asks for it."""

    def __init__(self, connection: sqlite3.Connection, scope: int, conversation: str) -> None:
        self._connection = connection
        self._at = (scope, conversation)

    def find(self, id: str) -> Link | None:
        row = self._connection.execute(
            f"SELECT {_LINK} FROM messages WHERE scope = ? AND id = ?",
            (self._at[0], id),
        ).fetchone()
        return None if row is None else _placed(row).link

    def customers(self, ids: Iterable[str], before: datetime) -> tuple[str, ...]:
        wanted = sorted(set(ids))[:IN_MAX]
        rows = self._connection.execute(
            "SELECT DISTINCT customer FROM messages WHERE scope = ? AND conversation = ?"
            f" AND customer IN ({_marks(wanted)}) AND outbound = 0 AND created_at < ?",
            (*self._at, *wanted, to_us(before)),
        )
        return tuple(customer for (customer,) in rows)

    def customers_named(self, handles: Iterable[str], before: datetime) -> tuple[str, ...]:
        wanted = sorted(set(handles))[:IN_MAX]
        rows = self._connection.execute(
            "SELECT DISTINCT customer FROM messages WHERE scope = ? AND conversation = ? AND outbound = 0"
            f" AND lower(author_handle) IN ({_marks(wanted)}) AND created_at < ?",
            (*self._at, *wanted, to_us(before)),
        )
        return tuple(customer for (customer,) in rows)

    def waiting(self, at: datetime) -> tuple[str, ...]:
        rows = self._connection.execute(
            "SELECT customer FROM messages WHERE scope = ? AND conversation = ? AND customer IS NOT NULL"
            " AND created_at < ? GROUP BY customer"
            " HAVING max(CASE WHEN outbound = 0 THEN created_at END) >"
            " coalesce(max(CASE WHEN outbound = 1 AND automated IS NULL THEN created_at END), -1) LIMIT 2",
            (*self._at, to_us(at)),
        )
        return tuple(customer for (customer,) in rows)


_MESSAGE = (
    "s.brand, s.connector, m.account, m.id, m.kind, m.conversation, m.author_id, m.author_handle, m.author_name,"
    " m.followers, m.outbound, m.automated, m.text, m.created_at, m.parent, m.addressed_to, m.seen_at,"
    " m.edited_at, m.deleted_at, m.public, m.language, m.url, m.rating, m.reach, m.client, m.handles"
)


def read_messages(
    connection: sqlite3.Connection, where: str = "1", values: Sequence[object] = ()
) -> Iterator[Message]:
    """Whole messages, oldest first. `where` is SQL of this package only, never of a caller outside it."""
    rows = connection.execute(
        f"SELECT {_MESSAGE} FROM messages m JOIN scopes s ON s.id = m.scope WHERE {where}"
        " ORDER BY m.created_at, m.pk",
        values,
    )
    for r in rows:
        yield Message(
            brand=r[0],
            connector=r[1],
            account=r[2],
            id=r[3],
            kind=Kind(r[4]),
            conversation=r[5],
            author=Author(r[6], r[7], r[8], r[9], bool(r[10]), r[11] is not None),
            text=r[12],
            created_at=from_us(r[13]),
            parent=r[14],
            to=tuple(json.loads(r[15])),
            seen_at=from_us(r[16]),
            edited_at=from_us_or_none(r[17]),
            deleted_at=from_us_or_none(r[18]),
            public=bool(r[19]),
            language=r[20],
            url=r[21],
            rating=r[22],
            reach=r[23],
            client=r[24],
            handles=tuple(json.loads(r[25])),
        )


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _slices(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), IN_MAX):
        yield values[start : start + IN_MAX]
