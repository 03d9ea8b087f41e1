"""The desk: what people do in a channel becomes an operator's word, and what they ask is answered.

Called by the channels' own threads; the core does the work, so that what is answered here is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime, timedelta

from alerts.contract import Asked, Deed, Press, WaitingLine
from monitor.act import NoSuchCase, act, find_case
from monitor.clock import Clock
from monitor.core import Core
from monitor.showing import showing_on
from monitor.store.database import StoreError
from monitor.store.store import Store
from monitor.telling import make_line, outcome_of
from rules.alert import StormCase
from rules.case import Action, Case, Word
from rules.decisions import running_clocks
from wire.durations import say_duration
from wire.redact import inert

ANSWER_SECONDS_MAX = 10.0
"""How long a press waits for the core (real time); it stays asked for, and may be kept after that."""

WHO_LENGTH_MAX = 80
LINES_MAX = 10
SNOOZE_SECONDS_MAX = 7 * 86_400.0

WORDS = {
    Deed.TAKE: Word.ACK,
    Deed.SNOOZE: Word.SNOOZE,
    Deed.ANSWERED: Word.ANSWERED,
    Deed.NO_REPLY: Word.IGNORE,
    Deed.NOT_COMPLAINT: Word.NOT_COMPLAINT,
    Deed.RESOLVE: Word.RESOLVE,
}


class CareDesk:
    """The desk of one channel, which shows of customers what the channel's alerts do."""

    def __init__(self, core: Core, clock: Clock, channel: str) -> None:
        self._core = core
        self._clock = clock
        self._channel = channel

    def act(self, press: Press) -> str:
        """Commit what somebody did about a case. Returns one line that says what became of it.

        Raises ValueError, with a line for people, where there is no such case, or it could not be kept.
        """
        asked = self._core.ask(lambda store: self._act(store, press))
        try:
            return asked.result(ANSWER_SECONDS_MAX)
        except NoSuchCase:
            raise ValueError("that case is no more; look at the queue") from None
        except FutureTimeoutError:
            raise ValueError("it takes too long; look in a minute whether it was kept") from None
        except StoreError:
            raise ValueError("it could not be kept: the store does not take it; try again") from None

    def waiting(self, asked: Asked) -> Sequence[WaitingLine]:
        """The most urgent cases, at most ten. Raises ValueError with a line for people."""
        found = self._core.ask(self._waiting)
        try:
            return found.result(ANSWER_SECONDS_MAX)
        except (FutureTimeoutError, StoreError):
            raise ValueError("the queue cannot be read now; try again") from None

    def _act(self, store: Store, press: Press) -> str:
        now = self._clock.now()
        case = find_case(store, press.subject).case
        word = WORDS[press.deed]
        if word is not Word.RESOLVE and not running_clocks(case, now):
            return f"nothing to do any more: {outcome_of(case) or case.status.replace('_', ' ')}"
        who = inert(press.who, WHO_LENGTH_MAX) or "somebody"
        until = None
        if word is Word.SNOOZE:
            seconds = min(max(0.0, press.snooze_seconds or 0.0), SNOOZE_SECONDS_MAX)
            until = now + timedelta(seconds=seconds)
        case = act(store, self._core.policy, Action(word, case.id, who, now, until), now)
        return _done(case, word, who, press.snooze_seconds)

    def _waiting(self, store: Store) -> list[WaitingLine]:
        now = self._clock.now()
        showing = showing_on(self._core.policy, self._channel)
        return [
            waiting_line(make_line(store, row.scope, row.case, showing), row.case.public, now)
            for row in store.cases.waiting(LINES_MAX)
        ]


def waiting_line(line: StormCase, public: bool, now: datetime) -> WaitingLine:
    """A case that waits as somebody reads it who asks who waits."""
    standing = f"waits {say_duration((now - line.waiting_since).total_seconds())}"
    if line.due_at is not None:
        left = (line.due_at - now).total_seconds()
        standing += f", {say_duration(abs(left))} {'left' if left >= 0 else 'late'}"
    return WaitingLine(
        case_id=line.case_id,
        customer=line.customer,
        place=f"{line.connector}, {'public' if public else 'private'}",
        standing=standing,
        url=line.url,
    )


def _done(case: Case, word: Word, who: str, snooze_seconds: float | None) -> str:
    """What became of it, in one line."""
    match word:
        case Word.ACK:
            return f"taken by {who}"
        case Word.SNOOZE:
            return f"snoozed for {say_duration(snooze_seconds or 0.0)}; the customer's wait goes on"
        case Word.RESOLVE:
            return f"resolved by {who}"
        case Word.NOT_COMPLAINT:
            held = f"held to {case.target}" if case.target else "nothing is promised to it"
            return f"no complaint, says {who}; {held}"
        case _:
            return outcome_of(case) or case.status.replace("_", " ")
