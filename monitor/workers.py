"""Workers: one thread an account, one thread a channel. They talk to the outside, and to nobody else but
the core.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from alerts.contract import Channel
from connectors.contract import Connector, Direction, Identity, Page
from monitor.clock import Clock
from monitor.core import Core
from monitor.dispatch import Dispatched, Leased, lease, next_due, pause_of, record, record_and_lease, send
from monitor.ingest import Arrival, ingest
from monitor.poll import Fetched, Polled, StreamRef, fetch, prepare, take_in
from monitor.reconcile import Place, plan_round
from monitor.store.database import StoreError
from monitor.store.store import Store
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.secret import SecretMissing

URGENT_AFTER = timedelta(seconds=3)
"""How long after a claim's moment its fresh look is asked for: platforms lag, and a page is complete only
through its request's start less a margin (2 s by default)."""

URGENT_APART = timedelta(seconds=5)
LOOK_UP_MAX = 100
STORE_RETRY = timedelta(seconds=10)
IDENTIFY_EVERY = timedelta(hours=24)
"""Who we are, and when a credential lapses, is asked again: it moves with each rotation."""

IDENTIFY_RETRY = timedelta(minutes=15)
ROUNDS, ROUND_EVERY_MIN = 4, timedelta(minutes=1)
"""So many rounds of the slower second look are made in the time after which it is due."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Schedule:
    """When a stream is polled next. Touched only under the worker's lock."""

    queued: bool = False
    running: bool = False
    urgent_at: datetime | None = None
    not_before: datetime | None = None
    last_started: datetime | None = None


@dataclass(slots=True)
class _LookUps:
    """Messages that are to be looked up, gathered so that one request asks for many."""

    ids: set[str] = field(default_factory=set)
    queued: bool = False
    not_before: datetime | None = None


class AccountWorker:
    """Polls one account of one brand, one request at a time (its client is not thread-safe).

    `later(key, at, call)` has something called at a pretended time; `on_polled` is told of each poll with
    how many real seconds it took. `reconcile_after`: how long somebody waits until their message is asked
    about again, in case that polling missed something (None: never).
    """

    def __init__(
        self,
        brand: str,
        name: str,
        account: str,
        connector: Connector,
        core: Core,
        clock: Clock,
        time_limit: float,
        later: Callable[[str, datetime, Callable[[], None]], None],
        on_polled: Callable[[Polled, float], None],
        reconcile_after: timedelta | None = None,
    ) -> None:
        self.brand, self.name, self.account = brand, name, account
        self.connector = connector
        self.refs = tuple(StreamRef(brand, name, account, stream) for stream in connector.streams)
        self.looks_up = connector.capabilities.deletes
        self._core = core
        self._clock = clock
        self._time_limit = time_limit
        self._later = later
        self._on_polled = on_polled
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-{account}")
        self._lock = threading.Lock()
        self._schedules = {ref: _Schedule() for ref in self.refs}
        self._look_ups = _LookUps()
        self._reconcile_after = reconcile_after if self.looks_up else None
        self._round_ended: Place | None = None
        self._random = random.Random()

    def start(self) -> None:
        """Find out who we are, then poll every stream."""
        self._submit(self._identify)
        for ref in self.refs:
            self.request(ref)
        self._reconcile_later()

    def request(self, ref: StreamRef) -> None:
        """Have a stream polled as soon as the account is free."""
        with self._lock:
            schedule = self._schedules[ref]
            if schedule.queued:
                return
            schedule.queued = True
        self._submit(lambda: self._poll(ref))

    def look(self, private: bool, message_id: str) -> None:
        """A claim waits for a fresh look: poll where an answer would show, and ask whether the message
        stands; a moment later, and not more often than every few seconds."""
        now = self._clock.now()
        for ref in self.refs:
            shows = ref.stream.direction in (Direction.OUTBOUND, Direction.BOTH)
            if shows and ref.stream.private == private:
                self._request_urgently(ref, now)
        if not private and self.looks_up:
            self._request_look_up(message_id, now)

    def _request_urgently(self, ref: StreamRef, now: datetime) -> None:
        with self._lock:
            schedule = self._schedules[ref]
            at = now + URGENT_AFTER
            if schedule.last_started is not None:
                at = max(at, schedule.last_started + URGENT_APART)
            if schedule.not_before is not None:
                at = max(at, schedule.not_before)
            if schedule.urgent_at is not None and schedule.urgent_at >= now:
                return
            schedule.urgent_at = at
        self._later(f"urgent {ref}", at, lambda: self.request(ref))

    def _request_look_up(self, message_id: str, now: datetime) -> None:
        with self._lock:
            waiting = self._look_ups
            waiting.ids.add(message_id)
            if waiting.queued:
                return
            waiting.queued = True
            at = max(now, waiting.not_before) if waiting.not_before is not None else now
        self._later(f"look-up {self.brand}/{self.name}/{self.account}", at, self._queue_look_up)

    def _queue_look_up(self) -> None:
        self._submit(self._look_up)

    def _submit(self, work: Callable[[], None]) -> None:
        try:
            self._pool.submit(self._guard, work)
        except RuntimeError:
            return  # it is stopping: what was not asked will be asked by the next start

    def _guard(self, work: Callable[[], None]) -> None:
        """A worker thread never dies of a surprise; it says so and goes on."""
        try:
            work()
        except Exception:
            log.exception("account worker failed", connector=self.name, account=self.account)

    def _poll(self, ref: StreamRef) -> None:
        clock = self._clock
        started_at = clock.now()
        with self._lock:
            schedule = self._schedules[ref]
            schedule.queued = False
            schedule.last_started = started_at
        before = clock.stopwatch()
        try:
            polled = self._fetch_and_take_in(ref)
        except StoreError as error:
            # Nothing was kept and the cursor has not moved, so the same page comes again.
            log.error("page not stored", stream=str(ref), error=str(error))
            polled = Polled(ref, clock.now() + STORE_RETRY, "store", error=str(error))
        self._on_polled(polled, clock.stopwatch() - before)
        with self._lock:
            schedule.not_before = polled.again_at if polled.error is not None else None
        if polled.more:
            self.request(ref)
        else:
            self._later(f"poll {ref}", polled.again_at, lambda: self.request(ref))

    def _fetch_and_take_in(self, ref: StreamRef) -> Polled:
        core, clock = self._core, self._clock
        row = core.ask(lambda store: prepare(store, ref, clock.now())).result()
        fetched = fetch(self.connector, row, self._time_limit)
        jitter = self._random.random()
        try:
            return core.ask(
                lambda store: take_in(store, core.policy, ref, fetched, clock.now(), jitter)
            ).result()
        except StoreError:
            raise
        except Exception as error:
            # A page that our own code cannot digest: the stream is as blind as if the platform were down, and
            # that is noted and told; it is tried again like any other failure.
            log.exception("page could not be taken in", stream=str(ref))
            undigested = Fetched(
                row, None, Malformed(f"a page could not be taken in: {type(error).__name__}")
            )
            return core.ask(
                lambda store: take_in(store, core.policy, ref, undigested, clock.now(), jitter)
            ).result()

    def _look_up(self) -> None:
        clock, core = self._clock, self._core
        asked_at = clock.now()
        with self._lock:
            ids = tuple(sorted(self._look_ups.ids)[:LOOK_UP_MAX])
            self._look_ups.ids.difference_update(ids)
            self._look_ups.queued = False
        if not ids:
            return
        try:
            page = self.connector.look_up(ids, self._time_limit)
        except (Refused, NotAllowed, SecretMissing) as error:
            # It will not tell, now or later: the claim does not wait for it.
            log.warning("look-up refused", connector=self.name, account=self.account, error=str(error))
            page = Page(messages=(), cursor={})
        except EdgeError as error:
            wait = error.at if isinstance(error, RetryAt) and error.at is not None else None
            with self._lock:
                self._look_ups.not_before = wait or asked_at + URGENT_APART
            log.info("look-up failed", connector=self.name, account=self.account, error=str(error))
            return  # whoever still waits for it asks again
        arrival = Arrival(self.brand, self.name, self.account, f"{self.account}/look-up", page, asked=ids)
        try:
            core.ask(lambda store: ingest(store, core.policy, arrival, asked_at)).result()
        except StoreError as error:
            log.error("look-up not stored", connector=self.name, account=self.account, error=str(error))

    def _reconcile_later(self) -> None:
        if self._reconcile_after is not None:
            at = self._clock.now() + max(ROUND_EVERY_MIN, self._reconcile_after / ROUNDS)
            key = f"reconcile {self.brand}/{self.name}/{self.account}"
            self._later(key, at, lambda: self._submit(self._reconcile))

    def _reconcile(self) -> None:
        """A round of the slower second look at those who wait."""
        after, names = self._reconcile_after, {ref.stream.name for ref in self.refs}
        if after is None:
            return
        account, ended, now = (self.brand, self.name, self.account), self._round_ended, self._clock.now()
        try:
            found = self._core.ask(
                lambda store: plan_round(store, account, names, ended, after, now)
            ).result()
            self._round_ended = found.place
            for id in found.ids:
                self._request_look_up(id, now)
        finally:
            self._reconcile_later()

    def _identify(self) -> None:
        again = f"identify {self.brand}/{self.name}/{self.account}"
        try:
            who: Identity = self.connector.identify(self._time_limit)
        except (EdgeError, SecretMissing) as error:
            log.warning("cannot tell who we are", connector=self.name, account=self.account, error=str(error))
            self._later(again, self._clock.now() + IDENTIFY_RETRY, lambda: self._submit(self._identify))
            return
        self._later(again, self._clock.now() + IDENTIFY_EVERY, lambda: self._submit(self._identify))
        for missing in who.permissions_missing:
            log.warning("permission missing", connector=self.name, account=self.account, missing=missing)
        self._core.ask(lambda store: self._keep_identity(store, who))
        log.info("connected", connector=self.name, account=self.account, handle=who.handle)

    def _keep_identity(self, store: Store, who: Identity) -> None:
        with store.transaction("identity"):
            scope = store.make_scope(self.brand, self.name)
            store.streams.keep_identity(scope, self.account, who.handle, who.credentials_expire_at)

    def stop(self, wait: bool) -> None:
        """Let the request that is under way finish, drop the others, and give back sockets."""
        self._pool.shutdown(wait=wait, cancel_futures=True)
        self.connector.close()


class ChannelWorker:
    """Sends what one channel has to say, one row at a time, in order."""

    def __init__(
        self, name: str, channel: Channel, core: Core, clock: Clock, time_limit: float, lease_seconds: float
    ) -> None:
        self.name = name
        self.channel = channel
        self._core = core
        self._clock = clock
        self._time_limit = time_limit
        self._lease_seconds = lease_seconds
        self._wake = threading.Event()
        self._stopping = False
        self._random = random.Random()
        self._paused_until: datetime | None = None
        self._thread = threading.Thread(target=self._run, name=f"channel-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something is to be said."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                again_at = self._paused() or self._step()
            except StoreError as error:
                log.error("outbox not reached", channel=self.name, error=str(error))
                again_at = self._clock.now() + STORE_RETRY
            except Exception:
                log.exception("channel worker failed", channel=self.name)
                again_at = self._clock.now() + STORE_RETRY
            wait = None if again_at is None else self._clock.real_seconds_until(again_at)
            if not self._stopping and (wait is None or wait > 0):
                self._wake.wait(wait)

    def _step(self) -> datetime | None:
        """Send the next row, if one is due. Returns when to come again (None: when woken)."""
        leased, again_at = self._core.ask(self._take).result()
        while leased is not None:
            leased, again_at = self._send(leased)
        return again_at

    def _send(self, leased: Leased) -> tuple[Leased | None, datetime | None]:
        """Send a row, record what became of it, and take the next one; or when to come again."""
        core, clock = self._core, self._clock
        sent = send(self.channel, leased, self._time_limit)
        jitter = self._random.random()

        def settle(store: Store) -> tuple[Dispatched, Leased | None]:
            now = clock.now()
            if self._stopping:
                return record(store, core.policy, sent, now, jitter), None
            try:
                return record_and_lease(store, core.policy, sent, now, jitter, self._lease_seconds)
            except StoreError:
                raise
            except Exception:
                # What cannot be taken next must not make us forget what was sent.
                log.exception("next row could not be taken", channel=self.name)
                return record(store, core.policy, sent, now, jitter), None

        done, following = core.ask(settle).result()
        _log_sent(self.name, leased, done.outcome, done.detail)
        self._paused_until = pause_of(sent, clock.now())
        return following, self._paused_until or done.again_at

    def _take(self, store: Store) -> tuple[Leased | None, datetime | None]:
        """The next row, if one is due; else when to come again. For the core."""
        policy, now = self._core.policy, self._clock.now()
        leased, _ = lease(store, policy, self.name, now, self._lease_seconds)
        return leased, None if leased is not None else next_due(store, policy, self.name, now)

    def _paused(self) -> datetime | None:
        """Until when the remote wants to hear nothing; whoever wakes the channel meanwhile does not change
        that. None: it may speak."""
        until = self._paused_until
        return until if until is not None and self._clock.now() < until else None

    def stop(self, seconds_max: float) -> None:
        """Let the send that is under way finish within that time; its lease is given back otherwise."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds_max)
        self.channel.close()


def _log_sent(channel: str, leased: Leased, outcome: str, detail: str) -> None:
    say = log.info if outcome == "delivered" else log.warning
    say(
        "alert " + outcome,
        channel=channel,
        stage=str(leased.row.stage),
        subject=leased.row.subject,
        attempt=leased.row.attempts,
        **({"detail": detail} if detail else {}),
    )


def stop_all(
    accounts: Iterable[AccountWorker], channels: Iterable[ChannelWorker], seconds_max: float
) -> None:
    """Stop them all; the core must still be running, since what is under way is recorded there."""
    accounts, channels = list(accounts), list(channels)
    stoppers = [threading.Thread(target=a.stop, args=(True,), daemon=True) for a in accounts]
    stoppers += [threading.Thread(target=c.stop, args=(seconds_max,), daemon=True) for c in channels]
    deadline = time.monotonic() + seconds_max
    for thread in stoppers:
        thread.start()
    for thread in stoppers:
        thread.join(max(0.0, deadline - time.monotonic()))
