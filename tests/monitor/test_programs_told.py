"""What programs make of a case, from the message that came in to the request that went out: PagerDuty's
incidents, and a receiver of webhooks that keeps a ticket for each subject."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from alerts.contract import Channel
from monitor.act import act
from monitor.dispatch import dispatch_once
from rules.alert import Stage
from rules.case import Action, Word
from rules.routes import Route
from simulator.faults import Fault, FaultKind
from tests.alerts.build import Bench, hook_bench, pagerduty_bench
from tests.monitor.build import House, at, brand, customer, house

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "webhook.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture
def pager() -> Iterator[Bench]:
    with pagerduty_bench() as made:
        yield made


@pytest.fixture
def hook() -> Iterator[Bench]:
    with hook_bench() as made:
        yield made


class Town:
    """A house whose one channel is a bench's, and that has lived until some minute past noon."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.bench = bench
        self.channel: Channel = bench.make()
        route = Route("care", self.channel.recipient, frozenset(Stage), updates=self.channel.updates)
        self.home: House = house(folder, routes=(route,))
        self.minute = 0

    def live_until(self, minute: int) -> None:
        """Minute by minute: look, and send what is due."""
        while self.minute < minute:
            self.minute += 1
            now = self.bench.clock.at = at(self.minute)
            self.home.watch(self.minute)
            while dispatch_once(self.home.store, self.home.policy, "care", self.channel, now).outcome in (
                "delivered",
                "dead",
            ):
                pass

    def say(self, word: Word, **more: Any) -> None:
        """An operator's word about the case of message 1."""
        now = at(self.minute)
        act(self.home.store, self.home.policy, Action(word, "1", "@ana", now, **more), now)

    def outcomes(self) -> set[str]:
        """What became of all that was to be said."""
        return {row.state.value for row in self.home.store.outbox.of_subject("acme/x/1")}


def test_an_incident_lives_as_long_as_its_case(tmp_path: Path, pager: Bench) -> None:
    """12:00 a complaint, 12:15 late: somebody is called. 12:17 @ana takes it: nobody else is called. 12:19 it
    is answered: the incident is over. There was one, and it called once."""
    town = Town(tmp_path, pager)
    town.home.take(0, customer("1", 0))
    town.live_until(16)
    (incident,) = pager.sink.incidents
    assert incident.status == "triggered" and incident.payload["custom_details"]["stage"] == "breach"
    town.say(Word.ACK)
    town.live_until(18)
    assert incident.status == "acknowledged"
    town.home.take(19, brand("2", 18, "1"))
    town.live_until(22)
    assert incident.status == "resolved" and len(incident.called_at) == 1
    assert pager.sink.incidents == [incident] and not any(e.dropped for e in pager.sink.enqueued)
    assert town.outcomes() == {"delivered"}


def test_what_was_resolved_in_pagerduty_stays_quiet_while_it_is_handed_on(
    tmp_path: Path, pager: Bench
) -> None:
    """Who is on call resolves the incident by hand; that the care team then snoozes the case and hands it on
    wakes nobody, and the answer later is no news there either."""
    town = Town(tmp_path, pager)
    town.home.take(0, customer("1", 0))
    town.live_until(16)
    pager.sink.incidents[0].status = "resolved"
    town.say(Word.SNOOZE, until=at(40))
    town.live_until(20)
    town.say(Word.ASSIGN, note="ben")
    town.live_until(24)
    town.home.take(25, brand("2", 25, "1"))
    town.live_until(30)
    assert [i.status for i in pager.sink.incidents] == ["resolved"]
    assert town.outcomes() == {"delivered"}


def test_pagerduty_is_down_while_a_case_comes_and_goes(tmp_path: Path, pager: Bench) -> None:
    """An outage over the whole life of a case leaves no incident behind: neither one that calls for what was
    answered long ago, nor one that stays open."""
    town = Town(tmp_path, pager)
    down = Fault(FaultKind.ERROR, status=503)
    pager.faults.between("/", down, at(0), at(60))
    town.home.take(0, customer("1", 0))
    town.live_until(20)
    town.home.take(21, brand("2", 20, "1"))
    town.live_until(90)
    assert pager.sink.incidents == []


def test_a_receiver_keeps_one_ticket_for_a_case(tmp_path: Path, hook: Bench) -> None:
    """Each body has the published form and an id of its own, and whatever is said of a case has one subject,
    also after a message that came before its first one is seen late."""
    town = Town(tmp_path, hook)
    town.home.take(0, customer("1", 0))
    town.live_until(16)
    town.home.take(16, customer("0", -5, conversation="1"))
    town.say(Word.ACK)
    town.live_until(18)
    town.home.take(19, brand("2", 18, "1"))
    town.live_until(22)
    bodies = [one.body for one in hook.sink.delivered]
    for body in bodies:
        VALIDATOR.validate(body)
    assert [b["type"] for b in bodies][-3:] == ["alert.breach", "alert.moved", "alert.cleared"]
    assert {b["data"]["subject"] for b in bodies} == {"acme/x/1"}
    assert [b["data"]["case"]["case_id"] for b in bodies][-3:] == ["acme/x/1", "acme/x/0", "acme/x/0"]
    assert len({one.id for one in hook.sink.delivered}) == len(bodies) and not hook.sink.rejected


def test_a_receiver_that_lost_its_answer_finds_the_double(tmp_path: Path, hook: Bench) -> None:
    """The line breaks after the receiver took the breach: it gets it again with the same id, and once more
    is not what happens then."""
    town = Town(tmp_path, hook)
    town.home.take(0, customer("1", 0))
    town.live_until(14)
    hook.faults.once("/", Fault(FaultKind.DROP_AFTER))
    town.live_until(20)
    breaches = [one for one in hook.sink.delivered if one.body["type"] == "alert.breach"]
    assert [one.again for one in breaches] == [False, True] and breaches[0].id == breaches[1].id
    first, second = (int(one.headers["webhook-timestamp"]) for one in breaches)
    assert timedelta(0) < timedelta(seconds=second - first) <= timedelta(minutes=2)
