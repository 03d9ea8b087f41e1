"""A Slack that says "too fast" half of the time, and a daemon that is killed again and again: each alert
arrives, those of a case in their order, and at most one is doubled for each kill.

The daemon is a process of its own on its real store; pretended time runs a hundred times as fast, so that
Slack's pauses of a second do not take a day.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.contract import Page
from monitor.clock import Clock
from monitor.daemon import build_edges, build_policy
from monitor.failpoints import VARIABLE
from monitor.ingest import Arrival, ingest
from monitor.load import load_config
from monitor.policy import Policy
from monitor.store.codec import to_us
from monitor.store.store import open_store
from rules.message import Author, Kind, Message
from simulator.serve import Served
from simulator.slack_api import TOKEN, SlackWorkspace, make_slack_app
from simulator.world import Clock as WorldClock

RATE = 100.0
ORIGIN = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
KILL_AT = ("record.before_commit", "lease.after_commit", "record.after_commit")
"""After Slack took it and before we kept so; before it was sent; after it was kept."""

SECONDS_A_LIFE_MAX = 240.0

CONFIG = """\
[monitor]
state_folder = "{folder}"
log_level = "error"
[web]
enabled = false
[storms]
enabled = false
[spikes]
enabled = false
[brands.acme]
keywords = ["Acme"]
[[targets]]
name = "all"
first_response = "15m"
needs_reply = "any"
warnings = []
[channels.care]
type = "slack"
api_url = "{url}/api"
bot_token = {{ env = "SOAK_TOKEN" }}
channel = "#care"
stages = ["breach", "cleared"]
"""


@dataclass
class Moody:
    """Every other request is refused with 429 and a pause of a second."""

    app: ASGIApp
    refused: int = 0
    taken: int = 0
    _turn: bool = field(default=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._turn = not self._turn
        if self._turn:
            self.refused += 1
            answer = JSONResponse({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "1"})
            await answer(scope, receive, send)
            return
        self.taken += 1
        await self.app(scope, receive, send)


def asks(number: int) -> Message:
    who = Author(f"c{number}", f"c{number}")
    text = "@acme my parcel is still not here!"
    return Message(
        "acme", "x", "acme", f"q{number}", Kind.POST, f"q{number}", who, text, ORIGIN - timedelta(hours=1)
    )


def answers(number: int, at: datetime) -> Message:
    us = Author("acmehelp", "acmehelp", brand=True)
    return Message(
        "acme", "x", "acme", f"a{number}", Kind.POST, f"q{number}", us, "sorry!", at, parent=f"q{number}"
    )


@dataclass
class Soak:
    """A store, a config, and how the daemon is started on them. `real`: when ORIGIN was, in seconds."""

    store_path: Path
    config: Path
    policy: Policy
    real: float
    kills: int = 0

    @property
    def clock(self) -> Clock:
        return Clock(RATE, ORIGIN, self.real)

    def left(self) -> int:
        """How many rows are still to be sent, and whether a case is still to be looked at."""
        states = self.states()
        reader = sqlite3.connect(f"file:{self.store_path}?mode=ro", uri=True)
        due = reader.execute(
            "SELECT count(*) FROM cases WHERE look_again_at <= ?", (to_us(self.clock.now()),)
        )
        found = int(due.fetchone()[0])
        reader.close()
        return states["pending"] + states["leased"] + found

    def states(self) -> Counter[str]:
        """How many rows are in each state."""
        reader = sqlite3.connect(f"file:{self.store_path}?mode=ro", uri=True)
        found = Counter(dict(reader.execute("SELECT state, count(*) FROM outbox GROUP BY 1")))
        reader.close()
        return found

    def take(self, messages: Sequence[Message]) -> None:
        """A platform's pages come in."""
        store = open_store(self.store_path)
        for start in range(0, len(messages), 200):
            page = Page(tuple(messages[start : start + 200]), {})
            ingest(store, self.policy, Arrival("acme", "x", "acme", "acme/own", page), self.clock.now())
        store.close()

    def live(self, every: int) -> None:
        """Start the daemon again and again, killed each time after so many rows, until nothing is left."""
        pretended = f"{RATE}@{ORIGIN.isoformat()}@{self.real}"
        while self.left():
            where = KILL_AT[self.kills % len(KILL_AT)]
            env = {**os.environ, VARIABLE: f"{where}:{every}"}
            command = [sys.executable, "-m", "monitor", "run", "-c", str(self.config)]
            process = subprocess.Popen([*command, "--pretended-time", pretended], env=env)
            give_up_at = time.monotonic() + SECONDS_A_LIFE_MAX
            while process.poll() is None and self.left():
                assert time.monotonic() < give_up_at, "it neither finishes nor dies"
                try:
                    process.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
            if process.poll() is None:
                process.terminate()
                assert process.wait(30) == 0
            else:
                assert process.returncode == -9
                self.kills += 1


def prepare(folder: Path, url: str, real: float, more: str = "") -> Soak:
    """A house with one channel and no account; `more` ends its config."""
    config = folder / "monitor.toml"
    config.write_text(CONFIG.format(folder=folder / "state", url=url) + more, "utf-8")
    (folder / "state").mkdir()
    loaded = load_config(config)
    edges = build_edges(loaded, Clock(), folder / "state")
    return Soak(folder / "state" / "monitor.db", config, build_policy(loaded, edges), real)


@pytest.mark.parametrize(
    ("cases", "every"), [(60, 40), pytest.param(5_000, 500, marks=pytest.mark.acceptance)]
)
def test_each_is_delivered_in_order_and_doubled_at_most_once_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: int, every: int
) -> None:
    """A breach for each case, then, once all are answered, its all-clear."""
    monkeypatch.setenv("SOAK_TOKEN", TOKEN)
    world = WorldClock(ORIGIN, RATE)
    workspace = SlackWorkspace(world)
    moody = Moody(make_slack_app(workspace))
    with Served(moody) as served:
        soak = prepare(tmp_path, served.url, world.real)
        soak.take([asks(number) for number in range(cases)])
        soak.live(every)
        assert len({delivery.key for delivery in workspace.deliveries}) == cases
        soak.take([answers(number, soak.clock.now()) for number in range(cases)])
        soak.live(every)
    assert soak.states() == {"delivered": 2 * cases}
    told = Counter(delivery.key for delivery in workspace.deliveries)
    assert len(told) == 2 * cases
    assert soak.kills >= 2 * cases // every - 2
    assert sum(told.values()) - len(told) <= soak.kills
    heard: dict[str, list[str]] = {}
    for delivery in workspace.deliveries:
        subject, _, rest = delivery.key.partition("/first_response/")
        heard.setdefault(subject, []).append(rest.split("/")[1])
    assert len(heard) == cases
    assert all(list(dict.fromkeys(stages)) == ["breach", "cleared"] for stages in heard.values())
    assert moody.refused >= moody.taken - 1
