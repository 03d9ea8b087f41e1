"""What Slack says that people did. Pure: outside data in, our words out, or an error that says why not.

What may live here: the shape of button presses and slash commands, whether they come over Socket Mode or as
signed callbacks, and the check of such a signature. Sources: Slack's documentation of block_actions payloads,
of slash commands, of Socket Mode's envelopes, and "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from alerts.contract import Asked, Press
from alerts.slack.blocks import DEEDS, VALUE_LENGTH_MAX
from wire.errors import Malformed, Refused
from wire.redact import inert

COMMAND = "/waiting"
BODY_BYTES_MAX = 512 * 1024
SIGNATURE_SECONDS_MAX = 300
"""So old, or so far ahead, may a signed callback be: Slack's docs say five minutes."""

_FIELDS_MAX = 50
_ASKED_LENGTH_MAX = 200
_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")

_UserId = Annotated[str, StringConstraints(pattern=r"^[UW][A-Z0-9]{1,20}$")]
_Short = Annotated[str, StringConstraints(max_length=255)]
_Long = Annotated[str, StringConstraints(max_length=VALUE_LENGTH_MAX)]


class Forged(Refused):
    """Not signed by Slack, or not lately. It is answered with 401."""


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that a person did. `id` is the same however often Slack tells of it. `answer_url` is where to
    answer it, as Slack says: not to be trusted, and a secret while it lasts. `channel` is (id, name) of where
    it was asked."""

    id: str
    said: Press | Asked
    answer_url: str = field(repr=False)
    channel: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class UrlVerification:
    """Slack asks whether the address is ours; `challenge` is to be sent back as it is."""

    challenge: str


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback that Slack signed. `id` is its signature: the caller refuses it a second time within
    SIGNATURE_SECONDS_MAX. `said` is None where there is nothing to do (a button that only opens a page)."""

    id: str
    said: Call | UrlVerification | None


class _User(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: _UserId
    username: _Short = ""
    name: _Short = ""


class _Action(BaseModel):
    model_config = ConfigDict(extra="ignore")

    action_id: _Short = ""
    value: _Long = ""


class _Presses(BaseModel):
    """A block_actions payload, as far as we look at it."""

    model_config = ConfigDict(extra="ignore")

    user: _User
    actions: Annotated[list[_Action], Field(min_length=1, max_length=25)]
    trigger_id: _Short = ""
    response_url: _Long = ""


class _Command(BaseModel):
    """A slash command, as far as we look at it."""

    model_config = ConfigDict(extra="ignore")

    command: _Short
    user_id: _UserId
    user_name: _Short = ""
    text: Annotated[str, StringConstraints(max_length=40_000)] = ""
    trigger_id: _Short = ""
    channel_id: _Short = ""
    channel_name: _Short = ""
    response_url: _Long = ""


def read_press(payload: Mapping[str, Any], fallback_id: str, at: datetime) -> Call | None:
    """A press of one of our buttons; None where it is something else that Slack tells of.

    `fallback_id` stands for the press where Slack names no trigger. Raises Malformed.
    """
    if payload.get("type") != "block_actions":
        return None
    try:
        presses = _Presses.model_validate(payload)
    except ValidationError as error:
        raise Malformed(f"a press that is not in Slack's shape ({_where(error)})") from None
    action = presses.actions[0]
    known = DEEDS.get(action.action_id)
    if known is None:
        return None
    if not action.value:
        raise Malformed("a press that names no case")
    deed, seconds, _ = known
    who = _handle(presses.user.id, presses.user.username, presses.user.name)
    press = Press(deed, action.value, who, presses.user.id, at, seconds)
    return Call(presses.trigger_id or fallback_id, press, presses.response_url)


def read_command(payload: Mapping[str, Any], fallback_id: str, at: datetime) -> Call | None:
    """Somebody's /waiting; None where it is another command. Raises Malformed."""
    try:
        command = _Command.model_validate(payload)
    except ValidationError as error:
        raise Malformed(f"a command that is not in Slack's shape ({_where(error)})") from None
    if command.command != COMMAND:
        return None
    text = inert(command.text, _ASKED_LENGTH_MAX)
    asked = Asked(_handle(command.user_id, command.user_name), command.user_id, text, at)
    where = (command.channel_id, command.channel_name)
    return Call(command.trigger_id or fallback_id, asked, command.response_url, where)


def open_callback(headers: Mapping[str, str], body: bytes, signing_secret: str, now: datetime) -> Callback:
    """What a callback says, once it is proved to be Slack's: version v0, HMAC-SHA256 over
    "v0:timestamp:body", not older than five minutes.

    Raises Forged where it proves nothing, and Malformed where Slack itself makes no sense. Slack promises no
    order of the checks; ours is the cheap ones first, and nothing is parsed before the signature is right.
    """
    given = {name.lower(): value for name, value in headers.items()}
    stamp, signature = given.get("x-slack-request-timestamp", ""), given.get("x-slack-signature", "")
    if not signing_secret or len(body) > BODY_BYTES_MAX:
        raise Forged("no secret to check with, or a body that is too large")
    if not _TIMESTAMP.fullmatch(stamp) or not _SIGNATURE.fullmatch(signature):
        raise Forged("a callback without a signature of version v0")
    if abs(now.timestamp() - int(stamp)) > SIGNATURE_SECONDS_MAX:
        raise Forged("a callback that is not of the last five minutes; is the clock right?")
    signed = b"v0:%s:%s" % (stamp.encode("ascii"), body)
    expected = "v0=" + hmac.new(signing_secret.encode("utf-8"), signed, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode("ascii"), signature.encode("ascii")):
        raise Forged("a callback whose signature is wrong: is signing_secret that of the app?")
    return Callback(signature, _read_body(given.get("content-type", ""), body, signature, now))


def _read_body(content_type: str, body: bytes, id: str, now: datetime) -> Call | UrlVerification | None:
    if content_type.split(";")[0].strip().lower() == "application/json":
        said = _json(body)
        challenge = said.get("challenge")
        if said.get("type") == "url_verification" and isinstance(challenge, str) and len(challenge) <= 1000:
            return UrlVerification(challenge)
        return None
    try:
        form = dict(
            parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_FIELDS_MAX,
            )
        )
    except ValueError:
        raise Malformed("a callback that is no form") from None
    if form.get("ssl_check") == "1":
        return None
    if "payload" in form:
        return read_press(_json(form["payload"].encode("utf-8", "replace")), id, now)
    return read_command(form, id, now)


def _json(text: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("a payload that is no JSON") from None
    if not isinstance(value, dict):
        raise Malformed("a payload that is no JSON object")
    return value


def _handle(id: str, *names: str) -> str:
    """The person's handle where Slack names one that can stand in a label, else the id."""
    plain = (name for name in names if _HANDLE.fullmatch(name))
    return f"@{next(plain, id)}"


def _where(error: ValidationError) -> str:
    """Where a payload is not as expected; what stands there is not repeated."""
    return ".".join(str(step) for step in error.errors(include_input=False)[0]["loc"])[:80]
