"""What the fold promises about cases and their first response."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.case import Case, Part, Status, Word
from rules.fold import fold
from rules.policies import FoldPolicy
from rules.targets import Target
from tests.rules.build import MINUTES_15, PLACE, POLICY, asks, at, replies, says, verdict


def one(*parts: Part, policy: FoldPolicy = POLICY, said: tuple[object, ...] = ()) -> Case:
    (case,) = fold(PLACE, parts, said, policy)  # type: ignore[arg-type]
    return case


def test_first_response_is_the_first_reply_by_a_person() -> None:
    """The time to the first human reply is what the lead sees, to the second."""
    case = one(asks("1", 0), replies("2", 8.5), replies("3", 9))
    assert case.status is Status.ANSWERED
    assert case.first_response_seconds == 510
    assert case.first_response is not None and case.first_response.message_id == "2"


def test_a_bot_answers_nobody() -> None:
    """An automatic reply is kept beside it, and the customer waits on."""
    case = one(asks("1", 0), replies("2", 1, automated=True))
    assert case.status is Status.WAITING
    assert case.first_any_reply_at == at(1)
    assert case.first_response is None


def test_a_reply_faster_than_a_person_types_answers_nobody() -> None:
    """Two seconds after the question no person has answered it."""
    assert one(asks("1", 0), replies("2", 2 / 60)).status is Status.WAITING
    assert one(asks("1", 0), replies("2", 6 / 60)).status is Status.ANSWERED


def test_a_handover_from_bot_to_person_does_not_reset_the_start() -> None:
    """The wait runs from the customer's first message, whatever the bot said between."""
    case = one(asks("1", 0), replies("2", 1, automated=True), asks("3", 2), replies("4", 10))
    assert case.first_response_seconds == 600


def test_what_was_said_then_belongs_to_the_wait_that_ran_then() -> None:
    """An alert of 12:20 is about the wait that began at 12:15, not the one before or after it."""
    case = one(asks("1", 0), replies("2", 5), asks("3", 15), replies("4", 25), asks("5", 40))
    found = [case.wait_at(at(minute)) for minute in (-1, 0, 14, 15, 20, 39, 41)]
    started = [None if clock is None else clock.started_at for clock in found]
    assert started == [None, at(0), at(0), at(15), at(15), at(15), at(40)]


def test_the_brand_speaking_first_starts_no_case() -> None:
    """In a thread that the brand began, the wait starts with the customer."""
    assert fold(PLACE, [replies("0", -30), replies("1", -20)], [], POLICY) == ()
    assert one(replies("0", -30), asks("1", 0), replies("2", 5)).first_response_seconds == 300


def test_silence_ends_a_case_only_if_nobody_waits() -> None:
    """After a day of silence a new message is a new case, but never while the first one is unanswered."""
    answered = fold(PLACE, [asks("1", 0), replies("2", 5), asks("3", 5 + 24 * 60)], [], POLICY)
    assert [c.first_message_id for c in answered] == ["1", "3"]
    waiting = fold(PLACE, [asks("1", 0), asks("3", 3 * 24 * 60)], [], POLICY)
    assert [c.first_message_id for c in waiting] == ["1"]
    assert waiting[0].waiting_since == at(0)


def test_thanks_after_an_answer_starts_no_wait() -> None:
    """ "Thanks!" neither reopens the case nor keeps it open for ever."""
    thanks = asks("3", 6, verdict=verdict(complaint=False, needs_reply=False))
    assert one(asks("1", 0), replies("2", 5), thanks).status is Status.ANSWERED
    cases = fold(PLACE, [asks("1", 0), replies("2", 5), thanks, asks("4", 6 + 25 * 60)], [], POLICY)
    assert [c.first_message_id for c in cases] == ["1", "4"]


def test_what_needs_no_reply_is_measured_but_promised_nothing() -> None:
    """Praise has no target and cannot breach, and its response time is still recorded."""
    praise = asks("1", 0, verdict=verdict(complaint=False, needs_reply=False))
    assert one(praise).status is Status.NOT_NEEDED
    assert one(praise).due_at is None
    assert one(praise, replies("2", 4)).first_response_seconds == 240


def test_deleting_every_message_withdraws_the_case() -> None:
    """A customer who deletes the complaint waits no more; one who deletes half of it does."""
    gone = asks("1", 0, deleted_at=at(3))
    assert one(gone).status is Status.WITHDRAWN
    assert one(gone, asks("2", 1)).status is Status.WAITING
    late = asks("1", 0, deleted_at=at(30))
    assert one(late, replies("2", 20)).status is Status.ANSWERED
    assert one(asks("1", 0, deleted_at=at(30))).latest.breached_at is None


def test_a_deleted_answer_stays_an_answer() -> None:
    """The customer was answered; that the brand took it back later changes no figure."""
    assert one(asks("1", 0), replies("2", 5, deleted_at=at(6))).first_response_seconds == 300


def test_the_promise_falls_due_and_is_broken() -> None:
    """Fifteen minutes are fifteen minutes from the customer's post, not from when we saw it."""
    case = one(asks("1", 0, seen_at=at(4)))
    assert case.due_at == at(15)
    assert [moment for _, moment in case.latest.warnings] == [at(7.5), at(12)]
    assert one(asks("1", 0), replies("2", 15)).latest.breached_at is None
    assert one(asks("1", 0), replies("2", 15.1)).latest.breached_at == at(15)


def test_a_tighter_target_that_comes_late_leaves_time_to_act() -> None:
    """A question that turns into a complaint after 20 minutes does not breach 5 minutes in the past."""
    policy = FoldPolicy((replace(MINUTES_15, complaint=True), Target("slow", 3600.0)))
    calm = asks("1", 0, verdict=verdict(complaint=False))
    case = one(calm, asks("2", 20), policy=policy)
    assert case.target == "public"
    assert case.due_at == at(27.5)
    assert one(calm, policy=policy).due_at == at(60)


def test_an_edit_that_changes_no_promise_moves_no_due_time() -> None:
    """Correcting a typing error does not buy the brand time."""
    edited = asks("1", 0, edited_at=at(10), first_verdict=verdict())
    assert one(edited).due_at == at(15)
    turned = asks("1", 0, edited_at=at(10), first_verdict=verdict(complaint=False, needs_reply=False))
    assert one(turned).due_at == at(17.5)


def test_an_operators_word_covers_what_had_been_seen() -> None:
    """ "Resolved" ends the wait; a message seen after it reopens the case and waits from its own time."""
    done = says(Word.RESOLVE, "1", 5)
    assert one(asks("1", 0), said=(done,)).status is Status.RESOLVED
    again = one(asks("1", 0), asks("2", 4, seen_at=at(6)), said=(done,))
    assert (again.status, again.latest.cycle, again.waiting_since) == (Status.WAITING, 1, at(4))
    assert again.due_at == at(19)
    assert one(asks("1", 0), asks("2", 4), said=(done,)).status is Status.RESOLVED


def test_a_message_long_after_a_resolution_is_a_new_case() -> None:
    """Resolved in March, a new complaint in June: new clocks, not a wait of three months."""
    done = says(Word.RESOLVE, "1", 5)
    cases = fold(PLACE, [asks("1", 0), asks("2", 5 + 24 * 60)], [done], POLICY)
    assert [(c.first_message_id, c.status) for c in cases] == [("1", Status.RESOLVED), ("2", Status.WAITING)]


def test_each_word_says_how_the_wait_ended() -> None:
    """Ignored, answered elsewhere and resolved are different ends, and who said so is kept."""
    ends = {
        Word.RESOLVE: Status.RESOLVED,
        Word.IGNORE: Status.IGNORED,
        Word.ANSWERED: Status.ANSWERED_ELSEWHERE,
    }
    for word, status in ends.items():
        case = one(asks("1", 0), said=(says(word, "1", 5),))
        assert (case.status, case.latest.stopped_by, case.latest.stopped_at) == (status, "olga", at(5))


def test_ack_assign_and_snooze_do_not_stop_the_wait() -> None:
    """Taking a case is not answering it."""
    said = (
        says(Word.ACK, "1", 2),
        says(Word.ASSIGN, "1", 3, note="ben"),
        says(Word.SNOOZE, "1", 4, until=at(30)),
    )
    case = one(asks("1", 0), said=said)
    assert case.status is Status.WAITING
    assert (case.acknowledged_by, case.assignee, case.snoozed_until) == ("olga", "ben", at(30))


def test_the_past_is_quiet() -> None:
    """What was there before the first run alerts nobody, unless it is younger than its target or goes on."""
    old = asks("1", -60, quiet_before=at(0))
    assert one(old).quiet and one(old).historic
    young = asks("1", -5, quiet_before=at(0))
    assert not one(young).quiet and one(young).due_at == at(10)
    goes_on = one(old, asks("2", 3))
    assert not goes_on.quiet and goes_on.due_at == at(18)


PART = st.tuples(
    st.sampled_from(["ask", "reply", "bot", "thanks"]), st.integers(0, 60 * 72), st.integers(0, 3)
)


def build(rows: list[tuple[str, int, int]]) -> list[Part]:
    made = []
    for n, (what, minute, lag) in enumerate(rows):
        seen = {"seen_at": at(minute + lag)}
        if what == "ask":
            made.append(asks(str(n), minute, **seen))
        elif what == "thanks":
            made.append(asks(str(n), minute, verdict=verdict(complaint=False, needs_reply=False), **seen))
        else:
            made.append(replies(str(n), minute, automated=what == "bot", **seen))
    return made


@given(st.lists(PART, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_order_of_arrival_changes_nothing(rows: list[tuple[str, int, int]], random: object) -> None:
    """However the platform hands things over, the cases come out the same."""
    parts = build(rows)
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(PLACE, parts, [], POLICY) == fold(PLACE, shuffled, [], POLICY)


@given(st.lists(PART, max_size=10))
@settings(max_examples=200)
def test_no_clock_is_negative_and_every_question_is_in_one_case(rows: list[tuple[str, int, int]]) -> None:
    """No customer is lost between cases, and nobody was answered before asking."""
    parts = build(rows)
    cases = fold(PLACE, parts, [], POLICY)
    assert sum(c.inbound_count for c in cases) == sum(p.inbound for p in parts)
    for case in cases:
        assert case.first_response_seconds is None or case.first_response_seconds >= 0
        assert case.first_any_reply_at is None or case.first_any_reply_at >= case.opened_at
    for earlier, later in itertools.pairwise(cases):
        assert earlier.opened_at < later.opened_at
        assert earlier.status is not Status.WAITING
