"""What every connector promises to which its platform pushes: one suite, one small bench for each.

A new one adds a bench and passes all of it; what is also polled stands on the other bench, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import connectors
from connectors.contract import Connector, Delivery, Receiving
from monitor.pushed import Deliveries
from monitor.store.store import read_store
from monitor.web.app import WebState, make_app
from rules.message import Message
from simulator.serve import Served
from simulator.world import FixedClock
from tests.connectors.chatwoot_support import ChatwootBench
from tests.connectors.webhook_support import WebhookBench
from tests.monitor.build import House, house
from tests.monitor.test_workers import core_of
from wire.errors import EdgeError, Malformed, NotAllowed

KEY = ("acme", "pushed", "acmehelp")


class PushBench(Protocol):
    """A platform with customers who ask and a brand that answers; it sends as the platform does."""

    connector: Connector
    clock: FixedClock
    secrets: tuple[str, ...]

    def ask(self, number: int) -> Delivery: ...
    def answer(self, number: int) -> Delivery: ...
    def forged(self, delivery: Delivery) -> list[Delivery]: ...
    def of(self, body: bytes) -> Delivery: ...


BENCHES: dict[str, Callable[[Path, pytest.MonkeyPatch], Any]] = {
    "webhook": WebhookBench,
    "chatwoot": ChatwootBench,
}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PushBench:
    """Each platform that pushes."""
    made: PushBench = BENCHES[request.param](tmp_path, monkeypatch)
    return made


def read(bench: PushBench, delivery: Delivery) -> list[Message]:
    """All that a delivery says."""
    assert isinstance(bench.connector, Receiving)
    received = bench.connector.receive(delivery)
    assert set(received.pages) <= {stream.name for stream in bench.connector.streams}
    return [message for page in received.pages.values() for message in page.messages]


def test_every_connector_that_is_pushed_to_is_on_the_bench() -> None:
    """A new one is not forgotten here."""
    pushed = {name for name in connectors.REGISTRY if connectors.load(name).CAPABILITIES.pushed}
    assert set(BENCHES) == pushed


def test_a_question_and_its_answer_are_understood(bench: PushBench) -> None:
    """Who asked, what, when; and that a person of the brand answered just that."""
    (asked,) = read(bench, bench.ask(1))
    assert asked.inbound and asked.text and asked.author.id and asked.created_at.tzinfo is UTC
    (answered,) = read(bench, bench.answer(1))
    assert answered.author.brand and answered.conversation == asked.conversation
    assert answered.parent in (asked.id, None) and answered.id != asked.id
    (other,) = read(bench, bench.ask(2))
    assert other.id != asked.id and other.author.id != asked.author.id


def test_the_same_delivery_says_the_same_twice(bench: PushBench) -> None:
    """Platforms send again what they are not sure of."""
    assert read(bench, bench.ask(1)) == read(bench, bench.ask(1))


def test_what_is_forged_is_not_read(bench: PushBench) -> None:
    """No signature, a wrong one, one for another body, an old one: all refused, and no secret is said."""
    forged = bench.forged(bench.ask(1))
    assert len(forged) >= 3
    for delivery in forged:
        with pytest.raises(NotAllowed) as told:
            read(bench, delivery)
        assert not any(secret in str(told.value) for secret in bench.secrets)


def test_what_makes_no_sense_is_malformed(bench: PushBench) -> None:
    """A sender who proved who it is and sends rubbish is told so."""
    for body in (b"", b"{", b"[]", b"null", b"\xff", b"<html>", b'{"a": NaN}', b"[" * 100_000):
        with pytest.raises(Malformed):
            read(bench, bench.of(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_nothing_that_is_signed_breaks_it(bench: PushBench) -> None:
    """Any JSON at all, and any change of a real delivery, is read or refused in our own words."""
    real = [json.loads(bench.ask(1).body), json.loads(bench.answer(1).body)]

    @settings(max_examples=150, deadline=None, database=None)
    @given(st.sampled_from(real), JSON, st.integers(0, 40))
    def holds(whole: Any, other: Any, place: int) -> None:
        for body in (other, _with(whole, other, place)):
            try:
                read(bench, bench.of(json.dumps(body).encode("utf-8", "surrogatepass")))
            except EdgeError:
                continue

    holds()


def _with(whole: Any, other: Any, place: int) -> Any:
    """The same with another value at some place."""
    places = list(_places(whole))
    path = places[place % len(places)]

    def changed(value: Any, path: tuple[Any, ...]) -> Any:
        if not path:
            return other
        if isinstance(value, dict):
            return {**value, path[0]: changed(value[path[0]], path[1:])}
        return [changed(v, path[1:]) if n == path[0] else v for n, v in enumerate(value)]

    return changed(whole, path)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*path, key))


def test_up_to_when_all_is_known_moves_on(bench: PushBench) -> None:
    """A claim that nobody answered would wait for ever where a stream never says how far it has seen."""
    if bench.connector.capabilities.polled:
        pytest.skip("told by polling, which the other suite tests")
    bench.clock.move(600)
    for stream in bench.connector.streams:
        seen = bench.connector.poll(stream.name, None, 10).complete_through
        assert seen is not None and bench.clock.now() - timedelta(minutes=2) < seen <= bench.clock.now()


class Knocking:
    """The accounts' addresses over real HTTP, on a real store."""

    def __init__(self, url: str, home: House) -> None:
        self._url = url
        self._home = home

    def send(self, delivery: Delivery, path: str = "/".join(KEY)) -> tuple[int, bytes]:
        """Send it; the answer's status and body."""
        asked = Request(f"{self._url}/webhooks/{path}", delivery.body, dict(delivery.headers), method="POST")
        try:
            with urlopen(asked, timeout=10) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def stored(self) -> int:
        """How many messages are stored."""
        reader = read_store(self._home.path)
        try:
            return sum(1 for _ in reader.connection.execute("SELECT 1 FROM messages"))
        finally:
            reader.close()


@contextmanager
def knocking(bench: PushBench, tmp_path: Path) -> Iterator[Knocking]:
    home = house(tmp_path)
    noted: list[str] = []
    with core_of(home) as core:
        deliveries = Deliveries({KEY: bench.connector}, core, bench.clock.now, lambda _, o: noted.append(o))
        state = WebState(ready=list, deliver=deliveries.deliver)
        with Served(make_app(CollectorRegistry(), state)) as server:
            yield Knocking(server.url, home)


def test_it_is_answered_after_the_commit_and_what_comes_twice_is_one(
    bench: PushBench, tmp_path: Path
) -> None:
    """A sender that hears of a success may forget it; one that does not may send it again."""
    with knocking(bench, tmp_path) as door:
        status, _ = door.send(bench.ask(1))
        assert status < 300 and door.stored() == 1
        assert door.send(bench.ask(1))[0] < 300 and door.stored() == 1
        assert door.send(bench.answer(1))[0] < 300 and door.stored() == 2
        assert {door.send(each)[0] for each in bench.forged(bench.ask(2))} == {401}
        assert door.send(bench.of(b"{"))[0] == 400 and door.stored() == 2
        assert door.send(bench.ask(1), "acme/pushed/nobody")[0] == 404


def test_what_cannot_be_stored_is_asked_for_again(bench: PushBench, tmp_path: Path) -> None:
    """A daemon that stops, or cannot write, loses nothing: the sender hears of no success."""
    home = house(tmp_path)
    with core_of(home) as core:
        deliveries = Deliveries({KEY: bench.connector}, core, bench.clock.now, lambda *_: None, 0.1)
    answer = deliveries.deliver(KEY, bench.ask(1))  # the daemon is stopping
    assert answer.status == 503 and answer.retry_seconds
