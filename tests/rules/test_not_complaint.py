"""What changes when somebody says that a case is no complaint, and what does not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.case import Status, Word
from rules.fold import explain_clocks, fold
from rules.meaning.contract import Priority
from rules.policies import FoldPolicy
from rules.targets import Target
from tests.rules.build import PLACE, asks, at, replies, says, verdict

TIGHT = Target("complaint", 900.0, complaint=True, warnings=(0.5,))
EASY = Target("other", 7200.0, warnings=(0.5,))
POLICY = FoldPolicy((TIGHT, EASY))


def test_it_is_held_to_the_promise_of_the_others() -> None:
    """The wait goes on from where it began, due by the slower promise; the case says who said so."""
    (case,) = fold(PLACE, [asks("1", 0)], [says(Word.NOT_COMPLAINT, "1", 5)], POLICY)
    assert case.status is Status.WAITING
    assert (case.complaint, case.complaint_score) == (False, 0.0)
    assert (case.target, case.wait and case.wait.started_at, case.due_at) == ("other", at(0), at(120))
    assert case.reasons == ("olga says that it is no complaint",)


def test_a_case_that_nobody_else_promises_anything_waits_on_without_a_due_time() -> None:
    """Nothing is due any more, but the customer is still shown as waiting."""
    (case,) = fold(PLACE, [asks("1", 0)], [says(Word.NOT_COMPLAINT, "1", 5)], FoldPolicy((TIGHT,)))
    assert (case.status, case.target, case.due_at) == (Status.WAITING, None, None)


def test_a_figure_that_was_reported_stays() -> None:
    """It was answered as a complaint, too late: a word about it an hour later changes no figure."""
    parts = [asks("1", 0), replies("2", 20)]
    (before,) = fold(PLACE, parts, [], POLICY)
    (after,) = fold(PLACE, parts, [says(Word.NOT_COMPLAINT, "1", 80)], POLICY)
    assert (after.clocks, after.complaint) == (before.clocks, True)
    (again,) = fold(PLACE, [*parts, asks("3", 90)], [says(Word.NOT_COMPLAINT, "1", 100)], POLICY)
    assert again.clocks[0] == before.clocks[0]
    assert [c.target for c in again.clocks] == ["complaint", "other"]


def test_what_comes_later_is_judged_by_itself() -> None:
    """Nobody spoke of what nobody had seen: the next complaint is one."""
    word = says(Word.NOT_COMPLAINT, "1", 5)
    (case,) = fold(PLACE, [asks("1", 0), asks("2", 10)], [word], POLICY)
    assert (case.complaint, case.target) == (True, "complaint")
    (calm,) = fold(PLACE, [asks("1", 0), asks("2", 10, verdict=verdict(complaint=False))], [word], POLICY)
    assert (calm.complaint, calm.target) == (False, "other")


def test_the_urgency_of_a_complaint_goes_with_it() -> None:
    """What was urgent as a complaint is not urgent any more; a low priority stays low."""
    for priority, left in ((Priority.URGENT, Priority.NORMAL), (Priority.LOW, Priority.LOW)):
        part = asks("1", 0, verdict=verdict(priority=priority))
        (case,) = fold(PLACE, [part], [says(Word.NOT_COMPLAINT, "1", 5)], POLICY)
        assert case.priority is left


def test_explain_tells_the_target_that_holds_now() -> None:
    """`explain` and the case name the same target."""
    choices = explain_clocks(PLACE, [asks("1", 0)], [says(Word.NOT_COMPLAINT, "1", 5)], POLICY)
    ((choice),) = choices.values()
    assert choice.target is EASY


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["asks", "replies", "word"]), max_size=8), st.data())
def test_no_border_and_no_wait_moves(steps: list[str], data: st.DataObject) -> None:
    """Saying that it is no complaint changes no case's messages, begins no wait and ends none."""
    parts, words, minute = [asks("0", 0)], [], 0.0
    for number, step in enumerate(steps, start=1):
        minute += data.draw(st.sampled_from([1.0, 30.0, 60 * 25.0]))
        if step == "asks":
            calm = verdict(complaint=data.draw(st.booleans()))
            parts.append(asks(str(number), minute, verdict=calm))
        elif step == "replies":
            parts.append(replies(str(number), minute))
        else:
            words.append(says(Word.NOT_COMPLAINT, data.draw(st.sampled_from(["0", "1", "2"])), minute))
    plain, labelled = fold(PLACE, parts, [], POLICY), fold(PLACE, parts, words, POLICY)
    assert [(c.id, c.status, c.inbound_count) for c in plain] == [
        (c.id, c.status, c.inbound_count) for c in labelled
    ]
    for one, other in zip(plain, labelled, strict=True):
        assert [(c.started_at, c.stopped_at) for c in one.clocks] == [
            (c.started_at, c.stopped_at) for c in other.clocks
        ]
