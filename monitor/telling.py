"""Making an alert out of an outbox row, right before it is sent: the facts as they are then."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from monitor.policy import Policy
from monitor.showing import Showing, showing_on
from monitor.store.cases import Row as CaseRow
from monitor.store.outbox import Row as OutboxRow
from monitor.store.store import Reader
from monitor.store.surges import Kind, Surge
from monitor.surges import cases_of, count_cases
from rules.alert import Addressee, Alert, CaseFacts, Spike, Stage, Storm, StormCase, Trouble
from rules.case import Case, Clock, ClockName, Status
from rules.decisions import Owed, clock_of
from rules.message import Kind as MessageKind
from rules.message import Message
from rules.storms import common_words, worst
from rules.team import find_person, on_shift, signed_by
from wire.durations import say_duration

CALLS_MAX = 20
"""More people are not called by one message."""


def case_of(reader: Reader, row: OutboxRow) -> CaseRow | None:
    """The case that holds the row's message now."""
    about = row.about
    if about is None:
        return None
    return reader.cases.holding(about.scope, about.conversation, about.customer, about.message_at)


def make_alert(reader: Reader, policy: Policy, row: OutboxRow, held: CaseRow | None, now: datetime) -> Alert:
    """What the row says now, of the case that holds it (`case_of`). Raises LookupError where that is no
    more."""
    if row.about is not None and held is None:
        raise LookupError(f"no case holds message {row.about.message}")
    alert = Alert(row.key, row.subject, row.stage, now, row.owed.repeat, step=row.owed.step)
    showing = showing_on(policy, row.channel)
    if held is not None:
        alert = replace(alert, addressee=addressee_of(policy, held.case, row.owed))
        return replace(alert, case=facts_for(reader, policy, held, row.owed, row.channel, now))
    if "surge" not in row.body:
        return replace(alert, trouble=make_trouble(reader, row, now))
    surge = reader.surges.get(row.body["surge"])
    if surge is None:
        raise LookupError(f"no storm or spike has the number {row.body['surge']}")
    if surge.kind is Kind.SPIKE:
        return replace(alert, spike=make_spike(policy, surge))
    calls, notes = calls_of(policy, row.channel, row.owed, None, now)
    return replace(
        alert, storm=replace(make_storm(reader, policy, surge, showing), calls=calls, caveats=notes)
    )


def addressee_of(policy: Policy, case: Case, owed: Owed) -> Addressee | None:
    """Whom alone it is for. Raises LookupError where the config knows that person no more."""
    if owed.to is None:
        return None
    person = find_person(policy.people, owed.to)
    if person is None:
        raise LookupError(f"nobody of [[people]] is called {owed.to}")
    given = owed.stage is Stage.MOVED and case.assigned is not None
    by = case.assigned.who if given and case.assigned is not None else None
    return Addressee(person.name, person.slack, person.email, by)


def facts_for(
    reader: Reader, policy: Policy, row: CaseRow, owed: Owed, channel: str, now: datetime
) -> CaseFacts:
    """What an alert over this channel says about one clock of a case, with whom it calls."""
    calls, notes = calls_of(policy, channel, owed, row.case.assignee, now)
    facts = make_facts(reader, policy, row, owed, showing_on(policy, channel))
    return replace(facts, calls=calls, caveats=(*facts.caveats, *notes))


def calls_of(
    policy: Policy, channel: str, owed: Owed, assignee: str | None, now: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The Slack ids of the people whom this concerns by name: whose it is, and who is on shift where the
    channel calls those. And what an alert must admit of it. All of it is out of the config."""
    found: list[str] = []
    owner = find_person(policy.people, assignee)
    if owner is not None and owner.slack is not None:
        found.append(owner.slack)
    if channel not in policy.on_call:
        return tuple(found), ()
    on = [p.slack for p in on_shift(policy.people, policy.shifts, now) if p.slack is not None]
    begins = owed.stage in (Stage.BREACH, Stage.ESCALATED) or (owed.stage is Stage.STORM and owed.repeat == 0)
    notes = ("nobody is on shift",) if begins and not on else ()
    return tuple(dict.fromkeys([*found, *on]))[:CALLS_MAX], notes


def make_facts(reader: Reader, policy: Policy, row: CaseRow, owed: Owed, showing: Showing) -> CaseFacts:
    """What an alert says about one clock of a case, as its channel may show it."""
    case = row.case
    clock = clock_of(case, owed) or case.latest
    messages = reader.messages(row.scope)
    standing = case.waiting_message_id if clock is case.wait else None
    message = messages.read(standing or clock.message_id)
    first = message
    if message is None or message.id != case.first_message_id:
        first = messages.read(case.first_message_id)
    shown = policy.show_dm_text or (message is not None and message.public)
    outcome = outcome_of(case, clock)
    return CaseFacts(
        case_id=case.id,
        brand=policy.brand(case.place.brand).title,
        connector=case.place.connector,
        account=case.account,
        public=case.public,
        customer=_customer(case, message, showing),
        followers=case.followers,
        reach=case.reach,
        text=showing.text(message.text) if message is not None and shown else None,
        messages=case.inbound_count,
        reasons=showing.reasons(case.reasons, {m.text for m in (message, first) if m is not None}),
        complaint=case.complaint,
        priority=case.priority,
        waiting_since=clock.started_at,
        target_name=clock.target or "",
        target_seconds=clock.target_seconds or 0.0,
        due_at=clock.due_at or clock.started_at,
        url=showing.link(message.url) if message is not None else None,
        caveats=owed.caveats,
        assignee=case.assignee,
        acknowledged_by=case.acknowledged_by,
        outcome=_signed(reader, policy, row, clock, None if outcome is None else showing.masked(outcome)),
        answered_at=clock.stopped_at if clock.ending is Status.ANSWERED else None,
        clock=clock.name,
        unknown_since=owed.unknown_since,
        calendar=clock.calendar,
        moved=None if case.moved is None else case.moved.word,
        moved_by=None if case.moved is None else case.moved.who,
        snoozed_until=case.snoozed_until,
    )


def _customer(case: Case, message: Message | None, showing: Showing) -> str:
    """Who it is, by the public name; a name or a handle that is an address is masked like one."""
    if case.customer_handle and (message is None or message.kind is not MessageKind.EMAIL):
        return f"@{case.customer_handle}"
    name = case.customer_handle or (message.author.name if message is not None else None)
    return showing.masked(name or case.place.customer)


def make_storm(reader: Reader, policy: Policy, surge: Surge, showing: Showing) -> Storm:
    """What a storm's message says, as of now, as its channel may show it."""
    rows = cases_of(reader, surge)
    reached, waiting, answered = count_cases([row.case for row in rows])
    scopes = {row.case.id: row.scope for row in rows}
    texts = []
    for row in rows:
        message = reader.messages(row.scope).read(row.case.first_message_id)
        if message is not None and (message.public or policy.show_dm_text):
            texts.append(message.text)
    brand = policy.brand(surge.brand)
    own_names = {brand.name, brand.title, *brand.meaning.keywords, *brand.meaning.handles}
    return Storm(
        brand=brand.title,
        connectors=tuple(sorted({row.case.place.connector for row in rows})),
        since=surge.since,
        reached=reached,
        waiting=waiting,
        answered=answered,
        worst=tuple(
            make_line(reader, scopes[case.id], case, showing) for case in worst([row.case for row in rows])
        ),
        words=common_words(
            showing.countable(texts), {word.lower() for name in own_names for word in name.split()}
        ),
        over_at=surge.over_at,
        held_since=surge.since if surge.kind is Kind.DIGEST else None,
    )


def make_line(reader: Reader, scope: int, case: Case, showing: Showing) -> StormCase:
    """A case as one of many, as its channel may show it."""
    message = reader.messages(scope).read(case.waiting_message_id or case.first_message_id)
    return StormCase(
        case_id=case.id,
        customer=_customer(case, message, showing),
        connector=case.place.connector,
        priority=case.priority,
        waiting_since=case.waiting_since or case.opened_at,
        due_at=case.due_at,
        url=showing.link(message.url) if message is not None else None,
    )


def make_spike(policy: Policy, surge: Surge) -> Spike:
    """What the message about a spike says, as it was found."""
    window_seconds = policy.spike.window_seconds if policy.spike is not None else 0.0
    return Spike(
        brand=policy.brand(surge.brand).title,
        count=surge.body["count"],
        window_seconds=window_seconds,
        usual=surge.body["usual"],
        since=surge.since,
    )


def outcome_of(case: Case, clock: Clock | None = None) -> str | None:
    """How a wait of it ended (None: the latest response), in plain words; None while it goes on."""
    clock = clock or case.latest
    by = clock.stopped_by
    if clock.runs:
        if case.status is Status.NOT_NEEDED:
            return "it needs no reply after all"
        if clock.name is ClockName.RESOLUTION and case.status is not Status.WAITING:
            return "nobody has written any more"
        return None
    if clock.ending is Status.ANSWERED:
        seconds = clock.seconds or 0.0
        if clock is case.first:
            seconds = case.first_response_seconds or seconds
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
    }[clock.ending or case.status]


def _signed(reader: Reader, policy: Policy, row: CaseRow, clock: Clock, outcome: str | None) -> str | None:
    """The outcome with the name of whoever signed the answer, where [[people]] has the signature."""
    if outcome is None or clock.ending is not Status.ANSWERED or clock.answer_id is None:
        return outcome
    answer = reader.messages(row.scope).read(clock.answer_id)
    by = None if answer is None else signed_by(policy.people, answer.text)
    return outcome if by is None else f"{outcome} ({by.name})"


def make_trouble(reader: Reader, row: OutboxRow, now: datetime) -> Trouble:
    """What the row says about ourselves."""
    words = row.body
    since = datetime.fromisoformat(words["since"]) if words.get("since") else row.owed.moment
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
    detail = "; ".join(failing) or "it answers, and we do not catch up with what was written"
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
