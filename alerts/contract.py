"""What an alert channel promises. A channel is one module that keeps this contract, and one registry line.

A channel knows nothing of SQL, cases' state or the scheduler: it is handed an Alert, and hands back a
Receipt or raises one of `wire.errors`. It never sleeps and never retries. A channel in which people can do
something about an alert listens, too: what they do is handed to a Desk, which knows what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from alerts.render import Rendered
from alerts.words import Templates, Words
from rules.alert import Addressee, Alert, Reach
from wire.http import HttpOptions


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that the remote accepted. `remote` holds what is needed to update or continue it (Slack's
    channel and ts; an email's Message-ID and References), as strings; it is stored as JSON.

    A channel that reaches several people may reach only some. `put_off` says in one line who may be reached
    later: the alert is sent again, with this receipt as its `previous`, and the channel leaves out whom it
    reached already. `left_out` says who will never be: people are told of it. Both are empty where all were
    reached.
    """

    at: datetime
    remote: Mapping[str, str] = field(default_factory=dict)
    put_off: str = ""
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class ChannelSurroundings:
    """What a channel module's `build(settings, surroundings)` is given beside its own settings.

    `name` is the channel's name in the config. `zone` is the team's time zone, for times in texts;
    `words` puts alerts into words.
    """

    name: str
    zone: ZoneInfo
    http: HttpOptions
    clock: Callable[[], datetime]
    words: Words = field(default_factory=lambda: Templates().words())

    def render(self, alert: Alert) -> Rendered:
        """An alert in words, with times in the team's zone."""
        return self.words.render(alert, self.zone)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a channel would send, to be looked at: `kind` is "json" or "html"."""

    kind: str
    text: str


@runtime_checkable
class Previewing(Protocol):
    """What a channel may offer beside its contract: the alert as its medium takes it, and nothing is sent."""

    def preview(self, alert: Alert) -> Preview: ...


@runtime_checkable
class Personal(Protocol):
    """A channel that can tell one person by name, too. It is given alerts with an `addressee`, whom alone it
    then calls, or writes to at their own address."""

    def reach(self, person: Addressee) -> Reach | None:
        """How it reaches that person; None: it cannot. Nothing is asked of the remote."""
        ...


class Channel(Protocol):
    """One way to tell people. `recipient` names whom it reaches, label-safe and without secrets
    ("#care", "care@acme.example"). `updates` tells whether what was sent can be changed later."""

    @property
    def recipient(self) -> str: ...

    @property
    def updates(self) -> bool: ...

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Tell it. `previous` is the last receipt for the same subject, recipient and channel: this alert's
        own, where an earlier attempt reached some and put off others.

        Raises RetryAt, Refused (dead letter), NotAllowed (dead letter, told elsewhere), Malformed.
        """
        ...

    def check(self, time_limit: float) -> str:
        """Say who we are there without sending anything to people, in one line. Raises wire.errors."""
        ...

    def close(self) -> None:
        """Give back sockets."""
        ...


class Deed(StrEnum):
    """What a person can do about a case from where the alert is."""

    TAKE = "take"
    SNOOZE = "snooze"
    ANSWERED = "answered"  # elsewhere, where we cannot see it
    NO_REPLY = "no_reply"  # none is needed
    NOT_COMPLAINT = "not_complaint"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Press:
    """What a person did in a channel.

    `subject` is the reference to the case as it stood in the button (`CaseFacts.case_id`). `who` is the
    person's handle, label-safe ("@ana"); `who_id` the remote's own id of the person. `snooze_seconds` is
    set for a snooze only. `at` is aware, UTC.
    """

    deed: Deed
    subject: str
    who: str
    who_id: str
    at: datetime
    snooze_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asks who waits. `text` is what was typed after the command: a stranger's words."""

    who: str
    who_id: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """A case that waits, for a list: how it stands in plain words ("5 min late"), and where to answer."""

    case_id: str
    customer: str
    place: str
    standing: str
    url: str | None = None


class Desk(Protocol):
    """What the monitor gives to a channel that listens. It may be asked by another thread than its own."""

    def act(self, press: Press) -> str:
        """Commit it. Returns one line for the one who pressed ("taken by @ana", "was answered meanwhile").
        Raises ValueError with a line for people where it cannot be done."""
        ...

    def waiting(self, asked: Asked) -> Sequence[WaitingLine]:
        """The most urgent cases, the most urgent first. Raises ValueError with a line for people."""
        ...


@dataclass(frozen=True, slots=True)
class Hearing:
    """How well a channel hears, for metrics and `status`.

    `connected_since` is None while nothing can be heard. `reconnects` counts the lines after the first one,
    `heard` what people did, `lost` what could not be brought to the desk or answered. `trouble` is the last
    trouble, in one line without secrets; empty where there was none since it could last hear.
    """

    connected_since: datetime | None
    reconnects: int = 0
    heard: int = 0
    lost: int = 0
    trouble: str = ""

    @property
    def healthy(self) -> bool:
        """Whether what people do now is heard."""
        return self.connected_since is not None


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What the web server answers to a callback. `body` is plain text in UTF-8."""

    status: int
    body: bytes = b""


class Listener(Protocol):
    """The running ear of a channel."""

    def start(self) -> None:
        """Begin to listen, in threads of its own. Returns at once; trouble shows in `hearing`."""
        ...

    def stop(self, seconds_max: float) -> None:
        """Hear no more, and bring to the desk what was heard, as far as the time allows."""
        ...

    def hearing(self) -> Hearing:
        """How well it hears now."""
        ...

    def receive(self, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """Take a callback over HTTP, as it arrived. Returns at once and never raises: what is forged is
        answered with 401. A listener that has a line of its own answers 404."""
        ...


@runtime_checkable
class Listening(Protocol):
    """A channel in which people can do something about an alert. Others do not have this."""

    def listen(self, desk: Desk) -> Listener | None:
        """An ear that brings to the desk what people do there; None where it is not set up to listen."""
        ...
