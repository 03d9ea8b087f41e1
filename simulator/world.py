"""What is written in the simulated world, by whom and when; the platforms' servers only show it.

A world is a set of people and of writings with fixed times. Everything has a moment from which it
exists (`created_at`), one from which the platform's API shows it (`visible_at`: platforms lag), perhaps
edits and a deletion; a query is answered as of a given time, so a whole script can be written in
advance and simply becomes visible as time passes. Thread-safe: servers read while people write.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Platform(StrEnum):
    """The simulated platforms."""

    X = "x"
    REDDIT = "reddit"
    BLUESKY = "bluesky"
    MASTODON = "mastodon"
    EMAIL = "email"
    APP_STORE = "app_store"
    GOOGLE_PLAY = "google_play"


class Form(StrEnum):
    """What a writing is on its platform."""

    POST = "post"  # a post on X, a submission on Reddit
    COMMENT = "comment"  # a comment on Reddit (a reply on X is a POST with a parent)
    DM = "dm"  # a direct message; `recipient` is set


class Clock:
    """The world's time: `rate` pretended seconds pass in a real one, from `origin` at real time `real`.

    Two processes given the same three numbers agree on what time it is. Tests use `FixedClock`.
    """

    def __init__(self, origin: datetime, rate: float = 1.0, real: float | None = None) -> None:
        self.origin = origin
        self.rate = rate
        self.real = time.time() if real is None else real

    def now(self) -> datetime:
        """The pretended time, aware UTC."""
        return self.origin + timedelta(seconds=(time.time() - self.real) * self.rate)

    def sleep(self, pretended_seconds: float) -> None:
        """Wait that long in pretended time (a hanging server does)."""
        time.sleep(max(0.0, pretended_seconds) / self.rate)


class FixedClock(Clock):
    """A clock that stands still until it is moved; its sleep moves it."""

    def __init__(self, at: datetime) -> None:
        super().__init__(at, 1.0, 0.0)
        self.at = at

    def now(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        """Move on by that many seconds."""
        self.at += timedelta(seconds=seconds)

    def sleep(self, pretended_seconds: float) -> None:
        self.move(pretended_seconds)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account on one platform. `id` is digits on X, base 36 on Reddit (without t2_),
    a DID on Bluesky, the address by email.

    `brand` names the brand whose account this is (None: a customer). `automated`: a bot writes as it.
    """

    platform: Platform
    id: str
    handle: str
    name: str
    followers: int = 0
    brand: str | None = None
    automated: bool = False
    created_at: datetime = datetime(2015, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a writing's text. On X an edit has an id of its own; Reddit keeps the id."""

    at: datetime
    text: str
    id: str


@dataclass(slots=True)
class Writing:
    """One thing that somebody wrote.

    `id` is bare: digits on X, base 36 on Reddit without the t1_/t3_/t4_ prefix, the record key on Bluesky.
    `parent` and `root` are ids of writings (`root` of a first post is its own id; of a DM, that of the first
    DM of the exchange). `title` and `community` (subreddit) are Reddit's. `client` is the source client
    ("Sprinklr", "AcmeBot"). `mentions` are the handles that the platform's own parser found in the text.
    `quotes` is the id of the writing that it quotes. `claimed_at` is the date that its author gave it, where
    platforms believe that.
    """

    platform: Platform
    id: str
    form: Form
    author: Person
    text: str
    created_at: datetime
    root: str
    parent: str | None = None
    recipient: Person | None = None
    title: str | None = None
    community: str | None = None
    client: str = "Web App"
    mentions: tuple[str, ...] = ()
    likes: int = 0
    reposts: int = 0
    views: int = 0
    language: str = "en"
    quotes: str | None = None
    claimed_at: datetime | None = None
    visible_at: datetime | None = None
    deleted_at: datetime | None = None
    edits: list[Edit] = field(default_factory=list)

    def shown(self, at: datetime) -> bool:
        """Whether the API shows it at that time."""
        if (self.visible_at or self.created_at) > at:
            return False
        return self.deleted_at is None or self.deleted_at > at

    def text_at(self, at: datetime) -> str:
        """Its text as of then."""
        return next((e.text for e in reversed(self.edits) if e.at <= at), self.text)

    def ids_at(self, at: datetime) -> tuple[str, ...]:
        """All ids that it has had by then, oldest first; the last is the one under which it is shown."""
        return (self.id, *(e.id for e in self.edits if e.at <= at and e.id != self.id))

    def last_change(self, at: datetime) -> datetime:
        """When it last changed its text, as of then."""
        return max((e.at for e in self.edits if e.at <= at), default=self.created_at)


_X_EPOCH_MS = 1_288_834_974_657
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_SORTABLE = "234567abcdefghijklmnopqrstuvwxyz"


def base36(number: int) -> str:
    """Reddit writes its ids so."""
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _ALPHABET[rest] + digits
    return digits or "0"


def tid(at: datetime, serial: int = 0) -> str:
    """The AT Protocol's timestamp identifier: 13 letters that sort as the times do."""
    number = (int(at.timestamp() * 1_000_000) << 10) | (serial & 0x3FF)
    return "".join(_SORTABLE[(number >> shift) & 31] for shift in range(60, -1, -5))


class World:
    """All people and all writings. Queries take the time as of which they answer, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._people: dict[tuple[Platform, str], Person] = {}
        self._handles: dict[tuple[Platform, str], Person] = {}
        self._writings: dict[Platform, list[Writing]] = {p: [] for p in Platform}
        self._ids: dict[tuple[Platform, str], Writing] = {}
        self._serial = 0

    def add_person(self, person: Person) -> Person:
        """Let somebody exist from the start."""
        with self._lock:
            self._people[person.platform, person.id] = person
            self._handles[person.platform, person.handle.lower()] = person
        return person

    def person(self, platform: Platform, id: str) -> Person | None:
        return self._people.get((platform, id))

    def by_handle(self, platform: Platform, handle: str) -> Person | None:
        return self._handles.get((platform, handle.lower()))

    def new_id(self, platform: Platform, at: datetime) -> str:
        """An id as the platform would give it then: a snowflake on X, base 36 on Reddit, a timestamp
        identifier on Bluesky, milliseconds and 16 bits on Mastodon. Never twice."""
        with self._lock:
            self._serial += 1
            serial = self._serial
        if platform is Platform.X:
            milliseconds = int(at.timestamp() * 1000) - _X_EPOCH_MS
            return str((milliseconds << 22) | (serial & 0x3FFFFF))
        if platform is Platform.BLUESKY:
            return tid(at, serial)
        if platform is Platform.MASTODON:
            return str((int(at.timestamp() * 1000) << 16) | (serial & 0xFFFF))
        return base36(int(at.timestamp()) * 4096 + (serial & 0xFFF))

    def write(self, writing: Writing) -> Writing:
        """Add a writing, past or future; it shows when its time comes. Its edits may be added before."""
        with self._lock:
            ordered = self._writings[writing.platform]
            place = bisect_right(ordered, writing.created_at, key=lambda w: w.created_at)
            ordered.insert(place, writing)
            self._ids[writing.platform, writing.id] = writing
            for edit in writing.edits:
                self._ids[writing.platform, edit.id] = writing
        return writing

    def edit(self, writing: Writing, at: datetime, text: str) -> Edit:
        """Change a text from then on."""
        new_id = self.new_id(writing.platform, at) if writing.platform is Platform.X else writing.id
        change = Edit(at, text, new_id)
        with self._lock:
            writing.edits.append(change)
            self._ids[writing.platform, change.id] = writing
        return change

    def find(self, platform: Platform, id: str) -> Writing | None:
        """The writing with that id, or with an edit of that id; whether or not it shows."""
        return self._ids.get((platform, id))

    def shown(
        self,
        platform: Platform,
        at: datetime,
        wanted: Callable[[Writing], bool] = lambda _: True,
        *,
        since: datetime | None = None,
    ) -> Iterator[Writing]:
        """What the API shows at that time and is wanted, oldest first, from `since` on."""
        with self._lock:
            ordered = self._writings[platform]
            first = 0 if since is None else bisect_right(ordered, since, key=lambda w: w.created_at)
            last = bisect_right(ordered, at, key=lambda w: w.created_at)
            window = ordered[first:last]
        return (w for w in window if w.shown(at) and wanted(w))

    def all(self, platform: Platform | None = None) -> Iterable[Writing]:
        """Everything ever written, past and future (for the ground truth)."""
        with self._lock:
            return [w for p in Platform if platform in (None, p) for w in self._writings[p]]
