"""Slack's side of Socket Mode: tickets, lines over a real WebSocket, envelopes and their acknowledgements.

What may live here: how Slack speaks on a line, and what of it a careful client must cope with (lines that are
to be replaced, that end without a word, too many of them, presses that come twice). It knows nothing of what
is in an envelope. It is told things by any thread; the server's own loop sends them. Source: Slack's
documentation of Socket Mode and of apps.connections.open.
"""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

LINES_MAX = 10
ACKNOWLEDGE_SECONDS = 3.0


@dataclass(slots=True, eq=False)
class Envelope:
    """Something that was told. `heard` is set when it is acknowledged; `status` is an HTTP answer's."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    heard: threading.Event = field(default_factory=threading.Event)
    status: int | None = None

    def acknowledged(self, seconds: float = ACKNOWLEDGE_SECONDS) -> bool:
        """Whether it is acknowledged in time; Slack waits for three seconds."""
        return self.heard.wait(seconds)


@dataclass(slots=True, eq=False)
class Line:
    """One open line. `leaving`: Slack said that it will end."""

    loop: asyncio.AbstractEventLoop
    outbox: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    leaving: bool = False

    def send(self, message: Mapping[str, Any] | str | None) -> None:
        """Say it on this line, from any thread; None ends the line."""
        text = message if message is None or isinstance(message, str) else json.dumps(message)
        self.loop.call_soon_threadsafe(self.outbox.put_nowait, text)


class Lines:
    """All lines of one app. `opened` counts them; `on_open` is called with how many are open then."""

    def __init__(self, on_open: Callable[[int], None] = lambda count: None) -> None:
        self.opened = 0
        self.lines_max = LINES_MAX
        self.envelopes: list[Envelope] = []
        self.stray: list[str] = []
        self._on_open = on_open
        self._tickets: set[str] = set()
        self._lines: list[Line] = []
        self._waiting: dict[str, Envelope] = {}
        self._changed = threading.Condition()

    @property
    def open(self) -> list[Line]:
        """The lines that are open, the oldest first."""
        with self._changed:
            return list(self._lines)

    def issue_ticket(self) -> str:
        """A ticket for one line."""
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        return ticket

    def wait_for(self, opened: int, seconds: float = 10.0) -> bool:
        """Wait until so many lines were opened in all, and one of them still is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.opened >= opened and bool(self._lines), seconds)

    def wait_closed(self, seconds: float = 10.0) -> bool:
        """Wait until no line is open."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines, seconds)

    def tell(self, kind: str, payload: Mapping[str, Any], *, on: Line | None = None) -> Envelope:
        """Tell the app. Where no line is open nobody hears it, and Slack does not say it again."""
        envelope = Envelope(str(uuid.uuid4()), kind, payload)
        self.envelopes.append(envelope)
        self._waiting[envelope.id] = envelope
        lines = self.open
        staying = [line for line in lines if not line.leaving] or lines
        line = on or (staying[-1] if staying else None)
        if line is not None:
            self.repeat(envelope, line)
        return envelope

    def repeat(self, envelope: Envelope, line: Line) -> None:
        """The same envelope on a line, perhaps once more."""
        message = {
            "envelope_id": envelope.id,
            "type": envelope.kind,
            "accepts_response_payload": envelope.kind == "slash_commands",
            "payload": envelope.payload,
        }
        line.send(message)

    def say_goodbye(self, reason: str = "refresh_requested") -> None:
        """Say on every line that it will end; it goes on until it is closed."""
        for line in self.open:
            line.leaving = True
            line.send({"type": "disconnect", "reason": reason, "debug_info": {"host": "wss-111.slack.com"}})

    def close(self, *, leaving_only: bool = False) -> None:
        """End lines, with no more words."""
        for line in self.open:
            if line.leaving or not leaving_only:
                line.send(None)

    async def serve(self, websocket: WebSocket) -> None:
        """The endpoint. A ticket is good for one line."""
        ticket = websocket.query_params.get("ticket", "")
        if ticket not in self._tickets:
            await websocket.close()
            return
        self._tickets.discard(ticket)
        await websocket.accept()
        line = Line(asyncio.get_running_loop())
        with self._changed:
            too_many = len(self._lines) >= self.lines_max
            if not too_many:
                self._lines.append(line)
        if too_many:
            await websocket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await websocket.close()
            return
        sender = asyncio.create_task(self._send(websocket, line))
        try:
            while True:
                self._acknowledge(await websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            sender.cancel()
            with self._changed:
                self._lines.remove(line)
                self._changed.notify_all()

    async def _send(self, websocket: WebSocket, line: Line) -> None:
        count = len(self._lines)
        hello = {
            "type": "hello",
            "num_connections": count,
            "debug_info": {"host": "applink-1", "build_number": 10, "approximate_connection_time": 18060},
            "connection_info": {"app_id": "A0SIMULATED"},
        }
        await websocket.send_json(hello)
        with self._changed:
            self.opened += 1
            self._changed.notify_all()
        self._on_open(count)
        while (text := await line.outbox.get()) is not None:
            await websocket.send_text(text)
        await websocket.close()

    def _acknowledge(self, text: str) -> None:
        """What the app says is the id of what it heard, and nothing else."""
        try:
            id = json.loads(text).get("envelope_id")
        except (ValueError, AttributeError):
            id = None
        envelope = self._waiting.get(str(id))
        if envelope is None:
            self.stray.append(text)
        else:
            envelope.heard.set()
