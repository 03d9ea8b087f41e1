"""What a connector promises. A platform is one module that keeps this contract, and one registry line.

A connector never sleeps, never retries in a loop, never touches the store, and never asks the clock: it
is given `clock` (a callable that gives the aware UTC now) and a time limit. It hands back a Page, or
raises one of `wire.errors`. Everything that it learns, it says in the Page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from rules.message import Message
from wire.http import HttpOptions

Cursor = Mapping[str, Any]
"""Where a stream stands: the connector's own JSON object, with a version under "v". Opaque to all others."""


class Direction(StrEnum):
    """Which side's messages a stream can carry."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BOTH = "both"


class Outbound(StrEnum):
    """How the brand's own replies are seen: listed in a stream, embedded in the inbound message, pushed,
    or not at all (and then every alert says so)."""

    LISTED = "listed"
    EMBEDDED = "embedded"
    WEBHOOK = "webhook"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Stream:
    """One thing that is polled, with a cursor of its own.

    `every_seconds` is the cadence that the platform's limits bear by default. `private` marks streams
    that carry DMs. A stream that sees outbound messages gates the claim "nobody answered": for public
    messages unless it is private, for DMs only if it is private.
    """

    name: str
    direction: Direction
    every_seconds: float
    private: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the platform lets us see. `look_back_seconds`: how far the first run may reach into the past.
    `automated_known`: whether the platform says that an author is a bot. `pushed`: it can send to us what
    happens (the connector is `Receiving`); `polled`: something is asked of it. One that is only pushed to
    still has streams, which say up to when all is known that was pushed."""

    streams: tuple[Stream, ...]
    outbound: Outbound
    look_back_seconds: float
    edits: bool = False
    deletes: bool = False
    automated_known: bool = False
    pushed: bool = False
    polled: bool = True


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of a limit of the platform: a rate window, a daily quota, money.

    `name` is stable and label-safe ("mentions", "dm_events", "daily_reads", "requests").
    """

    name: str
    limit: float
    remaining: float
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item of a page that could not be understood: its id if it had one, why, and its start (at most
    500 characters, for a person to look at; never from a DM)."""

    id: str | None
    reason: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """A message that the platform says no longer exists: by its id, or by one of its aliases. `at` is
    when it was deleted where the platform tells, else when we noticed."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """What one poll brought.

    `cursor` is to be stored in the same transaction as the messages. `has_more`: ask again at once, with
    that cursor. `gap`: why some messages between the cursors may never be seen (None: nothing was lost).
    `complete_through`: every message of this stream written up to then has now been handed over (set
    only once the stream is drained; an empty, drained page is complete through its request's start less
    a lag margin). `cost_usd` is what this read cost.
    """

    messages: tuple[Message, ...]
    cursor: Cursor
    has_more: bool = False
    rejected: tuple[Rejected, ...] = ()
    gap: str | None = None
    complete_through: datetime | None = None
    budgets: tuple[Budget, ...] = ()
    gone: tuple[Gone, ...] = ()
    reads: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are on the platform. `permissions_missing` names what `check` should complain about;
    `credentials_expire_at` is when a person must renew something, if ever."""

    id: str
    handle: str
    permissions_missing: tuple[str, ...] = ()
    credentials_expire_at: datetime | None = None
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Delivery:
    """What somebody sent to an account's address over HTTP, as it arrived; nothing of it is proved.

    `headers` have lower-case names, `query` the first value of each name.
    """

    method: str
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Received:
    """What a delivery said: a Page for each stream that something came for, whose cursors are not looked at.
    `answer` is what the sender is told once they are committed; `content_type` is that of the answer.
    `status`: 202, unless the platform wants another one."""

    pages: Mapping[str, Page] = field(default_factory=dict)
    answer: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    status: int = 202


@runtime_checkable
class Receiving(Protocol):
    """A connector to which its platform pushes what happens, beside being polled or instead of it."""

    def receive(self, delivery: Delivery) -> Received:
        """Check that it is from the platform, and read it. Returns at once, asks nobody, and may be called by
        other threads than the one that polls. The same delivery twice says the same twice.

        Raises NotAllowed for what is not proved to be the platform's (answered with 401), Malformed for what
        is and makes no sense (400), Refused for what is not for this account (422).
        """
        ...


class AccountSettings(Protocol):
    """What the settings of an account tell, whatever else is in them. `handle` is what the account is called
    on its platform ("" where it is called nothing), `label` what it is called in alerts and metrics."""

    @property
    def handle(self) -> str: ...

    @property
    def label(self) -> str: ...


class Connector(Protocol):
    """One account of one brand on one platform."""

    capabilities: ClassVar[Capabilities]

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams that this account's settings switch on: a subset of the capabilities'."""
        ...

    def identify(self, time_limit: float) -> Identity:
        """Who we are there, and what is missing. Raises wire.errors."""
        ...

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """Fetch one page of one stream. `cursor` is None on the very first poll. Raises wire.errors."""
        ...

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """Ask for these messages again, to learn of edits (`messages`) and deletes (`gone`).

        Asked only right before somebody is told about them, since reads cost: an alert about a post that
        its author has deleted is a false one. At most 100 ids. The Page's cursor is empty. Raises
        wire.errors; Refused where the platform cannot tell.
        """
        ...

    def close(self) -> None:
        """Give back sockets."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connector module's `build(settings, surroundings)` is given beside its own settings.

    `account` is the label of this account in the config, used in messages and metrics. `keywords` are
    the brand's search words (exact phrases). `state_folder` is where tokens that rotate are kept, 0600.
    `brand_handles` are the handles of all the brand's accounts on this platform, lower case, as the
    config knows them, so that what @AcmeHelp wrote is outbound for @Acme's streams too.
    """

    brand: str
    account: str
    keywords: tuple[str, ...]
    brand_handles: frozenset[str]
    clock: Callable[[], datetime]
    state_folder: Path
    http: HttpOptions
    look_back_seconds: float
