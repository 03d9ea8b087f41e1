"""Asking X: tweepy's client inside our bounds, and X's refusals in the one error vocabulary.

tweepy has no base URL and no time limit: both come from the session that replaces its own. It is asked for
raw responses, never waits on rate limits, and its log is kept shut, since it writes tokens into it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.contract import Budget, Surroundings
from connectors.x.parse import read_json
from connectors.x.settings import Access, Settings
from connectors.x.tokens import Pair, TokenFile, descends, origin_of, read_pair
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.secret import Secret, SecretMissing
from wire.sessions import BoundedSession, new_session

if TYPE_CHECKING:
    import requests

TWEEPY_HOST = "https://api.twitter.com"
"""The host that tweepy 4.17 has in its code."""

WINDOW = timedelta(minutes=15)
"""X's rate limits are counted in windows of this length."""

RESET_UNKNOWN = timedelta(seconds=60)
_NAMES = re.compile(
    r"\b(since_id|start_time|pagination_token|next_token|tweet\.fields|post\.fields|dm_event\.fields|"
    r"user\.fields|expansions|max_results)\b"
)
_PROBLEM = re.compile(r"/problems/([a-z0-9-]{1,60})$")
_LOGGERS = ("tweepy.client", "oauthlib.oauth1.rfc5849", "requests_oauthlib.oauth1_auth")
_SCOPES = ("tweet.read", "users.read", "offline.access")


class Declined(Refused):
    """X understood and found the request wrong (400): `names` are the parameters it complains of."""

    def __init__(self, reason: str, names: frozenset[str]) -> None:
        super().__init__(reason)
        self.names = names


class _Unauthorised(NotAllowed):
    """X did not take the access token (401): one that rotates may only have ended early."""


class Api:
    """X's API for one account. One thread at a time; nothing is loaded or opened before the first request."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._tokens = TokenFile(surroundings.state_folder, surroundings.brand, surroundings.account)
        self._session: BoundedSession | None = None
        self._client: Any = None
        self._pair: Pair | None = None
        self._unsaved = False

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All requests inside share this many real seconds."""
        with self._opened().time_limit(seconds):
            yield

    def get(self, method: str, *arguments: str, **parameters: Any) -> dict[str, Any]:
        """Call that method of tweepy's client; the JSON object of X's answer.

        Raises wire.errors, and Declined for a 400. An access token that X no longer takes is renewed once.
        """
        try:
            return self._get(method, arguments, parameters)
        except _Unauthorised:
            pair = self._pair
            if pair is None:
                raise
            self._renew(self._around.clock(), stale=pair)
        return self._get(method, arguments, parameters)

    def budget(self, name: str) -> Budget | None:
        """What the latest answer said of its rate limit."""
        headers = self._opened().last_headers
        limit, remaining = _whole(headers, "limit"), _whole(headers, "remaining")
        if limit is None or remaining is None:
            return None
        reset = _whole(headers, "reset")
        at = None
        if reset is not None:
            now = self._around.clock()
            at = min(max(_at(reset, now), now), now + WINDOW)
        return Budget(name, float(limit), float(min(remaining, limit)), at)

    def lacking(self) -> tuple[str, ...]:
        """Which permissions the latest answer, or the scope of our token, shows to be missing."""
        found: list[str] = []
        dms = self._settings.dms
        if self._pair is not None and self._pair.scope:
            scopes = set(self._pair.scope.split())
            found.extend(f"scope {s}" for s in (*_SCOPES, *(("dm.read",) if dms else ())) if s not in scopes)
        level = self._opened().last_headers.get("x-access-level", "")
        if dms and self._settings.access is Access.OAUTH1 and level and "directmessages" not in level:
            found.append(
                "the app's permission to read Direct Messages (set it to \"Read and write and Direct "
                'message", then make new access tokens)'
            )
        return tuple(found)

    @property
    def credentials_expire_at(self) -> datetime | None:
        """When a person must authorise again, if the tokens are not renewed before."""
        return None if self._pair is None else self._pair.lapses_at

    def close(self) -> None:
        """Give back the sockets."""
        if self._session is not None:
            self._session.close()
        self._session = self._client = None

    def _get(self, method: str, arguments: tuple[str, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
        what = method.removeprefix("get_").replace("_", " ")
        client = self._authorised()
        session = self._opened()
        session.last_status = None
        session.last_headers = {}
        import requests
        import tweepy

        try:
            user = {"user_auth": self._settings.access is Access.OAUTH1}
            response = getattr(client, method)(*arguments, **user, **parameters)
        except tweepy.HTTPException as error:
            raise self._refusal(error.response, what) from None
        except requests.RequestException as error:
            raise RetryAt(f"X did not answer {what}: {_first_line(error)}") from None
        except (AttributeError, TypeError, ValueError, KeyError, RecursionError):
            # tweepy reads error bodies and reset headers with more trust than they deserve.
            if (session.last_status or 0) < 400:
                raise
            raise self._refusal(None, what) from None
        body = read_json(response.content, what)
        _refuse_empty(body, what)
        return body

    def _opened(self) -> BoundedSession:
        if self._session is None:
            self._session = new_session(self._around.http, {TWEEPY_HOST: self._settings.api_url})
        return self._session

    def _authorised(self) -> Any:
        """tweepy's client with credentials that hold now."""
        import requests
        import tweepy

        settings = self._settings
        if self._client is None:
            # At DEBUG these write headers, tokens and the texts of DMs.
            for name in _LOGGERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            names = ("consumer_key", "consumer_secret", "access_token", "access_token_secret", "bearer_token")
            secrets = {n: self._reveal(getattr(settings, n)) for n in names}
            client = tweepy.Client(**secrets, return_type=requests.Response, wait_on_rate_limit=False)
            client.session.close()
            client.session = self._opened()
            client.user_agent = self._around.http.user_agent
            self._client = client
        if settings.access is Access.OAUTH2:
            self._client.bearer_token = self._access_token()
        return self._client

    def _access_token(self) -> str:
        now = self._around.clock()
        if self._pair is None:
            self._pair = self._tokens.load(self._first())
        if self._unsaved and self._pair is not None:
            self._tokens.save(self._pair)
            self._unsaved = False
        pair = self._pair
        if pair is None or not pair.fresh(now):
            pair = self._renew(now, stale=pair)
        return pair.access_token

    def _renew(self, now: datetime, stale: Pair | None) -> Pair:
        """Spend the refresh token, and have its successor on disk before anything is done with it."""
        first = self._first()
        with self._tokens.renewing(now):
            stored = self._tokens.load(first)
            if stored is not None and stored != stale and stored.fresh(now):
                self._pair = stored  # another process was quicker
                return stored
            held = stored if stored is not None or stale is None or not descends(stale, first) else stale
            body = self._exchange(first if held is None else held.refresh_token)
            pair = read_pair(body, origin_of(first), now)
            self._pair, self._unsaved = pair, True
            self._tokens.save(pair)
            self._unsaved = False
        return pair

    def _exchange(self, refresh_token: str) -> dict[str, Any]:
        import requests

        settings = self._settings
        client_id = settings.client_id
        name = client_id if isinstance(client_id, str) else self._reveal(client_id)
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": name}
        secret = self._reveal(settings.client_secret)
        what = "the renewal of its tokens"
        try:
            response = self._opened().post(
                f"{TWEEPY_HOST}/2/oauth2/token",
                data=form,
                auth=(name or "", secret) if secret is not None else None,
            )
        except requests.RequestException as error:
            raise RetryAt(f"X did not answer {what}: {_first_line(error)}", accepted_unknown=True) from None
        if response.status_code in (400, 401, 403):
            raise NotAllowed(
                f"X refused to renew the tokens of @{settings.handle} ({response.status_code}): authorise "
                "again, and put the new refresh token where refresh_token points (check client_id and "
                "client_secret too)"
            )
        if not 200 <= response.status_code < 300:
            raise self._refusal(response, what)
        return read_json(response.content, what)

    def _first(self) -> str:
        return self._reveal(self._settings.refresh_token) or ""

    def _reveal(self, secret: Secret | None) -> str | None:
        try:
            return None if secret is None else secret.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None

    def _refusal(self, response: requests.Response | None, what: str) -> EdgeError:
        """What an answer that is no success means for us. X's free text is not repeated."""
        session = self._opened()
        status = session.last_status if response is None else response.status_code
        problem, names = _read_problem(response)
        said = f"{status}, {problem}" if problem else f"{status}"
        if status is None or 200 <= status < 400:
            return Malformed(f"X answered {what} in a way that cannot be understood ({said})")
        if status == 400:
            return Declined(
                f"X refused {what} ({said}): wrong {', '.join(sorted(names)) or 'request'}", names
            )
        if status in (401, 403):
            self._client = None  # the next attempt reads the secrets anew
            kind = _Unauthorised if status == 401 else NotAllowed
            return kind(self._missing(status, problem, what))
        if status == 402 or problem in ("usage-capped", "credits"):
            return NotAllowed(
                f"X's credits or monthly cap are used up ({said}): buy credits or raise the cap"
            )
        if status == 429:
            return RetryAt(f"X's rate limit for {what} is used up", at=self._limited_until(), limited=True)
        if status >= 500 or status == 408:
            return RetryAt(f"X failed on {what} ({said})")
        return Refused(f"X refused {what} ({said})")

    def _missing(self, status: int, problem: str, what: str) -> str:
        handle, access = self._settings.handle, self._settings.access
        direct = what.startswith("direct")
        if problem == "not-authorized-for-resource":
            return f"X does not let @{handle} see {what}: the account is protected, blocked or suspended"
        if status == 401 and not direct:
            needed = {
                Access.OAUTH1: "check consumer_key, consumer_secret, access_token and access_token_secret",
                Access.OAUTH2: "authorise again, with the scopes tweet.read, users.read and offline.access",
                Access.APP: "check bearer_token",
            }[access]
            return f"X refused the credentials of @{handle} for {what} (401): {needed}"
        if direct:
            needed = {
                Access.OAUTH1: 'the app needs the permission "Read and write and Direct message", and access '
                "tokens made after it was given",
                Access.OAUTH2: "authorise again with the scope dm.read (beside tweet.read and users.read)",
                Access.APP: "DMs need a user's credentials, not bearer_token",
            }[access]
            return f"X does not let @{handle} read direct messages ({status}): {needed}"
        if problem in ("client-forbidden", "client-not-enrolled"):
            return f"X does not let this app use {what} ({status}): attach the app to a project with access"
        scopes = (
            ": authorise again with the scopes tweet.read and users.read" if access is Access.OAUTH2 else ""
        )
        return f"X does not let @{handle} use {what} ({status}, missing permission of the app){scopes}"

    def _limited_until(self) -> datetime:
        """When the window ends: never before a second, never after one whole window, whatever was sent."""
        now = self._around.clock()
        reset = _whole(self._opened().last_headers, "reset")
        if reset is None:
            return now + RESET_UNKNOWN
        return min(max(_at(reset, now), now + timedelta(seconds=1)), now + WINDOW)


def _refuse_empty(body: Mapping[str, Any], what: str) -> None:
    """A 200 with nothing in it but errors is a refusal of the whole."""
    if "data" in body or "meta" in body:
        return
    errors = body.get("errors")
    if type(errors) is not list or not errors:
        raise Malformed(f"X answered {what} with neither data, nor meta, nor errors")
    problems = {_problem(e) for e in errors if type(e) is dict}
    if what == "tweets" and problems <= {"not-authorized-for-resource", "resource-not-found"}:
        return  # a look-up of which nothing is left
    if problems & {"not-authorized-for-resource", "client-forbidden"}:
        raise NotAllowed(f"X does not let us see {what}: the account is protected, blocked or suspended")
    if "resource-not-found" in problems:
        raise Refused(f"X knows nobody for {what}: the account was renamed or deleted")
    raise RetryAt(f"X failed on {what} ({', '.join(sorted(p for p in problems if p)) or 'no reason'})")


def _read_problem(response: requests.Response | None) -> tuple[str, frozenset[str]]:
    """The kind of problem and the parameters that an error body names; nothing where it says nothing."""
    if response is None:
        return "", frozenset()
    try:
        body = read_json(response.content[:65536], "with an error")
    except Malformed:
        return "", frozenset()
    names: set[str] = set()
    problem = _problem(body)
    errors = body.get("errors")
    for error in (body, *(errors if type(errors) is list else ())):
        if type(error) is not dict:
            continue
        problem = problem or _problem(error)
        if type(error.get("parameters")) is dict:
            names.update(_NAMES.findall(" ".join(map(str, error["parameters"]))))
        for text in (error.get("message"), error.get("detail")):
            if type(text) is str:
                names.update(_NAMES.findall(text[:2000]))
    return problem, frozenset(names)


def _problem(error: Mapping[str, Any]) -> str:
    kind = error.get("type")
    match = _PROBLEM.search(kind) if type(kind) is str else None
    return match[1] if match else ""


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(f"x-rate-limit-{name}", "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None


def _at(seconds: int, now: datetime) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return now + WINDOW


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__
