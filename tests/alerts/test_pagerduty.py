"""PagerDuty: which incidents are triggered, acknowledged and resolved, and what its answers mean."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.contract import Channel, Receipt
from alerts.pagerduty import Action, Settings, action, build_request, dedup_key, severity
from rules.alert import Alert, Stage
from simulator.faults import Fault, FaultKind
from simulator.hooks_api import ROUTING_KEY, Incident, wrong_with
from tests.alerts.build import BERLIN, LIMIT, NOON, Bench, alert, as_new, pagerduty_bench, render, storm_alert
from tests.contract.test_hostile_texts import NASTY, hostile_alerts
from tests.wire.raw import answer, saying, serve
from wire.errors import NotAllowed, Refused, RetryAt

LATER = NOON + timedelta(minutes=13)
ACKED: dict[str, Any] = {"moved": "ack", "moved_by": "olga", "acknowledged_by": "olga"}


@pytest.fixture(scope="module")
def served() -> Iterator[Bench]:
    with pagerduty_bench() as made:
        yield made


@pytest.fixture
def bench(served: Bench) -> Bench:
    return as_new(served)


def _tell(bench: Bench, *said: Alert) -> list[Incident]:
    """Say these, each after the other; the incidents that came of it."""
    channel = bench.make()
    receipt: Receipt | None = None
    for one in said:
        receipt = channel.send(one, receipt, LIMIT)
    incidents: list[Incident] = bench.sink.incidents
    return incidents


def test_a_case_is_one_incident_from_its_warning_to_its_answer(bench: Bench) -> None:
    """Whoever is on call has one incident for a customer, which gets worse, and which is over when the
    customer has an answer."""
    told = [alert(Stage.WARNING), alert(Stage.BREACH, at=LATER), alert(Stage.BREACH, at=LATER, repeat=1)]
    (incident,) = _tell(bench, *told)
    assert (incident.status, len(incident.log)) == ("triggered", 3)
    assert [one["payload"]["severity"] for one in incident.log] == ["warning", "error", "error"]
    _tell(bench, alert(Stage.CLEARED))
    assert len(bench.sink.incidents) == 1 and incident.status == "resolved"
    assert incident.payload["summary"] == "✅ @ann_b on X: answered after 12 min by @acmehelp"
    assert incident.called_at == [NOON]


def test_who_takes_a_case_acknowledges_its_incident(bench: Bench) -> None:
    """What is taken in our tool calls nobody else in PagerDuty."""
    (incident,) = _tell(bench, alert(Stage.BREACH), alert(Stage.MOVED, **ACKED))
    assert incident.status == "acknowledged"
    assert incident.payload["custom_details"]["Taken by"] == "olga"


OTHER_MOVES: tuple[dict[str, Any], ...] = (
    {"moved": "assign", "moved_by": "olga", "assignee": "max", "acknowledged_by": None},
    {"moved": "snooze", "moved_by": "olga", "snoozed_until": LATER, "acknowledged_by": None},
    {"moved": "not_complaint", "moved_by": "olga", "acknowledged_by": None},
)


@pytest.mark.parametrize("moved", OTHER_MOVES)
def test_other_moves_neither_call_nor_silence(bench: Bench, moved: dict[str, Any]) -> None:
    """A case that is handed on or snoozed, and that nobody has taken, wakes nobody whose incident was
    resolved by hand; and PagerDuty goes on calling about one that is open, until somebody takes it."""
    (incident,) = _tell(bench, alert(Stage.BREACH), alert(Stage.MOVED, **moved))
    assert (incident.status, len(incident.called_at)) == ("triggered", 1)
    incident.status = "resolved"
    _tell(bench, alert(Stage.MOVED, **moved))
    assert len(bench.sink.incidents) == 1
    _tell(bench, alert(Stage.BREACH, repeat=1, **moved))
    assert [i.status for i in bench.sink.incidents] == ["resolved", "triggered"]


def test_what_changes_nothing_there_leaves_a_receipt(bench: Bench) -> None:
    """What is said after a move that PagerDuty was not asked about still finds the incident."""
    channel = bench.make()
    told = channel.send(alert(Stage.BREACH), None, LIMIT)
    moved = channel.send(alert(Stage.MOVED, **OTHER_MOVES[0]), told, LIMIT)
    assert moved.remote == told.remote and len(bench.sink.enqueued) == 1
    channel.send(alert(Stage.CLEARED, case_id="acme/x/9"), moved, LIMIT)
    assert [i.status for i in bench.sink.incidents] == ["resolved"]


def test_a_correction_resolves_what_was_false(bench: Bench) -> None:
    """Nobody goes on working on a complaint that had its answer."""
    (incident,) = _tell(bench, alert(Stage.BREACH), alert(Stage.CORRECTED))
    assert incident.status == "resolved"
    assert incident.payload["summary"].startswith("↩️ Correction:")


def test_a_storm_is_one_incident_until_it_is_over(bench: Bench) -> None:
    """54 late cases call once, not 54 times; and the end is noticed, whichever stage says it."""
    (incident,) = _tell(bench, storm_alert(), storm_alert(1, answered=20))
    assert (incident.status, len(incident.called_at)) == ("triggered", 1)
    assert incident.payload["severity"] == "critical"
    assert incident.log[-1]["links"][0]["href"] == "https://x.example/customer_1/status/1"
    _tell(bench, storm_alert(2, over_at=LATER, at=LATER))
    assert incident.status == "resolved"
    assert action(storm_alert(2, stage=Stage.CLEARED, over_at=LATER), told_before=True) is Action.RESOLVE


def test_a_storm_that_was_resolved_there_does_not_call_every_minute(bench: Bench) -> None:
    """Who is on call and resolves the storm's incident is not woken by its numbers a minute later."""
    channel = bench.make()
    told = channel.send(storm_alert(), None, LIMIT)
    bench.sink.incidents[0].status = "resolved"
    for minute in range(1, 5):
        told = channel.send(storm_alert(minute, answered=20 + minute), told, LIMIT)
    assert len(bench.sink.incidents) == 1


def test_a_storm_that_was_not_told_at_its_beginning_is_told(bench: Bench) -> None:
    """After an outage of PagerDuty the first thing that gets through is the storm as it stands by then."""
    (incident,) = _tell(bench, storm_alert(7))
    assert incident.called_at == [NOON]


def test_an_answer_does_not_resolve_a_broken_resolution(bench: Bench) -> None:
    """A customer who got an answer and no solution still has an incident."""
    late = alert(Stage.BREACH, clock="resolution")
    answered = alert(Stage.CLEARED)
    unresolved, unanswered = _tell(bench, late, alert(Stage.BREACH), answered)
    assert (unresolved.status, unanswered.status) == ("triggered", "resolved")
    assert unresolved.payload["class"] == "not resolved"
    _tell(bench, alert(Stage.CLEARED, clock="resolution"))
    assert unresolved.status == "resolved"


def test_a_new_wait_after_an_answer_is_a_new_incident(bench: Bench) -> None:
    """Who asks again after an answer calls again."""
    again = alert(Stage.BREACH, clock="next_response")
    old, new = _tell(bench, alert(Stage.BREACH), alert(Stage.CLEARED), again)
    assert (old.status, new.status) == ("resolved", "triggered")
    assert new.payload["class"] == "no next response"


def test_what_ends_and_was_never_told_there_makes_no_incident(bench: Bench) -> None:
    """An all-clear for something else than an incident calls nobody."""
    assert _tell(bench, alert(Stage.CLEARED), alert(Stage.MOVED, **ACKED)) == []
    assert all(one.dropped for one in bench.sink.enqueued)


def test_said_twice_is_one_incident(bench: Bench) -> None:
    """If the line breaks after PagerDuty took it, the second attempt finds the incident of the first."""
    channel = bench.make()
    bench.faults.once("/", Fault(FaultKind.DROP_AFTER))
    with pytest.raises(RetryAt) as caught:
        channel.send(alert(Stage.BREACH), None, LIMIT)
    assert caught.value.accepted_unknown
    receipt = channel.send(alert(Stage.BREACH), None, LIMIT)
    (incident,) = bench.sink.incidents
    assert len(incident.called_at) == 1
    assert incident.dedup_key == receipt.remote["dedup_key"] == "acme/x/17"


def test_a_case_that_gets_another_id_keeps_its_incident(bench: Bench) -> None:
    """A case whose first message we saw late is still resolved when it is answered, for each of its waits."""
    channel = bench.make()
    told = channel.send(alert(Stage.BREACH), None, LIMIT)
    late: dict[str, Any] = {"clock": "resolution", "case_id": "acme/x/9"}
    told = channel.send(alert(Stage.BREACH, **late), told, LIMIT)
    told = channel.send(alert(Stage.CLEARED, case_id="acme/x/8"), told, LIMIT)
    assert [i.status for i in bench.sink.incidents] == ["resolved", "triggered"]
    channel.send(alert(Stage.CLEARED, clock="resolution", case_id="acme/x/8"), told, LIMIT)
    assert [i.status for i in bench.sink.incidents] == ["resolved", "resolved"]


def test_an_incident_says_what_people_need(bench: Bench) -> None:
    """Who is woken by it sees who waits, where, what they wrote, and where to answer."""
    (incident,) = _tell(bench, alert(Stage.BREACH, at=LATER, caveats=("posts of @acme not visible",)))
    payload, body = incident.payload, incident.log[0]
    assert payload["summary"] == "🔴 5 min late: @ann_b has waited 20 min on X"
    assert (payload["source"], payload["component"], payload["group"]) == ("x/@acmehelp", "x", "acme")
    assert (payload["class"], payload["timestamp"]) == ("no response", "2026-11-02T12:13:00+00:00")
    details = payload["custom_details"]
    assert details["They wrote"] == "My order never came.\nStill no answer?"
    assert details["Who"] == "@ann_b (1,234 followers)"
    assert details["Why we think that it is a complaint"][1] == "negative wording"
    assert details["Note"] == ["posts of @acme not visible"]
    assert "response-monitor ack acme/x/17" in details["More"]
    assert (details["stage"], details["key"]) == ("breach", alert(Stage.BREACH).key)
    assert body["links"] == [{"href": "https://x.example/ann_b/status/17", "text": "Open on X and reply"}]
    assert body["client"] == "Response monitor"


def test_a_private_message_stays_private(bench: Bench) -> None:
    """The text of a DM that may not be shown is not handed to PagerDuty."""
    (incident,) = _tell(bench, alert(Stage.BREACH, public=False, text=None))
    assert incident.payload["custom_details"]["They wrote"] == "private message, text not shown"


@pytest.mark.parametrize(
    ("stage", "low", "normal", "high", "urgent"),
    [
        (Stage.WARNING, "info", "warning", "warning", "error"),
        (Stage.BREACH, "warning", "error", "error", "critical"),
        (Stage.ESCALATED, "error", "critical", "critical", "critical"),
        (Stage.CLEARED, "info", "info", "info", "info"),
    ],
)
def test_the_severity_follows_stage_and_priority(
    stage: Stage, low: str, normal: str, high: str, urgent: str
) -> None:
    """What is more urgent, or further gone, is more severe: services can call by it."""
    expected = {"low": low, "normal": normal, "high": high, "urgent": urgent, "of another age": normal}
    assert {name: severity(alert(stage, priority=name)).value for name in expected} == expected


def test_the_severity_of_what_is_no_case() -> None:
    """Storms call at once; blindness is an error of ours; a spike warns; a test is no alarm; what moved is as
    bad as it stands."""
    stages = (Stage.STORM, Stage.TROUBLE, Stage.SPIKE, Stage.TEST)
    assert [severity(alert(s)).value for s in stages] == ["critical", "error", "warning", "info"]
    assert severity(alert(Stage.MOVED, at=NOON, **ACKED)).value == "warning"
    assert severity(alert(Stage.MOVED, at=LATER, **ACKED)).value == "error"


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_one_of_pagerdutys_actions(stage: Stage) -> None:
    """No stage becomes something in PagerDuty that nobody has thought about, and nothing is refused for its
    form."""
    expected = {
        **dict.fromkeys((Stage.WARNING, Stage.BREACH, Stage.ESCALATED), Action.TRIGGER),
        **dict.fromkeys((Stage.STORM, Stage.SPIKE, Stage.TROUBLE, Stage.TEST), Action.TRIGGER),
        **dict.fromkeys((Stage.CLEARED, Stage.CORRECTED), Action.RESOLVE),
        Stage.MOVED: Action.ACKNOWLEDGE,
    }
    said = alert(stage, **ACKED) if stage is Stage.MOVED else alert(stage)
    assert action(said, told_before=False) is expected[stage]
    assert wrong_with(_request(said)) == []


def _request(said: Alert) -> dict[str, Any]:
    """What PagerDuty would get of it."""
    do = action(said, told_before=False) or Action.TRIGGER
    return {**build_request(said, render(said, BERLIN), do), "routing_key": ROUTING_KEY}


def test_each_test_calls(bench: Bench) -> None:
    """Who tries the channel twice is called twice, whether or not the first test was resolved."""
    tests = [replace(alert(Stage.TEST), key=f"test/care/{number}", subject="test care") for number in (1, 2)]
    assert len(_tell(bench, *tests)) == 2


def test_whatever_strangers_write_is_taken() -> None:
    """No customer's words, however broken or long, make PagerDuty refuse an alert."""

    @settings(max_examples=100, deadline=None, database=None)
    @given(hostile_alerts())
    def holds(said: Alert) -> None:
        assert wrong_with(_request(said)) == []

    holds()
    for nasty in NASTY:
        storm = storm_alert(brand=nasty, connectors=(nasty,), words=((nasty, 3),))
        assert wrong_with(_request(storm)) == []


@settings(max_examples=100, deadline=None, database=None)
@given(st.text(max_size=400))
def test_any_subject_makes_a_key_that_pagerduty_takes(subject: str) -> None:
    """No id of a platform, whoever chose it, is too long or too strange for PagerDuty."""
    found = dedup_key(replace(alert(Stage.BREACH), subject=subject))
    assert 1 <= len(found) <= 255 and found.isascii() and found.isprintable() and " " not in found


def test_two_subjects_never_share_an_incident() -> None:
    """However alike their ids are at the start, two customers have two incidents."""
    subjects = ["a" * 255, "a" * 256, "a" * 300, "a b", "a_b", "ä", "ö", "", "\ud800"]
    keys = [dedup_key(replace(alert(Stage.BREACH), subject=subject)) for subject in subjects]
    assert len(set(keys)) == len(subjects)
    assert keys[0] == "a" * 255


def test_a_check_tries_the_key_and_calls_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check` tells a wrong key from a right one, without an incident."""
    channel = bench.make()
    assert channel.check(LIMIT).startswith("PagerDuty takes our key at http://127.0.0.1:")
    assert bench.sink.incidents == [] and [one.dropped for one in bench.sink.enqueued] == [True]
    for wrong in ("a" * 32, "hush-hush-hush", ROUTING_KEY + "0"):
        monkeypatch.setenv("CARE_TOKEN", wrong)
        with pytest.raises(NotAllowed, match="does not know `routing_key`") as caught:
            channel.check(LIMIT)
        assert wrong not in str(caught.value)
    monkeypatch.setenv("CARE_TOKEN", f" {ROUTING_KEY}\n")
    assert channel.check(LIMIT)


def _refusal(channel: Channel) -> str:
    with pytest.raises(Refused) as caught:
        channel.send(alert(Stage.BREACH), None, LIMIT)
    return str(caught.value)


def test_pagerdutys_reasons_are_told_without_our_key(bench: Bench) -> None:
    """Who reads of the dead letter knows what PagerDuty did not like; the key is not in it, in any form."""
    channel = bench.make()
    bench.sink.refuse("'payload.source' is missing or blank", "'links' is invalid")
    assert _refusal(channel) == (
        "PagerDuty refused it (400: 'payload.source' is missing or blank; 'links' is invalid)"
    )
    coded = base64.b64encode(ROUTING_KEY.encode()).decode()
    bench.sink.refuse(f"<!channel> {ROUTING_KEY}\n\x1b[31m{coded}", "b" * 9000, *["c"] * 50)
    said = _refusal(channel)
    assert ROUTING_KEY not in said and coded[:20] not in said and said.isprintable()
    assert "<" not in said and len(said) < 400 and said.count("c") < 20


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"Invalid routing number", "Invalid routing number"),
        (b'{"status": "invalid event", "message": "Event object is invalid"}', "Event object is invalid"),
        (b'{"errors": [], "message": "Event object is invalid"}', "Event object is invalid"),
        (b'{"errors": ["this", 7], "message": "that"}', "this"),
    ],
)
def test_a_reason_is_found_in_whatever_form_it_comes(bench: Bench, body: bytes, reason: str) -> None:
    """PagerDuty tells of some mistakes in JSON and of others in a line of text; a person reads either."""
    with serve(saying(answer(body, status="400 Bad Request"))) as server:
        assert _refusal(bench.elsewhere(server.port)) == f"PagerDuty refused it (400: {reason})"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[",
        b"{",
        b"7",
        b'{"errors": 7}',
        b'{"errors": [7, null], "message": 7}',
        b"words " * 100,
    ],
)
def test_a_refusal_without_a_reason_is_still_one(bench: Bench, body: bytes) -> None:
    """A proxy's page in place of PagerDuty's words does not hide that it was refused."""
    with serve(saying(answer(body, status="400 Bad Request"))) as server:
        assert _refusal(bench.elsewhere(server.port)) == "PagerDuty refused it (400: no reason)"


def test_its_limits_are_kept(bench: Bench) -> None:
    """In a flood PagerDuty asks for patience, which is nobody's fault, and a minute later takes the rest."""
    channel = bench.make()
    bench.sink.per_minute = 2
    for number in range(2):
        channel.send(alert(Stage.BREACH, repeat=number), None, LIMIT)
    with pytest.raises(RetryAt) as caught:
        channel.send(alert(Stage.BREACH, repeat=2), None, LIMIT)
    assert caught.value.limited and caught.value.at == NOON + timedelta(minutes=1)
    bench.clock.move(60)
    channel.send(alert(Stage.BREACH, repeat=2), None, LIMIT)
    assert len(bench.sink.enqueued) == 3


def test_moves_are_told_there(bench: Bench) -> None:
    """An incident can change, so that the channel hears of who took a case."""
    assert bench.make().updates and bench.make().recipient == "PagerDuty of care"


@pytest.mark.parametrize(
    "wrong",
    [
        {"routing_key": ROUTING_KEY},
        {"api_url": "events.pagerduty.example"},
        {"api_url": "https://user@events.example"},
        {"severity": "critical"},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    """No key stands in the config, and no setting that does nothing."""
    own = {"type": "pagerduty", "routing_key": {"env": "KEY"}, "api_url": "https://events.eu.pagerduty.com/"}
    assert Settings.model_validate(own).api_url == "https://events.eu.pagerduty.com"
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(own | wrong)
    assert ROUTING_KEY not in str(caught.value)
