"""Cases: the folds, kept only to be asked; and the facts that operators add to them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.store.codec import (
    case_from_json,
    case_to_json,
    from_us,
    from_us_or_none,
    to_us,
    to_us_or_none,
)
from rules.case import Action, Case, Status, Word


@dataclass(frozen=True, slots=True)
class Row:
    """A stored case, with when it is to be looked at again and why. `counted`: marks of its clocks
    whose breach is in the figures."""

    pk: int
    scope: int
    case: Case
    look_again_at: datetime | None
    reason: str
    counted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored case as it lies there: its JSON is read only where it must be."""

    pk: int
    id: str
    body: str
    counted: frozenset[str]

    @property
    def case(self) -> Case:
        return case_from_json(self.body)


@dataclass(frozen=True, slots=True)
class Mute:
    """An author (id or handle) or a phrase that nobody is alerted about. `brand` "" is all brands."""

    brand: str
    what: str
    value: str
    until: datetime | None
    who: str
    at: datetime


THREADS_MAX = 400
"""So many threads are asked about in one statement."""

_ROW = "pk, scope, body, look_again_at, reason, counted"


def _row(values: Sequence[Any]) -> Row:
    pk, scope, body, look_again_at, reason, counted = values
    case = case_from_json(body)
    return Row(pk, scope, case, from_us_or_none(look_again_at), reason, frozenset(counted.split()))


class Cases:
    """The statements about cases, over all scopes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of_threads(self, scope: int, threads: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[Kept]]:
        """The cases that began in each of these (conversation, customer), oldest first."""
        found: dict[tuple[str, str], list[Kept]] = {}
        for start in range(0, len(threads), THREADS_MAX):
            some = threads[start : start + THREADS_MAX]
            rows = self._connection.execute(
                f"WITH wanted (conversation, customer) AS (VALUES {', '.join(['(?, ?)'] * len(some))})"
                " SELECT c.conversation, c.customer, c.pk, c.id, c.body, c.counted FROM wanted w CROSS JOIN cases c"
                " ON c.scope = ? AND c.conversation = w.conversation AND c.customer = w.customer"
                " ORDER BY c.opened_at",
                (*(value for where in some for value in where), scope),
            )
            for thread, customer, pk, id, body, counted in rows:
                kept = Kept(pk, id, body, frozenset(counted.split()))
                found.setdefault((thread, customer), []).append(kept)
        return found

    def holding(self, scope: int, conversation: str, customer: str, at: datetime) -> Row | None:
        """The case that holds the customer's message written at that time, in this thread or, where it went
        on here from another, in that."""
        link = self._connection.execute(
            "SELECT since, case_id FROM links WHERE scope = ? AND conversation = ? AND customer = ? AND since <= ?"
            " ORDER BY since DESC LIMIT 1",
            (scope, conversation, customer, to_us(at)),
        ).fetchone()
        row = self._connection.execute(
            f"SELECT {_ROW} FROM cases WHERE scope = ? AND conversation = ? AND customer = ? AND opened_at <= ?"
            " ORDER BY opened_at DESC LIMIT 1",
            (scope, conversation, customer, to_us(at)),
        ).fetchone()
        found = None if row is None else _row(row)
        if link is not None and (found is None or to_us(found.case.opened_at) < link[0]):
            return self.find(link[1])
        return found

    def find(self, id: str) -> Row | None:
        """The case with that id."""
        row = self._connection.execute(f"SELECT {_ROW} FROM cases WHERE id = ?", (id,)).fetchone()
        return None if row is None else _row(row)

    def spans(self, scope: int, case: Case) -> list[tuple[str, datetime, datetime | None]]:
        """Where and from when until when it goes on: (thread, from, until), its own thread first."""
        found = []
        links = self._connection.execute(
            "SELECT conversation, since FROM links WHERE case_id = ? ORDER BY since", (case.id,)
        ).fetchall()
        for thread, since in [(case.place.conversation, to_us(case.opened_at)), *links]:
            where = (scope, thread, case.place.customer, since)
            ends = self._connection.execute(
                "SELECT min(at) FROM (SELECT min(opened_at) AS at FROM cases"
                " WHERE scope = ? AND conversation = ? AND customer = ? AND opened_at > ?"
                " UNION ALL SELECT min(since) FROM links"
                " WHERE scope = ? AND conversation = ? AND customer = ? AND since > ?)",
                (*where, *where),
            ).fetchone()
            found.append((thread, from_us(since), from_us_or_none(ends[0])))
        return found

    def link(self, scope: int, customer: str, links: Sequence[tuple[str, datetime, str]]) -> None:
        """Note where this customer's cases go on in other threads, as (thread, since, case id); all of them."""
        self._connection.execute("DELETE FROM links WHERE scope = ? AND customer = ?", (scope, customer))
        self._connection.executemany(
            "INSERT OR REPLACE INTO links (scope, conversation, customer, since, case_id) VALUES (?, ?, ?, ?, ?)",
            [(scope, thread, customer, to_us(since), id) for thread, since, id in links],
        )

    def write(
        self,
        scope: int,
        case: Case,
        look_again_at: datetime | None,
        counted: Iterable[str],
        *,
        new: bool,
        body: str | None = None,
    ) -> None:
        """Store a case as it is now folded. `body` is its JSON, where it was made already."""
        values = (
            case.status,
            case.priority,
            case.target,
            case.complaint,
            case.quiet,
            to_us_or_none(case.waiting_since),
            to_us_or_none(case.due_at),
            to_us_or_none(look_again_at),
            case_to_json(case) if body is None else body,
            " ".join(sorted(counted)),
            case.id,
        )
        if new:
            self._connection.execute(
                "INSERT INTO cases (status, priority, target, complaint, quiet, waiting_since, due_at, look_again_at,"
                " body, counted, id, scope, conversation, customer, opened_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, scope, case.place.conversation, case.place.customer, to_us(case.opened_at)),
            )
        else:
            self._connection.execute(
                "UPDATE cases SET status = ?, priority = ?, target = ?, complaint = ?, quiet = ?, waiting_since = ?,"
                " due_at = ?, look_again_at = ?, body = ?, counted = ? WHERE id = ?",
                values,
            )

    def keep_counted(self, id: str, counted: Iterable[str]) -> None:
        """Marks of the clocks whose breach is in the figures."""
        self._connection.execute("UPDATE cases SET counted = ? WHERE id = ?", (" ".join(sorted(counted)), id))

    def remove(self, pk: int) -> None:
        """It is no more: a late message joined it to another."""
        self._connection.execute("DELETE FROM cases WHERE pk = ?", (pk,))

    def to_look_at(self, now: datetime, limit: int) -> list[int]:
        """The row numbers of those whose time has come, the longest due first."""
        rows = self._connection.execute(
            "SELECT pk FROM cases WHERE look_again_at <= ? ORDER BY look_again_at LIMIT ?",
            (to_us(now), limit),
        )
        return [pk for (pk,) in rows.fetchall()]

    def get(self, pk: int) -> Row:
        """One of them. Raises LookupError where there is none such."""
        row = self._connection.execute(f"SELECT {_ROW} FROM cases WHERE pk = ?", (pk,)).fetchone()
        if row is None:
            raise LookupError(f"no case has the row number {pk}")
        return _row(row)

    def next_look(self) -> datetime | None:
        """When the next case is to be looked at."""
        row = self._connection.execute(
            "SELECT look_again_at FROM cases WHERE look_again_at IS NOT NULL ORDER BY look_again_at LIMIT 1"
        ).fetchone()
        return None if row is None else from_us(row[0])

    def waiting_behind(self, place: tuple[datetime, int] | None, limit: int) -> list[Row]:
        """The cases that wait and have something due, in the order of that; those behind a case's due time
        and row number, or from the start."""
        due_at, pk = (0, 0) if place is None else (to_us(place[0]), place[1])
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM cases WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL"
            " AND (due_at, pk) > (?, ?) ORDER BY due_at, pk LIMIT ?",
            (due_at, pk, limit),
        )
        return [_row(row) for row in rows.fetchall()]

    def look_later(self, pk: int, at: datetime | None, reason: str, *, wants_look: bool) -> None:
        """Note when to look again, and why."""
        self._connection.execute(
            "UPDATE cases SET look_again_at = ?, reason = ?, wants_look = ? WHERE pk = ?",
            (to_us_or_none(at), reason, wants_look, pk),
        )

    def look_now(self, scope: int, now: datetime) -> None:
        """The platform was read: those of this scope that waited for it are to be looked at."""
        self._connection.execute(
            "UPDATE cases SET look_again_at = min(coalesce(look_again_at, ?), ?) WHERE wants_look = 1 AND scope = ?",
            (to_us(now), to_us(now), scope),
        )

    def look_at_waiting(self, now: datetime) -> int:
        """Have every case that waits looked at, after a change of policy or mutes. Returns how many."""
        return self._connection.execute(
            "UPDATE cases SET look_again_at = ? WHERE status = 'waiting' AND quiet = 0", (to_us(now),)
        ).rowcount

    def waiting(self, limit: int) -> list[Row]:
        """Those who wait under a target, the soonest due first."""
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM cases WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL"
            " ORDER BY due_at LIMIT ?",
            (limit,),
        ).fetchall()
        return [_row(r) for r in rows]

    def count_waiting(self, scope: int | None = None) -> int:
        """How many wait under a target, in one scope or all."""
        row = self._connection.execute(
            "SELECT count(*) FROM cases WHERE status = 'waiting' AND quiet = 0 AND due_at IS NOT NULL"
            " AND (? IS NULL OR scope = ?)",
            (scope, scope),
        ).fetchone()
        return int(row[0])

    def everything(self) -> Iterator[Row]:
        """All cases, oldest first."""
        for values in self._connection.execute(f"SELECT {_ROW} FROM cases ORDER BY opened_at, id"):
            yield _row(values)

    def open_places(self) -> list[tuple[int, str, str]]:
        """(scope, conversation, customer) of every case whose customer waits."""
        return self._connection.execute(
            "SELECT DISTINCT scope, conversation, customer FROM cases WHERE status IN (?, ?)",
            (Status.WAITING, Status.NOT_NEEDED),
        ).fetchall()

    def said_of(self, scope: int, threads: Sequence[str], customer: str) -> list[Action]:
        """What operators said of any message of this customer's threads."""
        rows = self._connection.execute(
            "SELECT a.word, a.message, a.who, a.at, a.until, a.note FROM actions a"
            " JOIN messages m ON m.scope = a.scope AND m.id = a.message"
            f" WHERE a.scope = ? AND m.conversation IN ({', '.join('?' * len(threads))}) AND m.customer = ?"
            " ORDER BY a.at, a.pk",
            (scope, *threads, customer),
        )
        return [Action(Word(w), m, who, from_us(at), from_us_or_none(u), n) for w, m, who, at, u, n in rows]

    def all_said(self) -> list[tuple[int, Action]]:
        """Every operator's word with its scope, in order."""
        rows = self._connection.execute(
            "SELECT scope, word, message, who, at, until, note FROM actions ORDER BY at, pk"
        )
        return [
            (scope, Action(Word(w), m, who, from_us(at), from_us_or_none(u), n))
            for scope, w, m, who, at, u, n in rows
        ]

    def any_said(self) -> bool:
        """Whether any operator ever said anything: most folds need not ask then."""
        return bool(self._connection.execute("SELECT EXISTS (SELECT 1 FROM actions)").fetchone()[0])

    def say(self, scope: int, action: Action) -> None:
        """Record an operator's word."""
        self._connection.execute(
            "INSERT INTO actions (scope, message, word, who, at, until, note) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                scope,
                action.message_id,
                action.word,
                action.who,
                to_us(action.at),
                to_us_or_none(action.until),
                action.note,
            ),
        )

    def mute(self, mute: Mute) -> None:
        """Record that an author or a phrase is muted."""
        self._connection.execute(
            "INSERT INTO mutes (brand, what, value, until, who, at) VALUES (?, ?, ?, ?, ?, ?)",
            (mute.brand, mute.what, mute.value, to_us_or_none(mute.until), mute.who, to_us(mute.at)),
        )

    def unmute(self, mute: Mute, at: datetime) -> None:
        """It ends then."""
        self._connection.execute(
            "UPDATE mutes SET until = ? WHERE brand = ? AND what = ? AND value = ? AND who = ? AND at = ?",
            (to_us(at), mute.brand, mute.what, mute.value, mute.who, to_us(mute.at)),
        )

    def mutes(self, now: datetime) -> list[Mute]:
        """The mutes that hold now."""
        rows = self._connection.execute(
            "SELECT brand, what, value, until, who, at FROM mutes WHERE until IS NULL OR until > ? LIMIT 10000",
            (to_us(now),),
        )
        return [Mute(b, w, v, from_us_or_none(u), who, from_us(at)) for b, w, v, u, who, at in rows]
