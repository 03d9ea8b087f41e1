"""The bounded HTTP client: a time limit over the whole exchange, body and redirect limits, own CA, proxy."""

from __future__ import annotations

import base64
import json as json_codec
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from wire.errors import EdgeError, Malformed, Refused, RetryAt
from wire.exchange import (
    BoundedTLSSocket,
    Bounds,
    bounded,
    check_proxy,
    connect,
    is_encoded,
    origin,
    reason,
    redirect_origin,
    tls_context,
)

if TYPE_CHECKING:
    import socket
    import ssl

    import httpcore
    import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How we talk HTTP to anybody. `proxy` is an http:// URL; `ca_file` a PEM bundle trusted beside the
    system's."""

    proxy: str | None = field(default=None, repr=False)  # It may hold a password.
    ca_file: Path | None = None
    body_bytes_max: int = 8 * 1024 * 1024
    user_agent: str = "response-monitor"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status. `headers` have lower-case keys; repeated ones are joined by commas.

    The body of an error (status 400 and above) that is compressed or too large is left empty, so that its
    status can still be acted upon.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON (UTF-8). Raises Malformed, also for NaN, infinite or endlessly long numbers and
        for nesting beyond the interpreter's depth. A lone surrogate written as an escape stays in its
        string: whoever stores the text has to look."""
        try:
            return json_codec.loads(
                self.body.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite
            )
        except RecursionError:
            raise Malformed("JSON that is nested too deep") from None
        except json_codec.JSONDecodeError as error:
            raise Malformed(f"{_kind(self)} instead of JSON (at character {error.pos})") from None
        except UnicodeDecodeError:
            raise Malformed("a body that is not UTF-8") from None
        except ValueError:
            raise Malformed("JSON with a number that is not finite, or too long") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _kind(reply: Reply) -> str:
    start = reply.body[:256].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith(b"<"):
        return "HTML or XML"
    return "a broken or truncated body" if start[:1] in b"{[" else "other text"


class _Stream:
    """A connection as httpcore wants it, on a bounded socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        import httpcore

        try:
            return self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(reason(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        import httpcore

        if not buffer:
            # The end of a request without a body: asking the socket would only tell that it closed since.
            return
        try:
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(reason(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        import httpcore

        try:
            return _Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname))
        except (OSError, ValueError) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout from error
            raise httpcore.ConnectError(reason(error)) from error

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            # httpcore asks it which protocol was negotiated; only HTTP/1.1 is offered.
            return self._sock if isinstance(self._sock, BoundedTLSSocket) else None
        return self._sock if info == "socket" else None


class _Backend:
    """Where httpcore gets its connections from."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> _Stream:
        import httpcore

        try:
            return _Stream(connect(host, port))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(reason(error)) from error


class _Progress:
    """Notes when the request had been handed over whole, after which the other side may have acted on it."""

    __slots__ = ("_ours", "sent")

    def __init__(self) -> None:
        self._ours = False
        self.sent = False

    def __call__(self, name: str, info: Mapping[str, Any]) -> None:
        if name == "http11.send_request_body.started":
            # The CONNECT to a proxy passes here as well, and is not our request.
            self._ours = info["request"].method != b"CONNECT"
        elif name == "http11.send_request_body.complete" and self._ours:
            self.sent = True


class HttpClient:
    """Sends single requests: no retries, no cookies, no redirects, nothing from the environment.

    It may be used by several threads. Raises ValueError when proxy or CA file cannot be used.
    """

    def __init__(self, options: HttpOptions) -> None:
        import httpcore
        import httpx

        check_proxy(options.proxy)
        self._options = options
        context = tls_context(options.ca_file)
        backend = cast("httpcore.NetworkBackend", _Backend())
        self._pool: httpcore.ConnectionPool
        # No connection is kept: an idle one often breaks right when it is used again, and then nobody knows
        # whether a post was accepted. What goes through here is seldom enough for a handshake each.
        if options.proxy is None:
            self._pool = httpcore.ConnectionPool(
                ssl_context=context, max_keepalive_connections=0, network_backend=backend
            )
        else:
            proxy = httpx.URL(options.proxy)
            self._pool = httpcore.HTTPProxy(
                proxy_url=_core_url(proxy),
                proxy_auth=(proxy.username, proxy.password) if proxy.userinfo else None,
                ssl_context=context,
                max_keepalive_connections=0,
                network_backend=backend,
            )

    def close(self) -> None:
        """Give back the sockets."""
        self._pool.close()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

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
        """Send one request, with at most one of the three bodies, and read the whole answer.

        `time_limit` is in seconds and holds for everything together: name lookup, connecting, TLS, sending,
        headers, body. Userinfo in the URL becomes basic authentication. Raises RetryAt when the line or the
        other side fails (`accepted_unknown` once the request had been handed over whole), Refused for a
        redirect and for what cannot be sent at all, Malformed for a successful answer that is compressed
        or too large. No error tells more of the URL than scheme://host:port.
        """
        place = origin(url)
        request = self._prepare(method, url, place, headers, _encode_body(json, content, form))
        progress = _Progress()
        bounds = Bounds(time_limit, self._options.body_bytes_max)
        extensions = {"trace": progress, "timeout": {"pool": max(0.0, time_limit)}}
        try:
            with (
                bounded(bounds),
                self._pool.stream(
                    request.method,
                    _core_url(request.url),
                    headers=request.headers.raw,
                    content=request.content,
                    extensions=extensions,
                ) as response,
            ):
                return self._read(response, place, url)
        except EdgeError:
            raise
        except Exception as error:
            raise self._explain(error, place, time_limit, bounds, progress.sent) from None

    def _prepare(
        self,
        method: str,
        url: str,
        place: str,
        headers: Mapping[str, str] | None,
        body: tuple[bytes, str] | None,
    ) -> httpx.Request:
        import httpx

        if not place.startswith("http"):
            raise Refused("the address is not an http:// or https:// URL")
        every = httpx.Headers({"accept": "*/*", "user-agent": self._options.user_agent})
        try:
            target = httpx.URL(url)
            if body is not None and body[1]:
                every["content-type"] = body[1]
            if target.userinfo:
                pair = f"{target.username}:{target.password}".encode()
                every["authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
            every.update(headers)
            every["accept-encoding"] = "identity"
            every["connection"] = "close"
            return httpx.Request(method, target, headers=every, content=None if body is None else body[0])
        except httpx.InvalidURL:
            raise Refused("the address is not a valid URL") from None
        except UnicodeError:
            raise Refused(
                f"a header or the address for {place} holds characters that HTTP cannot carry"
            ) from None

    def _read(self, response: httpcore.Response, place: str, url: str) -> Reply:
        headers: dict[str, str] = {}
        for raw_name, raw_value in response.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if response.status in _REDIRECTS and "location" in headers:
            target = redirect_origin(url, headers["location"])
            raise Refused(f"{place} redirects to {target}, which is not followed; set the final address")
        try:
            body = self._read_body(response, headers, place)
        except Malformed:
            if response.status < 400:
                raise
            body = b""
        return Reply(response.status, headers, body)

    def _read_body(self, response: httpcore.Response, headers: Mapping[str, str], place: str) -> bytes:
        if is_encoded(headers.get("content-encoding")):
            raise Malformed(f"a compressed body from {place}, though it was asked not to compress")
        limit = self._options.body_bytes_max
        too_large = Malformed(f"a body of more than {limit} bytes from {place}")
        announced = headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and (len(announced) > 15 or int(announced) > limit):
            raise too_large
        body = bytearray()
        for chunk in response.iter_stream():
            if len(body) + len(chunk) > limit:
                raise too_large
            body += chunk
        return bytes(body)

    def _explain(
        self, error: Exception, place: str, time_limit: float, bounds: Bounds, sent: bool
    ) -> EdgeError:
        import httpcore

        if bounds.overrun:
            return Malformed(f"a body of more than {self._options.body_bytes_max} bytes from {place}")
        if isinstance(error, (httpcore.TimeoutException, TimeoutError)):
            return RetryAt(f"{place} did not answer within {time_limit:g} s", accepted_unknown=sent)
        if isinstance(error, httpcore.ConnectError):
            return RetryAt(f"could not connect to {place}{_words(error)}", accepted_unknown=sent)
        if isinstance(error, httpcore.ProxyError):
            # Its text begins with the proxy's status; the rest is the proxy's own words.
            status = re.match(r"[0-9]{3}\b", str(error))
            return RetryAt(
                f"the proxy did not connect us to {place}{f' (status {status[0]})' if status else ''}",
                accepted_unknown=sent,
            )
        if isinstance(error, httpcore.NetworkError):
            return RetryAt(f"the connection to {place} broke off{_words(error)}", accepted_unknown=sent)
        if isinstance(error, httpcore.RemoteProtocolError):
            return RetryAt(f"{place} broke off or did not speak HTTP", accepted_unknown=sent)
        if isinstance(error, (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol)):
            return Refused(f"the request to {place} cannot be sent: its method or a header is not valid")
        return RetryAt(f"talking to {place} failed ({type(error).__name__})", accepted_unknown=sent)


def _words(error: httpcore.NetworkError) -> str:
    """Why the connection failed: what `_Stream` and `_Backend` found, since nobody else raises these."""
    return str(error.args[0]) if error.args else ""


def _core_url(url: httpx.URL) -> httpcore.URL:
    import httpcore

    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _encode_body(
    json: Any, content: bytes | None, form: Mapping[str, str] | None
) -> tuple[bytes, str] | None:
    """The body and its content type. A lone surrogate becomes "?": what an attacker wrote must not keep
    the alert about it from being sent."""
    if sum(body is not None for body in (json, content, form)) > 1:
        raise ValueError("only one of json, content and form can be the body")
    if json is not None:
        text = json_codec.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "replace"), "application/json"
    if form is not None:
        return urlencode(form, errors="replace").encode("ascii"), "application/x-www-form-urlencoded"
    return None if content is None else (content, "")


_SECONDS = re.compile(r"(?P<sign>[+-]?)(?P<whole>[0-9]+)(?:\.[0-9]*)?")


def retry_at(
    headers: Mapping[str, str], now: datetime, *, limit_seconds_max: float = 3600
) -> datetime | None:
    """When Retry-After allows another try, between `now` and `limit_seconds_max` later; None without one.

    Reads seconds and HTTP dates (RFC 9110, 10.2.3). What is negative or past means now, what is farther
    than the limit means the limit, and what is neither of the two forms is taken as missing.
    """
    value = next((text.strip() for name, text in headers.items() if name.lower() == "retry-after"), "")
    match = _SECONDS.fullmatch(value)
    if match:
        negative = match["sign"] == "-"
        # Ten digits are three centuries: beyond any limit, and read without trouble.
        seconds = 0.0 if negative else float(match["whole"].lstrip("0")[:10] or 0)
    else:
        try:
            moment = parsedate_to_datetime(value)
            seconds = ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return now + timedelta(seconds=min(max(seconds, 0.0), limit_seconds_max))
