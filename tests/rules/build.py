"""Short ways to say what was written when, for the tests of the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rules.case import Action, Part, Place, Word
from rules.meaning.contract import Priority, Verdict
from rules.policies import FoldPolicy
from rules.targets import Target

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
PLACE = Place("acme", "x", "thread", "ana")
MINUTES_15 = Target("public", 900.0, warnings=(0.5, 0.8), repeat_seconds=900.0, repeat_max=2)
POLICY = FoldPolicy((MINUTES_15,))


def at(minutes: float) -> datetime:
    """That many minutes past noon."""
    return NOON + timedelta(minutes=minutes)


def verdict(
    *, complaint: bool = True, needs_reply: bool = True, priority: Priority = Priority.NORMAL
) -> Verdict:
    return Verdict(0.9 if complaint else 0.1, complaint, needs_reply, True, priority, reasons=("why",))


def asks(id: str, minutes: float, **more: object) -> Part:
    """The customer writes."""
    fields: dict[str, object] = {
        "author_handle": "ana",
        "verdict": verdict(),
        "seen_at": at(minutes),
        "account": "acme",
        **more,
    }
    return Part(id=id, inbound=True, created_at=at(minutes), **fields)  # type: ignore[arg-type]


def replies(id: str, minutes: float, **more: object) -> Part:
    """The brand writes."""
    fields: dict[str, object] = {"author_handle": "acmehelp", "seen_at": at(minutes), **more}
    return Part(id=id, inbound=False, created_at=at(minutes), **fields)  # type: ignore[arg-type]


def says(word: Word, message_id: str, minutes: float, **more: object) -> Action:
    """An operator speaks."""
    return Action(word, message_id, "olga", at(minutes), **more)  # type: ignore[arg-type]
