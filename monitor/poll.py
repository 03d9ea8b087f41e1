"""The polling step: one page of one stream, fetched outside and taken in by the core.

Three parts, so that only the middle one waits for the outside: `prepare` (core), `fetch` (a worker, which
has no store), `take_in` (core). `poll_once` is all three, for tests, simulations and tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.contract import Budget, Connector, Page, Stream
from monitor.ingest import Arrival, Taken, ingest
from monitor.policy import Policy
from monitor.store.store import Store
from monitor.store.streams import AccountRow, StreamRow
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.secret import SecretMissing

BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_MAX = timedelta(minutes=5)
RATE_LIMIT_WAIT_MAX = timedelta(hours=24)
RESERVED_FOR_LOOKS = 1 / 3
REFUSED_RETRY = timedelta(minutes=15)
"""A refusal waits for a person, but a permission may come back by itself: ask now and then."""


@dataclass(frozen=True, slots=True)
class StreamRef:
    """Which stream of which account."""

    brand: str
    connector: str
    account: str
    stream: Stream

    def __str__(self) -> str:
        return f"{self.brand}/{self.connector}/{self.account}/{self.stream.name}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back from outside: a page, or the reason why not."""

    row: StreamRow
    page: Page | None
    error: EdgeError | None


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll came to, and when to come again. `more`: a page is waiting, come at once."""

    ref: StreamRef
    again_at: datetime
    reason: str
    taken: Taken | None = None
    more: bool = False
    error: str | None = None
    complete_through: datetime | None = None


def prepare(store: Store, ref: StreamRef, now: datetime) -> StreamRow:
    """Where the stream stands. Its first-run mark is committed here, before its first page is asked for."""
    scope = store.scope(ref.brand, ref.connector)
    row = store.streams.get(scope, ref.account, ref.stream.name) if scope is not None else None
    if row is not None:
        return row
    with store.transaction("mark"):
        scope = store.make_scope(ref.brand, ref.connector)
        store.streams.register(
            scope, ref.account, ref.stream.name, ref.stream.direction, private=ref.stream.private, now=now
        )
        row = store.streams.get(scope, ref.account, ref.stream.name)
    if row is None:
        raise RuntimeError(f"stream {ref} was registered and is not there")
    return row


def fetch(connector: Connector, row: StreamRow, time_limit: float) -> Fetched:
    """Ask the platform for a page. Never raises for what goes wrong outside."""
    try:
        return Fetched(row, connector.poll(row.name, row.cursor, time_limit), None)
    except EdgeError as error:
        return Fetched(row, None, error)
    except SecretMissing as error:
        return Fetched(row, None, NotAllowed(str(error)))
    except Exception as error:
        # A connector that breaks its contract must not take the others down; its type says enough to
        # find it, and its text might hold what it was fed.
        return Fetched(row, None, Malformed(f"the connector failed with {type(error).__name__}"))


def take_in(
    store: Store, policy: Policy, ref: StreamRef, fetched: Fetched, now: datetime, jitter: float = 0.5
) -> Polled:
    """Commit what came back, and say when to come again. `jitter` in [0, 1) spreads retries."""
    row = fetched.row
    if fetched.page is None:
        return _note_failure(store, ref, row, fetched.error or Refused("no page and no reason"), now, jitter)
    page = fetched.page
    again_at = now if page.has_more else now + _pace(ref.stream, page.budgets, now, jitter)
    arrival = Arrival(
        ref.brand,
        ref.connector,
        ref.account,
        f"{ref.account}/{ref.stream.name}",
        page,
        stream=row,
        quiet_before=row.first_mark,
    )
    taken = ingest(store, policy, arrival, now)
    if row.failing_since is not None and not page.has_more:
        _keep_health(store, row, now)  # with more to come we have not caught up yet: `watch` sees when
    return Polled(
        ref,
        again_at,
        "more pages wait" if page.has_more else "its cadence",
        taken,
        more=page.has_more,
        complete_through=page.complete_through,
    )


def poll_once(
    store: Store,
    policy: Policy,
    ref: StreamRef,
    connector: Connector,
    now: datetime,
    time_limit: float = 15.0,
) -> Polled:
    """One page of one stream, from asking to committing."""
    return take_in(store, policy, ref, fetch(connector, prepare(store, ref, now), time_limit), now)


def _pace(stream: Stream, budgets: tuple[Budget, ...], now: datetime, jitter: float) -> timedelta:
    """The cadence, slowed down where what is left of the platform's window would not last, with a tenth of
    jitter so that streams do not march in step.

    A third of the window is left for urgent looks: X allows fifteen readings of DMs in a quarter of an hour,
    and a claim that must go out unseen is a claim that may be false.
    """
    every = stream.every_seconds
    for budget in budgets:
        if budget.name != stream.name or budget.resets_at is None:
            continue
        left = (budget.resets_at - now).total_seconds()
        usable = budget.remaining - budget.limit * RESERVED_FOR_LOOKS
        if left > 0 and usable * every < left:
            every = max(every, left / max(1.0, usable))
    return timedelta(seconds=every * (0.95 + 0.1 * jitter))


def _note_failure(
    store: Store, ref: StreamRef, row: StreamRow, error: EdgeError, now: datetime, jitter: float
) -> Polled:
    limited = isinstance(error, RetryAt) and error.limited
    refused = isinstance(error, NotAllowed | Refused)
    backoff = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** min(row.failures, 10)) * (0.75 + 0.5 * jitter)
    again_at = now + backoff
    if refused:
        again_at = now + REFUSED_RETRY
    elif isinstance(error, RetryAt) and error.at is not None:
        again_at = min(max(error.at, now + timedelta(seconds=1)), now + RATE_LIMIT_WAIT_MAX)
    with store.transaction("failure"):
        store.streams.fail(row, str(error), again_at, now, refused=refused, limited=limited)
        store.figures.count(
            "poll_failures",
            brand=ref.brand,
            connector=ref.connector,
            account=ref.account,
            stream=ref.stream.name,
            reason=_kind(error, limited),
        )
    _keep_health(store, row, now)
    return Polled(ref, again_at, _kind(error, limited), error=str(error))


def _kind(error: EdgeError, limited: bool) -> str:
    if limited:
        return "rate_limited"
    names = {RetryAt: "unreachable", Refused: "refused", NotAllowed: "not_allowed", Malformed: "malformed"}
    return names.get(type(error), "other")


def _keep_health(store: Store, row: StreamRow, now: datetime) -> None:
    """Work out anew whether the account of this stream is blind, and since when."""
    with store.transaction("health"):
        account = next(
            (a for a in store.streams.accounts() if (a.scope, a.account) == (row.scope, row.account)), None
        )
        if account is None:
            return
        failing = [
            s
            for s in store.streams.all()
            if (s.scope, s.account) == (row.scope, row.account) and s.failing_since is not None
        ]
        refused = next((s.refused for s in failing if s.refused is not None), None)
        since = [s.complete_through or s.failing_since or now for s in failing]
        _update_health(store, account, min(since, default=None), refused)


def _update_health(
    store: Store, account: AccountRow, blind_since: datetime | None, refused: str | None
) -> None:
    if blind_since is not None and account.blind_since is not None:
        blind_since = min(blind_since, account.blind_since)  # one trouble, from its first stream on
    begins = blind_since is not None and account.blind_since is None
    store.streams.keep_health(account, account.episode + begins, blind_since, refused)
