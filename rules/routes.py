"""Who is told, over which channel, and why. Pure: what is to be said comes in, whom to tell goes out.

Routes decide on warnings, breaches, spikes and troubles. A storm is told to whoever would have been told of
its cases, what is over to whoever was told, and an escalation names its channels itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rules.alert import Reach, Stage
from rules.case import Case, Clock, ClockName
from rules.match import Match, Traits, any_of
from rules.meaning.contract import Priority
from rules.targets import PRIORITY_ORDER

ANY_CASE = Match()
"""No key at all: it is for every case."""


@dataclass(frozen=True, slots=True)
class Route:
    """One recipient on one channel, and what they want to hear. `brands` None: of all brands. `updates`: what
    was sent there can be changed later."""

    channel: str
    recipient: str
    stages: frozenset[Stage]
    brands: frozenset[str] | None = None
    min_priority: Priority = Priority.LOW
    updates: bool = False

    def mismatch(self, news: News) -> str | None:
        """Why this channel does not want to hear it, in words; None where it does. No channel's own stages
        name a storm: it takes the place of what they do name."""
        if news.stage is not Stage.STORM and news.stage not in self.stages:
            return f"it does not say {news.stage}"
        if self.brands is not None and news.brand not in self.brands:
            return f"brand is {news.brand or 'none'}, not {any_of(self.brands)}"
        if PRIORITY_ORDER[news.priority] < PRIORITY_ORDER[self.min_priority]:
            return f"priority is {news.priority}, below {self.min_priority}"
        return None


@dataclass(frozen=True, slots=True)
class News:
    """What is to be said, as far as routes ask. `traits`, `clock` and `target` are None where it is about no
    case; `connector` too, where it is about no platform."""

    stage: Stage
    brand: str
    connector: str | None = None
    priority: Priority = Priority.URGENT
    clock: ClockName | None = None
    target: str | None = None
    traits: Traits | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One [[routes]]: which news it is for, and the channels that are told. No channel: nobody is, on
    purpose.

    A key that is None matches everything. `goes_on`: those below are looked at too. `fallback` is told where
    none of its channels could be (None: it has none of its own).
    """

    name: str
    channels: tuple[str, ...]
    match: Match = ANY_CASE
    goes_on: bool = False
    fallback: tuple[str, ...] | None = None
    stages: frozenset[Stage] | None = None
    clocks: frozenset[ClockName] | None = None
    targets: frozenset[str] | None = None

    def mismatch(self, news: News) -> str | None:
        """Why it is not for that, in words; None where it is. What has no case (a spike, a trouble, a storm)
        is matched on brand, connector and stage, so a route that asks for more is not for it."""
        if news.stage is Stage.STORM and (self.stages is None or news.stage not in self.stages):
            return "a storm is told to those who would hear of its cases, and to a route that names it"
        if self.stages is not None and news.stage not in self.stages:
            return f"stage is {news.stage}, not {any_of(self.stages)}"
        if news.traits is None:
            return self._mismatch_without_case(news)
        if self.clocks is not None and news.clock not in self.clocks:
            return f"clock is {news.clock}, not {any_of(self.clocks)}"
        if self.targets is not None and news.target not in self.targets:
            return f"target is {news.target or 'none'}, not {any_of(self.targets)}"
        return self.match.mismatch(news.traits)

    @property
    def wants_case(self) -> bool:
        """Whether it asks for something that only a case has."""
        plain = replace(self.match, brand=None, connector=None)
        return plain != ANY_CASE or self.clocks is not None or self.targets is not None

    def _mismatch_without_case(self, news: News) -> str | None:
        if self.wants_case:
            return f"a {news.stage} has no case, and this asks for more than brand, connector and stage"
        for key in ("brand", "connector"):
            wanted, given = getattr(self.match, key), getattr(news, key)
            if wanted is not None and wanted != given:
                return f"{key} is {given or 'none'}, not {wanted}"
        return None


@dataclass(frozen=True, slots=True)
class Heard:
    """One who is to be told. `rows` names the routes by which they are; none: by the channel's own keys, or
    as the `fallback`."""

    route: Route
    rows: tuple[str, ...] = ()
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Whom to tell, and why: one line for each route and each channel looked at."""

    heard: tuple[Heard, ...]
    reasons: tuple[str, ...]


def find_routes(
    routes: Sequence[Route], rows: Sequence[Row], news: News, fallback: Sequence[str] = ()
) -> Answer:
    """Whom to tell of it.

    Without `rows`, each channel goes by its own keys. With them, the first that matches names the channels,
    and those below it too where it goes on; a channel's own keys still filter. What none is for is told to
    the `fallback`, if there is one.
    """
    if not rows:
        return _by_own_keys(routes, news)
    found: dict[str, Heard] = {}
    reasons: list[str] = []
    matched = False
    for row in rows:
        why_not = row.mismatch(news)
        if why_not is not None:
            reasons.append(f"{row.name}: no, {why_not}")
            continue
        matched = True
        reasons.append(f"{row.name}: yes, {_tells(row)}")
        for name in row.channels:
            _hear(found, reasons, routes, name, news, row)
        if not row.goes_on:
            break
    if matched or news.stage is Stage.STORM:
        return Answer(tuple(found.values()), tuple(reasons))
    heard = tuple(Heard(r, fallback=True) for r in last_resort(routes, fallback, news.brand))
    reasons.append(f"no route is for it: {_named(heard) or 'nobody is told'}")
    return Answer(heard, tuple(reasons))


def _hear(
    found: dict[str, Heard], reasons: list[str], routes: Sequence[Route], name: str, news: News, row: Row
) -> None:
    """Take one channel of a row that matched, if its own keys let it."""
    for own in routes:
        if own.channel != name:
            continue
        why_not = own.mismatch(news)
        if why_not is not None:
            reasons.append(f"  {name}: left out, {why_not}")
        elif name in found:
            found[name] = replace(found[name], rows=(*found[name].rows, row.name))
        else:
            found[name] = Heard(own, (row.name,))


def _tells(row: Row) -> str:
    told = ", ".join(row.channels) or "nobody"
    return f"told: {told}; those below are looked at too" if row.goes_on else f"told: {told}"


def _named(heard: Sequence[Heard]) -> str:
    return f"the fallback {', '.join(h.route.channel for h in heard)} is told" if heard else ""


def _by_own_keys(routes: Sequence[Route], news: News) -> Answer:
    heard, reasons = [], []
    for own in routes:
        why_not = "a storm is told to those who would hear of its cases"
        if news.stage is not Stage.STORM:
            why_not = own.mismatch(news) or ""
        if not why_not:
            heard.append(Heard(own))
        reasons.append(f"{own.channel}: {f'no, {why_not}' if why_not else 'yes, by its own keys'}")
    return Answer(tuple(heard), tuple(reasons))


def last_resort(routes: Sequence[Route], fallback: Sequence[str], brand: str) -> tuple[Route, ...]:
    """Those who are told where nobody else could be. Their own stages and priority do not filter then: it is
    that or silence. Their brands do, since what is said of a brand is for its own people."""
    return tuple(r for r in routes if r.channel in fallback and (r.brands is None or brand in r.brands))


def find_told(
    routes: Sequence[Route],
    told: Collection[tuple[str, str]],
    instead: Collection[tuple[str, str]] = (),
    stage: Stage = Stage.CLEARED,
) -> tuple[Heard, ...]:
    """Who hears that it is over, or that it was false: those who were `told`, as (channel, recipient), and
    want to hear of such, or were told as the fallback (`instead`); and nobody else. What has moved is for
    those of the told whose messages can be changed."""
    if stage is Stage.MOVED:
        return tuple(Heard(r) for r in routes if (r.channel, r.recipient) in told and r.updates)
    return tuple(
        Heard(r)
        for r in routes
        if (r.channel, r.recipient) in told
        and (Stage.CLEARED in r.stages or (r.channel, r.recipient) in instead)
    )


def find_own(
    routes: Sequence[Route],
    heard: Sequence[Route],
    reaches: Mapping[str, Reach],
    otherwise: str | None,
    brand: str,
    *,
    late: bool,
) -> Route | None:
    """Over which of the channels one person is told that a case is theirs, or that it is late; None: none
    reaches them, or (`late`) what is said to all does.

    `heard` are those who hear of the case; `reaches` by which recipient each channel reaches the person.
    Where one of `heard` calls them in what all read, that one; else the first of them that writes to them
    alone; else the channel `otherwise`, if it is for the `brand`.
    """
    ways = [(route, reaches[route.channel]) for route in heard if route.channel in reaches]
    if late and any(way.hears_all for _, way in ways):
        return None
    called = [route for route, way in ways if way.recipient == route.recipient]
    if called:
        return called[0]
    last = [r for r in routes if r.channel == otherwise and (r.brands is None or brand in r.brands)]
    ways += [(route, reaches[route.channel]) for route in last if route.channel in reaches]
    return next((replace(route, recipient=way.recipient, updates=False) for route, way in ways), None)


def news_of(case: Case, stage: Stage, clock: Clock | None) -> News:
    """A stage of a case as routes see it. `clock` None: the latest response wait."""
    about = clock or case.latest
    traits = Traits(
        brand=case.place.brand,
        connector=case.place.connector,
        account=case.account,
        public=case.public,
        kind=case.kind,
        complaint=case.complaint,
        addressed=case.addressed,
        needs_reply=case.needs_reply,
        priority=case.priority,
        followers=case.followers,
        topics=frozenset(case.topics),
        language=case.language,
        rating=case.rating,
    )
    return News(
        stage, case.place.brand, case.place.connector, case.priority, about.name, about.target, traits
    )
