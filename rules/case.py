"""The case: what one customer waits for, as a fold of what was written and what operators said.

`fold` takes one conversation (one customer in one thread) and gives its cases. It knows no order of
arrival: the same facts give the same cases, so a late, edited, doubled or deleted message needs no code of
its own, only another fold.

    a message of the customer ──▶ no case yet, or the last one is over ──▶ a new case
                                  else ──▶ the same case (its clock stands: the first message started it)
    a reply by a person       ──▶ stops the wait: ANSWERED
    a reply by a machine      ──▶ `first_any_reply`, and the wait goes on
    an operator's word        ──▶ covers what had been seen when it was given; a message seen later reopens
    all its messages deleted  ──▶ WITHDRAWN, unless it was answered before
    no message needs a reply  ──▶ NOT_NEEDED (no promise, but measured all the same)

A case is over when `gap` has passed in silence with nobody waiting; that is asked when the next message
comes, since silence alone happens without anything being written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from rules.meaning.contract import Priority, Verdict
from rules.message import Kind, MessageKey
from rules.people import too_quick
from rules.targets import GAP_SECONDS_DEFAULT, PRIORITY_ORDER, Target, Traits, choose, due_times


class Status(StrEnum):
    """Where a case stands. Only WAITING has a clock that runs."""

    WAITING = "waiting"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"  # the customer deleted it
    NOT_NEEDED = "not_needed"  # nothing in it asks for a reply
    RESOLVED = "resolved"  # an operator said so
    IGNORED = "ignored"  # an operator said that no reply is needed
    ANSWERED_ELSEWHERE = "answered_elsewhere"  # an operator said: by phone, in a shop


class Word(StrEnum):
    """What an operator can say of a case."""

    ACK = "ack"
    RESOLVE = "resolve"
    IGNORE = "ignore"
    ANSWERED = "answered"
    SNOOZE = "snooze"
    ASSIGN = "assign"


CLOSING_WORDS = {
    Word.RESOLVE: Status.RESOLVED,
    Word.IGNORE: Status.IGNORED,
    Word.ANSWERED: Status.ANSWERED_ELSEWHERE,
}


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


@dataclass(frozen=True, slots=True)
class Part:
    """A message of a conversation, as far as the fold needs it.

    `verdict` is that of its present text, `first_verdict` that of its first one, since edits never move a
    case's borders (None: it was not edited). `automated`: no person wrote it. `quiet_before`: set where the
    message is older than the first run of its stream: then it is the past, which is quiet.
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


@dataclass(frozen=True, slots=True)
class Place:
    """Which conversation it is: the customer is an author id."""

    brand: str
    connector: str
    conversation: str
    customer: str


@dataclass(frozen=True, slots=True)
class FoldPolicy:
    """What the fold needs of the policy. `quick_seconds`: a reply faster than that is automatic.
    `backlog_seconds`: how old a case from before the first run may be to be alerted on all the same;
    None: as old as its target."""

    targets: tuple[Target, ...]
    quick_seconds: float = 5.0
    backlog_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of the brand that counts."""

    message_id: str
    at: datetime
    by: str | None
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """One request for help, and how long it waits. Times are aware UTC.

    `id` is that of its first message. `first_response` is the first reply by a person and decides
    `first_response_seconds`; `first_any_reply_at` is the first of any kind. While it waits,
    `waiting_since` is the oldest message that nobody answered or covered, `due_at` when the promise is
    broken, `warnings` the (share, time) at which people are told before. `cycle` counts the waits that an
    operator's word ended and a later message reopened. `quiet`: it began before the first run and is never
    alerted on. `historic`: it began before the first run, and is outside the counters.
    `stopped_at`, `stopped_by`: when and by what the wait ended.
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
    cycle: int = 0
    first_response: Reply | None = None
    first_any_reply_at: datetime | None = None
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    waiting_since: datetime | None = None
    waiting_message_id: str | None = None
    target: str | None = None
    target_seconds: float | None = None
    due_at: datetime | None = None
    warnings: tuple[tuple[float, datetime], ...] = ()
    repeat_seconds: float | None = None
    repeat_max: int = 0
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None
    snoozed_until: datetime | None = None

    @property
    def first_response_seconds(self) -> float | None:
        """The first response time; None while nobody answered."""
        if self.first_response is None:
            return None
        return (self.first_response.at - self.opened_at).total_seconds()

    @property
    def breached_at(self) -> datetime | None:
        """When the due time passed before the wait ended; None where it did not, or has not yet: a wait
        that still runs is asked with `now`, by `rules.decisions`. A withdrawn case counts as no breach."""
        if self.due_at is None or self.stopped_at is None or self.status is Status.WITHDRAWN:
            return None
        return self.due_at if self.stopped_at > self.due_at else None


@dataclass(slots=True)
class _Growth:
    """What a case is, message by message: it only grows (a complaint if one of its messages is)."""

    first: Part
    judged: bool = False
    complaint: bool = False
    addressed: bool = False
    needs_reply: bool = False
    priority: Priority = Priority.LOW

    def add(self, part: Part, verdict: Verdict | None) -> None:
        self.addressed = self.addressed or part.addressed
        if verdict is None:
            return
        self.judged = True
        self.complaint = self.complaint or verdict.is_complaint
        self.needs_reply = self.needs_reply or verdict.needs_reply
        if PRIORITY_ORDER[verdict.priority] > PRIORITY_ORDER[self.priority]:
            self.priority = verdict.priority

    def traits(self, place: Place) -> Traits:
        return Traits(
            brand=place.brand,
            connector=place.connector,
            account=self.first.account,
            public=self.first.public,
            kind=self.first.kind,
            complaint=self.complaint,
            addressed=self.addressed,
            needs_reply=self.needs_reply or not self.judged,
            priority=self.priority if self.judged else Priority.NORMAL,
            followers=self.first.followers,
        )


@dataclass(slots=True)
class _Segment:
    """A case in the making. `needed`: somebody waits, as far as the borders of cases are concerned."""

    first_seen_as: _Growth
    inbound: list[Part] = field(default_factory=list)
    replies: list[tuple[Part, datetime]] = field(default_factory=list)  # with when they were asked
    last_at: datetime | None = None
    needed: bool = False


def fold(
    place: Place, parts: Sequence[Part], actions: Sequence[Action], policy: FoldPolicy
) -> tuple[Case, ...]:
    """The cases of one conversation, oldest first.

    `parts` are all its messages, the brand's included, in any order and without doubles; `actions` all
    the words that operators said about any of them.
    """
    ordered = sorted(parts, key=lambda p: (p.created_at, not p.inbound, p.id))
    segments: list[_Segment] = []
    for part in ordered:
        current = segments[-1] if segments else None
        if part.inbound:
            if current is None or _over(current, part, policy, place, actions):
                current = _Segment(_Growth(part))
                segments.append(current)
            original = part.first_verdict or part.verdict
            current.inbound.append(part)
            current.first_seen_as.add(part, original)
            current.needed = current.needed or original is None or original.needs_reply
        elif current is None:
            continue  # the brand spoke first: that starts no case
        else:
            asked_at = current.inbound[-1].created_at
            current.replies.append((part, asked_at))
            if _by_person(part, asked_at, policy):
                current.needed = False
        current.last_at = part.created_at
    return tuple(_make_case(place, s, _said_of(s, actions), policy) for s in segments)


def _by_person(part: Part, asked_at: datetime, policy: FoldPolicy) -> bool:
    return not part.automated and not too_quick(asked_at, part.created_at, policy.quick_seconds)


def _over(segment: _Segment, part: Part, policy: FoldPolicy, place: Place, actions: Sequence[Action]) -> bool:
    """Whether the case was over when this message was written: silence since, with nobody waiting, because
    a person answered or an operator's word covered all that had been written."""
    closed_at = [
        a.at
        for a in _said_of(segment, actions)
        if a.word in CLOSING_WORDS and all(_covers(a, p) for p in segment.inbound)
    ]
    if segment.last_at is None or (segment.needed and not closed_at):
        return False
    target = choose(policy.targets, segment.first_seen_as.traits(place))
    gap = target.gap_seconds if target is not None else GAP_SECONDS_DEFAULT
    return part.created_at - max([segment.last_at, *closed_at]) >= timedelta(seconds=gap)


def _said_of(segment: _Segment, actions: Sequence[Action]) -> list[Action]:
    if not actions:
        return []
    ids = {p.id for p in segment.inbound}
    return sorted((a for a in actions if a.message_id in ids), key=lambda a: a.at)


@dataclass(slots=True)
class _Wait:
    """The wait of a case: when it began, how it ended."""

    since: Part
    cycle: int = 0
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    status: Status = Status.WAITING


def _make_case(place: Place, segment: _Segment, said: Sequence[Action], policy: FoldPolicy) -> Case:
    inbound = segment.inbound
    first, last = inbound[0], inbound[-1]
    grown = _Growth(first)
    for part in inbound:
        grown.add(part, part.verdict)
    traits = grown.traits(place)
    verdicts = [p.verdict for p in inbound if p.verdict is not None]
    worst = max(verdicts, key=lambda v: v.complaint, default=None)
    answer = next((p for p, asked in segment.replies if _by_person(p, asked, policy)), None)
    wait = _follow(segment, answer, said)
    target, held_since = _target(place, inbound, answer, policy)
    if wait.status is Status.WAITING and target is None and not traits.needs_reply:
        wait.status = Status.NOT_NEEDED
    live = next((p for p in inbound if p.quiet_before is None), None)
    due = None
    if target is not None:
        started_at = _clock_start(wait, first, live)
        due = due_times(target, started_at, max(held_since, started_at))
    acknowledgements = [a for a in said if a.word is Word.ACK and _covers(a, wait.since)]
    snoozes = [a.until for a in said if a.word is Word.SNOOZE and a.until is not None]
    return Case(
        id=str(MessageKey(place.brand, place.connector, first.id)),
        place=place,
        account=first.account,
        kind=first.kind,
        public=first.public,
        customer_handle=first.author_handle,
        followers=first.followers,
        reach=first.reach,
        opened_at=first.created_at,
        first_message_id=first.id,
        last_message_id=last.id,
        last_message_at=last.created_at,
        inbound_count=len(inbound),
        status=wait.status,
        complaint=traits.complaint,
        complaint_score=worst.complaint if worst is not None else 0.0,
        addressed=traits.addressed,
        needs_reply=traits.needs_reply,
        priority=traits.priority,
        topics=tuple(sorted({t for v in verdicts for t in v.topics})),
        reasons=worst.reasons if worst is not None else (),
        historic=first.quiet_before is not None,
        quiet=_quiet(first, live, wait, target, policy),
        cycle=wait.cycle,
        first_response=None
        if answer is None
        else Reply(answer.id, answer.created_at, answer.author_handle, answer.seen_at),
        first_any_reply_at=segment.replies[0][0].created_at if segment.replies else None,
        stopped_at=wait.stopped_at,
        stopped_by=wait.stopped_by,
        waiting_since=wait.since.created_at if wait.status is Status.WAITING else None,
        waiting_message_id=wait.since.id if wait.status is Status.WAITING else None,
        target=target.name if target is not None else None,
        target_seconds=target.first_response_seconds if target is not None else None,
        due_at=due.due_at if due is not None else None,
        warnings=due.warnings if due is not None else (),
        repeat_seconds=target.repeat_seconds if target is not None else None,
        repeat_max=target.repeat_max if target is not None else 0,
        acknowledged_at=acknowledgements[-1].at if acknowledgements else None,
        acknowledged_by=acknowledgements[-1].who if acknowledgements else None,
        assignee=next((a.note for a in reversed(said) if a.word is Word.ASSIGN), None),
        snoozed_until=snoozes[-1] if snoozes else None,
    )


def _covers(action: Action, part: Part) -> bool:
    """An operator's word covers what had been seen when it was given."""
    return part.seen_at <= action.at


def _follow(segment: _Segment, answer: Part | None, said: Sequence[Action]) -> _Wait:
    """How the wait went: what ended it first, and whether a later message reopened it."""
    wait = _Wait(segment.inbound[0])
    for action in said:
        if action.word not in CLOSING_WORDS or (answer is not None and answer.created_at <= action.at):
            continue
        if wait.status is Status.WAITING:
            wait.stopped_at, wait.stopped_by = action.at, action.who
        wait.status = CLOSING_WORDS[action.word]
        later = next((p for p in segment.inbound if not _covers(action, p)), None)
        if later is not None and (answer is None or later.created_at <= answer.created_at):
            wait = _Wait(later, wait.cycle + 1)
    if wait.status is not Status.WAITING:
        return wait
    gone = [p.deleted_at for p in segment.inbound if p.deleted_at is not None]
    withdrawn_at = max(gone) if len(gone) == len(segment.inbound) else None
    if answer is not None and (withdrawn_at is None or answer.created_at <= withdrawn_at):
        wait.status, wait.stopped_at, wait.stopped_by = (
            Status.ANSWERED,
            answer.created_at,
            answer.author_handle,
        )
    elif withdrawn_at is not None:
        wait.status, wait.stopped_at, wait.stopped_by = Status.WITHDRAWN, withdrawn_at, "the customer"
    return wait


def _target(
    place: Place, inbound: Sequence[Part], answer: Part | None, policy: FoldPolicy
) -> tuple[Target | None, datetime]:
    """The target that the case is held to, and from when: what is written after the answer changes it no
    more, and an edit counts from when it was made, if the target would have been another without it."""
    now, at_first = _Growth(inbound[0]), _Growth(inbound[0])
    target: Target | None = None
    held_since = inbound[0].created_at
    edited = held_since
    for count, part in enumerate(inbound):
        if answer is not None and count and part.created_at > answer.created_at:
            break
        now.add(part, part.verdict)
        at_first.add(part, part.first_verdict or part.verdict)
        edited = max(edited, part.edited_at or edited)
        chosen = choose(policy.targets, now.traits(place))
        if count and chosen is target:
            continue
        target, held_since = chosen, part.created_at
        if choose(policy.targets, at_first.traits(place)) is not chosen:
            held_since = max(held_since, edited)
    return target, held_since


def _clock_start(wait: _Wait, first: Part, live: Part | None) -> datetime:
    """When the clock that alerts go by starts: at the message that waits; in a case that began before
    the first run, at the first message written since."""
    if first.quiet_before is not None and live is not None:
        return max(live.created_at, wait.since.created_at)
    return wait.since.created_at


def _quiet(first: Part, live: Part | None, wait: _Wait, target: Target | None, policy: FoldPolicy) -> bool:
    """The past is quiet: a case from before the first run, unless it is young enough or goes on since."""
    if first.quiet_before is None or live is not None:
        return False
    backlog = policy.backlog_seconds
    if backlog is None:
        backlog = (target.first_response_seconds or 0.0) if target is not None else 0.0
    return (first.quiet_before - wait.since.created_at).total_seconds() >= backlog
