"""The ground truth: who spoke to a brand, who was answered by a person, when, which promises were broken, and
what nobody could see. Read off the script's own plans; it never touches the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.population import Outage, Plan, Script
from simulator.promises import WARNINGS, Promise
from simulator.world import Platform, Writing

FIRST, NEXT = "first_response", "next_response"


@dataclass(frozen=True, slots=True)
class TrueWait:
    """One wait for an answer, whenever it ends: the first one, or one after a further question.

    `warned_at` are the shares of the promise, `reminded_at` and `escalated_at` what follows a broken one;
    they happen if the wait lasts so long. All of them are counted in the promise's hours.
    """

    clock: str
    cycle: int
    asked: Writing
    started_at: datetime
    stopped_at: datetime | None
    answered: bool
    promise: Promise
    due_at: datetime
    warned_at: tuple[datetime, ...]
    reminded_at: datetime | None
    escalated_at: datetime

    def lasts_to(self, moment: datetime) -> bool:
        """Whether the customer still waited then."""
        return self.stopped_at is None or self.stopped_at > moment

    @property
    def breached(self) -> bool:
        """Whether the promise was broken."""
        return self.lasts_to(self.due_at)

    @property
    def escalates(self) -> bool:
        """Whether it was still broken when others were to be told."""
        return self.lasts_to(self.escalated_at)

    @property
    def seconds(self) -> float | None:
        """How long the customer waited for the answer."""
        if self.stopped_at is None or not self.answered:
            return None
        return (self.stopped_at - self.started_at).total_seconds()

    def moment_of(self, stage: str, repeat: int) -> datetime | None:
        """When such a stage is reached; None where there is none such."""
        match stage, repeat:
            case "warning", n if n < len(self.warned_at):
                return self.warned_at[n]
            case "breach", 0:
                return self.due_at
            case "breach", 1:
                return self.reminded_at
            case "escalated", 0:
                return self.escalated_at
        return None

    def stages(self) -> tuple[datetime, ...]:
        """Every moment at which people are to be told of it, if it lasts so long."""
        reminder = () if self.reminded_at is None else (self.reminded_at,)
        return (*self.warned_at, self.due_at, *reminder, self.escalated_at)

    @property
    def interrupted(self) -> bool:
        """Whether the office was closed in between, so that it was due later by the clock on the wall."""
        target = self.promise.first if self.clock == FIRST else self.promise.again
        return self.due_at - self.started_at > timedelta(seconds=target)


@dataclass(frozen=True, slots=True)
class TrueCase:
    """One customer who spoke to a brand, as of `end`. Times are aware UTC.

    `kind` is what the author meant: complaint, question or praise. `historic`: before the day began. `waits`
    are those that had begun by `end`, in order.
    """

    platform: Platform
    brand: str
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
    waits: tuple[TrueWait, ...]

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
    """Everybody who had spoken to a brand by `end`, oldest first."""
    return [
        _true_case(plan, script.promises.escalation, end)
        for plan in sorted(script.plans, key=lambda p: p.first.created_at)
        if plan.first.created_at <= end
    ]


def _true_case(plan: Plan, escalation: float, end: datetime) -> TrueCase:
    waits = _waits(plan, escalation)
    first = waits[0]
    answered_at = _by(plan.answered_at, end)
    return TrueCase(
        platform=plan.way.platform,
        brand=plan.brand,
        first=plan.first,
        customer_id=plan.customer.id,
        customer_handle=plan.customer.handle,
        private=plan.way.private,
        kind=plan.kind,
        addressed=True,
        historic=plan.historic,
        opened_at=first.started_at,
        due_at=first.due_at,
        answered_at=answered_at,
        answered_by=plan.answered_by if answered_at is not None else None,
        first_any_reply_at=_by(plan.first_any_reply_at, end),
        withdrawn_at=_by(plan.withdrawn_at, end),
        breached=first.due_at <= end and first.breached,
        warned=first.warned_at[0] <= end and first.lasts_to(first.warned_at[0]),
        waits=tuple(w for w in waits if w.started_at <= end),
    )


def _waits(plan: Plan, escalation: float) -> list[TrueWait]:
    """The first wait, then one for each time that the customer asked again."""
    stopped_at = plan.answered_at or plan.withdrawn_at
    told = [(FIRST, plan.first, stopped_at, plan.answered_at is not None, plan.promise.first)]
    told += [
        (NEXT, again.asked, again.answered_at, again.answered_at is not None, plan.promise.again)
        for again in plan.again
    ]
    waits = []
    for cycle, (clock, asked, stopped_at, answered, seconds) in enumerate(told):
        at, promise = asked.created_at, plan.promise
        due_at = promise.after(at, seconds)
        reminder = promise.reminder
        waits.append(
            TrueWait(
                clock=clock,
                cycle=cycle,
                asked=asked,
                started_at=at,
                stopped_at=stopped_at,
                answered=answered,
                promise=promise,
                due_at=due_at,
                warned_at=tuple(promise.after(at, seconds * share) for share in WARNINGS),
                reminded_at=None if reminder is None else promise.after(at, seconds + reminder),
                escalated_at=promise.after(at, seconds + escalation),
            )
        )
    return waits


def hidden_in(outages: list[Outage], platform: Platform, moment: datetime) -> Outage | None:
    """The outage in which nobody could see what was written there at that moment."""
    return next((o for o in outages if o.platform is platform and o.start <= moment < o.end), None)


def _by(at: datetime | None, end: datetime) -> datetime | None:
    return at if at is not None and at <= end else None
