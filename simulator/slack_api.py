"""A Slack workspace, as far as posting goes: incoming webhooks, chat.postMessage, chat.update, auth.test.

What may live here: Slack's wire format for posting, and what of its behaviour a careful client must cope
with (errors with status 200, one message a second a channel, limits of blocks, messages that are gone). It
keeps what was posted, when (pretended), and under which key. Source: Slack's Web API documentation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Clock

if TYPE_CHECKING:
    from simulator.faults import Faults

TOKEN = "xoxb-simulated"
BLOCKS_MAX = 50
BLOCK_ID_LENGTH_MAX = 255
HEADER_LENGTH_MAX = 150
SECTION_LENGTH_MAX = 3000
TEXT_LENGTH_MAX = 40_000
WEBHOOK_STATUS: Mapping[str, int] = {
    "invalid_payload": 400,
    "invalid_blocks": 400,
    "no_text": 400,
    "action_prohibited": 403,
    "invalid_token": 403,
    "channel_not_found": 404,
    "no_service": 404,
    "channel_is_archived": 410,
    "rollup_error": 500,
}
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{5,20}")
_RICH_TEXT_PARTS = (
    "rich_text_section",
    "rich_text_list",
    "rich_text_quote",
    "rich_text_preformatted",
)


@dataclass(slots=True)
class Post:
    """One message as it stands. `at` is when it was posted (pretended), `channel` the channel's id or
    "webhook". `key` and `stage` are the poster's own, of the latest change; `history` holds the texts that it
    had before, `keys` every key that it had."""

    ts: str
    channel: str
    at: datetime
    text: str
    blocks: list[dict[str, Any]]
    key: str
    stage: str = ""
    thread_ts: str | None = None
    broadcast: bool = False
    history: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that was accepted, at a pretended time. `update`: it changed a message and posted none."""

    at: datetime
    key: str
    text: str
    update: bool
    ts: str = ""


class SlackWorkspace:
    """The state behind the server.

    `token` is the one bot token; `hook` the one webhook's path ("T0/B0/secret"), None: every path is one.
    `per_second` limits the posts in each channel, as Slack does, in pretended time; None: no limit.
    `channels` are the names that exist ("#care"), None: every one does.
    """

    def __init__(
        self,
        clock: Clock,
        token: str = TOKEN,
        *,
        hook: str | None = None,
        per_second: float | None = None,
        channels: Collection[str] | None = None,
    ) -> None:
        self.clock = clock
        self.token = token
        self.hook = hook
        self.posts: list[Post] = []
        self.deliveries: list[Delivery] = []
        self._interval: timedelta | None = None
        self._free_at: dict[str, datetime] = {}
        self._channels = channels
        self._errors: list[str] = []
        self.limit(per_second)

    def limit(self, per_second: float | None) -> None:
        """From now on each channel takes so many posts a second; None: any number."""
        self._interval = None if per_second is None else timedelta(seconds=1 / per_second)

    def refuse(self, *errors: str) -> None:
        """The next requests get these error words, one each."""
        self._errors += errors

    def next_error(self) -> str | None:
        """What the next request gets instead of an answer."""
        return self._errors.pop(0) if self._errors else None

    def delete(self, ts: str) -> None:
        """Somebody deletes a message by hand."""
        self.posts[:] = [p for p in self.posts if p.ts != ts]

    def channel_id(self, name: str) -> str | None:
        """The id of a channel, as Slack finds it by its name or its id; None where there is none such."""
        if _CHANNEL_ID.fullmatch(name):
            return name
        if not name or (self._channels is not None and name not in self._channels):
            return None
        return "C" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:10].upper()

    def post(self, channel: str, body: Mapping[str, Any]) -> Post:
        """Somebody posts."""
        now = self.clock.now()
        made = Post(
            ts=f"{int(now.timestamp())}.{len(self.deliveries):06d}",
            channel=channel,
            at=now,
            text=str(body.get("text", "")),
            blocks=list(body.get("blocks") or []),
            key=_key(body),
            stage=_stage(body),
            thread_ts=body.get("thread_ts"),
            broadcast=bool(body.get("reply_broadcast")),
            keys=[_key(body)],
        )
        self.posts.append(made)
        self.deliveries.append(Delivery(now, made.key, made.text, update=False, ts=made.ts))
        return made

    def update(self, channel: str, ts: str, body: Mapping[str, Any]) -> Post | None:
        """Somebody changes a post; None where there is none such."""
        found = next((p for p in self.posts if (p.ts, p.channel) == (ts, channel)), None)
        if found is None:
            return None
        found.history.append(found.text)
        found.text, found.blocks = str(body.get("text", "")), list(body.get("blocks") or [])
        found.key, found.stage = _key(body), _stage(body)
        found.keys.append(found.key)
        self.deliveries.append(Delivery(self.clock.now(), found.key, found.text, update=True, ts=ts))
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


def _payload(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = body.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    return payload if isinstance(payload, dict) else {}


def _key(body: Mapping[str, Any]) -> str:
    """The poster's key: in the metadata, or the first block's id (webhooks take no metadata)."""
    blocks = body.get("blocks") or [{}]
    return str(_payload(body).get("key") or blocks[0].get("block_id", ""))


def _stage(body: Mapping[str, Any]) -> str:
    return str(_payload(body).get("stage", ""))


def trouble_with(body: Mapping[str, Any]) -> str | None:
    """Slack's word for what is wrong with a message, by the limits of Block Kit; None: nothing is."""
    text, blocks = body.get("text"), body.get("blocks")
    if not text and not blocks:
        return "no_text"
    if text is not None and (not isinstance(text, str) or len(text) > TEXT_LENGTH_MAX):
        return "msg_too_long"
    if blocks is None:
        return None
    if not isinstance(blocks, list) or len(blocks) > BLOCKS_MAX:
        return "invalid_blocks"
    ids = [b.get("block_id") for b in blocks if isinstance(b, dict) and b.get("block_id") is not None]
    doubled = len(ids) != len(set(ids))
    if doubled or any(not isinstance(i, str) or len(i) > BLOCK_ID_LENGTH_MAX for i in ids):
        return "invalid_blocks"
    return None if all(isinstance(b, dict) and _is_good(b) for b in blocks) else "invalid_blocks"


def _is_good(block: Mapping[str, Any]) -> bool:
    match block.get("type"):
        case "header":
            return _is_text(block.get("text"), HEADER_LENGTH_MAX, ("plain_text",))
        case "section":
            return _is_text(block.get("text"), SECTION_LENGTH_MAX, ("plain_text", "mrkdwn"))
        case "rich_text":
            return all(_is_rich(part) for part in block.get("elements") or [None])
        case kind:
            return kind in ("divider", "context", "actions", "image")


def _is_text(text: Any, length_max: int, kinds: Collection[str]) -> bool:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        return False
    return isinstance(text.get("text"), str) and 0 < len(text["text"]) <= length_max


def _is_rich(part: Any) -> bool:
    """A part of a rich text: no list is empty, no text without a letter, no link without a scheme."""
    if not isinstance(part, dict):
        return False
    if part.get("type") in _RICH_TEXT_PARTS:
        return bool(part.get("elements")) and all(_is_rich(each) for each in part["elements"])
    if part.get("type") == "text":
        return isinstance(part.get("text"), str) and bool(part["text"])
    return part.get("type") == "link" and str(part.get("url")).startswith(("http://", "https://"))


def make_slack_app(workspace: SlackWorkspace, faults: Faults | None = None) -> ASGIApp:
    """The server: POST /services/T/B/secret (webhooks) and POST /api/METHOD (the Web API)."""

    async def webhook(request: Request) -> Response:
        path = "/".join(request.path_params[k] for k in ("team", "bot", "hook"))
        error = workspace.next_error()
        if workspace.hook is not None and path != workspace.hook:
            error = "no_service"
        body = await _body(request)
        if error is None:
            error = "invalid_payload" if body is None else trouble_with(body)
        if error is not None or body is None:
            return PlainTextResponse(str(error), WEBHOOK_STATUS.get(str(error), 400))
        wait = workspace.seconds_to_wait("webhook")
        if wait:
            return PlainTextResponse("rate_limited", 429, {"Retry-After": str(wait)})
        workspace.post("webhook", body)
        return PlainTextResponse("ok")

    async def call(request: Request) -> Response:
        error = workspace.next_error() or _refuse(workspace, request)
        body = await _body(request)
        if error is None and body is None:
            error = "invalid_json"
        if error == "missing_scope":
            return JSONResponse(
                {"ok": False, "error": error, "needed": "chat:write", "provided": "users:read"}
            )
        if error is not None or body is None:
            return JSONResponse({"ok": False, "error": error})
        method = request.path_params["method"]
        if method == "auth.test":
            return JSONResponse({"ok": True, "user": "response-monitor", "team": "Acme", "user_id": "U1"})
        return _chat(workspace, method, body)

    app = Starlette(
        routes=[
            Route("/services/{team}/{bot}/{hook}", webhook, methods=["POST"]),
            Route("/api/{method}", call, methods=["POST"]),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _chat(workspace: SlackWorkspace, method: str, body: Mapping[str, Any]) -> Response:
    """chat.postMessage and chat.update. Only the latter insists on the channel's id."""
    name = str(body.get("channel", ""))
    channel = workspace.channel_id(name)
    if channel is None or (method == "chat.update" and channel != name):
        return _no("channel_not_found")
    error = trouble_with(body)
    if error is not None:
        return _no(error)
    if method == "chat.update":
        done = workspace.update(channel, str(body.get("ts")), body)
        if done is None:
            return _no("message_not_found")
    elif method == "chat.postMessage":
        thread = body.get("thread_ts")
        if thread is not None and not any((p.ts, p.channel) == (thread, channel) for p in workspace.posts):
            return _no("thread_not_found")
        wait = workspace.seconds_to_wait(channel)
        if wait:
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(wait)})
        done = workspace.post(channel, body)
    else:
        return _no("unknown_method")
    return JSONResponse({"ok": True, "channel": channel, "ts": done.ts})


def _no(error: str) -> Response:
    """Slack's errors come with status 200."""
    return JSONResponse({"ok": False, "error": error})


def _refuse(workspace: SlackWorkspace, request: Request) -> str | None:
    given = request.headers.get("authorization", "")
    if not given:
        return "not_authed"
    return None if given == f"Bearer {workspace.token}" else "invalid_auth"


async def _body(request: Request) -> dict[str, Any] | None:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
