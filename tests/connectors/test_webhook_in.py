"""The inbound webhook: what is special about it, beside what all that are pushed to promise."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Received
from tests.connectors.webhook_support import WebhookBench
from wire.errors import Malformed, NotAllowed, Refused, RetryAt
from wire.standard_webhooks import sign


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebhookBench:
    return WebhookBench(tmp_path, monkeypatch)


def hand_over(bench: WebhookBench, **body: Any) -> Received:
    return bench.connector.receive(bench.of(json.dumps(body).encode()))


def test_public_and_private_gate_their_own_claims(bench: WebhookBench) -> None:
    """A message goes to the stream of its kind: a DM's answer does not say that public ones are known."""
    public = bench.row(1, public=True, kind="post")
    received = hand_over(bench, messages=[public, bench.row(2)], gone=["0", {"id": "9"}])
    assert [m.id for m in received.pages["messages"].messages] == ["1"]
    assert [m.id for m in received.pages["private"].messages] == ["2"]
    assert [g.id for g in received.pages["messages"].gone] == ["0", "9"]
    assert json.loads(received.answer) == {"accepted": 4, "rejected": []}


def test_what_is_wrong_is_told_with_its_place_and_the_rest_is_taken(bench: WebhookBench) -> None:
    """Which message, which key, what was expected; and a delivery of which nothing is right is refused."""
    wrong = [bench.row(1), bench.row(2, kind="letter"), 3, bench.row(4, connector="x")]
    received = hand_over(bench, messages=wrong, gone=[{"id": "5", "at": "yesterday"}])
    assert [m.id for m in received.pages["private"].messages] == ["1"]
    answer = json.loads(received.answer)
    assert answer["accepted"] == 1
    assert [each["at"] for each in answer["rejected"]] == [
        "messages[1]",
        "messages[2]",
        "messages[3]",
        "gone[0]",
    ]
    assert answer["rejected"][0]["error"].startswith("kind: expected one of post, comment")
    assert answer["rejected"][2]["error"] == "connector: expected 'webhook' here, or nothing"
    assert len(received.pages["messages"].rejected) == 4
    with pytest.raises(Malformed, match=r"messages\[0\]: kind: expected"):
        hand_over(bench, messages=[bench.row(2, kind="letter")])


@pytest.mark.parametrize(
    "body",
    [{"message": []}, {"messages": {}}, {"gone": 1}, {"messages": [1] * 1001}, {"messages": [], "x": 1}],
)
def test_a_form_that_is_none_is_refused(bench: WebhookBench, body: dict[str, Any]) -> None:
    """A typing error is seen by who made it."""
    with pytest.raises(Malformed, match="expected"):
        hand_over(bench, **body)


def test_silence_of_who_promised_to_send_is_blindness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty list is enough of a sign of life; without the promise silence means nothing."""
    bench = WebhookBench(tmp_path, monkeypatch, expect_every="10m")
    bench.clock.move(599)
    assert bench.connector.poll("messages", None, 10).complete_through is not None
    bench.clock.move(2)
    with pytest.raises(RetryAt, match="nothing was handed over since 12:00:00 UTC"):
        bench.connector.poll("private", None, 10)
    assert hand_over(bench, messages=[]).pages == {}
    assert bench.connector.poll("private", None, 10).complete_through is not None
    quiet = WebhookBench(tmp_path, monkeypatch)
    quiet.clock.move(86400)
    assert quiet.connector.poll("messages", None, 10).messages == ()


def test_a_new_secret_can_stand_beside_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either signs; a secret that is none is named by where it is, never repeated."""
    other = b"n" * 32
    monkeypatch.setenv("NEW_SECRET", "whsec_" + base64.b64encode(other).decode())
    secrets = [{"env": "NEW_SECRET"}, {"env": "HOOK_SECRET"}]
    bench = WebhookBench(tmp_path, monkeypatch, signing_secrets=secrets)
    body = json.dumps({"messages": [bench.row(1)]}).encode()
    for key in (other, b"k" * 32):
        assert bench.connector.receive(bench.of(body, key=key)).pages
    monkeypatch.setenv("NEW_SECRET", "hunter2-hunter2")
    with pytest.raises(NotAllowed, match="NEW_SECRET") as told:
        bench.connector.identify(10)
    assert "hunter2" not in str(told.value)


def test_it_says_where_to_send_and_cannot_be_asked(bench: WebhookBench) -> None:
    """`check` prints the address; a look-up is refused; a visitor with a browser is told what is expected."""
    assert "/webhooks/acme/webhook/acmehelp" in bench.connector.identify(10).notes[0]
    with pytest.raises(Refused):
        bench.connector.look_up(["1"], 10)
    with pytest.raises(Malformed, match="expected POST"):
        bench.connector.receive(replace(bench.ask(1), method="GET"))


def test_signatures_are_those_of_the_specification() -> None:
    """The example of the Standard Webhooks specification's own test suite."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
