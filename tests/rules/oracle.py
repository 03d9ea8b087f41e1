"""The oracle: a second, slow, obvious account of cases and response times, straight from the definitions.

Only for the tests of `rules`: it shares no helper with them, and takes nothing from them but the plain data
(`Part`, `Action`, `Word`). For every question it scans all messages again, so that each function can be read
against one sentence of the definitions and believed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from rules.case import Action, Part, Word

INBOUND, OUTBOUND, WORD, DELETION = range(4)
"""What comes first where two things happen in the same instant."""

ENDINGS = {Word.RESOLVE: "resolved", Word.IGNORE: "ignored", Word.ANSWERED: "answered_elsewhere"}


class Moment(NamedTuple):
    """When something happened, and its place among what happened in the same instant."""

    at: datetime
    kind: int
    id: str


class Spoken(NamedTuple):
    """A closing word, and when it was said. Of two in the same instant, the one recorded first came first."""

    moment: Moment
    word: Action


@dataclass(frozen=True)
class Wait:
    """One measured wait; `stopped_at`, `by`, `ending` None: it runs. `answer`: the reply's id. `opened_at` is
    when its oldest message was written, also where a closing word ended it for later ones only."""

    name: str
    opened_at: datetime
    started_at: datetime
    message: str
    stopped_at: datetime | None = None
    by: str | None = None
    ending: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Request:
    """One case, as far as responses go. `inbound`: the ids of its messages, as they were written."""

    first: str
    inbound: tuple[str, ...]
    waits: tuple[Wait, ...]
    first_response_at: datetime | None
    first_response_seconds: float | None
    first_any_reply_at: datetime | None


def moment_of(part: Part) -> Moment:
    return Moment(part.created_at, INBOUND if part.inbound else OUTBOUND, part.id)


def asks_for_a_reply(part: Part) -> bool:
    """By its present text; a text that nobody judged does."""
    return part.verdict is None or part.verdict.needs_reply


def asked_for_a_reply(part: Part) -> bool:
    """By its first text: edits never move the borders of cases."""
    first = part.verdict if part.first_verdict is None else part.first_verdict
    return first is None or first.needs_reply


class Conversation:
    """Everything that was written and said in one customer's conversation, in the order of the timeline."""

    def __init__(
        self, parts: Sequence[Part], actions: Sequence[Action], gap: timedelta, quick: timedelta
    ) -> None:
        self.parts = sorted(parts, key=moment_of)
        closing = sorted((a for a in actions if a.word in ENDINGS), key=lambda a: a.at)
        self.closing = [Spoken(Moment(a.at, WORD, f"{n:06}"), a) for n, a in enumerate(closing)]
        self.gap = gap
        self.quick = quick

    def is_human(self, reply: Part) -> bool:
        """Written by the brand, not marked automatic, and not quicker than a person types."""
        if reply.inbound or reply.automated:
            return False
        asked = [p.created_at for p in self.parts if p.inbound and moment_of(p) < moment_of(reply)]
        return not asked or reply.created_at - max(asked) >= self.quick

    def written_at(self, id: str) -> Moment | None:
        """When the customer wrote the message with that id."""
        return next((moment_of(p) for p in self.parts if p.inbound and p.id == id), None)

    def words_about(self, first: Moment, end: Moment | None) -> list[Spoken]:
        """The closing words about the case whose messages lie from `first` to before `end`. Nobody speaks of
        a message before it was written, nor of a case of which nobody has seen a message."""
        about = []
        for spoken in self.closing:
            named = self.written_at(spoken.word.message_id)
            if named is None or not first <= named < spoken.moment or (end is not None and named >= end):
                continue
            known = [p for p in self.parts if p.inbound and first <= moment_of(p) < spoken.moment]
            if any(p.seen_at <= spoken.word.at for p in known if end is None or moment_of(p) < end):
                about.append(spoken)
        return about

    def somebody_waits(self, first: Moment, now: Moment, end: Moment) -> bool:
        """Whether, right after `now`, a message of the case has neither been answered by a person nor been
        covered by a closing word. After the first answer or closing word that is asked only of messages that
        asked for a reply; before it of all, since no judgement of a text changes a first response. Deletions
        do not move borders."""
        for asked in self.parts:
            written = moment_of(asked)
            if not (asked.inbound and first <= written <= now):
                continue
            greeted = any(self.is_human(p) and first < moment_of(p) < written for p in self.parts)
            greeted = greeted or any(moment < written for moment, _ in self.words_about(first, written))
            if greeted and not asked_for_a_reply(asked):
                continue
            answered = any(self.is_human(p) and written < moment_of(p) <= now for p in self.parts)
            closed = any(
                written < moment <= now and asked.seen_at <= word.at
                for moment, word in self.words_about(first, end)
            )
            if not answered and not closed:
                return True
        return False

    def has_ended(self, first: Moment, then: Moment) -> bool:
        """Whether the case that began with `first` had ended when the customer wrote at `then`: somewhere
        between, both sides were silent for the gap while nobody waited."""
        happened = [moment_of(p) for p in self.parts] + [s.moment for s in self.words_about(first, then)]
        moments = [*sorted({m for m in happened if first <= m < then}), then]
        for earlier, later in itertools.pairwise(moments):
            silent = later.at - earlier.at >= self.gap
            if silent and not self.somebody_waits(first, earlier, then):
                return True
        return False

    def borders(self) -> list[Moment]:
        """The first message of each case."""
        firsts: list[Moment] = []
        for part in self.parts:
            if part.inbound and (not firsts or self.has_ended(firsts[-1], moment_of(part))):
                firsts.append(moment_of(part))
        return firsts

    def requests(self) -> list[Request]:
        """All cases, oldest first."""
        firsts = self.borders()
        ends = [*firsts[1:], None] if firsts else []
        return [self.request(first, end) for first, end in zip(firsts, ends, strict=True)]

    def request(self, first: Moment, end: Moment | None) -> Request:
        """One case: what was written from `first` to before `end`."""
        held = [p for p in self.parts if first <= moment_of(p) and (end is None or moment_of(p) < end)]
        inbound = [p for p in held if p.inbound]
        replies = [p for p in held if not p.inbound]
        people = [p for p in replies if self.is_human(p)]
        waits = find_waits(inbound, people, self.words_about(first, end))
        return Request(
            first=inbound[0].id,
            inbound=tuple(p.id for p in inbound),
            waits=tuple(waits),
            first_response_at=people[0].created_at if people else None,
            first_response_seconds=first_response(inbound, people, waits),
            first_any_reply_at=replies[0].created_at if replies else None,
        )


def first_response(inbound: Sequence[Part], people: Sequence[Part], waits: Sequence[Wait]) -> float | None:
    """From the case's first message to the first reply by a person. Where all before it was withdrawn, from
    the first message that waited after that; None where there is none such: what was withdrawn is in no
    statistic."""
    if not people:
        return None
    reply = people[0]
    for number, wait in enumerate(waits):
        if wait.ending != "withdrawn" and wait.started_at <= reply.created_at:
            since = wait.opened_at if number else inbound[0].created_at
            return (reply.created_at - since).total_seconds()
    return None


def find_waits(inbound: Sequence[Part], people: Sequence[Part], words: Sequence[Spoken]) -> list[Wait]:
    """All waits of one case: find who starts the next one, find what ends it, and go on from there."""
    waits: list[Wait] = []
    past: Moment | None = None  # where the last wait ended
    unseen: list[Part] = []  # those whom its closing word did not cover, since they were seen later
    while True:
        later = [p for p in inbound if past is None or moment_of(p) > past]
        start = next((p for p in unseen + later if starts_a_wait(p, past, people, words)), None)
        if start is None:
            return waits
        joined = [p for p in unseen + later if moment_of(p) >= moment_of(start)]
        since = max(moment_of(start), past) if past is not None else moment_of(start)
        name = name_of(since, people, words)
        running = Wait(name, start.created_at, start.created_at, start.id)
        ended = find_end(running, joined, since, people, words)
        if ended is None:
            return [*waits, running]
        past, wait = ended
        waits.append(wait)
        unseen = left_over(joined, past, wait)


def starts_a_wait(part: Part, past: Moment | None, people: Sequence[Part], words: Sequence[Spoken]) -> bool:
    """The first message starts one whatever it says. After a person's reply or a closing word only a message
    that asks for a reply does."""
    since = moment_of(part) if past is None else max(moment_of(part), past)
    answered = any(moment_of(p) <= since for p in people)
    closed = any(w.moment <= since for w in words)
    return asks_for_a_reply(part) or not (answered or closed)


def name_of(since: Moment, people: Sequence[Part], words: Sequence[Spoken]) -> str:
    """A next response follows a person's reply, or an answer elsewhere; until then it is the first one."""
    answered = any(moment_of(p) <= since for p in people)
    elsewhere = any(s.word.word is Word.ANSWERED and s.moment <= since for s in words)
    return "next_response" if answered or elsewhere else "first_response"


def stopped(wait: Wait, at: datetime, by: str | None, ending: str, answer: str | None = None) -> Wait:
    return replace(wait, stopped_at=at, by=by, ending=ending, answer=answer)


def find_end(
    wait: Wait, joined: Sequence[Part], since: Moment, people: Sequence[Part], words: Sequence[Spoken]
) -> tuple[Moment, Wait] | None:
    """The earliest thing after `since` that ends the wait of these messages; those written after it did not
    join. A closing word ends the wait of those whom it covers. None: it runs."""
    ends: list[tuple[Moment, Wait]] = []
    for reply in people:
        if moment_of(reply) > since:
            stop = (reply.created_at, reply.author_handle, "answered", reply.id)
            ends.append((moment_of(reply), stopped(wait, *stop)))
    for moment, word in words:
        covered = [p for p in joined if moment_of(p) < moment and p.seen_at <= word.at]
        if moment > since and covered:
            theirs = replace(wait, started_at=covered[0].created_at, message=covered[0].id)
            ends.append((moment, stopped(theirs, word.at, word.who, ENDINGS[word.word])))
    for gone in joined:
        if gone.deleted_at is None:
            continue
        moment = Moment(gone.deleted_at, DELETION, gone.id)
        waiting = [p for p in joined if moment_of(p) < moment]
        if all(p.deleted_at is not None and p.deleted_at <= gone.deleted_at for p in waiting):
            ends.append((moment, stopped(wait, gone.deleted_at, "the customer", "withdrawn")))
    return min(ends, key=lambda end: end[0], default=None)


def left_over(joined: Sequence[Part], past: Moment, wait: Wait) -> list[Part]:
    """Whom a closing word left waiting: written before it, seen after it, not deleted before it, and asking
    for a reply."""
    if wait.ending not in ENDINGS.values():
        return []
    unseen = [p for p in joined if moment_of(p) < past and p.seen_at > past.at and asks_for_a_reply(p)]
    return [p for p in unseen if p.deleted_at is None or Moment(p.deleted_at, DELETION, p.id) > past]


def account(
    parts: Sequence[Part],
    actions: Sequence[Action],
    gap: timedelta = timedelta(hours=24),
    quick: timedelta = timedelta(seconds=5),
) -> list[Request]:
    """The cases of one customer's conversation and their response times."""
    return Conversation(parts, actions, gap, quick).requests()
