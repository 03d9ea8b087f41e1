"""Deadlines: what asking "who is due" costs, and how soon after its time an alert is out."""

from __future__ import annotations

import contextlib
import logging
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from alerts.contract import Receipt
from benchmarks.material import NOON, messages, policy
from connectors.contract import Page
from monitor.clock import Clock
from monitor.core import Core
from monitor.ingest import Arrival, ingest
from monitor.policy import Policy
from monitor.store.codec import to_us
from monitor.store.store import Store, open_store
from monitor.watch import Watched
from monitor.workers import ChannelWorker
from rules.alert import Alert, Stage
from rules.routes import Route
from simulator.serve import Served
from simulator.slack_api import SlackWorkspace, make_slack_app
from simulator.world import Clock as WorldClock
from wire.http import HttpClient, HttpOptions


def _fill(store: Store, count: int) -> None:
    """Open cases, by copying one real one: the index is what is measured."""
    rules = policy()
    page = Page(tuple(messages(1)), {})
    ingest(store, rules, Arrival("acme", "x", "acme", "bench", page), NOON)
    with store.transaction("fill"):
        store.connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO cases (id, scope, conversation, customer, opened_at, status, priority, target, quiet,"
            " waiting_since, due_at, look_again_at, body)"
            " SELECT 'acme/x/f' || i, scope, 'f' || i, customer, opened_at, status, priority, target, quiet,"
            " waiting_since, due_at + i * 1000, ? + i * 1000, body FROM cases, n WHERE cases.pk = 1",
            (count - 1, to_us(NOON + timedelta(days=3650))),
        )
        store.connection.execute(
            "UPDATE cases SET look_again_at = ? WHERE pk = 1", (to_us(NOON + timedelta(days=3650)),)
        )


def due_check() -> dict[str, Any]:
    """Asking what is due at a million open cases ÷ at ten thousand."""
    micros: dict[int, float] = {}
    for count in (10_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Path(folder) / "m.db")
            _fill(store, count)
            rounds = 2000
            best = float("inf")
            for _ in range(5):
                began = time.perf_counter()
                for _ in range(rounds):
                    store.cases.to_look_at(NOON, 200)
                    store.cases.next_look()
                best = min(best, (time.perf_counter() - began) / rounds * 1e6)
            micros[count] = best
            store.close()
    return {
        "microseconds at 10,000": round(micros[10_000], 1),
        "microseconds at 1,000,000": round(micros[1_000_000], 1),
        "ratio (aim ≤ 2)": round(micros[1_000_000] / micros[10_000], 2),
    }


class Poster:
    """The smallest real channel: one POST over loopback. It notes when each was sent off."""

    recipient = "#care"
    updates = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = HttpClient(HttpOptions())
        self._left = -1
        self._done: Callable[[], None] = lambda: None

    def when_sent(self, count: int, done: Callable[[], None]) -> None:
        """Call that once so many were sent."""
        self._left, self._done = count, done

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        body = {"text": alert.key}
        self._client.request("POST", self._url, json=body, time_limit=time_limit)
        self._left -= 1
        if self._left == 0:
            self._done()
        return Receipt(alert.at)

    def check(self, time_limit: float) -> str:
        return "a poster"

    def close(self) -> None:
        self._client.close()


@contextlib.contextmanager
def _deaf() -> Iterator[str]:
    """The URL of a remote that takes connections and never says a word: every send lasts its whole limit."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


def due_to_post() -> dict[str, Any]:
    """From a case's due time to the POST's arrival, with 100,000 other open cases, while another channel, to
    which all the same alerts go, is dead."""
    rounds = 100
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "m.db", checkpoints=True)
        _fill(store, 100_000)
        arrivals: dict[str, float] = {}
        world = WorldClock(datetime.now(UTC))
        workspace = SlackWorkspace(world)
        rules = replace(policy(), routes=tuple(Route(n, "#care", frozenset(Stage)) for n in ("care", "dead")))
        with Served(_noting(make_slack_app(workspace), arrivals)) as served, _deaf() as nowhere:
            due = _spread_due_times(store, rules, rounds)
            workers: list[ChannelWorker] = []
            clock = Clock()

            def wake(watched: Watched) -> None:
                if watched.channels:
                    for worker in workers:
                        worker.wake()

            core = Core(store, rules, clock, wake, lambda: None)
            for name, url in (("care", f"{served.url}/services/T0/B0/hook"), ("dead", nowhere)):
                workers.append(ChannelWorker(name, Poster(url), core, clock, 1.0, 60.0))
                workers[-1].start()
            stop_at = max(due.values()) + 1.0
            threading.Timer(max(0.0, stop_at - time.time()), core.stop).start()
            for worker in workers:
                threading.Timer(max(0.0, stop_at - time.time() - 0.5), worker.stop, (1.0,)).start()
            core.run()
        held_up = {channel: count for channel, _, count in store.outbox.depth()}
        store.close()
    lags = sorted(
        (arrivals[key] - when) * 1000 for id, when in due.items() for key in arrivals if f"{id}/first" in key
    )
    return {
        "alerts": len(lags),
        "held up by the dead channel": held_up.get("dead", 0),
        "milliseconds p50": round(lags[len(lags) // 2], 1) if lags else None,
        "milliseconds p99 (aim ≤ 50)": round(lags[int(len(lags) * 0.99) - 1], 1) if lags else None,
    }


def _spread_due_times(store: Store, rules: Policy, rounds: int) -> dict[str, float]:
    """A case every 100 ms whose first warning falls due then; its real time by its id."""
    now = datetime.now(UTC)
    due: dict[str, float] = {}
    made = []
    for n, message in enumerate(messages(rounds + 1)[1:]):
        at = now + timedelta(seconds=2 + n * 0.1)
        made.append(replace(message, created_at=at - timedelta(seconds=450)))
        due[f"acme/x/{message.id}"] = at.timestamp()
    ingest(store, rules, Arrival("acme", "x", "acme", "bench", Page(tuple(made), {})), now)
    return due


def _noting(app: Any, arrivals: dict[str, float]) -> Any:
    """Note when each POST's body is in."""

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        async def hear() -> Any:
            part = await receive()
            if part.get("type") == "http.request" and part.get("body"):
                key = part["body"].decode().split('"text":', 1)[-1].strip(' "}')
                arrivals.setdefault(key, time.time())
            return part

        await app(scope, hear, send)

    return noting
