"""The fold: from what was written and said to cases. Pure, and the same in any order of arrival.

The same facts give the same cases, so a late, edited, doubled or deleted message needs no code of its own,
only another fold. A customer's threads are cut into segments, each a case; each segment's timeline is
walked for its waits (`rules.waits`); and each wait is held to a target.

A case is over when `gap` has passed in silence with nobody waiting; that is asked when the next message
comes, since silence alone happens without anything being written. Until then `Case.closes_at` says when.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from rules.case import CLOSING_WORDS, MOVING_WORDS, Action, Case, Part, Place, Reply, Status, Word
from rules.clocks import Held, make_clocks, make_resolution, promised, resolution_seconds
from rules.match import Traits
from rules.meaning.contract import Priority, Verdict
from rules.message import MessageKey
from rules.people import too_quick
from rules.policies import FoldPolicy, Policies
from rules.targets import (
    GAP_SECONDS_DEFAULT,
    PRIORITY_ORDER,
    Choice,
    Target,
    choose,
    explain,
)
from rules.waits import Replied, Story, Wait, tell


@dataclass(frozen=True, slots=True)
class Made:
    """A case, the customer's messages that it holds, and the threads beside its own in which it goes on,
    each with the time from which it does."""

    case: Case
    holds: frozenset[str]
    threads: tuple[tuple[str, datetime], ...] = ()


@dataclass(slots=True)
class _Growth:
    """What a case is, message by message: it only grows (a complaint if one of its messages is)."""

    place: Place
    first: Part
    judged: bool = False
    complaint: bool = False
    addressed: bool = False
    needs_reply: bool = False
    priority: Priority = Priority.LOW
    topics: frozenset[str] = frozenset()
    language: str | None = None
    _traits: Traits | None = None

    def add(self, part: Part, verdict: Verdict | None) -> None:
        if part.addressed and not self.addressed:
            self.addressed, self._traits = True, None
        if verdict is None or (
            self.judged
            and self.complaint >= verdict.is_complaint
            and self.needs_reply >= verdict.needs_reply
            and (self.language is not None or not (part.language or verdict.language))
            and PRIORITY_ORDER[verdict.priority] <= PRIORITY_ORDER[self.priority]
            and self.topics.issuperset(verdict.topics)
        ):
            return  # most messages add nothing to what a case is
        self._traits = None
        self.judged = True
        self.complaint = self.complaint or verdict.is_complaint
        self.needs_reply = self.needs_reply or verdict.needs_reply
        self.language = self.language or part.language or verdict.language
        if PRIORITY_ORDER[verdict.priority] > PRIORITY_ORDER[self.priority]:
            self.priority = verdict.priority
        if verdict.topics:
            self.topics = self.topics.union(verdict.topics)

    def traits(self) -> Traits:
        """What it is by now: the same object while nothing changes."""
        if self._traits is None:
            self._traits = self._make_traits()
        return self._traits

    def _make_traits(self) -> Traits:
        return Traits(
            brand=self.place.brand,
            connector=self.place.connector,
            account=self.first.account,
            public=self.first.public,
            kind=self.first.kind,
            complaint=self.complaint,
            addressed=self.addressed,
            needs_reply=self.needs_reply or not self.judged,
            priority=self.priority if self.judged else Priority.NORMAL,
            followers=self.first.followers,
            topics=self.topics,
            language=self.language,
            rating=self.first.rating,
        )


@dataclass(slots=True)
class _Segment:
    """A case in the making. `unanswered`: the messages that no person has answered, as far as the borders
    of cases are concerned: after the first answer (`answered`) or closing word only those that asked for a
    reply. `over`: silence has ended it."""

    thread: str
    growth: _Growth  # up to `inbound[:grown]`, by the first texts
    grown: int = 0
    inbound: list[Part] = field(default_factory=list)
    replies: list[Replied] = field(default_factory=list)
    last_at: datetime | None = None
    unanswered: list[Part] = field(default_factory=list)
    answered: bool = False
    over: bool = False
    threads: list[tuple[str, datetime]] = field(default_factory=list)
    closing: list[Action] = field(default_factory=list)

    def traits(self) -> Traits:
        """What it is by now, by the first texts, which decide the borders."""
        for part in self.inbound[self.grown :]:
            self.growth.add(part, part.first_verdict or part.verdict)
        self.grown = len(self.inbound)
        return self.growth.traits()

    def over_by(self, then: datetime, gap: timedelta) -> bool:
        """Whether silence had ended it by then: since the last message, or an operator's word after it, there
        was silence for long enough while nobody waited."""
        last_at = self.last_at
        if self.over or last_at is None:
            return self.over
        said = [a for a in self.closing if a.at < then]
        quiet_from = [last_at, *(a.at for a in said if a.at > last_at)]
        return any(
            until - since >= gap and not self.waits_at(since)
            for since, until in pairwise((*quiet_from, then))
        )

    def waits_at(self, at: datetime) -> bool:
        """Whether, after the last message, somebody waited at that time."""
        heard = [a for a in self.closing if a.at <= at]
        return any(not any(a.covers(p) for a in heard) for p in self.unanswered)


def fold(
    place: Place, parts: Sequence[Part], actions: Sequence[Action], policy: FoldPolicy | Policies
) -> tuple[Case, ...]:
    """The cases of one conversation, oldest first.

    `parts` are all its messages, the brand's included, in any order and without doubles; `actions` all
    the words that operators said about any of them.
    """
    return tuple(made.case for made in fold_threads(place, parts, actions, policy))


def fold_threads(
    place: Place, parts: Sequence[Part], actions: Sequence[Action], policy: FoldPolicy | Policies
) -> list[Made]:
    """The same for several threads of one customer on one platform, told apart by `Part.thread` ("" is
    `place.conversation`): a public case that goes on in private messages stays one case."""
    policies = policy if isinstance(policy, Policies) else Policies.of(policy)
    cut = _Cut(place, actions, policies)
    for part in sorted(parts, key=lambda p: (p.created_at, not p.inbound, p.id)):
        cut.add(part)
    return [_make(place, segment, _said_of(segment, actions), policies) for segment in cut.segments]


class _Cut:
    """Cuts a customer's threads into segments, in the order in which things were written."""

    def __init__(self, place: Place, actions: Sequence[Action], policies: Policies) -> None:
        self.segments: list[_Segment] = []
        self._place = place
        self._policies = policies
        self._current: dict[str, _Segment] = {}
        self._public: set[str] = set()
        self._closing: dict[str, list[Action]] = {}
        for action in sorted(actions, key=lambda a: a.at):
            if action.word in CLOSING_WORDS:
                self._closing.setdefault(action.message_id, []).append(action)

    def add(self, part: Part) -> None:
        current = self._current.get(part.thread)
        over = current is None or self._over(current, part)
        if part.inbound:
            if current is None or over:
                current = self._joined(part) or self._opened(part)
            current.inbound.append(part)
            if part.id in self._closing:
                current.closing = sorted([*current.closing, *self._closing[part.id]], key=lambda a: a.at)
            # No judgement of a text changes a first response: until then whoever wrote waits.
            heard = current.answered or any(a.at < part.created_at for a in current.closing)
            if part.needed_reply or not heard:
                current.unanswered.append(part)
        else:
            if over and not part.public:
                current = self._joined(part) or current
            if current is None:
                return  # the brand spoke first: that starts no case
            asked_at = current.inbound[-1].created_at
            quick = self._policies.at(part.created_at).quick_seconds
            by_person = not part.automated and not too_quick(asked_at, part.created_at, quick)
            current.replies.append(Replied(part, by_person))
            if by_person:
                current.answered = True
                current.unanswered.clear()
        current.last_at = part.created_at

    def _opened(self, part: Part) -> _Segment:
        segment = _Segment(part.thread, _Growth(self._place, part))
        self.segments.append(segment)
        self._current[part.thread] = segment
        if part.public:
            self._public.add(part.thread)
        return segment

    def _joined(self, part: Part) -> _Segment | None:
        """The public case that goes on in this private message: the one last spoken in, if it is not over.
        The brand's own message continues only one in which somebody waits."""
        if part.public:
            return None
        open_ones = [
            s
            for s in (self._current[thread] for thread in self._public)
            if not self._over(s, part) and (part.inbound or s.unanswered)
        ]
        if not open_ones:
            return None
        found = max(open_ones, key=lambda s: (s.last_at or s.inbound[0].created_at, s.inbound[0].id))
        found.threads.append((part.thread, part.created_at))
        self._current[part.thread] = found
        return found

    def _over(self, segment: _Segment, part: Part) -> bool:
        """Whether the case was over when this message was written. Then it stays over: what the brand writes
        later does not bring it back."""
        if segment.over or segment.last_at is None:
            return segment.over
        shortest = self._policies.shortest_gap
        if part.created_at - segment.last_at < shortest or (segment.unanswered and not segment.closing):
            return False
        target = choose(self._policies.at(part.created_at).targets, segment.traits())
        segment.over = segment.over_by(part.created_at, _gap(target))
        return segment.over


def _said_of(segment: _Segment, actions: Sequence[Action]) -> list[Action]:
    if not actions:
        return []
    ids = {p.id for p in segment.inbound}
    return sorted((a for a in actions if a.message_id in ids), key=lambda a: (a.at, a.word, a.who))


def _hold_as_said(
    place: Place, inbound: Sequence[Part], waits: Sequence[Wait], said: Sequence[Action], policies: Policies
) -> tuple[list[Held], Traits, Sequence[Part]]:
    """`_hold`, after what operators said: a wait that went on when somebody said that it is no complaint is
    held to what is promised to others; one that was over keeps its target. With the messages as judged."""
    held, traits = _hold(place, inbound, waits, policies)
    labels = [a for a in said if a.word is Word.NOT_COMPLAINT]
    if not labels:
        return held, traits, inbound
    calm = [_calmed(p, labels) for p in inbound]
    anew, calm_traits = _hold(place, calm, waits, policies)
    over = [w.stopped_at is not None and w.stopped_at <= labels[0].at for w in waits]
    mixed = [h if is_over else a for h, a, is_over in zip(held, anew, over, strict=True)]
    return (mixed, traits, inbound) if over[-1] else (mixed, calm_traits, calm)


def _calmed(part: Part, labels: Sequence[Action]) -> Part:
    """The message, as no complaint where it had been seen when somebody said so. The word counts like an edit
    at its time, so that it makes nobody late in the past."""
    verdict = part.verdict
    label = next((a for a in labels if a.covers(part)), None)
    if label is None or verdict is None or not verdict.is_complaint:
        return part
    calm = replace(
        verdict,
        complaint=0.0,
        is_complaint=False,
        priority=min(verdict.priority, Priority.NORMAL, key=PRIORITY_ORDER.__getitem__),
        reasons=(f"{label.who} says that it is no complaint",),
    )
    return replace(
        part,
        verdict=calm,
        first_verdict=part.first_verdict or verdict,
        edited_at=max(label.at, part.edited_at or label.at),
    )


def _hold(
    place: Place, inbound: Sequence[Part], waits: Sequence[Wait], policies: Policies
) -> tuple[list[Held], Traits]:
    """The target of each wait, and from when it holds: what is written after a wait's end changes it no
    more, and an edit counts from when it was made, if the target would have been another without it. With
    what the case is in the end."""
    now = _Growth(place, inbound[0])
    edited_any = any(p.first_verdict is not None for p in inbound)
    at_first = _Growth(place, inbound[0]) if edited_any else now
    edited = inbound[0].created_at
    held: list[Held] = []
    n = 0
    for wait in waits:
        policy = policies.at(wait.stopped_at)
        target, since, first, chosen_by = None, wait.started_at, True, None
        while n < len(inbound):
            part = inbound[n]
            if wait.stopped_at is not None and part.created_at > wait.stopped_at and n:
                break
            n += 1
            now.add(part, part.verdict)
            if edited_any:
                at_first.add(part, part.first_verdict or part.verdict)
                edited = max(edited, part.edited_at or edited)
            if part.created_at < wait.started_at or now.traits() is chosen_by:
                continue
            chosen_by = now.traits()
            chosen = choose(policy.targets, chosen_by)
            if not first and chosen is target:
                continue
            target, since, first = chosen, max(part.created_at, wait.started_at), False
            if edited_any and choose(policy.targets, at_first.traits()) is not chosen:
                since = max(since, edited)
        if first:  # every message of this wait was taken in before it began: it waits anew after a word
            target = choose(policy.targets, now.traits())
        since = max([since, *_tightened(wait, now.traits(), policies)])
        held.append(Held(target, since, now.traits(), policy))
    for part in inbound[n:]:
        now.add(part, part.verdict)
    return held, now.traits()


def _tightened(wait: Wait, traits: Traits, policies: Policies) -> Iterator[datetime]:
    """When a new policy promised more than the one before while this wait went on: a promise that comes late
    never makes anybody late in the past."""
    for at, before, after in policies.changes(wait.started_at, wait.stopped_at):
        old, new = choose(before.targets, traits), choose(after.targets, traits)
        was = None if old is None else promised(old, wait.name)
        now = None if new is None else promised(new, wait.name)
        other_hours = old is not None and new is not None and old.calendar != new.calendar
        if now is not None and (was is None or now < was or other_hours):
            yield at


def _make(place: Place, segment: _Segment, said: Sequence[Action], policies: Policies) -> Made:
    first, last = segment.inbound[0], segment.inbound[-1]
    threads = tuple((thread or place.conversation, at) for thread, at in segment.threads)
    if segment.thread:
        place = Place(place.brand, place.connector, segment.thread, place.customer)
    story = tell(segment.inbound, segment.replies, said)
    held, traits, inbound = _hold_as_said(place, segment.inbound, story.waits, said, policies)
    status, current = story.status, held[-1]
    if status is Status.WAITING and current.target is None and not traits.needs_reply:
        status = Status.NOT_NEEDED
    live = next((p for p in inbound if p.quiet_before is None), None)
    wait = story.waits[-1]
    standing = _standing(wait)
    verdicts = [p.verdict for p in inbound if p.verdict is not None]
    worst = max(verdicts, key=lambda v: v.complaint, default=None)
    acknowledgements = [a for a in said if a.word is Word.ACK and a.covers(wait.messages[0])]
    moves = [a for a in said if a.word in MOVING_WORDS and a.covers(wait.messages[0])]
    assigned = next((a for a in reversed(said) if a.word is Word.ASSIGN), None)
    snoozes = [a.until for a in said if a.word is Word.SNOOZE and a.until is not None]
    answer = story.first_response
    first_sum, full_sum = resolution_seconds(story, current)
    case = Case(
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
        status=status,
        complaint=traits.complaint,
        complaint_score=worst.complaint if worst is not None else 0.0,
        addressed=traits.addressed,
        needs_reply=traits.needs_reply,
        priority=traits.priority,
        topics=tuple(sorted(traits.topics)),
        reasons=worst.reasons if worst is not None else (),
        historic=first.quiet_before is not None,
        quiet=_quiet(first, live, wait, current),
        clocks=make_clocks(story.waits, held, first, live, policies),
        resolution=make_resolution(story, current, first, live, policies),
        language=traits.language,
        rating=first.rating,
        asked_at=story.asked_at,
        first_response=None
        if answer is None
        else Reply(answer.id, answer.created_at, answer.author_handle, answer.seen_at),
        first_any_reply_at=segment.replies[0].part.created_at if segment.replies else None,
        first_resolution_seconds=first_sum,
        full_resolution_seconds=full_sum,
        waiting_message_id=standing.id if status is Status.WAITING else None,
        asked_privately=None if standing.public else standing.account,
        closes_at=_closes_at(segment, story, current.target),
        acknowledged_at=acknowledgements[-1].at if acknowledgements else None,
        acknowledged_by=acknowledgements[-1].who if acknowledgements else None,
        assignee=assigned.note if assigned is not None else None,
        snoozed_until=snoozes[-1] if snoozes else None,
        moved=moves[-1] if moves else None,
        assigned=assigned,
    )
    return Made(case, frozenset(p.id for p in inbound), threads)


def _standing(wait: Wait) -> Part:
    """The oldest message of a wait that was not deleted: the one to show, and to answer."""
    return next((p for p in wait.messages if p.deleted_at is None), wait.messages[0])


def _gap(target: Target | None) -> timedelta:
    return timedelta(seconds=GAP_SECONDS_DEFAULT if target is None else target.gap_seconds)


def _closes_at(segment: _Segment, story: Story, target: Target | None) -> datetime | None:
    """When silence will have ended it, or has; None while somebody waits."""
    last = max(t for t in (segment.last_at, story.closed_at) if t is not None)
    if story.status is Status.WAITING or segment.waits_at(last):
        return None
    return last + _gap(target)


def _quiet(first: Part, live: Part | None, wait: Wait, held: Held) -> bool:
    """The past is quiet: a case from before the first run, unless it is young enough or goes on since."""
    if first.quiet_before is None or live is not None:
        return False
    backlog = held.policy.backlog_seconds
    if backlog is None:
        backlog = (held.target and promised(held.target, wait.name)) or 0.0
    return (first.quiet_before - wait.started_at).total_seconds() >= backlog


def explain_clocks(
    place: Place, parts: Sequence[Part], actions: Sequence[Action], policy: FoldPolicy | Policies
) -> dict[tuple[str, int], Choice]:
    """Why each response clock has its target, by (case id, cycle): a line for each target looked at."""
    policies = policy if isinstance(policy, Policies) else Policies.of(policy)
    cut = _Cut(place, actions, policies)
    for part in sorted(parts, key=lambda p: (p.created_at, not p.inbound, p.id)):
        cut.add(part)
    choices = {}
    for segment in cut.segments:
        said = _said_of(segment, actions)
        story = tell(segment.inbound, segment.replies, said)
        id = str(MessageKey(place.brand, place.connector, segment.inbound[0].id))
        held_to, _, _ = _hold_as_said(place, segment.inbound, story.waits, said, policies)
        for cycle, held in enumerate(held_to):
            choices[id, cycle] = explain(held.policy.targets, held.traits)
    return choices
