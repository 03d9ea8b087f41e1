"""What the tests of Chatwoot share: a Chatwoot that posts what is written in its chats, signed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.chatwoot import ChatwootConnector, Settings, build, signature
from connectors.contract import Delivery, Surroundings
from simulator.world import FixedClock
from tests.monitor.build import NOON
from wire.http import HttpOptions

SECRET = "9h2xvY7kQpLw4mZt8RbN3cGd"


class ChatwootBench:
    """An account with a website's chat, its customers, an agent and a bot."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
        monkeypatch.setenv("CHATWOOT_SECRET", SECRET)
        self.clock = FixedClock(NOON)
        self.secrets = (SECRET,)
        known = {"handle": "acmehelp", "signing_secrets": [{"env": "CHATWOOT_SECRET"}]}
        self.settings = Settings.model_validate(known | given)
        self.connector: ChatwootConnector = build(
            self.settings,
            Surroundings(
                brand="acme",
                account=self.settings.label,
                keywords=(),
                brand_handles=frozenset({"acmehelp"}),
                clock=self.clock.now,
                state_folder=tmp_path,
                http=HttpOptions(),
                look_back_seconds=86400,
            ),
        )

    def event(self, number: int, *, answered: bool = False, **changes: Any) -> dict[str, Any]:
        """A message as Chatwoot's documentation shows it."""
        at = NOON - timedelta(minutes=2 if answered else 5)
        contact = {
            "id": 700 + number,
            "name": f"Customer {number}",
            "email": "c@example.com",
            "type": "contact",
        }
        agent = {"id": 4, "name": "Ana", "email": "ana@acme.example", "type": "user"}
        return {
            "event": "message_created",
            "id": 9000 + 2 * number + answered,
            "content": "We look into it." if answered else f"Where is my order {number}?",
            "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "message_type": "outgoing" if answered else "incoming",
            "content_type": "text",
            "private": False,
            "content_attributes": {},
            "sender": agent if answered else contact,
            "conversation": {
                "id": 50 + number,
                "inbox_id": 2,
                "status": "open",
                "channel": "Channel::WebWidget",
            },
            "account": {"id": 1, "name": "Acme"},
            "inbox": {"id": 2, "name": "acme.example"},
        } | changes

    def ask(self, number: int) -> Delivery:
        return self.of(json.dumps(self.event(number)).encode())

    def answer(self, number: int) -> Delivery:
        return self.of(json.dumps(self.event(number, answered=True)).encode())

    def of(self, body: bytes, key: bytes = SECRET.encode(), ago: float = 0) -> Delivery:
        """A delivery as Chatwoot signs it."""
        stamp = str(int(self.clock.now().timestamp() - ago))
        headers = {
            "content-type": "application/json",
            "x-chatwoot-delivery": "5b3e1f9c",
            "x-chatwoot-timestamp": stamp,
            "x-chatwoot-signature": signature(key, stamp, body).decode(),
        }
        return Delivery("POST", headers, {}, body)

    def forged(self, delivery: Delivery) -> list[Delivery]:
        body, headers = delivery.body, delivery.headers
        unsigned = {name: value for name, value in headers.items() if name != "x-chatwoot-signature"}
        return [
            self.of(body, key=b"x" * 32),
            self.of(body, ago=301),
            self.of(body, ago=-301),
            Delivery("POST", headers, {}, body + b" "),
            Delivery("POST", unsigned, {}, body),
            Delivery("POST", {**headers, "x-chatwoot-timestamp": "now"}, {}, body),
            Delivery("POST", {**headers, "x-chatwoot-signature": "sha256=é"}, {}, body),
        ]
