"""The sending step: one outbox row, leased by the core, sent outside, recorded by the core.

Sending is deciding again: right before it is sent, the case is asked once more, and what is no longer true
is superseded. A crash between the remote's accept and our record of it says a thing twice rather than never;
nothing else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from alerts.contract import Channel, Receipt
from monitor.digests import gather
from monitor.muting import Mutes, why_muted
from monitor.policy import Policy
from monitor.saying import fall_back, opens_at, say
from monitor.store.cases import Row as CaseRow
from monitor.store.outbox import Row, State
from monitor.store.store import Store
from monitor.store.surges import Kind
from monitor.telling import case_of, make_alert
from monitor.watch import said_of
from rules.alert import Alert, Stage
from rules.decisions import CLAIMS, Owed, clock_of, put_off_until, superseded
from rules.routes import Heard, News, last_resort
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.secret import SecretMissing

BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_MAX = timedelta(minutes=15)
RETRY_AFTER_MAX = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(hours=24)
DELIVERY_BUCKETS = (0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
LOOK_AHEAD = 50


@dataclass(frozen=True, slots=True)
class Leased:
    """A row that is ours to send, with its content as of now and the last receipt of its subject."""

    row: Row
    alert: Alert
    previous: Receipt | None


@dataclass(frozen=True, slots=True)
class Sent:
    """What came back from outside."""

    leased: Leased
    receipt: Receipt | None
    error: EdgeError | None


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What a step came to: `outcome` is delivered, retry, dead, or idle (nothing was due).

    `superseded`: how many rows were found to be no longer true. `again_at`: when the channel's next row may
    be sent (None: there is none).
    """

    outcome: str
    again_at: datetime | None
    superseded: int = 0
    key: str | None = None
    detail: str = ""


def lease(
    store: Store, policy: Policy, channel: str, now: datetime, lease_seconds: float
) -> tuple[Leased | None, int]:
    """Take the next row of a channel that is still true. Returns it, and how many were not.

    Committed before anything is sent, so that a crash finds that it may have been.
    """
    if opens_at(policy, channel, now) > now:
        return None, 0
    with store.transaction("lease"):
        return _lease_next(store, policy, channel, now, lease_seconds)


def _lease_next(
    store: Store, policy: Policy, channel: str, now: datetime, lease_seconds: float
) -> tuple[Leased | None, int]:
    dropped = 0
    # What is dropped may have held back a later row of its subject, so it is asked again.
    for number in range(LOOK_AHEAD):
        # The first one will nearly always do.
        rows = store.outbox.due(channel, now, LOOK_AHEAD if number else 1)
        for row in rows:
            leased = _lease_row(store, policy, row, now, lease_seconds)
            if isinstance(leased, Leased):
                return leased, dropped
            dropped += leased
        if not rows:
            break
    return None, dropped


def _lease_row(store: Store, policy: Policy, row: Row, now: datetime, lease_seconds: float) -> Leased | bool:
    """Take this row if it is still true; else note why it is not sent. True: it ended; False: it waits."""
    try:
        held = case_of(store, row)
        why_not, previous = _recheck(store, policy, row, held, now)
        alert = make_alert(store, policy, row, held, now) if why_not is None else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # One row that cannot be read must not hold the channel up: it is a dead letter, and told.
        _bury(store, policy, row, f"could not be put into words: {type(error).__name__}", now)
        return True
    if alert is None:
        _supersede(store, row, why_not or "", now)
        return True
    until = put_off_until(held.case if held else None, row.said, now, policy.manner)
    if until is not None:
        store.outbox.put_off(row.pk, until)
        return False
    store.outbox.lease(row.pk, now + timedelta(seconds=lease_seconds))
    # `maybe_told` stays: it says whether an earlier try may have got through, not this one.
    return Leased(replace(row, state=State.LEASED, attempts=row.attempts + 1), alert, previous)


def _is_still_true(store: Store, policy: Policy, row: Row, now: datetime) -> bool:
    """Whether what was held back may be said now; it ends, or is put off, where not. What cannot be read is
    left to whoever leases it."""
    try:
        held = case_of(store, row)
        why_not, _ = _recheck(store, policy, row, held, now)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    if why_not is not None:
        _supersede(store, row, why_not, now)
        return False
    until = put_off_until(held.case if held else None, row.said, now, policy.manner)
    if until is not None:
        store.outbox.put_off(row.pk, until)
    return until is None


def _supersede(store: Store, row: Row, why_not: str, now: datetime) -> None:
    store.outbox.supersede(row, why_not, now)
    store.figures.count("alerts_ended", channel=row.channel, outcome="superseded")


def next_due(store: Store, policy: Policy, channel: str, now: datetime) -> datetime | None:
    """When the channel's next row may be sent; None: there is none."""
    due = store.outbox.next_due(channel)
    return None if due is None else opens_at(policy, channel, max(due, now))


def _recheck(
    store: Store, policy: Policy, row: Row, held: CaseRow | None, now: datetime
) -> tuple[str | None, Receipt | None]:
    """Whether a row, whose case is `held`, is still to be sent (None) or why not; and the last receipt of its
    subject."""
    if row.about is None:
        earlier = store.outbox.of_subject(row.subject)
    elif held is None:
        return "its case is no more", None
    else:
        earlier = said_of(store, held.scope, held.case)
    same = [r for r in earlier if (r.channel, r.recipient) == (row.channel, row.recipient)]
    # A case that was joined from several has a place of its own for each of them.
    mine = [r for r in same if r.pk < row.pk and r.subject == row.subject]
    # Its own is there where some of its people were reached, and others put off.
    receipts = [r.receipt for r in (*mine, row) if r.receipt is not None]
    previous = _receipt(receipts[-1]) if receipts else None
    if row.receipt is not None and any(r.pk > row.pk and (r.said.pending or r.said.told) for r in same):
        # Who was put off then hears the later one: of two mails at once the first would be no news.
        return "who was put off is told a later stage instead", previous
    if row.about is None:
        return _news_no_more(store, row, same), previous
    about = clock_of(held.case, row.owed) if held else None
    if row.stage in CLAIMS and row.owed.to is None and held is not None:
        muted = why_muted(Mutes(store.cases.mutes(now)).of(store, held))
        if muted is not None:
            return f"muted: {muted}", previous
    if row.owed.to is not None and not _reaches(policy, row):
        return f"the config does not reach {row.owed.to} there any more", previous
    told = any(
        r.said.told and r.owed.says_waiting and held is not None and clock_of(held.case, r.owed) == about
        for r in mine
    )
    why_not = superseded(held.case if held else None, row.said, told, now, policy.manner)
    if why_not is None and row.stage in (*CLAIMS, Stage.MOVED):
        # After quiet hours, or an outage of the channel, only the latest of what waited is news.
        later = [
            r
            for r in same
            if r.pk > row.pk
            and r.said.pending
            and r.owed.to == row.owed.to
            and held
            and clock_of(held.case, r.owed) == about
        ]
        if row.stage is Stage.MOVED:
            later = [r for r in later if r.subject == row.subject]
        if any(r.stage in CLAIMS or r.stage is row.stage for r in later):
            why_not = "a later stage is said instead"
    return why_not, previous


def _reaches(policy: Policy, row: Row) -> bool:
    """Whether the person whom alone it is for is still reached so: else it would go to all, or to nobody."""
    reach = policy.reaches.get(row.owed.to or "", {}).get(row.channel)
    return reach is not None and reach.recipient == row.recipient


def _news_no_more(store: Store, row: Row, same: Sequence[Row]) -> str | None:
    """Why what is said of ourselves, or of a storm, is no news any more after a wait; None: it is."""
    if "surge" in row.body and any(r.pk > row.pk and r.said.pending for r in same):
        return "how it stands by now is said instead"
    surge = store.surges.get(row.body["surge"]) if "surge" in row.body else None
    if surge is not None and surge.kind is Kind.DIGEST and surge.over_at and row.stage is Stage.STORM:
        return "nobody of it waits any more"
    if row.stage is Stage.TROUBLE and "account" in row.body:
        where = (row.body["brand"], row.body["connector"], row.body["account"])
        blind = [
            a
            for a in store.streams.accounts()
            if (a.brand, a.connector, a.account) == where and a.blind_since is not None
        ]
        if not any(account.episode == row.owed.cycle for account in blind):
            return "we see again"
    return None


def send(channel: Channel, leased: Leased, time_limit: float) -> Sent:
    """Hand it to the channel. Never raises for what goes wrong outside."""
    try:
        return Sent(leased, channel.send(leased.alert, leased.previous, time_limit), None)
    except EdgeError as error:
        return Sent(leased, None, error)
    except SecretMissing as error:
        return Sent(leased, None, NotAllowed(str(error)))
    except Exception as error:
        # A channel that breaks its contract is a dead letter, not a dead daemon.
        return Sent(leased, None, Refused(f"the channel failed with {type(error).__name__}"))


def record(store: Store, policy: Policy, sent: Sent, now: datetime, jitter: float = 0.5) -> Dispatched:
    """Commit what became of it. `jitter` in [0, 1) spreads retries."""
    with store.transaction("record"):
        done = _record(store, policy, sent, now, jitter)
        return replace(done, again_at=next_due(store, policy, sent.leased.row.channel, now))


def record_and_lease(
    store: Store, policy: Policy, sent: Sent, now: datetime, jitter: float, lease_seconds: float
) -> tuple[Dispatched, Leased | None]:
    """Commit what became of it, and with the same commit take the channel's next row, unless the channel
    wants to hear nothing for a while. What is taken is to be sent at once.

    A commit waits for the disk: one for two steps is what lets a channel speak as fast as it can.
    """
    channel = sent.leased.row.channel
    with store.transaction("record"):
        done = _record(store, policy, sent, now, jitter)
        leased = None
        if pause_of(sent, now) is None and opens_at(policy, channel, now) <= now:
            leased, dropped = _lease_next(store, policy, channel, now, lease_seconds)
            done = replace(done, superseded=dropped)
        return replace(done, again_at=now if leased else next_due(store, policy, channel, now)), leased


def pause_of(sent: Sent, now: datetime) -> datetime | None:
    """Until when the channel is to be left alone: a rate limit holds for all of it, not for one message.
    Nobody silences it for longer than the message itself would wait."""
    error = sent.error
    if not isinstance(error, RetryAt) or not error.limited or error.at is None:
        return None
    return min(error.at, now + RETRY_AFTER_MAX)


def _record(store: Store, policy: Policy, sent: Sent, now: datetime, jitter: float) -> Dispatched:
    row, error = sent.leased.row, sent.error
    tried_at = store.outbox.first_tried(row.pk)
    too_old = tried_at is not None and now - tried_at > GIVE_UP_AFTER
    if sent.receipt is not None and sent.receipt.put_off and not too_old:
        at, detail = _retry_at(None, row.attempts, now, jitter), sent.receipt.put_off
        store.outbox.retry(row, at, detail, now, maybe_told=True, receipt=_receipt_body(sent.receipt))
        store.figures.count("alert_retries", channel=row.channel)
        return Dispatched("retry", None, key=row.key, detail=detail)
    if sent.receipt is not None:
        store.outbox.deliver(row, _receipt_body(sent.receipt), now)
        store.figures.count("alerts_ended", channel=row.channel, outcome="delivered")
        # A channel's quiet hours are no slowness of it.
        seconds = max(0.0, (now - opens_at(policy, row.channel, row.created_at)).total_seconds())
        store.figures.observe("alert_delivery_seconds", seconds, DELIVERY_BUCKETS, channel=row.channel)
        _tell_of_left_out(store, policy, row, sent.receipt, now)
        gather(store, policy, row, lambda held: _is_still_true(store, policy, held, now), now)
        return Dispatched("delivered", None, key=row.key)
    detail = str(error) if error is not None else "no receipt and no reason"
    if isinstance(error, RetryAt | Malformed) and not too_old:
        at = _retry_at(error, row.attempts, now, jitter)
        # An answer that makes no sense does not say that it was not taken.
        unknown = isinstance(error, Malformed) or error.accepted_unknown
        store.outbox.retry(row, at, detail, now, maybe_told=unknown)
        store.figures.count("alert_retries", channel=row.channel)
        return Dispatched("retry", None, key=row.key, detail=detail)
    _bury(store, policy, row, detail, now)
    return Dispatched("dead", None, key=row.key, detail=detail)


def dispatch_once(
    store: Store,
    policy: Policy,
    name: str,
    channel: Channel,
    now: datetime,
    *,
    lease_seconds: float = 60.0,
    time_limit: float = 15.0,
) -> Dispatched:
    """Send one row of a channel, from leasing to recording."""
    leased, dropped = lease(store, policy, name, now, lease_seconds)
    if leased is None:
        return Dispatched("idle", next_due(store, policy, name, now), dropped)
    return record(store, policy, send(channel, leased, time_limit), now)


def _retry_at(error: EdgeError | None, attempts: int, now: datetime, jitter: float) -> datetime:
    at: datetime | None = error.at if isinstance(error, RetryAt) else None
    if at is not None:
        return min(max(at, now), now + RETRY_AFTER_MAX)
    backoff: timedelta = min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** min(max(0, attempts - 1), 12))
    return now + backoff * (0.75 + 0.5 * jitter)


def _receipt_body(receipt: Receipt) -> Mapping[str, Any]:
    return {
        "at": receipt.at.isoformat(),
        "remote": dict(receipt.remote),
        "put_off": receipt.put_off,
        "left_out": receipt.left_out,
    }


def _receipt(body: Mapping[str, Any]) -> Receipt:
    # Those of earlier versions say nothing of who was not reached.
    at, remote = datetime.fromisoformat(body["at"]), dict(body["remote"])
    return Receipt(at, remote, body.get("put_off", ""), body.get("left_out", ""))


def _bury(store: Store, policy: Policy, row: Row, detail: str, now: datetime) -> None:
    """A dead letter, counted and told over the other channels; what it said goes to the fallback, if nobody
    else was told it."""
    store.outbox.bury(row, detail, now)
    store.figures.count("alerts_ended", channel=row.channel, outcome="dead")
    fall_back(store, policy, row, now)
    _tell_elsewhere(store, policy, row, detail, now)


def _tell_elsewhere(store: Store, policy: Policy, row: Row, detail: str, now: datetime) -> None:
    """A dead letter must not be silence: the other channels hear of it, once a day for each channel."""
    words = {
        "title": f"Alerts over {row.channel} are not accepted",
        "detail": f"{row.recipient}: {detail}",
        "what_to_do": "Mend the channel, then `response-monitor check --send`. Until then look at the queue.",
        "since": now.isoformat(),
    }
    whom = row.channel
    if row.owed.to is not None:
        whom = f"{row.channel} to {row.owed.to}"
        words |= {
            "title": f"{row.owed.to} is not reached over {row.channel}",
            "what_to_do": "Mend their address in [[people]]; what is theirs is in the queue.",
        }
    subject, owed = f"channel {whom} dead {now:%Y-%m-%d}", Owed(Stage.TROUBLE, 0, 0, now)
    say(store, policy, owed, subject, None, _others(policy, row.channel), words, now)


def _tell_of_left_out(store: Store, policy: Policy, row: Row, receipt: Receipt, now: datetime) -> None:
    """Whom a channel did not reach is told, once a day for each channel: also over the channel itself, which
    does reach somebody."""
    missed = "; ".join(part for part in (receipt.left_out, receipt.put_off) if part)
    if not missed:
        return
    words = {
        "title": f"Not everybody is reached over {row.channel}",
        "detail": missed,
        "what_to_do": "Take who is gone out of the channel's recipients, or have their mailbox mended.",
        "since": now.isoformat(),
    }
    subject = f"channel {row.channel} left out {now:%Y-%m-%d}"
    heard = policy.find_routes(News(Stage.TROUBLE, "")).heard or _others(policy, row.channel)
    say(store, policy, Owed(Stage.TROUBLE, 0, 0, now), subject, None, heard, words, now)


def _others(policy: Policy, channel: str) -> tuple[Heard, ...]:
    """Who hears that a channel takes nothing: whoever hears of troubles; where routes would leave that to
    this very channel, the fallback, or any other that does say troubles."""
    others = tuple(r for r in policy.routes if r.channel != channel)
    news = News(Stage.TROUBLE, "")
    heard = tuple(h for h in policy.find_routes(news).heard if h.route.channel != channel)
    if heard or not policy.rows:
        return heard
    fallback = last_resort(others, policy.fallback, "")
    return tuple(map(Heard, fallback or (r for r in others if r.mismatch(news) is None)))
