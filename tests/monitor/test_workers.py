"""The worker threads: whatever goes wrong in one turn, there is a next one, and it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from alerts.contract import Receipt
from connectors.contract import Page
from monitor.clock import Clock
from monitor.core import Core
from monitor.poll import Polled
from monitor.workers import AccountWorker, ChannelWorker
from rules.alert import Alert, Stage
from rules.routes import Route
from tests.monitor.build import House, Sink, at, customer, house
from tests.monitor.test_steps import Scripted
from wire.errors import RetryAt

WAIT_SECONDS_MAX = 20.0


@contextmanager
def core_of(home: House, clock: Clock | None = None) -> Iterator[Core]:
    """The core on a thread of its own, with a store of its own on the same file."""
    started: list[Core] = []
    ready = threading.Event()

    def live() -> None:
        from monitor.store.store import open_store

        store = open_store(home.path)
        core = Core(store, home.policy, clock or Clock(), lambda _watched: None, lambda: None)
        started.append(core)
        ready.set()
        core.run()
        store.close()

    thread = threading.Thread(target=live)
    thread.start()
    assert ready.wait(WAIT_SECONDS_MAX)
    try:
        yield started[0]
    finally:
        started[0].stop()
        thread.join(WAIT_SECONDS_MAX)
        assert not thread.is_alive()


def play(home: House, connector: Scripted, polls: int) -> list[Polled]:
    """Let a worker poll so often, at once each time; what came of it."""
    polled: list[Polled] = []
    enough = threading.Event()

    def on_polled(outcome: Polled, _seconds: float) -> None:
        polled.append(outcome)
        if len(polled) >= polls:
            enough.set()

    def later(key: str, _at: datetime, call: Callable[[], None]) -> None:
        if key.startswith("poll") and not enough.is_set():
            call()

    with core_of(home) as core:
        connector.streams = connector.streams[:1]
        worker = AccountWorker("acme", "x", "acme", connector, core, Clock(), 5.0, later, on_polled)
        worker.start()
        assert enough.wait(WAIT_SECONDS_MAX)
        worker.stop(wait=True)
    return polled


def test_a_page_that_we_cannot_digest_is_told_as_blindness_and_tried_again(tmp_path: Path) -> None:
    """A mistake of ours in one page neither kills the stream nor hides that it is blind."""
    home = house(tmp_path)
    broken = Page((customer("1", 0, handles=None),), {"v": 1})
    fine = Page((customer("2", 1),), {"v": 2}, complete_through=at(2))
    polled = play(home, Scripted([broken, fine]), 2)
    assert [p.reason for p in polled] == ["malformed", "its cadence"]
    assert "could not be taken in" in (polled[0].error or "")
    assert [c.first_message_id for c in home.cases()] == ["2"]
    assert home.count("poll_failures") == 1


def test_a_connector_that_raises_anything_is_polled_again(tmp_path: Path) -> None:
    """The thread lives on, whatever a library throws."""
    home = house(tmp_path)
    fine = Page((customer("2", 1),), {"v": 2}, complete_through=at(2))
    polled = play(home, Scripted([RuntimeError("boom"), fine]), 2)
    assert [p.reason for p in polled] == ["malformed", "its cadence"]


class Limiting(Sink):
    """A channel that asks us to wait for an hour, at the first alert; it counts who comes all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)
        self.tries = 0

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        self.tries += 1
        self.asked.release()
        raise RetryAt("429", at=alert.at + timedelta(hours=1), limited=True)


class Counting(Sink):
    """A channel that tells of each alert that it took."""

    def __init__(self, enough: threading.Semaphore) -> None:
        super().__init__()
        self.enough = enough

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        receipt = super().send(alert, previous, time_limit)
        self.enough.release()
        return receipt


def test_a_channel_that_asks_us_to_wait_is_left_alone_and_holds_no_other_up(tmp_path: Path) -> None:
    """Slack says "in an hour": however often it is woken for other cases meanwhile, it is not asked again,
    and the mail goes out as ever."""
    every = frozenset(Stage)
    home = house(tmp_path, routes=(Route("care", "#care", every), Route("mail", "ops", every)))
    home.take(0, *(customer(str(n), 0, who=f"c{n}") for n in range(5)))
    home.watch(16)
    slack, arrived = Limiting(), threading.Semaphore(0)
    mail = Counting(arrived)
    with core_of(home) as core:
        workers = [
            ChannelWorker(name, channel, core, Clock(), 5.0, 60.0)
            for name, channel in (("care", slack), ("mail", mail))
        ]
        workers[0].start()
        assert slack.asked.acquire(timeout=WAIT_SECONDS_MAX)
        workers[1].start()
        for _ in range(5):
            workers[0].wake()
            assert arrived.acquire(timeout=WAIT_SECONDS_MAX)
        told = len(mail.sent)
        for worker in workers:
            worker.stop(WAIT_SECONDS_MAX)
    assert (slack.tries, told) == (1, 5)
