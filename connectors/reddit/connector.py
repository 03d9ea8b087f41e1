"""One Reddit account: which streams it has, what each asks of Reddit, and what a page of it means.

Nothing here sleeps, retries in a loop or asks the clock; a poll makes one request (beside signing in).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from connectors.contract import (
    Capabilities,
    Cursor,
    Direction,
    Identity,
    Outbound,
    Page,
    Stream,
    Surroundings,
)
from connectors.reddit.api import SCOPES, Api
from connectors.reddit.parse import Body, Reader, open_subreddits, parse_listing, phrases
from connectors.reddit.place import Place, begin, is_new, take, was_changed
from connectors.reddit.settings import Settings
from rules.message import Kind, Message
from wire.errors import Malformed, NotAllowed, Refused

QUERY_LENGTH_MAX = 512
"""Reddit's API docs, "search": the length of q."""

QUERIES_MAX = 10
PAGE_SIZE = 100
LOOK_UP_MAX = 100
LOOK_BACK = timedelta(days=7)

CAPABILITIES = Capabilities(
    streams=(
        Stream("inbox", Direction.INBOUND, 30.0),
        Stream("dms", Direction.INBOUND, 30.0, private=True),
        Stream("sent", Direction.OUTBOUND, 30.0, private=True),
        Stream("own", Direction.OUTBOUND, 30.0),
        Stream("search", Direction.INBOUND, 60.0),
        Stream("comments", Direction.INBOUND, 30.0),
    ),
    outbound=Outbound.LISTED,
    look_back_seconds=LOOK_BACK.total_seconds(),
    edits=True,
    deletes=True,
)

_PUBLIC = (Kind.COMMENT, Kind.POST)


@dataclass(frozen=True, slots=True)
class _Listing:
    """One of Reddit's listings: its name in the cursor, its path, and what is asked beside the page."""

    name: str
    path: str
    parameters: tuple[tuple[str, str], ...] = ()


class RedditConnector:
    """Keeps `connectors.contract.Connector`. Used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._streams = _streams(settings, surroundings.keywords)
        self._listings = {name: _listings(name, settings, surroundings.keywords) for name in self._streams}
        self._phrases = phrases(surroundings.keywords)
        self._api = Api(settings, surroundings)
        self._me: Identity | None = None

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Those that the settings and the brand's keywords allow."""
        return tuple(self._streams.values())

    def identify(self, time_limit: float) -> Identity:
        """Who the credentials belong to, and which scopes are missing. Raises wire.errors."""
        with self._api.within(time_limit):
            who, may_read = self._identify()
            hidden = self._hidden_subreddits() if may_read else ()
        return replace(who, permissions_missing=(*who.permissions_missing, *hidden))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """One page of one listing of that stream. Raises wire.errors."""
        known = self._streams.get(stream)
        if known is None:
            raise Refused(f"u/{self._settings.username} has no stream {stream!r} (see its settings)")
        now = self._around.clock()
        stored, gap = None, None
        if cursor is not None:
            try:
                stored = Place.read(cursor)
            except ValueError:
                gap = "the stored cursor could not be read, so it was started anew"
        seconds = min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds)
        place = begin(stored, now, timedelta(seconds=seconds), len(self._listings[stream]))
        if place.walk is None:
            raise RuntimeError("a page was asked for where no walk was begun")
        listing = self._listings[stream][place.walk.listing]
        parameters: dict[str, Any] = {"limit": PAGE_SIZE, **dict(listing.parameters)}
        if place.walk.anchors:
            parameters["after"] = place.walk.anchors[-1]
        with self._api.within(time_limit):
            reader = self._known_identity()
            raw = self._api.get(listing.path, _spoken(stream, self._settings), **parameters)
        kinds = (Kind.DM,) if known.private else _PUBLIC
        body = parse_listing(raw, reader, now, kinds, _spoken(stream, self._settings), private=known.private)
        return self._page(known, listing, place, body, gap, now)

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """Those comments and submissions as they are now: edited ones among `messages`, deleted ones in
        `gone`. Private messages are skipped: Reddit has no look-up for them. Raises wire.errors."""
        wanted = [i for i in dict.fromkeys(ids) if not i.startswith("t4_")]
        if len(wanted) > LOOK_UP_MAX:
            raise Refused(f"at most {LOOK_UP_MAX} messages can be looked up at once, not {len(wanted)}")
        if not all(i[:3] in ("t1_", "t3_") and i[3:].isascii() and i[3:].isalnum() for i in wanted):
            raise Refused("the id of a comment or a submission on Reddit starts with t1_ or t3_")
        if not wanted:
            return Page((), {})
        now = self._around.clock()
        with self._api.within(time_limit):
            reader = self._known_identity()
            raw = self._api.get("/api/info", "messages by id", id=",".join(wanted), limit=LOOK_UP_MAX)
        body = parse_listing(raw, reader, now, _PUBLIC, "messages by id")
        budget = self._api.budget
        return Page(
            messages=_each_once(m for m in body.messages if m.id in wanted),
            cursor={},
            rejected=tuple(body.rejected),
            gone=tuple(g for g in body.gone if g.id in wanted),
            budgets=() if budget is None else (budget,),
            reads=len(body.rows),
        )

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    def _identify(self) -> tuple[Identity, bool]:
        """Who we are, and whether we may read subreddits."""
        settings = self._settings
        me = self._api.get("/api/v1/me", "who we are")
        id, name = (me.get("id"), me.get("name")) if isinstance(me, dict) else (None, None)
        if not isinstance(id, str) or not isinstance(name, str) or not 0 < len(name) <= 32:
            raise Malformed("Reddit did not say who we are")
        granted = self._api.scopes()
        needed = {_scope_of(listing.path) for some in self._listings.values() for listing in some}
        missing = sorted({"identity", "read", *needed} - granted) if "*" not in granted else []
        lacking = [f"scope {scope}" for scope in missing]
        if name.lower() != settings.username:
            lacking.insert(0, f"credentials of u/{settings.username} (these belong to u/{name.lower()})")
        if me.get("is_suspended") is True:
            lacking.append("an account that is not suspended")
        notes = ["Reddit's chat is not in its API: only private messages are seen"]
        if not settings.own:
            notes.append("own = false: answers on Reddit are not seen")
        if settings.dms and not settings.sent:
            notes.append("sent = false: answers to private messages are not seen")
        self._me = Identity(name.lower(), name, tuple(lacking), notes=tuple(notes))
        return self._me, not {"read", "*"}.isdisjoint(granted)

    def _hidden_subreddits(self) -> tuple[str, ...]:
        """Which of `subreddits` show us nothing: among several, Reddit leaves those out without a word."""
        if "comments" not in self._streams:
            return ()
        wanted = self._settings.subreddits
        raw = self._api.get("/api/info", "the subreddits", sr_name=",".join(wanted))
        seen = open_subreddits(raw, "the subreddits")
        return tuple(f"subreddit r/{n} (unknown, banned or private)" for n in wanted if n not in seen)

    def _known_identity(self) -> Reader:
        me = self._me or self._identify()[0]
        settings, around = self._settings, self._around
        if me.id != settings.username:
            self._me = None  # ask again next time: it may have been mended
            raise NotAllowed(
                f"the credentials belong to u/{me.id}, not to u/{settings.username}: set username, or give "
                "that account's credentials"
            )
        return Reader(around.brand, around.account, me.id, around.brand_handles | {settings.username})

    def _page(
        self, stream: Stream, listing: _Listing, place: Place, body: Body, gap: str | None, now: datetime
    ) -> Page:
        names = [some.name for some in self._listings[stream.name]]
        walked, lost = take(place, names, body.rows, body.after, body.empty)
        new = {row.id for row in body.rows if is_new(place, listing.name, row)}
        changed = {row.id for row in body.rows if was_changed(place, listing.name, row)}
        # Where Reddit does not tell when a text was changed, it is when we noticed.
        messages = [
            replace(m, edited_at=now) if m.edited_at is None and m.id in changed else m
            for m in reversed(body.messages)
        ]
        budget, drained = self._api.budget, walked.walk is None
        begun = place.walk.begun if place.walk is not None else None
        return Page(
            messages=_each_once(m for m in messages if m.id in new and self._fits(stream, m)),
            cursor=walked.written(),
            has_more=walked.walk is not None and walked.walk.pages % self._settings.pages_max != 0,
            rejected=tuple(r for r in body.rejected if r.id is None or r.id in new),
            gap=gap or lost,
            complete_through=begun - self._settings.lag_margin if drained and begun is not None else None,
            gone=tuple(g for g in body.gone if g.id in new),
            budgets=() if budget is None else (budget,),
            reads=len(body.rows),
        )

    def _fits(self, stream: Stream, message: Message) -> bool:
        """Whether it belongs to that stream: Reddit's own search is loose, and a subreddit holds much."""
        me = self._settings.username
        match stream.name:
            case "search" | "comments":
                if message.author.id == me:
                    return False
                named = self._phrases is not None and self._phrases.search(message.text) is not None
                return named or (stream.name == "comments" and me in message.handles)
            case "inbox" | "dms":
                return not message.author.brand
            case _:
                return message.author.brand


def search_queries(keywords: Sequence[str]) -> tuple[str, ...]:
    """The searches for the brand's keywords as exact phrases; as few as fit in Reddit's 512 characters each.

    Raises Refused, which names a keyword that does not fit or says nothing.
    """
    queries: list[str] = []
    for keyword in dict.fromkeys(" ".join(k.replace('"', " ").split()) for k in keywords):
        phrase = f'"{keyword}"'
        if not any(c.isalnum() for c in keyword):
            raise Refused(f"the keyword {keyword!r} has no letter or digit that Reddit could search for")
        if len(phrase) > QUERY_LENGTH_MAX:
            raise Refused(
                f"the keyword {keyword[:60]!r} does not fit: Reddit's search takes {QUERY_LENGTH_MAX} "
                "characters"
            )
        if queries and len(queries[-1]) + len(" OR ") + len(phrase) <= QUERY_LENGTH_MAX:
            queries[-1] += f" OR {phrase}"
        else:
            queries.append(phrase)
    if len(queries) > QUERIES_MAX:
        raise Refused(f"the keywords fill {len(queries)} searches of Reddit; at most {QUERIES_MAX} are made")
    return tuple(queries)


def _streams(settings: Settings, keywords: Sequence[str]) -> dict[str, Stream]:
    chosen = {
        "inbox": (settings.inbox, settings.inbox_every),
        "dms": (settings.dms, settings.dms_every),
        "sent": (settings.sent, settings.sent_every),
        "own": (settings.own, settings.own_every),
        "search": (settings.search and bool(keywords), settings.search_every),
        "comments": (settings.comments and bool(settings.subreddits), settings.comments_every),
    }
    return {
        s.name: replace(s, every_seconds=chosen[s.name][1].total_seconds())
        for s in CAPABILITIES.streams
        if chosen[s.name][0]
    }


def _listings(stream: str, settings: Settings, keywords: Sequence[str]) -> tuple[_Listing, ...]:
    """What a stream is read from. Both inbox streams read the flat inbox, since /message/messages nests
    answers under the first message of an exchange, out of their order in time."""
    match stream:
        case "inbox" | "dms":
            return (_Listing("inbox", "/message/inbox", (("mark", "false"),)),)
        case "sent":
            return (_Listing("sent", "/message/sent"),)
        case "own":
            user = f"/user/{settings.username}"
            newest = (("sort", "new"),)
            return (
                _Listing("comments", f"{user}/comments", newest),
                _Listing("submitted", f"{user}/submitted", newest),
            )
        case "search":
            return tuple(
                _Listing(f"search{n}", "/search", (("q", query), ("sort", "new"), ("type", "link")))
                for n, query in enumerate(search_queries(keywords))
            )
        case _:
            where = f"/r/{'+'.join(settings.subreddits)}"
            return (_Listing("comments", f"{where}/comments"), _Listing("new", f"{where}/new"))


def _spoken(stream: str, settings: Settings) -> str:
    return {
        "inbox": "the inbox",
        "dms": "private messages",
        "sent": "sent private messages",
        "own": f"what u/{settings.username} wrote",
        "search": "the search",
    }.get(stream, "the subreddits")


def _scope_of(path: str) -> str:
    return next(scope for start, scope in SCOPES.items() if path.startswith(start))


def _each_once(messages: Any) -> tuple[Message, ...]:
    """A page may hold a message twice: once is enough."""
    found: dict[str, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> RedditConnector:
    """The connector of one account. Opens nothing yet. Raises Refused for keywords that do not fit."""
    return RedditConnector(settings, surroundings)
