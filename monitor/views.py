"""What the commands show: tables for people, the same rows as JSON for programs.

Strangers' texts are made inert before they reach a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.policy import Policy
from monitor.store.cases import Row
from monitor.store.store import Reader
from monitor.telling import outcome_of
from monitor.transfer import case_to_row
from monitor.watch import said_of
from rules.case import Status
from rules.fold import explain_clocks
from rules.message_json import say_time
from wire.durations import say_duration
from wire.redact import inert

TEXT_WIDTH = 60


@dataclass(frozen=True, slots=True)
class View:
    """One thing to show: rows with the same keys, and a title."""

    title: str
    rows: Sequence[Mapping[str, Any]]


def show(view: View, console: Console, *, as_json: bool) -> None:
    """A table on a terminal, or one JSON array."""
    if as_json:
        console.file.write(json.dumps(list(view.rows), ensure_ascii=False) + "\n")
        return
    if not view.rows:
        console.print(f"{view.title}: nothing")
        return
    table = Table(title=view.title, title_justify="left")
    for column in view.rows[0]:
        table.add_column(column.replace("_", " "))
    for row in view.rows:
        table.add_row(*("" if v is None else escape(inert(str(v), 200)) for v in row.values()))
    console.print(table)


def queue(reader: Reader, now: datetime, limit: int, *, show_dm_text: bool) -> View:
    """Who waits, the most urgent first."""
    rows = []
    for row in reader.cases.waiting(limit):
        case = row.case
        message = reader.messages(row.scope).read(case.waiting_message_id or case.first_message_id)
        text = message.text if message is not None and (case.public or show_dm_text) else "(private)"
        left = (case.due_at - now).total_seconds() if case.due_at is not None else 0.0
        rows.append(
            {
                "id": case.id,
                "who": case.customer_handle or case.place.customer,
                "where": f"{case.place.connector} {'public' if case.public else 'DM'}",
                "for": case.latest.name.replace("_", " "),
                "waits": say_duration((now - (case.waiting_since or now)).total_seconds()),
                "target": f"{say_duration(left)} left" if left >= 0 else f"{say_duration(-left)} late",
                "due_at": say_time(case.due_at),
                "priority": case.priority.value,
                "complaint": case.complaint,
                "assignee": case.assignee,
                "text": inert(text, TEXT_WIDTH),
            }
        )
    return View("Who waits", rows)


def status(reader: Reader, now: datetime) -> dict[str, Any]:
    """What the daemon sees now, as one JSON object."""
    waiting = reader.figures.waiting(now)
    return {
        "now": say_time(now),
        "unanswered": sum(w.count for w in waiting),
        "overdue": sum(w.overdue for w in waiting),
        "oldest_waiting_since": say_time(min((w.oldest_since for w in waiting), default=None)),
        "streams": [
            {
                "stream": f"{s.brand}/{s.connector}/{s.account}/{s.name}",
                "state": "refused" if s.refused else "failing" if s.failing_since else "ok",
                "seen_through": say_time(s.complete_through),
                "last_success": say_time(s.succeeded_at),
                "failures": s.failures,
                "retry_at": say_time(s.retry_at),
                "error": s.error,
            }
            for s in reader.streams.all()
        ],
        "budgets": [
            {
                "budget": f"{b.brand}/{b.connector}/{b.account}/{b.name}",
                "remaining": b.remaining,
                "limit": b.maximum,
                "resets_at": say_time(b.resets_at),
            }
            for b in reader.streams.budgets()
        ],
        "blind": [
            {
                "account": f"{a.brand}/{a.connector}/{a.account}",
                "since": say_time(a.blind_since),
                "refused": a.refused,
            }
            for a in reader.streams.accounts()
            if a.blind_since is not None
        ],
        "storms_and_spikes": [
            {
                "what": s.kind.value,
                "brand": s.brand,
                "since": say_time(s.since),
                "last_at": say_time(s.last_at),
            }
            for s in reader.surges.all_running()
        ],
        "muted": [
            {
                "what": m.what,
                "is": m.value,
                "brand": m.brand or "all",
                "until": say_time(m.until),
                "by": m.who,
            }
            for m in reader.cases.mutes(now)
        ],
        "kept_back_by_mutes": int(sum(c.value for c in reader.figures.counts() if c.name == "alerts_muted")),
        "outbox": [{"channel": c, "state": s, "count": n} for c, s, n in reader.outbox.depth()],
        "dead_letters": reader.outbox.dead_letters(),
        "dead_by_channel": [
            {"channel": channel, "dead": count, "last_at": say_time(at), "why": why}
            for channel, count, at, why in reader.outbox.dead()
        ],
    }


def show_status(found: Mapping[str, Any], console: Console) -> None:
    """The same for people."""
    console.print(
        f"[bold]{found['unanswered']}[/bold] unanswered, [bold]{found['overdue']}[/bold] past their target"
        + (f", the longest since {found['oldest_waiting_since']}" if found["oldest_waiting_since"] else "")
    )
    for name in ("streams", "budgets", "outbox", "blind", "storms_and_spikes"):
        show(View(name.replace("_", " ").capitalize(), found[name]), console, as_json=False)
    if found["muted"] or found["kept_back_by_mutes"]:
        show(View("Muted", found["muted"]), console, as_json=False)
        count = found["kept_back_by_mutes"]
        waits = "wait" if count == 1 else "waits"
        console.print(f"{count} {waits} so far of which a mute kept people from being told")
    if found["dead_letters"]:
        show(View("Dead letters", found["dead_by_channel"]), console, as_json=False)
        console.print(
            f"[red]{found['dead_letters']} dead letters[/red]: mend the channel, try it with "
            "`response-monitor check --send`, then `response-monitor alerts retry --dead`"
        )


def story(reader: Reader, policy: Policy, row: Row, now: datetime) -> dict[str, Any]:
    """A case's whole story: every message, clock, word, alert and reason."""
    case = row.case
    place = case.place
    messages = reader.messages(row.scope)
    told = []
    threads = messages.threads_of(place.conversation, place.customer)
    for part in sorted(messages.parts(threads, place.customer), key=lambda p: p.created_at):
        message = messages.read(part.id)
        shown = part.public or policy.show_dm_text
        told.append(
            {
                "at": say_time(part.created_at),
                "seen_at": say_time(part.seen_at),
                "from": part.author_handle,
                "direction": "inbound" if part.inbound else "outbound",
                "automated": part.automated,
                "deleted_at": say_time(part.deleted_at),
                "text": inert(message.text, 500) if message is not None and shown else "(private)",
                "id": part.id,
            }
        )
    return {
        **case_to_row(case, now),
        "outcome": outcome_of(case),
        "waits_seconds": (now - case.waiting_since).total_seconds() if case.waiting_since else None,
        "warnings": [{"share": share, "at": say_time(at)} for share, at in case.latest.warnings],
        "reasons": list(case.reasons),
        "targets": explain_targets(reader, policy, row)[-1]["reasons"],
        "look_again_at": say_time(row.look_again_at),
        "decision": row.reason,
        "conversation_messages": told,
        "said_by_operators": [
            {
                "at": say_time(a.at),
                "who": a.who,
                "word": a.word.value,
                "until": say_time(a.until),
                "note": a.note,
            }
            for a in reader.cases.said_of(row.scope, threads, place.customer)
        ],
        "alerts": [
            {
                "made_at": say_time(r.created_at),
                "clock": r.owed.clock.value,
                "stage": r.stage.value,
                "step": r.owed.step,
                "repeat": r.owed.repeat,
                "channel": r.channel,
                "recipient": r.recipient,
                "state": r.state.value,
                "ended_at": say_time(r.ended_at),
                "attempts": r.attempts,
                "outcome": r.outcome,
                "caveats": list(r.owed.caveats),
            }
            for r in said_of(reader, row.scope, case)
        ],
    }


def explain_targets(reader: Reader, policy: Policy, row: Row) -> list[dict[str, Any]]:
    """Why each response clock of a case has its target: one entry a clock, a reason for each target."""
    case, place = row.case, row.case.place
    messages = reader.messages(row.scope)
    threads = messages.threads_of(place.conversation, place.customer)
    said = reader.cases.said_of(row.scope, threads, place.customer)
    policies = policy.remembering(reader.policies()).brand(place.brand).fold
    choices = explain_clocks(place, messages.parts(threads, place.customer), said, policies)
    return [
        {
            "clock": clock.name.value,
            "cycle": clock.cycle,
            "started_at": say_time(clock.started_at),
            "target": clock.target,
            "promise": None if clock.target_seconds is None else say_duration(clock.target_seconds),
            "calendar": clock.calendar or "always",
            "due_at": say_time(clock.due_at),
            "reasons": list(choices[case.id, clock.cycle].reasons),
        }
        for clock in case.clocks
    ]


def show_explanation(id: str, found: Sequence[Mapping[str, Any]], console: Console) -> None:
    """The same for people."""
    console.print(f"[bold]{escape(inert(id, 200))}[/bold]")
    for clock in found:
        promise = (
            f"{clock['promise']} ({clock['calendar']}), due {clock['due_at']}"
            if clock["promise"]
            else "no promise"
        )
        name = clock["clock"].replace("_", " ")
        console.print(f"{name} {clock['cycle']}, since {clock['started_at']}: {escape(promise)}")
        for reason in clock["reasons"]:
            console.print(f"  {escape(inert(reason, 300))}")


def show_story(found: Mapping[str, Any], console: Console) -> None:
    """The same for people."""
    head = found["outcome"] or "waits"
    if found["status"] == Status.WAITING and found["waits_seconds"] is not None:
        head = f"waits for {say_duration(found['waits_seconds'])}"
    console.print(f"[bold]{escape(found['id'])}[/bold]: {escape(head)}")
    plain = {
        k: v
        for k, v in found.items()
        if not isinstance(v, list | dict) and v is not None and k not in ("id", "outcome")
    }
    clocks = [
        {k: c[k] for k in ("clock", "started_at", "stopped_at", "ending", "due_at", "breached_at")}
        for c in found["clocks"]
    ]
    show(
        View("The case", [{"what": k.replace("_", " "), "is": v} for k, v in plain.items()]),
        console,
        as_json=False,
    )
    show(View("Its clocks", clocks), console, as_json=False)
    for key, title in (
        ("conversation_messages", "What was written"),
        ("alerts", "What was said to people"),
        ("said_by_operators", "What operators said"),
    ):
        if found[key]:
            show(View(title, found[key]), console, as_json=False)
    for key, title in (("reasons", "Why it is judged so"), ("targets", "Why this target")):
        for reason in found[key]:
            console.print(f"  {title}: {escape(inert(reason, 300))}")
