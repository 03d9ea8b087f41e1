"""The judge of what the demo's care team pressed: what is wrong is found, what is right is not accused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.contract import Page
from monitor.act import act
from monitor.demo_pressing import Pressing, judge_presses
from monitor.ingest import Arrival, ingest
from rules.case import Action, Word
from simulator.colleagues import Press
from simulator.deeds import Deed
from simulator.faults import Faults
from simulator.population import Fate, Plan, Way
from simulator.promises import make_promises
from simulator.scenes import make_script
from simulator.slack_api import Post
from simulator.slack_people import ANA, Whisper
from simulator.slack_socket import Envelope
from simulator.town import Town
from simulator.world import FixedClock, World
from tests.monitor.build import House, customer, house

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
WITHIN = timedelta(seconds=120)
URL = "http://slack.example/actions/1"


@dataclass
class Bench:
    """One customer in the world and in the store, one message about them in Slack, and Ana."""

    home: House
    town: Town
    clock: FixedClock
    plan: Plan
    post: Post
    pressed_at: datetime

    def press(self, deed: Deed, answer: str | None) -> Press:
        """Ana presses; ten seconds later she is told something, or nothing."""
        made = Press(
            self.pressed_at,
            ANA,
            Envelope("e1", "interactive", {"response_url": URL}),
            deed,
            self.plan,
            self.post.ts,
        )
        if answer is None:
            made.given_up_at = self.pressed_at + timedelta(seconds=10)
        else:
            told_at = self.pressed_at + timedelta(seconds=10)
            made.answer = Whisper(ANA.id, "C0", answer, [], told_at, URL)
        assert self.town.colleagues is not None
        self.town.colleagues.presses.append(made)
        return made

    def keep(self, word: Word, after: float = 2.0) -> None:
        """The daemon keeps a word of Ana's, so many seconds after she pressed."""
        moment = self.pressed_at + timedelta(seconds=after)
        until = moment + timedelta(minutes=15) if word is Word.SNOOZE else None
        act(
            self.home.store, self.home.policy, Action(word, self.plan.first.id, "@ana", moment, until), moment
        )

    def show(self, text: str, line: str = "", after: float = 20.0) -> None:
        """Slack shows it."""
        self.clock.at = self.pressed_at + timedelta(seconds=after)
        self.town.slack.update(self.post.channel, self.post.ts, {"text": text})
        if line:
            self.town.slack.post(self.post.channel, {"text": line, "thread_ts": self.post.ts})

    def judge(self) -> Pressing:
        end = self.town.script.end if self.town.script is not None else START
        found, _ = judge_presses(self.home.store, self.town, end, WITHIN, 0)
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Somebody whom nobody answers wrote twelve minutes ago, and Slack tells of it."""
    clock = FixedClock(START)
    world, promises = World(clock), make_promises(START)
    script = make_script(world, seed=1, start=START, seconds=3600, promises=promises)
    faults = [Faults(clock, 1) for _ in range(3)]
    town = Town(world, script, faults[0], faults[1], faults[2], promises)
    plan = next(
        p
        for p in script.plans
        if (p.way, p.fate, p.kind, p.brand) == (Way.X_MENTION, Fate.NEVER, "complaint", "acme")
        and not p.historic
    )
    first = plan.first
    home = house(tmp_path / "house")
    message = replace(customer(first.id, 0, first.text, who=plan.customer.id), created_at=first.created_at)
    seen_at = first.created_at + timedelta(seconds=30)
    ingest(
        home.store, home.policy, Arrival("acme", "x", "acme", "acme/mentions", Page((message,), {})), seen_at
    )
    clock.at = first.created_at + timedelta(seconds=460)
    post = town.slack.post("C0", {"text": "7 min left"})
    yield Bench(home, town, clock, plan, post, first.created_at + timedelta(seconds=720))
    home.store.close()


def test_what_was_kept_and_shown_is_right(bench: Bench) -> None:
    """A press that is in the store, on the message and in its thread is counted, with how soon it showed."""
    bench.press(Deed.TAKE, "taken by @ana")
    bench.keep(Word.ACK)
    bench.show("Taken by @ana: 12 min", "09:12 taken by @ana")
    found = bench.judge()
    assert found.wrong == []
    assert found.kept == {Deed.TAKE: 1} and found.at_once == {Deed.TAKE: 1}
    assert found.seconds == [18.0]


def lost(bench: Bench) -> None:
    bench.press(Deed.TAKE, "taken by @ana")
    bench.show("Taken by @ana: 12 min", "09:12 taken by @ana")


def doubled(bench: Bench) -> None:
    bench.press(Deed.TAKE, "taken by @ana")
    bench.keep(Word.ACK)
    bench.keep(Word.ACK, 4.0)
    bench.show("Taken by @ana: 12 min", "09:12 taken by @ana")


def by_nobody(bench: Bench) -> None:
    bench.keep(Word.IGNORE)


def before_it_was_pressed(bench: Bench) -> None:
    bench.press(Deed.TAKE, "taken by @ana")
    bench.keep(Word.ACK, -30.0)
    bench.show("Taken by @ana: 12 min", "09:12 taken by @ana")


def never_shown(bench: Bench) -> None:
    bench.press(Deed.NO_REPLY, "@ana says that it needs no reply")
    bench.keep(Word.IGNORE)


def shown_late(bench: Bench) -> None:
    bench.press(Deed.NO_REPLY, "@ana says that it needs no reply")
    bench.keep(Word.IGNORE)
    bench.show("@ana says that it needs no reply", after=150.0)


def not_in_the_thread(bench: Bench) -> None:
    bench.press(Deed.SNOOZE, "snoozed for 15 min; the customer's wait goes on")
    bench.keep(Word.SNOOZE)
    bench.show("Snoozed until 09:27 by @ana: 12 min")


def kept_though_too_late(bench: Bench) -> None:
    bench.press(Deed.ELSEWHERE, "nothing to do any more: answered")
    bench.keep(Word.ANSWERED)
    bench.show("answered elsewhere, says @ana")


def standing_otherwise(bench: Bench) -> None:
    bench.press(Deed.TAKE, "taken by @ana")
    bench.keep(Word.ACK)
    bench.show("Taken by @ana: 12 min", "09:12 taken by @ana")
    now = bench.pressed_at + timedelta(seconds=5)
    act(bench.home.store, bench.home.policy, Action(Word.ACK, bench.plan.first.id, "@bo", now), now)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lost, "kept 0 times"),
        (doubled, "kept 2 times"),
        (by_nobody, "nobody pressed it"),
        (before_it_was_pressed, "kept 0 times"),
        (never_shown, "its message shows it not"),
        (shown_late, "only after 148 s"),
        (not_in_the_thread, "its thread does not tell it"),
        (kept_though_too_late, "kept 1 times"),
        (standing_otherwise, "its case does not stand so"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_what_is_wrong_is_found(bench: Bench, what: Callable[[Bench], None], said: str) -> None:
    """Whatever a daemon could do wrong with a press is in the judge's list: no demo is honest with it."""
    what(bench)
    found = bench.judge()
    assert any(said in wrong for wrong in found.wrong), found.wrong


def test_who_was_told_nothing_may_have_been_heard(bench: Bench) -> None:
    """A kill swallows the answer: what was pressed may be kept once, or not at all; both are right."""
    bench.press(Deed.TAKE, None)
    found = bench.judge()
    assert found.wrong == [] and found.again == 1 and not found.kept
    bench.keep(Word.ACK)
    bench.show("Taken by @ana: 12 min", "09:12 taken by @ana")
    found = bench.judge()
    assert found.wrong == [] and found.kept == {Deed.TAKE: 1}


def list_of(bench: Bench, subject: str) -> Pressing:
    """Ana asks who waits, and is told of that one."""
    blocks = [{"type": "rich_text", "elements": [{"type": "text", "text": f"@x on X: waits ({subject})"}]}]
    envelope = Envelope("e2", "slash_commands", {"response_url": URL})
    asked = Press(bench.pressed_at, ANA, envelope)
    asked.answer = Whisper(ANA.id, "C0", "The most urgent case", blocks, bench.pressed_at, URL)
    assert bench.town.colleagues is not None
    bench.town.colleagues.asked.append(asked)
    return bench.judge()


def test_a_list_names_who_waits_and_nobody_else(bench: Bench) -> None:
    """Whoever has been answered long ago is not on it, and whose promise is broken is."""
    truth = bench.town.truth(bench.pressed_at)
    answered = next(
        t for t in truth if t.historic and t.answered_at is not None and len(t.waits) == 1 and not t.private
    )
    found = list_of(bench, bench.town.subject(answered))
    assert any(f"{bench.town.subject(answered)} is on a list" in wrong for wrong in found.wrong)
    bench.pressed_at += timedelta(seconds=600)
    found = list_of(bench, bench.town.subject(answered))
    assert any("acme/x/" in wrong and "is not on a list" in wrong for wrong in found.wrong)
