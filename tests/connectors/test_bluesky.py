"""Bluesky, as it behaves: what each stream carries, dates that lie, lost notifications, direct messages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.bluesky import BlueskyConnector
from connectors.bluesky.connector import search_query
from rules.message import Kind
from simulator.faults import Fault, FaultKind, Faults
from simulator.world import Writing
from tests.connectors.bluesky_support import HANDLE, Desk, Town, drain, texts, uri
from wire.errors import Refused

Make = Callable[..., BlueskyConnector]


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def make(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    desk = Desk(tmp_path, monkeypatch)
    return lambda url, **more: desk.connector(url, town, **more)


def test_mentions_replies_and_quotes_say_what_they_answer(town: Town, make: Make) -> None:
    """Whoever looks at a case sees which of our posts a customer speaks to, and in which thread."""
    ours = town.post(town.help, "Our new kettle is here", ago=500)
    town.post(town.ann, f"Hi @{HANDLE}, mine leaks", ago=400, language="en-GB")
    reply = town.post(town.bo, "same here", ago=300, parent=ours)
    town.post(town.ann, "what a joke", ago=200, quotes=ours.id)
    town.post(town.bo, "not for you", ago=100)
    with town.served() as url:
        pages, _ = drain(make(url), "notifications")
    mention, answered, quote = (m for p in pages for m in p.messages)
    assert (mention.kind, mention.parent, mention.handles) == (Kind.POST, None, (HANDLE,))
    assert (mention.language, mention.author.handle, mention.to) == ("en", "ann.bsky.social", (town.help.id,))
    assert (answered.kind, answered.parent, answered.conversation) == (Kind.COMMENT, uri(ours), uri(ours))
    assert answered.to == (town.help.id,) and answered.author.id == town.bo.id
    assert (quote.parent, quote.conversation, quote.to) == (uri(ours), quote.id, (town.help.id,))
    assert answered.url == f"https://bsky.app/profile/{town.bo.id}/post/{reply.id}"


def test_our_own_replies_are_outbound_and_another_account_of_ours_is_never_a_customer(
    town: Town, make: Make
) -> None:
    """An answer by a colleague's phone ends the wait; a mention by our head office opens no case."""
    asked = town.post(town.ann, f"@{HANDLE} hello?", ago=300)
    town.post(town.help, "hello!", ago=200, parent=asked)
    town.post(town.hq, f"ask @{HANDLE}", ago=100)
    with town.served() as url:
        own, _ = drain(make(url), "own")
        told, _ = drain(make(url), "notifications")
        found, _ = drain(make(url), "search")
    (answer,) = (m for p in own for m in p.messages)
    assert not answer.inbound and answer.parent == uri(asked) and answer.to == (town.ann.id,)
    assert texts(told) == texts(found) == [asked.text]


def test_a_lost_notification_is_found_by_the_search(town: Town, make: Make) -> None:
    """Bluesky loses notifications in bursts: a mention that it never told of comes all the same."""
    lost = town.post(town.ann, f"@{HANDLE} nobody hears me", ago=50)
    with town.served(lost={lost.id}) as url:
        told, _ = drain(make(url), "notifications")
        found, _ = drain(make(url), "search")
    assert texts(told) == [] and texts(found) == [lost.text]


def test_the_search_keeps_only_what_names_us(town: Town, make: Make) -> None:
    """Keywords are found as whole words in any case; what a loose search brings besides is left out. One that
    is found by mention and keyword is one message."""
    town.post(town.ann, "My ACME  Kettle broke", ago=90)
    town.post(town.bo, f"@{HANDLE} your acme kettle!", ago=80, likes=3, reposts=4)
    town.post(town.bo, "acme kettles are many", ago=70)
    with town.served() as url:
        pages, cursor = drain(make(url), "search")
        again, _ = drain(make(url), "search", cursor)
    assert len(pages) == 2, "one list for mentions, one for the keyword"
    named = [m for p in pages for m in p.messages]
    assert {m.text for m in named} == {f"@{HANDLE} your acme kettle!"}, "Bluesky's phrases have single blanks"
    assert named[0].reach == 7
    assert texts(again) == []


def test_a_post_from_the_future_hides_nothing(town: Town, make: Make) -> None:
    """A date of 2030 sorts first for years: what is written after it is heard, and it is taken as written
    now."""
    liar = town.post(town.ann, f"@{HANDLE} from 2030", ago=10, claimed_at=datetime(2030, 1, 1, tzinfo=UTC))
    with town.served() as url:
        pages, cursor = drain(make(url), "notifications")
        town.clock.move(60)
        town.post(town.bo, f"@{HANDLE} honest", ago=5)
        town.clock.move(1)
        more, cursor = drain(make(url), "notifications", cursor)
        rest, _ = drain(make(url), "notifications", cursor)
    (message,) = pages[0].messages
    assert message.text == liar.text and message.created_at <= town.clock.now()
    assert texts(more) == [f"@{HANDLE} honest"] and texts(rest) == []


@pytest.mark.parametrize("page_max", [2, 100])
def test_a_post_that_is_dated_back_is_found_below_the_newest(town: Town, make: Make, page_max: int) -> None:
    """Whoever dates a complaint ten minutes back is heard, although it is listed below what was read."""
    for n in range(4):
        town.post(town.bo, f"@{HANDLE} {n}", ago=400 - n)
    with town.served(page_max=page_max) as url:
        _, cursor = drain(make(url), "notifications")
        town.clock.move(60)
        town.post(town.ann, f"@{HANDLE} fresh", ago=20)
        town.post(
            town.ann, f"@{HANDLE} dated back", ago=10, claimed_at=town.clock.now() - timedelta(minutes=10)
        )
        more, _ = drain(make(url), "notifications", cursor)
    assert set(texts(more)) == {f"@{HANDLE} fresh", f"@{HANDLE} dated back"}


def test_who_calls_itself_a_bot_is_automated(town: Town, make: Make) -> None:
    """A label that an account gives itself is believed."""
    town.post(town.robot, f"@{HANDLE} daily quote", ago=50)
    town.post(town.ann, f"@{HANDLE} help", ago=40)
    with town.served() as url:
        pages, _ = drain(make(url), "notifications")
    assert [m.author.automated for p in pages for m in p.messages] == [True, False]


def test_a_look_up_asks_for_25_at_once_and_skips_direct_messages(town: Town, make: Make) -> None:
    """Right before people are told, sixty posts are looked up in three requests; what is deleted is gone."""
    posts = [town.post(town.ann, f"@{HANDLE} {n}", ago=100 - n) for n in range(60)]
    posts[7].deleted_at = posts[33].deleted_at = town.clock.now()
    with town.served() as url:
        page = make(url).look_up([*map(uri, posts), "3kaaa/3kbbb"], 10)
        nothing = make(url).look_up(["3kaaa/3kbbb"], 10)
        with pytest.raises(Refused, match="AT-URI"):
            make(url).look_up(["at://did:plc:x/app.bsky.feed.like/1"], 10)
        with pytest.raises(Refused, match="at most 100"):
            make(url).look_up([f"at://did:plc:x/app.bsky.feed.post/{n}" for n in range(101)], 10)
    assert {g.id for g in page.gone} == {uri(posts[7]), uri(posts[33])}
    assert len(page.messages) == 58 and not nothing.messages and not nothing.gone


def chat(town: Town) -> list[Writing]:
    first = town.dm(town.ann, town.help, "my order is lost", ago=900)
    other = town.dm(town.bo, town.help, "hi", ago=800)
    return [
        first,
        other,
        town.dm(town.help, town.ann, "which one?", ago=700, after=first),
        town.dm(town.ann, town.help, "number 7", ago=600, after=first),
    ]


def test_direct_messages_of_the_past_and_of_now_come_once_in_both_directions(town: Town, make: Make) -> None:
    """The log begins when it is first asked for: what was written before is read from the conversations."""
    written = chat(town)
    with town.served(page_max=2) as url:
        pages, cursor = drain(make(url), "dms")
        town.clock.move(60)
        town.dm(town.help, town.ann, "found it", ago=30, after=written[0])
        new = town.dm(town.bo, town.help, "anyone?", ago=20, after=written[1])
        more, cursor = drain(make(url), "dms", cursor)
        rest, _ = drain(make(url), "dms", cursor)
    found = [m for p in pages for m in p.messages]
    assert sorted(m.text for m in found) == sorted(w.text for w in written)
    assert texts(more) == ["found it", "anyone?"] and texts(rest) == []
    assert all(m.kind is Kind.DM and not m.public for m in found)
    assert {m.text: m.inbound for m in found}["which one?"] is False
    (last,) = (m for p in more for m in p.messages if m.inbound)
    assert (last.id, last.conversation) == (f"{new.root}/{new.id}", new.root)
    assert (last.author.handle, last.to) == ("bo.example.org", (town.help.id,))
    assert more[-1].complete_through == town.clock.now() - timedelta(seconds=5)
    assert all(p.complete_through is None for p in pages[:-1])


def test_what_arrives_while_conversations_are_read_is_not_lost(town: Town, make: Make) -> None:
    """A message between the first question and the last page comes by the log."""
    chat(town)
    with town.served() as url:
        page = make(url).poll("dms", None, 5)
        town.clock.move(5)
        late = town.dm(town.bo, town.help, "quick one", ago=1)
        pages, _ = drain(make(url), "dms", page.cursor)
    assert late.text in texts(pages)


def test_the_first_look_at_direct_messages_goes_no_further_back_than_asked(town: Town, make: Make) -> None:
    """Eleven minutes of look-back bring what was written in eleven minutes."""
    chat(town)
    with town.served() as url:
        pages, _ = drain(make(url, look_back=660), "dms")
    assert texts(pages) == ["number 7"]


def test_after_a_long_absence_conversations_are_read_again(town: Town, make: Make) -> None:
    """Nobody says how long the log is kept: after a weekend switched off, nothing rests on it."""
    written = chat(town)
    with town.served() as url:
        _, cursor = drain(make(url), "dms")
        town.clock.move(3 * 86400)
        town.dm(town.ann, town.help, "still waiting", ago=86400, after=written[0])
        pages, _ = drain(make(url, look_back=14 * 86400, overlap="1m"), "dms", cursor)
    assert "still waiting" in texts(pages) and "my order is lost" not in texts(pages)


def test_a_conversation_that_is_closed_to_us_holds_up_no_other(town: Town, make: Make) -> None:
    """Leaving one conversation does not end the reading of the rest; a gap says so."""
    written = chat(town)
    with town.served() as url:
        page = make(url).poll("dms", None, 5)
        left = [w for w in written if w.root == page.cursor["waiting"][0]]
        for writing in left:
            writing.deleted_at = town.clock.now()
        pages, _ = drain(make(url), "dms", page.cursor)
    assert texts(pages) and {p.gap for p in pages} == {None, "a conversation could not be read"}


def test_a_cursor_that_cannot_be_read_begins_anew_and_says_so(town: Town, make: Make) -> None:
    """Whatever stands in the database, the stream goes on, and the gap is recorded."""
    chat(town)
    town.post(town.ann, f"@{HANDLE} hello", ago=50)
    with town.served() as url:
        for stream in ("dms", "notifications"):
            page = make(url).poll(stream, {"v": 99}, 5)
            assert page.gap is not None and "started anew" in page.gap


def test_streams_are_those_that_are_switched_on(town: Town, make: Make) -> None:
    """Nothing is asked for that nobody wants; what is unknown is refused by name."""
    connector = make("http://127.0.0.1:9", dms=False, search=False, own_every="1m")
    assert [(s.name, s.every_seconds) for s in connector.streams] == [("notifications", 20.0), ("own", 60.0)]
    with pytest.raises(Refused, match="no stream 'dms'"):
        connector.poll("dms", None, 5)


def test_keywords_that_cannot_be_searched_for_are_named(town: Town, make: Make) -> None:
    """A mistake in the keywords is said at the start, not found as silence."""
    assert search_query(' Acme  "Kettle" ') == '"Acme Kettle"'
    assert search_query("from:acme") == '"from:acme"' and search_query("acme") == "acme"
    with pytest.raises(Refused, match="no letter or digit"):
        make("http://127.0.0.1:9", keywords=("!!",))
    with pytest.raises(Refused, match="longer than a post"):
        make("http://127.0.0.1:9", keywords=("k" * 301,))
    with pytest.raises(Refused, match="too many"):
        make("http://127.0.0.1:9", keywords=tuple(f"word {n}" for n in range(21)))


def test_a_look_up_finds_answers_that_no_list_told_of(
    town: Town, make: Callable[..., BlueskyConnector]
) -> None:
    """A colleague's answer, or a customer's next word, whose notification was lost is below the post that
    waits; what others say to each other there is not ours."""
    asked = town.post(town.ann, f"@{HANDLE} my kettle leaks", ago=600)
    answered = town.post(town.hq, "on it", ago=300, parent=asked)
    again = town.post(town.ann, "thank you?", ago=200, parent=answered)
    town.post(town.bo, "same here", ago=250, parent=asked)
    mine = town.post(town.help, "it is on its way", ago=100, parent=again)
    to_me = town.post(town.ann, "still nothing", ago=50, parent=mine)
    with town.served(lost=[to_me.id]) as url:
        page = make(url).look_up([uri(asked)], 5)
    assert {m.id for m in page.messages} == {uri(w) for w in (asked, answered, mine, to_me)}
    assert {m.conversation for m in page.messages} == {uri(asked)}


def test_a_thread_that_goes_between_two_questions_is_no_failure(
    town: Town, make: Callable[..., BlueskyConnector]
) -> None:
    """The post is looked up all the same."""
    asked = town.post(town.ann, f"@{HANDLE} hello?", ago=600)
    town.post(town.help, "yes", ago=300, parent=asked)
    faults = Faults(town.clock)
    faults.once("getPostThread", Fault(FaultKind.ERROR, status=400))
    with town.served(faults=faults) as url:
        page = make(url).look_up([uri(asked)], 5)
    assert [m.id for m in page.messages] == [uri(asked)] and not page.gone
