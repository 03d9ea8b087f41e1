"""The policy in force: the config's promises and meanings, made ready for the pure core.

Built anew at start and at each reload; everything in it is frozen, so that a reload swaps one for another.
What the fold goes by is always read back from its stored form: the policies that held before stand beside
today's, and the same facts give the same cases for ever.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from alerts.contract import Channel, Personal
from monitor.config import BrandConfig, Config, EscalationConfig, Show
from monitor.matching import ALWAYS
from monitor.who import ON_CALL
from rules.alert import Addressee, Reach, Stage
from rules.case import Case, Clock, ClockName
from rules.decisions import Manner
from rules.escalation import Step
from rules.hours import Calendar, calendar_from_mapping
from rules.meaning.contract import Priority, Verdict
from rules.meaning.judge import Judge, make_judge
from rules.meaning.pack import Pack
from rules.meaning.patterns import pattern_from_mapping
from rules.meaning.policy import MeaningPolicy
from rules.meaning.relevance import addresses_brand
from rules.meaning.sentiment import Sentiment, vader
from rules.message import Kind, Message
from rules.people import Automation, make_automation
from rules.policies import FoldPolicy, Policies
from rules.privacy import EVERYTHING, Private
from rules.routes import Answer, News, Route, find_own, find_routes, news_of
from rules.routes import Row as RouteRow
from rules.storms import SpikePolicy, StormPolicy
from rules.targets import Target
from rules.team import Person

RESPONSE_BUCKETS = (30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""Histogram edges in seconds, 30 s to 24 h; every target joins them as an exact edge."""

BLIND_AFTER_SECONDS_DEFAULT = 900.0
QUICK_SECONDS_DEFAULT = 5.0
FALLBACK_AFTER_SECONDS_DEFAULT = 600.0


@dataclass(frozen=True, slots=True)
class BrandPolicy:
    """What one brand's messages mean, and who of its own is a machine. `title` is what people call it."""

    name: str
    title: str
    meaning: MeaningPolicy
    judge_of_it: Judge
    automation: Automation
    fold: Policies

    def judge(self, message: Message, parent_is_ours: bool) -> tuple[Verdict, bool]:
        """The verdict on a customer's message, and whether it addresses the brand.

        An answer to one of our posts addresses us even where it does not repeat our handle: the judge is
        told so by having it named.
        """
        addressed = addresses_brand(message, self.meaning, parent_is_ours)
        if parent_is_ours and self.meaning.handles and not self.meaning.handles & set(message.handles):
            message = replace(message, handles=(*message.handles, min(self.meaning.handles)))
        return self.judge_of_it.judge(message), addressed


@dataclass(frozen=True, slots=True)
class Policy:
    """All that the steps go by. `shadow`: everything but the sending. `blind_after_seconds`: how long an
    account may be blind before people are told; None: half of the tightest target that its cases can have.
    `steps` are those of escalations; `hours` the calendar outside of which a channel is quiet, by its name;
    `storm` and `spike` are None where they are not watched for. `stored`: its JSON, as kept among the facts.
    `mask` is what is masked of customers' words on the channels whose `shows` says so (none: all do).
    `look_ups`: the (brand, connector) whose platform can be asked whether a public message still stands.
    `sees_all`: what the store holds is all that there is (a replay), so that no claim waits for a look.
    `routes` are the channels, `rows` the [[routes]] that choose among them (none: each goes by its own keys);
    `fallback` names the channels that are told what nobody else could be for `fallback_after_seconds`.
    `shifts` are the hours of the `people` by their names (None: always); `on_call` the channels that call
    who is on. `reaches` tells of each person by name how channels reach them by name; `people_over` the
    channel for those whom no channel of a case's routes reaches."""

    brands: Mapping[str, BrandPolicy]
    routes: tuple[Route, ...]
    shadow: bool
    show_dm_text: bool
    blind_after_seconds: float | None
    credentials_warning: timedelta
    response_buckets: tuple[float, ...]
    stored: str
    look_ups: frozenset[tuple[str, str]] = frozenset()
    sees_all: bool = False
    steps: tuple[Step, ...] = ()
    hours: Mapping[str, Calendar] = field(default_factory=dict)
    storm: StormPolicy | None = None
    spike: SpikePolicy | None = None
    rows: tuple[RouteRow, ...] = ()
    fallback: tuple[str, ...] = ()
    fallback_after_seconds: float = FALLBACK_AFTER_SECONDS_DEFAULT
    people: tuple[Person, ...] = ()
    shifts: Mapping[str, Calendar | None] = field(default_factory=dict)
    on_call: frozenset[str] = frozenset()
    mask: frozenset[Private] = EVERYTHING
    shows: Mapping[str, Show] = field(default_factory=dict)
    reaches: Mapping[str, Mapping[str, Reach]] = field(default_factory=dict)
    people_over: str | None = None

    @property
    def has_fallback(self) -> bool:
        """Whether anybody is told where those who were to be told could not be."""
        return bool(self.fallback) or any(row.fallback for row in self.rows)

    def find_routes(self, news: News) -> Answer:
        """Whom to tell of it, and why."""
        return find_routes(self.routes, self.rows, news, self.fallback)

    @property
    def manner(self) -> Manner:
        """How the house tells, for `rules.decisions`."""
        return Manner(self.steps, self._calendar, self.people)

    def own_route(
        self, case: Case, clock: Clock | None, name: str, earlier: Sequence[Route] = (), *, late: bool
    ) -> Route | None:
        """Over which channel the person of that name is told that a case is theirs, or that it is `late`, by
        whom its breach is for; where it was told `earlier`, rather there. None: over none."""
        heard = [h.route for h in self.find_routes(news_of(case, Stage.BREACH, clock)).heard]
        return find_own(
            self.routes,
            [*earlier, *heard],
            self.reaches.get(name, {}),
            self.people_over,
            case.place.brand,
            late=late,
        )

    def _calendar(self, case: Case, name: str | None) -> Calendar | None:
        return self.brand(case.place.brand).fold.calendar(name, case.opened_at)

    def blind_after(self, brand: str, connector: str, account: str) -> float:
        """How long this account may be blind before people are told: half of the tightest promise that a
        case there can have, or as the config says."""
        if self.blind_after_seconds is not None:
            return self.blind_after_seconds
        mine = [
            seconds
            for target in self.brand(brand).fold.latest.targets
            if target.brand in (None, brand)
            and target.connector in (None, connector)
            and target.account in (None, account)
            for seconds in (target.first_response_seconds, target.next_response_seconds)
            if seconds is not None
        ]
        return min(mine, default=2 * BLIND_AFTER_SECONDS_DEFAULT) / 2

    def remembering(self, held: Sequence[tuple[datetime, str]]) -> Policy:
        """The same with the policies that held, oldest first, as the store keeps them: the last of them is
        the one in force. None are kept yet: this one always held."""
        if not held:
            return self
        bodies = [(at, json.loads(body)) for at, body in held]
        brands = {name: replace(b, fold=_policies(bodies, name)) for name, b in self.brands.items()}
        return replace(self, brands=brands)

    def with_look_ups(self, look_ups: frozenset[tuple[str, str]]) -> Policy:
        """The same, with the platforms that can be asked."""
        return replace(self, look_ups=look_ups)

    def as_seen_by_replay(self) -> Policy:
        """The same for a replay: nothing is sent, and no platform can be asked."""
        return replace(self, shadow=True, look_ups=frozenset(), sees_all=True, hours={})

    def brand(self, name: str) -> BrandPolicy:
        """The policy of that brand; of one that is not configured (imported, or dropped since) a plain one,
        without keywords."""
        found = self.brands.get(name)
        if found is not None:
            return found
        any_brand = next(iter(self.brands.values()))
        return replace(any_brand, name=name, title=name)


def make_policy(
    config: Config,
    packs: Sequence[Mapping[str, Any]],
    recipients: Mapping[str, str],
    stored: str,
    updating: Collection[str] = (),
    reaches: Mapping[str, Mapping[str, Reach]] | None = None,
) -> Policy:
    """Make it from a config that has been checked. `packs` are the parsed word packs; `recipients` the
    recipient of each channel by its name, `updating` the channels that can change what they sent; `reaches`
    as `find_reaches` finds them. Raises ValueError naming what is wrong."""
    parsed = [Pack.from_mapping(pack) for pack in packs]
    sentiment = vader()
    body = json.loads(stored)
    seconds = {s for t in fold_policy(body, "").targets for s in _promises(t)}
    blind_after = config.alerts.blind_after
    return Policy(
        brands={
            name: _brand(name, brand, config, parsed, sentiment, Policies.of(fold_policy(body, name)))
            for name, brand in config.brands.items()
        },
        routes=make_routes(config, recipients, updating),
        shadow=config.alerts.mode == "shadow",
        show_dm_text=config.alerts.show_dm_text,
        blind_after_seconds=None if blind_after is None else blind_after.total_seconds(),
        credentials_warning=config.alerts.credentials_warning,
        response_buckets=tuple(sorted({*RESPONSE_BUCKETS, *seconds})),
        stored=stored,
        steps=tuple(_step(step) for step in config.escalations),
        hours={n: config.calendars[c.hours] for n, c in config.channels.items() if c.hours != ALWAYS},
        storm=StormPolicy(
            cases=config.storms.cases,
            within_seconds=config.storms.within.total_seconds(),
            over_after_seconds=config.storms.over_after.total_seconds(),
            update_seconds=config.storms.update_every.total_seconds(),
        )
        if config.storms.enabled
        else None,
        spike=SpikePolicy(
            window_seconds=config.spikes.window.total_seconds(),
            at_least=config.spikes.at_least,
            times=config.spikes.times,
        )
        if config.spikes.enabled
        else None,
        rows=tuple(route.row for route in config.routes),
        fallback=tuple(config.alerts.fallback),
        fallback_after_seconds=config.alerts.fallback_after.total_seconds(),
        people=tuple(person.person for person in config.people),
        shifts={ALWAYS: None, **config.calendars},
        on_call=frozenset(
            n for n, c in config.channels.items() if getattr(c.settings, "mention", None) == ON_CALL
        ),
        mask=frozenset(config.privacy.mask),
        shows={name: channel.show for name, channel in config.channels.items()},
        reaches=reaches or {},
        people_over=config.alerts.people_over,
    )


def find_reaches(people: Sequence[Person], channels: Mapping[str, Channel]) -> dict[str, dict[str, Reach]]:
    """How each person can be told by name: by their name, over which channels."""
    found: dict[str, dict[str, Reach]] = {}
    for person in people:
        who = Addressee(person.name, person.slack, person.email)
        for name, channel in channels.items():
            reach = channel.reach(who) if isinstance(channel, Personal) else None
            if reach is not None:
                found.setdefault(person.name, {})[name] = reach
    return found


def make_routes(
    config: Config, recipients: Mapping[str, str], updating: Collection[str] = ()
) -> tuple[Route, ...]:
    """The channels that have a recipient, with what each wants to hear, in the order of the config."""
    return tuple(
        Route(
            channel=name,
            recipient=recipients[name],
            stages=frozenset(Stage(s) for s in channel.stages),
            brands=None if channel.brands is None else frozenset(channel.brands),
            min_priority=Priority(channel.min_priority),
            updates=name in updating,
        )
        for name, channel in config.channels.items()
        if name in recipients
    )


def fold_policy(body: Mapping[str, Any], brand: str) -> FoldPolicy:
    """What the fold needs, out of a policy as it was stored; also one that was stored before a key was
    known, which promised nothing by it."""
    backlog = body.get("alerts", {}).get("backlog")
    quick = body.get("brands", {}).get(brand, {}).get("automated_within", QUICK_SECONDS_DEFAULT)
    calendars = body.get("calendars", {})
    return FoldPolicy(
        targets=tuple(make_target(row) for row in body.get("targets", ())),
        quick_seconds=quick,
        backlog_seconds=backlog,
        calendars={name: calendar_from_mapping(calendar) for name, calendar in calendars.items()},
    )


def _policies(bodies: Sequence[tuple[datetime, Mapping[str, Any]]], brand: str) -> Policies:
    """Those that differ in what the fold needs, each from when it held."""
    held: list[tuple[datetime, FoldPolicy]] = []
    for at, body in bodies:
        policy = fold_policy(body, brand)
        if not held or held[-1][1] != policy:
            held.append((at, policy))
    return Policies(tuple(at for at, _ in held), tuple(policy for _, policy in held))


def _promises(target: Target) -> list[float]:
    promised = (target.first_response_seconds, target.next_response_seconds, target.resolution_seconds)
    return [seconds for seconds in promised if seconds is not None]


def make_target(row: Mapping[str, Any]) -> Target:
    """A target out of its stored form."""

    def some(key: str) -> frozenset[Any] | None:
        return None if row.get(key) is None else frozenset(row[key])

    calendar = row.get("calendar", ALWAYS)
    priorities, languages = some("priority"), some("language")
    return Target(
        name=row["name"],
        first_response_seconds=row.get("first_response"),
        next_response_seconds=row.get("next_response"),
        resolution_seconds=row.get("resolution"),
        calendar=None if calendar == ALWAYS else calendar,
        pauses=row.get("resolution_pauses", True),
        warnings=tuple(row.get("warnings", ())),
        repeat_seconds=row.get("repeat"),
        repeat_max=row.get("repeat_max", 0),
        gap_seconds=row["gap"],
        needs_reply_only=row.get("needs_reply", "yes") == "yes",
        brand=row.get("brand"),
        connector=row.get("connector"),
        account=row.get("account"),
        public=row.get("public"),
        kind=None if row.get("kind") is None else Kind(row["kind"]),
        complaint=row.get("complaint"),
        addressed=row.get("addressed"),
        priorities=None if priorities is None else frozenset(map(Priority, priorities)),
        min_followers=row.get("min_followers"),
        languages=None if languages is None else frozenset(code.lower() for code in languages),
        topics=some("topic"),
        ratings=some("rating"),
    )


def _step(config: EscalationConfig) -> Step:
    return Step(
        name=config.name,
        channels=frozenset(config.channels),
        after=Stage(config.after),
        delay_seconds=config.delay.total_seconds(),
        repeat_seconds=None if config.repeat is None else config.repeat.total_seconds(),
        limit=config.limit,
        brands=None if config.brands is None else frozenset(config.brands),
        targets=None if config.targets is None else frozenset(config.targets),
        clocks=None if config.clocks is None else frozenset(map(ClockName, config.clocks)),
        min_priority=config.min_priority,
    )


def _brand(
    name: str,
    brand: BrandConfig,
    config: Config,
    packs: Sequence[Pack],
    sentiment: Sentiment,
    fold: Policies,
) -> BrandPolicy:
    handles = {a.handle for a in config.accounts() if a.brand == name}
    meaning = MeaningPolicy(
        keywords=tuple(brand.keywords),
        handles=frozenset(handles),
        exclusions=tuple(brand.exclusions),
        context=tuple(brand.context),
        complaint_threshold=config.rules.complaint_threshold,
        patterns=tuple(
            pattern_from_mapping(row, f"rules.patterns[{number}]")
            for number, row in enumerate(config.rules.patterns)
        ),
        followers_high=config.rules.followers_high,
        followers_urgent=config.rules.followers_urgent,
        reach_high=config.rules.reach_high,
        reach_urgent=config.rules.reach_urgent,
    )
    return BrandPolicy(
        name=name,
        title=brand.name or name,
        meaning=meaning,
        judge_of_it=make_judge(meaning, packs, sentiment),
        automation=make_automation(
            brand.automated_accounts,
            brand.automated_clients,
            brand.automated_patterns,
            brand.automated_within.total_seconds(),
        ),
        fold=fold,
    )
