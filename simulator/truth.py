"""The ground truth: who spoke to the brand, who was answered by a person, when, and which promises were
broken. Read off the script's own plans; it never touches the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.population import WARNINGS, Script
from simulator.world import Platform, Writing


@dataclass(frozen=True, slots=True)
class TrueCase:
    """One customer who spoke to the brand, as of `end`. Times are aware UTC.

    `kind` is what the author meant: complaint, question or praise. `historic`: before the day began.
    """

    platform: Platform
    first: Writing
    customer_id: str
    customer_handle: str
    private: bool
    kind: str
    addressed: bool
    historic: bool
    opened_at: datetime
    due_at: datetime
    answered_at: datetime | None
    answered_by: str | None
    first_any_reply_at: datetime | None
    withdrawn_at: datetime | None
    breached: bool
    warned: bool

    @property
    def first_message_id(self) -> str:
        return self.first.id

    @property
    def first_response_seconds(self) -> float | None:
        """From the customer's first words to the first reply by a person."""
        if self.answered_at is None:
            return None
        return (self.answered_at - self.opened_at).total_seconds()


def ground_truth(script: Script, end: datetime) -> list[TrueCase]:
    """Everybody who had spoken to the brand by `end`, oldest first."""
    found = []
    for plan in sorted(script.plans, key=lambda p: p.first.created_at):
        opened_at = plan.first.created_at
        if opened_at > end:
            continue
        due_at = opened_at + timedelta(seconds=plan.target_seconds)
        answered_at = _by(plan.answered_at, end)
        withdrawn_at = _by(plan.withdrawn_at, end)
        stopped_at = min((t for t in (answered_at, withdrawn_at) if t is not None), default=None)
        warned_at = opened_at + timedelta(seconds=plan.target_seconds * WARNINGS[0])
        found.append(
            TrueCase(
                platform=plan.way.platform,
                first=plan.first,
                customer_id=plan.customer.id,
                customer_handle=plan.customer.handle,
                private=plan.way.private,
                kind=plan.kind,
                addressed=True,
                historic=plan.historic,
                opened_at=opened_at,
                due_at=due_at,
                answered_at=answered_at,
                answered_by=plan.answered_by if answered_at is not None else None,
                first_any_reply_at=_by(plan.first_any_reply_at, end),
                withdrawn_at=withdrawn_at,
                breached=due_at <= end and (stopped_at is None or stopped_at > due_at),
                warned=warned_at <= end and (stopped_at is None or stopped_at > warned_at),
            )
        )
    return found


def _by(at: datetime | None, end: datetime) -> datetime | None:
    return at if at is not None and at <= end else None
