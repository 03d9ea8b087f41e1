"""What Reddit's JSON is read as, without a network: recorded-style bodies, and what is expected of them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.reddit.parse import Body, Reader, parse_listing, phrases
from connectors.reddit.place import RECENT_MAX, WALK_MAX, Place, Row, begin, take
from rules.message import Kind, Message
from wire.lenient import read_lenient

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "fixtures" / "reddit"
READER = Reader("acme", "acmehelp", "acmehelp", frozenset({"acmehelp", "acmehq"}))
PAGES = {
    "inbox": tuple(Kind),
    "sent": (Kind.DM,),
    "own": (Kind.COMMENT, Kind.POST),
    "subreddit": (Kind.COMMENT, Kind.POST),
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
    return parse_listing(
        read_lenient((FIXTURES / f"{name}.json").read_bytes()), READER, NOW, PAGES[name], name
    )


def parsed(*things: Any) -> Body:
    """What a Listing of those things is read as."""
    return parse_listing({"data": {"children": list(things)}}, READER, NOW, tuple(Kind), "a test")


def comment(**more: Any) -> dict[str, Any]:
    """A comment without anything special but what is given."""
    usual = {"name": "t1_a", "author": "ann", "body": "hi", "link_id": "t3_b", "parent_id": "t3_b"}
    return {"kind": "t1", "data": {**usual, "created_utc": NOW.timestamp() - 60, **more}}


@pytest.mark.parametrize("name", PAGES)
def test_a_recorded_page_gives_exactly_the_expected_messages(name: str) -> None:
    """Each recorded-style body is read as its pair says: what the inbox leaves out, private exchanges, our
    answers, robots and moderators, edits; and what was deleted is gone instead of empty."""
    found = read(name)
    expected = json.loads((FIXTURES / f"{name}.expected.json").read_text("utf-8"))
    assert [plain(m) for m in found.messages] == expected["messages"]
    assert [g.id for g in found.gone] == expected["gone"]
    assert found.rejected == []
    assert any(m.author.brand for m in found.messages), (
        "a fixture without an answer of ours proves too little"
    )


def test_the_same_comment_means_the_same_in_every_listing() -> None:
    """A reply that the inbox shows without its submission belongs to the thread in which it was written."""
    (reply,) = (m for m in read("inbox").messages if m.id == "t1_kz0008")
    (answer,) = (m for m in read("own").messages if m.id == "t1_kz0007")
    (thread,) = (m for m in read("subreddit").messages if m.kind is Kind.POST and m.reach == 57)
    assert reply.conversation == answer.conversation == thread.id == thread.conversation
    assert (reply.parent, reply.to) == (answer.id, ("acmehelp",))
    assert answer in read("subreddit").messages


def test_one_exchange_of_private_messages_is_one_conversation() -> None:
    """Both sides of an exchange come from two listings, and meet under its first message."""
    inbox, sent = read("inbox").messages, read("sent").messages
    exchange = [m for m in (*inbox, *sent) if m.conversation == "t4_2a0001"]
    exchange.sort(key=lambda m: m.created_at)
    assert [(m.author.id, m.to, m.parent) for m in exchange] == [
        ("ann_b", ("acmehelp",), None),
        ("acmehelp", ("ann_b",), "t4_2a0001"),
        ("ann_b", ("acmehelp",), "t4_2a0002"),
    ]
    assert not any(m.public for m in exchange)


@pytest.mark.parametrize("author", [None, "[deleted]"])
def test_who_has_left_reddit_waits_no_more(author: str | None) -> None:
    """The comment of a deleted account is gone, and never taken for one of its subreddit's moderators."""
    found = parsed(comment(author=author, subreddit="kettles"))
    assert (found.messages, [g.id for g in found.gone]) == ([], ["t1_a"])


def test_a_private_message_of_a_deleted_account_is_gone() -> None:
    """It has neither an author nor a subreddit that wrote it, so nobody can be answered."""
    lost = {"name": "t4_a", "author": None, "subreddit": None, "body": "psst", "created_utc": NOW.timestamp()}
    assert [g.id for g in parsed({"kind": "t4", "data": lost}).gone] == ["t4_a"]


@pytest.mark.parametrize(
    ("text", "handles"),
    [
        ("u/AcmeHelp and /u/Bo-Bo", ("acmehelp", "bo-bo")),
        (r"u/acme\_help, u/ACME_help", ("acme_help",)),
        ("see reddit.com/u/ann, you/ann or x-u/ann", ()),
        ("u/ab u/" + "a" * 21, ()),
        ("(u/ann) *u/bob* u/ann's", ("ann", "bob")),
    ],
)
def test_names_are_found_as_people_and_reddits_editor_write_them(text: str, handles: tuple[str, ...]) -> None:
    """A mention is seen with or without a slash, in any case, with escaped underscores; a link is none."""
    (message,) = parsed(comment(body=text)).messages
    assert message.handles == handles


@pytest.mark.parametrize(
    ("edited", "at"),
    [
        (False, None),
        (True, None),
        (NOW.timestamp() - 5, NOW - timedelta(seconds=5)),
        (math.nan, None),
        ("yes", None),
        (10**400, None),
    ],
)
def test_edits_have_the_time_that_reddit_gives(edited: Any, at: datetime | None) -> None:
    """`edited` is false, true or a time; nonsense does not spoil the comment."""
    (message,) = parsed(comment(edited=edited)).messages
    assert message.edited_at == at


@pytest.mark.parametrize(("score", "reach"), [(7, 7), (-3, 0), (2**64, 2**63 - 1), (True, None), ("9", None)])
def test_a_score_is_a_count_or_nothing(score: Any, reach: int | None) -> None:
    """How many may have seen it is never negative, and never more than the store can hold."""
    (message,) = parsed(comment(score=score)).messages
    assert message.reach == reach


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "https://evil.example", "/r/a b", "/r/\u202ea", "", 7, "/" + "a" * 600]
)
def test_the_link_to_reply_leads_to_reddit_or_nowhere(path: Any) -> None:
    """Whatever stands as permalink, an alert's link never leads to another site."""
    (message,) = parsed(comment(permalink=path)).messages
    assert message.url is None


@pytest.mark.parametrize(
    "monster",
    [
        "9" * 5000,
        "-" + "9" * 5000,
        "NaN",
        "1e999",
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 70 + "1" + "}" * 70,
    ],
)
def test_a_monstrous_value_spoils_nothing_but_itself(monster: str) -> None:
    """A number of 5,000 digits or JSON 100,000 deep in one comment does not hide the next one."""
    good = json.dumps(comment(name="t1_c", body='not "[deep]" {at} all \\"['))
    bad = json.dumps(comment(name="t1_d", body="MONSTER")).replace('"MONSTER"', monster)
    scored = json.dumps(comment(name="t1_e", score=77_777)).replace("77777", monster)
    body = read_lenient(f'\ufeff{{"data":{{"children":[{bad},{scored},{good}]}}}}'.encode())
    found = parse_listing(body, READER, NOW, tuple(Kind), "a test")
    said = {m.id: m.text for m in found.messages}
    assert said.pop("t1_c") == 'not "[deep]" {at} all \\"['
    assert said.pop("t1_e") == "hi"
    # What is too long for a number has become text, and so a body like any other; the rest is none.
    assert said == ({"t1_d": monster} if monster.endswith("99999") else {})


@pytest.mark.parametrize("raw", [b"", b"<html>", b"{", b'{"a": 1', b"[" * 100_000, b"\xff\xfe", b"{} {}"])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    """A captive portal's page or half an answer is no answer."""
    with pytest.raises(ValueError):
        read_lenient(raw)


@pytest.mark.parametrize("private", [True, False])
def test_no_excerpt_is_kept_of_what_may_be_private(private: bool) -> None:
    """What could not be read of the inbox is not shown to people, whatever it says that it is."""
    things = [{"kind": "t4", "data": {"body": "psst"}}, {"kind": "t9", "data": {"body": "psst"}}]
    things += [comment(author=7)] if private else []
    body = {"data": {"children": things}}
    found = parse_listing(body, READER, NOW, tuple(Kind), "a test", private=private)
    assert [r.excerpt for r in found.rejected] == [""] * len(things)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ACME!", True),
        ("my acme\n  kettle", True),
        ("#acme's", True),
        ("acmeist", False),
        ("pacme", False),
        ("a.c.m.e", False),
        ("C++ is", True),
    ],
)
def test_keywords_are_whole_words(text: str, found: bool) -> None:
    """A keyword is not found inside of another word, and its signs are no pattern."""
    pattern = phrases(["acme kettle", "acme", "c++", " "])
    assert pattern is not None
    assert (pattern.search(text) is not None) is found
    assert phrases([" "]) is None


def rows(first: int, count: int, at: float) -> list[Row]:
    """Entries, newest first, one a second."""
    return [Row(f"t1_{first - n}", at - n, "") for n in range(count)]


def test_a_walk_that_loses_all_its_anchors_begins_again_at_the_top() -> None:
    """Where the last three entries read were all deleted meanwhile, the older ones are read all the same."""
    now = NOW.timestamp()
    place = begin(None, NOW, timedelta(days=1), 1)
    place, gap = take(place, ["x"], rows(500, 100, now), "t1_401", False)
    assert place.walk is not None and len(place.walk.anchors) == 3
    for left in (2, 1, 0):
        place, gap = take(place, ["x"], [], None, True)
        assert gap is None and place.walk is not None and len(place.walk.anchors) == left
    place, gap = take(place, ["x"], rows(500, 97, now), "t1_404", False)
    place, gap = take(place, ["x"], rows(400, 50, now - 100), None, False)
    assert (place.walk, gap) == (None, None)
    assert place.marks["x"].at == now


def test_a_listing_without_end_is_left_with_a_gap() -> None:
    """Whatever Reddit says, one reading of a listing asks for so many pages at most."""
    place = begin(None, NOW, timedelta(days=1), 1)
    for page in range(WALK_MAX):
        assert place.walk is not None
        place, gap = take(place, ["x"], rows(9000 - page * 10, 10, NOW.timestamp()), f"t1_{page}", False)
    assert place.walk is None and gap is not None
    assert len(place.marks["x"].recent) <= RECENT_MAX


def test_a_restart_in_the_middle_of_anything_goes_on_where_it_stood() -> None:
    """The cursor holds all that a reading needs: written and read again, it is the same place."""
    place = begin(None, NOW, timedelta(days=1), 2)
    for page in (rows(500, 100, NOW.timestamp()), [Row("t1_odd", None, "s"), *rows(399, 99, 1.79e9)]):
        place, _ = take(place, ["x", "y"], page, page[-1].id, False)
        assert Place.read(json.loads(json.dumps(place.written()))) == place


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"since": "2026-11-02T12:00:00"},
        {"marks": []},
        {"marks": {"x": {"at": math.inf, "recent": {}}}},
        {"marks": {"x": {"at": 1.0, "recent": {"a": 1}}}},
        {"marks": {"x": {"at": 1.0, "recent": {f"t1_{n}": "" for n in range(RECENT_MAX + 1)}}}},
        {"walk": {"begun": "soon"}},
        {"walk": 7},
    ],
)
def test_a_cursor_that_is_not_ours_is_refused(change: dict[str, Any]) -> None:
    """A cursor that something else wrote is told from ours, instead of being followed anywhere."""
    good = begin(None, NOW, timedelta(days=1), 1).written()
    assert Place.read(good)
    with pytest.raises(ValueError):
        Place.read(good | change)


def test_what_has_no_time_does_not_move_the_mark() -> None:
    """An entry whose time cannot be read neither ends a walk nor hides what comes after it."""
    odd = Row("t1_odd", None, "")
    place, _ = take(begin(None, NOW, timedelta(days=1), 1), ["x"], [odd], None, False)
    assert place.marks["x"].at == place.since.timestamp()
    assert "t1_odd" in place.marks["x"].recent
    later = begin(place, NOW + timedelta(minutes=1), timedelta(days=1), 1)
    later, gap = take(later, ["x"], [odd, *rows(9, 2, NOW.timestamp())], "t1_8", False)
    assert later.walk is not None and gap is None
