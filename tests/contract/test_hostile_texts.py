"""What strangers write does nothing on any channel, and neither does what a hostile server says."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.alert import Alert, Stage, Trouble
from tests.alerts.build import BENCHES, LIMIT, NOON, SECRETS, Bench, alert, facts, strings
from tests.wire.raw import Line, serve
from wire.errors import EdgeError, RetryAt

NASTY = (
    "<!channel> <!here|here> <@U012AB3CD> <#C012AB3CD> <https://evil.example|your bank> @everyone @here",
    "*bold* _italic_ ~gone~ `code` ```pre``` > quote :fire: &lt;!channel&gt; &amp;",
    "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:x'>x</a>{{ 7*7 }}{% raw %}",
    "hello\r\nBcc: victim@example.com\r\n\r\n<b>body</b>\r\n.\r\nMAIL FROM:<x@y.example>\r\n",
    "=?utf-8?q?hi=0D=0ABcc:_victim@example.com?= =?utf-8?b?DQpCY2M6IHZAZS5leGFtcGxl?=",
    "\u202etxet desrever\u202c \u2066isolated\u2069 \u200e\u200f \ufeff\u200b",
    "لم يصلني أي رد حتى الآن هل من أحد؟",
    "👨‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e007f🔥 ａｃｍｅ z̸̢̛a̷l̶g̵o̴",
    "\ud800 lone \udfff surrogates \x00 NUL \x1b[31mred\x1b[0m \x1b]0;title\x07 \x07\x08\x7f\x85\u2028\u2029",
    ".\r\n..\r\n.", "=cmd|' /C calc'!A1", "A" * 10_000, "\n" * 10_000, "", " ", "💥" * 5_000,
)  # fmt: skip

hostile = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(), max_size=300),
    st.lists(st.sampled_from(NASTY), max_size=4).map(" ".join),
)


@pytest.fixture(scope="module", params=list(BENCHES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with BENCHES[request.param]() as made:
        yield made


@st.composite
def hostile_alerts(draw: st.DrawFn) -> Alert:
    """An alert whose every word that strangers can choose is chosen by one."""
    stages = [Stage.WARNING, Stage.BREACH, Stage.MOVED, Stage.CLEARED, Stage.CORRECTED]
    stage = draw(st.sampled_from(stages))
    if draw(st.booleans()):
        trouble = Trouble(draw(hostile), draw(hostile), NOON, 1, draw(hostile))
        return Alert("t/0a", "t", Stage.TROUBLE, NOON, trouble=trouble)
    words = {name: draw(hostile) for name in ("customer", "text", "assignee", "acknowledged_by", "account")}
    words["acknowledged_by"] += "!"  # Who took a case has a name; a case that nobody took may be no news.
    over = stage in (Stage.CLEARED, Stage.CORRECTED)
    case = facts(
        **words,
        reasons=tuple(draw(st.lists(hostile, max_size=3))),
        caveats=tuple(draw(st.lists(hostile, max_size=3))),
        url=draw(st.one_of(st.none(), hostile, hostile.map(lambda t: f"https://x.example/{t}"))),
        outcome=draw(hostile) if over else None,
        moved=draw(st.sampled_from(["ack", "assign", "not_complaint", "what next"])),
        moved_by=draw(hostile) if stage is Stage.MOVED else None,
    )
    return Alert("c/0a", "c", stage, NOON, case=case)


def _all_nasty(text: str) -> Alert:
    case = facts(customer=text, text=text, reasons=(text,), caveats=(text,), url=f"https://x.example/{text}")
    return Alert("c/0a", "c", Stage.BREACH, NOON, case=case)


def test_strangers_words_do_nothing(bench: Bench) -> None:
    """Mentions, markup, HTML, headers, bidi tricks and broken Unicode arrive as mere text, and never keep
    an alert from arriving."""
    channel = bench.make()

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
        look_at_blocks(post.blocks)
    elif bench.kind == "webhook":
        _look_at_links(bench.sink.delivered[-1].body)
    elif bench.kind == "pagerduty":
        _look_at_links(bench.sink.enqueued[-1].body)
    elif bench.kind == "alertmanager":
        entry = bench.sink.posted[-1]
        for text in strings(entry["annotations"]) + strings(entry["labels"]):
            look_at_chat(text)
        assert re.fullmatch(r"https?://[!-~]+", entry.get("generatorURL", "https://x.example/"))
    elif bench.kind == "apprise":
        notice = bench.sink.notices[-1]
        assert not notice.body.get("attachments") and "attach" not in notice.body
        look_at_chat(notice.title)
        look_at_chat(notice.message)
    else:
        _look_at_mail(bench.sink.mails[-1])


def look_at_blocks(value: Any) -> None:
    """No text is read as markup, nobody is mentioned, and links lead where we say."""
    if isinstance(value, list):
        for each in value:
            look_at_blocks(each)
    elif isinstance(value, dict):
        kind = value.get("type")
        assert kind in {
            None, "header", "plain_text", "rich_text", "rich_text_section", "rich_text_quote",
            "rich_text_list", "text", "link", "actions", "button",
        }, kind  # fmt: skip
        if kind == "button":
            assert value.get("value", "acme/x/17") == "acme/x/17"
            assert re.fullmatch(r"https?://[!-~]+", value.get("url", "https://x"))
        if kind == "link":
            assert re.fullmatch(r"https?://[!-~]+", value["url"])
            assert value["text"].startswith("Open on X")
        for name, each in value.items():
            if name != "style":
                look_at_blocks(each)


def _look_at_links(value: Any) -> None:
    """What is named a link is one of the web, or not there."""
    for each in value if isinstance(value, list) else []:
        _look_at_links(each)
    for name, each in value.items() if isinstance(value, dict) else []:
        assert name not in ("url", "href") or each is None or re.fullmatch(r"https?://[!-~]+", each)
        _look_at_links(each)


def look_at_chat(text: str) -> None:
    """No chat program finds a call, a tag, a fence or a link with another name in it."""
    assert not re.search(r"@[^\s\u200b]|<|`|\]\(", text)
    # Where a line begins we quote.
    assert not re.search(r"(?m)(?<!^)>", text)


class Tags(HTMLParser):
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
    ("body", "style"), ("div", "style"), ("h1", "style"), ("p", "style"), ("span", "style"), ("li", ""),
    ("blockquote", "style"), ("blockquote", "dir"), ("a", "href"), ("a", "style"), ("ul", "style"),
}  # fmt: skip


def _look_at_mail(mail: Any) -> None:
    """No header, recipient, tag or link is there that we did not put there."""
    assert mail.recipients == ("care@acme.example", "lead@acme.example")
    names = [name.lower() for name in mail.message]
    assert set(names) <= _HEADERS
    assert len(names) == len(set(names))
    assert not mail.message.defects
    html = Tags()
    html.feed(mail.part("html"))
    assert html.found <= _TAGS
    assert all(re.fullmatch(r"https?://[!-~]+", link) for link in html.links)


def test_a_long_key_arrives_whole(bench: Bench) -> None:
    """The longest key that the outbox makes still tells a double from a new alert."""
    key = f"acme/x/{'1234567890' * 18}/0a1b2c3d4e5f6"
    case = facts()
    bench.make().send(Alert(key[:200], "c", Stage.WARNING, NOON, case=case), None, LIMIT)
    assert bench.received()[-1].key == key[:200]


def test_a_trickling_server_costs_no_more_than_the_time_limit(
    bench: Bench, stopwatch: Callable[[], float]
) -> None:
    """A server that sends a byte now and then cannot hold up the channel."""

    def trickle(line: Line) -> None:
        line.trickle(b"220-" + b"a" * 500)

    with serve(trickle) as server:
        began = stopwatch()
        with pytest.raises(RetryAt):
            bench.elsewhere(server.port).send(alert(Stage.BREACH), None, 0.3)
        assert stopwatch() - began < 3.0


def test_a_flood_ends(bench: Bench, stopwatch: Callable[[], float]) -> None:
    """A server that never stops talking is left, not listened to until the memory is full."""
    sent = 0

    def flood(line: Line) -> None:
        nonlocal sent
        for _ in range(100_000):
            line.say(b"220-" + b"a" * 1000 + b"\r\n")
            sent += 1000

    with serve(flood) as server:
        began = stopwatch()
        with pytest.raises(EdgeError):
            bench.elsewhere(server.port).send(alert(Stage.BREACH), None, 5.0)
        assert stopwatch() - began < 4.0
    assert sent < 100_000_000


def test_what_a_server_repeats_of_our_secrets_is_not_shown(bench: Bench) -> None:
    """A server that echoes what it was sent cannot make an error show a token or a password."""

    def echo(line: Line) -> None:
        if bench.kind == "smtp":
            line.say(b"220 hello\r\n")
        heard = b""
        while data := line.sock.recv(65536):
            heard += data
            said = heard.replace(b"\r\n", b" ").replace(b'"', b"")[:400]
            if b"HTTP/1.1" in heard:
                body = b'{"ok": false, "error": "%s"}' % said
                line.say(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                line.sock.shutdown(socket.SHUT_WR)
            elif data.upper().startswith(b"EHLO"):
                line.say(b"250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
            elif data.upper().startswith(b"AUTH"):
                line.say(b"235 fine\r\n")
            else:
                line.say(b"550 you said " + said + b"\r\n")

    with serve(echo) as server, pytest.raises(EdgeError) as caught:
        bench.elsewhere(server.port).send(alert(Stage.BREACH), None, LIMIT)
    shown = f"{caught.value!r}"
    assert "400" in shown or "you said" in shown
    assert not any(secret in shown for secret in SECRETS)
    assert "Y29ycmVjdCBob3JzZ" not in shown
