"""What X's JSON means, in our words: pure functions from a body to messages, with nothing fetched here.

Both generations of X's field names are read ("tweet" and, since OpenAPI 2.167, "post"). Everything in a
body was written by strangers: an object that cannot be trusted is rejected alone, with its reason, and the
rest of the page goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.contract import Rejected
from rules.message import Author, Kind, Message
from wire.errors import Malformed
from wire.lenient import read_lenient

DM_PREFIX = "dm-"
"""Direct messages have ids of their own number space on X; ours carry this prefix, so that a look-up by id
can tell them from posts."""

EPOCH_MS = 1_288_834_974_657
ID_DIGITS_MAX = 19
EXCERPT_MAX = 500
_NUMBER_MAX = 2**63 - 1
_FUTURE = timedelta(days=1)
_HANDLE = re.compile(r"[A-Za-z0-9_]{1,15}")
_PAIR = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
_CONVERSATION = re.compile(r"[0-9]{1,19}(?:-[0-9]{1,19})?")
# Possessive, and an unclosed string runs to the end: the scan stays linear whatever it is fed.
# X names no language so ("und", "zxx", "qme" …), and keeps two codes that ISO 639 withdrew.
_LANGUAGES: Mapping[str, str | None] = {"und": None, "zxx": None, "art": None, "in": "id", "iw": "he"}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: what a message needs to know beside what X says of it. `me` is our account's user id."""

    brand: str
    account: str
    me: str
    brand_handles: frozenset[str]


@dataclass(slots=True)
class Body:
    """One answer of X, taken apart. `ids` are the ids of all objects of the page, newest version, as X
    numbered them, with those that we rejected or left out; `users` counts the people who came with it."""

    messages: list[Message] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    latest: dict[str, str] = field(default_factory=dict)
    user_ids: list[str] = field(default_factory=list)
    next_token: str | None = None
    missing: list[str] = field(default_factory=list)
    understood: bool = True


def snowflake(at: datetime) -> int:
    """The lowest id that X could give at that time: ids carry their time (milliseconds from 2010-11-04)."""
    return max(0, (int(at.timestamp() * 1000) - EPOCH_MS) << 22)


def time_of(id: int) -> datetime:
    """When X gave that id, to the millisecond. Ids from before 2010-11-04 read as of then."""
    seconds, milliseconds = divmod((id >> 22) + EPOCH_MS, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)


def read_json(raw: bytes, what: str) -> dict[str, Any]:
    """The JSON object of a body, whatever single values in it are monstrous (a 5,000-digit number becomes
    text, what is nested deeper than 64 becomes null). Raises Malformed, saying what came instead."""
    text = raw.decode("utf-8", "replace")
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start != "{":
        found = "HTML" if start == "<" else "nothing" if not start else "something else"
        raise Malformed(f"X answered {what} with {found} where a JSON object was expected")
    try:
        return _object(read_lenient(raw))
    except ValueError:
        raise Malformed(f"X answered {what} with JSON that breaks off or is not valid") from None


def parse_posts(body: Mapping[str, Any], reader: Reader, now: datetime) -> Body:
    """The posts of a page (mentions, search, timeline, look-up), in X's order. Reposts are left out: nobody
    wrote them. `understood` is False where X ignored the names of the fields that we asked for."""
    found = Body(next_token=_next_token(body))
    people = _people(body, reader, found)
    anonymous = 0
    data = _listed(body)
    for item in data:
        try:
            message = _post(item, reader, people, found, now)
        except _Unreadable as error:
            if error.anonymous:
                anonymous += 1
            found.rejected.append(Rejected(_id_or_none(item), str(error), _excerpt(item)))
            continue
        if message is not None:
            found.messages.append(message)
    found.understood = not data or anonymous < len(data)
    found.missing.extend(_missing(body))
    return found


def parse_dms(body: Mapping[str, Any], reader: Reader, now: datetime) -> Body:
    """The direct messages of a page of `dm_events`, in X's order; joins and leaves are left out. What is
    rejected carries no excerpt: it is private."""
    found = Body(next_token=_next_token(body))
    people = _people(body, reader, found)
    anonymous = 0
    data = _listed(body)
    for item in data:
        try:
            message = _dm(item, reader, people, found, now)
        except _Unreadable as error:
            if error.anonymous:
                anonymous += 1
            native = _id_or_none(item)
            found.rejected.append(Rejected(native and DM_PREFIX + native, str(error)))
            continue
        if message is not None:
            found.messages.append(message)
    found.understood = not data or anonymous < len(data)
    return found


class _Unreadable(Exception):
    """Why one object was rejected. `anonymous`: X did not say who wrote it."""

    def __init__(self, reason: str, *, anonymous: bool = False) -> None:
        super().__init__(reason)
        self.anonymous = anonymous


def _post(
    item: Any, reader: Reader, people: Mapping[str, Author], found: Body, now: datetime
) -> Message | None:
    if type(item) is not dict:
        raise _Unreadable("not a JSON object")
    native = item.get("id")
    number = _number(native, now)
    found.ids.append(number)
    native = str(native)
    references = item.get("referenced_tweets") or item.get("referenced_posts") or ()
    parent = None
    for reference in references if type(references) is list else ():
        if type(reference) is dict:
            if reference.get("type") == "retweeted" or reference.get("type") == "reposted":
                return None
            if reference.get("type") == "replied_to":
                parent = _id(reference.get("id"))
    author_id = _id(item.get("author_id"))
    if author_id is None:
        raise _Unreadable("no author_id", anonymous=True)
    note = item.get("note_tweet") or item.get("note_post")
    text = note.get("text") if type(note) is dict else None
    text = _text(text if text is not None else item.get("text"))
    first, aliases = _history(item, native)
    if aliases:
        found.latest[first] = aliases[-1]
    written = _time(item.get("created_at"), now) or time_of(number)
    edited = native != first
    author = people.get(author_id) or Author(author_id, brand=author_id == reader.me)
    to = _id(item.get("in_reply_to_user_id"))
    language = item.get("lang")
    source = item.get("source")
    return Message(
        brand=reader.brand,
        connector="x",
        account=reader.account,
        id=first,
        kind=Kind.POST,
        conversation=_id(item.get("conversation_id")) or first,
        author=author,
        text=text,
        created_at=_first_written(first, written) if edited else written,
        parent=parent,
        to=(to,) if to is not None and to != author_id else (),
        edited_at=written if edited else None,
        language=_language(language) if type(language) is str else None,
        url=f"https://x.com/{author.handle or 'i'}/status/{native}",
        reach=_reach(item.get("public_metrics")),
        client=source if type(source) is str and _clean(source) else None,
        aliases=aliases,
        handles=_mentions(item.get("entities"), note),
    )


def _dm(
    item: Any, reader: Reader, people: Mapping[str, Author], found: Body, now: datetime
) -> Message | None:
    if type(item) is not dict:
        raise _Unreadable("not a JSON object")
    native = item.get("id")
    number = _number(native, now)
    found.ids.append(number)
    if item.get("event_type", "MessageCreate") != "MessageCreate":
        return None
    sender = _id(item.get("sender_id"))
    if sender is None:
        raise _Unreadable("no sender_id", anonymous=True)
    conversation = item.get("dm_conversation_id")
    if type(conversation) is not str or _CONVERSATION.fullmatch(conversation) is None:
        raise _Unreadable("no dm_conversation_id")
    text = item.get("text")
    if text is None and item.get("attachments"):
        text = ""  # a picture says no words, but somebody waits all the same
    participants = item.get("participant_ids")
    if type(participants) is not list or not participants:
        # One-to-one conversations are named after the two; a group's members X does not tell here.
        participants = conversation.split("-") if _PAIR.fullmatch(conversation) else []
    return Message(
        brand=reader.brand,
        connector="x",
        account=reader.account,
        id=f"{DM_PREFIX}{native}",
        kind=Kind.DM,
        conversation=conversation,
        author=people.get(sender) or Author(sender, brand=sender == reader.me),
        text=_text(text),
        created_at=_time(item.get("created_at"), now) or time_of(number),
        to=tuple(p for p in participants if _id(p) is not None and p != sender),
        public=False,
        url=f"https://x.com/messages/{conversation}",
        handles=_mentions(item.get("entities"), None),
    )


def _people(body: Mapping[str, Any], reader: Reader, found: Body) -> dict[str, Author]:
    """The authors that came with a page, by id. One that cannot be read is known by id only, later."""
    includes = body.get("includes")
    users = includes.get("users") if type(includes) is dict else None
    people: dict[str, Author] = {}
    for user in users if type(users) is list else ():
        if type(user) is not dict or (id := _id(user.get("id"))) is None:
            continue
        found.user_ids.append(id)
        handle = user.get("username")
        if type(handle) is not str or _HANDLE.fullmatch(handle) is None:
            handle = None
        name = user.get("name")
        metrics = user.get("public_metrics")
        people[id] = Author(
            id=id,
            handle=handle,
            name=name if type(name) is str and _clean(name) else None,
            followers=_count(metrics.get("followers_count")) if type(metrics) is dict else None,
            brand=id == reader.me or (handle is not None and handle.lower() in reader.brand_handles),
        )
    return people


def _history(item: Mapping[str, Any], native: str) -> tuple[str, tuple[str, ...]]:
    """The first id of a post's edits, by which it is known, and the others, oldest first."""
    history = item.get("edit_history_tweet_ids") or item.get("edit_history_post_ids")
    if type(history) is not list or len(history) < 2:
        return native, ()
    ids = sorted({native, *(h for h in history if _id(h) is not None)}, key=int)
    return ids[0], tuple(ids[1:])


def _first_written(first: str, newest: datetime) -> datetime:
    """When an edited post was first written, as exact as X says times: its own are to the whole second."""
    at = time_of(int(first))
    return at.replace(microsecond=0) if newest.microsecond == 0 else at


def _mentions(entities: Any, note: Any) -> tuple[str, ...]:
    handles: dict[str, None] = {}
    longer = note.get("entities") if type(note) is dict else None
    for holder in (entities, longer):
        mentions = holder.get("mentions") if type(holder) is dict else None
        for mention in mentions if type(mentions) is list else ():
            handle = mention.get("username") if type(mention) is dict else None
            if type(handle) is str and _HANDLE.fullmatch(handle):
                handles[handle.lower()] = None
    return tuple(handles)


def _reach(metrics: Any) -> int | None:
    """Views where X counts them, else likes, reposts and quotes together."""
    if type(metrics) is not dict:
        return None
    views = _count(metrics.get("impression_count"))
    if views:
        return views
    get = metrics.get
    counts = (get("like_count"), get("retweet_count", get("repost_count")), get("quote_count"))
    known = [n for c in counts if (n := _count(c)) is not None]
    return min(sum(known), _NUMBER_MAX) if known else views


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _NUMBER_MAX else None


def _language(code: str) -> str | None:
    if code in _LANGUAGES:
        return _LANGUAGES[code]
    return code if 2 <= len(code) <= 12 and code.isascii() and not code.startswith("q") else None


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Unreadable("no text")
    if not _clean(value):
        raise _Unreadable("text with a lone surrogate or a NUL")
    if "&" in value:  # X escapes these three, and these only
        return value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return value


def _clean(value: str) -> bool:
    """Whether a text can be stored and printed: no NUL, and nothing that UTF-8 cannot say."""
    if "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(native: Any, now: datetime) -> int:
    if _id(native) is None:
        raise _Unreadable("no id, or one that is not 1 to 19 digits")
    number = int(native)
    # One id from the far future would move the mark past everything that is still to come.
    if number > snowflake(now + _FUTURE):
        raise _Unreadable("an id that lies in the future")
    return number


def _id(value: Any) -> str | None:
    return value if type(value) is str and 0 < len(value) <= ID_DIGITS_MAX and _digits(value) else None


def _digits(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _id_or_none(item: Any) -> str | None:
    return _id(item.get("id")) if type(item) is dict else None


def _time(value: Any, now: datetime) -> datetime | None:
    """X's RFC 3339 time, with or without a fraction; None where it is missing, wrong, or to come."""
    if type(value) is not str or not 19 <= len(value) <= 35:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    elif at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at if at <= now + _FUTURE else None


def _next_token(body: Mapping[str, Any]) -> str | None:
    meta = body.get("meta")
    token = meta.get("next_token") if type(meta) is dict else None
    if token is None:
        return None
    if type(token) is not str or not 0 < len(token) <= 1024 or not token.isascii():
        raise Malformed("X gave a page token that is not a short text")
    return token


def _listed(body: Mapping[str, Any]) -> list[Any]:
    data = body.get("data")
    if data is None:
        meta = body.get("meta")
        counted = meta.get("result_count") if type(meta) is dict else None
        if counted:
            raise Malformed("X counted results and sent none")
        return []
    if type(data) is not list:
        raise Malformed("X's data is not a list")
    return data


def _missing(body: Mapping[str, Any]) -> Iterator[str]:
    """The ids that were asked for and that X says do not exist."""
    errors = body.get("errors")
    for error in errors if type(errors) is list else ():
        if type(error) is not dict or not str(error.get("type", "")).endswith("/resource-not-found"):
            continue
        if error.get("parameter", "ids") != "ids":
            continue  # something that a post refers to is gone, not the post
        gone = _id(error.get("resource_id")) or _id(error.get("value"))
        if gone is not None:
            yield gone


def _excerpt(item: Any) -> str:
    try:
        return json.dumps(item, ensure_ascii=True)[:EXCERPT_MAX]
    except (ValueError, RecursionError):
        return ""


def _object(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError("not an object")
    return value
