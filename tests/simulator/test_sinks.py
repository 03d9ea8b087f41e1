"""The sinks that alerts go to: they refuse what Slack and a mail server refuse, and keep what they took."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.mail import MailSink
from simulator.serve import Served
from simulator.slack_api import TOKEN, SlackWorkspace, make_slack_app
from simulator.slack_blocks import trouble_with
from simulator.world import FixedClock
from tests.alerts.build import NOON
from tests.wire.raw import closed_port
from wire.http import HttpClient, HttpOptions, Reply

HEADER = {"type": "header", "block_id": "k/1", "text": {"type": "plain_text", "text": "Late"}}


class Slack:
    """A workspace with #care, and somebody who talks to it over HTTP."""

    def __init__(self, workspace: SlackWorkspace, url: str, client: HttpClient) -> None:
        self.workspace = workspace
        self._url = url
        self._client = client

    def hook(self, body: Any, path: str = "T0/B0/right") -> Reply:
        """What a webhook answers."""
        return self._client.request("POST", f"{self._url}/services/{path}", json=body, time_limit=10)

    def call(self, method: str, token: str | None = TOKEN, **body: Any) -> dict[str, Any]:
        """What the Web API answers."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"{self._url}/api/{method}"
        answer: dict[str, Any] = self._client.request(
            "POST", url, headers=headers, json=body, time_limit=10
        ).json()
        return answer


@pytest.fixture
def slack() -> Iterator[Slack]:
    workspace = SlackWorkspace(FixedClock(NOON), hook="T0/B0/right", channels=("#care",))
    with Served(make_slack_app(workspace)) as server, HttpClient(HttpOptions()) as client:
        yield Slack(workspace, server.url, client)


def test_a_webhook_takes_a_message_and_says_ok(slack: Slack) -> None:
    """What a webhook took stands in the workspace, under the poster's key and at the pretended time."""
    reply = slack.hook({"text": "hello", "blocks": [HEADER]})
    assert (reply.status, reply.body) == (200, b"ok")
    (post,) = slack.workspace.posts
    assert (post.text, post.key, post.at, post.channel) == ("hello", "k/1", NOON, "webhook")
    assert [(d.key, d.update, d.ts) for d in slack.workspace.deliveries] == [("k/1", False, post.ts)]


@pytest.mark.parametrize(
    ("body", "path", "status", "word"),
    [
        ({"text": "x"}, "T0/B0/wrong", 404, b"no_service"),
        (["x"], "T0/B0/right", 400, b"invalid_payload"),
        ({}, "T0/B0/right", 400, b"no_text"),
        ({"text": "x", "blocks": [{"type": "poem"}]}, "T0/B0/right", 400, b"invalid_blocks"),
    ],
)
def test_a_webhook_refuses_with_a_status_and_a_word(
    slack: Slack, body: Any, path: str, status: int, word: bytes
) -> None:
    """A webhook that was revoked, or a body that is none, is not taken for a delivery."""
    reply = slack.hook(body, path)
    assert (reply.status, reply.body) == (status, word)
    assert slack.workspace.posts == [] and slack.workspace.deliveries == []


def test_a_message_can_be_posted_threaded_and_changed(slack: Slack) -> None:
    """The Web API finds a channel by name or id, a thread by its first message, and a message by its ts."""
    first = slack.call("chat.postMessage", channel="#care", text="late")
    assert first["ok"] and first["channel"].startswith("C")
    reply = slack.call(
        "chat.postMessage",
        channel=first["channel"],
        text="later",
        thread_ts=first["ts"],
        reply_broadcast=True,
    )
    assert reply["ok"] and reply["ts"] != first["ts"]
    assert slack.call("chat.update", channel=first["channel"], ts=first["ts"], text="done")["ok"]
    one, two = slack.workspace.posts
    assert (one.text, one.history) == ("done", ["late"])
    assert (two.thread_ts, two.broadcast) == (one.ts, True)
    assert [d.update for d in slack.workspace.deliveries] == [False, False, True]


@pytest.mark.parametrize(
    ("method", "changes", "error"),
    [
        ("chat.postMessage", {"token": None}, "not_authed"),
        ("chat.postMessage", {"token": "xoxb-another"}, "invalid_auth"),
        ("chat.postMessage", {"channel": "#nowhere"}, "channel_not_found"),
        ("chat.postMessage", {"channel": ""}, "channel_not_found"),
        ("chat.postMessage", {"text": ""}, "no_text"),
        ("chat.postMessage", {"text": "x" * 40_001}, "msg_too_long"),
        ("chat.postMessage", {"thread_ts": "1.000001"}, "thread_not_found"),
        ("chat.postMessage", {"blocks": [HEADER, HEADER]}, "invalid_blocks"),
        ("chat.update", {"channel": "#care", "ts": "1.000001"}, "channel_not_found"),
        ("chat.update", {"channel": "C0123456789", "ts": "1.000001"}, "message_not_found"),
        ("chat.sing", {}, "unknown_method"),
    ],
)
def test_the_web_api_refuses_in_its_body(
    slack: Slack, method: str, changes: dict[str, Any], error: str
) -> None:
    """Slack's errors come with status 200: who looks at the status only believes that he was heard."""
    answer = slack.call(method, **({"channel": "#care", "text": "x"} | changes))
    assert answer == {"ok": False, "error": error}
    assert slack.workspace.deliveries == []


def test_a_message_that_was_deleted_cannot_be_changed(slack: Slack) -> None:
    """A client that updates must cope with people who tidy up."""
    first = slack.call("chat.postMessage", channel="#care", text="late")
    slack.workspace.delete(first["ts"])
    answer = slack.call("chat.update", channel=first["channel"], ts=first["ts"], text="done")
    assert answer["error"] == "message_not_found"


def test_who_the_token_belongs_to_is_told(slack: Slack) -> None:
    """auth.test answers, and posts nothing."""
    assert slack.call("auth.test")["team"] == "Acme"
    assert slack.workspace.posts == []


def test_refusals_are_used_up_in_order(slack: Slack) -> None:
    """A planned outage ends by itself."""
    slack.workspace.refuse("internal_error", "missing_scope")
    answers = [slack.call("chat.postMessage", channel="#care", text="x") for _ in range(3)]
    assert [answer.get("error") for answer in answers] == ["internal_error", "missing_scope", None]
    assert answers[1]["needed"] == "chat:write"
    assert len(slack.workspace.posts) == 1


def test_a_channel_takes_one_message_a_second() -> None:
    """Slack's limit holds for each channel by itself, and says how long to wait."""
    clock = FixedClock(NOON)
    workspace = SlackWorkspace(clock, per_second=0.5)
    with Served(make_slack_app(workspace)) as server, HttpClient(HttpOptions()) as client:
        slack = Slack(workspace, server.url, client)
        assert slack.call("chat.postMessage", channel="#care", text="x")["ok"]
        assert slack.call("chat.postMessage", channel="#care", text="x")["error"] == "ratelimited"
        assert slack.call("chat.postMessage", channel="#other", text="x")["ok"]
        assert slack.hook({"text": "x"}).status == 200
        limited = slack.hook({"text": "x"})
        assert (limited.status, limited.headers["retry-after"]) == (429, "2")
        clock.move(2)
        assert slack.call("chat.postMessage", channel="#care", text="x")["ok"]
    assert len(workspace.posts) == 4


@pytest.mark.parametrize(
    "block",
    [
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},
        {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}},
        {"type": "section", "text": {"type": "mrkdwn", "text": ""}},
        {"type": "divider", "block_id": "x" * 256},
        {"type": "rich_text", "elements": []},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": []}]},
        {
            "type": "rich_text",
            "elements": [{"type": "rich_text_quote", "elements": [{"type": "text", "text": ""}]}],
        },
        {
            "type": "rich_text",
            "elements": [
                {"type": "rich_text_section", "elements": [{"type": "link", "url": "javascript:x"}]}
            ],
        },
        {"type": "poem"},
        "no block",
    ],
)
def test_blocks_beyond_slacks_limits_are_refused(block: Any) -> None:
    """An alert that Slack would refuse is refused here as well, before anybody relies on it."""
    assert trouble_with({"text": "x", "blocks": [block]}) == "invalid_blocks"
    assert trouble_with({"text": "x", "blocks": [{"type": "divider"}] * 51}) == "invalid_blocks"
    assert trouble_with({"text": "x", "blocks": [{"type": "divider"}] * 50}) is None


MAIL = "Subject: late\r\nX-Response-Monitor-Key: k/1\r\nX-Response-Monitor-Stage: breach\r\n\r\nhello\r\n"


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink(FixedClock(NOON)) as made:
        yield made


def _send(sink: MailSink, to: list[str], login: tuple[str, str] | None = None) -> dict[str, Any]:
    with smtplib.SMTP(sink.host, sink.port, local_hostname="localhost", timeout=10) as client:
        if login is not None:
            client.login(*login)
        return client.sendmail("monitor@acme.example", to, MAIL)


def test_a_mail_is_kept_with_what_it_says_of_itself(sink: MailSink) -> None:
    """What was mailed can be read again: to whom, under which key, and when."""
    assert _send(sink, ["care@acme.example"]) == {}
    (mail,) = sink.mails
    assert (mail.key, mail.stage, mail.at) == ("k/1", "breach", NOON)
    assert (mail.sender, mail.recipients) == ("monitor@acme.example", ("care@acme.example",))
    assert mail.part("plain").strip() == "hello" and mail.part("html") == ""
    assert not mail.tls and mail.user is None


def test_refusals_of_mails_are_used_up_in_order(sink: MailSink) -> None:
    """A server that greylists takes the mail later."""
    sink.refusals, sink.mail_refusals = ["451 later"], ["421 not now"]
    with pytest.raises(smtplib.SMTPSenderRefused):
        _send(sink, ["care@acme.example"])
    with pytest.raises(smtplib.SMTPDataError):
        _send(sink, ["care@acme.example"])
    assert sink.mails == []
    _send(sink, ["care@acme.example"])
    assert len(sink.mails) == 1


def test_one_refused_recipient_does_not_cost_the_others_their_mail(sink: MailSink) -> None:
    """A mail reaches those whom the server knows."""
    sink.refused_recipients = {"gone@acme.example": "550 5.1.1 nobody"}
    refused = _send(sink, ["gone@acme.example", "care@acme.example"])
    assert refused == {"gone@acme.example": (550, b"5.1.1 nobody")}
    assert sink.mails[0].recipients == ("care@acme.example",)


def test_a_line_that_breaks_leaves_the_mail_taken(sink: MailSink) -> None:
    """The worst moment for a break: the mail is there, and its sender does not know."""
    sink.hang_ups = 1
    with pytest.raises(smtplib.SMTPServerDisconnected):
        _send(sink, ["care@acme.example"])
    assert len(sink.mails) == 1
    _send(sink, ["care@acme.example"])
    assert len(sink.mails) == 2


@pytest.mark.parametrize("verb", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"])
def test_each_verb_can_be_refused_once(sink: MailSink, verb: str) -> None:
    """A server says no wherever a test wants it to, and is itself again afterwards."""
    sink.refusals_at = {verb: ["554 5.7.1 not today"]} | ({"HELO": ["554 no"]} if verb == "EHLO" else {})
    with pytest.raises(smtplib.SMTPException):
        _send(sink, ["care@acme.example"])
    assert sink.mails == []
    _send(sink, ["care@acme.example"])
    assert len(sink.mails) == 1


def test_a_server_that_says_421_closes_the_line(sink: MailSink) -> None:
    """Who is told 421 has no line any more, as RFC 5321 wants it."""
    sink.refusals_at = {"NOOP": ["421 4.3.2 closing"]}
    with smtplib.SMTP(sink.host, sink.port, local_hostname="localhost", timeout=10) as client:
        assert client.noop()[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()


def test_a_line_that_breaks_can_lose_the_mail(sink: MailSink) -> None:
    """The other worst moment: the mail is not there, and its sender does not know either."""
    sink.cut_offs = 1
    with pytest.raises(smtplib.SMTPServerDisconnected):
        _send(sink, ["care@acme.example"])
    assert sink.mails == []


def test_a_relay_says_no_while_the_mailboxes_are_away() -> None:
    """What cannot be handed on is not taken: nothing is lost in between."""
    with MailSink(FixedClock(NOON), next_hop=("127.0.0.1", closed_port())) as sink:
        with pytest.raises(smtplib.SMTPDataError) as caught:
            _send(sink, ["care@acme.example"])
        assert caught.value.smtp_code == 451 and sink.mails == []


def test_a_server_with_users_wants_the_right_password() -> None:
    """Nobody mails there without a login, nor with a wrong one."""
    with MailSink(FixedClock(NOON), users={"monitor": "right-password"}) as sink:
        with pytest.raises(smtplib.SMTPSenderRefused):
            _send(sink, ["care@acme.example"])
        with pytest.raises(smtplib.SMTPAuthenticationError):
            _send(sink, ["care@acme.example"], ("monitor", "wrong"))
        _send(sink, ["care@acme.example"], ("monitor", "right-password"))
    assert [mail.user for mail in sink.mails] == ["monitor"]


def test_a_server_that_was_stopped_comes_back_on_its_port() -> None:
    """An outage ends where it began."""
    sink = MailSink(FixedClock(NOON))
    with sink:
        port = sink.port
    with pytest.raises(OSError):
        _send(sink, ["care@acme.example"])
    with sink:
        assert sink.port == port
        _send(sink, ["care@acme.example"])
    assert len(sink.mails) == 1
