"""Taking messages in: messages, cursor, verdicts, folded cases, when to look again, in one transaction.

Polls, look-ups and `replay` all enter here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

from connectors.contract import Gone, Page
from monitor.folding import Folded, fold_again
from monitor.policy import BrandPolicy, Policy
from monitor.store.codec import verdict_to_json
from monitor.store.messages import Judged, Messages, Placed, Stored
from monitor.store.store import Store
from monitor.store.streams import StreamRow
from rules.attribution import Attribution, Rung, attribute
from rules.case import Place
from rules.message import Message
from rules.people import automated_by

FUTURE_TOLERANCE = timedelta(minutes=2)
"""How far a platform's clock may run ahead of ours before we trust our own instead."""

IMPORTED = datetime(9999, 1, 1, tzinfo=UTC)
"""The first-run mark of what is imported: all of it is the past."""

_NOWHERE = Attribution(None, Rung.NOBODY)
_INTEGER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """Messages of one brand on one platform that came in together.

    `stream` is the one that was polled, whose cursor moves with them; None for look-ups and imports.
    `source` says where they came from ("acme/mentions"). `quiet_before`: what is older is the past (None:
    nothing is). `asked`: the ids that a look-up asked about. `retry_at`: not to be polled before then.
    """

    brand: str
    connector: str
    account: str
    source: str
    page: Page
    stream: StreamRow | None = None
    quiet_before: datetime | None = None
    asked: tuple[str, ...] = ()
    retry_at: datetime | None = None


@dataclass(slots=True)
class Taken:
    """What taking in a page came to."""

    new: int = 0
    edited: int = 0
    deleted: int = 0
    rejected: int = 0
    folded: Folded = field(default_factory=Folded)


def ingest(store: Store, policy: Policy, arrival: Arrival, now: datetime) -> Taken:
    """Take a page in, all or nothing. The same page twice changes nothing the second time.

    Raises what Store.transaction raises; then the cursor has not moved, and the page comes again.
    """
    with store.transaction("ingest"):
        scope = store.make_scope(arrival.brand, arrival.connector)
        intake = _Intake(store, policy.brand(arrival.brand), arrival, scope, now)
        intake.take_messages()
        intake.take_gone(arrival.page.gone)
        intake.place_ours()
        messages = store.messages(scope)
        if arrival.asked:
            messages.check(arrival.asked, now)
        places = [Place(arrival.brand, arrival.connector, *where) for where in sorted(intake.touched)]
        intake.taken.folded = fold_again(store, policy, scope, places, now)
        _keep_bookkeeping(store, arrival, scope, intake, now)
    return intake.taken


def _keep_bookkeeping(store: Store, arrival: Arrival, scope: int, intake: _Intake, now: datetime) -> None:
    """The cursor, what was refused, budgets and cost."""
    page, stream = arrival.page, arrival.stream
    labels = {"brand": arrival.brand, "connector": arrival.connector, "account": arrival.account}
    if stream is not None:
        if page.gap is not None:
            store.streams.note_gap(stream, page.gap, now)
        caught_up = not page.has_more
        store.streams.advance(
            stream, page.cursor, page.complete_through, arrival.retry_at, now, caught_up=caught_up
        )
    if stream is None or page.complete_through is not None:
        store.cases.look_now(scope, now)
    rejected = [(r.id, r.reason, r.excerpt) for r in page.rejected] + intake.rejected
    intake.taken.rejected = len(rejected)
    if rejected:
        store.streams.quarantine(scope, arrival.account, arrival.source, now, rejected)
        store.figures.count("messages_rejected", len(rejected), **labels)
    for budget in page.budgets:
        store.streams.keep_budget(
            scope, arrival.account, budget.name, budget.limit, budget.remaining, budget.resets_at, now
        )
    if intake.taken.new:
        store.figures.count("messages", intake.taken.new, **labels)
    if page.reads:
        store.figures.count("platform_reads", page.reads, **labels)
    if page.cost_usd:
        store.figures.count("platform_cost_usd", page.cost_usd, **labels)


class _Intake:
    """One page on its way in. Lives for one transaction."""

    def __init__(self, store: Store, brand: BrandPolicy, arrival: Arrival, scope: int, now: datetime) -> None:
        self.store = store
        self.brand = brand
        self.arrival = arrival
        self.scope = scope
        self.now = now
        self.messages: Messages = store.messages(scope)
        self.taken = Taken()
        self.rejected: list[tuple[str | None, str, str]] = []
        self.touched: set[tuple[str, str]] = set()
        self._ours_to_place: list[Placed] = []
        self._oldest_new: dict[str, datetime] = {}
        self._new_ids: list[str] = []
        self._new_ours: list[str] = []

    def take_messages(self) -> None:
        """Store what is new, unite what is known, keep what was edited."""
        wanted = [m for m in self.arrival.page.messages if self._storable(m)]
        wanted.sort(key=lambda m: m.created_at)  # what is answered comes before its answer
        ids = {m.id for m in wanted} | {a for m in wanted for a in m.aliases}
        parents = {m.parent for m in wanted if m.parent is not None}
        alias = self.messages.resolve(ids | parents)
        known = self.messages.known({alias.get(i, i) for i in ids} | {alias.get(p, p) for p in parents})
        for message in wanted:
            own = alias.get(message.id, message.id)
            own = next((alias[a] for a in message.aliases if a in alias), own)
            parent = message.parent and alias.get(message.parent, message.parent)
            if own != message.id or parent != message.parent:
                message = replace(message, id=own, parent=parent)
            stored = known.get(own)
            if stored is None:
                known[own] = self._insert(message, known.get(parent) if parent else None)
            else:
                known[own] = self._unite(message, stored, known.get(parent) if parent else None)
            if message.aliases:
                fresh = self.messages.add_aliases(own, message.aliases)
                self._new_ids.extend([own] if fresh else [])
                alias.update(dict.fromkeys(fresh, own))

    def _storable(self, message: Message) -> bool:
        """What SQLite cannot hold is quarantined alone, so that its page goes on."""
        author = message.author
        try:
            "".join(
                (
                    message.id,
                    message.text,
                    message.conversation,
                    author.id,
                    author.handle or "",
                    author.name or "",
                )
            ).encode()
        except UnicodeEncodeError:
            self.rejected.append((None, "it holds text that is not Unicode", ""))
            return False
        if max(author.followers or 0, message.reach or 0) > _INTEGER_MAX:
            self.rejected.append((message.id, "a count in it is larger than any real one", ""))
            return False
        return True

    def _judge(self, message: Message, parent: Stored | None) -> tuple[str | None, bool]:
        """The verdict, and whether it addresses the brand. Only customers' words are judged."""
        if not message.inbound:
            return None, False
        verdict, addressed = self.brand.judge(message, parent is not None and parent.outbound)
        return verdict_to_json(verdict), addressed

    def _insert(self, message: Message, parent: Stored | None) -> Stored:
        seen_at = message.seen_at or self.now
        created_at = message.created_at
        if created_at > seen_at + FUTURE_TOLERANCE:
            created_at = seen_at
        verdict, addressed = self._judge(message, parent)
        mark = self.arrival.quiet_before
        judged = Judged(
            message=message,
            seen_at=seen_at,
            created_at=created_at,
            automated=None if message.inbound else automated_by(message, self.brand.automation),
            addressed=addressed,
            verdict=verdict,
            quiet_before=mark if mark is not None and created_at < mark else None,
            stream=self.arrival.source,
        )
        placed = _NOWHERE
        if message.inbound:
            placed = Attribution(message.author.id, Rung.AUTHOR)
        elif parent is not None and not parent.outbound:
            placed = Attribution(parent.customer, Rung.PARENT)  # as the ladder has it, without asking it
        pk = self.messages.insert(judged, placed)
        self.taken.new += 1
        self._new_ids.append(message.id)
        where = message.conversation
        self._oldest_new[where] = min(created_at, self._oldest_new.get(where, created_at))
        if placed.customer is not None:
            self.touched.add((where, placed.customer))
        if not message.inbound:
            self._new_ours.append(message.id)
        return Stored(
            pk,
            message.id,
            where,
            placed.customer,
            message.text,
            verdict,
            message.edited_at,
            message.deleted_at,
            self.arrival.source,
            created_at,
            not message.inbound,
        )

    def _unite(self, message: Message, stored: Stored, parent: Stored | None) -> Stored:
        """Another sighting of a known message: perhaps another revision, perhaps its end."""
        self.messages.unite_sighting(stored, self.arrival.source)
        if message.deleted_at is not None and stored.deleted_at is None:
            self._delete(stored, message.deleted_at)
        if message.text == stored.text and message.edited_at == stored.edited_at:
            return stored
        edited_at = message.edited_at
        if edited_at == stored.edited_at:
            if message.deleted_at is not None:
                return stored  # platforms empty the text of what is deleted; we keep the last one
            edited_at = self.now  # changed without a word (Reddit's first minutes): when we noticed
        verdict, addressed = stored.verdict, False
        if message.text != stored.text:
            verdict, addressed = self._judge(message, parent)
        if addressed:  # whoever named the brand once has spoken to it, whichever text came in first
            self.messages.mark_addressed(stored.pk)
        self.taken.edited += 1
        if stored.customer is not None:
            self.touched.add((stored.conversation, stored.customer))
        if stored.edited_at is not None and (edited_at is None or edited_at < stored.edited_at):
            self.messages.add_revision(stored.pk, message.text, verdict, edited_at, self.now)
            self.messages.settle_first_verdict(stored.pk)
            return stored
        self.messages.add_revision(stored.pk, stored.text, stored.verdict, stored.edited_at, self.now)
        self.messages.replace_text(stored.pk, message.text, verdict, edited_at)
        self.messages.settle_first_verdict(stored.pk)
        return replace(stored, text=message.text, verdict=verdict, edited_at=edited_at)

    def take_gone(self, gone: Iterable[Gone]) -> None:
        """What the platform says no longer exists."""
        at = {g.id: g.at for g in gone}
        if not at:
            return
        alias = self.messages.resolve(at)
        stored = self.messages.known({alias.get(id, id) for id in at})
        for id, when in at.items():
            row = stored.get(alias.get(id, id))
            if row is not None and row.deleted_at is None:
                self._delete(row, when)

    def _delete(self, stored: Stored, at: datetime) -> None:
        self.messages.delete(stored.pk, max(at, stored.created_at))
        self.taken.deleted += 1
        if stored.customer is not None:
            self.touched.add((stored.conversation, stored.customer))

    def place_ours(self) -> None:
        """Say whose conversation each of the brand's messages belongs to that this page may have moved.

        Those are: the new ones, the answers to anything new, and those of a touched thread, written
        later than what is new, of which we only guessed; each in the order in which they were written.
        """
        for pk, id in self.messages.replies_that_address(self._new_ours):
            message = self.messages.read(id)
            if message is not None:
                verdict, _ = self.brand.judge(message, True)
                self.messages.address(pk, verdict_to_json(verdict))
                self.touched.add((message.conversation, message.author.id))
        todo: list[tuple[datetime, int, Placed]] = []
        queued: set[int] = set()

        def queue(found: Iterable[Placed]) -> None:
            for placed in found:
                if placed.pk not in queued:
                    queued.add(placed.pk)
                    heappush(todo, (placed.link.created_at, placed.pk, placed))

        queue(self.messages.replies_of_ours(self._new_ids))
        for where, oldest in self._oldest_new.items():
            queue(self.messages.unplaced(where, oldest - timedelta(microseconds=1)))
        while todo:
            _, _, placed = heappop(todo)
            now_at = attribute(placed.link, self.store.thread(self.scope, placed.conversation))
            if (now_at.customer, now_at.rung) == (placed.customer, placed.rung):
                continue
            self.messages.place(placed.pk, now_at)
            self.touched.update((placed.conversation, c) for c in (placed.customer, now_at.customer) if c)
            queue(self.messages.replies_of_ours([placed.link.id]))
            queue(self.messages.unplaced(placed.conversation, placed.link.created_at))
