"""What Bluesky's JSON means, in our words: pure functions from a body to messages; nothing is fetched here.

All of it was written by strangers: an entry that cannot be trusted is rejected alone, with its reason, and
the rest of the page goes on. Shapes: the lexicons app.bsky.notification.listNotifications,
app.bsky.feed.defs, app.bsky.feed.post, app.bsky.richtext.facet and chat.bsky.convo.defs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Rejected
from connectors.walk import Row
from rules.message import Author, Kind, Message
from wire.errors import Malformed

SITE = "https://bsky.app"
EXCERPT_MAX = 500
THREAD_MAX = 1000
"""So many posts of a thread are read at most."""

POST = "app.bsky.feed.post"
_ADDRESSED_MAX = 20
_LENGTH_MAX = 1000
_TOKEN_LENGTH_MAX = 4000
_NUMBER_MAX = 2**63 - 1
_OLDEST = datetime(2005, 1, 1, tzinfo=UTC)
"""What is dated before it was not written then: the record's date is its author's to choose."""

_DID = re.compile(r"did:[a-z]{1,20}:[A-Za-z0-9._:%-]{1,500}")
_URI = re.compile(
    rf"at://(did:[a-z]{{1,20}}:[A-Za-z0-9._:%-]{{1,500}})/{re.escape(POST)}/([A-Za-z0-9._:~-]{{1,512}})"
)
_MENTION = re.compile(
    r"(?<![\w@.-])@((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z][a-z0-9-]{0,61}[a-z0-9])\b", re.I
)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?=-|$)")
_CHAT_ID = re.compile(r"[A-Za-z0-9._:~-]{1,200}")
_BOT = "bot"
_NO_HANDLE = "handle.invalid"
"""What Bluesky calls everybody whose domain does not point to the account."""

_FACET_MENTION = "app.bsky.richtext.facet#mention"
_MESSAGE = "chat.bsky.convo.defs#messageView"
_TOLD = frozenset(("mention", "reply", "quote"))


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: what a message needs to know beside what Bluesky says of it. `me` is our account's DID."""

    brand: str
    account: str
    me: str
    handle: str
    brand_handles: frozenset[str]


@dataclass(slots=True)
class Body:
    """One answer, taken apart. `rows` are all its entries that say what they are, in their order; `token` is
    of the next page."""

    messages: list[Message] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of direct messages: its id, and when somebody last wrote in it (None: nobody did, or it
    does not say)."""

    id: str
    last_at: datetime | None


class _Unreadable(Exception):
    """Why one entry was rejected."""


def parse_notifications(body: Any, reader: Reader, now: datetime) -> Body:
    """What app.bsky.notification.listNotifications shows. Raises Malformed."""

    def one(entry: Mapping[str, Any]) -> tuple[Row, Message | None]:
        reason = entry.get("reason")
        if type(reason) is not str or reason not in _TOLD:
            uri, at = entry.get("uri"), _time(entry.get("indexedAt"))
            return _row(uri, at, now), None
        return _post(entry, reader, now)

    return _read(body, "notifications", one)


def parse_posts(body: Any, reader: Reader, now: datetime) -> Body:
    """What app.bsky.feed.searchPosts and getPosts show. Raises Malformed."""
    return _read(body, "posts", lambda entry: _post(entry, reader, now))


def parse_thread(body: Any, reader: Reader, now: datetime) -> Body:
    """What stands below a post, as app.bsky.feed.getPostThread shows it: the brand's own words, and what is
    written to the account. Others talk there among themselves. Raises Malformed."""
    root = body.get("thread") if type(body) is dict else None
    if type(root) is not dict:
        raise Malformed("Bluesky gave something that is no thread")
    found, waiting = Body(), [root]
    while waiting and len(found.rows) < THREAD_MAX:
        node = waiting.pop()
        replies = node.get("replies")
        waiting += [each for each in (replies if type(replies) is list else ()) if type(each) is dict]
        post = node.get("post")
        if node is root or type(post) is not dict:
            continue
        try:
            row, message = _post(post, reader, now)
        except _Unreadable:
            continue  # a blocked or deleted one, or nonsense: a list will tell of it
        found.rows.append(row)
        if message.author.brand or reader.me in message.to:
            found.messages.append(message)
    return found


def reply_counts(body: Any) -> dict[str, int]:
    """How many replies each post has, by its URI, as getPosts shows them."""
    posts = body.get("posts") if type(body) is dict else None
    return {
        post["uri"]: post["replyCount"]
        for post in (posts if type(posts) is list else ())
        if type(post) is dict and type(post.get("uri")) is str and type(post.get("replyCount")) is int
    }


def parse_feed(body: Any, reader: Reader, now: datetime) -> Body:
    """What app.bsky.feed.getAuthorFeed shows: reposts and pinned posts are walked past. Raises Malformed."""

    def one(entry: Mapping[str, Any]) -> tuple[Row, Message | None]:
        post, reason = entry.get("post"), entry.get("reason")
        if type(post) is not dict:
            raise _Unreadable("no post")
        if type(reason) is dict:
            at = _time(reason.get("indexedAt"))
            return replace(_row(post.get("uri"), at, now), id=f"again {post.get('uri')}"), None
        return _post(post, reader, now)

    return _read(body, "feed", one)


def parse_talks(body: Any) -> tuple[list[Talk], str | None]:
    """The conversations that chat.bsky.convo.listConvos shows, and the next page's token. What has no id is
    left out: nothing could be asked of it. Raises Malformed."""
    talks = []
    for entry in _entries(body, "convos"):
        id = entry.get("id") if type(entry) is dict else None
        if type(id) is str and _CHAT_ID.fullmatch(id):
            last = entry.get("lastMessage")
            talks.append(Talk(id, _time(last.get("sentAt")) if type(last) is dict else None))
    return talks, _token(body)


def parse_direct(body: Any, talk: str, reader: Reader, now: datetime) -> Body:
    """What chat.bsky.convo.getMessages shows of one conversation. Raises Malformed."""
    people = _people(body)

    def one(entry: Mapping[str, Any]) -> tuple[Row, Message | None]:
        return _direct(entry, talk, people, reader, now)

    return _read(body, "messages", one, private=True)


def parse_log(body: Any, reader: Reader, now: datetime) -> Body:
    """The messages that chat.bsky.convo.getLog tells of. What was deleted was so only for whoever deleted it,
    and is no concern of ours. Raises Malformed."""

    def one(entry: Mapping[str, Any]) -> tuple[Row, Message | None]:
        if entry.get("$type") != "chat.bsky.convo.defs#logCreateMessage":
            return Row("", None), None
        talk, message = entry.get("convoId"), entry.get("message")
        if type(talk) is not str or not _CHAT_ID.fullmatch(talk) or type(message) is not dict:
            raise _Unreadable("no conversation")
        return _direct(message, talk, _people(entry), reader, now)

    return _read(body, "logs", one, private=True)


def phrases(keywords: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern for any of the keywords as whole words, whatever the case and the blanks between them. None
    where there is none to look for."""
    said = [r"\s+".join(re.escape(word) for word in keyword.split()) for keyword in keywords]
    said = [s for s in dict.fromkeys(said) if s]
    return re.compile(rf"(?<!\w)(?:{'|'.join(said)})(?!\w)", re.IGNORECASE) if said else None


def is_post(id: str) -> bool:
    """Whether it is the AT-URI of a post."""
    return len(id) <= _LENGTH_MAX and _URI.fullmatch(id) is not None


def _read(
    body: Any,
    name: str,
    one: Callable[[Mapping[str, Any]], tuple[Row, Message | None]],
    *,
    private: bool = False,
) -> Body:
    found = Body(token=_token(body))
    for entry in _entries(body, name):
        try:
            if type(entry) is not dict:
                raise _Unreadable("not an object")
            row, message = one(entry)
        except _Unreadable as error:
            uri = _named(entry)
            found.rejected.append(Rejected(uri, str(error), "" if private else _excerpt(entry)))
            if uri is not None:  # so that it is told once, and not at each reading
                found.rows.append(Row(uri, None))
            continue
        found.rows.append(row)
        if message is not None:
            found.messages.append(message)
    found.rows = as_listed(found.rows)
    return found


def as_listed(rows: Sequence[Row]) -> list[Row]:
    """Rows of a newest-first page, each at least as new as whatever is listed after it: an author who dates a
    post back must not make a reading end at it."""
    listed, newest = [], None
    for row in reversed(rows):
        if row.at is not None and (newest is None or row.at > newest):
            newest = row.at
        listed.append(row if row.at == newest else Row(row.id, newest, row.stamp))
    listed.reverse()
    return listed


def _entries(body: Any, name: str) -> list[Any]:
    entries = body.get(name) if type(body) is dict else None
    if type(entries) is not list:
        raise Malformed(f"Bluesky gave something that has no list of {name}")
    return entries


def _token(body: Any) -> str | None:
    token = body.get("cursor") if type(body) is dict else None
    if token is None or token == "":
        return None
    if type(token) is not str or len(token) > _TOKEN_LENGTH_MAX or not token.isprintable():
        raise Malformed("Bluesky gave a cursor that is none")
    return token


def _post(view: Mapping[str, Any], reader: Reader, now: datetime) -> tuple[Row, Message]:
    """A post as a notification or a postView shows it."""
    get = view.get
    uri, record = get("uri"), get("record")
    match = _URI.fullmatch(uri) if type(uri) is str and len(uri) <= _LENGTH_MAX else None
    if match is None:
        raise _Unreadable("no AT-URI of a post")
    if type(record) is not dict:
        raise _Unreadable("no record")
    author = _author(get("author"), reader)
    if author.id != match[1]:
        raise _Unreadable("an author who does not own its repository")
    listed = _time(get("indexedAt"))
    written = _time(record.get("createdAt"))
    times = [t for t in (listed, written) if t is not None]
    if not times:
        raise _Unreadable("no time")
    at = min(*times, now)
    text = _text(record.get("text"))
    root, parent, to = _answered(record, author, reader)
    named = _facets(record, author.id)
    handles = [m.lower() for m in _MENTION.findall(text)] if "@" in text else []
    if reader.me in named:
        handles.append(reader.handle)
    message = Message(
        brand=reader.brand,
        connector="bluesky",
        account=reader.account,
        id=match[0],
        kind=Kind.POST if root is None else Kind.COMMENT,
        conversation=root or match[0],
        author=author,
        text=text,
        created_at=at,
        parent=parent,
        to=tuple(dict.fromkeys(to + named)) if to or named else (),
        language=_language(record.get("langs")),
        url=f"{SITE}/profile/{match[1]}/post/{match[2]}",
        reach=_reach(get("likeCount"), get("repostCount")),
        handles=tuple(dict.fromkeys(handles)) if handles else (),
    )
    return Row(match[0], at.timestamp()), message


def _author(profile: Any, reader: Reader) -> Author:
    did = profile.get("did") if type(profile) is dict else None
    if type(did) is not str or _DID.fullmatch(did) is None:
        raise _Unreadable("no author")
    handle, name = profile.get("handle"), profile.get("displayName")
    known = type(handle) is str and handle.isprintable() and 0 < len(handle) <= 254 and handle != _NO_HANDLE
    handle = handle if known else None
    return Author(
        id=did,
        handle=handle,
        name=_clean(name)[:200] or None if type(name) is str else None,
        brand=did == reader.me or (handle is not None and handle.lower() in reader.brand_handles),
        automated=_is_bot(profile.get("labels"), did),
    )


def _is_bot(labels: Any, did: str) -> bool:
    """Whether the account says of itself that it is automated. What others call it is not believed."""
    if type(labels) is not list:
        return False
    return any(
        type(one) is dict and one.get("val") == _BOT and one.get("src") == did and not one.get("neg")
        for one in labels
    )


def _answered(
    record: Mapping[str, Any], author: Author, reader: Reader
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """The root, the parent and whom it is written to. A customer's quote of what we wrote speaks to us as a
    reply does, although it begins a thread of its own."""
    reply = record.get("reply")
    if type(reply) is dict:
        root, parent = _ref(reply.get("root")), _ref(reply.get("parent"))
        if parent is None:
            raise _Unreadable("a reply to nothing")
        whose = parent[1]
        return (root or parent)[0], parent[0], () if whose == author.id else (whose,)
    embed = record.get("embed")
    if type(embed) is dict:
        quoted = embed.get("record")
        if type(quoted) is dict and "uri" not in quoted:  # app.bsky.embed.recordWithMedia
            quoted = quoted.get("record")
        found = _ref(quoted)
        if found is not None and found[1] == reader.me != author.id:
            return None, found[0], (reader.me,)
    return None, None, ()


def _ref(value: Any) -> tuple[str, str] | None:
    """The URI of a post that a strongRef names, and who wrote it."""
    uri = value.get("uri") if type(value) is dict else None
    match = _URI.fullmatch(uri) if type(uri) is str and len(uri) <= _LENGTH_MAX else None
    return None if match is None else (match[0], match[1])


def _facets(record: Mapping[str, Any], author: str) -> tuple[str, ...]:
    """The DIDs that it mentions."""
    facets = record.get("facets")
    if type(facets) is not list:
        return ()
    named = []
    for facet in facets[:_ADDRESSED_MAX]:
        features = facet.get("features") if type(facet) is dict else None
        for feature in features[:_ADDRESSED_MAX] if type(features) is list else ():
            if type(feature) is dict and feature.get("$type") == _FACET_MENTION:
                did = feature.get("did")
                if type(did) is str and did != author and _DID.fullmatch(did):
                    named.append(did)
    return tuple(named[:_ADDRESSED_MAX])


def _people(body: Any) -> dict[str, Mapping[str, Any]]:
    """The profiles that come with direct messages, by DID."""
    profiles = body.get("relatedProfiles") if type(body) is dict else None
    if type(profiles) is not list:
        return {}
    whole = (p for p in profiles if type(p) is dict and type(p.get("did")) is str)
    return {p["did"]: p for p in whole if _DID.fullmatch(p["did"])}


def _direct(
    view: Mapping[str, Any],
    talk: str,
    people: Mapping[str, Mapping[str, Any]],
    reader: Reader,
    now: datetime,
) -> tuple[Row, Message | None]:
    """A direct message; none for one that was deleted or that the system wrote."""
    id = view.get("id")
    if type(id) is not str or not _CHAT_ID.fullmatch(id):
        raise _Unreadable("no id")
    sent = _time(view.get("sentAt"))
    row = Row(f"{talk}/{id}", None if sent is None else min(sent, now).timestamp())
    if view.get("$type", _MESSAGE) != _MESSAGE or type(view.get("sender")) is not dict:
        return row, None
    if sent is None:
        raise _Unreadable("no sentAt")
    did = view["sender"].get("did")
    author = _author(people.get(did, view["sender"]) if type(did) is str else None, reader)
    others = tuple(d for d in people if d not in (reader.me, author.id))
    # Of ours Bluesky does not say to whom; where only one other person is spoken of, it is that one.
    to = (reader.me,) if not author.brand else others if len(others) == 1 else ()
    answered = view.get("replyTo")
    parent = answered.get("id") if type(answered) is dict else None
    text = _text(view.get("text"))
    message = Message(
        brand=reader.brand,
        connector="bluesky",
        account=reader.account,
        id=row.id,
        kind=Kind.DM,
        conversation=talk,
        author=author,
        text=text,
        created_at=min(sent, now),
        parent=f"{talk}/{parent}" if type(parent) is str and _CHAT_ID.fullmatch(parent) else None,
        to=to,
        public=False,
    )
    return row, message


def _row(uri: Any, at: datetime | None, now: datetime) -> Row:
    if type(uri) is not str or not 0 < len(uri) <= _LENGTH_MAX:
        raise _Unreadable("no URI")
    return Row(uri, None if at is None else min(at, now).timestamp())


def _time(value: Any) -> datetime | None:
    """RFC 3339; None for what is missing, wrong, without a zone, or older than such networks are."""
    if type(value) is not str or len(value) > 64:
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            return None
        at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if at >= _OLDEST else None


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _Unreadable("no text")
    return _clean(value)


def _clean(text: str) -> str:
    """The text without what no database holds: NUL, and halves of surrogate pairs."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def _language(langs: Any) -> str | None:
    first = langs[0] if type(langs) is list and langs else None
    match = _LANGUAGE.match(first) if type(first) is str else None
    return None if match is None else match[0].lower()


def _reach(likes: Any, reposts: Any) -> int | None:
    counts = [n for n in (likes, reposts) if type(n) is int]
    return min(max(sum(counts), 0), _NUMBER_MAX) if counts else None


def _named(entry: Any) -> str | None:
    uri = entry.get("uri") if type(entry) is dict else None
    return uri if type(uri) is str and is_post(uri) else None


def _excerpt(entry: Any) -> str:
    try:
        return json.dumps(entry, ensure_ascii=True)[:EXCERPT_MAX]
    except (ValueError, RecursionError):
        return ""
