"""What Reddit's JSON means, in our words: pure functions from a Listing to messages; nothing is fetched here.

Everything in a Listing was written by strangers: a thing that cannot be trusted is rejected alone, with its
reason, and the rest of the page goes on. Shapes: Reddit's API docs, "listings" and "fullnames".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.contract import Gone, Rejected
from connectors.reddit.place import Row
from rules.message import Author, Kind, Message
from wire.errors import Malformed

SITE = "https://www.reddit.com"
EXCERPT_MAX = 500
_GONE_STAMP = "gone"
_STAMP_LENGTH = 12
_NUMBER_MAX = 2**63 - 1
_FUTURE = timedelta(days=1)
_OLDEST = datetime(2005, 1, 1, tzinfo=UTC).timestamp()
_FULLNAME = re.compile(r"t[134]_[0-9a-z]{1,13}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_CONTEXT = re.compile(r"/(?:r|u|user)/[^/\s]{1,50}/comments/([0-9a-z]{1,13})(?:[/?#]|$)")
_PATH = re.compile(r"/[!-.0-~][!-~]*")
_MENTION = re.compile(r"(?<![\w/-])/?u/((?:[A-Za-z0-9-]|\\?_){3,20})(?![\w-])")
"""Reddit's own editor writes `u/acme\\_help`, since an underscore alone could begin italics in Markdown."""

_DELETED = frozenset(("[deleted]", "[removed]", "[ removed by reddit ]", "[deleted by user]"))
_AUTOMATED = frozenset(("automoderator", "reddit"))
_KINDS: Mapping[str, Kind] = {"t1": Kind.COMMENT, "t3": Kind.POST, "t4": Kind.DM}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: what a message needs to know beside what Reddit says of it. `me` is our account's name in
    lower case."""

    brand: str
    account: str
    me: str
    brand_handles: frozenset[str]


@dataclass(slots=True)
class Body:
    """One Listing, taken apart. `rows` are all its entries that say what they are and when they were written,
    also those of kinds that were not asked for; `after` is where the next page begins."""

    messages: list[Message] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    after: str | None = None
    empty: bool = True


class _Unreadable(Exception):
    """Why one thing was rejected."""


def parse_listing(
    body: Any, reader: Reader, now: datetime, kinds: Iterable[Kind], what: str, *, private: bool = False
) -> Body:
    """The messages of those kinds in a Listing, in Reddit's order. Raises Malformed where it is no Listing.
    What is rejected carries no excerpt where it may be private."""
    wanted = frozenset(kinds)
    data, children = _children(body, what)
    found = Body(after=_after(data), empty=not children)
    for thing in children:
        try:
            _take(thing, reader, now, wanted, found)
        except _Unreadable as error:
            hidden = private or _kind_of(thing) not in (Kind.COMMENT, Kind.POST)
            found.rejected.append(Rejected(_name_of(thing), str(error), "" if hidden else _excerpt(thing)))
    return found


def open_subreddits(body: Any, what: str) -> frozenset[str]:
    """The names, in lower case, of the subreddits in a Listing that anybody may read. Raises Malformed."""
    names = set()
    for thing in _children(body, what)[1]:
        data = thing.get("data") if type(thing) is dict and thing.get("kind") == "t5" else None
        if type(data) is dict and data.get("subreddit_type") not in ("private", "employees_only"):
            names.add(str(data.get("display_name")).lower())
    return frozenset(names)


def phrases(keywords: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern for any of the keywords as whole words, whatever the case and the blanks between them. None
    where there is none to look for."""
    said = [r"\s+".join(re.escape(word) for word in keyword.split()) for keyword in keywords]
    said = [s for s in dict.fromkeys(said) if s]
    return re.compile(rf"(?<!\w)(?:{'|'.join(said)})(?!\w)", re.IGNORECASE) if said else None


def _children(body: Any, what: str) -> tuple[dict[str, Any], list[Any]]:
    data = body.get("data") if type(body) is dict else None
    children = data.get("children") if type(data) is dict else None
    if type(data) is not dict or type(children) is not list:
        raise Malformed(f"Reddit answered {what} with something that is not a Listing")
    return data, children


def _take(thing: Any, reader: Reader, now: datetime, wanted: frozenset[Kind], found: Body) -> None:
    if type(thing) is not dict or type(thing.get("data")) is not dict:
        raise _Unreadable("not a thing with data")
    data: dict[str, Any] = thing["data"]
    kind = _kind_of(thing)
    if kind is None:
        raise _Unreadable("neither a comment, nor a submission, nor a private message")
    name = _name_of(thing)
    if name is None:
        raise _Unreadable("no fullname that fits its kind")
    written = _time(data.get("created_utc"), now)
    deleted = _is_deleted(kind, data)
    edited = _time(data.get("edited"), now)
    stamp = _GONE_STAMP if deleted else _stamp(kind, data)
    # What cannot be read is walked past all the same, so that it is told once and not at each reading.
    found.rows.append(Row(name, None if written is None else written.timestamp(), stamp))
    if kind not in wanted:
        return
    if written is None:
        raise _Unreadable("no created_utc, or one that cannot be")
    if deleted:
        found.gone.append(Gone(name, now))
    else:
        found.messages.append(_message(kind, name, data, reader, written, edited))


def _message(
    kind: Kind, name: str, data: Mapping[str, Any], reader: Reader, written: datetime, edited: datetime | None
) -> Message:
    text = _text_of(kind, data)
    score = data.get("score")
    return Message(
        brand=reader.brand,
        connector="reddit",
        account=reader.account,
        id=name,
        kind=kind,
        conversation=_conversation(kind, name, data),
        author=_author(data, reader),
        text=text,
        created_at=written,
        parent=None if kind is Kind.POST else _fullname(data.get("parent_id")),
        to=_addressed(kind, data),
        edited_at=edited,
        public=kind is not Kind.DM,
        url=_url(kind, name, data),
        reach=min(max(score, 0), _NUMBER_MAX) if type(score) is int and kind is not Kind.DM else None,
        handles=tuple(dict.fromkeys(m.replace("\\", "").lower() for m in _MENTION.findall(text))),
    )


def _author(data: Mapping[str, Any], reader: Reader) -> Author:
    """Reddit names people by name alone in many places, so the name in lower case is the id everywhere."""
    given = data.get("author")
    if given is None and (subreddit := _subreddit_writing(data)) is not None:
        return Author(f"r/{subreddit.lower()}", f"r/{subreddit}", automated=True)
    if type(given) is not str or _NAME.fullmatch(given) is None:
        raise _Unreadable("no author")
    lower = given.lower()
    return Author(
        id=lower,
        handle=given,
        name=None,
        brand=lower == reader.me or lower in reader.brand_handles,
        automated=lower in _AUTOMATED,
    )


def _subreddit_writing(data: Mapping[str, Any]) -> str | None:
    """Moderators' private messages have no author but their subreddit."""
    subreddit = data.get("subreddit")
    return subreddit if type(subreddit) is str and _NAME.fullmatch(subreddit) else None


def _conversation(kind: Kind, name: str, data: Mapping[str, Any]) -> str:
    if kind is Kind.POST:
        return name
    if kind is Kind.DM:
        return _fullname(data.get("first_message_name"), "t4_") or name
    link = _fullname(data.get("link_id"), "t3_")
    if link is None:  # entries of the inbox lack it
        context = data.get("context")
        match = _CONTEXT.match(context) if type(context) is str else None
        link = None if match is None else f"t3_{match[1]}"
    link = link or _fullname(data.get("parent_id"), "t3_")
    if link is None:
        raise _Unreadable("no submission that the comment belongs to")
    return link


def _addressed(kind: Kind, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of those whom it is for, where Reddit tells: the recipient of a private message, who is
    replied to in an inbox, who wrote the submission that is commented on."""
    if kind is Kind.POST:
        return ()
    to: Any = None
    if kind is Kind.DM or data.get("type") in ("comment_reply", "post_reply"):
        to = data.get("dest")
    elif data.get("parent_id") == data.get("link_id"):
        to = data.get("link_author")
    if type(to) is not str or _NAME.fullmatch(to) is None:
        return ()
    author = data.get("author")
    return () if type(author) is str and to.lower() == author.lower() else (to.lower(),)


def _text_of(kind: Kind, data: Mapping[str, Any]) -> str:
    if kind is Kind.COMMENT:
        return _text(data.get("body"))
    first, second = ("title", "selftext") if kind is Kind.POST else ("subject", "body")
    body = _text(data.get(second) if kind is Kind.DM else data.get(second) or "")
    if kind is Kind.DM and data.get("first_message_name") is not None:
        return body  # its subject only repeats that of the first message
    head = _text(data.get(first) or "")
    return "\n\n".join(part for part in (head, body) if part)


def _is_deleted(kind: Kind, data: Mapping[str, Any]) -> bool:
    """Whether it was deleted or removed, or whoever wrote it has left Reddit: nobody waits there any more."""
    body = data.get("selftext" if kind is Kind.POST else "body")
    if type(body) is str and body.strip().lower() in _DELETED:
        return True
    if "author" in data and data["author"] in (None, "[deleted]"):
        return kind is not Kind.DM or _subreddit_writing(data) is None
    # A link that is taken down has no text to replace.
    removed = data.get("removed_by_category")
    return kind is Kind.POST and type(removed) is str and removed != ""


def _stamp(kind: Kind, data: Mapping[str, Any]) -> str:
    """What changes with an edit: the words themselves, since the inbox does not tell of edits, and Reddit
    marks none in the first minutes. Private messages cannot be edited."""
    if kind is Kind.DM:
        return ""
    words = [data.get(name) for name in ("title", "selftext", "body")]
    said = "\0".join(w for w in words if type(w) is str).encode("utf-8", "replace")
    return hashlib.sha256(said).hexdigest()[:_STAMP_LENGTH]


def _url(kind: Kind, name: str, data: Mapping[str, Any]) -> str | None:
    if kind is Kind.DM:
        return f"{SITE}/message/messages/{name[3:]}"
    for field_name in ("permalink", "context"):
        path = data.get(field_name)
        if type(path) is str and len(path) <= 500 and _PATH.fullmatch(path):
            return SITE + path.partition("?")[0]
    return None


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Unreadable("no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Unreadable("text with a lone surrogate") from None
    if "\0" in value:
        raise _Unreadable("text with a NUL")
    return value


def _time(value: Any, now: datetime) -> datetime | None:
    """Unix seconds; None for what is missing, wrong, or to come (`edited` is false where nothing was). Old
    edits are marked `true`, without a time."""
    if type(value) not in (int, float) or not _OLDEST <= value <= (now + _FUTURE).timestamp():
        return None
    return datetime.fromtimestamp(value, UTC)


def _after(data: Mapping[str, Any]) -> str | None:
    after = data.get("after")
    if after is None or after == "":
        return None
    if _fullname(after) is None:
        raise Malformed("Reddit gave a next page that is not a fullname")
    return str(after)


def _kind_of(thing: Any) -> Kind | None:
    kind = thing.get("kind") if type(thing) is dict else None
    return _KINDS.get(kind) if type(kind) is str else None


def _name_of(thing: Any) -> str | None:
    data = thing.get("data") if type(thing) is dict else None
    if type(data) is not dict or type(thing.get("kind")) is not str:
        return None
    prefix = f"{thing['kind']}_"
    name = _fullname(data.get("name"), prefix)
    id = data.get("id")
    if name is None and type(id) is str:
        name = _fullname(prefix + id, prefix)
    return name


def _fullname(value: Any, prefix: str = "t") -> str | None:
    if type(value) is not str or not value.startswith(prefix) or _FULLNAME.fullmatch(value) is None:
        return None
    return value


def _excerpt(thing: Any) -> str:
    try:
        return json.dumps(thing, ensure_ascii=True)[:EXCERPT_MAX]
    except (ValueError, RecursionError):
        return ""
