"""Signed webhooks: any program of yours is told what people are told, as JSON.

What may live here: the channel's settings, the body (docs/webhook.schema.json says its form), the signature,
and what a receiver's answers mean. Source: the Standard Webhooks specification, version 1.0.0 (headers,
signature scheme, secrets, delivery success and failure).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from alerts.contract import ChannelSurroundings, Preview, Receipt
from alerts.render import Rendered, calls
from rules.alert import Alert
from wire.errors import NotAllowed, Refused, RetryAt
from wire.exchange import origin
from wire.http import HttpClient, Reply, retry_at
from wire.redact import inert
from wire.secret import Secret, SecretMissing
from wire.standard_webhooks import key_of, sign

VERSION = 1
"""Of the body. It grows when a key goes or changes its meaning, and not when one is added."""

WORDS_LENGTH_MAX = 500
TEXT_LENGTH_MAX = 4000
TEXT_LINES_MAX = 200
LIST_LENGTH_MAX = 20
_OURS = frozenset({"calls", "addressee"})
"""Facts that stay with us: the ids and addresses of colleagues, for channels that can call them."""

SECRETS_MAX = 5
LIMITED_FOR = timedelta(seconds=30)
"""How long the channel rests where a receiver limits us and does not say for how long."""

_NOT_IN_AN_ID = re.compile(r"[^!-~]|\.")
_ID_LENGTH_MAX = 200
_GATEWAYS = (502, 504)


class Settings(BaseModel):
    """[channels.NAME] with type = "webhook": a URL of your own that takes signed JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: Literal["webhook"] = Field(default="webhook", description="This kind of channel.")
    url: Secret = Field(
        description="Where to post to (https://…), as a secret, since such URLs often hold a token."
    )
    signing_secrets: list[Secret] = Field(
        min_length=1,
        max_length=SECRETS_MAX,
        description='What the requests are signed with: each "whsec_" and 24 to 64 random bytes in base64. '
        "Each of them signs, so that a new one can stand beside the old one for a while.",
    )


def build(settings: Settings, surroundings: ChannelSurroundings) -> WebhookChannel:
    """The channel. Nothing is asked of the receiver yet."""
    return WebhookChannel(settings, surroundings)


def webhook_id(key: str) -> str:
    """An alert's key as the header webhook-id: the same at every attempt, another for every other key.

    What is signed is "id.timestamp.body", so an id with a dot in it could be read as another id with another
    body: dots, and what no header can carry, become "_", and then a digest keeps the ids apart.
    """
    plain = _NOT_IN_AN_ID.sub("_", key)[:_ID_LENGTH_MAX]
    if plain == key:
        return key
    return f"{plain}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def build_body(alert: Alert, said: Rendered) -> dict[str, Any]:
    """What is posted, as docs/webhook.schema.json has it: every fact of the alert but who is called by name.

    Strangers' words have no control, invisible or turning letters in them and are bounded in length; a text
    keeps its lines. A link is None unless it is one of the web that is safe to press.
    """
    data = _plain(alert)
    data["headline"] = said.headline
    data["calls"] = calls(alert)
    if alert.case is not None:
        data["case"]["text"] = _text(alert.case.text)
        data["case"]["url"] = said.link
    if alert.storm is not None:
        worst = zip(data["storm"]["worst"], said.cases, strict=False)
        data["storm"]["worst"] = [{**case, "url": line.link} for case, line in worst]
        words = data["storm"]["words"]
        data["storm"]["words"] = [{"word": word, "cases": cases} for word, cases in words]
    return {
        "type": f"alert.{alert.stage.value}",
        "timestamp": _time(alert.at),
        "version": VERSION,
        "data": data,
    }


def _plain(value: Any) -> Any:
    """A fact as JSON has it."""
    if isinstance(value, str):
        return inert(value, WORDS_LENGTH_MAX)
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value[:LIST_LENGTH_MAX]]
    if is_dataclass(value):
        known = [field.name for field in fields(value) if field.name not in _OURS]
        return {name: _plain(getattr(value, name)) for name in known}
    return value


def _time(at: datetime) -> str:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(text: str | None) -> str | None:
    """A customer's words with their lines. It is cut before anything else is done with it, so that the time
    does not depend on its length."""
    if text is None:
        return None
    lines = [inert(line, TEXT_LENGTH_MAX) for line in text[: 4 * TEXT_LENGTH_MAX].splitlines()]
    plain = "\n".join(lines[:TEXT_LINES_MAX]).strip()
    cut = len(text) > 4 * TEXT_LENGTH_MAX or len(lines) > TEXT_LINES_MAX or len(plain) > TEXT_LENGTH_MAX
    return plain[: TEXT_LENGTH_MAX - 1].rstrip() + "…" if cut else plain


class WebhookChannel:
    """One receiver. Whatever it is told of a subject later brings what it knows up to date, so it hears of
    moves and of a storm's state, too. A receipt's `remote` has the `id` and the `subject` that were sent."""

    def __init__(self, settings: Settings, surroundings: ChannelSurroundings) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._client = HttpClient(surroundings.http)

    @property
    def recipient(self) -> str:
        return f"webhook of {self._surroundings.name}"

    @property
    def updates(self) -> bool:
        return True

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        """Post it. A case has another id once we see a message of it that came earlier; the receiver knows
        what belongs together by `subject`, so that this stays as `previous` had it.

        The secrets are read anew each time, so that a rotated file needs no restart.
        """
        url, keys = self._url(), self._keys()
        subject = alert.subject if previous is None else previous.remote.get("subject", alert.subject)
        content = build_body(replace(alert, subject=subject), self._surroundings.render(alert))
        body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        message_id, timestamp = webhook_id(alert.key), int(self._surroundings.clock().timestamp())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(keys, message_id, timestamp, body),
        }
        reply = self._client.request("POST", url, headers=headers, content=body, time_limit=time_limit)
        self._look_at(reply, origin(url))
        return Receipt(self._surroundings.clock(), {"id": message_id, "subject": subject})

    def preview(self, alert: Alert) -> Preview:
        """The body as it is posted, on many lines for people."""
        body = build_body(alert, self._surroundings.render(alert))
        return Preview("json", json.dumps(body, indent=2, ensure_ascii=False))

    def check(self, time_limit: float) -> str:
        """Look at the URL and the secrets. Any request might set the receiver off, so none is made."""
        url, keys = self._url(), self._keys()
        open_line = ", unencrypted" if urlsplit(url).scheme == "http" else ""
        count = "1 secret" if len(keys) == 1 else f"{len(keys)} secrets"
        said = f"a webhook at {origin(url)}{open_line}, signed with {count}"
        return f"{said}; whether it is taken shows only by sending (check --send)"

    def close(self) -> None:
        """Give back the sockets."""
        self._client.close()

    def _look_at(self, reply: Reply, place: str) -> None:
        """What the answer means; its body is nobody's business. Raises unless it is 2xx."""
        status = reply.status
        if 200 <= status < 300:
            return
        now = self._surroundings.clock()
        at = retry_at(reply.headers, now)
        if status == 429 or (status == 503 and at is not None):
            # Without a time the channel would go on with its next alert at once.
            at = at or now + LIMITED_FOR
            raise RetryAt(f"{place} asks us to wait (status {status})", at=at, limited=True)
        if status >= 500 or status == 408:
            # A gateway that heard nothing sensible does not know whether the receiver took it.
            unknown = status in _GATEWAYS
            raise RetryAt(f"{place} answered with status {status}", at=at, accepted_unknown=unknown)
        if status == 410:
            raise NotAllowed(
                f"{place} wants no more webhooks (410 Gone): set its new address in `url`, or remove the "
                "channel"
            )
        if status in (401, 403):
            raise NotAllowed(
                f"{place} does not accept us (status {status}): check `url` and `signing_secrets`"
            )
        if status in (404, 405):
            raise NotAllowed(f"{place} takes no webhooks there (status {status}): check `url`")
        raise Refused(f"{place} refused it (status {status})")

    def _url(self) -> str:
        url = _reveal(self._settings.url).strip()
        if not origin(url).startswith("http"):
            raise NotAllowed(
                f"{self._settings.url!r} holds no URL; expected one such as https://example.com/hook"
            )
        return url

    def _keys(self) -> list[bytes]:
        """The keys to sign with. Raises NotAllowed for what is none, without repeating it."""
        return [key_of(secret) for secret in self._settings.signing_secrets]


def _reveal(secret: Secret) -> str:
    try:
        return secret.reveal()
    except SecretMissing as error:
        raise NotAllowed(str(error)) from None
