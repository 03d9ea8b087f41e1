"""An operator's word: record it, fold again, one transaction. Commands (and later the page and Slack's
buttons) all enter here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from monitor.folding import fold_again
from monitor.muting import AUTHOR, BY_CONFIG, PHRASE, is_same
from monitor.policy import Policy
from monitor.store.cases import Mute, Row
from monitor.store.codec import verdict_to_json
from monitor.store.store import Reader, Store
from rules.case import Action, Case, Place


class NotOurs(Exception):
    """It is not for an operator to change: says what to do."""


class NoSuchCase(Exception):
    """No case, or more than one, answers to that id."""


def find_case(reader: Reader, id: str) -> Row:
    """The case with that id: "brand/connector/message", or the id of any of its customer's messages.

    Raises NoSuchCase, which says what was found instead.
    """
    found: dict[str, Row] = {}
    for scope, (brand, connector) in reader.scopes().items():
        prefix = f"{brand}/{connector}/"
        bare = id.removeprefix(prefix)
        if "/" in id and bare == id:
            continue
        place = reader.messages(scope).find_case_place(bare)
        row = reader.cases.holding(scope, *place) if place is not None else None
        if row is not None:
            found[row.case.id] = row
    if not found:
        raise NoSuchCase(f"no case has the id {id!r}; `response-monitor queue` lists those who wait")
    if len(found) > 1:
        raise NoSuchCase(f"{id!r} could be {' or '.join(sorted(found))}; give the whole id")
    return next(iter(found.values()))


def act(store: Store, policy: Policy, action: Action, now: datetime) -> Case:
    """Record a word about the case that holds `action.message_id`, and fold it again.

    Returns the case as it is then. Raises NoSuchCase.
    """
    policy = policy.remembering(store.policies())
    with store.transaction("act"):
        row = find_case(store, action.message_id)
        first = row.case.first_message_id
        store.cases.say(
            row.scope, Action(action.word, first, action.who, action.at, action.until, action.note)
        )
        fold_again(store, policy, row.scope, [row.case.place], now)
        store.figures.count("operator_actions", action=action.word, brand=row.case.place.brand)
        return find_case(store, row.case.id).case


def mute(store: Store, mute: Mute, now: datetime) -> None:
    """Record that nobody is alerted about an author or a phrase, and look at who waits again."""
    with store.transaction("act"):
        store.cases.mute(mute)
        store.cases.look_at_waiting(now)


def unmute(store: Store, mute: Mute, now: datetime) -> int:
    """End what mutes this author or phrase (of this brand), and look at who waits again. Returns how many
    mutes ended. Raises NotOurs where the config mutes it."""
    with store.transaction("act"):
        mine = [m for m in store.cases.mutes(now) if is_same(m, mute)]
        if any(m.who == BY_CONFIG for m in mine):
            raise NotOurs("the config mutes it: take it out of [alerts] there, and reload")
        for one in mine:
            store.cases.unmute(one, now)
        if mine:
            store.cases.look_at_waiting(now)
    return len(mine)


def mute_by_config(store: Store, authors: Sequence[str], phrases: Sequence[str], now: datetime) -> None:
    """Have muted what the config mutes, and nothing more that it once did. Who waits is looked at again where
    that has changed anything."""
    words = [(AUTHOR, word) for word in authors] + [(PHRASE, word) for word in phrases]
    wanted = [Mute("", what, word, None, BY_CONFIG, now) for what, word in words]
    with store.transaction("act"):
        held = [m for m in store.cases.mutes(now) if m.who == BY_CONFIG]
        over = [m for m in held if not any(is_same(m, w) for w in wanted)]
        new = [w for w in wanted if not any(is_same(m, w) for m in held)]
        for one in over:
            store.cases.unmute(one, now)
        for one in new:
            store.cases.mute(one)
        if over or new:
            store.cases.look_at_waiting(now)


def rebuild(
    store: Store, policy: Policy, now: datetime, on_batch: Callable[[], None] = lambda: None
) -> tuple[int, int]:
    """Fold everything again from the facts. Returns (conversations, cases that changed).

    The same facts give the same cases, and the policies that held are facts too, so that it changes nothing
    unless the code did; counters are left as they are. `on_batch` is called after each batch.
    """
    policy = policy.remembering(store.policies())
    changed = conversations = 0
    for scope, (brand, connector) in store.scopes().items():
        after = ("", "")
        while batch := store.messages(scope).conversations(after, 500):
            places = [Place(brand, connector, *where) for where in batch]
            with store.transaction("rebuild"):
                folded = fold_again(store, policy, scope, places, now, count=False)
            changed += folded.opened + folded.changed
            conversations += len(batch)
            after = batch[-1]
            on_batch()
    return conversations, changed


def rejudge(store: Store, policy: Policy) -> int:
    """Judge every customer's message anew with today's rules. Returns how many verdicts changed; the cases
    change when they are folded again."""
    changed = 0
    for scope, (brand, _) in store.scopes().items():
        messages = store.messages(scope)
        after = 0
        while batch := messages.judged_after(after, 500):
            with store.transaction("rejudge"):
                for pk, id, addressed, verdict in batch:
                    message = messages.read(id)
                    if message is None:
                        continue
                    fresh, now_addressed = policy.brand(brand).judge(message, addressed)
                    body = verdict_to_json(fresh)
                    if body != verdict:
                        messages.replace_verdict(pk, body, addressed=now_addressed)
                        changed += 1
            after = batch[-1][0]
    return changed
