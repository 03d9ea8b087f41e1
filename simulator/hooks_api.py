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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Clock

if TYPE_CHECKING:
    from simulator.faults import Faults

SIGNING_SECRET = "whsec_" + base64.b64encode(b"simulated-signing-secret-of-32-b").decode("ascii")
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
