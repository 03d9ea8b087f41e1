"""Standard Webhooks: how a request is signed, and how a signature is checked. Pure.

What may live here: the headers, secrets and signatures of version 1.0.0, for what we send and for
what is sent to us.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from wire.errors import NotAllowed
from wire.secret import Secret, SecretMissing

SECRET_BYTES = (24, 64)
"""The specification asks for at least 192 bits of chance, and at most 512."""

AGE_SECONDS_MAX = 300
"""So old, or so far ahead, may a request be that is sent to us: an older one may be a replay."""

_PREFIX = "whsec_"
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[!-~]{1,256}")
_SIGNATURES_MAX = 20


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one signature by each key, with spaces between them."""
    return " ".join(_signature(key, message_id, str(timestamp), body) for key in keys)


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """The id of a request that one of these keys has signed lately. `headers` have lower-case names. Raises
    NotAllowed, which says what is missing and never what would have been right."""
    id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(id) or not _TIMESTAMP.fullmatch(stamp):
        raise NotAllowed("expected the headers webhook-id, webhook-timestamp and webhook-signature")
    if abs(now.timestamp() - int(stamp)) > AGE_SECONDS_MAX:
        raise NotAllowed("webhook-timestamp is not of the last five minutes; is the clock right?")
    given = headers.get("webhook-signature", "").split(" ")[:_SIGNATURES_MAX]
    right = [_signature(key, id, stamp, body).encode("ascii") for key in keys]
    if not any(hmac.compare_digest(each.encode("utf-8", "replace"), one) for each in given for one in right):
        raise NotAllowed("webhook-signature is wrong; is it made with the secret of this account?")
    return id


def key_of(secret: Secret) -> bytes:
    """The key in a secret such as "whsec_…". Raises NotAllowed for what is none, without repeating it."""
    try:
        value = secret.reveal().strip()
    except SecretMissing as error:
        raise NotAllowed(str(error)) from None
    try:
        coded = value.removeprefix(_PREFIX)
        # Some tools leave out the padding.
        key = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    least, most = SECRET_BYTES
    if not value.startswith(_PREFIX) or not least <= len(key) <= most:
        raise NotAllowed(
            f"{secret!r} is no signing secret; expected {_PREFIX} and then {least} to {most} random bytes in "
            "base64"
        )
    return key


def _signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    signed = f"{message_id}.{stamp}.".encode("ascii") + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")
