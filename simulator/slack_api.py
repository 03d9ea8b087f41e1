"""A Slack workspace, as far as posting goes: incoming webhooks, chat.postMessage, chat.update, auth.test.

It keeps what was posted, when (pretended), and under which of our keys. Source: Slack's Web API
documentation (answers, error words, one message a second a channel with 429 and Retry-After).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.faults import Faults
from simulator.world import Clock


@dataclass(slots=True)
class Post:
    """One message as it stands. `key` is the poster's own; `history` are the texts that it had before."""

    ts: str
    channel: str
    at: datetime
    text: str
    blocks: list[dict[str, Any]]
    key: str
    thread_ts: str | None = None
    broadcast: bool = False
    history: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that was accepted. `update`: it changed a message and posted none."""

    at: datetime
    key: str
    text: str
    update: bool


class SlackWorkspace:
    """The state behind the server. `per_second` limits each channel, as Slack does; None: no limit."""

    def __init__(
        self,
        clock: Clock,
        token: str = "xoxb-simulated",
        *,
        hook: str = "T0/B0/hook",
        per_second: float | None = None,
    ) -> None:
        self.clock = clock
        self.token = token
        self.hook = hook
        self.posts: list[Post] = []
        self.deliveries: list[Delivery] = []
        self._interval = None if per_second is None else timedelta(seconds=1 / per_second)
        self._free_at: dict[str, datetime] = {}

    def post(self, channel: str, body: dict[str, Any]) -> Post:
        """Somebody posts."""
        now = self.clock.now()
        found = Post(
            ts=f"{now.timestamp():.0f}.{len(self.posts):06d}",
            channel=channel,
            at=now,
            text=str(body.get("text", "")),
            blocks=list(body.get("blocks", [])),
            key=_key(body),
            thread_ts=body.get("thread_ts"),
            broadcast=bool(body.get("reply_broadcast")),
        )
        self.posts.append(found)
        self.deliveries.append(Delivery(now, found.key, found.text, update=False))
        return found

    def update(self, ts: str, body: dict[str, Any]) -> Post | None:
        """Somebody changes a post; None where there is none such."""
        found = next((p for p in self.posts if p.ts == ts), None)
        if found is None:
            return None
        found.history.append(found.text)
        found.text, found.blocks = str(body.get("text", "")), list(body.get("blocks", []))
        self.deliveries.append(Delivery(self.clock.now(), _key(body), found.text, update=True))
        return found

    def seconds_to_wait(self, channel: str) -> int:
        """How long the channel must rest; 0: it may post, and that counts."""
        if self._interval is None:
            return 0
        now = self.clock.now()
        free_at = self._free_at.get(channel, now)
        if free_at > now:
            return max(1, round((free_at - now).total_seconds()))
        self._free_at[channel] = now + self._interval
        return 0


def _key(body: dict[str, Any]) -> str:
    """The poster's key: in the metadata, or the first block's id (webhooks take no metadata)."""
    payload = body.get("metadata", {}).get("event_payload", {})
    blocks = body.get("blocks") or [{}]
    return str(payload.get("key") or blocks[0].get("block_id", ""))


def make_slack_app(workspace: SlackWorkspace, faults: Faults | None = None) -> ASGIApp:
    """The server."""

    async def webhook(request: Request) -> Response:
        path = "/".join(request.path_params[k] for k in ("team", "bot", "hook"))
        if path != workspace.hook:
            return PlainTextResponse("no_service", 404)
        body = await _body(request)
        if body is None or not (body.get("text") or body.get("blocks")):
            return PlainTextResponse("invalid_payload", 400)
        wait = workspace.seconds_to_wait("webhook")
        if wait:
            return PlainTextResponse("rate_limited", 429, {"Retry-After": str(wait)})
        workspace.post("webhook", body)
        return PlainTextResponse("ok")

    async def call(request: Request) -> Response:
        body = await _body(request)
        error = _refuse(workspace, request, body)
        if error is not None or body is None:
            return JSONResponse({"ok": False, "error": error or "invalid_json"})
        method = request.path_params["method"]
        if method == "auth.test":
            return JSONResponse({"ok": True, "user": "response-monitor", "team": "Acme", "user_id": "U1"})
        channel = str(body.get("channel", ""))
        if not channel:
            return JSONResponse({"ok": False, "error": "channel_not_found"})
        if not (body.get("text") or body.get("blocks")):
            return JSONResponse({"ok": False, "error": "no_text"})
        wait = workspace.seconds_to_wait(channel)
        if wait:
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(wait)})
        if method == "chat.postMessage":
            done = workspace.post(channel, body)
        elif method == "chat.update":
            changed = workspace.update(str(body.get("ts")), body)
            if changed is None:
                return JSONResponse({"ok": False, "error": "message_not_found"})
            done = changed
        else:
            return JSONResponse({"ok": False, "error": "unknown_method"})
        return JSONResponse({"ok": True, "channel": channel, "ts": done.ts})

    app = Starlette(
        routes=[
            Route("/services/{team}/{bot}/{hook}", webhook, methods=["POST"]),
            Route("/api/{method}", call, methods=["POST"]),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _refuse(workspace: SlackWorkspace, request: Request, body: dict[str, Any] | None) -> str | None:
    given = request.headers.get("authorization", "")
    if not given:
        return "not_authed"
    if given != f"Bearer {workspace.token}":
        return "invalid_auth"
    return "invalid_json" if body is None else None


async def _body(request: Request) -> dict[str, Any] | None:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
