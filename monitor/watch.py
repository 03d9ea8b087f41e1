"""The watching step: who has waited too long is found, and what is owed goes to the outbox.

One transaction moves a case's next look and makes its outbox rows, so that a deadline is never passed
without its alert. Level-triggered: calling it twice, or late, or after a crash, says nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.folding import count_breach
from monitor.policy import Policy, muted_words
from monitor.store.cases import Mute
from monitor.store.cases import Row as CaseRow
from monitor.store.outbox import About
from monitor.store.outbox import Row as OutboxRow
from monitor.store.store import Reader, Store
from monitor.store.streams import AccountRow
from rules.alert import Stage
from rules.case import Case
from rules.decisions import Health, Owed, Said, Sight, decide, decide_trouble
from rules.meaning.contract import Priority
from rules.routes import route

BATCH = 200
KEY_LENGTH_MAX = 200
CLOCK = "first_response"
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
        mutes = store.cases.mutes(now) if rows else []
        for pk in rows:
            try:
                _look_at(store, policy, store.cases.get(pk), mutes, now, watched)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise _Unreadable(pk, type(error).__name__) from error
        for account in store.streams.accounts():
            _look_at_account(store, policy, account, now, watched)
            _look_at_credentials(store, policy, account, now, watched)
        watched.looked = len(rows)
        watched.more = len(rows) == BATCH
        watched.next_look = store.cases.next_look()
    return watched


def _look_at(
    store: Store, policy: Policy, row: CaseRow, mutes: Sequence[Mute], now: datetime, watched: Watched
) -> None:
    case = row.case
    earlier = said_of(store, row.scope, case)
    sight = sight_of(store, policy, row.scope, case)
    muted = muted_by(store, row, mutes)
    decision = decide(case, [r.said for r in earlier], sight, now, muted)
    store.cases.look_later(row.pk, decision.look_again_at, decision.reason, wants_look=decision.wants_look)
    if decision.wants_look and decision.owed is None and case.waiting_message_id is not None:
        watched.looks.add(
            Look(
                case.place.brand,
                case.place.connector,
                None if case.public else case.account,
                case.waiting_message_id,
            )
        )
    if decision.owed is None:
        if muted is not None and case.quiet is False:
            store.figures.count("alerts_muted", brand=case.place.brand)
        return
    owed = decision.owed
    if owed.stage is Stage.BREACH and owed.repeat == 0 and not row.breach_counted:
        count_breach(store, case)
        store.cases.mark_breach_counted(case.id)
    if owed.stage is Stage.CORRECTED:
        store.figures.count("false_alerts", brand=case.place.brand, connector=case.place.connector)
    about = About(
        row.scope, case.place.conversation, case.place.customer, case.first_message_id, case.opened_at
    )
    subject = earlier[0].subject if earlier else case.id
    told = {(r.channel, r.recipient) for r in earlier if r.said.told and r.stage in _CLAIMS}
    _say(store, policy, owed, subject, about, case.place.brand, case.priority, told, {}, now, watched)


_CLAIMS = (Stage.WARNING, Stage.BREACH)


def _say(
    store: Store,
    policy: Policy,
    owed: Owed,
    subject: str,
    about: About | None,
    brand: str,
    priority: Priority,
    told: Iterable[tuple[str, str]],
    words: dict[str, object],
    now: datetime,
    watched: Watched,
) -> None:
    """One outbox row for each recipient."""
    for recipient in route(policy.routes, owed.stage, brand, priority, set(told)):
        made = store.outbox.add(
            key=alert_key(subject, owed, recipient.channel, recipient.recipient),
            subject=subject,
            about=about,
            said=Said(owed.stage, owed.cycle, owed.repeat, owed.moment, told=False, pending=True),
            channel=recipient.channel,
            recipient=recipient.recipient,
            body={**words, "caveats": list(owed.caveats)},
            now=now,
            shadow=policy.shadow,
        )
        if made:
            watched.said += 1
            watched.channels.add(recipient.channel)
            store.figures.count("alerts_created", channel=recipient.channel, stage=owed.stage)


def alert_key(subject: str, owed: Owed, channel: str, recipient: str) -> str:
    """The outbox's unique key: ASCII, at most 200 characters, readable up to the recipient."""
    whole = "/".join((subject, CLOCK, str(owed.cycle), owed.stage, str(owed.repeat), channel, recipient))
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    readable = f"{subject}/{CLOCK}/{owed.cycle}/{owed.stage}/{owed.repeat}/{channel}"
    safe = "".join(c if c.isascii() and c.isprintable() and c not in ' "<>' else "_" for c in readable)
    return f"{safe[: KEY_LENGTH_MAX - 13]}/{digest}"


def said_of(reader: Reader, scope: int, case: Case) -> list[OutboxRow]:
    """What was said about a case: the union over all messages that it holds now."""
    place = case.place
    until = reader.cases.next_opened_at(scope, case)
    return reader.outbox.of_case(scope, place.conversation, place.customer, case.opened_at, until)


def sight_of(reader: Reader, policy: Policy, scope: int, case: Case) -> Sight:
    """How far we can see where an answer to this case would be."""
    if policy.sees_all:
        return Sight(gates=False)
    streams = reader.streams.showing_answers(scope, None if case.public else case.account)
    open_eyes = [s for s in streams if s.refused is None]
    seen = {f"@{s.account}" for s in open_eyes}
    hidden = sorted({f"@{s.account}" for s in streams if s.refused is not None} - seen)
    if not streams:
        hidden = [f"@{case.account}"]
    through = [s.complete_through for s in open_eyes]
    known = [t for t in through if t is not None]
    checks = case.public and (case.place.brand, case.place.connector) in policy.look_ups
    checked_at = None
    if checks and case.waiting_message_id is not None:
        checked_at = reader.messages(scope).checked_at(case.waiting_message_id)
    return Sight(
        through=min(known) if known and len(known) == len(through) else None,
        gates=bool(open_eyes),
        accounts=tuple(sorted(seen)),
        hidden=tuple(hidden),
        checked_at=checked_at,
        checks=checks,
    )


def muted_by(reader: Reader, row: CaseRow, mutes: Sequence[Mute]) -> str | None:
    """Why nobody is alerted about this case, if somebody muted its author or its words."""
    case = row.case
    mine = [m for m in mutes if m.brand in ("", case.place.brand)]
    for mute in mine:
        names = {case.place.customer.lower(), (case.customer_handle or "").lower()}
        if mute.what == "author" and mute.value.lower().lstrip("@") in names:
            return f"the author, by {mute.who}"
    phrases = [m.value for m in mine if m.what == "phrase"]
    matcher = muted_words(phrases)
    if matcher is not None:
        message = reader.messages(row.scope).read(case.waiting_message_id or case.first_message_id)
        if message is not None and matcher.search(message.text):
            return "a phrase in it"
    return None


def _look_at_account(
    store: Store, policy: Policy, account: AccountRow, now: datetime, watched: Watched
) -> None:
    """Tell that we cannot see, or that we can again."""
    if account.episode == 0:
        return
    subject = f"{account.brand}/{account.connector}/{account.account} blind {account.episode}"
    earlier = store.outbox.of_subject(subject)
    told = any(r.stage is Stage.TROUBLE for r in earlier)
    if account.blind_since is None and (not told or any(r.stage is Stage.CLEARED for r in earlier)):
        return
    health = Health(account.episode, account.blind_since, account.refused, told)
    decision = decide_trouble(health, policy.blind_after_seconds, now)
    if decision.owed is None:
        return
    words: dict[str, object] = {
        "brand": account.brand,
        "connector": account.connector,
        "account": account.account,
        "refused": account.refused,
        "since": account.blind_since.isoformat() if account.blind_since else None,
    }
    reached = {(r.channel, r.recipient) for r in earlier if r.said.told}
    _say(
        store,
        policy,
        decision.owed,
        subject,
        None,
        account.brand,
        Priority.URGENT,
        reached,
        words,
        now,
        watched,
    )


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
    _say(store, policy, owed, subject, None, account.brand, Priority.URGENT, (), words, now, watched)
