"""The requests session that tweepy and prawcore are given: the HTTP client's bounds in a shape they know."""

from __future__ import annotations

import copy
import io
import socket
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from wire.exchange import (
    CHUNK_BYTES,
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
from wire.http import HttpOptions

_REQUEST_SECONDS_MAX = 15.0
_REDIRECTS_MAX = 3
_CONNECTIONS_MAX = 4


class BodyTooLarge(requests.exceptions.ContentDecodingError):
    """The answer is larger than the session's options allow."""


class RedirectRefused(requests.exceptions.InvalidURL):
    """The other side pointed us to another origin, which could be anything, even inside our own network."""


def _open(connection: HTTPConnection) -> socket.socket:
    """Connect with a bounded socket, and fail with the errors that urllib3 expects of a connection."""
    try:
        return connect(connection.host, connection.port)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, "connecting took too long") from error
    except OSError as error:
        raise NewConnectionError(connection, str(error.strerror or error)) from error


class _PlainConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _open(self)


class _TLSConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _open(self)


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _PlainPool, "https": _TLSPool}


class _Adapter(HTTPAdapter):
    """Reads every answer whole and within bounds before it hands it over."""

    def __init__(self, options: HttpOptions, seconds_left: Callable[[], float]) -> None:
        self._tls = tls_context(options.ca_file)
        self._body_bytes_max = options.body_bytes_max
        self._seconds_left = seconds_left
        super().__init__(pool_connections=_CONNECTIONS_MAX, pool_maxsize=_CONNECTIONS_MAX)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As HTTPAdapter.init_poolmanager, with our connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """As HTTPAdapter.proxy_manager_for, with our connections."""
        pools = super().proxy_manager_for(proxy, **kwargs)
        pools.pool_classes_by_scheme = _POOLS
        return pools

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """As HTTPAdapter.build_connection_pool_key_attributes, always verified and by our context."""
        host, _ = super().build_connection_pool_key_attributes(request, True, None)
        return host, {"ssl_context": self._tls}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context verifies already; without this, requests would add its own bundle of authorities."""

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """As HTTPAdapter.send, but `timeout` is ignored, since the sockets keep the session's limit, and
        no error tells more of the URL than scheme://host:port."""
        place = origin(request.url or "")
        bounds = Bounds(self._seconds_left(), self._body_bytes_max)
        with bounded(bounds):
            try:
                response = super().send(request, stream=True, proxies=proxies)
                try:
                    body = self._read_body(response, place)
                except BaseException:
                    # What is left on the line belongs to this answer: the connection cannot be used again.
                    response.close()
                    raise
            except Exception as error:
                raise _explain(error, place, bounds, request) from None
        response.raw = io.BytesIO(body)
        return response

    def _read_body(self, response: requests.Response, place: str) -> bytes:
        try:
            if is_encoded(response.headers.get("Content-Encoding")):
                raise requests.exceptions.ContentDecodingError(
                    f"a compressed body from {place}, though it was asked not to compress"
                )
            body = bytearray()
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                if len(body) + len(chunk) > self._body_bytes_max:
                    raise BodyTooLarge(f"a body of more than {self._body_bytes_max} bytes from {place}")
                body += chunk
            return bytes(body)
        except requests.exceptions.ContentDecodingError:
            # The status of an error tells its reader more than a body that cannot be read.
            if response.status_code < 400:
                raise
            response.raw.close()
            return b""


def _explain(
    error: Exception, place: str, bounds: Bounds, request: requests.PreparedRequest
) -> requests.RequestException:
    """The error in the words of requests, whose kinds the libraries know, without the URL's secrets."""
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return error
    if bounds.overrun:
        return BodyTooLarge(f"an answer from {place} that is far too large", request=request)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return requests.exceptions.ConnectTimeout(f"{place} did not connect in time", request=request)
    timed_out = isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError))
    if timed_out or bounds.seconds_left() <= 0:
        return requests.exceptions.ReadTimeout(f"{place} did not answer in time", request=request)
    if isinstance(error, requests.exceptions.ProxyError):
        return requests.exceptions.ProxyError(f"the proxy did not connect us to {place}", request=request)
    if isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
        return requests.exceptions.SSLError(f"TLS with {place} failed{reason(error)}", request=request)
    if isinstance(error, (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL)):
        return type(error)(f"the request to {place} cannot be sent", request=request)
    if isinstance(error, UnicodeError):
        return requests.exceptions.InvalidHeader(f"the request to {place} cannot be sent", request=request)
    return requests.exceptions.ConnectionError(
        f"the connection to {place} failed{reason(error)}", request=request
    )


class BoundedSession(requests.Session):
    """A requests.Session with bounds; make it with `new_session`. For one thread at a time.

    `last_status` and `last_headers` are of the latest answer, None and empty when the latest request got
    none: tweepy's responses drop the rate-limit headers.
    """

    def __init__(self, options: HttpOptions, base_urls: Mapping[str, str]) -> None:
        super().__init__()
        check_proxy(options.proxy)
        self.trust_env = False
        self.max_redirects = _REDIRECTS_MAX
        self.proxies = {} if options.proxy is None else {"http": options.proxy, "https": options.proxy}
        self.headers["User-Agent"] = options.user_agent
        # No platform needs our cookies, and a jar would grow with whatever they send.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._ends_at: float | None = None
        # The longest first, so that the most exact one decides.
        self._base_urls = sorted(
            ((old.rstrip("/"), new.rstrip("/")) for old, new in base_urls.items()),
            key=lambda pair: -len(pair[0]),
        )
        for address in (address for pair in self._base_urls for address in pair):
            if not address.startswith(("http://", "https://")):
                raise ValueError("base URLs: expected http:// or https:// addresses on both sides")
        self.last_status: int | None = None
        self.last_headers: Mapping[str, str] = CaseInsensitiveDict()
        adapter = _Adapter(options, self._seconds_left)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """All requests within it together take at most so many seconds: lookups, TLS, headers, bodies,
        redirects. Within another limit, the earlier end holds."""
        before = self._ends_at
        ends_at = time.monotonic() + seconds
        self._ends_at = ends_at if before is None else min(before, ends_at)
        try:
            yield
        finally:
            self._ends_at = before

    def _seconds_left(self) -> float:
        return _REQUEST_SECONDS_MAX if self._ends_at is None else self._ends_at - time.monotonic()

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As Session.prepare_request, with the base URL exchanged first, so that signatures are of the
        address that is really called. No error repeats the URL or a header."""
        moved = copy.copy(request)
        moved.url = self._moved(request.url or "")
        place = origin(moved.url)
        if not place.startswith("http"):
            raise requests.exceptions.InvalidURL("the address is not an http:// or https:// URL")
        try:
            prepared = super().prepare_request(moved)
        except requests.RequestException as error:
            raise type(error)(f"the request to {place} cannot be sent") from None
        prepared.headers["Accept-Encoding"] = "identity"
        return prepared

    def _moved(self, url: str | bytes) -> str:
        text = url.decode("utf-8") if isinstance(url, bytes) else url
        for old, new in self._base_urls:
            if text.startswith(old) and text[len(old) : len(old) + 1] in ("", "/", "?", "#"):
                return new + text[len(old) :]
        return text

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As Session.send; redirects share the time of the request that led to them."""
        self.last_status, self.last_headers = None, CaseInsensitiveDict()
        with nullcontext() if self._ends_at is not None else self.time_limit(_REQUEST_SECONDS_MAX):
            response = super().send(request, **kwargs)
        self.last_status, self.last_headers = response.status_code, response.headers
        return response

    def resolve_redirects(
        self, resp: Any, req: Any, *args: Any, yield_requests: bool = False, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """As Session.resolve_redirects; where redirects are not followed, there is no next one to prepare."""
        if not yield_requests:
            yield from super().resolve_redirects(resp, req, *args, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """As Session.get_redirect_target. Raises RedirectRefused if it leads to another origin."""
        here = origin(resp.url)
        try:
            target = super().get_redirect_target(resp)
        except UnicodeError:
            raise RedirectRefused(
                f"{here} redirects to an address that is not a URL", response=resp
            ) from None
        if target is not None:
            there = redirect_origin(resp.url, target)
            if here != there:
                raise RedirectRefused(f"{here} redirects to {there}, which is not followed", response=resp)
        return target


def new_session(options: HttpOptions, base_urls: Mapping[str, str]) -> BoundedSession:
    """A session for one client library and one account.

    A request to a URL that starts with a key of `base_urls` goes to the key's value instead, with the rest
    of the URL appended: {"https://api.x.com": "http://127.0.0.1:8080/x"}. Outside of `time_limit`, a
    request takes at most 15 seconds. Raises ValueError when options or base URLs cannot be used.
    """
    return BoundedSession(options, base_urls)
