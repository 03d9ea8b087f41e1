"""Many cases at once: storms, in which one message takes the place of many, and spikes of complaints.

Called by the watching step, inside its transaction. What began and has not ended is kept as an episode, so
that a restart in the middle of a storm says nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.store.cases import Row as CaseRow
from monitor.store.store import Reader, Store
from monitor.store.surges import Kind, Surge
from rules.alert import Stage
from rules.case import Case, Status
from rules.decisions import Owed
from rules.storms import SpikePolicy, StormKind, StormPolicy, judge_spike, judge_storm

CASES_MAX = 2_000
"""So many of a storm's cases are counted and looked through for its message."""

SPIKE_WEEKS = 8
SPIKE_STEPS = range(-2, 4)
"""The windows of each past week that are counted: six around the same time of the same weekday."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A stage that a case has reached, before it is decided whether it is said by itself."""

    row: CaseRow
    owed: Owed


Say = Callable[[Surge, Owed], None]
"""Has a storm or a spike said, to whom it concerns."""


def storm_of(
    store: Store, policy: StormPolicy, brand: str, claims: Sequence[Claim], now: datetime
) -> Surge | None:
    """The storm that these claims of a brand belong to; None where they are said one by one. One that
    begins is recorded, and what waits to be sent of its cases is superseded."""
    running = store.surges.running(Kind.STORM, brand)
    if running is not None:
        if claims:
            store.surges.go_on(running, now)
        return running
    if not claims:
        return None
    window = timedelta(seconds=policy.within_seconds)
    earlier = store.surges.claimed(brand, now - window, CASES_MAX)
    fresh = {(c.row.scope, c.row.case.place.conversation, c.row.case.place.customer) for c in claims}
    moments = [at for where, at in earlier if where not in fresh] + [now] * len(fresh)
    verdict = judge_storm(None, moments, policy, now)
    if verdict.kind is not StormKind.BEGINS or verdict.since is None:
        return None
    storm = store.surges.begin(Kind.STORM, brand, verdict.since, now)
    dropped = store.surges.supersede_claims(storm, f"said by the storm {storm.subject}", now)
    for channel, count in dropped.items():
        store.figures.count("alerts_ended", count, channel=channel, outcome="superseded")
    store.figures.count("storms", brand=brand)
    return storm


def watch_storm(store: Store, policy: StormPolicy, storm: Surge, say: Say, now: datetime) -> datetime | None:
    """Say that it began, how it goes on, or that it is over. Returns when to look at it again."""
    over_at = storm.last_at + timedelta(seconds=policy.over_after_seconds)
    update = timedelta(seconds=policy.update_seconds)
    if now >= over_at:
        store.surges.end(storm, now)
        say(storm, Owed(Stage.CLEARED, 0, 0, now))
        return None
    told = {(r.channel, r.recipient) for r in store.outbox.of_subject(storm.subject)}
    unheard = (
        not store.surges.hearers(storm.brand, storm.since) <= told
    )  # an escalation reached somebody else
    if unheard or now >= storm.looked_at + update:
        standing = standing_of(store, storm)
        if unheard or standing != storm.standing:
            say(storm, Owed(Stage.STORM, 0, storm.said, now))
            store.surges.note_said(storm, standing, now)
        else:
            store.surges.note_looked(storm, now)
        return min(over_at, now + update)
    return min(over_at, storm.looked_at + update)


def cases_of(reader: Reader, storm: Surge) -> list[CaseRow]:
    """The cases of a storm: those of its brand that reached a stage since it began. Of a digest: those that
    it says."""
    if storm.kind is Kind.DIGEST:
        return _held_cases(reader, storm)
    found: dict[str, CaseRow] = {}
    until = storm.over_at
    for (scope, conversation, customer), at in reader.surges.claimed_messages(
        storm.brand, storm.since, until, CASES_MAX
    ):
        row = reader.cases.holding(scope, conversation, customer, at)
        if row is not None:
            found[row.case.id] = row
    return list(found.values())


def _held_cases(reader: Reader, digest: Surge) -> list[CaseRow]:
    found: dict[str, CaseRow] = {}
    for pk in digest.held[:CASES_MAX]:
        said = reader.outbox.get(pk)
        about = said.about if said is not None else None
        if about is None:
            continue
        row = reader.cases.holding(about.scope, about.conversation, about.customer, about.message_at)
        if row is not None:
            found[row.case.id] = row
    return list(found.values())


def standing_of(reader: Reader, storm: Surge) -> list[int]:
    """(reached, waiting, answered): its message is brought up to date where this has changed."""
    return count_cases([row.case for row in cases_of(reader, storm)])


def count_cases(cases: Sequence[Case]) -> list[int]:
    """How many there are, how many of them wait, and how many were answered."""
    waiting = sum(case.status is Status.WAITING for case in cases)
    answered = sum(case.status in (Status.ANSWERED, Status.ANSWERED_ELSEWHERE) for case in cases)
    return [len(cases), waiting, answered]


def watch_spike(store: Store, policy: SpikePolicy, brand: str, say: Say, now: datetime) -> None:
    """Say once that complaints of a brand are unusually many."""
    window = timedelta(seconds=policy.window_seconds)
    running = store.surges.running(Kind.SPIKE, brand)
    count = store.surges.complaints(brand, now - window, now)
    if count < policy.at_least:
        if running is not None and now - running.last_at >= window:
            store.surges.end(running, now)
        return
    known_since = store.surges.first_complaint_at(brand) or now
    past = [
        store.surges.complaints(brand, end - window, end)
        for week in range(1, SPIKE_WEEKS + 1)
        for end in (now - timedelta(weeks=week) + step * window for step in SPIKE_STEPS)
        if end - window >= known_since
    ]
    verdict = judge_spike(count, past, policy)
    if not verdict.is_spike:
        return
    if running is not None:
        store.surges.go_on(running, now)
        return
    spike = store.surges.begin(Kind.SPIKE, brand, now - window, now)
    spike = store.surges.note_numbers(spike, count, verdict.usual or 0.0)
    store.figures.count("spikes", brand=brand)
    say(spike, Owed(Stage.SPIKE, 0, 0, now))
