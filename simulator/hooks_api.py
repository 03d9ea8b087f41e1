"""Where programs are told of alerts: a receiver of signed webhooks, and PagerDuty's Events API v2.

What may live here: both wire formats as their receivers read them, and what of their behaviour a careful
client must cope with. They keep what arrived, when (pretended), and under which key. Sources: the Standard
Webhooks specification, version 1.0.0, verifying signatures; PagerDuty's documentation of the Events API v2.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
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

SIGNING_SECRET = "whsec_" + base64.b64encode(b"simulated-signing-secret-of-32-b").decode("ascii")
ROUTING_KEY = "0simulated0routing0key0of032000a"
ACTIONS = ("trigger", "acknowledge", "resolve")
_STATUS = {"acknowledge": "acknowledged", "resolve": "resolved"}
SEVERITIES = ("critical", "error", "warning", "info")
PAGERDUTY_BYTES_MAX = 512 * 1024
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
TOLERANCE_SECONDS = 300
"""A request that was signed longer ago, or later than now, may be an old one that somebody repeats."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One webhook whose signature was right: its id, when it came (pretended), its headers (lower case) and
    its body, as bytes and as JSON. `again`: its id had come before, so nothing was done with it."""

    id: str
    at: datetime
    headers: Mapping[str, str]
    raw: bytes
    body: Mapping[str, Any]
    again: bool = False


class HookSink:
    """A receiver. `secret` is the one that it knows; `path` is where it listens. `answers` are the status
    and headers that the next requests get, one each (with 300 and above nothing is taken); then all get 204.
    `rejected` says what was wrong with what it did not believe."""

    def __init__(self, clock: Clock, path: str, secret: str = SIGNING_SECRET) -> None:
        self.clock = clock
        self.path = path
        self.secret = secret
        self.delivered: list[Delivered] = []
        self.rejected: list[str] = []
        self.answers: list[tuple[int, Mapping[str, str]]] = []

    def answer(self, *statuses: int, **headers: str) -> None:
        """The next requests get these, one each. Header names are given with "_" for "-"."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers += [(status, named) for status in statuses]

    def take(self, headers: Mapping[str, str], raw: bytes) -> str | None:
        """Verify one, and keep it. What is wrong with it, or None."""
        wrong = self._wrong_with(headers, raw)
        if wrong is not None:
            self.rejected.append(wrong)
            return wrong
        message_id = headers["webhook-id"]
        known = any(message_id == one.id for one in self.delivered)
        self.delivered.append(
            Delivered(message_id, self.clock.now(), dict(headers), raw, json.loads(raw), known)
        )
        return None

    def _wrong_with(self, headers: Mapping[str, str], raw: bytes) -> str | None:
        message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not message_id or "." in message_id:
            return "no webhook-id, or one that can be read in two ways"
        if not (stamp.isascii() and stamp.isdigit()):
            return "no webhook-timestamp"
        if abs(self.clock.now().timestamp() - int(stamp)) > TOLERANCE_SECONDS:
            return "signed too long ago, or in the future"
        if headers.get("content-type", "").split(";")[0] != "application/json":
            return "not JSON"
        if not _is_signed(self.secret, message_id, stamp, raw, headers.get("webhook-signature", "")):
            return "no signature is right"
        return None if _is_json(raw) else "no JSON object"


def _is_signed(secret: str, message_id: str, stamp: str, raw: bytes, given: str) -> bool:
    key = base64.b64decode(secret.partition("_")[2])
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in (message_id.encode("ascii"), b".", stamp.encode("ascii"), b".", raw):
        mac.update(part)
    expected = mac.digest()
    for one in given.split(" "):
        version, _, coded = one.partition(",")
        try:
            right = hmac.compare_digest(base64.b64decode(coded, validate=True), expected)
        except ValueError:
            continue
        if version == "v1" and right:
            return True
    return False


def _is_json(raw: bytes) -> bool:
    """Strict JSON in UTF-8: an object, and no lone surrogate even where it is written as an escape."""
    try:
        body = json.loads(raw.decode("utf-8"))
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except ValueError:
        return False
    return isinstance(body, dict)


def make_hook_app(sink: HookSink, faults: Faults | None = None) -> ASGIApp:
    """The receiver's server: POST to its path, and nothing else."""

    async def take(request: Request) -> Response:
        if f"/{request.path_params['path']}" != sink.path:
            return Response(status_code=404)
        status, headers = sink.answers.pop(0) if sink.answers else (204, {})
        if status >= 300:
            return Response(status_code=status, headers=dict(headers))
        wrong = sink.take(request.headers, await request.body())
        if wrong is not None:
            return Response(wrong, 401)
        return Response(status_code=status, headers=dict(headers))

    app = Starlette(routes=[Route("/{path:path}", take, methods=["POST"])])
    return app if faults is None else faults.wrap(app)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One request that PagerDuty accepted, and when (pretended). `dropped`: it was about an incident that
    nobody has, so nothing was done with it."""

    at: datetime
    body: Mapping[str, Any]
    dropped: bool


@dataclass(slots=True)
class Incident:
    """What PagerDuty made of the requests with one `dedup_key`, until it was resolved.

    `status` is "triggered", "acknowledged" or "resolved". `log` holds the requests that were applied to it,
    the first one first; `called_at` the times (pretended) when people were called for it.
    """

    dedup_key: str
    status: str
    log: list[Mapping[str, Any]] = field(default_factory=list)
    called_at: list[datetime] = field(default_factory=list)

    @property
    def payload(self) -> Mapping[str, Any]:
        """What it shows: the latest details that were sent."""
        return next((one["payload"] for one in reversed(self.log) if one.get("payload")), {})


class PagerDutyService:
    """The state behind the Events API v2. `routing_key` is the one that it knows; `per_minute` limits the
    requests in pretended time (None: no limit). `incidents` are the oldest first; `enqueued` is all
    that was accepted."""

    def __init__(self, clock: Clock, routing_key: str = ROUTING_KEY, per_minute: int | None = None) -> None:
        self.clock = clock
        self.routing_key = routing_key
        self.per_minute = per_minute
        self.incidents: list[Incident] = []
        self.enqueued: list[Enqueued] = []
        self.errors: list[str] = []

    def refuse(self, *errors: str) -> None:
        """The next request is refused with these errors."""
        self.errors += errors

    def is_too_fast(self) -> bool:
        """Whether as many as are allowed were taken in the last minute."""
        since = self.clock.now() - timedelta(minutes=1)
        return self.per_minute is not None and sum(e.at > since for e in self.enqueued) >= self.per_minute

    def incident(self, dedup_key: str) -> Incident | None:
        """The one that is open under that key."""
        return next((i for i in self.incidents if i.dedup_key == dedup_key and i.status != "resolved"), None)

    def apply(self, body: Mapping[str, Any]) -> str:
        """Do what is asked for. Returns the key of the incident."""
        made_up = hashlib.sha256(str(len(self.enqueued)).encode("ascii")).hexdigest()[:32]
        key = str(body.get("dedup_key") or made_up)
        found = self.incident(key)
        dropped = found is None and body["event_action"] != "trigger"
        self.enqueued.append(Enqueued(self.clock.now(), body, dropped))
        if dropped:
            return key
        if found is None:
            found = Incident(key, "triggered", called_at=[self.clock.now()])
            self.incidents.append(found)
        elif body["event_action"] != "trigger":
            found.status = _STATUS[body["event_action"]]
        found.log.append(body)
        return key


def wrong_with(body: Any) -> list[str]:
    """PagerDuty's words for what is wrong with a request; empty: nothing is."""
    if not isinstance(body, dict):
        return ["Invalid JSON"]
    found = _wrong_with_key(body.get("routing_key"))
    action = body.get("event_action")
    if action not in ACTIONS:
        found.append("'event_action' is invalid (must be one of: trigger, acknowledge, resolve)")
    dedup_key = body.get("dedup_key")
    if dedup_key is None and action in ACTIONS[1:]:
        found.append("'dedup_key' is missing or blank")
    if dedup_key is not None and (not isinstance(dedup_key, str) or len(dedup_key) > 255):
        found.append("'dedup_key' is too long (maximum is 255 characters)")
    if action == "trigger" or body.get("payload") is not None:
        found += _wrong_with_payload(body.get("payload"))
    links = body.get("links", [])
    if not isinstance(links, list) or not all(isinstance(each, dict) and each.get("href") for each in links):
        found.append("'links' is invalid (must be a list of objects with 'href')")
    return found


def _wrong_with_key(key: Any) -> list[str]:
    if not isinstance(key, str) or not key:
        return ["'routing_key' is missing or blank"]
    found = []
    if len(key) != 32:
        found.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if not (key.isascii() and key.isalnum()):
        found.append("'routing_key' cannot contain non-alphanumeric characters.")
    return found


def _wrong_with_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    found = []
    for name in ("summary", "source", "severity"):
        value = payload.get(name)
        if not isinstance(value, str) or not value.strip():
            found.append(f"'payload.{name}' is missing or blank")
    if len(str(payload.get("summary"))) > 1024:
        found.append("'summary' is too long (maiximum is 1024 characters)")
    if payload.get("severity") not in SEVERITIES:
        found.append("'payload.severity' is invalid (must be one of: critical, error, warning, info)")
    if not _STAMP.fullmatch(str(payload.get("timestamp", "2026-01-01T00:00:00Z"))):
        found.append("'payload.timestamp' is invalid")
    for name in ("component", "group", "class"):
        if not isinstance(payload.get(name, ""), str):
            found.append(f"'payload.{name}' is invalid (must be a string)")
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("'payload.custom_details' is invalid (must be an object)")
    return found


def make_pagerduty_app(service: PagerDutyService, faults: Faults | None = None) -> ASGIApp:
    """The server: POST /v2/enqueue."""

    async def enqueue(request: Request) -> Response:
        raw = await request.body()
        body = json.loads(raw) if len(raw) <= PAGERDUTY_BYTES_MAX and _is_json(raw) else None
        found, service.errors = service.errors or wrong_with(body), []
        if body is not None and not found and body["routing_key"] != service.routing_key:
            # Of this alone it tells in plain text.
            return PlainTextResponse("Invalid routing key", 400)
        if body is None or found:
            refused = {"status": "invalid event", "message": "Event object is invalid", "errors": found}
            return JSONResponse(refused, 400)
        if service.is_too_fast():
            words = "Requests for this service are arriving too quickly.  Please retry later."
            return JSONResponse({"status": "throttle exceeded", "message": words}, 429)
        key = service.apply(body)
        return JSONResponse({"status": "success", "message": "Event processed", "dedup_key": key}, 202)

    app = Starlette(routes=[Route("/v2/enqueue", enqueue, methods=["POST"])])
    return app if faults is None else faults.wrap(app)
