"""The core thread: it alone owns the store, runs the deadline loop, and does what workers ask of it.

Workers talk to the outside and hand values back; whatever reads or changes the store is a job for this
thread. So there are no locks to get wrong, and a slow platform holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog

from monitor.clock import Clock
from monitor.policy import Policy
from monitor.store.database import StoreError
from monitor.store.store import Store
from monitor.watch import Watched, watch_once

LOOK_EVERY_SECONDS = 5.0
"""The deadline loop asks the index at least this often (real time), since clocks jump and commands write."""

WAIT_AFTER_STORE_ERROR_SECONDS = 1.0

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class _Job:
    """Something to do with the store, and where its outcome goes."""

    work: Callable[[Store], Any]
    future: Future[Any]


class Core:
    """Owns the store. `run` is the thread's whole life; `ask` may be called from any other thread.

    `on_watched` is told what each look at the deadlines came to; `on_beat` is called after each look that
    read the store well, for the watchdog and readiness.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        clock: Clock,
        on_watched: Callable[[Watched], None],
        on_beat: Callable[[], None],
    ) -> None:
        self.policy = policy
        self._store = store
        self._clock = clock
        self._on_watched = on_watched
        self._on_beat = on_beat
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._stopping = False
        self._last_look = float("-inf")
        self._next_look: datetime | None = None

    def ask(self, work: Callable[[Store], T]) -> Future[T]:
        """Have the core do it; the future holds what it returns or raises. Safe in a signal handler."""
        future: Future[T] = Future()
        self._jobs.put(_Job(work, future))
        return future

    def stop(self) -> None:
        """Finish the jobs that are waiting, then return from `run`."""
        self._jobs.put(None)

    def run(self) -> None:
        """Do jobs and look at deadlines until `stop`."""
        while not self._stopping:
            if self._is_time():
                self._look()
            try:
                job = self._jobs.get(timeout=self._wait_seconds())
            except Empty:
                continue
            self._do(job)
        while True:  # what was asked before the stop is answered still; nobody asks after it
            try:
                self._do(self._jobs.get_nowait())
            except Empty:
                return

    def _is_time(self) -> bool:
        if self._clock.stopwatch() - self._last_look >= LOOK_EVERY_SECONDS:
            return True
        return self._next_look is not None and self._clock.now() >= self._next_look

    def _wait_seconds(self) -> float:
        wait = max(0.0, self._last_look + LOOK_EVERY_SECONDS - self._clock.stopwatch())
        if self._next_look is not None:
            wait = min(wait, self._clock.real_seconds_until(self._next_look))
        return wait

    def _look(self) -> None:
        self._last_look = self._clock.stopwatch()
        try:
            watched = watch_once(self._store, self.policy, self._clock.now())
        except StoreError as error:
            log.error("deadline loop cannot use the store", error=str(error))
            self._next_look = None
            self._last_look += WAIT_AFTER_STORE_ERROR_SECONDS - LOOK_EVERY_SECONDS
            return
        for pk, why in watched.failed.items():
            log.error("a case could not be looked at, and is put off", case=pk, error=why)
        self._next_look = self._clock.now() if watched.more else watched.next_look
        self._on_beat()
        self._on_watched(watched)

    def _do(self, job: _Job | None) -> None:
        if job is None:
            self._stopping = True
            return
        if not job.future.set_running_or_notify_cancel():
            return
        try:
            result = job.work(self._store)
            self._next_look = self._store.cases.next_look()
        except BaseException as error:  # whoever asked gets it, whatever it is
            job.future.set_exception(error)
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        else:
            job.future.set_result(result)
