"""Fold conversations again and keep what came of it: the one way in which a case changes.

Ingest, operators' words, a new policy and `rebuild` all end here. What changed is counted here, in the
same transaction, so that counters only grow and agree with the cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.policy import Policy
from monitor.store.cases import Kept
from monitor.store.codec import case_to_json, from_us, to_us
from monitor.store.messages import Messages
from monitor.store.store import Store
from rules.case import Case, Clock, ClockName, Place, Status
from rules.decisions import running_clocks
from rules.fold import Made, fold_threads


@dataclass(slots=True)
class Folded:
    """What a round of folding changed, for logs."""

    opened: int = 0
    changed: int = 0


def fold_again(
    store: Store, policy: Policy, scope: int, places: Iterable[Place], now: datetime, *, count: bool = True
) -> Folded:
    """Fold these conversations and store their cases. Inside the caller's transaction.

    `count`: False for `rebuild`, which finds again what was counted when it happened.
    """
    folded = Folded()
    messages = store.messages(scope)
    groups = _groups(messages, list(places))
    labels = {
        (thread, place.customer): thread if number else ""
        for place, threads in groups
        for number, thread in enumerate(threads)
    }
    parts = messages.parts_of(labels)
    kept = store.cases.of_threads(scope, list(labels))
    any_said = store.cases.any_said()
    for place, threads in groups:
        where = [(thread, place.customer) for thread in threads]
        said = store.cases.said_of(scope, threads, place.customer) if any_said else []
        mine = [part for one in where for part in parts.get(one, ())]
        after = fold_threads(place, mine, said, policy.brand(place.brand).fold)
        if len(threads) > 1:
            links = [(thread, since, m.case.id) for m in after for thread, since in m.threads]
            store.cases.link(scope, place.customer, links)
        before = [case for one in where for case in kept.get(one, ())]
        _keep(store, policy if count else None, scope, before, after, now, folded)
    return folded


def _groups(messages: Messages, places: Sequence[Place]) -> list[tuple[Place, list[str]]]:
    """What is folded together, as (place, its threads): each thread once."""
    private = messages.with_private(place.customer for place in places)
    groups: list[tuple[Place, list[str]]] = []
    taken: set[tuple[str, str]] = set()
    for place in places:
        if (place.conversation, place.customer) in taken:
            continue
        threads = [place.conversation]
        if place.customer in private:
            threads = messages.threads_of(place.conversation, place.customer)
        taken.update((thread, place.customer) for thread in threads)
        groups.append((place, threads))
    return groups


def _keep(
    store: Store,
    policy: Policy | None,
    scope: int,
    before: Sequence[Kept],
    after: Sequence[Made],
    now: datetime,
    folded: Folded,
) -> None:
    """Store what has changed, and count it where there is a policy to count by."""
    rows = {row.id: row for row in before}
    for made in after:
        case, body = made.case, case_to_json(made.case)
        prefix = len(case.place.brand) + len(case.place.connector) + 2
        held = [row for row in before if row.id[prefix:] in made.holds]
        row = rows.pop(case.id, None)
        if row is not None and row.body == body and len(held) == 1:
            continue
        if policy is not None and not case.historic:
            _count(store, policy, [one.case for one in held], case)
        marks = {key for one in held for key in one.counted}
        _count_breaches(store, case, marks, count=policy is not None)
        if row is None:
            folded.opened += 1
            # A case with a history, joined from others, is looked at now; a new one when its first stage
            # comes. The past is not looked at.
            look_at = now if before else first_look(case, now)
            store.cases.write(scope, case, look_at, marks, new=True, body=body)
        else:
            folded.changed += row.body != body
            store.cases.write(scope, case, now, marks, new=False, body=body)
    for row in rows.values():
        store.cases.remove(row.pk)


def first_look(case: Case, now: datetime) -> datetime | None:
    """When a case of which nothing was said yet is to be looked at for the first time."""
    if case.quiet:
        return None
    due = [c.warnings[0][1] if c.warnings else c.due_at for c in running_clocks(case, now)]
    return min((at for at in due if at is not None), default=None)


def _count(store: Store, policy: Policy, held: Sequence[Case], case: Case) -> None:
    """Count what is new. An old case goes on in the new one that holds its first message."""
    labels = {"brand": case.place.brand, "connector": case.place.connector}
    if not held:
        store.figures.count("cases_opened", 1, account=case.account, **labels)
    if case.status is Status.WITHDRAWN and not any(c.status is Status.WITHDRAWN for c in held):
        store.figures.count("cases_withdrawn", 1, **labels)
    _count_answer(store, policy, held, case)
    if len(case.clocks) > 1:
        _count_next_answers(store, policy, held, case)
    if case.first_resolution_seconds is not None and all(c.first_resolution_seconds is None for c in held):
        store.figures.observe(
            "resolution_seconds",
            case.first_resolution_seconds,
            policy.response_buckets,
            target=case.target or "none",
            **labels,
        )


def _count_answer(store: Store, policy: Policy, held: Sequence[Case], case: Case) -> None:
    seconds = case.first_response_seconds
    if seconds is None or case.first_response is None:
        return
    labels = {
        "brand": case.place.brand,
        "connector": case.place.connector,
        "target": case.first.target or "none",
    }
    known = [c.first_response_seconds for c in held if c.first_response_seconds is not None]
    if not known:
        store.figures.observe("first_response_seconds", seconds, policy.response_buckets, **labels)
        lag = (case.first_response.seen_at - case.first_response.at).total_seconds()
        store.figures.count("answers_seen_late_seconds", max(0.0, lag), **labels)
    elif known[0] != seconds:
        store.figures.count("first_response_corrections", 1, **labels)


def _next_answers(case: Case) -> dict[str, Clock]:
    """The next responses that were given, by the message that waited for them."""
    given = (c for c in case.clocks if c.name is ClockName.NEXT_RESPONSE and c.ending is Status.ANSWERED)
    return {clock.message_id: clock for clock in given}


def _count_next_answers(store: Store, policy: Policy, held: Sequence[Case], case: Case) -> None:
    known = {id for c in held for id in _next_answers(c)}
    for id, clock in _next_answers(case).items():
        if id not in known and clock.seconds is not None:
            store.figures.observe(
                "next_response_seconds",
                clock.seconds,
                policy.response_buckets,
                brand=case.place.brand,
                connector=case.place.connector,
                target=clock.target or "none",
            )


def _count_breaches(store: Store, case: Case, marks: set[str], *, count: bool) -> None:
    """A breach is counted once: when it is seen to have come, or here, where the answer was late and came
    before that. `marks` are those that were counted, of all cases that were joined; new ones join them."""
    if case.quiet:
        return
    for clock in case.all_clocks:
        if clock.breached_at is not None and not is_counted(case, clock, marks):
            if count:
                count_breach(store, case, clock)
            marks.add(clock_key(clock))


def clock_key(clock: Clock) -> str:
    """How a clock is noted among those that were counted: a wait by when it began, since what we learn of
    later may renumber the waits."""
    return "resolution" if clock.name is ClockName.RESOLUTION else f"wait/{to_us(clock.started_at)}"


def is_counted(case: Case, clock: Clock, marks: Collection[str]) -> bool:
    """Whether the breach of this clock is in the figures, by the marks of `clock_key`."""
    if clock.name is ClockName.RESOLUTION:
        return "resolution" in marks
    waits = (case.wait_at(from_us(int(mark[5:]))) for mark in marks if mark.startswith("wait/"))
    return any(wait == clock for wait in waits)


def count_breach(store: Store, case: Case, clock: Clock) -> None:
    """One more promise that was broken."""
    store.figures.count(
        "breaches",
        brand=case.place.brand,
        connector=case.place.connector,
        target=clock.target or "none",
        priority=case.priority,
        clock=clock.name,
    )
