"""What bounds one exchange with the outside: sockets that keep a deadline and a byte budget themselves.

The time-outs of HTTP libraries hold for one read each, so that an answer which trickles a byte a second
never ends. Here the socket works out anew, before every operation, what is left of the whole exchange, and
counts what it received. Both HTTP libraries that we use stand on these sockets, so that one rule holds for
the connection, the TLS handshake, the headers and the body alike.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK_BYTES = 64 * 1024

_OVERHEAD_BYTES = 256 * 1024
"""What headers, trailers and interim answers may take beside the body."""


class Bounds:
    """How long one exchange may take and how much it may bring: seconds from now, bytes of body.

    On the wire twice the body's bytes are allowed, since chunked bodies carry their framing with them.
    `overrun` tells afterwards that the other side sent more than that.
    """

    __slots__ = ("_bytes_left", "_ends_at", "overrun")

    def __init__(self, seconds: float, body_bytes_max: int) -> None:
        self._ends_at = time.monotonic() + seconds
        self._bytes_left = 2 * body_bytes_max + _OVERHEAD_BYTES
        self.overrun = False

    def seconds_left(self) -> float:
        """What is left of the time limit; zero or less when it is over."""
        return self._ends_at - time.monotonic()

    def require_time(self) -> float:
        """The seconds left, always positive. Raises TimeoutError when there are none."""
        left = self.seconds_left()
        if left <= 0:
            raise TimeoutError("the time limit is over")
        return left

    def count(self, received: int) -> None:
        """Take note of received bytes. Raises OSError when they are too many."""
        self._bytes_left -= received
        if self._bytes_left < 0:
            self.overrun = True
            raise OSError(errno.EMSGSIZE, "the answer is too large")


# Pooled sockets outlive an exchange and are shared by threads, so they look up whose exchange it is now.
# A context variable is a thread's own: nothing is shared through it.
_CURRENT: ContextVar[Bounds | None] = ContextVar("wire_exchange_bounds", default=None)


@contextmanager
def bounded(bounds: Bounds) -> Iterator[Bounds]:
    """Within it, every socket of this module that this thread uses keeps to these bounds."""
    token = _CURRENT.set(bounds)
    try:
        yield bounds
    finally:
        _CURRENT.reset(token)


def _arm(sock: socket.socket) -> None:
    bounds = _CURRENT.get()
    if bounds is not None:
        sock.settimeout(bounds.require_time())


def _count(received: int) -> None:
    bounds = _CURRENT.get()
    if bounds is not None:
        bounds.count(received)


class BoundedSocket(socket.socket):
    """A TCP socket that keeps to the current exchange's bounds."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As socket.recv. Raises TimeoutError at the deadline, OSError past the byte budget."""
        _arm(self)
        data = super().recv(bufsize, flags)
        _count(len(data))
        return data

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """As socket.recv_into, bounded like `recv`."""
        _arm(self)
        received = super().recv_into(buffer, nbytes, flags)
        _count(received)
        return received

    def send(self, data: Buffer, flags: int = 0, /) -> int:
        """As socket.send. Raises TimeoutError at the deadline."""
        _arm(self)
        return super().send(data, flags)

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        """As socket.sendall, whose time-out already holds for all of the data."""
        _arm(self)
        super().sendall(data, flags)


class BoundedTLSSocket(ssl.SSLSocket):
    """The same over TLS: recv, recv_into and sendall of SSLSocket all pass through these three."""

    def do_handshake(self, block: bool = False) -> None:
        """As SSLSocket.do_handshake; its time-out holds for the whole handshake."""
        _arm(self)
        super().do_handshake(block)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # The parameter's name is SSLSocket's.
        """As SSLSocket.read. Raises TimeoutError at the deadline, OSError past the byte budget."""
        _arm(self)
        result = super().read(len, buffer)
        _count(result if isinstance(result, int) else memoryview(result).nbytes)
        return result

    def send(self, data: Buffer, flags: int = 0) -> int:
        """As SSLSocket.send. Raises TimeoutError at the deadline."""
        _arm(self)
        return super().send(data, flags)


def connect(host: str, port: int) -> BoundedSocket:
    """Connect to one of the host's addresses within the current exchange's time.

    Each address gets an equal share of the time that is left, so that one dead address does not use up
    what a living one needs. Raises TimeoutError, socket.gaierror or another OSError.
    """
    bounds = _CURRENT.get()
    if bounds is None:
        raise RuntimeError("connect() needs the bounds of an exchange")
    addresses = _resolve(host, port, bounds)
    trouble: OSError = OSError(f"{host} has no address")
    for index, (family, kind, protocol, _name, address) in enumerate(addresses):
        sock = BoundedSocket(family, kind, protocol)
        try:
            sock.settimeout(bounds.require_time() / (len(addresses) - index))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            trouble = error
        else:
            return sock
    raise trouble


def _resolve(host: str, port: int, bounds: Bounds) -> list[tuple[Any, ...]]:
    """The host's addresses. A system resolver cannot be interrupted, so a lookup runs in a thread of its
    own that is left behind at the deadline; it ends when the resolver gives up (mostly 10 to 30 s)."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except (socket.gaierror, UnicodeError):
        pass
    found: list[tuple[Any, ...]] = []
    trouble: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            trouble.append(error)
        except UnicodeError:
            trouble.append(OSError(errno.EINVAL, "the host's name is not a valid one"))

    thread = threading.Thread(target=look_up, name="name-lookup", daemon=True)
    thread.start()
    thread.join(bounds.require_time())
    if thread.is_alive():
        raise TimeoutError("the name lookup took too long")
    if trouble:
        raise trouble[0]
    return found


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A context that verifies, with the system's authorities and those of `ca_file` (PEM), and whose
    sockets are bounded. Raises ValueError if the file cannot be used."""
    context = ssl.create_default_context()
    context.sslsocket_class = BoundedTLSSocket
    if not _system_has_authorities():
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"ca_file {ca_file} cannot be used{reason(error)}; expected a PEM file of certificates"
            ) from None
    return context


def _system_has_authorities() -> bool:
    """A bare Debian without ca-certificates has none, and then no platform could be reached at all."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None:
        return True
    return paths.capath is not None and bool(os.listdir(paths.capath))


_NO_URL = "an address that is not a URL"


def origin(url: str) -> str:
    """scheme://host:port of a URL and nothing else of it: paths, queries and userinfo may be secrets."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return _NO_URL
    host = parts.hostname
    # The host may come from a redirect: nothing but names and addresses gets into a log.
    plain = host is not None and all(letter.isalnum() or letter in ".-_:" for letter in host)
    if parts.scheme not in ("http", "https") or not host or not plain or port is None:
        return _NO_URL
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def redirect_origin(url: str, location: str) -> str:
    """Where a redirect with this Location leads to, as `origin` says it."""
    try:
        return origin(urljoin(url, location))
    except ValueError:
        return _NO_URL


def reason(error: BaseException) -> str:
    """What the system or OpenSSL said at the root of an error, with a colon before it: their own fixed
    words, which hold nothing of the request. Empty where they said nothing."""
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            break
        words = getattr(link, "verify_message", None) or getattr(link, "strerror", None)
        if isinstance(words, str):
            return f": {words}"
        link = link.__cause__ or link.__context__
    return ""


def check_proxy(proxy: str | None) -> None:
    """Raises ValueError unless the proxy is an http:// URL (it tunnels https), without repeating it."""
    if proxy is not None and not origin(proxy).startswith("http://"):
        raise ValueError('proxy: expected an http:// address such as "http://proxy.example.com:3128"')


def is_encoded(content_encoding: str | None) -> bool:
    """Whether a body is compressed although we asked for it as it is: a small one may unpack to gigabytes."""
    return (content_encoding or "").strip().lower() not in ("", "identity")
