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
from rules.case import Case, Place, Status, fold


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
    for place in places:
        parts = messages.parts(place.conversation, place.customer)
        said = store.cases.said_of(scope, place.conversation, place.customer) if any_said else []
        before = store.cases.of_conversation(scope, place)
        counted = [row.case.opened_at for row in before if row.breach_counted]
        after = fold(place, parts, said, policy.brand(place.brand).fold)
        _keep(store, scope, before, after, now, folded)
        if count:
            _count(store, policy, before, after)
        _carry_breaches(store, after, counted, count=count)
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
            store.cases.write(scope, case, now if before else first_look(case), new=True)
        elif row.case != case:
            folded.changed += 1
            folded.answered += case.status is Status.ANSWERED and row.case.status is not Status.ANSWERED
            store.cases.write(scope, case, now, new=False)
    for row in rows.values():
        store.cases.remove(row.pk)


def first_look(case: Case) -> datetime | None:
    """When a case of which nothing was said yet is to be looked at for the first time."""
    if case.status is not Status.WAITING or case.quiet or case.due_at is None:
        return None
    return case.warnings[0][1] if case.warnings else case.due_at


def _count(store: Store, policy: Policy, before: Sequence[Row], after: Sequence[Case]) -> None:
    """Count what is new. An old case goes on in the new one that holds its first message."""
    for position, case in enumerate(after):
        if case.historic:
            continue
        until = after[position + 1].opened_at if position + 1 < len(after) else None
        held = [
            row.case
            for row in before
            if row.case.opened_at >= case.opened_at and (until is None or row.case.opened_at < until)
        ]
        labels = {"brand": case.place.brand, "connector": case.place.connector}
        if not held:
            store.figures.count("cases_opened", 1, account=case.account, **labels)
        _count_answer(store, policy, held, case)
        if case.status is Status.WITHDRAWN and not any(c.status is Status.WITHDRAWN for c in held):
            store.figures.count("cases_withdrawn", 1, **labels)


def _carry_breaches(store: Store, after: Sequence[Case], counted: Sequence[datetime], *, count: bool) -> None:
    """A breach is counted once: when it is claimed, or here, where the answer was late and came before the
    claim. A case that was joined from others carries their mark."""
    for position, case in enumerate(after):
        until = after[position + 1].opened_at if position + 1 < len(after) else None
        was = any(at >= case.opened_at and (until is None or at < until) for at in counted)
        if not was and case.breached_at is not None and not case.quiet:
            if count:
                count_breach(store, case)
            was = True
        if was:
            store.cases.mark_breach_counted(case.id)


def count_breach(store: Store, case: Case) -> None:
    """One more promise that was broken."""
    store.figures.count(
        "breaches",
        brand=case.place.brand,
        connector=case.place.connector,
        target=case.target or "none",
        priority=case.priority,
    )


def _count_answer(store: Store, policy: Policy, held: Sequence[Case], case: Case) -> None:
    seconds = case.first_response_seconds
    if seconds is None or case.first_response is None:
        return
    labels = {
        "brand": case.place.brand,
        "connector": case.place.connector,
        "target": case.target or "none",
    }
    known = [c.first_response_seconds for c in held if c.first_response_seconds is not None]
    if not known:
        store.figures.observe("first_response_seconds", seconds, policy.response_buckets, **labels)
        lag = (case.first_response.seen_at - case.first_response.at).total_seconds()
        store.figures.count("answers_seen_late_seconds", max(0.0, lag), **labels)
    elif known[0] != seconds:
        store.figures.count("first_response_corrections", 1, **labels)
