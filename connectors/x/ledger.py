"""What reading X costs: resources read today, what they cost in dollars, and the budget that stops us."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from connectors.contract import Budget, Direction
from wire.errors import RetryAt

POST_USD = 0.005
OWNED_POST_USD = 0.001
USER_USD = 0.010
DM_USD = 0.010
"""Prices a resource: X's docs, "X API pay-per-usage pricing and credits". X charges one once in a UTC day."""

INBOUND_SHARE = 0.8
_KNOWN_MAX = 100_000


@dataclass(slots=True)
class Ledger:
    """The reads of one account in the present UTC day, over all its streams.

    What was read before a restart is learnt from the streams' cursors; which resources they were is
    forgotten, so the cost is an upper estimate.
    """

    budget: int | None
    _day: date | None = None
    _reads: dict[str, int] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)
    _owed: tuple[int, float] = (0, 0.0)

    def restore(self, stream: str, day: str | None, reads: int, now: datetime) -> None:
        """Take over what the stream's cursor knows of today."""
        self._turn(now)
        if day == str(self._day):
            self._reads[stream] = max(self._reads.get(stream, 0), reads)

    def charge(self, stream: str, resources: Iterable[tuple[str, float]], now: datetime) -> tuple[int, float]:
        """Count what a page brought: (resource, its price). How many were new today, and their cost."""
        self._turn(now)
        reads, cost = 0, 0.0
        for resource, price in resources:
            if resource in self._known:
                continue
            if len(self._known) < _KNOWN_MAX:
                self._known.add(resource)
            reads += 1
            cost += price
        self._reads[stream] = self._reads.get(stream, 0) + reads
        owed, self._owed = self._owed, (0, 0.0)
        return reads + owed[0], round(cost + owed[1], 6)

    def charge_later(self, resource: str, price: float, now: datetime) -> None:
        """Count what was read beside a page (who we are); the next page reports it."""
        self._owed = self.charge("beside", [(resource, price)], now)

    def today(self, stream: str, now: datetime) -> tuple[str, int]:
        """The day and the stream's reads in it, for its cursor."""
        self._turn(now)
        return str(self._day), self._reads.get(stream, 0)

    def check(self, direction: Direction, now: datetime) -> None:
        """Raises RetryAt until midnight UTC where the budget is used up for streams of that direction. Those
        that show our own answers go on longest: without them everybody would seem unanswered."""
        if self.budget is None:
            return
        self._turn(now)
        spent = sum(self._reads.values())
        share = INBOUND_SHARE if direction is Direction.INBOUND else 1.0
        if spent >= share * self.budget:
            paused = "customers' posts are paused at 80 % of it" if share < 1 else "it is used up"
            raise RetryAt(
                f"{spent} reads of daily_read_budget = {self.budget}: {paused}; on at midnight UTC",
                at=_midnight(now),
                limited=True,
            )

    def left(self, now: datetime) -> Budget | None:
        """What is left of the configured budget."""
        if self.budget is None:
            return None
        self._turn(now)
        spent = sum(self._reads.values())
        return Budget("daily_reads", float(self.budget), float(max(0, self.budget - spent)), _midnight(now))

    def _turn(self, now: datetime) -> None:
        day = now.astimezone(UTC).date()
        if day != self._day:
            self._day = day
            self._reads.clear()
            self._known.clear()


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
