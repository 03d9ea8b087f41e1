"""Counters and histograms of the business: rollup rows that survive restarts and only grow."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.store.codec import from_us, say_json, to_us


@dataclass(frozen=True, slots=True)
class Count:
    """One counter with its labels, as (name, value) pairs."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """The cases of one kind that wait under a target: how many, how many of them past it, and since when
    the longest."""

    brand: str
    connector: str
    priority: str
    target: str
    count: int
    overdue: int
    oldest_since: datetime


class Figures:
    """The statements about figures."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def count(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Add to a counter, in the transaction of what is counted."""
        self._connection.execute(
            "INSERT INTO counters (name, labels, value) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET value = value + excluded.value",
            (name, say_json(sorted(labels.items())), amount),
        )

    def observe(self, name: str, value: float, buckets: Sequence[float], /, **labels: str) -> None:
        """Add an observation to a histogram: one row for its bucket, one for the sum."""
        edge = next((f"{b:g}" for b in buckets if value <= b), "+Inf")
        self.count(f"{name}_bucket", 1.0, le=edge, **labels)
        self.count(f"{name}_sum", value, **labels)

    def counts(self) -> list[Count]:
        """All counters."""
        rows = self._connection.execute("SELECT name, labels, value FROM counters ORDER BY name, labels")
        return [
            Count(name, tuple((k, v) for k, v in json.loads(labels)), value) for name, labels, value in rows
        ]

    def waiting(self, now: datetime) -> list[Waiting]:
        """Who waits under a target, by brand, connector, priority and target."""
        rows = self._connection.execute(
            "SELECT s.brand, s.connector, c.priority, c.target, count(*), sum(c.due_at < ?), min(c.waiting_since)"
            " FROM cases c JOIN scopes s ON s.id = c.scope"
            " WHERE c.status = 'waiting' AND c.quiet = 0 AND c.due_at IS NOT NULL GROUP BY 1, 2, 3, 4",
            (to_us(now),),
        )
        return [
            Waiting(brand, connector, priority, target, count, overdue, from_us(since))
            for brand, connector, priority, target, count, overdue, since in rows
        ]
