"""Putting what is owed into the outbox: one row for each who is to be told, and one for the fallback where
none of them could be. Called inside a transaction of the step that owes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from monitor.policy import Policy
from monitor.store.outbox import About, Row, State
from monitor.store.store import Store
from rules.alert import Stage
from rules.decisions import ENDS, Owed
from rules.routes import Heard, last_resort
from rules.targets import open_seconds

KEY_LENGTH_MAX = 200
STUCK_BATCH = 100
LOOK_AGAIN = timedelta(seconds=30)
LOOKED_FOR_GOOD = timedelta(days=2)
"""Longer than any row is tried."""

_OWN_WORDS = frozenset({"caveats", "unknown_since", "to", "routes", "fallback", "fallback_looked"})
"""What a row's body holds of itself, beside what is to be said."""


def say(
    store: Store,
    policy: Policy,
    owed: Owed,
    subject: str,
    about: About | None,
    heard: Iterable[Heard],
    words: Mapping[str, object],
    now: datetime,
    said_by: str | None = None,
) -> list[str]:
    """One outbox row for each who is to be told; what was put there before is not put there twice.

    `said_by`: the subject of the storm that says it in its place. Returns the channels that are to send.
    """
    told: list[str] = []
    for one in heard:
        channel, recipient = one.route.channel, one.route.recipient
        body = dict(words)
        said = owed
        if one.rows:
            body["routes"] = list(one.rows)
        if one.fallback:
            body["fallback"] = True
            why = words.get("instead_of")
            note = f"it could not be said over {why}" if why else "no route is for it"
            said = replace(owed, caveats=(*owed.caveats, f"told here because {note}"))
        state = State.SHADOW if policy.shadow else State.PENDING
        made = store.outbox.add(
            key=alert_key(subject, owed, channel, recipient),
            subject=subject,
            about=about,
            owed=said,
            channel=channel,
            recipient=recipient,
            body=body,
            now=now,
            state=state if said_by is None else State.SUPERSEDED,
            outcome=None if said_by is None else f"said by the storm {said_by}",
        )
        if not made:
            continue
        store.figures.count("alerts_created", channel=channel, stage=owed.stage)
        if one.fallback:
            store.figures.count("alerts_by_fallback", channel=channel)
        if said_by is not None:
            store.figures.count("alerts_ended", channel=channel, outcome="superseded")
        else:
            told.append(channel)
    return told


def alert_key(subject: str, owed: Owed, channel: str, recipient: str) -> str:
    """The outbox's unique key: ASCII, at most 200 characters, readable up to the recipient."""
    wait = f"{owed.cycle}.{owed.round}" if owed.round else str(owed.cycle)
    stage = owed.stage if owed.step is None else f"{owed.stage}:{owed.step}"
    what = f"{subject}/{owed.clock}/{wait}/{stage}/{owed.repeat}/{channel}"
    since = "" if owed.wait_at is None else owed.wait_at.isoformat()  # cycles are renumbered, this is not
    whose = f"{recipient}/{since}" if owed.to is None else f"{recipient}/{since}/{owed.to}"
    digest = hashlib.sha256(f"{what}/{whose}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    safe = "".join(c if c.isascii() and c.isprintable() and c not in ' "<>' else "_" for c in what)
    return f"{safe[: KEY_LENGTH_MAX - 13]}/{digest}"


def opens_at(policy: Policy, channel: str, now: datetime) -> datetime:
    """When the channel may speak: now, or at the end of its quiet hours."""
    hours = policy.hours.get(channel)
    return now if hours is None else hours.next_open(now) or now


def tell_fallbacks(store: Store, policy: Policy, now: datetime) -> list[str]:
    """Tell the fallback what has been tried, or has waited for its channel, for too long. Returns the
    channels that are to send."""
    if not policy.has_fallback:
        return []
    after = timedelta(seconds=policy.fallback_after_seconds)
    told: list[str] = []
    for row in store.outbox.unsent(now - after, now, STUCK_BATCH):
        settled, channels = fall_back(store, policy, row, now)
        told += channels
        store.outbox.look_later(row.pk, now + (LOOKED_FOR_GOOD if settled else LOOK_AGAIN))
    return told


def fall_back(store: Store, policy: Policy, row: Row, now: datetime) -> tuple[bool, list[str]]:
    """Tell the fallback what this row says, if nobody who was to be told could be. Asked when a row dies, and
    while one does not get through.

    A route's own fallback is told where none of that route's channels took it, and the one of [alerts] where
    nobody at all did, the former included. Returns whether that is settled (none of them may still get
    through in time), and the channels that are to send.
    """
    if (
        not policy.has_fallback
        or row.stage in (*ENDS, Stage.MOVED)
        or row.owed.to is not None  # the others were told, and the dead letter is
        or (row.stage is Stage.STORM and row.owed.repeat)
    ):
        return True, []
    news = [r for r in store.outbox.of_subject(row.subject) if _is_same(r.owed, row.owed)]
    lost = {r.pk for r in news if _is_lost(store, policy, r, now)}
    told: list[str] = []
    for own in policy.rows:
        mine = [r for r in news if own.name in r.body.get("routes", ())]
        if own.fallback is not None and mine and lost.issuperset(r.pk for r in mine):
            told += _tell(store, policy, row, own.fallback, mine, now)
    if not told and lost.issuperset(r.pk for r in news):
        told = _tell(store, policy, row, policy.fallback, news, now)
    return not any(r.said.pending and r.pk not in lost for r in news), told


def _tell(
    store: Store, policy: Policy, row: Row, channels: tuple[str, ...], lost: list[Row], now: datetime
) -> list[str]:
    """Say it over these channels instead of those where it was lost."""
    brand = _brand_of(store, row)
    heard = [Heard(r, fallback=True) for r in last_resort(policy.routes, channels, brand)]
    words = {k: v for k, v in row.body.items() if k not in _OWN_WORDS}
    words["instead_of"] = ", ".join(dict.fromkeys(r.channel for r in lost))
    caveats = tuple(c for c in row.owed.caveats if not c.startswith("told here because "))
    about = row.about
    return say(store, policy, replace(row.owed, caveats=caveats), row.subject, about, heard, words, now)


def _brand_of(store: Store, row: Row) -> str:
    """The brand that a row is about; "" where it is about none."""
    if row.about is not None:
        return store.scopes()[row.about.scope][0]
    surge = store.surges.get(row.body["surge"]) if "surge" in row.body else None
    return surge.brand if surge is not None else str(row.body.get("brand", ""))


def _is_same(one: Owed, other: Owed) -> bool:
    """Whether two rows say the same to different people."""
    return replace(one, caveats=(), unknown_since=None, moment=other.moment) == replace(
        other, caveats=(), unknown_since=None
    )


def _is_lost(store: Store, policy: Policy, row: Row, now: datetime) -> bool:
    """Whether it will not be said over its channel, or not soon: it is dead, has been tried in vain for too
    long, or its channel has not come to it for as long. Quiet hours are no outage, nor is our own
    standstill."""
    if row.state is State.DEAD:
        return True
    if row.state not in (State.PENDING, State.LEASED) or row.receipt is not None:
        return False  # with a receipt some of its people were told, and the others are put off
    tried_at = store.outbox.first_tried(row.pk)
    since = tried_at or row.due_at
    started = store.mark("started_at")
    if started is not None:
        since = max(since, datetime.fromisoformat(started))
    hours = policy.hours.get(row.channel) if tried_at is None else None
    return open_seconds(hours, since, now) >= policy.fallback_after_seconds
