"""One Mastodon account as a connector: which lists its streams are read from, and how a reading goes on.

What may live here: the streams, their pages, look-ups and who we are. What the JSON means is `parse.py`'s.
Sources: Mastodon's API documentation (methods notifications, accounts, timelines, statuses; guidelines on
paging by the Link header; rate limits; OAuth scopes) and its StatusesController (20 posts by id at once).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from connectors import walk
from connectors.contract import (
    Budget,
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
from connectors.mastodon.parse import (
    Body,
    Reader,
    full_name,
    is_id,
    parse_ancestors,
    parse_notifications,
    parse_statuses,
)
from connectors.mastodon.settings import Settings
from connectors.rest import Missing, RestApi, RestWays, header_number
from rules.message import Message
from wire.errors import EdgeError, Malformed, NotAllowed, Refused
from wire.http import Reply
from wire.secret import SecretMissing

NOTIFICATIONS_A_PAGE = 80
POSTS_A_PAGE = 40
LOOK_UP_MAX = 100
LOOK_UP_STEP = 20
"""So many posts are shown by their ids at once."""

ROOTS_KEPT = 5000
LOOK_BACK = timedelta(days=30)

CAPABILITIES = Capabilities(
    streams=(
        Stream("mentions", Direction.INBOUND, 20.0),
        Stream("hashtags", Direction.INBOUND, 60.0),
        Stream("own", Direction.OUTBOUND, 20.0),
        Stream("dms", Direction.BOTH, 30.0, private=True),
    ),
    outbound=Outbound.LISTED,
    look_back_seconds=LOOK_BACK.total_seconds(),
    edits=True,
    deletes=True,
    automated_known=True,
)

_NEXT = re.compile(r'<([^<>]{1,4000})>\s*;\s*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Listing:
    """One of Mastodon's lists: its name in the cursor, where it is, what is asked, how it is read, and how
    far below the last reading the next one goes. `{me}` in the path is our account's id."""

    name: str
    path: str
    parameters: Mapping[str, Any]
    parse: Callable[[Any, Reader, datetime], Body]
    overlap: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class _Me:
    id: str
    acct: str
    token: str


class MastodonConnector:
    """Keeps `connectors.contract.Connector`. Used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._streams = _streams(settings)
        self._listings = {name: _listings(name, settings) for name in self._streams}
        self._host = (urlsplit(settings.api_url).hostname or "").lower()
        self._brand_handles = frozenset(
            full_name(handle, self._host) for handle in (*surroundings.brand_handles, settings.handle)
        )
        self._me: _Me | None = None
        self._roots: OrderedDict[str, str] = OrderedDict()
        ways = RestWays(
            headers=self._headers,
            secrets=lambda: (self._token(),),
            explain=lambda body: body["error"],
            budgets=_budgets,
            resets_at=lambda reply, _now: _reset(reply.headers),
        )
        self._api = RestApi("Mastodon", settings.api_url, surroundings.http, surroundings.clock, ways)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that the settings switch on."""
        return tuple(self._streams.values())

    def identify(self, time_limit: float) -> Identity:
        """Whose token it is, and whether it may read what the streams need. Raises wire.errors."""
        lacking, notes = [], []
        with self._api.within(time_limit):
            self._me = None
            me = self._who()
            for name, listings in self._listings.items():
                try:
                    path = listings[0].path.format(me=me.id)
                    self._api.get(path, f"the {name}", {**listings[0].parameters, "limit": 1})
                except NotAllowed as error:
                    lacking.append(f"the scope that {name} need ({error})")
                except EdgeError as error:
                    notes.append(f"{name} could not be asked for: {error}")
        if full_name(me.acct, self._host) != full_name(self._settings.handle, self._host):
            notes.append(f"the account calls itself {me.acct}")
        notes.append(
            "posts of other servers are seen only where they mention the account, or arrive at its server"
        )
        if not self._settings.own:
            notes.append("own = false: answers on Mastodon are not seen")
        return Identity(me.id, me.acct, tuple(lacking), notes=tuple(notes))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """One page of that stream. Raises wire.errors."""
        if stream not in self._streams:
            raise Refused(f"@{self._settings.handle} has no stream {stream!r} (see its settings)")
        now = self._around.clock()
        with self._api.within(time_limit):
            return self._poll(stream, cursor, now)

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """What those posts say by now, and which are gone. Raises wire.errors."""
        wanted = list(dict.fromkeys(ids))
        if len(wanted) > LOOK_UP_MAX:
            raise Refused(f"at most {LOOK_UP_MAX} posts can be looked up at once, not {len(wanted)}")
        if not all(map(is_id, wanted)):
            raise Refused("one of them is not the id of a post on Mastodon")
        if not wanted:
            return Page((), {})
        now = self._around.clock()
        with self._api.within(time_limit):
            reader = self._reader()
            bodies = list(self._shown(wanted, reader, now))
            found = [m for body in bodies for m in body.messages if m.id in wanted]
            found = [self._in_its_thread(message) for message in found]
        shown = {row.id for body in bodies for row in body.rows}  # what cannot be read is there, too
        return Page(
            messages=_each_once(found),
            cursor={},
            gone=tuple(Gone(id, now) for id in wanted if id not in shown),
            budgets=self._api.budgets,
            reads=len(found),
        )

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    def _poll(self, stream: str, cursor: Cursor | None, now: datetime) -> Page:
        listings = self._listings[stream]
        names = [some.name for some in listings]
        place, under_way, gap = walk.begin(cursor, now, self._look_back(), names)
        listing = next(some for some in listings if some.name == under_way.listing)
        reader = self._reader()
        asked = {**listing.parameters, "max_id": under_way.token}
        reply = self._api.get(listing.path.format(me=reader.me), f"the {stream}", asked)
        body = listing.parse(_json(reply, stream), reader, now)
        after, lost = walk.take(place, names, body.rows, _next_token(reply), overlap=listing.overlap)
        new = {row.id for row in body.rows if walk.is_new(place, listing.name, row)}
        kept = [m for m in reversed(body.messages) if m.id in new and _fits(stream, m)]
        return Page(
            messages=_each_once(map(self._in_its_thread, kept)),
            cursor=after.written(),
            has_more=after.walk is not None and after.walk.pages % self._settings.pages_max != 0,
            rejected=tuple(r for r in body.rejected if r.id is None or r.id in new),
            gap=gap or lost,
            complete_through=under_way.begun - self._settings.lag_margin if after.drained else None,
            budgets=self._api.budgets,
            reads=len(body.rows),
        )

    def _in_its_thread(self, message: Message) -> Message:
        """The message with the first post of its thread as its conversation, which Mastodon does not say: it
        is asked for once a thread, and remembered."""
        if message.parent is None:
            self._remember(message.id, message.id)
            return message
        root = self._roots.get(message.parent)
        if root is None:
            try:
                reply = self._api.get(f"/api/v1/statuses/{message.id}/context", "a thread")
                root = parse_ancestors(_json(reply, "a thread"))
            except (Missing, Malformed):
                root = None  # the post is gone meanwhile: what it answered is the best that is known
        root = root or message.parent
        self._remember(message.parent, root)
        self._remember(message.id, root)
        return replace(message, conversation=root)

    def _remember(self, id: str, root: str) -> None:
        self._roots[id] = root
        self._roots.move_to_end(id)
        while len(self._roots) > ROOTS_KEPT:
            self._roots.popitem(last=False)

    def _shown(self, ids: Sequence[str], reader: Reader, now: datetime) -> Iterator[Body]:
        """The posts among them that are shown."""
        for start in range(0, len(ids), LOOK_UP_STEP):
            some = ids[start : start + LOOK_UP_STEP]
            try:
                reply = self._api.get("/api/v1/statuses", "posts by id", {"id[]": list(some)})
            except (Missing, Refused):  # servers before Mastodon 4.3 show one at a time
                yield from self._shown_singly(some, reader, now)
            else:
                yield parse_statuses(_json(reply, "posts by id"), reader, now)

    def _shown_singly(self, ids: Sequence[str], reader: Reader, now: datetime) -> Iterator[Body]:
        for id in ids:
            try:
                reply = self._api.get(f"/api/v1/statuses/{id}", "a post")
            except Missing:
                continue
            yield parse_statuses([_json(reply, "a post")], reader, now)

    def _reader(self) -> Reader:
        me, around = self._who(), self._around
        return Reader(
            around.brand, around.account, me.id, self._settings.handle, self._host, self._brand_handles
        )

    def _who(self) -> _Me:
        """Whose token it is; asked once for each token."""
        token = self._token()
        if self._me is None or self._me.token != token:
            reply = self._api.get("/api/v1/accounts/verify_credentials", "who we are")
            body = _json(reply, "who we are")
            id, acct = (body.get("id"), body.get("acct")) if type(body) is dict else (None, None)
            if type(id) is not str or not is_id(id) or type(acct) is not str:
                raise Malformed("Mastodon does not say who we are")
            self._me = _Me(id, acct, token)
        return self._me

    def _token(self) -> str:
        try:
            return self._settings.access_token.reveal().strip()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._token()}"}

    def _look_back(self) -> timedelta:
        seconds = min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds)
        return timedelta(seconds=seconds)


def _fits(stream: str, message: Message) -> bool:
    """Whether it belongs to that stream: private posts have one of their own."""
    if stream == "dms":
        return not message.public
    return message.public and message.author.brand == (stream == "own")


def _streams(settings: Settings) -> dict[str, Stream]:
    chosen = {
        "mentions": (settings.mentions, settings.mentions_every),
        "hashtags": (bool(settings.hashtags), settings.hashtags_every),
        "own": (settings.own, settings.own_every),
        "dms": (settings.dms, settings.dms_every),
    }
    return {
        s.name: replace(s, every_seconds=chosen[s.name][1].total_seconds())
        for s in CAPABILITIES.streams
        if chosen[s.name][0]
    }


def _listings(stream: str, settings: Settings) -> tuple[_Listing, ...]:
    """What a stream is read from. Private posts stand among the mentions and among our own posts."""
    told = {"types[]": "mention", "limit": NOTIFICATIONS_A_PAGE}
    mentions = _Listing("mentions", "/api/v1/notifications", told, parse_notifications)
    mine = {"exclude_reblogs": "true", "limit": POSTS_A_PAGE}
    own = _Listing("own", "/api/v1/accounts/{me}/statuses", mine, parse_statuses)
    match stream:
        case "mentions":
            return (mentions,)
        case "own":
            return (own,)
        case "dms":
            return (mentions, own)
        case _:
            return tuple(
                _Listing(
                    f"#{tag}",
                    f"/api/v1/timelines/tag/{quote(tag, safe='')}".replace("{", "{{").replace("}", "}}"),
                    {"limit": POSTS_A_PAGE},
                    parse_statuses,
                    settings.overlap,
                )
                for tag in dict.fromkeys(settings.hashtags)
            )


def _next_token(reply: Reply) -> str | None:
    """The page after this one, out of the Link header: posts older than some id."""
    found = _NEXT.search(reply.headers.get("link", "")[:10_000])
    if found is None:
        return None
    token = parse_qs(urlsplit(found[1]).query).get("max_id", [""])[-1]
    if not is_id(token):
        raise Malformed("Mastodon gave a next page that is none")
    return token


def _json(reply: Reply, what: str) -> Any:
    try:
        return reply.json()
    except Malformed as error:
        raise Malformed(f"Mastodon's answer to {what}: {error}") from None


def _reset(headers: Mapping[str, str]) -> datetime | None:
    """When the window ends: Mastodon writes it as a time, others as seconds since 1970."""
    text = headers.get("x-ratelimit-reset", "").strip()
    try:
        at = datetime.fromisoformat(text[:40])
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _budgets(headers: Mapping[str, str], now: datetime) -> tuple[Budget, ...]:
    limit = header_number(headers, "x-ratelimit-limit")
    left = header_number(headers, "x-ratelimit-remaining")
    if limit is None or left is None:
        return ()
    return (Budget("requests", limit, left, _reset(headers)),)


def _each_once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A page may hold a message twice: once is enough."""
    found: dict[str, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> MastodonConnector:
    """The connector of one account. Opens nothing yet."""
    return MastodonConnector(settings, surroundings)
