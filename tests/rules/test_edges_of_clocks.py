"""What clocks and cases promise at their edges: the very instant, the odd message, each single field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rules.case import Action, Case, Clock, ClockName, Part, Place, Reply, Status, Word
from rules.fold import fold_threads
from rules.hours import Calendar, Opening, calendar_from_mapping
from rules.meaning.contract import Priority
from rules.message import Kind
from rules.policies import FoldPolicy
from rules.targets import Target, due_times
from tests.rules.build import PLACE, asks, at, replies, says, verdict
from tests.rules.stories import CALM, DAY, HOUR, NINE, OFFICE, REST, THANKS, cases, one, since

# When it is due


def test_a_promise_without_warnings_that_comes_late_is_due_when_it_came() -> None:
    """Nobody can be warned, so it breaks at the moment at which it was made, and never before."""
    bare = Target("bare", 900.0, complaint=True, warnings=())
    slow = Target("slow", 3600.0, warnings=())
    turned = one([bare, slow], asks("1", 0, verdict=CALM), asks("2", 20))
    assert (turned.target, turned.due_at, turned.latest.warnings) == ("bare", at(20), ())
    early = one([bare, slow], asks("1", 0, verdict=CALM), asks("2", 5))
    assert early.due_at == at(15)


def test_a_promise_that_comes_late_leaves_opening_hours_to_act_in() -> None:
    """Turned into a complaint at 16:58: half of the 15 minutes are left, most of them the next morning."""
    special = replace(REST, name="special", complaint=True, calendar="office")
    slow = Target("slow", 36_000.0, calendar="office")
    case = one([special, slow], asks("1", 0, verdict=CALM), asks("2", 298))
    assert case.due_at == at(NINE + 5.5)
    spent = 305.5  # minutes from noon to five, and from nine
    assert case.latest.warnings == ((0.5, at(spent * 0.5)), (0.8, at(spent * 0.8)))
    due = due_times(900.0, (0.5,), at(298), at(299), OFFICE)
    assert (due.due_at, due.warnings) == (at(NINE + 13), ((0.5, at(NINE + 5.5)),))


def test_more_words_under_the_same_promise_move_no_due_time() -> None:
    """She writes again and names the app: it is due when it was due."""
    more = asks("2", 20, verdict=replace(verdict(), topics=("app",)))
    case = one([REST], asks("1", 0), more)
    assert (case.topics, case.due_at) == (("app",), at(15))


def test_an_edited_word_of_thanks_buys_no_time_for_the_complaint_after_it() -> None:
    """The thanks of 12:06 became a complaint at 12:30; the one of 12:09 was one at once, and is due by it."""
    tight = Target("tight", None, 600.0, complaint=True)
    slow = Target("slow", None, 3600.0, needs_reply_only=False)
    told = (asks("1", 0, verdict=CALM), replies("2", 5))
    turned = verdict(needs_reply=False)
    thanks = asks("3", 6, verdict=turned, first_verdict=THANKS, edited_at=at(30))
    assert one([tight, slow], *told, thanks, asks("4", 9)).due_at == at(19)
    assert one([tight, slow], *told, thanks, asks("4", 9, verdict=CALM)).due_at == at(35)


def test_a_promise_of_resolution_counts_open_time_on_both_sides_of_a_pause() -> None:
    """16:50 to 9:10 are twenty minutes; after the pause forty are left of the hour."""
    hour = Target("hour", None, resolution_seconds=3600.0, calendar="office", warnings=(0.25, 0.5))
    talk = (asks("1", 290), replies("2", NINE + 10), asks("3", NINE + 60))
    clock = one([hour], *talk).resolution
    assert clock is not None and clock.due_at == at(NINE + 100)
    assert clock.warnings == ((0.25, at(NINE + 5)), (0.5, at(NINE + 70)))
    late = one([hour], asks("1", 290), replies("2", NINE + 55)).resolution
    assert late is not None and late.due_at == at(NINE + 50)


def test_a_resolution_is_due_the_moment_its_time_is_used_up() -> None:
    """Answered in the sixtieth minute of sixty: that was the end of the promise, whatever comes after it."""
    hour = Target("hour", None, resolution_seconds=3600.0)
    for more in ((), (asks("3", 90),)):
        clock = one([hour], asks("1", 0), replies("2", 60), *more).resolution
        assert clock is not None and clock.due_at == at(60)


def test_what_was_resolved_in_time_is_never_due() -> None:
    """With pauses and without: there is no time at which that promise will be broken."""
    hour = Target("hour", None, resolution_seconds=3600.0)
    for target in (hour, replace(hour, pauses=False)):
        clock = one([target], asks("1", 0), replies("2", 5), says(Word.RESOLVE, "1", 59)).resolution
        assert clock is not None
        assert (clock.due_at, clock.warnings, clock.breached_at) == (None, (), None)
        late = one([target], asks("1", 0), says(Word.RESOLVE, "1", 61)).resolution
        assert late is not None and late.breached_at == at(60)


def test_what_is_written_in_the_instant_of_the_answer_belongs_to_that_wait() -> None:
    """At the same instant the customer comes first: the wait ends as one of a complaint."""
    tight, slow = Target("tight", 900.0, complaint=True), Target("slow", 3600.0)
    patient = since((0, FoldPolicy((tight, slow), quick_seconds=0.0)))
    case = one(patient, asks("1", 0, verdict=CALM), asks("2", 5), replies("3", 5))
    assert [(c.target, c.ending) for c in case.clocks] == [("tight", Status.ANSWERED)]
    after = one(patient, asks("1", 0, verdict=CALM), replies("3", 5), asks("2", 5.1))
    assert [c.target for c in after.clocks] == ["slow", "tight"]


# Where a case ends


def test_how_long_a_silence_ends_a_case_goes_by_the_first_texts() -> None:
    """Complaints end after two hours of silence: an edit makes or unmakes no case."""
    quick = Target("quick", 900.0, complaint=True, gap_seconds=7200.0)
    slow = Target("slow", 900.0)
    edited: dict[str, Any] = {"edited_at": at(1)}
    unmade = asks("1", 0, verdict=CALM, first_verdict=verdict(), **edited)
    made = asks("1", 0, verdict=verdict(), first_verdict=CALM, **edited)
    rest = (replies("2", 5), asks("3", 3 * HOUR))
    assert len(cases([quick, slow], unmade, *rest)) == 2
    assert len(cases([quick, slow], made, *rest)) == 1
    assert len(cases([quick, slow], asks("1", 0), *rest)) == 2
    assert len(cases([quick, slow], asks("1", 0, verdict=CALM), *rest)) == 1


def test_a_withdrawn_question_after_a_resolution_leaves_the_first_start() -> None:
    """Resolved, asked again and taken back: what was asked first was not withdrawn."""
    gone = asks("2", 10, deleted_at=at(12))
    case = one([REST], asks("1", 0), gone, replies("3", 20), says(Word.RESOLVE, "1", 5))
    assert [c.ending for c in case.clocks] == [Status.RESOLVED, Status.WITHDRAWN]
    assert case.first_response_seconds == 20 * 60


def test_a_message_deleted_in_the_instant_of_a_word_was_withdrawn() -> None:
    """Not seen by the operator, and gone as the word was said: a wait of its own that ended at once."""
    gone = asks("2", 4, seen_at=at(9), deleted_at=at(5))
    case = one([REST], asks("1", 0), gone, says(Word.RESOLVE, "1", 5))
    assert [(c.ending, c.seconds) for c in case.clocks] == [(Status.RESOLVED, 300), (Status.WITHDRAWN, 60)]


def test_when_silence_ends_a_case_that_was_edited_or_withdrawn() -> None:
    """Never while somebody waits by the present text; a withdrawn question keeps its case open."""
    turned = asks("3", 9, first_verdict=THANKS, edited_at=at(10))
    assert one([REST], asks("1", 0), replies("2", 5), turned).closes_at is None
    assert one([REST], asks("1", 0, deleted_at=at(5))).closes_at is None
    assert one([REST], asks("1", 0), replies("2", 5)).closes_at == at(5 + DAY)


# A public case that goes on in private


def dm(part: Part, thread: str = "dm") -> Part:
    """The same, written privately."""
    return replace(part, thread=thread, public=False, kind=Kind.DM)


def post(part: Part, thread: str) -> Part:
    return replace(part, thread=thread)


def threads(*parts: Part) -> list[tuple[str, set[str], tuple[tuple[str, datetime], ...]]]:
    """(first message, messages, threads beside its own) of each case."""
    made = fold_threads(PLACE, parts, [], FoldPolicy((REST,)))
    return [(m.case.first_message_id, set(m.holds), m.threads) for m in made]


def test_a_private_answer_ends_a_public_wait() -> None:
    """The brand writes to her privately: that is the answer, and it is the same case from then on."""
    parts = (asks("1", 0), dm(replies("2", 9)), dm(asks("3", 12)))
    assert threads(*parts) == [("1", {"1", "3"}, (("dm", at(9)),))]
    (made,) = fold_threads(PLACE, parts, [], FoldPolicy((REST,)))
    assert [(c.name, c.seconds) for c in made.case.clocks] == [
        (ClockName.FIRST_RESPONSE, 540),
        (ClockName.NEXT_RESPONSE, None),
    ]
    assert (made.case.asked_privately, made.case.public) == ("acme", True)


def test_a_public_answer_stays_in_its_thread() -> None:
    """What the brand writes in public elsewhere is no answer to her."""
    other = post(replies("2", 9), "elsewhere")
    (made,) = fold_threads(PLACE, [asks("1", 0), other], [], FoldPolicy((REST,)))
    assert made.case.status is Status.WAITING and made.threads == ()


def test_a_private_answer_is_for_whoever_asked_privately() -> None:
    """She asked by DM first and then in public: the DM is answered, and the public one waits on."""
    parts = (dm(asks("d1", 0)), post(asks("2", 2), "wall"), dm(replies("d3", 5)))
    made = fold_threads(PLACE, parts, [], FoldPolicy((REST,)))
    assert [(m.case.id, m.case.status) for m in made] == [
        ("acme/x/d1", Status.ANSWERED),
        ("acme/x/2", Status.WAITING),
    ]


def test_a_private_message_of_the_brand_reopens_nothing() -> None:
    """She was answered: a private message of ours is no part of that case, and her next question is new."""
    answered = (asks("1", 0), replies("2", 5))
    (quiet,) = fold_threads(PLACE, [*answered, dm(replies("3", 9))], [], FoldPolicy((REST,)))
    assert quiet.threads == () and quiet.case.closes_at == at(5 + DAY)
    assert threads(*answered, dm(asks("3", 5 + DAY))) == [("1", {"1"}, ()), ("3", {"3"}, ())]


def test_of_several_public_cases_the_one_last_spoken_in_goes_on() -> None:
    """Asked first in A and then in B, and spoken in A again: the private message belongs to A."""
    a, b = post(asks("1", 0), "a"), post(asks("2", 1), "b")
    more = post(asks("3", 2), "a")
    assert threads(a, b, dm(asks("4", 3))) == [("1", {"1"}, ()), ("2", {"2", "4"}, (("dm", at(3)),))]
    assert threads(a, b, more, dm(asks("4", 3))) == [
        ("1", {"1", "3", "4"}, (("dm", at(3)),)),
        ("2", {"2"}, ()),
    ]
    same = post(asks("2", 0), "b")
    assert threads(a, same, dm(asks("4", 3)))[1] == ("2", {"2", "4"}, (("dm", at(3)),))


def test_a_case_has_the_place_of_its_own_thread() -> None:
    """Where a case can be found is where it was written, not where the customer first wrote."""
    made = fold_threads(PLACE, [asks("1", 0), post(asks("2", 1), "b")], [], FoldPolicy((REST,)))
    assert [m.case.place for m in made] == [PLACE, Place("acme", "x", "b", "ana")]


def test_a_public_case_may_go_on_in_the_conversation_itself() -> None:
    """Where the private thread is the conversation's own, it is named by the conversation."""
    assert threads(post(asks("1", 0), "wall"), dm(asks("2", 5), "")) == [
        ("1", {"1", "2"}, (("thread", at(5)),))
    ]


# What is shown

SAME: dict[str, Any] = {"target": "t", "repeat_seconds": 300.0, "repeat_max": 2}
FIRST = Clock(
    ClockName.FIRST_RESPONSE,
    0,
    at(0),
    "1",
    stopped_at=at(5),
    stopped_by="agent",
    ending=Status.ANSWERED,
    answer_id="3",
    target_seconds=900.0,
    due_at=at(15),
    warnings=((0.5, at(7.5)),),
    **SAME,
)
SECOND = Clock(
    ClockName.NEXT_RESPONSE,
    1,
    at(10),
    "4",
    target_seconds=600.0,
    due_at=at(20),
    warnings=((0.5, at(15)),),
    **SAME,
)
WHOLE = Clock(
    ClockName.RESOLUTION,
    0,
    at(0),
    "1",
    target_seconds=7200.0,
    due_at=at(125),
    warnings=((0.5, at(65)),),
    **SAME,
)
LONG = Case(
    id="acme/x/1",
    place=PLACE,
    account="help",
    kind=Kind.REVIEW,
    public=True,
    customer_handle="ana1",
    followers=12,
    reach=34,
    opened_at=at(0),
    first_message_id="1",
    last_message_id="5",
    last_message_at=at(12),
    inbound_count=3,
    status=Status.WAITING,
    complaint=True,
    complaint_score=0.9,
    addressed=True,
    needs_reply=True,
    priority=Priority.HIGH,
    topics=("app", "refund"),
    reasons=("why",),
    historic=False,
    quiet=False,
    clocks=(FIRST, SECOND),
    resolution=WHOLE,
    language="en",
    rating=2.0,
    asked_at=at(0),
    first_response=Reply("3", at(5), "agent", at(6)),
    first_any_reply_at=at(2),
    waiting_message_id="5",
    asked_privately="dms",
    acknowledged_at=at(13),
    acknowledged_by="olga",
    assignee="cleo",
    snoozed_until=at(40),
    moved=says(Word.SNOOZE, "4", 17, until=at(40)),
    assigned=says(Word.ASSIGN, "4", 15, note="cleo"),
)
"""A long case, field by field, as the story below comes to it."""


def test_everything_that_is_shown_of_a_case_is_what_was_written() -> None:
    """Who, where, how many, when and by whom: each field of a long case."""
    target = Target("t", 900.0, 600.0, 7200.0, repeat_seconds=300.0, repeat_max=2, warnings=(0.5,))
    judged = replace(verdict(priority=Priority.HIGH), topics=("refund", "app"), language="en")
    about: dict[str, Any] = {"account": "help", "kind": Kind.REVIEW, "author_handle": "ana1", "rating": 2.0}
    case = one(
        [target],
        asks("1", 0, verdict=judged, addressed=True, followers=12, reach=34, **about),
        replies("2", 2, automated=True),
        replies("3", 5, seen_at=at(6), author_handle="agent"),
        asks("4", 10, deleted_at=at(30), followers=1, reach=1, **{**about, "author_handle": "ana2"}),
        asks("5", 12, account="dms", public=False),
        says(Word.ACK, "4", 13),
        says(Word.ASSIGN, "1", 14, note="ben"),
        says(Word.ASSIGN, "4", 15, note="cleo"),
        says(Word.SNOOZE, "1", 16, until=at(50)),
        says(Word.SNOOZE, "4", 17, until=at(40)),
    )
    assert case == LONG
    assert (case.latest, case.wait, case.waiting_since) == (SECOND, SECOND, at(10))
    assert (case.target, case.due_at, case.first) == ("t", at(20), FIRST)
    assert case.all_clocks == (FIRST, SECOND, WHOLE)
    assert case.clock(ClockName.NEXT_RESPONSE, 1) == SECOND
    assert case.clock(ClockName.RESOLUTION, 0) == WHOLE
    assert case.clock(ClockName.FIRST_RESPONSE, 1) is None


def test_nobody_is_shown_as_waiting_who_does_not() -> None:
    """Answered, thanked: no message waits, none was asked privately, and no wait runs."""
    case = one([REST], asks("1", 0), replies("2", 5), asks("3", 6, verdict=THANKS))
    assert (case.waiting_message_id, case.asked_privately) == (None, None)
    assert (case.wait, case.waiting_since, case.latest.cycle) == (None, None, 0)
    assert case.resolution is None and case.all_clocks == case.clocks


def test_a_snooze_without_an_end_hides_nothing() -> None:
    """Only one that says until when counts; the one before it holds."""
    snooze = says(Word.SNOOZE, "1", 5, until=at(40))
    assert one([REST], asks("1", 0), says(Word.SNOOZE, "1", 5)).snoozed_until is None
    assert one([REST], asks("1", 0), snooze, says(Word.SNOOZE, "1", 6)).snoozed_until == at(40)


def test_who_ended_a_resolution_and_how_is_kept() -> None:
    """The last operator who resolved it, who ignored it, the customer who took it back; else nobody."""
    target = Target("t", None, resolution_seconds=7200.0, repeat_seconds=60.0, repeat_max=3)

    def ended(*told: Part | Action, targets: Sequence[Target] = (target,)) -> tuple[Any, ...]:
        clock = one(targets, *told).resolution
        assert clock is not None and (clock.name, clock.cycle, clock.message_id) == ("resolution", 0, "1")
        assert (clock.target is None) == (clock.target_seconds is None) == (not targets)
        assert (clock.repeat_seconds, clock.repeat_max) == ((60.0, 3) if targets else (None, 0))
        return clock.stopped_at, clock.stopped_by, clock.ending

    resolved = says(Word.RESOLVE, "1", 5)
    again = replace(says(Word.RESOLVE, "3", 15), who="otto")
    assert ended(asks("1", 0), resolved) == (at(5), "olga", Status.RESOLVED)
    assert ended(asks("1", 0), resolved, targets=()) == (at(5), "olga", Status.RESOLVED)
    assert ended(asks("1", 0), replies("2", 4), resolved) == (at(5), "olga", Status.RESOLVED)
    assert ended(asks("1", 0), resolved, asks("3", 9), again) == (at(15), "otto", Status.RESOLVED)
    assert ended(asks("1", 0), resolved, asks("3", 9)) == (None, None, None)
    assert ended(asks("1", 0), replies("2", 4)) == (None, None, None)
    assert ended(asks("1", 0), says(Word.IGNORE, "1", 6)) == (at(6), "olga", Status.IGNORED)
    assert ended(asks("1", 0, deleted_at=at(7))) == (at(7), "the customer", Status.WITHDRAWN)


def test_what_was_resolved_at_once_took_no_time() -> None:
    """Also where the platform's clock runs ahead of ours, with pauses and without, and without a promise."""
    for targets in ((), (REST,), (replace(REST, pauses=False),)):
        for minute in (0, -1):
            seen = asks("1", 0, seen_at=at(-2))
            case = one(targets, seen, says(Word.RESOLVE, "1", minute))
            assert (case.first_resolution_seconds, case.full_resolution_seconds) == (0.0, 0.0)
            assert case.resolution is not None and case.resolution.seconds == 0
            assert (case.latest.seconds, case.status) == (0, Status.RESOLVED)


def test_a_clock_names_the_hours_in_which_it_counts() -> None:
    """Each clock with hours says which; one around the clock, or without a promise, says none."""
    office = replace(REST, calendar="office", resolution_seconds=7200.0)
    talk = (asks("1", 0), replies("2", 5), asks("3", 9))
    case = one([office], *talk)
    assert [c.calendar for c in case.all_clocks] == ["office", None, "office"]
    assert [c.calendar for c in one([replace(office, calendar=None)], *talk).all_clocks] == [None] * 3
    assert [c.target_seconds for c in case.all_clocks] == [900.0, None, 7200.0]


# The past


def test_how_old_a_case_may_be_to_be_told_of_after_the_first_run() -> None:
    """As old as the policy says, else younger than its promise; without a promise it is the past."""

    def quiet(age: float, policy: FoldPolicy) -> bool:
        return one(since((-DAY, policy)), asks("1", -age, quiet_before=at(0))).quiet

    hour = FoldPolicy((REST,), backlog_seconds=3600.0)
    assert [quiet(age, hour) for age in (59, 60, 61)] == [False, True, True]
    assert [quiet(age, FoldPolicy((REST,))) for age in (14, 15, 16)] == [False, True, True]
    assert [quiet(age, FoldPolicy(())) for age in (0.01, 1)] == [True, True]
    assert quiet(1, FoldPolicy((REST,), backlog_seconds=0.0))
    assert not one([REST], asks("1", -DAY)).quiet


def test_a_case_from_before_the_first_run_that_goes_on_counts_from_then() -> None:
    """Nobody could have known before: each promise counts from the first message written since."""
    both = replace(REST, next_response_seconds=600.0, resolution_seconds=7200.0)
    old: dict[str, Any] = {"quiet_before": at(0)}
    case = one([both], asks("1", -90, **old), asks("2", 5), asks("3", 7))
    assert [(c.started_at, c.due_at) for c in case.all_clocks] == [(at(-90), at(20)), (at(-90), at(125))]
    assert case.historic and not case.quiet
    answered = (asks("1", -90, **old), replies("2", -80), asks("3", -30, **old), replies("4", -20))
    again = one([both], *answered, asks("5", 9))
    assert [c.due_at for c in again.all_clocks] == [at(24), at(19), at(19), at(129)]
    straddles = (asks("1", -90, **old), asks("2", 5), replies("3", 10), asks("4", 20))
    went_on = one([both], *straddles).resolution
    assert went_on is not None and went_on.due_at == at(20 + 115)  # of 120, five from 12:05 to 12:10
    alone = one([both], *answered[:1])
    assert [c.due_at for c in alone.all_clocks] == [at(-75), at(30)]


def test_the_first_response_clock_is_the_one_that_was_answered() -> None:
    """Withdrawn, asked again and answered: the answered wait is the first response; else the latest such."""
    gone = asks("1", 0, deleted_at=at(3))
    answered = one([REST], gone, asks("2", 5), replies("3", 9), asks("4", 12))
    assert (answered.first.cycle, answered.first_response_seconds) == (1, 240)
    waiting = one([REST], gone, asks("2", 5))
    assert (waiting.first.cycle, waiting.first_response_seconds) == (1, None)
    late = one([REST], gone, replies("3", 9))
    assert (late.first.cycle, late.first_response_seconds) == (0, None)
    elsewhere = one([REST], asks("1", 0), asks("2", 9), says(Word.ANSWERED, "1", 5))
    assert [c.name for c in elsewhere.clocks] == [ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE]
    assert elsewhere.first.ending is Status.ANSWERED_ELSEWHERE
    assert elsewhere.wait is elsewhere.latest is elsewhere.clocks[1]


def test_a_stored_calendar_that_cannot_be_read_is_named_so() -> None:
    """Who reads the log sees what was wrong."""
    with pytest.raises(ValueError, match=r"^not a calendar as it is stored: 'name'$"):
        calendar_from_mapping({})


def test_the_hours_of_an_ordinary_day_are_those_of_its_weekday() -> None:
    """`check` shows Monday's hours on a Monday."""
    monday = datetime(2026, 11, 23, tzinfo=UTC).date()
    calendar = Calendar("two", "UTC", (Opening(0, 540, 720), Opening(0, 780, 1020), Opening(1, 600, 660)))
    week = [calendar.spans_on(monday + timedelta(days=n)) for n in range(3)]
    assert week == [((540, 720), (780, 1020)), ((600, 660),), ()]
