"""X's API v2 as its documentation describes it, served over the simulated world.

What may live here: X's wire format, and what of X's behaviour a careful client must cope with (rotating
tokens, rate windows, page tokens that run out, edits with new ids). Sources: X's docs and its OpenAPI 2.167.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from oauthlib.common import Request as SignedRequest
from oauthlib.oauth1.rfc5849 import signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Form, Person, Platform, World, Writing
from simulator.x_shapes import (
    DIGITS,
    PROBLEMS,
    Asked,
    Generation,
    Problem,
    compile_query,
    invalid,
    not_found,
    plain,
)

if TYPE_CHECKING:
    from simulator.faults import Faults

WINDOW = timedelta(minutes=15)
SEARCH_REACH = timedelta(days=7)
DM_REACH = timedelta(days=30)
ACCESS_TOKEN_LIFE = timedelta(hours=2)
QUERY_LENGTH_MAX = 512
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
_PAGING = ("max_results", "pagination_token", "start_time", "end_time", "since_id", "until_id")


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
    except Problem as problem:
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
    raise Problem(401, plain("Unauthorized", 401))


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
    raise Problem(401, plain("Unauthorized", 401))


def _permit(name: str, caller: _Caller) -> None:
    if LIMITS[name][1] is None and caller.person is None:
        detail = (
            "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint. Supported "
            "authentication types are [OAuth 1.0a User Context, OAuth 2.0 User Context]."
        )
        raise Problem(
            403,
            {
                "title": "Unsupported Authentication",
                "detail": detail,
                "type": f"{PROBLEMS}/unsupported-authentication",
                "status": 403,
            },
        )
    if caller.person is None:
        return
    needed = ("dm.read",) if name == "dm_events" else () if caller.oauth1 else ("tweet.read", "users.read")
    if any(scope not in caller.access.scopes for scope in needed):
        if not caller.oauth1:
            raise Problem(403, plain("Forbidden", 403))
        detail = (
            "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
        )
        kind = f"{PROBLEMS}/oauth1-permissions"
        raise Problem(403, {"title": "Forbidden", "detail": detail, "type": kind, "status": 403})


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
        raise Problem(429, plain("Too Many Requests", 429))


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
    asked = _asked(server, request, ())
    if caller.person is None:
        raise Problem(401, plain("Unauthorized", 401))
    return {"data": asked.user(caller.person)}


def _by_username(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _asked(server, request, ())
    name = request.path_params["username"]
    person = server.world.by_handle(Platform.X, name)
    if person is None:
        return {"errors": [not_found("username", name, "user")]}
    return {"data": asked.user(person)}


def _mentions(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _asked(server, request, _PAGING)
    person = _user(server, request)
    if person is None:
        return {"errors": [not_found("id", request.path_params["id"], "user")]}
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
    asked = _asked(server, request, (*_PAGING, "exclude"))
    person = _user(server, request)
    if person is None:
        return {"errors": [not_found("id", request.path_params["id"], "user")]}
    replies = "replies" not in request.query_params.get("exclude", "").split(",")
    return asked.page(
        lambda w: w.form is Form.POST and w.author.id == person.id and (replies or w.parent is None),
        least=5,
        default=10,
    )


def _search(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _asked(server, request, (*_PAGING, "query", "next_token", "sort_order"))
    query = request.query_params.get("query", "")
    if not query:
        raise invalid("query", query, "The `query` query parameter can not be empty")
    if len(query) > QUERY_LENGTH_MAX:
        raise invalid(
            "query", query, f"The length of the `query` may not exceed {QUERY_LENGTH_MAX} characters"
        )
    if "since_id" in request.query_params and "start_time" in request.query_params:
        message = (
            "Invalid use of 'since_id' or 'until_id' in conjunction with 'start_time' or 'end_time'. You can "
            "not use these parameters together."
        )
        raise invalid("since_id", request.query_params["since_id"], message)
    matches = compile_query(query)
    return asked.page(
        lambda w: w.form is Form.POST and matches(w, server.now()), least=10, default=10, reach=SEARCH_REACH
    )


def _lookup(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _asked(server, request, ("ids",))
    ids = request.query_params.get("ids", "").split(",")
    if not 1 <= len(ids) <= 100 or not all(DIGITS.fullmatch(i) for i in ids):
        raise invalid("ids", ",".join(ids), "The `ids` query parameter is not a list of 1 to 100 ids")
    now = server.now()
    found: list[tuple[Writing, str]] = []
    errors: list[dict[str, Any]] = []
    for id in ids:
        writing = server.world.find(Platform.X, id)
        there = writing is not None and writing.form is Form.POST and writing.shown(now)
        if writing is not None and there and id in writing.ids_at(now):
            found.append((writing, id))
        else:
            errors.append(not_found("ids", id, "tweet"))
    return asked.answer(found, {}, errors)


def _dm_events(server: _Server, request: Request, caller: _Caller) -> dict[str, Any]:
    asked = _asked(server, request, ("max_results", "pagination_token", "event_types"), dms=True)
    person = caller.person
    if person is None:
        raise Problem(401, plain("Unauthorized", 401))
    return asked.page(
        lambda w: (
            w.form is Form.DM
            and (w.author.id == person.id or (w.recipient is not None and w.recipient.id == person.id))
        ),
        least=1,
        default=100,
        reach=DM_REACH,
    )


def _asked(server: _Server, request: Request, known: Sequence[str], *, dms: bool = False) -> Asked:
    return Asked(server.world, server.generation, request.query_params, known, dms=dms)


def _user(server: _Server, request: Request) -> Person | None:
    id = request.path_params["id"]
    if not DIGITS.fullmatch(id):
        raise invalid("id", id, f"The `id` query parameter value [{id}] is not valid")
    return server.world.person(Platform.X, id)
