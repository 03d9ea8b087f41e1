"""What people do in Slack reaches the desk, over a real WebSocket and over signed callbacks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from alerts.contract import Channel, Deed, Listener, Listening, WaitingLine
from alerts.slack.blocks import DEEDS, OPEN_ACTION
from alerts.slack.ear import QUEUE_MAX
from rules.alert import Stage
from simulator.faults import Fault, FaultKind
from simulator.slack_api import APP_TOKEN, SIGNING_SECRET, SlackWorkspace
from simulator.slack_people import ANA, BO, callback_body, sign
from simulator.slack_socket import Envelope
from tests.alerts.build import BENCHES, LIMIT, NOON, SECRETS, Bench, alert, as_new, build_channel, strings
from tests.alerts.desk import SECONDS_MAX, Door, NotedDesk, served
from tests.wire.raw import Line, Script, certificate, exchange, serve, tunnel
from wire.http import HttpOptions

TAKE, RESOLVE = "response_monitor.take", "response_monitor.resolve"


@dataclass(slots=True)
class Ear:
    """A channel that listens, its workspace, and the desk that it brings things to."""

    bench: Bench
    channel: Channel
    listener: Listener
    desk: NotedDesk

    @property
    def slack(self) -> SlackWorkspace:
        workspace: SlackWorkspace = self.bench.sink
        return workspace

    def warn(self) -> str:
        """A warning stands in the channel; its ts."""
        self.channel.send(alert(Stage.WARNING), None, LIMIT)
        return str(self.slack.posts[-1].ts)

    def press(self, action: str = TAKE, user: str = ANA.id) -> Envelope:
        """Somebody presses a button of the latest message."""
        post = self.slack.posts[-1]
        return self.slack.press(post.channel, post.ts, action, user)

    def wait(self, done: Callable[[], bool]) -> bool:
        """Wait for something that another thread does, without a limit that a slow machine could miss."""
        pause = threading.Event()
        return any(done() or pause.wait(0.005) for _ in range(int(SECONDS_MAX / 0.005)))

    def whispered(self, count: int = 1) -> list[str]:
        """What was said to single people, once it is so many."""
        assert self.wait(lambda: len(self.slack.whispers) >= count)
        return [whisper.text for whisper in self.slack.whispers]


def _listen(bench: Bench, **changes: Any) -> Ear:
    return _listening(bench, bench.make(**changes))


def _listening(bench: Bench, channel: Channel) -> Ear:
    desk = NotedDesk()
    assert isinstance(channel, Listening)
    listener = channel.listen(desk)
    assert listener is not None
    return Ear(bench, channel, listener, desk)


@pytest.fixture(scope="module")
def app() -> Iterator[Bench]:
    with BENCHES["slack app"]() as made:
        yield made


@pytest.fixture(scope="module")
def behind_a_door() -> Iterator[tuple[Bench, Door]]:
    with BENCHES["slack callbacks"]() as made, served() as door:
        yield made, door


@pytest.fixture
def bench(app: Bench) -> Bench:
    return as_new(app)


@pytest.fixture
def ear(bench: Bench) -> Iterator[Ear]:
    """Over Socket Mode, connected."""
    made = _listen(bench)
    made.listener.start()
    assert made.slack.lines.wait_for(1)
    yield made
    made.desk.open.set()
    made.listener.stop(SECONDS_MAX)


@pytest.fixture
def callbacks(behind_a_door: tuple[Bench, Door]) -> Iterator[Ear]:
    """Over signed callbacks."""
    bench, door = behind_a_door
    made = _listen(as_new(bench))
    made.listener.start()
    door.listener, made.slack.request_url = made.listener, door.url
    yield made
    made.desk.open.set()
    made.listener.stop(SECONDS_MAX)


@pytest.fixture(params=["ear", "callbacks"])
def either(request: pytest.FixtureRequest) -> Ear:
    made: Ear = request.getfixturevalue(request.param)
    return made


@pytest.mark.parametrize("action", DEEDS)
def test_each_button_reaches_the_desk_with_who_and_when(either: Ear, action: str) -> None:
    """Whoever presses is named, the case is the one of the message, and the answer is for them alone."""
    either.warn()
    assert either.press(action).acknowledged()
    deed, seconds, _ = DEEDS[action]
    assert either.whispered() == ["taken by @ana"]
    (press,) = either.desk.presses
    assert (press.deed, press.subject, press.snooze_seconds) == (deed, "acme/x/17", seconds)
    assert (press.who, press.who_id, press.at) == ("@ana", ANA.id, NOON)
    assert either.slack.whispers[0].user == ANA.id
    assert either.listener.hearing().heard == 1 and either.listener.hearing().healthy


def test_the_button_that_opens_the_post_does_nothing_else(either: Ear) -> None:
    """Slack tells of it all the same, and shows an error unless it is acknowledged."""
    either.warn()
    assert either.press(OPEN_ACTION).acknowledged()
    assert either.press().acknowledged() and either.desk.brought(1)
    assert [press.deed for press in either.desk.presses] == [Deed.TAKE]


def test_who_waits_is_listed_to_the_one_who_asks(either: Ear) -> None:
    """/waiting answers with the most urgent cases, with links, and nobody else sees it."""
    either.warn()
    either.desk.lines = [
        WaitingLine("acme/x/17", "@ann_b", "X", "5 min late", "https://x.example/17"),
        WaitingLine("acme/x/18", "<!channel>", "X", "*1 min* left", "javascript:alert(1)"),
    ]
    assert either.slack.ask("#care", BO.id, "/waiting", "mine please").acknowledged()
    assert either.whispered() == ["The 2 most urgent cases"]
    whisper = either.slack.whispers[0]
    assert whisper.user == BO.id
    assert "@ann_b on X: 5 min late (acme/x/17) " in strings(whisper.blocks)
    assert "<!channel> on X: *1 min* left (acme/x/18)" in strings(whisper.blocks)
    assert "mrkdwn" not in strings(whisper.blocks) and "javascript:alert(1)" not in strings(whisper.blocks)
    (asked,) = either.desk.questions
    assert (asked.who, asked.who_id, asked.text) == ("@bo", BO.id, "mine please")


def test_nobody_waits_is_an_answer_too(ear: Ear) -> None:
    """Who asks on a quiet day is not left without an answer."""
    ear.warn()
    assert ear.slack.ask("#care", ANA.id, "/waiting").acknowledged()
    assert ear.whispered() == ["Nobody waits."]


def test_who_waits_is_not_told_outside_of_the_channel(ear: Ear) -> None:
    """A command can be typed by anybody anywhere in the workspace; customers' names stay in the channel."""
    ear.warn()
    assert ear.slack.ask("#random", ANA.id, "/waiting").acknowledged()
    assert ear.whispered()[0].startswith("Ask in #care.")
    assert ear.desk.questions == []


def test_another_app_command_is_left_alone(ear: Ear) -> None:
    """A command that is not ours does nothing."""
    ear.warn()
    assert ear.slack.ask("#care", ANA.id, "/lunch").acknowledged()
    assert ear.listener.hearing().heard == 0


def test_only_operators_are_heeded(bench: Bench) -> None:
    """Where operators are named, a press or a question by somebody else does nothing, and says so to them."""
    ear = _listen(bench, operators=[ANA.id])
    ear.listener.start()
    assert ear.slack.lines.wait_for(1)
    ear.warn()
    assert ear.press(user=BO.id).acknowledged()
    assert ear.whispered(1) == ["@bo is not one of the operators."]
    ear.slack.ask("#care", BO.id, "/waiting")
    assert ear.whispered(2)[1] == "@bo is not one of the operators."
    assert ear.desk.presses == [] and ear.desk.questions == []
    ear.press(user=ANA.id)
    ear.slack.ask("#random", ANA.id, "/waiting")
    assert ear.whispered(4)[2:] == ["taken by @ana", "Nobody waits."]
    ear.listener.stop(SECONDS_MAX)


def test_what_the_desk_refuses_is_told_to_the_one_who_pressed(either: Ear) -> None:
    """ "Was answered meanwhile" is news to the one who pressed, as mere text, and to nobody else."""
    either.desk.refusal = "was answered meanwhile by <!channel> & *others*"
    either.warn()
    either.press()
    assert either.whispered() == ["was answered meanwhile by &lt;!channel&gt; &amp; *others*"]


def test_a_desk_that_breaks_costs_one_answer(either: Ear) -> None:
    """A fault behind a button is told without its inner words, and the next press works again."""
    either.desk.breaks = True
    either.warn()
    either.press()
    assert either.whispered() == ["That did not work; the response monitor's log says why."]
    assert either.listener.hearing().trouble == "the desk failed with RuntimeError"
    either.desk.breaks = False
    either.press()
    assert either.whispered(2)[1] == "taken by @ana"


def test_a_press_is_acknowledged_while_the_desk_is_slow(either: Ear) -> None:
    """Slack shows no error because the core is busy; the answer comes when it is there."""
    either.desk.open.clear()
    either.warn()
    assert either.press().acknowledged()
    assert either.desk.brought(1) and either.slack.whispers == []
    either.desk.open.set()
    assert either.whispered() == ["taken by @ana"]


def test_what_the_queue_cannot_hold_is_not_acknowledged(either: Ear) -> None:
    """Where more is pressed than can be done, Slack says so to whoever pressed, instead of our silence; what
    was acknowledged is all done."""
    either.desk.open.clear()
    either.warn()
    assert either.press().acknowledged() and either.desk.brought(1)
    told = [either.press() for _ in range(QUEUE_MAX + 1)]
    assert all(envelope.acknowledged() for envelope in told[:-1])
    assert not told[-1].acknowledged(0.05)
    assert either.listener.hearing().lost == 1
    either.desk.open.set()
    assert either.desk.brought(QUEUE_MAX + 1)


def test_a_press_that_slack_tells_twice_is_done_once(ear: Ear) -> None:
    """The same press over two lines, or once more over one, is acknowledged each time and done once."""
    ear.warn()
    envelope = ear.press()
    assert envelope.acknowledged()
    ear.slack.lines.repeat(envelope, ear.slack.lines.open[0])
    again = ear.slack.lines.tell("interactive", envelope.payload)
    assert again.acknowledged() and again.id != envelope.id
    assert ear.press(RESOLVE).acknowledged() and ear.desk.brought(2)
    assert [press.deed for press in ear.desk.presses] == [Deed.TAKE, Deed.RESOLVE]


def test_a_remark_in_the_thread_is_heard_by_nobody(ear: Ear) -> None:
    """What colleagues write below an alert goes nowhere, and costs no line."""
    ear.warn()
    remark = {"type": "event_callback", "event": {"type": "message", "text": "idiot", "thread_ts": "1"}}
    assert ear.slack.lines.tell("events_api", remark).acknowledged()
    assert ear.press().acknowledged() and ear.desk.brought(1)
    assert ear.listener.hearing().heard == 1


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "block_actions"},
        {
            "type": "block_actions",
            "user": {"id": "<!channel>"},
            "actions": [{"action_id": TAKE, "value": "a"}],
        },
        {"type": "block_actions", "user": {"id": "U0ANA"}, "actions": []},
        {"type": "block_actions", "user": {"id": "U0ANA"}, "actions": [{"action_id": TAKE}]},
        {"type": "block_actions", "user": {"id": "U0ANA"}, "actions": [{"action_id": TAKE, "value": 7}]},
        {"type": "block_actions", "user": ["U0ANA"], "actions": {"action_id": TAKE}},
        {"type": "view_submission", "user": {"id": "U0ANA"}},
    ],
)
def test_a_payload_that_is_no_press_does_nothing(ear: Ear, payload: dict[str, Any]) -> None:
    """Whatever is sent, the line holds and the next press is heard."""
    ear.warn()
    assert ear.slack.lines.tell("interactive", payload).acknowledged()
    assert ear.press().acknowledged() and ear.desk.brought(1)
    assert len(ear.desk.presses) == 1


def test_noise_on_the_line_does_nothing(ear: Ear) -> None:
    """What is no envelope is passed over."""
    ear.warn()
    for noise in ("", "not json", "[]", "7", '{"type": "interactive"}', "[" * 5000):
        ear.slack.lines.open[0].send(noise)
    assert ear.press().acknowledged() and ear.desk.brought(1)
    assert ear.slack.lines.stray == []


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
def test_a_line_is_replaced_before_it_ends_and_nothing_is_lost(ear: Ear, reason: str) -> None:
    """Slack replaces lines every few hours: a press on the old one, the new one and in between is heard."""
    ear.warn()
    (old,) = ear.slack.lines.open
    ear.slack.lines.say_goodbye(reason)
    payload = ear.slack.lines.tell("interactive", _press_payload(ear, "a"), on=old)
    assert payload.acknowledged()
    assert ear.slack.lines.wait_for(2)
    late = ear.slack.lines.tell("interactive", _press_payload(ear, "b"), on=old)
    assert late.acknowledged()
    ear.slack.lines.close(leaving_only=True)
    assert ear.wait(lambda: len(ear.slack.lines.open) == 1)
    assert ear.press().acknowledged() and ear.desk.brought(3)
    assert ear.listener.hearing().reconnects == 1 and ear.listener.hearing().healthy


def _press_payload(ear: Ear, trigger: str) -> dict[str, Any]:
    """A press that Slack tells over a line of the test's choice."""
    action = {"type": "button", "action_id": TAKE, "value": "acme/x/17", "block_id": "b"}
    return {
        "type": "block_actions",
        "user": {"id": ANA.id, "username": ANA.handle},
        "actions": [action],
        "trigger_id": trigger,
        "response_url": f"{ear.slack.url}/actions/T0/1/gone",
    }


def test_a_line_that_ends_without_a_word_is_opened_again(ear: Ear) -> None:
    """A broken connection costs a moment, and shows in the figures."""
    ear.warn()
    ear.slack.lines.close()
    assert ear.slack.lines.wait_for(2)
    assert ear.press().acknowledged() and ear.desk.brought(1)
    assert ear.listener.hearing().reconnects == 1


def test_slack_that_cannot_be_reached_is_tried_again(bench: Bench) -> None:
    """An outage of Slack at the start, or a limit, is waited for; meanwhile it shows that we are deaf."""
    ear = _listen(bench)
    bench.faults.once("/api/apps.connections.open", Fault(FaultKind.ERROR, status=503))
    headers = (("Retry-After", "0"),)
    bench.faults.once("/api/apps.connections.open", Fault(FaultKind.RATE_LIMIT, headers=headers))
    assert not ear.listener.hearing().healthy
    ear.listener.start()
    assert ear.slack.lines.wait_for(1)
    assert ear.wait(lambda: ear.listener.hearing().healthy)
    assert ear.listener.hearing().trouble == ""
    ear.listener.stop(SECONDS_MAX)
    assert not ear.listener.hearing().healthy


@pytest.mark.parametrize(
    ("token", "words"),
    [("xapp-of-another-age", "make a new app-level token"), ("xoxb-simulated", "use an app-level token")],
)
def test_a_wrong_app_token_is_told_and_never_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, token: str, words: str
) -> None:
    """The operator reads which token to mend, in `check` and in the channel's state."""
    ear = _listen(bench)
    monkeypatch.setenv("CARE_APP_TOKEN", token)
    ear.listener.start()
    assert ear.wait(lambda: words in ear.listener.hearing().trouble)
    with pytest.raises(Exception, match=words):
        ear.channel.check(LIMIT)
    assert token not in repr(ear.listener.hearing())
    ear.listener.stop(SECONDS_MAX)


def _lead_lines_to(bench: Bench, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Lines are opened at that address from now on."""
    lines = bench.sink.lines
    monkeypatch.setattr(bench.sink, "line_url", lambda: f"{url}/link/?ticket={lines.issue_ticket()}")


def test_a_line_to_somebody_else_is_not_spoken_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Who sits between us and Slack with a certificate of his own reads no ticket and hears no press."""
    _, context = certificate(tmp_path)
    with serve(lambda line: line.say(line.read_request()), context) as other:
        _lead_lines_to(bench, monkeypatch, other.url.replace("https", "wss"))
        ear = _listen(bench)
        ear.listener.start()
        assert ear.wait(lambda: "SSLCertVerificationError" in ear.listener.hearing().trouble)
        ear.listener.stop(SECONDS_MAX)
    assert other.connections and other.requests == []


def test_a_line_goes_through_the_proxy_and_trusts_our_own_authority(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where only a proxy leads outside, and a company has its own authority, presses are heard too."""
    cert, context = certificate(tmp_path)
    bench.make().check(LIMIT)  # The workspace learns where it is served with its first request.
    port = urlsplit(bench.sink.url).port or 0
    with serve(tunnel) as proxy, serve(_relay(port), context) as tls:
        _lead_lines_to(bench, monkeypatch, tls.url.replace("https", "wss"))
        settings = {
            "type": "slack",
            "bot_token": {"env": "CARE_TOKEN"},
            "app_token": {"env": "CARE_APP_TOKEN"},
            "channel": "#care",
            "api_url": f"{tls.url}/api",
        }
        options = HttpOptions(proxy.url.replace("://", "://me:hush@"), cert)
        channel = build_channel("slack", bench.clock, settings, options)
        ear = _listening(bench, channel)
        ear.listener.start()
        assert ear.slack.lines.wait_for(1)
        ear.warn()
        # Whether it takes three seconds on a busy machine, through three servers, is not the question here.
        assert ear.press().acknowledged(SECONDS_MAX) and ear.desk.brought(1)
        ear.listener.stop(SECONDS_MAX)
        channel.close()
    assert len(proxy.requests) >= 3
    for request in proxy.requests:
        assert request.startswith(b"CONNECT 127.0.0.1:") and b"Basic bWU6aHVzaA==" in request


def _relay(port: int) -> Script:
    """What is said here is said there, both ways."""

    def script(line: Line) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as upstream:
            exchange(line.sock, upstream)

    return script


def test_too_many_lines_are_told_and_not_made_more(bench: Bench) -> None:
    """Where ten lines are open already, we do not open one after the other."""
    ear = _listen(bench)
    ear.slack.lines.lines_max = 0
    ear.listener.start()
    assert ear.wait(lambda: "more than ten lines" in ear.listener.hearing().trouble)
    assert not ear.listener.hearing().healthy
    ear.listener.stop(SECONDS_MAX)


@pytest.mark.parametrize(
    "address",
    [
        "ws://evil.example/link/?ticket=hush",
        "wss://evil.example/link/?ticket=hush",
        "ftp://127.0.0.1/link",
        "ws://user@127.0.0.1/",
        "ws://[bad",
        7,
    ],
)
def test_a_line_leads_nowhere_but_to_slack(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, address: Any
) -> None:
    """Who could make Slack's API answer could not make us connect to anybody else, nor read the ticket."""
    ear = _listen(bench)
    monkeypatch.setattr(ear.slack, "line_url", lambda: address)
    ear.listener.start()
    assert ear.wait(lambda: "that is not Slack's" in ear.listener.hearing().trouble)
    assert "hush" not in repr(ear.listener.hearing())
    ear.listener.stop(SECONDS_MAX)


def test_stopping_brings_what_was_acknowledged_to_the_desk(ear: Ear, stopwatch: Callable[[], float]) -> None:
    """A restart loses nothing that people were told was heard; and it does not wait for Slack to hang up."""
    ear.desk.open.clear()
    ear.warn()
    told = [ear.press() for _ in range(5)]
    assert all(envelope.acknowledged() for envelope in told)
    began = stopwatch()
    stopping = threading.Thread(target=ear.listener.stop, args=(SECONDS_MAX,))
    stopping.start()
    assert ear.slack.lines.wait_closed()
    ear.desk.open.set()
    stopping.join(SECONDS_MAX)
    assert len(ear.desk.presses) == 5 and len(ear.slack.whispers) == 5
    assert stopwatch() - began < 5
    assert not ear.listener.hearing().healthy


def test_stopping_takes_no_longer_than_it_may(ear: Ear, stopwatch: Callable[[], float]) -> None:
    """A desk that does not come back does not hold up the end of the daemon; stopping twice does no harm."""
    ear.desk.open.clear()
    ear.warn()
    assert ear.press().acknowledged() and ear.desk.brought(1)
    began = stopwatch()
    ear.listener.stop(0.3)
    ear.listener.stop(0.3)
    assert stopwatch() - began < 3


def test_a_listener_that_never_started_can_be_stopped(bench: Bench) -> None:
    """A start that failed half-way ends like any other."""
    ear = _listen(bench)
    ear.listener.stop(0.1)
    assert not ear.listener.hearing().healthy


def test_no_secret_is_ever_logged(ear: Ear, caplog: pytest.LogCaptureFixture) -> None:
    """Neither tokens nor the tickets in addresses get into any log, however talkative."""
    caplog.set_level(1)
    ear.warn()
    ear.slack.lines.close()
    assert ear.slack.lines.wait_for(2)
    assert ear.press().acknowledged() and ear.desk.brought(1)
    assert not any(secret in caplog.text for secret in (*SECRETS, APP_TOKEN))
    assert "ticket=" not in caplog.text


@pytest.mark.parametrize("way", ["slack webhook", "slack token"])
def test_a_channel_that_cannot_hear_has_no_buttons(way: str) -> None:
    """A button that does nothing would be a lie."""
    with BENCHES[way]() as bench:
        channel = bench.make()
        assert isinstance(channel, Listening) and channel.listen(NotedDesk()) is None
        channel.send(alert(Stage.BREACH), None, LIMIT)
        assert "actions" not in strings(bench.sink.posts[0].blocks)


def test_callbacks_are_not_taken_by_a_line(ear: Ear) -> None:
    """With Socket Mode there is no address that could be called."""
    assert ear.listener.receive({}, b"").status == 404


def _signed(ear: Ear, **changes: Any) -> tuple[bytes, dict[str, str]]:
    """A callback as Slack signs it, with something about it changed."""
    body = callback_body("interactive", _press_payload(ear, "t"))
    at = changes.get("at", NOON)
    return body, sign(changes.get("secret", SIGNING_SECRET), body, at)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "another-secret"},
        {"at": NOON - timedelta(seconds=301)},
        {"at": NOON + timedelta(seconds=301)},
    ],
    ids=["forged", "stale", "of the future"],
)
def test_a_callback_that_proves_nothing_is_refused(callbacks: Ear, changes: dict[str, Any]) -> None:
    """Who does not have the signing secret, or only an old request, can do nothing."""
    callbacks.warn()
    assert callbacks.slack.call_back(*_signed(callbacks, **changes)) == 401
    body, headers = _signed(callbacks)
    assert callbacks.slack.call_back(body + b"&x=1", headers) == 401
    assert callbacks.slack.call_back(body, {"Content-Type": headers["Content-Type"]}) == 401
    assert callbacks.desk.presses == [] and callbacks.listener.hearing().heard == 0


def test_a_callback_counts_once(callbacks: Ear) -> None:
    """Who recorded a request can do nothing with it, also within the five minutes."""
    callbacks.warn()
    body, headers = _signed(callbacks)
    assert callbacks.slack.call_back(body, headers) == 200
    callbacks.bench.clock.move(299)
    assert callbacks.slack.call_back(body, headers) == 401
    assert callbacks.desk.brought(1) and len(callbacks.desk.presses) == 1


def test_slack_is_shown_that_the_address_is_ours(callbacks: Ear) -> None:
    """Setting up callbacks works: the challenge is sent back."""
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()
    answer = callbacks.listener.receive(sign(SIGNING_SECRET, body, NOON, "application/json"), body)
    assert (answer.status, answer.body) == (200, b"3eZbrw1a")


@pytest.mark.parametrize(
    "body", [b"payload=nonsense", b"payload=[]", b"payload=%FF", b"\xff=1", b"a=1&" * 60]
)
def test_a_callback_that_makes_no_sense_is_refused(callbacks: Ear, body: bytes) -> None:
    """Signed nonsense is answered with 400, and breaks nothing."""
    assert callbacks.listener.receive(sign(SIGNING_SECRET, body, NOON), body).status == 400
    assert callbacks.desk.presses == []


def test_answers_go_to_slack_and_to_nobody_else(callbacks: Ear) -> None:
    """An address to answer to that is not Slack's is not called: it could be inside our own network."""
    payload = _press_payload(callbacks, "t") | {"response_url": "http://127.0.0.1:1/latest/meta-data"}
    callbacks.warn()
    callbacks.slack.tell("interactive", payload)
    assert callbacks.desk.brought(1)
    assert callbacks.wait(lambda: "an address to answer to" in callbacks.listener.hearing().trouble)
    assert callbacks.listener.hearing().lost == 1


def test_after_the_end_slack_is_told_to_come_again(callbacks: Ear) -> None:
    """A callback during a restart is not acknowledged: Slack says so to whoever pressed."""
    callbacks.warn()
    callbacks.listener.stop(SECONDS_MAX)
    assert callbacks.press().status == 503
