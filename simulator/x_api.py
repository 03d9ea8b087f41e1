"""X's API v2 as its documentation describes it, served over the simulated world.

What may live here: X's wire format, and what of X's behaviour a careful client must cope with (rotating
tokens, rate windows, page tokens that run out, edits with new ids). Sources: X's docs and its OpenAPI 2.167.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, unquote

from oauthlib.common import Request as SignedRequest  # type: ignore[import-untyped]
from oauthlib.oauth1.rfc5849 import signature  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Form, Person, Platform, World, Writing

if TYPE_CHECKING:
    from simulator.faults import Faults

Generation = Literal["tweet", "post", "both"]
"""Which names of fields the server knows. X itself knows both since August 2026, and answers in those that
it was asked with."""

WINDOW = timedelta(minutes=15)
SEARCH_REACH = timedelta(days=7)
DM_REACH = timedelta(days=30)
ACCESS_TOKEN_LIFE = timedelta(hours=2)
PAGE_TOKEN_LIFE = timedelta(hours=1)
QUERY_LENGTH_MAX = 512
SHORT_LENGTH_MAX = 280
ALL_SCOPES = ("tweet.read", "users.read", "dm.read", "offline.access")
# Requests in 15 minutes: as a user, as the app (None: not allowed).
LIMITS: Mapping[str, tuple[int, int | None]] = {
    "me": (75, None),
    "by_username": (900, 300),
    "mentions": (300, 450),
    "tweets": (900, 10_000),
    "search": (300, 450),
    "lookup": (5_000, 3_500),
    "dm_events": (15, None),
}
_EPOCH_MS = 1_288_834_974_657
_EDIT_REACH = timedelta(hours=1)
_PROBLEMS = "https://api.x.com/2/problems"
_WORD = re.compile(r"\w+")
_QUERY = re.compile(r'-?"[^"]*"|[()]|[^\s()"]+')
_DIGITS = re.compile(r"[0-9]{1,19}")
_PAGING = ("max_results", "pagination_token", "start_time", "end_time", "since_id", "until_id")
_FIELD_NAMES = ("expansions", "user.fields", "media.fields", "poll.fields", "place.fields")


@dataclass(frozen=True, slots=True)
class XAccess:
    """What one account's app was given by X: the OAuth 1.0a keys, the app's bearer token, and an OAuth 2.0
    client with its first refresh token. `scopes` are those that its user granted."""

    handle: str
    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str
    bearer_token: str
    client_id: str
    client_secret: str | None
    refresh_token: str
    scopes: tuple[str, ...] = ALL_SCOPES

    @classmethod
    def of(cls, handle: str, seed: int = 0) -> XAccess:
        """Credentials for that account, the same for the same seed."""

        def make(what: str) -> str:
            return hashlib.sha256(f"{seed}/{handle}/{what}".encode()).hexdigest()[:40]

        return cls(
            handle=handle,
            consumer_key=make("consumer key"),
            consumer_secret=make("consumer secret"),
            access_token=make("access token"),
            access_token_secret=make("access token secret"),
            bearer_token=make("bearer"),
            client_id=make("client id"),
            client_secret=make("client secret"),
            refresh_token=make("refresh"),
        )


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who asks: `person` is None for an app without a user."""

    access: XAccess
    person: Person | None
    credential: str
    oauth1: bool = False


@dataclass(frozen=True, slots=True)
class _Grant:
    access: XAccess
    expires_at: datetime


class _Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


@dataclass(slots=True)
class _Server:
    """The state behind the routes: tokens given out and rate windows. All in pretended time."""

    world: World
    access: Sequence[XAccess]
    rate_limits: bool
    generation: Generation
    grants: dict[str, _Grant] = field(default_factory=dict)
    refreshes: dict[str, XAccess] = field(default_factory=dict)
    windows: dict[tuple[str, str], tuple[datetime, int]] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.world.clock.now()


Answer = Callable[[_Server, Request, _Caller], dict[str, Any]]


def make_x_app(
    world: World,
    access: Sequence[XAccess],
    *,
    faults: Faults | None = None,
    rate_limits: bool = True,
    fields: Generation = "both",
) -> ASGIApp:
    """The server, for `simulator.serve` or any ASGI server. `faults` go wrong before it is asked."""
    server = _Server(world, tuple(access), rate_limits, fields)
    server.refreshes = {a.refresh_token: a for a in server.access}

    def route(path: str, name: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            return _answered(server, request, name, answer)

        return Route(path, endpoint, methods=["GET"])

    async def token(request: Request) -> Response:
        return _renew(server, request, (await request.body()).decode("utf-8", "replace"))

    app: ASGIApp = Starlette(
        routes=[
            Route("/2/oauth2/token", token, methods=["POST"]),
            route("/2/users/me", "me", _me),
            route("/2/users/by/username/{username}", "by_username", _by_username),
            route("/2/users/{id}/mentions", "mentions", _mentions),
            route("/2/users/{id}/tweets", "tweets", _timeline),
            route("/2/tweets/search/recent", "search", _search),
            route("/2/tweets", "lookup", _lookup),
            route("/2/dm_events", "dm_events", _dm_events),
        ]
    )
    return app if faults is None else faults.wrap(app)


# --- who asks, and how often ------------------------------------------------------------------------------


def _answered(server: _Server, request: Request, name: str, answer: Answer) -> Response:
    headers: dict[str, str] = {}
    try:
        caller = _authenticate(server, request)
        _permit(name, caller)
        if caller.oauth1:
            direct = "-directmessages" if "dm.read" in caller.access.scopes else ""
            headers["x-access-level"] = f"read-write{direct}"
        _count(server, name, caller, headers)
        return JSONResponse(answer(server, request, caller), headers=headers)
    except _Problem as problem:
        return JSONResponse(
            dict(problem.body), problem.status, headers=headers, media_type="application/problem+json"
        )


def _authenticate(server: _Server, request: Request) -> _Caller:
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme == "OAuth":
        return _signed(server, request, rest)
    if scheme == "Bearer":
        for access in server.access:
            if secrets.compare_digest(access.bearer_token.encode(), rest.encode()):
                return _Caller(access, None, rest)
        grant = server.grants.get(rest)
        if grant is not None and server.now() < grant.expires_at:
            person = server.world.by_handle(Platform.X, grant.access.handle)
            # The limits are a user's, whichever of his tokens is used.
            return _Caller(grant.access, person, f"user {grant.access.handle}")
    raise _Problem(401, _plain("Unauthorized", 401))


def _signed(server: _Server, request: Request, header: str) -> _Caller:
    """Check an OAuth 1.0a signature (RFC 5849) as X does; but not its time, which is real and not ours."""
    given = dict(re.findall(r'(\w+)="([^"]*)"', header))
    for access in server.access:
        if unquote(given.get("oauth_consumer_key", "")) != access.consumer_key:
            continue
        if unquote(given.get("oauth_token", "")) != access.access_token:
            continue
        signed = SignedRequest(str(request.url), "GET", "", {"Authorization": f"OAuth {header}"})
        signed.params = signature.collect_parameters(
            uri_query=request.url.query, headers={"Authorization": f"OAuth {header}"}
        )
        signed.signature = unquote(given.get("oauth_signature", ""))
        if signature.verify_hmac_sha1(signed, access.consumer_secret, access.access_token_secret):
            person = server.world.by_handle(Platform.X, access.handle)
            return _Caller(access, person, f"user {access.handle}", oauth1=True)
    raise _Problem(401, _plain("Unauthorized", 401))


def _permit(name: str, caller: _Caller) -> None:
    if LIMITS[name][1] is None and caller.person is None:
        detail = (
            "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint. Supported "
            "authentication types are [OAuth 1.0a User Context, OAuth 2.0 User Context]."
        )
        raise _Problem(
            403,
            {
                "title": "Unsupported Authentication",
                "detail": detail,
                "type": f"{_PROBLEMS}/unsupported-authentication",
                "status": 403,
            },
        )
    if caller.person is None:
        return
    needed = ("dm.read",) if name == "dm_events" else () if caller.oauth1 else ("tweet.read", "users.read")
    if any(scope not in caller.access.scopes for scope in needed):
        if not caller.oauth1:
            raise _Problem(403, _plain("Forbidden", 403))
        detail = (
            "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
        )
        kind = f"{_PROBLEMS}/oauth1-permissions"
        raise _Problem(403, {"title": "Forbidden", "detail": detail, "type": kind, "status": 403})


def _count(server: _Server, name: str, caller: _Caller, headers: dict[str, str]) -> None:
    as_user, as_app = LIMITS[name]
    limit = as_user if caller.person is not None or as_app is None else as_app
    now = server.now()
    key = (name, caller.credential)
    ends, used = server.windows.get(key, (now, 0))
    if now >= ends:
        ends, used = now + WINDOW, 0
    over = server.rate_limits and used >= limit
    used = used if over else used + 1
    server.windows[key] = (ends, used)
    headers["x-rate-limit-limit"] = str(limit)
    headers["x-rate-limit-remaining"] = str(max(0, limit - used) if server.rate_limits else limit)
    headers["x-rate-limit-reset"] = str(int(ends.timestamp()) + 1)
    if over:
        raise _Problem(429, _plain("Too Many Requests", 429))


def _renew(server: _Server, request: Request, body: str) -> Response:
    """OAuth 2.0: a refresh token is taken once, and gives a new pair."""
    form = dict(parse_qsl(body))
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        name, _, secret = base64.b64decode(rest).decode("utf-8", "replace").partition(":")
    else:
        name, secret = form.get("client_id", ""), ""
    access = server.refreshes.get(form.get("refresh_token", ""))
    client = next((a for a in server.access if a.client_id == name), None)
    if client is None or (client.client_secret or "") != secret:
        told = {"error": "unauthorized_client", "error_description": "Missing valid authorization header"}
        return JSONResponse(told, 401)
    if form.get("grant_type") != "refresh_token" or access is not client:
        told = {"error": "invalid_request", "error_description": "Value passed for the token was invalid."}
        return JSONResponse(told, 400)
    del server.refreshes[form["refresh_token"]]
    fresh, successor = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    server.grants[fresh] = _Grant(access, server.now() + ACCESS_TOKEN_LIFE)
    server.refreshes[successor] = access
    return JSONResponse(
        {
            "token_type": "bearer",
            "expires_in": int(ACCESS_TOKEN_LIFE.total_seconds()),
            "access_token": fresh,
            "scope": " ".join(access.scopes),
            "refresh_token": successor,
        }
    )


# --- the routes -------------------------------------------------------------------------------------------


def _me(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, ())
    if caller.person is None:
        raise _Problem(401, _plain("Unauthorized", 401))
    return {"data": asked.user(caller.person)}


def _by_username(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, ())
    name = request.path_params["username"]
    person = server.world.by_handle(Platform.X, name)
    if person is None:
        return {"errors": [_not_found("username", name, "user")]}
    return {"data": asked.user(person)}


def _mentions(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, _PAGING)
    person = _user(server, request)
    if person is None:
        return {"errors": [_not_found("id", request.path_params["id"], "user")]}
    handle = person.handle.lower()

    def mentions(writing: Writing) -> bool:
        if writing.form is not Form.POST or writing.author.id == person.id:
            return False
        parent = server.world.find(Platform.X, writing.parent) if writing.parent else None
        return handle in (m.lower() for m in writing.mentions) or (
            parent is not None and parent.author.id == person.id
        )

    return asked.page(mentions, least=5, default=10)


def _timeline(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, (*_PAGING, "exclude"))
    person = _user(server, request)
    if person is None:
        return {"errors": [_not_found("id", request.path_params["id"], "user")]}
    replies = "replies" not in request.query_params.get("exclude", "").split(",")
    return asked.page(
        lambda w: w.form is Form.POST and w.author.id == person.id and (replies or w.parent is None),
        least=5,
        default=10,
    )


def _search(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, (*_PAGING, "query", "next_token", "sort_order"))
    query = request.query_params.get("query", "")
    if not query:
        raise _invalid("query", query, "The `query` query parameter can not be empty")
    if len(query) > QUERY_LENGTH_MAX:
        raise _invalid(
            "query", query, f"The length of the `query` may not exceed {QUERY_LENGTH_MAX} characters"
        )
    if "since_id" in request.query_params and "start_time" in request.query_params:
        message = (
            "Invalid use of 'since_id' or 'until_id' in conjunction with 'start_time' or 'end_time'. You can "
            "not use these parameters together."
        )
        raise _invalid("since_id", request.query_params["since_id"], message)
    matches = compile_query(query)
    return asked.page(
        lambda w: w.form is Form.POST and matches(w, server.now()), least=10, default=10, reach=SEARCH_REACH
    )


def _lookup(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, ("ids",))
    ids = request.query_params.get("ids", "").split(",")
    if not 1 <= len(ids) <= 100 or not all(_DIGITS.fullmatch(i) for i in ids):
        raise _invalid("ids", ",".join(ids), "The `ids` query parameter is not a list of 1 to 100 ids")
    now = server.now()
    found: list[tuple[Writing, str]] = []
    errors: list[dict[str, Any]] = []
    for id in ids:
        writing = server.world.find(Platform.X, id)
        if writing is None or writing.form is not Form.POST or not writing.shown(now):
            errors.append(_not_found("ids", id, "tweet"))
        elif id not in writing.ids_at(now):
            errors.append(_not_found("ids", id, "tweet"))
        else:
            found.append((writing, id))
    return asked.answer(found, {}, errors)


def _dm_events(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _Asked(server, request, ("max_results", "pagination_token", "event_types"), dms=True)
    person = caller.person
    if person is None:
        raise _Problem(401, _plain("Unauthorized", 401))
    return asked.page(
        lambda w: (
            w.form is Form.DM
            and (w.author.id == person.id or (w.recipient is not None and w.recipient.id == person.id))
        ),
        least=1,
        default=100,
        reach=DM_REACH,
    )


def _user(server: _Server, request: Request) -> Person | None:
    id = request.path_params["id"]
    if not _DIGITS.fullmatch(id):
        raise _invalid("id", id, f"The `id` query parameter value [{id}] is not valid")
    return server.world.person(Platform.X, id)


# --- pages and objects ------------------------------------------------------------------------------------


class _Asked:
    """One request for writings: which fields of them are wanted, and which page."""

    def __init__(self, server: _Server, request: Request, known: Sequence[str], *, dms: bool = False) -> None:
        self.server = server
        self.world = server.world
        self.now = server.now()
        self.query = request.query_params
        self.dms = dms
        names = ("tweet", "post") if server.generation == "both" else (server.generation,)
        allowed = {*known, *_FIELD_NAMES, *(f"{n}.fields" for n in names)}
        if dms:
            allowed.add("dm_event.fields")
        for name in self.query:
            if name not in allowed:
                listed = ",".join(sorted(allowed))
                raise _invalid(
                    name, self.query[name], f"The query parameter [{name}] is not one of [{listed}]"
                )
        self.new = "post.fields" in self.query or server.generation == "post"
        self.fields = self._set("dm_event.fields" if dms else "post.fields" if self.new else "tweet.fields")
        self.expansions = self._set("expansions")
        self.user_fields = self._set("user.fields") | {"id", "name", "username"}

    def _set(self, name: str) -> set[str]:
        return {f for f in self.query.get(name, "").split(",") if f}

    def page(
        self,
        wanted: Callable[[Writing], bool],
        *,
        least: int,
        default: int,
        reach: timedelta | None = None,
    ) -> dict[str, Any]:
        """The newest first, from where the page token says."""
        size = self._whole("max_results", default, least, 100)
        above = self._above(reach)
        below = self._token()
        since = time_of(above) - _EDIT_REACH if above else None
        writings = self.world.shown(Platform.X, self.now, wanted, since=since)
        found = sorted(((int(w.ids_at(self.now)[-1]), w) for w in writings), key=lambda p: -p[0])
        left = [(n, w) for n, w in found if n > above and (below is None or n < below)]
        shown = left[:size]
        meta: dict[str, Any] = {"result_count": len(shown)}
        if shown and not self.dms:
            meta["newest_id"], meta["oldest_id"] = str(shown[0][0]), str(shown[-1][0])
        if len(left) > size:
            meta["next_token"] = self._next(shown[-1][0])
        return self.answer([(w, str(n)) for n, w in shown], meta, [])

    def answer(
        self, shown: Sequence[tuple[Writing, str]], meta: Mapping[str, Any], errors: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """The JSON for those writings, each in that version."""
        body: dict[str, Any] = {}
        if shown:
            body["data"] = [self._dm(w) if self.dms else self._post(w, id) for w, id in shown]
        includes = self._includes([w for w, _ in shown], errors)
        if includes:
            body["includes"] = includes
        if errors:
            body["errors"] = errors
        if meta:
            body["meta"] = dict(meta)
        return body

    def user(self, person: Person) -> dict[str, Any]:
        whole = {
            "id": person.id,
            "name": person.name,
            "username": person.handle,
            "created_at": _say(person.created_at),
            "public_metrics": {
                "followers_count": person.followers,
                "following_count": 0,
                "tweet_count": 0,
                "listed_count": 0,
            },
        }
        return {k: v for k, v in whole.items() if k in self.user_fields}

    def _post(self, writing: Writing, id: str) -> dict[str, Any]:
        ids = writing.ids_at(self.now)
        change = next((e for e in writing.edits if e.id == id and id != writing.id), None)
        text = _escaped(change.text if change else writing.text)
        short = text if len(text) <= SHORT_LENGTH_MAX else text[: SHORT_LENGTH_MAX - 1] + "…"
        parent = self.world.find(Platform.X, writing.parent) if writing.parent else None
        references = None
        if writing.parent:
            replied = parent.ids_at(writing.created_at)[-1] if parent else writing.parent
            references = [{"type": "replied_to", "id": replied}]
        reply_to = parent.author.id if parent else None
        whole: dict[str, Any] = {
            "created_at": _say(change.at if change else writing.created_at),
            "conversation_id": writing.root,
            "lang": writing.language,
            "source": writing.client,
            "entities": _entities(self.world, text, writing.mentions) or None,
            "public_metrics": {
                "repost_count" if self.new else "retweet_count": writing.reposts,
                "reply_count": 0,
                "like_count": writing.likes,
                "quote_count": 0,
                "bookmark_count": 0,
                "impression_count": writing.views,
            },
            "note_post" if self.new else "note_tweet": {"text": text} if short != text else None,
        }
        wanted = set(self.fields)
        if not self.new:  # the newer names make expansions of these
            whole |= {
                "author_id": writing.author.id,
                "in_reply_to_user_id": reply_to,
                "referenced_tweets": references,
            }
        whole |= {n: v for n, v in (("author_id", writing.author.id), ("in_reply_to_user_id", reply_to))}
        wanted = {w for w in wanted if not (self.new and w in ("author_id", "in_reply_to_user_id"))}
        wanted |= self.expansions & {"author_id", "in_reply_to_user_id"}
        old, new = {"referenced_tweets", "referenced_tweets.id"}, {"referenced_posts", "referenced_posts.id"}
        if self.expansions & (new if self.new else old):
            name = "referenced_posts" if self.new else "referenced_tweets"
            whole[name] = references
            wanted.add(name)
        history = "edit_history_post_ids" if self.new else "edit_history_tweet_ids"
        shown = {k: v for k, v in whole.items() if k in wanted and v is not None}
        return {"id": id, "text": short, history: list(ids), **shown}

    def _dm(self, writing: Writing) -> dict[str, Any]:
        other = writing.recipient or writing.author
        pair = sorted((writing.author.id, other.id), key=int)
        whole: dict[str, Any] = {
            "created_at": _say(writing.created_at),
            "dm_conversation_id": "-".join(pair),
            "sender_id": writing.author.id,
        }
        wanted = self.fields | (self.expansions & {"sender_id"})
        shown = {k: v for k, v in whole.items() if k in wanted}
        return {"id": writing.id, "event_type": "MessageCreate", "text": _escaped(writing.text), **shown}

    def _includes(self, writings: Sequence[Writing], errors: list[dict[str, Any]]) -> dict[str, Any]:
        people: dict[str, Person] = {}
        others: dict[str, Writing] = {}
        for writing in writings:
            parent = self.world.find(Platform.X, writing.parent) if writing.parent else None
            if self.expansions & {"author_id", "sender_id"}:
                people[writing.author.id] = writing.author
            if "in_reply_to_user_id" in self.expansions and parent is not None:
                people[parent.author.id] = parent.author
            if self.expansions & {"referenced_tweets.id", "referenced_posts", "referenced_posts.id"}:
                if parent is not None and parent.shown(self.now):
                    others[parent.id] = parent
                elif writing.parent:
                    names = "referenced_posts.id" if self.new else "referenced_tweets.id"
                    errors.append(_not_found(names, writing.parent, "tweet"))
        includes: dict[str, Any] = {}
        if people:
            includes["users"] = [self.user(p) for p in people.values()]
        if others:
            name = "posts" if self.new else "tweets"
            includes[name] = [self._post(w, w.ids_at(self.now)[-1]) for w in others.values()]
        return includes

    def _above(self, reach: timedelta | None) -> int:
        """The id that all results are above: from since_id, start_time, and how far back X shows."""
        edge = self.now - reach if reach is not None else None
        above = snowflake(edge) if edge is not None else 0
        since = self.query.get("since_id")
        if since is not None:
            if not _DIGITS.fullmatch(since):
                raise _invalid(
                    "since_id", since, f"The `since_id` query parameter value [{since}] is not valid"
                )
            if int(since) < above and edge is not None:
                message = (
                    f"'since_id' must be a tweet id created after {edge:%Y-%m-%dT%H:%MZ}. Please use a 'since_id' "
                    f"that is larger than {above}"
                )
                raise _invalid("since_id", since, message)
            above = max(above, int(since))
        start = self.query.get("start_time")
        if start is not None:
            try:
                at = datetime.strptime(start, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            except ValueError:
                raise _invalid("start_time", start, f"Invalid 'start_time':'{start}'") from None
            if edge is not None and at < edge.replace(second=0, microsecond=0):
                message = (
                    f"Invalid 'start_time':'{start}'. 'start_time' must be on or after {edge:%Y-%m-%dT%H:%MZ}"
                )
                raise _invalid("start_time", start, message)
            above = max(above, snowflake(at) - 1)
        return above

    def _whole(self, name: str, default: int, least: int, most: int) -> int:
        given = self.query.get(name, str(default))
        if not given.isdigit() or not least <= int(given) <= most:
            message = f"The `{name}` query parameter value [{given}] is not between {least} and {most}"
            raise _invalid(name, given, message)
        return int(given)

    def _next(self, last: int) -> str:
        return (
            base64.urlsafe_b64encode(json.dumps([last, self.now.timestamp()]).encode()).decode().rstrip("=")
        )

    def _token(self) -> int | None:
        name = "next_token" if "next_token" in self.query else "pagination_token"
        given = self.query.get(name)
        if given is None:
            return None
        try:
            last, at = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
            if self.now.timestamp() - at > PAGE_TOKEN_LIFE.total_seconds():
                raise ValueError("too old")
            return int(last)
        except (ValueError, TypeError):
            message = f"The `{name}` query parameter value [{given}] is not valid"
            raise _invalid(name, given, message) from None


# --- X's ways of saying things ----------------------------------------------------------------------------


def compile_query(query: str) -> Callable[[Writing, datetime], bool]:
    """What a search query matches: words, "exact phrases", OR, parentheses, -, from: and is:retweet."""
    tokens: list[str] = _QUERY.findall(query)

    def either() -> Callable[[Writing, datetime], bool]:
        parts = [every()]
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            parts.append(every())
        return lambda w, at: any(p(w, at) for p in parts)

    def every() -> Callable[[Writing, datetime], bool]:
        parts: list[Callable[[Writing, datetime], bool]] = []
        while tokens and tokens[0] not in (")", "OR"):
            parts.append(single())
        return lambda w, at: all(p(w, at) for p in parts)

    def single() -> Callable[[Writing, datetime], bool]:
        token = tokens.pop(0)
        if token.startswith("-"):
            tokens.insert(0, token[1:])
            inner = single()
            return lambda w, at: not inner(w, at)
        if token == "(":
            inner = either()
            if tokens:
                tokens.pop(0)
            return inner
        if token.startswith("from:"):
            return lambda w, _: w.author.handle.lower() == token[5:].lower()
        if token == "is:retweet":
            return lambda w, _: False
        words = _words(token)
        return lambda w, at: _holds(_words(w.text_at(at)), words)

    return either()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _holds(text: Sequence[str], phrase: Sequence[str]) -> bool:
    size = len(phrase)
    return any(list(text[i : i + size]) == list(phrase) for i in range(len(text) - size + 1))


def snowflake(at: datetime) -> int:
    """The lowest id that X gives at that time."""
    return max(0, (int(at.timestamp() * 1000) - _EPOCH_MS) << 22)


def time_of(id: int) -> datetime:
    """When X gave that id."""
    return datetime.fromtimestamp(((id >> 22) + _EPOCH_MS) / 1000, UTC)


def _say(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _entities(world: World, text: str, mentions: Iterable[str]) -> dict[str, Any]:
    found = []
    for handle in mentions:
        start = text.lower().find(f"@{handle.lower()}")
        person = world.by_handle(Platform.X, handle)
        if start >= 0:
            known = {"id": person.id} if person else {}
            found.append({"start": start, "end": start + len(handle) + 1, "username": handle, **known})
    return {"mentions": found} if found else {}


def _plain(title: str, status: int) -> dict[str, Any]:
    return {"title": title, "detail": title, "type": "about:blank", "status": status}


def _invalid(name: str, value: str, message: str) -> _Problem:
    return _Problem(
        400,
        {
            "errors": [{"parameters": {name: [value]}, "message": message}],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": f"{_PROBLEMS}/invalid-request",
        },
    )


def _not_found(parameter: str, value: str, kind: str) -> dict[str, Any]:
    return {
        "value": value,
        "detail": f"Could not find {kind} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": value,
        "type": f"{_PROBLEMS}/resource-not-found",
    }
