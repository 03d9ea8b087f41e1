"""Making an alert out of an outbox row, right before it is sent: the facts as they are then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from monitor.policy import Policy
from monitor.store.cases import Row as CaseRow
from monitor.store.outbox import Row as OutboxRow
from monitor.store.store import Reader
from rules.alert import Alert, CaseFacts, Stage, Trouble
from rules.case import Case, Status
from wire.durations import say_duration


def case_of(reader: Reader, row: OutboxRow) -> CaseRow | None:
    """The case that holds the row's message now."""
    about = row.about
    if about is None:
        return None
    return reader.cases.holding(about.scope, about.conversation, about.customer, about.message_at)


def make_alert(reader: Reader, policy: Policy, row: OutboxRow, now: datetime) -> Alert:
    """What the row says now. Raises LookupError where its case is no more."""
    held = case_of(reader, row)
    if row.about is not None and held is None:
        raise LookupError(f"no case holds message {row.about.message}")
    return Alert(
        key=row.key,
        subject=row.subject,
        stage=row.stage,
        at=now,
        repeat=row.repeat,
        case=None if held is None else make_facts(reader, policy, held, row.body.get("caveats", ())),
        trouble=make_trouble(reader, row, now) if held is None else None,
    )


def make_facts(reader: Reader, policy: Policy, row: CaseRow, caveats: Any = ()) -> CaseFacts:
    """What an alert says about a case."""
    case = row.case
    messages = reader.messages(row.scope)
    message = messages.read(case.waiting_message_id or case.first_message_id)
    shown = case.public or policy.show_dm_text
    name = f"@{case.customer_handle}" if case.customer_handle else None
    return CaseFacts(
        case_id=case.id,
        brand=policy.brand(case.place.brand).title,
        connector=case.place.connector,
        account=case.account,
        public=case.public,
        customer=name or (message.author.name if message is not None else None) or case.place.customer,
        followers=case.followers,
        reach=case.reach,
        text=message.text if message is not None and shown else None,
        messages=case.inbound_count,
        reasons=case.reasons,
        complaint=case.complaint,
        priority=case.priority,
        waiting_since=case.waiting_since or case.opened_at,
        target_name=case.target or "",
        target_seconds=case.target_seconds or 0.0,
        due_at=case.due_at or case.opened_at,
        url=message.url if message is not None else None,
        caveats=tuple(caveats),
        assignee=case.assignee,
        acknowledged_by=case.acknowledged_by,
        outcome=outcome_of(case),
        answered_at=case.first_response.at if case.first_response is not None else None,
    )


def outcome_of(case: Case) -> str | None:
    """How the wait ended, in plain words; None while it goes on."""
    by = case.stopped_by
    if case.status is Status.WAITING:
        return None
    if case.status is Status.ANSWERED:
        seconds = case.first_response_seconds or 0.0
        return (
            f"answered after {say_duration(seconds)} by @{by}"
            if by
            else f"answered after {say_duration(seconds)}"
        )
    return {
        Status.WITHDRAWN: "the customer deleted it",
        Status.NOT_NEEDED: "it needs no reply after all",
        Status.RESOLVED: f"resolved by {by}",
        Status.IGNORED: f"{by} says that it needs no reply",
        Status.ANSWERED_ELSEWHERE: f"answered elsewhere, says {by}",
    }[case.status]


def make_trouble(reader: Reader, row: OutboxRow, now: datetime) -> Trouble:
    """What the row says about ourselves."""
    words = row.body
    since = datetime.fromisoformat(words["since"]) if words.get("since") else row.moment
    if "title" in words:
        return Trouble(words["title"], words["detail"], since, what_to_do=words["what_to_do"])
    scope = reader.scope(words["brand"], words["connector"])
    waiting = reader.cases.count_waiting(scope) if scope is not None else 0
    where = f"@{words['account']} on {words['connector']}"
    if row.stage is Stage.CLEARED:
        return Trouble(f"We see {where} again", "What was missed is being read now.", since, waiting)
    failing = [
        f"{s.name}: {s.error}"
        for s in reader.streams.all()
        if (s.scope, s.account) == (scope, words["account"]) and s.error is not None
    ]
    detail = "; ".join(failing) or "its streams fail"
    if words.get("refused"):
        return Trouble(
            f"{where} refuses us",
            detail,
            since,
            waiting,
            "Give the missing permission or credential, then reload: systemctl reload response-monitor",
        )
    return Trouble(
        f"We are blind on {where} since {since:%H:%M} UTC",
        detail,
        since,
        waiting,
        "Complaints and replies there are not seen; have somebody look at the platform itself.",
    )
