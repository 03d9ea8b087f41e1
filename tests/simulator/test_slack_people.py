"""The simulated Slack tells an app what people do as Slack does: Slack's own library understands it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import Clock, SignatureVerifier
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from simulator.serve import Served
from simulator.slack_api import APP_TOKEN, SIGNING_SECRET, TOKEN, SlackWorkspace, make_slack_app
from simulator.slack_blocks import trouble_with
from simulator.slack_people import ANA, callback_body, sign
from simulator.slack_socket import Lines
from simulator.world import FixedClock
from tests.alerts.build import NOON

BUTTON: dict[str, Any] = {
    "type": "button",
    "action_id": "take",
    "text": {"type": "plain_text", "text": "I take it"},
    "value": "acme/x/17",
}
ACTIONS = {"type": "actions", "block_id": "deeds", "elements": [BUTTON]}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[SlackWorkspace, str]]:
    workspace = SlackWorkspace(FixedClock(NOON), channels=("#care",))
    with Served(make_slack_app(workspace)) as server:
        yield workspace, f"{server.url}/api/"


@pytest.fixture
def workspace(served: tuple[SlackWorkspace, str]) -> SlackWorkspace:
    """As new, at noon."""
    made = served[0]
    made.posts.clear()
    made.whispers.clear()
    made.lines = Lines()
    clock = made.clock
    assert isinstance(clock, FixedClock)
    clock.at = NOON
    return made


@pytest.fixture
def web(served: tuple[SlackWorkspace, str], workspace: SlackWorkspace) -> WebClient:
    """Slack's own client of the Web API."""
    return WebClient(token=TOKEN, base_url=served[1])


def _post(web: WebClient, workspace: SlackWorkspace) -> tuple[str, str]:
    """A message with a button: its channel's id and ts."""
    web.chat_postMessage(channel="#care", text="late", blocks=[ACTIONS])
    return workspace.posts[-1].channel, workspace.posts[-1].ts


def test_slacks_own_client_hears_a_press_and_a_command(workspace: SlackWorkspace, web: WebClient) -> None:
    """What we hear over the simulated line is what Slack's library would hear: the format is the real one."""
    heard: list[SocketModeRequest] = []
    both = threading.Event()

    def listen(client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        heard.append(request)
        client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
        if len(heard) == 2:
            both.set()

    client = SocketModeClient(app_token=APP_TOKEN, web_client=web, concurrency=1)
    client.socket_mode_request_listeners.append(listen)
    client.connect()
    assert workspace.lines.wait_for(1)
    press = workspace.press(*_post(web, workspace), "take", ANA.id)
    assert press.acknowledged(10)
    ask = workspace.ask("#care", ANA.id, "/waiting", "all")
    assert ask.acknowledged(10) and both.wait(10)
    # Where the server ends the line, the client's own end takes a second less.
    client.auto_reconnect_enabled = False
    workspace.lines.close()
    assert workspace.lines.wait_closed()
    # Its reader closes the socket then, and looks whether there is one before it takes its locks: a close
    # from here at the same moment would fail.
    reader = client.current_session_runner
    reader.event.set()
    reader.thread.join(10)
    assert not reader.thread.is_alive()
    client.close()
    assert [request.type for request in heard] == ["interactive", "slash_commands"]
    said = heard[0].payload
    assert said["type"] == "block_actions" and said["user"]["username"] == "ana"
    assert said["actions"][0] | {"action_ts": ""} == {**BUTTON, "block_id": "deeds", "action_ts": ""}
    assert said["channel"]["name"] == "care" and said["message"]["blocks"] == [ACTIONS]
    assert heard[1].payload["command"] == "/waiting" and heard[1].payload["text"] == "all"


def test_an_answer_is_seen_by_one_person_only_and_not_for_ever(
    workspace: SlackWorkspace, web: WebClient
) -> None:
    """A response URL is good for five answers and half an hour, as Slack's is."""
    envelope = workspace.press(*_post(web, workspace), "take", ANA.id)
    answers = WebhookClient(envelope.payload["response_url"])
    said = [answers.send(text=f"answer {n}", response_type="ephemeral").status_code for n in range(6)]
    assert said == [200] * 5 + [404]
    assert [(w.user, w.text) for w in workspace.whispers] == [(ANA.id, f"answer {n}") for n in range(5)]
    late = WebhookClient(workspace.ask("#care", ANA.id, "/waiting").payload["response_url"])
    assert isinstance(workspace.clock, FixedClock)
    workspace.clock.move(1801)
    answer = late.send(text="too late")
    assert (answer.status_code, answer.body) == (404, "expired_url")


def test_signatures_are_slacks(workspace: SlackWorkspace, web: WebClient) -> None:
    """Slack's own verifier takes a signed press and command, and refuses them changed."""

    class Noon(Clock):
        def now(self) -> float:
            return NOON.timestamp()

    verifier = SignatureVerifier(SIGNING_SECRET, Noon())
    for envelope in (
        workspace.press(*_post(web, workspace), "take", ANA.id),
        workspace.ask("#care", ANA.id, "/waiting"),
    ):
        body = callback_body(envelope.kind, envelope.payload)
        headers = sign(SIGNING_SECRET, body, NOON)
        assert verifier.is_valid_request(body, headers)
        assert not verifier.is_valid_request(body + b"&", headers)
        form = parse_qs(body.decode("ascii"))
        shown = json.loads(form["payload"][0]) if "payload" in form else form
        assert "trigger_id" in shown and "response_url" in shown


def test_nobody_presses_what_is_not_there(workspace: SlackWorkspace, web: WebClient) -> None:
    """A test that presses a button which went finds out."""
    channel, ts = _post(web, workspace)
    web.chat_update(channel=channel, ts=ts, text="over", blocks=[{"type": "divider"}])
    for where in ((channel, ts), (channel, "1.000001"), ("C0NOWHERE", ts)):
        with pytest.raises(LookupError):
            workspace.press(*where, "take", ANA.id)


def test_a_message_keeps_its_metadata_until_it_gets_another(
    workspace: SlackWorkspace, web: WebClient
) -> None:
    """As Slack documents chat.update: what is not given is retained."""
    metadata = {"event_type": "alert", "event_payload": {"key": "k/1", "stage": "warning"}}
    made = web.chat_postMessage(channel="#care", text="late", metadata=metadata)
    where = {"channel": made["channel"], "ts": made["ts"]}
    web.chat_update(**where, text="later")
    assert (workspace.posts[0].key, workspace.posts[0].stage, workspace.posts[0].text) == (
        "k/1",
        "warning",
        "later",
    )
    metadata["event_payload"] = {"key": "k/2", "stage": "cleared"}
    web.chat_update(**where, text="over", metadata=metadata)
    assert (workspace.posts[0].key, workspace.posts[0].stage) == ("k/2", "cleared")


def test_people_are_known_and_whispered_to(workspace: SlackWorkspace, web: WebClient) -> None:
    """users.info knows who is there; an ephemeral message reaches one of them."""
    assert web.users_info(user=ANA.id)["user"]["profile"]["display_name"] == "ana"
    web.chat_postEphemeral(channel="#care", user=ANA.id, text="only you")
    assert [(w.user, w.text) for w in workspace.whispers] == [(ANA.id, "only you")]
    assert workspace.posts == []
    for call in (
        partial(web.users_info, user="U0NOBODY"),
        partial(web.chat_postEphemeral, channel="#care", user="U0NOBODY", text="x"),
    ):
        with pytest.raises(SlackApiError, match="user_not"):
            call()


def test_each_method_has_a_limit_of_its_own(workspace: SlackWorkspace, web: WebClient) -> None:
    """Slack limits methods by tiers; a limit on changes leaves posting alone, and says how long to wait."""
    channel, ts = _post(web, workspace)
    workspace.limit_method("chat.update", 30)
    web.chat_update(channel=channel, ts=ts, text="a")
    with pytest.raises(SlackApiError, match="ratelimited") as caught:
        web.chat_update(channel=channel, ts=ts, text="b")
    assert caught.value.response.headers["Retry-After"] == "2"
    _post(web, workspace)
    workspace.limit_method("chat.update", None)
    web.chat_update(channel=channel, ts=ts, text="c")


@pytest.mark.parametrize(
    ("token", "error"), [(TOKEN, "not_allowed_token_type"), ("xapp-other", "invalid_auth")]
)
def test_only_the_app_level_token_opens_lines(web: WebClient, token: str, error: str) -> None:
    """A bot token opens no line, and the app-level one posts nothing."""
    with pytest.raises(SlackApiError, match=error):
        web.apps_connections_open(app_token=token)
    with pytest.raises(SlackApiError, match="not_allowed_token_type"):
        web.auth_test(token=APP_TOKEN)


def test_a_ticket_is_good_for_one_line(workspace: SlackWorkspace, web: WebClient) -> None:
    """An address that was overheard opens nothing."""
    url = web.apps_connections_open(app_token=APP_TOKEN)["url"]
    with connect(url) as line:
        assert json.loads(line.recv(timeout=10))["type"] == "hello"
        with pytest.raises(InvalidStatus), connect(url):
            pass


def test_an_eleventh_line_is_turned_away(workspace: SlackWorkspace, web: WebClient) -> None:
    """Slack allows ten lines for an app, and says so to the next."""
    with ExitStack() as stack:

        def line() -> Any:
            url = web.apps_connections_open(app_token=APP_TOKEN)["url"]
            made = stack.enter_context(connect(url))
            return made, json.loads(made.recv(timeout=10))

        counts = [line()[1]["num_connections"] for _ in range(10)]
        assert counts == list(range(1, 11))
        turned_away, said = line()
        assert (said["type"], said["reason"]) == ("disconnect", "too_many_websockets")
        with pytest.raises(ConnectionClosed):
            turned_away.recv(timeout=10)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": {"type": "plain_text", "text": "x" * 76}},
        {"text": {"type": "mrkdwn", "text": "x"}},
        {"value": "x" * 2001},
        {"value": ""},
        {"action_id": "x" * 256},
        {"url": "javascript:alert(1)"},
        {"url": "https://x.example/" + "x" * 3000},
        {"style": "loud"},
        {"type": "bell"},
    ],
)
def test_buttons_beyond_slacks_limits_are_refused(changes: dict[str, Any]) -> None:
    """A button that Slack would refuse is refused here as well."""
    bad = {**ACTIONS, "elements": [BUTTON | changes]}
    assert trouble_with({"text": "x", "blocks": [bad]}) == "invalid_blocks"
    assert trouble_with({"text": "x", "blocks": [ACTIONS]}) is None


def test_rows_of_buttons_keep_slacks_limits() -> None:
    """No row is empty or endless, and no two buttons in it have one name."""
    many = [BUTTON | {"action_id": str(n)} for n in range(26)]
    for elements in ([], many, [BUTTON, BUTTON], "buttons", [7]):
        blocks = [{**ACTIONS, "elements": elements}]
        assert trouble_with({"text": "x", "blocks": blocks}) == "invalid_blocks"
    assert trouble_with({"text": "x", "blocks": [{**ACTIONS, "elements": many[:25]}]}) is None
