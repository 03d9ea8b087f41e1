"""The watching step: who has waited too long is found, and what is owed goes to the outbox.

One transaction moves a case's next look and makes its outbox rows, so that a deadline is never passed
without its alert. Level-triggered: calling it twice, or late, or after a crash, says nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitor.digests import watch_digest
from monitor.folding import clock_key, count_breach, is_counted
from monitor.muting import Mutes, kept_back, muted_until, why_muted
from monitor.policy import Policy
from monitor.saying import say, tell_fallbacks
from monitor.store.cases import Mute
from monitor.store.cases import Row as CaseRow
from monitor.store.outbox import About
from monitor.store.outbox import Row as OutboxRow
from monitor.store.store import Reader, Store
from monitor.store.streams import AccountRow
from monitor.store.surges import Kind, Surge
from monitor.surges import Claim, storm_of, watch_spike, watch_storm
from rules.alert import Stage
from rules.case import Case
from rules.decisions import (
    CLAIMS,
    ENDS,
    Decision,
    Health,
    Owed,
    Sight,
    clock_of,
    decide,
    decide_trouble,
    running_clocks,
)
from rules.escalation import find_step
from rules.routes import Heard, News, find_told, news_of
from rules.storms import StormPolicy
from rules.team import find_person

BATCH = 200
PUT_OFF = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Look:
    """A fresh look that a claim waits for: at the brand's own posts, and at whether this message stands.

    `account`: a private message is answered where it was sent; None: any of the brand's accounts may answer.
    """

    brand: str
    connector: str
    account: str | None
    message_id: str

    @property
    def private(self) -> bool:
        return self.account is not None


@dataclass(slots=True)
class Watched:
    """What one step did. `next_look`: when the next case is due (None: none is). `more`: the batch was
    full, so look again at once. `failed`: the cases that could not be looked at, and why."""

    looked: int = 0
    said: int = 0
    channels: set[str] = field(default_factory=set)
    looks: set[Look] = field(default_factory=set)
    next_look: datetime | None = None
    more: bool = False
    failed: dict[int, str] = field(default_factory=dict)


class _Unreadable(Exception):
    """Looking at this case failed: a mistake of ours, or a row that somebody changed."""

    def __init__(self, pk: int, why: str) -> None:
        super().__init__(why)
        self.pk = pk


def watch_once(store: Store, policy: Policy, now: datetime) -> Watched:
    """Look at the cases and accounts that are due, and put what is owed into the outbox.

    A case that cannot be looked at is put off, noted and counted; it must not silence all the others.
    """
    failed: dict[int, str] = {}
    while True:
        try:
            return _watch(store, policy, now, failed)
        except _Unreadable as error:
            failed[error.pk] = str(error)


def _watch(store: Store, policy: Policy, now: datetime, failed: Mapping[int, str]) -> Watched:
    watched = Watched(failed=dict(failed))
    with store.transaction("watch"):
        for pk, why in failed.items():
            store.cases.look_later(pk, now + PUT_OFF, f"could not be looked at: {why}", wants_look=False)
            store.figures.count("cases_unreadable")
        rows = store.cases.to_look_at(now, BATCH)
        mutes = Mutes(store.cases.mutes(now) if rows else ())
        claims: dict[str, list[Claim]] = {}
        for pk in rows:
            try:
                row = store.cases.get(pk)
                for owed in _look_at(store, policy, row, mutes, now, watched):
                    claims.setdefault(row.case.place.brand, []).append(Claim(row, owed))
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise _Unreadable(pk, type(error).__name__) from error
        again_at = _say_claims(store, policy, claims, now, watched)
        for account in store.streams.accounts():
            _look_at_account(store, policy, account, now, watched)
            _look_at_credentials(store, policy, account, now, watched)
        watched.channels.update(tell_fallbacks(store, policy, now))
        # What another put there (a dead letter's news, a command) wakes its channel too.
        watched.channels.update(r.channel for r in policy.routes if store.outbox.has_due(r.channel, now))
        watched.looked = len(rows)
        watched.more = len(rows) == BATCH
        watched.next_look = min((t for t in (store.cases.next_look(), again_at) if t), default=None)
    return watched


def _look_at(
    store: Store, policy: Policy, row: CaseRow, mutes: Mutes, now: datetime, watched: Watched
) -> list[Owed]:
    """Look at one case. What is over is said at once; the claims that it is owed are returned."""
    case = row.case
    earlier = said_of(store, row.scope, case)
    sight = sight_of(store, policy, row.scope, case)
    muted = mutes.of(store, row)
    decision = decide(case, [r.said for r in earlier], sight, now, policy.manner, why_muted(muted))
    again_at = decision.look_again_at
    if muted and not case.quiet:
        again_at = _count_muted(store, row, muted, now)
    store.cases.look_later(row.pk, again_at, decision.reason, wants_look=decision.wants_look)
    claims = [o for o in decision.owed if o.stage in CLAIMS]
    if decision.wants_look and not claims and case.waiting_message_id is not None:
        watched.looks.add(
            Look(
                case.place.brand,
                case.place.connector,
                case.asked_privately,
                case.waiting_message_id,
            )
        )
    _count_known_breaches(store, row, decision)
    for _ in {(o.clock, o.cycle) for o in decision.owed if o.stage is Stage.CORRECTED}:
        store.figures.count("false_alerts", brand=case.place.brand, connector=case.place.connector)
    for owed in decision.owed:
        if owed.to is not None:
            _hand_over(store, policy, row, owed, earlier, now, watched)
            earlier = said_of(store, row.scope, case)
    for owed in decision.owed:
        if owed.stage in CLAIMS or owed.to is not None:
            continue
        told = [r for r in earlier if r.said.told and r.owed.says_waiting and _is_about(case, r, owed)]
        subject = owed.subject or case.id
        by_name = [r for r in earlier if r.owed.to is not None and r.stage is owed.stage is Stage.MOVED]
        # Where somebody is told that it is theirs, all read there that it was handed on.
        own = {(r.subject, r.channel, r.recipient) for r in by_name if r.owed.moment == owed.moment}
        heard = _find_told(policy, told, owed.stage)
        heard = tuple(h for h in heard if (subject, h.route.channel, h.route.recipient) not in own)
        _say(store, policy, owed, subject, _about(row), heard, {}, now, watched)
        for name, alone in _find_told_alone(policy, told, owed.stage):
            _say(store, policy, replace(owed, to=name), subject, _about(row), alone, {}, now, watched)
    return claims


def _is_about(case: Case, row: OutboxRow, owed: Owed) -> bool:
    """Whether the row was said of the same wait, and in the place that what is owed now is for."""
    return row.subject == owed.subject and clock_of(case, row.owed) == clock_of(case, owed)


def _hand_over(
    store: Store,
    policy: Policy,
    row: CaseRow,
    owed: Owed,
    earlier: Sequence[OutboxRow],
    now: datetime,
    watched: Watched,
) -> None:
    """Tell the one whom a case was given that it is theirs."""
    case, clock = row.case, clock_of(row.case, owed)
    told = {(r.channel, r.recipient) for r in earlier if r.said.told and r.owed.says_waiting}
    before = [r for r in policy.routes if (r.channel, r.recipient) in told]
    route = policy.own_route(case, clock, owed.to or "", before, late=False)
    alone = [] if route is None else [Heard(route)]
    for subject, heard in _by_subject(case, earlier, alone).items():
        _say(store, policy, owed, subject, _about(row), heard, {}, now, watched)


def _count_muted(store: Store, row: CaseRow, muted: Sequence[Mute], now: datetime) -> datetime | None:
    """Count, once for each wait, that a mute keeps people from being told. Returns when to look again: when
    the next stage comes, or the mute ends."""
    reached, ahead = kept_back(running_clocks(row.case, now), now)
    marks = {f"muted/{clock_key(clock)}" for clock in reached} - row.counted
    for _ in marks:
        store.figures.count("alerts_muted", brand=row.case.place.brand)
    if marks:
        store.cases.keep_counted(row.case.id, row.counted | marks)
    return min((at for at in (ahead, muted_until(muted)) if at is not None), default=None)


def _count_known_breaches(store: Store, row: CaseRow, decision: Decision) -> None:
    """A breach is counted when it is known: not while we are too blind to see an answer."""
    clocks = [row.case.clock(name, cycle) for name, cycle in decision.known_late]
    fresh = [c for c in clocks if c is not None and not is_counted(row.case, c, row.counted)]
    for clock in fresh:
        count_breach(store, row.case, clock)
    if fresh:
        store.cases.keep_counted(row.case.id, row.counted.union(map(clock_key, fresh)))


def _say_claims(
    store: Store, policy: Policy, claims: Mapping[str, list[Claim]], now: datetime, watched: Watched
) -> datetime | None:
    """Say what is owed, one by one or in a storm, and how storms and spikes stand. Returns when to look at
    those again."""
    again: list[datetime] = []

    def say(surge: Surge, owed: Owed) -> None:
        _say_surge(store, policy, surge, owed, now, watched)

    for digest in store.surges.all_running():
        if digest.kind is Kind.DIGEST:
            again += [t for t in [watch_digest(store, policy.storm or StormPolicy(), digest, say, now)] if t]
    for brand in sorted({*claims, *(s.brand for s in store.surges.all_running()), *store.surges.brands()}):
        mine = claims.get(brand, [])
        storm = None
        if policy.storm is not None:
            storm = storm_of(store, policy.storm, brand, mine, now)
        for claim in mine:
            _say_claim(store, policy, claim, storm, now, watched)
        if policy.storm is not None and storm is not None:
            running = store.surges.running(Kind.STORM, brand) or storm
            again += [t for t in [watch_storm(store, policy.storm, running, say, now)] if t is not None]
        if policy.spike is not None:
            watch_spike(store, policy.spike, brand, say, now)
    return min(again, default=None)


def _say_claim(
    store: Store, policy: Policy, claim: Claim, storm: Surge | None, now: datetime, watched: Watched
) -> None:
    """Have one stage said, or, in a storm, noted as said by it."""
    case, owed = claim.row.case, claim.owed
    if owed.stage is Stage.ESCALATED:
        step = find_step(policy.steps, owed.step)
        heard = tuple(Heard(r) for r in policy.routes if step is not None and r.channel in step.channels)
    else:
        heard = policy.find_routes(news_of(case, owed.stage, clock_of(case, owed))).heard
    earlier = said_of(store, claim.row.scope, case)
    for subject, there in _by_subject(case, earlier, heard).items():
        _say(store, policy, owed, subject, _about(claim.row), there, {}, now, watched, storm)
    owner = find_person(policy.people, case.assignee) if owed.stage is Stage.BREACH else None
    if owner is not None:
        own = policy.own_route(case, clock_of(case, owed), owner.name, late=True)
        alone = [] if own is None else [Heard(own)]
        for subject, there in _by_subject(case, earlier, alone).items():
            # Also in a storm, which would not tell them that it is theirs.
            mine = replace(owed, to=owner.name)
            _say(store, policy, mine, subject, _about(claim.row), there, {}, now, watched)


def _say_surge(
    store: Store, policy: Policy, surge: Surge, owed: Owed, now: datetime, watched: Watched
) -> None:
    """Have a storm or a spike said: a storm to whoever was to be told of its cases."""
    words: dict[str, object] = {"surge": surge.pk}
    said = store.outbox.of_subject(surge.subject)
    told = {(r.channel, r.recipient) for r in said if r.said.told or surge.kind is not Kind.DIGEST}
    if owed.stage is Stage.CLEARED or surge.kind is Kind.DIGEST:
        heard = tuple(Heard(r) for r in policy.routes if (r.channel, r.recipient) in told)
    else:
        heard = policy.find_routes(News(owed.stage, surge.brand)).heard
    if surge.kind is Kind.DIGEST and owed.stage is Stage.STORM:  # its beginning was said when it was made
        heard = tuple(h for h in heard if h.route.updates)
    if surge.kind is Kind.STORM and owed.stage is not Stage.CLEARED:
        hearers = store.surges.hearers(surge.brand, surge.since)
        named = {h.route.channel for h in heard}
        heard += tuple(
            Heard(r) for r in policy.routes if (r.channel, r.recipient) in hearers and r.channel not in named
        )
        if owed.repeat:  # where nothing can be changed, an update would be one more message a minute
            heard = tuple(
                h for h in heard if h.route.updates or (h.route.channel, h.route.recipient) not in told
            )
    _say(store, policy, owed, surge.subject, None, heard, words, now, watched)


def _find_told(policy: Policy, told: Sequence[OutboxRow], stage: Stage = Stage.CLEARED) -> tuple[Heard, ...]:
    """Who hears that it is over, or has moved: those who were told by these rows."""
    instead = {(r.channel, r.recipient) for r in told if r.body.get("fallback")}
    return find_told(policy.routes, {(r.channel, r.recipient) for r in told}, instead, stage)


def _find_told_alone(
    policy: Policy, told: Sequence[OutboxRow], stage: Stage
) -> list[tuple[str, tuple[Heard, ...]]]:
    """The people who were told by name at an address of their own, and hear that it is over as their channel
    would."""
    channels = {r.channel: r for r in policy.routes}
    found: dict[str, tuple[Heard, ...]] = {}
    for row in told:
        route = channels.get(row.channel)
        if row.owed.to is None or route is None or row.recipient == route.recipient or stage not in ENDS:
            continue
        if Stage.CLEARED in route.stages:
            found[row.owed.to] = (Heard(replace(route, recipient=row.recipient, updates=False)),)
    return list(found.items())


def _by_subject(case: Case, earlier: Sequence[OutboxRow], heard: Iterable[Heard]) -> dict[str, list[Heard]]:
    """Who hears of a case, by the subject that it has there: of a case that was joined from several, each
    goes on where it was told last."""
    told = [r for r in earlier if r.said.told or r.said.pending]
    last = {(r.channel, r.recipient): r.subject for r in told}
    otherwise = earlier[0].subject if earlier else case.id
    found: dict[str, list[Heard]] = {}
    for one in heard:
        subject = last.get((one.route.channel, one.route.recipient), otherwise)
        found.setdefault(subject, []).append(one)
    return found


def _about(row: CaseRow) -> About:
    case = row.case
    return About(
        row.scope, case.place.conversation, case.place.customer, case.first_message_id, case.opened_at
    )


def _say(
    store: Store,
    policy: Policy,
    owed: Owed,
    subject: str,
    about: About | None,
    heard: Iterable[Heard],
    words: dict[str, object],
    now: datetime,
    watched: Watched,
    storm: Surge | None = None,
) -> None:
    """One outbox row for each recipient."""
    said_by = None if storm is None else storm.subject
    told = say(store, policy, owed, subject, about, heard, words, now, said_by)
    watched.said += len(told)
    watched.channels.update(told)


def said_of(reader: Reader, scope: int, case: Case) -> list[OutboxRow]:
    """What was said about a case: the union over all messages that it holds now."""
    rows = [
        row
        for thread, since, until in reader.cases.spans(scope, case)
        for row in reader.outbox.of_case(scope, thread, case.place.customer, since, until)
    ]
    return sorted(rows, key=lambda row: row.pk)


def sight_of(reader: Reader, policy: Policy, scope: int, case: Case) -> Sight:
    """How far we can see where an answer to this case would be."""
    if policy.sees_all:
        return Sight(gates=False)
    streams = reader.streams.showing_answers(scope, case.asked_privately)
    started = reader.mark("started_at")
    open_eyes = [s for s in streams if s.refused is None]
    seen = {f"@{s.account}" for s in open_eyes}
    hidden = sorted({f"@{s.account}" for s in streams if s.refused is not None} - seen)
    if not streams:
        hidden = [f"@{case.account}"]
    through = [s.complete_through for s in open_eyes]
    known = [t for t in through if t is not None]
    checks = case.asked_privately is None and (case.place.brand, case.place.connector) in policy.look_ups
    checked_at = None
    if checks and case.waiting_message_id is not None:
        checked_at = reader.messages(scope).checked_at(case.waiting_message_id)
    blind = [
        a.blind_since
        for a in reader.streams.accounts()
        if a.scope == scope and a.blind_since is not None and f"@{a.account}" in seen
    ]
    return Sight(
        through=min(known) if known and len(known) == len(through) else None,
        gates=bool(open_eyes),
        accounts=tuple(sorted(seen)),
        hidden=tuple(hidden),
        checked_at=checked_at,
        checks=checks,
        blind_since=min(blind, default=None),
        watching_since=None if started is None else datetime.fromisoformat(started),
    )


def _look_at_account(
    store: Store, policy: Policy, account: AccountRow, now: datetime, watched: Watched
) -> None:
    """Tell that we cannot see, or that we can again."""
    after_seconds = policy.blind_after(account.brand, account.connector, account.account)
    if not policy.sees_all:
        account = _with_lag(store, account, after_seconds, now)
    if account.episode == 0:
        return
    subject = f"{account.brand}/{account.connector}/{account.account} blind {account.episode}"
    earlier = store.outbox.of_subject(subject)
    told = any(r.stage is Stage.TROUBLE for r in earlier)
    if account.blind_since is None and (not told or any(r.stage is Stage.CLEARED for r in earlier)):
        return
    health = Health(account.episode, account.blind_since, account.refused, told)
    decision = decide_trouble(health, after_seconds, now)
    words: dict[str, object] = {
        "brand": account.brand,
        "connector": account.connector,
        "account": account.account,
        "refused": account.refused,
        "since": account.blind_since.isoformat() if account.blind_since else None,
    }
    for owed in decision.owed:
        if owed.stage is Stage.CLEARED:
            heard = _find_told(policy, [r for r in earlier if r.said.told])
        else:
            heard = policy.find_routes(News(owed.stage, account.brand, account.connector)).heard
        _say(store, policy, owed, subject, None, heard, words, now, watched)


def _with_lag(store: Store, account: AccountRow, after_seconds: float, now: datetime) -> AccountRow:
    """The account as it stands when streams that answer and do not catch up count as blind too. What was
    missed while the daemon stood still is being read: that is no blindness yet."""
    started = store.mark("started_at")
    floor = datetime.fromisoformat(started) if started is not None else None
    mine = [s for s in store.streams.all() if (s.scope, s.account) == (account.scope, account.account)]
    seen = [max(t for t in (s.complete_through or s.first_mark, floor) if t is not None) for s in mine]
    lagging = min((at for at in seen if (now - at).total_seconds() > after_seconds), default=None)
    if lagging is not None and account.blind_since is None:
        store.streams.keep_health(account, account.episode + 1, lagging, None)
        return replace(account, episode=account.episode + 1, blind_since=lagging)
    if lagging is not None or account.blind_since is None:
        return account
    # A stream that stumbles just now is another trouble, if it lasts: this one is over once all have been
    # read past its beginning.
    caught_up = all((s.complete_through or s.first_mark) > account.blind_since for s in mine)
    if caught_up or not any(s.failing_since is not None for s in mine):
        store.streams.keep_health(account, account.episode, None, None)
        return replace(account, blind_since=None, refused=None)
    return account


def _look_at_credentials(
    store: Store, policy: Policy, account: AccountRow, now: datetime, watched: Watched
) -> None:
    """Tell that a credential lapses, before it hurts; once for each date."""
    expires_at = account.expires_at
    if expires_at is None or now < expires_at - policy.credentials_warning:
        return
    who = f"@{account.account} on {account.connector}"
    subject = f"{account.brand}/{account.connector}/{account.account} credential {expires_at:%Y-%m-%d}"
    if store.outbox.of_subject(subject):
        return
    words: dict[str, object] = {
        "title": f"The credential of {who} lapses on {expires_at:%Y-%m-%d}",
        "detail": "After that nothing is seen there.",
        "what_to_do": f"Authorise {who} again before then, and put the new token where the config says.",
    }
    owed = Owed(Stage.TROUBLE, 0, 0, now)
    heard = policy.find_routes(News(owed.stage, account.brand, account.connector)).heard
    _say(store, policy, owed, subject, None, heard, words, now, watched)
