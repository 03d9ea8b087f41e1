"""One Bluesky account: which streams it has, what each asks of Bluesky, and what a page of it means.

Nothing here sleeps, retries in a loop or asks the clock; a poll makes one request (beside signing in, and the
first one of direct messages, which makes two).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from connectors import walk
from connectors.bluesky import talks as talking
from connectors.bluesky.api import CHAT, Api
from connectors.bluesky.parse import (
    Body,
    Reader,
    is_post,
    parse_direct,
    parse_feed,
    parse_log,
    parse_notifications,
    parse_posts,
    parse_talks,
    parse_thread,
    phrases,
    reply_counts,
)
from connectors.bluesky.settings import Settings
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
from rules.message import Message
from wire.errors import EdgeError, NotAllowed, Refused

PAGE_SIZE = 100
LOOK_UP_MAX = 100
LOOK_UP_STEP = 25
"""The lexicon of app.bsky.feed.getPosts: so many URIs a request."""

THREADS_MAX = 10
THREAD_DEPTH = 10
"""In a look-up so many threads are read, so deep: each is a request of its own."""

QUERY_LENGTH_MAX = 300
KEYWORDS_MAX = 20
LOOK_BACK = timedelta(days=14)

CAPABILITIES = Capabilities(
    streams=(
        Stream("notifications", Direction.INBOUND, 20.0),
        Stream("search", Direction.INBOUND, 60.0),
        Stream("own", Direction.OUTBOUND, 20.0),
        Stream("dms", Direction.BOTH, 20.0, private=True),
    ),
    outbound=Outbound.LISTED,
    look_back_seconds=LOOK_BACK.total_seconds(),
    deletes=True,
    automated_known=True,
)

_ANEW = "the stored cursor could not be read, so it was started anew"


@dataclass(frozen=True, slots=True)
class _Listing:
    """One of Bluesky's lists: its name in the cursor, what is asked, how the answer is read, and which
    parameter is to hold our DID."""

    name: str
    method: str
    parameters: tuple[tuple[str, Any], ...]
    parse: Callable[[Any, Reader, datetime], Body]
    actor: str | None = None


class BlueskyConnector:
    """Keeps `connectors.contract.Connector`. Used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._streams = _streams(settings)
        self._listings = {
            name: _listings(name, settings, surroundings.keywords) for name in self._streams if name != "dms"
        }
        self._phrases = phrases(surroundings.keywords)
        self._api = Api(settings, surroundings)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that the settings switch on."""
        return tuple(self._streams.values())

    def identify(self, time_limit: float) -> Identity:
        """Who the app password belongs to, and whether it allows direct messages. Raises wire.errors."""
        settings, lacking, notes = self._settings, [], []
        with self._api.within(time_limit):
            # Asked even where a session is held, since that says nothing of a password that was taken back.
            self._api.get("app.bsky.notification.getUnreadCount", "who we are", {})
            me = self._api.session()
            if settings.dms:
                try:
                    self._api.get("chat.bsky.convo.listConvos", "direct messages", {"limit": 1}, CHAT)
                except NotAllowed:
                    lacking.append(
                        "direct messages (make an app password with access to them, or set dms = false)"
                    )
                except EdgeError as error:  # another service than the account's own: it may be down alone
                    notes.append(f"direct messages could not be asked for: {error}")
        if me.status is not None:
            lacking.append(f"an account that is active (this one is {me.status})")
        if me.handle.lower() != settings.handle:
            notes.append(f"the account calls itself {me.handle}")
        notes.append("posts that Bluesky hides from the account (blocks, mutes, moderation) are not seen")
        if not settings.own:
            notes.append("own = false: answers on Bluesky are not seen")
        return Identity(me.did, me.handle, tuple(lacking), notes=tuple(notes))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """One page of that stream. Raises wire.errors."""
        if stream not in self._streams:
            raise Refused(f"@{self._settings.handle} has no stream {stream!r} (see its settings)")
        now = self._around.clock()
        with self._api.within(time_limit):
            if stream == "dms":
                return self._poll_talks(cursor, now)
            return self._poll_list(stream, cursor, now)

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """Which of those posts are still there, and which are gone; and the answers below them, since
        notifications get lost. Posts on Bluesky are not edited, and direct messages are skipped: what was
        sent to us stays. Raises wire.errors."""
        wanted = [i for i in dict.fromkeys(ids) if i.startswith("at:")]
        if len(wanted) > LOOK_UP_MAX:
            raise Refused(f"at most {LOOK_UP_MAX} posts can be looked up at once, not {len(wanted)}")
        if not all(map(is_post, wanted)):
            raise Refused("the id of a post on Bluesky is an AT-URI: at://DID/app.bsky.feed.post/KEY")
        if not wanted:
            return Page((), {})
        now = self._around.clock()
        found: list[Message] = []
        with self._api.within(time_limit):
            reader, seen = self._reader(), set()
            for start in range(0, len(wanted), LOOK_UP_STEP):
                asked = wanted[start : start + LOOK_UP_STEP]
                raw = self._api.get("app.bsky.feed.getPosts", "posts by URI", {"uris": asked})
                body = parse_posts(raw, reader, now)
                found += [m for m in body.messages if m.id in wanted]
                seen |= {row.id for row in body.rows}
                answered = [uri for uri, count in reply_counts(raw).items() if count > 0 and uri in wanted]
                for uri in answered[:THREADS_MAX]:
                    found += self._below(uri, reader, now)
        return Page(
            messages=_each_once(found),
            cursor={},
            gone=tuple(Gone(id, now) for id in wanted if id not in seen),
            budgets=self._api.budgets,
            reads=len(found),
        )

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    def _below(self, uri: str, reader: Reader, now: datetime) -> list[Message]:
        """What the brand said below a post, and what was said there to it."""
        asked = {"uri": uri, "depth": THREAD_DEPTH, "parentHeight": 0}
        try:
            raw = self._api.get("app.bsky.feed.getPostThread", "a thread", asked)
        except Refused:
            return []  # it went between two questions
        return parse_thread(raw, reader, now).messages

    def _reader(self) -> Reader:
        me, around, handle = self._api.session(), self._around, self._settings.handle
        return Reader(around.brand, around.account, me.did, handle, around.brand_handles | {handle})

    def _look_back(self) -> timedelta:
        seconds = min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds)
        return timedelta(seconds=seconds)

    def _poll_list(self, stream: str, cursor: Cursor | None, now: datetime) -> Page:
        listings = self._listings[stream]
        names = [some.name for some in listings]
        place, under_way, gap = walk.begin(cursor, now, self._look_back(), names)
        listing = next(some for some in listings if some.name == under_way.listing)
        reader = self._reader()
        asked: dict[str, Any] = {"limit": PAGE_SIZE, **dict(listing.parameters), "cursor": under_way.token}
        if listing.actor is not None:
            asked[listing.actor] = reader.me
        body = listing.parse(self._api.get(listing.method, _SPOKEN[stream], asked), reader, now)
        after, lost = walk.take(place, names, body.rows, body.token, overlap=self._settings.overlap)
        new = {row.id for row in body.rows if walk.is_new(place, listing.name, row)}
        return Page(
            messages=_each_once(m for m in reversed(body.messages) if m.id in new and self._fits(stream, m)),
            cursor=after.written(),
            has_more=after.walk is not None and after.walk.pages % self._settings.pages_max != 0,
            rejected=tuple(r for r in body.rejected if r.id is None or r.id in new),
            gap=gap or lost,
            complete_through=under_way.begun - self._settings.lag_margin if after.drained else None,
            budgets=self._api.budgets,
            reads=len(body.rows),
        )

    def _fits(self, stream: str, message: Message) -> bool:
        """Whether it belongs to that stream: Bluesky's search is loose, and of what is quoted only our own
        words make an answer of it."""
        if stream == "own":
            return message.author.brand
        if message.author.brand:
            return False
        if stream == "notifications":
            return True
        named = self._phrases is not None and self._phrases.search(message.text) is not None
        return named or self._settings.handle in message.handles

    def _poll_talks(self, cursor: Cursor | None, now: datetime) -> Page:
        """A page of the direct messages: of the list of conversations, of one of them, or of the log."""
        gap, since = None, now - self._look_back()
        stored: talking.Talks | None = None
        if cursor is not None:
            try:
                stored = talking.Talks.read(cursor)
            except ValueError:
                gap = _ANEW
        if stored is not None and talking.is_stale(stored, now):
            since = max(since, stored.read_at - self._settings.overlap)
            stored = None
        reader = self._reader()
        if stored is None:
            stored = talking.begin(parse_log(self._chat("getLog", {}), reader, now).token, since, now)
        if stored.listing:
            return self._list_talks(stored, gap)
        if stored.waiting:
            return self._read_talk(stored, reader, now)
        return self._read_log(stored, reader, now)

    def _list_talks(self, stored: talking.Talks, gap: str | None) -> Page:
        raw = self._chat("listConvos", {"limit": PAGE_SIZE, "cursor": stored.list_token})
        found, token = parse_talks(raw)
        after, lost = stored.listed(found, token)
        return self._private(after, Body(), gap or lost, has_more=True)

    def _read_talk(self, stored: talking.Talks, reader: Reader, now: datetime) -> Page:
        talk = stored.waiting[0]
        try:
            raw = self._chat("getMessages", {"convoId": talk, "limit": PAGE_SIZE, "cursor": stored.token})
        except Refused:
            # A conversation that the account has left meanwhile must not hold up the others.
            after, _ = stored.talked(None, None)
            return self._private(after, Body(), "a conversation could not be read", has_more=True)
        body = parse_direct(raw, talk, reader, now)
        times = [datetime.fromtimestamp(row.at, now.tzinfo) for row in body.rows if row.at is not None]
        after, gap = stored.talked(min(times, default=None), body.token)
        body.messages = [m for m in reversed(body.messages) if m.created_at >= stored.since]
        return self._private(after, body, gap, has_more=True)

    def _read_log(self, stored: talking.Talks, reader: Reader, now: datetime) -> Page:
        body = parse_log(self._chat("getLog", {"cursor": stored.log or None}), reader, now)
        after, more = stored.logged(body.token, bool(body.rows or body.rejected), now)
        page = self._private(after, body, None, has_more=more)
        return page if more else replace(page, complete_through=now - self._settings.lag_margin)

    def _private(self, after: talking.Talks, body: Body, gap: str | None, *, has_more: bool) -> Page:
        return Page(
            messages=_each_once(body.messages),
            cursor=after.written(),
            has_more=has_more,
            rejected=tuple(body.rejected),
            gap=gap,
            budgets=self._api.budgets,
            reads=len(body.rows),
        )

    def _chat(self, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        raw = self._api.get(f"chat.bsky.convo.{method}", _SPOKEN["dms"], parameters, CHAT)
        return raw if type(raw) is dict else {}


def search_query(keyword: str) -> str:
    """The search for a keyword: a plain word as it is, else an exact phrase, in which nothing is an operator.
    Raises Refused for one that cannot be searched."""
    said = " ".join(keyword.replace('"', " ").split())
    if not any(c.isalnum() for c in said):
        raise Refused(f"the keyword {keyword!r} has no letter or digit that Bluesky could search for")
    if len(said) > QUERY_LENGTH_MAX:
        raise Refused(f"the keyword {keyword[:60]!r} is longer than a post on Bluesky may be")
    return said if said.isalnum() else f'"{said}"'


def _streams(settings: Settings) -> dict[str, Stream]:
    chosen = {
        "notifications": (settings.notifications, settings.notifications_every),
        "search": (settings.search, settings.search_every),
        "own": (settings.own, settings.own_every),
        "dms": (settings.dms, settings.dms_every),
    }
    return {
        s.name: replace(s, every_seconds=chosen[s.name][1].total_seconds())
        for s in CAPABILITIES.streams
        if chosen[s.name][0]
    }


def _listings(stream: str, settings: Settings, keywords: Sequence[str]) -> tuple[_Listing, ...]:
    """What a stream is read from. Notifications get lost, so that the search asks for mentions too."""
    match stream:
        case "notifications":
            # Without priority=false an account set to hear only of those it follows would miss all others.
            asked = (("reasons", ("mention", "reply", "quote")), ("priority", "false"))
            method = "app.bsky.notification.listNotifications"
            return (_Listing("notifications", method, asked, parse_notifications),)
        case "own":
            asked_own = (("filter", "posts_with_replies"), ("includePins", "false"))
            return (_Listing("own", "app.bsky.feed.getAuthorFeed", asked_own, parse_feed, "actor"),)
        case _:
            queries = list(dict.fromkeys(map(search_query, keywords)))
            if len(queries) > KEYWORDS_MAX:
                raise Refused(
                    f"{len(queries)} keywords are too many for Bluesky: each is a search of its own, "
                    f"and at most {KEYWORDS_MAX} are made"
                )
            method, latest = "app.bsky.feed.searchPosts", ("sort", "latest")
            mentions = (("q", f"@{settings.handle}"), latest)
            return (
                _Listing("mentions", method, mentions, parse_posts, "mentions"),
                *(
                    _Listing(f"search{n}", method, (("q", query), latest), parse_posts)
                    for n, query in enumerate(queries)
                ),
            )


_SPOKEN: Mapping[str, str] = {
    "notifications": "the notifications",
    "search": "the search",
    "own": "the account's own posts",
    "dms": "direct messages",
}


def _each_once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A page may hold a message twice: once is enough."""
    found: dict[str, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> BlueskyConnector:
    """The connector of one account. Opens nothing yet. Raises Refused for what cannot be searched for."""
    return BlueskyConnector(settings, surroundings)
