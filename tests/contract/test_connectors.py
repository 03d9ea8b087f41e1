"""What every connector promises, whatever its platform: one suite, one small bench for each.

A new connector adds a bench and passes all of it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from connectors import REGISTRY, load
from connectors.contract import Connector, Direction, Outbound, Page
from simulator.faults import Fault, FaultKind, Faults
from simulator.world import FixedClock, Writing
from tests.connectors import (
    app_store_support,
    bluesky_support,
    email_support,
    google_play_support,
    mastodon_support,
    reddit_support,
    x_support,
)
from wire.errors import EdgeError, Malformed, NotAllowed, RetryAt

ASKED = 25


class Bench(Protocol):
    """A platform with customers who asked and a brand that answered."""

    incoming: str  # the stream that brings what customers write to the brand
    path: str  # what is asked of the platform for it
    clock: FixedClock
    secrets: tuple[str, ...]
    signs_in: frozenset[str]  # what is asked otherwise than by GET, to sign in

    def ask(self, text: str, ago: float) -> Writing: ...
    def answer(self, to: Writing, ago: float) -> Writing: ...
    def message_id(self, writing: Writing) -> str: ...
    def edit(self, writing: Writing, text: str) -> None: ...
    def served(self, faults: Faults | None) -> Any: ...
    def connector(self, url: str, look_back: float = 86400) -> Connector: ...


class XBench:
    incoming, path = "mentions", "/mentions"
    signs_in = frozenset({"/2/oauth2/token"})

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = x_support.Town()
        self.desk = x_support.Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        access = self.town.access
        self.secrets = (access.access_token, access.access_token_secret, access.consumer_secret)

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.post(self.town.ann, f"@AcmeHelp {text}", ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.post(self.town.help, "@ann_b we look into it", ago=ago, parent=to)

    def message_id(self, writing: Writing) -> str:
        return writing.id

    def edit(self, writing: Writing, text: str) -> None:
        self.town.edit(writing, text)

    def served(self, faults: Faults | None) -> Any:
        return self.town.served(faults=faults)

    def connector(self, url: str, look_back: float = 86400) -> Connector:
        return self.desk.connector(url, self.town, look_back=look_back, page_size=10)


class RedditBench:
    incoming, path = "inbox", "/message/"
    signs_in = frozenset({"/api/v1/access_token"})

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = reddit_support.Town()
        self.desk = reddit_support.Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        self.secrets = (self.town.access.client_secret, self.town.access.password)
        self.thread = self.town.post(self.town.bo, "a thread of somebody's", ago=3000)

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.comment(self.town.ann, f"u/AcmeHelp {text}", self.thread, ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.comment(self.town.help, "we look into it", to, ago=ago)

    def message_id(self, writing: Writing) -> str:
        return f"t1_{writing.id}"

    def edit(self, writing: Writing, text: str) -> None:
        self.town.world.edit(writing, self.town.clock.now(), text)

    def served(self, faults: Faults | None) -> Any:
        return self.town.served(faults=faults)

    def connector(self, url: str, look_back: float = 86400) -> Connector:
        return self.desk.connector(url, self.town, look_back=look_back)


BENCHES: dict[str, Callable[[Path, pytest.MonkeyPatch], Any]] = {
    "x": XBench,
    "reddit": RedditBench,
    "bluesky": bluesky_support.BlueskyBench,
    "mastodon": mastodon_support.MastodonBench,
    "email": email_support.EmailBench,
    "app_store": app_store_support.AppStoreBench,
    "google_play": google_play_support.GooglePlayBench,
}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Each platform, with customers who asked over the last minutes."""
    made: Bench = BENCHES[request.param](tmp_path, monkeypatch)
    asked = [made.ask(f"question {n}", ago=2000 - 60 * n) for n in range(ASKED)]
    made.answer(asked[0], ago=60)
    return made


@contextmanager
def faulty(bench: Bench, fault: Fault | None = None, times: int = 1) -> Iterator[str]:
    """The platform, and what befalls the first requests for the stream."""
    faults = Faults(bench.clock, seed=5)
    if fault is not None:
        faults.once(bench.path, fault, times)
    with bench.served(faults) as url:
        yield url


def read_all(make: Callable[[], Connector], stream: str, cursor: Any = None) -> list[Page]:
    """Read a stream to its end, with a new connector for every page: a restart between any two."""
    pages: list[Page] = []
    for _ in range(50):
        page = make().poll(stream, cursor, 10)
        pages.append(page)
        cursor = json.loads(json.dumps(page.cursor))
        if not page.has_more:
            return pages
    raise AssertionError("the stream never came to its end")


def is_private(connector: Connector, stream: str) -> bool:
    """Whether what is written there is for the brand's eyes only, as all mail is."""
    return next(s.private for s in connector.streams if s.name == stream)


def ids(pages: list[Page]) -> set[str]:
    """What customers wrote; where answers stand in what they answer, those come with it."""
    return {m.id for page in pages for m in page.messages if m.inbound}


def test_every_connector_is_on_the_bench() -> None:
    """A new connector is not forgotten here."""
    assert set(BENCHES) == {name for name in REGISTRY if load(name).CAPABILITIES.polled}


def test_a_restart_between_any_two_pages_loses_nothing(bench: Bench) -> None:
    """Every question comes, once, whatever the page size; then nothing more."""
    with faulty(bench) as url:
        pages = read_all(lambda: bench.connector(url), bench.incoming)
        again = read_all(
            lambda: bench.connector(url), bench.incoming, json.loads(json.dumps(pages[-1].cursor))
        )
    assert len(ids(pages)) == ASKED
    assert ids(again) <= ids(pages)


def test_messages_are_what_the_core_relies_on(bench: Bench) -> None:
    """Aware times, ids as text, no message of the brand in an inbound stream, a versioned cursor."""
    with faulty(bench) as url:
        pages = read_all(lambda: bench.connector(url), bench.incoming)
        connector = bench.connector(url)
        private = is_private(connector, bench.incoming)
        embedded = connector.capabilities.outbound is Outbound.EMBEDDED
    for page in pages:
        assert "v" in page.cursor
        for message in page.messages:
            assert message.created_at.tzinfo is UTC and message.public is not private
            assert message.inbound or embedded
            assert (message.brand, message.connector) == ("acme", message.connector)
            assert message.id and message.conversation and message.author.id and message.text


def test_the_brands_own_answer_is_seen_as_outbound(bench: Bench) -> None:
    """A connector that cannot see our replies would make every clock breach."""
    with faulty(bench) as url:
        connector = bench.connector(url)
        private = is_private(connector, bench.incoming)
        out = [s for s in connector.streams if s.direction is not Direction.INBOUND]
        own = [s.name for s in out if s.private is private]
        pages = [page for name in own for page in read_all(lambda: bench.connector(url), name)]
    answers = [m for page in pages for m in page.messages if not m.inbound]
    assert answers and all(m.author.brand for m in answers)
    assert any(m.parent is not None for m in answers)


def test_complete_means_drained_and_not_later_than_the_asking(bench: Bench) -> None:
    """Only a drained stream says how far it has seen, and never further than when it asked."""
    with faulty(bench) as url:
        pages = read_all(lambda: bench.connector(url), bench.incoming)
    assert all(page.complete_through is None for page in pages[:-1])
    last = pages[-1].complete_through
    assert last is not None and bench.clock.now() - timedelta(minutes=1) < last < bench.clock.now()


FAULTS: list[tuple[Fault, type[EdgeError]]] = [
    (Fault(FaultKind.ERROR, status=401), NotAllowed),
    (Fault(FaultKind.ERROR, status=403), NotAllowed),
    (Fault(FaultKind.ERROR, status=500), RetryAt),
    (Fault(FaultKind.ERROR, status=503), RetryAt),
    (Fault(FaultKind.RATE_LIMIT), RetryAt),
    (Fault(FaultKind.RATE_LIMIT, headers=(("retry-after", "30"),)), RetryAt),
    (Fault(FaultKind.HTML), Malformed),
    (Fault(FaultKind.TRUNCATED), Malformed),
    (Fault(FaultKind.DROP), RetryAt),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=lambda v: getattr(v, "kind", ""))
def test_each_failure_is_told_in_the_one_vocabulary_and_loses_nothing(
    bench: Bench, fault: Fault, expected: type[EdgeError]
) -> None:
    """The right type, no secret in its words, and the next poll brings everything."""
    with faulty(bench) as url:
        bench.connector(url).identify(10)
    # A client may answer a 401 by renewing its token and asking once more: that does not help here.
    with faulty(bench, fault, times=3 if fault.status == 401 else 1) as url:
        connector = bench.connector(url)
        with pytest.raises(expected) as told:
            connector.poll(bench.incoming, None, 10)
        if fault.kind is FaultKind.RATE_LIMIT:
            assert isinstance(told.value, RetryAt) and told.value.limited
        assert not any(secret in str(told.value) + repr(told.value) for secret in bench.secrets)
        bench.clock.move(3600)
    with faulty(bench) as url:
        pages = read_all(lambda: bench.connector(url), bench.incoming)
    assert len(ids(pages)) == ASKED


def test_a_hanging_platform_holds_nobody_longer_than_the_limit(
    bench: Bench, stopwatch: Callable[[], float]
) -> None:
    """A time-out is a failure like any other, and comes in time."""
    with faulty(bench) as url:
        connector = bench.connector(url)
        connector.identify(10)
    with faulty(bench, Fault(FaultKind.HANG, seconds=4)) as url:
        connector = bench.connector(url)
        began = stopwatch()
        with pytest.raises(RetryAt):
            connector.poll(bench.incoming, None, 0.5)
        assert stopwatch() - began < 3


@pytest.mark.parametrize("kind", [FaultKind.DOUBLE, FaultKind.MALFORMED])
def test_doubled_and_broken_things_spoil_nothing_else(bench: Bench, kind: FaultKind) -> None:
    """Everything that is whole comes; what is broken is rejected with a reason."""
    with faulty(bench, Fault(kind)) as url:
        pages = read_all(lambda: bench.connector(url), bench.incoming)
    assert len(ids(pages)) == ASKED
    if kind is FaultKind.MALFORMED:
        assert [r.reason for page in pages for r in page.rejected]


def test_the_first_run_goes_back_no_further_than_asked(bench: Bench) -> None:
    """Ten minutes of look-back bring ten minutes."""
    with faulty(bench) as url:
        pages = read_all(lambda: bench.connector(url, look_back=900), bench.incoming)
    times = [m.created_at for page in pages for m in page.messages]
    assert times and min(times) >= bench.clock.now() - timedelta(seconds=960)


def test_a_look_up_tells_what_is_gone_and_what_changed(bench: Bench) -> None:
    """Right before people are told: is it still there, and does it still say that? (Where a platform has no
    edits, it says what it said; where it has no deletes either, there is nothing to tell.)"""
    gone, changed, still = (bench.ask(f"{word} one", ago=300) for word in ("gone", "changed", "still"))
    gone.deleted_at = bench.clock.now()
    with faulty(bench) as url:
        connector = bench.connector(url)
        edits, deletes = connector.capabilities.edits, connector.capabilities.deletes
        if edits:
            bench.edit(changed, "quite another thing")
        bench.clock.move(10)
        wanted = [bench.message_id(w) for w in (gone, changed, still)]
        page = connector.look_up(wanted, 10)
    if not (edits or deletes):
        assert page == Page((), {})
        return
    assert {g.id for g in page.gone} == {bench.message_id(gone)}
    found = {m.id: m.text for m in page.messages}
    said = "quite another thing" if edits else "changed one"
    assert said in found[bench.message_id(changed)]


def test_all_that_a_platform_hears_of_us_are_questions(bench: Bench) -> None:
    """Every stream read, a message looked up, who we are: nothing is written, liked, marked or deleted."""
    faults = Faults(bench.clock, seed=5)
    with bench.served(faults) as url:
        connector = bench.connector(url)
        connector.identify(10)
        pages = [connector.poll(stream.name, None, 10) for stream in connector.streams]
        public = not is_private(connector, bench.incoming)
        ids = [message.id for page in pages for message in page.messages if message.public is public]
        connector.look_up(ids[:10], 10)
        connector.close()
    assert ids and faults.asked
    assert {path for method, path in faults.asked if method != "GET"} <= bench.signs_in


def test_who_we_are_is_said(bench: Bench) -> None:
    """`check` names the account that the credentials belong to."""
    with faulty(bench) as url:
        who = bench.connector(url).identify(10)
    assert re.split("[.@]", who.handle.lower())[0] == "acmehelp" and who.permissions_missing == ()


def test_a_connector_that_is_not_configured_costs_no_import() -> None:
    """An idle daemon stays small."""
    words = (
        "import connectors, monitor.config, monitor.load, sys;"
        "print([m for m in ('tweepy', 'praw', 'imap_tools', 'jwt') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
