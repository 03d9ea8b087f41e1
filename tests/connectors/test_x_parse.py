"""What X's JSON is read as, without a network: recorded-style bodies with the messages expected of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.x.parse import Reader, parse_dms, parse_posts, read_json, snowflake, time_of
from rules.message import Message
from wire.errors import Malformed

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "fixtures" / "x"
READER = Reader("acme", "acmehelp", "100", frozenset({"acmehelp", "acme"}))
ID = str(snowflake(NOW - timedelta(minutes=5)) + 1)


def plain(message: Message) -> dict[str, Any]:
    """A message as the fixtures write it: without what is empty."""
    fields = {k: v for k, v in asdict(message).items() if v not in (None, (), [])}
    said = {
        k: v.isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else v for k, v in fields.items()
    }
    whole: dict[str, Any] = json.loads(json.dumps(said))
    return whole


def post(**more: Any) -> dict[str, Any]:
    """A post without anything special, but what is given (None: left out)."""
    whole = {"id": ID, "text": "hi", "author_id": "7", "created_at": "2026-11-02T11:55:00.000Z"} | more
    return {k: v for k, v in whole.items() if v is not None}


def parsed(*posts: Any) -> list[Message]:
    return parse_posts({"data": list(posts), "meta": {}}, READER, NOW).messages


@pytest.mark.parametrize("name", ["mentions_tweet", "mentions_post", "dms"])
def test_a_recorded_page_gives_exactly_the_expected_messages(name: str) -> None:
    """Each recorded-style body is read as its pair says: both generations of fields, long posts, edits, our
    replies, suspended authors, reposts left out, groups and pictures in DMs."""
    body = read_json((FIXTURES / f"{name}.json").read_bytes(), name)
    found = (parse_dms if name == "dms" else parse_posts)(body, READER, NOW)
    expected = json.loads((FIXTURES / f"{name}.expected.json").read_text("utf-8"))
    assert [plain(m) for m in found.messages] == expected
    assert found.rejected == []
    assert any(m.author.brand for m in found.messages), (
        "a fixture without an answer of ours proves too little"
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"text": "a\ud800b"}, "surrogate"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": None}, "no text"),
        ({"text": 7}, "no text"),
        ({"author_id": None}, "author"),
        ({"author_id": {"a": 1}}, "author"),
        ({"id": "9" * 5000}, "1 to 19 digits"),
        ({"id": "12a"}, "1 to 19 digits"),
        ({"id": 12}, "1 to 19 digits"),
        ({"id": "9223372036854775807"}, "future"),
    ],
)
def test_one_bad_post_is_rejected_with_its_reason_and_the_page_goes_on(
    wrong: dict[str, Any], reason: str
) -> None:
    """A hostile post costs only itself: its neighbours are handed over, and it can be looked at."""
    found = parse_posts({"data": [post(**wrong), post()], "meta": {}}, READER, NOW)
    assert [m.id for m in found.messages] == [ID]
    (rejected,) = found.rejected
    assert reason in rejected.reason
    assert len(rejected.excerpt) <= 500
    rejected.excerpt.encode()  # it can be stored and printed


@pytest.mark.parametrize("junk", [None, 5, "text", ["a"], True])
def test_what_is_no_post_at_all_is_rejected(junk: Any) -> None:
    """A page may hold anything where a post should be, and the posts beside it still come through."""
    found = parse_posts({"data": [junk, post()], "meta": {}}, READER, NOW)
    assert len(found.messages) == len(found.rejected) == 1


def test_a_rejected_dm_shows_nothing_of_its_text() -> None:
    """A DM is private: what could not be read of it is not kept for people to look at."""
    dm = {"id": ID, "text": "my card number is 1234\0", "sender_id": "7", "dm_conversation_id": "7-100"}
    found = parse_dms({"data": [dm], "meta": {}}, READER, NOW)
    assert [(r.id, r.excerpt) for r in found.rejected] == [(f"dm-{ID}", "")]


def test_monstrous_numbers_and_nesting_cost_only_their_own_place() -> None:
    """A number of 5,000 digits, NaN, or JSON nested 100,000 deep in one post does not cost the page."""
    deep = "[" * 100_000 + "]" * 100_000
    raw = (
        f'{{"data":[{json.dumps(post())[:-1]},"x":{deep},"y":{"9" * 5000},"z":NaN,"w":"]}}{{["}},'
        f'{json.dumps(post(text="whole"))}],"meta":{{}}}}'
    )
    found = parse_posts(read_json(raw.encode(), "mentions"), READER, NOW)
    assert [m.text for m in found.messages] == ["hi", "whole"]


@pytest.mark.parametrize(
    "raw",
    [b"<html>busy</html>", b"", b"[1]", b'{"data":[{"id":"1"', b"\xff\xfe", b'"text"', b"{" * 200_000],
    ids=["html", "empty", "list", "truncated", "binary", "string", "unclosed"],
)
def test_an_answer_that_is_no_json_object_is_malformed(raw: bytes) -> None:
    """A proxy's HTML page or a cut-off body is said to be just that, and no message is made of it."""
    with pytest.raises(Malformed, match="X answered mentions"):
        read_json(raw, "mentions")


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"id": "1"}},
        {"meta": {"result_count": 3}},
        {"data": [], "meta": {"next_token": {"a": 1}}},
        {"data": [], "meta": {"next_token": "x" * 5000}},
    ],
)
def test_a_page_of_the_wrong_shape_is_malformed_rather_than_empty(body: dict[str, Any]) -> None:
    """A page that cannot be what it says is an error: taken as empty, it would hide that nobody was read."""
    with pytest.raises(Malformed):
        parse_posts(body, READER, NOW)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2026-11-02T11:55:00.000Z", datetime(2026, 11, 2, 11, 55, tzinfo=UTC)),
        ("2026-11-02T11:55:00Z", datetime(2026, 11, 2, 11, 55, tzinfo=UTC)),
        ("2026-11-02T12:55:00+01:00", datetime(2026, 11, 2, 11, 55, tzinfo=UTC)),
        ("yesterday", NOW - timedelta(minutes=5)),
        ("2033-01-01T00:00:00Z", NOW - timedelta(minutes=5)),
        (None, NOW - timedelta(minutes=5)),
    ],
)
def test_the_time_is_read_with_or_without_a_fraction_else_from_the_id(
    said: str | None, expected: datetime
) -> None:
    """The wait is counted from when the customer wrote, even where X says the time oddly or not at all."""
    (message,) = parsed(post(created_at=said))
    assert message.created_at == expected


def test_ids_carry_their_time() -> None:
    """The time in an id is the one that X gave it at, to the millisecond."""
    at = datetime(2026, 11, 2, 11, 58, 20, 412000, tzinfo=UTC)
    assert time_of(snowflake(at)) == at


def test_views_count_as_reach_else_likes_reposts_and_quotes() -> None:
    """Reach tells how many may see the complaint, under either name that X has for reposts."""
    metrics = {"like_count": 2, "quote_count": 1, "impression_count": 0}
    found = parsed(
        post(public_metrics=metrics | {"retweet_count": 4}),
        post(public_metrics=metrics | {"repost_count": 4}),
        post(public_metrics=metrics | {"impression_count": 90}),
        post(public_metrics={"like_count": 2**64, "impression_count": -1}),
        post(public_metrics="many"),
    )
    assert [m.reach for m in found] == [7, 7, 90, None, None]


def test_a_handle_that_is_none_never_gets_into_a_link() -> None:
    """A forged user name cannot make the link in an alert lead elsewhere."""
    body = {
        "data": [post()],
        "includes": {"users": [{"id": "7", "username": "a/../../evil?x", "name": "A\ud800"}]},
        "meta": {},
    }
    (message,) = parse_posts(body, READER, NOW).messages
    assert (message.url, message.author.handle, message.author.name) == (
        f"https://x.com/i/status/{ID}",
        None,
        None,
    )


def test_another_account_of_the_brand_is_outbound() -> None:
    """What @Acme writes in a thread that @AcmeHelp reads is the brand's answer, not a customer's."""
    body = {
        "data": [post(author_id="101")],
        "includes": {"users": [{"id": "101", "username": "ACME"}]},
        "meta": {},
    }
    assert parse_posts(body, READER, NOW).messages[0].author.brand


def test_a_page_whose_authors_are_all_unknown_was_not_understood() -> None:
    """Where X ignores the names of the fields we asked for, we notice instead of dropping everybody."""
    assert not parse_posts({"data": [post(author_id=None)], "meta": {}}, READER, NOW).understood
    assert parse_posts({"data": [], "meta": {}}, READER, NOW).understood
    assert parse_posts({"data": [post(), post(author_id=None)], "meta": {}}, READER, NOW).understood


def test_only_posts_that_are_gone_are_reported_as_gone() -> None:
    """A deleted quoted post, or an author who is protected, does not withdraw the complaint itself."""
    problem = "https://api.x.com/2/problems/"
    body = {
        "data": [post()],
        "errors": [
            {"resource_id": "5", "parameter": "ids", "type": problem + "resource-not-found"},
            {"resource_id": "6", "parameter": "referenced_tweets.id", "type": problem + "resource-not-found"},
            {"resource_id": "8", "parameter": "ids", "type": problem + "not-authorized-for-resource"},
            {"resource_id": "x" * 50, "parameter": "ids", "type": problem + "resource-not-found"},
            "nonsense",
        ],
    }
    assert parse_posts(body, READER, NOW).missing == ["5"]
