"""Fold conversations again and keep what came of it: the one way in which a case changes.

Ingest, operators' words, a new policy and `rebuild` all end here. What changed is counted here, in the
same transaction, so that counters only grow and agree with the cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.policy import Policy
from monitor.store.cases import Row
from monitor.store.store import Store
from rules.case import Case, Clock, ClockName, Place, Status
from rules.decisions import running_clocks
from rules.fold import Made, fold_threads


@dataclass(slots=True)
class Folded:
    """What a round of folding changed, for logs."""

    opened: int = 0
    answered: int = 0
    changed: int = 0


def fold_again(
    store: Store, policy: Policy, scope: int, places: Iterable[Place], now: datetime, *, count: bool = True
) -> Folded:
    """Fold these conversations and store their cases. Inside the caller's transaction.

    `count`: False for `rebuild`, which finds again what was counted when it happened.
    """
    folded = Folded()
    any_said = store.cases.any_said()
    messages = store.messages(scope)
    together: set[tuple[str, str]] = set()
    for place in places:
        if (place.conversation, place.customer) in together:
            continue
        threads = messages.threads_of(place.conversation, place.customer)
        together.update((thread, place.customer) for thread in threads)
        parts = messages.parts(threads, place.customer)
        said = store.cases.said_of(scope, threads, place.customer) if any_said else []
        before = [row for thread in threads for row in store.cases.of_thread(scope, thread, place.customer)]
        after = fold_threads(place, parts, said, policy.brand(place.brand).fold)
        _keep(store, scope, before, [made.case for made in after], now, folded)
        if len(threads) > 1:
            links = [(thread, since, m.case.id) for m in after for thread, since in m.threads]
            store.cases.link(scope, place.customer, links)
        for made in after:
            held = [row for row in before if row.case.first_message_id in made.holds] if before else []
            if count and not made.case.historic:
                _count(store, policy, [row.case for row in held], made.case)
            _count_breaches(store, made, held, count=count)
    return folded


def _keep(
    store: Store, scope: int, before: Sequence[Row], after: Sequence[Case], now: datetime, folded: Folded
) -> None:
    rows = {row.case.id: row for row in before}
    for case in after:
        row = rows.pop(case.id, None)
        if row is None:
            folded.opened += 1
            # A case with a history, joined from others, is looked at now; a new one when its first stage
            # comes. The past is not looked at.
            store.cases.write(scope, case, now if before else first_look(case, now), new=True)
        elif row.case != case:
            folded.changed += 1
            folded.answered += case.status is Status.ANSWERED and row.case.status is not Status.ANSWERED
            store.cases.write(scope, case, now, new=False)
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


def _count_breaches(store: Store, made: Made, held: Sequence[Row], *, count: bool) -> None:
    """A breach is counted once: when it is seen to have come, or here, where the answer was late and came
    before that. A case that was joined from others carries their marks."""
    case = made.case
    counted = {key for row in held for key in row.counted}
    marks = set(counted)
    for clock in case.all_clocks:
        if clock.breached_at is not None and not case.quiet and clock_key(clock) not in marks:
            if count:
                count_breach(store, case, clock)
            marks.add(clock_key(clock))
    kept = [row for row in held if row.case.id == case.id]
    if marks and not (kept and kept[0].counted == marks):
        store.cases.keep_counted(case.id, marks)


def clock_key(clock: Clock) -> str:
    """How a clock is told from the others of its case."""
    return f"{clock.name}/{clock.cycle}"


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
