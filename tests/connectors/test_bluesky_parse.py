"""What Bluesky's JSON is read as, without a network: bodies in its wire format, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.bluesky.parse import (
    Body,
    Reader,
    as_listed,
    parse_direct,
    parse_feed,
    parse_log,
    parse_notifications,
    parse_posts,
    parse_talks,
    phrases,
)
from connectors.bluesky.talks import LISTS_MAX, TALK_PAGES_MAX, Talks, begin, is_stale
from connectors.walk import Row
from rules.message import Message
from wire.errors import Malformed
from wire.lenient import read_lenient

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "fixtures" / "bluesky"
ME, ANN = "did:plc:h1aaaaaaaaaaaaaaaaaaaaaa", "did:plc:a1aaaaaaaaaaaaaaaaaaaaaa"
HANDLE = "acmehelp.bsky.social"
READER = Reader("acme", HANDLE, ME, HANDLE, frozenset({HANDLE, "acme.example"}))
Parse = Callable[[Any, Reader, datetime], Body]
READ: dict[str, Parse] = {
    "notifications": parse_notifications,
    "own": parse_feed,
    "dms": lambda body, reader, now: parse_direct(body, "3l3talk", reader, now),
}


def plain(message: Message) -> dict[str, Any]:
    """A message as the fixtures write it: without what is empty."""
    fields = {k: v for k, v in asdict(message).items() if v not in (None, (), [])}
    said = {
        k: v.isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else v for k, v in fields.items()
    }
    whole: dict[str, Any] = json.loads(json.dumps(said))
    return whole


def read(name: str) -> Body:
    return READ[name](read_lenient((FIXTURES / f"{name}.json").read_bytes()), READER, NOW)


def post(**more: Any) -> dict[str, Any]:
    """A post view without anything special but what is given; `record` is added to."""
    record = {"text": "hi", "createdAt": "2026-11-02T11:00:00.000Z", **more.pop("record", {})}
    usual = {
        "uri": f"at://{ANN}/app.bsky.feed.post/3k",
        "author": {"did": ANN, "handle": "ann.bsky.social"},
        "indexedAt": "2026-11-02T11:00:01.000Z",
    }
    return {**usual, "record": record, **more}


def one(**more: Any) -> Message:
    (message,) = parse_posts({"posts": [post(**more)]}, READER, NOW).messages
    return message


@pytest.mark.parametrize("name", READ)
def test_a_page_in_the_wire_format_gives_exactly_the_expected_messages(name: str) -> None:
    """Dates of 2030 and of no calendar, handles that are invalid, quotes beside pictures, bots, our other
    account, reposts, deleted and system messages: each is read as its pair says."""
    found = read(name)
    expected = json.loads((FIXTURES / f"{name}.expected.json").read_text("utf-8"))
    assert [plain(m) for m in found.messages] == expected
    assert found.rejected == []
    assert any(m.author.brand for m in found.messages), "a fixture without one of ours proves too little"


def test_a_date_is_believed_no_further_than_others_bear_it_out() -> None:
    """What is dated ahead is taken as written when it was indexed, or now; nonsense is left aside."""
    indexed = datetime(2026, 11, 2, 11, 0, 1, tzinfo=UTC)
    said = {
        "2026-11-02T10:59:00Z": indexed - timedelta(seconds=61),
        "2031-01-01T00:00:00Z": indexed,
        "0001-01-01T00:00:00+14:00": indexed,
        "9999-12-31T23:59:59-14:00": indexed,
        "2026-11-02T11:00:00": indexed,
        "1970-01-01T00:00:00Z": indexed,
        "": indexed,
    }
    for text, expected in said.items():
        assert one(record={"createdAt": text}).created_at == expected, text
    ahead = one(record={"createdAt": "2030-01-01T00:00:00Z"}, indexedAt="2030-01-01T00:00:00Z")
    assert ahead.created_at == NOW
    assert one(indexedAt=None).created_at == datetime(2026, 11, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (7, "not an object"),
        (post(uri=["?"]), "no AT-URI of a post"),
        (post(uri=f"at://{ANN}/app.bsky.feed.like/3k"), "no AT-URI of a post"),
        (post(uri=f"at://{ANN}/app.bsky.feed.post/" + "k" * 2000), "no AT-URI of a post"),
        (post(author={"did": ME}), "an author who does not own its repository"),
        (post(author=None), "no author"),
        (post() | {"record": None}, "no record"),
        (post(record={"text": 7}), "no text"),
        (post(record={"reply": {"root": {}, "parent": {"uri": "x"}}}), "a reply to nothing"),
        (post(record={"createdAt": 7}, indexedAt="soon"), "no time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_trusted_is_rejected_alone(broken: Any, reason: str) -> None:
    """One broken post says what is wrong with it, and spoils none of the others."""
    found = parse_posts(
        {"posts": [post(), broken, post(uri=f"at://{ANN}/app.bsky.feed.post/3m")]}, READER, NOW
    )
    assert len(found.messages) == 2
    (rejected,) = found.rejected
    assert rejected.reason == reason and len(rejected.excerpt) <= 500
    assert (rejected.id is None) == (reason in ("not an object", "no AT-URI of a post"))
    assert rejected.id is None or rejected.id in [row.id for row in found.rows], "told once"


def test_texts_that_no_database_holds_are_mended() -> None:
    """A NUL or half a surrogate pair costs itself and not the complaint."""
    assert one(record={"text": "it \0leaks \ud83d!"}).text == "it leaks ?!"


def test_handles_are_found_as_people_and_apps_write_them() -> None:
    """A name in the text counts with a facet or without; an address of email is none."""
    text = "Hi @AcmeHelp.bsky.social, (@bo.example.org) mail@shop.example @nobody"
    assert one(record={"text": text}).handles == (HANDLE, "bo.example.org")
    facet = {"features": [{"$type": "app.bsky.richtext.facet#mention", "did": ME}]}
    short = one(record={"text": "hey @acmehelp", "facets": [facet, 7, {"features": [None, {}]}]})
    assert short.handles == (HANDLE,) and short.to == (ME,)


def test_counts_and_languages_that_make_no_sense_are_left_out() -> None:
    """Reach is a count that a database holds; a language is a code."""
    assert one().reach is None
    assert one(likeCount=2, repostCount=True).reach == 2
    assert one(likeCount=-5, repostCount=1).reach == 0
    assert one(likeCount=10**40).reach == 2**63 - 1
    for langs, expected in (["EN-us"], "en"), (["x"], None), ("en", None), ([7], None), ([], None):
        assert one(record={"langs": langs}).language == expected


def test_an_imported_post_does_not_end_a_reading() -> None:
    """A server that lists by arrival shows a post of 2010 among today's: what is below it is read as well."""
    rows = as_listed([Row("new", 50.0), Row("of 2010", 1.0), Row("no time", None), Row("older", 40.0)])
    assert [row.at for row in rows] == [50.0, 40.0, 40.0, 40.0]


def test_of_direct_messages_nothing_is_kept_that_was_rejected() -> None:
    """A broken direct message tells its reason, and not a word of its text."""
    broken = {"$type": "chat.bsky.convo.defs#messageView", "id": "3l", "text": "my pin is 1234", "sender": {}}
    found = parse_direct({"messages": [broken]}, "3t", READER, NOW)
    log = {"$type": "chat.bsky.convo.defs#logCreateMessage", "convoId": "3t", "message": broken}
    logged = parse_log({"logs": [log, {"$type": "chat.bsky.convo.defs#logReadConvo"}]}, READER, NOW)
    for body in (found, logged):
        (rejected,) = body.rejected
        assert rejected.excerpt == "" and "1234" not in rejected.reason


def test_keywords_are_whole_words() -> None:
    """Whatever the case and the blanks between the words."""
    pattern = phrases(("Acme Kettle", "C++", " "))
    assert pattern is not None and phrases(()) is None
    assert pattern.search("my ACME\n kettle") and pattern.search("in c++.")
    assert not pattern.search("acme kettles")


def test_catching_up_with_conversations_is_bounded() -> None:
    """A list or a conversation without end is left with a gap, and the log is read all the same."""
    talks, gap = begin("3log", NOW, NOW), None
    for _ in range(LISTS_MAX):
        assert gap is None and talks.listing
        talks, gap = talks.listed([], f"page {talks.lists}")
    assert gap is not None and "pages of conversations" in gap and talks.caught_up
    talks, gap = Talks(NOW, "3log", NOW, False, waiting=("3a",)), None
    for _ in range(TALK_PAGES_MAX):
        assert gap is None and talks.waiting
        talks, gap = talks.talked(None, f"page {talks.pages}")
    assert gap is not None and "one conversation" in gap and talks.caught_up
    assert is_stale(talks, NOW + timedelta(days=1)) and not is_stale(talks, NOW)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(
    (
        "uri cid author did handle displayName labels val src record text createdAt indexedAt langs facets "
        "features reply root parent embed reason post feed likeCount id rev sender sentAt replyTo message "
        "convoId $type"
    ).split()
)
VALUES = anything | st.sampled_from(
    [
        *(f"at://{ANN}/app.bsky.feed.post/3k", ANN, ME, "mention", "bot", "2026-11-02T11:00:00Z", "en"),
        *("app.bsky.richtext.facet#mention", "chat.bsky.convo.defs#logCreateMessage", "\ud800", "3k"),
        post(),
        post()["record"],
    ]
)
ENTRIES = st.lists(
    anything
    | st.recursive(
        st.dictionaries(NAMES, VALUES, max_size=10), lambda inner: st.dictionaries(NAMES, inner | VALUES)
    )
    | st.builds(
        lambda more, at: {**post(), **more, **at}, st.dictionaries(NAMES, VALUES, max_size=3), st.just({})
    )
    | st.builds(lambda more: post(record=more), st.dictionaries(NAMES, VALUES, max_size=4)),
    max_size=4,
)
PARSERS: dict[str, Parse] = {
    "notifications": parse_notifications,
    "posts": parse_posts,
    "feed": parse_feed,
    "messages": lambda body, reader, now: parse_direct(body, "3t", reader, now),
    "logs": parse_log,
}


@example("notifications", [{"reason": {}}], None)
@given(st.sampled_from(sorted(PARSERS)), ENTRIES, anything)
def test_no_body_at_all_breaks_the_reading(name: str, entries: list[Any], token: Any) -> None:
    """Whatever a server sends, it is messages, rejections or Malformed, and each message can be stored."""
    for body in ({name: entries}, {name: entries, "cursor": token}, token):
        for parse in (PARSERS[name], lambda body, _reader, _now: parse_talks(body) and Body()):
            try:
                found = parse(body, READER, NOW)
            except Malformed:
                continue
            for message in found.messages:
                json.dumps(plain(message), ensure_ascii=False).encode()
                assert message.created_at <= NOW and message.created_at.tzinfo is UTC


@given(anything | st.dictionaries(st.sampled_from([*begin("", NOW, NOW).written(), "x"]), anything))
def test_a_cursor_of_direct_messages_is_read_or_refused(cursor: Any) -> None:
    """Whatever stands in the database, it is a place to go on from or a plain error."""
    stored = cursor if isinstance(cursor, dict) else {"v": cursor}
    for given_ in (stored, {**begin("3log", NOW, NOW).written(), **stored}):
        try:
            talks = Talks.read(given_)
        except ValueError:
            continue
        assert Talks.read(json.loads(json.dumps(talks.written()))) == talks


def test_a_cursor_of_direct_messages_survives_a_restart() -> None:
    """What is stored is what was meant."""
    talks = Talks(NOW, "3log", NOW, True, "page", 2, ("3a", "3b"), "token", 4)
    assert Talks.read(json.loads(json.dumps(talks.written()))) == talks
    assert not is_stale(talks, NOW + timedelta(days=9)), "a catching up is gone on with"
