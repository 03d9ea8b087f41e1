"""The App Store: answers that stand in reviews, reviews that change, and tokens that are signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.app_store import TOKEN_LIFE, AppStoreConnector, parse_reviews
from connectors.contract import Page
from connectors.reviews import Place, Review, messages_of, review_id
from monitor.ingest import Arrival, ingest
from rules.case import Status
from rules.message import Kind
from simulator.faults import Faults
from tests.connectors.app_store_support import NOON, Desk, Town, key_pair
from tests.monitor.build import House, house
from wire.errors import Malformed, NotAllowed, Refused

PLACE = Place("acme", "app_store", "acmehelp")


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def read(connector: AppStoreConnector, cursor: Any = None) -> Page:
    """One poll, with the stored form of a cursor."""
    return connector.poll("reviews", json.loads(json.dumps(cursor)), 5)


def test_a_review_and_the_answer_in_it_are_two_messages(town: Town, desk: Desk) -> None:
    """Stars, title and words; and who answered, when, to what."""
    review = town.review("It cannot connect.", ago=900, stars=2, title="Useless")
    answer = town.answer("Please restart it.", review, ago=300)
    with town.served() as url:
        told, reply = read(desk.connector(url, town)).messages
    assert (told.id, told.kind, told.text, told.rating) == (
        review.id,
        Kind.REVIEW,
        "Useless\nIt cannot connect.",
        2.0,
    )
    assert told.inbound and told.author.name == "ann from Ulm"
    assert (reply.id, reply.parent, reply.conversation) == (f"{review.id}:reply", review.id, review.id)
    assert not reply.inbound and not reply.author.automated and reply.created_at == answer.created_at


def test_an_answer_to_a_review_that_was_read_before_is_seen(town: Town, desk: Desk) -> None:
    """Apple does not move a review up when it is answered: the newest 200 are compared at each reading."""
    review = town.review("bad", ago=900)
    town.review("worse", ago=100)
    with town.served() as url:
        connector = desk.connector(url, town)
        first = read(connector)
        town.answer("sorry", review, ago=0)
        second = read(connector, first.cursor)
        third = read(connector, second.cursor)
    assert [m.id for m in second.messages] == [review.id, f"{review.id}:reply"]
    assert not third.messages


def test_an_older_review_is_looked_up_with_its_answer(town: Town, desk: Desk) -> None:
    """What is below the newest 200 is asked for while its customer waits; what was deleted is gone."""
    old, gone = town.review("old", ago=5000), town.review("gone", ago=4000)
    town.answer("an answer at last", old, ago=10)
    gone.deleted_at = NOON - timedelta(seconds=5)
    with town.served() as url:
        page = desk.connector(url, town).look_up([old.id, gone.id, f"{gone.id}:again:5"], 5)
    assert [m.id for m in page.messages] == [old.id, f"{old.id}:reply"]
    assert [g.id for g in page.gone] == [gone.id, f"{gone.id}:again:5"]


def _take_in(home: House, page: Page, town: Town) -> None:
    arrival = Arrival("acme", "app_store", "acmehelp", "acmehelp/reviews", page)
    ingest(home.store, home.policy, arrival, town.clock.now())


def test_a_review_changed_after_the_answer_is_open_again(town: Town, desk: Desk, tmp_path: Path) -> None:
    """ "I tried that, it still fails": the customer waits again, and the first answer keeps its time."""
    review = town.review("bad", ago=3000)
    town.answer("please restart it", review, ago=2400)
    home = house(tmp_path / "home")
    with town.served() as url:
        connector = desk.connector(url, town)
        page = read(connector)
        _take_in(home, page, town)
        (case,) = home.cases()
        assert case.status is Status.ANSWERED
        town.world.edit(review, NOON, "I did, and it still cannot connect!")
        town.clock.move(60)
        _take_in(home, read(connector, page.cursor), town)
    (case,) = home.cases()
    assert case.status is Status.WAITING and case.waiting_since == NOON
    assert case.inbound_count == 2
    first = case.clocks[0]
    assert first.stopped_at == NOON - timedelta(seconds=2400)


def test_a_token_is_signed_as_apple_wants_and_renewed(town: Town, desk: Desk) -> None:
    """ES256, the key's id, at most twenty minutes; used again until it is nearly over."""
    seen: list[str] = []
    faults = Faults(town.clock)
    with town.served(faults=faults) as url:
        connector = desk.connector(url, town)
        for _ in range(3):
            read(connector)
            seen.append(connector._signed())
            town.clock.move(TOKEN_LIFE.total_seconds() / 2)
    said = jwt.decode(
        seen[0],
        key_pair()[1],
        algorithms=["ES256"],
        audience="appstoreconnect-v1",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert said["exp"] - said["iat"] <= 20 * 60 and said["iss"]
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(
    "key", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_a_key_that_is_none_is_told_without_showing_it(town: Town, desk: Desk, key: str) -> None:
    """`check` says which setting to mend."""
    with town.served() as url, pytest.raises(NotAllowed) as told:
        desk.connector(url, town, key=key).identify(5)
    assert "APP_STORE_KEY" in str(told.value) or "private_key" in str(told.value)
    assert "AAAA" not in str(told.value)


def test_another_teams_key_is_refused_in_apples_words(town: Town, desk: Desk) -> None:
    """The error says what Apple said, and not the token."""
    stranger = key_pair.__wrapped__()
    with town.served(public_key=stranger[1]) as url, pytest.raises(NotAllowed, match="credentials") as told:
        read(desk.connector(url, town))
    assert "eyJ" not in str(told.value)


def test_strange_ids_are_refused_before_anything_is_asked(town: Town, desk: Desk) -> None:
    """An id is put into an address: what is none goes nowhere."""
    faults = Faults(town.clock)
    with town.served(faults=faults) as url, pytest.raises(Refused):
        desk.connector(url, town).look_up(["1/../../apps"], 5)
    assert not faults.asked


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
GOOD: dict[str, Any] = {
    "type": "customerReviews",
    "id": "00000012-aaaa",
    "attributes": {
        "rating": 1,
        "title": "Half a 😀 surrogate \ud83d",
        "body": "NUL \x00 stays out",
        "reviewerNickname": "x",
        "createdDate": "2026-11-01T03:00:00-07:00",
        "territory": "DEU",
    },
    "relationships": {"response": {"data": {"type": "customerReviewResponses", "id": "r1"}}},
}
ANSWER = {
    "type": "customerReviewResponses",
    "id": "r1",
    "attributes": {
        "responseBody": "sorry",
        "lastModifiedDate": "2026-11-01T04:00:00-07:00",
        "state": "PENDING_PUBLISH",
    },
}


def test_awkward_reviews_are_read(town: Town) -> None:
    """Texts that no database holds, times of another zone, an answer that is not public yet."""
    ((review,), rejected) = parse_reviews({"data": [GOOD], "included": [ANSWER]})
    told, reply = messages_of(review, PLACE, NOON)
    assert not rejected
    assert told.text == "Half a 😀 surrogate ?\nNUL  stays out"
    assert told.created_at == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert reply.text == "sorry"


@given(st.sampled_from(sorted(GOOD)), _JSON, st.sampled_from([None, *sorted(GOOD["attributes"])]))
def test_whatever_stands_in_a_review_is_read_or_rejected(field: str, value: Any, inner: str | None) -> None:
    """One thing in a good review is replaced by anything: no page fails for it."""
    other = json.loads(json.dumps(GOOD))
    if inner is not None:
        other["attributes"][inner] = value
    else:
        other[field] = value
    found, rejected = parse_reviews({"data": [other, GOOD], "included": [ANSWER, value]})
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
        assert not (isinstance(body, dict) and isinstance(body.get("data"), list))


@given(st.integers(0, 10**6), st.none() | st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_messages_of_a_review_are_in_order_and_their_own(at: int, replied: int | None, now: int) -> None:
    """Whatever the dates are: at most one word of each side, none in the future, all of one conversation."""
    when = [NOON + timedelta(seconds=s) if s is not None else None for s in (at, replied, now)]
    assert when[0] is not None and when[2] is not None
    reply = "sorry" if replied is not None else None
    made = messages_of(Review("7", None, "bad", 1.0, when[0], reply, when[1]), PLACE, when[2])
    assert {m.conversation for m in made} == {"7"} == {review_id(m.id) for m in made}
    assert [m.created_at for m in made] == sorted(m.created_at for m in made)
    assert max(m.created_at for m in made) <= when[2]
    assert len({m.id for m in made}) == len(made) <= 2
