"""The simulated care team: what it presses in Slack, when, and what that makes of the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator.colleagues import AFTER, BEFORE, CHANNEL, COMMAND, Press
from simulator.deeds import CLOSING, Deed, Said, When
from simulator.faults import Faults
from simulator.population import Fate, Plan, Script
from simulator.promises import make_promises
from simulator.scenes import make_script
from simulator.slack_api import Post
from simulator.slack_people import ANA
from simulator.town import Town
from simulator.truth import TrueWait, ground_truth, waits_of
from simulator.world import FixedClock, World

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
STEP = 5.0


class Day:
    """A town whose clock is moved by hand, and in which Slack's app is played by the test: it posts a message
    with every button about each customer once it is to warn of them."""

    def __init__(self, seed: int, *, answers: bool = True, changes: bool = True) -> None:
        self.clock = FixedClock(START)
        world = World(self.clock)
        promises = make_promises(START)
        self.script: Script = make_script(world, seed=seed, start=START, seconds=3600, promises=promises)
        faults = [Faults(self.clock, seed) for _ in range(3)]
        self.town = Town(world, self.script, faults[0], faults[1], faults[2], promises)
        self.answers, self.changes = answers, changes
        self.posts: dict[str, Post] = {}
        escalation = promises.escalation
        truth = self.town.truth(self.script.end)
        self.subjects = {t.first.id: self.town.subject(t) for t in truth}
        self.waits = {p.first.id: waits_of(p, escalation)[0] for p in self.script.plans if p.wishes}
        assert self.town.colleagues is not None
        self.team = self.town.colleagues

    def live(self, seconds: float = 3600.0) -> None:
        """Let that much time pass."""
        for _ in range(int(seconds / STEP)):
            self.clock.move(STEP)
            for id, wait in self.waits.items():
                if id not in self.posts and wait.warned_at[0] <= self.clock.now():
                    self.posts[id] = self.post(self.subjects[id])
            self.team.look()
            self.answer()

    def post(self, subject: str) -> Post:
        channel = self.town.slack.channel_id(CHANNEL) or ""
        return self.town.slack.post(channel, {"text": "7 min left", "blocks": buttons(subject)})

    def answer(self) -> None:
        """The app answers what was pressed, and shows it."""
        for press in (*self.team.presses, *self.team.asked):
            if press.pending and self.answers:
                press.envelope.heard.set()
                text = f"done by {press.who.handle}"
                self.town.slack.whisper(press.who.id, CHANNEL, {"text": text}, press.url)


def buttons(subject: str) -> list[dict[str, Any]]:
    elements = [
        {
            "type": "button",
            "action_id": f"a{n}",
            "value": subject,
            "text": {"type": "plain_text", "text": deed},
        }
        for n, deed in enumerate(Deed)
    ]
    return [{"type": "actions", "elements": elements}]


@pytest.mark.parametrize("seed", range(1, 21))
def test_every_day_has_every_button_pressed_clear_of_what_is_told(seed: int) -> None:
    """Whatever the seed, each button is pressed and the list is asked for; nobody presses within seconds of a
    moment at which something is to be told, nor ends a wait of which the latest words may be unseen."""
    day = Day(seed)
    day.live()
    assert {press.deed for press in day.team.presses} == set(Deed)
    assert len(day.team.asked) >= 4
    assert {asked.envelope.payload["command"] for asked in day.team.asked} == {COMMAND}
    for press in day.team.presses:
        assert press.plan is not None and press.deed is not None
        wish = next(w for w in press.plan.wishes if w.deed is press.deed)
        wait = day.waits[press.plan.first.id]
        if wish.when is When.ANSWERED:
            assert press.plan.answered_at is not None and press.at > press.plan.answered_at
            continue
        assert wait.lasts_to(press.at)
        assert not any(at - BEFORE <= press.at <= at + AFTER for at in wait.stages())
        own = [w for w in day.town.world.all() if w.author.id == press.plan.customer.id]
        if press.deed in CLOSING:
            assert all(w.created_at < press.at - timedelta(seconds=290) for w in own)
            assert press.plan.fate is Fate.NEVER


def test_whoever_is_told_nothing_presses_again_until_it_shows() -> None:
    """Slack says that it did not work: the press is made again, a little later, and not for ever; and whoever
    sees on the message that it was kept all the same does not press again."""
    day = Day(1, answers=False)
    plan = next(p for p in day.script.plans if p.wishes and p.wishes[0].deed is Deed.SNOOZE)
    mine: list[Press] = []
    while len(mine) < 2:
        day.live(STEP)
        mine = [p for p in day.team.presses if p.plan is plan]
        assert day.clock.now() < day.script.end
    first, second = mine
    assert first.failed and first.given_up_at is not None and not first.pending
    assert second.at - first.at >= timedelta(seconds=40)
    day.posts[plan.first.id].text = "Snoozed until 09:30 by @bo: …"
    day.live(600)
    assert [p for p in day.team.presses if p.plan is plan] == mine


def test_a_button_that_is_gone_is_not_pressed() -> None:
    """Nobody presses what is not there."""
    day = Day(3)
    for plan in day.script.plans:
        day.posts[plan.first.id] = day.town.slack.post("C0", {"text": "no buttons"})
    day.live()
    assert day.team.presses == []


def _waits(said: list[tuple[Deed, float]], fate: Fate = Fate.NEVER) -> tuple[Plan, TrueWait]:
    """The first wait of somebody with that fate, after what was pressed so many seconds into it."""
    day = Day(4)
    plan = next(
        p for p in day.script.plans if p.fate is fate and p.promise.name == "public" and not p.historic
    )
    words = [
        Said(plan.first.id, deed, ANA.handle, plan.first.created_at + timedelta(seconds=seconds))
        for deed, seconds in said
    ]
    true = next(t for t in ground_truth(day.script, day.script.end, words) if t.first.id == plan.first.id)
    return plan, true.waits[0]


def test_who_takes_it_is_left_alone() -> None:
    """After that there is no reminder and no escalation; the promise is broken all the same."""
    _, wait = _waits([(Deed.TAKE, 1000.0)])
    assert wait.breached and not wait.escalates
    assert wait.moment_of("breach", 0) == wait.due_at
    assert wait.moment_of("breach", 1) is None and wait.moment_of("escalated", 0) is None
    assert wait.stages() == (*wait.warned_at, wait.due_at)
    _, untaken = _waits([])
    assert untaken.escalates and untaken.moment_of("escalated", 0) == untaken.escalated_at
    _, taken_late = _waits([(Deed.TAKE, 1250.0)])
    assert taken_late.escalates and taken_late.moment_of("breach", 1) is None


def test_a_snooze_puts_off_what_is_told() -> None:
    """Fifteen minutes; the wait and its promise go on."""
    plan, wait = _waits([(Deed.SNOOZE, 600.0)])
    until = plan.first.created_at + timedelta(seconds=1500)
    assert wait.due_at == plan.first.created_at + timedelta(seconds=900) and wait.breached
    assert wait.quiet_until(wait.due_at) == until
    assert wait.quiet_until(wait.warned_at[0]) == wait.warned_at[0]
    assert wait.quiet_until(until) == until


@pytest.mark.parametrize("deed", sorted(CLOSING))
def test_a_closing_word_ends_the_wait(deed: Deed) -> None:
    """Whoever was helped elsewhere waits no more, and no promise is broken by it; but it is no answer."""
    plan, wait = _waits([(deed, 600.0)])
    assert wait.stopped_at == plan.first.created_at + timedelta(seconds=600)
    assert not wait.breached and not wait.answered and wait.seconds is None


def test_a_word_after_the_answer_changes_no_wait() -> None:
    """Resolved after the talk ended: the answer's time stays."""
    plan, wait = _waits([(Deed.RESOLVED, 3000.0)], Fate.LATE)
    assert wait.answered and wait.stopped_at == plan.answered_at and wait.closed is None
