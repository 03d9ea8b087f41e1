"""Two cases that had both been told of turn out to be one: whatever was opened for either is kept up to date
and ended, on every kind of channel that can be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from monitor.act import act
from monitor.dispatch import dispatch_once
from rules.alert import Stage
from rules.case import Action, Word
from rules.routes import Route
from simulator.hooks_api import PagerDutyService
from tests.alerts.build import BENCHES, Bench
from tests.monitor.build import House, at, brand, customer
from tests.monitor.test_public_to_private import asks_by_dm, with_next, writes_dm


def _incidents(sink: Any) -> tuple[int, int]:
    return sum(i.status != "resolved" for i in sink.incidents), len(sink.incidents)


def _firing(sink: Any) -> tuple[int, int]:
    return len(sink.firing()), len({one.labels["case"] for one in sink.held.values()})


def _messages(sink: Any) -> tuple[int, int]:
    return sum(post.stage != "cleared" for post in sink.posts), sum(not p.thread_ts for p in sink.posts)


WAYS: dict[str, tuple[Callable[[], AbstractContextManager[Bench]], Callable[[Any], tuple[int, int]]]] = {
    "pagerduty": (BENCHES["pagerduty"], _incidents),
    "alertmanager": (BENCHES["alertmanager"], _firing),
    "slack": (BENCHES["slack token"], _messages),
}
"""Each kind of channel that can be changed, and how many of its things are open, of how many cases."""

COMPLAINT = customer("1", 0)
LATER = customer("5", 4, conversation="1", parent="1")
BY_DM = asks_by_dm("3", 2)


class Town:
    """A house with one channel on its simulated remote, minute by minute."""

    def __init__(self, folder: Path, bench: Bench, look: Callable[[Any], tuple[int, int]]) -> None:
        self.bench = bench
        self._look = look
        self.channel = bench.make()
        route = Route("care", self.channel.recipient, frozenset(Stage), updates=self.channel.updates)
        self.home: House = with_next(folder, routes=(route,))
        self.minute = 0

    def look(self) -> tuple[int, int]:
        """What is open there, and of how many cases there ever was something."""
        return self._look(self.bench.sink)

    def live_until(self, minute: int) -> None:
        while self.minute < minute:
            self.minute += 1
            now = self.bench.clock.at = at(self.minute)
            self.home.watch(self.minute)
            while (
                dispatch_once(self.home.store, self.home.policy, "care", self.channel, now).outcome != "idle"
            ):
                pass


@pytest.fixture(params=WAYS)
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A DM of 12:02 and a post of 12:04, whose beginning we have not seen: two cases, both late and told."""
    bench, look = WAYS[request.param]
    with bench() as made:
        town = Town(tmp_path, made, look)
        town.home.take(5, BY_DM, LATER)
        town.live_until(20)
        assert len(town.home.cases()) == 2 and town.look() == (town.look()[0], 2)
        assert town.look()[0] >= 2
        yield town


def test_what_was_opened_for_either_is_over_when_the_customer_was_answered(town: Town) -> None:
    """12:21 the post of 12:00 turns up, by which they are one; 12:30 one answer: nothing stays open."""
    town.home.take(21, COMPLAINT)
    town.live_until(29)
    assert len(town.home.cases()) == 1
    town.home.take(30, writes_dm("6", 30))
    town.live_until(40)
    assert town.look() == (0, 2)


def test_what_is_left_open_by_an_answer_to_the_other_is_ended_when_they_are_one(town: Town) -> None:
    """12:21 the DM is answered, and what was opened for it is over; the post still waits. Then the post of
    12:00 turns up, by which that answer was for all of it: what was opened for the post is over too."""
    town.home.take(21, writes_dm("6", 21))
    town.live_until(25)
    open_now, of_cases = town.look()
    assert open_now > 0 and of_cases == 2
    town.home.take(26, COMPLAINT)
    town.live_until(40)
    assert len(town.home.cases()) == 1
    assert town.look() == (0, 2)


def test_who_takes_the_one_shows_on_both(town: Town) -> None:
    """12:23 @ana takes it: both messages say so, and PagerDuty calls for neither incident."""
    town.home.take(21, COMPLAINT)
    town.live_until(22)
    act(town.home.store, town.home.policy, Action(Word.ACK, "3", "@ana", at(23)), at(23))
    town.live_until(30)
    moved = [r for r in town.home.store.outbox.latest((), None, 100) if r.stage is Stage.MOVED]
    assert sorted((r.subject, r.state.value) for r in moved) == [
        ("acme/x/3", "delivered"),
        ("acme/x/5", "delivered"),
    ]
    if isinstance(town.bench.sink, PagerDutyService):
        assert [i.status for i in town.bench.sink.incidents] == ["acknowledged"] * 2


def test_what_is_said_of_the_one_is_said_in_one_place(town: Town) -> None:
    """Nothing is said twice of the case that they became, and it opens nothing third."""
    before = len(town.home.store.outbox.latest((), None, 100))
    town.home.take(21, COMPLAINT)
    town.live_until(60)
    assert town.look()[1] == 2
    assert len(town.home.store.outbox.latest((), None, 100)) == before


def test_a_correction_of_both_counts_once(tmp_path: Path) -> None:
    """The answer of 12:10 is seen at 12:30, when they are one: what was false is said in both places, and it
    was one false alert."""
    with BENCHES["slack token"]() as bench:
        town = Town(tmp_path, bench, _messages)
        town.home.take(5, BY_DM, LATER)
        town.live_until(20)
        town.home.take(30, COMPLAINT, brand("7", 10, "1"))
        town.live_until(35)
    assert town.home.count("false_alerts") == 1
    assert sorted(
        r.subject for r in town.home.store.outbox.latest((), None, 100) if r.stage is Stage.CORRECTED
    ) == [
        "acme/x/3",
        "acme/x/5",
    ]
