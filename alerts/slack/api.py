"""Slack over HTTP: the Web API, webhooks and response URLs; what their answers mean for us.

What may live here: one request each, its bounds, and Slack's words for what went wrong as the one error
vocabulary of both edges. Sources: Slack's documentation of incoming webhooks, chat.postMessage, chat.update,
auth.test, apps.connections.open, rate limits, and of handling user interaction (response_url).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt
from wire.exchange import Bounds, origin
from wire.http import HttpClient, HttpOptions, Reply, retry_at
from wire.secret import Secret, SecretMissing

PLAIN = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
"""A new message's text has no markup, and no preview of a stranger's link."""

_HOOKS = "https://hooks.slack.com:443"
_URL_LENGTH_MAX = 2000
_TRY_AGAIN = frozenset({"service_unavailable", "request_timeout", "team_added_to_org", "rollup_error"})
_PERHAPS_DONE = frozenset({"internal_error", "fatal_error"})
_LIMITED = frozenset({"ratelimited", "rate_limited"})
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
_NO_THREAD = frozenset({"thread_not_found", "cannot_reply_to_message", "invalid_thread_ts"})
_OPEN = "apps.connections.open"

_NEW_TOKEN = "make a new bot token and put it where bot_token says"
_NEW_APP_TOKEN = "make a new app-level token and put it where app_token says"
_ASK_ADMIN = "ask the workspace's administrators to let the app post there"
_WHAT_TO_DO = {
    "not_authed": _NEW_TOKEN,
    "invalid_auth": _NEW_TOKEN,
    "token_revoked": _NEW_TOKEN,
    "token_expired": _NEW_TOKEN,
    "account_inactive": _NEW_TOKEN,
    "not_allowed_token_type": "use a bot token (it begins with xoxb-)",
    "missing_scope": "give the app the scope that is missing, and install it again",
    "no_permission": "give the app the scope chat:write, and install it again",
    "not_in_channel": "invite the app: write /invite @its-name in the channel",
    "channel_not_found": "check `channel`, and invite the app if the channel is private",
    "is_archived": "the channel is archived: name another in `channel`",
    "access_denied": _ASK_ADMIN,
    "accesslimited": _ASK_ADMIN,
    "ekm_access_denied": _ASK_ADMIN,
    "enterprise_is_restricted": _ASK_ADMIN,
    "org_login_required": _ASK_ADMIN,
    "team_access_not_granted": _ASK_ADMIN,
    "restricted_action": _ASK_ADMIN,
    "restricted_action_read_only_channel": _ASK_ADMIN,
    "restricted_action_thread_only_channel": _ASK_ADMIN,
    "two_factor_setup_required": "set up two-factor authentication for the app's owner",
}
"""Slack's words for what a person must mend, and what that person does."""

_WHAT_TO_DO_TO_OPEN = {
    **dict.fromkeys(
        ("not_authed", "invalid_auth", "token_revoked", "token_expired", "account_inactive"), _NEW_APP_TOKEN
    ),
    "not_allowed_token_type": "use an app-level token (it begins with xapp-)",
    "missing_scope": "give the app-level token the scope connections:write",
    "no_permission": "give the app-level token the scope connections:write",
    "socket_mode_not_enabled": "switch Socket Mode on in the app's settings",
}
"""The same, where a line of Socket Mode is to be opened with the app-level token."""

_WORD = re.compile(r"[a-z_]{1,60}")


class Gone(Refused):
    """The message, or the thread, that was to be changed or continued is not there any more."""


class SlackApi:
    """Single requests to one workspace. `recipient` is named in errors. May be used by several threads."""

    def __init__(
        self, api_url: str, recipient: str, options: HttpOptions, clock: Callable[[], datetime]
    ) -> None:
        self.api_url = api_url
        self._recipient = recipient
        self._clock = clock
        self._client = HttpClient(options)

    def close(self) -> None:
        """Give back the sockets."""
        self._client.close()

    def call(self, method: str, token: Secret, body: Mapping[str, Any], bounds: Bounds) -> Mapping[str, Any]:
        """One call of the Web API. Its own `error` words become ours, and nothing else of it is repeated.

        Raises Gone where a message or thread is no more, else as `Channel.send` does.
        """
        headers = {"Authorization": f"Bearer {reveal(token)}"}
        url = f"{self.api_url}/{method}"
        reply = self._client.request(
            "POST", url, headers=headers, json=body, time_limit=bounds.seconds_left()
        )
        self._look_at_status(reply)
        if reply.status in (401, 403):
            advice = _NEW_APP_TOKEN if method == _OPEN else _NEW_TOKEN
            raise NotAllowed(f"Slack answered {method} with status {reply.status}: {advice}")
        if reply.status == 404:
            raise NotAllowed(f"there is no {method} at api_url: check it")
        if reply.status >= 400:
            raise Refused(f"Slack answered {method} with status {reply.status}")
        answer = reply.json()
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            raise Malformed(f"an answer to {method} that is not Slack's")
        if answer["ok"]:
            return answer
        raise self._error_of(method, _word(answer.get("error")), answer)

    def open_line(self, app_token: Secret, bounds: Bounds) -> str:
        """The URL of a new line of Socket Mode. It holds a ticket: a secret for as long as it can be used.

        Raises Malformed where it does not lead to Slack over TLS (or, beside a simulator, to this machine).
        """
        url = self.call(_OPEN, app_token, {}, bounds).get("url")
        if not isinstance(url, str) or not may_connect(url, self.api_url):
            raise Malformed("an address for Socket Mode that is not Slack's")
        return url

    def post_to_webhook(self, url: Secret, body: Mapping[str, Any], bounds: Bounds) -> None:
        """Only status 200 with the body "ok" is a success."""
        address = reveal(url)
        message = {**body, **PLAIN}
        reply = self._client.request("POST", address, json=message, time_limit=bounds.seconds_left())
        self._look_at_status(reply)
        if reply.status == 200 and reply.body.strip() == b"ok":
            return
        word = _word(reply.body[:100].decode("ascii", "replace").strip())
        if reply.status < 400:
            raise Malformed(f"an answer of Slack's webhook that is not its ok (status {reply.status})")
        if reply.status in (401, 403, 404, 410):
            raise NotAllowed(
                f"Slack no longer takes this webhook ({reply.status} {word}): make a new one, or bring its "
                "channel back"
            )
        raise Refused(f"Slack's webhook refused it ({reply.status} {word})")

    def respond(self, url: str, body: Mapping[str, Any], bounds: Bounds) -> None:
        """Answer whoever pressed or asked, for nobody else to see. The URL came from outside: it is used
        only where it is Slack's own. Raises Refused else, and as `Channel.send` does."""
        if not may_answer(url, self.api_url):
            raise Refused("an address to answer to that is not Slack's")
        message = {**body, **PLAIN, "response_type": "ephemeral", "replace_original": False}
        reply = self._client.request("POST", url, json=message, time_limit=bounds.seconds_left())
        self._look_at_status(reply)
        if reply.status >= 400:
            word = _word(reply.body[:100].decode("ascii", "replace").strip())
            raise Refused(f"Slack did not take the answer ({reply.status} {word})")

    def _error_of(self, method: str, error: str, answer: Mapping[str, Any]) -> EdgeError:
        """Slack's word for what went wrong, as what we can do about it."""
        if error in _LIMITED:
            return RetryAt("Slack limits how often we may post", limited=True)
        if error in _PERHAPS_DONE:
            # Slack's docs: "it's possible some aspect of the operation succeeded".
            return RetryAt(f"Slack has trouble ({error})", accepted_unknown=True)
        if error in _TRY_AGAIN:
            return RetryAt(f"Slack has trouble ({error})")
        if (method == "chat.update" and error in _GONE) or error in _NO_THREAD:
            return Gone(f"Slack no longer has the message ({error})")
        what_to_do = _WHAT_TO_DO | _WHAT_TO_DO_TO_OPEN if method == _OPEN else _WHAT_TO_DO
        if error in what_to_do:
            needed = answer.get("needed")
            plain = isinstance(needed, str) and re.fullmatch(r"[a-z:._,]{1,60}", needed)
            scope = f" {needed}" if plain else ""
            return NotAllowed(f"Slack says {error}{scope} for {self._recipient}: {what_to_do[error]}")
        return Refused(f"Slack refused {method} for {self._recipient}: {error}")

    def _look_at_status(self, reply: Reply) -> None:
        """What means the same for webhooks and the Web API: limits and outages."""
        at = retry_at(reply.headers, self._clock())
        if reply.status == 429:
            raise RetryAt("Slack limits how often we may post", at=at, limited=True)
        if reply.status >= 500:
            # A gateway that gave up waiting does not know whether Slack took it.
            unknown = reply.status == 504
            raise RetryAt(f"Slack answered with status {reply.status}", at=at, accepted_unknown=unknown)


def reveal(secret: Secret) -> str:
    """The secret's value. Raises NotAllowed where it is missing, and says which."""
    try:
        return secret.reveal()
    except SecretMissing as error:
        raise NotAllowed(str(error)) from None


def may_answer(url: str, api_url: str) -> bool:
    """Whether a response URL leads to Slack: to its hooks, or to where its API is."""
    if len(url) > _URL_LENGTH_MAX or "@" in url or not url.isascii() or not url.isprintable():
        return False
    place, api = origin(url), urlsplit(api_url)
    ours = {_HOOKS, origin(api_url), origin(f"https://hooks.{api.hostname}")}
    return place.startswith("http") and place in ours


def may_connect(url: str, api_url: str) -> bool:
    """Whether a line's URL leads to Slack over TLS; beside an API on this machine, to this machine."""
    if len(url) > _URL_LENGTH_MAX or "@" in url or not url.isascii() or not url.isprintable():
        return False
    try:
        host, scheme, _ = urlsplit(url).hostname or "", urlsplit(url).scheme, urlsplit(url).port
    except ValueError:
        return False
    api_host = urlsplit(api_url).hostname or ""
    if is_loopback(api_host):
        return scheme in ("ws", "wss") and is_loopback(host)
    return scheme == "wss" and any(host.endswith(f".{domain}") for domain in (api_host, "slack.com"))


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _word(error: object) -> str:
    """Slack's error words are lower-case with underscores; anything else could be anything."""
    return error if isinstance(error, str) and _WORD.fullmatch(error) else "an error that it did not name"
