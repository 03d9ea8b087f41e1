"""Asking a platform's JSON API, where no client library is needed: one request, one answer, our errors.

What may live here: what HTTP's status codes and rate headers mean to a connector, whatever the platform. What
a platform says in bodies and headers of its own is the connector's business: it is told by `RestWays`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from connectors.contract import Budget
from wire.errors import Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds
from wire.http import HttpClient, HttpOptions, Reply, retry_at
from wire.redact import Redactor, inert

RESET_UNKNOWN = timedelta(minutes=1)
"""How long we wait where a platform limits us and does not say for how long."""

RESET_MAX = timedelta(hours=24)
SAID_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class RestWays:
    """What differs between platforms.

    `headers`: of every request, made anew each time (it may reveal a secret). `secrets`: what no error may
    repeat. `explain`: what an error's body says, in one line of the platform's words ("" where it says
    nothing). `budgets`: what an answer's headers say is left. `resets_at`: when a limit ends, where the
    answer says so in another way than Retry-After. `limited`: whether an error means a limit although its
    status is not 429. `denied`: whether it means that a credential or a permission is missing although its
    status is neither 401 nor 403. `expired`: whether it means that only a new access token is needed.
    """

    headers: Callable[[], Mapping[str, str]] = dict
    secrets: Callable[[], Iterable[str]] = lambda: ()
    explain: Callable[[Any], str] = lambda _body: ""
    budgets: Callable[[Mapping[str, str], datetime], tuple[Budget, ...]] = lambda _headers, _now: ()
    resets_at: Callable[[Reply, datetime], datetime | None] = lambda _reply, _now: None
    limited: Callable[[Reply], bool] = lambda _reply: False
    denied: Callable[[Reply], bool] = lambda _reply: False
    expired: Callable[[Reply], bool] = lambda _reply: False


class Missing(Refused):
    """404 or 410: what was asked for is not there."""


class Expired(NotAllowed):
    """The access token is no longer taken; whoever can renew it asks once more."""


class RestApi:
    """One platform's API for one account. One thread at a time. `name` is the platform's, for errors.

    Nothing is sent while a rate limit lasts that the platform told us of: no stream of the account knocks at
    a closed door.
    """

    def __init__(
        self, name: str, base_url: str, http: HttpOptions, clock: Callable[[], datetime], ways: RestWays
    ) -> None:
        self._name = name
        self._base = base_url
        self._http = http
        self._clock = clock
        self._ways = ways
        self._client: HttpClient | None = None
        self._redactor = Redactor(ways.secrets)
        self._closed_until: datetime | None = None
        self._bounds: Bounds | None = None
        self.budgets: tuple[Budget, ...] = ()
        """What the latest answer said is left."""

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All requests inside share this many seconds."""
        outer, self._bounds = self._bounds, Bounds(seconds, self._http.body_bytes_max)
        try:
            yield
        finally:
            self._bounds = outer

    def get(
        self,
        path: str,
        what: str,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask for something. `what` names it in errors ("the mentions"); a value that is None is left out and
        one that is a list is repeated. Raises wire.errors, Missing among them."""
        asked = {k: v for k, v in (parameters or {}).items() if v is not None}
        query = f"?{urlencode(asked, doseq=True)}" if asked else ""
        return self.ask("GET", f"{self._base}{path}{query}", what, headers=headers)

    def post(
        self,
        path: str,
        what: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Post something (to sign in, to ask what cannot be asked with GET). Raises as `get` does."""
        return self.ask("POST", f"{self._base}{path}", what, json=json, form=form, headers=headers)

    def ask(
        self,
        method: str,
        url: str,
        what: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask at a whole URL, inside of `within`. Raises wire.errors."""
        if self._bounds is None:
            raise RuntimeError("nothing is asked outside of a time limit")
        self._check_open()
        if self._client is None:
            self._client = HttpClient(self._http)
        reply = self._client.request(
            method,
            url,
            headers={"accept": "application/json", **self._ways.headers(), **(headers or {})},
            json=json,
            form=form,
            time_limit=self._bounds.require_time(),
        )
        now = self._clock()
        self.budgets = self._ways.budgets(reply.headers, now) or self.budgets
        if reply.status >= 300:
            raise self._refusal(reply, what, now)
        return reply

    def close(self) -> None:
        """Give back the sockets."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _check_open(self) -> None:
        now = self._clock()
        # A clock that was set back must not keep the door closed for longer than any limit does.
        if self._closed_until is not None and now < self._closed_until <= now + RESET_MAX:
            raise RetryAt(f"{self._name}'s rate limit is used up", at=self._closed_until, limited=True)

    def _refusal(self, reply: Reply, what: str, now: datetime) -> Exception:
        """What an answer that is no success means."""
        status = reply.status
        if status == 429 or self._ways.limited(reply):
            at = retry_at(reply.headers, now, limit_seconds_max=RESET_MAX.total_seconds())
            at = at or self._ways.resets_at(reply, now) or now + RESET_UNKNOWN
            self._closed_until = min(max(at, now + timedelta(seconds=1)), now + RESET_MAX)
            return RetryAt(f"{self._name}'s rate limit is used up", at=self._closed_until, limited=True)
        said = f"{self._name} answered {what} with {status}{self._explained(reply)}"
        if status >= 500 or status in (408, 425):
            return RetryAt(said, at=retry_at(reply.headers, now))
        if status < 500 and self._ways.expired(reply):
            return Expired(said)
        if status in (401, 403) or self._ways.denied(reply):
            return NotAllowed(said)
        return Missing(said) if status in (404, 410) else Refused(said)

    def _explained(self, reply: Reply) -> str:
        """The platform's own words: bounded, on one line, without our secrets."""
        try:
            words = self._ways.explain(reply.json())
        except (Malformed, LookupError, TypeError, AttributeError, ValueError):
            return ""
        clean = inert(self._redactor.clean(words[:10_000]), SAID_LENGTH_MAX) if isinstance(words, str) else ""
        return f" ({clean})" if clean else ""


def header_number(headers: Mapping[str, str], name: str) -> float | None:
    """A header that is a plain number; None where it is missing or anything else."""
    text = headers.get(name, "").strip()
    try:
        value = float(text) if len(text) <= 20 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
