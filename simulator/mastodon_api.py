"""A Mastodon server as its API documentation describes it, served over the simulated world.

What may live here: Mastodon's wire format, and what of its behaviour a careful client must cope with: pages
that are named in the Link header only, ids of notifications that are no ids of posts, posts of other servers
that arrive late, posts that only some can see, a token without a scope, a server that is older. Sources: the
API documentation's methods (notifications, accounts, statuses, timelines), entities, rate limits and OAuth
scopes, and Mastodon's StatusesController.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Form, Person, Platform, World, Writing

if TYPE_CHECKING:
    from simulator.faults import Faults

WINDOW_SECONDS = 300
REQUESTS_IN_WINDOW = 300
NOTIFICATIONS_MAX, POSTS_MAX, IDS_MAX = 80, 40, 20
SCOPES = ("read:accounts", "read:notifications", "read:statuses")
_MENTION = re.compile(r"(?<![\w@.-])@([A-Za-z0-9_]+(?:@[A-Za-z0-9.-]+)?)")
_TAG = re.compile(r"#(\w+)")
_LINK = re.compile(r"https?://[^\s<]+")
_Thing = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MastodonAccess:
    """An account's access token, and what it may read."""

    handle: str
    token: str
    scopes: tuple[str, ...] = SCOPES

    @classmethod
    def of(cls, handle: str, scopes: Sequence[str] = SCOPES) -> MastodonAccess:
        """A token for that account, always the same."""
        return cls(handle, hashlib.sha256(f"{handle}/mastodon".encode()).hexdigest(), tuple(scopes))


@dataclass(slots=True)
class _Server:
    """The state behind the routes. All in pretended time."""

    world: World
    access: Sequence[MastodonAccess]
    host: str
    rate_limits: bool
    page_max: int
    shows_many: bool
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.world.clock.now()

    def posts(self, me: Person, wanted: Callable[[Writing], bool]) -> list[Writing]:
        """What shows to that account now, the newest id first."""

        def seen(writing: Writing) -> bool:
            return writing.form is not Form.DM or me.id in {writing.author.id, *_mentioned(self, writing)}

        found = self.world.shown(Platform.MASTODON, self.now(), lambda w: seen(w) and wanted(w))
        return sorted(found, key=lambda w: int(w.id), reverse=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request of somebody who may make it."""

    server: _Server
    request: Request
    me: Person

    def one(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def limit(self, most: int) -> int:
        text = self.one("limit", "20")
        return min(int(text) if text.isdigit() else 20, most, self.server.page_max)


class _Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


def make_mastodon_app(
    world: World,
    access: Sequence[MastodonAccess],
    *,
    host: str = "mastodon.example",
    faults: Faults | None = None,
    rate_limits: bool = True,
    page_max: int = 80,
    shows_many: bool = True,
) -> ASGIApp:
    """The server of those accounts. `faults` go wrong before it is asked. Pages are never longer than
    `page_max`; `shows_many`: it can show several posts by their ids, as since Mastodon 4.3."""
    server = _Server(world, tuple(access), host, rate_limits, page_max, shows_many)

    def route(path: str, scope: str, answer: Callable[[_Asked], Response]) -> Route:
        async def endpoint(request: Request) -> Response:
            headers: dict[str, str] = {}
            try:
                token = request.headers.get("authorization", "").removeprefix("Bearer ")
                _count(server, token, headers)
                given = next((a for a in server.access if a.token == token), None)
                me = None if given is None else server.world.by_handle(Platform.MASTODON, given.handle)
                if given is None or me is None:
                    raise _Problem(401, "The access token is invalid")
                if scope not in given.scopes:
                    raise _Problem(403, "This action is outside the authorized scopes")
                reply = answer(_Asked(server, request, me))
            except _Problem as problem:
                reply = JSONResponse({"error": problem.error}, problem.status)
            reply.headers.update(headers)
            return reply

        return Route(path, endpoint, methods=["GET"])

    app: ASGIApp = Starlette(
        routes=[
            route("/api/v1/accounts/verify_credentials", "read:accounts", _verify),
            route("/api/v1/accounts/{id}/statuses", "read:statuses", _account_statuses),
            route("/api/v1/notifications", "read:notifications", _notifications),
            route("/api/v1/timelines/tag/{tag}", "read:statuses", _tagged),
            route("/api/v1/statuses", "read:statuses", _several),
            route("/api/v1/statuses/{id}", "read:statuses", _single),
            route("/api/v1/statuses/{id}/context", "read:statuses", _context),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _count(server: _Server, token: str, headers: dict[str, str]) -> None:
    window = int(server.now().timestamp()) // WINDOW_SECONDS
    last, used = server.windows.get(token, (window, 0))
    used = (used if last == window else 0) + 1
    server.windows[token] = (window, used)
    headers["X-RateLimit-Limit"] = str(REQUESTS_IN_WINDOW)
    headers["X-RateLimit-Remaining"] = str(max(0, REQUESTS_IN_WINDOW - used))
    headers["X-RateLimit-Reset"] = _iso(datetime.fromtimestamp((window + 1) * WINDOW_SECONDS, UTC))
    if server.rate_limits and used > REQUESTS_IN_WINDOW:
        raise _Problem(429, "Too many requests")


def _verify(asked: _Asked) -> Response:
    return JSONResponse({**_account(asked.server, asked.me), "source": {"privacy": "public", "note": ""}})


def _account_statuses(asked: _Asked) -> Response:
    id = asked.request.path_params["id"]
    return _page(asked, asked.server.posts(asked.me, lambda w: w.author.id == id), POSTS_MAX)


def _tagged(asked: _Asked) -> Response:
    tag = str(asked.request.path_params["tag"]).lower()

    def has(writing: Writing) -> bool:
        return writing.form is not Form.DM and tag in map(str.lower, _TAG.findall(writing.text))

    return _page(asked, asked.server.posts(asked.me, has), POSTS_MAX)


def _notifications(asked: _Asked) -> Response:
    """A notification has an id of its own, which grows in the order in which posts arrived here."""
    if asked.request.query_params.getlist("types[]") not in ([], ["mention"]):
        raise _Problem(422, "no other types are simulated")
    server = asked.server
    told = [
        w
        for w in server.posts(asked.me, lambda w: asked.me.id in _mentioned(server, w))
        if w.author != asked.me
    ]
    told.sort(key=lambda w: (_arrived(w), int(w.id)), reverse=True)
    numbers = {w.id: len(told) - n + 34_000_000 for n, w in enumerate(told)}
    below = asked.one("max_id")
    if below:
        told = [w for w in told if numbers[w.id] < int(below)]
    page = told[: asked.limit(NOTIFICATIONS_MAX)]
    shown = [
        {
            "id": str(numbers[w.id]),
            "type": "mention",
            "created_at": _iso(_arrived(w)),
            "account": _account(server, w.author),
            "status": _status(server, w),
        }
        for w in page
    ]
    return _linked(asked, shown, len(told) > len(page), str(numbers[page[-1].id]) if page else "")


def _several(asked: _Asked) -> Response:
    ids = asked.request.query_params.getlist("id[]")
    if not asked.server.shows_many:
        raise _Problem(404, "Record not found")
    if len(ids) > IDS_MAX:
        raise _Problem(422, "Validation failed")
    return JSONResponse(
        [_status(asked.server, w) for w in asked.server.posts(asked.me, lambda w: w.id in ids)]
    )


def _single(asked: _Asked) -> Response:
    return JSONResponse(_status(asked.server, _found(asked)))


def _context(asked: _Asked) -> Response:
    above, at = [], _found(asked)
    while at.parent is not None:
        parent = asked.server.world.find(Platform.MASTODON, at.parent)
        if parent is None or not parent.shown(asked.server.now()):
            break
        above.append(parent)
        at = parent
    shown = [_status(asked.server, w) for w in reversed(above)]
    return JSONResponse({"ancestors": shown, "descendants": []})


def _found(asked: _Asked) -> Writing:
    id = asked.request.path_params["id"]
    found = asked.server.posts(asked.me, lambda w: w.id == id)
    if not found:
        raise _Problem(404, "Record not found")
    return found[0]


def _page(asked: _Asked, ordered: list[Writing], most: int) -> Response:
    below = asked.one("max_id")
    if below:
        ordered = [w for w in ordered if int(w.id) < int(below)]
    page = ordered[: asked.limit(most)]
    shown = [_status(asked.server, w) for w in page]
    return _linked(asked, shown, len(ordered) > len(page), page[-1].id if page else "")


def _linked(asked: _Asked, shown: list[_Thing], more: bool, last: str) -> Response:
    """The page, with the next one's address in the Link header."""
    headers: Mapping[str, str] = {}
    if more:
        url = asked.request.url.include_query_params(max_id=last)
        headers = {"Link": f'<{url}>; rel="next", <{asked.request.url}>; rel="prev"'}
    return JSONResponse(shown, headers=headers)


def _status(server: _Server, writing: Writing) -> _Thing:
    now = server.now()
    edits = [e for e in writing.edits if e.at <= now]
    parent = writing.parent and server.world.find(Platform.MASTODON, writing.parent)
    return {
        "id": writing.id,
        "created_at": _iso(writing.created_at),
        "in_reply_to_id": parent.id if parent else None,
        "in_reply_to_account_id": parent.author.id if parent else None,
        "sensitive": False,
        "spoiler_text": writing.title or "",
        "visibility": "direct" if writing.form is Form.DM else "public",
        "language": writing.language,
        "uri": f"https://{server.host}/users/{writing.author.handle}/statuses/{writing.id}",
        "url": f"https://{server.host}/@{writing.author.handle}/{writing.id}",
        "replies_count": 0,
        "reblogs_count": writing.reposts,
        "favourites_count": writing.likes,
        "edited_at": _iso(edits[-1].at) if edits else None,
        "content": _html(writing.text_at(now)),
        "reblog": None,
        "account": _account(server, writing.author),
        "media_attachments": [],
        "mentions": [
            {"id": p.id, "username": p.handle.split("@")[0], "acct": p.handle, "url": "https://m.example/@x"}
            for p in (server.world.person(Platform.MASTODON, id) for id in _mentioned(server, writing))
            if p is not None
        ],
        "tags": [],
        "emojis": [],
        "card": None,
        "poll": None,
    }


def _html(text: str) -> str:
    """A text as Mastodon renders it: paragraphs, and links whose address is cut up for the eye."""

    def link(match: re.Match[str]) -> str:
        scheme, _, rest = match[0].partition("://")
        shown, hidden = rest[:30], rest[30:]
        more = ' class="ellipsis"' if hidden else ""
        return (
            f'<a href="{match[0]}" rel="nofollow noopener" target="_blank"><span class="invisible">{scheme}://'
            f'</span><span{more}>{shown}</span><span class="invisible">{hidden}</span></a>'
        )

    paragraphs = _LINK.sub(link, html.escape(text, quote=False)).split("\n\n")
    return "".join(f"<p>{p.replace(chr(10), '<br />')}</p>" for p in paragraphs)


def _account(server: _Server, person: Person) -> _Thing:
    return {
        "id": person.id,
        "username": person.handle.split("@")[0],
        "acct": person.handle,
        "display_name": person.name,
        "locked": False,
        "bot": person.automated,
        "created_at": _iso(person.created_at),
        "url": f"https://{server.host}/@{person.handle}",
        "followers_count": person.followers,
    }


def _mentioned(server: _Server, writing: Writing) -> list[str]:
    """The ids of those whom a post mentions; who is answered is mentioned too, as Mastodon's programs do."""
    found = [server.world.by_handle(Platform.MASTODON, name) for name in _MENTION.findall(writing.text)]
    if writing.parent and (parent := server.world.find(Platform.MASTODON, writing.parent)) is not None:
        found.append(parent.author)
    if writing.recipient is not None:
        found.append(writing.recipient)
    return list(dict.fromkeys(p.id for p in found if p is not None and p.id != writing.author.id))


def _arrived(writing: Writing) -> datetime:
    return writing.visible_at or writing.created_at


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
