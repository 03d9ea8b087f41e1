"""Chatwoot: what of its events is a customer's or a person's word, beside what all pushed ones promise."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Received
from rules.message import Message
from tests.connectors.chatwoot_support import SECRET, ChatwootBench
from tests.monitor.build import NOON
from wire.errors import Malformed, NotAllowed, Refused, RetryAt


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ChatwootBench:
    return ChatwootBench(tmp_path, monkeypatch)


def post(bench: ChatwootBench, event: dict[str, Any]) -> Received:
    return bench.connector.receive(bench.of(json.dumps(event).encode()))


def messages(received: Received) -> list[Message]:
    return [message for page in received.pages.values() for message in page.messages]


def test_the_signature_is_over_the_time_and_the_body(bench: ChatwootBench) -> None:
    """Made here with nothing of ours: HMAC-SHA256 of "TIMESTAMP.BODY", in hex after "sha256="."""
    delivery = bench.ask(1)
    signed = delivery.headers["x-chatwoot-timestamp"].encode() + b"." + delivery.body
    mine = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert delivery.headers["x-chatwoot-signature"] == f"sha256={mine}"


@pytest.mark.parametrize(
    "changes",
    [
        {"private": True},
        {"message_type": "activity", "content": "Ana joined the conversation"},
        {"message_type": 3, "content": "Give the team a way to reach you."},
        {"event": "conversation_status_changed"},
        {"event": "webwidget_triggered"},
    ],
)
def test_what_nobody_wrote_to_the_other_side_is_left(bench: ChatwootBench, changes: dict[str, Any]) -> None:
    """Notes among colleagues, words of the program and other events are taken, and are no message."""
    received = post(bench, bench.event(1, answered=True) | changes)
    assert received.status == 202 and not received.pages


@pytest.mark.parametrize(
    ("sender", "automated"),
    [
        ({"id": 4, "name": "Ana", "type": "user"}, False),
        ({"id": 9, "name": "Helper", "type": "agent_bot"}, True),
        ({"id": 1, "name": "Captain", "type": "captain_assistant"}, True),
        (None, True),
    ],
)
def test_only_a_persons_word_is_an_answer(
    bench: ChatwootBench, sender: dict[str, Any] | None, automated: bool
) -> None:
    """A bot that says "we will be with you" stops no clock."""
    (message,) = messages(post(bench, bench.event(1, answered=True, sender=sender)))
    assert message.author.brand and message.author.automated is automated


def test_a_rule_that_answers_in_a_colleagues_name_is_no_person(bench: ChatwootBench) -> None:
    """Automation rules send as whoever made them."""
    event = bench.event(1, answered=True, content_attributes={"automation_rule_id": 3})
    (message,) = messages(post(bench, event))
    assert message.author.automated


def test_an_edit_and_a_delete_are_told(bench: ChatwootBench) -> None:
    """What a customer takes back is not alerted on; what an agent mends is read anew."""
    event = bench.event(1, event="message_updated", content="Where is my order 2?")
    (message,) = messages(post(bench, event))
    assert message.text == "Where is my order 2?"
    gone = post(bench, bench.event(1, event="message_updated", content_attributes={"deleted": True}))
    assert [g.id for g in gone.pages["chats"].gone] == [message.id] and not messages(gone)


@pytest.mark.parametrize("kind", ["incoming", 0])
@pytest.mark.parametrize("at", ["2026-03-04 11:55:00 UTC", "2026-03-04T11:55:00.123Z", 1772625300])
def test_both_forms_of_an_event_are_read(bench: ChatwootBench, kind: Any, at: Any) -> None:
    """Chatwoot writes types as words or numbers, times in three ways, and ids as numbers or text."""
    event = bench.event(1, message_type=kind, created_at=at, id="9002", content=None)
    (message,) = messages(post(bench, event))
    assert (message.id, message.conversation, message.text) == ("9002", "51", "")
    assert message.created_at.replace(microsecond=0) == NOON - timedelta(minutes=5)
    assert not message.public and message.inbound


def test_mail_that_comes_as_html_is_read_as_words(bench: ChatwootBench) -> None:
    """An inbox may be a mailbox."""
    (message,) = messages(post(bench, bench.event(1, content="<p>no &amp; no</p>")))
    assert message.text == "no & no"


def test_other_accounts_are_refused_and_other_inboxes_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One Chatwoot may serve several brands."""
    bench = ChatwootBench(tmp_path, monkeypatch, account_id=1, inboxes=[2])
    assert messages(post(bench, bench.event(1)))
    assert not post(bench, bench.event(1, inbox={"id": 3})).pages
    with pytest.raises(Refused, match="account 1"):
        post(bench, bench.event(1, account={"id": 2}))


def test_a_link_leads_to_the_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is alerted opens the chat with one press."""
    bench = ChatwootBench(tmp_path, monkeypatch, site_url="https://chat.acme.example")
    (message,) = messages(post(bench, bench.event(1)))
    assert message.url == "https://chat.acme.example/app/accounts/1/conversations/51"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": 0},
        {"id": True},
        {"conversation": None},
        {"created_at": "soon"},
        {"created_at": 10**30},
        {"message_type": "carrier pigeon"},
        {"sender": None},
        {"content": {"a": 1}},
    ],
)
def test_what_cannot_be_read_is_said(bench: ChatwootBench, changes: dict[str, Any]) -> None:
    """The log names the part that was wrong."""
    with pytest.raises(Malformed, match=next(iter(changes)).split("_")[0]):
        post(bench, bench.event(1) | changes)


def test_silence_counts_only_where_it_was_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat that is never quiet for two hours, and is, is a blind spot; by default it is a quiet night."""
    quiet = ChatwootBench(tmp_path, monkeypatch)
    busy = ChatwootBench(tmp_path, monkeypatch, expect_every="2h")
    for bench in (quiet, busy):
        bench.clock.move(7201)
    assert quiet.connector.poll("chats", None, 5).complete_through is not None
    with pytest.raises(RetryAt, match="nothing was posted since 12:00:00"):
        busy.connector.poll("chats", None, 5)
    post(busy, busy.event(1))
    assert busy.connector.poll("chats", None, 5).complete_through is not None


def test_a_secret_that_is_none_is_told_by_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty or guessed secret would let anybody write complaints."""
    bench = ChatwootBench(tmp_path, monkeypatch)
    assert "/webhooks/acme/chatwoot/acmehelp" in bench.connector.identify(5).notes[0]
    monkeypatch.setenv("CHATWOOT_SECRET", "short")
    with pytest.raises(NotAllowed, match="signing_secrets"):
        bench.connector.identify(5)
