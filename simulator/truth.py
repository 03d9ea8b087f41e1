"""The ground truth: who spoke to a brand, who was answered by a person, when, which promises were broken, and
what nobody could see. Read off the script's own plans and off what the care team pressed; it never touches
the daemon.

What was pressed counts so: who took a wait is not reminded of it, and nobody else is told; a snooze puts off
what is to be told of a case; and a closing word ends the wait that went on when it was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulator.deeds import CLOSING, SNOOZED_FOR, Deed, Said
from simulator.population import Outage, Plan, Script
from simulator.promises import WARNINGS, Promise
from simulator.world import Platform, Writing

FIRST, NEXT = "first_response", "next_response"


@dataclass(frozen=True, slots=True)
class TrueWait:
    """One wait for an answer, whenever it ends: the first one, or one after a further question.

    `warned_at` are the shares of the promise, `reminded_at` and `escalated_at` what follows a broken one;
    they happen if the wait lasts so long. All of them are counted in the promise's hours. `closed` is the
    word that ended it, `taken_at` when somebody took it, `snoozed` when its case is not spoken of.
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
    closed: Said | None = None
    taken_at: datetime | None = None
    snoozed: tuple[tuple[datetime, datetime], ...] = ()

    def lasts_to(self, moment: datetime) -> bool:
        """Whether the customer still waited then."""
        return self.stopped_at is None or self.stopped_at > moment

    @property
    def breached(self) -> bool:
        """Whether the promise was broken."""
        return self.lasts_to(self.due_at)

    @property
    def escalates(self) -> bool:
        """Whether it was still broken, and nobody had taken it, when others were to be told."""
        return self.lasts_to(self.escalated_at) and not self.taken_by(self.escalated_at)

    def taken_by(self, moment: datetime) -> bool:
        """Whether somebody had taken it by then."""
        return self.taken_at is not None and self.taken_at <= moment

    def quiet_until(self, moment: datetime) -> datetime:
        """When what is to be told at that moment may be told: then, or when a snooze is over."""
        for since, until in self.snoozed:
            if since <= moment < until:
                moment = until
        return moment

    @property
    def seconds(self) -> float | None:
        """How long the customer waited for the answer."""
        if self.stopped_at is None or not self.answered:
            return None
        return (self.stopped_at - self.started_at).total_seconds()

    def moment_of(self, stage: str, repeat: int) -> datetime | None:
        """When such a stage is reached; None where there is none such, or somebody took it first."""
        match stage, repeat:
            case "warning", n if n < len(self.warned_at):
                return self.warned_at[n]
            case "breach", 0:
                return self.due_at
            case "breach", 1 if self.reminded_at is not None and not self.taken_by(self.reminded_at):
                return self.reminded_at
            case "escalated", 0 if not self.taken_by(self.escalated_at):
                return self.escalated_at
        return None

    def stages(self) -> tuple[datetime, ...]:
        """Every moment at which people are to be told of it, if it lasts so long."""
        reminder = () if self.reminded_at is None else (self.reminded_at,)
        untaken = (at for at in (*reminder, self.escalated_at) if not self.taken_by(at))
        return (*self.warned_at, self.due_at, *untaken)

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


def ground_truth(script: Script, end: datetime, said: Iterable[Said] = ()) -> list[TrueCase]:
    """Everybody who had spoken to a brand by `end`, oldest first. `said`: what the care team pressed."""
    by_case: dict[str, list[Said]] = {}
    for one in sorted(said, key=lambda s: s.at):
        by_case.setdefault(one.first_id, []).append(one)
    return [
        _true_case(plan, script.promises.escalation, end, by_case.get(plan.first.id, []))
        for plan in sorted(script.plans, key=lambda p: p.first.created_at)
        if plan.first.created_at <= end
    ]


def _true_case(plan: Plan, escalation: float, end: datetime, said: Sequence[Said]) -> TrueCase:
    waits = waits_of(plan, escalation, said)
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


def waits_of(plan: Plan, escalation: float, said: Sequence[Said] = ()) -> list[TrueWait]:
    """The first wait, then one for each time that the customer asked again. `said` in order."""
    stopped_at = plan.answered_at or plan.withdrawn_at
    told = [(FIRST, plan.first, stopped_at, plan.answered_at is not None, plan.promise.first)]
    told += [
        (NEXT, again.asked, again.answered_at, again.answered_at is not None, plan.promise.again)
        for again in plan.again
    ]
    waits = []
    snoozed = tuple((s.at, s.at + SNOOZED_FOR) for s in said if s.deed is Deed.SNOOZE)
    for cycle, (clock, asked, stopped_at, answered, seconds) in enumerate(told):
        at, promise = asked.created_at, plan.promise
        due_at = promise.after(at, seconds)
        reminder = promise.reminder
        heard = [s for s in said if at <= s.at and (stopped_at is None or s.at < stopped_at)]
        closed = next((s for s in heard if s.deed in CLOSING), None)
        if closed is not None:
            stopped_at, answered = closed.at, False
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
                closed=closed,
                taken_at=next((s.at for s in heard if s.deed is Deed.TAKE), None),
                snoozed=snoozed,
            )
        )
    return waits


def hidden_in(outages: list[Outage], platform: Platform, moment: datetime) -> Outage | None:
    """The outage in which nobody could see what was written there at that moment."""
    return next((o for o in outages if o.platform is platform and o.start <= moment < o.end), None)


def _by(at: datetime | None, end: datetime) -> datetime | None:
    return at if at is not None and at <= end else None
