"""A bounded `requests` session, for client libraries that bring their own HTTP (tweepy, praw).

It puts our bounds around their requests: a time limit over the whole exchange, a body limit, no redirects
to other hosts, no environment, our proxy and CA; and it sends a known base URL elsewhere (own servers, the
simulator).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from wire.http import Deadline, HttpOptions, say_host, trust

TIME_LIMIT_DEFAULT = 15.0
_CHUNK = 65536


class TooLong(requests.exceptions.ContentDecodingError):
    """The answer is longer than we read."""


class BoundedSession(requests.Session):
    """A `requests.Session` with bounds. One thread at a time.

    `last_status` and `last_headers` (lower-case names) are those of the latest answer: some libraries drop
    them. Failures are requests' own exceptions, which the libraries expect.
    """

    def __init__(self, options: HttpOptions, base_urls: Mapping[str, str]) -> None:
        super().__init__()
        self.trust_env = False
        self.max_redirects = 3
        self.headers.update({"User-Agent": options.user_agent, "Accept-Encoding": "identity"})
        if options.proxy is not None:
            self.proxies = {"http": options.proxy, "https": options.proxy}
        self.last_status: int | None = None
        self.last_headers: dict[str, str] = {}
        self._base_urls = {k.rstrip("/"): v.rstrip("/") for k, v in base_urls.items()}
        self._deadline: float | None = None
        adapter = _BoundedAdapter(options, self)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """All requests inside share this many real seconds."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def seconds_left(self) -> float:
        """What is left of the limit. Raises requests.Timeout where nothing is."""
        if self._deadline is None:
            return TIME_LIMIT_DEFAULT
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout("the time limit is used up")
        return left

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **more: Any) -> requests.Response:
        """As in requests, to where the base URL was sent."""
        text = url.decode() if isinstance(url, bytes) else str(url)
        return super().request(method, self.sent_to(text), *args, **more)

    def sent_to(self, url: str) -> str:
        """The URL with its base replaced, if it is one that goes elsewhere."""
        for base, instead in self._base_urls.items():
            if url == base or url.startswith((base + "/", base + "?")):
                return instead + url[len(base) :]
        return url

    def rebuild_auth(self, prepared: requests.PreparedRequest, response: requests.Response) -> None:
        """A redirect may not lead to another host: it could be inside our network."""
        if say_host(prepared.url or "") != say_host(response.url):
            raise requests.exceptions.InvalidURL(
                f"{say_host(response.url)} redirects to another host, which is not followed"
            )
        super().rebuild_auth(prepared, response)  # type: ignore[no-untyped-call] # not in the stubs


class _BoundedAdapter(HTTPAdapter):
    """Sends one request within what is left of the session's time, and reads a bounded body."""

    def __init__(self, options: HttpOptions, session: BoundedSession) -> None:
        self._options = options
        self._session = session
        self._sockets: list[socket.socket] = []
        super().__init__(pool_connections=4, pool_maxsize=2, max_retries=0)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, ssl_context=trust(self._options), **more)
        self.poolmanager.pool_classes_by_scheme = _watched_pools(self._sockets)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=trust(self._options), **more)
        manager.pool_classes_by_scheme = _watched_pools(self._sockets)
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        left = self._session.seconds_left()
        more.update(stream=True, timeout=left)
        host = say_host(request.url or "")
        watch = Deadline(self._sockets, left)
        try:
            with watch:
                response = super().send(request, *args, **more)
                body = self._body(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if watch.ended or isinstance(error, requests.Timeout):
                raise requests.Timeout(f"{host}: no whole answer within {left:.1f} s") from None
            if isinstance(error, requests.RequestException):
                raise type(error)(f"{host}: {type(error).__name__}", request=request) from None
            raise requests.ConnectionError(f"{host}: {type(error).__name__}", request=request) from None
        if watch.ended:  # an answer without a length looks whole when its socket is shut down
            raise requests.Timeout(f"{host}: no whole answer within {left:.1f} s")
        # What requests itself does for stream=False, with our bounds.
        response._content = body
        response._content_consumed = True  # type: ignore[attr-defined] # not in the stubs
        self._session.last_status = response.status_code
        self._session.last_headers = {k.lower(): v for k, v in response.headers.items()}
        return response

    def _body(self, response: requests.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            response.close()
            raise TooLong("the answer is compressed, which was not asked for")
        body = bytearray()
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > self._options.body_bytes_max:
                response.close()
                raise TooLong(f"the answer is longer than {self._options.body_bytes_max} bytes")
        return bytes(body)


def _watched_pools(sockets: list[socket.socket]) -> dict[str, Any]:
    """Connection pools whose sockets are noted, so that a deadline can shut them down."""

    def note(connection: HTTPConnection) -> None:
        if isinstance(connection.sock, socket.socket):
            sockets[:] = [s for s in sockets if s.fileno() >= 0] + [connection.sock]

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            note(self)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            note(self)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def new_session(options: HttpOptions, base_urls: Mapping[str, str]) -> BoundedSession:
    """A session for one account. `base_urls`: what is asked of the key is sent to the value."""
    return BoundedSession(options, base_urls)
