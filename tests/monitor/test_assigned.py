"""Whom a case is given is told by name: when it becomes theirs, and when it is late; in Slack by a mention,
else by a mail of their own; and nobody else is woken by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.contract import Channel
from monitor.act import act
from monitor.config import Show
from monitor.dispatch import dispatch_once, lease, record, send
from monitor.policy import find_reaches
from rules.alert import Stage
from rules.case import Action, Word
from rules.hours import Calendar, Opening
from rules.routes import Route, Row
from rules.storms import StormPolicy
from rules.team import Person
from simulator.mail import MailSink
from simulator.slack_api import SlackWorkspace
from tests.alerts.build import BENCHES, Bench
from tests.monitor.build import House, at, brand, customer, house

ANA = Person("ana", slack="U0ANA", email="ana@acme.example")
BEN = Person("ben", email="ben@acme.example")
ZOE = Person("zoe")
PEOPLE = (ANA, BEN, ZOE)
EVERYTHING = frozenset(Stage)


class Town:
    """A house that tells over a simulated Slack ("slack") and a mail server ("mail"), minute by minute."""

    def __init__(self, folder: Path, slack: Bench, mail: Bench, **changes: Any) -> None:
        self.slack: SlackWorkspace = slack.sink
        self.mail: MailSink = mail.sink
        self._benches = (slack, mail)
        self.channels: dict[str, Channel] = {"slack": slack.make(), "mail": mail.make()}
        routes = tuple(
            Route(name, channel.recipient, EVERYTHING, updates=channel.updates)
            for name, channel in self.channels.items()
        )
        given: dict[str, Any] = {"people": PEOPLE, "routes": routes} | changes
        self.home: House = house(folder, reaches=find_reaches(given["people"], self.channels), **given)
        self.minute = 0

    def live_until(self, minute: int) -> None:
        while self.minute < minute:
            self.minute += 1
            self.home.watch(self.minute)
            self.send()

    def send(self) -> None:
        for bench in self._benches:
            bench.clock.at = at(self.minute)
        for name, channel in self.channels.items():
            while dispatch_once(
                self.home.store, self.home.policy, name, channel, at(self.minute)
            ).outcome not in (
                "idle",
                "retry",
            ):
                pass

    def give(self, to: str, by: str = "@olga") -> None:
        """Somebody hands the case of message 1 on."""
        now = at(self.minute)
        act(self.home.store, self.home.policy, Action(Word.ASSIGN, "1", by, now, None, to), now)

    def pings(self, user: str = "U0ANA") -> list[tuple[str, int]]:
        """The messages in Slack that notified that user: what they said then, and at which minute."""
        return [
            ((p.history or [p.text])[0], round((p.at - at(0)).total_seconds() / 60))
            for p in self.slack.posts
            if user in p.called
        ]

    def mails_to(self, address: str) -> list[str]:
        """The headlines of the mails to that person alone."""
        return [m.part("plain").split("\n")[0] for m in self.mail.mails if m.recipients == (address,)]

    def rows(self, person: str) -> list[tuple[str, str, str]]:
        """(stage, channel, state) of what was for that person alone."""
        rows = self.home.store.outbox.latest((), None, 1000)
        return [(r.stage.value, r.channel, r.state.value) for r in reversed(rows) if r.owed.to == person]


@pytest.fixture
def benches() -> Iterator[tuple[Bench, Bench]]:
    with BENCHES["slack token"]() as slack, BENCHES["smtp"]() as mail:
        yield slack, mail


@pytest.fixture
def town(tmp_path: Path, benches: tuple[Bench, Bench]) -> Town:
    """A complaint of 12:00, of which nothing is said before 12:07:30."""
    made = Town(tmp_path, *benches)
    made.home.take(1, customer("1", 0))
    made.live_until(2)
    assert made.slack.posts == [] and made.mail.mails == []
    return made


def test_who_is_given_a_case_is_called_at_once(town: Town) -> None:
    """12:02 @olga gives it to ana, before anybody was told of it: Slack calls her, and her alone; the mailbox
    of the team is not filled with it. When it is answered that message says so, and calls nobody."""
    town.give("ana")
    town.live_until(4)
    ((said, minute),) = town.pings()
    assert "iven to ana by @olga" in said and minute == 3
    (post,) = town.slack.posts
    assert post.thread_ts is None and post.called == ("U0ANA",) and town.mail.mails == []
    town.home.take(5, brand("2", 4, "1"))
    town.live_until(6)
    assert "answered after" in post.text and len(town.slack.posts) == 1 and len(town.pings()) == 1


def test_a_late_case_is_handed_on_in_its_thread(town: Town) -> None:
    """12:15 it is late; 12:17 it is given to ana: a line in the thread calls her, since a changed message
    calls nobody; the message shows whose it is. There is one line of it, not two."""
    town.live_until(17)
    posts = len(town.slack.posts)
    assert town.pings() == []
    town.give("ana")
    town.live_until(20)
    (line,) = town.slack.posts[posts:]
    assert line.thread_ts == town.slack.posts[0].ts and not line.broadcast
    assert line.called == ("U0ANA",) and "given to ana by @olga" in line.text
    assert all("Assigned to" in str(post.blocks) for post in town.slack.posts[:posts])
    assert town.rows("ana") == [("moved", "slack", "delivered")]


def test_whose_it_is_is_called_when_it_is_late(town: Town) -> None:
    """Given at 12:02, late at 12:15: ana is called twice, by Slack both times, and gets no own mail."""
    town.give("ana")
    town.live_until(20)
    assert [minute for _, minute in town.pings()] == [3, 15]
    assert town.mails_to("ana@acme.example") == []


def test_whom_slack_does_not_know_gets_mails_of_their_own(town: Town) -> None:
    """Ben has an address and no id in Slack: he is written to when it is his, when it is late, and when it is
    over, in one thread of his own; each once, whatever the team is told."""
    town.give("ben")
    town.live_until(16)
    town.home.take(17, brand("2", 16.5, "1"))
    town.live_until(20)
    given, late, over = town.mails_to("ben@acme.example")
    assert "Given to ben by @olga" in given and "late now" in late.lower() and "answered after" in over
    mine = [m.message for m in town.mail.mails if m.recipients == ("ben@acme.example",)]
    assert all(m["To"] == "ben@acme.example" for m in mine)
    assert mine[1]["In-Reply-To"] == mine[0]["Message-ID"]
    assert town.pings("U0ANA") == []
    assert town.rows("ben") == [(s, "mail", "delivered") for s in ("moved", "breach", "cleared")]


def test_who_takes_it_is_not_told(town: Town) -> None:
    """Ana gives it to herself, by any of her names; and what nobody knows by name tells nobody."""
    for by, to in (("@ana", "ana"), ("U0ANA", "ana"), ("ana@acme.example", "U0ANA"), ("@olga", "somebody")):
        town.give(to, by)
        town.live_until(town.minute + 1)
    town.give("zoe")
    town.live_until(7)
    assert town.slack.posts == [] and town.mail.mails == []


def test_a_case_that_goes_from_hand_to_hand_tells_each(town: Town) -> None:
    """To ana, to ben, back to ana: three words, three people told, each once."""
    for name in ("ana", "ben", "ana"):
        town.give(name)
        town.live_until(town.minute + 1)
    assert [minute for _, minute in town.pings()] == [3, 5]
    assert len(town.mails_to("ben@acme.example")) == 1


def test_a_breach_that_is_under_way_meanwhile_shows_it_too(town: Town) -> None:
    """12:15 the breach is under way when the case is given to ben, who is told by mail: once Slack has
    taken the breach, its message shows whose it is."""
    town.live_until(14)
    town.home.watch(15)
    leased, _ = lease(town.home.store, town.home.policy, "slack", at(15), 60.0)
    assert leased is not None
    town.minute = 15
    town.give("ben")
    town.home.watch(15)
    record(town.home.store, town.home.policy, send(town.channels["slack"], leased, 10.0), at(15.1))
    town.live_until(18)
    assert all("Assigned to" in str(post.blocks) for post in town.slack.posts if post.thread_ts is None)
    assert len(town.mails_to("ben@acme.example")) == 1


def test_what_moved_on_before_it_was_told_is_told_to_the_latter_only(town: Town) -> None:
    """Slack is down when it is given to ana; when it is up again it is ben's: ana is not called."""
    town.give("ana")
    town.home.watch(2)
    town.give("ben")
    town.live_until(5)
    assert town.pings() == [] and len(town.mails_to("ben@acme.example")) == 1
    assert town.rows("ana") == [("moved", "slack", "superseded")]


def test_a_snooze_right_after_does_not_hide_whose_it_is(town: Town) -> None:
    """Given to ana and snoozed before anybody looked: she is told all the same."""
    town.give("ana")
    now = at(2.5)
    act(town.home.store, town.home.policy, Action(Word.SNOOZE, "1", "@olga", now, at(60)), now)
    town.live_until(5)
    assert len(town.pings()) == 1


def test_looking_again_tells_nobody_twice(town: Town) -> None:
    """As after a crash: the same look, many times."""
    town.give("ben")
    (pk,) = [row.pk for row in town.home.store.cases.everything()]
    for minute in (3, 3, 4, 5):
        with town.home.store.transaction("look"):
            town.home.store.cases.look_later(pk, at(minute), "", wants_look=False)
        town.home.watch(minute)
        town.minute = minute
        town.send()
    assert len(town.mails_to("ben@acme.example")) == 1


def test_after_the_quiet_hours_one_mail_says_how_it_stands(
    tmp_path: Path, benches: tuple[Bench, Bench]
) -> None:
    """The mail channel sleeps until 12:20: ben wakes to one mail, that his is late, and not to three."""
    waking = Calendar("waking", "UTC", tuple(Opening(day, 12 * 60 + 20, 23 * 60) for day in range(7)))
    town = Town(tmp_path, *benches, hours={"mail": waking})
    town.home.take(1, customer("1", 0))
    town.give("ben")
    town.live_until(25)
    (mail,) = town.mails_to("ben@acme.example")
    assert "late" in mail
    assert town.rows("ben") == [("moved", "mail", "superseded"), ("breach", "mail", "delivered")]


def test_a_message_that_was_deleted_does_not_swallow_whose_it_is(town: Town) -> None:
    """Somebody deleted the first message by hand, and its thread with it: ana is called by a new one, and
    what stands goes on being kept up to date."""
    town.live_until(17)
    first, *others = town.slack.posts
    town.slack.delete(first.ts)
    town.give("ana")
    town.live_until(18)
    assert len(town.pings()) == 1
    town.home.take(19, brand("2", 18, "1"))
    town.live_until(20)
    assert others and all("answered after" in post.text for post in town.slack.posts)


def test_old_words_are_no_news(town: Town) -> None:
    """The daemon stood still for two days: nobody is told then that a case was theirs on Monday."""
    town.give("ben")
    town.home.watch(2 * 24 * 60)
    assert [r for r in town.rows("ben") if r[0] == "moved"] == []


def test_the_channel_of_people_is_asked_where_no_route_reaches_them(
    tmp_path: Path, benches: tuple[Bench, Bench]
) -> None:
    """Care is told in Slack only: ben, whom Slack does not know, is written to over the channel that the
    config names for that; without one he is not told."""
    rows = (Row("care", ("slack",)),)
    without = Town(tmp_path / "without", *benches, rows=rows)
    over = Town(tmp_path / "over", *benches, rows=rows, people_over="mail")
    for town in (without, over):
        town.home.take(1, customer("1", 0))
        town.give("ben")
        town.live_until(16)
        assert len(town.mails_to("ben@acme.example")) == (2 if town is over else 0)


def test_one_of_the_recipients_reads_once_that_it_is_late(
    tmp_path: Path, benches: tuple[Bench, Bench]
) -> None:
    """Cleo is among those whom the channel writes to: that it is late she reads there, and not twice."""
    cleo = Person("cleo", email="Lead@acme.example")
    town = Town(tmp_path, *benches, people=(cleo,))
    town.home.take(1, customer("1", 0))
    town.give("cleo")
    town.live_until(16)
    assert town.rows("cleo") == [("moved", "mail", "delivered")]
    assert [h for h in town.mails_to("lead@acme.example") if "iven to cleo" in h]


@pytest.mark.parametrize("show", [Show.NOTHING, Show.MASKED])
def test_a_mail_of_ones_own_shows_no_more_than_its_channel(
    tmp_path: Path, benches: tuple[Bench, Bench], show: Show
) -> None:
    """What the channel may not show to the team, it does not show to one of them."""
    town = Town(tmp_path, *benches, shows={"mail": show})
    text = "@acme my parcel is late, call +49 170 1234567"
    town.home.take(1, customer("1", 0, text))
    town.give("ben")
    town.live_until(3)
    (mail,) = [m for m in town.mail.mails if m.recipients == ("ben@acme.example",)]
    assert "1234567" not in mail.part("plain")
    assert ("parcel" in mail.part("plain")) is (show is Show.MASKED)


def test_a_dead_address_is_told_to_the_others(tmp_path: Path, benches: tuple[Bench, Bench]) -> None:
    """Ben's mailbox is gone: the team hears of it by name, and the case goes its way."""
    town = Town(tmp_path, *benches)
    town.mail.refused_recipients["ben@acme.example"] = "550 5.1.1 no such user"
    town.home.take(1, customer("1", 0))
    town.give("ben")
    town.live_until(16)
    assert [state for _, _, state in town.rows("ben")] == ["dead", "dead"]
    troubles = [post.text for post in town.slack.posts if post.stage == "trouble"]
    assert troubles and all("ben is not reached over mail" in text for text in troubles)


def test_who_left_is_not_told_and_nobody_else_is_in_their_place(town: Town) -> None:
    """Between the word and the sending ben left the config: his mail goes to nobody."""
    town.give("ben")
    town.home.watch(3)
    town.home.policy = replace(town.home.policy, people=(ANA,), reaches={})
    town.live_until(5)
    assert town.rows("ben") == [("moved", "mail", "superseded")] and town.mail.mails == []


def test_a_storm_does_not_hide_from_somebody_that_theirs_is_late(
    tmp_path: Path, benches: tuple[Bench, Bench]
) -> None:
    """Twenty are late at once: the team reads one message, and ben that his is late."""
    town = Town(tmp_path, *benches, storm=StormPolicy(5, 600.0, 600.0, 60.0))
    town.home.take(1, *[customer(str(n), 0, who=f"c{n}") for n in range(1, 21)])
    town.give("ben")
    town.live_until(16)
    assert ("breach", "mail", "delivered") in town.rows("ben")
