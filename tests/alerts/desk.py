"""A desk that notes what it is brought, and is as slow as a test wants; and a web server that a listener
stands behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from alerts.contract import Asked, Listener, Press, WaitingLine
from simulator.serve import Served

SECONDS_MAX = 10.0


class NotedDesk:
    """Notes presses and questions. `refusal`: it refuses with these words; `breaks`: it breaks its contract.
    While `open` is not set it does not come back."""

    def __init__(self) -> None:
        self.presses: list[Press] = []
        self.questions: list[Asked] = []
        self.lines: list[WaitingLine] = []
        self.refusal = ""
        self.breaks = False
        self.says = "taken by @ana"
        self.open = threading.Event()
        self.open.set()
        self._changed = threading.Condition()

    def act(self, press: Press) -> str:
        """Note it."""
        with self._changed:
            self.presses.append(press)
            self._changed.notify_all()
        self.open.wait(SECONDS_MAX)
        if self.breaks:
            raise RuntimeError("xoxb-simulated broke")
        if self.refusal:
            raise ValueError(self.refusal)
        return self.says

    def waiting(self, asked: Asked) -> Sequence[WaitingLine]:
        """What it was told to say."""
        with self._changed:
            self.questions.append(asked)
            self._changed.notify_all()
        return self.lines

    def brought(self, presses: int) -> bool:
        """Wait until so many presses were brought."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.presses) >= presses, SECONDS_MAX)


class Door:
    """Where a web server hands callbacks to: the listener that stands behind it now. `url` is its address."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.url = ""

    async def take(self, request: Request) -> Response:
        """Hand it over, from a thread, as the listener may be called by any."""
        if self.listener is None:
            return PlainTextResponse("nobody is in", 503)
        answer = await run_in_threadpool(self.listener.receive, dict(request.headers), await request.body())
        return PlainTextResponse(answer.body, answer.status)


@contextmanager
def served() -> Iterator[Door]:
    """A web server with such a door."""
    door = Door()
    with Served(Starlette(routes=[Route("/slack", door.take, methods=["POST"])])) as server:
        door.url = f"{server.url}/slack"
        yield door
