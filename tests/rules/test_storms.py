"""Storms and spikes: when many alerts become one message, and when complaints are more than usual."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import comb, exp, lgamma, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.case import Case, Clock, ClockName, Place, Status
from rules.meaning.contract import Priority
from rules.message import Kind
from rules.storms import (
    TEXT_LENGTH_MAX,
    SpikePolicy,
    StormKind,
    StormPolicy,
    common_words,
    judge_spike,
    judge_storm,
    worst,
)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
POLICY = StormPolicy(cases=10, within_seconds=600.0, over_after_seconds=900.0)


def at(minutes: float) -> datetime:
    """That many minutes past noon."""
    return NOON + timedelta(minutes=minutes)


def times(*minutes: float) -> list[datetime]:
    return [at(m) for m in minutes]


def test_more_than_so_many_cases_within_so_long_are_a_storm() -> None:
    """The eleventh case in ten minutes begins a storm, not the tenth; it began with the first of them."""
    reached = times(*range(10))
    assert judge_storm(None, reached, POLICY, at(9)).kind is StormKind.CALM
    found = judge_storm(None, [*reached, at(9.5)], POLICY, at(9.5))
    assert (found.kind, found.since, found.reached) == (StormKind.BEGINS, at(0), 11)
    assert found.reason == "11 cases reached a stage within 10 min, more than 10"


def test_cases_spread_out_are_no_storm() -> None:
    """A steady trickle, one a minute for a day, is ordinary work: people get their single alerts."""
    reached = times(*range(24 * 60))
    assert all(
        judge_storm(None, reached, POLICY, now).kind is StormKind.CALM for now in times(*range(0, 1500, 7))
    )


def test_a_storm_is_over_when_no_more_cases_come() -> None:
    """The storm is said to be over a quarter of an hour after its last case, no sooner, and once."""
    reached = times(0, 1, 2, 20)
    going = judge_storm(at(0), reached, POLICY, at(34.9))
    assert (going.kind, going.over_at, going.reached) == (StormKind.GOES_ON, at(35), 4)
    over = judge_storm(at(0), reached, POLICY, at(35))
    assert (over.kind, over.over_at, over.since) == (StormKind.OVER, at(35), at(0))
    assert judge_storm(None, reached, POLICY, at(35)).kind is StormKind.CALM


def test_a_storm_whose_cases_are_gone_ends_too() -> None:
    """Cases that were withdrawn or joined leave no storm behind that never ends."""
    assert judge_storm(at(0), [], POLICY, at(14)).kind is StormKind.GOES_ON
    assert judge_storm(at(0), [], POLICY, at(15)).kind is StormKind.OVER


def test_what_lies_ahead_does_not_count_yet() -> None:
    """A clock that was set back makes no storm of times to come."""
    assert judge_storm(None, times(*[5] * 30), POLICY, at(4)).kind is StormKind.CALM
    assert judge_storm(at(0), times(0, 60), POLICY, at(20)).kind is StormKind.OVER


moments = st.lists(st.integers(0, 7200).map(lambda s: NOON + timedelta(seconds=s)), max_size=60)


@given(moments, st.randoms(use_true_random=False), st.integers(0, 9000))
def test_the_order_of_arrival_does_not_matter(reached: list[datetime], random: object, second: int) -> None:
    """The same cases make the same storm, whichever was found first."""
    shuffled = list(reached)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    now = NOON + timedelta(seconds=second)
    for since in (None, NOON):
        assert judge_storm(since, reached, POLICY, now) == judge_storm(since, shuffled, POLICY, now)


@given(moments, st.integers(1, 12), st.integers(60, 1200), st.integers(0, 1200))
def test_storms_do_not_flap(reached: list[datetime], cases: int, within: int, more: int) -> None:
    """Nobody reads "it is over" and "it begins" about the same cases: each storm has more than enough cases
    of its own, and says its beginning before its end."""
    policy = StormPolicy(cases, within, within + more)
    since: datetime | None = None
    ended: datetime | None = None
    for second in range(0, 7200 + 2 * (within + more), 30):
        now = NOON + timedelta(seconds=second)
        verdict = judge_storm(since, reached, policy, now)
        if verdict.kind is StormKind.BEGINS:
            assert since is None and verdict.since is not None
            assert ended is None or verdict.since > ended
            assert sum(verdict.since <= each <= now for each in reached) == verdict.reached > cases
            since = verdict.since
        elif verdict.kind is StormKind.OVER:
            assert since is not None and not any(
                now - timedelta(seconds=within + more) < each <= now for each in reached
            )
            since, ended = None, max(each for each in reached if each <= now)
        else:
            assert verdict.since == since
    assert since is None


@pytest.mark.parametrize(
    "change",
    [{"over_after_seconds": 599.0}, {"cases": 0}, {"within_seconds": 0.0}, {"update_seconds": 0.0}],
)
def test_a_policy_that_would_flap_is_refused(change: dict[str, float]) -> None:
    """Who sets times that contradict each other reads so at the start."""
    with pytest.raises(ValueError, match="storm"):
        StormPolicy(**change)  # type: ignore[arg-type]


def case(
    id: str,
    *,
    due: float | None = 0,
    priority: Priority = Priority.NORMAL,
    status: Status = Status.WAITING,
) -> Case:
    """A case whose promise is due so many minutes past noon (None: nothing was promised)."""
    clock = Clock(ClockName.FIRST_RESPONSE, 0, at(-15), id, due_at=None if due is None else at(due))
    return Case(
        id=id,
        place=Place("acme", "x", id, id),
        account="acme",
        kind=Kind.POST,
        public=True,
        customer_handle=id,
        followers=None,
        reach=None,
        opened_at=at(-15),
        first_message_id=id,
        last_message_id=id,
        last_message_at=at(-15),
        inbound_count=1,
        status=status,
        complaint=True,
        complaint_score=0.9,
        addressed=True,
        needs_reply=True,
        priority=priority,
        topics=(),
        reasons=(),
        historic=False,
        quiet=False,
        clocks=(clock,),
    )


def test_the_worst_come_first() -> None:
    """Who can answer only five answers the most urgent, and of those the longest overdue."""
    cases = [
        case("no promise", due=None, priority=Priority.URGENT),
        case("low", due=-60, priority=Priority.LOW),
        case("late", due=-5),
        case("later", due=-30),
        case("b", due=-5),
        case("urgent", due=20, priority=Priority.URGENT),
        case("answered", due=-90, priority=Priority.URGENT, status=Status.ANSWERED),
    ]
    order = ["urgent", "no promise", "later", "b", "late", "low"]
    assert [c.id for c in worst(cases, 10)] == order
    assert [c.id for c in worst(cases[::-1])] == order[:5]


def test_the_common_words_say_what_it_is_about() -> None:
    """One look at a storm tells whether the lorries stand still or the site is down."""
    texts = [
        "Where is my DELIVERY?? Order 4711 https://x.example/delivery",
        "@acme my delivery hasn't come, the tracking doesn't work",
        "Delivery late again, delivery delivery! #tracking",
        "no refund for the delivery",
        "Your tracking page is broken",
        "I’ve had it with you",
    ]
    assert common_words(texts) == (("delivery", 4), ("tracking", 3))
    assert common_words(texts, ignored=("Delivery",)) == (("tracking", 3),)
    assert common_words(texts, limit=1) == (("delivery", 4),)


def test_a_word_of_a_few_is_not_called_common() -> None:
    """Three of twenty customers do not make a topic; four do."""
    texts = ["refund please"] * 3 + [f"nothing alike {'abcdefghijklmnopq'[n]}zz" for n in range(17)]
    assert "refund" not in dict(common_words(texts))
    assert dict(common_words([*texts[:-1], "refund"]))["refund"] == 4
    assert common_words(["refund"] * 2) == ()


@pytest.mark.parametrize(
    "text",
    [
        "@delivery @acme_help",
        "bob@mail.example",
        "www.acme.example HTTPS://ACME.example/delivery (see acme.example/help)",
        "4711 12345678 AB1234567 3rd ２０２６ 四五六",
        "no it so ok us",
        "I've they're wouldn’t 'that'",
        "the and with about",
        "--- *** ''' ... ___ 💥💥💥",
        "a" * 31,
    ],
)
def test_handles_links_numbers_and_small_words_say_nothing(text: str) -> None:
    """No handle, link, order number or filler word is ever shown as what a storm is about."""
    assert common_words([text] * 5) == ()


def test_words_of_other_scripts_stay_whole() -> None:
    """A storm in Hindi, Russian, French or Arabic is told in whole words."""
    texts = ["डिलीवरी доставка l'équipe التوصيل Straße"] * 3
    assert dict(common_words(texts)).keys() == {"डिलीवरी", "доставка", "l'équipe", "التوصيل", "strasse"}
    decomposed = "e\u0301quipe"
    assert common_words([decomposed, "équipe", "ÉQUIPE"]) == (("équipe", 3),)


@given(st.lists(st.text(max_size=80), max_size=30), st.randoms(use_true_random=False))
def test_common_words_are_words_counted_once_a_text(texts: list[str], random: object) -> None:
    """Whatever strangers write, what is shown are few plain words, the same in any order of the texts."""
    found = common_words(texts)
    shuffled = list(texts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert common_words(shuffled) == found
    assert len(found) <= 5
    for word, count in found:
        assert 3 <= len(word) <= 30 and word.isprintable() and not any(c in word for c in "<>@&*_`/:# \n")
        assert max(3, len(texts) / 5) <= count <= len(texts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: "\ufdfa" * 200_000,
        lambda: "a@" * 100_000,
        lambda: "http://" * 50_000,
        lambda: "'" * 200_000 + "x",
        lambda: "e" + "\u0301" * 200_000,
        lambda: " ".join(f"w{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10 % 10]}" for n in range(50_000)),
    ],
    ids=["a letter that becomes eighteen", "at signs", "links", "apostrophes", "marks", "many words"],
)
def test_hostile_texts_cost_little(make: Callable[[], str], stopwatch: Callable[[], float]) -> None:
    """Somebody who posts walls of text does not hold up the alerts of the others."""
    text = make()
    began = stopwatch()
    common_words([text] * 200)
    assert stopwatch() - began < 2.0


def test_only_the_start_of_a_text_counts() -> None:
    """A wall of text is read as far as its first thousand letters."""
    assert common_words(["x " * TEXT_LENGTH_MAX + "delivery"] * 5) == ()


USUAL_3 = [3, 2, 4, 3, 3, 5, 1, 3, 2, 6, 3, 3]


def test_many_more_than_usual_are_a_spike() -> None:
    """42 complaints where 3 are usual are told before anybody has waited too long, with the figures."""
    found = judge_spike(42, USUAL_3, SpikePolicy())
    assert (found.is_spike, found.usual, found.needed) == (True, 3.0, 15)
    assert found.reason == "42 in 10 min, usually 3; a spike begins at 15"


@pytest.mark.parametrize(
    ("usual", "needed"), [(0, 15), (1, 15), (3, 15), (4, 20), (5, 25), (10, 50), (100, 500)]
)
def test_a_care_lead_can_say_beforehand_what_is_a_spike(usual: int, needed: int) -> None:
    """At least 15 and five times what is usual: one less is no spike."""
    past = [usual] * 12
    assert judge_spike(needed, past, SpikePolicy()).is_spike
    assert not judge_spike(needed - 1, past, SpikePolicy()).is_spike
    assert judge_spike(needed, past, SpikePolicy()).needed == needed


def test_nothing_is_usual_yet_for_a_young_daemon() -> None:
    """In its first two weeks a daemon does not take its first busy hour for a spike."""
    found = judge_spike(500, [0] * 11, SpikePolicy())
    assert (found.is_spike, found.usual) == (False, None)
    assert found.reason == "only 11 past counts, 12 are needed to know what is usual"


def test_one_past_spike_does_not_hide_the_next() -> None:
    """Last week's outage is not what is usual."""
    assert judge_spike(42, [*USUAL_3, 400, 500, 600], SpikePolicy()).is_spike


@given(st.integers(0, 1000), st.lists(st.integers(0, 200), min_size=12, max_size=40), st.integers(0, 100))
def test_more_complaints_are_never_less_of_a_spike(count: int, past: list[int], more: int) -> None:
    """What was a spike stays one when it grows, and the threshold that is told is the one that holds."""
    found = judge_spike(count, past, SpikePolicy())
    assert found.needed is not None and found.is_spike == (count >= found.needed)
    if found.is_spike:
        assert judge_spike(count + more, past, SpikePolicy()).is_spike


@pytest.mark.parametrize(
    "change", [{"window_seconds": 0.0}, {"at_least": 0}, {"times": 0.5}, {"samples_min": 0}]
)
def test_a_spike_policy_that_cannot_be_meant_is_refused(change: dict[str, float]) -> None:
    """A rule that would call every quiet hour a spike is refused at the start."""
    with pytest.raises(ValueError, match="spike"):
        SpikePolicy(**change)  # type: ignore[arg-type]


def _poisson(count: int, mean: float) -> float:
    return exp(count * log(mean) - mean - lgamma(count + 1))


def _chance_of_medians(mean: float, samples: int) -> dict[int, float]:
    """How likely each lower middle of so many counts with that mean is (the lower the usual, the sooner a
    spike: the true median is at least that)."""
    below, previous, chances = 0.0, 0.0, {}
    for value in range(int(3 * mean) + 12):
        below = min(1.0, below + _poisson(value, mean))
        at_most = sum(
            comb(samples, n) * below**n * (1 - below) ** (samples - n)
            for n in range(samples // 2, samples + 1)
        )
        chances[value] = at_most - previous
        previous = at_most
    return chances


def _false_spikes_a_day(mean: float, policy: SpikePolicy) -> float:
    """How often the sliding window's count passes the threshold upwards, where complaints come by chance:
    with t - 1 in the window one more comes, mean * P(t - 1) = t * P(t) times in each window's length."""
    windows = 86400 / policy.window_seconds
    total = 0.0
    for usual, chance in _chance_of_medians(mean, policy.samples_min).items():
        needed = judge_spike(0, [usual] * policy.samples_min, policy).needed
        assert needed is not None
        total += chance * needed * _poisson(needed, mean) * windows
    return total


def test_chance_alone_makes_hardly_ever_a_spike() -> None:
    """A brand on which nothing happens is called for nothing not once in 40 days, however many
    complaints are its everyday; with the usual one or fewer in ten minutes, not in a thousand years."""
    rates = {tenths: _false_spikes_a_day(tenths / 10, SpikePolicy()) for tenths in range(1, 300)}
    assert max(rates.values()) < 1 / 40
    assert max(rate for tenths, rate in rates.items() if tenths <= 10) < 1 / 365_000
    assert rates[30] < 1 / 365
    # The same computation tells a rule that is too eager: the test can fail.
    eager = SpikePolicy(at_least=10, times=4.0)
    assert max(_false_spikes_a_day(tenths / 10, eager) for tenths in range(20, 60)) > 1 / 4
