"""Chatwoot: live chat and the other inboxes of a Chatwoot account, which posts what is written there to us.

What may live here: Chatwoot's webhook (events message_created and message_updated), its signature, and what
of it is a customer's or a person's word. Sources: Chatwoot's documentation of webhooks, and how its clients
verify `X-Chatwoot-Signature`: "sha256=" and HMAC-SHA256 of "TIMESTAMP.BODY" with the webhook's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connectors.contract import (
    Capabilities,
    Cursor,
    Delivery,
    Direction,
    Gone,
    Identity,
    Outbound,
    Page,
    Received,
    Stream,
    Surroundings,
)
from connectors.html_text import text_of
from rules.message import Author, Kind, Message
from wire.errors import Malformed, NotAllowed, Refused, RetryAt
from wire.http import Reply
from wire.secret import Secret, SecretMissing
from wire.settings import BaseUrl, Cadence, Margin

NAME = "chatwoot"
AGE_SECONDS_MAX = 300
SECRETS_MAX = 5
SECRET_LENGTH_MIN = 16
_CHATS = "chats"
_ID_MAX = 2**63 - 1
_TEXT_LENGTH_MAX = 100_000
_INCOMING, _OUTGOING = ("incoming", 0), ("outgoing", 1)
_OTHER_TYPES = ("activity", 2, "template", 3)
"""What the program says of itself: "Ana joined", greetings, surveys. Nobody wrote it."""

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?) ?(?:UTC|Z|\+00:?00)")

CAPABILITIES = Capabilities(
    streams=(Stream(_CHATS, Direction.BOTH, 30.0, private=True),),
    outbound=Outbound.WEBHOOK,
    look_back_seconds=timedelta(days=36500).total_seconds(),
    edits=True,
    automated_known=True,
    pushed=True,
    polled=False,
)

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Settings(BaseModel):
    """[[brands.NAME.chatwoot]]: one account of a Chatwoot, hosted or your own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Short = Field(description='What the brand is called there: "Acme Support".')
    account: Short | None = Field(
        default=None, description="Its label in alerts and metrics, and in the address (default: the handle)."
    )
    signing_secrets: list[Secret] = Field(
        min_length=1,
        max_length=SECRETS_MAX,
        description="The webhook's secret, as Chatwoot shows it. One of them is enough, so that a new one "
        "can stand beside the old one for a while.",
    )
    account_id: int | None = Field(
        default=None,
        ge=1,
        le=_ID_MAX,
        examples=[1],
        description="The number of the account in Chatwoot's addresses; what is of another is refused. "
        "Default: any.",
    )
    inboxes: tuple[int, ...] = Field(
        default=(), max_length=100, description="The numbers of the inboxes that are heard. Default: all."
    )
    site_url: BaseUrl | None = Field(
        default=None,
        examples=["https://app.chatwoot.com"],
        description="Where people open Chatwoot, for the link in an alert. Default: no link.",
    )
    expect_every: Cadence | None = Field(
        default=None,
        examples=["2h"],
        description="Where something is written at least so often: after a longer silence the account counts "
        "as blind. Default: silence is no sign of anything.",
    )
    chats_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often it is told up to when all is known that was posted.",
    )
    lag_margin: Margin = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How long after it was written a message may be posted without being late.",
    )

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics, and in its address."""
        return self.account or self.handle


class ChatwootConnector:
    """One Chatwoot account. Keeps `connectors.contract.Connector` and `Receiving`."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._heard_at = surroundings.clock()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All chats in one: nobody but the customer and the team can read them."""
        every = self._settings.chats_every.total_seconds()
        return tuple(Stream(s.name, s.direction, every, s.private) for s in CAPABILITIES.streams)

    def identify(self, time_limit: float) -> Identity:
        """Who we are there, as the config says. Raises NotAllowed for a secret that is none."""
        self._keys()
        around = self._around
        notes = (
            f"deliveries are taken at /webhooks/{around.brand}/{NAME}/{around.account}",
            "Chatwoot does not post again what could not be delivered: keep the daemon reachable",
        )
        return Identity(self._settings.handle, self._settings.handle, notes=notes)

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """Nothing is asked of anybody: what was posted is there. Raises RetryAt after too long a silence."""
        if stream != _CHATS:
            raise Refused(f"there is no stream {stream!r}")
        now, every = self._around.clock(), self._settings.expect_every
        if every is not None and now - self._heard_at > every:
            raise RetryAt(f"nothing was posted since {self._heard_at:%H:%M:%S} UTC")
        return Page((), {"v": 1}, complete_through=now - self._settings.lag_margin)

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """It is not asked for anything. Raises Refused."""
        raise Refused("what was posted cannot be looked up")

    def receive(self, delivery: Delivery) -> Received:
        """A signed event. Those that are no message are taken, and left."""
        if delivery.method != "POST":
            raise Malformed("expected POST")
        now = self._around.clock()
        verify(self._keys(), delivery.headers, delivery.body, now)
        said = Reply(200, {}, delivery.body).json()
        event = said.get("event") if isinstance(said, dict) else None
        if not isinstance(event, str):
            raise Malformed('expected an object with an "event"')
        self._heard_at = max(self._heard_at, now)
        if event not in ("message_created", "message_updated"):
            return Received()
        self._check_account(said)
        if not self._is_heard(said):
            return Received()
        attributes = _object(said.get("content_attributes"))
        if attributes.get("deleted") is True:
            return Received({_CHATS: Page((), {}, gone=(Gone(_id(said), now),))})
        return Received({_CHATS: Page((self._message(said, now),), {})})

    def close(self) -> None:
        """Nothing is open."""

    def _keys(self) -> list[bytes]:
        try:
            keys = [secret.reveal().strip().encode() for secret in self._settings.signing_secrets]
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None
        if any(len(key) < SECRET_LENGTH_MIN for key in keys):
            raise NotAllowed("signing_secrets: expected the webhook's secret, as Chatwoot shows it")
        return keys

    def _check_account(self, said: Mapping[str, Any]) -> None:
        wanted = self._settings.account_id
        if wanted is not None and str(_object(said.get("account")).get("id")) != str(wanted):
            raise Refused(f"expected what is of the account {wanted}")

    def _is_heard(self, said: Mapping[str, Any]) -> bool:
        """Whether a person may have written it to another: no note among colleagues, no word of the program,
        no inbox that is left out."""
        if said.get("private") is True:
            return False
        kind, inboxes = said.get("message_type"), self._settings.inboxes
        if _is_any(kind, _OTHER_TYPES):
            return False
        if not _is_any(kind, (*_INCOMING, *_OUTGOING)):
            raise Malformed("message_type: expected incoming or outgoing")
        return not inboxes or str(_object(said.get("inbox")).get("id")) in map(str, inboxes)

    def _message(self, said: Mapping[str, Any], now: datetime) -> Message:
        conversation = _object(said.get("conversation"))
        number = conversation.get("display_id", conversation.get("id"))
        chat = _number(number)
        if chat is None:
            raise Malformed("conversation: expected its id")
        inbound = _is_any(said.get("message_type"), _INCOMING)
        around, site = self._around, self._settings.site_url
        account = _number(_object(said.get("account")).get("id"))
        url = f"{site}/app/accounts/{account}/conversations/{chat}" if site and account else None
        return Message(
            brand=around.brand,
            connector=NAME,
            account=around.account,
            id=_id(said),
            kind=Kind.DM,
            conversation=chat,
            author=_author(said, conversation, inbound),
            text=_content(said),
            created_at=min(_time(said.get("created_at")), now),
            public=False,
            url=url,
        )


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Whether the delivery is Chatwoot's, and of the last five minutes. Raises NotAllowed."""
    stamp, given = headers.get("x-chatwoot-timestamp", ""), headers.get("x-chatwoot-signature", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and given):
        raise NotAllowed("expected the headers X-Chatwoot-Timestamp and X-Chatwoot-Signature")
    if abs(now.timestamp() - int(stamp)) > AGE_SECONDS_MAX:
        raise NotAllowed("X-Chatwoot-Timestamp is not of the last five minutes; is the clock right?")
    made = (signature(key, stamp, body) for key in keys)
    if not any(hmac.compare_digest(each, given.encode("utf-8", "replace")) for each in made):
        raise NotAllowed("X-Chatwoot-Signature is wrong; is it made with the secret of this webhook?")


def signature(key: bytes, stamp: str, body: bytes) -> bytes:
    """What Chatwoot writes into X-Chatwoot-Signature."""
    return b"sha256=" + hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest().encode()


def _author(said: Mapping[str, Any], conversation: Mapping[str, Any], inbound: bool) -> Author:
    """The customer or the colleague. A message of the team that no user wrote is a bot's or a rule's."""
    sender = _object(said.get("sender"))
    kind = sender.get("type")
    id = _number(sender.get("id"))
    name = sender.get("name")
    name = _clean(name)[:200] or None if isinstance(name, str) else None
    if inbound:
        contact = id or _number(_object(said.get("contact")).get("id"))
        if contact is None:
            contact = _number(_object(_object(conversation.get("meta")).get("sender")).get("id"))
        if contact is None:
            raise Malformed("sender: expected the contact's id")
        return Author(f"contact/{contact}", name=name)
    automated = kind != "user" or "automation_rule_id" in _object(said.get("content_attributes"))
    who = "user" if kind == "user" else "bot"
    return Author(f"{who}/{id or 0}", name=name, brand=True, automated=automated)


def _content(said: Mapping[str, Any]) -> str:
    content = said.get("content")
    if content is None:  # a picture or a file without words
        return ""
    if not isinstance(content, str):
        raise Malformed("content: expected a text")
    content = _clean(content[:_TEXT_LENGTH_MAX])
    # Mail inboxes hand over HTML.
    return text_of(content) if content.lstrip().startswith("<") else content


def _clean(text: str) -> str:
    """The text without what no database holds: NUL, and halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def _id(said: Mapping[str, Any]) -> str:
    id = _number(said.get("id"))
    if id is None:
        raise Malformed("id: expected the message's number")
    return id


def _number(value: Any) -> str | None:
    """An id: Chatwoot writes them as numbers, and in some events as text."""
    if type(value) is int and 0 < value <= _ID_MAX:
        return str(value)
    plain = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19
    return str(value).lstrip("0") or None if plain else None


def _time(value: Any) -> datetime:
    """A time, as text or in seconds since 1970. Raises Malformed."""
    try:
        if type(value) is int:
            return datetime.fromtimestamp(value, UTC)
        match = _TIME.fullmatch(value) if isinstance(value, str) else None
        if match is not None:
            return datetime.fromisoformat(f"{match[1]}T{match[2]}").replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise Malformed("created_at: expected a time in UTC")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_any(value: Any, wanted: Sequence[Any]) -> bool:
    """Whether it is one of them; True is no 1."""
    return type(value) in (str, int) and value in wanted


def build(settings: Settings, surroundings: Surroundings) -> ChatwootConnector:
    """The connector of one account. Nothing is opened."""
    return ChatwootConnector(settings, surroundings)
