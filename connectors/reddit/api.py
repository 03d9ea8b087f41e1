"""Asking Reddit: praw inside our bounds, and Reddit's refusals in the one error vocabulary.

praw signs in, renews its access token and reads the answers' errors; what it does by sleeping (rate limits,
retries) is replaced by raising, and no praw.ini is ever read, since one in the working directory could send
our credentials elsewhere.
"""

from __future__ import annotations

import configparser
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from connectors.contract import Budget, Surroundings
from connectors.reddit.settings import Settings
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.http import retry_at
from wire.lenient import read_lenient
from wire.secret import Secret, SecretMissing
from wire.sessions import BodyTooLarge, BoundedSession, RedirectRefused, new_session

if TYPE_CHECKING:
    import praw
    import requests

OAUTH_HOST = "https://oauth.reddit.com"
AUTH_HOST = "https://www.reddit.com"
"""The hosts that praw 8 knows by itself."""

SCOPES: Mapping[str, str] = {
    "/api/v1/me": "identity",
    "/message/": "privatemessages",
    "/user/": "history",
    "/search": "read",
    "/r/": "read",
    "/api/info": "read",
}
"""Which scope a path needs: Reddit's API docs name it beside each route."""

RESET_UNKNOWN = timedelta(seconds=60)
RESET_MAX = timedelta(hours=1)
_SUBREDDITS = re.compile(r"/r/([A-Za-z0-9_+]{1,3000})/")


class _Unauthorised(NotAllowed):
    """Reddit did not take the access token (401): it may only have ended early."""


class _NoRetry:
    """prawcore's retry strategy, without retries: prawcore would sleep before them."""

    def sleep(self) -> None:
        """Never."""

    def should_retry_on_failure(self) -> bool:
        """Never: the scheduler decides."""
        return False

    def consume_available_retry(self) -> _NoRetry:
        """There is none."""
        return self


class _Allowance:
    """What Reddit's x-ratelimit headers said last: its totals differ, and are taken as they come."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._remaining: float | None = None
        self._used = 0.0
        self._resets_at: datetime | None = None
        self._closed_until: datetime | None = None

    def check(self) -> None:
        """In the place of prawcore's sleep. Raises RetryAt while nothing is left, so that no other stream of
        the account knocks at a closed door either."""
        now = self._clock()
        # A clock that was set back must not keep the door closed for longer than any limit does.
        if self._closed_until is not None and now < self._closed_until <= now + RESET_MAX:
            raise RetryAt("Reddit's rate limit is used up", at=self._closed_until, limited=True)

    def note(self, *, response_headers: Mapping[str, str]) -> None:
        """Remember an answer's headers, whatever stands in them."""
        remaining, used, reset = (
            _number(response_headers, f"x-ratelimit-{n}") for n in ("remaining", "used", "reset")
        )
        if remaining is None or reset is None:
            return
        self._remaining, self._used = remaining, used or 0.0
        self._resets_at = self._clock() + _bounded(reset)
        if remaining < 1:
            self._closed_until = self._resets_at

    def refused(self, headers: Mapping[str, str]) -> RetryAt:
        """What a 429 means: when we may ask again, never before a second or after an hour, whatever stands
        in its headers; a minute where nothing does."""
        now = self._clock()
        at = retry_at(headers, now, limit_seconds_max=RESET_MAX.total_seconds())
        reset = _number(headers, "x-ratelimit-reset")
        if at is None:
            at = now + (RESET_UNKNOWN if reset is None else _bounded(reset))
        self._closed_until = max(at, now + timedelta(seconds=1))
        return RetryAt("Reddit's rate limit is used up", at=self._closed_until, limited=True)

    @property
    def budget(self) -> Budget | None:
        """What is left of the requests."""
        if self._remaining is None:
            return None
        return Budget("requests", self._remaining + self._used, self._remaining, self._resets_at)


class Api:
    """Reddit's API for one account. One thread at a time; nothing is loaded or opened before it is needed."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._session: BoundedSession | None = None
        self._reddit: praw.Reddit | None = None
        self._allowance = _Allowance(surroundings.clock)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All requests inside share this many real seconds."""
        with self._opened().time_limit(seconds):
            yield

    def get(self, path: str, what: str, **parameters: str | int) -> Any:
        """The JSON of Reddit's answer. Raises wire.errors. An access token that Reddit no longer takes is
        renewed once."""

        def ask(reddit: praw.Reddit) -> Any:
            return reddit.request(method="GET", path=path, params=dict(parameters))

        try:
            return self._ask(ask, path, what)
        except _Unauthorised:
            return self._ask(ask, path, what)

    def scopes(self) -> frozenset[str]:
        """What the access token allows; "*" is everything. Raises wire.errors, as it may sign in."""
        return frozenset(self._ask(lambda reddit: reddit.auth.scopes(), "/api/v1/me", "what we may do"))

    @property
    def budget(self) -> Budget | None:
        """What the latest answer said of its rate limit."""
        return self._allowance.budget

    def close(self) -> None:
        """Give back the sockets."""
        if self._session is not None:
            self._session.close()
        self._session = self._reddit = None

    def _ask(self, ask: Callable[[praw.Reddit], Any], path: str, what: str) -> Any:
        """What praw says, its errors told in our words."""
        reddit = self._signed_in()
        session = self._opened()
        session.last_status = None
        from praw.exceptions import PRAWException
        from prawcore.exceptions import (
            BadJSON,
            OAuthException,
            RequestException,
            ResponseException,
        )

        try:
            return ask(reddit)
        except RequestException as error:
            raise _unanswered(error.original_exception, what) from None
        except OAuthException as error:
            raise self._not_signed_in(error.error) from None
        except BadJSON:
            raise Malformed(
                f"Reddit answered {what} with HTML, or JSON that breaks off or is not valid"
            ) from None
        except ResponseException as error:
            raise self._refusal(error.response, path, what) from None
        except (PRAWException, LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
            # praw reads the bodies and headers of errors with more trust than they deserve.
            status = session.last_status
            if status is None:
                raise
            if status >= 300:
                raise self._refusal(None, path, what) from None
            raise Malformed(
                f"Reddit answered {what} in a way that cannot be understood ({type(error).__name__})"
            ) from None

    def _opened(self) -> BoundedSession:
        if self._session is None:
            bases = {OAUTH_HOST: self._settings.api_url, AUTH_HOST: self._settings.auth_url}
            self._session = new_session(self._around.http, bases)
            self._session.hooks["response"].append(_read_with_care)
        return self._session

    def _signed_in(self) -> praw.Reddit:
        """praw, with the limits and retries that sleep taken out."""
        if self._reddit is not None:
            return self._reddit
        import praw
        import praw.config

        settings = self._settings
        with praw.config.Config.LOCK:
            if praw.config.Config.CONFIG is None:
                praw.config.Config.CONFIG = _own_defaults()
        password, refresh = self._reveal(settings.password), self._reveal(settings.refresh_token)
        reddit = praw.Reddit(
            "DEFAULT",
            requestor_kwargs={"session": self._opened()},
            client_id=settings.client_id,
            client_secret=self._reveal(settings.client_secret),
            username=settings.username if password is not None else None,
            password=password,
            refresh_token=refresh,
            redirect_uri=None,
            user_agent=settings.user_agent,
            oauth_url=OAUTH_HOST,
            reddit_url=AUTH_HOST,
            short_url=None,
            check_for_updates=False,
            check_for_async=False,
            ratelimit_seconds=0,
            timeout=16,
            window_size=600,
            comment_kind="t1",
            message_kind="t4",
            redditor_kind="t2",
            submission_kind="t3",
            subreddit_kind="t5",
            trophy_kind="t6",
        )
        core: Any = reddit._core
        core._retry_strategy_class = _NoRetry
        core.rate_limiter.delay = self._allowance.check
        core.rate_limiter.update = self._allowance.note
        self._reddit = reddit
        return reddit

    def _reveal(self, secret: Secret | None) -> str | None:
        try:
            return None if secret is None else secret.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None

    def _not_signed_in(self, said: str) -> NotAllowed:
        self._reddit = None  # the next attempt reads the secrets anew
        way = "password" if self._settings.password is not None else "refresh_token"
        hint = ' (with two-factor sign-in, only a refresh_token works; the app must be a "script")'
        reason = said if re.fullmatch(r"[a-z_]{1,40}", said) else "refused"
        return NotAllowed(
            f"Reddit does not let u/{self._settings.username} sign in ({reason}): check client_id, "
            f"client_secret and {way}{hint if way == 'password' else ''}"
        )

    def _refusal(self, response: requests.Response | None, path: str, what: str) -> EdgeError:
        """What an answer that is no success means for us. Reddit's free text is not repeated."""
        session = self._opened()
        status = (session.last_status if response is None else response.status_code) or 0
        if status == 429:
            return self._allowance.refused(session.last_headers)
        if status >= 500 or status == 408:
            return RetryAt(f"Reddit failed on {what} ({status})")
        if response is not None and response.url.partition("?")[0].endswith("/api/v1/access_token"):
            return self._not_signed_in(str(status))
        if status in (301, 302, 303, 307, 308):
            return self._redirected("" if response is None else response.headers.get("location", ""), what)
        if status == 401 and "insufficient_scope" not in session.last_headers.get("www-authenticate", ""):
            return _Unauthorised(
                f"Reddit refused the access token of u/{self._settings.username} for {what} (401): check "
                f"client_id, client_secret, and that the scope {_scope(path)} was granted"
            )
        if status in (401, 403):
            self._reddit = None
            return self._forbidden(status, path, what)
        if status == 404:
            return Refused(f"Reddit knows no {_named(path) or what} (404): check its name")
        return Refused(f"Reddit refused {what} ({status})")

    def _forbidden(self, status: int, path: str, what: str) -> NotAllowed:
        place = _named(path)
        hidden = f", or {place} is private or banned" if place else ""
        return NotAllowed(
            f"Reddit does not let u/{self._settings.username} read {what} ({status}): the scope "
            f"{_scope(path)} is missing{hidden}"
        )

    def _redirected(self, location: str, what: str) -> EdgeError:
        if "/login" in location:
            return NotAllowed(
                f"Reddit asks u/{self._settings.username} to log in for {what}: authorise again, with all "
                "scopes"
            )
        if "/subreddits/search" in location:
            return Refused(f"Reddit knows no such subreddit as in {what}: check subreddits")
        return Malformed(f"Reddit redirected {what} to another place")


def _own_defaults() -> configparser.ConfigParser:
    """What praw's package itself says, without the files that praw would look for beside it."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(files("praw").joinpath("praw.ini").read_text())
    return parser


def _read_with_care(response: requests.Response, **_: object) -> None:
    """praw reads an answer by its `json()`: let single values that are monstrous not spoil the others."""
    response.json = partial(read_lenient, response.content)  # type: ignore[method-assign]


def _unanswered(error: Exception, what: str) -> EdgeError:
    if isinstance(error, BodyTooLarge):
        return Malformed(f"Reddit answered {what} with far too much")
    if isinstance(error, RedirectRefused):
        return Malformed(f"Reddit redirected {what} to another place")
    first = (str(error).splitlines() or [""])[0][:200]
    return RetryAt(f"Reddit did not answer {what}: {first}")


def _scope(path: str) -> str:
    return next((scope for start, scope in SCOPES.items() if path.startswith(start)), "read")


def _named(path: str) -> str | None:
    """Which subreddit or user a path is about."""
    match = _SUBREDDITS.match(path)
    if match is not None:
        return "subreddit " + match[1].replace("+", ", ")[:200]
    return f"user {path.split('/')[2]}" if path.startswith("/user/") else None


def _number(headers: Mapping[str, str], name: str) -> float | None:
    """A header's number, if it is one that can be."""
    try:
        value = float(headers.get(name, ""))
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _bounded(seconds: float) -> timedelta:
    """A wait that somebody else asked for: at least a second, at most an hour."""
    return timedelta(seconds=min(max(seconds, 1.0), RESET_MAX.total_seconds()))
