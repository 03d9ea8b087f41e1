"""Who is a person of the brand: outbound and not automated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import re2

from rules.message import Message

QUICK_SECONDS_DEFAULT = 5.0


@dataclass(frozen=True, slots=True)
class Automation:
    """What tells an automatic reply: listed accounts (lower-case handles or ids), source clients,
    patterns of its text (linear-time regexes), or a reply that came faster than a person types."""

    accounts: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    patterns: tuple[Any, ...] = ()
    within_seconds: float = QUICK_SECONDS_DEFAULT


def make_automation(
    accounts: Sequence[str] = (),
    clients: Sequence[str] = (),
    patterns: Sequence[str] = (),
    within_seconds: float = QUICK_SECONDS_DEFAULT,
) -> Automation:
    """Build it from the config's words. Raises re2.error for a pattern that cannot be compiled."""
    return Automation(
        frozenset(a.lower().lstrip("@") for a in accounts),
        frozenset(c.lower() for c in clients),
        tuple(re2.compile(p) for p in patterns),
        within_seconds,
    )


def automated_by(message: Message, automation: Automation) -> str | None:
    """Why an outbound message is automatic whatever it answers; None where nothing says so.

    The speed of the reply is judged in the fold, which knows what it answers (`too_quick`).
    """
    if message.author.automated:
        return "the platform says that it is automated"
    handle = (message.author.handle or "").lower()
    if handle in automation.accounts or message.author.id.lower() in automation.accounts:
        return f"@{handle or message.author.id} is listed as automated"
    if message.client is not None and message.client.lower() in automation.clients:
        return f"written with {message.client}, which is listed as automated"
    for pattern in automation.patterns:
        if pattern.search(message.text):
            return "its text matches a pattern of automatic replies"
    return None


def too_quick(asked_at: datetime, replied_at: datetime, within_seconds: float) -> bool:
    """Whether a reply came faster than a person can read and type."""
    return (replied_at - asked_at).total_seconds() < within_seconds
