"""A channel that is away for hours: how it is asked meanwhile, and what people hear when it is back."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.dispatch import BACKOFF_MAX
from simulator.faults import Faults
from simulator.serve import Served
from simulator.slack_api import make_slack_app
from tests.faults.build import Street, cases, street
from tests.monitor.build import at, brand
from tests.monitor.test_daemon import free_port

STEP = 6
BEGINS, ENDS = 6, 366
"""Six hours, in minutes past noon."""

CUSTOMERS = range(18)
EVERY = 18
ANSWERED = range(0, 18, 3)
WAIT = [n for n in CUSTOMERS if n not in ANSWERED]
DIGEST = "acme_digest_1"


def _go_through(town: Street, until: int) -> None:
    """A customer every eighteen minutes, every third of whom is answered half an hour later: never so many at
    once that it were a storm."""
    for minute in range(int(town.minute), until, STEP):
        town.go_to(minute)
        if minute % EVERY == 0 and minute // EVERY in CUSTOMERS:
            town.complain(minute // EVERY)
        if minute >= 30 and (minute - 30) % EVERY == 0 and (minute - 30) // EVERY in ANSWERED:
            _answer(town, (minute - 30) // EVERY)
        town.live(minute)


def _answer(town: Street, *numbers: int) -> None:
    town.take(*(brand(f"r{n}", town.minute, str(n)) for n in numbers))


def test_fault_15_six_hours_of_500_end_in_one_message_and_nothing_is_lost(tmp_path: Path) -> None:
    """Slack answers 500 from 12:06 to 18:06, while twelve customers wait too long, one after the other, and
    six are answered late. The mail has each at its minute. Slack is asked ever more seldom, at times that do
    not fall together. When it is back it gets one breach and one message for the eleven others, with the
    worst of them, and not twelve; that message goes on as they are answered, and is over when all are. In
    `alerts list` each alert stands with what became of it."""
    with street(tmp_path) as town:
        town.go_to(BEGINS)
        town.refuse(500, until=ENDS)
        town.go_to(0)
        _go_through(town, ENDS)
        assert [about for about, stage in town.mailed() if stage == "breach"] == cases(CUSTOMERS)
        assert town.slack.posts == [] and town.shown("response_monitor_dead_letters") == 0
        assert town.shown("response_monitor_outbox_depth", channel="care") == len(WAIT)
        _look_at_tries(town)
        _go_through(town, ENDS + 18)
        single, digest = town.slack.posts
        assert DIGEST in digest.key and "/breach/" in single.key and single.at <= digest.at <= at(ENDS + 18)
        assert "Held up at acme: 11 cases waiting too long, 0 answered" in digest.text
        assert "acme/x/1" in str(digest.blocks)  # the one that waits the longest but for the one told singly
        told = _what_became_of_each(town)
        assert sorted(told) == sorted(cases(CUSTOMERS))
        assert {told[about] for about in cases(ANSWERED)} == {"the case is answered"}
        by_digest = [about for about, what in told.items() if what == "said by the digest acme digest 1"]
        assert len(by_digest) == len(WAIT) - 1
        assert [about for about, what in told.items() if what == "delivered"] == [town.posted()[0][0]]
        _is_over_when_all_are_answered(town)


def _look_at_tries(town: Street) -> None:
    """Each try later than the last up to a quarter of an hour, give or take a quarter, and none alike."""
    row = next(r for r in town.home.store.outbox.of_subject("acme/x/1") if r.channel == "care")
    tries = [when for _, when, _, _ in town.home.store.outbox.deliveries(row.pk)]
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps[-1] > 2 * gaps[0] and max(gaps) <= 1.25 * BACKOFF_MAX + timedelta(minutes=STEP)
    assert len(set(gaps[-10:])) > 1
    asked = town.asked()
    assert max(asked.count(moment) for moment in set(asked)) < len(WAIT)
    assert len(asked) / len(CUSTOMERS) < (ENDS - BEGINS) / 10


def _what_became_of_each(town: Street) -> dict[str, str]:
    rows = [row for row in town.listed("care") if row["stage"] == "breach"]
    assert all(row["state"] in ("delivered", "superseded") for row in rows)
    return {row["about"]: row["outcome"] for row in rows}


def _is_over_when_all_are_answered(town: Street) -> None:
    digest = town.slack.posts[1]
    _answer(town, *WAIT[:5])
    _go_through(town, int(town.minute) + 3 * STEP)
    assert digest.history and len([p for p in town.slack.posts if p.thread_ts is None]) == 2
    _answer(town, *WAIT[5:])
    _go_through(town, int(town.minute) + 3 * STEP)
    assert "What was held up at acme is over: 11 cases, 11 answered, nobody waits" in digest.text
    assert town.shown("response_monitor_outbox_depth") == 0
    created = town.shown("response_monitor_alerts_created_total", channel="care")
    assert created == sum(town.ended("care").values())


APART = 3
"""Minutes between two late customers: too far for a storm, in the tests below."""


@pytest.mark.parametrize("customers", [8, 12])
def test_fault_15_a_slack_that_nobody_reaches_for_an_hour(tmp_path: Path, customers: int) -> None:
    """Slack's address takes no connection: eight late customers are told of singly when it does again, twelve
    in one message, and an answer while that waits leaves nothing to say."""
    port = free_port()
    with street(tmp_path, slack_url=f"http://127.0.0.1:{port}") as town:
        for number in range(customers):
            town.go_to(APART * number)
            town.complain(number)
            town.live(APART * number)
        for minute in range(APART * customers, 75, APART):
            town.go_to(minute)
            town.live(minute)
        app = make_slack_app(town.slack, Faults(town.clock.world))
        with Served(app, port=port):
            for minute in range(75, 99, APART):
                town.go_to(minute)
                town.live(minute)
        digests = [post for post in town.slack.posts if DIGEST in post.key]
        assert len(town.slack.posts) == (8 if customers == 8 else 2)
        assert len(digests) == (0 if customers == 8 else 1)
        assert town.shown("response_monitor_outbox_depth") == 0


def test_fault_15_a_digest_that_waited_until_all_were_answered_is_not_said(tmp_path: Path) -> None:
    """Slack takes one alert at 13:00 and goes away again: the digest of the eleven others waits, all are
    answered meanwhile, and when Slack is back it hears the end of what it was told, and nothing else."""
    with street(tmp_path) as town:
        town.refuse(503, until=60)
        for number in range(12):
            town.go_to(APART * number)
            town.complain(number)
            town.live(APART * number)
        town.live(57, every=APART)
        town.go_to(60)
        assert town.send_one("care").outcome == "delivered"
        assert town.rows("care")[-1] == ("acme digest 1", "storm", "pending")
        town.refuse(503, until=69)
        assert [done.outcome for done in town.send("care")] == ["retry"]
        town.go_to(61)
        _answer(town, *range(12))
        town.live(99, every=APART)
        (post,) = town.slack.posts
        assert post.stage == "cleared" and "/breach/" in post.keys[0]
        assert ("acme digest 1", "storm", "superseded") in town.rows("care")
        assert town.shown("response_monitor_outbox_depth") == 0
