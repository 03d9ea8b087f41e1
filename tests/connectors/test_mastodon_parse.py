"""What Mastodon's JSON means: bodies as servers send them, and whatever else strangers may send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.html_text import text_of
from connectors.mastodon.parse import (
    Body,
    Reader,
    full_name,
    parse_ancestors,
    parse_notifications,
    parse_statuses,
)
from rules.message_json import message_to_json
from wire.errors import Malformed

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
READER = Reader("acme", "acmehelp", "101", "acmehelp", "m.example", frozenset({"acmehelp@m.example"}))
FIXTURES = Path(__file__).parent / "fixtures" / "mastodon"

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def test_awkward_notifications_are_read_as_expected() -> None:
    """Warnings, links cut up for the eye, custom emoji, boosts of other servers, dates to come, huge ids."""
    body = json.loads((FIXTURES / "notifications.json").read_text("utf-8"))
    expected = json.loads((FIXTURES / "notifications.expected.json").read_text("utf-8"))
    found = parse_notifications(body, READER, NOW)
    assert [message_to_json(m) for m in found.messages] == expected["messages"]
    assert [[r.id, r.reason, bool(r.excerpt)] for r in found.rejected] == expected["rejected"]


def _changed(status: dict[str, Any], where: list[str], value: Any) -> Any:
    """The same with one thing in it exchanged."""
    made = json.loads(json.dumps(status))
    at = made
    for step in where[:-1]:
        at = at[step]
    at[where[-1]] = value
    return made


@given(st.data())
def test_whatever_stands_in_a_post_is_a_message_or_rejected(data: st.DataObject) -> None:
    """One thing in a good body is replaced by anything: no page fails for it."""
    body = json.loads((FIXTURES / "notifications.json").read_text("utf-8"))
    good = body[0]["status"]
    field = data.draw(st.sampled_from(sorted(good)))
    where = [field]
    if field == "account":
        where = data.draw(st.sampled_from([["account"], *(["account", k] for k in sorted(good["account"]))]))
    found = parse_statuses([_changed(good, where, data.draw(_JSON)), good], READER, NOW)
    assert len(found.messages) + len(found.rejected) in (1, 2)
    assert found.messages
    for message in found.messages:
        json.dumps(message_to_json(message)).encode()
        assert message.created_at <= NOW and message.created_at.tzinfo is UTC


@given(_JSON)
def test_any_json_at_all_is_a_body_or_malformed(body: Any) -> None:
    """A proxy's page, a null, a number: told as malformed, never another exception."""
    for parse in (parse_notifications, parse_statuses):
        try:
            assert isinstance(parse(body, READER, NOW), Body)
        except Malformed:
            assert type(body) is not list
    assert parse_ancestors(body) is None or isinstance(body, dict)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<br />two</p><p>three</p>", "one\ntwo\nthree"),
        (
            '<a href="u"><span class="invisible">https://</span><span>a.example/x</span></a>',
            "https://a.example/x",
        ),
        ("<p>5 &lt; 6 &amp; 7&nbsp;&gt; 6</p>", "5 < 6 & 7 > 6"),
        ("a < b and c > d", "a < b and c > d"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ("&#" + "9" * 5000 + ";", "&#" + "9" * 5000 + ";"),
        ("line\nof the source<br>", "line of the source"),
    ],
)
def test_markup_becomes_words(html: str, text: str) -> None:
    """What people read in an alert is what the customer wrote."""
    assert text_of(html) == text


@given(st.text(alphabet="<>a/p b&;#1!-", max_size=200))
def test_no_markup_makes_it_fail(html: str) -> None:
    """Broken markup is words, too."""
    assert isinstance(text_of(html), str)


def test_an_account_is_the_same_with_and_without_its_own_server() -> None:
    """On its own server an account is called by its name alone."""
    assert full_name("Acme", "m.example") == full_name("@acme@M.example", "x") == "acme@m.example"
