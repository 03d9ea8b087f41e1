"""From public to private ("please DM us"): one case, in the core and through the steps, in any order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.contract import Direction, Page, Stream
from monitor.act import act, find_case, rebuild
from monitor.dispatch import dispatch_once
from monitor.ingest import Arrival, ingest
from monitor.poll import StreamRef, prepare
from monitor.store.codec import case_to_json
from monitor.watch import said_of
from rules.attribution import Rung
from rules.case import Action, Case, ClockName, Part, Status, Word
from rules.fold import Made, fold_threads
from rules.message import Kind, Message
from rules.policies import FoldPolicy, Policies
from rules.targets import Target
from tests.monitor.build import NOON, OWN, House, Sink, brand, customer, house, policy
from tests.rules.build import PLACE, asks, at, replies, says, verdict

FIRST, NEXT = ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE
BOTH = Target("public", 900.0, 900.0, warnings=(0.5, 0.8), needs_reply_only=False)
DAY = 24 * 60.0
Waits = list[tuple[ClockName, float, float | None]]


def waits_of(case: Case) -> Waits:
    """(which, start, stop) in minutes."""

    def minute(moment: datetime | None) -> float | None:
        return None if moment is None else (moment - NOON).total_seconds() / 60

    return [(c.name, minute(c.started_at) or 0.0, minute(c.stopped_at)) for c in case.clocks]


# The core alone.


def dm(id: str, minutes: float, **more: Any) -> Part:
    return asks(id, minutes, thread="dm", public=False, kind=Kind.DM, **more)


def dm_back(id: str, minutes: float, **more: Any) -> Part:
    return replies(id, minutes, thread="dm", public=False, kind=Kind.DM, **more)


def folded(*told: Part | Action) -> list[Made]:
    parts = [p for p in told if isinstance(p, Part)]
    said = [a for a in told if isinstance(a, Action)]
    return fold_threads(PLACE, parts, said, FoldPolicy((BOTH,)))


def test_a_public_complaint_that_goes_on_by_dm_is_one_case() -> None:
    """Asked in public, "please DM us", goes on in private: one case that holds both, two waits."""
    (made,) = folded(asks("1", 0), replies("2", 5), dm("3", 8), dm_back("4", 12))
    assert made.holds == {"1", "3"} and made.threads == (("dm", at(8)),)
    assert waits_of(made.case) == [(FIRST, 0, 5), (NEXT, 8, 12)]
    assert (made.case.id, made.case.public, made.case.first_response_seconds) == ("acme/x/1", True, 300)


def test_a_dm_before_any_answer_joins_the_wait() -> None:
    """Who asks in public and then in private waits once, from the first word."""
    (made,) = folded(asks("1", 0), dm("3", 8), dm_back("4", 12))
    assert waits_of(made.case) == [(FIRST, 0, 12)]


def test_a_public_answer_ends_what_was_asked_in_both() -> None:
    """Answered in public after the DM: that counts."""
    (made,) = folded(asks("1", 0), dm("3", 8), replies("4", 12))
    assert waits_of(made.case) == [(FIRST, 0, 12)]


def test_a_brand_that_writes_a_dm_first_has_answered() -> None:
    """No public word of ours, a private message to her: the first response is that."""
    (made,) = folded(asks("1", 0), dm_back("2", 6), dm("3", 9))
    assert waits_of(made.case) == [(FIRST, 0, 6), (NEXT, 9, None)]
    assert made.threads == (("dm", at(6)),)


def test_a_machines_dm_answers_nobody() -> None:
    """ "Thanks for reaching out" by DM, from a machine: she waits on."""
    (made,) = folded(asks("1", 0), dm_back("2", 6, automated=True))
    assert waits_of(made.case) == [(FIRST, 0, None)]


def test_a_dm_without_a_public_case_is_a_case_of_its_own() -> None:
    """Private from the start; a later public complaint is another case."""
    dm_case, public_case = folded(dm("3", 0), asks("1", 5))
    assert [dm_case.holds, public_case.holds] == [{"3"}, {"1"}]
    assert not dm_case.case.public and public_case.case.public
    assert (dm_case.threads, public_case.threads) == ((), ())


def test_a_dm_that_is_a_case_already_is_not_taken_over() -> None:
    """Her DM was first; it stays a case of its own while it goes on, whatever she says in public."""
    dm_case, public_case = folded(dm("3", 0), asks("1", 5), dm("4", 6), dm_back("5", 10))
    assert [dm_case.holds, public_case.holds] == [{"3", "4"}, {"1"}]
    assert waits_of(public_case.case) == [(FIRST, 5, None)]


def test_of_two_public_cases_the_one_last_spoken_in_goes_on() -> None:
    """Two complaints in two threads; the agent wrote last in the first one: the DM belongs there."""
    second = asks("2", 10, thread="t2")
    first, other = folded(asks("1", 0), second, replies("r", 20), dm("3", 25))
    assert [first.holds, other.holds] == [{"1", "3"}, {"2"}]
    first, other = folded(asks("1", 0), second, replies("r", 20, thread="t2"), dm("3", 25))
    assert [first.holds, other.holds] == [{"1"}, {"2", "3"}]


def test_our_private_message_answers_the_case_in_which_she_waits() -> None:
    """Answered in the second thread, and then a DM of ours: it is for the first, where she still waits."""
    second = (asks("2", 3, thread="t2"), replies("r", 10, thread="t2"))
    first, other = folded(asks("1", 0), *second, dm_back("4", 12))
    assert waits_of(first.case) == [(FIRST, 0, 12)]
    assert waits_of(other.case) == [(FIRST, 3, 10)]
    (answered,) = folded(asks("1", 0), replies("2", 5), dm_back("4", 6))
    assert answered.threads == ()


def test_after_a_day_of_silence_a_dm_is_a_new_case() -> None:
    """Answered on Monday, a DM on Wednesday: a new wait from then, not a next response."""
    made = folded(asks("1", 0), replies("2", 5), dm("3", 5 + DAY))
    assert [m.holds for m in made] == [{"1"}, {"3"}]
    assert waits_of(made[1].case) == [(FIRST, 5 + DAY, None)]
    within = folded(asks("1", 0), replies("2", 5), dm("3", 4 + DAY))
    assert [m.holds for m in within] == [{"1", "3"}]


def test_a_dm_keeps_the_public_case_open() -> None:
    """Spoken in private yesterday: the public thread is not silent, and what she writes there goes on."""
    made = folded(asks("1", 0), replies("2", 5), dm("3", DAY), dm_back("4", DAY + 5), asks("5", 2 * DAY))
    assert [m.holds for m in made] == [{"1", "3", "5"}]


def test_a_word_about_the_dm_is_a_word_about_the_case() -> None:
    """Resolved by the id of either message: it is over in both places."""
    for id in ("1", "3"):
        (made,) = folded(asks("1", 0), dm("3", 8), says(Word.RESOLVE, id, 10))
        assert made.case.status is Status.RESOLVED
        assert waits_of(made.case) == [(FIRST, 0, 10)]


def test_thanks_by_dm_start_nothing() -> None:
    """The all-clear may come in private too."""
    calm = verdict(complaint=False, needs_reply=False)
    (made,) = folded(asks("1", 0), replies("2", 5), dm("3", 8, verdict=calm))
    assert made.holds == {"1", "3"} and waits_of(made.case) == [(FIRST, 0, 5)]


# Through the steps and the store.

DMS = Stream("dms", Direction.BOTH, 90.0, private=True)
PRIVATE: dict[str, Any] = {"conversation": "dm-ana", "kind": Kind.DM, "public": False, "handles": ()}
SEEN = 3 * DAY


def asks_by_dm(id: str, minute: float, text: str = "my order 42 is still not here!", **more: Any) -> Message:
    return customer(id, minute, text, **{**PRIVATE, **more})


def writes_dm(id: str, minute: float, **more: Any) -> Message:
    return brand(id, minute, None, **{**PRIVATE, "to": ("ana",), **more})


def with_next(folder: Path, **changes: Any) -> House:
    """A house that promises fifteen minutes for each next response too."""
    fold = Policies.of(FoldPolicy((BOTH,)))
    return house(folder, brands={"acme": replace(policy().brands["acme"], fold=fold)}, **changes)


def live(home: House, sink: Sink, start: float, end: float) -> None:
    """Every half minute the house looks, and the channel speaks."""
    for n in range(int((end - start) * 2) + 1):
        home.watch(start + n / 2)
        while dispatch_once(home.store, home.policy, "care", sink, at(start + n / 2)).outcome != "idle":
            pass


def heard(sink: Sink) -> list[tuple[str, str, int, int]]:
    """(stage, clock, repeat, minute) of all that was said of cases."""
    return [
        (str(a.stage), a.case.clock, a.repeat, int((a.at - NOON) / timedelta(minutes=1)))
        for a, _ in sink.sent
        if a.case is not None
    ]


COMPLAINT = customer("1", 0)
PLEASE_DM = brand("2", 5, "1", conversation="1", text="sorry to hear that, please DM us your order number")
TALK = (COMPLAINT, PLEASE_DM, asks_by_dm("3", 8))


def test_the_dm_leads_to_the_public_case(tmp_path: Path) -> None:
    """Whoever looks the DM up by its id, whole or bare, finds the one case; so does a word about it."""
    home = with_next(tmp_path)
    for minute, message in zip((1, 6, 9), TALK, strict=True):
        home.take(minute, message)
    (case,) = home.cases()
    assert waits_of(case) == [(FIRST, 0, 5), (NEXT, 8, None)]
    for id in ("1", "3", "acme/x/1", "acme/x/3"):
        assert find_case(home.store, id).case.id == "acme/x/1"
    done = act(home.store, home.policy, Action(Word.RESOLVE, "3", "olga", at(10)), at(10))
    assert (done.id, done.status) == ("acme/x/1", Status.RESOLVED)


def test_one_first_response_is_counted_and_one_case(tmp_path: Path) -> None:
    """The figures know one case, one first response of five minutes, one next response of four."""
    home = with_next(tmp_path)
    for minute, message in zip((1, 6, 9), TALK, strict=True):
        home.take(minute, message)
    home.take(13, writes_dm("4", 12))
    assert home.count("cases_opened") == 1
    assert home.count("first_response_seconds_bucket") == 1
    assert home.count("first_response_seconds_sum") == 300
    assert home.count("next_response_seconds_bucket") == 1
    assert home.count("next_response_seconds_sum") == 240
    assert home.count("first_response_corrections") == 0


def test_the_next_response_is_told_of_and_cleared_by_the_private_answer(tmp_path: Path) -> None:
    """12:08 a DM; 12:15:30 and 12:20 warnings of it, 12:23 the breach, 12:30 answered by DM: cleared."""
    home, sink = with_next(tmp_path), Sink()
    home.take(9, *TALK)
    live(home, sink, 9, 29)
    home.take(31, writes_dm("4", 30))
    live(home, sink, 31, 60)
    assert heard(sink) == [
        ("warning", "next_response", 0, 15),
        ("warning", "next_response", 1, 20),
        ("breach", "next_response", 0, 23),
        ("cleared", "next_response", 0, 31),
    ]
    assert {alert.subject for alert, _ in sink.sent} == {"acme/x/1"}
    assert all(a.case is not None and a.case.text is None for a, _ in sink.sent)  # a DM's text stays private


def read(home: House, stream: Stream, through: float, now: float) -> None:
    """A stream was read, and nothing new was in it."""
    row = prepare(home.store, StreamRef("acme", "x", "acme", stream), at(0))
    page = Page((), {"v": 1}, complete_through=at(through))
    arrival = Arrival("acme", "x", "acme", f"acme/{stream.name}", page, stream=row)
    ingest(home.store, home.policy, arrival, at(now))


def test_a_claim_about_the_dm_waits_for_the_private_stream(tmp_path: Path) -> None:
    """The public timeline was read up to now, the DMs up to 12:09: nobody is told before they are read."""
    home = with_next(tmp_path, sees_all=False)
    home.take(9, *TALK)
    read(home, OWN, 60, 9)
    read(home, DMS, 9, 9)
    looked = home.watch(15.6)
    assert looked.said == 0
    assert {(look.message_id, look.account) for look in looked.looks} == {("3", "acme")}
    read(home, DMS, 15.7, 15.8)
    assert home.watch(15.8).said == 1


def test_a_claim_about_the_public_wait_does_not_wait_for_the_dms(tmp_path: Path) -> None:
    """Before it went private, the public timeline is what has to be read."""
    home = with_next(tmp_path, sees_all=False)
    home.take(1, COMPLAINT)
    read(home, DMS, 60, 2)
    read(home, OWN, 2, 2)
    assert home.watch(7.6).said == 0
    read(home, OWN, 7.7, 7.8)
    assert home.watch(7.8).said == 1


def test_a_brand_that_writes_first_by_dm_stops_the_clock(tmp_path: Path) -> None:
    """No public reply; the platform says to whom the private message is: answered, and nobody is alerted."""
    home, sink = with_next(tmp_path), Sink()
    home.take(1, COMPLAINT)
    home.take(7, writes_dm("2", 6))
    rows = home.store.connection.execute("SELECT customer, rung FROM messages WHERE id = '2'").fetchall()
    assert rows == [("ana", Rung.TO)]
    (case,) = home.cases()
    assert (waits_of(case), case.first_response_seconds) == ([(FIRST, 0, 6)], 360)
    live(home, sink, 7, 60)
    assert sink.sent == []


def test_our_private_message_to_another_answers_nobody_else(tmp_path: Path) -> None:
    """A DM to Ben is no answer to Ana."""
    home = with_next(tmp_path)
    home.take(1, COMPLAINT, customer("2", 1, who="ben", conversation="2"))
    home.take(7, writes_dm("3", 6, to=("ben",), conversation="dm-ben"))
    assert {c.place.customer: str(c.status) for c in home.cases()} == {"ana": "waiting", "ben": "answered"}


def test_another_customers_dm_is_not_her_case(tmp_path: Path) -> None:
    """Ana complains in public, Ben by DM: two cases."""
    home = with_next(tmp_path)
    home.take(9, COMPLAINT, PLEASE_DM)
    home.take(9, asks_by_dm("3", 8, who="ben", conversation="dm-ben"))
    assert [(c.first_message_id, c.place.customer) for c in home.cases()] == [("1", "ana"), ("3", "ben")]
    assert find_case(home.store, "3").case.id == "acme/x/3"


def test_a_dm_after_a_day_of_silence_is_a_case_of_its_own(tmp_path: Path) -> None:
    """Its id leads to the new one, and both are counted."""
    home = with_next(tmp_path)
    home.take(6, COMPLAINT, PLEASE_DM)
    home.take(10 + DAY, asks_by_dm("3", 9 + DAY))
    assert [c.id for c in home.cases()] == ["acme/x/1", "acme/x/3"]
    assert find_case(home.store, "3").case.id == "acme/x/3"
    assert home.count("cases_opened") == 2


def test_a_public_post_that_is_seen_after_its_dm_was_alerted_says_nothing_twice(tmp_path: Path) -> None:
    """The DM of 12:03 was warned of as a case of its own; at 12:12 we see the public complaint of 12:00. One
    case, due at 12:15, in the same thread of messages; each stage once, and what was said is the case's."""
    home, sink = with_next(tmp_path), Sink()
    home.take(4, asks_by_dm("3", 3))
    live(home, sink, 4, 11.5)
    assert heard(sink) == [("warning", "first_response", 0, 10)]
    home.take(12, COMPLAINT)
    live(home, sink, 12, 60)
    home.take(61, writes_dm("4", 60.5))
    live(home, sink, 61, 90)
    assert heard(sink) == [
        ("warning", "first_response", 0, 10),
        ("warning", "first_response", 1, 12),
        ("breach", "first_response", 0, 15),
        ("cleared", "first_response", 0, 61),
    ]
    (case,) = home.cases()
    assert case.id == "acme/x/1" and find_case(home.store, "3").case.id == "acme/x/1"
    row = find_case(home.store, "1")
    assert len(said_of(home.store, row.scope, row.case)) == 4
    assert {alert.subject for alert, _ in sink.sent} == {"acme/x/3"}  # one message in Slack, goes on
    assert (home.count("cases_opened"), home.count("breaches")) == (1, 1)


def test_a_breach_that_was_told_of_the_dm_is_not_told_again_of_the_whole(tmp_path: Path) -> None:
    """Told at 12:18 for the DM of 12:03; the complaint of 12:00 turns up at 12:20: it is the same wait."""
    home, sink = with_next(tmp_path), Sink()
    home.take(4, asks_by_dm("3", 3))
    live(home, sink, 4, 19.5)
    home.take(20, COMPLAINT)
    live(home, sink, 20, 60)
    assert [stage for stage, *_ in heard(sink)] == ["warning", "warning", "breach"]
    assert home.count("breaches") == 1


def orders(messages: Sequence[Message]) -> Iterator[list[list[Message]]]:
    """The pages in which they may come in."""
    yield [[m] for m in messages]
    yield [[m] for m in reversed(messages)]
    yield [list(messages), list(messages)]
    yield [[m, messages[-1]] for m in messages]
    chance = random.Random(7)
    for size in (1, 2, 3):
        mixed = [*messages, *chance.sample(messages, 2)]
        chance.shuffle(mixed)
        yield [mixed[n : n + size] for n in range(0, len(mixed), size)]


STORIES: dict[str, tuple[tuple[Message, ...], list[str]]] = {
    "please DM us": ((*TALK, writes_dm("4", 12)), ["acme/x/1"]),
    "we write first": ((COMPLAINT, writes_dm("2", 6), asks_by_dm("3", 9)), ["acme/x/1"]),
    "two public cases": (
        (
            COMPLAINT,
            customer("5", 10, conversation="5"),
            brand("6", 20, "1", conversation="1"),
            asks_by_dm("3", 25),
        ),
        ["acme/x/1", "acme/x/5"],
    ),
    "over by silence": (
        (COMPLAINT, PLEASE_DM, asks_by_dm("3", 9 + DAY), writes_dm("4", 20 + DAY)),
        ["acme/x/1", "acme/x/3"],
    ),
    "private, then public": (
        (asks_by_dm("3", 0), customer("5", 4), writes_dm("4", 9)),
        ["acme/x/3", "acme/x/5"],
    ),
}


def test_any_order_of_arrival_gives_the_same_cases(tmp_path: Path) -> None:
    """DMs and posts come in by different streams, late and doubled: the same cases, ids and links, always."""

    def facts(home: House) -> tuple[list[str], list[Any]]:
        links = home.store.connection.execute("SELECT * FROM links ORDER BY 1, 2, 3, 4").fetchall()
        return [case_to_json(c) for c in home.cases()], links

    number = 0
    for name, (messages, ids) in STORIES.items():
        straight = with_next(tmp_path / f"straight {name}")
        straight.take(SEEN, *messages)
        expected = facts(straight)
        assert [c.id for c in straight.cases()] == ids, name
        for pages in orders(messages):
            number += 1
            other = with_next(tmp_path / str(number))
            for page in pages:
                other.take(SEEN, *page)
            assert facts(other) == expected, (name, [[m.id for m in page] for page in pages])
            assert other.count("cases_opened") == len(ids), (name, [[m.id for m in page] for page in pages])
            other.store.close()
        assert rebuild(straight.store, straight.policy, at(SEEN))[1] == 0
        assert facts(straight) == expected, name
