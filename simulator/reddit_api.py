"""Reddit's API as its documentation describes it, served over the simulated world.

What may live here: Reddit's wire format (things, Listings, fullnames), and what of its behaviour a careful
client must cope with: tokens that end, rate windows, anchors that were deleted, an inbox without link_id.
Sources: Reddit's API docs, its OAuth2 wiki page, and its published source (r2).
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Form, Person, Platform, World, Writing

if TYPE_CHECKING:
    from simulator.faults import Faults

WINDOW_SECONDS = 600
REQUESTS_IN_WINDOW = 600
ACCESS_TOKEN_LIFE = timedelta(days=1)
LISTED_MAX = 1000
PAGE_MAX = 100
PAGE_DEFAULT = 25
QUERY_LENGTH_MAX = 512
ALL_SCOPES = ("identity", "history", "privatemessages", "read")
_PREFIX = {Form.COMMENT: "t1_", Form.POST: "t3_", Form.DM: "t4_"}
_FULLNAME = re.compile(r"t[134]_[0-9a-z]{1,13}")
_USER = re.compile(r"(?<![\w/-])/?u/([A-Za-z0-9_-]{3,20})(?![\w-])")
_INBOXES = ("inbox", "unread", "mentions", "comments", "selfreply", "messages", "sent")
_OF_TYPE = {"mentions": "username_mention", "comments": "comment_reply", "selfreply": "post_reply"}
_FORMS = {"comments": (Form.COMMENT,), "submitted": (Form.POST,), "overview": (Form.COMMENT, Form.POST)}


@dataclass(frozen=True, slots=True)
class RedditAccess:
    """What one account's app was given by Reddit. `scopes` are those that the refresh token was granted; a
    password gives all of them ("*")."""

    username: str
    password: str
    client_id: str
    client_secret: str
    refresh_token: str
    scopes: tuple[str, ...] = ALL_SCOPES

    @classmethod
    def of(cls, username: str, seed: int = 0) -> RedditAccess:
        """Credentials for that account, the same for the same seed."""

        def make(what: str) -> str:
            return hashlib.sha256(f"{seed}/{username}/{what}".encode()).hexdigest()[:30]

        return cls(
            username=username,
            password=make("password"),
            client_id=make("client id")[:22],
            client_secret=make("client secret"),
            refresh_token=f"{make('user')[:12]}-{make('refresh')}",
        )


@dataclass(frozen=True, slots=True)
class _Grant:
    """An access token: whose, for what, until when."""

    access: RedditAccess
    scopes: frozenset[str]
    expires_at: datetime


@dataclass(slots=True)
class _Server:
    """The state behind the routes: tokens given out and rate windows. All in pretended time."""

    world: World
    access: Sequence[RedditAccess]
    rate_limits: bool
    closed: Mapping[str, int]
    grants: dict[str, _Grant] = field(default_factory=dict)
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.world.clock.now()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request of somebody who may make it."""

    server: _Server
    request: Request
    me: Person
    now: datetime

    def text(self, value: str) -> str:
        """A text as Reddit sends it: escaped, unless raw_json says otherwise."""
        raw = self.request.query_params.get("raw_json") == "1"
        return value if raw else html.escape(value, quote=False)


class _Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Mapping[str, Any] | None = None, **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = dict(body or {"message": _MESSAGES.get(status, "Error"), "error": status})
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


_MESSAGES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
}
_Answer = Callable[[_Asked], Any]
_Thing = dict[str, Any]


def make_reddit_app(
    world: World,
    access: Sequence[RedditAccess],
    *,
    faults: Faults | None = None,
    rate_limits: bool = True,
    closed: Mapping[str, int] | None = None,
) -> ASGIApp:
    """The server, for `simulator.serve` or any ASGI server: the API and the token endpoint at one address.

    `faults` go wrong before it is asked. `closed` names subreddits (lower case) that answer 403 (private) or
    404 (banned).
    """
    server = _Server(world, tuple(access), rate_limits, dict(closed or {}))

    def route(path: str, scope: str, answer: _Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            return _answered(server, request, scope, answer)

        return Route(path, endpoint, methods=["GET"])

    async def token(request: Request) -> Response:
        return _sign_in(server, request, (await request.body()).decode("utf-8", "replace"))

    app: ASGIApp = Starlette(
        routes=[
            Route("/api/v1/access_token", token, methods=["POST"]),
            route("/api/v1/me", "identity", _me),
            route("/message/{where}", "privatemessages", _messages),
            route("/user/{name}/{what}", "history", _written_by),
            route("/search", "read", _search),
            route("/r/{names}/{what}", "read", _subreddits),
            route("/api/info", "read", _info),
        ]
    )
    return app if faults is None else faults.wrap(app)


# --- who asks, and how often ------------------------------------------------------------------------------


def _sign_in(server: _Server, request: Request, body: str) -> Response:
    form = dict(parse_qsl(body, keep_blank_values=True))
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    try:
        name, _, secret = base64.b64decode(rest).decode("utf-8", "replace").partition(":")
    except ValueError:
        name, secret = "", ""
    client = next((a for a in server.access if a.client_id == name), None)
    if scheme.lower() != "basic" or client is None or client.client_secret != secret:
        return JSONResponse({"message": "Unauthorized", "error": 401}, 401)
    if not _says_who(request):
        return JSONResponse({"message": "Too Many Requests", "error": 429}, 429)
    more: dict[str, str] = {}
    match form.get("grant_type"):
        case "password":
            right = form.get("username", "").lower() == client.username.lower()
            if not right or form.get("password") != client.password:
                return JSONResponse({"error": "invalid_grant"})  # with 200, as Reddit does
            scopes: tuple[str, ...] = ("*",)
        case "refresh_token":
            if form.get("refresh_token") != client.refresh_token:
                return JSONResponse({"message": "Bad Request", "error": 400}, 400)
            scopes = client.scopes
            more = {"refresh_token": client.refresh_token}
        case _:
            return JSONResponse({"error": "unsupported_grant_type"})
    fresh = secrets.token_urlsafe(32)
    server.grants[fresh] = _Grant(client, frozenset(scopes), server.now() + ACCESS_TOKEN_LIFE)
    seconds = int(ACCESS_TOKEN_LIFE.total_seconds())
    told = {"access_token": fresh, "token_type": "bearer", "expires_in": seconds, "scope": " ".join(scopes)}
    return JSONResponse(told | more)


def _answered(server: _Server, request: Request, scope: str, answer: _Answer) -> Response:
    headers: dict[str, str] = {}
    try:
        if not _says_who(request):
            raise _Problem(429)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = server.grants.get(token) if scheme.lower() == "bearer" else None
        if grant is None or server.now() >= grant.expires_at:
            raise _Problem(401, www_authenticate='Bearer realm="reddit", error="invalid_token"')
        _count(server, grant.access, headers)
        if not grant.scopes & {"*", scope}:
            raise _Problem(403, www_authenticate='Bearer realm="reddit", error="insufficient_scope"')
        me = server.world.by_handle(Platform.REDDIT, grant.access.username)
        if me is None:
            raise _Problem(403)
        return JSONResponse(answer(_Asked(server, request, me, server.now())), headers=headers)
    except _Problem as problem:
        return JSONResponse(problem.body, problem.status, headers=headers | problem.headers)


def _says_who(request: Request) -> bool:
    """Reddit throttles clients that do not call themselves anything, or by their library's name alone."""
    agent = request.headers.get("user-agent", "")
    return bool(agent) and not agent.lower().startswith(("python-requests", "python-httpx", "curl"))


def _count(server: _Server, access: RedditAccess, headers: dict[str, str]) -> None:
    seconds = int(server.now().timestamp())
    window = seconds // WINDOW_SECONDS
    last, used = server.windows.get(access.client_id, (window, 0))
    used = used if last == window else 0
    over = server.rate_limits and used >= REQUESTS_IN_WINDOW
    used = used if over else used + 1
    server.windows[access.client_id] = (window, used)
    left = REQUESTS_IN_WINDOW - used if server.rate_limits else REQUESTS_IN_WINDOW
    headers["x-ratelimit-remaining"] = f"{max(0, left)}.0"
    headers["x-ratelimit-used"] = str(used)
    headers["x-ratelimit-reset"] = str(WINDOW_SECONDS - seconds % WINDOW_SECONDS)
    if over:
        raise _Problem(429)


# --- the routes -------------------------------------------------------------------------------------------


def _me(asked: _Asked) -> _Thing:
    me = asked.me
    return {
        "id": me.id,
        "name": me.handle,
        "created_utc": me.created_at.timestamp(),
        "is_suspended": False,
        "has_mail": False,
        "inbox_count": 0,
    }


def _messages(asked: _Asked) -> _Thing:
    where = asked.request.path_params["where"]
    if where not in _INBOXES:
        raise _Problem(404)
    if where == "sent":
        return _listing(asked, lambda w: w.form is Form.DM and w.author.id == asked.me.id, _private)
    if where == "messages":
        return _threads(asked)

    def received(writing: Writing) -> bool:
        if writing.form is Form.DM:
            return where in ("inbox", "unread") and _received(asked, writing)
        kind = _inbox_type(asked, writing)
        return kind is not None and kind == _OF_TYPE.get(where, kind)

    return _listing(asked, received, lambda a, w: (_private if w.form is Form.DM else _in_inbox)(a, w))


def _threads(asked: _Asked) -> _Thing:
    """Private messages by exchange, the one with the latest message first, with the others nested in the
    first one of each."""
    me = asked.me.id
    mine = [
        w
        for w in asked.server.world.shown(Platform.REDDIT, asked.now, lambda w: w.form is Form.DM)
        if w.author.id == me or _received(asked, w)
    ]
    exchanges: dict[str, list[Writing]] = {}
    for writing in mine:
        exchanges.setdefault(writing.root, []).append(writing)
    ordered = sorted(exchanges.values(), key=lambda some: some[-1].created_at, reverse=True)
    replies = {some[0].id: some[1:] for some in ordered if any(_received(asked, w) for w in some)}

    def nested(asked: _Asked, first: Writing) -> _Thing:
        thing = _private(asked, first)
        if replies[first.id]:
            inner = [_private(asked, w) for w in replies[first.id]]
            thing["data"]["replies"] = _wrapped(inner, None, None)
        return thing

    return _paged(asked, [some[0] for some in ordered if some[0].id in replies], nested)


def _written_by(asked: _Asked) -> _Thing:
    what = asked.request.path_params["what"]
    person = asked.server.world.by_handle(Platform.REDDIT, asked.request.path_params["name"])
    forms = _FORMS.get(what)
    if person is None or forms is None:
        raise _Problem(404)
    return _listing(asked, lambda w: w.form in forms and w.author.id == person.id, _public)


def _search(asked: _Asked) -> _Thing:
    query = asked.request.query_params.get("q", "")
    if len(query) > QUERY_LENGTH_MAX:
        raise _Problem(400)
    matches = _compile(query)
    return _listing(
        asked,
        lambda w: w.form is Form.POST and matches(f"{w.title or ''}\n{w.text_at(asked.now)}"),
        _public,
    )


def _subreddits(asked: _Asked) -> _Thing:
    names = frozenset(asked.request.path_params["names"].lower().split("+"))
    what = asked.request.path_params["what"]
    if len(names) == 1 and (status := asked.server.closed.get(next(iter(names)))):
        told = {"reason": "private" if status == 403 else "banned", "message": _MESSAGES[status]}
        raise _Problem(status, {**told, "error": status})
    inside: Callable[[Writing], bool] = lambda w: "all" in names or _community(w).lower() in names  # noqa: E731
    match what:
        case "comments":
            return _listing(asked, lambda w: w.form is Form.COMMENT and inside(w), _public)
        case "new":
            return _listing(asked, lambda w: w.form is Form.POST and inside(w), _public)
        case "search":
            matches = _compile(asked.request.query_params.get("q", ""))
            here = asked.request.query_params.get("restrict_sr", "").lower() in ("1", "true", "on")

            def found(writing: Writing) -> bool:
                text = f"{writing.title or ''}\n{writing.text_at(asked.now)}"
                return writing.form is Form.POST and (inside(writing) or not here) and matches(text)

            return _listing(asked, found, _public)
        case _:
            raise _Problem(404)


def _info(asked: _Asked) -> _Thing:
    if "sr_name" in asked.request.query_params:
        return _subreddits_named(asked, asked.request.query_params["sr_name"].split(","))
    names = asked.request.query_params.get("id", "").split(",")
    if len(names) > PAGE_MAX or not all(_FULLNAME.fullmatch(n) for n in names):
        raise _Problem(400)
    found = []
    for name in names:
        writing = asked.server.world.find(Platform.REDDIT, name[3:])
        if writing is None or writing.form is Form.DM or _PREFIX[writing.form] != name[:3]:
            continue
        if (writing.visible_at or writing.created_at) <= asked.now:
            found.append(_public(asked, writing))
    return _wrapped(found, None, None)


def _subreddits_named(asked: _Asked, names: Sequence[str]) -> _Thing:
    """Every subreddit exists, but those that were banned."""
    closed = asked.server.closed
    shown = [n for n in names[:PAGE_MAX] if closed.get(n.lower()) != 404]
    things = [
        {
            "kind": "t5",
            "data": {
                "display_name": name,
                "subreddit_type": "private" if closed.get(name.lower()) == 403 else "public",
            },
        }
        for name in shown
    ]
    return _wrapped(things, None, None)


# --- listings and things ----------------------------------------------------------------------------------


def _listing(
    asked: _Asked, wanted: Callable[[Writing], bool], shape: Callable[[_Asked, Writing], _Thing]
) -> _Thing:
    newest = list(asked.server.world.shown(Platform.REDDIT, asked.now, wanted))[::-1]
    sort = asked.request.query_params.get("sort", "new")
    if sort != "new":
        newest.sort(key=lambda w: w.likes, reverse=True)
    return _paged(asked, newest, shape)


def _paged(asked: _Asked, ordered: Sequence[Writing], shape: Callable[[_Asked, Writing], _Thing]) -> _Thing:
    """The part after an anchor, or the one just before another. Around one that was deleted, or never was,
    there is nothing."""
    query = asked.request.query_params
    try:
        limit = min(max(int(query.get("limit", PAGE_DEFAULT)), 1), PAGE_MAX)
    except ValueError:
        limit = PAGE_DEFAULT
    ordered = ordered[:LISTED_MAX]
    names = [_PREFIX[w.form] + w.id for w in ordered]
    after, before = query.get("after"), query.get("before")
    if after and before:
        raise _Problem(400)
    first, last = 0, limit
    if after:
        first = names.index(after) + 1 if after in names else len(names)
        last = first + limit
    elif before:
        last = names.index(before) if before in names else 0
        first = max(0, last - limit)
    page = ordered[first:last]
    onward = names[first + len(page) - 1] if page and first + len(page) < len(names) else None
    back = names[first] if page and first > 0 else None
    return _wrapped([shape(asked, w) for w in page], onward, back)


def _wrapped(children: list[_Thing], after: str | None, before: str | None) -> _Thing:
    data = {"after": after, "before": before, "dist": len(children), "modhash": None, "geo_filter": ""}
    return {"kind": "Listing", "data": {**data, "children": children}}


def _community(writing: Writing) -> str:
    return writing.community or f"u_{writing.author.handle}"


def _received(asked: _Asked, writing: Writing) -> bool:
    return writing.recipient is not None and writing.recipient.id == asked.me.id


def _parent(asked: _Asked, writing: Writing) -> Writing | None:
    return asked.server.world.find(Platform.REDDIT, writing.parent or writing.root)


def _inbox_type(asked: _Asked, writing: Writing) -> str | None:
    """Why a comment is in the inbox, if it is. A submission never is, whomever it names."""
    if writing.form is not Form.COMMENT or writing.author.id == asked.me.id:
        return None
    parent = _parent(asked, writing)
    if parent is not None and parent.author.id == asked.me.id:
        return "post_reply" if parent.form is Form.POST else "comment_reply"
    named = {m.lower() for m in _USER.findall(writing.text_at(asked.now))}
    return "username_mention" if asked.me.handle.lower() in named else None


def _common(asked: _Asked, writing: Writing) -> _Thing:
    edited = writing.last_change(asked.now)
    return {
        "id": writing.id,
        "name": _PREFIX[writing.form] + writing.id,
        "author": writing.author.handle,
        "author_fullname": f"t2_{writing.author.id}",
        "created_utc": float(int(writing.created_at.timestamp())),
        "edited": False if edited == writing.created_at else float(int(edited.timestamp())),
        "score": writing.likes,
        "distinguished": "moderator" if writing.author.handle == "AutoModerator" else None,
    }


def _public(asked: _Asked, writing: Writing) -> _Thing:
    """A comment or a submission as most listings show it; a deleted one without its words and its author."""
    thing = _common(asked, writing)
    deleted = writing.deleted_at is not None and writing.deleted_at <= asked.now
    text = "[deleted]" if deleted else asked.text(writing.text_at(asked.now))
    if deleted:
        thing["author"] = "[deleted]"
        del thing["author_fullname"]
    thing |= {"subreddit": _community(writing), "subreddit_name_prefixed": f"r/{_community(writing)}"}
    if writing.form is Form.POST:
        permalink = f"/r/{_community(writing)}/comments/{writing.id}/{_slug(writing)}/"
        title = asked.text(writing.title or writing.text[:60])
        shape = {"title": title, "selftext": text, "is_self": True, "permalink": permalink}
        return {"kind": "t3", "data": thing | shape | {"removed_by_category": "deleted" if deleted else None}}
    link = asked.server.world.find(Platform.REDDIT, writing.root)
    parent = _parent(asked, writing)
    thing |= {
        "body": text,
        "link_id": f"t3_{writing.root}",
        "link_author": link.author.handle if link is not None else "[deleted]",
        "link_title": asked.text((link.title if link is not None else None) or ""),
        "parent_id": f"t3_{writing.root}" if parent is None else _PREFIX[parent.form] + parent.id,
        "permalink": _context(asked, writing),
    }
    return {"kind": "t1", "data": thing}


def _in_inbox(asked: _Asked, writing: Writing) -> _Thing:
    """A comment as the inbox shows it: without link_id and permalink, with a context instead."""
    data: _Thing = _public(asked, writing)["data"]
    for name in ("link_id", "link_author", "permalink", "edited"):
        data.pop(name)
    kind = _inbox_type(asked, writing) or "username_mention"
    data |= {
        "type": kind,
        "subject": "username mention" if kind == "username_mention" else kind.replace("_", " "),
        "was_comment": True,
        "context": f"{_context(asked, writing)}?context=3",
        "dest": asked.me.handle,
        "new": True,
        "replies": "",
        "first_message": None,
        "first_message_name": None,
        "num_comments": 1,
    }
    return {"kind": "t1", "data": data}


def _private(asked: _Asked, writing: Writing) -> _Thing:
    first = writing.root == writing.id
    opening = asked.server.world.find(Platform.REDDIT, writing.root) or writing
    thing = _common(asked, writing)
    del thing["edited"]  # private messages cannot be edited
    thing |= {
        "score": 0,
        "type": "unknown",
        "subject": asked.text(("" if first else "re: ") + (opening.title or "hello")),
        "body": asked.text(writing.text_at(asked.now)),
        "dest": writing.recipient.handle if writing.recipient is not None else "",
        "was_comment": False,
        "context": "",
        "new": True,
        "replies": "",
        "subreddit": None,
        "first_message": None if first else int(writing.root, 36),
        "first_message_name": None if first else f"t4_{writing.root}",
        "parent_id": None if writing.parent is None else f"t4_{writing.parent}",
    }
    return {"kind": "t4", "data": thing}


def _context(asked: _Asked, writing: Writing) -> str:
    link = asked.server.world.find(Platform.REDDIT, writing.root) or writing
    return f"/r/{_community(writing)}/comments/{writing.root}/{_slug(link)}/{writing.id}/"


def _slug(writing: Writing) -> str:
    words = re.findall(r"[a-z0-9]+", (writing.title or writing.text).lower())
    return "_".join(words)[:50] or "_"


def _compile(query: str) -> Callable[[str], bool]:
    """A search of phrases in quotation marks, and words, between which OR may stand; words side by side must
    all be there."""
    choices = []
    for choice in query.split(" OR "):
        said = [phrase or word for phrase, word in re.findall(r'"([^"]*)"|(\S+)', choice)]
        patterns = [re.compile(rf"(?<!\w){re.escape(s)}(?!\w)", re.IGNORECASE) for s in said if s.strip()]
        if patterns:
            choices.append(patterns)
    return lambda text: any(all(p.search(text) for p in patterns) for patterns in choices)
