"""Google Play: reviews of one app and the developer's answers, over the Google Play Developer API.

What may live here: how a service account signs in, what the API's JSON means, and how its list is walked.
Sources: Google's documentation of the Google Play Developer API (reviews.list, reviews.get, "Reply to
Reviews" with its quotas) and of "Using OAuth 2.0 for Server to Server Applications".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connectors import walk
from connectors.contract import (
    Capabilities,
    Cursor,
    Direction,
    Gone,
    Identity,
    Outbound,
    Page,
    Rejected,
    Stream,
    Surroundings,
)
from connectors.rest import Expired, Missing, RestApi, RestWays
from connectors.reviews import Place, Review, clean, messages_of, review_id
from rules.message import Message
from wire.errors import Malformed, NotAllowed, Refused
from wire.http import Reply
from wire.secret import Secret, SecretMissing
from wire.settings import BaseUrl, Cadence, Margin

NAME = "google_play"
PAGE_SIZE = 100
LOOK_UP_MAX = 100
LOOKED_UP_AT_ONCE = 20
"""Google takes 200 questions an hour for one app: a look-up asks for so many reviews, the rest waits."""

EXCERPT_MAX = 500
LOOK_BACK = timedelta(days=7)
SCOPE = "https://www.googleapis.com/auth/androidpublisher"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_LIFE = timedelta(hours=1)
TOKEN_LEFT_MIN = timedelta(minutes=5)
_REVIEWS = "reviews"
_ID = re.compile(r"[A-Za-z0-9:_.-]{1,200}")
_SECONDS = re.compile(r"\d{1,11}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?=[-_]|$)")

CAPABILITIES = Capabilities(
    streams=(Stream(_REVIEWS, Direction.BOTH, 300.0),),
    outbound=Outbound.EMBEDDED,
    look_back_seconds=LOOK_BACK.total_seconds(),
    edits=True,
    deletes=True,
)

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]


class Settings(BaseModel):
    """[[brands.NAME.google_play]]: one app on Google Play."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Short = Field(description='What the app is called in alerts: "Acme Home".')
    account: Short | None = Field(
        default=None, description="Its label in alerts and metrics (default: the handle)."
    )
    package: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[A-Za-z][\w.]*\w$")
    ] = Field(description='The app\'s package name: "example.acme.home".')
    service_account: Secret = Field(description="The service account's key: what is in its JSON file.")
    api_url: BaseUrl = Field(
        default="https://androidpublisher.googleapis.com", description="The API's address."
    )
    token_url: BaseUrl = Field(
        default="https://oauth2.googleapis.com/token",
        description="Where the service account signs in; the address in its file is not followed.",
    )
    reviews_every: Cadence = Field(
        default=timedelta(minutes=5), validate_default=True, description="How often reviews are read."
    )
    pages_max: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Pages of 100 read in a row; the rest follows at the next cadence.",
    )
    overlap: Margin = Field(
        default=timedelta(hours=1),
        validate_default=True,
        description="How far below the last reading the next one goes, for reviews that turn up late.",
    )
    lag_margin: Margin = Field(
        default=timedelta(minutes=1),
        validate_default=True,
        description="How far behind the moment of a reading a stream is held to be complete.",
    )

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics."""
        return self.account or self.handle


@dataclass(frozen=True, slots=True)
class _Access:
    """A token, the key that it was given for, and until when it is good."""

    key: str = field(repr=False)
    token: str = field(repr=False)
    until: datetime


class GooglePlayConnector:
    """One app. Keeps `connectors.contract.Connector`; used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._place = Place(surroundings.brand, NAME, surroundings.account)
        self._access: _Access | None = None
        ways = RestWays(
            secrets=lambda: () if self._access is None else (self._access.token,),
            explain=_explain,
            limited=lambda reply: reply.status == 403 and b"rateLimitExceeded" in reply.body[:10_000],
            expired=lambda reply: reply.status == 401,
        )
        http, clock = surroundings.http, surroundings.clock
        self._api = RestApi("Google Play", settings.api_url, http, clock, ways)
        self._list = f"/androidpublisher/v3/applications/{quote(settings.package, safe='')}/reviews"

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All reviews are one."""
        every = self._settings.reviews_every.total_seconds()
        return tuple(Stream(s.name, s.direction, every) for s in CAPABILITIES.streams)

    def identify(self, time_limit: float) -> Identity:
        """Whether the service account may read the app's reviews. Raises wire.errors."""
        with self._api.within(time_limit):
            self._get(self._list, "reviews", {"maxResults": 1})
            who = _key_file(self._key()).get("client_email", "")
        notes = (
            f"signed in as {who}",
            "only reviews with words, written or changed in the last week, are listed",
        )
        return Identity(self._settings.package, self._settings.handle, notes=notes)

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """A page of reviews, the last changed first. Raises wire.errors."""
        if stream != _REVIEWS:
            raise Refused(f"there is no stream {stream!r}")
        now = self._around.clock()
        back = timedelta(seconds=min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds))
        place, under_way, gap = walk.begin(cursor, now, back, [_REVIEWS])
        asked = {"maxResults": PAGE_SIZE, "token": under_way.token}
        with self._api.within(time_limit):
            body = _json(self._get(self._list, "reviews", asked))
        found, rejected = parse_reviews(body)
        rows = [walk.Row(r.id, _listed_at(r).timestamp(), r.stamp) for r in found]
        after, lost = walk.take(place, [_REVIEWS], rows, _next(body), overlap=self._settings.overlap)
        # An answer of today brings up a review of long before the first reading: that one is the past.
        listed = [(r, row) for r, row in zip(found, rows, strict=True) if r.at >= place.since]
        new = [r for r, row in listed if walk.is_new(place, _REVIEWS, row)]
        return Page(
            messages=_each_once(m for r in reversed(new) for m in messages_of(r, self._place, now)),
            cursor=after.written(),
            has_more=after.walk is not None and after.walk.pages % self._settings.pages_max != 0,
            rejected=tuple(rejected),
            gap=gap or lost,
            complete_through=under_way.begun - self._settings.lag_margin if after.drained else None,
            reads=len(rows),
        )

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """What those reviews say by now, with their answers, and which are gone; of the first twenty. Raises
        wire.errors."""
        wanted: dict[str, list[str]] = {}
        for id in dict.fromkeys(ids):
            wanted.setdefault(review_id(id), []).append(id)
        if len(wanted) > LOOK_UP_MAX:
            raise Refused(f"at most {LOOK_UP_MAX} reviews can be looked up at once, not {len(wanted)}")
        if not all(_ID.fullmatch(id) for id in wanted):
            raise Refused("one of them is not the id of a review on Google Play")
        now = self._around.clock()
        messages: list[Message] = []
        gone: list[Gone] = []
        asked = list(wanted)[:LOOKED_UP_AT_ONCE]
        with self._api.within(time_limit):
            for id in asked:
                try:
                    body = _json(self._get(f"{self._list}/{quote(id, safe='')}", "a review", {}))
                except Missing:
                    gone += [Gone(each, now) for each in wanted[id]]
                    continue
                found, _ = parse_reviews({"reviews": [body]})
                messages += [m for review in found for m in messages_of(review, self._place, now)]
        return Page(_each_once(messages), {}, gone=tuple(gone), reads=len(asked))

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    def _get(self, path: str, what: str, parameters: Mapping[str, Any]) -> Reply:
        """Ask, signed in; once more with a new token where the old one is not taken."""
        try:
            return self._api.get(path, what, parameters, self._headers())
        except Expired:
            self._access = None
            return self._api.get(path, what, parameters, self._headers())

    def _headers(self) -> Mapping[str, str]:
        key, now, known = self._key(), self._around.clock(), self._access
        if known is None or known.key != key or not now < known.until - TOKEN_LEFT_MIN <= now + TOKEN_LIFE:
            known = self._access = self._sign_in(key, now)
        return {"authorization": f"Bearer {known.token}"}

    def _key(self) -> str:
        try:
            return self._settings.service_account.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None

    def _sign_in(self, key: str, now: datetime) -> _Access:
        """A token for the service account. Raises wire.errors."""
        import jwt  # with cryptography, some 15 MiB: only where an app is configured

        file = _key_file(key)
        until = now + TOKEN_LIFE
        said = {
            "iss": file["client_email"],
            "scope": SCOPE,
            "aud": self._settings.token_url,
            "iat": int(now.timestamp()),
            "exp": int(until.timestamp()),
        }
        try:
            headers = {"kid": file["private_key_id"]}
            signed = jwt.encode(said, file["private_key"], algorithm="RS256", headers=headers)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise NotAllowed("service_account: its private_key is no key in PEM") from None
        form = {"grant_type": GRANT, "assertion": signed}
        try:
            reply = self._api.ask("POST", self._settings.token_url, "the service account's key", form=form)
        except Refused as error:  # invalid_grant, with status 400
            raise NotAllowed(f"the service account is not let in: {error}") from None
        body = _json(reply)
        token = body.get("access_token") if isinstance(body, dict) else None
        seconds = body.get("expires_in") if isinstance(body, dict) else None
        if (
            not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
            or type(seconds) is not int
        ):
            raise Malformed("Google gave no access token")
        return _Access(key, token, now + min(TOKEN_LIFE, timedelta(seconds=min(seconds, 86400))))


def _key_file(key: str) -> Mapping[str, str]:
    """What is in a service account's file. Raises NotAllowed, which shows nothing of it."""
    try:
        file = json.loads(key)
    except ValueError:
        file = None
    wanted = ("client_email", "private_key", "private_key_id")
    if not isinstance(file, dict) or not all(isinstance(file.get(name), str) for name in wanted):
        raise NotAllowed(
            "service_account: expected the JSON file of a service account's key, with client_email, "
            "private_key and private_key_id"
        )
    return file


def parse_reviews(body: Any) -> tuple[list[Review], list[Rejected]]:
    """The reviews of a page with their answers, and what could not be read. Raises Malformed. (Where there is
    no review Google leaves the list out.)"""
    entries = body.get("reviews", []) if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise Malformed("Google Play gave something that has no list of reviews")
    found: list[Review] = []
    rejected: list[Rejected] = []
    for entry in entries:
        review = _review(entry)
        if isinstance(review, Review):
            found.append(review)
        else:
            id = entry.get("reviewId") if isinstance(entry, dict) else None
            shown = json.dumps(entry, default=str)[:EXCERPT_MAX]
            rejected.append(Rejected(id if isinstance(id, str) else None, review, clean(shown) or ""))
    return found, rejected


def _review(entry: Any) -> Review | str:
    """The review, or why it is none."""
    id = entry.get("reviewId") if isinstance(entry, dict) else None
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        return "no id"
    comments = entry.get("comments")
    said: dict[str, Mapping[str, Any]] = {}
    for comment in comments[:10] if isinstance(comments, list) else ():
        for name in ("userComment", "developerComment"):
            if isinstance(comment, dict) and isinstance(comment.get(name), dict):
                said.setdefault(name, comment[name])
    mine, theirs = said.get("userComment", {}), said.get("developerComment", {})
    at, text = _time(mine.get("lastModified")), clean(mine.get("text"))
    if at is None or text is None:
        return "no words of the customer with a time"
    rating, language = mine.get("starRating"), mine.get("reviewerLanguage")
    match = _LANGUAGE.match(language) if isinstance(language, str) else None
    # A tab stands between a title and the words below it.
    return Review(
        id=id,
        name=clean(entry.get("authorName"), 200) or None,
        text=text.replace("\t", "\n").strip(),
        rating=float(rating) if type(rating) is int and 0 <= rating <= 5 else None,
        at=at,
        reply=clean(theirs.get("text")),
        replied_at=_time(theirs.get("lastModified")),
        language=match[0].lower() if match is not None else None,
    )


def _listed_at(review: Review) -> datetime:
    """By what Google lists it: the last word of either side."""
    return max(review.at, review.replied_at or review.at)


def _time(value: Any) -> datetime | None:
    """{"seconds": "1762084800", "nanos": 1000000}, to the microsecond."""
    seconds = value.get("seconds") if isinstance(value, dict) else None
    nanos = value.get("nanos", 0) if isinstance(value, dict) else 0
    if type(seconds) is int:
        seconds = str(seconds)
    if not isinstance(seconds, str) or not _SECONDS.fullmatch(seconds) or not seconds.isascii():
        return None
    micros = nanos // 1000 if type(nanos) is int and 0 <= nanos < 1_000_000_000 else 0
    return datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=micros)


def _next(body: Any) -> str | None:
    paging = body.get("tokenPagination") if isinstance(body, dict) else None
    token = paging.get("nextPageToken") if isinstance(paging, dict) else None
    return token if isinstance(token, str) and token and len(token) <= 4000 else None


def _json(reply: Reply) -> Any:
    try:
        return reply.json()
    except Malformed as error:
        raise Malformed(f"Google Play's answer: {error}") from None


def _explain(body: Any) -> str:
    """Google's words: an object with a message, or a word and its description where somebody signs in."""
    error = body["error"]
    return (
        str(error["message"]) if isinstance(error, dict) else f"{error}: {body.get('error_description', '')}"
    )


def _each_once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A page may hold a review twice: once is enough."""
    found: dict[str, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> GooglePlayConnector:
    """The connector of one app. Opens nothing yet."""
    return GooglePlayConnector(settings, surroundings)
