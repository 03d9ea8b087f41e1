"""A Slack workspace: incoming webhooks, the Web API, and people who press buttons and type commands.

What may live here: the workspace's state, and its server: Slack's wire format, and what of its behaviour a
careful client must cope with (errors with status 200, one message a second a channel, messages that are
gone). It keeps what was posted, when (pretended), and under which key. Source: Slack's Web API documentation.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from simulator.slack_blocks import mentioned, trouble_with
from simulator.slack_people import (
    ANA,
    APP,
    BO,
    TEAM,
    AnswerUrl,
    Colleague,
    Whisper,
    callback_body,
    command_payload,
    press_payload,
    sign,
)
from simulator.slack_socket import ACKNOWLEDGE_SECONDS, Envelope, Lines
from simulator.world import Clock

if TYPE_CHECKING:
    from simulator.faults import Faults

TOKEN = "xoxb-simulated"
APP_TOKEN = "xapp-simulated"
SIGNING_SECRET = "simulated-signing-secret"
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


@dataclass(slots=True)
class Post:
    """One message as it stands. `at` is when it was posted (pretended), `channel` the channel's id or
    "webhook". `key` and `stage` are the poster's own, of the latest change; `history` holds the texts that it
    had before, `keys` every key that it had. `called` are the ids of the users whom it notified when it was
    posted; a change notifies nobody."""

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
    called: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request that was accepted, at a pretended time. `update`: it changed a message and posted none."""

    at: datetime
    key: str
    text: str
    update: bool
    ts: str = ""
    blocks: Sequence[Mapping[str, Any]] = ()


class SlackWorkspace:
    """The state behind the server.

    `token` is the one bot token; `hook` the one webhook's path ("T0/B0/secret"), None: every path is one.
    `per_second` limits the posts in each channel, as Slack does, in pretended time; None: no limit.
    `channels` are the names that exist ("#care"), None: every one does. `app_token` opens lines of Socket
    Mode; `request_url` is where presses and commands are posted instead, signed with `signing_secret` (None:
    over a line). `people` are those of the workspace by id, `whispers` the ephemeral messages. `url` is the
    server's own, known since its first request.
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
        self.app_token = APP_TOKEN
        self.signing_secret = SIGNING_SECRET
        self.request_url: str | None = None
        self.lines = Lines()
        self.people = {one.id: one for one in (ANA, BO)}
        self.whispers: list[Whisper] = []
        self.url = ""
        self._answer_urls: dict[str, AnswerUrl] = {}
        self._intervals: dict[str, timedelta] = {}
        self._free_at: dict[tuple[str, str], datetime] = {}
        self._channels = channels
        self._errors: list[str] = []
        self.limit(per_second)

    def limit(self, per_second: float | None) -> None:
        """From now on each channel takes so many posts a second; None: any number."""
        self.limit_method("chat.postMessage", None if per_second is None else 60 * per_second)

    def limit_method(self, method: str, per_minute: float | None) -> None:
        """From now on that method may be called so often: posting in each channel, others in all; None: any
        number of times. Slack says so by tiers ("50+ per minute")."""
        self._intervals.pop(method, None)
        if per_minute is not None:
            self._intervals[method] = timedelta(seconds=60 / per_minute)

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
            called=mentioned(body),
        )
        self.posts.append(made)
        self.deliveries.append(
            Delivery(now, made.key, made.text, update=False, ts=made.ts, blocks=made.blocks)
        )
        return made

    def update(self, channel: str, ts: str, body: Mapping[str, Any]) -> Post | None:
        """Somebody changes a post; None where there is none such."""
        found = next((p for p in self.posts if (p.ts, p.channel) == (ts, channel)), None)
        if found is None:
            return None
        found.history.append(found.text)
        found.text, found.blocks = str(body.get("text", "")), list(body.get("blocks") or [])
        if "metadata" in body or not found.stage:
            # Slack's docs: where none is given, a message keeps the metadata that it had.
            found.key, found.stage = _key(body), _stage(body)
        found.keys.append(found.key)
        now = self.clock.now()
        self.deliveries.append(Delivery(now, found.key, found.text, update=True, ts=ts, blocks=found.blocks))
        return found

    def seconds_to_wait(self, method: str, channel: str = "") -> int:
        """How long that method must rest, or the channel for posts; 0: it may be called, and that counts."""
        interval = self._intervals.get(method)
        if interval is None:
            return 0
        now = self.clock.now()
        free_at = self._free_at.get((method, channel), now)
        if free_at > now:
            return max(1, round((free_at - now).total_seconds()))
        self._free_at[method, channel] = now + interval
        return 0

    def press(self, channel: str, ts: str, action_id: str, user: str) -> Envelope:
        """Somebody (an id) presses a button of a message. Raises LookupError where there is no such button:
        nobody can press what is not there."""
        post = next((p for p in self.posts if (p.ts, p.channel) == (ts, channel)), None)
        found = (
            [] if post is None else [one for one in _buttons(post.blocks) if one["action_id"] == action_id]
        )
        if post is None or not found:
            raise LookupError(f"no button {action_id} on {ts} in {channel}")
        message = {"ts": ts, "text": post.text, "blocks": post.blocks}
        where, now = (channel, self._name_of(channel)), self.clock.now()
        answer_url = self._answer_url("actions", user, channel, ts)
        return self.tell(
            "interactive", press_payload(message, found[0], where, self.people[user], answer_url, now)
        )

    def ask(self, channel: str, user: str, command: str, text: str = "") -> Envelope:
        """Somebody (an id) types a command in a channel ("#care", or an id)."""
        id = self.channel_id(channel) or channel
        where = (id, self._name_of(id))
        answer_url = self._answer_url("commands", user, id, None)
        payload = command_payload(command, text, where, self.people[user], answer_url, self.clock.now())
        return self.tell("slash_commands", payload)

    def tell(self, kind: str, payload: Mapping[str, Any]) -> Envelope:
        """Tell the app: over a line, or with a signed callback. Whether it heard is in what comes back."""
        if self.request_url is None:
            return self.lines.tell(kind, payload)
        envelope = Envelope(str(uuid.uuid4()), kind, payload)
        body = callback_body(kind, payload)
        envelope.status = self.call_back(body, sign(self.signing_secret, body, self.clock.now()))
        if envelope.status == 200:
            envelope.heard.set()
        return envelope

    def call_back(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Post a callback to the app, as it is; the status of its answer, 0 where there was none in time."""
        request = urllib.request.Request(self.request_url or "", body, dict(headers), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=ACKNOWLEDGE_SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def answer(self, secret: str, body: Mapping[str, Any]) -> str | None:
        """The app answers one person, over a URL that it was told; Slack's word for why not, or None."""
        url = self._answer_urls.get(secret)
        now = self.clock.now()
        trouble = "no_service" if url is None else url.trouble(now)
        if url is None or trouble is not None:
            return trouble
        trouble = trouble_with(body)
        if trouble is None:
            url.used += 1
            self.whisper(url.user, url.channel, body, url.url)
        return trouble

    def whisper(self, user: str, channel: str, body: Mapping[str, Any], url: str = "") -> None:
        """Say something that only that person sees."""
        text, blocks = str(body.get("text", "")), list(body.get("blocks") or [])
        self.whispers.append(Whisper(user, channel, text, blocks, self.clock.now(), url))

    def line_url(self) -> str:
        """Where a new line can be opened, once."""
        return f"ws{self.url.removeprefix('http')}/link/?ticket={self.lines.issue_ticket()}&app_id={APP}"

    def _answer_url(self, kind: str, user: str, channel: str, ts: str | None) -> str:
        secret = uuid.uuid4().hex
        url = f"{self.url}/{kind}/{TEAM['id']}/1/{secret}"
        self._answer_urls[secret] = AnswerUrl(url, user, channel, ts, self.clock.now())
        return url

    def _name_of(self, id: str) -> str:
        """A channel's name as Slack tells it, without "#"; of a channel that is not known by a name, what it
        tells of private ones."""
        names = [name for name in self._channels or () if self.channel_id(name) == id]
        return names[0].removeprefix("#") if names else "privategroup"


def _buttons(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All buttons of a message, each with the id of its block; Slack gives one to a block without."""
    return [
        {"block_id": block.get("block_id", f"b{number}"), **element}
        for number, block in enumerate(blocks)
        if block.get("type") == "actions"
        for element in block["elements"]
    ]


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


def make_slack_app(workspace: SlackWorkspace, faults: Faults | None = None) -> ASGIApp:
    """The server: webhooks, the Web API, URLs to answer to, and lines of Socket Mode."""

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
        wait = workspace.seconds_to_wait("chat.postMessage", "webhook")
        if wait:
            return PlainTextResponse("rate_limited", 429, {"Retry-After": str(wait)})
        workspace.post("webhook", body)
        return PlainTextResponse("ok")

    async def call(request: Request) -> Response:
        workspace.url = workspace.url or str(request.base_url).rstrip("/")
        method = request.path_params["method"]
        error = workspace.next_error() or _refuse(workspace, request, method)
        body = await _body(request)
        if error is None and body is None:
            error = "invalid_json"
        if error == "missing_scope":
            return JSONResponse(
                {"ok": False, "error": error, "needed": "chat:write", "provided": "users:read"}
            )
        if error is not None or body is None:
            return JSONResponse({"ok": False, "error": error})
        return _answer(workspace, method, body)

    async def respond(request: Request) -> Response:
        body = await _body(request)
        error = "invalid_payload" if body is None else workspace.answer(request.path_params["secret"], body)
        return PlainTextResponse("ok") if error is None else PlainTextResponse(error, 404)

    async def link(websocket: WebSocket) -> None:
        await workspace.lines.serve(websocket)

    app = Starlette(
        routes=[
            Route("/services/{team}/{bot}/{hook}", webhook, methods=["POST"]),
            Route("/api/{method}", call, methods=["POST"]),
            Route("/actions/{team}/{number}/{secret}", respond, methods=["POST"]),
            Route("/commands/{team}/{number}/{secret}", respond, methods=["POST"]),
            WebSocketRoute("/link/", link),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _answer(workspace: SlackWorkspace, method: str, body: Mapping[str, Any]) -> Response:
    """What a method of the Web API answers to a body that is one."""
    match method:
        case "auth.test":
            return JSONResponse({"ok": True, "user": "response-monitor", "team": "Acme", "user_id": "U1"})
        case "apps.connections.open":
            wait = workspace.seconds_to_wait(method)
            return _limited(wait) if wait else JSONResponse({"ok": True, "url": workspace.line_url()})
        case "users.info":
            return _user(workspace.people.get(str(body.get("user"))))
        case "chat.postMessage" | "chat.update" | "chat.postEphemeral":
            return _chat(workspace, method, body)
    return _no("unknown_method")


def _user(who: Colleague | None) -> Response:
    if who is None:
        return _no("user_not_found")
    profile = {"real_name": who.name, "display_name": who.handle}
    user = {"id": who.id, "team_id": TEAM["id"], "name": who.handle, "real_name": who.name, "is_bot": False}
    return JSONResponse({"ok": True, "user": {**user, "profile": profile}})


def _chat(workspace: SlackWorkspace, method: str, body: Mapping[str, Any]) -> Response:
    """Posting and changing. Only chat.update insists on the channel's id."""
    name = str(body.get("channel", ""))
    channel = workspace.channel_id(name)
    if channel is None or (method == "chat.update" and channel != name):
        return _no("channel_not_found")
    error = trouble_with(body)
    if error is not None:
        return _no(error)
    thread = body.get("thread_ts") if method != "chat.update" else None
    if thread is not None and not any((p.ts, p.channel) == (thread, channel) for p in workspace.posts):
        return _no("thread_not_found")
    wait = workspace.seconds_to_wait(method, channel if method == "chat.postMessage" else "")
    if wait:
        return _limited(wait)
    if method == "chat.postEphemeral":
        if body.get("user") not in workspace.people:
            return _no("user_not_in_channel")
        workspace.whisper(str(body["user"]), channel, body)
        return JSONResponse({"ok": True, "message_ts": f"{workspace.clock.now().timestamp():.6f}"})
    if method == "chat.update":
        done = workspace.update(channel, str(body.get("ts")), body)
    else:
        done = workspace.post(channel, body)
    if done is None:
        return _no("message_not_found")
    return JSONResponse({"ok": True, "channel": channel, "ts": done.ts})


def _limited(wait: int) -> Response:
    return JSONResponse({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(wait)})


def _no(error: str) -> Response:
    """Slack's errors come with status 200."""
    return JSONResponse({"ok": False, "error": error})


def _refuse(workspace: SlackWorkspace, request: Request, method: str) -> str | None:
    """A token is for one kind of method: only lines are opened with the app-level one."""
    given = request.headers.get("authorization", "")
    if not given:
        return "not_authed"
    opens = method == "apps.connections.open"
    if given == f"Bearer {workspace.token if opens else workspace.app_token}":
        return "not_allowed_token_type"
    return None if given == f"Bearer {workspace.app_token if opens else workspace.token}" else "invalid_auth"


async def _body(request: Request) -> dict[str, Any] | None:
    """What was sent, as JSON or as a form; nothing at all is no argument."""
    raw = await request.body()
    if not raw or request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(raw.decode("utf-8", "replace")))
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
