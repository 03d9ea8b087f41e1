"""The case: what one customer waits for, and the facts that it is folded from. `rules.fold` folds them.

A case has clocks. Its response waits come one after another (`clocks`): the first response, then one wait
for each time the customer asks again. Beside them runs the one of its resolution, where one is promised.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rules.meaning.contract import Priority, Verdict
from rules.message import Kind


class Status(StrEnum):
    """Where a case stands, and how a wait can end. Only WAITING has a response clock that runs."""

    WAITING = "waiting"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"  # the customer deleted it
    NOT_NEEDED = "not_needed"  # nothing in it asks for a reply
    RESOLVED = "resolved"  # an operator said so
    IGNORED = "ignored"  # an operator said that no reply is needed
    ANSWERED_ELSEWHERE = "answered_elsewhere"  # an operator said: by phone, in a shop


class ClockName(StrEnum):
    """The waits that are measured."""

    FIRST_RESPONSE = "first_response"
    NEXT_RESPONSE = "next_response"
    RESOLUTION = "resolution"


class Word(StrEnum):
    """What an operator can say of a case."""

    ACK = "ack"
    RESOLVE = "resolve"
    IGNORE = "ignore"
    ANSWERED = "answered"
    SNOOZE = "snooze"
    ASSIGN = "assign"
    NOT_COMPLAINT = "not_complaint"


CLOSING_WORDS = {
    Word.RESOLVE: Status.RESOLVED,
    Word.IGNORE: Status.IGNORED,
    Word.ANSWERED: Status.ANSWERED_ELSEWHERE,
}
"""The words that end a wait, and how."""

MOVING_WORDS = frozenset({Word.ACK, Word.ASSIGN, Word.SNOOZE, Word.NOT_COMPLAINT})
"""The words after which the customer waits on, and what people were told of it reads otherwise."""


@dataclass(frozen=True, slots=True)
class Action:
    """An operator's word about the case that holds the message `message_id`.

    `until` is a snooze's end; `note` is an assignee, or how it was answered.
    """

    word: Word
    message_id: str
    who: str
    at: datetime
    until: datetime | None = None
    note: str | None = None

    def covers(self, part: Part) -> bool:
        """A word covers what had been seen when it was given: nobody spoke of what nobody knew."""
        return part.seen_at <= self.at


@dataclass(frozen=True, slots=True)
class Part:
    """A message of a conversation, as far as the fold needs it.

    `verdict` is that of its present text, `first_verdict` that of its first one, since edits never move a
    case's borders (None: it was not edited). `automated`: no person wrote it. `quiet_before`: set where the
    message is older than the first run of its stream: then it is the past, which is quiet. `thread`: the
    thread that it stands in, where that is not the conversation's own (a public case that went on by DM).
    """

    id: str
    inbound: bool
    created_at: datetime
    seen_at: datetime
    author_handle: str | None
    verdict: Verdict | None = None
    first_verdict: Verdict | None = None
    addressed: bool = False
    automated: bool = False
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    quiet_before: datetime | None = None
    account: str = ""
    kind: Kind = Kind.POST
    public: bool = True
    followers: int | None = None
    reach: int | None = None
    language: str | None = None
    rating: float | None = None
    thread: str = ""

    @property
    def needs_reply(self) -> bool:
        """Whether its present text asks for a reply; what nobody has judged does."""
        return self.verdict is None or self.verdict.needs_reply

    @property
    def needed_reply(self) -> bool:
        """The same of its first text, which decides the borders of cases."""
        first = self.first_verdict or self.verdict
        return first is None or first.needs_reply


@dataclass(frozen=True, slots=True)
class Place:
    """Which conversation it is: the customer is an author id."""

    brand: str
    connector: str
    conversation: str
    customer: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of the brand that counts."""

    message_id: str
    at: datetime
    by: str | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """One measured wait. Times are aware UTC.

    `cycle` numbers the response waits of a case from 0 (of the resolution clock it is 0). It runs from
    `message_id`, the oldest message that nobody had answered. While it runs, `stopped_at` and `ending` are
    None. `answer_id` is the reply that stopped it. `target` None: it is promised nothing. `calendar` None:
    around the clock. `due_at` is when the promise is broken, also None while a resolution clock stands still;
    `warnings` are the (share, time) at which people are told before.
    """

    name: ClockName
    cycle: int
    started_at: datetime
    message_id: str
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    ending: Status | None = None
    answer_id: str | None = None
    target: str | None = None
    target_seconds: float | None = None
    calendar: str | None = None
    due_at: datetime | None = None
    warnings: tuple[tuple[float, datetime], ...] = ()
    repeat_seconds: float | None = None
    repeat_max: int = 0

    @property
    def runs(self) -> bool:
        return self.ending is None

    @property
    def seconds(self) -> float | None:
        """How long the wait was, in real time; None while it runs."""
        return None if self.stopped_at is None else (self.stopped_at - self.started_at).total_seconds()

    @property
    def breached_at(self) -> datetime | None:
        """When the promise was broken before the wait ended; None where it was not, or has not been yet: a
        wait that runs is asked with `now`, by `rules.decisions`. A withdrawn one counts as no breach."""
        if self.due_at is None or self.stopped_at is None or self.ending is Status.WITHDRAWN:
            return None
        return self.due_at if self.stopped_at > self.due_at else None


@dataclass(frozen=True, slots=True)
class Case:
    """One request for help, and how long it waits. Times are aware UTC.

    `id` is that of its first message. `clocks` are its response waits in order, never empty; `resolution`
    is None where none is promised and nobody resolved it. `first_response` is the first reply by a person,
    and `asked_at` when what it answers was first asked; `first_any_reply_at` is the first of any kind.
    While it waits, `waiting_message_id` is the oldest message that still stands and nobody answered.
    `asked_privately` is the account that this message was sent to, where it is a private one. `closes_at` is
    when silence will have ended the case; None while somebody waits. `quiet`: it began before the
    first run and is never alerted on. `historic`: it began before the first run, and is outside the
    counters. `first_resolution_seconds` and `full_resolution_seconds` run to the first and to the last time
    that it was resolved, less the pauses that its target allows. `moved` is the latest of the MOVING_WORDS
    that was said of the present wait; `assigned` the word by which it became the `assignee`'s.
    """

    id: str
    place: Place
    account: str
    kind: Kind
    public: bool
    customer_handle: str | None
    followers: int | None
    reach: int | None
    opened_at: datetime
    first_message_id: str
    last_message_id: str
    last_message_at: datetime
    inbound_count: int
    status: Status
    complaint: bool
    complaint_score: float
    addressed: bool
    needs_reply: bool
    priority: Priority
    topics: tuple[str, ...]
    reasons: tuple[str, ...]
    historic: bool
    quiet: bool
    clocks: tuple[Clock, ...]
    resolution: Clock | None = None
    language: str | None = None
    rating: float | None = None
    asked_at: datetime | None = None
    first_response: Reply | None = None
    first_any_reply_at: datetime | None = None
    first_resolution_seconds: float | None = None
    full_resolution_seconds: float | None = None
    waiting_message_id: str | None = None
    asked_privately: str | None = None
    closes_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None
    snoozed_until: datetime | None = None
    moved: Action | None = None
    assigned: Action | None = None

    @property
    def latest(self) -> Clock:
        """The response wait that runs, else the last one."""
        return self.clocks[-1]

    @property
    def wait(self) -> Clock | None:
        """The response wait that runs and matters; None where nobody waits for an answer."""
        return self.clocks[-1] if self.status is Status.WAITING else None

    @property
    def waiting_since(self) -> datetime | None:
        """Since when the customer waits: since the oldest message that nobody answered."""
        return self.clocks[-1].started_at if self.status is Status.WAITING else None

    @property
    def target(self) -> str | None:
        """The target of the latest response wait."""
        return self.clocks[-1].target

    @property
    def due_at(self) -> datetime | None:
        """When the latest response wait is due, or was."""
        return self.clocks[-1].due_at

    @property
    def first(self) -> Clock:
        """The wait for the first response: the one that the first reply ended, else the last such wait."""
        waits = [c for c in self.clocks if c.name is ClockName.FIRST_RESPONSE]
        answered = [c for c in waits if c.ending is Status.ANSWERED]
        return (answered or waits or [self.clocks[0]])[-1]

    @property
    def all_clocks(self) -> tuple[Clock, ...]:
        """Every clock of it."""
        return self.clocks if self.resolution is None else (*self.clocks, self.resolution)

    def wait_at(self, moment: datetime) -> Clock | None:
        """The response wait in which something was written then: what was learned of later may renumber the
        waits, and may begin one earlier, but does not move what was written."""
        begun = [c for c in self.clocks if c.started_at <= moment]
        return max(begun, key=lambda c: c.started_at) if begun else None

    def clock(self, name: ClockName, cycle: int) -> Clock | None:
        """One of them; None where there is none such (any more)."""
        return next((c for c in self.all_clocks if (c.name, c.cycle) == (name, cycle)), None)

    @property
    def first_response_seconds(self) -> float | None:
        """The first response time; None while nobody answered."""
        if self.first_response is None or self.asked_at is None:
            return None
        return (self.first_response.at - self.asked_at).total_seconds()
