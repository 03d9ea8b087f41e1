"""The policy in force: the config's promises and meanings, made ready for the pure core.

Built anew at start and at each reload; everything in it is frozen, so that a reload swaps one for another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import re2

from monitor.config import BrandConfig, Config, TargetConfig
from rules.alert import Stage
from rules.case import FoldPolicy
from rules.meaning.contract import Priority, Verdict
from rules.meaning.judge import Judge, make_judge
from rules.meaning.pack import Pack
from rules.meaning.patterns import pattern_from_mapping
from rules.meaning.policy import MeaningPolicy
from rules.meaning.relevance import addresses_brand
from rules.meaning.sentiment import Sentiment, vader
from rules.message import Message
from rules.people import Automation, make_automation
from rules.routes import Route
from rules.targets import Target

RESPONSE_BUCKETS = (30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""Histogram edges in seconds, 30 s to 24 h; every target joins them as an exact edge."""

BLIND_AFTER_SECONDS_DEFAULT = 900.0


@dataclass(frozen=True, slots=True)
class BrandPolicy:
    """What one brand's messages mean, and who of its own is a machine. `title` is what people call it."""

    name: str
    title: str
    meaning: MeaningPolicy
    judge_of_it: Judge
    automation: Automation
    fold: FoldPolicy

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
    account may be blind before people are told. `stored`: its JSON, as kept among the facts. `look_ups`: the
    (brand, connector) whose platform can be asked whether a public message still stands. `sees_all`: what
    the store holds is all that there is (a replay), so that no claim waits for a look."""

    brands: Mapping[str, BrandPolicy]
    routes: tuple[Route, ...]
    shadow: bool
    show_dm_text: bool
    blind_after_seconds: float
    credentials_warning: timedelta
    response_buckets: tuple[float, ...]
    stored: str
    look_ups: frozenset[tuple[str, str]] = frozenset()
    sees_all: bool = False

    def with_look_ups(self, look_ups: frozenset[tuple[str, str]]) -> Policy:
        """The same, with the platforms that can be asked."""
        return replace(self, look_ups=look_ups)

    def as_seen_by_replay(self) -> Policy:
        """The same for a replay: nothing is sent, and no platform can be asked."""
        return replace(self, shadow=True, look_ups=frozenset(), sees_all=True)

    def brand(self, name: str) -> BrandPolicy:
        """The policy of that brand; of one that is not configured (imported, or dropped since) a plain one,
        without keywords."""
        found = self.brands.get(name)
        if found is not None:
            return found
        any_brand = next(iter(self.brands.values()))
        return replace(any_brand, name=name, title=name)


def make_policy(
    config: Config, packs: Sequence[Mapping[str, Any]], recipients: Mapping[str, str], stored: str
) -> Policy:
    """Make it from a config that has been checked. `packs` are the parsed word packs; `recipients` the
    recipient of each channel by its name. Raises ValueError naming what is wrong."""
    parsed = [Pack.from_mapping(pack) for pack in packs]
    sentiment = vader()
    targets = tuple(_target(t) for t in config.targets)
    seconds = [t.first_response_seconds for t in targets if t.first_response_seconds is not None]
    blind_after = config.alerts.blind_after
    return Policy(
        brands={
            name: _brand(name, brand, config, parsed, sentiment, targets)
            for name, brand in config.brands.items()
        },
        routes=tuple(
            Route(
                channel=name,
                recipient=recipients[name],
                stages=frozenset(Stage(s) for s in channel.stages),
                brands=None if channel.brands is None else frozenset(channel.brands),
                min_priority=Priority(channel.min_priority),
            )
            for name, channel in config.channels.items()
            if name in recipients
        ),
        shadow=config.alerts.mode == "shadow",
        show_dm_text=config.alerts.show_dm_text,
        blind_after_seconds=(
            blind_after.total_seconds()
            if blind_after is not None
            else min(seconds, default=2 * BLIND_AFTER_SECONDS_DEFAULT) / 2
        ),
        credentials_warning=config.alerts.credentials_warning,
        response_buckets=tuple(sorted({*RESPONSE_BUCKETS, *seconds})),
        stored=stored,
    )


def _target(config: TargetConfig) -> Target:
    return Target(
        name=config.name,
        first_response_seconds=None
        if config.first_response is None
        else config.first_response.total_seconds(),
        warnings=tuple(config.warnings),
        repeat_seconds=None if config.repeat is None else config.repeat.total_seconds(),
        repeat_max=config.repeat_max,
        gap_seconds=config.gap.total_seconds(),
        needs_reply_only=config.needs_reply == "yes",
        brand=config.brand,
        connector=config.connector,
        account=config.account,
        public=config.public,
        kind=config.kind,
        complaint=config.complaint,
        addressed=config.addressed,
        priorities=None if config.priority is None else frozenset(config.priority),
        min_followers=config.min_followers,
    )


def _brand(
    name: str,
    brand: BrandConfig,
    config: Config,
    packs: Sequence[Pack],
    sentiment: Sentiment,
    targets: tuple[Target, ...],
) -> BrandPolicy:
    backlog = config.alerts.backlog
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
        fold=FoldPolicy(
            targets=targets,
            quick_seconds=brand.automated_within.total_seconds(),
            backlog_seconds=None if backlog is None else backlog.total_seconds(),
        ),
    )


def muted_words(phrases: Sequence[str]) -> Any:
    """A matcher for muted phrases, whatever their case; None where there are none."""
    if not phrases:
        return None
    return re2.compile("(?i)" + "|".join(re2.escape(p) for p in phrases))
