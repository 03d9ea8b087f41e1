"""Reviews and the answers that stand in them, as messages. Pure.

A platform that lets the brand answer a review shows one thing: the review as it reads now, with the answer in
it. We make of it what happened: the review is the customer's message, the answer is the brand's, and a review
that was changed after the answer speaks again, so that its case is open again. Dates are all that tells.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from rules.message import Author, Kind, Message

REPLY = ":reply"
AGAIN = ":again:"


@dataclass(frozen=True, slots=True)
class Place:
    """Whose reviews they are: what every message of an account begins with."""

    brand: str
    connector: str
    account: str


@dataclass(frozen=True, slots=True)
class Review:
    """A review as a platform shows it now. `at`: when it was written, or changed last. `rating` is of 5."""

    id: str
    name: str | None
    text: str
    rating: float | None
    at: datetime
    reply: str | None = None
    replied_at: datetime | None = None
    language: str | None = None
    url: str | None = None

    @property
    def stamp(self) -> str:
        """Changes when anything of it does."""
        parts = (self.text, self.rating, self.at, self.reply, self.replied_at)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def messages_of(review: Review, place: Place, now: datetime) -> tuple[Message, ...]:
    """The review, and the answer in it. A review that is newer than its answer was changed after it: it is
    told as another message, which answers the answer; what it said before stays as it was kept."""
    at = min(review.at, now)
    told = Message(
        brand=place.brand,
        connector=place.connector,
        account=place.account,
        id=review.id,
        kind=Kind.REVIEW,
        conversation=review.id,
        # A review has no author with an id: whoever wrote two is two customers.
        author=Author(f"author of {review.id}", name=review.name),
        text=review.text,
        created_at=at,
        language=review.language,
        url=review.url,
        rating=review.rating,
    )
    if review.reply is None or review.replied_at is None:
        return (told,)
    replied_at = min(review.replied_at, now)
    answer = Message(
        brand=place.brand,
        connector=place.connector,
        account=place.account,
        id=f"{review.id}{REPLY}",
        kind=Kind.REVIEW,
        conversation=review.id,
        author=Author("the brand", brand=True),
        text=review.reply,
        created_at=replied_at,
        parent=review.id,
        url=review.url,
    )
    if at <= replied_at:
        return told, answer
    again = Message(
        brand=place.brand,
        connector=place.connector,
        account=place.account,
        id=f"{review.id}{AGAIN}{int(at.timestamp())}",
        kind=Kind.REVIEW,
        conversation=review.id,
        author=told.author,
        text=review.text,
        created_at=at,
        parent=answer.id,
        language=review.language,
        url=review.url,
        rating=review.rating,
    )
    return answer, again


def review_id(id: str) -> str:
    """The id of the review that one of its messages belongs to."""
    return id.removesuffix(REPLY).split(AGAIN, 1)[0]


def clean(text: object, length_max: int = 20_000) -> str | None:
    """A text without what no database holds (NUL, halves of surrogate pairs); None for what is no text."""
    if not isinstance(text, str):
        return None
    return text[:length_max].encode("utf-8", "replace").decode("utf-8").replace("\0", "").strip()
