"""The line of Socket Mode: a WebSocket that we open to Slack, over which it tells what people did.

What may live here: opening lines, replacing them in time, reading and acknowledging envelopes. Sources:
Slack's documentation of Socket Mode ("Socket Mode implementation") and of apps.connections.open.

slack_sdk's own clients of Socket Mode are not used: on `disconnect` they close the old line at once, so that
what was still on it is lost (Slack does not repeat presses); their queue has no bound; they wait for their
threads without a limit when closed; the built-in one speaks TLS on port 443 only and cannot read fragments,
and the other one can be given neither an own CA nor a limit for a message.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from alerts.contract import ChannelSurroundings, Hearing
from alerts.slack.api import SlackApi
from alerts.slack.payloads import Call, read_command, read_press
from wire.errors import EdgeError, Malformed, NotAllowed, RetryAt
from wire.exchange import Bounds, bounded, connect, tls_context
from wire.http import HttpOptions
from wire.secret import Secret

if TYPE_CHECKING:
    import socket

    from websockets.sync.client import ClientConnection

OPEN_SECONDS_MAX = 10.0
CLOSE_SECONDS_MAX = 1.0
"""Slack answers the close frame, and leaves the TCP connection open."""
PING_SECONDS = 10.0
MESSAGE_BYTES_MAX = 1024 * 1024
DRAIN_SECONDS_MAX = 30.0
"""So long an old line is still read once Slack has said that it will end; Slack itself ends it sooner."""
LINES_MAX = 3
"""Open at once: one, and old ones that are being drained. Slack allows ten for all of an app."""
STEADY_SECONDS = 10.0
"""A line that lasted so long was a good one: the next may be opened at once."""
PAUSE_FIRST, PAUSE_MAX, PAUSE_LONG = 0.2, 60.0, 60.0

_READ_SECONDS = 5.0
_ENDS_FOR_LONG = {
    "link_disabled": "Socket Mode was switched off in the app's settings",
    "too_many_websockets": "more than ten lines are open for this app: is it also used elsewhere?",
}


@dataclass(slots=True, eq=False)
class _Line:
    """One open line. `leaving` is set once another one is needed; `reason` is Slack's word for why."""

    connection: ClientConnection
    closing: ExitStack  # for the thread that reads it; others close the connection
    age: Bounds
    leaving: threading.Event = field(default_factory=threading.Event)
    reason: str = ""

    @property
    def steady(self) -> bool:
        return self.age.seconds_left() <= 0


class SocketLine:
    """Keeps a line open, in threads of its own.

    `take` is handed each thing that a person did, and says whether it was taken: only then it is
    acknowledged. `note` changes how well we hear.
    """

    def __init__(
        self,
        api: SlackApi,
        app_token: Secret,
        surroundings: ChannelSurroundings,
        *,
        take: Callable[[Call], bool],
        note: Callable[[Callable[[Hearing], Hearing]], None],
    ) -> None:
        self._api = api
        self._app_token = app_token
        self._options: HttpOptions = surroundings.http
        self._clock: Callable[[], datetime] = surroundings.clock
        self._take = take
        self._note = note
        self._lines: list[_Line] = []
        self._lock = threading.Lock()
        self._opened = 0
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="slack-line", daemon=True)
        # websockets writes handshakes, whose addresses hold the ticket, into its log.
        self._silence = logging.Logger("slack-line")
        self._silence.disabled = True

    def start(self) -> None:
        """Begin to keep a line open."""
        self._keeper.start()

    def stop(self, seconds_max: float) -> None:
        """Close all lines, in the given time or a little later by themselves."""
        bounds = Bounds(seconds_max, 0)
        self._stopping.set()
        threads = [self._keeper] if self._keeper.is_alive() else []
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.leaving.set()
            threads.append(threading.Thread(target=line.connection.close, name="slack-bye", daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(max(0.0, bounds.seconds_left()))

    def _keep(self) -> None:
        """Open a line whenever one is needed, until told to stop; slower and slower where that fails."""
        failures = 0
        while not self._stopping.is_set():
            pause: float | None = None
            try:
                line = self._open()
                threading.Thread(target=self._read, args=(line,), name="slack-read", daemon=True).start()
                line.leaving.wait()
                failures = 0 if line.steady else failures + 1
                pause = PAUSE_LONG if line.reason in _ENDS_FOR_LONG else None
            except EdgeError as error:
                failures += 1
                self._trouble(str(error))
                pause = self._asked_for(error)
            except Exception as error:
                # Nobody would see that this thread had ended: an ear that is deaf and seems well.
                failures += 1
                self._trouble(f"the line to Slack could not be kept ({type(error).__name__})")
            self._stopping.wait(_backoff(failures) if pause is None else pause)

    def _asked_for(self, error: EdgeError) -> float | None:
        """How long the trouble itself says to wait; None: as usual."""
        if isinstance(error, RetryAt) and error.at is not None:
            return min(3600.0, max(0.0, (error.at - self._clock()).total_seconds()))
        return PAUSE_LONG if isinstance(error, NotAllowed) else None

    def _open(self) -> _Line:
        """A new line, on which Slack has said hello. Raises EdgeError."""
        bounds = Bounds(OPEN_SECONDS_MAX, 0)
        url = self._api.open_line(self._app_token, bounds)
        closing = ExitStack()
        try:
            connection = closing.enter_context(self._connect(url, bounds))
            hello = _object(connection.recv(timeout=bounds.require_time()))
        except EdgeError:
            closing.close()
            raise
        except Exception as error:
            # Their texts may hold the address, and with it the ticket.
            closing.close()
            raise RetryAt(f"the line to Slack could not be opened ({type(error).__name__})") from None
        if hello.get("type") != "hello":
            closing.close()
            reason = _reason(hello)
            if reason in _ENDS_FOR_LONG:
                raise NotAllowed(f"Slack did not open the line: {_ENDS_FOR_LONG[reason]}")
            raise RetryAt(f"Slack did not open the line: {reason}")
        line = _Line(connection, closing, Bounds(STEADY_SECONDS, 0))
        now = self._clock()
        with self._lock:
            self._lines.append(line)
            oldest = self._lines[0] if len(self._lines) > LINES_MAX else None
            again = 1 if self._opened else 0
            self._opened += 1
            # Within the lock, so that an old line that ends now does not make us seem deaf.
            self._note(
                lambda state: replace(
                    state, connected_since=now, reconnects=state.reconnects + again, trouble=""
                )
            )
        if oldest is not None:
            oldest.connection.close()
        if self._stopping.is_set():
            line.leaving.set()
            connection.close()
        return line

    def _connect(self, url: str, bounds: Bounds) -> ClientConnection:
        """The WebSocket, over a connection that we made: so it follows no redirect, and asks no environment
        for proxies."""
        from websockets.sync.client import connect as open_websocket

        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        context = tls_context(self._options.ca_file) if secure else None
        sock = _connect(parts.hostname or "", parts.port or (443 if secure else 80), self._options, bounds)
        return open_websocket(
            url,
            sock=sock,
            ssl=context,
            proxy=None,
            compression=None,
            user_agent_header=self._options.user_agent,
            open_timeout=max(0.1, bounds.seconds_left()),
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=CLOSE_SECONDS_MAX,
            max_size=MESSAGE_BYTES_MAX,
            logger=self._silence,
        )

    def _read(self, line: _Line) -> None:
        """Read one line to its end."""
        from websockets.exceptions import ConnectionClosed

        draining: Bounds | None = None
        try:
            while draining is None or draining.seconds_left() > 0:
                try:
                    heard = line.connection.recv(timeout=_READ_SECONDS)
                except TimeoutError:
                    continue
                if self._heed(line, _object(heard)) and draining is None:
                    draining = Bounds(DRAIN_SECONDS_MAX, 0)
                    line.leaving.set()
        except ConnectionClosed:
            pass
        except Exception as error:
            self._trouble(f"the line to Slack broke ({type(error).__name__})")
        finally:
            with self._lock:
                self._lines.remove(line)
                if not self._lines:
                    self._note(lambda state: replace(state, connected_since=None))
            line.leaving.set()
            line.closing.close()

    def _heed(self, line: _Line, envelope: Mapping[str, Any]) -> bool:
        """Do what an envelope asks for; True where Slack says that the line will end."""
        kind, id, payload = envelope.get("type"), envelope.get("envelope_id"), envelope.get("payload")
        if kind == "disconnect":
            line.reason = _reason(envelope)
            if line.reason in _ENDS_FOR_LONG:
                self._trouble(f"Slack ends the line: {_ENDS_FOR_LONG[line.reason]}")
            return True
        if not isinstance(id, str) or not 0 < len(id) <= 100 or self._stopping.is_set():
            return False
        call: Call | None = None
        try:
            if isinstance(payload, dict) and kind == "interactive":
                call = read_press(payload, id, self._clock())
            elif isinstance(payload, dict) and kind == "slash_commands":
                call = read_command(payload, id, self._clock())
        except Malformed as error:
            self._trouble(str(error))
        # What is nothing to us is acknowledged, too: a remark in a thread, a button that opened a page.
        if call is None or self._take(call):
            line.connection.send(json.dumps({"envelope_id": id}))
        return False

    def _trouble(self, words: str) -> None:
        self._note(lambda state: replace(state, trouble=words))


def _connect(host: str, port: int, options: HttpOptions, bounds: Bounds) -> socket.socket:
    """A TCP connection to there, through the proxy if there is one. Raises OSError."""
    if options.proxy is None:
        with bounded(bounds):
            sock: socket.socket = connect(host, port)
    else:
        from http.client import HTTPConnection

        proxy = urlsplit(options.proxy)
        tunnel = HTTPConnection(proxy.hostname or "", proxy.port or 80, timeout=bounds.require_time())
        tunnel.set_tunnel(host, port, _proxy_headers(proxy.username, proxy.password))
        try:
            tunnel.connect()
        except Exception:
            tunnel.close()
            raise
        sock = tunnel.sock
    # From here on the WebSocket has limits of its own.
    sock.settimeout(None)
    return sock


def _proxy_headers(username: str | None, password: str | None) -> dict[str, str]:
    if username is None:
        return {}
    import base64

    pair = f"{unquote(username)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}


def _object(heard: str | bytes) -> Mapping[str, Any]:
    """A message as JSON; what is none is nothing to us."""
    try:
        value = json.loads(heard) if isinstance(heard, str) else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _reason(envelope: Mapping[str, Any]) -> str:
    """Slack's word for why a line ends, if it is a word."""
    reason = envelope.get("reason")
    plain = isinstance(reason, str) and reason.isascii() and reason.replace("_", "").isalpha()
    return str(reason)[:40] if plain else "no reason"


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row: none after none, then more and more, and not all at
    the same moment."""
    if failures == 0:
        return 0.0
    return min(PAUSE_MAX, PAUSE_FIRST * 2.0 ** min(failures - 1, 12)) * random.uniform(0.75, 1.25)
