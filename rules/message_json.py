"""The message's JSON form: what `replay` reads, `export` writes and the inbound webhook takes.

What may live here: the form that message.schema.json publishes, both ways, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rules.message import Author, Kind, Message

_KEYS = frozenset(
    "connector brand account id kind conversation parent to author text created_at seen_at edited_at"
    " deleted_at public language url rating reach".split()
)
_AUTHOR_KEYS = frozenset("id handle name followers brand automated".split())
_NEEDED = ("connector", "account", "id", "kind", "conversation", "author", "text", "created_at")


class BadMessage(ValueError):
    """An object that is no message: says which key, and what was expected."""


def message_from_json(row: Any, known: Mapping[str, str] | None = None) -> Message:
    """Read a message. `known` are keys that the surroundings give and that need not be there; where they are,
    they must say the same. Raises BadMessage; unknown keys are refused, so that a typing error is seen."""
    if not isinstance(row, dict):
        raise BadMessage("expected a JSON object")
    for key, value in (known or {}).items():
        if row.setdefault(key, value) != value:
            raise BadMessage(f"{key}: expected {value!r} here, or nothing")
    missing = [k for k in _NEEDED if k not in row]
    if missing:
        raise BadMessage(f"{', '.join(missing)}: missing")
    unknown = sorted(row.keys() - _KEYS)
    if unknown:
        raise BadMessage(f"{', '.join(unknown)}: unknown key; known are {', '.join(sorted(_KEYS))}")
    text = _a(row, "text", str)
    author = _author(row["author"])
    account = _filled(row, "account")
    return Message(
        brand=_filled(row, "brand") if "brand" in row else account,
        connector=_filled(row, "connector"),
        account=account,
        id=_filled(row, "id"),
        kind=_kind(row["kind"]),
        conversation=_filled(row, "conversation"),
        author=author,
        text=text,
        created_at=_required_time(row, "created_at"),
        parent=_a(row, "parent", str, None),
        to=_strings(row, "to"),
        seen_at=_time(row, "seen_at"),
        edited_at=_time(row, "edited_at"),
        deleted_at=_time(row, "deleted_at"),
        public=_a(row, "public", bool, True),
        language=_a(row, "language", str, None),
        url=_a(row, "url", str, None),
        rating=_number(row, "rating"),
        reach=_count(row, "reach"),
        handles=_handles(text),
    )


def _a(row: Mapping[str, Any], key: str, kind: type, *default: Any) -> Any:
    value = row.get(key, *default)
    if value is None and default == (None,):
        return None
    if not isinstance(value, kind):
        raise BadMessage(f"{key}: expected {kind.__name__}, not {type(value).__name__}")
    return value


def _filled(row: Mapping[str, Any], key: str) -> str:
    value: str = _a(row, key, str)
    if not value:
        raise BadMessage(f"{key}: expected some text, not nothing")
    return value


def _strings(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = row.get(key, [])
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise BadMessage(f"{key}: expected a list of strings")
    return tuple(values)


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadMessage(f"{key}: expected a number")
    return value


def _count(row: Mapping[str, Any], key: str) -> int | None:
    value = row.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise BadMessage(f"{key}: expected a whole number from 0 on")
    return value


def _time(row: Mapping[str, Any], key: str) -> datetime | None:
    value = row.get(key)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadMessage(f'{key}: expected a time such as "2026-03-04T12:00:00Z"') from None
    if at.tzinfo is None:
        raise BadMessage(f'{key}: expected a time zone, such as the Z in "2026-03-04T12:00:00Z"')
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise BadMessage(f"{key}: no such time in UTC") from None


def _required_time(row: Mapping[str, Any], key: str) -> datetime:
    at = _time(row, key)
    if at is None:
        raise BadMessage(f"{key}: missing")
    return at


def _kind(value: Any) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        raise BadMessage(f"kind: expected one of {', '.join(Kind)}") from None


def _author(row: Any) -> Author:
    if not isinstance(row, dict) or "id" not in row:
        raise BadMessage("author: expected an object with an id")
    unknown = sorted(row.keys() - _AUTHOR_KEYS)
    if unknown:
        raise BadMessage(f"author.{unknown[0]}: unknown key")
    return Author(
        id=_filled(row, "id"),
        handle=_a(row, "handle", str, None),
        name=_a(row, "name", str, None),
        followers=_count(row, "followers"),
        brand=_a(row, "brand", bool, False),
        automated=_a(row, "automated", bool, False),
    )


def _handles(text: str) -> tuple[str, ...]:
    """The handles that a text mentions; the schema does not carry what the platform found."""
    words = text.replace("/u/", "@").replace(" u/", " @").split()
    found = (w.lstrip(".(\"'").lstrip("@").rstrip(".,:;!?)'\"").lower() for w in words if "@" in w[:3])
    return tuple(dict.fromkeys(f for f in found if f))


def message_to_json(message: Message) -> dict[str, Any]:
    """A message as an object, in the schema's form."""
    author = message.author
    row: dict[str, Any] = {
        "connector": message.connector,
        "brand": message.brand,
        "account": message.account,
        "id": message.id,
        "kind": message.kind,
        "conversation": message.conversation,
        "parent": message.parent,
        "to": list(message.to),
        "author": {
            "id": author.id,
            "handle": author.handle,
            "name": author.name,
            "followers": author.followers,
            "brand": author.brand,
            "automated": author.automated,
        },
        "text": message.text,
        "public": message.public,
        "language": message.language,
        "url": message.url,
        "rating": message.rating,
        "reach": message.reach,
    }
    for key in ("created_at", "seen_at", "edited_at", "deleted_at"):
        row[key] = say_time(getattr(message, key))
    return row


def say_time(at: datetime | None) -> str | None:
    """RFC 3339 UTC."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")
