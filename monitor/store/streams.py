"""Streams: where each stands, how far it has seen, what ails it, and what its reads cost."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.store.codec import from_us, from_us_or_none, say_json, to_us, to_us_or_none

REJECTED_MAX = 10_000
EXCERPT_MAX = 500


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream of one account, as it stands. Times are aware UTC.

    `first_mark`: when it was first polled; what is older is the past. `complete_through`: everything
    written up to then was read. `refused`: why it stopped until a person acts. `retired`: it is not
    configured any more.
    """

    scope: int
    brand: str
    connector: str
    account: str
    name: str
    direction: str
    private: bool
    first_mark: datetime
    cursor: Mapping[str, Any] | None
    polled_at: datetime | None
    succeeded_at: datetime | None
    complete_through: datetime | None
    failures: int
    failing_since: datetime | None
    error: str | None
    refused: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account of ours on one platform, and its troubles. `episode` counts them."""

    scope: int
    brand: str
    connector: str
    account: str
    handle: str | None
    expires_at: datetime | None
    episode: int
    blind_since: datetime | None
    refused: str | None


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """What was left of a platform's limit when it last told."""

    brand: str
    connector: str
    account: str
    name: str
    maximum: float
    remaining: float
    resets_at: datetime | None
    at: datetime


_STREAM = (
    "t.scope, s.brand, s.connector, t.account, t.name, t.direction, t.private, t.first_mark, t.cursor, t.polled_at,"
    " t.succeeded_at, t.complete_through, t.failures, t.failing_since, t.error, t.refused, t.retry_at"
)


def _stream(r: Sequence[Any]) -> StreamRow:
    scope, brand, connector, account, name, direction = r[:6]
    return StreamRow(
        scope,
        brand,
        connector,
        account,
        name,
        direction,
        private=bool(r[6]),
        first_mark=from_us(r[7]),
        cursor=None if r[8] is None else json.loads(r[8]),
        polled_at=from_us_or_none(r[9]),
        succeeded_at=from_us_or_none(r[10]),
        complete_through=from_us_or_none(r[11]),
        failures=r[12],
        failing_since=from_us_or_none(r[13]),
        error=r[14],
        refused=r[15],
        retry_at=from_us_or_none(r[16]),
    )


class Streams:
    """The statements about streams and accounts, over all scopes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def register(
        self, scope: int, account: str, name: str, direction: str, *, private: bool, now: datetime
    ) -> None:
        """Have it; its first-run mark is set now and never again."""
        self._connection.execute(
            "INSERT INTO streams (scope, account, name, direction, private, first_mark) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET direction = excluded.direction, private = excluded.private, retired = 0,"
            " refused = NULL, retry_at = NULL",
            (scope, account, name, direction, private, to_us(now)),
        )
        self._connection.execute(
            "INSERT OR IGNORE INTO accounts (scope, account) VALUES (?, ?)", (scope, account)
        )

    def retire_all(self) -> None:
        """Before those that are configured are registered: the others gate nothing any more."""
        self._connection.execute("UPDATE streams SET retired = 1")

    def get(self, scope: int, account: str, name: str) -> StreamRow | None:
        row = self._connection.execute(
            f"SELECT {_STREAM} FROM streams t JOIN scopes s ON s.id = t.scope"
            " WHERE t.scope = ? AND t.account = ? AND t.name = ?",
            (scope, account, name),
        ).fetchone()
        return None if row is None else _stream(row)

    def all(self) -> list[StreamRow]:
        """Every configured stream."""
        rows = self._connection.execute(
            f"SELECT {_STREAM} FROM streams t JOIN scopes s ON s.id = t.scope WHERE t.retired = 0"
            " ORDER BY s.brand, s.connector, t.account, t.name"
        )
        return [_stream(r) for r in rows]

    def showing_answers(self, scope: int, account: str | None) -> list[StreamRow]:
        """The configured streams where an answer would show: to a public message on any account (None), to a
        private one on the account that it was sent to."""
        rows = self._connection.execute(
            f"SELECT {_STREAM} FROM streams t JOIN scopes s ON s.id = t.scope WHERE t.retired = 0 AND t.scope = ?"
            " AND t.private = ? AND t.account = coalesce(?, t.account) AND t.direction IN ('outbound', 'both')",
            (scope, account is not None, account),
        )
        return [_stream(r) for r in rows]

    def advance(
        self,
        stream: StreamRow,
        cursor: Mapping[str, Any],
        complete_through: datetime | None,
        retry_at: datetime | None,
        now: datetime,
        *,
        caught_up: bool = True,
    ) -> None:
        """A page of it was taken in: the cursor moves with the messages, in their transaction. `caught_up`: no
        further page waits, so that we see again."""
        through = max((t for t in (complete_through, stream.complete_through) if t is not None), default=None)
        self._connection.execute(
            "UPDATE streams SET cursor = ?, complete_through = ?, polled_at = ?, succeeded_at = ?, failures = 0,"
            " failing_since = NULL, error = NULL, refused = NULL, retry_at = ?"
            " WHERE scope = ? AND account = ? AND name = ?",
            (
                say_json(cursor),
                to_us_or_none(through),
                to_us(now),
                to_us(now),
                to_us_or_none(retry_at),
                stream.scope,
                stream.account,
                stream.name,
            ),
        )
        if caught_up:
            self._connection.execute(
                "UPDATE blind_spans SET until = ? WHERE scope = ? AND account = ? AND stream = ? AND until IS NULL",
                (to_us(complete_through or now), stream.scope, stream.account, stream.name),
            )

    def fail(
        self,
        stream: StreamRow,
        error: str,
        retry_at: datetime | None,
        now: datetime,
        *,
        refused: bool,
        limited: bool,
    ) -> None:
        """A poll of it failed; `refused`: until a person acts. A rate limit counts as no failure, but what
        happens meanwhile is not seen all the same."""
        since = stream.complete_through or stream.succeeded_at or stream.first_mark
        self._connection.execute(
            "UPDATE streams SET polled_at = ?, failures = failures + ?, failing_since = coalesce(failing_since, ?),"
            " error = ?, refused = ?, retry_at = ? WHERE scope = ? AND account = ? AND name = ?",
            (
                to_us(now),
                0 if limited else 1,
                to_us(now),
                error,
                error if refused else None,
                to_us_or_none(retry_at),
                stream.scope,
                stream.account,
                stream.name,
            ),
        )
        if stream.failing_since is None:
            self._connection.execute(
                "INSERT INTO blind_spans (scope, account, stream, since, reason) VALUES (?, ?, ?, ?, ?)",
                (stream.scope, stream.account, stream.name, to_us(since), error),
            )

    def note_gap(self, stream: StreamRow, reason: str, now: datetime) -> None:
        """Something between two cursors may never be seen."""
        since = stream.complete_through or stream.first_mark
        self._connection.execute(
            "INSERT INTO blind_spans (scope, account, stream, since, until, reason) VALUES (?, ?, ?, ?, ?, ?)",
            (stream.scope, stream.account, stream.name, to_us(since), to_us(now), reason),
        )

    def quarantine(
        self,
        scope: int,
        account: str,
        stream: str,
        at: datetime,
        rejected: Sequence[tuple[str | None, str, str]],
    ) -> None:
        """Keep what could not be understood (id, reason, excerpt), the newest ten thousand."""
        self._connection.executemany(
            "INSERT INTO rejected (scope, account, stream, at, id, reason, excerpt) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(scope, account, stream, to_us(at), id, why, text[:EXCERPT_MAX]) for id, why, text in rejected],
        )
        self._connection.execute(
            "DELETE FROM rejected WHERE pk <= (SELECT max(pk) FROM rejected) - ?", (REJECTED_MAX,)
        )

    def keep_budget(
        self,
        scope: int,
        account: str,
        name: str,
        maximum: float,
        remaining: float,
        resets_at: datetime | None,
        now: datetime,
    ) -> None:
        self._connection.execute(
            "INSERT INTO budgets (scope, account, name, maximum, remaining, resets_at, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET maximum = excluded.maximum, remaining = excluded.remaining,"
            " resets_at = excluded.resets_at, at = excluded.at",
            (scope, account, name, maximum, remaining, to_us_or_none(resets_at), to_us(now)),
        )

    def budgets(self) -> list[BudgetRow]:
        rows = self._connection.execute(
            "SELECT s.brand, s.connector, b.account, b.name, b.maximum, b.remaining, b.resets_at, b.at"
            " FROM budgets b JOIN scopes s ON s.id = b.scope ORDER BY 1, 2, 3, 4"
        )
        return [
            BudgetRow(brand, connector, account, name, most, left, from_us_or_none(resets), from_us(at))
            for brand, connector, account, name, most, left, resets, at in rows
        ]

    def accounts(self) -> list[AccountRow]:
        """Every account with a configured stream."""
        rows = self._connection.execute(
            "SELECT a.scope, s.brand, s.connector, a.account, a.handle, a.expires_at, a.episode, a.blind_since,"
            " a.refused FROM accounts a JOIN scopes s ON s.id = a.scope WHERE EXISTS (SELECT 1 FROM streams t"
            " WHERE t.scope = a.scope AND t.account = a.account AND t.retired = 0) ORDER BY 2, 3, 4"
        )
        return [
            AccountRow(
                scope,
                brand,
                connector,
                account,
                handle,
                from_us_or_none(expires),
                n,
                from_us_or_none(blind),
                why,
            )
            for scope, brand, connector, account, handle, expires, n, blind, why in rows
        ]

    def keep_identity(self, scope: int, account: str, handle: str, expires_at: datetime | None) -> None:
        """Who the platform says that we are, and when a person must renew our credential."""
        self._connection.execute(
            "UPDATE accounts SET handle = ?, expires_at = ? WHERE scope = ? AND account = ?",
            (handle, to_us_or_none(expires_at), scope, account),
        )

    def keep_health(
        self, account: AccountRow, episode: int, blind_since: datetime | None, refused: str | None
    ) -> None:
        """A trouble of an account begins, goes on or ends."""
        self._connection.execute(
            "UPDATE accounts SET episode = ?, blind_since = ?, refused = ? WHERE scope = ? AND account = ?",
            (episode, to_us_or_none(blind_since), refused, account.scope, account.account),
        )
