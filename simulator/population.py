"""Who writes what when: a seeded day of customers and agents, written into the world in advance.

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
from simulator.world import Form, Person, Platform, World, Writing

BRAND = "acme"
X_HANDLES = ("acme", "acmehelp")
REDDIT_HANDLE = "acme_support"
SUBREDDIT = "acme"
WARNINGS = (0.5, 0.8)
CLEAR_OF_DECISIONS = 25.0
CLEAR_OF_LOOK_UPS = 75.0
SETTLED_BEFORE_END = 180.0


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


@dataclass(slots=True)
class Plan:
    """One customer's story, as it was meant: the ground truth is read off it."""

    way: Way
    fate: Fate
    kind: str
    customer: Person
    first: Writing
    target_seconds: float
    historic: bool = False
    answered_at: datetime | None = None
    answered_by: str | None = None
    first_any_reply_at: datetime | None = None
    withdrawn_at: datetime | None = None


@dataclass(slots=True)
class Script:
    """All that happens. `plans` are those who speak to the brand; others only speak of it."""

    start: datetime
    seconds: float
    plans: list[Plan] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds)


# How often each happens in an hour of the world's time.
_FATES = {Fate.QUICK: 16, Fate.WARNED: 13, Fate.LATE: 6, Fate.NEVER: 8, Fate.WITHDRAWN: 4}
_WAYS = {
    Way.X_MENTION: 22,
    Way.X_UNDER_POST: 5,
    Way.X_DM: 5,
    Way.REDDIT_MENTION: 8,
    Way.REDDIT_SUBMISSION: 4,
    Way.REDDIT_DM: 3,
}
_KINDS = {"complaint": 6, "question": 3, "praise": 1}
_PUBLIC_ONLY = {Fate.WITHDRAWN}
_CHATTER_PER_HOUR = 14
_BOT_SHARE = 0.16
_SECOND_PART_SHARE = 0.12
_THANKS_SHARE = 0.35
_MORE_SHARE = 0.2
_FOLLOW_UP_SHARE = 0.1
_EDIT_EVERY = 11


def add_brand(world: World) -> dict[tuple[Platform, str], Person]:
    """The brand's own accounts. They exist before anybody writes."""
    made = {}
    for number, handle in enumerate(X_HANDLES):
        made[Platform.X, handle] = world.add_person(
            Person(Platform.X, str(9000 + number), handle, handle.title(), 50_000, BRAND)
        )
    made[Platform.REDDIT, REDDIT_HANDLE] = world.add_person(
        Person(Platform.REDDIT, "acmesup", REDDIT_HANDLE, "Acme Support", 0, BRAND)
    )
    return made


def make_script(
    world: World,
    *,
    seed: int,
    start: datetime,
    seconds: float,
    target_seconds_public: float = 900.0,
    target_seconds_dm: float = 1200.0,
) -> Script:
    """Write `seconds` of the world's time from `start` on, and some past before it."""
    writer = _Writer(world, random.Random(seed), start, seconds, target_seconds_public, target_seconds_dm)
    writer.write_past()
    writer.write_future()
    writer.write_chatter()
    return writer.script


class _Writer:
    """Writes one script."""

    def __init__(
        self, world: World, chance: random.Random, start: datetime, seconds: float, public: float, dm: float
    ) -> None:
        self.world = world
        self.chance = chance
        self.script = Script(start, seconds)
        self._targets = {False: public, True: dm}
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
            plan = self._plan(way, fate, start - age, historic=True)
            self._finish(plan)

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
            plan = self._plan(way, fate, self.script.start + timedelta(seconds=5 + room * place))
            self._finish(plan)
        self._make_sure_of_minima()

    def _room(self, way: Way, fate: Fate) -> float:
        """How late somebody with that fate may begin, in seconds from the start."""
        target = self._targets[way.private]
        needed = target * 0.5 if fate is Fate.QUICK else target
        return self.script.seconds - needed - SETTLED_BEFORE_END - 10

    def _make_sure_of_minima(self) -> None:
        """A day of a demo's length has some of everything, whatever the seed."""
        if self.script.seconds < 3000:
            return
        wanted = ((Way.X_DM, Fate.WARNED), (Way.X_DM, Fate.NEVER), (Way.REDDIT_DM, Fate.LATE))
        for way, fate in wanted:
            at = self.script.start + timedelta(seconds=self.chance.uniform(10, self._room(way, fate)))
            self._finish(self._plan(way, fate, at))

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

    def _plan(self, way: Way, fate: Fate, at: datetime, *, historic: bool = False) -> Plan:
        """The customer's first words."""
        customer = self._person(way.platform)
        kind = self.chance.choices(list(_KINDS), list(_KINDS.values()))[0]
        templates = {"complaint": texts.COMPLAINTS, "question": texts.QUESTIONS, "praise": texts.PRAISE}[kind]
        text = self._fill(self.chance.choice(templates), self._address(way))
        first = self._speak(way, customer, text, at)
        return Plan(way, fate, kind, customer, first, self._targets[way.private], historic)

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

    def _finish(self, plan: Plan) -> None:
        """Everything that follows the first words, as the fate wants it."""
        self.script.plans.append(plan)
        chance, first = self.chance, plan.first
        if chance.random() < _BOT_SHARE and plan.way in (Way.X_MENTION, Way.X_DM):
            self._bot_answers(plan)
        if chance.random() < _MORE_SHARE and plan.fate is not Fate.WITHDRAWN:
            text = self._fill(chance.choice(texts.MORE), self._address(plan.way))
            self._reply(
                plan, plan.customer, text, first.created_at + timedelta(seconds=chance.uniform(6, 35)), first
            )
        if plan.fate is Fate.WITHDRAWN:
            plan.withdrawn_at = self._moment(first, self._withdrawal_delay(plan.target_seconds))
            first.deleted_at = plan.withdrawn_at
            return
        self._editable += not plan.way.private
        if self._editable % _EDIT_EVERY == 0 and not plan.way.private:
            at = self._moment(first, chance.uniform(8, 30))
            self.world.edit(first, at, first.text + " (edited: a typo)")
        if plan.fate is Fate.NEVER:
            return
        self._answer(plan)

    def _bot_answers(self, plan: Plan) -> None:
        at = self._moment(plan.first, self.chance.uniform(1.0, 3.0))
        text = self.chance.choice(texts.BOT_ANSWERS)
        brand = plan.first.recipient or self._brand[Platform.X, X_HANDLES[0]]
        self._reply(plan, brand, text, at, plan.first, client="AcmeBot", lag=0.0)
        plan.first_any_reply_at = at

    def _answer(self, plan: Plan) -> None:
        chance = self.chance
        at = self._moment(plan.first, self._answer_delay(plan.fate, plan.target_seconds))
        agent = self._agent(plan)
        answer = self._reply(plan, agent, self._signed(texts.ANSWERS), at, plan.first)
        plan.answered_at, plan.answered_by = answer.created_at, agent.handle
        plan.first_any_reply_at = plan.first_any_reply_at or answer.created_at
        after = answer
        if chance.random() < _SECOND_PART_SHARE and not plan.way.private:
            later = answer.created_at + timedelta(seconds=chance.uniform(8, 40))
            after = self._reply(plan, agent, chance.choice(texts.SECOND_PARTS), later, answer)
        draw = chance.random()
        if draw < _THANKS_SHARE:
            later = after.created_at + timedelta(seconds=chance.uniform(20, 200))
            self._reply(plan, plan.customer, chance.choice(texts.THANKS), later, after)
        elif draw < _THANKS_SHARE + _FOLLOW_UP_SHARE:
            later = after.created_at + timedelta(seconds=chance.uniform(20, 100))
            question = self._fill(chance.choice(texts.FOLLOW_UPS), "")
            asked = self._reply(plan, plan.customer, question, later, after)
            self._reply(
                plan,
                agent,
                self._signed(texts.ANSWERS),
                later + timedelta(seconds=chance.uniform(20, 120)),
                asked,
            )

    def _agent(self, plan: Plan) -> Person:
        """Who answers: on X often the second account, on whatever account the customer wrote to."""
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

    def _answer_delay(self, fate: Fate, target: float) -> float:
        """Seconds from the question to the answer, clear of every moment of decision."""
        warning, second = (target * share for share in WARNINGS)
        match fate:
            case Fate.QUICK:
                return self.chance.uniform(20, warning - CLEAR_OF_DECISIONS)
            case Fate.WARNED:
                spans = [(warning, second), (second, target)]
                low, high = self.chance.choice(spans)
                return self.chance.uniform(low + CLEAR_OF_DECISIONS, high - CLEAR_OF_DECISIONS)
            case _:
                return self.chance.uniform(target + 150, target + 500)

    def _withdrawal_delay(self, target: float) -> float:
        warning = target * WARNINGS[0]
        return self.chance.uniform(30, warning - CLEAR_OF_LOOK_UPS)

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
