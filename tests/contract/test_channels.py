"""One suite that every alert channel passes, whatever its medium: a new channel is one more bench."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import alerts
from alerts.contract import Channel, Receipt
from rules.alert import Alert, Stage, Trouble
from simulator.faults import Fault, FaultKind
from tests.alerts.build import BENCHES, LIMIT, NOON, SECRETS, Bench, alert, facts
from tests.wire.raw import Line, closed_port, serve
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


@pytest.fixture(scope="module", params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with BENCHES[request.param]() as made:
        yield made


@pytest.fixture
def channel(bench: Bench) -> Channel:
    return bench.make()


def test_every_kind_of_channel_is_tested_here() -> None:
    """A channel that is offered in the config has passed this suite."""
    assert {name.split()[0] for name in BENCHES} == set(alerts.REGISTRY)


@pytest.mark.parametrize("stage", list(Stage))
def test_each_stage_arrives_under_its_key(bench: Bench, channel: Channel, stage: Stage) -> None:
    """Whatever there is to say can be said, first or as a sequel, and doubles can be told by the key."""
    before = len(bench.received())
    said = alert(stage, subject=f"first of {stage}")
    receipt = channel.send(said, None, LIMIT)
    assert receipt.at == bench.clock.now()
    assert len(bench.received()) == before + 1
    assert bench.received()[-1].key.replace("_", " ") == said.key

    stored = Receipt(receipt.at, json.loads(json.dumps(dict(receipt.remote))))
    again = channel.send(replace(said, key=f"{said.key}/again"), stored, LIMIT)
    assert again.at == bench.clock.now()
    assert any(r.key.endswith("/again") for r in bench.received()[before:])


def test_a_long_key_arrives_whole(bench: Bench, channel: Channel) -> None:
    """The longest key that the outbox makes still identifies its alert."""
    key = "acme/x/" + "1234567890" * 18 + "/0a1b2c3d4e"
    channel.send(replace(alert(Stage.WARNING), key=key[:200]), None, LIMIT)
    assert bench.received()[-1].key == key[:200]


def test_its_recipient_is_a_plain_word(channel: Channel) -> None:
    """Metrics and the outbox can name whom it reaches, without a secret."""
    assert re.fullmatch(r"[\w#@. -]{1,200}", channel.recipient)
    assert not any(secret in f"{channel.recipient} {channel!r}" for secret in SECRETS)


def test_checking_sends_nothing(bench: Bench, channel: Channel) -> None:
    """`check` without --send disturbs nobody, and shows no secret."""
    before = len(bench.received())
    said = channel.check(LIMIT)
    assert len(bench.received()) == before
    assert said
    assert "\n" not in said
    assert not any(secret in said for secret in SECRETS)


def test_a_missing_secret_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential that went away is a person's work, and the error says which one it is."""
    channel = bench.make()
    for name in ("CARE_TOKEN", "CARE_HOOK", "CARE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NotAllowed, match="CARE_"):
        channel.send(alert(Stage.TEST), None, LIMIT)
    with pytest.raises(NotAllowed, match="CARE_"):
        channel.check(LIMIT)


# -- what goes wrong ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mishap:
    """A thing that goes wrong with the next send, and the error that says so."""

    kind: str
    name: str
    cause: Callable[[Bench], object]
    error: type[EdgeError]
    unknown: bool = False
    arrives: bool = False


def _http(status: int, **headers: str) -> Callable[[Bench], object]:
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return lambda bench: bench.faults.once("/", Fault(FaultKind.ERROR, status=status, headers=given))


def _fault(kind: FaultKind, seconds: float = 0.0) -> Callable[[Bench], object]:
    return lambda bench: bench.faults.once("/", Fault(kind, seconds=seconds))


def _words(*errors: str) -> Callable[[Bench], object]:
    return lambda bench: bench.sink.refuse(*errors)


def _mail(list_name: str, reply: str) -> Callable[[Bench], object]:
    return lambda bench: getattr(bench.sink, list_name).append(reply)


def _refuse_all(reply: str) -> Callable[[Bench], object]:
    everybody = ("care@acme.example", "lead@acme.example")
    return lambda bench: bench.sink.refused_recipients.update(dict.fromkeys(everybody, reply))


def _break_line(bench: Bench) -> None:
    bench.sink.hang_ups = 1


MISHAPS = (
    [
        Mishap("slack", "429", _http(429, retry_after="7"), RetryAt),
        Mishap("slack", "500", _http(500), RetryAt),
        Mishap("slack", "503", _http(503), RetryAt),
        Mishap("slack", "504", _http(504), RetryAt, unknown=True),
        Mishap("slack", "401", _http(401), NotAllowed),
        Mishap("slack", "403", _http(403), NotAllowed),
        Mishap("slack", "404", _http(404), NotAllowed),
        Mishap("slack", "400", _http(400), Refused),
        Mishap("slack", "redirect", _http(302, location="https://elsewhere.example/"), Refused),
        Mishap("slack", "HTML with 200", _fault(FaultKind.HTML), Malformed),
        Mishap("slack", "hung up before", _fault(FaultKind.DROP), RetryAt, unknown=True),
        Mishap("slack", "hung up after", _fault(FaultKind.DROP_AFTER), RetryAt, unknown=True, arrives=True),
    ]
    + [
        Mishap("slack token", word, _words(word), NotAllowed)
        for word in (
            "invalid_auth not_authed token_revoked token_expired account_inactive missing_scope"
            " not_in_channel channel_not_found is_archived no_permission restricted_action"
        ).split()
    ]
    + [Mishap("slack token", word, _words(word), RetryAt) for word in ("ratelimited", "service_unavailable")]
    + [
        Mishap("slack token", word, _words(word), RetryAt, unknown=True)
        for word in ("internal_error", "fatal_error")
    ]
    + [
        Mishap("slack token", word, _words(word), Refused)
        for word in ("invalid_blocks", "msg_too_long", "no_text")
    ]
    + [
        Mishap("slack webhook", "no_service", _words("no_service"), NotAllowed),
        Mishap("slack webhook", "invalid_token", _words("invalid_token"), NotAllowed),
        Mishap("slack webhook", "channel_is_archived", _words("channel_is_archived"), NotAllowed),
        Mishap("slack webhook", "invalid_payload", _words("invalid_payload"), Refused),
        Mishap("slack webhook", "rollup_error", _words("rollup_error"), RetryAt),
        Mishap("slack webhook", "truncated ok", _fault(FaultKind.TRUNCATED), Malformed, arrives=True),
    ]
    + [
        Mishap("smtp", "greylisted", _mail("refusals", "451 4.7.1 Greylisted"), RetryAt),
        Mishap("smtp", "over quota", _mail("refusals", "452 4.2.2 Mailbox full"), RetryAt),
        Mishap("smtp", "spam", _mail("refusals", "554 5.7.1 Message rejected"), Refused),
        Mishap("smtp", "sender refused", _mail("mail_refusals", "550 5.1.8 Bad sender"), Refused),
        Mishap("smtp", "login wanted", _mail("mail_refusals", "530 5.7.0 Authenticate first"), NotAllowed),
        Mishap("smtp", "nobody there", _refuse_all("550 5.1.1 No such user"), Refused),
        Mishap("smtp", "all put off", _refuse_all("450 4.2.0 Later"), RetryAt),
        Mishap("smtp", "line broke after the dot", _break_line, RetryAt, unknown=True, arrives=True),
    ]
)


@pytest.mark.parametrize("mishap", MISHAPS, ids=lambda m: f"{m.kind}: {m.name}")
def test_each_mishap_says_what_can_be_done_about_it(mishap: Mishap) -> None:
    """An alert is tried again only where that may help, and what may have arrived is said to be unknown."""
    names = [name for name in BENCHES if name.startswith(mishap.kind)]
    for name in names:
        with BENCHES[name]() as bench:
            channel = bench.make()
            mishap.cause(bench)
            with pytest.raises(mishap.error) as caught:
                channel.send(alert(Stage.BREACH), None, LIMIT)
            assert len(bench.received()) == mishap.arrives
            if isinstance(caught.value, RetryAt):
                assert caught.value.accepted_unknown == mishap.unknown
            assert not any(secret in f"{caught.value!r} {caught.value}" for secret in SECRETS)
            assert "\n" not in str(caught.value)


def test_nobody_there_is_worth_another_try(bench: Bench) -> None:
    """A server that is down takes nothing: the alert is tried again, and surely was not said."""
    with pytest.raises(RetryAt) as caught:
        bench.elsewhere(closed_port()).send(alert(Stage.BREACH), None, LIMIT)
    assert not caught.value.accepted_unknown


def _hangs(line: Line) -> None:
    line.hang()


def _trickles(line: Line) -> None:
    line.trickle(b"220-" + b"a" * 500)


def _floods(line: Line) -> None:
    for _ in range(2000):
        line.say(b"220-" + b"a" * 60_000 + b"\r\n")


@pytest.mark.parametrize("script", [_hangs, _trickles])
def test_a_slow_server_costs_no_more_than_the_time_limit(
    bench: Bench, script: Callable[[Line], None], stopwatch: Callable[[], float]
) -> None:
    """A server that trickles or says nothing cannot hold up the channel."""
    with serve(script) as server:
        began = stopwatch()
        with pytest.raises(RetryAt):
            bench.elsewhere(server.port).send(alert(Stage.BREACH), None, 0.3)
        assert stopwatch() - began < 3.0


def test_a_flood_ends(bench: Bench, stopwatch: Callable[[], float]) -> None:
    """A server that never stops talking is left, not listened to until the memory is full."""
    with serve(_floods) as server:
        began = stopwatch()
        with pytest.raises(EdgeError):
            bench.elsewhere(server.port).send(alert(Stage.BREACH), None, 2.0)
        assert stopwatch() - began < 5.0


def test_what_a_server_repeats_of_our_secrets_is_not_shown(bench: Bench) -> None:
    """A server that echoes what it was sent cannot make an error show a token or a password."""

    def echo(line: Line) -> None:
        line.say(b"220 hello\r\n")
        heard = b""
        while data := line.sock.recv(65536):
            heard += data
            said = heard.replace(b"\r\n", b" ")[:400]
            body = b'{"ok": false, "error": "%s"}' % said.replace(b'"', b"")
            if b"HTTP/1.1" in heard:
                head = b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(body)
                line.say(head + body)
                line.sock.shutdown(socket.SHUT_WR)
            elif data.upper().startswith(b"EHLO"):
                line.say(b"250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
            elif data.upper().startswith(b"AUTH"):
                line.say(b"235 fine\r\n")
            else:
                line.say(b"550 you said " + said + b"\r\n")

    with serve(echo) as server:
        with pytest.raises(EdgeError) as caught:
            bench.elsewhere(server.port).send(alert(Stage.BREACH), None, LIMIT)
    assert not any(secret in f"{caught.value!r}" for secret in SECRETS)
    assert "AGhvcnNl" not in repr(caught.value)


# -- hostile texts -----------------------------------------------------------------------------------------

NASTY = (
    "<!channel> <!here|here> <@U012AB3CD> <#C012AB3CD> <https://evil.example|your bank> @everyone @here",
    "*bold* _italic_ ~gone~ `code` ```pre``` > quote :fire: &lt;!channel&gt; &amp;",
    "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:x'>x</a>{{ 7*7 }}{% raw %}",
    "hello\r\nBcc: victim@example.com\r\n\r\n<b>body</b>\r\n.\r\nMAIL FROM:<x@y.example>\r\n",
    "=?utf-8?q?hi=0D=0ABcc:_victim@example.com?= =?utf-8?b?DQpCY2M6IHZAZS5leGFtcGxl?=",
    "\u202etxet desrever\u202c \u2066isolated\u2069 \u200e\u200f \ufeff\u200b",
    "لم يصلني أي رد حتى الآن \u0647\u0644 \u0645\u0646 \u0623\u062d\u062f؟",
    "👨‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e007f🔥 ａｃｍｅ z̸̢̛a̷l̶g̵o̴",
    "\ud800 lone \udfff surrogates \x00 NUL \x1b[31mred\x1b[0m \x1b]0;title\x07 \x07\x08\x7f\x85\u2028\u2029",
    ".\r\n..\r\n.", "=cmd|' /C calc'!A1", "A" * 10_000, "\n" * 10_000, "", " ", "💥" * 5_000,
)  # fmt: skip

hostile = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(), max_size=300),
    st.lists(st.sampled_from(NASTY), max_size=4).map(" ".join),
)


@st.composite
def hostile_alerts(draw: st.DrawFn) -> Alert:
    """An alert whose every word that strangers can choose is chosen by one."""
    stage = draw(st.sampled_from([Stage.WARNING, Stage.BREACH, Stage.CLEARED, Stage.CORRECTED]))
    if draw(st.booleans()):
        trouble = Trouble(draw(hostile), draw(hostile), NOON, 1, draw(hostile))
        return Alert("t/0a", "t", Stage.TROUBLE, NOON, trouble=trouble)
    words = {name: draw(hostile) for name in ("customer", "text", "assignee", "acknowledged_by", "account")}
    over = stage in (Stage.CLEARED, Stage.CORRECTED)
    case = facts(
        **words,
        reasons=tuple(draw(st.lists(hostile, max_size=3))),
        caveats=tuple(draw(st.lists(hostile, max_size=3))),
        url=draw(st.one_of(st.none(), hostile, hostile.map(lambda t: f"https://x.example/{t}"))),
        outcome=draw(hostile) if over else None,
    )
    return Alert("c/0a", "c", stage, NOON, case=case)


def _all_nasty(text: str) -> Alert:
    case = facts(customer=text, text=text, reasons=(text,), caveats=(text,), url=f"https://x.example/{text}")
    return Alert("c/0a", "c", Stage.BREACH, NOON, case=case)


def test_strangers_words_do_nothing(bench: Bench, channel: Channel) -> None:
    """Mentions, markup, HTML, headers, bidi tricks and broken Unicode arrive as mere text, and never keep
    an alert from arriving."""

    @settings(max_examples=60, deadline=None, database=None)
    @given(hostile_alerts())
    def arrives(said: Alert) -> None:
        before = len(bench.received())
        channel.send(said, None, LIMIT)
        assert len(bench.received()) == before + 1
        _look_at(bench)

    for text in NASTY:
        arrives = example(_all_nasty(text))(arrives)
    arrives()


def _look_at(bench: Bench) -> None:
    for text in bench.received()[-1].texts:
        assert not re.search(
            "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", text
        )
    if bench.kind == "slack":
        post = bench.sink.posts[-1]
        assert not re.search("[<>]", post.text)
        _look_at_blocks(post.blocks)
    else:
        _look_at_mail(bench.sink.mails[-1])


def _look_at_blocks(value: Any) -> None:
    """No text is read as markup, nobody is mentioned, and links lead where we say."""
    if isinstance(value, list):
        for each in value:
            _look_at_blocks(each)
    elif isinstance(value, dict):
        kind = value.get("type")
        assert kind in {
            None, "header", "plain_text", "rich_text", "rich_text_section", "rich_text_quote",
            "rich_text_list", "text", "link",
        }, kind  # fmt: skip
        if kind == "link":
            assert re.fullmatch(r"https?://[!-~]+", value["url"])
            assert value["text"].startswith("Open on X")
        for name, each in value.items():
            if name != "style":
                _look_at_blocks(each)


class _Tags(HTMLParser):
    """What a mail program would make of the HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name) for name, _ in attrs} or {(tag, "")}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


_HEADERS = {
    "subject", "from", "to", "date", "message-id", "in-reply-to", "references", "list-id", "auto-submitted",
    "x-auto-response-suppress", "importance", "x-response-monitor-key", "x-response-monitor-stage",
    "mime-version", "content-type",
}  # fmt: skip
_TAGS = {
    ("html", "lang"), ("head", ""), ("meta", "charset"), ("meta", "name"), ("meta", "content"), ("title", ""),
    ("body", "style"), ("div", "style"), ("h1", "style"), ("p", "style"), ("span", "style"),
    ("blockquote", "style"), ("blockquote", "dir"), ("a", "href"), ("a", "style"), ("ul", "style"),
    ("li", ""),
}  # fmt: skip


def _look_at_mail(mail: Any) -> None:
    """No header, recipient, tag or link is there that we did not put there."""
    assert mail.recipients == ("care@acme.example", "lead@acme.example")
    names = [name.lower() for name in mail.message]
    assert set(names) <= _HEADERS
    assert len(names) == len(set(names))
    assert not mail.message.defects
    html = _Tags()
    html.feed(mail.part("html"))
    assert html.found <= _TAGS
    assert all(re.fullmatch(r"https?://[!-~]+", link) for link in html.links)
