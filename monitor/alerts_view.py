"""What the commands of `alerts` show: who would be told of what, when and why; and what the outbox holds.

Everything here is made of rows and lines for `views.show`; strangers' texts are made inert there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from monitor.muting import Mutes, why_muted
from monitor.policy import Policy
from monitor.saying import opens_at
from monitor.store.cases import Row as CaseRow
from monitor.store.outbox import Row, State
from monitor.store.store import Reader
from monitor.telling import calls_of
from rules.alert import Stage
from rules.case import Case, Clock
from rules.decisions import Owed, running_clocks, stages_of
from rules.escalation import find_step
from rules.message_json import say_time
from rules.routes import Answer, Heard, News, news_of
from rules.team import find_person
from wire.redact import inert

STATES = {
    "pending": (State.PENDING, State.LEASED),
    "delivered": (State.DELIVERED,),
    "dead": (State.DEAD,),
    "superseded": (State.SUPERSEDED,),
    "shadow": (State.SHADOW,),
}
"""What one asks for, and the states that are meant by it."""

CASELESS = (Stage.STORM, Stage.SPIKE, Stage.TROUBLE)


def route_case(reader: Reader, policy: Policy, row: CaseRow, now: datetime) -> dict[str, Any]:
    """Who would be told of each stage of a case, when, and why, as one JSON object."""
    case = row.case
    policy = policy.remembering(reader.policies())
    clocks = [c for c in running_clocks(case, now) if c.due_at is not None]
    notes = _notes(reader, policy, row, bool(clocks), now)
    if not clocks:
        clocks = [c for c in case.all_clocks[-1:] if c.due_at is not None]
    stages = [
        _route_stage(policy, case, clock, owed)
        for clock in clocks
        for owed in stages_of(case, clock, _calendar(policy, case, clock), policy.steps)
    ]
    return {
        "case": case.id,
        "notes": notes,
        "stages": stages,
        "fallback": list(policy.fallback),
        "fallback_after_seconds": policy.fallback_after_seconds,
    }


def route_caseless(policy: Policy, brand: str, now: datetime) -> list[dict[str, Any]]:
    """Who would be told of what has no case: a storm, a spike, a trouble of a brand."""
    found = []
    for stage in CASELESS:
        answer = policy.find_routes(News(stage, brand))
        if stage is Stage.STORM and not answer.heard:
            answer = Answer((), ("whoever would have been told of its cases; no route names storms",))
        about = {"stage": stage.value, "due_at": None, "clock": None, "repeat": 0, "step": None}
        found.append(about | _told(policy, answer, now))
    return found


def _calendar(policy: Policy, case: Case, clock: Clock) -> Any:
    return policy.manner.calendar(case, clock.calendar)


def _notes(reader: Reader, policy: Policy, row: CaseRow, waits: bool, now: datetime) -> list[str]:
    """What keeps anybody from being told, whatever the routes say."""
    case = row.case
    notes = []
    if policy.shadow:
        notes.append('alerts.mode is "shadow": all of it is written down, and nothing is sent')
    if case.quiet:
        notes.append("it began before the first run: the past is quiet")
    muted = why_muted(Mutes(reader.cases.mutes(now)).of(reader, row))
    if muted is not None:
        notes.append(f"muted: {muted}")
    if case.snoozed_until is not None and now < case.snoozed_until:
        notes.append(f"snoozed until {say_time(case.snoozed_until)}")
    if case.acknowledged_by is not None:
        notes.append(f"{case.acknowledged_by} has taken it: no reminders, no escalation")
    if not waits:
        said = case.status.value.replace("_", " ")
        due = any(c.due_at is not None for c in case.all_clocks[-1:])
        notes.append(f"it is {said}: this is how it was" if due else f"it is {said}, and promised nothing")
    return notes


def _route_stage(policy: Policy, case: Case, clock: Clock, owed: Owed) -> dict[str, Any]:
    """One stage: who is told of it, over which channels, and why."""
    if owed.stage is Stage.ESCALATED:
        step = find_step(policy.steps, owed.step)
        named = frozenset[str]() if step is None else step.channels
        heard = tuple(Heard(r) for r in policy.routes if r.channel in named)
        answer = Answer(heard, (f"the step {owed.step!r} names its channels",))
    else:
        answer = policy.find_routes(news_of(case, owed.stage, clock))
    owner = find_person(policy.people, case.assignee) if owed.stage is Stage.BREACH else None
    own = None if owner is None else policy.own_route(case, clock, owner.name, late=True)
    if own is not None:
        answer = replace(answer, heard=(*answer.heard, Heard(own)))
    told = _told(policy, answer, owed.moment)
    for one in told["told"]:
        if own is not None and (one["channel"], one["recipient"]) == (own.channel, own.recipient):
            one |= {"calls": [], "notes": [f"for {case.assignee} alone, whose it is"]}
            continue
        calls, notes = calls_of(policy, one["channel"], owed, case.assignee, owed.moment)
        if owed.stage in (Stage.BREACH, Stage.ESCALATED):
            one |= {"calls": list(calls), "notes": list(notes)}
    return {
        "stage": owed.stage.value,
        "clock": clock.name.value,
        "repeat": owed.repeat,
        "step": owed.step,
        "due_at": say_time(owed.moment),
        **told,
    }


def _told(policy: Policy, answer: Answer, due_at: datetime) -> dict[str, Any]:
    return {
        "told": [
            {
                "channel": h.route.channel,
                "recipient": h.route.recipient,
                "at": say_time(opens_at(policy, h.route.channel, due_at)),
                "quiet_hours": opens_at(policy, h.route.channel, due_at) > due_at,
                "routes": list(h.rows),
                "fallback": h.fallback,
            }
            for h in answer.heard
        ],
        "reasons": list(answer.reasons),
    }


def show_route(found: dict[str, Any], console: Console) -> None:
    """The same for people; the reasons once, where a stage has the same as the one before."""
    console.print(f"[bold]{escape(inert(found['case'], 200))}[/bold]")
    for note in found["notes"]:
        console.print(f"  {escape(inert(note, 300))}")
    before: list[str] = []
    for stage in found["stages"]:
        name = stage["stage"] + (f" ({stage['step']})" if stage["step"] else "")
        name += f" {stage['repeat'] + 1}" if stage["repeat"] else ""
        of = f" of the {stage['clock'].replace('_', ' ')}" if stage["clock"] else ""
        due = f", {stage['due_at']}" if stage["due_at"] else ""
        console.print(f"[bold]{escape(inert(name))}[/bold]{escape(of + due)}")
        for one in stage["told"]:
            console.print(f"  -> {escape(inert(_tell_one(one), 300))}", soft_wrap=True)
        if not stage["told"] and stage["stage"] != Stage.STORM:
            console.print("  -> nobody")
        if stage["reasons"] != before:
            for reason in stage["reasons"]:
                indent = "       " if reason.startswith(" ") else "     "
                console.print(indent + escape(inert(reason, 300)), soft_wrap=True)
        before = stage["reasons"]
    if found["fallback"]:
        minutes = found["fallback_after_seconds"] / 60
        console.print(
            f"if none of them can be told within {minutes:g} min: {escape(', '.join(found['fallback']))}"
        )


def _tell_one(one: dict[str, Any]) -> str:
    said = f"{one['channel']} ({one['recipient']})"
    if one["quiet_hours"]:
        said += f" at {one['at']}, after its quiet hours"
    if one["fallback"]:
        said += ", as the fallback"
    if one["routes"]:
        said += f", by {', '.join(one['routes'])}"
    if one.get("calls"):
        said += f", calls {', '.join(one['calls'])}"
    return "; ".join([said, *one.get("notes", ())])


def outbox_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the outbox holds, one line each."""
    return [
        {
            "number": r.pk,
            "made_at": say_time(r.created_at),
            "about": r.subject,
            "stage": r.stage.value + (f" ({r.owed.step})" if r.owed.step else ""),
            "repeat": r.owed.repeat,
            "channel": r.channel,
            "recipient": r.recipient,
            "state": r.state.value,
            "attempts": r.attempts,
            "ended_at": say_time(r.ended_at),
            "outcome": r.outcome,
        }
        for r in rows
    ]


def outbox_row(reader: Reader, row: Row) -> dict[str, Any]:
    """All that is known of one alert: what it is about, why it was made, every attempt at it."""
    return {
        **outbox_rows([row])[0],
        "key": row.key,
        "clock": row.owed.clock.value if row.about is not None else None,
        "reached_at": say_time(row.owed.moment),
        "due_at": say_time(row.due_at),
        "for_person": row.owed.to,
        "by_routes": list(row.body.get("routes", ())),
        "as_fallback": bool(row.body.get("fallback")),
        "instead_of": row.body.get("instead_of"),
        "caveats": list(row.owed.caveats),
        "tries": [
            {"attempt": attempt, "at": say_time(at), "outcome": outcome, "detail": detail}
            for attempt, at, outcome, detail in reader.outbox.deliveries(row.pk)
        ],
    }


def find_stage(policy: Policy, row: CaseRow, stage: Stage, now: datetime) -> tuple[Owed, datetime]:
    """One stage of a case to be previewed, and when it would be said. Raises LookupError saying why there is
    none."""
    case = row.case
    if stage in (Stage.CLEARED, Stage.CORRECTED):
        ended = [c for c in case.all_clocks if not c.runs]
        if not ended:
            raise LookupError("the customer still waits: nothing is over that could be said")
        clock = ended[-1]
        moment = clock.stopped_at or case.last_message_at
        owed = Owed(stage, clock.cycle, 0, moment, clock.name, wait_at=clock.started_at)
        return owed, max(now, moment)
    clocks = running_clocks(case, now) or list(case.all_clocks)
    for clock in clocks:
        for owed in stages_of(case, clock, _calendar(policy, case, clock), policy.steps):
            if owed.stage is stage:
                return replace(owed, wait_at=clock.started_at), max(now, owed.moment)
    raise LookupError(f"it has no stage {stage.value!r}: its target has none, or nobody is promised anything")
