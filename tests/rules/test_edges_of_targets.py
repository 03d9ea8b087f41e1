"""Which promise a case has, to the last key, and what a change of the promises changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rules.case import Status, Word
from rules.fold import explain_clocks
from rules.match import Traits
from rules.meaning.contract import Priority, Verdict
from rules.message import Kind
from rules.policies import FoldPolicy
from rules.targets import Target, choose, explain
from tests.rules.build import PLACE, asks, at, replies, says, verdict
from tests.rules.stories import CALM, DAY, HOUR, OFFICE, REST, THANKS, cases, one, since

SPECIAL: tuple[tuple[dict[str, Any], dict[str, Any], dict[str, Any]], ...] = (
    ({"account": "vip"}, {"account": "vip"}, {}),
    ({"public": False}, {"public": False}, {}),
    ({"kind": Kind.REVIEW}, {"kind": Kind.REVIEW}, {}),
    ({"complaint": True}, {}, {"verdict": CALM}),
    ({"addressed": True}, {"addressed": True}, {"addressed": False}),
    ({"priorities": frozenset({Priority.URGENT})}, {"verdict": verdict(priority=Priority.URGENT)}, {}),
    ({"min_followers": 1000}, {"followers": 1000}, {"followers": 999}),
    ({"min_followers": 1000}, {"followers": 1001}, {"followers": None}),
    ({"languages": frozenset({"pt"})}, {"language": "pt-BR"}, {"language": "es"}),
    ({"languages": frozenset({"pt"})}, {"language": "PT_br"}, {"language": None}),
    ({"languages": frozenset({"de"})}, {"verdict": replace(CALM, language="de")}, {}),
    (
        {"topics": frozenset({"refund", "app"})},
        {"verdict": replace(CALM, topics=("app", "other"))},
        {"verdict": replace(CALM, topics=("other",))},
    ),
    ({"ratings": frozenset({4})}, {"rating": 3.5}, {"rating": 3.4}),
    ({"ratings": frozenset({1, 2})}, {"rating": 2.0}, {"rating": None}),
    ({"needs_reply_only": True}, {}, {"verdict": THANKS}),
)


@pytest.mark.parametrize(("keys", "these", "others"), SPECIAL)
def test_each_key_of_a_target_picks_its_cases(
    keys: dict[str, Any], these: dict[str, Any], others: dict[str, Any]
) -> None:
    """A promise for reviews, for a language, for many followers is held for those and for nobody else."""
    special = Target("special", 60.0, **{"needs_reply_only": False, **keys})
    assert one([special, REST], asks("1", 0, **these)).target == "special"
    assert one([special, REST], asks("1", 0, **others)).target == "rest"


@pytest.mark.parametrize("key", ["brand", "connector"])
def test_a_promise_of_one_brand_or_platform_is_no_others(key: str) -> None:
    """Two brands in one daemon have promises of their own."""
    mine, other = (Target("mine", 60.0, **{key: v}) for v in (getattr(PLACE, key), "another"))  # type: ignore[arg-type]
    assert one([mine, REST], asks("1", 0)).target == "mine"
    assert one([other, REST], asks("1", 0)).target == "rest"


GROWN: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({"addressed": True}, {"addressed": True}),
    ({"complaint": True}, {"verdict": verdict()}),
    ({"needs_reply_only": True}, {"verdict": CALM}),
    ({"priorities": frozenset({Priority.HIGH})}, {"verdict": replace(THANKS, priority=Priority.HIGH)}),
    ({"languages": frozenset({"de"})}, {"verdict": THANKS, "language": "de"}),
    ({"languages": frozenset({"de"})}, {"verdict": replace(THANKS, language="de")}),
    ({"topics": frozenset({"refund"})}, {"verdict": replace(THANKS, topics=("refund",))}),
)


@pytest.mark.parametrize(("keys", "second"), GROWN)
def test_what_only_the_second_message_says_counts_for_the_case(
    keys: dict[str, Any], second: dict[str, Any]
) -> None:
    """Whatever a later message adds, be it only its language, the case has; and nothing takes it away."""
    special = Target("special", 60.0, **{"needs_reply_only": False, **keys})
    first, third = asks("1", 0, verdict=THANKS), asks("3", 2, verdict=THANKS, language="fr")
    assert one([special, REST], first, third).target == "rest"
    assert one([special, REST], first, asks("2", 1, **second)).target == "special"
    assert one([special, REST], first, asks("2", 1, **second), third).target == "special"
    again = asks("1b", 0.5, verdict=replace(THANKS, topics=("app",)))
    assert (
        one([special, REST], first, again, asks("1c", 0.7, verdict=THANKS), asks("2", 1, **second)).target
        == "special"
    )


def test_a_case_sums_its_messages_up() -> None:
    """All topics, the highest priority, the first known language, and the worst complaint's reasons."""
    low = replace(THANKS, topics=("app",), priority=Priority.LOW, reasons=("polite",))
    high = Verdict(0.7, True, True, True, Priority.HIGH, ("refund",), "de", ("angry",))
    case = one(
        [REST],
        asks("1", 0, verdict=low),
        asks("2", 1, verdict=high, language="fr"),
        asks("3", 2, verdict=replace(low, language="it")),
    )
    assert (case.topics, case.priority, case.language) == (("app", "refund"), Priority.HIGH, "fr")
    assert (case.complaint, case.complaint_score, case.reasons) == (True, 0.7, ("angry",))
    assert case.needs_reply and not case.addressed


def test_what_is_added_after_the_answer_is_in_the_case_too() -> None:
    """Who thanks and names the app wrote about the app."""
    more = asks("3", 6, verdict=replace(THANKS, topics=("app",), priority=Priority.URGENT))
    case = one([REST], asks("1", 0), replies("2", 5), more)
    assert (case.status, case.topics, case.priority) == (Status.ANSWERED, ("app",), Priority.URGENT)


def test_praise_waits_only_where_a_promise_holds_it() -> None:
    """Without a promise for it nobody is said to wait; answered, it was answered all the same."""
    praise, needed = asks("1", 0, verdict=THANKS), replace(REST, needs_reply_only=True)
    assert one([REST], praise).status is Status.WAITING
    assert one([needed], praise).status is Status.NOT_NEEDED
    assert one([needed], praise).waiting_since is None
    assert one([needed], praise, replies("2", 5)).status is Status.ANSWERED


def test_what_nobody_has_judged_yet_waits_with_normal_priority() -> None:
    """A message that came in while the judge was broken is neither lost nor urgent."""
    case = one([replace(REST, needs_reply_only=True)], asks("1", 0, verdict=None))
    assert (case.status, case.priority, case.needs_reply) == (Status.WAITING, Priority.NORMAL, True)
    assert (case.complaint, case.complaint_score, case.reasons) == (False, 0.0, ())
    assert case.due_at == at(15)
    low = asks("1", 0, verdict=verdict(priority=Priority.LOW))
    assert one([REST], low).priority is Priority.LOW
    assert one([REST], low, asks("2", 1, verdict=None)).priority is Priority.LOW
    assert one([REST], low, asks("2", 1, verdict=None, addressed=True)).addressed


def test_a_target_that_promises_nothing_ends_the_search() -> None:
    """ "No promise for spam" is not the promise of the target below it."""
    none = Target("none", None, complaint=True)
    case = one([none, REST], asks("1", 0))
    assert (case.target, case.due_at, case.latest.target_seconds) == (None, None, None)
    assert (case.latest.repeat_seconds, case.latest.repeat_max) == (None, 0)
    assert case.status is Status.WAITING
    assert one([none, REST], asks("1", 0, verdict=CALM)).target == "rest"
    for clock in ("first_response_seconds", "next_response_seconds", "resolution_seconds"):
        some = replace(none, **{clock: 60.0})  # type: ignore[arg-type]
        assert some.promises and not none.promises
        assert one([some, REST], asks("1", 0)).target == "none"


TRAITS = Traits(
    "acme",
    "x",
    "help",
    True,
    Kind.POST,
    True,
    False,
    True,
    Priority.HIGH,
    50,
    frozenset({"app"}),
    "en-GB",
    2.5,
)

WHY_NOT: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({"brand": "other"}, {}, "brand is acme, not other"),
    ({"connector": "reddit"}, {}, "connector is x, not reddit"),
    ({"account": "vip"}, {}, "account is help, not vip"),
    ({"public": False}, {}, "public is true, not false"),
    ({"kind": Kind.DM}, {}, "kind is post, not dm"),
    ({"complaint": False}, {}, "complaint is true, not false"),
    ({"addressed": True}, {}, "addressed is false, not true"),
    (
        {"priorities": frozenset({Priority.URGENT, Priority.LOW})},
        {},
        "priority is high, not low or urgent",
    ),
    ({"min_followers": 51}, {}, "50 followers, fewer than 51"),
    ({"min_followers": 1}, {"followers": None}, "0 followers, fewer than 1"),
    ({"languages": frozenset({"de", "fr"})}, {}, "language is en-GB, not de or fr"),
    ({"languages": frozenset({"de"})}, {"language": None}, "language is not known, not de"),
    ({"topics": frozenset({"refund"})}, {}, "topic is app, not refund"),
    ({"topics": frozenset({"refund"})}, {"topics": frozenset()}, "topic is none, not refund"),
    ({"ratings": frozenset({1, 2})}, {}, "rating is 2.5, not 1 or 2"),
    ({"ratings": frozenset({1})}, {"rating": None}, "rating is none, not 1"),
    ({}, {"needs_reply": False}, "no message needs a reply"),
)


@pytest.mark.parametrize(("keys", "traits", "why"), WHY_NOT)
def test_explain_says_in_words_why_a_target_is_not_for_a_case(
    keys: dict[str, Any], traits: dict[str, Any], why: str
) -> None:
    """A person can read what the case is and what the target asks for, for every key."""
    choice = explain([Target("special", 60.0, **keys)], replace(TRAITS, **traits))
    assert choice.reasons == (f"special: no, {why}", "no target is for such a case")
    assert choice.target is None


def test_explain_names_the_target_that_clocks_go_by() -> None:
    """What it says is what the case has: also where that is nothing."""
    other, none = Target("other", 60.0, brand="other"), Target("none", None)
    for targets, last in (
        ((other, REST, none), "rest: yes"),
        ((other, none, REST), "none: yes, and it promises nothing"),
        ((other,), "no target is for such a case"),
    ):
        choice = explain(targets, TRAITS)
        assert choice.target == choose(targets, TRAITS)
        assert choice.reasons == ("other: no, brand is acme, not other", last)


def test_explain_goes_by_what_held_for_each_wait() -> None:
    """Each wait by the policy of its end and by what the case was then; each case by its own name."""
    calm, tight = Target("calm", 900.0, complaint=False), Target("tight", 60.0)
    policies = since((-9, FoldPolicy((calm, tight))), (20, FoldPolicy((tight,))))
    parts = [
        asks("1", 0, verdict=CALM),
        replies("2", 5),
        asks("3", 10),
        replies("4", 12),
        asks("5", 15),
        asks("6", 12 + 3 * DAY, verdict=CALM),
    ]
    told = explain_clocks(PLACE, parts[::-1], [says(Word.IGNORE, "5", 16)], policies)
    assert {key: choice.reasons for key, choice in told.items()} == {
        ("acme/x/1", 0): ("calm: yes",),
        ("acme/x/1", 1): ("calm: no, complaint is true, not false", "tight: yes"),
        ("acme/x/1", 2): ("calm: no, complaint is true, not false", "tight: yes"),
        ("acme/x/6", 0): ("tight: yes",),
    }
    always = explain_clocks(PLACE, parts[:1], [], FoldPolicy((tight,)))
    assert [choice.target for choice in always.values()] == [tight]


# Changing one's mind

MINE = Target("mine", 900.0, complaint=True)
"""A promise for complaints only, of which there is one in these stories."""

MINDS: tuple[tuple[str, tuple[Target, ...], tuple[Target, ...], float | None], ...] = (
    ("nothing changed", (MINE,), (MINE,), 15),
    ("another name", (MINE,), (replace(MINE, name="other"),), 15),
    ("looser", (replace(MINE, first_response_seconds=300.0),), (MINE,), 15),
    ("tighter", (replace(MINE, first_response_seconds=1200.0),), (MINE,), 27.5),
    ("nothing was promised", (), (MINE,), 27.5),
    ("it was no promise", (Target("none", None), MINE), (MINE,), 27.5),
    (
        "only the next response",
        (replace(MINE, first_response_seconds=None, next_response_seconds=60.0),),
        (MINE,),
        27.5,
    ),
    ("other hours", (replace(MINE, calendar="office"),), (MINE,), 27.5),
    ("looser, in other hours", (Target("old", 300.0, calendar="office"),), (MINE,), 27.5),
    (
        "looser, in the same hours",
        (Target("old", 300.0, calendar="office"),),
        (replace(MINE, calendar="office"),),
        15,
    ),
    ("no promise any more", (MINE,), (), None),
)


@pytest.mark.parametrize(("old", "new", "due"), [row[1:] for row in MINDS], ids=[row[0] for row in MINDS])
def test_only_a_new_promise_moves_a_due_time(
    old: tuple[Target, ...], new: tuple[Target, ...], due: float | None
) -> None:
    """Changed at 12:20 for who waits since 12:00: more promised leaves time to act, all else does not."""
    hours = {"office": OFFICE}
    policies = since((-9, FoldPolicy(old, calendars=hours)), (20, FoldPolicy(new, calendars=hours)))
    assert one(policies, asks("1", 0)).due_at == (None if due is None else at(due))


def test_what_changes_after_an_answer_changes_nothing_of_its_wait() -> None:
    """Answered at 12:10: a tighter promise of 12:30 is for others."""
    tight = replace(MINE, first_response_seconds=60.0)
    policies = since((-9, FoldPolicy((MINE,))), (30, FoldPolicy((tight,))))
    clock = one(policies, asks("1", 0), replies("2", 10)).latest
    assert (clock.target_seconds, clock.due_at) == (900.0, at(15))


def test_a_promise_tightened_in_the_instant_of_the_answer_makes_nobody_late() -> None:
    """Answered at 12:10 under fifteen minutes, which become five at 12:10: the wait was not late at 12:05."""
    policies = since(
        (-9, FoldPolicy((REST,))), (10, FoldPolicy((replace(REST, first_response_seconds=300.0),)))
    )
    clock = one(policies, asks("1", 0), replies("2", 10)).latest
    assert (clock.target_seconds, clock.due_at, clock.breached_at) == (300.0, at(12.5), None)


def test_the_silence_that_ends_a_case_is_that_of_its_day() -> None:
    """Three hours ended no case while a day was asked for, though two are today."""
    day, short = Target("t", 900.0), Target("t", 900.0, gap_seconds=7200.0)
    policies = since((-9, FoldPolicy((day,))), (10 * HOUR, FoldPolicy((short,))))
    talk = (asks("1", 0), replies("2", 5), asks("3", 3 * HOUR), replies("4", 181), asks("5", 11 * HOUR))
    assert [c.first_message_id for c in cases(policies, *talk)] == ["1", "5"]


def test_a_person_is_told_from_a_machine_by_the_rule_of_that_day() -> None:
    """A minute was quick enough for a person when it was written; the stricter rule came later."""
    policies = since((-9, FoldPolicy((REST,))), (10, FoldPolicy((REST,), quick_seconds=600.0)))
    assert one(policies, asks("1", 0), replies("2", 1)).status is Status.ANSWERED
    assert one(policies, asks("1", 20), replies("2", 21)).status is Status.WAITING


def test_hours_that_left_the_config_are_still_found() -> None:
    """A case that began without them takes the first that came, else the last that there were."""
    early, late = replace(OFFICE, zone="Europe/Berlin"), replace(OFFICE, zone="America/New_York")
    bare = FoldPolicy(())
    policies = since(
        (0, FoldPolicy((), calendars={"office": OFFICE})),
        (10, FoldPolicy((), calendars={"office": early})),
        (20, bare),
        (30, FoldPolicy((), calendars={"shop": late})),
    )
    assert policies.calendar("office", at(5)) == OFFICE
    assert policies.calendar("office", at(10)) == early
    assert policies.calendar("office", at(25)) == early
    assert policies.calendar("shop", at(-5)) == late
    assert policies.calendar("garage", at(5)) is policies.calendar(None, at(5)) is None
