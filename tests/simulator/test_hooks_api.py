"""The simulated receivers are as strict as the real ones: what they let through is right."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from simulator.hooks_api import (
    ROUTING_KEY,
    SIGNING_SECRET,
    HookSink,
    PagerDutyService,
    make_hook_app,
    make_pagerduty_app,
    wrong_with,
)
from simulator.serve import Served
from simulator.world import FixedClock

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
BODY = b'{"a":"\xc3\xbc"}'


def _headers(
    body: bytes = BODY, secret: str = SIGNING_SECRET, at: datetime = NOON, **more: str
) -> dict[str, str]:
    signed = Webhook(secret).sign("msg_1", at, body.decode("utf-8", "replace"))
    own = {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signed,
    }
    return own | {name.replace("_", "-"): value for name, value in more.items()}


def _sink() -> HookSink:
    return HookSink(FixedClock(NOON), "/hook")


def test_what_the_maintained_library_signs_is_believed() -> None:
    """Our own reading of the specification agrees with that of its authors."""
    sink = _sink()
    assert sink.take(_headers(), BODY) is None
    assert sink.take(_headers(), BODY) is None
    assert [one.again for one in sink.delivered] == [False, True]
    assert sink.delivered[0].body == {"a": "ü"}


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        (_headers(), BODY + b" ", "no signature is right"),
        (_headers(webhook_id="msg_2"), BODY, "no signature is right"),
        (_headers(webhook_id=""), BODY, "no webhook-id"),
        (_headers(webhook_id="msg.1"), BODY, "no webhook-id"),
        (_headers(webhook_timestamp="noon"), BODY, "no webhook-timestamp"),
        (_headers(webhook_timestamp=str(int(NOON.timestamp()) + 1)), BODY, "no signature is right"),
        (_headers(at=datetime(2026, 11, 2, 11, 54, tzinfo=UTC)), BODY, "too long ago"),
        (_headers(at=datetime(2026, 11, 2, 12, 6, tzinfo=UTC)), BODY, "in the future"),
        (_headers(webhook_signature=""), BODY, "no signature is right"),
        (_headers(webhook_signature="v1,?? v2 v1a,AAAA"), BODY, "no signature is right"),
        (_headers(content_type="text/plain"), BODY, "not JSON"),
        (_headers(b"[]"), b"[]", "no JSON object"),
        (_headers(b'{"a":"\\ud800"}'), b'{"a":"\\ud800"}', "no JSON object"),
        (_headers(secret="whsec_" + base64.b64encode(b"x" * 24).decode()), BODY, "no signature is right"),
    ],
)
def test_what_is_forged_old_or_broken_is_not_believed(headers: dict[str, str], body: bytes, why: str) -> None:
    """A test against this receiver proves something: it believes nothing but what is signed right."""
    sink = _sink()
    assert why in str(sink.take(headers, body))
    assert sink.delivered == [] and len(sink.rejected) == 1


def test_one_right_signature_among_others_is_enough() -> None:
    """While a secret is changed, two signatures come."""
    right = _headers()["webhook-signature"]
    assert _sink().take(_headers(webhook_signature=f"v1,AAAA {right}"), BODY) is None


def test_the_receivers_server_answers_as_it_is_told() -> None:
    """It listens at one path, answers 401 to what it does not believe, and takes nothing that it refuses."""
    sink = _sink()
    with Served(make_hook_app(sink)) as server, httpx.Client(base_url=server.url) as client:
        sink.answer(429, retry_after="7")
        refused = client.post("/hook", content=BODY, headers=_headers())
        assert (refused.status_code, refused.headers["retry-after"], sink.delivered) == (429, "7", [])
        assert client.post("/hook", content=BODY, headers=_headers()).status_code == 204
        assert client.post("/hook", content=b"{}", headers=_headers()).status_code == 401
        assert client.post("/other", content=BODY, headers=_headers()).status_code == 404
        assert client.get("/hook").status_code == 405


def _trigger(**changes: Any) -> dict[str, Any]:
    payload = {"summary": "s", "source": "here", "severity": "error"}
    return {
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": "k",
        "payload": payload,
    } | changes


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "Invalid JSON"),
        (_trigger(routing_key=None), "'routing_key' is missing"),
        (_trigger(routing_key="short"), "Length of 'routing_key'"),
        (_trigger(routing_key="-" * 32), "non-alphanumeric"),
        (_trigger(event_action="page"), "'event_action' is invalid"),
        (_trigger(event_action="resolve", dedup_key=None), "'dedup_key' is missing"),
        (_trigger(dedup_key="k" * 256), "'dedup_key' is too long"),
        (_trigger(payload=None), "'payload' is missing"),
        (
            _trigger(payload={"summary": " ", "source": "h", "severity": "info"}),
            "'payload.summary' is missing",
        ),
        (
            _trigger(payload={"summary": "s" * 1025, "source": "h", "severity": "info"}),
            "'summary' is too long",
        ),
        (_trigger(payload={"summary": "s", "severity": "info"}), "'payload.source' is missing"),
        (
            _trigger(payload={"summary": "s", "source": "h", "severity": "bad"}),
            "'payload.severity' is invalid",
        ),
        (_trigger(links=[{"text": "nowhere"}]), "'links' is invalid"),
    ],
)
def test_pagerduty_refuses_what_the_real_one_refuses(body: Any, why: str) -> None:
    """A test against it proves something: a request of the wrong form does not get through."""
    assert any(why in one for one in wrong_with(body))


def test_pagerduty_keeps_incidents_by_their_key() -> None:
    """Triggers of one key are one incident until it is resolved; what is about none is dropped."""
    service = PagerDutyService(FixedClock(NOON), per_minute=6)
    assert wrong_with(_trigger()) == [] == wrong_with(_trigger(event_action="resolve", payload=None))
    with Served(make_pagerduty_app(service)) as server, httpx.Client(base_url=server.url) as client:

        def enqueue(**changes: Any) -> httpx.Response:
            return client.post("/v2/enqueue", content=json.dumps(_trigger(**changes)))

        assert enqueue(event_action="acknowledge").json()["dedup_key"] == "k"
        assert service.incidents == [] and service.enqueued[0].dropped
        assert [enqueue().status_code for _ in range(2)] == [202, 202]
        assert [(i.status, len(i.log)) for i in service.incidents] == [("triggered", 2)]
        enqueue(event_action="acknowledge")
        assert service.incidents[0].status == "acknowledged"
        enqueue(event_action="resolve")
        enqueue()
        assert [i.status for i in service.incidents] == ["resolved", "triggered"]
        limited = enqueue()
        assert (limited.status_code, limited.json()["status"]) == (429, "throttle exceeded")
        refused = enqueue(routing_key="a" * 32)
        assert (refused.status_code, refused.text) == (400, "Invalid routing key")
        assert client.post("/v2/enqueue", content=b"{").json()["errors"] == ["Invalid JSON"]
