"""What is special about Mastodon: threads without a root, private posts, posts that arrive late, edits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.mastodon.connector import LOOK_UP_STEP
from rules.message import Kind
from simulator.faults import Fault, FaultKind, Faults
from simulator.mastodon_api import SCOPES, MastodonAccess
from tests.connectors.mastodon_support import HANDLE, NOON, Desk, Town, drain, texts
from wire.errors import NotAllowed, Refused, RetryAt


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_a_thread_is_one_conversation_although_mastodon_names_only_the_post_above(
    town: Town, desk: Desk
) -> None:
    """A customer's second question, and the brand's answer to it, are told as of the first one's thread."""
    first = town.post(town.ann, f"@{HANDLE} where is my order?", ago=600)
    reply = town.post(town.help, "@ann which order?", ago=500, parent=first)
    second = town.post(town.ann, f"@{HANDLE} K-1", ago=400, parent=reply)
    town.post(town.help, "@ann it left today", ago=300, parent=second)
    with town.served() as url:
        connector = desk.connector(url, town)
        told, _ = drain(connector, "mentions")
        own, _ = drain(connector, "own")
        fresh, _ = drain(desk.connector(url, town), "own")  # after a restart nothing is remembered
    messages = [m for page in (*told, *own, *fresh) for m in page.messages]
    assert len(messages) == 6
    assert {m.conversation for m in messages} == {first.id}
    assert {m.parent for m in messages} == {None, first.id, reply.id, second.id}


def test_a_thread_whose_start_is_gone_goes_on_where_it_can(town: Town, desk: Desk) -> None:
    """What was deleted above costs nobody their complaint."""
    first = town.post(town.bo, "anybody else?", ago=600)
    second = town.post(town.ann, f"@{HANDLE} yes, me too", ago=400, parent=first)
    first.deleted_at = NOON - timedelta(seconds=300)
    with town.served() as url:
        pages, _ = drain(desk.connector(url, town), "mentions")
    message = pages[0].messages[0]
    assert (message.id, message.conversation) == (second.id, first.id)


def test_private_posts_are_in_their_own_stream_both_ways(town: Town, desk: Desk) -> None:
    """What only two can see is never in a public stream, and the brand's answer to it is seen."""
    asked = town.dm(town.ann, town.help, "my address is Elm Road 5", ago=300)
    town.dm(town.help, town.ann, "thank you", ago=200, parent=asked)
    town.post(town.ann, f"@{HANDLE} hello", ago=100)
    with town.served() as url:
        connector = desk.connector(url, town)
        pages, _ = drain(connector, "dms")
        public = [m for s in ("mentions", "own") for page in drain(connector, s)[0] for m in page.messages]
    private = [m for page in pages for m in page.messages]
    assert [(m.inbound, m.kind, m.public) for m in private] == [
        (True, Kind.DM, False),
        (False, Kind.DM, False),
    ]
    assert {m.conversation for m in private} == {asked.id}
    assert [m.text for m in public] == [f"@{HANDLE} hello"]


def test_a_mention_that_arrives_late_is_told_when_it_arrives(town: Town, desk: Desk) -> None:
    """Servers tell each other with delay: an old date hides no complaint."""
    town.post(town.ann, f"@{HANDLE} one", ago=60)
    with town.served() as url:
        connector = desk.connector(url, town)
        _, cursor = drain(connector, "mentions")
        town.post(town.bo, f"@{HANDLE} late", ago=5000, visible_at=NOON + timedelta(seconds=5))
        town.clock.move(30)
        pages, _ = drain(connector, "mentions", cursor)
    assert texts(pages) == [f"@{HANDLE} late"]


def test_an_edit_is_told_by_the_stream_and_by_a_look_up(town: Town, desk: Desk) -> None:
    """A complaint that was mended, or made worse, is read again."""
    post = town.post(town.ann, f"@{HANDLE} fine", ago=60)
    with town.served() as url:
        connector = desk.connector(url, town)
        _, cursor = drain(connector, "mentions")
        town.clock.move(10)
        town.world.edit(post, town.clock.now(), f"@{HANDLE} not fine at all")
        town.clock.move(10)
        pages, _ = drain(connector, "mentions", cursor)
        looked = connector.look_up([post.id], 5)
    told = [m for page in pages for m in page.messages]
    assert [(m.text, m.edited_at) for m in told] == [
        (f"@{HANDLE} not fine at all", NOON + timedelta(seconds=10))
    ]
    assert looked.messages == tuple(told)


@pytest.mark.parametrize("shows_many", [True, False])
def test_many_are_looked_up_on_any_server(town: Town, desk: Desk, shows_many: bool) -> None:
    """Servers before 4.3 show one post at a time: a delete is found there too."""
    posts = [town.post(town.ann, f"@{HANDLE} {n}", ago=60) for n in range(LOOK_UP_STEP + 5)]
    posts[3].deleted_at = NOON
    with town.served(shows_many=shows_many) as url:
        page = desk.connector(url, town).look_up([p.id for p in posts], 10)
    assert [gone.id for gone in page.gone] == [posts[3].id]
    assert len(page.messages) == len(posts) - 1


def test_hashtags_bring_who_does_not_mention_the_account(town: Town, desk: Desk) -> None:
    """A complaint under the brand's hashtag is heard; what the brand writes there is none."""
    town.post(town.bo, "day three without water #Acme", ago=60)
    town.post(town.help, "we are at it #acme", ago=50)
    town.post(town.bo, "#acmeville is nice", ago=40)
    with town.served() as url:
        connector = desk.connector(url, town, hashtags=["#ACME"])
        assert [s.name for s in connector.streams] == ["mentions", "hashtags", "own", "dms"]
        pages, _ = drain(connector, "hashtags")
    assert texts(pages) == ["day three without water #Acme"]


def test_both_accounts_of_the_brand_are_the_brand_and_bots_are_known(town: Town, desk: Desk) -> None:
    """An answer from the brand's account on another server counts; a bot's words are known as such."""
    asked = town.post(town.ann, f"@{HANDLE} help", ago=90)
    town.post(town.hq, f"@ann @{HANDLE} on it", ago=60, parent=asked)
    town.post(town.robot, f"@{HANDLE} price went up", ago=30)
    with town.served() as url:
        pages, _ = drain(desk.connector(url, town), "mentions")
    told = {m.author.handle: m for page in pages for m in page.messages}
    assert set(told) == {"ann", "quotes"}  # what a colleague wrote is no inbound message
    assert told["quotes"].author.automated and not told["ann"].author.automated
    assert told["ann"].to == ("101",) and told["ann"].handles == (HANDLE,)


def test_a_token_without_a_scope_is_told_by_name(town: Town, desk: Desk) -> None:
    """`check` says what is missing, and for which streams; no token shows."""
    weak = MastodonAccess.of(HANDLE, [s for s in SCOPES if s != "read:notifications"])
    with town.served(access=[weak]) as url:
        connector = desk.connector(url, town)
        who = connector.identify(5)
        with pytest.raises(NotAllowed):
            connector.poll("mentions", None, 5)
    assert [m.split(" (")[0] for m in who.permissions_missing] == [
        "the scope that mentions need",
        "the scope that dms need",
    ]
    assert town.access.token not in repr(who)


def test_a_new_token_is_used_at_once(town: Town, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who mends the token in its file need not restart anything."""
    town.post(town.ann, f"@{HANDLE} hi", ago=10)
    with town.served() as url:
        connector = desk.connector(url, town, token="old and revoked")
        with pytest.raises(NotAllowed):
            connector.poll("mentions", None, 5)
        monkeypatch.setenv("MASTODON_TOKEN", town.access.token)
        assert texts(drain(connector, "mentions")[0]) == [f"@{HANDLE} hi"]


def test_the_rate_window_is_told_and_waited_for(town: Town, desk: Desk) -> None:
    """300 requests in five minutes; after that nothing is asked until the window's end, which is a time."""
    with town.served() as url:
        connector = desk.connector(url, town)
        page = connector.poll("own", None, 5)
        (budget,) = page.budgets
        assert (budget.limit, budget.remaining, budget.resets_at) == (300, 298, NOON + timedelta(minutes=5))
        while budget.remaining:
            (budget,) = connector.poll("own", None, 5).budgets
        with pytest.raises(RetryAt) as told:
            connector.poll("own", None, 5)
    assert told.value.limited and told.value.at == NOON + timedelta(minutes=5)


def test_a_thread_that_cannot_be_asked_for_holds_the_page_and_loses_nothing(town: Town, desk: Desk) -> None:
    """Where the server fails in the middle of a page, the whole page comes again."""
    first = town.post(town.bo, "is it just me?", ago=80)
    town.post(town.ann, f"@{HANDLE} one", ago=60)
    town.post(town.ann, f"@{HANDLE} two", ago=50, parent=first)
    faults = Faults(town.clock)
    faults.once("/context", Fault(FaultKind.ERROR, status=503))
    with town.served(faults=faults) as url:
        connector = desk.connector(url, town)
        with pytest.raises(RetryAt):
            connector.poll("mentions", None, 5)
        pages, _ = drain(connector, "mentions")
    assert texts(pages) == [f"@{HANDLE} one", f"@{HANDLE} two"]


def test_strange_ids_are_refused_before_anything_is_asked(town: Town, desk: Desk) -> None:
    """An id is put into an address: what is none goes nowhere."""
    faults = Faults(town.clock)
    with town.served(faults=faults) as url, pytest.raises(Refused):
        desk.connector(url, town).look_up(["1/../../admin"], 5)
    assert not faults.asked
