"""A guestbook: the smallest connector that is whole. Copy it to begin your own.

The guestbook's API gives entries in the order in which they changed: GET /entries?after=SEQ&limit=N answers
{"entries": [{"seq", "id", "author": {"id", "name"}, "text", "at", "url", "answer": {"text", "at"} or null}]},
and GET /me answers {"id", "name"}. A brand answers an entry in the entry itself, so its answer is "embedded".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

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
from connectors.rest import Missing, RestApi, RestWays
from rules.message import Author, Kind, Message
from wire.errors import Malformed
from wire.secret import Secret
from wire.settings import BaseUrl, Cadence

NAME = "guestbook"
PAGE_SIZE = 100

CAPABILITIES = Capabilities(
    # A stream that carries both sides also tells up to when it is known that nobody answered.
    streams=(Stream("entries", Direction.BOTH, every_seconds=30.0),),
    outbound=Outbound.EMBEDDED,
    look_back_seconds=timedelta(days=30).total_seconds(),
    edits=True,
    deletes=True,
)


class Settings(BaseModel):
    """[[brands.NAME.guestbook]]: one guestbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: str = Field(min_length=1, max_length=64, description="What we are called in the guestbook.")
    account: str | None = Field(default=None, max_length=64, description="Its label in alerts and metrics.")
    token: Secret = Field(description="What it lets us in with.")
    api_url: BaseUrl = Field(description="Where it is.")
    entries_every: Cadence = Field(
        default=timedelta(seconds=30), validate_default=True, description="How often it is read."
    )

    @property
    def label(self) -> str:
        return self.account or self.handle


class GuestbookConnector:
    """One guestbook. It never sleeps, retries, or asks the clock but through its surroundings."""

    capabilities: ClassVar[Capabilities] = CAPABILITIES

    def __init__(self, settings: Settings, around: Surroundings) -> None:
        self._settings = settings
        self._around = around
        ways = RestWays(
            headers=lambda: {"authorization": f"Bearer {settings.token.reveal()}"},
            secrets=lambda: [settings.token.reveal()],
        )
        self._api = RestApi("the guestbook", settings.api_url, around.http, around.clock, ways)

    @property
    def streams(self) -> tuple[Stream, ...]:
        return CAPABILITIES.streams

    def identify(self, time_limit: float) -> Identity:
        with self._api.within(time_limit):
            me = self._api.get("/me", "who we are").json()
        if not isinstance(me, dict) or not isinstance(me.get("id"), str):
            raise Malformed("the guestbook did not say who we are")
        return Identity(me["id"], str(me.get("name", "")))

    def poll(self, stream: str, cursor: Cursor | None, time_limit: float) -> Page:
        # The request's start, before anything is asked: what is written after it may not be in the answer.
        now = self._around.clock()
        after = cursor.get("after", 0) if cursor is not None else 0
        with self._api.within(time_limit):
            raw = self._api.get("/entries", "the entries", {"after": after, "limit": PAGE_SIZE}).json()
        entries = raw.get("entries") if isinstance(raw, dict) else None
        if not isinstance(entries, list):
            raise Malformed("the guestbook's entries are no list")
        messages, rejected = self._read(entries)
        oldest = now - timedelta(seconds=self._around.look_back_seconds)
        if cursor is None or cursor.get("first"):
            # The first reading goes back no further than asked, over all of its pages.
            messages = [message for message in messages if message.created_at >= oldest]
        last = max(
            [after, *(e["seq"] for e in entries if isinstance(e, dict) and isinstance(e.get("seq"), int))]
        )
        more = len(entries) >= PAGE_SIZE and last > after
        first = more and (cursor is None or bool(cursor.get("first")))
        return Page(
            messages=tuple(messages),
            # Stored in one transaction with the messages, so nothing is lost and nothing is skipped.
            cursor={"v": 1, "after": last, "first": first},
            has_more=more,
            rejected=tuple(rejected),
            complete_through=None if more else now - timedelta(seconds=2),
        )

    def look_up(self, ids: Sequence[str], time_limit: float) -> Page:
        """The entries as they are now, right before people are told about them."""
        now, found, gone = self._around.clock(), [], []
        with self._api.within(time_limit):
            for id in dict.fromkeys(id.removesuffix(":reply") for id in ids):
                try:
                    found.append(self._api.get(f"/entries/{int(id)}", "an entry").json())
                except Missing:
                    gone.append(Gone(id, now))
        messages, rejected = self._read(found)
        return Page(tuple(messages), {}, rejected=tuple(rejected), gone=tuple(gone))

    def close(self) -> None:
        self._api.close()

    def _read(self, entries: list[Any]) -> tuple[list[Message], list[Rejected]]:
        """Whatever can be understood; what cannot costs nothing but itself."""
        messages: list[Message] = []
        rejected: list[Rejected] = []
        for entry in entries:
            try:
                messages += self._entry(entry)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                id = entry.get("id") if isinstance(entry, dict) else None
                rejected.append(
                    Rejected(str(id) if id is not None else None, f"{type(error).__name__}: {error}")
                )
        return messages, rejected

    def _entry(self, entry: dict[str, Any]) -> list[Message]:
        id, author = str(entry["id"]), entry["author"]
        around = self._around
        asked = Message(
            brand=around.brand,
            connector=NAME,
            account=around.account,
            id=id,
            kind=Kind.POST,
            conversation=id,
            author=Author(str(author["id"]), name=str(author["name"])),
            text=str(entry["text"]),
            created_at=_time(entry["at"]),
            url=str(entry["url"]),
        )
        answer = entry["answer"]
        if answer is None:
            return [asked]
        answered = Message(
            brand=around.brand,
            connector=NAME,
            account=around.account,
            # What is embedded has no id of its own: it is given one that stays the same.
            id=f"{id}:reply",
            kind=Kind.POST,
            conversation=id,
            author=Author(self._settings.handle, self._settings.handle, brand=True),
            text=str(answer["text"]),
            created_at=_time(answer["at"]),
            parent=id,
            url=str(entry["url"]),
        )
        return [asked, answered]


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at.astimezone(UTC)


def build(settings: Settings, surroundings: Surroundings) -> GuestbookConnector:
    """The connector of one account. Nothing is asked yet."""
    return GuestbookConnector(settings, surroundings)
