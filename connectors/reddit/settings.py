"""The settings of one Reddit account in the config (`[[brands.acme.reddit]]`), and what they must fulfil."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from wire.secret import Secret
from wire.settings import BaseUrl, Cadence, Margin

SUBREDDITS_MAX = 100
"""So many names, joined with "+", still make a path that Reddit takes."""


Username = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^(/?u/)?[A-Za-z0-9_-]{3,20}$"),
    AfterValidator(lambda value: value.removeprefix("/").removeprefix("u/")),
]
Subreddit = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^(/?r/)?[A-Za-z0-9_]{2,21}$"),
    AfterValidator(lambda value: value.removeprefix("/").removeprefix("r/")),
]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=3, max_length=256, pattern=r"^[ -~]+$")
]


class Settings(BaseModel):
    """One account on Reddit, through one app of its own ("script", or a web app with a refresh token)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Username = Field(description='The account\'s name, without "u/": username = "acmehelp".')
    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Its label in alerts and metrics (default: the username)."
    )
    client_id: Line = Field(description="The app's client id.")
    client_secret: Secret = Field(description="The app's client secret.")
    password: Secret | None = Field(
        default=None, description='The account\'s password (only for an app of the type "script").'
    )
    refresh_token: Secret | None = Field(
        default=None,
        description="Instead of a password: a permanent refresh token, which does not change with its use.",
    )
    user_agent: Line = Field(
        description='What Reddit asks every app to call itself: "linux:acme-monitor:1.0 (by /u/acmehelp)".'
    )
    subreddits: Annotated[tuple[Subreddit, ...], Field(max_length=SUBREDDITS_MAX)] = Field(
        default=(), description='Where new comments and submissions are read: ["acme", "kettles"].'
    )

    api_url: BaseUrl = Field(default="https://oauth.reddit.com", description="Where Reddit's API is.")
    auth_url: BaseUrl = Field(
        default="https://www.reddit.com", description="Where Reddit gives out access tokens."
    )

    inbox: bool = Field(default=True, description="Read mentions of u/username and replies to the account.")
    dms: bool = Field(default=True, description="Read private messages received.")
    sent: bool = Field(
        default=True,
        description="Read private messages sent. Without them no answer to a private message is seen.",
    )
    own: bool = Field(
        default=True,
        description="Read the account's own comments and submissions. Without them no answer is seen.",
    )
    search: bool = Field(
        default=True, description="Search all submissions for the brand's keywords, if it has any."
    )
    comments: bool = Field(
        default=True,
        description="Read the comments and submissions of `subreddits` that name a keyword or the account.",
    )
    inbox_every: Cadence = Field(
        default=timedelta(seconds=30), validate_default=True, description="How often the inbox is read."
    )
    dms_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often received private messages are read.",
    )
    sent_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often sent private messages are read.",
    )
    own_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often the account's own comments and submissions are read.",
    )
    search_every: Cadence = Field(
        default=timedelta(seconds=60), validate_default=True, description="How often the search is made."
    )
    comments_every: Cadence = Field(
        default=timedelta(seconds=30), validate_default=True, description="How often `subreddits` are read."
    )

    pages_max: int = Field(
        default=10,
        ge=1,
        le=100,
        description="Pages of 100 read in a row; the rest follows at the next cadence.",
    )
    lag_margin: Margin = Field(
        default=timedelta(seconds=2),
        validate_default=True,
        description="How far behind the moment of a reading a stream is held to be complete.",
    )

    @property
    def handle(self) -> str:
        """What the account is called on Reddit."""
        return self.username

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics."""
        return self.account or self.username

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.password is None) == (self.refresh_token is None):
            raise ValueError("set exactly one of password and refresh_token")
        return self
