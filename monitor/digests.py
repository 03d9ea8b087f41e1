"""Digests: what a channel could not say for a while is said in one message, once it can be said again.

What may live here: finding what was held back, and how its message goes on. A storm is many cases at once,
told to everybody; a digest is many alerts that waited for one channel, told there. Called inside a
transaction: by the sending step when a channel took something, and by the watching step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from monitor.policy import Policy
from monitor.saying import say
from monitor.store.outbox import Row
from monitor.store.store import Store
from monitor.store.surges import Kind, Surge
from monitor.surges import CASES_MAX, Say, standing_of
from rules.alert import Stage
from rules.decisions import Owed
from rules.routes import Heard
from rules.storms import StormPolicy

OVER_AFTER = timedelta(days=1)
"""A digest of which somebody still waits then is brought up to date no longer."""


def gather(
    store: Store, policy: Policy, taken: Row, still_true: Callable[[Row], bool], now: datetime
) -> None:
    """A channel took this alert. Where it had waited, and more cases of a brand wait to be said there than
    make a storm, they are said in one message, and not one by one: after an outage people get a digest and no
    flood.

    `still_true` asks a row's case once more, and ends the row where it is not. Nothing is gathered while a
    channel takes nothing: until then each alert is tried, and told to its fallback, by itself.
    """
    if policy.storm is None:
        return
    waited = now - taken.created_at >= timedelta(seconds=policy.storm.within_seconds)
    if taken.attempts <= 1 and not waited:
        return  # nothing holds this channel up
    channel = taken.channel
    for (brand, recipient), rows in _held(store, channel, now).items():
        heard = [Heard(r) for r in policy.routes if (r.channel, r.recipient) == (channel, recipient)]
        if not heard or _count(rows) <= policy.storm.cases:
            continue
        true = [row for row in rows if still_true(row)]
        if _count(true) > policy.storm.cases:
            _say_together(store, policy, brand, heard, true, now)


def _held(store: Store, channel: str, now: datetime) -> dict[tuple[str, str], list[Row]]:
    """What was held back, by brand and recipient."""
    held: dict[tuple[str, str], list[Row]] = {}
    try:
        scopes = store.scopes()
        for row in store.outbox.held_back(channel, now, CASES_MAX):
            if row.about is not None:
                held.setdefault((scopes[row.about.scope][0], row.recipient), []).append(row)
    except (LookupError, TypeError, ValueError):
        return {}  # a row that somebody broke must not undo that another one was sent
    return held


def _count(rows: list[Row]) -> int:
    """How many cases they are about."""
    return len({row.subject for row in rows})


def _say_together(
    store: Store, policy: Policy, brand: str, heard: list[Heard], rows: list[Row], now: datetime
) -> None:
    digest = store.surges.begin(Kind.DIGEST, brand, min(row.created_at for row in rows), now)
    digest = store.surges.note_held(digest, [row.pk for row in rows])
    for row in rows:
        store.outbox.supersede(row, f"said by the digest {digest.subject}", now)
    store.figures.count("alerts_ended", len(rows), channel=rows[0].channel, outcome="superseded")
    say(store, policy, Owed(Stage.STORM, 0, 0, now), digest.subject, None, heard, {"surge": digest.pk}, now)
    store.surges.note_said(digest, [_count(rows), _count(rows), 0], now)


def watch_digest(
    store: Store, policy: StormPolicy, digest: Surge, say: Say, now: datetime
) -> datetime | None:
    """Bring a digest's message up to date, or say that nobody of it waits any more. Returns when to look
    again."""
    update = timedelta(seconds=policy.update_seconds)
    if now < digest.looked_at + update:
        return digest.looked_at + update
    standing = standing_of(store, digest)
    waiting = standing[1]
    told = any(r.said.told for r in store.outbox.of_subject(digest.subject))
    if not waiting or now >= digest.last_at + OVER_AFTER:
        store.surges.end(digest, now)
        if told:
            say(digest, Owed(Stage.CLEARED, 0, 0, now))
        return None
    if told and standing != digest.standing:
        say(digest, Owed(Stage.STORM, 0, digest.said, now))
        store.surges.note_said(digest, standing, now)
    else:
        store.surges.note_looked(digest, now)
    return now + update
