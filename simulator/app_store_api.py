"""The App Store Connect API's customer reviews, served over the simulated world.

What may live here: the JSON:API form of reviews and answers, tokens signed with a team's key, pages, the
hourly limit. A review is a writing, its answer a writing of the brand that answers it. Sources: Apple's
documentation of the App Store Connect API (customer reviews, tokens, rate limits, error responses).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Platform, World, Writing

if TYPE_CHECKING:
    from simulator.faults import Faults

HOURLY_LIMIT = 3500
LIFE_SECONDS_MAX = 20 * 60
PAGE_MAX = 200


@dataclass(slots=True)
class _Server:
    world: World
    app_id: str
    key_id: str
    issuer_id: str
    public_key: str
    page_max: int
    hours: dict[int, int] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.world.clock.now()


class _Problem(Exception):
    def __init__(self, status: int, code: str, title: str, detail: str) -> None:
        super().__init__(code)
        self.status = status
        self.body = {
            "errors": [{"id": "e1", "status": str(status), "code": code, "title": title, "detail": detail}]
        }


def make_app_store_app(
    world: World,
    *,
    app_id: str,
    key_id: str,
    issuer_id: str,
    public_key: str,
    faults: Faults | None = None,
    page_max: int = PAGE_MAX,
) -> ASGIApp:
    """The API for one app; tokens are checked with the team's public key (PEM)."""
    server = _Server(world, app_id, key_id, issuer_id, public_key, page_max)

    async def reviews(request: Request) -> Response:
        return _answer(server, request, _list)

    async def review(request: Request) -> Response:
        return _answer(server, request, _single)

    async def app_info(request: Request) -> Response:
        return _answer(server, request, _app)

    app: ASGIApp = Starlette(
        routes=[
            Route("/v1/apps/{app}/customerReviews", reviews),
            Route("/v1/apps/{app}", app_info),
            Route("/v1/customerReviews/{id}", review),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _answer(server: _Server, request: Request, what: Any) -> Response:
    hour = int(server.now().timestamp()) // 3600
    server.hours[hour] = used = server.hours.get(hour, 0) + 1
    left = max(0, HOURLY_LIMIT - used)
    headers = {"X-Rate-Limit": f"user-hour-lim:{HOURLY_LIMIT};user-hour-rem:{left};"}
    try:
        if used > HOURLY_LIMIT:
            raise _Problem(429, "RATE_LIMIT_EXCEEDED", "The request rate limit has been reached.", "Wait.")
        _check(server, request.headers.get("authorization", ""))
        return JSONResponse(what(server, request), headers=headers)
    except _Problem as problem:
        return JSONResponse(problem.body, problem.status, headers=headers)


def _check(server: _Server, authorization: str) -> None:
    try:
        token = authorization.removeprefix("Bearer ")
        said = jwt.decode(
            token,
            server.public_key,
            algorithms=["ES256"],
            audience="appstoreconnect-v1",
            options={"verify_exp": False, "verify_iat": False},
        )
        now = server.now().timestamp()
        good = said["iss"] == server.issuer_id and jwt.get_unverified_header(token)["kid"] == server.key_id
        good = good and said["iat"] <= now + 60 and now < said["exp"] <= now + LIFE_SECONDS_MAX
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        good = False
    if not good:
        detail = "Provide a properly configured and signed bearer token."
        raise _Problem(401, "NOT_AUTHORIZED", "Authentication credentials are missing or invalid.", detail)


def _app(server: _Server, request: Request) -> dict[str, Any]:
    _own(server, request)
    attributes = {"name": "Acme Home: Kettles", "bundleId": "example.acme.home"}
    return {"data": {"type": "apps", "id": server.app_id, "attributes": attributes}}


def _own(server: _Server, request: Request) -> None:
    if request.path_params["app"] != server.app_id:
        raise _Problem(404, "NOT_FOUND", "The specified resource does not exist", "There is no such app.")


def _list(server: _Server, request: Request) -> dict[str, Any]:
    _own(server, request)
    now, query = server.now(), request.query_params
    found = list(server.world.shown(Platform.APP_STORE, now, lambda w: w.parent is None))
    found.sort(key=lambda w: (_at(w, now), w.id), reverse=True)
    start = int(query.get("cursor", "0"))
    size = min(int(query.get("limit", "20")), PAGE_MAX, server.page_max)
    page = found[start : start + size]
    links = {"self": str(request.url)}
    if start + size < len(found):
        links["next"] = str(request.url.include_query_params(cursor=start + size))
    meta = {"paging": {"total": len(found), "limit": size}}
    return {**_shown(server, page), "links": links, "meta": meta}


def _single(server: _Server, request: Request) -> dict[str, Any]:
    id, now = request.path_params["id"], server.now()
    found = list(server.world.shown(Platform.APP_STORE, now, lambda w: w.parent is None and w.id == id))
    if not found:
        raise _Problem(404, "NOT_FOUND", "The specified resource does not exist", "There is no such review.")
    body = _shown(server, found)
    return {**body, "data": body["data"][0], "links": {"self": str(request.url)}}


def _shown(server: _Server, page: list[Writing]) -> dict[str, Any]:
    """Reviews, and the answers that they have now."""
    now = server.now()
    data, included = [], []
    for writing in page:
        answers = list(
            server.world.shown(Platform.APP_STORE, now, lambda w, id=writing.id: w.parent == id)  # type: ignore[misc]
        )
        answer = answers[-1] if answers else None
        related = None
        if answer is not None:
            related = {"type": "customerReviewResponses", "id": f"r-{answer.id}"}
            attributes = {
                "responseBody": answer.text_at(now),
                "lastModifiedDate": _iso(_at(answer, now)),
                "state": "PUBLISHED",
            }
            included.append({**related, "attributes": attributes, "links": {}})
        data.append(
            {
                "type": "customerReviews",
                "id": writing.id,
                "attributes": {
                    "rating": int(writing.likes),
                    "title": writing.title or "",
                    "body": writing.text_at(now),
                    "reviewerNickname": writing.author.name,
                    "createdDate": _iso(_at(writing, now)),
                    "territory": "USA",
                },
                "relationships": {"response": {"data": related, "links": {}}},
                "links": {},
            }
        )
    return {"data": data, "included": included}


def _at(writing: Writing, now: datetime) -> datetime:
    """A review that is changed is dated anew."""
    return writing.last_change(now)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
