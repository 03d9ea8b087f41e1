"""The shapes of X's API v2: posts, DMs and people as JSON, pages, search queries and refusals.

What may live here: how X says things about the simulated world. Who asks, and which route, is `x_api`.
Sources: X's docs and its OpenAPI 2.167.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from starlette.datastructures import QueryParams

from simulator.world import Person, Platform, World, Writing

Generation = Literal["tweet", "post", "both"]
"""Which names of fields the server knows. X itself knows both since August 2026, and answers in those that
it was asked with."""

PROBLEMS = "https://api.x.com/2/problems"
PAGE_TOKEN_LIFE = timedelta(hours=1)
SHORT_LENGTH_MAX = 280
DIGITS = re.compile(r"[0-9]{1,19}")
_EPOCH_MS = 1_288_834_974_657
_EDIT_REACH = timedelta(hours=1)
_WORD = re.compile(r"\w+")
_QUERY = re.compile(r'-?"[^"]*"|[()]|[^\s()"]+')
_FIELD_NAMES = ("expansions", "user.fields", "media.fields", "poll.fields", "place.fields")
# With the newer names of fields these are no fields any more, only expansions.
_NOW_EXPANSIONS = {"author_id", "in_reply_to_user_id", "referenced_posts", "sender_id", "participant_ids"}


class Problem(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Asked:
    """One request for writings: which fields of them are wanted, and which page."""

    def __init__(
        self,
        world: World,
        generation: Generation,
        query: QueryParams,
        known: Sequence[str],
        *,
        dms: bool = False,
    ) -> None:
        self.world = world
        self.now = world.clock.now()
        self.query = query
        self.dms = dms
        names = ("tweet", "post") if generation == "both" else (generation,)
        allowed = {*known, *_FIELD_NAMES, *(f"{n}.fields" for n in names)}
        if dms:
            allowed.add("dm_event.fields")
        for name in query:
            if name not in allowed:
                listed = ",".join(sorted(allowed))
                raise invalid(name, query[name], f"The query parameter [{name}] is not one of [{listed}]")
        self.new = "post.fields" in query or generation == "post"
        self.expansions = self._set("expansions")
        self.user_fields = self._set("user.fields") | {"id", "name", "username"}
        self.linked = "referenced_posts" if self.new else "referenced_tweets"
        wanted = self._set("dm_event.fields" if dms else "post.fields" if self.new else "tweet.fields")
        if self.new:
            wanted -= _NOW_EXPANSIONS
        if self._linking():
            wanted.add(self.linked)
        self.wanted = wanted | (self.expansions & _NOW_EXPANSIONS)

    def _linking(self) -> bool:
        return bool(self.expansions & {self.linked, f"{self.linked}.id"})

    def _set(self, name: str) -> set[str]:
        return {f for f in self.query.get(name, "").split(",") if f}

    def page(
        self,
        wanted: Callable[[Writing], bool],
        *,
        least: int,
        default: int,
        reach: timedelta | None = None,
    ) -> dict[str, Any]:
        """The newest first, from where the page token says."""
        size = self._whole("max_results", default, least, 100)
        above = self._above(reach)
        below = self._below()
        since = time_of(above) - _EDIT_REACH if above else None
        writings = self.world.shown(Platform.X, self.now, wanted, since=since)
        found = sorted(((int(w.ids_at(self.now)[-1]), w) for w in writings), key=lambda p: -p[0])
        left = [(n, w) for n, w in found if above < n < below]
        shown = left[:size]
        meta: dict[str, Any] = {"result_count": len(shown)}
        if shown and not self.dms:
            meta["newest_id"], meta["oldest_id"] = str(shown[0][0]), str(shown[-1][0])
        if len(left) > size:
            meta["next_token"] = self._next(shown[-1][0])
        return self.answer([(w, str(n)) for n, w in shown], meta, [])

    def answer(
        self, shown: Sequence[tuple[Writing, str]], meta: Mapping[str, Any], errors: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """The JSON for those writings, each in that version."""
        body: dict[str, Any] = {}
        if shown:
            body["data"] = [self._dm(w) if self.dms else self._post(w, id) for w, id in shown]
        includes = self._includes([w for w, _ in shown], errors)
        if includes:
            body["includes"] = includes
        if errors:
            body["errors"] = errors
        if meta:
            body["meta"] = dict(meta)
        return body

    def user(self, person: Person) -> dict[str, Any]:
        whole = {
            "id": person.id,
            "name": person.name,
            "username": person.handle,
            "created_at": _say(person.created_at),
            "public_metrics": {
                "followers_count": person.followers,
                "following_count": 0,
                "tweet_count": 0,
                "listed_count": 0,
            },
        }
        return {k: v for k, v in whole.items() if k in self.user_fields}

    def _post(self, writing: Writing, id: str) -> dict[str, Any]:
        ids = writing.ids_at(self.now)
        change = next((e for e in writing.edits if e.id == id and id != writing.id), None)
        text = _escaped(change.text if change else writing.text)
        short = text if len(text) <= SHORT_LENGTH_MAX else text[: SHORT_LENGTH_MAX - 1] + "…"
        parent = self.world.find(Platform.X, writing.parent) if writing.parent else None
        references = None
        if writing.parent:
            replied = parent.ids_at(writing.created_at)[-1] if parent else writing.parent
            references = [{"type": "replied_to", "id": replied}]
        whole: dict[str, Any] = {
            "created_at": _say(change.at if change else writing.created_at),
            "conversation_id": writing.root,
            "author_id": writing.author.id,
            "in_reply_to_user_id": parent.author.id if parent else None,
            self.linked: references,
            "lang": writing.language,
            "source": writing.client,
            "entities": _entities(self.world, text, writing.mentions) or None,
            "public_metrics": {
                "repost_count" if self.new else "retweet_count": writing.reposts,
                "reply_count": 0,
                "like_count": writing.likes,
                "quote_count": 0,
                "bookmark_count": 0,
                "impression_count": writing.views,
            },
            "note_post" if self.new else "note_tweet": {"text": text} if short != text else None,
        }
        history = "edit_history_post_ids" if self.new else "edit_history_tweet_ids"
        shown = {k: v for k, v in whole.items() if k in self.wanted and v is not None}
        return {"id": id, "text": short, history: list(ids), **shown}

    def _dm(self, writing: Writing) -> dict[str, Any]:
        other = writing.recipient or writing.author
        pair = sorted((writing.author.id, other.id), key=int)
        whole: dict[str, Any] = {
            "created_at": _say(writing.created_at),
            "dm_conversation_id": "-".join(pair),
            "sender_id": writing.author.id,
        }
        shown = {k: v for k, v in whole.items() if k in self.wanted}
        return {"id": writing.id, "event_type": "MessageCreate", "text": _escaped(writing.text), **shown}

    def _includes(self, writings: Sequence[Writing], errors: list[dict[str, Any]]) -> dict[str, Any]:
        people: dict[str, Person] = {}
        others: dict[str, Writing] = {}
        for writing in writings:
            parent = self.world.find(Platform.X, writing.parent) if writing.parent else None
            if self.expansions & {"author_id", "sender_id"}:
                people[writing.author.id] = writing.author
            if "in_reply_to_user_id" in self.expansions and parent is not None:
                people[parent.author.id] = parent.author
            if self._linking():
                if parent is not None and parent.shown(self.now):
                    others[parent.id] = parent
                elif writing.parent:
                    errors.append(not_found(f"{self.linked}.id", writing.parent, "tweet"))
        includes: dict[str, Any] = {}
        if people:
            includes["users"] = [self.user(p) for p in people.values()]
        if others:
            name = "posts" if self.new else "tweets"
            includes[name] = [self._post(w, w.ids_at(self.now)[-1]) for w in others.values()]
        return includes

    def _above(self, reach: timedelta | None) -> int:
        """The id that all results are above: from since_id, start_time, and how far back X shows."""
        edge = self.now - reach if reach is not None else None
        above = snowflake(edge) if edge is not None else 0
        since = self.query.get("since_id")
        if since is not None:
            if not DIGITS.fullmatch(since):
                raise invalid(
                    "since_id", since, f"The `since_id` query parameter value [{since}] is not valid"
                )
            if int(since) < above and edge is not None:
                message = (
                    f"'since_id' must be a tweet id created after {edge:%Y-%m-%dT%H:%MZ}. Please use a "
                    f"'since_id' that is larger than {above}"
                )
                raise invalid("since_id", since, message)
            above = max(above, int(since))
        at = self._moment("start_time")
        if at is not None:
            if edge is not None and at < edge.replace(second=0, microsecond=0):
                start = self.query["start_time"]
                message = (
                    f"Invalid 'start_time':'{start}'. 'start_time' must be on or after {edge:%Y-%m-%dT%H:%MZ}"
                )
                raise invalid("start_time", start, message)
            above = max(above, snowflake(at) - 1)
        return above

    def _below(self) -> int:
        """The id that all results are below: from until_id, end_time, and the page token."""
        edges = [1 << 63, self._token()]
        until = self.query.get("until_id")
        if until is not None:
            if not DIGITS.fullmatch(until):
                raise invalid(
                    "until_id", until, f"The `until_id` query parameter value [{until}] is not valid"
                )
            edges.append(int(until))
        end = self._moment("end_time")
        if end is not None:
            edges.append(snowflake(end))
        return min(e for e in edges if e is not None)

    def _moment(self, name: str) -> datetime | None:
        given = self.query.get(name)
        if given is None:
            return None
        try:
            return datetime.strptime(given, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise invalid(name, given, f"Invalid '{name}':'{given}'") from None

    def _whole(self, name: str, default: int, least: int, most: int) -> int:
        given = self.query.get(name, str(default))
        if not given.isdigit() or not least <= int(given) <= most:
            message = f"The `{name}` query parameter value [{given}] is not between {least} and {most}"
            raise invalid(name, given, message)
        return int(given)

    def _next(self, last: int) -> str:
        return (
            base64.urlsafe_b64encode(json.dumps([last, self.now.timestamp()]).encode()).decode().rstrip("=")
        )

    def _token(self) -> int | None:
        name = "next_token" if "next_token" in self.query else "pagination_token"
        given = self.query.get(name)
        if given is None:
            return None
        try:
            last, at = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
            if self.now.timestamp() - at > PAGE_TOKEN_LIFE.total_seconds():
                raise ValueError("too old")
            return int(last)
        except (ValueError, TypeError):
            message = f"The `{name}` query parameter value [{given}] is not valid"
            raise invalid(name, given, message) from None


# --- X's ways of saying things ----------------------------------------------------------------------------


def compile_query(query: str) -> Callable[[Writing, datetime], bool]:
    """What a search query matches: words, "exact phrases", OR, parentheses, -, from: and is:retweet."""
    tokens: list[str] = _QUERY.findall(query)

    def either() -> Callable[[Writing, datetime], bool]:
        parts = [every()]
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            parts.append(every())
        return lambda w, at: any(p(w, at) for p in parts)

    def every() -> Callable[[Writing, datetime], bool]:
        parts: list[Callable[[Writing, datetime], bool]] = []
        while tokens and tokens[0] not in (")", "OR"):
            parts.append(single())
        return lambda w, at: all(p(w, at) for p in parts)

    def single() -> Callable[[Writing, datetime], bool]:
        token = tokens.pop(0)
        if token.startswith("-"):
            tokens.insert(0, token[1:])
            inner = single()
            return lambda w, at: not inner(w, at)
        if token == "(":
            inner = either()
            if tokens:
                tokens.pop(0)
            return inner
        if token.startswith("from:"):
            return lambda w, _: w.author.handle.lower() == token[5:].lower()
        if token == "is:retweet":
            return lambda w, _: False
        words = _words(token)
        return lambda w, at: _holds(_words(w.text_at(at)), words)

    return either()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _holds(text: Sequence[str], phrase: Sequence[str]) -> bool:
    size = len(phrase)
    return any(list(text[i : i + size]) == list(phrase) for i in range(len(text) - size + 1))


def snowflake(at: datetime) -> int:
    """The lowest id that X gives at that time."""
    return max(0, (int(at.timestamp() * 1000) - _EPOCH_MS) << 22)


def time_of(id: int) -> datetime:
    """When X gave that id."""
    return datetime.fromtimestamp(((id >> 22) + _EPOCH_MS) / 1000, UTC)


def _say(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _entities(world: World, text: str, mentions: Iterable[str]) -> dict[str, Any]:
    found = []
    for handle in mentions:
        start = text.lower().find(f"@{handle.lower()}")
        person = world.by_handle(Platform.X, handle)
        if start >= 0:
            known = {"id": person.id} if person else {}
            found.append({"start": start, "end": start + len(handle) + 1, "username": handle, **known})
    return {"mentions": found} if found else {}


def plain(title: str, status: int) -> dict[str, Any]:
    return {"title": title, "detail": title, "type": "about:blank", "status": status}


def invalid(name: str, value: str, message: str) -> Problem:
    return Problem(
        400,
        {
            "errors": [{"parameters": {name: [value]}, "message": message}],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": f"{PROBLEMS}/invalid-request",
        },
    )


def not_found(parameter: str, value: str, kind: str) -> dict[str, Any]:
    return {
        "value": value,
        "detail": f"Could not find {kind} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": kind,
        "parameter": parameter,
        "resource_id": value,
        "type": f"{PROBLEMS}/resource-not-found",
    }
