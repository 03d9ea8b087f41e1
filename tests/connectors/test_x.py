"""The X connector against the simulated X, over HTTP: what is read, in which order, and what is not lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from connectors.contract import Direction
from connectors.x import CAPABILITIES, Settings, search_query
from simulator.faults import Fault, FaultKind, Faults
from simulator.serve import Served
from tests.connectors.x_support import APP, NOON, OAUTH1, OAUTH2, Desk, Town, anything, drain, texts, told
from wire.errors import EdgeError, NotAllowed, Refused, RetryAt

# tweepy says so itself where it is asked for a field by a name that it does not know yet.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, monkeypatch)
    yield desk
    desk.close()


@pytest.mark.parametrize("fields", ["tweet", "post", "both"])
@pytest.mark.parametrize("credentials", [OAUTH1, OAUTH2, APP], ids=["oauth1", "oauth2", "app"])
def test_every_way_in_reads_mentions_and_answers(
    town: Town, desk: Desk, fields: str, credentials: tuple[str, ...]
) -> None:
    """With each kind of credentials, and each generation of X's field names, a complaint and its answer are
    read as the same conversation, one inbound, one outbound."""
    complaint = town.post(town.ann, "@AcmeHelp my acme kettle is broken", ago=300)
    town.post(town.help, "@ann_b sorry!", ago=60, parent=complaint)
    with town.served(fields=fields) as url:
        connector = desk.connector(url, town, credentials=credentials)
        (asked,) = connector.poll("mentions", None, 5).messages
        (answer,) = connector.poll("own", None, 5).messages
        assert connector.identify(5).handle == "AcmeHelp"
    assert (asked.inbound, answer.inbound) == (True, False)
    assert (answer.parent, answer.conversation, answer.to) == (asked.id, asked.conversation, ("7",))
    assert (asked.author.handle, asked.author.followers, asked.handles) == ("ann_b", 321, ("acmehelp",))
    assert (asked.created_at, answer.created_at) == (NOON - timedelta(minutes=5), NOON - timedelta(minutes=1))
    assert (asked.brand, asked.connector, asked.account) == ("acme", "x", "acmehelp")


def test_direct_messages_are_read_in_both_directions(town: Town, desk: Desk) -> None:
    """A DM and our answer to it share a conversation, are private, and know whom they are for."""
    town.dm(town.ann, town.help, "my <order> is late", ago=100)
    town.dm(town.help, town.ann, "we look into it", ago=50)
    with town.served() as url:
        asked, answer = desk.connector(url, town).poll("dms", None, 5).messages
    assert (asked.text, asked.inbound, answer.inbound) == ("my <order> is late", True, False)
    assert asked.conversation == answer.conversation == "7-100"
    assert (asked.to, answer.to, asked.public, asked.id[:3]) == (("100",), ("7",), False, "dm-")


def test_search_finds_the_keywords_but_not_ourselves(town: Town, desk: Desk) -> None:
    """Posts that name the brand without mentioning it are found by the exact phrase, ours are left out."""
    town.post(town.ann, "never again an Acme Kettle for me", ago=20)
    town.post(town.bo, "kettle of acme", ago=15)
    town.post(town.help, "buy an acme kettle", ago=10)
    with town.served() as url:
        pages, _ = drain(desk.connector(url, town, keywords=("acme kettle",)), "search")
    assert texts(pages) == ["never again an Acme Kettle for me"]


@pytest.mark.parametrize("stream", ["mentions", "search", "dms", "own"])
def test_a_backlog_of_many_pages_is_read_whole_and_once(town: Town, desk: Desk, stream: str) -> None:
    """After a busy night every post is handed over exactly once, though X gives the newest first; nothing is
    called complete before the last page, and a restart in the middle changes nothing."""
    for n in range(45):
        if stream == "dms":
            town.dm(town.ann, town.help, f"acme {n}", ago=1000 - n)
        else:
            author = town.help if stream == "own" else town.ann
            town.post(author, f"@AcmeHelp acme {n}", ago=1000 - n)
    with town.served() as url:
        first, cursor = drain(desk.connector(url, town, page_size=10, overlap="0s"), stream)
        town.clock.move(60)
        again, _ = drain(desk.connector(url, town, page_size=10, overlap="0s"), stream, cursor)
    assert sorted(int(t.split()[-1]) for t in texts(first)) == list(range(45))
    assert [p.complete_through for p in first] == [None] * 4 + [NOON - timedelta(seconds=2)]
    assert texts(again) == []
    assert again[-1].complete_through == NOON + timedelta(seconds=58)


def test_whatever_goes_wrong_on_the_way_every_post_is_read_once(town: Town, desk: Desk) -> None:
    """Errors, broken bodies, doubled and malformed answers on the way delay a backlog, and that is all."""
    for n in range(25):
        town.post(town.ann, f"@AcmeHelp {n}", ago=500 - n)
    faults = Faults(town.clock, seed=3)
    kinds = [FaultKind.ERROR, FaultKind.RATE_LIMIT, FaultKind.HTML, FaultKind.TRUNCATED]
    kinds += [FaultKind.DROP, FaultKind.DROP_AFTER, FaultKind.DOUBLE, FaultKind.MALFORMED]
    for kind in kinds:
        faults.once("/mentions", Fault(kind))
    failures, read, rejected, cursor = 0, [], 0, None
    with town.served(faults=faults) as url:
        connector = desk.connector(url, town, page_size=10)
        for _ in range(20):
            try:
                page = connector.poll("mentions", cursor, 5)
            except EdgeError:
                failures += 1
                continue
            cursor = page.cursor
            read += [m.text for m in page.messages]
            rejected += len(page.rejected)
            if not page.has_more:
                break
    assert (failures, rejected) == (6, 1)
    assert sorted(read) == sorted(f"@AcmeHelp {n}" for n in range(25))


def test_what_is_written_during_a_drain_is_read_by_the_next(town: Town, desk: Desk) -> None:
    """A post that arrives while old pages are still read is not skipped over by the mark."""
    for n in range(25):
        town.post(town.ann, f"@AcmeHelp {n}", ago=500 - n)
    with town.served() as url:
        connector = desk.connector(url, town, page_size=10)
        page = connector.poll("mentions", None, 5)
        town.clock.move(5)
        town.post(town.bo, "@AcmeHelp meanwhile")
        rest, cursor = drain(connector, "mentions", page.cursor)
        town.clock.move(30)
        after, _ = drain(connector, "mentions", cursor)
    assert len(texts([page, *rest])) == 25
    assert texts(after) == ["@AcmeHelp meanwhile"]


def test_a_huge_backlog_leaves_room_between_its_pages(town: Town, desk: Desk) -> None:
    """After `pages_max` pages in a row the rest waits for the next cadence, and is still read then."""
    for n in range(35):
        town.post(town.ann, f"@AcmeHelp {n}", ago=500 - n)
    with town.served() as url:
        connector = desk.connector(url, town, page_size=10, pages_max=2)
        first, cursor = drain(connector, "mentions")
        second, _ = drain(connector, "mentions", cursor)
    assert [p.has_more for p in first] == [True, False]
    assert first[-1].complete_through is None
    assert len(texts(first + second)) == 35
    assert second[-1].complete_through is not None


def test_a_page_token_that_ran_out_loses_nothing(town: Town, desk: Desk) -> None:
    """Where the daemon stood still in the middle of a backlog for hours, the rest is read all the same."""
    for n in range(25):
        town.post(town.ann, f"@AcmeHelp {n}", ago=500 - n)
    with town.served() as url:
        connector = desk.connector(url, town, page_size=10)
        page = connector.poll("mentions", None, 5)
        town.clock.move(2 * 3600)
        rest, _ = drain(connector, "mentions", page.cursor)
    assert set(texts([page, *rest])) == {f"@AcmeHelp {n}" for n in range(25)}
    assert rest[-1].complete_through is not None


@pytest.mark.parametrize("stream", ["mentions", "dms"])
def test_a_post_that_x_shows_late_is_still_read(town: Town, desk: Desk, stream: str) -> None:
    """X sometimes shows a post seconds after a newer one: it is not passed over for good."""
    if stream == "dms":
        late = town.dm(town.ann, town.help, "late", ago=30)
        town.dm(town.bo, town.help, "quick", ago=20)
        late.visible_at = NOON + timedelta(seconds=10)
    else:
        town.post(town.ann, "@AcmeHelp late", ago=30, shown_after=40)
        town.post(town.bo, "@AcmeHelp quick", ago=20)
    with town.served() as url:
        connector = desk.connector(url, town)
        first, cursor = drain(connector, stream)
        town.clock.move(30)
        second, cursor = drain(connector, stream, cursor)
        town.clock.move(30)
        third, _ = drain(connector, stream, cursor)
    assert [len(texts(p)) for p in (first, second, third)] == [1, 1, 0]
    assert "late" in texts(second)[0]


def test_an_edited_post_keeps_its_identity(town: Town, desk: Desk) -> None:
    """An edit on X makes a new id: we still see one complaint, with its first time and its newest words."""
    complaint = town.post(town.ann, "@AcmeHelp it is boken", ago=120)
    with town.served() as url:
        connector = desk.connector(url, town)
        (before,), cursor = drain(connector, "mentions")
        change = town.edit(complaint, "@AcmeHelp it is broken")
        town.clock.move(30)
        (after,), _ = drain(connector, "mentions", cursor)
    (old,), (new,) = before.messages, after.messages
    assert new.id == old.id == complaint.id
    assert (new.aliases, new.edited_at) == ((change.id,), NOON)
    assert new.created_at == old.created_at == NOON - timedelta(seconds=120)
    assert new.text == "@AcmeHelp it is broken"


def test_long_posts_are_read_to_their_end(town: Town, desk: Desk) -> None:
    """The complaint's last word counts, also beyond the 280 characters that X shows first."""
    town.post(town.ann, "@AcmeHelp " + "so long " * 60 + "& <broken>", ago=5)
    with town.served() as url:
        (message,) = desk.connector(url, town).poll("mentions", None, 5).messages
    assert message.text.endswith("so long & <broken>")


@pytest.mark.parametrize("stream", ["mentions", "search", "dms", "own"])
def test_the_first_run_looks_back_only_so_far(town: Town, desk: Desk, stream: str) -> None:
    """The first start on an old account reads a day, not years; and says when it is complete."""
    for ago in (90_000, 100):
        if stream == "dms":
            town.dm(town.ann, town.help, f"acme {ago}", ago=ago)
        else:
            town.post(town.help if stream == "own" else town.ann, f"@AcmeHelp acme {ago}", ago=ago)
    with town.served() as url:
        pages, _ = drain(desk.connector(url, town), stream)
    assert [t.split()[-1] for t in texts(pages)] == ["100"]
    assert pages[-1].complete_through == NOON - timedelta(seconds=2)


def test_a_quiet_first_run_takes_its_mark(town: Town, desk: Desk) -> None:
    """Where nothing was there at first, what comes later is read, and nothing is called lost."""
    with town.served() as url:
        connector = desk.connector(url, town)
        for stream in ("mentions", "search", "dms", "own"):
            _, cursor = drain(connector, stream)
            town.clock.move(100)
            author = town.help if stream == "own" else town.ann
            if stream == "dms":
                town.dm(town.ann, town.help, "acme!", ago=5)
            else:
                town.post(author, "@AcmeHelp acme!", ago=5)
            pages, _ = drain(connector, stream, cursor)
            assert len(texts(pages)) == 1, stream
            assert [p.gap for p in pages] == [None]


def test_after_a_week_of_silence_search_still_works_and_nothing_is_called_lost(
    town: Town, desk: Desk
) -> None:
    """X refuses ids older than seven days: a quiet keyword, looked for every day, must not break on that."""
    town.post(town.ann, "acme once", ago=10)
    with town.served() as url:
        connector = desk.connector(url, town)
        pages, cursor = drain(connector, "search")
        for _ in range(10):
            town.clock.move(86_400)
            pages, cursor = drain(connector, "search", cursor)
            assert [p.gap for p in pages] == [None]
        town.post(town.ann, "acme again", ago=10)
        pages, _ = drain(connector, "search", cursor)
    assert texts(pages) == ["acme again"]


@pytest.mark.parametrize(("stream", "days"), [("search", 9), ("dms", 40)])
def test_a_daemon_that_was_off_too_long_says_what_it_cannot_know(
    town: Town, desk: Desk, stream: str, days: int
) -> None:
    """After more days off than X shows, what remains is read, and the hole is told rather than hidden."""
    town.post(town.ann, "acme once", ago=10)
    town.dm(town.ann, town.help, "acme once", ago=10)
    with town.served() as url:
        connector = desk.connector(url, town)
        _, cursor = drain(connector, stream)
        town.clock.move(days * 86_400)
        town.post(town.ann, "acme now", ago=10)
        town.dm(town.ann, town.help, "acme now", ago=10)
        pages, _ = drain(connector, stream, cursor)
    assert texts(pages) == ["acme now"]
    gap = pages[0].gap
    assert gap is not None
    assert "2026-11-02 12:00" in gap


def test_a_mark_that_x_refuses_is_replaced_by_a_time_with_the_gap_told(town: Town, desk: Desk) -> None:
    """Where X finds our last id too old for a stream, the stream goes on by time instead of stopping."""

    def refuse(request: Request) -> Response:
        if "since_id" not in request.query_params:
            return told({"meta": {"result_count": 0}})
        error = {
            "parameters": {"since_id": ["1"]},
            "message": "'since_id' must be a tweet id created after 2026-10-26T12:00Z. Use a larger one",
        }
        return told({"errors": [error], "type": "https://api.x.com/2/problems/invalid-request"}, 400)

    with Served(anything(refuse)) as server:
        connector = desk.connector(server.url, town)
        cursor = connector.poll("mentions", None, 5).cursor
        pages, _ = drain(connector, "mentions", cursor)
    assert [p.gap is not None for p in pages] == [True, False]
    assert pages[-1].complete_through is not None


def test_a_page_that_leads_to_itself_does_not_go_on_for_ever(town: Town, desk: Desk) -> None:
    """A broken page token ends the drain with a gap, instead of spending the rate limit on one page."""
    with Served(anything(lambda _: told({"meta": {"result_count": 0, "next_token": "again"}}))) as server:
        pages, _ = drain(desk.connector(server.url, town), "mentions")
    assert len(pages) == 2
    assert pages[-1].gap is not None


def test_a_cursor_of_another_version_starts_anew_and_says_so(town: Town, desk: Desk) -> None:
    """After a downgrade the stream is read again from its look-back: nothing is stuck, and it is told."""
    town.post(town.ann, "@AcmeHelp hello", ago=5)
    with town.served() as url:
        page = desk.connector(url, town).poll("mentions", {"v": 2, "odd": True}, 5)
    assert len(page.messages) == 1
    assert page.gap is not None


def test_our_own_cadence_bears_the_limit_on_direct_messages(town: Town, desk: Desk) -> None:
    """Reading DMs at the default cadence for two hours never runs into X's 15 readings in 15 minutes."""
    with town.served() as url:
        connector = desk.connector(url, town)
        every = next(s.every_seconds for s in connector.streams if s.name == "dms")
        cursor = None
        for _ in range(int(7200 / every)):
            page = connector.poll("dms", cursor, 5)
            cursor = page.cursor
            town.clock.move(every)
    (budget,) = page.budgets
    assert (budget.name, budget.limit) == ("dms", 15)
    assert budget.remaining >= 1
    assert budget.resets_at is not None


def test_when_x_forgets_a_generation_of_fields_we_turn_to_the_other(town: Town, desk: Desk) -> None:
    """On the day that X ignores the old names of its fields, authors and threads are still read."""
    seen: list[str] = []

    def half_deaf(request: Request) -> Response:
        seen.append("post" if "post.fields" in request.query_params else "tweet")
        at = NOON - timedelta(seconds=9)
        id = town.world.new_id(town.ann.platform, at)
        whole: dict[str, Any] = {"id": id, "text": "@AcmeHelp hi"}
        if seen[-1] == "post":
            whole |= {"author_id": "7", "created_at": "2026-11-02T11:59:51.000Z"}
        return told({"data": [whole], "meta": {"result_count": 1}})

    with Served(anything(half_deaf)) as server:
        connector = desk.connector(server.url, town)
        first = connector.poll("mentions", None, 5)
        connector.poll("own", None, 5)
        fixed = desk.connector(server.url, town, fields="tweet").poll("mentions", None, 5)
    assert [m.author.id for m in first.messages] == ["7"]
    assert seen == ["tweet", "post", "post", "tweet"]
    assert ("author" in fixed.rejected[0].reason, fixed.messages) == (True, ())


def test_a_look_up_tells_edits_and_deletes_right_before_an_alert(town: Town, desk: Desk) -> None:
    """Before anybody is woken we learn that a post was deleted or changed; DMs are left alone."""
    kept, edited, deleted = (town.post(town.ann, f"@AcmeHelp {n}", ago=100) for n in range(3))
    town.edit(edited, "@AcmeHelp changed")
    deleted.deleted_at = NOON
    dm = town.dm(town.ann, town.help, "hi", ago=5)
    with town.served() as url:
        connector = desk.connector(url, town)
        page = connector.look_up([kept.id, edited.id, deleted.id, f"dm-{dm.id}"], 5)
        alone = connector.look_up([deleted.id], 5)
        none = connector.look_up([f"dm-{dm.id}"], 5)
    assert {m.id: m.text for m in page.messages} == {kept.id: "@AcmeHelp 0", edited.id: "@AcmeHelp changed"}
    assert [(g.id, g.at) for g in page.gone] == [(deleted.id, NOON)]
    assert ([g.id for g in alone.gone], alone.messages) == ([deleted.id], ())
    assert (none.messages, none.gone, none.reads) == ((), (), 0)
    with pytest.raises(Refused, match="at most 100"):
        connector.look_up([str(n) for n in range(101)], 5)


@pytest.mark.parametrize(("owned", "cost"), [(False, 0.045), (True, 0.033)])
def test_what_was_read_is_counted_and_priced_once_a_day(
    town: Town, desk: Desk, owned: bool, cost: float
) -> None:
    """The bill that the metrics show is X's: posts, people once, ourselves, nothing twice on one day."""
    for n in range(3):
        town.post(town.ann if n else town.bo, f"@AcmeHelp acme {n}", ago=20)
    with town.served() as url:
        connector = desk.connector(url, town, owned_app=owned)
        page = connector.poll("mentions", None, 5)
        same = connector.poll("search", None, 5)
        town.clock.move(80_000)
        next_day = connector.poll("search", None, 5)
    assert page.reads == 6
    assert page.cost_usd == pytest.approx(cost)
    assert (len(same.messages), same.reads, same.cost_usd) == (3, 0, 0.0)
    assert (len(next_day.messages), next_day.reads) == (3, 5)


def test_the_daily_budget_stops_customers_posts_first_and_our_own_last(town: Town, desk: Desk) -> None:
    """Near the budget we stop reading what customers write, but go on reading our answers, since without
    them everybody would seem unanswered; after it, all wait for midnight; a restart does not forget."""
    for n in range(7):
        town.post(town.ann, f"@AcmeHelp {n}", ago=50 - n)
    with town.served() as url:
        connector = desk.connector(url, town, daily_read_budget=10)
        page = connector.poll("mentions", None, 5)
        assert ("daily_reads", 1.0) in [(b.name, b.remaining) for b in page.budgets]
        restarted = desk.connector(url, town, daily_read_budget=10)
        for stopped in (connector, restarted):
            with pytest.raises(RetryAt, match="daily_read_budget = 10") as caught:
                stopped.poll("mentions", page.cursor, 5)
            assert (caught.value.limited, caught.value.at) == (True, NOON + timedelta(hours=12))
        town.post(town.help, "one", ago=9)
        town.post(town.help, "two", ago=8)
        own = connector.poll("own", None, 5)
        assert len(own.messages) == 2
        with pytest.raises(RetryAt, match="midnight UTC"):
            connector.poll("own", own.cursor, 5)
        town.clock.move(12 * 3600)
        assert connector.poll("mentions", page.cursor, 5).complete_through is not None


def test_credentials_of_another_account_are_noticed(town: Town, desk: Desk) -> None:
    """Keys pasted into the wrong brand's section are told by name, and nothing is read with them."""
    with town.served() as url:
        connector = desk.connector(url, town, handle="acme")
        assert "these belong to @acmehelp" in connector.identify(5).permissions_missing[0]
        with pytest.raises(NotAllowed, match="belong to @acmehelp, not to @acme"):
            connector.poll("own", None, 5)


def test_streams_follow_settings_credentials_and_keywords(town: Town, desk: Desk) -> None:
    """What cannot be read is not offered: no search without keywords, no DMs for an app, nothing switched
    off; and an unknown stream is refused."""
    every = {s.name: s for s in CAPABILITIES.streams}
    assert every["own"].direction is Direction.OUTBOUND
    assert (every["dms"].private, every["dms"].direction) == (True, Direction.BOTH)
    names = [s.name for s in desk.connector("http://127.0.0.1:9", town, keywords=()).streams]
    assert names == ["mentions", "dms", "own"]
    app = desk.connector("http://127.0.0.1:9", town, credentials=APP, mentions=False, own_every="45s")
    assert [(s.name, s.every_seconds) for s in app.streams] == [("search", 60), ("own", 45)]
    with pytest.raises(Refused, match="no stream 'dms'"):
        app.poll("dms", None, 5)


def test_a_keyword_that_does_not_fit_is_named() -> None:
    """X's search takes 512 characters: the one keyword too many is told, not silently left out."""
    assert search_query(["acme", 'the "best" kettle', "acme"], "help") == (
        '("acme" OR "the best kettle") -from:help -is:retweet'
    )
    words = [f"keyword number {n}" for n in range(20)]
    assert len(search_query(words[:19], "acmehelp")) <= 512
    with pytest.raises(Refused, match="'keyword number 19xx"):
        search_query([*words[:19], "keyword number 19" + "x" * 200], "acmehelp")
    with pytest.raises(Refused, match="no letter"):
        search_query(["..."], "acmehelp")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "no credentials: set consumer_key"),
        ({"consumer_key": {"env": "A"}}, "set consumer_secret, access_token, access_token_secret too"),
        ({"client_id": "abc"}, "set refresh_token too"),
        ({"client_secret": {"env": "A"}, "bearer_token": {"env": "B"}}, "more than one set"),
        ({"bearer_token": {"env": "A"}, "dms_every": "30s"}, "15 readings"),
        ({"bearer_token": {"env": "A"}, "handle": "not a handle"}, "handle"),
        ({"bearer_token": "pasted-secret"}, "secrets are not written into the config"),
        ({"bearer_token": {"env": "A"}, "api_url": "x.com"}, "expected a URL"),
        ({"bearer_token": {"env": "A"}, "colour": "red"}, "colour"),
    ],
)
def test_a_config_that_cannot_work_says_what_to_set(given: dict[str, Any], message: str) -> None:
    """A missing key, a wrong unit or a typing error is told at start, in words that say what to do."""
    with pytest.raises(ValueError, match=message):
        Settings.model_validate({"handle": "acmehelp"} | given)


def test_every_setting_says_what_it_is() -> None:
    """`init` writes each setting with its explanation beside it."""
    assert [n for n, f in Settings.model_fields.items() if not f.description] == []


def test_an_idle_daemon_does_not_load_tweepy() -> None:
    """tweepy costs memory: it is loaded with the first request, not with the config."""
    code = "import sys, connectors.x; print(sorted({'tweepy', 'requests_oauthlib'} & set(sys.modules)))"
    told_ = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert told_.stdout.strip() == "[]"


def test_the_cursor_is_small_and_plain_json(town: Town, desk: Desk) -> None:
    """The cursor is written with every page: it stays small however much is read."""
    for n in range(300):
        town.post(town.ann, f"@AcmeHelp {n}", ago=59 - n / 10)
    with town.served() as url:
        pages, cursor = drain(desk.connector(url, town), "mentions")
    assert len(texts(pages)) == 300
    assert len(json.dumps(cursor)) < 6000
