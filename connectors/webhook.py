"""The inbound webhook: any program hands over what customers and colleagues wrote, as JSON.

What may live here: the settings, the form of a delivery (docs/connectors/webhook.md), and what it says.
Requests are signed after the Standard Webhooks specification; a message has the form of message.schema.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
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
    Rejected,
    Stream,
    Surroundings,
)
from rules.message import Message
from rules.message_json import BadMessage, message_from_json
from wire.errors import Malformed, Refused, RetryAt
from wire.http import Reply
from wire.secret import Secret
from wire.settings import Cadence, Margin
from wire.standard_webhooks import key_of, verify

NAME = "webhook"
MESSAGES_MAX = 1000
SECRETS_MAX = 5
EXCERPT_LENGTH_MAX = 200
_PUBLIC, _PRIVATE = "messages", "private"
_KEYS = frozenset({"messages", "gone"})

CAPABILITIES = Capabilities(
    streams=(
        Stream(_PUBLIC, Direction.BOTH, 30.0),
        Stream(_PRIVATE, Direction.BOTH, 30.0, private=True),
    ),
    outbound=Outbound.WEBHOOK,
    look_back_seconds=timedelta(days=36500).total_seconds(),
    edits=True,
    pushed=True,
    polled=False,
    automated_known=True,
)

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Settings(BaseModel):
    """[[brands.NAME.webhook]]: a place where your own programs hand messages over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Short = Field(description='What the brand is called there, such as the shop\'s chat: "acme".')
    account: Short | None = Field(
        default=None, description="Its label in alerts and metrics, and in the address (default: the handle)."
    )
    signing_secrets: list[Secret] = Field(
        min_length=1,
        max_length=SECRETS_MAX,
        description='What requests are signed with: each "whsec_" and 24 to 64 random bytes in base64. One '
        "of them is enough, so that a new one can stand beside the old one for a while.",
    )
    expect_every: Cadence | None = Field(
        default=None,
        examples=["10m"],
        description="Where the sender sends at least so often (an empty list will do): after a longer "
        "silence the account counts as blind. Default: silence is no sign of anything.",
    )
    messages_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often it is told up to when all is known that was handed over.",
    )
    lag_margin: Margin = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How long after it was written a message may be handed over without being late.",
    )

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics, and in its address."""
        return self.account or self.handle


class WebhookConnector:
    """One sender. Keeps `connectors.contract.Connector` and `Receiving`."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._heard_at = surroundings.clock()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Both: what is public, and what is not."""
        every = self._settings.messages_every.total_seconds()
        return tuple(Stream(s.name, s.direction, every, s.private) for s in CAPABILITIES.streams)

    def identify(self, time_limit: float) -> Identity:
        """Who we are there, as the config says. Raises NotAllowed for a secret that is none."""
        for secret in self._settings.signing_secrets:
            key_of(secret)
        around = self._around
        where = f"deliveries are taken at /webhooks/{around.brand}/{NAME}/{around.account}"
        return Identity(self._settings.handle, self._settings.handle, notes=(where,))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """Nothing is asked of anybody: what was pushed is there. Raises RetryAt where the sender, who
        promised to send every so often, is silent."""
        now, every = self._around.clock(), self._settings.expect_every
        if every is not None and now - self._heard_at > every:
            raise RetryAt(f"nothing was handed over since {self._heard_at:%H:%M:%S} UTC")
        return Page((), {"v": 1}, complete_through=now - self._settings.lag_margin)

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """A sender cannot be asked. Raises Refused."""
        raise Refused("what was handed over cannot be looked up")

    def receive(self, delivery: Delivery) -> Received:
        """{"messages": [...], "gone": [...]}: taken in as far as it can be understood; the answer says what
        could not be."""
        now = self._around.clock()
        if delivery.method != "POST":
            raise Malformed("expected POST")
        keys = [key_of(secret) for secret in self._settings.signing_secrets]
        verify(keys, delivery.headers, delivery.body, now)
        said = Reply(200, {}, delivery.body).json()
        if not isinstance(said, dict) or not said.keys() <= _KEYS:
            raise Malformed('expected an object such as {"messages": [...], "gone": [...]}')
        messages, gone = said.get("messages", []), said.get("gone", [])
        if not isinstance(messages, list) or not isinstance(gone, list):
            raise Malformed("messages, gone: expected lists")
        if len(messages) + len(gone) > MESSAGES_MAX:
            raise Malformed(f"expected at most {MESSAGES_MAX} messages in one delivery")
        self._heard_at = max(self._heard_at, now)
        read, wrong = self._read(messages)
        left, wrong_gone = _read_gone(gone, now)
        problems = [*wrong, *wrong_gone]
        if problems and not read and not left:
            raise Malformed("; ".join(f"{each['at']}: {each['error']}" for each in problems[:5]))
        rejected = tuple(Rejected(each["id"], f"{each['at']}: {each['error']}") for each in problems)
        public = tuple(message for message in read if message.public)
        private = tuple(message for message in read if not message.public)
        pages = {}
        if public or left or rejected:
            pages[_PUBLIC] = Page(public, {}, rejected=rejected, gone=left)
        if private:
            pages[_PRIVATE] = Page(private, {})
        told = [{"at": each["at"], "error": each["error"]} for each in problems]
        answer = {"accepted": len(read) + len(left), "rejected": told}
        return Received(pages, json.dumps(answer).encode("ascii"), "application/json")

    def close(self) -> None:
        """Nothing is open."""

    def _read(self, rows: list[Any]) -> tuple[list[Message], list[dict[str, Any]]]:
        """The messages, and what is wrong with those that are none."""
        around = self._around
        known = {"brand": around.brand, "connector": NAME, "account": around.account}
        read: list[Message] = []
        wrong: list[dict[str, Any]] = []
        for number, row in enumerate(rows):
            try:
                read.append(message_from_json(row, known))
            except BadMessage as error:
                id = row.get("id") if isinstance(row, dict) else None
                wrong.append(
                    {
                        "at": f"messages[{number}]",
                        "id": id if isinstance(id, str) else None,
                        "error": str(error),
                    }
                )
        return read, wrong


def _read_gone(rows: list[Any], now: datetime) -> tuple[tuple[Gone, ...], list[dict[str, Any]]]:
    """What is no longer there: ids, each with when it went if that is known."""
    gone: list[Gone] = []
    wrong: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        id, at = (row.get("id"), row.get("at")) if isinstance(row, dict) else (row, None)
        try:
            when = now if at is None else datetime.fromisoformat(at)
            if not isinstance(id, str) or not id or when.tzinfo is None:
                raise ValueError
            gone.append(Gone(id, min(when, now)))
        except (TypeError, ValueError):
            error = 'expected an id, or {"id": "…", "at": "2026-03-04T12:00:00Z"}'
            wrong.append({"at": f"gone[{number}]", "id": None, "error": error})
    return tuple(gone), wrong


def build(settings: Settings, surroundings: Surroundings) -> WebhookConnector:
    """The connector of one sender. Nothing is opened."""
    return WebhookConnector(settings, surroundings)
