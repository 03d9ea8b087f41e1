"""Google Play: answers that stand in reviews, the week that is listed, and how a service account signs in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.contract import Page
from connectors.google_play import LOOKED_UP_AT_ONCE, GooglePlayConnector, parse_reviews
from connectors.reviews import Place, messages_of
from rules.message import Kind
from simulator.faults import Fault, FaultKind, Faults
from tests.connectors.google_play_support import NOON, Desk, Town, key_file, key_pair, name
from wire.errors import Malformed, NotAllowed, Refused, RetryAt

PLACE = Place("acme", "google_play", "acmehelp")


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def read(connector: GooglePlayConnector, cursor: Any = None) -> Page:
    """One poll, with the stored form of a cursor."""
    return connector.poll("reviews", json.loads(json.dumps(cursor)), 5)


def test_a_review_and_the_answer_in_it_are_two_messages(town: Town, desk: Desk) -> None:
    """Stars, title, words and language; and who answered, when, to what."""
    review = town.review("Cannot connect", ago=900, stars=2, title="Useless", language="pt-BR")
    answer = town.answer("Please restart it", review, ago=300)
    with town.served() as url:
        told, reply = read(desk.connector(url, town)).messages
    assert (told.id, told.kind, told.text) == (name(review), Kind.REVIEW, "Useless\nCannot connect")
    assert (told.rating, told.language, told.author.name) == (2.0, "pt", "Ann B")
    assert (reply.parent, reply.created_at, reply.author.brand) == (name(review), answer.created_at, True)


def test_an_answer_moves_a_review_up_and_is_seen(town: Town, desk: Desk) -> None:
    """Google lists by the last change, of either side; nothing comes twice."""
    review = town.review("bad", ago=900)
    town.review("worse", ago=100)
    with town.served() as url:
        connector = desk.connector(url, town)
        first = read(connector)
        town.clock.move(60)
        town.answer("sorry", review)
        second = read(connector, first.cursor)
        third = read(connector, second.cursor)
    assert [m.id for m in second.messages] == [name(review), f"{name(review)}:reply"]
    assert not third.messages


def test_a_review_changed_after_the_answer_speaks_again(town: Town, desk: Desk) -> None:
    """It is another message, which answers the answer."""
    review = town.review("bad", ago=3000)
    town.answer("restart it", review, ago=2000)
    with town.served() as url:
        connector = desk.connector(url, town)
        first = read(connector)
        town.clock.move(60)
        town.world.edit(review, town.clock.now(), "I did, and it still fails")
        again = read(connector, first.cursor).messages[-1]
    assert (again.text, again.parent) == ("I did, and it still fails", f"{name(review)}:reply")
    assert again.inbound and again.conversation == name(review) != again.id


def test_what_is_older_than_the_listed_week_is_looked_up(town: Town, desk: Desk) -> None:
    """Google lists a week. A customer who waits longer is asked for by name; a deleted review is gone."""
    old, gone = town.review("old", ago=8 * 86400), town.review("gone", ago=9 * 86400)
    gone.deleted_at = NOON - timedelta(days=1)
    with town.served() as url:
        connector = desk.connector(url, town, look_back=30 * 86400)
        assert not read(connector).messages
        page = connector.look_up([name(old), name(gone)], 5)
        town.answer("at last", old)
        answered = connector.look_up([name(old)], 5)
    assert [m.id for m in page.messages] == [name(old)] and [g.id for g in page.gone] == [name(gone)]
    assert [m.id for m in answered.messages] == [name(old), f"{name(old)}:reply"]


def test_a_look_up_spares_the_hourly_quota(town: Town, desk: Desk) -> None:
    """Google takes 200 questions an hour for an app."""
    many = [town.review(str(n), ago=60) for n in range(LOOKED_UP_AT_ONCE + 5)]
    faults = Faults(town.clock)
    with town.served(faults=faults) as url:
        page = desk.connector(url, town).look_up([name(w) for w in many], 5)
    assert len(page.messages) == LOOKED_UP_AT_ONCE and not page.gone
    assert sum(method == "GET" for method, _ in faults.asked) == LOOKED_UP_AT_ONCE


def test_the_service_account_signs_in_once_an_hour_where_the_config_says(town: Town, desk: Desk) -> None:
    """The address in the file is not followed; a token that is taken back is renewed at once."""
    faults = Faults(town.clock)
    with town.served(faults=faults) as url:
        connector = desk.connector(url, town)
        read(connector)
        read(connector)
        assert [path for _, path in faults.asked].count("/token") == 1
        faults.once("/reviews", Fault(FaultKind.ERROR, status=401))
        read(connector)
        assert [path for _, path in faults.asked].count("/token") == 2
        town.clock.move(3600)
        read(connector)
    assert [path for _, path in faults.asked].count("/token") == 3


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "PLAY_KEY"),
        ("{", "expected the JSON file"),
        ("[]", "expected the JSON file"),
        (key_file(private_key=None), "expected the JSON file"),
        (key_file(private_key="-----BEGIN hush"), "its private_key is no key"),
        (key_file(client_email="other@x.example"), "Invalid JWT Signature"),
    ],
)
def test_a_key_that_is_none_is_told_without_showing_it(town: Town, desk: Desk, key: str, words: str) -> None:
    """`check` says what is wrong with the file."""
    with town.served() as url, pytest.raises(NotAllowed, match=words) as told:
        desk.connector(url, town, key=key).identify(5)
    assert "hush" not in str(told.value) and key_pair()[0][40:80] not in str(told.value)


def test_an_account_that_may_not_read_the_app_is_told(town: Town, desk: Desk) -> None:
    """The permission is given in Play Console, and that is where the words lead."""
    with town.served(allowed=False) as url, pytest.raises(NotAllowed, match="does not have permission"):
        desk.connector(url, town).identify(5)


def test_a_quota_that_is_used_up_is_a_limit_and_no_refusal(town: Town, desk: Desk) -> None:
    """Google says so with 429, or with 403 and a word."""
    faults = Faults(town.clock)
    faults.once("/reviews", Fault(FaultKind.RATE_LIMIT))
    with town.served(faults=faults) as url, pytest.raises(RetryAt) as told:
        read(desk.connector(url, town))
    assert told.value.limited


def test_strange_ids_are_refused_before_anything_is_asked(town: Town, desk: Desk) -> None:
    """An id is put into an address: what is none goes nowhere."""
    faults = Faults(town.clock)
    with town.served(faults=faults) as url, pytest.raises(Refused):
        desk.connector(url, town).look_up(["gp:1/../../edits"], 5)
    assert not faults.asked


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
GOOD: dict[str, Any] = {
    "reviewId": "gp:AOqpTOE",
    "authorName": "Zoë \ud83d",
    "comments": [
        {
            "userComment": {
                "text": "Title\tWords \x00 and 😀",
                "lastModified": {"seconds": "1793527200", "nanos": 123456789},
                "starRating": 1,
                "reviewerLanguage": "de_AT",
            }
        },
        {"developerComment": {"text": "sorry", "lastModified": {"seconds": 1793527300}}},
    ],
}


def test_awkward_reviews_are_read() -> None:
    """A tab between title and words, texts that no database holds, times in two forms."""
    ((review,), rejected) = parse_reviews({"reviews": [GOOD]})
    told, reply = messages_of(review, PLACE, NOON)
    assert not rejected and (told.text, told.author.name) == ("Title\nWords  and 😀", "Zoë ?")
    assert told.created_at == datetime(2026, 11, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert (reply.text, told.language) == ("sorry", "de")


@given(st.sampled_from(["reviewId", "authorName", "comments", "user", "developer"]), _JSON, _JSON)
@example("user", {"text": "x", "lastModified": {"seconds": "99999999999"}}, None)
def test_whatever_stands_in_a_review_is_read_or_rejected(field: str, value: Any, inner: Any) -> None:
    """One thing in a good review is replaced by anything: no page fails for it."""
    other = json.loads(json.dumps(GOOD))
    if field == "user":
        other["comments"][0]["userComment"] = value
    elif field == "developer":
        other["comments"][1]["developerComment"]["lastModified"] = {"seconds": value, "nanos": inner}
    else:
        other[field] = value
    found, rejected = parse_reviews({"reviews": [other, GOOD]})
    assert len(found) + len(rejected) == 2
    for review in found:
        for message in messages_of(review, PLACE, NOON):
            message.text.encode()
            assert message.created_at <= NOON


@given(_JSON)
def test_any_json_at_all_is_a_page_or_malformed(body: Any) -> None:
    """A proxy's page, a null, a number: told as malformed, never another exception."""
    try:
        parse_reviews(body)
    except Malformed:
        assert not (isinstance(body, dict) and isinstance(body.get("reviews", []), list))
