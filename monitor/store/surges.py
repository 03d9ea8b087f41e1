"""Storms, spikes and digests: their episodes, and what is counted to find them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.store.codec import from_us, from_us_or_none, say_json, to_us, to_us_or_none


class Kind(StrEnum):
    """What an episode is."""

    STORM = "storm"
    SPIKE = "spike"
    DIGEST = "digest"  # what a channel could not say for a while, said in one


@dataclass(frozen=True, slots=True)
class Surge:
    """An episode of a brand. `last_at` is when it was last fed; `said` how often it was said; `looked_at` when
    its cases were last counted (its beginning where they were not). `standing`: the numbers said last."""

    pk: int
    kind: Kind
    brand: str
    since: datetime
    last_at: datetime
    over_at: datetime | None
    said: int
    body: Mapping[str, Any]

    @property
    def subject(self) -> str:
        """What its alerts belong to."""
        return f"{self.brand} {self.kind} {self.pk}"

    @property
    def looked_at(self) -> datetime:
        return from_us(self.body["looked_at"]) if "looked_at" in self.body else self.since

    @property
    def held(self) -> list[int]:
        """The outbox rows that a digest says."""
        return list(self.body.get("held", ()))

    @property
    def standing(self) -> list[int]:
        return list(self.body.get("standing", ()))


_ROW = "pk, kind, brand, since, last_at, over_at, said, body"


def _surge(r: Sequence[Any]) -> Surge:
    return Surge(
        r[0], Kind(r[1]), r[2], from_us(r[3]), from_us(r[4]), from_us_or_none(r[5]), r[6], json.loads(r[7])
    )


class Surges:
    """The statements about storms and spikes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def running(self, kind: Kind, brand: str) -> Surge | None:
        """The episode of a brand that has not ended."""
        row = self._connection.execute(
            f"SELECT {_ROW} FROM surges WHERE brand = ? AND kind = ? AND over_at IS NULL ORDER BY pk DESC LIMIT 1",
            (brand, kind),
        ).fetchone()
        return None if row is None else _surge(row)

    def get(self, pk: int) -> Surge | None:
        row = self._connection.execute(f"SELECT {_ROW} FROM surges WHERE pk = ?", (pk,)).fetchone()
        return None if row is None else _surge(row)

    def all_running(self) -> list[Surge]:
        """Every episode that has not ended."""
        rows = self._connection.execute(f"SELECT {_ROW} FROM surges WHERE over_at IS NULL ORDER BY pk")
        return [_surge(row) for row in rows.fetchall()]

    def begin(self, kind: Kind, brand: str, since: datetime, now: datetime) -> Surge:
        done = self._connection.execute(
            "INSERT INTO surges (kind, brand, since, last_at) VALUES (?, ?, ?, ?)",
            (kind, brand, to_us(since), to_us(now)),
        )
        return Surge(int(done.lastrowid or 0), kind, brand, since, now, None, 0, {})

    def go_on(self, surge: Surge, now: datetime) -> None:
        """Another case joined it."""
        self._connection.execute("UPDATE surges SET last_at = ? WHERE pk = ?", (to_us(now), surge.pk))

    def end(self, surge: Surge, now: datetime) -> None:
        self._connection.execute("UPDATE surges SET over_at = ? WHERE pk = ?", (to_us(now), surge.pk))

    def note_said(self, surge: Surge, standing: Sequence[int], now: datetime) -> None:
        """It was said with these numbers."""
        body = {**surge.body, "looked_at": to_us(now), "standing": list(standing)}
        self._connection.execute(
            "UPDATE surges SET said = said + 1, body = ? WHERE pk = ?", (say_json(body), surge.pk)
        )

    def note_looked(self, surge: Surge, now: datetime) -> None:
        """Its cases were counted, and nothing had changed."""
        body = {**surge.body, "looked_at": to_us(now)}
        self._connection.execute("UPDATE surges SET body = ? WHERE pk = ?", (say_json(body), surge.pk))

    def note_numbers(self, surge: Surge, count: int, usual: float) -> Surge:
        """What a spike was found by."""
        body = {"count": count, "usual": usual}
        self._connection.execute("UPDATE surges SET body = ? WHERE pk = ?", (say_json(body), surge.pk))
        return replace(surge, body=body)

    def note_held(self, digest: Surge, held: Sequence[int]) -> Surge:
        """The outbox rows that it says."""
        body = {**digest.body, "held": list(held)}
        self._connection.execute("UPDATE surges SET body = ? WHERE pk = ?", (say_json(body), digest.pk))
        return replace(digest, body=body)

    def claimed(self, brand: str, since: datetime, limit: int) -> list[tuple[tuple[int, str, str], datetime]]:
        """The cases of a brand that reached a stage after then, each with when it last did: when it was said,
        not when a fallback was told of it later."""
        rows = self._connection.execute(
            "SELECT o.scope, o.conversation, o.customer, max(o.created_at) FROM outbox o"
            " JOIN scopes s ON s.id = o.scope WHERE o.stage IN ('warning', 'breach', 'escalated')"
            " AND o.created_at > ? AND s.brand = ? AND json_extract(o.body, '$.instead_of') IS NULL"
            " GROUP BY 1, 2, 3 LIMIT ?",
            (to_us(since), brand, limit),
        )
        return [((scope, thread, customer), from_us(at)) for scope, thread, customer, at in rows]

    def claimed_messages(
        self, brand: str, since: datetime, until: datetime | None, limit: int
    ) -> list[tuple[tuple[int, str, str], datetime]]:
        """The same, each with the time of its message, which finds the case that holds it now."""
        rows = self._connection.execute(
            "SELECT o.scope, o.conversation, o.customer, o.message_at FROM outbox o"
            " JOIN scopes s ON s.id = o.scope WHERE o.stage IN ('warning', 'breach', 'escalated')"
            " AND o.created_at >= ? AND (? IS NULL OR o.created_at <= ?) AND s.brand = ?"
            " AND json_extract(o.body, '$.instead_of') IS NULL"
            " GROUP BY 1, 2, 3, 4 LIMIT ?",
            (to_us(since), to_us_or_none(until), to_us_or_none(until), brand, limit),
        )
        return [((scope, thread, customer), from_us(at)) for scope, thread, customer, at in rows.fetchall()]

    def supersede_claims(self, storm: Surge, reason: str, now: datetime) -> dict[str, int]:
        """What waits to be sent of a storm's cases is not sent by itself; but for what tells somebody that
        theirs is late, which the storm does not. Returns how many by channel."""
        rows = self._connection.execute(
            "SELECT o.pk, o.channel FROM outbox o JOIN scopes s ON s.id = o.scope WHERE o.state = 'pending'"
            " AND o.stage IN ('warning', 'breach', 'escalated') AND s.brand = ? AND o.created_at >= ?"
            " AND o.maybe_told = 0 AND json_extract(o.body, '$.to') IS NULL",
            (storm.brand, to_us(storm.since)),
        ).fetchall()
        dropped: dict[str, int] = {}
        for pk, channel in rows:
            self._connection.execute(
                "UPDATE outbox SET state = 'superseded', ended_at = ?, outcome = ? WHERE pk = ?",
                (to_us(now), reason, pk),
            )
            dropped[channel] = dropped.get(channel, 0) + 1
        return dropped

    def complaints(self, brand: str, since: datetime, until: datetime) -> int:
        """How many cases of a brand that are complaints were opened in that time."""
        row = self._connection.execute(
            "SELECT count(*) FROM cases c JOIN scopes s ON s.id = c.scope WHERE s.brand = ?"
            " AND c.complaint = 1 AND c.opened_at > ? AND c.opened_at <= ?",
            (brand, to_us(since), to_us(until)),
        ).fetchone()
        return int(row[0])

    def first_complaint_at(self, brand: str) -> datetime | None:
        """When the oldest complaint of a brand was opened: how many there were before is not known."""
        row = self._connection.execute(
            "SELECT min((SELECT min(c.opened_at) FROM cases c WHERE c.scope = s.id AND c.complaint = 1))"
            " FROM scopes s WHERE s.brand = ?",
            (brand,),
        ).fetchone()
        return from_us_or_none(row[0])

    def hearers(self, brand: str, since: datetime) -> set[tuple[str, str]]:
        """(channel, recipient) of whoever was to be told of a case of this brand since then."""
        rows = self._connection.execute(
            "SELECT DISTINCT o.channel, o.recipient FROM outbox o JOIN scopes s ON s.id = o.scope"
            " WHERE o.stage IN ('warning', 'breach', 'escalated') AND o.created_at >= ? AND s.brand = ?",
            (to_us(since), brand),
        )
        return set(rows)

    def brands(self) -> list[str]:
        """Every brand of which anything is stored."""
        return [brand for (brand,) in self._connection.execute("SELECT DISTINCT brand FROM scopes")]
