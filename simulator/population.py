"""Who writes what when: a seeded day of customers and agents, written into the world in advance.

What may live here: the people, and an ordinary day of theirs. What is not ordinary is in `scenes`.

A customer's fate is drawn first (answered at once, after the warning, too late, never; withdrawn), and the
times follow from it. They keep clear of the moments at which the daemon must decide, so that the truth is
crisp: nobody answers within seconds of a due time, nobody deletes within a minute of one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from simulator import texts
from simulator.deeds import Wish
from simulator.promises import WARNINGS, Promise, Promises
from simulator.world import Form, Person, Platform, World, Writing

BRAND = "acme"
X_HANDLES = ("acme", "acmehelp")
REDDIT_HANDLE = "acme_support"
SUBREDDIT = "acme"
OTHER_BRAND = "globex"
OTHER_HANDLE = "globexcare"
CLEAR_OF_DECISIONS = 25.0
CLEAR_OF_LOOK_UPS = 75.0
SETTLED_BEFORE_END = 180.0
ANSWERED_SOONEST = 45.0
WITHDRAWN_SOONEST = 70.0
"""Platforms are read twice a minute, and now and then one of them stumbles."""

LATE_BY = ((150.0, 270.0), (390.0, 500.0))
"""So many seconds after the promise was broken: before the escalation, and after it."""


class Fate(StrEnum):
    """What becomes of a customer who spoke to the brand."""

    QUICK = "quick"  # answered before the first warning
    WARNED = "warned"  # answered between warning and breach
    LATE = "late"  # answered after the breach
    NEVER = "never"
    WITHDRAWN = "withdrawn"  # deletes the post before anybody answered


class Way(StrEnum):
    """How the customer speaks to the brand."""

    X_MENTION = "x_mention"
    X_UNDER_POST = "x_under_post"  # in a thread that the brand began, among others
    X_DM = "x_dm"
    REDDIT_MENTION = "reddit_mention"  # a comment in somebody's thread
    REDDIT_SUBMISSION = "reddit_submission"  # a post in the brand's subreddit
    REDDIT_DM = "reddit_dm"

    @property
    def platform(self) -> Platform:
        return Platform.X if self.value.startswith("x_") else Platform.REDDIT

    @property
    def private(self) -> bool:
        return self in (Way.X_DM, Way.REDDIT_DM)


@dataclass(frozen=True, slots=True)
class Again:
    """The customer asked again after an answer, and was answered then; None: never."""

    asked: Writing
    answered_at: datetime | None
    answered_by: str | None


@dataclass(slots=True)
class Plan:
    """One customer's story, as it was meant: the ground truth is read off it, and off what was pressed.

    `wishes` are what the care team means to press about the first wait, in order.
    """

    way: Way
    fate: Fate
    kind: str
    customer: Person
    first: Writing
    promise: Promise
    brand: str = BRAND
    historic: bool = False
    answered_at: datetime | None = None
    answered_by: str | None = None
    first_any_reply_at: datetime | None = None
    withdrawn_at: datetime | None = None
    again: list[Again] = field(default_factory=list)
    wishes: tuple[Wish, ...] = ()


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a platform serves nobody, while people write there all the same."""

    platform: Platform
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Burst:
    """A time in which very many complain to one brand at once."""

    brand: str
    start: datetime
    end: datetime


@dataclass(slots=True)
class Script:
    """All that happens. `plans` are those who speak to a brand; others only speak of it."""

    start: datetime
    seconds: float
    promises: Promises
    plans: list[Plan] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    bursts: list[Burst] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


# How often each happens in an hour of the world's time.
_FATES = {Fate.QUICK: 12, Fate.WARNED: 10, Fate.LATE: 5, Fate.NEVER: 5, Fate.WITHDRAWN: 4}
_WAYS = {
    Way.X_MENTION: 22,
    Way.X_UNDER_POST: 5,
    Way.X_DM: 5,
    Way.REDDIT_MENTION: 8,
    Way.REDDIT_SUBMISSION: 4,
    Way.REDDIT_DM: 3,
}
_KINDS = {"complaint": 6, "question": 3, "praise": 1}
_TEMPLATES = {
    "complaint": texts.COMPLAINTS,
    "question": texts.QUESTIONS,
    "praise": texts.PRAISE,
    "joke": texts.JOKES,
}
_PUBLIC_ONLY = {Fate.WITHDRAWN}
_CHATTER_PER_HOUR = 14
_BOT_SHARE = 0.16
_SECOND_PART_SHARE = 0.12
_THANKS_SHARE = 0.35
_MORE_SHARE = 0.2
_FOLLOW_UP_SHARE = 0.25
_FOLLOW_UP_FATES = {Fate.QUICK: 6, Fate.LATE: 3, Fate.NEVER: 2}
_THIRD_QUESTION_SHARE = 0.25
_FOLLOW_UPS_MAX = 2
_EDIT_EVERY = 11


def add_brand(world: World) -> dict[tuple[Platform, str], Person]:
    """The brands' own accounts. They exist before anybody writes."""
    made = {}
    for number, handle in enumerate(X_HANDLES):
        made[Platform.X, handle] = world.add_person(
            Person(Platform.X, str(9000 + number), handle, handle.title(), 50_000, BRAND)
        )
    made[Platform.REDDIT, REDDIT_HANDLE] = world.add_person(
        Person(Platform.REDDIT, "acmesup", REDDIT_HANDLE, "Acme Support", 0, BRAND)
    )
    made[Platform.X, OTHER_HANDLE] = world.add_person(
        Person(Platform.X, str(9000 + len(X_HANDLES)), OTHER_HANDLE, "Globex Care", 80_000, OTHER_BRAND)
    )
    return made


class Writer:
    """Writes one script."""

    def __init__(
        self, world: World, chance: random.Random, start: datetime, seconds: float, promises: Promises
    ) -> None:
        self.world = world
        self.chance = chance
        self.script = Script(start, seconds, promises)
        self._brand = add_brand(world)
        self._people = 0
        self._editable = 0
        self._threads: dict[Platform, list[Writing]] = {p: [] for p in Platform}

    # The past, which is quiet.

    def write_past(self) -> None:
        """Years and days of history: threads that the brand began, complaints answered and not."""
        start, chance = self.script.start, self.chance
        for days in (900, 30, 2):
            self._brand_thread(Platform.X, start - timedelta(days=days))
        self._brand_thread(Platform.X, start - timedelta(hours=3))
        for days in (900, 90, 1):
            self._somebodys_thread(start - timedelta(days=days, hours=1))
        for number in range(10):
            way = chance.choice([Way.X_MENTION, Way.X_MENTION, Way.REDDIT_MENTION, Way.X_DM])
            age = timedelta(days=chance.uniform(0.2, 6.0) if number else 800)
            fate = Fate.NEVER if number % 2 else Fate.LATE
            plan = self.begin(way, fate, start - age, historic=True)
            self.finish(plan)

    def _brand_thread(self, platform: Platform, at: datetime) -> None:
        author = self._brand[platform, X_HANDLES[0]]
        text = self._fill(self.chance.choice(texts.BRAND_POSTS), "")
        self._threads[platform].append(self._write(platform, Form.POST, author, text, at))

    def _somebodys_thread(self, at: datetime) -> None:
        text = self._fill(self.chance.choice(texts.CHATTER), "")
        self._threads[Platform.REDDIT].append(
            self._write(
                Platform.REDDIT, Form.POST, self._person(Platform.REDDIT), text, at, community="appliances"
            )
        )

    # The day itself.

    def write_future(self) -> None:
        """Everybody who speaks to the brand, spread evenly, as far as their fate is settled by the end."""
        hours = self.script.seconds / 3600
        fates = [f for f, n in _FATES.items() for _ in range(max(1, round(n * hours)))]
        self.chance.shuffle(fates)
        ways = [w for w, n in _WAYS.items() for _ in range(n)]
        for number, fate in enumerate(fates):
            way = self.chance.choice([w for w in ways if not (w.private and fate in _PUBLIC_ONLY)])
            room = self._room(way, fate)
            if room <= 0:
                continue
            place = (number + self.chance.uniform(0.05, 0.95)) / len(fates)
            plan = self.begin(way, fate, self.script.start + timedelta(seconds=5 + room * place))
            self.finish(plan)

    def _room(self, way: Way, fate: Fate) -> float:
        """How late somebody with that fate may begin, in seconds from the start."""
        promise = self.promise_of(way)
        needed = promise.first * WARNINGS[0] if fate is Fate.QUICK else promise.first
        return self.room(promise, needed)

    def room(self, promise: Promise, needed: float) -> float:
        """The latest beginning, in seconds from the start, of a wait that so settles before the end."""
        latest = self.script.end - timedelta(seconds=SETTLED_BEFORE_END + 10)
        room = (latest - self.script.start).total_seconds() - needed
        while room > 0 and promise.after(self._at(room), needed) > latest:
            room -= 30.0
        return room

    def _at(self, seconds: float) -> datetime:
        return self.script.start + timedelta(seconds=seconds)

    def write_chatter(self) -> None:
        """Those who only speak of the brand, and those who sell something."""
        count = round(_CHATTER_PER_HOUR * self.script.seconds / 3600)
        for number in range(count):
            platform = self.chance.choice([Platform.X, Platform.X, Platform.REDDIT])
            text = self._fill(self.chance.choice(texts.SPAM if number % 4 == 0 else texts.CHATTER), "")
            at = self.script.start + timedelta(seconds=self.chance.uniform(0, self.script.seconds - 60))
            community = "cartoons" if platform is Platform.REDDIT else None
            self._write(platform, Form.POST, self._person(platform), text, at, community=community)

    # One story.

    def promise_of(self, way: Way) -> Promise:
        """What the first brand promises to those who speak to it so."""
        promises = self.script.promises
        if way.private:
            return promises.dm
        return promises.public if way.platform is Platform.X else promises.forum

    def begin(
        self, way: Way, fate: Fate, at: datetime, *, historic: bool = False, kind: str | None = None
    ) -> Plan:
        """The customer's first words to the first brand. `kind` None: drawn."""
        customer = self._person(way.platform)
        kind = kind or self.chance.choices(list(_KINDS), list(_KINDS.values()))[0]
        templates = _TEMPLATES[kind]
        text = self._fill(self.chance.choice(templates), self._address(way))
        first = self._speak(way, customer, text, at)
        return Plan(way, fate, kind, customer, first, self.promise_of(way), historic=historic)

    def begin_elsewhere(self, fate: Fate, at: datetime) -> Plan:
        """The same to the other brand, in public, on X."""
        customer = self._person(Platform.X)
        text = self._fill(self.chance.choice(texts.OUTAGE), f"@{OTHER_HANDLE}")
        first = self._speak(Way.X_MENTION, customer, text, at)
        promise = self.script.promises.outage
        return Plan(Way.X_MENTION, fate, "complaint", customer, first, promise, OTHER_BRAND)

    def _address(self, way: Way) -> str:
        if way.private:
            return ""
        if way.platform is Platform.REDDIT:
            return f"u/{REDDIT_HANDLE}"
        return f"@{self.chance.choice(X_HANDLES)}"

    def _speak(self, way: Way, customer: Person, text: str, at: datetime) -> Writing:
        match way:
            case Way.X_MENTION:
                return self._write(Platform.X, Form.POST, customer, text, at)
            case Way.X_UNDER_POST:
                post = self.chance.choice([t for t in self._threads[Platform.X] if t.created_at < at])
                return self._write(Platform.X, Form.POST, customer, text, at, parent=post)
            case Way.X_DM:
                to = self._brand[Platform.X, self.chance.choice(X_HANDLES)]
                return self._write(Platform.X, Form.DM, customer, text, at, recipient=to)
            case Way.REDDIT_MENTION:
                post = self.chance.choice([t for t in self._threads[Platform.REDDIT] if t.created_at < at])
                return self._write(
                    Platform.REDDIT, Form.COMMENT, customer, text, at, parent=post, community=post.community
                )
            case Way.REDDIT_SUBMISSION:
                return self._write(
                    Platform.REDDIT,
                    Form.POST,
                    customer,
                    text,
                    at,
                    community=SUBREDDIT,
                    title="A word to Acme",
                )
            case Way.REDDIT_DM:
                to = self._brand[Platform.REDDIT, REDDIT_HANDLE]
                return self._write(Platform.REDDIT, Form.DM, customer, text, at, recipient=to, title="Help")

    def finish(self, plan: Plan) -> None:
        """Everything that follows the first words, as the fate wants it."""
        self.script.plans.append(plan)
        chance, first = self.chance, plan.first
        if chance.random() < _BOT_SHARE and plan.way in (Way.X_MENTION, Way.X_DM):
            self._bot_answers(plan)
        if chance.random() < _MORE_SHARE and plan.fate is not Fate.WITHDRAWN:
            text = self._fill(chance.choice(texts.MORE), self._address(plan.way))
            self._reply(plan, plan.customer, text, self._moment(first, chance.uniform(6, 35)), first)
        if plan.fate is Fate.WITHDRAWN:
            delay = self._withdrawal_delay(plan.promise.first)
            plan.withdrawn_at = self._moment(first, delay)
            first.deleted_at = plan.withdrawn_at
            return
        self._editable += not plan.way.private
        if self._editable % _EDIT_EVERY == 0 and not plan.way.private:
            at = self._moment(first, chance.uniform(8, 30))
            self.world.edit(first, at, first.text + " (edited: a typo)")
        if plan.fate is Fate.NEVER:
            return
        delay = self.answer_delay(plan.fate, plan.promise.first)
        answer = self.answer(plan, plan.promise.after(first.created_at, delay))
        self._go_on(plan, answer)

    def _bot_answers(self, plan: Plan) -> None:
        at = self._moment(plan.first, self.chance.uniform(1.0, 3.0))
        text = self.chance.choice(texts.BOT_ANSWERS)
        brand = plan.first.recipient or self._brand[Platform.X, X_HANDLES[0]]
        self._reply(plan, brand, text, at, plan.first, client="AcmeBot", lag=0.0)
        plan.first_any_reply_at = at

    def answer(self, plan: Plan, at: datetime) -> Writing:
        """The first answer by a person."""
        agent = self._agent(plan)
        answer = self._reply(plan, agent, self._signed(texts.ANSWERS), at, plan.first)
        plan.answered_at, plan.answered_by = answer.created_at, agent.handle
        plan.first_any_reply_at = plan.first_any_reply_at or answer.created_at
        return answer

    def thank(self, plan: Plan, answer: Writing) -> None:
        """The customer says thanks, which asks for nothing."""
        later = self._moment(answer, self.chance.uniform(20, 200))
        self._reply(plan, plan.customer, self.chance.choice(texts.THANKS), later, answer)

    def _go_on(self, plan: Plan, answer: Writing) -> None:
        """What comes after the first answer: the rest of it, thanks, or further questions."""
        chance, after = self.chance, answer
        if chance.random() < _SECOND_PART_SHARE and not plan.way.private:
            later = self._moment(answer, chance.uniform(8, 40))
            text = chance.choice(texts.SECOND_PARTS)
            after = self._reply(plan, answer.author, text, later, answer)
        draw = chance.random()
        if draw < _THANKS_SHARE:
            self.thank(plan, after)
        elif draw < _THANKS_SHARE + _FOLLOW_UP_SHARE and not plan.historic:
            self._ask_again(plan, after)

    def _ask_again(self, plan: Plan, answer: Writing) -> None:
        """Further questions; how they fare is drawn as far as it is settled by the end."""
        chance = self.chance
        for _ in range(_FOLLOW_UPS_MAX):
            at = self._moment(answer, chance.uniform(20, 100))
            since = (at - self.script.start).total_seconds()
            fate = chance.choices(list(_FOLLOW_UP_FATES), list(_FOLLOW_UP_FATES.values()))[0]
            if since > self.room(plan.promise, plan.promise.again):
                fate = Fate.QUICK
            if since > self.room(plan.promise, plan.promise.again * WARNINGS[0]):
                return
            asked = self._reply(
                plan, plan.customer, self._fill(chance.choice(texts.FOLLOW_UPS), ""), at, answer
            )
            if fate is Fate.NEVER:
                plan.again.append(Again(asked, None, None))
                return
            agent = self._agent(plan)
            moment = plan.promise.after(asked.created_at, self.answer_delay(fate, plan.promise.again))
            answer = self._reply(plan, agent, self._signed(texts.ANSWERS), moment, asked)
            plan.again.append(Again(asked, answer.created_at, agent.handle))
            if chance.random() >= _THIRD_QUESTION_SHARE:
                return

    def _agent(self, plan: Plan) -> Person:
        """Who answers: on X often the second account, on whatever account the customer wrote to."""
        if plan.brand == OTHER_BRAND:
            return self._brand[Platform.X, OTHER_HANDLE]
        if plan.first.recipient is not None:
            return plan.first.recipient
        if plan.way.platform is Platform.REDDIT:
            return self._brand[Platform.REDDIT, REDDIT_HANDLE]
        return self._brand[Platform.X, self.chance.choice(X_HANDLES)]

    def _reply(
        self,
        plan: Plan,
        author: Person,
        text: str,
        at: datetime,
        parent: Writing,
        *,
        client: str = "Web App",
        lag: float | None = None,
    ) -> Writing:
        form = Form.POST if parent.platform is Platform.X else Form.COMMENT
        if parent.form is Form.DM:
            form = Form.DM
        recipient = None
        if form is Form.DM:
            recipient = parent.author if author is not parent.author else parent.recipient
        if lag is None:
            lag = self.chance.uniform(0, 1.5) if author.brand else self.chance.uniform(0, 4)
        return self._write(
            parent.platform, form, author, text, at, parent=parent, recipient=recipient,
            community=plan.first.community, client=client, lag=lag,
        )  # fmt: skip

    def answer_delay(self, fate: Fate, target: float) -> float:
        """Seconds (of those that count) from the question to the answer, clear of every decision."""
        warning, second = (target * share for share in WARNINGS)
        match fate:
            case Fate.QUICK:
                return self.chance.uniform(ANSWERED_SOONEST, warning - CLEAR_OF_DECISIONS)
            case Fate.WARNED:
                spans = [(warning, second), (second, target)]
                low, high = self.chance.choice(spans)
                return self.chance.uniform(low + CLEAR_OF_DECISIONS, high - CLEAR_OF_DECISIONS)
            case _:
                return target + self.chance.uniform(*self.chance.choice(LATE_BY))

    def _withdrawal_delay(self, target: float) -> float:
        warning = target * WARNINGS[0]
        return self.chance.uniform(WITHDRAWN_SOONEST, warning - CLEAR_OF_LOOK_UPS)

    # Words and writings.

    def _moment(self, first: Writing, delay: float) -> datetime:
        return first.created_at + timedelta(seconds=delay)

    def _signed(self, choices: Sequence[str]) -> str:
        return f"{self.chance.choice(choices)} ^{self.chance.choice('ABCDEF')}"

    def _fill(self, template: str, us: str) -> str:
        text = template.format(
            us=us,
            n=self.chance.randint(100_000, 999_999),
            thing=self.chance.choice(texts.THINGS),
            day=self.chance.choice(texts.DAYS),
            town=self.chance.choice(texts.TOWNS),
            minutes=self.chance.randint(10, 90),
        )
        return text.strip()

    def _person(self, platform: Platform) -> Person:
        self._people += 1
        first, last = self.chance.choice(texts.FIRST_NAMES), self.chance.choice(texts.LAST_NAMES)
        handle = f"{first}_{last}{self._people}"[:15]
        followers = int(10 ** self.chance.uniform(0.5, 5)) if platform is Platform.X else 0
        number = str(100_000 + self._people)
        id = number if platform is Platform.X else f"u{number}"
        return self.world.add_person(Person(platform, id, handle, f"{first} {last}".title(), followers))

    def _write(
        self,
        platform: Platform,
        form: Form,
        author: Person,
        text: str,
        at: datetime,
        *,
        parent: Writing | None = None,
        recipient: Person | None = None,
        community: str | None = None,
        title: str | None = None,
        client: str = "Web App",
        lag: float | None = None,
    ) -> Writing:
        """One writing, its time as exact as its platform tells it: milliseconds on X, seconds on Reddit."""
        at = at.replace(microsecond=0 if platform is Platform.REDDIT else at.microsecond // 1000 * 1000)
        id = self.world.new_id(platform, at)
        if lag is None:
            lag = self.chance.uniform(0, 4)
        if platform is Platform.X and parent is not None and form is Form.POST and author.brand:
            text = f"@{parent.author.handle} {text}"
        mentions = tuple(
            dict.fromkeys(w.strip(".,:;!?").lstrip("@").lower() for w in text.split() if w.startswith("@"))
        )
        if platform is Platform.X and parent is not None and form is Form.POST:
            mentions = tuple(dict.fromkeys((*mentions, parent.author.handle)))
        return self.world.write(
            Writing(
                platform=platform,
                id=id,
                form=form,
                author=author,
                text=text,
                created_at=at,
                root=parent.root if parent is not None else id,
                parent=parent.id if parent is not None else None,
                recipient=recipient,
                title=(title or (text[:60] if platform is Platform.REDDIT and form is Form.POST else None)),
                community=community,
                client=client,
                mentions=mentions,
                likes=self.chance.randint(0, 40),
                reposts=self.chance.randint(0, 9),
                views=self.chance.randint(20, 20_000),
                visible_at=at + timedelta(seconds=lag),
            )
        )
