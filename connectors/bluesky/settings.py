"""The settings of one Bluesky account in the config (`[[brands.acme.bluesky]]`)."""

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
        pattern=r"^@?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
    ),
    AfterValidator(lambda value: value.removeprefix("@")),
]
"""A domain name (the AT Protocol's "Handle" specification), in lower case."""


class Settings(BaseModel):
    """One account on Bluesky, or on another server of the AT Protocol, with an app password of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Handle = Field(description='The account\'s handle, without "@": handle = "acmehelp.bsky.social".')
    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Its label in alerts and metrics (default: the handle)."
    )
    app_password: Secret = Field(
        description="An app password of the account; with access to direct messages, if those are to be read."
    )

    api_url: BaseUrl = Field(
        default="https://bsky.social", description="The server (PDS) where the account lives."
    )

    notifications: bool = Field(
        default=True, description="Read mentions, replies and quotes that Bluesky notifies of."
    )
    search: bool = Field(
        default=True,
        description="Search all posts for mentions of the account and for the brand's keywords.",
    )
    own: bool = Field(
        default=True,
        description="Read the account's own posts and replies. Without them no answer is seen.",
    )
    dms: bool = Field(
        default=True,
        description="Read direct messages, received and sent (the app password must allow it).",
    )
    notifications_every: Cadence = Field(
        default=timedelta(seconds=20), validate_default=True, description="How often notifications are read."
    )
    search_every: Cadence = Field(
        default=timedelta(seconds=60), validate_default=True, description="How often the search is made."
    )
    own_every: Cadence = Field(
        default=timedelta(seconds=20),
        validate_default=True,
        description="How often the account's own posts are read.",
    )
    dms_every: Cadence = Field(
        default=timedelta(seconds=20),
        validate_default=True,
        description="How often direct messages are read.",
    )

    pages_max: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Pages of 100 read in a row; the rest follows at the next cadence.",
    )
    overlap: Margin = Field(
        default=timedelta(minutes=15),
        validate_default=True,
        description="How far below the last reading the next one goes, for posts that turn up late or are "
        "dated back.",
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
