"""An alert that reached some of its people: the rest is told later, nobody twice, and nobody is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from alerts import smtp
from alerts.contract import Channel, ChannelSurroundings
from monitor.dispatch import GIVE_UP_AFTER, dispatch_once
from rules.alert import Stage
from rules.routes import Route
from simulator.mail import MailSink
from simulator.world import FixedClock
from tests.monitor.build import NOON, House, Sink, at, brand, customer, house
from wire.http import HttpOptions

CARE, LEAD = "care@acme.example", "lead@acme.example"
EVERY = frozenset(Stage)
BREACH_ONLY = frozenset({Stage.BREACH, Stage.CLEARED, Stage.CORRECTED, Stage.TROUBLE})


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink(FixedClock(NOON)) as made:
        yield made


def _channel(sink: MailSink) -> Channel:
    lead = {"address": LEAD, "time_zone": "America/New_York"}
    settings = {
        "host": sink.host,
        "port": sink.port,
        "security": "none",
        "sender": "monitor@acme.example",
        "recipients": [CARE, lead],
    }
    zone = ZoneInfo("Europe/Berlin")
    surroundings = ChannelSurroundings("mail", zone, HttpOptions(), lambda: NOON)
    return smtp.build(smtp.Settings.model_validate(settings), surroundings)


def _home(folder: Path, *more: Route) -> House:
    return house(folder, routes=(Route("mail", "care@acme.example and 1 more", BREACH_ONLY), *more))


def _send(home: House, channel: Channel, minute: float, name: str = "mail") -> list[str]:
    """Send until nothing is due; how each attempt ended."""
    outcomes: list[str] = []
    while (done := dispatch_once(home.store, home.policy, name, channel, at(minute))).outcome != "idle":
        outcomes.append(done.outcome)
    return outcomes


def _stages(sink: MailSink, address: str) -> list[str]:
    return [mail.stage for mail in sink.mails if address in mail.recipients]


def test_who_was_put_off_is_told_later_and_the_others_once(tmp_path: Path, sink: MailSink) -> None:
    """12:15 a breach, and the lead's mailbox is greylisted; 12:20 it is not: one mail each, and one
    all-clear each."""
    home, channel = _home(tmp_path), _channel(sink)
    home.take(0, customer("1", 0))
    home.watch(15)
    sink.refused_recipients = {LEAD: "450 4.2.0 greylisted"}
    assert _send(home, channel, 15) == ["retry"]
    assert (_stages(sink, CARE), _stages(sink, LEAD)) == (["breach"], [])
    assert _send(home, channel, 16) == ["retry"]
    assert home.store.outbox.put_off_recipients() == [("mail", 1)]
    sink.refused_recipients = {}
    assert _send(home, channel, 20) == ["delivered"]
    assert (_stages(sink, CARE), _stages(sink, LEAD)) == (["breach"], ["breach"])
    home.take(21, brand("2", 21, "1"))
    home.watch(22)
    assert _send(home, channel, 22) == ["delivered"]
    assert (_stages(sink, CARE), _stages(sink, LEAD)) == (["breach", "cleared"],) * 2
    assert home.count("alerts_ended") == 2


def test_an_answer_meanwhile_ends_a_breach_that_reached_some(tmp_path: Path, sink: MailSink) -> None:
    """Who was told of the breach is told of its end; who was put off hears no breach that is over."""
    home, channel = _home(tmp_path), _channel(sink)
    home.take(0, customer("1", 0))
    home.watch(15)
    sink.refused_recipients = {LEAD: "450 4.2.0 greylisted"}
    assert _send(home, channel, 15) == ["retry"]
    home.take(16, brand("2", 16, "1"))
    home.watch(17)
    sink.refused_recipients = {}
    _send(home, channel, 18)
    assert _stages(sink, CARE) == ["breach", "cleared"]
    assert _stages(sink, LEAD) == ["cleared"]
    breach, cleared = (mail.message for mail in sink.mails if CARE in mail.recipients)
    assert cleared["In-Reply-To"] == breach["Message-ID"]


def test_a_mailbox_that_is_put_off_holds_nobody_up(tmp_path: Path, sink: MailSink) -> None:
    """The lead's mailbox is full from the warning on: the team has the breach at its minute all the same, and
    the lead, once there is room, the newest of the two and no old news."""
    home, channel = _home(tmp_path), _channel(sink)
    home.policy = replace(home.policy, routes=(Route("mail", "care@acme.example and 1 more", EVERY),))
    home.take(0, customer("1", 0))
    sink.refused_recipients = {LEAD: "452 4.2.2 full"}
    for minute in range(8, 16):
        home.watch(minute)
        _send(home, channel, minute)
    assert _stages(sink, CARE) == ["warning", "warning", "breach"]
    assert sink.mails[-1].stage == "breach" and _stages(sink, LEAD) == []
    sink.refused_recipients = {}
    for minute in range(16, 60):
        _send(home, channel, minute)
    assert _stages(sink, CARE) == ["warning", "warning", "breach"]
    assert _stages(sink, LEAD) == ["breach"]


def test_who_is_left_out_for_good_is_told_of_everywhere(tmp_path: Path, sink: MailSink) -> None:
    """A mailbox that is gone is no silence: over the same channel, which reaches the others, and over all
    others people read who does not get their alerts, once a day."""
    slack = Sink()
    home = _home(tmp_path, Route("care", "#care", frozenset({Stage.TROUBLE})))
    channel = _channel(sink)
    home.take(0, customer("1", 0), customer("2", 0, who="ben"))
    home.watch(15)
    sink.refused_recipients = {LEAD: "550 5.1.1 no such user"}
    assert _send(home, channel, 15) == ["delivered"] * 3
    assert _stages(sink, CARE) == ["breach", "breach", "trouble"]
    assert _send(home, slack, 15, "care") == ["delivered"]
    ((told, _),) = slack.sent
    assert told.trouble is not None and told.trouble.title == "Not everybody is reached over mail"
    assert told.trouble.detail == f"{LEAD} (550 5.1.1 no such user)"
    assert "recipients" in told.trouble.what_to_do


def test_a_mailbox_that_is_put_off_for_a_day_is_given_up_and_told(tmp_path: Path, sink: MailSink) -> None:
    """After a day nobody waits for a mailbox any more; the breach counts as told, and who missed it is
    named."""
    home, channel = _home(tmp_path), _channel(sink)
    home.take(0, customer("1", 0))
    home.watch(15)
    sink.refused_recipients = {LEAD: "450 4.2.0 greylisted"}
    assert _send(home, channel, 15) == ["retry"]
    later = 16 + GIVE_UP_AFTER / timedelta(minutes=1)
    assert _send(home, channel, later)[0] == "delivered"
    assert _stages(sink, CARE) == ["breach", "trouble"]
    assert "greylisted" in sink.mails[-1].part("plain")
