"""Asking a server of the AT Protocol (XRPC): signing in with an app password, and what its errors mean.

Sources: the AT Protocol's "XRPC" specification, the lexicons of com.atproto.server, Bluesky's "Rate Limits",
and the errors that its PDS throws (packages/pds: auth-verifier, pipethrough).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.bluesky.settings import Settings
from connectors.contract import Budget, Surroundings
from connectors.rest import Expired, RestApi, RestWays, header_number
from wire.errors import Malformed, NotAllowed
from wire.http import Reply
from wire.lenient import read_lenient
from wire.secret import SecretMissing

CHAT = {"atproto-proxy": "did:web:api.bsky.chat#bsky_chat"}
"""What asks the account's server to pass a request on to Bluesky's chat service."""

SIGN_IN_AGAIN = timedelta(minutes=10)
"""How long a password that was refused is not tried again: some 100 to 300 attempts a day are all that an
account has, and other programs of the brand need them too."""

_TOKEN_LENGTH_MAX = 10_000
_EPOCH_MAX = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in. `status` is why the account is not active ("deactivated"), else None."""

    did: str
    handle: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    status: str | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    """A password that was refused: its fingerprint, until when it is not tried again, and what was said."""

    password: bytes
    until: datetime
    said: str


class Api:
    """One account's server. One thread at a time; tokens are kept in memory only."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._clock = surroundings.clock
        self._session: Session | None = None
        self._failure: _Failure | None = None
        self._password = ""
        ways = RestWays(
            headers=self._headers,
            secrets=self._secrets,
            explain=_explain,
            budgets=_budgets,
            resets_at=_resets_at,
            denied=_denied,
            expired=_expired,
        )
        self._rest = RestApi("Bluesky", settings.api_url, surroundings.http, surroundings.clock, ways)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All requests inside share this many seconds."""
        with self._rest.within(seconds):
            yield

    def session(self) -> Session:
        """Who we are, signed in if need be. Raises wire.errors."""
        if self._session is None:
            self._session = self._sign_in()
        return self._session

    def get(
        self,
        method: str,
        what: str,
        parameters: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer. An access token that has ended is renewed once. Raises wire.errors."""
        self.session()
        try:
            reply = self._rest.get(f"/xrpc/{method}", what, parameters, headers)
        except Expired:
            self._renew()
            reply = self._rest.get(f"/xrpc/{method}", what, parameters, headers)
        return _json(reply, what)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """What the latest answer said is left."""
        return self._rest.budgets

    def close(self) -> None:
        """Give back the sockets."""
        self._rest.close()

    def _renew(self) -> None:
        """A new access token: by the refresh token, which is used once, else by the password."""
        session, self._session = self._session, None
        if session is not None:
            try:
                reply = self._rest.post(
                    "/xrpc/com.atproto.server.refreshSession",
                    "the renewal of the session",
                    headers={"authorization": f"Bearer {session.refresh}"},
                )
            except NotAllowed:
                pass
            else:
                self._session = _session(reply)
                return
        self._session = self._sign_in()

    def _sign_in(self) -> Session:
        settings, now = self._settings, self._clock()
        try:
            self._password = settings.app_password.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None
        print_ = hashlib.sha256(self._password.encode()).digest()
        known = self._failure
        if known is not None and known.password == print_ and now < known.until <= now + SIGN_IN_AGAIN:
            raise NotAllowed(known.said)
        try:
            reply = self._rest.post(
                "/xrpc/com.atproto.server.createSession",
                "the signing in",
                json={"identifier": settings.handle, "password": self._password},
            )
        except NotAllowed as error:
            said = (
                f"Bluesky does not let @{settings.handle} sign in: check handle, app_password and api_url; "
                f"{error.missing}"
            )
            self._failure = _Failure(print_, now + SIGN_IN_AGAIN, said)
            raise NotAllowed(said) from None
        self._failure = None
        return _session(reply)

    def _headers(self) -> Mapping[str, str]:
        return {} if self._session is None else {"authorization": f"Bearer {self._session.access}"}

    def _secrets(self) -> Iterator[str]:
        yield self._password
        if self._session is not None:
            yield from (self._session.access, self._session.refresh)


def _json(reply: Reply, what: str) -> Any:
    try:
        return read_lenient(reply.body)
    except ValueError:
        raise Malformed(
            f"Bluesky answered {what} with HTML, or JSON that breaks off or is not valid"
        ) from None


def _session(reply: Reply) -> Session:
    body = _json(reply, "the signing in")
    said = [body.get(k) if type(body) is dict else None for k in ("did", "handle", "accessJwt", "refreshJwt")]
    whole = [s for s in said if type(s) is str and 0 < len(s) <= _TOKEN_LENGTH_MAX and s.isascii()]
    if len(whole) < len(said) or any(not c.isprintable() or c == " " for s in whole for c in s):
        raise Malformed("Bluesky did not say who is signed in")
    did, handle, access, refresh = whole
    status = body.get("status")
    inactive = body.get("active") is False
    said_why = status if type(status) is str and status.isascii() and status.isalpha() else "not active"
    return Session(did, handle, access, refresh, said_why[:40] if inactive else None)


def _named(reply: Reply) -> tuple[str, str]:
    """The error's name, and its message ("Error responses" in the XRPC specification)."""
    try:
        body = reply.json()
    except Malformed:
        return "", ""
    name, message = (body.get("error"), body.get("message")) if type(body) is dict else ("", "")
    return name if type(name) is str else "", message if type(message) is str else ""


def _explain(body: Any) -> str:
    name, message = body.get("error"), body.get("message")
    return ": ".join(s for s in (name, message) if type(s) is str and s)


def _lacks_scope(name: str, message: str) -> bool:
    """What an app password without access to direct messages gets."""
    return name == "InvalidToken" and message.startswith(("Bad token method", "Bad token scope"))


def _expired(reply: Reply) -> bool:
    name, message = _named(reply)
    return name in ("ExpiredToken", "InvalidToken") and not _lacks_scope(name, message)


def _denied(reply: Reply) -> bool:
    return _lacks_scope(*_named(reply))


def _budgets(headers: Mapping[str, str], now: datetime) -> tuple[Budget, ...]:
    limit, remaining = (header_number(headers, f"ratelimit-{n}") for n in ("limit", "remaining"))
    if limit is None or remaining is None:
        return ()
    return (Budget("requests", limit, remaining, _reset(headers)),)


def _reset(headers: Mapping[str, str]) -> datetime | None:
    seconds = header_number(headers, "ratelimit-reset")
    return None if seconds is None or seconds > _EPOCH_MAX else datetime.fromtimestamp(seconds, UTC)


def _resets_at(reply: Reply, _now: datetime) -> datetime | None:
    return _reset(reply.headers)
