"""The outbox: how many alerts one channel sends, against a loop that does nothing but commit twice and post."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from benchmarks.deadlines import Poster
from benchmarks.material import NOON, messages, policy
from connectors.contract import Page
from monitor.clock import Clock
from monitor.core import Core
from monitor.ingest import Arrival, ingest
from monitor.store.store import Store, open_store
from monitor.watch import watch_once
from monitor.workers import ChannelWorker
from simulator.serve import Served
from simulator.slack_api import SlackWorkspace, make_slack_app
from simulator.world import Clock as WorldClock
from wire.http import HttpClient, HttpOptions

ALERTS = 2_000
SLICE = 500


def _fill(store: Store) -> None:
    """Cases that were due long ago, and their rows in the outbox."""
    rules = policy()
    made = [replace(m, created_at=NOON - timedelta(hours=1)) for m in messages(ALERTS)]
    for start in range(0, len(made), SLICE):
        page = Page(tuple(made[start : start + SLICE]), {})
        ingest(store, rules, Arrival("acme", "x", "acme", "bench", page), NOON)
    while watch_once(store, rules, NOON).more:
        pass


def _ours(folder: Path, url: str) -> tuple[float, int]:
    """Seconds for the whole of it, by the daemon's own threads; and how many were sent."""
    store = open_store(folder / "m.db")
    _fill(store)
    waiting = sum(count for _, _, count in store.outbox.depth())
    core = Core(store, policy(), Clock(), lambda _: None, lambda: None)
    poster = Poster(url)
    worker = ChannelWorker("care", poster, core, Clock(), 5.0, 60.0)
    poster.when_sent(waiting, core.stop)
    worker.start()
    began = time.perf_counter()
    core.run()
    spent = time.perf_counter() - began
    store.close()
    return spent, waiting


def _bare(folder: Path, url: str, count: int) -> float:
    """Seconds for as many rounds of: commit, post, commit, on a table of the same rows."""
    path = folder / "bare.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE outbox (pk INTEGER PRIMARY KEY, state TEXT, receipt TEXT)")
    connection.executemany("INSERT INTO outbox VALUES (?, 'pending', NULL)", ((n,) for n in range(count)))
    client = HttpClient(HttpOptions())
    began = time.perf_counter()
    for pk in range(count):
        connection.execute("UPDATE outbox SET state = 'leased' WHERE pk = ?", (pk,))
        client.request("POST", url, json={"text": str(pk)}, time_limit=5.0)
        connection.execute("UPDATE outbox SET state = 'delivered', receipt = '{}' WHERE pk = ?", (pk,))
    spent = time.perf_counter() - began
    client.close()
    connection.close()
    return spent


def outbox_throughput() -> dict[str, Any]:
    """Alerts a second over one channel, ours and bare."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    served = Served(make_slack_app(SlackWorkspace(WorldClock(NOON))))
    with tempfile.TemporaryDirectory() as name, served:
        url = f"{served.url}/services/T0/B0/hook"
        spent, count = _ours(Path(name), url)
        bare = _bare(Path(name), url, count)
    return {
        "alerts": count,
        "bare a second": round(count / bare),
        "a second": round(count / spent),
        "ratio (aim ≥ 0.7)": round(bare / spent, 2),
    }
