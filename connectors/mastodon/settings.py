"""The settings of one Mastodon account in the config (`[[brands.acme.mastodon]]`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from wire.secret import Secret
from wire.settings import BaseUrl, Cadence, Margin

Handle = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=254,
        pattern=r"^@?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(@[A-Za-z0-9.-]+)?$",
    ),
    AfterValidator(lambda value: value.removeprefix("@")),
]
"""A user name, or one with its server, in lower case."""

Hashtag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, max_length=100, pattern=r"^#?\w+$"),
    AfterValidator(lambda value: value.removeprefix("#")),
]


class Settings(BaseModel):
    """One account on a Mastodon server, or on another one that speaks its API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Handle = Field(description='The account, without the first "@": handle = "acmehelp".')
    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Its label in alerts and metrics (default: the handle)."
    )
    api_url: BaseUrl = Field(
        description='The server where the account lives: "https://mastodon.example".',
        examples=["https://mastodon.example"],
    )
    access_token: Secret = Field(description="An access token of the account with the scope read.")

    mentions: bool = Field(
        default=True, description="Read posts that mention the account, and replies to it."
    )
    hashtags: tuple[Hashtag, ...] = Field(
        default=(),
        max_length=10,
        description="Hashtags under which customers write about the brand, each a request of its own.",
        examples=[["acme"]],
    )
    own: bool = Field(
        default=True,
        description="Read the account's own posts and replies. Without them no answer is seen.",
    )
    dms: bool = Field(
        default=True,
        description="Read posts that only the people who are mentioned in them can see, both ways.",
    )
    mentions_every: Cadence = Field(
        default=timedelta(seconds=20), validate_default=True, description="How often mentions are read."
    )
    hashtags_every: Cadence = Field(
        default=timedelta(seconds=60), validate_default=True, description="How often hashtags are read."
    )
    own_every: Cadence = Field(
        default=timedelta(seconds=20),
        validate_default=True,
        description="How often the account's own posts are read.",
    )
    dms_every: Cadence = Field(
        default=timedelta(seconds=30), validate_default=True, description="How often direct posts are read."
    )
    pages_max: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Pages read in a row; the rest follows at the next cadence.",
    )
    overlap: Margin = Field(
        default=timedelta(minutes=15),
        validate_default=True,
        description="How far below the last reading the next one of a hashtag goes: posts of other servers "
        "arrive late.",
    )
    lag_margin: Margin = Field(
        default=timedelta(seconds=5),
        validate_default=True,
        description="How far behind the moment of a reading a stream is held to be complete.",
    )

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics."""
        return self.account or self.handle
