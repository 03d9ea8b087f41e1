"""The waits of a case: its timeline walked once, from the first message to the last word.

    in the timeline            nobody waits                          somebody waits
    ─────────────────────────  ────────────────────────────────────  ─────────────────────────────────────────
    the customer writes        the case's first message: a wait;     joins the wait, which goes on from the
                               later only what needs a reply         oldest message that nobody answered
    a person of the brand      nothing starts, nothing stops         ends it: ANSWERED
    a machine of the brand     nothing                               nothing
    an operator's closing      RESOLVED, if that is the word         ends it for what had been seen by then;
    word                                                             what was seen later waits on, anew
    the customer deletes       nothing                               all of it deleted: WITHDRAWN

A wait that follows a person's answer is for the next response; all before that are for the first one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rules.case import CLOSING_WORDS, Action, ClockName, Part, Status, Word

_WRITES, _REPLIES, _SAYS, _DELETES = range(4)  # what comes first where two things happen at the same instant


@dataclass(slots=True)
class Wait:
    """One wait, while its story is told. `messages` are those that wait in it, oldest first."""

    name: ClockName
    messages: list[Part]
    standing: set[str] = field(default_factory=set)  # those of them that are not deleted yet
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    ending: Status | None = None
    answer: Part | None = None

    @property
    def started_at(self) -> datetime:
        return self.messages[0].created_at

    def stop(self, at: datetime, by: str | None, ending: Status) -> None:
        self.stopped_at, self.stopped_by, self.ending = max(at, self.started_at), by, ending


@dataclass(slots=True)
class Story:
    """What a timeline came to. `asked_at`: since when the first response was waited for. `resolved_at`:
    each time that an operator resolved it; `resolved_by` the last of them. `resolved`: it is so now.
    `closed_at`: the last closing word."""

    waits: list[Wait] = field(default_factory=list)
    status: Status = Status.WAITING
    asked_at: datetime | None = None
    first_response: Part | None = None
    resolved_at: list[datetime] = field(default_factory=list)
    resolved_by: str | None = None
    resolved: bool = False
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Replied:
    """A reply of the brand, and whether a person wrote it."""

    part: Part
    by_person: bool


def tell(inbound: Sequence[Part], replies: Sequence[Replied], said: Sequence[Action]) -> Story:
    """Walk the timeline of one case. `said` are the operators' words about it, in order."""
    walk = _Walk()
    for what, thing in _timeline(inbound, replies, said):
        if what == _WRITES:
            walk.written(thing)
        elif what == _REPLIES:
            walk.replied(thing)
        elif what == _SAYS:
            walk.said(thing, inbound)
        else:
            walk.deleted(thing, thing.deleted_at)
    return walk.story


def _timeline(
    inbound: Sequence[Part], replies: Sequence[Replied], said: Sequence[Action]
) -> list[tuple[int, Any]]:
    """All that happened, in order, as (what, thing)."""
    happened: list[tuple[datetime, int, int, Any]]
    happened = [(p.created_at, _WRITES, n, p) for n, p in enumerate(inbound)]
    happened += [(r.part.created_at, _REPLIES, n, r) for n, r in enumerate(replies)]
    for n, action in enumerate(said):
        if action.word in CLOSING_WORDS:
            # A platform's clock may run ahead of ours: a word comes after what had been seen before it.
            at = max([action.at, *(p.created_at for p in inbound if action.covers(p))])
            happened.append((at, _SAYS, n, action))
    happened += [(p.deleted_at, _DELETES, n, p) for n, p in enumerate(inbound) if p.deleted_at is not None]
    happened.sort(key=lambda h: h[:3])
    return [(what, thing) for _, what, _, thing in happened]


class _Walk:
    """Where the walk stands."""

    def __init__(self) -> None:
        self.story = Story()
        self._running: Wait | None = None
        self._asked_in: Wait | None = None  # the wait that `asked_at` is the beginning of
        self._spoken = False  # a person answered, here or elsewhere
        self._fresh = (
            True  # nothing was ever answered or closed: whatever comes next is the first to be asked
        )

    def written(self, part: Part) -> None:
        if self._running is not None:
            self._running.messages.append(part)
            self._running.standing.add(part.id)
        elif self._fresh or part.needs_reply:
            self._start([part])

    def replied(self, reply: Replied) -> None:
        if not reply.by_person:
            return
        if self.story.first_response is None:
            self.story.first_response = reply.part
        self._spoken, self._fresh = True, False
        if self._running is not None:
            self._running.answer = reply.part
            self._stop(reply.part.created_at, reply.part.author_handle, Status.ANSWERED)

    def said(self, action: Action, inbound: Sequence[Part]) -> None:
        if not any(action.covers(p) for p in inbound):
            return  # nobody had seen any of it
        waiting = [] if self._running is None else self._running.messages
        covered = [p for p in waiting if action.covers(p)]
        if self._running is not None and covered:
            self._running.messages = covered
            self._stop(action.at, action.who, CLOSING_WORDS[action.word])
        self.story.closed_at = action.at
        self._fresh = False
        self._spoken = self._spoken or action.word is Word.ANSWERED
        if action.word is Word.RESOLVE and not self.story.resolved:  # to say it twice changes nothing
            self.story.resolved_at.append(action.at)
            self.story.resolved_by = action.who
            if self._running is None:
                self.story.status, self.story.resolved = Status.RESOLVED, True
        unseen = [p for p in waiting if not action.covers(p) and p.needs_reply]
        left = [p for p in unseen if p.deleted_at is None or p.deleted_at >= action.at]
        if covered and left:
            self._start(left)

    def deleted(self, part: Part, at: datetime) -> None:
        running = self._running
        if running is None or part.id not in running.standing:
            return
        running.standing.remove(part.id)
        if not running.standing:
            self._stop(at, "the customer", Status.WITHDRAWN)
            if running is self._asked_in and self.story.first_response is None:
                self.story.asked_at = None  # what was withdrawn is in no figure

    def _start(self, messages: list[Part]) -> None:
        name = ClockName.NEXT_RESPONSE if self._spoken else ClockName.FIRST_RESPONSE
        self._running = Wait(name, messages, {p.id for p in messages})
        self.story.waits.append(self._running)
        if self.story.asked_at is None and self.story.first_response is None:
            self.story.asked_at, self._asked_in = self._running.started_at, self._running
        self.story.status, self.story.resolved = Status.WAITING, False

    def _stop(self, at: datetime, by: str | None, ending: Status) -> None:
        if self._running is not None:
            self._running.stop(at, by, ending)
            self._running = None
            self.story.status = ending
