"""What `alerts list` asks of the outbox: the same rows as a look at all of them, without one."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from monitor.store.outbox import Outbox, State
from monitor.store.store import Store, open_store

CHANNELS = ("care", "mail", "pager")
INSERT = (
    "INSERT INTO outbox (key, subject, stage, cycle, repeat, moment, channel, recipient, state, body,"
    " created_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two hundred rows, of which most were delivered, and a channel that was seldom used."""
    made = open_store(tmp_path / "m.db")
    chance = random.Random(4)
    states = [*State, *[State.DELIVERED] * 10]
    for n in range(200):
        channel = "rare" if n in (3, 150) else chance.choice(CHANNELS)
        state, now = chance.choice(states).value, n * 1_000_000
        row = (f"k{n}", f"acme/x/{n // 4}", "breach", 0, 0, now, channel, "#care", state, "{}", now, now)
        made.connection.execute(INSERT, row)
    return made


ASKED = [
    (states, channel, limit)
    for states, channel, limit in itertools.product(
        ((), *[(s,) for s in State], (State.PENDING, State.LEASED)),
        (None, *CHANNELS, "rare", "none"),
        (1, 7, 500),
    )
]


def test_the_latest_first_and_only_what_is_asked_for(store: Store) -> None:
    """Whatever is asked for, the list is what one would have picked by hand, the latest on top."""
    everything = sorted(store.outbox.latest((), None, 1000), key=lambda r: -r.pk)
    assert len(everything) == 200
    for states, channel, limit in ASKED:
        expected = [
            r for r in everything if (not states or r.state in states) and channel in (None, r.channel)
        ]
        assert store.outbox.latest(states, channel, limit) == expected[:limit], (states, channel, limit)


class _Plans:
    """A connection that keeps how each query is carried out."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.steps: list[str] = []

    def execute(self, sql: str, given: Sequence[Any] = ()) -> sqlite3.Cursor:
        plan = self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", given)
        self.steps += [step for *_, step in plan.fetchall()]
        return self._connection.execute(sql, given)


def test_a_list_never_walks_through_the_whole_outbox(store: Store) -> None:
    """With a million rows the ten dead letters show at once: each step is a search in an index."""
    plans = _Plans(store.connection)
    outbox = Outbox(plans)  # type: ignore[arg-type]
    for state in State:
        outbox.latest((state,), None, 5)
        outbox.latest((state,), "rare", 5)
    outbox.latest((), "rare", 5)
    read = [step for step in plans.steps if "outbox" in step]
    assert read and all(step.startswith("SEARCH") for step in read), read
