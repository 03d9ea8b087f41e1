"""The outbox: what is to be said to whom, and what became of it.

    pending ──lease──▶ leased ──accepted──▶ delivered
       ▲                 │ └──refused──▶ dead
       └──retry, lease ran out──┘
    pending or leased ──no longer true──▶ superseded        (shadow: written, never sent)

A row is made in the transaction of the change that caused it; its key keeps it from being made twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.store.codec import from_us, from_us_or_none, say_json, to_us, to_us_or_none
from rules.alert import Stage
from rules.case import ClockName
from rules.decisions import Owed, Said


class State(StrEnum):
    """Where an outbox row stands."""

    PENDING = "pending"
    LEASED = "leased"
    DELIVERED = "delivered"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class About:
    """The case that a row is about: where it stands, and its first message when the row was made (the fold
    finds the case that holds that message now)."""

    scope: int
    conversation: str
    customer: str
    message: str
    message_at: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to say to one recipient over one channel."""

    pk: int
    key: str
    subject: str
    about: About | None
    owed: Owed
    channel: str
    recipient: str
    state: State
    body: Mapping[str, Any]
    created_at: datetime
    due_at: datetime
    attempts: int
    maybe_told: bool
    ended_at: datetime | None
    outcome: str | None
    receipt: Mapping[str, Any] | None

    @property
    def said(self) -> Said:
        """What the core needs to know of it."""
        told = self.state in (State.DELIVERED, State.SHADOW) or self.maybe_told
        pending = self.state in (State.PENDING, State.LEASED)
        return Said(self.owed, told, pending, self.created_at, self.subject)

    @property
    def stage(self) -> Stage:
        return self.owed.stage


_ROW = (
    "pk, key, subject, scope, conversation, customer, message, message_at, stage, cycle, repeat, moment, channel,"
    " recipient, state, body, created_at, due_at, attempts, maybe_told, ended_at, outcome, receipt, clock, round, step, wait_at"
)


def _row(r: Sequence[Any]) -> Row:
    body = json.loads(r[15])
    unknown_since = body.get("unknown_since")
    owed = Owed(
        stage=Stage(r[8]),
        cycle=r[9],
        repeat=r[10],
        moment=from_us(r[11]),
        clock=ClockName(r[23]),
        round=r[24],
        step=r[25],
        caveats=tuple(body.get("caveats", ())),
        unknown_since=None if unknown_since is None else from_us(unknown_since),
        wait_at=from_us_or_none(r[26]),
        to=body.get("to"),
    )
    about = None if r[4] is None else About(r[3], r[4], r[5], r[6], from_us(r[7]))
    return Row(
        pk=r[0],
        key=r[1],
        subject=r[2],
        about=about,
        owed=owed,
        channel=r[12],
        recipient=r[13],
        state=State(r[14]),
        body=body,
        created_at=from_us(r[16]),
        due_at=from_us(r[17]),
        attempts=r[18],
        maybe_told=bool(r[19]),
        ended_at=from_us_or_none(r[20]),
        outcome=r[21],
        receipt=None if r[22] is None else json.loads(r[22]),
    )


_UNSENT = "outbox INDEXED BY outbox_due WHERE state IN ('pending', 'leased')"
_ENDED = "outbox INDEXED BY outbox_ended WHERE state IN ('delivered', 'superseded', 'shadow')"
_IN_STATE = {
    State.PENDING: f"{_UNSENT} AND state = 'pending'",
    State.LEASED: f"{_UNSENT} AND state = 'leased'",
    State.DELIVERED: f"{_ENDED} AND state = 'delivered'",
    State.SUPERSEDED: f"{_ENDED} AND state = 'superseded'",
    State.SHADOW: f"{_ENDED} AND state = 'shadow'",
    State.DEAD: "outbox INDEXED BY outbox_dead WHERE state = 'dead'",
}
"""The rows in each state by the index that holds few others. A partial index is used only where the query
says its condition word for word."""


class Outbox:
    """The statements about the outbox."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(
        self,
        *,
        key: str,
        subject: str,
        about: About | None,
        owed: Owed,
        channel: str,
        recipient: str,
        body: Mapping[str, Any],
        now: datetime,
        state: State = State.PENDING,
        outcome: str | None = None,
    ) -> bool:
        """Have it said. False where it had been made before: nothing is said twice. `state` SHADOW: it is
        only noted; SUPERSEDED: another says it, which is the `outcome`."""
        more: dict[str, Any] = {"caveats": owed.caveats} if owed.caveats else {}
        if owed.unknown_since is not None:
            more["unknown_since"] = to_us(owed.unknown_since)
        if owed.to is not None:
            more["to"] = owed.to
        done = self._connection.execute(
            "INSERT OR IGNORE INTO outbox (key, subject, scope, conversation, customer, message, message_at, stage,"
            " cycle, repeat, moment, channel, recipient, state, body, created_at, due_at, clock, round, step,"
            " ended_at, outcome, wait_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                subject,
                about.scope if about else None,
                about.conversation if about else None,
                about.customer if about else None,
                about.message if about else None,
                to_us(about.message_at) if about else None,
                owed.stage,
                owed.cycle,
                owed.repeat,
                to_us(owed.moment),
                channel,
                recipient,
                state,
                say_json({**body, **more}),
                to_us(now),
                to_us(now),
                owed.clock,
                owed.round,
                owed.step,
                to_us(now) if state is State.SUPERSEDED else None,
                outcome,
                to_us_or_none(owed.wait_at),
            ),
        )
        return done.rowcount == 1

    def of_case(
        self, scope: int, conversation: str, customer: str, since: datetime, until: datetime | None
    ) -> list[Row]:
        """What was said about the case that spans these times, oldest first: the union over its members."""
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM outbox WHERE scope = ? AND conversation = ? AND customer = ?"
            " AND message_at >= ? AND (? IS NULL OR message_at < ?) ORDER BY pk",
            (
                scope,
                conversation,
                customer,
                to_us(since),
                to_us_or_none(until),
                to_us_or_none(until),
            ),
        )
        return [_row(r) for r in rows]

    def of_subject(self, subject: str) -> list[Row]:
        """What was said of it, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM outbox WHERE subject = ? ORDER BY pk", (subject,)
        )
        return [_row(r) for r in rows]

    def get(self, pk: int) -> Row | None:
        row = self._connection.execute(f"SELECT {_ROW} FROM outbox WHERE pk = ?", (pk,)).fetchone()
        return None if row is None else _row(row)

    def due(self, channel: str, now: datetime, limit: int) -> list[Row]:
        """The rows of a channel that may be sent now, in the order in which they were made.

        One subject's alerts keep their order: a row waits while an earlier one of its subject and
        recipient has not ended; but for one that reached some already, and holds nobody up for the rest. A
        leased row comes back when its lease has run out.
        """
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM outbox o WHERE channel = ? AND due_at <= ? AND state IN ('pending', 'leased')"
            " AND (lease_until IS NULL OR lease_until <= ?)"
            " AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.subject = o.subject AND e.channel = o.channel"
            " AND e.recipient = o.recipient AND e.pk < o.pk AND e.state IN ('pending', 'leased')"
            " AND e.receipt IS NULL)"
            " ORDER BY due_at, pk LIMIT ?",
            (channel, to_us(now), to_us(now), limit),
        ).fetchall()
        return [_row(r) for r in rows]

    def has_due(self, channel: str, now: datetime) -> bool:
        """Whether a row of the channel may be sent now, as far as its times tell."""
        row = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE channel = ? AND due_at <= ? AND state IN ('pending', 'leased')"
            " AND (lease_until IS NULL OR lease_until <= ?))",
            (channel, to_us(now), to_us(now)),
        ).fetchone()
        return bool(row[0])

    def held_back(self, channel: str, now: datetime, limit: int) -> list[Row]:
        """The stages of cases that a channel has still to say, oldest first: what was tried in vain, and what
        has not been tried. Not what reached some already, or is put off until its hours begin."""
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM outbox INDEXED BY outbox_due WHERE channel = ? AND state IN ('pending', 'leased')"
            " AND state = 'pending' AND stage IN ('warning', 'breach', 'escalated') AND receipt IS NULL"
            " AND conversation IS NOT NULL AND (due_at <= ? OR attempts > 0) ORDER BY pk LIMIT ?",
            (channel, to_us(now), limit),
        ).fetchall()
        return [_row(r) for r in rows]

    def unsent(self, made_before: datetime, now: datetime, limit: int) -> list[Row]:
        """What was made before then, is not sent yet, and was not looked at by `look_later` for a fallback."""
        rows = self._connection.execute(
            f"SELECT {_ROW} FROM outbox INDEXED BY outbox_due WHERE state IN ('pending', 'leased') AND created_at <= ?"
            " AND coalesce(json_extract(body, '$.fallback_looked'), 0) <= ? ORDER BY pk LIMIT ?",
            (to_us(made_before), to_us(now), limit),
        ).fetchall()
        return [_row(r) for r in rows]

    def look_later(self, pk: int, at: datetime) -> None:
        """`unsent` passes it over until then."""
        self._connection.execute(
            "UPDATE outbox SET body = json_set(body, '$.fallback_looked', ?) WHERE pk = ?", (to_us(at), pk)
        )

    def next_due(self, channel: str) -> datetime | None:
        """When the next row of a channel may be sent."""
        row = self._connection.execute(
            "SELECT min(max(due_at, coalesce(lease_until, 0))) FROM outbox"
            " WHERE channel = ? AND state IN ('pending', 'leased')",
            (channel,),
        ).fetchone()
        return from_us_or_none(row[0])

    def lease(self, pk: int, until: datetime) -> None:
        """Somebody is about to send it: from here on the remote may have it."""
        self._connection.execute(
            "UPDATE outbox SET state = 'leased', lease_until = ?, attempts = attempts + 1, maybe_told = 1 WHERE pk = ?",
            (to_us(until), pk),
        )

    def put_off(self, pk: int, until: datetime) -> None:
        """It is not to be said before then."""
        self._connection.execute("UPDATE outbox SET due_at = ? WHERE pk = ?", (to_us(until), pk))

    def give_back(self, now: datetime) -> int:
        """Whoever leased them is no more (we are the only daemon on this file): send them now."""
        return self._connection.execute(
            "UPDATE outbox SET state = 'pending', lease_until = NULL, due_at = ? WHERE state = 'leased'",
            (to_us(now),),
        ).rowcount

    def retry(
        self,
        row: Row,
        at: datetime,
        detail: str,
        now: datetime,
        *,
        maybe_told: bool,
        receipt: Mapping[str, Any] | None = None,
    ) -> None:
        """It was not accepted, or nobody knows, or by some only: then the receipt says by whom. Again at
        that time."""
        self._connection.execute(
            "UPDATE outbox SET state = 'pending', lease_until = NULL, due_at = ?, maybe_told = ?, outcome = ?,"
            " receipt = coalesce(?, receipt) WHERE pk = ?",
            (
                to_us(at),
                maybe_told or row.maybe_told,
                detail,
                None if receipt is None else say_json(receipt),
                row.pk,
            ),
        )
        self._deliver(row, "retry", detail, now)

    def deliver(self, row: Row, receipt: Mapping[str, Any], now: datetime) -> None:
        """The remote accepted it."""
        self._connection.execute(
            "UPDATE outbox SET state = 'delivered', lease_until = NULL, ended_at = ?, outcome = 'delivered',"
            " receipt = ? WHERE pk = ?",
            (to_us(now), say_json(receipt), row.pk),
        )
        self._deliver(row, "delivered", "", now)

    def bury(self, row: Row, detail: str, now: datetime) -> None:
        """A dead letter: the remote will never take it. Seen in status and metrics."""
        self._connection.execute(
            "UPDATE outbox SET state = 'dead', lease_until = NULL, ended_at = ?, outcome = ?, maybe_told = 0 WHERE pk = ?",
            (to_us(now), detail, row.pk),
        )
        self._deliver(row, "dead", detail, now)

    def supersede(self, row: Row, reason: str, now: datetime) -> None:
        """It is not true any more, or said better by another."""
        self._connection.execute(
            "UPDATE outbox SET state = 'superseded', lease_until = NULL, ended_at = ?, outcome = ? WHERE pk = ?",
            (to_us(now), reason, row.pk),
        )

    def _deliver(self, row: Row, outcome: str, detail: str, now: datetime) -> None:
        self._connection.execute(
            "INSERT INTO deliveries (outbox, attempt, at, outcome, detail) VALUES (?, ?, ?, ?, ?)",
            (row.pk, row.attempts, to_us(now), outcome, detail),
        )

    def first_tried(self, pk: int) -> datetime | None:
        """When a row was first tried since it was made, or since somebody had it tried again."""
        row = self._connection.execute(
            "SELECT min(at) FROM deliveries WHERE outbox = ? AND pk >"
            " coalesce((SELECT max(pk) FROM deliveries WHERE outbox = ? AND outcome = 'again'), 0)",
            (pk, pk),
        ).fetchone()
        return from_us_or_none(row[0])

    def try_again(self, pk: int, who: str, now: datetime) -> bool:
        """Put a dead letter back, as if it had not been tried. False where it is no dead letter (any more)."""
        done = self._connection.execute(
            "UPDATE outbox SET state = 'pending', due_at = ?, attempts = 0, ended_at = NULL, outcome = NULL"
            " WHERE pk = ? AND state = 'dead'",
            (to_us(now), pk),
        )
        if done.rowcount == 1:
            self._connection.execute(
                "INSERT INTO deliveries (outbox, attempt, at, outcome, detail) VALUES (?, 0, ?, 'again', ?)",
                (pk, to_us(now), f"asked for by {who}"),
            )
        return done.rowcount == 1

    def deliveries(self, pk: int) -> list[tuple[int, datetime, str, str]]:
        """The attempts at one row: (attempt, at, outcome, detail)."""
        rows = self._connection.execute(
            "SELECT attempt, at, outcome, detail FROM deliveries WHERE outbox = ? ORDER BY pk", (pk,)
        )
        return [(attempt, from_us(at), outcome, detail) for attempt, at, outcome, detail in rows]

    def dead_letters(self) -> int:
        """How many rows no remote would take."""
        return sum(count for _, count, _, _ in self.dead())

    def dead(self) -> list[tuple[str, int, datetime, str]]:
        """The dead letters of each channel that has some: (channel, count, when the last one died, why)."""
        rows = self._connection.execute(
            "SELECT d.channel, d.dead, o.ended_at, coalesce(o.outcome, '') FROM (SELECT channel, count(*) AS dead,"
            " max(pk) AS last FROM outbox WHERE state = 'dead' GROUP BY channel) d JOIN outbox o ON o.pk = d.last"
            " ORDER BY 1"
        ).fetchall()
        return [(channel, count, from_us(at), why) for channel, count, at, why in rows]

    def dead_rows(self, channel: str | None, limit: int) -> list[int]:
        """The numbers of dead letters, oldest first; of one channel, or of all."""
        rows = self._connection.execute(
            "SELECT pk FROM outbox INDEXED BY outbox_dead WHERE state = 'dead' AND (? IS NULL OR channel = ?) ORDER BY pk LIMIT ?",
            (channel, channel, limit),
        )
        return [pk for (pk,) in rows]

    def find(self, word: str) -> Row | None:
        """The row with that key, or that number."""
        row = self._connection.execute(f"SELECT {_ROW} FROM outbox WHERE key = ?", (word,)).fetchone()
        if row is not None:
            return _row(row)
        return self.get(int(word)) if word.isascii() and word.isdecimal() and len(word) < 19 else None

    def latest(self, states: Sequence[State], channel: str | None, limit: int) -> list[Row]:
        """The rows that were made last, the latest first; no states: in any.

        Of each state and channel only so many are looked at, however many there are.
        """
        if not states and channel is None:
            rows = self._connection.execute(f"SELECT {_ROW} FROM outbox ORDER BY pk DESC LIMIT ?", (limit,))
            return [_row(r) for r in rows]
        found: list[int] = []
        for state in states or tuple(State):
            for name in [channel] if channel is not None else self._channels_in(state):
                found += self._latest_of(state, name, limit)
        wanted = sorted(found, reverse=True)[:limit]
        return [row for row in map(self.get, wanted) if row is not None]

    def _latest_of(self, state: State, channel: str, limit: int) -> list[int]:
        rows = self._connection.execute(
            f"SELECT pk FROM {_IN_STATE[state]} AND channel = ? ORDER BY pk DESC LIMIT ?", (channel, limit)
        )
        return [pk for (pk,) in rows]

    def _channels_in(self, state: State) -> list[str]:
        """The channels that have rows in that state: each is one step in the index, not one a row."""
        rows = self._connection.execute(
            f"WITH RECURSIVE found (name) AS (SELECT min(channel) FROM {_IN_STATE[state]} UNION ALL"
            f" SELECT (SELECT min(channel) FROM {_IN_STATE[state]} AND channel > found.name)"
            " FROM found WHERE found.name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL"
        )
        return [name for (name,) in rows]

    def oldest_unsent(self) -> list[tuple[str, datetime]]:
        """When the oldest row was made that each channel has still to send."""
        rows = self._connection.execute(
            "SELECT channel, min(created_at) FROM outbox WHERE state IN ('pending', 'leased') GROUP BY channel"
        )
        return [(channel, from_us(at)) for channel, at in rows]

    def put_off_recipients(self) -> list[tuple[str, int]]:
        """How many rows of each channel reached some of its people, and wait to reach the others."""
        return self._connection.execute(
            "SELECT channel, sum(receipt IS NOT NULL) FROM outbox WHERE state IN ('pending', 'leased') GROUP BY 1"
        ).fetchall()

    def depth(self) -> list[tuple[str, str, int]]:
        """How many rows each channel has in each state that has not ended: (channel, state, count)."""
        return self._connection.execute(
            "SELECT channel, state, count(*) FROM outbox WHERE state IN ('pending', 'leased') GROUP BY 1, 2"
        ).fetchall()
