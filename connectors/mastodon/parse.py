"""What Mastodon's JSON means, in our words: pure functions from a body to messages; nothing is fetched here.

All of it was written by strangers: an entry that cannot be trusted is rejected alone, with its reason, and
the rest of the page goes on. Shapes: the entities Notification, Status, Account and Mention of Mastodon's API
documentation. Other servers speak the same with ids of their own, so ids are text here, never numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Rejected
from connectors.html_text import text_of
from connectors.walk import Row
from rules.message import Author, Kind, Message
from wire.errors import Malformed

EXCERPT_MAX = 500
_PUBLIC = frozenset(("public", "unlisted", "local"))
_PRIVATE = frozenset(("private", "direct"))
"""What only followers, or only those who are mentioned, can see."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_URL = re.compile(r"https?://[^\s<>\"]{1,2000}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?=-|_|$)")
_MENTIONED_MAX = 20
_NUMBER_MAX = 2**63 - 1
_OLDEST = datetime(2005, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads. `me` is our account's id on this server, `handle` what the config calls it, `host` the
    server's name; `brand_handles` are the brand's accounts, each with its server ("acme@m.example")."""

    brand: str
    account: str
    me: str
    handle: str
    host: str
    brand_handles: frozenset[str]


@dataclass(slots=True)
class Body:
    """What a page held. `messages` bear the id of the post that they answer as their conversation, until
    whoever fetches knows the thread's first one."""

    messages: list[Message] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


class _Unreadable(Exception):
    """An entry that cannot be trusted; its text is why."""


def parse_notifications(body: Any, reader: Reader, now: datetime) -> Body:
    """What /api/v1/notifications lists: mentions, direct ones among them. A post is told of when it arrives,
    which may be long after its date. Raises Malformed."""

    def one(entry: Mapping[str, Any]) -> tuple[Row, Message | None]:
        status = entry.get("status")
        if type(status) is not dict:
            raise _Unreadable("a mention without a post")
        message = _status(status, reader, now)
        told = _time(entry.get("created_at")) or message.created_at
        return Row(message.id, told.timestamp(), _stamp(message)), message

    return _read(body, one)


def parse_statuses(body: Any, reader: Reader, now: datetime) -> Body:
    """What a timeline or an account's posts list; boosts are walked past. Raises Malformed."""

    def one(entry: Mapping[str, Any]) -> tuple[Row, Message | None]:
        if type(entry.get("reblog")) is dict:
            at = _time(entry.get("created_at"))
            return Row(_id(entry), None if at is None else at.timestamp()), None
        message = _status(entry, reader, now)
        return Row(message.id, message.created_at.timestamp(), _stamp(message)), message

    return _read(body, one)


def parse_ancestors(body: Any) -> str | None:
    """The id of the first post of a thread, out of a post's context; None where it shows none above."""
    above = body.get("ancestors") if type(body) is dict else None
    first = above[0] if type(above) is list and above else None
    id = first.get("id") if type(first) is dict else None
    return id if type(id) is str and _ID.fullmatch(id) else None


def is_id(id: str) -> bool:
    """Whether it may be a post's id."""
    return _ID.fullmatch(id) is not None


def full_name(acct: str, host: str) -> str:
    """An account with its server, lower case: on its own server it is called by its name alone."""
    name = acct.lower().removeprefix("@")
    return name if "@" in name else f"{name}@{host}"


def _read(body: Any, one: Callable[[Mapping[str, Any]], tuple[Row, Message | None]]) -> Body:
    if type(body) is not list:
        raise Malformed("Mastodon gave something that is no list")
    found = Body()
    for entry in body:
        try:
            if type(entry) is not dict:
                raise _Unreadable("not an object")
            row, message = one(entry)
        except _Unreadable as error:
            id = entry.get("id") if type(entry) is dict else None
            known = id if type(id) is str and _ID.fullmatch(id) else None
            found.rejected.append(Rejected(known, str(error), _excerpt(entry)))
            if known is not None:  # so that it is told once, and not at each reading
                found.rows.append(Row(known, None))
            continue
        found.rows.append(row)
        if message is not None:
            found.messages.append(message)
    return found


def _status(status: Mapping[str, Any], reader: Reader, now: datetime) -> Message:
    get = status.get
    id = _id(status)
    visibility, content = get("visibility"), get("content")
    if type(visibility) is not str or visibility not in _PUBLIC | _PRIVATE:
        raise _Unreadable("no visibility")
    if type(content) is not str:
        raise _Unreadable("no content")
    written = _time(get("created_at"))
    if written is None:
        raise _Unreadable("no time")
    author = _author(get("account"), reader)
    parent = get("in_reply_to_id")
    parent = parent if type(parent) is str and _ID.fullmatch(parent) else None
    to, handles = _named(get("mentions"), reader, author.id)
    answered = get("in_reply_to_account_id")
    if parent and type(answered) is str and answered != author.id and _ID.fullmatch(answered):
        to = (answered, *(each for each in to if each != answered))
    public = visibility in _PUBLIC
    return Message(
        brand=reader.brand,
        connector="mastodon",
        account=reader.account,
        id=id,
        kind=Kind.DM if not public else Kind.COMMENT if parent else Kind.POST,
        conversation=parent or id,
        author=author,
        text=_text(content, get("spoiler_text")),
        created_at=min(written, now),
        parent=parent,
        to=to,
        edited_at=_time(get("edited_at")),
        public=public,
        language=_language(get("language")),
        url=_url(get("url")),
        reach=_sum(get("favourites_count"), get("reblogs_count")),
        handles=handles,
    )


def _id(entry: Mapping[str, Any]) -> str:
    id = entry.get("id")
    if type(id) is not str or _ID.fullmatch(id) is None:
        raise _Unreadable("no id")
    return id


def _author(account: Any, reader: Reader) -> Author:
    id = account.get("id") if type(account) is dict else None
    acct = account.get("acct") if type(account) is dict else None
    if type(id) is not str or _ID.fullmatch(id) is None:
        raise _Unreadable("no author")
    handle = acct if type(acct) is str and acct.isprintable() and 0 < len(acct) <= 254 else None
    name, followers = account.get("display_name"), account.get("followers_count")
    return Author(
        id=id,
        handle=handle,
        name=_clean(name)[:200] or None if type(name) is str else None,
        followers=followers if type(followers) is int and 0 <= followers <= _NUMBER_MAX else None,
        brand=id == reader.me or (handle and full_name(handle, reader.host)) in reader.brand_handles,
        automated=account.get("bot") is True,
    )


def _named(mentions: Any, reader: Reader, author: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids and the handles of those whom a post mentions."""
    if type(mentions) is not list or not mentions:
        return (), ()
    ids, handles = [], []
    for one in mentions[:_MENTIONED_MAX]:
        id = one.get("id") if type(one) is dict else None
        acct = one.get("acct") if type(one) is dict else None
        if type(id) is not str or _ID.fullmatch(id) is None:
            continue
        if id != author:
            ids.append(id)
        if id == reader.me:
            handles.append(reader.handle)
        elif type(acct) is str and acct.isprintable() and 0 < len(acct) <= 254:
            handles.append(acct.lower())
    return tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(handles))


def _text(content: str, warning: Any) -> str:
    """The words, with the warning above them."""
    said = _clean(text_of(content))
    if type(warning) is str and warning.strip():
        said = f"{_clean(warning).strip()}\n{said}".strip()
    return said


def _stamp(message: Message) -> str:
    """Changes when the post is edited."""
    return "" if message.edited_at is None else message.edited_at.isoformat()


def _clean(text: str) -> str:
    """The text without what no database holds: NUL, and halves of surrogate pairs."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "")


def _time(value: Any) -> datetime | None:
    if type(value) is not str or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        return None
    return at if at >= _OLDEST else None


def _language(value: Any) -> str | None:
    match = _LANGUAGE.match(value) if type(value) is str else None
    return match[0].lower() if match is not None else None


def _url(value: Any) -> str | None:
    return value if type(value) is str and _URL.fullmatch(value) else None


def _sum(*counts: Any) -> int | None:
    known = [count for count in counts if type(count) is int and 0 <= count <= _NUMBER_MAX]
    return min(sum(known), _NUMBER_MAX) if known else None


def _excerpt(entry: Any) -> str:
    """The start of what could not be read; never of a post that only some can see, or that does not say who
    can."""
    status = entry.get("status", entry) if type(entry) is dict else None
    shown = status.get("visibility") if type(status) is dict else None
    if type(shown) is not str or shown not in _PUBLIC:
        return ""
    return _clean(json.dumps(entry, default=str))[:EXCERPT_MAX]
