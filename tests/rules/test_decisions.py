"""What the lead is told, and when: never false, never doubled, never silent without a reason."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.alert import Stage
from rules.case import Case, Part, Word
from rules.decisions import Decision, Health, Owed, Said, Sight, decide, decide_trouble, superseded
from rules.fold import fold
from tests.rules.build import NOON, PLACE, POLICY, asks, at, replies, says

BLIND = Sight(gates=False)


def case_of(*parts: Part, said: tuple[object, ...] = ()) -> Case:
    (case,) = fold(PLACE, parts, said, POLICY)  # type: ignore[arg-type]
    return case


def sees(minutes: float) -> Sight:
    """The brand's posts were read up to then."""
    return Sight(through=at(minutes), accounts=("@acme",))


def was_said(owed: Owed, *, told: bool = True) -> Said:
    return Said(owed, told, not told)


def the_one(decision: Decision) -> Owed | None:
    """What is owed, where it is one thing at most."""
    assert len(decision.owed) <= 1
    return decision.owed[0] if decision.owed else None


WAITING = case_of(asks("1", 0))


def test_stages_come_in_order_at_their_times() -> None:
    """Half of the target, 80 %, the breach, then repeats: each at its minute, each once."""
    said: list[Said] = []
    heard = []
    now = NOON
    while now <= at(60):
        decision = decide(WAITING, said, sees(100), now)
        owed = the_one(decision)
        if owed is not None:
            said.append(was_said(owed))
            heard.append((owed.stage, owed.repeat, now))
        else:
            now += timedelta(seconds=30)
    assert heard == [
        (Stage.WARNING, 0, at(7.5)),
        (Stage.WARNING, 1, at(12)),
        (Stage.BREACH, 0, at(15)),
        (Stage.BREACH, 1, at(30)),
        (Stage.BREACH, 2, at(45)),
    ]


def test_it_says_when_to_look_again() -> None:
    """The daemon may sleep until the next stage and miss nothing."""
    assert decide(WAITING, [], sees(0), at(1)).look_again_at == at(7.5)


def test_no_claim_before_the_brands_posts_were_read() -> None:
    """An alert waits for a fresh look, and not for ever: then it admits what was not seen."""
    waits = decide(WAITING, [], sees(5), at(7.5))
    assert not waits.owed and waits.wants_look
    assert waits.look_again_at == at(8.5)
    late = decide(WAITING, [], sees(5), at(8.5))
    assert [o.caveats for o in late.owed] == [
        ("no reply seen through 12:05 UTC; posts of @acme not visible since",)
    ]
    assert decide(WAITING, [], sees(7.5), at(7.5)).owed


def test_after_a_restart_a_claim_waits_until_we_had_time_to_look() -> None:
    """What fell due while the daemon stood still is looked for before anybody is told."""
    restarted = Sight(through=at(5), accounts=("@acme",), watching_since=at(20))
    waits = decide(WAITING, [], restarted, at(20.5))
    assert not waits.owed and waits.wants_look and waits.look_again_at == at(21)
    assert decide(WAITING, [], restarted, at(21)).owed


def test_where_answers_cannot_be_seen_every_alert_says_so() -> None:
    """A platform that hides replies does not hold alerts up, and is named in them."""
    decision = decide(WAITING, [], Sight(gates=False, hidden=("@acme",)), at(7.5))
    assert [o.caveats for o in decision.owed] == [("replies of @acme cannot be seen",)]


def test_a_post_that_may_be_deleted_is_checked_first() -> None:
    """Nobody is alerted about a post that its author has taken back."""
    unchecked = Sight(through=at(8), checks=True, checked_at=at(7))
    assert decide(WAITING, [], unchecked, at(7.5)).wants_look
    checked = Sight(through=at(8), checks=True, checked_at=at(7.5))
    assert decide(WAITING, [], checked, at(7.5)).owed


def test_an_answer_before_anything_was_said_is_silent() -> None:
    """Answered in time: nobody hears of it."""
    assert not decide(case_of(asks("1", 0), replies("2", 5)), [], sees(9), at(8)).owed


def test_an_answer_clears_what_was_said_once() -> None:
    """Whoever was warned hears that it is over, once."""
    answered = case_of(asks("1", 0), replies("2", 9))
    warned = was_said(Owed(Stage.WARNING, 0, 0, at(7.5)))
    clears = decide(answered, [warned], sees(10), at(10))
    assert [o.stage for o in clears.owed] == [Stage.CLEARED]
    assert not decide(answered, [warned, was_said(clears.owed[0])], sees(10), at(11)).owed


def test_a_claim_that_proved_false_is_corrected() -> None:
    """An answer that was there in time but was seen late is owned up to."""
    answered = case_of(asks("1", 0), replies("2", 7))
    decision = decide(answered, [was_said(Owed(Stage.WARNING, 0, 0, at(7.5)))], sees(20), at(20))
    assert [o.stage for o in decision.owed] == [Stage.CORRECTED]


def test_after_an_outage_only_the_latest_stage_is_said() -> None:
    """An hour's silence of ours ends in one message a case, the breach."""
    decision = decide(WAITING, [], sees(60), at(60))
    assert [(o.stage, o.repeat) for o in decision.owed] == [(Stage.BREACH, 0)]


def test_taking_a_case_stops_the_repeats() -> None:
    """Acknowledged: the breach was said and is not said again."""
    taken = case_of(asks("1", 0), said=(says(Word.ACK, "1", 16),))
    breach = was_said(Owed(Stage.BREACH, 0, 0, at(15)))
    assert [o.stage for o in decide(taken, [breach], sees(100), at(31)).owed] == [Stage.MOVED]


def test_snoozing_hides_the_alert_until_then() -> None:
    """Snoozed until 12:30, the breach of 12:15 is said at 12:30."""
    snoozed = case_of(asks("1", 0), said=(says(Word.SNOOZE, "1", 1, until=at(30)),))
    hidden = decide(snoozed, [], sees(100), at(15))
    assert not hidden.owed and hidden.look_again_at == at(30)
    assert decide(snoozed, [], sees(100), at(30)).owed


def test_muted_and_quiet_say_why() -> None:
    """Silence has a reason that `case` can show."""
    assert (
        decide(WAITING, [], sees(100), at(20), muted="the author, by olga").reason
        == "muted: the author, by olga"
    )
    old = case_of(asks("1", -600, quiet_before=at(0)))
    assert "past" in decide(old, [], sees(100), at(20)).reason


def test_right_before_sending_what_is_no_longer_true_is_dropped() -> None:
    """A queued warning is not sent to somebody whose customer was answered meanwhile."""
    warning = was_said(Owed(Stage.WARNING, 0, 0, at(7.5)), told=False)
    assert superseded(WAITING, warning, False, at(8)) is None
    assert superseded(case_of(asks("1", 0), replies("2", 7)), warning, False, at(8)) == "the case is answered"
    assert superseded(WAITING, warning, False, at(16)) is not None
    cleared = was_said(Owed(Stage.CLEARED, 0, 0, at(9)), told=False)
    assert superseded(case_of(asks("1", 0), replies("2", 7)), cleared, False, at(9)) is not None
    assert superseded(case_of(asks("1", 0), replies("2", 7)), cleared, True, at(9)) is None


def test_blindness_is_said_after_its_time_and_cleared() -> None:
    """A short hiccup is nobody's business; a long one is told once, and its end too."""
    since = at(0)
    assert not decide_trouble(Health(1, since, None, False), 450, at(7)).owed
    told = decide_trouble(Health(1, since, None, False), 450, at(7.5)).owed
    assert [o.stage for o in told] == [Stage.TROUBLE]
    assert not decide_trouble(Health(1, since, None, True), 450, at(9)).owed
    over = decide_trouble(Health(1, None, None, True), 450, at(9)).owed
    assert [o.stage for o in over] == [Stage.CLEARED]
    refused = decide_trouble(Health(1, since, "token revoked", False), 450, at(0)).owed
    assert refused


@given(st.lists(st.integers(0, 5400), max_size=40), st.one_of(st.none(), st.integers(5, 3600)))
@settings(max_examples=150)
def test_each_stage_is_owed_once_however_often_we_look(looks: list[int], answered: int | None) -> None:
    """Any rhythm of looks, crashes included, says each stage at most once, a breach only when due, and
    nothing but an all-clear after the answer."""
    waiting = WAITING
    over = WAITING if answered is None else case_of(asks("1", 0), replies("2", answered / 60))
    said: list[Said] = []
    for second in sorted(looks):
        now: datetime = NOON + timedelta(seconds=second)
        is_over = answered is not None and second >= answered
        decision: Decision = decide(over if is_over else waiting, said, Sight(through=now), now)
        owed = the_one(decision)
        if owed is None:
            continue
        key = (owed.stage, owed.cycle, owed.repeat)
        assert key not in {(s.stage, s.owed.cycle, s.owed.repeat) for s in said}
        assert owed.moment <= now
        if is_over:
            assert owed.stage is Stage.CLEARED
        said.append(was_said(owed))


def told(stage: Stage, minutes: float) -> Said:
    """It was said of the first wait, and reached people."""
    return Said(Owed(stage, 0, 0, at(minutes), wait_at=NOON), True, False, at(minutes))


def test_who_takes_a_case_is_shown_where_its_breach_was_said() -> None:
    """Olga takes it at 12:20: those who read of the breach see it, once; her next word is shown too."""
    case = case_of(asks("1", 0), said=(says(Word.ACK, "1", 20),))
    said = [told(Stage.BREACH, 15)]
    moved = the_one(decide(case, said, sees(100), at(20)))
    assert moved is not None and (moved.stage, moved.moment, moved.wait_at) == (Stage.MOVED, at(20), NOON)
    assert decide(case, [*said, was_said(moved)], sees(100), at(21)).owed == ()
    again = case_of(asks("1", 0), said=(says(Word.ACK, "1", 20), says(Word.ASSIGN, "1", 25, note="ben")))
    handed = the_one(decide(again, [*said, was_said(moved)], sees(100), at(25)))
    assert handed is not None and (handed.stage, handed.repeat) == (Stage.MOVED, 1)


def test_of_a_word_that_an_alert_shows_already_nothing_more_is_said() -> None:
    """It was taken before the breach was said, so that the breach says so; and nobody was told at all."""
    case = case_of(asks("1", 0), said=(says(Word.ACK, "1", 10),))
    assert decide(case, [told(Stage.BREACH, 15)], sees(100), at(16)).owed == ()
    assert all(o.stage is not Stage.MOVED for o in decide(case, [], sees(100), at(16)).owed)


def test_what_moved_is_no_news_once_it_is_over() -> None:
    """The answer came before the message could be changed: the all-clear is said, not who had taken it."""
    word = says(Word.ACK, "1", 20)
    case = case_of(asks("1", 0), replies("2", 22), said=(word,))
    breach = told(Stage.BREACH, 15)
    assert [o.stage for o in decide(case, [breach], sees(100), at(23)).owed] == [Stage.CLEARED]
    row = Said(Owed(Stage.MOVED, 0, 0, at(20), wait_at=NOON), False, True)
    assert superseded(case, row, True, at(23)) == "the case is answered"
    waiting = case_of(asks("1", 0), said=(word,))
    assert superseded(waiting, row, True, at(21)) is None
    assert superseded(waiting, row, False, at(21)) == "nothing had been said that has moved"
