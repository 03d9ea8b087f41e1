"""The App Store: reviews of one app and the developer's answers, over the App Store Connect API.

What may live here: how requests are signed with a team's key, what the API's JSON means, and how its list is
walked. Sources: Apple's documentation of the App Store Connect API ("Generating Tokens for API Requests",
"List All Customer Reviews for an App", "Read Customer Review Information", "Identifying Rate Limits").
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connectors import walk
from connectors.contract import (
    Budget,
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
from connectors.rest import Missing, RestApi, RestWays
from connectors.reviews import Place, Review, clean, messages_of, review_id
from rules.message import Message
from wire.errors import Malformed, NotAllowed, Refused
from wire.http import Reply
from wire.secret import Secret, SecretMissing
from wire.settings import BaseUrl, Cadence, Margin

NAME = "app_store"
PAGE_SIZE = 200
LOOK_UP_MAX = 100
EXCERPT_MAX = 500
TOKEN_LIFE = timedelta(minutes=15)
"""Apple takes tokens of at most 20 minutes."""

TOKEN_LEFT_MIN = timedelta(minutes=2)
LOOK_BACK = timedelta(days=365)
_REVIEWS = "reviews"
_ID = re.compile(r"[A-Za-z0-9-]{1,100}")
_LIMITS = re.compile(r"user-hour-(lim|rem):(\d{1,9})")
_ASKED = {"include": "response", "sort": "-createdDate", "limit": PAGE_SIZE}

CAPABILITIES = Capabilities(
    streams=(Stream(_REVIEWS, Direction.BOTH, 300.0),),
    outbound=Outbound.EMBEDDED,
    look_back_seconds=LOOK_BACK.total_seconds(),
    edits=True,
    deletes=True,
)

Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
KeyId = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9-]{4,64}$")]


class Settings(BaseModel):
    """[[brands.NAME.app_store]]: one app on the App Store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Short = Field(description='What the app is called in alerts: "Acme Home".')
    account: Short | None = Field(
        default=None, description="Its label in alerts and metrics (default: the handle)."
    )
    app_id: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\d{1,20}$")] = Field(
        description="The app's Apple ID, a number."
    )
    issuer_id: KeyId = Field(description="The team's issuer id.")
    key_id: KeyId = Field(description="The key's id.")
    private_key: Secret = Field(description="The key itself: what is in the file AuthKey_….p8.")
    api_url: BaseUrl = Field(
        default="https://api.appstoreconnect.apple.com", description="The API's address."
    )
    reviews_every: Cadence = Field(
        default=timedelta(minutes=5), validate_default=True, description="How often reviews are read."
    )
    pages_max: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Pages of 200 read in a row; the rest follows at the next cadence.",
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


class AppStoreConnector:
    """One app. Keeps `connectors.contract.Connector`; used by one thread at a time."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._around = surroundings
        self._place = Place(surroundings.brand, NAME, surroundings.account)
        self._token: tuple[str, str, datetime] | None = None  # the key, the token, until when it is good
        ways = RestWays(
            headers=lambda: {"authorization": f"Bearer {self._signed()}"},
            secrets=lambda: () if self._token is None else (self._token[1],),
            explain=_explain,
            budgets=_budgets,
        )
        self._api = RestApi("The App Store", settings.api_url, surroundings.http, surroundings.clock, ways)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All reviews are one."""
        every = self._settings.reviews_every.total_seconds()
        return tuple(Stream(s.name, s.direction, every) for s in CAPABILITIES.streams)

    def identify(self, time_limit: float) -> Identity:
        """The app that the key may read. Raises wire.errors."""
        settings = self._settings
        with self._api.within(time_limit):
            reply = self._api.get(f"/v1/apps/{settings.app_id}", "the app", {"fields[apps]": "name,bundleId"})
            self._api.get(self._list, "reviews", {**_ASKED, "limit": 1})
        attributes = _object(_object(_object(_json(reply)).get("data")).get("attributes"))
        name = clean(attributes.get("name"), 200)
        notes = [f"the app is called {name} there"] if name else []
        notes.append("ratings without words are not shown; a review shows some hours after it was written")
        return Identity(settings.app_id, settings.handle, notes=tuple(notes))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        """A page of reviews, the newest first. Raises wire.errors."""
        if stream != _REVIEWS:
            raise Refused(f"there is no stream {stream!r}")
        now = self._around.clock()
        back = timedelta(seconds=min(self._around.look_back_seconds, CAPABILITIES.look_back_seconds))
        place, under_way, gap = walk.begin(cursor, now, back, [_REVIEWS])
        with self._api.within(time_limit):
            body = _json(self._api.get(self._list, "reviews", {**_ASKED, "cursor": under_way.token}))
        found, rejected = parse_reviews(body)
        rows = [walk.Row(r.id, r.at.timestamp(), r.stamp) for r in found]
        after, lost = walk.take(place, [_REVIEWS], rows, _next(body), overlap=self._settings.overlap)
        new = [r for r, row in zip(found, rows, strict=True) if walk.is_new(place, _REVIEWS, row)]
        return Page(
            messages=_each_once(m for r in reversed(new) for m in messages_of(r, self._place, now)),
            cursor=after.written(),
            has_more=after.walk is not None and after.walk.pages % self._settings.pages_max != 0,
            rejected=tuple(rejected),
            gap=gap or lost,
            complete_through=under_way.begun - self._settings.lag_margin if after.drained else None,
            budgets=self._api.budgets,
            reads=len(rows),
        )

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """What those reviews say by now, with their answers, and which are gone. Raises wire.errors."""
        wanted: dict[str, list[str]] = {}
        for id in dict.fromkeys(ids):
            wanted.setdefault(review_id(id), []).append(id)
        if len(wanted) > LOOK_UP_MAX:
            raise Refused(f"at most {LOOK_UP_MAX} reviews can be looked up at once, not {len(wanted)}")
        if not all(_ID.fullmatch(id) for id in wanted):
            raise Refused("one of them is not the id of a review on the App Store")
        now = self._around.clock()
        messages: list[Message] = []
        gone: list[Gone] = []
        with self._api.within(time_limit):
            for id in wanted:
                try:
                    body = _json(
                        self._api.get(f"/v1/customerReviews/{id}", "a review", {"include": "response"})
                    )
                except Missing:
                    gone += [Gone(each, now) for each in wanted[id]]
                    continue
                found, _ = parse_reviews({**body, "data": [body.get("data")]})
                messages += [m for review in found for m in messages_of(review, self._place, now)]
        return Page(_each_once(messages), {}, gone=tuple(gone), budgets=self._api.budgets, reads=len(wanted))

    def close(self) -> None:
        """Give back the sockets."""
        self._api.close()

    @property
    def _list(self) -> str:
        return f"/v1/apps/{self._settings.app_id}/customerReviews"

    def _signed(self) -> str:
        """A token that is good for some minutes; made anew when the key changes. Raises NotAllowed."""
        try:
            key = self._settings.private_key.reveal()
        except SecretMissing as error:
            raise NotAllowed(str(error)) from None
        now, known = self._around.clock(), self._token
        if known is not None and known[0] == key and now < known[2] - TOKEN_LEFT_MIN <= now + TOKEN_LIFE:
            return known[1]
        import jwt  # with cryptography, some 15 MiB: only where an app is configured

        until = now + TOKEN_LIFE
        said = {
            "iss": self._settings.issuer_id,
            "iat": int(now.timestamp()),
            "exp": int(until.timestamp()),
            "aud": "appstoreconnect-v1",
        }
        try:
            token = jwt.encode(said, key, algorithm="ES256", headers={"kid": self._settings.key_id})
        except (jwt.PyJWTError, ValueError, TypeError):
            raise NotAllowed("private_key: expected what the file AuthKey_….p8 holds, in PEM") from None
        self._token = (key, token, until)
        return token


def parse_reviews(body: Any) -> tuple[list[Review], list[Rejected]]:
    """The reviews of a page with the answers that it includes, and what could not be read. Raises
    Malformed."""
    entries = body.get("data") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise Malformed("The App Store gave something that has no list of reviews")
    included = body.get("included")
    answers = {
        one.get("id"): one.get("attributes")
        for one in (included if isinstance(included, list) else ())
        if isinstance(one, dict)
        and one.get("type") == "customerReviewResponses"
        and isinstance(one.get("id"), str)
    }
    found: list[Review] = []
    rejected: list[Rejected] = []
    for entry in entries:
        review = _review(entry, answers)
        if isinstance(review, Review):
            found.append(review)
        else:
            id = entry.get("id") if isinstance(entry, dict) else None
            shown = json.dumps(entry, default=str)[:EXCERPT_MAX]
            rejected.append(Rejected(id if isinstance(id, str) else None, review, clean(shown) or ""))
    return found, rejected


def _review(entry: Any, answers: Mapping[Any, Any]) -> Review | str:
    """The review, or why it is none."""
    id = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        return "no id"
    attributes = _object(entry.get("attributes"))
    at = _time(attributes.get("createdDate"))
    if at is None:
        return "no time"
    words = [clean(attributes.get(name)) for name in ("title", "body")]
    rating = attributes.get("rating")
    related = _object(_object(entry.get("relationships")).get("response")).get("data")
    answer_id = _object(related).get("id")
    answer = _object(answers.get(answer_id)) if isinstance(answer_id, str) else {}
    return Review(
        id=id,
        name=clean(attributes.get("reviewerNickname"), 200),
        text="\n".join(word for word in words if word),
        rating=float(rating) if type(rating) is int and 0 <= rating <= 5 else None,
        at=at,
        reply=clean(answer.get("responseBody")),
        replied_at=_time(answer.get("lastModifiedDate")),
    )


def _next(body: Any) -> str | None:
    """The next page's token, out of its link."""
    link = _object(_object(body).get("links")).get("next")
    if not isinstance(link, str) or len(link) > 8000:
        return None
    return parse_qs(urlsplit(link).query).get("cursor", [None])[-1]


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
        return None if at is None or at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _json(reply: Reply) -> Any:
    try:
        return reply.json()
    except Malformed as error:
        raise Malformed(f"The App Store's answer: {error}") from None


def _explain(body: Any) -> str:
    first = body["errors"][0]
    return f"{first.get('title', '')}: {first.get('detail', '')}"


def _budgets(headers: Mapping[str, str], now: datetime) -> tuple[Budget, ...]:
    found = dict(_LIMITS.findall(headers.get("x-rate-limit", "")[:200]))
    if found.keys() != {"lim", "rem"}:
        return ()
    return (Budget("requests", float(found["lim"]), float(found["rem"])),)


def _each_once(messages: Iterable[Message]) -> tuple[Message, ...]:
    """A page may hold a review twice: once is enough."""
    found: dict[str, Message] = {}
    for message in messages:
        found.setdefault(message.id, message)
    return tuple(found.values())


def build(settings: Settings, surroundings: Surroundings) -> AppStoreConnector:
    """The connector of one app. Opens nothing yet."""
    return AppStoreConnector(settings, surroundings)
