"""What an alert channel promises. A channel is one module that keeps this contract, and one registry line.

A channel knows nothing of SQL, cases' state or the scheduler: it is handed an Alert, and hands back a
Receipt or raises one of `wire.errors`. It never sleeps and never retries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from rules.alert import Alert
from wire.http import HttpOptions


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that the remote accepted. `remote` holds what is needed to update or continue it (Slack's
    channel and ts; an email's Message-ID and References), as strings; it is stored as JSON."""

    at: datetime
    remote: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelSurroundings:
    """What a channel module's `build(settings, surroundings)` is given beside its own settings.

    `name` is the channel's name in the config. `zone` is the team's time zone, for times in texts.
    """

    name: str
    zone: ZoneInfo
    http: HttpOptions
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a channel would send, to be looked at: `kind` is "json" or "html"."""

    kind: str
    text: str


@runtime_checkable
class Previewing(Protocol):
    """What a channel may offer beside its contract: the alert as its medium takes it, and nothing is sent."""

    def preview(self, alert: Alert) -> Preview: ...


class Channel(Protocol):
    """One way to tell people. `recipient` names whom it reaches, label-safe and without secrets
    ("#care", "care@acme.example"). `updates` tells whether what was sent can be changed later."""

    @property
    def recipient(self) -> str: ...

    @property
    def updates(self) -> bool: ...

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Tell it. `previous` is the last receipt for the same subject, recipient and channel.

        Raises RetryAt, Refused (dead letter), NotAllowed (dead letter, told elsewhere), Malformed.
        """
        ...

    def check(self, time_limit: float) -> str:
        """Say who we are there without sending anything to people, in one line. Raises wire.errors."""
        ...

    def close(self) -> None:
        """Give back sockets."""
        ...
