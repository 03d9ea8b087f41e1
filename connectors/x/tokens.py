"""OAuth 2.0 tokens that rotate: X takes each refresh token once, so the next one is on disk before its use.

One file an account in the state folder, 0600. It wins over the config, unless the config's first refresh
token changed: then somebody has authorised again.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wire.errors import Malformed, NotAllowed, RetryAt

REFRESH_TOKEN_LIFE = timedelta(days=180)
"""X does not document how long an unused refresh token lives; in practice it is six months, renewed with
each use."""

ACCESS_TOKEN_LIFE = timedelta(hours=2)
"""X's docs, "OAuth 2.0 Authorization Code Flow with PKCE"; used where an answer does not tell."""

_EARLY = timedelta(seconds=90)
_BYTES_MAX = 64 * 1024
_TOKEN_LENGTH_MAX = 4096


@dataclass(frozen=True, slots=True)
class Pair:
    """An access token and the refresh token that will replace it. `origin` is the salted hash of the config's
    refresh token from which they descend. It shows no token in its repr."""

    access_token: str
    refresh_token: str
    expires_at: str
    refreshed_at: str
    scope: str
    origin: str
    v: int = 1

    def __repr__(self) -> str:
        return f"Pair(expires_at={self.expires_at!r})"

    @property
    def lapses_at(self) -> datetime:
        """When a person must authorise again, if it is not renewed before."""
        return datetime.fromisoformat(self.refreshed_at) + REFRESH_TOKEN_LIFE

    def fresh(self, now: datetime) -> bool:
        """Whether the access token can be used for the next request."""
        return bool(self.access_token) and now < datetime.fromisoformat(self.expires_at) - _EARLY


class TokenFile:
    """The pair on disk. Only one process renews it at a time."""

    def __init__(self, folder: Path, brand: str, account: str) -> None:
        name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{brand}-{account}")[:80]
        told_apart = hashlib.sha256(f"{brand}\0{account}".encode()).hexdigest()[:8]
        self.path = folder / f"x-{name}-{told_apart}.json"

    def load(self, first: str) -> Pair | None:
        """The pair that descends from the config's refresh token. None where there is none, or it is damaged:
        then the config's own is tried."""
        try:
            with self.path.open("rb") as stream:
                pair = Pair(**json.loads(stream.read(_BYTES_MAX)))
            datetime.fromisoformat(pair.expires_at)
            datetime.fromisoformat(pair.refreshed_at)
            same = descends(pair, first)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, AttributeError, RecursionError):
            return None
        except OSError as error:
            raise RetryAt(f"{self.path} cannot be read: {error.strerror}") from None
        return pair if same else None

    @contextmanager
    def renewing(self, now: datetime) -> Iterator[None]:
        """Hold the right to renew. Raises RetryAt while another process holds it or the folder cannot be
        written: a refresh token must not be spent where its successor cannot be kept."""
        lock = self.path.with_suffix(".lock")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RetryAt(
                f"X's tokens cannot be kept in {self.path.parent}: {error.strerror}; make it writable"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise RetryAt("another process is renewing X's tokens", at=now + timedelta(seconds=2)) from None
        try:
            yield
        finally:
            os.close(descriptor)

    def save(self, pair: Pair) -> None:
        """Write it whole or not at all, and only then return. Raises RetryAt where the disk refuses."""
        waiting = self.path.with_suffix(".new")
        try:
            descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, 0o600)
                stream.write(json.dumps(asdict(pair)).encode())
                stream.flush()
                os.fsync(descriptor)
            waiting.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise RetryAt(
                f"X's renewed tokens cannot be written to {self.path}: {error.strerror}; they are kept in "
                "memory, and are lost if the daemon stops before there is room"
            ) from None


def origin_of(first: str) -> str:
    """A salted hash by which the config's refresh token is known again, without being kept."""
    salt = secrets.token_hex(16)
    return f"{salt}${_digest(salt, first)}"


def descends(pair: Pair, first: str) -> bool:
    """Whether the pair came from that refresh token of the config."""
    salt, _, digest = pair.origin.partition("$")
    return hmac.compare_digest(_digest(salt, first), digest)


def read_pair(body: Mapping[str, Any], origin: str, now: datetime) -> Pair:
    """The pair in the token endpoint's answer. Raises Malformed, or NotAllowed without `offline.access`."""
    access, refresh = body.get("access_token"), body.get("refresh_token")
    if not _is_token(access):
        raise Malformed("X renewed the tokens without an access token")
    if not _is_token(refresh):
        raise NotAllowed("X gave no further refresh token: authorise again with the scope offline.access")
    seconds = body.get("expires_in")
    life = ACCESS_TOKEN_LIFE
    if type(seconds) is int and 0 < seconds < 366 * 86400:
        life = timedelta(seconds=seconds)
    scope = body.get("scope")
    return Pair(
        access_token=str(access),
        refresh_token=str(refresh),
        expires_at=(now + life).astimezone(UTC).isoformat(),
        refreshed_at=now.astimezone(UTC).isoformat(),
        scope=scope if isinstance(scope, str) and len(scope) < 1000 else "",
        origin=origin,
    )


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _TOKEN_LENGTH_MAX and value.isascii()


def _digest(salt: str, token: str) -> str:
    return hashlib.sha256(f"{salt}{token}".encode()).hexdigest()
