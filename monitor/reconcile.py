"""The slower second look: which messages of those who wait are to be asked about again.

What may live here: what polling may have missed (an edit, a delete, an answer that a platform never listed)
is found by asking for the waiting messages themselves, now and then. Each is asked about when its wait has
doubled since it was last asked about, so that a message costs a handful of requests however long it waits;
and nothing is asked while a limit of the account runs low, since polling goes first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.store.store import Reader

STEP = 200
"""So many waiting cases are read in a round; the next round goes on behind them."""

ASKED_MAX = 50
SHARE_LEFT_MIN = 0.25
"""With less of a limit left than that, it is kept for polling."""

AccountKey = tuple[str, str, str]
"""Brand, connector, label."""

Place = tuple[datetime, int]
"""Where a round ended: the last case's due time and row number."""


@dataclass(frozen=True, slots=True)
class Round:
    """The ids to ask about now, and where the next round begins (None: from the start)."""

    ids: tuple[str, ...]
    place: Place | None


def next_question(created_at: datetime, checked_at: datetime | None, after: timedelta) -> datetime:
    """When a waiting message is to be asked about: some time after it was written, then whenever its age has
    doubled since."""
    if checked_at is None or checked_at <= created_at:
        return created_at + after
    return checked_at + max(after, checked_at - created_at)


def plan_round(
    reader: Reader,
    account: AccountKey,
    streams: Collection[str],
    place: Place | None,
    after: timedelta,
    now: datetime,
) -> Round:
    """What an account is to be asked about now. `streams`: what its streams are called; `place`: where its
    last round ended."""
    brand, connector, label = account
    scope = reader.scope(brand, connector)
    if scope is None or _runs_low(reader, account, streams, now):
        return Round((), place)
    rows = reader.cases.waiting_behind(place, STEP)
    messages, ids = reader.messages(scope), []
    for row in rows:
        case = row.case
        id = case.waiting_message_id
        if row.scope != scope or case.account != label or case.asked_privately is not None or id is None:
            continue
        started = case.waiting_since or case.opened_at
        if next_question(started, messages.checked_at(id), after) <= now:
            ids.append(id)
        if len(ids) == ASKED_MAX:
            return Round(tuple(ids), _place(row.case.due_at, row.pk))
    last = rows[-1] if len(rows) == STEP else None
    return Round(tuple(ids), None if last is None else _place(last.case.due_at, last.pk))


def _place(due_at: datetime | None, pk: int) -> Place | None:
    return None if due_at is None else (due_at, pk)


def _runs_low(reader: Reader, account: AccountKey, streams: Collection[str], now: datetime) -> bool:
    """Whether a limit of the account, as it was told last, is nearly used up. A limit that bears a stream's
    name is that stream's own, and no concern of ours."""
    return any(
        budget.remaining < SHARE_LEFT_MIN * budget.maximum
        for budget in reader.streams.budgets()
        if (budget.brand, budget.connector, budget.account) == account
        and budget.name not in streams
        and (budget.resets_at is None or budget.resets_at > now)
    )
