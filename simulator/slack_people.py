"""The people of a Slack workspace, and what Slack tells an app when they press a button or type a command.

What may live here: Slack's shapes of block_actions payloads and slash commands, its signatures of callbacks,
and the URLs to answer to. Source: Slack's documentation of block_actions payloads, slash commands, handling
user interaction (response_url) and "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

TEAM = {"id": "T0ACME", "domain": "acme"}
APP = "A0SIMULATED"
ANSWERS_MAX = 5
ANSWER_MINUTES = 30


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody of the workspace: `id` is Slack's, `handle` the name without "@"."""

    id: str
    handle: str
    name: str


ANA = Colleague("U0ANA", "ana", "Ana Ruiz")
BO = Colleague("U0BO", "bo", "Bo Lind")


@dataclass(slots=True)
class AnswerUrl:
    """Where an app answers one person: five times, for half an hour."""

    url: str
    user: str
    channel: str
    ts: str | None
    at: datetime
    used: int = 0

    def trouble(self, now: datetime) -> str | None:
        """Why it is good no more; None: it is."""
        if now - self.at > timedelta(minutes=ANSWER_MINUTES):
            return "expired_url"
        return "used_url" if self.used >= ANSWERS_MAX else None


@dataclass(frozen=True, slots=True)
class Whisper:
    """An ephemeral message: only `user` (an id) sees it. `url` is the one that it came over as an answer."""

    user: str
    channel: str
    text: str
    blocks: list[dict[str, Any]]
    at: datetime
    url: str = ""


def press_payload(
    message: Mapping[str, Any],
    action: Mapping[str, Any],
    channel: tuple[str, str],
    who: Colleague,
    answer_url: str,
    at: datetime,
) -> dict[str, Any]:
    """What Slack tells of a press. `message` has ts, text and blocks; `action` is the button with its
    block's id; `channel` is (id, name)."""
    pressed = {
        key: action[key] for key in ("type", "action_id", "block_id", "text", "value") if key in action
    }
    return {
        "type": "block_actions",
        "user": {"id": who.id, "username": who.handle, "name": who.handle, "team_id": TEAM["id"]},
        "api_app_id": APP,
        "token": "verification-token-of-old",
        "container": {
            "type": "message",
            "message_ts": message["ts"],
            "channel_id": channel[0],
            "is_ephemeral": False,
        },
        "trigger_id": f"{int(at.timestamp())}.{uuid.uuid4().hex}",
        "team": TEAM,
        "enterprise": None,
        "is_enterprise_install": False,
        "channel": {"id": channel[0], "name": channel[1]},
        "message": {"type": "message", "user": "U0APP", "bot_id": "B0APP", "app_id": APP, **message},
        "state": {"values": {}},
        "response_url": answer_url,
        "actions": [{**pressed, "action_ts": f"{at.timestamp():.6f}"}],
    }


def command_payload(
    command: str, text: str, channel: tuple[str, str], who: Colleague, answer_url: str, at: datetime
) -> dict[str, str]:
    """What Slack tells of a slash command; over HTTP it is a form of the same fields."""
    return {
        "token": "verification-token-of-old",
        "team_id": TEAM["id"],
        "team_domain": TEAM["domain"],
        "channel_id": channel[0],
        "channel_name": channel[1],
        "user_id": who.id,
        "user_name": who.handle,
        "command": command,
        "text": text,
        "api_app_id": APP,
        "is_enterprise_install": "false",
        "response_url": answer_url,
        "trigger_id": f"{int(at.timestamp())}.{uuid.uuid4().hex}",
    }


def callback_body(kind: str, payload: Mapping[str, Any]) -> bytes:
    """The form that Slack posts: a press as JSON in one field, a command as fields."""
    fields = {"payload": json.dumps(payload)} if kind == "interactive" else payload
    return urlencode(fields).encode("ascii")


def sign(secret: str, body: bytes, at: datetime, content_type: str = "") -> dict[str, str]:
    """The headers of a callback that was signed at that time."""
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": content_type or "application/x-www-form-urlencoded",
        "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
    }
