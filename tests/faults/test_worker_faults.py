"""Faults that meet the daemon while its threads run: a channel that is limited for minutes, and a stop in the
middle of a send."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.core import Core
from monitor.store.store import open_store
from monitor.watch import watch_once
from monitor.workers import ChannelWorker, stop_all
from simulator.serve import Served
from simulator.slack_api import SlackWorkspace, make_slack_app
from simulator.world import Clock as WorldClock
from simulator.world import FixedClock
from tests.faults.build import Street, street
from tests.monitor.build import at, brand
from tests.monitor.test_daemon import WAIT_SECONDS_MAX, free_port, wait_for


@contextmanager
def working(town: Street) -> Iterator[Callable[[], None]]:
    """The core and a worker for each channel, on threads of their own, by the town's clock. Gives what has
    the core look and wakes every worker."""
    made: list[Core] = []
    ready = threading.Event()

    def live() -> None:
        store = open_store(town.home.path)
        made.append(Core(store, town.home.policy, town.clock, lambda _watched: None, lambda: None))
        ready.set()
        made[0].run()
        store.close()

    thread = threading.Thread(target=live)
    thread.start()
    assert ready.wait(WAIT_SECONDS_MAX)
    core = made[0]
    workers = [
        ChannelWorker(name, channel, core, town.clock, town.time_limit, 60.0)
        for name, channel in town.channels.items()
    ]

    def look() -> None:
        core.ask(lambda store: watch_once(store, core.policy, town.clock.now())).result(WAIT_SECONDS_MAX)
        for worker in workers:
            worker.wake()

    try:
        for worker in workers:
            worker.start()
        yield look
    finally:
        stop_all([], workers, WAIT_SECONDS_MAX)
        core.stop()
        thread.join(WAIT_SECONDS_MAX)
        assert not thread.is_alive()


def test_fault_12_slack_says_429_for_minutes(tmp_path: Path, stopwatch: Callable[[], float]) -> None:
    """From 12:16 to 12:20 Slack says 429 and "in two minutes". It is asked at 12:16, 12:18 and 12:20, and
    not once in between, however much comes up meanwhile; each mail goes out at its minute; at 12:20 Slack
    hears what is still true, each once and in the order in which it came up, and not who was answered."""
    with street(tmp_path) as town:
        town.complain(1)
        town.go_to(1)
        town.complain(2)
        town.go_to(2)
        town.complain(3)
        town.go_to(16)
        town.refuse(429, until=20, Retry_After="120")
        with working(town) as look:

            def is_told(mails: int, asked: int) -> bool:
                return (len(town.mail.mails), len(town.asked())) == (mails, asked)

            for minute, mails, asked in ((16, 2, 1), (17, 3, 1), (18, 3, 2), (19, 4, 2)):
                town.go_to(minute)
                if minute == 19:
                    town.take(brand("4", 18.5, "3"))
                look()
                wait_for(partial(is_told, mails, asked), stopwatch, "the mail waits, or Slack is not asked")
                for _ in range(5):
                    look()
            assert town.slack.posts == []
            assert [state for _, _, state in town.rows("care")] == ["pending"] * 3
            town.go_to(20)
            look()
            ended = {"delivered": 2.0, "superseded": 1.0}
            wait_for(lambda: town.ended("care") == ended, stopwatch, "Slack was not told when it could be")
        assert town.asked() == [16, 18]
        assert town.posted() == [("acme/x/1", 20), ("acme/x/2", 20)]
        told = [(stage, mail.at) for mail, (_, stage) in zip(town.mail.mails, town.mailed(), strict=True)]
        assert told == [("breach", at(16)), ("breach", at(16)), ("breach", at(17)), ("cleared", at(19))]


class Gate:
    """A Slack that takes a message when it is told to, and not before."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.asked = threading.Event()
        self.opened = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        if scope["type"] == "http":
            self.asked.set()
            for _ in range(int(WAIT_SECONDS_MAX / 0.01)):
                if self.opened.is_set():
                    break
                await asyncio.sleep(0.01)
            else:
                return
        await self._app(scope, receive, send)


class Running:
    """A daemon's process on a town's store and config, at its minute; ready when it is there."""

    def __init__(self, town: Street, port: int, log: Path, stopwatch: Callable[[], float]) -> None:
        world = WorldClock(town.clock.now(), 1.0)
        pretended = f"1@{world.origin.isoformat()}@{world.real}"
        command = [sys.executable, "-m", "monitor", "run", "-c", str(town.config)]
        self._ready, self._stopwatch, self._log = f"http://127.0.0.1:{port}/readyz", stopwatch, log
        with log.open("wb") as stream:
            self.process = subprocess.Popen([*command, "--pretended-time", pretended], stderr=stream)

    def __enter__(self) -> Running:
        wait_for(lambda: self.ready() or self.process.poll() is not None, self._stopwatch, "it did not start")
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS_MAX)

    def ready(self) -> bool:
        try:
            return httpx.get(self._ready, timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Tell it to, and wait until it has heard it."""
        self.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in self._log.read_text("utf-8"), self._stopwatch, "SIGTERM is not heard")


@pytest.mark.parametrize(
    ("way", "left", "posts"),
    [("answers", "delivered", 1), ("hangs", "pending", 0), ("is killed", "leased", 0)],
)
def test_fault_10_a_stop_in_the_middle_of_a_send(
    tmp_path: Path, stopwatch: Callable[[], float], way: str, left: str, posts: int
) -> None:
    """SIGTERM while Slack holds the breach in its hand. It answers then: the daemon waits for it and ends
    with 0, and the next one says nothing twice. It never does: the daemon ends with 0 as soon as its time
    limit is over, and the next one says it. The host kills it: the next one finds the lease and says it at
    once. Ready it is all the time: a channel that hangs is no unreadiness."""
    workspace = SlackWorkspace(FixedClock(at(16)))
    gate, port = Gate(make_slack_app(workspace)), free_port()
    web = f'\n[web]\nlisten = "127.0.0.1:{port}"\n'
    limit = "1s" if way == "hangs" else "15s"
    with Served(gate) as slack, street(tmp_path, web, slack_url=slack.url, time_limit=limit) as town:
        town.complain(1)
        town.go_to(16)
        with Running(town, port, tmp_path / "first", stopwatch) as daemon:
            assert gate.asked.wait(WAIT_SECONDS_MAX) and daemon.ready()
            daemon.stop()
            if way == "answers":
                gate.opened.set()
            elif way == "is killed":
                daemon.process.kill()
            ended = daemon.process.wait(WAIT_SECONDS_MAX)
            assert ended == (-signal.SIGKILL if way == "is killed" else 0)
        assert town.home.store.outbox.of_subject("acme/x/1")[0].state == left
        assert len(workspace.posts) == posts
        gate.opened.set()
        town.go_to(17)
        with Running(town, port, tmp_path / "second", stopwatch):
            delivered = [("acme/x/1", "breach", "delivered")]
            wait_for(lambda: town.rows("care") == delivered, stopwatch, "the breach is not said")
        keys = [delivery.key for delivery in workspace.deliveries]
        assert len(keys) <= 2 and len(set(keys)) == 1
        assert len(keys) == 1 or way != "answers"
