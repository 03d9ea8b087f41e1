"""Digests: what a channel could not say for a while is said in one, to that channel, and once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.act import act
from monitor.digests import OVER_AFTER
from monitor.dispatch import dispatch_once
from rules.alert import Stage
from rules.case import Action, Word
from rules.hours import Calendar, Opening
from rules.policies import FoldPolicy, Policies
from rules.routes import Route
from rules.storms import StormPolicy
from tests.monitor.build import TARGET, House, Sink, at, brand, customer, house, policy
from tests.monitor.test_many_at_once import say_all
from wire.errors import EdgeError, Refused, RetryAt

EVERY = frozenset(Stage)
STORM = StormPolicy(cases=5)
APART = 3.0
"""Minutes between two customers: never a storm."""


def _home(folder: Path, *more: Route, **changes: object) -> House:
    breaches = Policies.of(FoldPolicy((replace(TARGET, next_response_seconds=900.0, warnings=()),)))
    brands = {"acme": replace(policy().brands["acme"], fold=breaches)}
    routes = (Route("care", "#care", EVERY, updates=True), *more)
    return house(folder, **{"brands": brands, "storm": STORM, "routes": routes, **changes})


def _away(home: House, sink: Sink, count: int, others: Sequence[tuple[str, Sink]] = ()) -> float:
    """So many customers complain one after the other and break their promise while the channel takes nothing.
    Returns the minute after that."""
    end = APART * count + 16
    for half in range(int(2 * end)):
        minute = half / 2
        number = minute / APART
        if number == int(number) and number < count:
            home.take(minute, customer(str(int(number)), minute, who=f"c{int(number)}"))
        home.watch(minute)
        sink.failures = [RetryAt("503")] * 50
        say_all(home, minute, sink)
        for name, other in others:
            say_all(home, minute, other, name)
    sink.failures = []
    return end


def _live(home: House, sink: Sink, start: float, end: float, name: str = "care") -> None:
    """The house looks and the channel speaks, every minute."""
    for minute in range(int(start), int(end) + 1):
        home.watch(minute)
        say_all(home, minute, sink, name)


def _digests(sink: Sink, stage: Stage = Stage.STORM) -> list[tuple[int, int, int]]:
    """(reached, waiting, answered) of each that was said."""
    found = [a.storm for a, _ in sink.sent if a.stage is stage and a.storm is not None]
    assert all(storm.held_since is not None for storm in found)
    return [(storm.reached, storm.waiting, storm.answered) for storm in found]


def test_only_the_channel_that_was_away_hears_it(tmp_path: Path) -> None:
    """Slack is away while eight customers wait too long: the mail has eight breaches in time and no digest;
    Slack has one breach, one digest of seven, and both of one customer at most once."""
    home, slack, mail = _home(tmp_path, Route("mail", "ops", EVERY)), Sink(), Sink("ops")
    back = _away(home, slack, 8, [("mail", mail)])
    _live(home, slack, back, back + 16)
    say_all(home, back + 16, mail, "mail")
    assert mail.stages() == ["breach"] * 8
    assert slack.stages() == ["breach", "storm"] and _digests(slack) == [(7, 7, 0)]


def test_as_many_as_people_can_read_are_told_singly(tmp_path: Path) -> None:
    """Five where a storm is more than five: five breaches."""
    home, sink = _home(tmp_path), Sink()
    back = _away(home, sink, 6)
    home.take(back, brand("r0", back, "0"))
    _live(home, sink, back, back + 16)
    assert sink.stages() == ["breach"] * 5


def test_where_storms_are_off_each_is_told_by_itself(tmp_path: Path) -> None:
    """Who wants no message to stand for many gets none."""
    home, sink = _home(tmp_path, storm=None), Sink()
    back = _away(home, sink, 8)
    _live(home, sink, back, back + 16)
    assert sink.stages() == ["breach"] * 8


def test_it_goes_on_and_is_over_when_all_are_answered(tmp_path: Path) -> None:
    """As they are answered the one message follows, and says the end; no all-clear comes for each."""
    home, sink = _home(tmp_path), Sink()
    back = _away(home, sink, 8)
    _live(home, sink, back, back + 16)
    single = next(a.subject for a, _ in sink.sent if a.stage is Stage.BREACH).removeprefix("acme/x/")
    rest = [str(n) for n in range(8) if str(n) != single]
    for number, id in enumerate(rest):
        home.take(back + 17 + number, brand(f"r{id}", back + 17 + number, id))
        _live(home, sink, back + 17 + number, back + 17 + number)
    _live(home, sink, back + 24, back + 30)
    updates = _digests(sink)
    assert updates[0] == (7, 7, 0) and updates == sorted(updates, key=lambda u: -u[1])
    assert _digests(sink, Stage.CLEARED) == [(7, 0, 7)]
    assert [a.subject for a, _ in sink.sent if a.stage is Stage.CLEARED] == ["acme digest 1"]
    count = len(sink.sent)
    _live(home, sink, back + 31, back + 90)
    assert len(sink.sent) == count


def test_who_waits_on_is_told_singly_from_the_next_stage_on(tmp_path: Path) -> None:
    """A customer of a digest who writes again after an answer, and waits too long again, is told of; and an
    operator's word about a case of a digest is taken."""
    home, sink = _home(tmp_path), Sink()
    back = _away(home, sink, 8)
    _live(home, sink, back, back + 16)
    said = {a.subject for a, _ in sink.sent if a.case is not None}
    other = next(str(n) for n in range(8) if f"acme/x/{n}" not in said)
    act(home.store, home.policy, Action(Word.ACK, other, "olga", at(back + 17)), at(back + 17))
    home.take(back + 18, brand("r", back + 18, other))
    again = customer("again", back + 20, "@acme and now?!", who=f"c{other}", conversation=other, parent="r")
    home.take(back + 20, again)
    _live(home, sink, back + 20, back + 60)
    mine = [str(a.stage) for a, _ in sink.sent if a.subject == f"acme/x/{other}"]
    assert mine == ["breach"]


def test_after_a_day_nobody_brings_it_up_to_date(tmp_path: Path) -> None:
    """A customer whom nobody ever answers does not keep the message alive for ever."""
    home, sink = _home(tmp_path), Sink()
    back = _away(home, sink, 8)
    _live(home, sink, back, back + 16)
    _live(
        home,
        sink,
        back + 16 + OVER_AFTER / timedelta(minutes=1),
        back + 20 + OVER_AFTER / timedelta(minutes=1),
    )
    assert _digests(sink, Stage.CLEARED) == [(7, 7, 0)]
    assert home.store.surges.all_running() == []


@pytest.mark.parametrize("error", [Refused("channel_not_found"), RetryAt("503")])
def test_a_digest_that_is_not_taken_reaches_the_fallback(tmp_path: Path, error: EdgeError) -> None:
    """Slack takes one and then nothing more: the fallback, which hears of nothing else, is told the digest,
    and its end; Slack, which was not told, is not told the end."""
    ops = Route("ops", "ops", frozenset({Stage.TEST}))
    home = _home(tmp_path, ops, fallback=("ops",), fallback_after_seconds=3600.0)
    slack, mail = Sink(), Sink("ops")
    back = _away(home, slack, 8)
    home.watch(back + 16)
    _say_one_then_fail(home, slack, back + 16, error)
    for minute in range(int(back) + 17, int(back) + 97):
        slack.failures = [error] * 20
        _live(home, slack, minute, minute)
        say_all(home, minute, mail, "ops")
    assert _digests(mail) == [(7, 7, 0)]
    late = back + 100
    home.take(late, *(brand(f"r{n}", late, str(n)) for n in range(8)))
    slack.failures = []
    _live(home, slack, late, late + 20)
    _live(home, mail, late + 20, late + 20, "ops")
    assert _digests(mail, Stage.CLEARED) == [(7, 0, 7)]
    assert _digests(slack) == [] and _digests(slack, Stage.CLEARED) == []


def _say_one_then_fail(home: House, sink: Sink, minute: float, error: EdgeError) -> None:
    """The channel takes one alert, and from then on nothing."""
    assert dispatch_once(home.store, home.policy, "care", sink, at(minute)).outcome == "delivered"
    sink.failures = [error] * 20
    say_all(home, minute, sink)


def test_after_quiet_hours_people_wake_up_to_one_message(tmp_path: Path) -> None:
    """Eight customers waited too long in the night, one after the other: in the morning it is one breach and
    one message."""
    day = Calendar("day", "UTC", tuple(Opening(d, 14 * 60, 20 * 60) for d in range(7)))
    home, sink = _home(tmp_path, hours={"care": day}), Sink()
    for number in range(8):
        home.take(APART * number, customer(str(number), APART * number, who=f"c{number}"))
        _live(home, sink, APART * number, APART * number + 2)
    _live(home, sink, 24, 119)
    assert sink.sent == []
    _live(home, sink, 120, 125)
    assert sink.stages() == ["breach", "storm"] and _digests(sink) == [(7, 7, 0)]
