"""What is not ordinary about a day: an outage of a platform, a storm of complaints, and what the care team
presses in Slack; and a day as a whole.

What may live here: scenes with fixed places in the day, whose people are drawn by the seed. Each stands at
its place so that a day of a demo's length tells all of them, one beside the other.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from simulator.deeds import Deed, When, Wish
from simulator.population import (
    CLEAR_OF_DECISIONS,
    LATE_BY,
    OTHER_BRAND,
    Burst,
    Fate,
    Outage,
    Plan,
    Script,
    Way,
    Writer,
)
from simulator.promises import WARNINGS, Promises, make_promises
from simulator.world import Platform, World

WHOLE_DAY_SECONDS = 2650.0
"""A day that is at least so long has every scene in it."""

OUTAGE_START, OUTAGE_END = 300.0, 1020.0
BURST_START, BURST_END = 720.0, 870.0
BURST_SIZE = 32
ANSWERS_AT_ONCE = 4
STORM_ANSWERED_SHARE = 0.85
STORM_IN_TIME_SHARE = 0.2
STORM_THANKS_SHARE = 0.3

TEAM = ("ana", "bo")
LATE_ENOUGH = (330.0, 500.0)
"""Answered so many seconds late that there is time to press before."""

_WISHES: dict[Fate, tuple[tuple[float, tuple[tuple[Deed, When], ...]], ...]] = {
    Fate.LATE: (
        (0.35, ((Deed.TAKE, When.LATE), (Deed.RESOLVED, When.ANSWERED))),
        (0.25, ((Deed.TAKE, When.LATE),)),
    ),
    Fate.WARNED: (
        (0.25, ((Deed.TAKE, When.WARNED), (Deed.RESOLVED, When.ANSWERED))),
        (0.2, ((Deed.TAKE, When.WARNED),)),
        (0.2, ((Deed.RESOLVED, When.ANSWERED),)),
    ),
    Fate.NEVER: ((0.2, ((Deed.TAKE, When.LATE),)), (0.15, ((Deed.ELSEWHERE, When.LATE),))),
}
"""What the care team means to press on an ordinary day, by the customer's fate, each with its share."""


def make_script(
    world: World, *, seed: int, start: datetime, seconds: float, promises: Promises | None = None
) -> Script:
    """Write `seconds` of the world's time from `start` on, and some past before it."""
    writer = Writer(world, random.Random(seed), start, seconds, promises or make_promises(start))
    writer.write_past()
    writer.write_future()
    if seconds >= WHOLE_DAY_SECONDS:
        _make_sure_of_minima(writer)
        _press(writer, random.Random(seed + 1))
        _outage(writer)
        _storm(writer)
        _make_sure_of_presses(writer)
    writer.write_chatter()
    return writer.script


def _make_sure_of_minima(writer: Writer) -> None:
    """Some of everything, whatever the seed."""
    wanted = ((Way.X_DM, Fate.WARNED), (Way.X_DM, Fate.NEVER), (Way.REDDIT_DM, Fate.LATE))
    for way, fate in wanted:
        promise = writer.promise_of(way)
        seconds = writer.chance.uniform(10, writer.room(promise, promise.first))
        writer.finish(writer.begin(way, fate, _at(writer, seconds)))
    # Whom the break reaches: they write before it, and their time runs out after it.
    for fate in (Fate.WARNED, Fate.NEVER):
        seconds = writer.chance.uniform(OUTAGE_END + 30, OUTAGE_END + 240)
        writer.finish(writer.begin(Way.REDDIT_MENTION, fate, _at(writer, seconds)))


# The care team: what it presses in Slack about whom.


def _press(writer: Writer, chance: random.Random) -> None:
    """What the team means to press about the customers of an ordinary day."""
    for plan in writer.script.plans:
        draw = chance.random()
        who = chance.choice(TEAM)
        for share, deeds in () if plan.historic else _WISHES.get(plan.fate, ()):
            if 0 <= draw < share:
                plan.wishes = tuple(Wish(deed, when, who) for deed, when in deeds)
            draw -= share


def _make_sure_of_presses(writer: Writer) -> None:
    """Each button is pressed on every day, and one alert lives through all that an alert can."""
    ana, bo = TEAM
    late = _told_of(writer, Way.X_MENTION, Fate.LATE, "complaint", (30, 300))
    late.wishes = (Wish(Deed.TAKE, When.LATE, ana),)
    joke = _told_of(writer, Way.X_MENTION, Fate.LATE, "joke", (200, 900))
    joke.wishes = (Wish(Deed.NOT_COMPLAINT, When.WARNED, ana), Wish(Deed.TAKE, When.LATE, ana))
    for plan in (late, joke):
        delay = plan.promise.first + writer.chance.uniform(*LATE_ENOUGH)
        writer.answer(plan, plan.first.created_at + timedelta(seconds=delay))
    unanswered = (
        (Way.X_MENTION, "complaint", Wish(Deed.SNOOZE, When.WARNED, bo), (60, 900)),
        (Way.X_MENTION, "complaint", Wish(Deed.ELSEWHERE, When.WARNED, bo), (600, 1600)),
        (Way.X_DM, "complaint", Wish(Deed.ELSEWHERE, When.LATE, ana), (60, 900)),
        (Way.X_MENTION, "praise", Wish(Deed.NO_REPLY, When.WARNED, bo), (300, 1600)),
        (Way.X_MENTION, "praise", Wish(Deed.NO_REPLY, When.LATE, ana), (600, 1200)),
        (Way.X_MENTION, "joke", Wish(Deed.NOT_COMPLAINT, When.WARNED, bo), (60, 1200)),
        (Way.X_DM, "question", Wish(Deed.RESOLVED, When.WARNED, ana), (300, 1500)),
    )
    for way, kind, wish, span in unanswered:
        _told_of(writer, way, Fate.NEVER, kind, span).wishes = (wish,)


def _told_of(writer: Writer, way: Way, fate: Fate, kind: str, span: tuple[float, float]) -> Plan:
    """Somebody of whom Slack tells, and who writes no more until the team has pressed."""
    plan = writer.begin(way, fate, _at(writer, writer.chance.uniform(*span)), kind=kind)
    writer.script.plans.append(plan)
    return plan


def _at(writer: Writer, seconds: float) -> datetime:
    return writer.script.start + timedelta(seconds=seconds)


# The outage: Reddit serves nobody, and people write there all the same.


def _outage(writer: Writer) -> None:
    """Who waits through it, who is answered in it, and who comes and goes unseen."""
    start, end = _at(writer, OUTAGE_START), _at(writer, OUTAGE_END)
    writer.script.outages.append(Outage(Platform.REDDIT, start, end))
    chance = writer.chance
    for _ in range(2):  # seen before it, and still waiting after it
        _unanswered(writer, Way.REDDIT_MENTION, chance.uniform(30, 120))
    for way in (Way.REDDIT_MENTION, Way.REDDIT_SUBMISSION):  # answered in time, which nobody can see
        _answered_after(writer, way, chance.uniform(60, 160), chance.uniform(340, 440))
    for way in (Way.REDDIT_SUBMISSION, Way.REDDIT_MENTION, Way.REDDIT_DM):  # asked and answered in it
        _answered_after(writer, way, chance.uniform(360, 480), chance.uniform(120, 250))
    for _ in range(2):  # asked in it, and still waiting after it
        _unanswered(writer, Way.REDDIT_MENTION, chance.uniform(330, 400))


def _unanswered(writer: Writer, way: Way, seconds: float) -> None:
    writer.script.plans.append(writer.begin(way, Fate.NEVER, _at(writer, seconds)))


def _answered_after(writer: Writer, way: Way, seconds: float, delay: float) -> None:
    plan = writer.begin(way, Fate.WARNED, _at(writer, seconds))
    writer.script.plans.append(plan)
    writer.answer(plan, plan.first.created_at + timedelta(seconds=delay))


# The storm: the other brand's network is down, and everybody writes to it at once.


def _storm(writer: Writer) -> None:
    """Some who are told of one by one before it, then all the others within minutes; nobody answers until
    the promises are all but broken, then most are answered."""
    chance = writer.chance
    writer.script.bursts.append(Burst(OTHER_BRAND, _at(writer, BURST_START), _at(writer, BURST_END)))
    early = writer.begin_elsewhere(Fate.LATE, _at(writer, chance.uniform(10, 90)))
    _answer_storm(writer, early, LATE_BY[0])
    for _ in range(ANSWERS_AT_ONCE):
        promise = writer.script.promises.outage
        seconds = chance.uniform(60, writer.room(promise, promise.first * WARNINGS[0]))
        plan = writer.begin_elsewhere(Fate.QUICK, _at(writer, seconds))
        writer.script.plans.append(plan)
        delay = writer.answer_delay(Fate.QUICK, promise.first)
        writer.answer(plan, plan.first.created_at + timedelta(seconds=delay))
    for number in range(BURST_SIZE):
        share = (number + chance.uniform(0.0, 0.9)) / BURST_SIZE
        seconds = BURST_START + (BURST_END - BURST_START) * share
        _storm_story(writer, _at(writer, seconds))


def _storm_story(writer: Writer, at: datetime) -> None:
    """One of very many: most are answered, some of them in time."""
    chance, promise = writer.chance, writer.script.promises.outage
    if chance.random() >= STORM_ANSWERED_SHARE:
        writer.script.plans.append(writer.begin_elsewhere(Fate.NEVER, at))
    elif chance.random() < STORM_IN_TIME_SHARE:
        low, high = promise.first * WARNINGS[1] + CLEAR_OF_DECISIONS, promise.first - CLEAR_OF_DECISIONS
        plan = writer.begin_elsewhere(Fate.WARNED, at)
        _answer_storm(writer, plan, (low - promise.first, high - promise.first))
    else:
        _answer_storm(writer, writer.begin_elsewhere(Fate.LATE, at), chance.choice(LATE_BY))


def _answer_storm(writer: Writer, plan: Plan, late_by: tuple[float, float]) -> None:
    writer.script.plans.append(plan)
    delay = plan.promise.first + writer.chance.uniform(*late_by)
    answer = writer.answer(plan, plan.first.created_at + timedelta(seconds=delay))
    if writer.chance.random() < STORM_THANKS_SHARE:
        writer.thank(plan, answer)
