"""What the tests of the inbound webhook share: a program that hands messages over, signed."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Delivery, Surroundings
from connectors.webhook import Settings, WebhookConnector, build
from simulator.world import FixedClock
from tests.monitor.build import NOON
from wire.http import HttpOptions
from wire.standard_webhooks import sign

KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class WebhookBench:
    """A shop's own chat, which hands over what is written there."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **given: Any) -> None:
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        self.clock = FixedClock(NOON)
        self.secrets = (SECRET, SECRET.removeprefix("whsec_"))
        secrets = [{"env": "HOOK_SECRET"}]
        self.settings = Settings.model_validate({"handle": "acmehelp", "signing_secrets": secrets} | given)
        self.connector: WebhookConnector = build(
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

    def row(self, number: int, *, answered: bool = False, **changes: Any) -> dict[str, Any]:
        """A question, or its answer, as a message."""
        at = NOON - timedelta(minutes=2 if answered else 5)
        author = {"id": "acmehelp", "brand": True} if answered else {"id": f"customer-{number}"}
        return {
            "id": f"{number}{':answer' if answered else ''}",
            "kind": "dm",
            "conversation": str(number),
            "parent": str(number) if answered else None,
            "author": author,
            "text": "We look into it." if answered else f"Where is my order {number}?",
            "created_at": at.isoformat(),
            "public": False,
        } | changes

    def ask(self, number: int) -> Delivery:
        return self.of(json.dumps({"messages": [self.row(number)]}).encode())

    def answer(self, number: int) -> Delivery:
        return self.of(json.dumps({"messages": [self.row(number, answered=True)]}).encode())

    def of(self, body: bytes, key: bytes = KEY, ago: float = 0, id: str = "msg_1") -> Delivery:
        """A delivery as the specification signs it."""
        stamp = int(self.clock.now().timestamp() - ago)
        headers = {
            "content-type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": sign([key], id, stamp, body),
        }
        return Delivery("POST", headers, {}, body)

    def forged(self, delivery: Delivery) -> list[Delivery]:
        body, headers = delivery.body, delivery.headers
        unsigned = {name: value for name, value in headers.items() if name != "webhook-signature"}
        return [
            self.of(body, key=b"x" * 32),
            self.of(body, ago=301),
            self.of(body, ago=-301),
            Delivery("POST", headers, {}, body + b" "),
            Delivery("POST", {**headers, "webhook-id": "msg_2"}, {}, body),
            Delivery("POST", unsigned, {}, body),
            Delivery("POST", {**headers, "webhook-timestamp": "now"}, {}, body),
            Delivery("POST", {**headers, "webhook-signature": "v1,é v2,x"}, {}, body),
        ]
