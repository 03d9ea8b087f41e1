"""The message: one thing somebody wrote on a platform. Connectors make it, everything else reads it.

What may live here: the words that both edges and the core share about a message, and nothing that
says what a message means (`rules.meaning`) or how long it has waited (`rules.case`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What form a message has on its platform."""

    POST = "post"
    COMMENT = "comment"
    DM = "dm"
    REVIEW = "review"
    EMAIL = "email"


class MessageKey(NamedTuple):
    """What a message is known by everywhere: the platform's own id within one brand and connector.

    One message that two accounts of a brand saw is one message.
    """

    brand: str
    connector: str
    id: str

    def __str__(self) -> str:
        return f"{self.brand}/{self.connector}/{self.id}"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote it. `id` is the platform's stable id; handles and names change, and are never compared.

    `brand`: one of the brand's own accounts, so the message is outbound.
    `automated`: the platform itself (or the config) says that no person wrote it.
    `followers`: as first seen; None where the platform does not tell.
    """

    id: str
    handle: str | None = None
    name: str | None = None
    followers: int | None = None
    brand: bool = False
    automated: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One thing somebody wrote, the same for every platform (`message.schema.json` is its JSON form).

    Ids are the platform's own, as strings. `conversation` is the platform's thread id (the root's id
    where it has none). `parent` is the id of the message that this one answers; it may arrive later, or
    never. `to` holds the ids of the authors it is addressed to, where the platform says so. `aliases`
    are other ids under which the platform speaks of the same message (an edit on X makes a new id): a
    `parent` may name any of them. All times are aware UTC. `reach` is views, or likes plus reposts.
    `client` is the source client's name where the platform tells. `handles` are the handles that the
    text mentions, lower case, without "@" or "u/".

    `deleted_at` is when the platform says it was deleted, else when we noticed; its `text` may be empty
    then, and the store keeps the last text that it knew.
    """

    brand: str
    connector: str
    account: str
    id: str
    kind: Kind
    conversation: str
    author: Author
    text: str
    created_at: datetime
    parent: str | None = None
    to: tuple[str, ...] = ()
    seen_at: datetime | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    public: bool = True
    language: str | None = None
    url: str | None = None
    rating: float | None = None
    reach: int | None = None
    client: str | None = None
    aliases: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()

    @property
    def key(self) -> MessageKey:
        """The key that it is known by."""
        return MessageKey(self.brand, self.connector, self.id)

    @property
    def inbound(self) -> bool:
        """From a customer (True), or from one of the brand's accounts (False)."""
        return not self.author.brand
