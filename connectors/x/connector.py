"""One X account: which streams it has, what each asks of X, and what a page of it means.

Nothing here sleeps, retries in a loop or asks the clock; a poll makes one request, and a second one only
where X renamed its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from connectors.contract import (
    Capabilities,
    Cursor,
    Direction,
    Gone,
    Identity,
    Outbound,
    Page,
    Stream,
    Surroundings,
)
from connectors.x.api import Api, Declined
from connectors.x.ledger import DM_USD, OWNED_POST_USD, POST_USD, USER_USD, Ledger
from connectors.x.parse import DM_PREFIX, Body, Reader, parse_dms, parse_posts
from connectors.x.place import Place, begin, from_the_top, from_time, take, wanted
from connectors.x.settings import Access, Settings
from rules.message import Message
from wire.errors import Malformed, NotAllowed, Refused

QUERY_LENGTH_MAX = 512
"""X's docs, "Build a query": recent search, self-serve access."""

LOOK_UP_MAX = 100
SEARCH_WINDOW = timedelta(days=7)
DM_WINDOW = timedelta(days=30)
LISTED_MAX: Mapping[str, int] = {"mentions": 800, "own": 3200}
"""X's timelines end after so many posts: X's docs, "Timelines"."""

CAPABILITIES = Capabilities(
    streams=(
        Stream("mentions", Direction.INBOUND, 30.0),
        Stream("search", Direction.INBOUND, 60.0),
        Stream("dms", Direction.BOTH, 90.0, private=True),
        Stream("own", Direction.OUTBOUND, 30.0),
    ),
    outbound=Outbound.LISTED,
    look_back_seconds=SEARCH_WINDOW.total_seconds(),
    edits=True,
    deletes=True,
)

Generation = Literal["tweet", "post"]

_COMMON = "id,text,created_at,conversation_id,lang,public_metrics,entities,source"
_TWEET_FIELDS = f"{_COMMON},author_id,in_reply_to_user_id,referenced_tweets,edit_history_tweet_ids,note_tweet"
_USER_FIELDS = "id,username,name,public_metrics"
_DM_COMMON = "id,event_type,text,created_at,dm_conversation_id,entities,attachments"
# Where X calls posts posts, it has made expansions of what were fields.
_POST_EXPANSIONS = "author_id,in_reply_to_user_id,referenced_posts,edit_history_post_ids"
_POST_FIELDS: Mapping[Generation, Mapping[str, str]] = {
    "tweet": {"tweet_fields": _TWEET_FIELDS, "expansions": "author_id", "user_fields": _USER_FIELDS},
    "post": {
        "post.fields": f"{_COMMON},note_post",
        "expansions": _POST_EXPANSIONS,
        "user_fields": _USER_FIELDS,
    },
}
_DM_FIELDS: Mapping[Generation, Mapping[str, str]] = {
    "tweet": {
        "dm_event_fields": f"{_DM_COMMON},sender_id,participant_ids",
        "expansions": "sender_id",
        "user_fields": _USER_FIELDS,
        "event_types": "MessageCreate",
    },
    "post": {
        "dm_event_fields": _DM_COMMON,
        "expansions": "sender_id",
        "user_fields": _USER_FIELDS,
        "event_types": "MessageCreate",
    },
}
_METHODS = {
    "mentions": "get_users_mentions",
    "own": "get_users_tweets",
    "search": "search_recent_tweets",
    "dms": "get_direct_message_events",
}
_TOKEN_NAMES = frozenset(("pagination_token", "next_token"))


@dataclass(frozen=True, slots=True)
class _Asked:
    """One poll under way: which stream, where it stood, when, and what was found amiss before."""

    stream: Stream
    place: Place
    now: datetime
    gap: str | None


class XConnector:
    """Keeps `connectors.contract.Connector`. Used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._streams = _streams(settings, surroundings.keywords)
        self._query = ""
        if "search" in self._streams:
            self._query = search_query(surroundings.keywords, settings.handle)
        self._api = Api(settings, surroundings)
        self._ledger = Ledger(settings.daily_read_budget)
        self._generation: Generation = "post" if settings.fields == "post" else "tweet"
        self._me: Identity | None = None

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that the settings, the credentials and the brand's keywords allow."""
        return tuple(self._streams.values())

    def identify(self, time_limit: float) -> Identity:
        """Who the credentials belong to, and which permissions are missing. Raises wire.errors."""
        with self._api.within(time_limit):
            return self._identify()

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """One page of that stream. Raises wire.errors."""
        known = self._streams.get(stream)
        if known is None:
            raise Refused(f"@{self._settings.handle} has no stream {stream!r} (see its settings)")
        now = self._around.clock()
        gap = None
        try:
            place = Place.read(cursor)
        except ValueError:
            place, gap = Place(), "the stored cursor could not be read, so it was started anew"
        self._ledger.restore(stream, place.day, place.reads, now)
        self._ledger.check(known.direction, now)
        window = {"search": SEARCH_WINDOW, "dms": DM_WINDOW}.get(stream)
        look_back = timedelta(seconds=min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds))
        place, missed = begin(place, now, look_back=look_back, overlap=self._settings.overlap, window=window)
        asked = _Asked(known, place, now, gap or missed)
        with self._api.within(time_limit):
            me = self._known_identity()
            try:
                body = self._ask(asked, me)
            except Declined as declined:
                return self._begun_anew(asked, declined)
        return self._page(asked, body)

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """Those posts as they are now: edited ones among `messages`, deleted ones in `gone`. Direct messages
        are skipped: X has no look-up for them that their 15 readings would bear. Raises wire.errors."""
        wanted_ids = list(dict.fromkeys(i for i in ids if not i.startswith(DM_PREFIX)))
        if len(wanted_ids) > LOOK_UP_MAX:
            raise Refused(f"at most {LOOK_UP_MAX} posts can be looked up at once, not {len(wanted_ids)}")
        if not all(i.isascii() and i.isdigit() and len(i) <= 19 for i in wanted_ids):
            raise Refused("a post's id on X is 1 to 19 digits")
        if not wanted_ids:
            return Page((), {})
        now = self._around.clock()
        self._ledger.check(Direction.OUTBOUND, now)
        with self._api.within(time_limit):
            me = self._known_identity()
            body = self._by_id(wanted_ids, me, now)
            # An id names one version of a post: where it was edited since, its last is asked for too.
            seen = set(body.ids)
            newer = [i for i in body.latest.values() if int(i) not in seen]
            edited = self._by_id(newer[:LOOK_UP_MAX], me, now) if newer else Body()
            budget = self._api.budget("look_up")
        messages = {m.id: m for m in (*body.messages, *edited.messages)}
        resources = [*_resources(body, "p", POST_USD), *_resources(edited, "p", POST_USD)]
        reads, cost = self._ledger.charge("look_up", resources, now)
        return Page(
            messages=tuple(messages.values()),
            cursor={},
            rejected=tuple(body.rejected + edited.rejected),
            gone=tuple(Gone(i, now) for i in wanted_ids if i in set(body.missing)),
            budgets=tuple(b for b in (budget, self._ledger.left(now)) if b is not None),
            reads=reads,
            cost_usd=cost,
        )

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    def _identify(self) -> Identity:
        settings = self._settings
        if settings.access is Access.APP:
            body = self._api.get("get_user", username=settings.handle, user_fields="id,username")
        else:
            body = self._api.get("get_me", user_fields="id,username")
        user = body.get("data")
        id, handle = (user.get("id"), user.get("username")) if isinstance(user, dict) else (None, None)
        if not isinstance(id, str) or not id.isdigit() or not isinstance(handle, str):
            raise Malformed("X did not say who we are")
        lacking = list(self._api.lacking())
        if handle.lower() != settings.handle:
            lacking.insert(0, f"credentials of @{settings.handle} (these belong to @{handle.lower()[:15]})")
        notes = []
        if settings.dms and settings.access is Access.APP:
            notes.append("direct messages are not read: X shows none to a bearer_token")
        elif settings.dms:
            notes.append("encrypted direct messages (XChat) are not in X's API, and are not seen")
        if not settings.own:
            notes.append("own = false: answers on X are not seen")
        self._me = Identity(
            id=id,
            handle=handle,
            permissions_missing=tuple(lacking),
            credentials_expire_at=self._api.credentials_expire_at,
            notes=tuple(notes),
        )
        self._ledger.charge_later(f"u{id}", USER_USD, self._around.clock())
        return self._me

    def _known_identity(self) -> Reader:
        me = self._me or self._identify()
        if me.handle.lower() != self._settings.handle:
            self._me = None  # ask again next time: it may have been mended
            raise NotAllowed(
                f"the credentials belong to @{me.handle.lower()[:15]}, not to @{self._settings.handle}: set "
                "handle, or give that account's credentials"
            )
        around = self._around
        return Reader(around.brand, around.account, me.id, around.brand_handles | {self._settings.handle})

    def _ask(self, asked: _Asked, me: Reader) -> Body:
        name, drain = asked.stream.name, asked.place.drain
        if drain is None:
            raise RuntimeError("a page was asked for where no drain was begun")
        arguments = {"search": (self._query,), "dms": ()}.get(name, (me.me,))
        parameters: dict[str, Any] = {"max_results": self._settings.page_size}
        if drain.token is not None:
            parameters["next_token" if name == "search" else "pagination_token"] = drain.token
        if name == "dms":  # X has no since_id here: we stop at the floor ourselves
            return self._in_either_generation(_METHODS[name], arguments, parameters, me, asked.now, dms=True)
        if drain.start is not None:
            parameters["start_time"] = f"{drain.start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        else:
            parameters["since_id"] = str(drain.floor)
        return self._in_either_generation(_METHODS[name], arguments, parameters, me, asked.now)

    def _by_id(self, ids: Sequence[str], me: Reader, now: datetime) -> Body:
        return self._in_either_generation("get_tweets", (",".join(ids),), {}, me, now)

    def _in_either_generation(
        self,
        method: str,
        arguments: tuple[str, ...],
        parameters: Mapping[str, Any],
        me: Reader,
        now: datetime,
        *,
        dms: bool = False,
    ) -> Body:
        """Ask by the names of fields that X knew last; if it knows them no more, by the others, once."""
        fields, read = (_DM_FIELDS, parse_dms) if dms else (_POST_FIELDS, parse_posts)
        first = self._generation
        try:
            body = read(self._api.get(method, *arguments, **parameters, **fields[first]), me, now)
            if body.understood or self._settings.fields != "auto":
                return body
        except Declined as declined:
            if self._settings.fields != "auto" or not declined.names & {f"{first}.fields", "expansions"}:
                raise
            body = None
        other: Generation = "post" if first == "tweet" else "tweet"
        try:
            second = read(self._api.get(method, *arguments, **parameters, **fields[other]), me, now)
        except Declined:
            if body is None:
                raise
            return body
        if body is not None and not second.understood:
            return body
        self._generation = other
        return second

    def _page(self, asked: _Asked, body: Body) -> Page:
        name, settings, now = asked.stream.name, self._settings, asked.now
        drain = asked.place.drain
        if drain is None:
            raise RuntimeError("a page was taken in where no drain was begun")
        place = take(
            asked.place, body.ids, body.next_token, overlap=settings.overlap, to_the_floor=name == "dms"
        )
        gap = asked.gap
        if place.drain is None and body.next_token is not None and body.next_token == drain.token:
            gap = gap or "X gave the same page again and again, so the rest of it was not read"
        if place.drain is None and drain.seen + len(body.ids) >= LISTED_MAX.get(name, 1 << 62):
            gap = gap or f"X shows only the newest {LISTED_MAX[name]} posts of this stream"
        owned = settings.owned_app and name in LISTED_MAX
        price = DM_USD if name == "dms" else OWNED_POST_USD if owned else POST_USD
        reads, cost = self._ledger.charge(name, _resources(body, "d" if name == "dms" else "p", price), now)
        day, today = self._ledger.today(name, now)
        budgets = (self._api.budget(name), self._ledger.left(now))
        drained = place.drain is None
        return Page(
            messages=_each_once(m for m in reversed(body.messages) if _is_new(asked.place, m)),
            cursor=replace(place, day=day, reads=today).written(),
            has_more=place.drain is not None and place.drain.pages % settings.pages_max != 0,
            rejected=tuple(body.rejected),
            gap=gap,
            complete_through=drain.begun - settings.lag_margin if drained else None,
            budgets=tuple(b for b in budgets if b is not None),
            reads=reads,
            cost_usd=cost,
        )

    def _begun_anew(self, asked: _Asked, declined: Declined) -> Page:
        """X refuses where we stand: a page token that ran out, or a mark too old. Raises what was refused if
        it was neither."""
        place, gap, drain = asked.place, asked.gap, asked.place.drain
        if drain is not None and drain.token is not None and declined.names & _TOKEN_NAMES:
            place = from_the_top(place)
        elif drain is not None and drain.start is None and "since_id" in declined.names:
            start = asked.now - SEARCH_WINDOW + timedelta(seconds=60)
            place = from_time(place, start)
            gap = gap or f"X refuses the last id as too old; read again from {start:%Y-%m-%d %H:%M} UTC on"
        else:
            raise declined
        day, today = self._ledger.today(asked.stream.name, asked.now)
        return Page((), replace(place, day=day, reads=today).written(), has_more=True, gap=gap)


def search_query(keywords: Sequence[str], handle: str) -> str:
    """The query for the brand's keywords as exact phrases, without our own posts and reposts.

    Raises Refused, which names the first keyword that does not fit into X's 512 characters.
    """
    rest = f" -from:{handle} -is:retweet"
    phrases: list[str] = []
    length = len("()") + len(rest)
    for keyword in keywords:
        phrase = f'"{" ".join(keyword.replace(chr(34), " ").split())}"'
        if not any(c.isalnum() for c in phrase):
            raise Refused(f"the keyword {keyword!r} has no letter or digit that X could search for")
        if phrase in phrases:
            continue
        length += len(phrase) + (len(" OR ") if phrases else 0)
        if length > QUERY_LENGTH_MAX:
            raise Refused(
                f"the keyword {keyword[:60]!r} does not fit: X's search takes {QUERY_LENGTH_MAX} characters, "
                f"and those before it fill {length - len(phrase)}; shorten some, or set search = false"
            )
        phrases.append(phrase)
    return f"({' OR '.join(phrases)}){rest}"


def _streams(settings: Settings, keywords: Sequence[str]) -> dict[str, Stream]:
    chosen = {
        "mentions": (settings.mentions, settings.mentions_every),
        "search": (settings.search and bool(keywords), settings.search_every),
        "dms": (settings.dms and settings.access is not Access.APP, settings.dms_every),
        "own": (settings.own, settings.own_every),
    }
    return {
        s.name: replace(s, every_seconds=chosen[s.name][1].total_seconds())
        for s in CAPABILITIES.streams
        if chosen[s.name][0]
    }


def _resources(body: Body, kind: str, price: float) -> list[tuple[str, float]]:
    """What X charges for: each object, and each person that comes with it."""
    return [(f"{kind}{i}", price) for i in body.ids] + [(f"u{i}", USER_USD) for i in body.user_ids]


def _is_new(place: Place, message: Message) -> bool:
    native = (message.aliases or (message.id,))[-1].removeprefix(DM_PREFIX)
    return wanted(place, int(native), edited=message.edited_at is not None)


def _each_once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A page may hold a post twice, or two versions of it: its newest, once."""
    found: dict[str, Message] = {}
    for message in messages:
        known = found.get(message.id)
        if known is None or (message.edited_at or message.created_at) >= (
            known.edited_at or known.created_at
        ):
            found[message.id] = message
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> XConnector:
    """The connector of one account. Opens nothing yet. Raises Refused for keywords that do not fit."""
    return XConnector(settings, surroundings)
