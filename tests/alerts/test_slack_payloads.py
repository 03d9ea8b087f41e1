"""What Slack sends is taken for what it is: its signature by its own documents, its payloads word by word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.contract import Asked, Press
from alerts.slack.api import may_answer, may_connect
from alerts.slack.blocks import build_blocks
from alerts.slack.payloads import (
    BODY_BYTES_MAX,
    Call,
    Forged,
    open_callback,
    read_command,
    read_press,
)
from monitor.web.app import CALLBACK_BYTES_MAX
from rules.alert import Stage
from simulator.slack_people import ANA, callback_body, press_payload, sign
from tests.alerts.build import BERLIN, NOON, alert, render
from wire.errors import Malformed

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
DOCUMENTED = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
    b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
"""The example of "Verifying requests from Slack", with the signature that it gives."""
HEADERS = {
    "X-Slack-Request-Timestamp": "1531420618",
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    "Content-Type": "application/x-www-form-urlencoded",
}
THEN = datetime.fromtimestamp(1531420618, UTC)


def test_the_example_of_slacks_documents_is_taken() -> None:
    """Our arithmetic is Slack's: the documented body and secret give the documented signature."""
    for headers in (HEADERS, {name.lower(): value for name, value in HEADERS.items()}):
        callback = open_callback(headers, DOCUMENTED, SECRET, THEN)
        assert callback.id == HEADERS["X-Slack-Signature"]
        assert callback.said is None  # /webhook-collect is not our command.


@pytest.mark.parametrize(
    ("changes", "body", "secret", "seconds"),
    [
        ({}, DOCUMENTED + b"&", SECRET, 0),
        ({}, DOCUMENTED, SECRET[:-1], 0),
        ({}, DOCUMENTED, "", 0),
        ({}, DOCUMENTED, SECRET, 301),
        ({}, DOCUMENTED, SECRET, -301),
        ({"X-Slack-Request-Timestamp": "1531420619"}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Request-Timestamp": ""}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Request-Timestamp": "1e9"}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Request-Timestamp": "9" * 5000}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Request-Timestamp": "١٥٣١٤٢٠٦١٨"}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Signature": ""}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Signature": "v0="}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Signature": "v0=é" + "0" * 63}, DOCUMENTED, SECRET, 0),
        ({"X-Slack-Signature": HEADERS["X-Slack-Signature"].replace("v0", "v1")}, DOCUMENTED, SECRET, 0),
    ],
)
def test_what_is_not_signed_by_slack_is_forged(
    changes: dict[str, str], body: bytes, secret: str, seconds: int
) -> None:
    """Nobody acts on a case without the app's signing secret, nor with a request of yesterday."""
    with pytest.raises(Forged) as caught:
        open_callback(HEADERS | changes, body, secret, THEN + timedelta(seconds=seconds))
    assert SECRET[:8] not in str(caught.value)


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_clock_may_be_five_minutes_off(seconds: int) -> None:
    """Slack's own limit, and not less."""
    assert open_callback(HEADERS, DOCUMENTED, SECRET, THEN + timedelta(seconds=seconds)).id


def test_a_body_that_is_too_large_is_not_even_looked_at() -> None:
    """A flood costs no hashing, signed or not."""
    body = b"a" * (BODY_BYTES_MAX + 1)
    with pytest.raises(Forged, match="too large"):
        open_callback(sign(SECRET, body, NOON), body, SECRET, NOON)


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.binary(max_size=300), st.sampled_from(["application/x-www-form-urlencoded", "application/json", ""])
)
def test_signed_noise_is_malformed_at_worst(body: bytes, kind: str) -> None:
    """Whatever comes with a right signature is understood, passed over or refused; nothing else happens."""
    try:
        callback = open_callback(sign(SECRET, body, NOON, kind or "text/plain"), body, SECRET, NOON)
    except Malformed:
        return
    assert callback.said is None or callback.said


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
press_like = st.fixed_dictionaries(
    {"type": st.just("block_actions")},
    optional={
        "user": json_values | st.fixed_dictionaries({"id": st.just("U0ANA"), "username": json_values}),
        "actions": json_values
        | st.lists(
            st.fixed_dictionaries({"action_id": st.just("response_monitor.take"), "value": json_values})
        ),
        "trigger_id": json_values,
        "response_url": json_values,
    },
)


@settings(max_examples=300, deadline=None, database=None)
@given(press_like)
def test_a_press_is_whole_or_it_is_none(payload: dict[str, Any]) -> None:
    """Half a press never becomes a deed."""
    try:
        call = read_press(payload, "envelope", NOON)
    except Malformed as error:
        assert str(error).isprintable() and len(str(error)) < 200
        return
    if call is not None:
        assert isinstance(call.said, Press) and call.id
        assert call.said.subject and call.said.who.startswith("@") and call.said.who_id == "U0ANA"


@pytest.mark.parametrize(
    ("names", "who"),
    [
        ({"username": "ana.r", "name": "x"}, "@ana.r"),
        ({"username": "", "name": "ana"}, "@ana"),
        ({"username": "<!channel>", "name": "a b"}, "@U0ANA"),
        ({}, "@U0ANA"),
    ],
)
def test_who_pressed_can_stand_in_a_label(names: dict[str, str], who: str) -> None:
    """Whatever people call themselves, it is one plain word in logs, metrics and messages."""
    action = {"action_id": "response_monitor.take", "value": "acme/x/17"}
    payload = {"type": "block_actions", "user": {"id": "U0ANA", **names}, "actions": [action]}
    call = read_press(payload, "e", NOON)
    assert call is not None and isinstance(call.said, Press) and call.said.who == who


def test_what_is_asked_is_made_harmless() -> None:
    """Words typed after the command are bounded, and hold no tricks."""
    form = {"command": "/waiting", "user_id": "U0ANA", "text": "a\x1b[31m\u202e" + "b" * 39_000}
    call = read_command(form, "e", NOON)
    assert call is not None and isinstance(call.said, Asked)
    assert len(call.said.text) <= 200 and call.said.text.isprintable()
    with pytest.raises(Malformed, match="user_id"):
        read_command(form | {"user_id": "nobody"}, "e", NOON)


def test_an_address_to_answer_to_is_not_shown() -> None:
    """Who has it can write in Slack's name: it is in no log."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U0ANA"},
        "actions": [{"action_id": "response_monitor.take", "value": "acme/x/17"}],
        "response_url": "https://hooks.slack.com/actions/hush",
    }
    call = read_press(payload, "e", NOON)
    assert isinstance(call, Call) and "hush" in call.answer_url and "hush" not in repr(call)


SLACK = "https://slack.com/api"
HERE = "http://127.0.0.1:8080/api"


@pytest.mark.parametrize(
    ("url", "api", "allowed"),
    [
        ("https://hooks.slack.com/actions/T0/1/x", SLACK, True),
        ("https://hooks.slack.com:443/actions/T0/1/x", SLACK, True),
        ("https://hooks.slack-gov.com/actions/T0/1/x", "https://slack-gov.com/api", True),
        ("http://127.0.0.1:8080/actions/x", HERE, True),
        ("http://hooks.slack.com/actions/T0/1/x", SLACK, False),
        ("https://hooks.slack.com:444/x", SLACK, False),
        ("https://hooks.slack.com.evil.example/x", SLACK, False),
        ("https://evil.example/hooks.slack.com", SLACK, False),
        ("https://hooks.slack.com@evil.example/x", SLACK, False),
        ("https://evil.example\\@hooks.slack.com/", SLACK, False),
        ("https://hooks.slack.com/\r\nHost: evil.example", SLACK, False),
        ("http://169.254.169.254/latest/meta-data", SLACK, False),
        ("http://127.0.0.1:8081/x", HERE, False),
        ("file:///etc/passwd", SLACK, False),
        ("https://[bad", SLACK, False),
        ("", SLACK, False),
        ("https://hooks.slack.com/" + "a" * 2000, SLACK, False),
    ],
)
def test_answers_go_to_slacks_hooks_only(url: str, api: str, allowed: bool) -> None:
    """An address that came from outside leads to nobody but Slack."""
    assert may_answer(url, api) is allowed


@pytest.mark.parametrize(
    ("url", "api", "allowed"),
    [
        ("wss://wss-primary.slack.com/link/?ticket=1", SLACK, True),
        ("wss://wss.slack-gov.com/link/?ticket=1", "https://slack-gov.com/api", True),
        ("wss://wss-primary.slack.com/link/?ticket=1", "https://gateway.acme.example/slack", True),
        ("ws://127.0.0.1:9/link/?ticket=1", HERE, True),
        ("ws://[::1]:9/link/", "http://localhost:8080/api", True),
        ("ws://wss-primary.slack.com/link/?ticket=1", SLACK, False),
        ("ws://127.0.0.1:9/link/?ticket=1", SLACK, False),
        ("wss://127.0.0.1/link/?ticket=1", SLACK, False),
        ("wss://evilslack.com/link/?ticket=1", SLACK, False),
        ("wss://wss.slack.com.evil.example/", SLACK, False),
        ("wss://wss.slack.com@evil.example/", SLACK, False),
        ("wss://evil.example/", HERE, False),
        ("wss://wss.slack.com:99999/", SLACK, False),
        ("https://wss-primary.slack.com/", SLACK, False),
        ("", SLACK, False),
    ],
)
def test_lines_lead_to_slack_over_tls(url: str, api: str, allowed: bool) -> None:
    """A ticket is spoken to nobody but Slack, and in clear text to this machine only."""
    assert may_connect(url, api) is allowed


def test_a_deeply_nested_payload_is_refused() -> None:
    """A bomb in a signed form is one more thing that makes no sense."""
    body = callback_body("slash_commands", {"payload": "[" * 100_000})
    with pytest.raises(Malformed, match="no JSON"):
        open_callback(sign(SECRET, body, NOON), body, SECRET, NOON)


def test_no_stranger_makes_a_message_whose_buttons_are_too_large_to_be_heard() -> None:
    """A callback holds the whole message, each emoji as sixteen letters: the longest words that we show stay
    far below what the web server and we take."""
    flood = "💥" * 5000
    words: dict[str, Any] = dict.fromkeys(
        ("customer", "assignee", "acknowledged_by", "account", "target_name"), flood
    )
    text = "\n".join(["💥" * 100] * 50)
    said = alert(Stage.WARNING, **words, text=text, reasons=(flood,) * 9, caveats=(flood,) * 9)
    blocks = build_blocks(said, render(said, BERLIN), "<!here>", buttons=True)
    button = {**blocks[-1]["elements"][0], "block_id": "b"}
    message = {"ts": "1.000001", "text": "x" * 160, "blocks": blocks}
    url = "https://hooks.slack.com/actions/T0/1/x"
    body = callback_body("interactive", press_payload(message, button, ("C0CARE", "care"), ANA, url, NOON))
    assert 80_000 < len(body) < min(CALLBACK_BYTES_MAX, BODY_BYTES_MAX) / 4
