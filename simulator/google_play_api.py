"""The Google Play Developer API's reviews, served over the simulated world.

What may live here: the form of reviews with the developer's answer in them, the service account's sign-in,
pages, the week that is listed. A review is a writing, its answer a writing of the brand that answers it.
Sources: Google's documentation of reviews.list and reviews.get, of OAuth 2.0 for service accounts, and of its
error responses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Platform, World, Writing

if TYPE_CHECKING:
    from simulator.faults import Faults

LISTED = timedelta(days=7)
LIFE_SECONDS = 3599
PAGE_MAX = 100


@dataclass(slots=True)
class _Server:
    world: World
    package: str
    email: str
    public_key: str
    page_max: int
    allowed: bool
    tokens: dict[str, datetime] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.world.clock.now()


class _Problem(Exception):
    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(name)
        self.status = status
        self.body = {"error": {"code": status, "message": message, "status": name}}


def make_google_play_app(
    world: World,
    *,
    package: str,
    email: str,
    public_key: str,
    faults: Faults | None = None,
    page_max: int = PAGE_MAX,
    allowed: bool = True,
) -> ASGIApp:
    """The API for one app, and where its service account signs in (at /token). `allowed`: it may read
    the app's reviews."""
    server = _Server(world, package, email, public_key, page_max, allowed)

    def answering(what: Callable[[_Server, Request], dict[str, Any]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                token = request.headers.get("authorization", "").removeprefix("Bearer ")
                if server.now() >= server.tokens.get(token, datetime.min.replace(tzinfo=server.now().tzinfo)):
                    raise _Problem(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
                if not server.allowed:
                    raise _Problem(403, "PERMISSION_DENIED", "The caller does not have permission")
                if request.path_params["package"] != server.package:
                    raise _Problem(404, "NOT_FOUND", f"Package not found: {request.path_params['package']}.")
                return JSONResponse(what(server, request))
            except _Problem as problem:
                return JSONResponse(problem.body, problem.status)

        return answer

    async def token(request: Request) -> Response:
        return _token(server, await request.body(), str(request.url))

    base = "/androidpublisher/v3/applications/{package}/reviews"
    app: ASGIApp = Starlette(
        routes=[
            Route("/token", token, methods=["POST"]),
            Route(base, answering(_list)),
            Route(base + "/{id}", answering(_single)),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _token(server: _Server, body: bytes, url: str) -> Response:
    form = {k: v[-1] for k, v in parse_qs(body.decode("ascii", "replace")).items()}
    try:
        said = jwt.decode(
            form["assertion"],
            server.public_key,
            algorithms=["RS256"],
            audience=url,
            options={"verify_exp": False, "verify_iat": False},
        )
        good = said["iss"] == server.email and said["scope"].endswith("/auth/androidpublisher")
        good = good and form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        good = good and said["iat"] <= server.now().timestamp() + 60 and said["exp"] - said["iat"] <= 3600
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        good = False
    if not good:
        told = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return JSONResponse(told, 400)
    token = "ya29." + hashlib.sha256(f"{form['assertion']}{len(server.tokens)}".encode()).hexdigest()
    server.tokens[token] = server.now() + timedelta(seconds=LIFE_SECONDS)
    return JSONResponse({"access_token": token, "expires_in": LIFE_SECONDS, "token_type": "Bearer"})


def _list(server: _Server, request: Request) -> dict[str, Any]:
    now, query = server.now(), request.query_params
    shown = server.world.shown(Platform.GOOGLE_PLAY, now, lambda w: w.parent is None)
    found = [w for w in shown if _changed(server, w) > now - LISTED]
    found.sort(key=lambda w: (_changed(server, w), w.id), reverse=True)
    start = int(query.get("token", "0"))
    page = found[start : start + min(int(query.get("maxResults", "10")), PAGE_MAX, server.page_max)]
    if not page:
        return {}
    more = {"nextPageToken": str(start + len(page))} if start + len(page) < len(found) else {}
    return {"reviews": [_shown(server, w) for w in page], "tokenPagination": more}


def _single(server: _Server, request: Request) -> dict[str, Any]:
    id = request.path_params["id"]
    shown = server.world.shown(
        Platform.GOOGLE_PLAY, server.now(), lambda w: w.parent is None and _name(w) == id
    )
    for writing in shown:
        return _shown(server, writing)
    raise _Problem(404, "NOT_FOUND", "Review not found.")


def _answer(server: _Server, writing: Writing) -> Writing | None:
    now = server.now()
    found = list(server.world.shown(Platform.GOOGLE_PLAY, now, lambda w: w.parent == writing.id))
    return found[-1] if found else None


def _changed(server: _Server, writing: Writing) -> datetime:
    answer, now = _answer(server, writing), server.now()
    at = writing.last_change(now)
    return at if answer is None else max(at, answer.last_change(now))


def _shown(server: _Server, writing: Writing) -> dict[str, Any]:
    now, answer = server.now(), _answer(server, writing)
    words = writing.text_at(now)
    user = {
        "text": f"{writing.title}\t{words}" if writing.title else f"\t{words}",
        "lastModified": _stamp(writing.last_change(now)),
        "starRating": int(writing.likes),
        "reviewerLanguage": writing.language,
        "device": "bluejay",
        "androidOsVersion": 34,
        "appVersionCode": 40,
        "appVersionName": "4.0",
        "thumbsUpCount": 0,
        "thumbsDownCount": 0,
    }
    comments: list[dict[str, Any]] = [{"userComment": user}]
    if answer is not None:
        said = {"text": answer.text_at(now), "lastModified": _stamp(answer.last_change(now))}
        comments.append({"developerComment": said})
    return {"reviewId": _name(writing), "authorName": writing.author.name, "comments": comments}


def _name(writing: Writing) -> str:
    return f"gp:AOqpTO{writing.id}"


def _stamp(at: datetime) -> dict[str, Any]:
    return {"seconds": str(int(at.timestamp())), "nanos": at.microsecond * 1000}
