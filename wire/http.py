"""The bounded HTTP client: a time limit over the whole exchange, body and redirect limits, own CA, proxy."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from wire.errors import Malformed, Refused, RetryAt

RETRY_AFTER_SECONDS_MAX = 3600.0


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How we talk HTTP to anybody. `proxy` is a URL; `ca_file` a PEM bundle trusted beside the system's."""

    proxy: str | None = None
    ca_file: Path | None = None
    body_bytes_max: int = 8 * 1024 * 1024
    user_agent: str = "response-monitor"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON. Raises Malformed for HTML, a truncated body, NaN, or nesting too deep."""
        return parse_json(self.body)


def parse_json(body: bytes) -> Any:
    """Read JSON from a stranger. Raises Malformed, which never repeats the body."""
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else f"not JSON ({type(error).__name__})"
        raise Malformed(f"the answer is {kind}, {len(body)} bytes") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def trust(options: HttpOptions) -> ssl.SSLContext:
    """Whom we trust: the system's authorities, and the configured one beside them."""
    context = ssl.create_default_context()
    if options.ca_file is not None:
        context.load_verify_locations(cafile=str(options.ca_file))
    return context


def say_host(url: str) -> str:
    """Scheme, host and port of a URL: its path and query may be secrets (webhooks)."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def retry_at(
    headers: Mapping[str, str], now: datetime, *, limit_seconds_max: float = RETRY_AFTER_SECONDS_MAX
) -> datetime | None:
    """When Retry-After allows another try: seconds or an HTTP date, clamped to [now, now + limit].

    None where it is missing or cannot be read. `headers` has lower-case names.
    Source: RFC 9110, section 10.2.3.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    latest = now + timedelta(seconds=limit_seconds_max)
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return min(max(now, at if at.tzinfo is not None else at.replace(tzinfo=UTC)), latest)
    if seconds != seconds:
        return None
    return now + timedelta(seconds=min(max(0.0, seconds), limit_seconds_max))


class HttpClient:
    """A client for one channel or one errand; one request at a time.

    httpx's time-outs are per read, so a peer that trickles would hold us for ever: when the time is up, a
    timer shuts the sockets down, which ends whatever read was under way. The sockets are learnt from
    httpcore's documented "trace" extension.
    """

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._client: httpx.Client | None = None
        self._sockets: list[socket.socket] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        time_limit: float,
    ) -> Reply:
        """One exchange, whatever its status. `time_limit` is in real seconds, over the whole of it.

        Raises RetryAt (time-out, connection, body too long; `accepted_unknown` where the request may have
        been taken), Refused (a redirect: never followed, since it could lead inside our network).
        """
        client = self._fresh()
        watch = Deadline(self._sockets, time_limit)
        sent = False
        try:
            with watch:
                request = client.build_request(
                    method,
                    url,
                    headers=dict(headers or {}),
                    json=json,
                    content=content,
                    data=form,
                    timeout=time_limit,
                    extensions={"trace": self._trace},
                )
                response = client.send(request, stream=True)
                sent = True
                reply = self._read(response, url)
            if watch.ended:  # an answer without a length looks whole when its socket is shut down
                raise httpx.ReadTimeout("ended")
            return reply
        except httpx.InvalidURL:
            raise Refused("the configured URL is not a URL") from None
        except (httpx.HTTPError, OSError, RuntimeError, ssl.SSLError) as error:
            self.close()
            unknown = sent or not isinstance(
                error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
            )
            timed_out = watch.ended or isinstance(error, httpx.TimeoutException)
            why = f"no whole answer within {time_limit:g} s" if timed_out else type(error).__name__
            raise RetryAt(f"{say_host(url)}: {why}", accepted_unknown=unknown) from None

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                self._sockets[:] = [s for s in self._sockets if s.fileno() >= 0] + [found]

    def _read(self, response: httpx.Response, url: str) -> Reply:
        try:
            if response.is_redirect:
                raise Refused(f"{say_host(url)}: answers with a redirect, which is not followed")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise RetryAt(f"{say_host(url)}: the answer is compressed, which was not asked for")
            body = bytearray()
            for chunk in response.iter_raw(65536):
                body += chunk
                if len(body) > self._options.body_bytes_max:
                    raise RetryAt(
                        f"{say_host(url)}: the answer is longer than {self._options.body_bytes_max} bytes",
                        accepted_unknown=True,
                    )
        finally:
            response.close()
        return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    def _fresh(self) -> httpx.Client:
        if self._client is None or self._client.is_closed:
            self._client = httpx.Client(
                proxy=self._options.proxy,
                verify=trust(self._options),
                follow_redirects=False,
                trust_env=False,
                headers={"User-Agent": self._options.user_agent, "Accept-Encoding": "identity"},
            )
        return self._client

    def close(self) -> None:
        """Give back the sockets."""
        if self._client is not None:
            self._client.close()
            self._client = None


class Deadline:
    """Ends an exchange when its time is up, wherever it stands, by shutting its sockets down."""

    def __init__(self, sockets: Sequence[socket.socket], seconds: float) -> None:
        self._sockets = sockets
        self._timer = threading.Timer(max(0.0, seconds), self._end)
        self._timer.daemon = True
        self.ended = False

    def _end(self) -> None:
        self.ended = True
        for found in tuple(self._sockets):
            with suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
