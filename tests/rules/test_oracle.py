"""The fold against the oracle: every response time, on thousands of generated conversations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.case import Action, Case, Part, Status, Word
from rules.fold import fold
from rules.policies import FoldPolicy
from rules.targets import Target
from tests.rules.build import PLACE, asks, at, replies, says, verdict
from tests.rules.conversations import DAY, GAPS, Talk, talks
from tests.rules.oracle import Request, account

THOROUGH = settings(
    max_examples=2000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def folded(talk: Talk, gap: float) -> list[Case]:
    """What the core makes of it."""
    target = Target("all", 900.0, next_response_seconds=1800.0, gap_seconds=gap, needs_reply_only=False)
    policy = FoldPolicy((target,))
    return list(fold(PLACE, talk.parts, talk.words, policy))


def told(case: Case) -> dict[str, Any]:
    """What the core says about responses, in plain values that a failure can show side by side."""
    return {
        "first": case.first_message_id,
        "inbound": case.inbound_count,
        "waits": [
            (c.name, c.cycle, c.started_at, c.message_id, c.stopped_at, c.stopped_by, c.ending, c.answer_id)
            for c in case.clocks
        ],
        "first_response_at": case.first_response and case.first_response.at,
        "first_response_seconds": case.first_response_seconds,
        "first_any_reply_at": case.first_any_reply_at,
    }


def expected(request: Request) -> dict[str, Any]:
    """The same of the oracle."""
    return {
        "first": request.first,
        "inbound": len(request.inbound),
        "waits": [
            (w.name, cycle, w.started_at, w.message, w.stopped_at, w.by, w.ending, w.answer)
            for cycle, w in enumerate(request.waits)
        ],
        "first_response_at": request.first_response_at,
        "first_response_seconds": request.first_response_seconds,
        "first_any_reply_at": request.first_any_reply_at,
    }


def agree(talk: Talk, gap: float) -> None:
    made = [told(c) for c in folded(talk, gap)]
    assert made == [expected(r) for r in account(talk.parts, talk.words, timedelta(seconds=gap))]


@given(talks(words_max=0), st.sampled_from(GAPS))
@THOROUGH
def test_response_times_are_those_of_the_definitions(talk: Talk, gap: float) -> None:
    """Whatever customers, agents and bots do to each other, each wait is what the definitions say it is."""
    agree(talk, gap)


@given(talks(length_max=7, words_max=3), st.sampled_from(GAPS))
@THOROUGH
def test_operators_words_end_waits_as_the_definitions_say(talk: Talk, gap: float) -> None:
    """Resolved, ignored, answered elsewhere: at any moment, with messages that were seen before or after."""
    agree(talk, gap)


def both(*parts: Part, said: tuple[Action, ...] = ()) -> list[Case]:
    """The cases of a conversation that was written by hand, on which core and oracle agree."""
    talk = Talk(parts, said)
    agree(talk, DAY)
    return folded(talk, DAY)


def seconds(case: Case) -> list[tuple[str, float | None, str | None]]:
    return [(str(c.name), c.seconds, c.ending) for c in case.clocks]


def test_each_cycle_is_measured_from_the_oldest_unanswered_message() -> None:
    """Asked, answered, asked twice, answered, thanked: a first and a next response, and none for thanks."""
    thanks = asks("6", 40, verdict=verdict(complaint=False, needs_reply=False))
    (case,) = both(
        asks("1", 0),
        replies("2", 8),
        asks("3", 20),
        asks("4", 25),
        replies("5", 30),
        replies("5b", 31),
        thanks,
    )
    assert case.first_response_seconds == 480
    assert seconds(case) == [("first_response", 480, "answered"), ("next_response", 600, "answered")]


def test_what_was_withdrawn_before_any_answer_is_in_no_response_time() -> None:
    """Posted at 12:00, deleted at 12:03, and an agent writes at 12:05: no response time of 5 minutes."""
    (case,) = both(asks("1", 0, deleted_at=at(3)), replies("2", 5))
    assert seconds(case) == [("first_response", 180, "withdrawn")]
    assert case.first_response_seconds is None


def test_a_deleted_message_that_we_saw_late_waits_for_nobody() -> None:
    """Deleted before the operator said resolved, seen after it: nobody is there to wait."""
    gone = asks("2", 1, deleted_at=at(2), seen_at=at(20))
    (case,) = both(asks("1", 0), gone, said=(says(Word.RESOLVE, "1", 5),))
    assert seconds(case) == [("first_response", 300, "resolved")]
    assert case.status is Status.RESOLVED


def test_a_word_about_an_old_case_leaves_the_new_one_alone() -> None:
    """Answered on Monday, a new complaint on Tuesday evening; resolving Monday's case resolves only that."""
    old, new = both(
        asks("1", 0), replies("2", 5), asks("3", 29 * 60), said=(says(Word.RESOLVE, "1", 30 * 60),)
    )
    assert (old.first_message_id, new.first_message_id) == ("1", "3")
    assert new.status is Status.WAITING


def test_silence_ends_a_case_whoever_breaks_it() -> None:
    """A day of silence after the answer ended it: what the brand writes then does not bring it back."""
    cases = both(asks("1", 0), replies("2", 5), replies("3", 30 * 60), asks("4", 31 * 60))
    assert [c.first_message_id for c in cases] == ["1", "4"]


def test_a_word_ends_a_case_though_an_answered_message_was_seen_after_it() -> None:
    """Only who waits keeps a case open: an answered message that came in late is not waiting."""
    cases = both(
        asks("1", 0, seen_at=at(60)),
        replies("2", 5),
        asks("3", 10),
        asks("4", 48 * 60),
        said=(says(Word.RESOLVE, "3", 20),),
    )
    assert [c.first_message_id for c in cases] == ["1", "4"]


def test_a_resolution_is_kept_though_a_message_was_on_its_way() -> None:
    """Answered, then resolved, while a message had been written that nobody had seen: it reopens the case."""
    (case,) = both(
        asks("1", 0), replies("2", 5), asks("3", 10, seen_at=at(60)), said=(says(Word.RESOLVE, "1", 30),)
    )
    assert seconds(case)[-1] == ("next_response", None, None)
    assert case.first_resolution_seconds is not None


def test_after_an_answer_elsewhere_the_next_one_is_a_next_response() -> None:
    """Answered by phone is answered, also where a message was on its way when the operator said so."""
    (case,) = both(
        asks("1", 0),
        asks("2", 4, seen_at=at(60)),
        asks("3", 90),
        said=(says(Word.RESOLVE, "1", 3), says(Word.ANSWERED, "1", 30), says(Word.IGNORE, "1", 70)),
    )
    assert [name for name, _, _ in seconds(case)] == ["first_response", "first_response", "next_response"]
