"""What goes wrong on the way: errors, time-outs, broken bodies, doubles, delays; planned or by chance.

It stands in front of a server as ASGI middleware, and knows nothing of any platform but the shapes in which
lists come: X's `{"data": [...]}`, Reddit's `{"data": {"children": [...]}}`, Bluesky's, which have names, and
bare ones.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator.world import Clock

LOG_MAX = 10_000
_NAMED_LISTS = ("notifications", "posts", "feed", "messages", "logs", "reviews")
_HTML = b"<html><body><h1>We are over capacity</h1></body></html>"


class FaultKind(StrEnum):
    """What can go wrong with one exchange."""

    ERROR = "error"  # a status and an error body instead of the answer
    RATE_LIMIT = "rate_limit"  # 429, with the headers that are given
    HANG = "hang"  # nothing for a while, then the answer
    DELAY = "delay"  # the answer comes late
    TRUNCATED = "truncated"  # the first half of the body
    HTML = "html"  # 200, and a page for people
    MALFORMED = "malformed"  # a broken item among the good ones
    DROP = "drop"  # the connection ends before the request is taken
    DROP_AFTER = "drop_after"  # the request is taken, and the connection ends before the answer
    DOUBLE = "double"  # items come twice, in another order


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. `seconds` are pretended ones, of a hang or a delay."""

    kind: FaultKind
    status: int = 500
    seconds: float = 30.0
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Plan:
    """A fault, and the requests that it befalls."""

    path_contains: str
    fault: Fault
    left: int | None = None
    share: float = 1.0
    start: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True)
class Faults:
    """All that is to go wrong. `log` holds what did: (pretended time, path, kind); `asked` every request that
    came: (method, path)."""

    clock: Clock
    seed: int = 0
    log: deque[tuple[datetime, str, FaultKind]] = field(default_factory=lambda: deque(maxlen=LOG_MAX))
    asked: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=LOG_MAX))
    _plans: list[_Plan] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def once(self, path_contains: str, fault: Fault, times: int = 1) -> None:
        """The next requests whose path contains that go wrong, so many times."""
        with self._lock:
            self._plans.append(_Plan(path_contains, fault, left=times))

    def share(
        self,
        path_contains: str,
        fault: Fault,
        share: float,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """That share of such requests goes wrong, by the seed, in a window of pretended time."""
        with self._lock:
            self._plans.append(_Plan(path_contains, fault, share=share, start=start, end=end))

    def between(self, path_contains: str, fault: Fault, start: datetime, end: datetime) -> None:
        """Every such request in that window goes wrong."""
        self.share(path_contains, fault, 1.0, start, end)

    def clear(self) -> None:
        """All is well again."""
        with self._lock:
            self._plans.clear()

    def next(self, path: str) -> Fault | None:
        """What befalls a request to that path now."""
        now = self.clock.now()
        with self._lock:
            for plan in self._plans:
                if plan.path_contains not in path or plan.left == 0:
                    continue
                if (plan.start and now < plan.start) or (plan.end and now >= plan.end):
                    continue
                if plan.share < 1.0 and self._random.random() >= plan.share:
                    continue
                if plan.left is not None:
                    plan.left -= 1
                self.log.append((now, path, plan.fault.kind))
                return plan.fault
        return None

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The app, with these faults in front of it."""

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            fault = None
            if scope["type"] == "http":
                self.asked.append((scope["method"], scope["path"]))
                fault = self.next(scope["path"])
            if fault is None:
                await app(scope, receive, send)
            else:
                await self._befall(fault, app, scope, receive, send)

        return faulty

    async def _befall(self, fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        match fault.kind:
            case FaultKind.ERROR | FaultKind.RATE_LIMIT:
                status = 429 if fault.kind is FaultKind.RATE_LIMIT else fault.status
                body = json.dumps({"title": "Fault", "detail": "on purpose", "status": status}).encode()
                await _answer(send, status, body, "application/json", fault.headers)
            case FaultKind.HTML:
                await _answer(send, 200, _HTML, "text/html", ())
            case FaultKind.DROP:
                _cut(send)
            case FaultKind.DROP_AFTER:
                await _collect(app, scope, receive)
                _cut(send)
            case FaultKind.HANG | FaultKind.DELAY:
                await asyncio.sleep(fault.seconds / self.clock.rate)
                await app(scope, receive, send)
            case _:
                start, body = await _collect(app, scope, receive)
                await self._mangle(fault.kind, start, body, send)

    async def _mangle(self, kind: FaultKind, start: Message, body: bytes, send: Send) -> None:
        truncated = kind is FaultKind.TRUNCATED
        body = body[: len(body) // 2] if truncated else self._rearranged(kind, body)
        headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _rearranged(self, kind: FaultKind, body: bytes) -> bytes:
        try:
            page = json.loads(body)
        except ValueError:
            return body
        rows = _rows_of(page)
        if rows is None:
            return body
        with self._lock:
            if kind is FaultKind.DOUBLE:
                rows += self._random.sample(rows, len(rows) // 2)
                self._random.shuffle(rows)
            else:
                rows.insert(
                    self._random.randint(0, len(rows)), {"id": ["?"], "data": 7, "text": None, "kind": 0}
                )
        return json.dumps(page).encode()


def _rows_of(page: Any) -> list[Any] | None:
    if isinstance(page, list):
        return page
    if not isinstance(page, dict):
        return None
    data = page.get("data")
    if isinstance(data, dict):
        data = data.get("children")
    if data is None:
        data = next((page[name] for name in _NAMED_LISTS if name in page), None)
    return data if isinstance(data, list) else None


async def _answer(
    send: Send, status: int, body: bytes, kind: str, headers: tuple[tuple[str, str], ...]
) -> None:
    raw = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    raw += [(k.lower().encode(), v.encode()) for k, v in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """Let the app answer, and keep what it says."""
    start: Message = {"type": "http.response.start", "status": 500, "headers": []}
    body = bytearray()

    async def keep(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            start = message
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, keep)
    return start, bytes(body)


def _cut(send: Send) -> None:
    """End the connection without a word. ASGI has no way to say so; uvicorn's `send` belongs to an object
    that holds the transport, and what it says on a closed one goes nowhere."""
    cycle: Any = getattr(send, "__self__", None)
    if cycle is not None:
        cycle.transport.close()
