"""Who answered whom: threads of many customers and agents, through ingest, in many orders of arrival."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from monitor.act import rebuild
from monitor.dispatch import dispatch_once
from monitor.store.codec import case_to_json
from rules.attribution import Rung
from rules.case import Case, Status
from rules.message import Message
from rules.policies import FoldPolicy, Policies
from tests.monitor.build import NOON, TARGET, House, Sink, at, brand, customer, house, policy

THREAD: Mapping[str, Any] = {"conversation": "t"}
SEEN = 90.0
"""When all of it is taken in: how long we took is then the same in every order."""


def asks(id: str, minute: float, who: str = "ana", parent: str | None = None, **more: Any) -> Message:
    """A customer writes in the thread."""
    return customer(id, minute, who=who, parent=parent, **{**THREAD, **more})


def answers(id: str, minute: float, parent: str | None = None, **more: Any) -> Message:
    """The brand writes in the thread."""
    return brand(id, minute, parent, **{**THREAD, **more})


def orders(messages: Sequence[Message]) -> Iterator[list[list[Message]]]:
    """The pages in which they may come in: as one, one by one, reversed, doubled, shuffled."""
    yield [[m] for m in messages]
    yield [list(reversed(messages))]
    yield [[m] for m in reversed(messages)]
    yield [[m, messages[0]] for m in reversed(messages)] + [list(messages)]
    chance = random.Random(len(messages))
    for size in (1, 2, 2, 3):
        mixed = [*messages, *chance.sample(messages, len(messages) // 2)]
        chance.shuffle(mixed)
        yield [mixed[n : n + size] for n in range(0, len(mixed), size)]


def placed(home: House) -> dict[str, tuple[str | None, Rung]]:
    """Of each of the brand's messages: whom it answers, and how we know."""
    rows = home.store.connection.execute("SELECT id, customer, rung FROM messages WHERE outbound = 1")
    return {id: (customer, Rung(rung)) for id, customer, rung in rows}


def facts(home: House) -> tuple[list[str], dict[str, tuple[str | None, Rung]]]:
    return [case_to_json(case) for case in home.cases()], placed(home)


class Thread:
    """A thread as it came out, once it came out the same in every order."""

    def __init__(self, folder: Path, *messages: Message) -> None:
        folder.mkdir(exist_ok=True)
        number = count()
        self.home = house(folder / str(next(number)))
        self.home.take(SEEN, *messages)
        expected = facts(self.home)
        opened = self.home.count("cases_opened")
        for pages in orders(messages):
            other = house(folder / str(next(number)))
            for page in pages:
                other.take(SEEN, *page)
            assert facts(other) == expected, [[m.id for m in page] for page in pages]
            assert other.count("cases_opened") == opened == len(expected[0])
            other.store.close()
        rebuild(self.home.store, self.home.policy, at(SEEN))
        assert facts(self.home) == expected

    @property
    def placed(self) -> dict[str, tuple[str | None, Rung]]:
        return placed(self.home)

    @property
    def cases(self) -> dict[str, Case]:
        """By customer; each has one here."""
        return {case.place.customer: case for case in self.home.cases()}

    def waits(self, who: str) -> list[tuple[float, float | None]]:
        """(start, stop) of the customer's waits in minutes."""
        return [
            ((c.started_at - NOON).total_seconds() / 60, None if c.seconds is None else c.seconds / 60)
            for c in self.cases[who].clocks
        ]

    def statuses(self) -> dict[str, str]:
        return {who: str(case.status) for who, case in self.cases.items()}


def test_several_messages_before_one_answer_are_one_wait(tmp_path: Path) -> None:
    """Three messages in a row, one answer to the last: answered, measured from the first."""
    thread = Thread(tmp_path, asks("1", 0), asks("2", 2), asks("3", 4, text="hello?!"), answers("r", 10, "3"))
    assert thread.placed == {"r": ("ana", Rung.PARENT)}
    assert thread.waits("ana") == [(0, 10)]
    assert thread.cases["ana"].inbound_count == 3


def test_an_answer_in_parts_each_hanging_on_the_last_is_one_answer(tmp_path: Path) -> None:
    """1/3, 2/3, 3/3: the first one stops the clock, the others start nothing and answer nobody else."""
    parts = [answers("r1", 5, "1"), answers("r2", 5.2, "r1"), answers("r3", 5.4, "r2")]
    thread = Thread(tmp_path, asks("1", 0), asks("2", 1, "ben"), *parts)
    assert thread.placed == {r.id: ("ana", Rung.PARENT) for r in parts}
    assert thread.waits("ana") == [(0, 5)]
    assert thread.statuses() == {"ana": "answered", "ben": "waiting"}


def test_an_answer_in_parts_that_all_hang_on_the_question_is_one_answer(tmp_path: Path) -> None:
    """The same where the platform's agents reply to the question three times."""
    parts = [answers("r1", 5, "1"), answers("r2", 5.2, "1"), answers("r3", 5.4, "1")]
    thread = Thread(tmp_path, asks("1", 0), asks("2", 1, "ben"), *parts)
    assert thread.placed == {r.id: ("ana", Rung.PARENT) for r in parts}
    assert thread.waits("ana") == [(0, 5)]


def test_the_second_part_answers_whom_the_first_one_did(tmp_path: Path) -> None:
    """Between the parts another customer writes: the second part is not taken for an answer to him."""
    thread = Thread(tmp_path, asks("1", 0), answers("r1", 5), asks("2", 5.1, "ben"), answers("r2", 5.2, "r1"))
    assert thread.placed == {"r1": ("ana", Rung.INFERRED), "r2": ("ana", Rung.INFERRED)}
    assert thread.statuses() == {"ana": "answered", "ben": "waiting"}


def test_a_part_in_between_that_we_never_see_breaks_the_chain_only_there(tmp_path: Path) -> None:
    """2/3 was deleted before we saw it: 3/3 answers nobody, for nobody waits any more, and 1/3 stands."""
    thread = Thread(tmp_path, asks("1", 0), answers("r1", 5, "1"), answers("r3", 5.4, "r2"))
    assert thread.placed == {"r1": ("ana", Rung.PARENT), "r3": (None, Rung.NOBODY)}
    assert thread.waits("ana") == [(0, 5)]


def test_in_a_thread_that_the_brand_began_the_customer_starts_the_clock(tmp_path: Path) -> None:
    """Under our own post the wait runs from the customer's first word, for each customer by itself."""
    thread = Thread(
        tmp_path,
        answers("p", -60),
        asks("1", 0, parent="p"),
        asks("2", 3, "ben", parent="p"),
        answers("r", 8, "1"),
    )
    assert thread.placed == {"p": (None, Rung.NOBODY), "r": ("ana", Rung.PARENT)}
    assert thread.waits("ana") == [(0, 8)] and thread.waits("ben") == [(3, None)]
    assert thread.cases["ana"].addressed and thread.cases["ben"].addressed


def test_the_brands_second_post_in_its_own_thread_answers_the_only_one_who_waits(tmp_path: Path) -> None:
    """It hangs on our own first post; one customer waits; so it is hers, and marked as a guess."""
    thread = Thread(tmp_path, answers("p", -60), asks("1", 0, parent="p"), answers("p2", 8, "p"))
    assert thread.placed["p2"] == ("ana", Rung.INFERRED)
    assert thread.waits("ana") == [(0, 8)]


def test_customers_who_answer_each_other_do_not_answer_for_the_brand(tmp_path: Path) -> None:
    """Ben consoles Ana, she thanks him, Cleo joins: the brand's reply to Ben is Ben's alone."""
    thread = Thread(
        tmp_path,
        asks("1", 0),
        asks("2", 3, "ben", parent="1"),
        asks("3", 4, "cleo", parent="2"),
        asks("4", 5, parent="2", text="@ben so it is not just me?!"),
        answers("r", 10, "2"),
    )
    assert thread.placed == {"r": ("ben", Rung.PARENT)}
    assert thread.statuses() == {"ana": "waiting", "ben": "answered", "cleo": "waiting"}
    assert thread.waits("ben") == [(3, 7)]
    assert thread.cases["ana"].inbound_count == 2


def test_a_reply_that_comes_before_its_parent_is_nobodys_until_then(tmp_path: Path) -> None:
    """The own timeline is read first: a complaint that turns up later is answered, and never alerted."""
    home, sink = house(tmp_path / "late"), Sink()
    home.take(6, answers("r", 5, "1"))
    assert placed(home) == {"r": (None, Rung.NOBODY)} and home.cases() == []
    home.take(40, asks("1", 0))
    assert placed(home) == {"r": ("ana", Rung.PARENT)}
    home.watch(41)
    assert dispatch_once(home.store, home.policy, "care", sink, at(41)).outcome == "idle"
    thread = Thread(tmp_path, asks("1", 0), asks("2", 1, "ben"), answers("r", 5, "1"))
    assert thread.waits("ana") == [(0, 5)] and thread.waits("ben") == [(1, None)]


def test_a_chain_that_comes_in_backwards_falls_into_place_link_by_link(tmp_path: Path) -> None:
    """3/3, 2/3, 1/3, then the question: each link places all that hang on it."""
    home = house(tmp_path)
    for message in (answers("r3", 5.4, "r2"), answers("r2", 5.2, "r1"), answers("r1", 5, "1")):
        home.take(6, message)
    home.take(6, asks("2", 1, "ben"), asks("1", 0))
    assert placed(home) == dict.fromkeys(("r1", "r2", "r3"), ("ana", Rung.PARENT))


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        ({"to": ("ben",)}, ("ben", Rung.TO)),
        ({"to": ("ben",), "handles": ("ana",)}, ("ben", Rung.TO)),
        ({"to": ("zoe",), "handles": ("ben",)}, ("ben", Rung.MENTION)),
        ({"to": ("ana", "ben"), "handles": ("ben", "ana")}, ("ben", Rung.MENTION)),
        ({"handles": ("acme", "zoe", "ben")}, ("ben", Rung.MENTION)),
        ({"to": ("zoe",), "handles": ("zoe",)}, (None, Rung.NOBODY)),
        ({}, (None, Rung.NOBODY)),
    ],
)
def test_where_the_parent_never_comes_the_next_rung_holds(
    tmp_path: Path, hints: dict[str, Any], expected: tuple[str | None, Rung]
) -> None:
    """Whom the platform says it is to, else whom it names, else nobody where two are waiting."""
    thread = Thread(tmp_path, asks("1", 0), asks("2", 2, "ben"), answers("r", 10, "ghost", **hints))
    assert thread.placed == {"r": expected}
    answered = [who for who, status in thread.statuses().items() if status == "answered"]
    assert answered == [expected[0]] * (expected[0] is not None)


def test_where_one_customer_waits_an_answer_without_a_name_is_hers(tmp_path: Path) -> None:
    """Ben was answered before; so what names nobody is Ana's, and marked as a guess."""
    thread = Thread(
        tmp_path,
        asks("1", 0),
        asks("2", 2, "ben"),
        answers("r1", 4, "2"),
        answers("r2", 10, "ghost"),
    )
    assert thread.placed == {"r1": ("ben", Rung.PARENT), "r2": ("ana", Rung.INFERRED)}
    assert thread.waits("ana") == [(0, 10)]


def test_nobody_is_answered_before_asking(tmp_path: Path) -> None:
    """Named in our post before he ever wrote: his complaint, later, waits."""
    thread = Thread(tmp_path, answers("p", 0, None, to=("ben",), handles=("ben",)), asks("1", 5, "ben"))
    assert thread.placed == {"p": (None, Rung.NOBODY)}
    assert thread.waits("ben") == [(5, None)]


def test_two_agents_answer_two_customers_and_neither_counts_for_the_other(tmp_path: Path) -> None:
    """@acme answers Ana and @acmehelp answers Ben: each has the answer that is theirs."""
    thread = Thread(
        tmp_path,
        asks("1", 0),
        asks("2", 1, "ben"),
        answers("r1", 7, "2", who="acmehelp"),
        answers("r2", 9, "1", who="acme"),
    )
    by = {who: case.first_response.by for who, case in thread.cases.items() if case.first_response}
    assert by == {"ana": "acme", "ben": "acmehelp"}
    assert (thread.waits("ana"), thread.waits("ben")) == ([(0, 9)], [(1, 6)])


def test_of_two_agents_who_answer_one_customer_the_first_counts(tmp_path: Path) -> None:
    """The second one hangs on the first one's reply; it changes no figure."""
    thread = Thread(
        tmp_path, asks("1", 0), answers("r1", 7, "1", who="acmehelp"), answers("r2", 9, "r1", who="acme")
    )
    assert thread.placed["r2"] == ("ana", Rung.PARENT)
    case = thread.cases["ana"]
    assert case.first_response is not None
    assert (case.first_response.by, case.first_response_seconds) == ("acmehelp", 420)


def test_a_reply_that_names_two_customers_answers_the_first_of_them(tmp_path: Path) -> None:
    """ "@ben as we told @ana …" speaks to Ben; where it hangs on a message, it speaks to its author."""
    named = answers("r", 10, handles=("ben", "ana"), text="@ben as we told @ana, it is on its way")
    thread = Thread(tmp_path / "a", asks("1", 0), asks("2", 1, "ben"), named)
    assert thread.placed == {"r": ("ben", Rung.MENTION)}
    assert thread.statuses() == {"ana": "waiting", "ben": "answered"}
    hangs = answers("r", 10, "1", handles=("ben", "ana"))
    thread = Thread(tmp_path / "b", asks("1", 0), asks("2", 1, "ben"), hangs)
    assert thread.placed == {"r": ("ana", Rung.PARENT)}


def test_a_customer_who_threads_posts_is_one_case_answered_anywhere_in_it(tmp_path: Path) -> None:
    """1/3, 2/3, 3/3 by the customer; the agent replies to 2/3: all of it is answered, from the first."""
    thread = Thread(
        tmp_path,
        asks("1", 0),
        asks("2", 0.5, parent="1", handles=(), text="2/3 and nobody picks up the phone"),
        asks("3", 1, parent="2", handles=(), text="3/3 what now?"),
        answers("r", 6, "2"),
    )
    assert thread.waits("ana") == [(0, 6)]
    assert thread.cases["ana"].inbound_count == 3


def test_who_goes_on_after_the_answer_waits_for_the_next_one(tmp_path: Path) -> None:
    """3/3 comes after the agent's reply to 1/3: it is not answered by it."""
    thread = Thread(
        tmp_path,
        asks("1", 0),
        answers("r", 2, "1"),
        asks("2", 3, parent="1", text="@acme that is no answer, where is my parcel?"),
    )
    assert thread.waits("ana") == [(0, 2), (3, None)]
    assert thread.cases["ana"].status is Status.WAITING


def test_to_quote_another_customer_is_not_to_speak_for_her(tmp_path: Path) -> None:
    """Ben writes "@ana is right": his own conversation, and the brand's answer to it is his."""
    thread = Thread(
        tmp_path,
        asks("1", 0),
        asks("2", 1, "ben", handles=("acme", "ana"), text="@acme @ana is right, it is broken"),
        answers("r", 9, "2", handles=("ben", "ana")),
    )
    assert set(thread.cases) == {"ana", "ben"}
    assert thread.placed == {"r": ("ben", Rung.PARENT)}
    assert thread.statuses() == {"ana": "waiting", "ben": "answered"}


def test_a_machines_reply_leaves_who_waits_waiting_for_the_guess_too(tmp_path: Path) -> None:
    """The bot answers Ana by name; the agent, naming nobody, answers the only one who still waits: Ana."""
    thread = Thread(tmp_path, asks("1", 0), answers("bot", 1, "1", who="acmebot"), answers("r", 8, "ghost"))
    assert thread.placed == {"bot": ("ana", Rung.PARENT), "r": ("ana", Rung.INFERRED)}
    assert thread.waits("ana") == [(0, 8)]


def test_replies_that_hang_on_each_other_in_a_ring_hang_nobody_up(tmp_path: Path) -> None:
    """What no honest platform sends: two parts, each the other's parent. The only customer is answered."""
    thread = Thread(tmp_path, asks("1", 0), answers("r1", 5, "r2"), answers("r2", 6, "r1"))
    assert {customer for customer, _ in thread.placed.values()} == {"ana"}
    assert thread.cases["ana"].status is Status.ANSWERED


def test_an_answer_that_turns_out_to_be_anothers_is_said_again_once(tmp_path: Path) -> None:
    """12:15 the breach; a reply at 12:16 seems to be Ana's, and it is cleared; at 12:20 we learn that Ben had
    been waiting too, so nobody knows: Ana waits again, said once more; her real answer clears it."""
    home, sink = house(tmp_path), Sink()

    def live(minute: float, *messages: Message) -> None:
        home.take(minute, *messages)
        for _ in range(3):  # to look more often says nothing more
            home.store.cases.look_at_waiting(at(minute))
            home.watch(minute)
        while dispatch_once(home.store, home.policy, "care", sink, at(minute)).outcome != "idle":
            pass

    live(15, asks("1", 0))
    live(17, answers("r", 16))
    assert placed(home) == {"r": ("ana", Rung.INFERRED)}
    live(20, asks("2", 14, "ben"))
    assert placed(home) == {"r": (None, Rung.NOBODY)}
    live(20.5)
    live(26, answers("r2", 25, "1"))
    live(28)
    mine = [str(a.stage) for a, _ in sink.sent if a.case is not None and a.case.customer == "@ana"]
    assert mine == ["breach", "cleared", "breach", "cleared"]
    assert home.count("breaches") == 1


def test_a_wait_that_we_learn_of_late_does_not_take_back_what_was_said_of_another(tmp_path: Path) -> None:
    """Told at 12:27 that Ana waits since 12:12 for her next answer, which is true; at 12:30 a question of
    12:07 and its answer turn up: nothing of it was false, nothing is said again, one promise is broken."""
    promise = replace(TARGET, next_response_seconds=900.0)
    fold = Policies.of(FoldPolicy((promise,)))
    home, sink = house(tmp_path, brands={"acme": replace(policy().brands["acme"], fold=fold)}), Sink()

    def live(start: float, end: float) -> None:
        for half in range(int(start * 2), int(end * 2) + 1):
            home.watch(half / 2)
            while dispatch_once(home.store, home.policy, "care", sink, at(half / 2)).outcome != "idle":
                pass

    home.take(13, asks("1", 0), answers("2", 5, "1"), asks("5", 12, parent="2", text="@acme still broken!"))
    live(13, 29)
    told = [(str(a.stage), a.case.waiting_since) for a, _ in sink.sent if a.case is not None]
    assert told == [("warning", at(12)), ("warning", at(12)), ("breach", at(12))]
    home.take(30, asks("3", 7, parent="2", text="@acme and the invoice is wrong!"), answers("4", 9, "3"))
    live(30, 60)
    assert [str(a.stage) for a, _ in sink.sent] == ["warning", "warning", "breach"]
    assert (home.count("breaches"), home.count("false_alerts")) == (1, 0)
