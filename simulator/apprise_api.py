"""Two of the services that Apprise knows: a receiver of its own JSON, and an ntfy server.

What may live here: their wire formats, and what of their behaviour a careful client must cope with. Sources:
Apprise's documentation of json://, ntfy's documentation of publishing as JSON and of access control.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Clock

if TYPE_CHECKING:
    from simulator.faults import Faults

TOPIC = "care"
MESSAGE_BYTES_MAX = 4096
PRIORITIES = range(1, 6)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message that arrived, at a pretended time. `body` is the whole request."""

    at: datetime
    title: str
    message: str
    kind: str
    body: Mapping[str, Any]


class NoticeBoard:
    """The state behind both. `path` is where JSON is taken; `password` is the one of ntfy's user "monitor".
    `statuses` are what the next requests get instead of an answer, one each."""

    def __init__(self, clock: Clock, path: str, password: str) -> None:
        self.clock = clock
        self.path = path
        self.password = password
        self.notices: list[Notice] = []
        self.statuses: list[int] = []

    def answer(self, *statuses: int) -> None:
        """The next requests get these, one each."""
        self.statuses += statuses

    def take(self, title: str, message: str, kind: str, body: Mapping[str, Any]) -> None:
        """Keep one."""
        self.notices.append(Notice(self.clock.now(), title, message, kind, body))

    def allows(self, authorization: str) -> bool:
        """Whether that header is ntfy's user."""
        pair = base64.b64encode(f"monitor:{self.password}".encode()).decode("ascii")
        return authorization == f"Basic {pair}"


def make_notice_app(board: NoticeBoard, faults: Faults | None = None) -> ASGIApp:
    """The server: anything posted to a path is JSON of Apprise's, to the root it is ntfy's."""

    async def take_json(request: Request) -> Response:
        if board.statuses:
            return Response(b"", board.statuses.pop(0))
        if request.url.path != board.path:
            return Response(b"", 404)
        body = await _read(request)
        if body is None or not {"version", "title", "message", "type"} <= body.keys():
            return Response(b"", 400)
        board.take(body["title"], body["message"], body["type"], body)
        return Response(b"", 200)

    async def take_ntfy(request: Request) -> Response:
        if board.statuses:
            return _ntfy_error(board.statuses.pop(0), "on purpose")
        if not board.allows(request.headers.get("authorization", "")):
            return _ntfy_error(403, "forbidden")
        body = await _read(request)
        if body is None or not body.get("topic") or not isinstance(body.get("message", ""), str):
            return _ntfy_error(400, "invalid request: request body must be valid JSON")
        if body.get("priority", 3) not in PRIORITIES:
            return _ntfy_error(400, "invalid request: priority invalid")
        if body["topic"] != TOPIC:
            return _ntfy_error(403, "forbidden")
        message = body.get("message", "")
        if len(message.encode()) > MESSAGE_BYTES_MAX:
            message = "You received a file: attachment.txt"
        kind = ",".join(body.get("tags") or [])
        board.take(body.get("title", ""), message, kind, body)
        return JSONResponse({"id": f"sim{len(board.notices)}", "event": "message", "topic": TOPIC})

    app = Starlette(
        routes=[
            Route("/", take_ntfy, methods=["POST"]),
            Route("/{path:path}", take_json, methods=["POST"]),
        ]
    )
    return app if faults is None else faults.wrap(app)


async def _read(request: Request) -> dict[str, Any] | None:
    try:
        body = json.loads((await request.body()).decode("utf-8"))
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _ntfy_error(status: int, words: str) -> Response:
    return JSONResponse({"code": status * 100, "http": status, "error": words}, status)
