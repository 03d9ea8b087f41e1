"""The care team at work in Slack: they look at the channel, press what they mean to press, and ask who waits.

What may live here: people who see what Slack shows and nothing else of whoever posted it: buttons by what
stands on them, and answers as they are told them. They know the platforms, and when they will answer there.
They keep clear of the moments at which something is to be told, so that the truth is crisp. What they did is
kept, with what they were told, for whoever compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.deeds import CLOSING, Deed, When, Wish
from simulator.population import Outage, Plan, Script
from simulator.slack_api import Post, SlackWorkspace
from simulator.slack_people import Colleague, Whisper
from simulator.slack_socket import ACKNOWLEDGE_SECONDS, Envelope
from simulator.truth import TrueWait, waits_of
from simulator.world import World, Writing

CHANNEL = "#care"
COMMAND = "/waiting"
ASK_EVERY = timedelta(minutes=8)
BEFORE, AFTER = timedelta(seconds=25), timedelta(seconds=125)
"""Nobody presses so shortly before or after a moment at which something is to be told."""

BEFORE_ANSWER = timedelta(seconds=90)
AFTER_ANSWER = timedelta(seconds=90)
READ_BY = timedelta(seconds=300)
"""What a customer wrote so long ago must have been seen: a word that ends a wait is about what was seen."""

AFTER_OUTAGE = timedelta(seconds=440)
BEFORE_END = timedelta(seconds=300)
PATIENCE = timedelta(seconds=300)
"""Whoever pressed and is told nothing for so long gives up, and tries again a little later."""

GOODBYE = timedelta(seconds=60)
AGAIN_AFTER = timedelta(seconds=45)
TRIES_MAX = 8
TOO_LATE = "nothing to do any more"
FAILED = ("it takes too long", "could not be kept", "did not work", "cannot be read")


@dataclass(slots=True)
class Press:
    """One press of a button, or one command (`deed` None). `ts` is the message's; `given_up_at`: when whoever
    pressed was told by Slack that it did not work, or stopped to wait for an answer."""

    at: datetime
    who: Colleague
    envelope: Envelope
    deed: Deed | None = None
    plan: Plan | None = None
    ts: str = ""
    answer: Whisper | None = None
    given_up_at: datetime | None = None

    @property
    def url(self) -> str:
        """Where the app was to answer."""
        return str(self.envelope.payload["response_url"])

    @property
    def pending(self) -> bool:
        return self.answer is None and self.given_up_at is None

    @property
    def failed(self) -> bool:
        """Whether it is to be tried again, as far as whoever pressed can tell."""
        return self.answer is None or any(word in self.answer.text for word in FAILED)

    @property
    def too_late(self) -> bool:
        """Whether the answer was that there is nothing to do any more."""
        return self.answer is not None and TOO_LATE in self.answer.text


class Colleagues:
    """The team. `look` is to be called again and again; it never waits. `plans` are the customers by every
    name that a message about them may have for them."""

    def __init__(
        self, world: World, slack: SlackWorkspace, script: Script, plans: Mapping[str, Plan]
    ) -> None:
        self.presses: list[Press] = []
        self.asked: list[Press] = []
        self._clock = world.clock
        self._slack = slack
        self._script = script
        self._people = {one.handle: one for one in slack.people.values()}
        self._wishes = {p.first.id: list(p.wishes) for p in script.plans if p.wishes}
        self._tries: dict[tuple[str, Deed], int] = {}
        self._plans = plans
        self._writings = _by_author(world)
        self._ask_at = script.start + ASK_EVERY
        self._leave_at: datetime | None = script.start + (script.end - script.start) / 2
        self._ends_at: datetime | None = None
        waits = {p.first.id: waits_of(p, script.promises.escalation)[0] for p in script.plans if p.wishes}
        self._waits: Mapping[str, TrueWait] = waits

    def look(self) -> None:
        """Look at Slack once, and do what is to be done now."""
        now = self._clock.now()
        for press in (*self.presses, *self.asked):
            if press.pending:
                self._listen(press, now)
        if self._script.start <= now <= self._script.end - BEFORE_END:
            for plan in self._script.plans:
                wish = next(iter(self._wishes.get(plan.first.id, ())), None)
                if wish is not None:
                    self._follow(plan, wish, now)
            if now >= self._ask_at and not any(p.pending for p in self.asked):
                self._ask(now)
        self._change_lines(now)

    def _follow(self, plan: Plan, wish: Wish, now: datetime) -> None:
        """Press, if it is time for it and the button is there."""
        mine = [p for p in self.presses if p.plan is plan and p.deed is wish.deed]
        if any(p.pending for p in mine):
            return
        if any(not p.failed for p in mine) or self._tries.get((plan.first.id, wish.deed), 0) >= TRIES_MAX:
            self._wishes[plan.first.id].remove(wish)
        elif self._may_try(mine, now) and self._is_time(plan, wish, now):
            found = self._find(plan, wish.deed)
            # Who was told nothing looks at the message first: perhaps it was kept all the same.
            if found is not None and mine and f"@{wish.who}" in found[0].text:
                self._wishes[plan.first.id].remove(wish)
            elif found is not None:
                self._press(plan, wish, *found, now)

    def _may_try(self, earlier: Sequence[Press], now: datetime) -> bool:
        return not earlier or now >= (earlier[-1].given_up_at or earlier[-1].at) + AGAIN_AFTER

    def _press(self, plan: Plan, wish: Wish, post: Post, action: str, now: datetime) -> None:
        who = self._people[wish.who]
        try:
            envelope = self._slack.press(post.channel, post.ts, action, who.id)
        except LookupError:  # it changed under their finger
            return
        self.presses.append(Press(now, who, envelope, wish.deed, plan, post.ts))
        self._tries[plan.first.id, wish.deed] = self._tries.get((plan.first.id, wish.deed), 0) + 1
        if len(self.presses) % 3 == 0:  # Slack may tell of a press twice
            for line in self._slack.lines.open[-1:]:
                self._slack.lines.repeat(envelope, line)

    def _ask(self, now: datetime) -> None:
        who = self._people["bo"]
        self.asked.append(Press(now, who, self._slack.ask(CHANNEL, who.id, COMMAND)))
        self._ask_at = now + ASK_EVERY

    def _listen(self, press: Press, now: datetime) -> None:
        """Whether the app answered, or Slack said that it did not work."""
        press.answer = next((w for w in reversed(self._slack.whispers) if w.url == press.url), None)
        waited = now - press.at
        too_slow = waited > timedelta(seconds=ACKNOWLEDGE_SECONDS * self._clock.rate)
        unheard = not press.envelope.heard.is_set() and (too_slow or not self._slack.lines.open)
        if press.answer is None and (unheard or waited > PATIENCE):
            press.given_up_at = now
            if press.deed is None:
                self._ask_at = now + AGAIN_AFTER

    def _change_lines(self, now: datetime) -> None:
        """Slack takes every line back some day: it says so, and ends it a little later."""
        if self._leave_at is not None and now >= self._leave_at:
            self._slack.lines.say_goodbye()
            self._leave_at, self._ends_at = None, now + GOODBYE
        elif self._ends_at is not None and now >= self._ends_at:
            self._slack.lines.close(leaving_only=True)
            self._ends_at = None

    # What they see.

    def _find(self, plan: Plan, deed: Deed) -> tuple[Post, str] | None:
        """The latest message about that customer on which the button is, and the button's action."""
        for post in reversed(self._slack.posts):
            button = _button(post, deed)
            if button is not None and self._plans.get(str(button["value"])) is plan:
                return post, str(button["action_id"])
        return None

    def _is_time(self, plan: Plan, wish: Wish, now: datetime) -> bool:
        """Whether they would press it now: at its time, and clear of whatever is to be told."""
        if wish.when is When.ANSWERED:
            at = plan.answered_at
            return at is not None and at < now <= at + AFTER_ANSWER
        wait = self._waits[plan.first.id]
        begin = wait.warned_at[0] if wish.when is When.WARNED else wait.due_at
        if now < begin or not wait.lasts_to(now + BEFORE_ANSWER):
            return False
        return self._is_clear(plan, wait, now) and self._was_read(plan, wish.deed, now)

    def _is_clear(self, plan: Plan, wait: TrueWait, now: datetime) -> bool:
        hours = wait.promise.hours
        if hours is not None and not all(hours.is_open(at) for at in (now - AFTER, now, now + AFTER)):
            return False
        if any(o.platform is plan.way.platform and _lasts(o, now) for o in self._script.outages):
            return False
        return not any(at - BEFORE <= now <= at + AFTER for at in wait.stages())

    def _was_read(self, plan: Plan, deed: Deed, now: datetime) -> bool:
        """Whether all that the customer wrote so far must have been seen."""
        since = now - (READ_BY if deed in CLOSING else AFTER)
        return not any(since < w.created_at <= now for w in self._writings.get(plan.customer.id, ()))


def _button(post: Post, deed: Deed) -> Mapping[str, object] | None:
    """The button on which that stands."""
    for block in post.blocks:
        for element in block.get("elements", ()) if block.get("type") == "actions" else ():
            if element.get("value") and element["text"]["text"] == deed.value:
                found: Mapping[str, object] = element
                return found
    return None


def _lasts(outage: Outage, now: datetime) -> bool:
    return outage.start - AFTER <= now < outage.end + AFTER_OUTAGE


def _by_author(world: World) -> dict[str, list[Writing]]:
    found: dict[str, list[Writing]] = {}
    for writing in world.all():
        found.setdefault(writing.author.id, []).append(writing)
    return found
