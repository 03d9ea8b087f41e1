"""What taking messages in promises: nothing lost, nothing doubled, the same whatever the order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import Gone, Page
from monitor.ingest import IMPORTED, Arrival, ingest
from monitor.store.codec import case_to_json
from rules.case import Status
from rules.message import Author
from tests.monitor.build import MENTIONS, at, brand, customer, house

THREAD = [
    customer("1", 0, conversation="t", who="ana"),
    customer("2", 1, conversation="t", who="ben", text="@acme same here, broken since Monday"),
    brand("3", 2, "1", conversation="t"),
    brand("4", 2.4, "3", conversation="t", text="2/2 and it will be there tomorrow"),
    brand("5", 6, None, conversation="t", to=("ben",)),
    customer("6", 7, conversation="t", who="ana", parent="4", text="still nothing, @acme?"),
    customer("7", 8, conversation="t", who="cleo", parent="6", text="@acme where is my refund"),
    brand("8", 20, None, conversation="t"),
]


def test_each_customer_of_a_thread_is_answered_by_what_answers_them(tmp_path: Path) -> None:
    """Several customers under one post: a reply to one is no answer to the others."""
    home = house(tmp_path)
    home.take(30, *THREAD)
    found = {c.place.customer: (c.status, c.first_response_seconds) for c in home.cases()}
    assert found["ana"] == (Status.WAITING, 120)  # she was answered, and asks again
    assert found["ben"] == (Status.ANSWERED, 300)
    # "8" names nobody; Ana waits for a second answer and Cleo for a first one, so it is nobody's.
    assert found["cleo"] == (Status.WAITING, None)


@given(st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_any_doubling_gives_the_same_cases(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, size: int
) -> None:
    """A reply before its parent, a page twice, pages of any size: the same cases, bit for bit."""
    straight = house(tmp_path_factory.mktemp("a"))
    straight.take(30, *THREAD)
    shuffled = [*THREAD, *chance.sample(THREAD, 3)]
    chance.shuffle(shuffled)
    other = house(tmp_path_factory.mktemp("b"))
    for start in range(0, len(shuffled), size):
        other.take(30, *shuffled[start : start + size])
    assert [case_to_json(c) for c in other.cases()] == [case_to_json(c) for c in straight.cases()]
    assert other.count("cases_opened") == straight.count("cases_opened") == 3


def test_the_same_page_twice_changes_nothing(tmp_path: Path) -> None:
    """At-least-once fetching counts nothing twice."""
    home = house(tmp_path)
    home.take(1, customer("1", 0))
    again = home.take(2, customer("1", 0))
    assert (again.new, again.folded.changed) == (0, 0)
    assert home.count("messages") == 1


def test_a_late_earlier_message_moves_the_clock_and_keeps_the_case_findable(tmp_path: Path) -> None:
    """The case opens earlier, is counted once, and its old id still leads to it."""
    from monitor.act import find_case

    home = house(tmp_path)
    home.take(5, customer("2", 4, conversation="t"))
    home.take(6, customer("1", 0, conversation="t"))
    (case,) = home.cases()
    assert (case.first_message_id, case.due_at) == ("1", at(15))
    assert find_case(home.store, "acme/x/2").case.id == case.id
    assert home.count("cases_opened") == 1


def test_an_edit_keeps_the_first_text_and_shows_the_newest(tmp_path: Path) -> None:
    """Revisions in any order end in the newest text; the earlier ones are kept."""
    home = house(tmp_path)
    newest = customer("1", 0, text="@acme newest", edited_at=at(5))
    home.take(6, newest)
    home.take(7, customer("1", 0, text="@acme first"))
    home.take(8, customer("1", 0, text="@acme second", edited_at=at(2)))
    scope = home.store.scope("acme", "x")
    assert scope is not None
    message = home.store.messages(scope).read("1")
    assert message is not None and message.text == "@acme newest"
    texts = home.store.connection.execute("SELECT text FROM revisions ORDER BY edited_at").fetchall()
    assert texts == [("@acme first",), ("@acme second",)]


def test_a_reply_to_an_edited_post_finds_it_by_its_new_id(tmp_path: Path) -> None:
    """On X an edit has a new id, and an answer may name either."""
    home = house(tmp_path)
    home.take(1, customer("1", 0, conversation="t"))
    home.take(5, brand("9", 4, "1b", conversation="t"))
    home.take(6, customer("1", 0, conversation="t", text="@acme edited", edited_at=at(2), aliases=("1b",)))
    (case,) = home.cases()
    assert case.first_response_seconds == 240


def test_a_deleted_post_is_withdrawn_and_its_text_kept(tmp_path: Path) -> None:
    """Deleting ends the wait; what was written stays for the record."""
    home = house(tmp_path)
    home.take(1, customer("1", 0))
    home.take(5, gone=[Gone("1", at(4)), Gone("unknown", at(4))])
    (case,) = home.cases()
    assert (case.status, case.latest.stopped_at) == (Status.WITHDRAWN, at(4))


def test_what_sqlite_cannot_hold_is_quarantined_alone(tmp_path: Path) -> None:
    """A lone surrogate or a number of 70 bits spoils itself, not its page."""
    home = house(tmp_path)
    huge = customer("3", 0, author=Author("x", "x", followers=2**70))
    taken = home.take(1, customer("1", 0, text="bad \ud800 text"), huge, customer("2", 0))
    assert (taken.new, taken.rejected) == (1, 2)
    assert home.store.connection.execute("SELECT count(*) FROM rejected").fetchone() == (2,)


def test_a_post_dated_in_the_future_waits_from_when_we_saw_it(tmp_path: Path) -> None:
    """A platform's clock that runs ahead makes no negative wait."""
    home = house(tmp_path)
    home.take(1, customer("1", 600))
    assert home.cases()[0].opened_at == at(1)


def test_bots_of_the_brand_answer_nobody(tmp_path: Path) -> None:
    """A listed bot account's reply is stored, and the customer waits on."""
    home = house(tmp_path)
    home.take(3, customer("1", 0), brand("2", 1, "1", who="acmebot"))
    (case,) = home.cases()
    assert case.status is Status.WAITING and case.first_any_reply_at == at(1)


def test_the_page_and_its_cursor_are_one(tmp_path: Path) -> None:
    """If the page is not kept, the cursor has not moved either, so that it comes again."""
    from monitor.poll import StreamRef, prepare

    home = house(tmp_path)
    ref = StreamRef("acme", "x", "acme", MENTIONS)
    row = prepare(home.store, ref, at(0))
    page = Page((customer("1", 1),), {"v": 1, "mark": "1"}, complete_through=at(2))
    arrival = Arrival("acme", "x", "acme", "acme/mentions", page, stream=row, quiet_before=row.first_mark)
    home.store._database._failpoint = _boom  # a failure between the last statement and the commit
    with pytest.raises(ZeroDivisionError):
        ingest(home.store, home.policy, arrival, at(2))
    assert home.cases() == []
    assert prepare(home.store, ref, at(3)).cursor is None
    home.store._database._failpoint = lambda _name: None
    ingest(home.store, home.policy, arrival, at(2))
    after = prepare(home.store, ref, at(3))
    assert (after.cursor, after.complete_through) == ({"v": 1, "mark": "1"}, at(2))


def _boom(name: str) -> None:
    if name == "ingest.before_commit":
        raise ZeroDivisionError


def test_imports_and_the_first_run_are_quiet(tmp_path: Path) -> None:
    """Years of history are stored, measured and shown, and nobody is woken."""
    home = house(tmp_path)
    page = Page((customer("1", -600),), {})
    ingest(home.store, home.policy, Arrival("acme", "x", "acme", "i", page, quiet_before=IMPORTED), at(0))
    assert home.cases()[0].historic
    assert home.watch(1).said == 0
    assert home.store.cases.next_look() is None


def test_an_answer_to_our_post_addresses_us_even_if_our_post_comes_later(tmp_path: Path) -> None:
    """A customer who replies to the brand without naming it is heard."""
    home = house(tmp_path)
    reply = customer("2", 1, "this is still broken", conversation="p", parent="1", handles=())
    home.take(2, reply)
    assert not home.cases()[0].addressed
    home.take(3, brand("1", 0, None))
    assert home.cases()[0].addressed
