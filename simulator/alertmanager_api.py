"""A Prometheus Alertmanager, as far as taking alerts goes: its v2 API's alerts and status.

What may live here: what the real one accepts and refuses, and how it merges what has the same labels; a test
asks a real one the same. It sends no notifications. Sources: Alertmanager's OpenAPI specification, and its
behaviour in version 0.25.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from simulator.world import Clock

if TYPE_CHECKING:
    from simulator.faults import Faults

BEARER = "simulated-bearer-of-alertmanager"
RESOLVE_TIMEOUT = timedelta(minutes=5)
VERSION = "0.25.0"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:([!-$&-~]|%[0-9A-Fa-f]{2})+|/([!-$&-~]|%[0-9A-Fa-f]{2})*")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")


@dataclass(frozen=True, slots=True)
class Held:
    """One alert as it stands: its identity is its labels. `timeout`: its end was not given."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    generator_url: str = ""
    timeout: bool = False

    def fires(self, now: datetime) -> bool:
        """Whether it is not over yet."""
        return self.ends_at > now


class Alertmanager:
    """The state behind the server. `bearer` None: anybody may post. `password` is of the user "monitor".
    `posted` are the entries that were accepted, as they came; `errors` are the bodies that the next posts are
    refused with, one each (status 400)."""

    def __init__(self, clock: Clock, *, bearer: str | None = BEARER, password: str | None = None) -> None:
        self.clock = clock
        self.bearer = bearer
        self.password = password
        self.held: dict[tuple[tuple[str, str], ...], Held] = {}
        self.posted: list[Mapping[str, Any]] = []
        self.errors: list[str] = []

    def refuse(self, *reasons: str) -> None:
        """The next posts are refused for these reasons, one each."""
        self.errors += reasons

    def firing(self) -> list[Held]:
        """What fires now."""
        return [one for one in self.held.values() if one.fires(self.clock.now())]

    def over(self) -> list[Held]:
        """What fired and is over."""
        return [one for one in self.held.values() if not one.fires(self.clock.now())]

    def take(self, entry: Mapping[str, Any]) -> str | None:
        """Merge one entry into what is held; why it is not taken, or None."""
        now = self.clock.now()
        labels = {name: text for name, text in entry["labels"].items() if text}
        starts, ends = _moment(entry.get("startsAt")), _moment(entry.get("endsAt"))
        given = Held(
            labels,
            entry.get("annotations", {}),
            starts or ends or now,
            ends or now + RESOLVE_TIMEOUT,
            now,
            entry.get("generatorURL", ""),
            timeout=ends is None,
        )
        wrong = _wrong_with(given)
        if wrong is None:
            key = tuple(sorted(labels.items()))
            old = self.held.get(key)
            self.held[key] = given if old is None else _merge(old, given, now)
            self.posted.append(entry)
        return wrong

    def allows(self, authorization: str) -> bool:
        """Whether somebody with this header may come in."""
        pair = base64.b64encode(f"monitor:{self.password}".encode()).decode("ascii")
        allowed = {f"Bearer {self.bearer}"} if self.bearer is not None else set()
        allowed |= {f"Basic {pair}"} if self.password is not None else set()
        return not allowed or authorization in allowed


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def _wrong_with(given: Held) -> str | None:
    if given.ends_at < given.starts_at:
        return "start time must be before end time"
    if not given.labels:
        return "at least one label pair required"
    for what, names in (("label set", given.labels), ("annotations", given.annotations)):
        for name in names:
            if not _NAME.fullmatch(name):
                return f'invalid {what}: invalid name "{name}"'
    return None


def _merge(old: Held, new: Held, now: datetime) -> Held:
    """Alerts with the same labels whose times overlap are one, from the earliest start. An end that is past
    counts; of ends to come the later one does, unless that was only a time-out."""
    into = old.starts_at < new.ends_at < old.ends_at
    out_of = old.starts_at < new.starts_at < old.ends_at
    if not (into or out_of):
        return new
    ends = new.ends_at
    if new.fires(now):
        ends = old.ends_at if old.ends_at > new.ends_at and not old.timeout else ends
    elif not old.fires(now):
        ends = max(old.ends_at, new.ends_at)
    return replace(new, starts_at=min(old.starts_at, new.starts_at), ends_at=ends)


def _unreadable(body: Any) -> str | None:
    """What keeps a request's body from being read as a list of alerts; None: it is one."""
    if not isinstance(body, list) or not all(isinstance(entry, dict) for entry in body):
        return "cannot unmarshal into models.PostableAlerts"
    for entry in body:
        for name in ("labels", "annotations"):
            texts = entry.get(name) or {}
            if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
                return f"cannot unmarshal into field Alert.{name} of type string"
        for name in ("startsAt", "endsAt"):
            if name in entry and not _STAMP.fullmatch(str(entry[name])):
                return f'parsing time "{entry[name]}"'
    return None


def _against_specification(body: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the specification finds wrong with a list of alerts; None: nothing."""
    for number, entry in enumerate(body):
        if entry.get("labels") is None:
            return {"code": 602, "message": f"{number}.labels in body is required"}
        link = entry.get("generatorURL", "")
        if link and not (isinstance(link, str) and _URI.fullmatch(link)):
            message = f'{number}.generatorURL in body must be of type uri: "{link}"'
            return {"code": 601, "message": message}
    return None


def make_alertmanager_app(manager: Alertmanager, faults: Faults | None = None) -> ASGIApp:
    """The server."""

    async def post_alerts(request: Request) -> Response:
        if not manager.allows(request.headers.get("authorization", "")):
            return Response("Unauthorized\n", 401)
        kind = request.headers.get("content-type", "").split(";")[0]
        if kind != "application/json":
            message = f'unsupported media type "{kind}", only [application/json] are allowed'
            return JSONResponse({"code": 415, "message": message}, 415)
        try:
            body = json.loads((await request.body()).decode("utf-8"))
        except ValueError:
            return JSONResponse({"code": 400, "message": 'parsing alerts body from "" failed'}, 400)
        unreadable = _unreadable(body)
        if unreadable is not None:
            message = f'parsing alerts body from "" failed, because {unreadable}'
            return JSONResponse({"code": 400, "message": message}, 400)
        against = _against_specification(body)
        if against is not None:
            return JSONResponse(against, 422)
        if manager.errors:
            return JSONResponse(manager.errors.pop(0), 400)
        wrong = [reason for reason in (manager.take(entry) for entry in body) if reason is not None]
        return JSONResponse("; ".join(wrong), 400) if wrong else Response(b"", 200)

    async def get_alerts(request: Request) -> Response:
        return JSONResponse([_shown(one) for one in manager.firing()])

    async def get_status(request: Request) -> Response:
        if not manager.allows(request.headers.get("authorization", "")):
            return Response("Unauthorized\n", 401)
        return JSONResponse(
            {
                "cluster": {"status": "ready", "name": "01SIM", "peers": [{"name": "01SIM", "address": ""}]},
                "config": {"original": "route: {receiver: none}\n"},
                "uptime": manager.clock.now().isoformat(),
                "versionInfo": {"version": VERSION},
            }
        )

    app = Starlette(
        routes=[
            Route("/api/v2/alerts", post_alerts, methods=["POST"]),
            Route("/api/v2/alerts", get_alerts, methods=["GET"]),
            Route("/api/v2/status", get_status, methods=["GET"]),
        ]
    )
    return app if faults is None else faults.wrap(app)


def _shown(one: Held) -> dict[str, Any]:
    return {
        "labels": dict(one.labels),
        "annotations": dict(one.annotations),
        "startsAt": one.starts_at.isoformat(),
        "endsAt": one.ends_at.isoformat(),
        "updatedAt": one.updated_at.isoformat(),
        "generatorURL": one.generator_url,
        "fingerprint": hashlib.sha256(repr(sorted(one.labels.items())).encode()).hexdigest()[:16],
        "receivers": [{"name": "none"}],
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    }
