"""Escalations: who else is told when nothing happens, at which minute, and when it stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rules.alert import Stage
from rules.case import Action, Case, ClockName, Part, Word
from rules.decisions import Manner, Owed, Said, Sight, decide, superseded
from rules.escalation import Step, find_step
from rules.fold import fold
from rules.hours import Calendar, Opening
from rules.meaning.contract import Priority
from rules.policies import FoldPolicy
from rules.targets import Target
from tests.rules.build import NOON, PLACE, asks, at, replies, says, verdict

SEES = Sight(gates=False)
LEAD = Step("team lead", frozenset({"mail"}), Stage.BREACH, 600.0, 600.0, 3)
QUARTER = Target("quarter", 900.0, warnings=(0.5, 0.8))
OFFICE = Calendar("office", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(5)))

Heard = tuple[str, float]
"""(what was said, minute): "warning 0", "breach 0", "team lead 1", "cleared 0"."""


def case_of(*told: Part | Action, target: Target = QUARTER) -> Case:
    policy = FoldPolicy((target,), calendars={"office": OFFICE})
    parts = [p for p in told if isinstance(p, Part)]
    (case,) = fold(PLACE, parts, [a for a in told if isinstance(a, Action)], policy)
    return case


def office_or_always(_case: Case, name: str | None) -> Calendar | None:
    return {"office": OFFICE}.get(name or "")


def manner(*steps: Step) -> Manner:
    return Manner(steps, office_or_always)


def minute(moment: datetime) -> float:
    return (moment - NOON).total_seconds() / 60


def said_as(owed: Owed) -> str:
    return f"{owed.step or owed.stage} {owed.repeat}"


def walk(
    case_at: Callable[[float], Case],
    steps: Sequence[Step],
    until: float,
    every: float = 0.5,
    said: Sequence[Said] = (),
    start: float = 0.0,
) -> list[Heard]:
    """Look every half minute, have said at once what is owed, and note it."""
    heard: list[Heard] = []
    known = list(said)
    for n in range(int((until - start) / every) + 1):
        now = start + n * every
        decision = decide(case_at(now), known, SEES, at(now), manner(*steps))
        for owed in decision.owed:
            heard.append((said_as(owed), now))
            known.append(Said(owed, told=True, pending=False, at=at(now)))
    return heard


def steps_of(heard: Sequence[Heard]) -> list[Heard]:
    """Only what the escalations said."""
    return [h for h in heard if h[0].split()[0] not in ("warning", "breach", "moved", "cleared", "corrected")]


WAITING = case_of(asks("1", 0))  # warned of at 12:07:30 and 12:12, due at 12:15


@pytest.mark.parametrize(
    ("step", "minutes"),
    [
        (Step("at once", frozenset()), [15.0]),
        (Step("later", frozenset(), delay_seconds=300.0), [20.0]),
        (Step("thrice", frozenset(), delay_seconds=300.0, repeat_seconds=600.0, limit=3), [20.0, 30.0, 40.0]),
        (Step("once, whatever the limit", frozenset(), limit=5), [15.0]),
        (Step("once, whatever the interval", frozenset(), repeat_seconds=60.0), [15.0]),
        (Step("after the last warning", frozenset(), Stage.WARNING), [12.0]),
        (Step("warned", frozenset(), Stage.WARNING, 60.0, 120.0, 2), [13.0, 15.0]),
    ],
    ids=lambda value: value.name if isinstance(value, Step) else "",
)
def test_each_step_has_its_minutes(step: Step, minutes: list[float]) -> None:
    """Delay, interval and limit say to the minute when a lead is told."""
    assert [minute(m) for m in step.moments(WAITING.latest, None)] == minutes


def test_a_stage_that_never_comes_escalates_never() -> None:
    """No promise, no escalation; no warning, none after the warning."""
    after_warning = Step("warned", frozenset(), Stage.WARNING)
    unwarned = case_of(asks("1", 0), target=replace(QUARTER, warnings=()))
    assert list(after_warning.moments(unwarned.latest, None)) == []
    assert [minute(m) for m in LEAD.moments(unwarned.latest, None)] == [25, 35, 45]
    promised_nothing = case_of(asks("1", 0), target=Target("none", None))
    assert promised_nothing.latest.due_at is None
    assert list(LEAD.moments(promised_nothing.latest, None)) == []


def test_steps_count_in_the_targets_opening_hours() -> None:
    """Due at 9:15 the next day; 30 min after it at 9:45, and eight open hours after that the day after."""
    target = replace(QUARTER, first_response_seconds=1800.0, calendar="office", warnings=())
    case = case_of(asks("1", 285), target=target)  # Wednesday 16:45
    step = Step("office", frozenset(), delay_seconds=1800.0, repeat_seconds=8 * 3600.0, limit=3)
    nine = 21 * 60.0
    day = 24 * 60.0
    assert [minute(m) for m in step.moments(case.latest, OFFICE)] == [
        nine + 45,
        nine + day + 45,
        nine + 4 * day + 45,  # Friday's rest goes on on Monday
    ]


def test_a_step_is_for_what_it_names_and_else_for_everything() -> None:
    """Brand, target, clock and priority narrow it down, each by itself."""
    any_step = Step("any", frozenset())
    clock = WAITING.latest

    def fits(**narrowed: object) -> bool:
        return replace(any_step, **narrowed).is_for(WAITING, clock)  # type: ignore[arg-type]

    assert any_step.is_for(WAITING, clock)
    assert fits(brands=frozenset({"acme"})) and not fits(brands=frozenset({"other"}))
    assert fits(targets=frozenset({"quarter", "x"})) and not fits(targets=frozenset({"hours"}))
    assert fits(clocks=frozenset({ClockName.FIRST_RESPONSE}))
    assert not fits(clocks=frozenset({ClockName.NEXT_RESPONSE, ClockName.RESOLUTION}))
    assert fits(min_priority=Priority.NORMAL) and not fits(min_priority=Priority.HIGH)
    urgent = case_of(asks("1", 0, verdict=verdict(priority=Priority.URGENT)))
    assert replace(any_step, min_priority=Priority.HIGH).is_for(urgent, urgent.latest)


def test_a_step_for_the_next_response_leaves_the_first_one_alone() -> None:
    """Only who asked again and waits is escalated."""
    step = replace(LEAD, clocks=frozenset({ClockName.NEXT_RESPONSE}))
    target = replace(QUARTER, next_response_seconds=900.0)
    first = case_of(asks("1", 0), target=target)
    assert steps_of(walk(lambda _: first, [step], 60)) == []
    again = case_of(asks("1", 0), replies("2", 5), asks("3", 10), target=target)
    assert steps_of(walk(lambda _: again, [step], 60)) == [
        ("team lead 0", 35),
        ("team lead 1", 45),
        ("team lead 2", 55),
    ]


def test_a_step_is_found_by_its_name() -> None:
    """One that the config dropped is not there any more."""
    assert find_step((LEAD,), "team lead") is LEAD
    assert find_step((LEAD,), "boss") is None and find_step((LEAD,), None) is None


def test_a_day_of_silence_is_told_at_its_minutes_and_no_more() -> None:
    """Two warnings, the breach, and the lead three times: exactly then, each once, and then no more."""
    assert walk(lambda _: WAITING, [LEAD], 24 * 60) == [
        ("warning 0", 7.5),
        ("warning 1", 12),
        ("breach 0", 15),
        ("team lead 0", 25),
        ("team lead 1", 35),
        ("team lead 2", 45),
    ]


def test_several_steps_go_beside_each_other() -> None:
    """Deputy and lead at the same minute are both told; neither holds the other up."""
    deputy = Step("deputy", frozenset({"chat"}), Stage.WARNING)
    boss = Step("boss", frozenset({"phone"}), Stage.BREACH, 600.0)
    assert walk(lambda _: WAITING, [deputy, LEAD, boss], 60) == [
        ("warning 0", 7.5),
        ("warning 1", 12),
        ("deputy 0", 12),
        ("breach 0", 15),
        ("team lead 0", 25),
        ("boss 0", 25),
        ("team lead 1", 35),
        ("team lead 2", 45),
    ]


def test_the_daemon_may_sleep_until_the_next_step() -> None:
    """Whoever looks only when told to misses no minute."""
    said: list[Said] = []
    looks: list[float] = []
    now: datetime | None = at(0)
    while now is not None:
        looks.append(minute(now))
        decision = decide(WAITING, said, SEES, now, manner(LEAD))
        said += [Said(o, told=True, pending=False, at=now) for o in decision.owed]
        now = decision.look_again_at
    assert looks == [0, 7.5, 12, 15, 25, 35, 45]
    assert [minute(s.owed.moment) for s in said] == looks[1:]


ENDS: dict[str, tuple[Part | Action, ...]] = {
    "acknowledged": (says(Word.ACK, "1", 30),),
    "answered": (replies("2", 30),),
    "resolved": (says(Word.RESOLVE, "1", 30),),
    "ignored": (says(Word.IGNORE, "1", 30),),
}


@pytest.mark.parametrize("how", [*ENDS, "withdrawn"])
def test_it_stops_when_somebody_takes_it_or_it_is_over(how: str) -> None:
    """Told at 12:25; taken, answered, resolved, ignored or deleted at 12:30; nobody is told at 12:35."""
    over = (
        case_of(asks("1", 0, deleted_at=at(30))) if how == "withdrawn" else case_of(asks("1", 0), *ENDS[how])
    )
    heard = walk(lambda now: over if now >= 30 else WAITING, [LEAD], 120)
    assert steps_of(heard) == [("team lead 0", 25)]
    cleared = [h for h in heard if h[0].startswith("cleared")]
    assert cleared == ([] if how == "acknowledged" else [("cleared 0", 30)])


def test_a_machines_answer_does_not_stop_it() -> None:
    """The bot has answered, the customer waits, and the lead is told."""
    with_bot = case_of(asks("1", 0), replies("2", 20, automated=True))
    heard = walk(lambda now: with_bot if now >= 20 else WAITING, [LEAD], 40)
    assert steps_of(heard) == [("team lead 0", 25), ("team lead 1", 35)]


def test_who_took_it_before_the_breach_hears_of_the_breach_and_the_lead_does_not() -> None:
    """Taking a case is not answering it, and is no reason to call the lead."""
    taken = case_of(asks("1", 0), says(Word.ACK, "1", 2))
    assert walk(lambda _: taken, [LEAD], 60) == [("warning 0", 7.5), ("warning 1", 12), ("breach 0", 15)]


def test_snoozed_it_waits_and_says_the_latest_when_it_wakes() -> None:
    """Snoozed until 12:40: then the breach and the lead's latest message, and not those between."""
    snoozed = case_of(asks("1", 0), says(Word.SNOOZE, "1", 13, until=at(40)))
    heard = walk(lambda now: snoozed if now >= 13 else WAITING, [LEAD], 60)
    assert heard == [
        ("warning 0", 7.5),
        ("warning 1", 12),
        ("moved 0", 13),
        ("breach 0", 40),
        ("team lead 1", 40),
        ("team lead 2", 45),
    ]


@pytest.mark.parametrize(
    ("back", "expected"),
    [
        (13.0, ["warning 1", "deputy 0"]),
        (20.0, ["breach 0", "deputy 0"]),
        (26.0, ["breach 0", "deputy 0", "team lead 0"]),
        (40.0, ["breach 0", "deputy 0", "team lead 1"]),
        (600.0, ["breach 0", "deputy 0", "team lead 2"]),
    ],
)
def test_after_an_outage_each_track_says_only_its_latest(back: float, expected: list[str]) -> None:
    """The daemon slept: one message of the case and one of each step, not a heap of what is past."""
    deputy = Step("deputy", frozenset({"chat"}), Stage.WARNING)
    heard = walk(lambda _: WAITING, [deputy, LEAD], back, start=back)
    assert [what for what, _ in heard] == expected


def test_after_an_outage_in_the_middle_it_goes_on_from_there() -> None:
    """Told at 12:25, asleep until 12:50: the third message, and never the second."""
    before = walk(lambda _: WAITING, [LEAD], 25)
    assert before[-1] == ("team lead 0", 25)
    told = [
        Said(Owed(Stage.BREACH, 0, 0, at(15)), True, False, at(15)),
        Said(Owed(Stage.ESCALATED, 0, 0, at(25), step="team lead"), True, False, at(25)),
    ]
    assert walk(lambda _: WAITING, [LEAD], 90, said=told, start=50) == [("team lead 2", 50)]


# Rounds: it was said that the wait is over, and then it turned out that it is not.


def test_who_waits_again_after_the_all_clear_is_told_of_once_more_and_never_twice() -> None:
    """12:20 the answer is taken for hers and it is cleared; 12:30 it was another's: the breach and the lead's
    latest are said again, once, and the next answer clears once more."""
    answered, again = case_of(asks("1", 0), replies("2", 19)), WAITING
    over = case_of(asks("1", 0), replies("3", 48))

    def case_at(now: float) -> Case:
        return WAITING if now < 20 else answered if now < 30 else again if now < 50 else over

    assert walk(case_at, [LEAD], 120) == [
        ("warning 0", 7.5),
        ("warning 1", 12),
        ("breach 0", 15),
        ("cleared 0", 20),
        ("breach 0", 30),
        ("team lead 0", 30),
        ("team lead 1", 35),
        ("team lead 2", 45),
        ("cleared 0", 50),
    ]


def test_an_all_clear_that_nobody_heard_begins_no_round() -> None:
    """It was still queued when the customer waited again: dropped, and nothing is said a second time."""
    breach = Said(Owed(Stage.BREACH, 0, 0, at(15)), told=True, pending=False, at=at(15))
    cleared = Said(Owed(Stage.CLEARED, 0, 0, at(19)), told=False, pending=True, at=at(20))
    assert not decide(WAITING, [breach, cleared], SEES, at(22), manner(LEAD)).owed
    assert superseded(WAITING, cleared, True, at(22), manner(LEAD)) == "the customer waits again"
    dropped = replace(cleared, pending=False)
    heard = walk(lambda _: WAITING, [LEAD], 60, said=[breach, dropped], start=22)
    assert heard == [("team lead 0", 25), ("team lead 1", 35), ("team lead 2", 45)]


def test_a_flip_back_and_forth_is_said_as_often_as_it_happened() -> None:
    """Each all-clear that people heard is followed by one breach at most."""
    answered = case_of(asks("1", 0), replies("2", 14))
    flips = [WAITING, answered] * 4

    def case_at(now: float) -> Case:
        return flips[min(int((now - 20) // 10), 7)]

    heard = walk(case_at, [], 140, start=20)
    assert [what.split()[0] for what, _ in heard] == ["breach", "corrected"] * 4
    assert [now for _, now in heard] == [20 + 10 * n for n in range(8)]


# Asked once more, right before it is sent.


def queued(repeat: int = 0, step: str = "team lead", minutes: float = 25) -> Said:
    owed = Owed(Stage.ESCALATED, 0, repeat, at(minutes), step=step)
    return Said(owed, told=False, pending=True, at=at(minutes))


def test_a_queued_step_is_dropped_when_it_is_no_longer_true() -> None:
    """Answered, taken, moved, or gone from the config meanwhile: the lead is left alone, and it says why."""

    def why(case: Case | None, *steps: Step, now: float = 26) -> str | None:
        return superseded(case, queued(), False, at(now), manner(*steps))

    assert why(WAITING, LEAD) is None
    assert why(case_of(asks("1", 0), replies("2", 25.5)), LEAD) == "the case is answered"
    assert why(case_of(asks("1", 0, deleted_at=at(25.5))), LEAD) == "the case is withdrawn"
    assert why(case_of(asks("1", 0), says(Word.ACK, "1", 25.5)), LEAD) == "olga has taken it"
    assert why(WAITING) == "the config has no such step any more"
    assert why(WAITING, LEAD, now=24) == "its due time has moved"
    assert why(None, LEAD) is not None


def test_over_a_weekend_no_step_of_an_office_target_comes_outside_of_its_hours() -> None:
    """Friday 16:45 until Tuesday, looked at every ten minutes: nothing is said while the office is closed."""
    friday = 2 * 24 * 60.0 + 285
    target = replace(QUARTER, first_response_seconds=1800.0, calendar="office", repeat_seconds=3600.0)
    case = case_of(asks("1", friday), target=replace(target, repeat_max=4))
    step = replace(LEAD, delay_seconds=1200.0, repeat_seconds=1800.0, limit=6)
    heard = walk(lambda _: case, [step], friday + 4 * 24 * 60, every=10, start=friday)
    assert len([h for h in heard if h[0].startswith("team lead")]) == 6
    for what, now in heard:
        local = NOON + timedelta(minutes=now)
        assert local.weekday() < 5 and 9 * 60 <= local.hour * 60 + local.minute <= 17 * 60, (what, local)
