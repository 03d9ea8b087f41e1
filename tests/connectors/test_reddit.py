"""The Reddit connector against the simulated Reddit, over HTTP: what is read, and what is not lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Direction
from connectors.reddit import CAPABILITIES, Settings, search_queries
from rules.message import Kind
from simulator.faults import Fault, FaultKind, Faults
from simulator.serve import Served
from tests.connectors.reddit_support import NOON, Desk, Town, anything, drain, listing, texts
from wire.errors import EdgeError, Refused, RetryAt

STREAMS = ("inbox", "dms", "sent", "own", "search", "comments")


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, monkeypatch)
    yield desk
    desk.close()


def write(town: Town, stream: str, n: int, ago: float) -> Any:
    """Something that belongs into that stream."""
    match stream:
        case "dms":
            return town.dm(town.ann, town.help, f"acme {n}", ago=ago)
        case "sent":
            return town.dm(town.help, town.ann, f"acme {n}", ago=ago)
        case "search":
            return town.post(town.ann, f"acme {n}", ago=ago, sub="elsewhere")
    thread = town.post(town.bo, "tea", ago=100_000)
    author = town.help if stream == "own" else town.ann
    return town.comment(author, f"acme u/AcmeHelp {n}", thread, ago=ago)


@pytest.mark.parametrize("way", ["password", "refresh_token"])
def test_a_mention_and_our_answer_are_one_conversation(town: Town, desk: Desk, way: str) -> None:
    """With a password or a refresh token, a complaint in a thread and our reply to it belong together."""
    thread = town.post(town.bo, "which kettle?", ago=500)
    asked = town.comment(town.ann, "u/AcmeHelp mine leaks & <hisses>", thread, ago=300)
    town.comment(town.help, "sorry!", asked, ago=60)
    with town.served() as url:
        connector = desk.connector(url, town, way=way)
        (complaint,), _ = drain(connector, "inbox")
        pages, _ = drain(connector, "own")
        assert connector.identify(5).permissions_missing == ()
    (asked_message,) = complaint.messages
    (answer,) = [m for p in pages for m in p.messages]
    assert asked_message.id == f"t1_{asked.id}"
    assert asked_message.conversation == answer.conversation == f"t3_{thread.id}"
    assert (asked_message.parent, answer.parent) == (f"t3_{thread.id}", asked_message.id)
    assert (asked_message.inbound, answer.inbound) == (True, False)
    assert asked_message.text == "u/AcmeHelp mine leaks & <hisses>"
    assert asked_message.handles == ("acmehelp",)
    assert (asked_message.author.id, asked_message.author.handle) == ("ann_b", "Ann_B")
    assert asked_message.created_at == NOON - timedelta(minutes=5)
    assert asked_message.url is not None
    assert asked_message.url.endswith(f"/{asked.id}/")


def test_replies_to_us_reach_the_inbox_addressed_to_us(town: Town, desk: Desk) -> None:
    """Who answers our comment or our submission need not name us to be read."""
    ours = town.post(town.help, "new kettle", ago=500)
    said = town.comment(town.help, "it is blue", ours, ago=400)
    town.comment(town.ann, "mine is red", said, ago=300)
    town.comment(town.bo, "mine is late", ours, ago=200)
    with town.served() as url:
        pages, _ = drain(desk.connector(url, town), "inbox")
    messages = [m for p in pages for m in p.messages]
    assert [(m.text, m.to, m.conversation) for m in messages] == [
        ("mine is red", ("acmehelp",), f"t3_{ours.id}"),
        ("mine is late", ("acmehelp",), f"t3_{ours.id}"),
    ]


def test_private_messages_are_read_in_both_directions(town: Town, desk: Desk) -> None:
    """A private message and our answer share a conversation, are private, and know whom they are for."""
    first = town.dm(town.ann, town.help, "where is it?", ago=100)
    town.dm(town.help, town.ann, "on its way", ago=50, after=first)
    with town.served() as url:
        connector = desk.connector(url, town)
        (asked,) = connector.poll("dms", None, 5).messages
        (answer,) = connector.poll("sent", None, 5).messages
        assert connector.poll("inbox", None, 5).messages == ()
    assert (asked.kind, asked.public, asked.to) == (Kind.DM, False, ("acmehelp",))
    assert (answer.public, answer.to, answer.parent, answer.inbound) == (False, ("ann_b",), asked.id, False)
    assert asked.conversation == answer.conversation == asked.id == f"t4_{first.id}"
    assert (asked.text, answer.text) == ("My order\n\nwhere is it?", "on its way")
    gating = {s.name: (s.private, s.direction) for s in CAPABILITIES.streams}
    assert gating["sent"] == (True, Direction.OUTBOUND)
    assert gating["dms"] == (True, Direction.INBOUND)
    assert gating["own"] == (False, Direction.OUTBOUND)


def test_search_and_subreddits_find_whole_words_only(town: Town, desk: Desk) -> None:
    """A keyword is found as a word in any case, not inside another word, and our own posts are left out."""
    found = town.post(town.ann, "never again", title="ACME kettle broke", ago=90)
    town.post(town.bo, "the acmeist poets", ago=80)
    town.post(town.help, "buy acme kettles", ago=70)
    town.comment(town.bo, "I like Acme.", found, ago=60)
    town.comment(town.bo, "ask u/acmehelp about it", found, ago=50)
    town.comment(town.bo, "ask u/acmehelpers about it", found, ago=40)
    with town.served() as url:
        connector = desk.connector(url, town)
        searched, _ = drain(connector, "search")
        listed, _ = drain(connector, "comments")
    assert texts(searched) == ["ACME kettle broke\n\nnever again"]
    assert sorted(texts(listed)) == sorted(
        ["ACME kettle broke\n\nnever again", "I like Acme.", "ask u/acmehelp about it"]
    )


@pytest.mark.parametrize("stream", STREAMS)
def test_a_backlog_of_many_pages_is_read_whole_and_once(town: Town, desk: Desk, stream: str) -> None:
    """After a busy night everything is handed over exactly once; nothing is called complete before the end,
    and a restart changes nothing."""
    for n in range(230):
        write(town, stream, n, ago=2000 - n)
    with town.served() as url:
        first, cursor = drain(desk.connector(url, town), stream)
        town.clock.move(60)
        again, _ = drain(desk.connector(url, town), stream, cursor)
    assert sorted(int(t.split()[-1]) for t in texts(first)) == list(range(230))
    through = [p.complete_through for p in first]
    assert through == [None] * (len(first) - 1) + [NOON - timedelta(seconds=2)]
    assert texts(again) == []
    assert again[-1].complete_through == NOON + timedelta(seconds=58)
    assert [p.gap for p in first + again] == [None] * len(first + again)


def test_a_huge_backlog_leaves_room_between_its_pages(town: Town, desk: Desk) -> None:
    """After `pages_max` pages the rest waits for the next cadence, and what comes meanwhile is read too."""
    for n in range(350):
        write(town, "dms", n, ago=2000 - n)
    with town.served() as url:
        connector = desk.connector(url, town, pages_max=2)
        first, cursor = drain(connector, "dms")
        town.clock.move(30)
        write(town, "dms", 350, ago=1)
        second, cursor = drain(connector, "dms", cursor)
        third, _ = drain(connector, "dms", cursor)
    assert [p.has_more for p in first] == [True, False]
    assert first[-1].complete_through is None
    assert second[-1].complete_through == NOON - timedelta(seconds=2)
    assert sorted(int(t.split()[-1]) for t in texts(first + second + third)) == list(range(351))


def test_deleted_anchors_lose_nothing(town: Town, desk: Desk) -> None:
    """Where the entry at which the next page begins is deleted meanwhile, the rest is still read."""
    written = [write(town, "dms", n, ago=2000 - n) for n in range(150)]
    with town.served() as url:
        connector = desk.connector(url, town)
        page = connector.poll("dms", None, 5)
        for lost in (written[50], written[51]):  # the last two of the first page
            lost.deleted_at = NOON
        rest, cursor = drain(connector, "dms", page.cursor)
        town.clock.move(5)
        written[149].deleted_at = town.clock.now()  # the newest, which was our mark
        town.dm(town.ann, town.help, "acme 150")
        after, _ = drain(connector, "dms", cursor)
    assert {int(t.split()[-1]) for t in texts([page, *rest])} == set(range(150))
    assert [t.split()[-1] for t in texts(after)] == ["150"]
    assert [p.gap for p in [*rest, *after]] == [None] * len([*rest, *after])


def test_a_listing_that_ends_before_our_mark_says_what_may_lack(town: Town, desk: Desk) -> None:
    """Reddit shows 1,000 entries: where more came while we were off, the hole is told."""
    write(town, "sent", 0, ago=5)
    with town.served() as url:
        connector = desk.connector(url, town)
        _, cursor = drain(connector, "sent")
        town.clock.move(3000)
        for n in range(1100):
            write(town, "sent", n, ago=2000 - n)
        pages, _ = drain(desk.connector(url, town, pages_max=50), "sent", cursor)
    assert len(texts(pages)) == 1000
    assert pages[-1].gap is not None


def test_an_edited_comment_is_handed_over_again_and_only_once(town: Town, desk: Desk) -> None:
    """New words of a known complaint are seen, also in the inbox, which does not tell of edits."""
    thread = town.post(town.bo, "tea", ago=500)
    complaint = town.comment(town.ann, "u/AcmeHelp acme is fine", thread, ago=300)
    with town.served() as url:
        connector = desk.connector(url, town)
        cursors = {s: drain(connector, s)[1] for s in ("inbox", "comments")}
        town.clock.move(60)
        town.world.edit(complaint, town.clock.now(), "u/AcmeHelp acme is broken")
        town.clock.move(60)
        for stream, cursor in cursors.items():
            pages, onward = drain(connector, stream, cursor)
            (message,) = [m for p in pages for m in p.messages]
            assert (message.id, message.text) == (f"t1_{complaint.id}", "u/AcmeHelp acme is broken")
            assert message.edited_at is not None
            assert texts(drain(connector, stream, onward)[0]) == []


def test_looking_up_tells_of_edits_and_deletes(town: Town, desk: Desk) -> None:
    """Before somebody is told, a deleted comment is known to be gone, and a private message is skipped."""
    thread = town.post(town.ann, "acme!", ago=500)
    kept = town.comment(town.ann, "acme?", thread, ago=300)
    lost = town.comment(town.bo, "acme.", thread, ago=200)
    lost.deleted_at = NOON - timedelta(seconds=1)
    private = town.dm(town.ann, town.help, "psst", ago=10)
    with town.served() as url:
        connector = desk.connector(url, town)
        page = connector.look_up([f"t1_{kept.id}", f"t1_{lost.id}", f"t3_{thread.id}", f"t4_{private.id}"], 5)
        assert connector.look_up([f"t4_{private.id}"], 5).messages == ()
        with pytest.raises(Refused):
            connector.look_up(["t1_a,b"], 5)
    assert {m.id for m in page.messages} == {f"t1_{kept.id}", f"t3_{thread.id}"}
    assert [g.id for g in page.gone] == [f"t1_{lost.id}"]


def test_the_first_run_looks_back_only_so_far(town: Town, desk: Desk) -> None:
    """The first start on an old account reads a day, not years."""
    with town.served() as url:
        for stream in STREAMS:
            write(town, stream, 1, ago=90_000)
            write(town, stream, 2, ago=100)
            pages, _ = drain(desk.connector(url, town), stream)
            assert {t.split()[-1] for t in texts(pages)} == {"2"}, stream


def test_a_robot_of_reddit_is_known_as_one(town: Town, desk: Desk) -> None:
    """AutoModerator's remarks are no customer's."""
    town.comment(town.robot, "u/AcmeHelp read the rules", town.post(town.bo, "tea"), ago=5)
    with town.served() as url:
        (message,) = desk.connector(url, town).poll("inbox", None, 5).messages
    assert message.author.automated


def test_whatever_goes_wrong_on_the_way_everything_is_read(town: Town, desk: Desk) -> None:
    """Errors, broken bodies, doubled and malformed answers delay a backlog, and that is all."""
    for n in range(250):
        write(town, "dms", n, ago=2000 - n)
    faults = Faults(town.clock, seed=3)
    kinds = [FaultKind.ERROR, FaultKind.RATE_LIMIT, FaultKind.HTML, FaultKind.TRUNCATED]
    kinds += [FaultKind.DROP, FaultKind.DROP_AFTER, FaultKind.DOUBLE, FaultKind.MALFORMED]
    for kind in kinds:
        faults.once("/message/inbox", Fault(kind))
    failures, read, rejected, cursor = 0, set(), 0, None
    began = time.monotonic()
    with town.served(faults=faults) as url:
        connector = desk.connector(url, town)
        for _ in range(20):
            try:
                page = connector.poll("dms", cursor, 5)
            except EdgeError as error:
                failures += 1
                if isinstance(error, RetryAt) and error.at is not None:
                    town.clock.at = error.at
                continue
            cursor = page.cursor
            read |= {m.text for m in page.messages}
            rejected += len(page.rejected)
            if not page.has_more:
                break
    assert (failures, rejected) == (6, 1)
    assert len(read) == 250
    assert time.monotonic() - began < 4  # prawcore alone would have slept for longer between its retries


def test_a_hanging_reddit_costs_no_more_than_the_time_limit(town: Town, desk: Desk) -> None:
    """A Reddit that does not answer is left after the time limit, to be asked later."""
    faults = Faults(town.clock)
    faults.once("/message/inbox", Fault(FaultKind.HANG, seconds=3))
    with town.served(faults=faults) as url:
        began = time.monotonic()
        with pytest.raises(RetryAt):
            desk.connector(url, town).poll("dms", None, 0.5)
        assert time.monotonic() - began < 2


THING = {"id": "a", "name": "t1_a", "author": "x_y", "body": "hi", "link_id": "t3_b", "created_utc": 1.79e9}


@pytest.mark.parametrize(
    "change",
    [
        {"body": None},
        {"body": "\ud800"},
        {"body": "\0"},
        {"author": 7},
        {"author": "a b"},
        {"link_id": 3},
        {"name": "t3_a", "id": None},
        {"created_utc": None},
        {"created_utc": 9e9},
        {"created_utc": True},
        {"created_utc": "yesterday"},
    ],
)
def test_what_cannot_be_trusted_is_rejected_alone(town: Town, desk: Desk, change: dict[str, Any]) -> None:
    """One broken comment among good ones is put aside with its reason, and the good ones are read."""
    town.clock.at = NOON + timedelta(days=365)
    good = {"kind": "t1", "data": {**THING, "id": "c", "name": "t1_c"}}
    bad = {"kind": "t1", "data": {**THING, **change}}
    with Served(anything(lambda _: listing(bad, good, 7, {"kind": "t1"}))) as server:
        connector = desk.connector(server.url, town, look_back=7 * 86400)
        town.clock.at = NOON.fromtimestamp(1.79e9 + 60, NOON.tzinfo)
        page = connector.poll("inbox", None, 5)
    assert [m.id for m in page.messages] == ["t1_c"]
    assert len(page.rejected) == 3


def test_a_broken_private_message_shows_nothing_of_itself(town: Town, desk: Desk) -> None:
    """What could not be read of a private message is not kept for people to look at."""
    bad = {"kind": "t4", "data": {"id": "a", "name": "t4_a", "subject": "psst", "created_utc": 7}}
    with Served(anything(lambda _: listing(bad))) as server:
        pages = [desk.connector(server.url, town).poll(stream, None, 5) for stream in ("dms", "inbox")]
    (rejected,) = [r for page in pages for r in page.rejected]  # both read the inbox; one of them tells
    assert (rejected.id, rejected.excerpt) == ("t4_a", "")


def test_a_page_that_leads_to_itself_does_not_go_on_for_ever(town: Town, desk: Desk) -> None:
    """A broken next page ends the walk with a gap, instead of spending the rate limit on it."""
    thing = {"kind": "t1", "data": {**THING, "created_utc": NOON.timestamp() - 5}}
    with Served(anything(lambda _: listing(thing, after="t1_a"))) as server:
        pages, _ = drain(desk.connector(server.url, town), "inbox")
    assert len(pages) == 2
    assert pages[-1].gap is not None


def test_a_cursor_of_another_version_starts_anew_and_says_so(town: Town, desk: Desk) -> None:
    """After a downgrade the stream is read again from its look-back: nothing is stuck, and it is told."""
    write(town, "dms", 1, ago=5)
    with town.served() as url:
        page = desk.connector(url, town).poll("dms", {"v": 2, "odd": True}, 5)
    assert len(page.messages) == 1
    assert page.gap is not None


def test_a_praw_ini_in_the_working_directory_changes_nothing(town: Town, tmp_path: Path) -> None:
    """A planted praw.ini can neither take our credentials elsewhere, nor break us."""
    (tmp_path / "praw.ini").write_text(
        "[DEFAULT]\noauth_url=http://127.0.0.1:9\nreddit_url=http://127.0.0.1:9\nrefresh_token=evil\n"
        "ratelimit_seconds=x\ncomment_kind=t9\n[broken\n"
    )
    program = (
        "import sys, os\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import pytest, pathlib\n"
        "from tests.connectors.reddit_support import Desk, Town\n"
        "town, patch = Town(), pytest.MonkeyPatch()\n"
        "town.dm(town.ann, town.help, 'hello', ago=5)\n"
        "with town.served() as url:\n"
        "    desk = Desk(pathlib.Path('.'), patch)\n"
        "    print(len(desk.connector(url, town).poll('dms', None, 5).messages))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "praw_refresh_token": "evil"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_praw_is_loaded_only_when_reddit_is_asked() -> None:
    """A daemon without Reddit pays nothing for it."""
    program = "import sys, connectors.reddit; print('praw' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_searches_fit_reddit_and_name_what_does_not() -> None:
    """Many keywords are spread over a few searches; one that cannot be searched for is named."""
    queries = search_queries([f"acme kettle number {n}" for n in range(40)])
    assert len(queries) == 3
    assert all(len(q) <= 512 for q in queries)
    assert search_queries(["acme", 'the "acme"', "acme"]) == ('"acme" OR "the acme"',)
    for keyword in ("!!!", "a" * 600):
        with pytest.raises(Refused):
            search_queries([keyword])


@pytest.mark.parametrize(
    "change",
    [
        {"refresh_token": {"env": "R"}},
        {"password": None},
        {"username": "a b"},
        {"subreddits": ["a/../b"]},
        {"api_url": "ftp://x"},
        {"inbox_every": "0s"},
        {"user_agent": "a\nb: c"},
        {"colour": "red"},
    ],
)
def test_wrong_settings_are_refused_at_start(change: dict[str, Any]) -> None:
    """A config that cannot work is refused before anything runs."""
    right: dict[str, Any] = {
        "username": "/u/AcmeHelp",
        "client_id": "abc",
        "client_secret": {"env": "S"},
        "password": {"env": "P"},
        "user_agent": "linux:acme:1.0",
        "subreddits": ["r/Acme"],
    }
    settings = Settings.model_validate(right)
    assert (settings.username, settings.label, settings.subreddits) == ("acmehelp", "acmehelp", ("acme",))
    with pytest.raises(ValueError, match="validation error"):
        Settings.model_validate(right | change)
