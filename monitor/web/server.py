"""The HTTP server: uvicorn in a thread of its own, bounded against clients that mean no good."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 5.0
GRACE_SECONDS = 2
CONNECTION_SECONDS_MAX = 30.0
"""How long a connection may live, whatever it does. uvicorn bounds the pause between requests only, so a
client that sends its request a byte at a time would keep a connection for ever."""

KEEP_ALIVE_SECONDS = 5
TICK_SECONDS = 1.0
CONNECTIONS_MAX = 64
REQUEST_HEAD_BYTES_MAX = 16 * 1024

log = structlog.get_logger()


class WebError(Exception):
    """The server could not start: says where it should listen, why it cannot, and what to do."""


class WebServer:
    """Serves an application on `host`:`port` (0: any free port; `port` tells which) until `stop`.

    `connection_seconds_max`: how long one connection may live.
    """

    def __init__(
        self, app: Starlette, host: str, port: int, connection_seconds_max: float = CONNECTION_SECONDS_MAX
    ) -> None:
        self.host = host
        self.port = port
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http=_bounded(connection_seconds_max),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_MAX,
            backlog=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            h11_max_incomplete_event_size=REQUEST_HEAD_BYTES_MAX,
        )
        self._server = uvicorn.Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._settled = threading.Event()
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and return once requests are answered. Raises WebError."""
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(listener,), name="web", daemon=True)
        self._thread.start()
        self._settled.wait(START_SECONDS_MAX)
        if not self._server.started:
            self._end()
            listener.close()
            why = self._failure if self._failure is not None else f"no start within {START_SECONDS_MAX:.0f} s"
            raise WebError(f"[web] {_where(self.host, self.port)}: the server did not start: {why}")

    def stop(self) -> None:
        """Answer what is under way and stop, within seconds. May be called twice, or without a start."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._end()
        thread.join(STOP_SECONDS_MAX)
        if thread.is_alive():
            self._server.force_exit = True
            thread.join(1.0)
            log.warning("the web server did not stop in time; it ends with the process")

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except BaseException as error:  # uvicorn may exit; this thread must not take that for the process
            self._failure = error
            log.error("the web server failed", error=f"{type(error).__name__}: {error}")
        finally:
            self._settled.set()

    async def _serve(self, listener: socket.socket) -> None:
        """What uvicorn's own `serve` does, but for its main loop, which wakes ten times a second: that is
        more than all the rest of an idle daemon takes."""
        server, self._loop = self._server, asyncio.get_running_loop()
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[listener])
        await server.on_tick(0)
        self._settled.set()
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)
            await server.on_tick(0)  # the Date header
        await server.shutdown(sockets=[listener])

    def _end(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)


def _listen(host: str, port: int) -> socket.socket:
    where = _where(host, port)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise WebError(f"[web] {where} cannot be listened on: {error.strerror}; check host") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(CONNECTIONS_MAX)
    except OSError as error:
        listener.close()
        raise WebError(
            f"[web] {where} cannot be listened on: {error.strerror}; stop what listens there, "
            "or set another host or port"
        ) from None
    return listener


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bounded(seconds_max: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, whose connections end after a set time."""

    class Bounded(H11Protocol):
        """One connection with an end. The class is uvicorn's way to plug a protocol in."""

        _end: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._end = self.loop.call_later(seconds_max, self._cut)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._end is not None:
                self._end.cancel()
            super().connection_lost(exc)

        def _cut(self) -> None:
            self.transport.abort()

    return Bounded
