"""The slower second look at those who wait: what polling missed is found, and it stays cheap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Budget, Capabilities, Gone, Outbound, Page, Stream
from monitor.clock import Clock
from monitor.ingest import Arrival, ingest
from monitor.reconcile import ASKED_MAX, STEP, Round, next_question, plan_round
from monitor.workers import AccountWorker
from rules.case import Status
from tests.monitor.build import House, at, brand, customer, house
from tests.monitor.test_steps import Scripted
from tests.monitor.test_workers import WAIT_SECONDS_MAX, core_of

AFTER = timedelta(minutes=30)
ACCOUNT = ("acme", "x", "acme")


def plan(home: House, minute: float, place: tuple[datetime, int] | None = None) -> Round:
    """A round at that minute."""
    return plan_round(home.store, ACCOUNT, {"mentions", "own"}, place, AFTER, at(minute))


def answer(home: House, minute: float, asked: Sequence[str], page: Page) -> None:
    """What the platform says to such a question."""
    arrival = Arrival("acme", "x", "acme", "acme/look-up", page, asked=tuple(asked))
    ingest(home.store, home.policy, arrival, at(minute))


def test_who_waits_is_asked_about_less_and_less_often(tmp_path: Path) -> None:
    """A complaint that nobody answers for a day costs six reads, and not one a minute."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    asked = []
    for minute in range(0, 24 * 60, 5):
        found = plan(home, minute)
        if found.ids:
            asked.append(minute)
            answer(home, minute, found.ids, Page((), {}))
    assert asked == [30, 60, 120, 240, 480, 960]


@given(st.integers(1, 100_000), st.lists(st.integers(0, 1_000_000), max_size=20), st.integers(1, 10_000))
def test_the_next_question_is_never_in_the_past_of_the_last(age: int, checks: list[int], after: int) -> None:
    """However it was asked before: not sooner than the setting, and not later than twice the age."""
    span = timedelta(seconds=after)
    for check in sorted(checks):
        checked = at(0) + timedelta(seconds=check)
        later = next_question(at(0), checked, span)
        assert later >= checked and later >= at(0) + span
        assert later - checked <= max(span, checked - at(0))


def test_what_is_over_private_or_somebody_elses_is_not_asked_about(tmp_path: Path) -> None:
    """Only who waits in public, at this account, costs a read."""
    home = house(tmp_path)
    home.take(
        0,
        customer("answered", 0),
        customer("waits", 0, who="bo"),
        customer("dm", 0, who="cy", public=False),
        customer("other", 0, who="di", account="acmehelp"),
        brand("b", 1, "answered"),
    )
    assert plan(home, 31).ids == ("waits",)


def test_nothing_is_asked_while_a_limit_runs_low(tmp_path: Path) -> None:
    """Polling goes first: what is left of a quota is kept for it, until it is full again."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    for name, low in (("mentions", False), ("requests", True)):
        page = Page((), {}, budgets=(Budget(name, 100, 10, at(40)),))
        answer(home, 20, (), page)
        assert (plan(home, 35).ids == ()) is low
    assert plan(home, 41).ids == ("1",)


def test_a_crowd_is_asked_about_in_turn(tmp_path: Path) -> None:
    """With more who wait than one round can ask about, everybody has a turn."""
    home = house(tmp_path)
    crowd = STEP + 2 * ASKED_MAX
    home.take(0, *(customer(str(n), n / 1000, who=f"c{n}") for n in range(crowd)))
    asked: list[str] = []
    place, rounds = None, 0
    while rounds == 0 or place is not None:
        found = plan(home, 40, place)
        assert len(found.ids) <= ASKED_MAX
        asked += found.ids
        place, rounds = found.place, rounds + 1
    assert sorted(asked) == sorted(str(n) for n in range(crowd))


@dataclass
class Telling(Scripted):
    """A platform without streams that tells all when it is asked about single messages."""

    capabilities: ClassVar[Capabilities] = Capabilities((), Outbound.NONE, 86400.0, deletes=True)
    streams: tuple[Stream, ...] = ()
    asked: list[tuple[str, ...]] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)

    def look_up(self, ids: object, time_limit: float) -> Page:
        assert isinstance(ids, tuple)
        self.asked.append(ids)
        self.told.set()
        return Page((brand("b", 20, "1"),), {}, gone=(Gone("2", at(25)),))


def test_the_daemon_finds_an_answer_and_a_delete_that_no_stream_brought(tmp_path: Path) -> None:
    """What a platform never listed still ends the wait: a worker asks, and the cases know."""
    home, connector = house(tmp_path), Telling()
    home.take(0, customer("1", 0), customer("2", 0, who="bo"))
    planned: list[datetime] = []

    def later(key: str, moment: datetime, call: Callable[[], None]) -> None:
        if key.startswith("reconcile"):
            planned.append(moment)
            if len(planned) > 1:
                return
        if not key.startswith("identify"):
            call()

    standing = Clock(1e-18, at(31), 0.0)
    with core_of(home, standing) as core:
        worker = AccountWorker(*ACCOUNT, connector, core, standing, 5.0, later, lambda *_: None, AFTER)
        worker.start()
        assert connector.told.wait(WAIT_SECONDS_MAX)
        worker.stop(wait=True)  # what is under way is finished
    assert connector.asked == [("1", "2")]
    assert planned[0] - at(31) == timedelta(minutes=7.5)
    assert sorted(case.status for case in home.cases()) == [Status.ANSWERED, Status.WITHDRAWN]
