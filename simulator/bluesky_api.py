"""Bluesky's servers as their lexicons and source describe them, served over the simulated world.

What may live here: the AT Protocol's wire format (XRPC, AT-URIs, records, views), and what of Bluesky's
behaviour a careful client must cope with: tokens that end, few attempts to sign in, notifications that get
lost, dates that authors choose, posts that vanish, an app password without direct messages. Sources: the
lexicons of app.bsky, chat.bsky.convo and com.atproto.server; packages/pds and packages/bsky of
bluesky-social/atproto (the errors of auth-verifier and pipethrough, the cursors of
data-plane/server/db/pagination); Bluesky's "Rate Limits".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Form, Person, Platform, World, Writing, tid

if TYPE_CHECKING:
    from simulator.faults import Faults

WINDOW_SECONDS = 300
REQUESTS_IN_WINDOW = 3000
SIGN_INS_IN_WINDOW = 30
ACCESS_LIFE = timedelta(hours=2)
REFRESH_LIFE = timedelta(days=60)
PAGE_MAX = 100
PAGE_DEFAULT = 50
URIS_MAX = 25
LOG_MAX = 50
CHAT_SERVICE = "did:web:api.bsky.chat#bsky_chat"
POST = "app.bsky.feed.post"
_MENTION = re.compile(r"(?<![\w@.-])@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
_Thing = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BlueskyAccess:
    """An account's app password. `dms`: it was made with access to direct messages."""

    handle: str
    password: str
    dms: bool = True

    @classmethod
    def of(cls, handle: str, seed: int = 0) -> BlueskyAccess:
        """An app password for that account, the same for the same seed."""
        letters = hashlib.sha256(f"{seed}/{handle}/app password".encode()).hexdigest()
        return cls(handle, "-".join(letters[n : n + 4] for n in range(0, 16, 4)))


@dataclass(frozen=True, slots=True)
class _Grant:
    access: BlueskyAccess
    kind: str
    expires_at: datetime


@dataclass(slots=True)
class _Server:
    """The state behind the routes: tokens given out and rate windows. All in pretended time."""

    world: World
    access: Sequence[BlueskyAccess]
    rate_limits: bool
    lost: frozenset[str]
    page_max: int
    grants: dict[str, _Grant] = field(default_factory=dict)
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.world.clock.now()

    def posts(self, wanted: Callable[[Writing], bool]) -> list[Writing]:
        """Posts that show now, newest first as Bluesky sorts: by a date that is the author's to choose."""
        found = self.world.shown(Platform.BLUESKY, self.now(), lambda w: w.form is Form.POST and wanted(w))
        return sorted(found, key=lambda w: (_sort_at(w), w.id), reverse=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request of somebody who may make it."""

    server: _Server
    query: Mapping[str, list[str]]
    me: Person

    def one(self, name: str) -> str | None:
        values = self.query.get(name)
        return values[-1] if values else None

    @property
    def limit(self) -> int:
        text = self.one("limit") or str(PAGE_DEFAULT)
        if not text.isdigit() or not 1 <= int(text) <= PAGE_MAX:
            raise _Problem(400, "InvalidRequest", f"Error: Params must have the property limit <= {PAGE_MAX}")
        return min(int(text), self.server.page_max)


class _Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, error: str, message: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "message": message or error}


_Answer = Callable[[_Asked], _Thing]


def make_bluesky_app(
    world: World,
    access: Sequence[BlueskyAccess],
    *,
    faults: Faults | None = None,
    rate_limits: bool = True,
    lost: Iterable[str] = (),
    page_max: int = PAGE_MAX,
) -> ASGIApp:
    """The account's server, which passes on what others answer. `faults` go wrong before it is asked. `lost`
    are the ids of posts of which nobody is notified. Pages are never longer than `page_max`."""
    server = _Server(world, tuple(access), rate_limits, frozenset(lost), page_max)

    async def endpoint(request: Request) -> Response:
        method = request.path_params["method"]
        headers: dict[str, str] = {}
        try:
            _count(server, "all", REQUESTS_IN_WINDOW, headers)
            body = await request.body()
            if method in _SESSIONS:
                if request.method != "POST":
                    raise _Problem(405, "InvalidRequest", "Incorrect HTTP method (GET) expected POST")
                return JSONResponse(_SESSIONS[method](server, request, body, headers), headers=headers)
            answer = _QUERIES.get(method)
            if answer is None:
                raise _Problem(501, "MethodNotImplemented", "Method Not Implemented")
            me = _who(server, request, method)
            query = {k: request.query_params.getlist(k) for k in request.query_params}
            return JSONResponse(answer(_Asked(server, query, me)), headers=headers)
        except _Problem as problem:
            return JSONResponse(problem.body, problem.status, headers=headers)

    app: ASGIApp = Starlette(routes=[Route("/xrpc/{method}", endpoint, methods=["GET", "POST"])])
    return app if faults is None else faults.wrap(app)


# --- who asks, and how often ------------------------------------------------------------------------------


def _count(server: _Server, name: str, limit: int, headers: dict[str, str]) -> None:
    seconds = int(server.now().timestamp())
    window = seconds // WINDOW_SECONDS
    last, used = server.windows.get(name, (window, 0))
    used = (used if last == window else 0) + 1
    server.windows[name] = (window, used)
    headers["ratelimit-limit"] = str(limit)
    headers["ratelimit-remaining"] = str(max(0, limit - used))
    headers["ratelimit-reset"] = str((window + 1) * WINDOW_SECONDS)
    headers["ratelimit-policy"] = f"{limit};w={WINDOW_SECONDS}"
    if server.rate_limits and used > limit:
        raise _Problem(429, "RateLimitExceeded", "Rate Limit Exceeded")


def _create_session(server: _Server, _request: Request, body: bytes, headers: dict[str, str]) -> _Thing:
    try:
        given = json.loads(body)
        identifier, password = given["identifier"], given["password"]
    except (ValueError, TypeError, KeyError):
        raise _Problem(400, "InvalidRequest", "Input must have identifier and password") from None
    _count(server, f"sign-in {identifier}", SIGN_INS_IN_WINDOW, headers)
    access = next((a for a in server.access if a.handle.lower() == str(identifier).lower()), None)
    if access is None or access.password != password:
        raise _Problem(401, "AuthenticationRequired", "Invalid identifier or password")
    return _grant(server, access)


def _refresh_session(server: _Server, request: Request, _body: bytes, _headers: dict[str, str]) -> _Thing:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    grant = _granted(server, token, "refresh")
    del server.grants[token]
    return _grant(server, grant.access)


def _grant(server: _Server, access: BlueskyAccess) -> _Thing:
    person = server.world.by_handle(Platform.BLUESKY, access.handle)
    if person is None:
        raise _Problem(403, "AccountNotFound", "Account not found")
    tokens = {}
    for kind, life in (("access", ACCESS_LIFE), ("refresh", REFRESH_LIFE)):
        word = hashlib.sha256(f"{access.password}/{kind}/{len(server.grants)}/{server.now()}".encode())
        tokens[kind] = f"eyJ0eXAiOiJhdCtqd3QifQ.{word.hexdigest()}.{kind}"
        server.grants[tokens[kind]] = _Grant(access, kind, server.now() + life)
    return {
        "accessJwt": tokens["access"],
        "refreshJwt": tokens["refresh"],
        "did": person.id,
        "handle": person.handle,
        "emailConfirmed": True,
        "active": True,
    }


def _granted(server: _Server, token: str, kind: str) -> _Grant:
    if not token:
        raise _Problem(401, "AuthMissing", "Authentication Required")
    grant = server.grants.get(token)
    if grant is None or grant.kind != kind:
        raise _Problem(400, "InvalidToken", "Token could not be verified")
    if server.now() >= grant.expires_at:
        raise _Problem(400, "ExpiredToken", "Token has expired")
    return grant


def _who(server: _Server, request: Request, method: str) -> Person:
    grant = _granted(server, request.headers.get("authorization", "").removeprefix("Bearer "), "access")
    if method.startswith("chat."):
        if not grant.access.dms:
            raise _Problem(400, "InvalidToken", "Bad token method")
        if request.headers.get("atproto-proxy") != CHAT_SERVICE:
            raise _Problem(404, "XRPCNotSupported")
    me = server.world.by_handle(Platform.BLUESKY, grant.access.handle)
    if me is None:
        raise _Problem(403, "AccountNotFound", "Account not found")
    return me


# --- posts ------------------------------------------------------------------------------------------------


def _unread(_asked: _Asked) -> _Thing:
    return {"count": 0}


def _notifications(asked: _Asked) -> _Thing:
    reasons = asked.query.get("reasons")
    server = asked.server

    def told(writing: Writing) -> bool:
        reason = _reason(asked, writing)
        return reason is not None and writing.id not in server.lost and reason in (reasons or [reason])

    def shape(writing: Writing) -> _Thing:
        return {
            "uri": _uri(writing),
            "cid": _cid(writing),
            "author": _profile(writing.author),
            "reason": _reason(asked, writing),
            **({"reasonSubject": _uri(answered)} if (answered := _parent(server, writing)) else {}),
            "record": _record(server, writing),
            "isRead": False,
            "indexedAt": _iso(_sort_at(writing)),
            "labels": [],
        }

    # Bluesky's cursor here is a bare time.
    ordered = server.posts(told)
    cursor = asked.one("cursor")
    if cursor:
        ordered = [w for w in ordered if _iso(_sort_at(w)) < cursor]
    page, more = ordered[: asked.limit], len(ordered) > asked.limit
    onward = {"cursor": _iso(_sort_at(page[-1]))} if more else {}
    return {"notifications": [shape(w) for w in page], "priority": False, **onward}


def _reason(asked: _Asked, writing: Writing) -> str | None:
    """Why that post is notified of, if it is."""
    if writing.author.id == asked.me.id:
        return None
    parent = _parent(asked.server, writing)
    if parent is not None and parent.author.id == asked.me.id:
        return "reply"
    quoted = _find(asked.server, writing.quotes)
    if quoted is not None and quoted.author.id == asked.me.id:
        return "quote"
    return "mention" if asked.me.id in _mentioned(asked.server, writing) else None


def _search(asked: _Asked) -> _Thing:
    query = asked.one("q")
    if query is None:
        raise _Problem(400, "InvalidRequest", 'Error: Params must have the property "q"')
    words = [(phrase or word).lower().lstrip("@") for phrase, word in re.findall(r'"([^"]*)"|(\S+)', query)]
    mentions = asked.one("mentions")

    def matches(writing: Writing) -> bool:
        text = writing.text.lower()
        named = mentions is None or mentions in _mentioned(asked.server, writing)
        return named and all(word in text for word in words)

    return _posts(asked, "posts", matches, lambda w: _view(asked.server, w))


def _author_feed(asked: _Asked) -> _Thing:
    actor = asked.one("actor") or ""
    plain = asked.one("filter") != "posts_no_replies"

    def item(writing: Writing) -> _Thing:
        thing: _Thing = {"post": _view(asked.server, writing)}
        if (parent := _parent(asked.server, writing)) is not None:
            root = _find(asked.server, writing.root) or parent
            thing["reply"] = {"root": _view(asked.server, root), "parent": _view(asked.server, parent)}
        return thing

    return _posts(asked, "feed", lambda w: w.author.id == actor and (plain or w.parent is None), item)


def _by_uri(asked: _Asked) -> _Thing:
    uris = asked.query.get("uris", [])
    if not 0 < len(uris) <= URIS_MAX:
        raise _Problem(400, "InvalidRequest", f"Error: uris must not have more than {URIS_MAX} elements")
    shown = {_uri(w): w for w in asked.server.posts(lambda w: _uri(w) in uris)}
    return {"posts": [_view(asked.server, shown[uri]) for uri in uris if uri in shown]}


def _thread(asked: _Asked) -> _Thing:
    """A post with all that stands below it."""
    shown = asked.server.posts(lambda w: True)
    root = next((w for w in shown if _uri(w) == asked.one("uri")), None)
    if root is None:
        raise _Problem(400, "NotFound", f"Post not found: {asked.one('uri')}")

    def node(writing: Writing, depth: int) -> _Thing:
        below = [w for w in shown if w.parent == writing.id] if depth else []
        return {
            "$type": "app.bsky.feed.defs#threadViewPost",
            "post": _view(asked.server, writing),
            "replies": [node(w, depth - 1) for w in below],
        }

    return {"thread": node(root, int(asked.one("depth") or "6"))}


def _posts(
    asked: _Asked, name: str, wanted: Callable[[Writing], bool], shape: Callable[[Writing], _Thing]
) -> _Thing:
    """A page of posts; the cursor is the last one's sort time in milliseconds and its CID."""
    ordered = asked.server.posts(wanted)
    cursor = asked.one("cursor")
    if cursor:
        at, _, cid = cursor.partition("__")
        if not at.isdigit() or not cid:
            raise _Problem(400, "InvalidRequest", "Malformed cursor")
        places = [n for n, w in enumerate(ordered) if (_millis(w), _cid(w)) == (int(at), cid)]
        older = [n for n, w in enumerate(ordered) if _millis(w) < int(at)]
        start = places[0] + 1 if places else (older[0] if older else len(ordered))
        ordered = ordered[start:]
    page, more = ordered[: asked.limit], len(ordered) > asked.limit
    onward = {"cursor": f"{_millis(page[-1])}__{_cid(page[-1])}"} if more else {}
    return {name: [shape(w) for w in page], **onward}


def _view(server: _Server, writing: Writing) -> _Thing:
    return {
        "uri": _uri(writing),
        "cid": _cid(writing),
        "author": _profile(writing.author),
        "record": _record(server, writing),
        "replyCount": len(server.posts(lambda w: w.parent == writing.id)),
        "repostCount": writing.reposts,
        "likeCount": writing.likes,
        "quoteCount": 0,
        "bookmarkCount": 0,
        "indexedAt": _iso(_sort_at(writing)),
        "viewer": {"threadMuted": False, "embeddingDisabled": False},
        "labels": [],
    }


def _record(server: _Server, writing: Writing) -> _Thing:
    record: _Thing = {
        "$type": POST,
        "text": writing.text,
        "langs": [writing.language],
        "createdAt": _iso(writing.claimed_at or writing.created_at),
    }
    facets = []
    for match in _MENTION.finditer(writing.text):
        person = server.world.by_handle(Platform.BLUESKY, match[1])
        if person is not None:
            start = len(writing.text[: match.start()].encode())
            feature = {"$type": "app.bsky.richtext.facet#mention", "did": person.id}
            index = {"byteStart": start, "byteEnd": start + len(match[0].encode())}
            facets.append({"$type": "app.bsky.richtext.facet", "features": [feature], "index": index})
    if facets:
        record["facets"] = facets
    if (parent := _find(server, writing.parent)) is not None:
        root = _find(server, writing.root) or parent
        record["reply"] = {"root": _ref(root), "parent": _ref(parent)}
    if (quoted := _find(server, writing.quotes)) is not None:
        record["embed"] = {"$type": "app.bsky.embed.record", "record": _ref(quoted)}
    return record


def _profile(person: Person) -> _Thing:
    bot = {"src": person.id, "uri": f"at://{person.id}/app.bsky.actor.profile/self", "val": "bot"}
    return {
        "did": person.id,
        "handle": person.handle,
        "displayName": person.name,
        "viewer": {"muted": False, "blockedBy": False},
        "labels": [{**bot, "cts": _iso(person.created_at)}] if person.automated else [],
        "createdAt": _iso(person.created_at),
    }


def _mentioned(server: _Server, writing: Writing) -> set[str]:
    people = (server.world.by_handle(Platform.BLUESKY, name) for name in _MENTION.findall(writing.text))
    return {person.id for person in people if person is not None}


def _find(server: _Server, id: str | None) -> Writing | None:
    return None if id is None else server.world.find(Platform.BLUESKY, id)


def _parent(server: _Server, writing: Writing) -> Writing | None:
    return _find(server, writing.parent)


def _sort_at(writing: Writing) -> datetime:
    return writing.claimed_at or writing.visible_at or writing.created_at


def _millis(writing: Writing) -> int:
    return int(_sort_at(writing).timestamp() * 1000)


def _uri(writing: Writing) -> str:
    return f"at://{writing.author.id}/{POST}/{writing.id}"


def _cid(writing: Writing) -> str:
    return "bafyrei" + hashlib.sha256(writing.id.encode()).hexdigest()[:52]


def _ref(writing: Writing) -> _Thing:
    return {"uri": _uri(writing), "cid": _cid(writing)}


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- direct messages --------------------------------------------------------------------------------------


def _direct(asked: _Asked) -> list[Writing]:
    """All direct messages of the account, oldest first."""
    me = asked.me.id

    def mine(writing: Writing) -> bool:
        to = writing.recipient
        return writing.form is Form.DM and (writing.author.id == me or (to is not None and to.id == me))

    return list(asked.server.world.shown(Platform.BLUESKY, asked.server.now(), mine))


def _message(writing: Writing) -> _Thing:
    thing: _Thing = {
        "$type": "chat.bsky.convo.defs#messageView",
        "id": writing.id,
        "rev": writing.id,
        "text": writing.text,
        "sender": {"did": writing.author.id},
        "sentAt": _iso(writing.created_at),
    }
    return thing


def _convos(asked: _Asked) -> _Thing:
    last: dict[str, Writing] = {}
    for writing in _direct(asked):
        last[writing.root] = writing
    ordered = sorted(last.values(), key=lambda w: w.id, reverse=True)
    cursor = asked.one("cursor")
    if cursor:
        ordered = [w for w in ordered if w.id < cursor]
    page, more = ordered[: asked.limit], len(ordered) > asked.limit
    convos = [
        {
            "id": w.root,
            "rev": w.id,
            "members": [_profile(p) for p in (w.author, w.recipient) if p is not None],
            "muted": False,
            "status": "accepted",
            "unreadCount": 1,
            "kind": {"$type": "chat.bsky.convo.defs#directConvo"},
            "lastMessage": _message(w),
        }
        for w in page
    ]
    return {"convos": convos, **({"cursor": page[-1].id} if more else {})}


def _messages(asked: _Asked) -> _Thing:
    convo, cursor = asked.one("convoId"), asked.one("cursor")
    ordered = [w for w in reversed(_direct(asked)) if w.root == convo]
    if not ordered:
        raise _Problem(400, "InvalidConvo", "Convo not found")
    if cursor:
        ordered = [w for w in ordered if w.id < cursor]
    page, more = ordered[: asked.limit], len(ordered) > asked.limit
    people = {w.author.id: _profile(w.author) for w in page}
    onward = {"cursor": page[-1].id} if more else {}
    return {"messages": [_message(w) for w in page], "relatedProfiles": list(people.values()), **onward}


def _log(asked: _Asked) -> _Thing:
    """What happened after the cursor, oldest first. Without a cursor it begins now (atproto issue 2760)."""
    cursor = asked.one("cursor")
    if not cursor:
        return {"cursor": tid(asked.server.now(), 0x3FF), "logs": []}
    page = [w for w in _direct(asked) if w.id > cursor][: min(LOG_MAX, asked.server.page_max)]
    logs = [
        {
            "$type": "chat.bsky.convo.defs#logCreateMessage",
            "rev": w.id,
            "convoId": w.root,
            "message": _message(w),
            "relatedProfiles": [_profile(w.author)],
        }
        for w in page
    ]
    return {"logs": logs, "cursor": page[-1].id if page else cursor}


_SESSIONS: Mapping[str, Callable[[_Server, Request, bytes, dict[str, str]], _Thing]] = {
    "com.atproto.server.createSession": _create_session,
    "com.atproto.server.refreshSession": _refresh_session,
}
_QUERIES: Mapping[str, _Answer] = {
    "app.bsky.notification.getUnreadCount": _unread,
    "app.bsky.notification.listNotifications": _notifications,
    "app.bsky.feed.searchPosts": _search,
    "app.bsky.feed.getAuthorFeed": _author_feed,
    "app.bsky.feed.getPosts": _by_uri,
    "app.bsky.feed.getPostThread": _thread,
    "chat.bsky.convo.listConvos": _convos,
    "chat.bsky.convo.getMessages": _messages,
    "chat.bsky.convo.getLog": _log,
}
