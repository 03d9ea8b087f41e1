"""What holds for the core whatever happens, through the real store: arrivals, folds, clocks and alerts."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from monitor.act import act, rebuild
from monitor.store.codec import case_to_json
from rules.alert import Stage
from rules.case import Action, Case, ClockName, Word
from rules.fold import fold
from rules.message import Message
from rules.policies import FoldPolicy, Policies
from rules.targets import Target
from tests.monitor.build import House, at, brand, customer, house, policy
from tests.rules.build import PLACE
from tests.rules.conversations import Talk, talks

QUICK = settings(max_examples=300, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
STORED = settings(
    max_examples=150,
    stateful_step_count=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

PROMISED = Target(
    "public",
    900.0,
    next_response_seconds=600.0,
    resolution_seconds=3600.0,
    repeat_seconds=600.0,
    repeat_max=2,
    needs_reply_only=False,
)

CUSTOMERS = ("ana", "ben", "cleo")
AGENTS = ("acme", "acmehelp", "acmebot")
TEXTS = (
    "@acme my parcel is still not here, this is terrible!",
    "@acme where is my parcel?",
    "thanks @acme, all good now!",
)
MUCH_LATER = 60.0 * 24 * 20


def with_promises(folder: Path) -> House:
    """A house that promises every clock."""
    plain = policy().brands["acme"]
    return house(folder, brands={"acme": replace(plain, fold=Policies.of(FoldPolicy((PROMISED,))))})


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Where a store may live: in memory, where the machine has such a folder."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


def check_clocks(case: Case) -> None:
    """No clock runs backwards, each is told before it is late, and only the last wait may run."""
    for clock in case.all_clocks:
        assert clock.stopped_at is None or clock.stopped_at >= clock.started_at
        assert (clock.stopped_at is None) == (clock.ending is None)
        shares = [share for share, _ in clock.warnings]
        moments = [moment for _, moment in clock.warnings]
        assert shares == sorted(shares) and moments == sorted(moments)
        if clock.due_at is not None:
            assert clock.due_at >= clock.started_at
            assert all(clock.started_at <= moment <= clock.due_at for moment in moments)
    assert [c.cycle for c in case.clocks] == list(range(len(case.clocks)))
    assert all(not c.runs for c in case.clocks[:-1])
    names = [c.name for c in case.clocks]
    assert names == sorted(names, key=[ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE].index)
    assert case.first_response_seconds is None or case.first_response_seconds >= 0
    for total in (case.first_resolution_seconds, case.full_resolution_seconds):
        assert total is None or total >= 0


@given(talks(), st.integers(0, 90))
@QUICK
def test_no_clock_is_ever_negative(talk: Talk, ahead: int) -> None:
    """Also where a platform's clock runs ahead of ours, so that we see a message before it was written."""
    parts = [replace(p, seen_at=p.seen_at - timedelta(seconds=ahead)) for p in talk.parts]
    for case in fold(PLACE, parts, talk.words, FoldPolicy((PROMISED,))):
        check_clocks(case)


@given(talks(), st.randoms(use_true_random=False))
@QUICK
def test_the_fold_does_not_ask_in_which_order_it_is_given_things(talk: Talk, random: Any) -> None:
    """Messages and operators' words in any order make the same cases."""
    parts, words = list(talk.parts), list(talk.words)
    random.shuffle(parts)
    random.shuffle(words)
    given_order = fold(PLACE, talk.parts, talk.words, FoldPolicy((PROMISED,)))
    assert fold(PLACE, parts, words, FoldPolicy((PROMISED,))) == given_order


@given(talks())
@QUICK
def test_every_question_is_in_exactly_one_case(talk: Talk) -> None:
    """No customer is lost between cases, nobody is counted twice, and only the last case may wait."""
    cases = fold(PLACE, talk.parts, talk.words, FoldPolicy((PROMISED,)))
    assert sum(c.inbound_count for c in cases) == sum(p.inbound for p in talk.parts)
    for earlier, later in itertools.pairwise(cases):
        assert (earlier.opened_at, earlier.last_message_at) <= (later.opened_at, later.opened_at)


ROW = st.tuples(
    st.sampled_from(CUSTOMERS + AGENTS),
    st.sampled_from([0.0, 0.05, 1.0, 1.0, 7.0, 30.0, 60.0 * 24, 60.0 * 25]),  # minutes since the one before
    st.one_of(st.none(), st.integers(0, 9), st.just(-1)),  # whom it answers; -1: one that never arrives
    st.sampled_from(["", "", "to", "mention"]),
    st.sampled_from(CUSTOMERS),
    st.sampled_from(TEXTS),
    st.sampled_from([0.0, 0.0, 5.0, 120.0]),  # minutes until it was seen
    st.one_of(st.none(), st.none(), st.sampled_from(TEXTS)),  # its edited text
    st.sampled_from([None, None, None, 0.0, 3.0, 600.0]),  # minutes until it was deleted
)


def write_thread(rows: Sequence[tuple[Any, ...]]) -> list[Message]:
    """One public thread of several customers and agents, as all that is ever seen of it: a message, and once
    more for its edit and for its end."""
    sightings = []
    minute = 0.0
    for n, (who, pause, answers, hint, whom, text, lag, edited, deleted) in enumerate(rows):
        minute += pause
        parent = None if answers is None or n == 0 else "gone" if answers < 0 else str(answers % n)
        more: dict[str, Any] = {
            "who": who,
            "conversation": "thread",
            "seen_at": at(minute + lag),
            "text": text,
            "to": (whom,) if hint == "to" else (),
            "handles": (whom,) if hint == "mention" else (),
        }
        own = brand if who in AGENTS else customer
        first = replace(own(str(n), minute, parent=None, **more), parent=parent)
        sightings.append(first)
        if edited is not None:
            sightings.append(replace(first, text=edited, edited_at=at(minute + 2)))
        if deleted is not None:
            sightings.append(replace(sightings[-1], deleted_at=at(minute + deleted)))
    return sightings


def cases_of(home: House) -> list[str]:
    """All that is stored about cases, bit for bit."""
    return [case_to_json(row.case) for row in home.store.cases.everything()]


class Arrivals(RuleBasedStateMachine):
    """The same thread comes in again and again, in pages of any make-up, between restarts and rebuilds."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = new_folder()
        self.home = with_promises(Path(self.folder.name) / "house")
        self.sightings: list[Message] = []
        self.left: list[Message] = []

    @initialize(rows=st.lists(ROW, min_size=2, max_size=8))
    def begin(self, rows: list[tuple[Any, ...]]) -> None:
        self.sightings = write_thread(rows)
        self.left = list(self.sightings)

    @rule(picked=st.lists(st.integers(0, 30), min_size=1, max_size=5))
    def a_page_arrives(self, picked: list[int]) -> None:
        page = [self.sightings[n % len(self.sightings)] for n in picked]
        self.home.take(MUCH_LATER, *page)
        self.left = [m for m in self.left if m not in page]

    @rule()
    def everything_is_folded_again(self) -> None:
        before = cases_of(self.home)
        rebuild(self.home.store, self.home.policy, at(MUCH_LATER))
        assert cases_of(self.home) == before

    @rule()
    def the_daemon_restarts(self) -> None:
        self.home.store.close()
        self.home = with_promises(Path(self.folder.name) / "house")

    @invariant()
    def clocks_are_sound(self) -> None:
        for row in self.home.store.cases.everything():
            check_clocks(row.case)

    def teardown(self) -> None:
        try:
            self.home.take(MUCH_LATER, *reversed(self.left))
            reference = with_promises(Path(self.folder.name) / "reference")
            reference.take(MUCH_LATER, *self.sightings)
            expected = cases_of(reference)
            reference.store.close()
            assert cases_of(self.home) == expected
        finally:
            self.home.store.close()
            self.folder.cleanup()


def test_arrivals_of_any_make_up_change_no_case() -> None:
    """Order, doubling and splitting of what arrives change no figure; folding twice is folding once."""
    run_state_machine_as_test(Arrivals, settings=STORED)


@given(st.lists(ROW, min_size=2, max_size=8), st.randoms(use_true_random=False))
@STORED
def test_one_by_one_in_any_order_is_the_same_as_all_at_once(rows: list[tuple[Any, ...]], random: Any) -> None:
    """However the platform hands a thread over, each customer has the same cases with the same clocks."""
    sightings = write_thread(rows)
    shuffled = list(sightings)
    random.shuffle(shuffled)
    with new_folder() as folder:
        made = []
        for name, pages in (("whole", [sightings]), ("parts", [[m] for m in shuffled])):
            home = with_promises(Path(folder) / name)
            for page in pages:
                home.take(MUCH_LATER, *page)
            made.append(cases_of(home))
            home.store.close()
    assert made[0] == made[1]


def test_whom_a_reply_names_counts_though_we_saw_that_customer_late(tmp_path: Path) -> None:
    """A reply to the brand's own words to Ben that is addressed to Cleo is hers, also where her question came
    in after it."""
    thread: dict[str, Any] = {"conversation": "thread", "seen_at": at(9)}
    cleo = customer("1", 1, who="cleo", **thread)
    ben = customer("2", 2, who="ben", **thread)
    to_ben = brand("3", 8, None, handles=("ben",), **thread)
    to_cleo = brand("4", 9, "3", to=("cleo",), **thread)
    made = []
    for name, order in (("in order", (cleo, ben, to_ben, to_cleo)), ("late", (ben, to_ben, to_cleo, cleo))):
        home = house(tmp_path / name)
        for message in order:
            home.take(10, message)
        made.append(cases_of(home))
    assert made[0] == made[1]


def test_an_edit_that_is_seen_before_the_first_text_changes_no_case(tmp_path: Path) -> None:
    """She named the brand and edited it away: the case is the same whichever text came in first."""
    first = customer("1", 0, seen_at=at(1), handles=())
    edited = replace(first, text="never mind", edited_at=at(2))
    made = []
    for name, order in (("forwards", (first, edited)), ("backwards", (edited, first))):
        home = house(tmp_path / name)
        for message in order:
            home.take(5, message)
        made.append(cases_of(home))
    assert made[0] == made[1]


def test_reminders_that_were_slept_through_do_not_follow_the_breach_at_once(tmp_path: Path) -> None:
    """Back after an hour: people hear once that the promise was broken, and are not reminded at once."""
    home = with_promises(tmp_path / "house")
    home.take(0, customer("1", 0))
    for _ in range(3):
        home.store.cases.look_at_waiting(at(50))
        home.watch(50)
    said = [r.owed.repeat for r in home.store.outbox.of_subject("acme/x/1") if r.stage is Stage.BREACH]
    assert said == [0]


CLAIMS = (Stage.WARNING, Stage.BREACH)


class Days(RuleBasedStateMachine):
    """Customers write, agents answer, operators speak, time goes by, and the house looks."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = new_folder()
        self.home = with_promises(Path(self.folder.name) / "house")
        self.minute = 0.0
        self.written: list[Message] = []

    def claims(self) -> list[Any]:
        """What was said of waiting customers, from the outbox."""
        rows = []
        for subject in {row.case.id for row in self.home.store.cases.everything()}:
            rows += self.home.store.outbox.of_subject(subject)
        return [r for r in rows if r.stage in CLAIMS]

    def write(self, message: Message) -> None:
        self.home.take(self.minute, message)
        self.written.append(message)

    def settle(self) -> None:
        """Look until all that is owed at this time was said."""
        for _ in range(4):
            self.home.store.cases.look_at_waiting(self.now())
            self.home.watch(self.minute)

    def now(self) -> datetime:
        return at(self.minute)

    @rule(who=st.sampled_from(CUSTOMERS), text=st.sampled_from(TEXTS), fresh=st.booleans())
    def a_customer_writes(self, who: str, text: str, fresh: bool) -> None:
        id = f"c{len(self.written)}"
        where = id if fresh else "thread"
        self.write(customer(id, self.minute, text, who=who, conversation=where))

    @precondition(lambda self: self.written)
    @rule(which=st.integers(0, 30), who=st.sampled_from(AGENTS))
    def the_brand_answers(self, which: int, who: str) -> None:
        """It is written now, after all that the customer wrote: no alert may come of it."""
        asked = self.written[which % len(self.written)]
        self.settle()
        before = {r.key for r in self.claims()}
        id = f"b{len(self.written)}"
        self.write(brand(id, self.minute, asked.id, who=who, conversation=asked.conversation))
        self.settle()
        assert {r.key for r in self.claims()} == before

    @precondition(lambda self: self.written)
    @rule(
        which=st.integers(0, 30), word=st.sampled_from([Word.RESOLVE, Word.IGNORE, Word.ANSWERED, Word.ACK])
    )
    def an_operator_speaks(self, which: int, word: Word) -> None:
        asked = [m for m in self.written if m.inbound]
        if asked:
            id = asked[which % len(asked)].id
            act(self.home.store, self.home.policy, Action(word, id, "olga", self.now()), self.now())

    @rule(minutes=st.sampled_from([0.05, 1.0, 5.0, 7.5, 8.0, 10.0, 15.0, 60.0, 60.0 * 24]))
    def time_goes_by(self, minutes: float) -> None:
        self.minute += minutes
        self.home.watch(self.minute)

    @rule()
    def the_daemon_restarts(self) -> None:
        self.home.store.close()
        self.home = with_promises(Path(self.folder.name) / "house")
        self.home.store.cases.look_at_waiting(self.now())
        self.home.watch(self.minute)

    @invariant()
    def no_breach_is_said_twice(self) -> None:
        said = Counter(
            (r.subject, r.owed.clock, r.owed.cycle, r.owed.round)
            for r in self.claims()
            if r.stage is Stage.BREACH and r.owed.repeat == 0
        )
        assert all(times == 1 for times in said.values())

    def teardown(self) -> None:
        try:
            self.minute += 61
            self.home.watch(self.minute)
            self.every_breach_was_said()
        finally:
            self.home.store.close()
            self.folder.cleanup()

    def every_breach_was_said(self) -> None:
        """Who waits and is overdue has been told of, once."""
        for row in self.home.store.cases.everything():
            case = row.case
            over = case.closes_at is not None and case.closes_at <= self.now()
            for clock in case.all_clocks:
                if not clock.runs or over or clock.due_at is None or clock.due_at > self.now():
                    continue
                breaches = [
                    r
                    for r in self.home.store.outbox.of_subject(case.id)
                    if (r.stage, r.owed.clock, r.owed.cycle, r.owed.repeat)
                    == (Stage.BREACH, clock.name, clock.cycle, 0)
                ]
                assert len({r.owed.round for r in breaches}) == len(breaches) >= 1


def test_every_breach_is_said_once_and_an_answer_raises_none() -> None:
    """People hear of each broken promise exactly once, and never because somebody was answered."""
    run_state_machine_as_test(Days, settings=settings(STORED, max_examples=100, stateful_step_count=25))
