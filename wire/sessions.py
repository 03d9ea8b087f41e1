"""The requests session that tweepy and prawcore are given: the same bounds as the HTTP client's, in their shape."""

from __future__ import annotations

import re
import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from wire.exchange import CHUNK_BYTES, Bounds, bounded, check_proxy, connect, is_encoded, origin, tls_context
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

    def __init__(self, options: HttpOptions) -> None:
        self._tls = tls_context(options.ca_file)
        self._body_bytes_max = options.body_bytes_max
        super().__init__(pool_connections=_CONNECTIONS_MAX, pool_maxsize=_CONNECTIONS_MAX)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _tls = super().build_connection_pool_key_attributes(request, True, None)
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
        """As HTTPAdapter.send, without time-outs of its own: the sockets keep the exchange's."""
        response = super().send(request, stream=True, timeout=None, proxies=proxies)
        try:
            body = self._read_body(response, origin(request.url or ""))
        except (BodyTooLarge, requests.exceptions.ContentDecodingError):
            response.close()
            # The status of an error tells its reader more than a body that cannot be read.
            if response.status_code < 400:
                raise
            body = b""
        except BaseException:
            response.close()
            raise
        response._content = body
        response._content_consumed = True
        return response
