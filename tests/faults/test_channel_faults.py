"""Faults of whom we tell: a Slack or a mail server that refuses, limits, lies, breaks off or trickles."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from math import ceil
from pathlib import Path

import pytest

from simulator.faults import Fault, FaultKind
from tests.faults.build import Street, cases, street, subject_of
from tests.monitor.build import at, brand
from tests.wire.raw import Line, serve

BY_FALLBACK = """
[alerts]
fallback = ["mail"]

[[routes]]
name = "late"
stage = "breach"
channels = ["care"]
"""
"""Breaches go to Slack only, and to the mail where Slack does not take them."""

ONE = ("acme/x/1", "breach")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Street]:
    with street(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """One for all forms of a limit, each with a customer of its own."""
    with street(tmp_path_factory.mktemp("limited")) as made:
        yield made


def break_a_promise(town: Street) -> None:
    """A customer writes at noon, and it is 12:16."""
    town.complain(1)
    town.go_to(16)
    town.home.watch(16)


@pytest.mark.parametrize(
    ("given", "soonest", "latest"),
    [
        (None, 3, 8),
        ("soon, I hope", 3, 8),
        ("180 GMT", 180, 180),
        ("-3600 GMT", 0, 0),
        ("-30", 0, 0),
        ("120", 120, 120),
        ("1000000000", 3600, 3600),
        ("9" * 5000, 3600, 3600),
    ],
    ids=["missing", "no time", "a date", "a date that is past", "negative", "seconds", "10^9", "10^5000"],
)
def test_fault_13_retry_after_in_any_form_is_kept_or_clamped(
    limited: Street, given: str | None, soonest: float, latest: float
) -> None:
    """Slack says 429: it is asked again when it says so, within the hour whatever it says, and within seconds
    where it says nothing that makes sense; then the breach is there, once."""
    town, number = limited, len(limited.home.cases())
    about = f"acme/x/{number}"
    town.go_to(ceil(town.minute))  # HTTP dates know no fractions of a second
    town.complain(number)
    town.go_to(town.minute + 16)
    town.home.watch(town.minute)
    if given is not None and given.endswith("GMT"):
        given = format_datetime(town.clock.now() + timedelta(seconds=float(given[:-3])), usegmt=True)
    headers = () if given is None else (("Retry-After", given),)
    town.faults.once("/api/", Fault(FaultKind.RATE_LIMIT, headers=headers))
    refused = town.send_one("care")
    assert refused.outcome == "retry" and refused.again_at is not None
    wait = (refused.again_at - town.clock.now()).total_seconds()
    assert soonest <= wait <= latest
    if wait:
        assert town.send("care") == [] and town.rows("care")[-1] == (about, "breach", "pending")
        town.clock.world.at = refused.again_at
    assert [done.outcome for done in town.send("care")] == ["delivered"]
    assert town.rows("care")[-1] == (about, "breach", "delivered")
    assert [(said, minute) for said, minute in town.posted() if said == about] == [(about, town.minute)]


def _say_404(town: Street) -> None:
    town.faults.once("/api/", Fault(FaultKind.ERROR, 404))


def _say_invalid_auth(town: Street) -> None:
    town.slack.token = "xoxb-another"


@pytest.mark.parametrize("goes_wrong", [_say_404, _say_invalid_auth])
def test_fault_14_a_channel_that_refuses_is_a_dead_letter_and_the_fallback_tells(
    tmp_path: Path, goes_wrong: Callable[[Street], None]
) -> None:
    """Slack answers 404, or takes the token no longer, at 12:16: at 12:16 the mail says the breach and that
    Slack takes nothing, the dead letter stands in `alerts list`, `status` and /metrics until somebody has it
    tried again, and the all-clear reaches whoever read the breach."""
    with street(tmp_path, BY_FALLBACK) as town:
        break_a_promise(town)
        goes_wrong(town)
        town.live(17, every=0.5)
        assert town.rows("care") == [(*ONE, "dead")]
        told = dict(town.mailed())
        assert told.pop("acme/x/1") == "breach"
        assert list(told.values()) == ["trouble"] and next(iter(told)).startswith("channel_care_dead")
        trouble = next(mail for mail in town.mail.mails if mail.stage == "trouble")
        assert "Alerts over care are not accepted" in str(trouble.message["Subject"])
        assert "told here because it could not be said over care" in town.mail_about("acme/x/1")
        assert {mail.at for mail in town.mail.mails} == {at(16)}
        assert town.shown("response_monitor_dead_letters", channel="care") == 1
        assert town.shown("response_monitor_alerts_by_fallback_total", channel="mail") >= 1
        assert json.loads(town.run("status", "--json"))["dead_letters"] == 1
        town.take(brand("2", 16.5, "1"))
        town.live(18)
        assert town.mailed()[-1] == ("acme/x/1", "cleared")
        assert town.slack.posts == []


@pytest.mark.parametrize("answered_at", [None, 16.02])
def test_fault_16_accepted_and_then_cut_off_is_doubled_at_most_once_with_its_key(
    town: Street, answered_at: float | None
) -> None:
    """Slack takes the breach and the line breaks before it says so; the mail server does the same: each holds
    it at most twice and under one key, and once where the customer was answered before the second try; the
    all-clear reaches both, since both may have read it."""
    break_a_promise(town)
    town.faults.once("/api/", Fault(FaultKind.DROP_AFTER))
    town.mail.hang_ups = 1
    assert [town.send_one(name).outcome for name in ("care", "mail")] == ["retry", "retry"]
    assert len(town.slack.posts) == len(town.mail.mails) == 1
    if answered_at is not None:
        town.take(brand("2", answered_at, "1"))
    town.live(20, every=0.25)
    times = 2 if answered_at is None else 1
    posted = [delivery.key for delivery in town.slack.deliveries if "/breach/" in delivery.key]
    assert len(posted) == times and len(set(posted)) == 1
    mailed = [mail for mail in town.mail.mails if mail.stage == "breach"]
    assert len(mailed) == times
    assert len({(mail.key, mail.message["Message-ID"]) for mail in mailed}) == 1
    if answered_at is None:
        assert town.rows("care") == [(*ONE, "delivered")]
        return
    states = ["superseded", "delivered"]
    for channel in ("care", "mail"):
        assert [(stage, state) for _, stage, state in town.rows(channel)] == list(
            zip(("breach", "cleared"), states, strict=True)
        )


def _say_html(town: Street) -> None:
    town.faults.once("/api/", Fault(FaultKind.HTML))


def _say_ok_false(town: Street) -> None:
    town.slack.refuse("service_unavailable")


@pytest.mark.parametrize("goes_wrong", [_say_html, _say_ok_false])
def test_fault_17_a_success_that_is_none_is_tried_again(
    town: Street, goes_wrong: Callable[[Street], None]
) -> None:
    """Slack answers 200 with a page for people, or with `ok: false`: nobody takes that for a message that was
    posted. It waits in `alerts list`, and is there seconds later."""
    break_a_promise(town)
    goes_wrong(town)
    assert town.send_one("care").outcome == "retry"
    assert town.rows("care") == [(*ONE, "pending")] and town.slack.posts == []
    assert town.ended("care") == {}
    assert town.shown("response_monitor_alert_retries_total", channel="care") == 1
    town.live(17, every=0.25)
    assert town.rows("care") == [(*ONE, "delivered")] and len(town.slack.posts) == 1
    assert town.ended("care") == {"delivered": 1}


def test_fault_17_ok_false_that_will_not_change_is_a_dead_letter(town: Street) -> None:
    """`ok: false, error: not_in_channel` in a 200: the mail says so at once, with what to do."""
    break_a_promise(town)
    town.slack.refuse("not_in_channel")
    town.live(16)
    assert town.rows("care") == [(*ONE, "dead")] and town.ended("care") == {"dead": 1}
    assert [stage for _, stage in town.mailed()] == ["breach", "trouble"]
    assert "not_in_channel" in town.mail.mails[-1].part("plain")


def test_fault_18_an_answer_that_trickles_ends_with_the_time_limit(
    tmp_path: Path, stopwatch: Callable[[], float]
) -> None:
    """Slack sends a byte now and then and would do so for an hour: the send ends with `[http] time_limit`,
    is tried again, and the mail goes out."""

    def trickle(line: Line) -> None:
        line.read_request()
        line.trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b" " * 100_000)

    with serve(trickle) as slow, street(tmp_path, slack_url=slow.url, time_limit="1s") as town:
        break_a_promise(town)
        began = stopwatch()
        refused = town.send_one("care")
        assert 0.9 < stopwatch() - began < 4.0
        assert refused.outcome == "retry" and "did not answer within" in refused.detail
        assert town.rows("care") == [(*ONE, "pending")]
        assert [done.outcome for done in town.send("mail")] == ["delivered"]
        assert town.mailed() == [ONE]


def test_the_keys_that_tests_here_read_are_those_of_the_house(town: Street) -> None:
    """What these tests count by is what the channels were really told."""
    break_a_promise(town)
    town.live(16)
    (post,), (mail,) = town.slack.posts, town.mail.mails
    assert [subject_of(post.key)] == cases([1]) == [subject_of(mail.key)]
