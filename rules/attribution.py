"""Which customer a brand's message answers: the ladder, and the reason that is kept with it.

A thread can hold many customers, and each has a conversation of their own. The ladder: the parent chain
(through the brand's own parts), else `to`, else a mention of the customer's handle, else the only
customer who waits (marked as inferred), else nobody. It is the same in any order of arrival, because it
asks only what was written and when (`created_at`), never what was seen first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

CHAIN_LENGTH_MAX = 50
HANDLES_MAX = 20


class Rung(StrEnum):
    """How we know whom a message is part of the conversation with."""

    AUTHOR = "author"  # it is the customer's own
    PARENT = "parent"  # it replies to a message of the customer, or to a part of such a reply
    TO = "to"  # the platform says whom it is addressed to
    MENTION = "mention"  # it names the customer's handle
    INFERRED = "inferred"  # only one customer of the thread was waiting
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Link:
    """The little of a message that the ladder needs. `parent` is resolved to the id that we store; `private`:
    only whom it is addressed to can read it."""

    id: str
    author_id: str
    brand: bool
    parent: str | None
    to: tuple[str, ...]
    handles: tuple[str, ...]  # in the order of the text
    created_at: datetime
    private: bool = False


@dataclass(frozen=True, slots=True)
class Attribution:
    """The customer whose conversation a message belongs to (None: nobody's), and how we know."""

    customer: str | None
    rung: Rung


class Thread(Protocol):
    """What the ladder asks of the thread that a message stands in."""

    def find(self, id: str) -> Link | None:
        """The message with that id, in this thread or elsewhere; None where it has not arrived."""
        ...

    def customers(self, ids: Iterable[str], before: datetime) -> tuple[str, ...]:
        """Those of these author ids who are customers that had written in this thread by then."""
        ...

    def customers_named(self, handles: Iterable[str], before: datetime) -> tuple[str, ...]:
        """The customers with one of these handles who had written in this thread by then."""
        ...

    def waiting(self, at: datetime) -> tuple[str, ...]:
        """The customers of this thread who wrote before then and were not answered since. May stop
        after the second."""
        ...


def attribute(message: Link, thread: Thread) -> Attribution:
    """Whose conversation this message belongs to."""
    if not message.brand:
        return Attribution(message.author_id, Rung.AUTHOR)
    own_parts: list[Link] = []
    parent = message.parent
    for _ in range(CHAIN_LENGTH_MAX):
        link = None if parent is None else thread.find(parent)
        if link is None or link.id == message.id or link in own_parts:
            break
        if not link.brand:
            return Attribution(link.author_id, Rung.PARENT)
        own_parts.append(link)  # a part of the brand's own: whom that one answers, this one answers
        parent = link.parent
    hint = _by_hint(message, thread)
    if hint is not None:
        return hint
    for part in own_parts:
        hint = _by_hint(part, thread)
        if hint is not None:
            return hint  # by what that part says: who else had written may still turn up
    # The first part answers whoever waited when it was written; by the second, nobody waits any more.
    moments = [own_parts[-1].created_at] if own_parts else []
    for moment in (*moments, message.created_at):
        waiting = thread.waiting(moment)
        if len(waiting) == 1:
            return Attribution(waiting[0], Rung.INFERRED)
    return Attribution(None, Rung.NOBODY)


def _by_hint(message: Link, thread: Thread) -> Attribution | None:
    """The rungs that need nothing but the message's own words: `to`, then a mention."""
    if message.private and len(message.to) == 1:
        return Attribution(message.to[0], Rung.TO)  # also where the brand writes first
    if message.to:
        customers = thread.customers(message.to, message.created_at)
        if len(customers) == 1:
            return Attribution(customers[0], Rung.TO)
    # Of several whom it names it answers the first: agents put whom they speak to before whom they speak of.
    for handle in message.handles[:HANDLES_MAX]:
        named = thread.customers_named((handle,), message.created_at)
        if len(named) == 1:
            return Attribution(named[0], Rung.MENTION)
    return None
