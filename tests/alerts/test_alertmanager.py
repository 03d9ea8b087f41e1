"""Alertmanager, on a simulated one: an alert that fires is the alert that is resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.alertmanager import WAYS, Settings
from alerts.contract import Channel, Previewing, Receipt
from rules.alert import Alert, Stage
from simulator.alertmanager_api import Alertmanager, Held, make_alertmanager_app
from simulator.faults import Fault, FaultKind, Faults
from simulator.serve import Served
from simulator.world import FixedClock
from tests.alerts.build import (
    BENCHES,
    LIMIT,
    NOON,
    PASSWORD,
    Bench,
    alert,
    build_channel,
    spike_alert,
    storm_alert,
)
from tests.wire.peers import hangs, peer
from wire.errors import Malformed, NotAllowed, Refused, RetryAt
from wire.http import HttpOptions

LATER = NOON + timedelta(minutes=20)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with BENCHES["alertmanager"]() as made:
        yield made


def tell(bench: Bench, *alerts: Alert, previous: Receipt | None = None, **settings: Any) -> Receipt:
    """Say them one after the other, each with the receipt of the one before."""
    channel = bench.make(**settings)
    for each in alerts:
        bench.clock.at = max(bench.clock.at, each.at)
        previous = channel.send(each, previous, LIMIT)
    assert previous is not None
    return previous


def only(bench: Bench) -> Held:
    """The one alert that there is."""
    (one,) = bench.sink.held.values()
    assert isinstance(one, Held)
    return one


def test_a_wait_is_one_alert_from_the_warning_to_the_answer(bench: Bench) -> None:
    """Alertmanager shows one alert a customer, brings it up to date, and says once that it is over."""
    receipt = tell(bench, alert(Stage.WARNING))
    assert only(bench).annotations["summary"].startswith("⏳ 8 min left")
    receipt = tell(bench, alert(Stage.BREACH, at=LATER), previous=receipt)
    fires = only(bench)
    assert fires.annotations["summary"].startswith("🔴 12 min late: @\u200bann_b has waited 27 min on X")
    assert (
        fires.annotations["stage"] == "breach"
        and "They wrote:\n> My order" in fires.annotations["description"]
    )
    assert fires.fires(LATER + timedelta(hours=12))
    assert fires.starts_at == NOON - timedelta(minutes=7)
    assert fires.generator_url == fires.annotations["link"] == "https://x.example/ann_b/status/17"
    tell(bench, alert(Stage.CLEARED, at=LATER), previous=receipt)
    over = only(bench)
    assert not bench.sink.firing() and over.labels == fires.labels
    assert over.annotations["summary"] == "✅ @\u200bann_b on X: answered after 12 min by @\u200bacmehelp"
    assert over.ends_at == NOON + timedelta(minutes=5)


def test_what_can_be_routed_by_stands_in_the_labels(bench: Bench) -> None:
    """A team's own routes tell brands, platforms, priorities and kinds apart, and its own labels arrive."""
    tell(bench, alert(Stage.BREACH), labels={"team": "care"}, severity="warning")
    assert only(bench).labels == {
        "alertname": "ResponseMonitorUnanswered",
        "severity": "warning",
        "team": "care",
        "brand": "acme",
        "connector": "x",
        "account": "acmehelp",
        "priority": "high",
        "case": "acme/x/17",
    }


def test_what_changes_meanwhile_does_not_leave_an_alert_behind(bench: Bench) -> None:
    """A customer who becomes urgent, a case that gets another id, and labels that are changed in the config
    resolve the alert that fires, and no other one."""
    receipt = tell(bench, alert(Stage.WARNING), labels={"team": "care"})
    changed = alert(Stage.BREACH, subject="acme/x/17", priority="urgent", case_id="acme/x/16")
    receipt = tell(bench, changed, previous=receipt, labels={"team": "lead"}, severity="info")
    assert only(bench).annotations["case"] == "acme/x/16"
    tell(bench, alert(Stage.CLEARED, subject="acme/x/17", priority="low"), previous=receipt)
    assert not only(bench).fires(NOON)


def test_an_answer_does_not_resolve_a_broken_resolution(bench: Bench) -> None:
    """A customer who got an answer and no solution is still an alert."""
    receipt = tell(bench, alert(Stage.BREACH, clock="resolution"), alert(Stage.BREACH), alert(Stage.CLEARED))
    (left,) = bench.sink.firing()
    assert left.labels["alertname"] == "ResponseMonitorUnresolved"
    tell(bench, alert(Stage.BREACH, clock="next_response"), previous=receipt)
    assert {one.labels["alertname"] for one in bench.sink.firing()} == {
        "ResponseMonitorUnresolved",
        "ResponseMonitorUnansweredAgain",
    }


def test_who_asks_again_is_an_alert_anew(bench: Bench) -> None:
    """What was resolved fires again when it happens again."""
    receipt = tell(bench, alert(Stage.BREACH), alert(Stage.CLEARED, at=LATER))
    again = alert(Stage.BREACH, at=LATER, waiting_since=LATER - timedelta(minutes=1))
    tell(bench, again, previous=receipt)
    assert only(bench).fires(LATER)


def test_an_alert_that_nobody_answers_fires_on(bench: Bench) -> None:
    """A weekend without a word is not told as "resolved"; a reminder begins the time anew; and an alert
    whose monitor is gone ends some day."""
    receipt = tell(bench, alert(Stage.BREACH))
    assert only(bench).ends_at == NOON + timedelta(days=3)
    tell(bench, alert(Stage.BREACH, repeat=1, at=LATER), previous=receipt)
    assert only(bench).ends_at == LATER + timedelta(days=3)
    bench.sink.held.clear()
    tell(bench, alert(Stage.BREACH), expires_after="1h")
    assert only(bench).ends_at == NOON + timedelta(hours=1)


def test_it_is_over_also_where_the_clocks_differ(bench: Bench) -> None:
    """An Alertmanager whose clock is a minute slow resolves as well: an end that is still ahead there would
    leave the alert firing for days."""
    receipt = tell(bench, alert(Stage.BREACH, at=LATER))
    bench.sink.clock = FixedClock(LATER - timedelta(minutes=1))
    tell(bench, alert(Stage.CLEARED, at=LATER, answered_at=LATER), previous=receipt)
    assert bench.sink.firing() == []


def test_an_end_without_a_receipt_finds_its_alert(bench: Bench) -> None:
    """Where the line broke after the alert was taken, and the customer was answered before we tried again,
    the alert that nobody confirmed is resolved."""
    tell(bench, alert(Stage.BREACH))
    tell(bench, alert(Stage.CLEARED), previous=None)
    assert bench.sink.firing() == [] and len(bench.sink.held) == 1


def test_who_is_answered_at_once_leaves_no_impossible_times(bench: Bench) -> None:
    """An alert that is over before it can have begun is still taken."""
    at_once = alert(Stage.CORRECTED, waiting_since=NOON, answered_at=NOON - timedelta(seconds=5))
    tell(bench, at_once)
    assert only(bench).starts_at == only(bench).ends_at == NOON


def test_a_storm_fires_until_it_is_over(bench: Bench) -> None:
    """54 late cases are one alert, and its end is noticed."""
    receipt = tell(bench, storm_alert(), storm_alert(1, answered=20))
    assert only(bench).labels["alertname"] == "ResponseMonitorStorm"
    assert only(bench).labels["brand"] == "Acme" and only(bench).labels["subject"] == "storm_1"
    assert "20 answered" in only(bench).annotations["summary"] and only(bench).fires(NOON)
    tell(bench, storm_alert(2, at=LATER, over_at=LATER), previous=receipt)
    assert bench.sink.firing() == []


@pytest.mark.parametrize("given", [spike_alert(), alert(Stage.TEST)], ids=["spike", "test"])
def test_what_has_no_end_expires_soon(bench: Bench, given: Alert) -> None:
    """Nobody is called for days by something of which nobody will say that it is over."""
    tell(bench, given)
    assert only(bench).ends_at == NOON + timedelta(minutes=15)


def test_a_trouble_of_ours_fires_until_we_see_again(bench: Bench) -> None:
    """Blindness is an alert of its own, and resolved when it ends."""
    trouble = alert(Stage.TROUBLE)
    receipt = tell(bench, trouble)
    assert only(bench).labels["alertname"] == "ResponseMonitorTrouble" and only(bench).fires(NOON)
    tell(bench, replace(trouble, stage=Stage.CLEARED, key="blind_1/over"), previous=receipt)
    assert bench.sink.firing() == []


def test_who_takes_a_case_brings_the_alert_up_to_date(bench: Bench) -> None:
    """The wait goes on when somebody takes it, and who it is can be read."""
    receipt = tell(bench, alert(Stage.BREACH))
    moved = alert(Stage.MOVED, moved="ack", moved_by="olga", acknowledged_by="olga")
    tell(bench, moved, previous=receipt)
    assert only(bench).fires(NOON) and "Taken by olga" in only(bench).annotations["summary"]
    assert bench.make().updates


def test_every_stage_has_a_way() -> None:
    """No stage that comes to be added is silently lost here."""
    assert set(WAYS) == set(Stage)


def test_a_link_that_alertmanager_would_choke_on_costs_no_alert(bench: Bench) -> None:
    """Alertmanager refuses a whole request for one odd link: it goes into the text only."""
    for number, url in enumerate(("https://x.example/%zz", "https://x.exa_mple/a", "https://[::1]/a")):
        tell(bench, alert(Stage.BREACH, subject=f"{number}", url=url))
    assert [one.generator_url for one in bench.sink.held.values()] == ["", "", ""]
    assert any("%zz" in one.annotations["description"] for one in bench.sink.held.values())


def cluster(*urls: str, **settings: Any) -> Channel:
    return build_channel(
        "alertmanager",
        FixedClock(NOON),
        {"type": "alertmanager", "urls": list(urls), **settings},
        HttpOptions(),
    )


@pytest.fixture
def pair() -> Iterator[tuple[list[Alertmanager], list[Faults], list[str]]]:
    """Two Alertmanagers of a cluster, what goes wrong with each, and where they are."""
    clock = FixedClock(NOON)
    managers = [Alertmanager(clock, bearer=None) for _ in range(2)]
    faults = [Faults(clock) for _ in range(2)]
    apps = [make_alertmanager_app(m, f) for m, f in zip(managers, faults, strict=True)]
    with Served(apps[0]) as first, Served(apps[1]) as second:
        yield managers, faults, [first.url, second.url]


Pair = tuple[list[Alertmanager], list[Faults], list[str]]


def test_every_alertmanager_of_a_cluster_is_told(pair: Pair) -> None:
    """They do not tell each other of alerts: whichever is asked knows it."""
    managers, _, urls = pair
    channel = cluster(*urls)
    receipt = channel.send(alert(Stage.BREACH), None, LIMIT)
    assert [len(manager.firing()) for manager in managers] == [1, 1]
    assert "missed" not in receipt.remote
    assert channel.recipient == f"{urls[0]} and 1 more"
    assert channel.check(LIMIT) == "; ".join(f"{url}: Alertmanager 0.25.0" for url in urls)


@pytest.mark.parametrize(
    "fault", [Fault(FaultKind.ERROR, 400), Fault(FaultKind.ERROR, 503), Fault(FaultKind.DROP)]
)
@pytest.mark.parametrize("broken", [0, 1])
def test_one_that_takes_it_is_enough(pair: Pair, fault: Fault, broken: int) -> None:
    """A cluster that is being brought up to date, one by one, loses no alert, and nobody is told twice."""
    managers, faults, urls = pair
    faults[broken].once("/", fault)
    channel = cluster(*urls)
    receipt = channel.send(alert(Stage.BREACH), None, LIMIT)
    assert [len(manager.firing()) for manager in managers] == [broken, 1 - broken]
    assert receipt.remote["missed"] == urls[broken]
    faults[broken].once("/", fault)
    assert "could not" in (said := channel.check(LIMIT)) or "answered" in said or "broke off" in said
    assert f"{urls[1 - broken]}: Alertmanager 0.25.0" in said


def test_a_check_finds_the_one_that_does_not_let_us_in(pair: Pair) -> None:
    """A token that is wrong on one of several Alertmanagers is found before it matters."""
    _, faults, urls = pair
    faults[1].once("/", Fault(FaultKind.ERROR, 401))
    with pytest.raises(NotAllowed, match=f"{urls[1]} answered 401"):
        cluster(*urls).check(LIMIT)


def test_one_that_hangs_leaves_time_for_the_others(pair: Pair) -> None:
    """A dead Alertmanager at the top of the list does not use up the time of the living ones."""
    managers, _, urls = pair
    with peer(hangs) as dead:
        cluster(dead, *urls).send(alert(Stage.BREACH), None, 1.0)
    assert [len(manager.firing()) for manager in managers] == [1, 1]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Fault(FaultKind.ERROR, 400), Fault(FaultKind.ERROR, 503), RetryAt),
        (Fault(FaultKind.ERROR, 400), Fault(FaultKind.HTML), Malformed),
        (Fault(FaultKind.ERROR, 400), Fault(FaultKind.ERROR, 401), NotAllowed),
        (Fault(FaultKind.ERROR, 400), Fault(FaultKind.ERROR, 422), Refused),
        (Fault(FaultKind.ERROR, 503), Fault(FaultKind.DROP_AFTER), RetryAt),
    ],
)
def test_where_none_takes_it_the_most_hopeful_answer_counts(
    pair: Pair, first: Fault, second: Fault, expected: type[Exception]
) -> None:
    """An alert is only given up if every Alertmanager refuses it for good."""
    _, faults, urls = pair
    faults[0].once("/", first)
    faults[1].once("/", second)
    with pytest.raises(expected) as caught:
        cluster(*urls).send(alert(Stage.BREACH), None, LIMIT)
    assert type(caught.value) is expected
    if isinstance(caught.value, RetryAt):
        assert caught.value.accepted_unknown == (second.kind is FaultKind.DROP_AFTER)


def test_a_user_and_a_password_are_an_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Alertmanager behind a proxy with basic authentication is told."""
    clock = FixedClock(NOON)
    manager = Alertmanager(clock, bearer=None, password=PASSWORD)
    monkeypatch.setenv("CARE_PASSWORD", PASSWORD)
    with Served(make_alertmanager_app(manager)) as server:
        channel = cluster(server.url, username="monitor", password={"env": "CARE_PASSWORD"})
        channel.send(alert(Stage.BREACH), None, LIMIT)
        with pytest.raises(NotAllowed, match="answered 401: check bearer_token"):
            cluster(server.url).send(alert(Stage.BREACH), None, LIMIT)
    assert len(manager.firing()) == 1


def test_a_server_that_is_none_is_told_apart(bench: Bench) -> None:
    """`check` finds an address that answers and is no Alertmanager."""
    bench.faults.once("/", Fault(FaultKind.HTML))
    with pytest.raises(Malformed):
        bench.make().check(LIMIT)
    with pytest.raises(NotAllowed, match="check urls"):
        bench.make(f"{bench.make().recipient}/elsewhere").check(LIMIT)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"urls": []}, "urls"),
        ({"urls": ["http://me:hush@a.example"]}, "without a user"),
        ({"labels": {"severity": "page"}}, "is set by us"),
        ({"labels": {"__name__": "a"}}, "Prometheus' own"),
        ({"labels": {"a-b": "c"}}, "pattern"),
        ({"labels": {"a": ""}}, "at least 1"),
        ({"username": "monitor"}, "together"),
        (
            {"username": "m", "password": {"env": "P"}, "bearer_token": {"env": "T"}},
            "either bearer_token, or username",
        ),
        ({"expires_after": "1m"}, '"10m" and "30d"'),
        ({"expires_after": 86400}, "duration"),
        ({"severity": "page"}, "critical"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(settings: dict[str, Any], why: str) -> None:
    """Who mistypes a setting reads what is expected, before anything is lost."""
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate({"urls": ["http://127.0.0.1:9093"], **settings})


@pytest.mark.parametrize("firing", ["[]", '{"a": 3}', '{"a": {"b": 3}}', '{"a": {}}', "nonsense", "[" * 9])
def test_a_receipt_of_another_age_does_no_harm(bench: Bench, firing: str) -> None:
    """What an older version, or a damaged store, says to fire does not keep an alert from firing."""
    tell(bench, alert(Stage.BREACH), previous=Receipt(NOON, {"firing": firing}))
    assert only(bench).labels["case"] == "acme/x/17"


def test_a_preview_is_what_is_posted(bench: Bench) -> None:
    """Who writes routes sees labels and annotations before the first alert."""
    channel = bench.make()
    assert isinstance(channel, Previewing)
    shown = channel.preview(alert(Stage.BREACH))
    assert bench.received() == []
    channel.send(alert(Stage.BREACH), None, LIMIT)
    assert shown.kind == "json" and json.loads(shown.text) == list(bench.sink.posted)
