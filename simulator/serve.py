"""Serving an ASGI app on loopback from a thread, for as long as a test or a demo needs it."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

START_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 5.0


class Served:
    """An app on 127.0.0.1, at a free port or at a given one (so that it can come back after an outage)."""

    def __init__(self, app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> None:
        self._app = app
        self._address = (host, port)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def start(self) -> None:
        """Return when it accepts. Raises RuntimeError where it does not within ten seconds."""
        # With the protocol named, asyncio sets TCP_NODELAY; without it every answer waits for 40 ms.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(self._address)
        host, port = listener.getsockname()
        self._address = (host, port)
        self.url = f"http://{host}:{port}"
        config = uvicorn.Config(
            self._app,
            access_log=False,
            log_level="critical",
            lifespan="off",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # not the main thread
        self._server = server
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS_MAX
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"the simulator did not start on {self.url}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Close it; whoever is connected is cut off."""
        if self._server is not None:
            self._server.should_exit = True
            self._server.force_exit = True
        if self._thread is not None:
            self._thread.join(STOP_SECONDS_MAX)

    def __enter__(self) -> Served:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
