"""The waits of a case as a table of stories: who wrote what when, and which waits come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from rules.case import Action, Case, ClockName, Part, Status, Word
from rules.fold import fold
from rules.hours import Calendar, Opening
from rules.policies import FoldPolicy
from rules.targets import Target
from rules.waits import Replied, Story, tell
from tests.rules.build import NOON, PLACE, asks, at, replies, says, verdict

FIRST, NEXT = ClockName.FIRST_RESPONSE, ClockName.NEXT_RESPONSE
DAY = 24 * 60.0

WaitRow = tuple[ClockName, float, float | None, Status | None]
"""(which wait, minute of its start, minute of its stop, how it ended); None, None: it runs."""


def thanks(id: str, minutes: float, **more: object) -> Part:
    """The customer writes something that asks for nothing."""
    return asks(id, minutes, verdict=verdict(complaint=False, needs_reply=False), **more)


def bot(id: str, minutes: float) -> Part:
    """A machine of the brand writes."""
    return replies(id, minutes, automated=True)


def story(*told: Part | Action) -> Story:
    """The story of what was written and said."""
    inbound = [p for p in told if isinstance(p, Part) and p.inbound]
    ours = [Replied(p, not p.automated) for p in told if isinstance(p, Part) and not p.inbound]
    return tell(inbound, ours, [a for a in told if isinstance(a, Action)])


def minute(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - NOON).total_seconds() / 60


def waits_of(told: Story) -> list[WaitRow]:
    return [(w.name, minute(w.started_at) or 0.0, minute(w.stopped_at), w.ending) for w in told.waits]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    promise: str
    told: tuple[Part | Action, ...]
    waits: tuple[WaitRow, ...]
    status: Status


RESOLVED, IGNORED, ELSEWHERE = Status.RESOLVED, Status.IGNORED, Status.ANSWERED_ELSEWHERE
ANSWERED, WITHDRAWN, WAITING = Status.ANSWERED, Status.WITHDRAWN, Status.WAITING

WHO_WRITES = (
    Row("the first message waits", (asks("1", 0),), ((FIRST, 0, None, None),), WAITING),
    Row("the first waits whatever it says", (thanks("1", 0),), ((FIRST, 0, None, None),), WAITING),
    Row(
        "a second message joins, and the wait goes on from the oldest",
        (asks("1", 0), asks("2", 9), replies("3", 10)),
        ((FIRST, 0, 10, ANSWERED),),
        ANSWERED,
    ),
    Row(
        "who asks again after an answer waits anew",
        (asks("1", 0), replies("2", 5), asks("3", 8)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 8, None, None)),
        WAITING,
    ),
    Row(
        "thanks after an answer starts nothing",
        (asks("1", 0), replies("2", 5), thanks("3", 6)),
        ((FIRST, 0, 5, ANSWERED),),
        ANSWERED,
    ),
    Row(
        "the next response runs from what was asked, not from the thanks before it",
        (asks("1", 0), replies("2", 5), thanks("3", 6), asks("4", 9), replies("5", 12)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 9, 12, ANSWERED)),
        ANSWERED,
    ),
    Row(
        "the next response runs from the oldest unanswered message",
        (asks("1", 0), replies("2", 5), asks("3", 6), asks("4", 20), thanks("5", 21), replies("6", 30)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 6, 30, ANSWERED)),
        ANSWERED,
    ),
    Row(
        "one wait for each time the customer asks again",
        (asks("1", 0), replies("2", 5), asks("3", 6), replies("4", 7), asks("5", 8), replies("6", 10)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 6, 7, ANSWERED), (NEXT, 8, 10, ANSWERED)),
        ANSWERED,
    ),
    Row(
        "at the same instant the question comes before the answer",
        (asks("1", 0), asks("2", 5), replies("0", 5)),
        ((FIRST, 0, 5, ANSWERED),),
        ANSWERED,
    ),
)

WHO_ANSWERS = (
    Row("a person ends it", (asks("1", 0), replies("2", 5)), ((FIRST, 0, 5, ANSWERED),), ANSWERED),
    Row(
        "a brand that writes twice starts nothing and stops nothing",
        (asks("1", 0), replies("2", 5), replies("3", 6)),
        ((FIRST, 0, 5, ANSWERED),),
        ANSWERED,
    ),
    Row("a machine ends nothing", (asks("1", 0), bot("2", 1)), ((FIRST, 0, None, None),), WAITING),
    Row(
        "a hand-over from a machine to a person never resets the start",
        (asks("1", 0), bot("2", 1), asks("3", 2), bot("4", 3), replies("5", 8)),
        ((FIRST, 0, 8, ANSWERED),),
        ANSWERED,
    ),
    Row(
        "after a machine's answer alone the customer still waits for the first response",
        (asks("1", 0), bot("2", 1), asks("3", 2)),
        ((FIRST, 0, None, None),),
        WAITING,
    ),
    Row(
        "a machine does not end a next response either",
        (asks("1", 0), replies("2", 5), asks("3", 6), bot("4", 7)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 6, None, None)),
        WAITING,
    ),
)

WHO_SPEAKS = (
    Row(
        "resolved ends it",
        (asks("1", 0), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED),),
        RESOLVED,
    ),
    Row("ignored ends it", (asks("1", 0), says(Word.IGNORE, "1", 5)), ((FIRST, 0, 5, IGNORED),), IGNORED),
    Row(
        "answered elsewhere ends it",
        (asks("1", 0), says(Word.ANSWERED, "1", 5)),
        ((FIRST, 0, 5, ELSEWHERE),),
        ELSEWHERE,
    ),
    Row(
        "to take it, to assign it and to snooze it end nothing",
        (asks("1", 0), *(says(w, "1", 5) for w in (Word.ACK, Word.ASSIGN, Word.SNOOZE))),
        ((FIRST, 0, None, None),),
        WAITING,
    ),
    Row(
        "thanks after resolve starts nothing",
        (asks("1", 0), says(Word.RESOLVE, "1", 5), thanks("2", 9)),
        ((FIRST, 0, 5, RESOLVED),),
        RESOLVED,
    ),
    Row(
        "a question after resolve reopens: still for the first response, nobody has answered",
        (asks("1", 0), says(Word.RESOLVE, "1", 5), asks("2", 20)),
        ((FIRST, 0, 5, RESOLVED), (FIRST, 20, None, None)),
        WAITING,
    ),
    Row(
        "a question after an answer elsewhere is for the next response",
        (asks("1", 0), says(Word.ANSWERED, "1", 5), asks("2", 20), replies("3", 25)),
        ((FIRST, 0, 5, ELSEWHERE), (NEXT, 20, 25, ANSWERED)),
        ANSWERED,
    ),
    Row(
        "a question after an answer and a resolve is for the next response",
        (asks("1", 0), replies("2", 5), says(Word.RESOLVE, "1", 6), asks("3", 20)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 20, None, None)),
        WAITING,
    ),
    Row(
        "resolved after the answer is resolved",
        (asks("1", 0), replies("2", 5), says(Word.RESOLVE, "1", 6)),
        ((FIRST, 0, 5, ANSWERED),),
        RESOLVED,
    ),
    Row(
        "a word covers what had been seen: what was seen later waits on from its own time",
        (asks("1", 0), asks("2", 4, seen_at=at(6)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED), (FIRST, 4, None, None)),
        WAITING,
    ),
    Row(
        "after an answer elsewhere, what was seen later waits for the next response",
        (asks("1", 0), asks("2", 4, seen_at=at(6)), says(Word.ANSWERED, "1", 5), replies("3", 9)),
        ((FIRST, 0, 5, ELSEWHERE), (NEXT, 4, 9, ANSWERED)),
        ANSWERED,
    ),
    Row(
        "thanks that were seen after the word do not reopen",
        (asks("1", 0), thanks("2", 4, seen_at=at(6)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED),),
        RESOLVED,
    ),
    Row(
        "a word given before anything was seen covers nothing",
        (asks("1", 0, seen_at=at(10)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, None, None),),
        WAITING,
    ),
    Row(
        "what was seen at the instant of the word is covered by it",
        (asks("1", 0, seen_at=at(5)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED),),
        RESOLVED,
    ),
    Row(
        "an older message that was seen later goes on waiting from its own time",
        (asks("1", 0, seen_at=at(10)), asks("2", 3), says(Word.IGNORE, "2", 5)),
        ((FIRST, 3, 5, IGNORED), (FIRST, 0, None, None)),
        WAITING,
    ),
    Row(
        "a platform's clock that runs ahead of ours makes no negative wait",
        (asks("1", 6, seen_at=at(5)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 6, 6, RESOLVED),),
        RESOLVED,
    ),
    Row(
        "the last of two ends counts: ignored after it was resolved and asked again",
        (asks("1", 0), says(Word.RESOLVE, "1", 5), asks("2", 20), says(Word.IGNORE, "2", 30)),
        ((FIRST, 0, 5, RESOLVED), (FIRST, 20, 30, IGNORED)),
        IGNORED,
    ),
)

WHO_DELETES = (
    Row("deleted is withdrawn", (asks("1", 0, deleted_at=at(3)),), ((FIRST, 0, 3, WITHDRAWN),), WITHDRAWN),
    Row(
        "half of it deleted waits on, from the oldest",
        (asks("1", 0, deleted_at=at(3)), asks("2", 2), replies("3", 9)),
        ((FIRST, 0, 9, ANSWERED),),
        ANSWERED,
    ),
    Row(
        "all of it deleted is withdrawn at the last deletion",
        (asks("1", 0, deleted_at=at(7)), asks("2", 2, deleted_at=at(4))),
        ((FIRST, 0, 7, WITHDRAWN),),
        WITHDRAWN,
    ),
    Row(
        "what is written after a withdrawal waits for the first response, anew",
        (asks("1", 0, deleted_at=at(3)), asks("2", 10), replies("3", 12)),
        ((FIRST, 0, 3, WITHDRAWN), (FIRST, 10, 12, ANSWERED)),
        ANSWERED,
    ),
    Row(
        "to delete what was answered changes nothing",
        (asks("1", 0, deleted_at=at(9)), replies("2", 5)),
        ((FIRST, 0, 5, ANSWERED),),
        ANSWERED,
    ),
    Row(
        "to delete what was resolved changes nothing",
        (asks("1", 0, deleted_at=at(9)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED),),
        RESOLVED,
    ),
    Row(
        "a next response is withdrawn like a first one, and the one after it is a next one too",
        (asks("1", 0), replies("2", 5), asks("3", 6, deleted_at=at(8)), asks("4", 10)),
        ((FIRST, 0, 5, ANSWERED), (NEXT, 6, 8, WITHDRAWN), (NEXT, 10, None, None)),
        WAITING,
    ),
    Row(
        "what a word left waiting can be withdrawn",
        (asks("1", 0), asks("2", 4, seen_at=at(6), deleted_at=at(8)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED), (FIRST, 4, 8, WITHDRAWN)),
        WITHDRAWN,
    ),
    Row(
        "what was deleted before the word does not wait after it",
        (asks("1", 0), asks("2", 2, seen_at=at(6), deleted_at=at(4)), says(Word.RESOLVE, "1", 5)),
        ((FIRST, 0, 5, RESOLVED),),
        RESOLVED,
    ),
    Row(
        "a deleted answer stays an answer",
        (asks("1", 0), replies("2", 5, deleted_at=at(6))),
        ((FIRST, 0, 5, ANSWERED),),
        ANSWERED,
    ),
)

TABLE = (*WHO_WRITES, *WHO_ANSWERS, *WHO_SPEAKS, *WHO_DELETES)


@pytest.mark.parametrize("row", TABLE, ids=[row.promise for row in TABLE])
def test_each_story_has_its_waits(row: Row) -> None:
    """Every wait that a lead sees begins, ends and is named as the table says."""
    told = story(*row.told)
    assert (waits_of(told), told.status) == (list(row.waits), row.status)


def test_who_ended_a_wait_is_kept_with_it() -> None:
    """The answer, its author, the operator, or the customer: a lead can see who it was."""
    answered = story(asks("1", 0), replies("2", 5), replies("3", 6)).waits[0]
    assert answered.answer is not None
    assert (answered.stopped_by, answered.answer.id) == ("acmehelp", "2")
    resolved = story(asks("1", 0), says(Word.RESOLVE, "1", 5)).waits[0]
    assert (resolved.stopped_by, resolved.answer) == ("olga", None)
    assert story(asks("1", 0, deleted_at=at(3))).waits[0].stopped_by == "the customer"


def test_since_when_the_first_response_was_waited_for() -> None:
    """The start is the first message, or the first one after all before it was withdrawn."""

    def asked(*told: Part | Action) -> float | None:
        return minute(story(*told).asked_at)

    assert asked(asks("1", 0), asks("2", 3), replies("3", 9)) == 0
    assert asked(asks("1", 0), says(Word.RESOLVE, "1", 5), asks("2", 20), replies("3", 25)) == 0
    assert asked(asks("1", 0, deleted_at=at(3)), asks("2", 10), replies("3", 12)) == 10
    assert asked(asks("1", 0, deleted_at=at(3)), replies("2", 12)) is None
    assert asked(asks("1", 0, deleted_at=at(9)), replies("2", 5)) == 0


def test_to_resolve_twice_is_to_resolve_once_unless_it_was_reopened() -> None:
    """A second click changes no figure; a second resolution does."""
    one, two = says(Word.RESOLVE, "1", 5), says(Word.RESOLVE, "1", 30)
    assert [minute(t) for t in story(asks("1", 0), one, two).resolved_at] == [5]
    reopened = story(asks("1", 0), one, asks("2", 20), replace(two, who="otto"))
    assert [minute(t) for t in reopened.resolved_at] == [5, 30]
    assert (reopened.resolved, reopened.resolved_by) == (True, "otto")
    assert not story(asks("1", 0), one, asks("2", 20)).resolved
    unseen = story(asks("1", 0, seen_at=at(10)), one)
    assert (unseen.resolved_at, unseen.closed_at) == ([], None)


def test_a_wait_lists_whom_it_is_about() -> None:
    """The oldest first; what a word did not cover stands in the wait after it."""
    told = story(asks("1", 0), asks("2", 4, seen_at=at(6)), asks("3", 4.5), says(Word.RESOLVE, "1", 5))
    assert [[p.id for p in wait.messages] for wait in told.waits] == [["1", "3"], ["2"]]


# From here on with a promise: what the waits come to in the figures of a case.

PAUSED = Target("paused", 900.0, 900.0, resolution_seconds=7200.0)
UNPAUSED = replace(PAUSED, name="unpaused", pauses=False)
OFFICE = Calendar("office", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(7)))


def case_of(target: Target, *told: Part | Action) -> Case:
    """The one case that comes of it, held to that target."""
    parts = [p for p in told if isinstance(p, Part)]
    policy = FoldPolicy((target,), calendars={"office": OFFICE})
    (case,) = fold(PLACE, parts, [a for a in told if isinstance(a, Action)], policy)
    return case


TALK: Sequence[Part] = (asks("1", 0), replies("2", 30), asks("3", 60), replies("4", 90))


def test_resolution_without_the_time_in_which_the_customer_was_waited_for() -> None:
    """30 min and 30 min of ours are an hour, though 100 min passed; a target without pauses says 100."""
    done = says(Word.RESOLVE, "1", 100)
    assert case_of(PAUSED, *TALK, done).first_resolution_seconds == 60 * 60
    assert case_of(UNPAUSED, *TALK, done).first_resolution_seconds == 100 * 60


def test_first_and_full_resolution_when_a_case_is_reopened() -> None:
    """The first stays what it was; the last counts the reopened time."""
    words = (says(Word.RESOLVE, "1", 40), says(Word.RESOLVE, "1", 100))
    paused = case_of(PAUSED, *TALK, *words)
    assert (paused.first_resolution_seconds, paused.full_resolution_seconds) == (30 * 60, 60 * 60)
    unpaused = case_of(UNPAUSED, *TALK, *words)
    assert (unpaused.first_resolution_seconds, unpaused.full_resolution_seconds) == (40 * 60, 100 * 60)
    once = case_of(PAUSED, *TALK, words[1])
    assert once.first_resolution_seconds == once.full_resolution_seconds


def test_what_is_not_resolved_has_no_resolution_time() -> None:
    """Answered is not resolved, and neither is ignored or withdrawn."""
    assert case_of(PAUSED, *TALK).first_resolution_seconds is None
    assert case_of(PAUSED, asks("1", 0), says(Word.IGNORE, "1", 5)).full_resolution_seconds is None
    assert case_of(PAUSED, asks("1", 0, deleted_at=at(5))).full_resolution_seconds is None


def due(case: Case) -> tuple[float | None, list[float | None]]:
    """When the resolution is due and warned of."""
    assert case.resolution is not None
    return minute(case.resolution.due_at), [minute(at) for _, at in case.resolution.warnings]


def test_the_resolution_stands_still_while_the_customer_is_waited_for() -> None:
    """Due after two hours of ours: no due time while the customer has to answer, a later one after it."""
    assert due(case_of(PAUSED, asks("1", 0))) == (120, [60, 96])
    assert due(case_of(PAUSED, *TALK[:2])) == (None, [])
    assert due(case_of(PAUSED, *TALK[:3])) == (150, [90, 126])
    assert due(case_of(PAUSED, *TALK)) == (None, [])
    assert due(case_of(UNPAUSED, *TALK[:2])) == (120, [60, 96])
    assert due(case_of(UNPAUSED, *TALK)) == (120, [60, 96])


def test_a_promise_of_resolution_that_was_broken_stays_broken() -> None:
    """Two hours had passed before the answer: due then, whatever pause came after it."""
    late = case_of(PAUSED, asks("1", 0), replies("2", 130), says(Word.RESOLVE, "1", 140))
    assert late.resolution is not None and late.resolution.breached_at == at(120)
    in_time = case_of(PAUSED, *TALK, says(Word.RESOLVE, "1", 300))
    assert in_time.resolution is not None
    assert (in_time.resolution.ending, in_time.resolution.breached_at) == (Status.RESOLVED, None)
    unpaused = case_of(UNPAUSED, *TALK, says(Word.RESOLVE, "1", 300))
    assert unpaused.resolution is not None and unpaused.resolution.breached_at == at(120)


def test_the_resolution_counts_in_opening_hours() -> None:
    """16:45 to 16:55 and again from 18:00: ten minutes are used, the rest runs from 9:00 the next day."""
    office = replace(PAUSED, calendar="office")
    talk = (asks("1", 285), replies("2", 295), asks("3", 360))
    nine = 21 * 60.0
    assert due(case_of(office, asks("1", 285)))[0] == nine + 105
    assert due(case_of(office, *talk[:2]))[0] is None
    assert due(case_of(office, *talk))[0] == nine + 110
    assert due(case_of(replace(office, pauses=False), *talk))[0] == nine + 105


def test_the_resolution_ends_with_the_case() -> None:
    """Resolved, ignored and withdrawn end it; an answer does not, nor does the customer's thanks."""

    def ending(*told: Part | Action) -> Status | None:
        clock = case_of(PAUSED, *told).resolution
        assert clock is not None
        return clock.ending

    assert ending(asks("1", 0)) is None
    assert ending(asks("1", 0), replies("2", 5), thanks("3", 6)) is None
    assert ending(asks("1", 0), says(Word.RESOLVE, "1", 5)) is RESOLVED
    assert ending(asks("1", 0), says(Word.IGNORE, "1", 5)) is IGNORED
    assert ending(asks("1", 0, deleted_at=at(5))) is WITHDRAWN
    assert ending(asks("1", 0), says(Word.RESOLVE, "1", 5), asks("2", 9)) is None


def test_nobody_promised_a_resolution_and_nobody_resolved_it() -> None:
    """Then there is no such clock; where somebody resolved it, it is measured and promised nothing."""
    plain = Target("plain", 900.0)
    assert case_of(plain, *TALK).resolution is None
    measured = case_of(plain, asks("1", 0), says(Word.RESOLVE, "1", 7)).resolution
    assert measured is not None
    assert (measured.seconds, measured.target, measured.due_at) == (420, None, None)


def test_when_silence_ends_a_case() -> None:
    """A day after the last thing that was written or said; never while somebody waits."""
    plain = Target("plain", 900.0)
    done = says(Word.RESOLVE, "1", 30)

    def closes(target: Target, *told: Part | Action) -> float | None:
        return minute(case_of(target, *told).closes_at)

    assert closes(plain, asks("1", 0)) is None
    assert closes(plain, asks("1", 0), bot("2", 5)) is None
    assert closes(plain, asks("1", 0), replies("2", 5)) == 5 + DAY
    assert closes(plain, asks("1", 0), replies("2", 5), replies("3", 7)) == 7 + DAY
    assert closes(plain, asks("1", 0), replies("2", 5), thanks("3", 9)) == 9 + DAY
    assert closes(plain, asks("1", 0), replies("2", 5), asks("3", 9)) is None
    assert closes(plain, asks("1", 0), done) == 30 + DAY
    assert closes(plain, asks("1", 0), replies("2", 5), done) == 30 + DAY
    assert closes(replace(plain, gap_seconds=7200.0), asks("1", 0), replies("2", 5)) == 125


def test_thanks_after_resolve_do_not_keep_a_case_open_for_ever() -> None:
    """Resolved by a word, thanked, and a month of silence: the next complaint is a case of its own, answered
    in five minutes, and not the same one answered after a month."""
    plain = Target("plain", 900.0)
    month = 30 * DAY
    talk = (asks("1", 0), thanks("2", 40))
    done = says(Word.RESOLVE, "1", 30)
    assert minute(case_of(plain, *talk, done).closes_at) == 40 + DAY
    parts = [*talk, asks("3", month), replies("4", month + 5)]
    cases = fold(PLACE, parts, [done], FoldPolicy((plain,)))
    assert [(c.first_message_id, c.first_response_seconds) for c in cases] == [("1", None), ("3", 300)]


def test_the_next_response_has_a_promise_of_its_own() -> None:
    """Five minutes for the first, an hour for each next: each wait is due by its own."""
    target = Target("both", 300.0, 3600.0, warnings=())
    case = case_of(target, asks("1", 0), replies("2", 4), asks("3", 10), replies("4", 80), asks("5", 100))
    assert [(c.name, c.cycle, minute(c.due_at)) for c in case.clocks] == [
        (FIRST, 0, 5),
        (NEXT, 1, 70),
        (NEXT, 2, 160),
    ]
    assert [c.breached_at for c in case.clocks] == [None, at(70), None]
    assert [c.seconds for c in case.clocks] == [240, 4200, None]
    assert case.first_response_seconds == 240


def test_a_next_response_that_is_promised_nothing_is_measured_all_the_same() -> None:
    """Only the first response has a target: the next is recorded, and never late."""
    case = case_of(
        Target("first only", 300.0), asks("1", 0), replies("2", 4), asks("3", 10), replies("4", 80)
    )
    assert (case.latest.seconds, case.latest.due_at, case.latest.breached_at) == (4200, None, None)
