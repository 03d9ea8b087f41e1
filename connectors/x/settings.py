"""The settings of one X account in the config (`[[brands.acme.x]]`), and what they must fulfil."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from wire.durations import Duration
from wire.secret import Secret
from wire.settings import BaseUrl, Cadence, Margin, in_a_day

_OAUTH1 = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
_OAUTH2 = ("client_id", "refresh_token")


class Access(StrEnum):
    """How we prove who we are to X: as the user (1.0a, or 2.0 with rotating tokens), or as the app only."""

    OAUTH1 = "oauth1"
    OAUTH2 = "oauth2"
    APP = "app"


def _bears_dm_limit(value: timedelta) -> timedelta:
    if value < timedelta(seconds=60):
        raise ValueError('expected at least "60s": X allows 15 readings of DMs in 15 minutes')
    return in_a_day(value)


Handle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^@?[A-Za-z0-9_]{1,15}$"),
    AfterValidator(lambda value: value.removeprefix("@")),
]


class Settings(BaseModel):
    """One account on X. Exactly one of three sets of credentials is given: OAuth 1.0a user context, OAuth 2.0
    user context, or the app's bearer token."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Handle = Field(description='The account\'s handle, without "@": handle = "acmehelp".')
    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Its label in alerts and metrics (default: the handle)."
    )

    consumer_key: Secret | None = Field(
        default=None, description="OAuth 1.0a: the app's API key (with the next three: reads DMs too)."
    )
    consumer_secret: Secret | None = Field(default=None, description="OAuth 1.0a: the app's API key secret.")
    access_token: Secret | None = Field(default=None, description="OAuth 1.0a: the account's access token.")
    access_token_secret: Secret | None = Field(
        default=None, description="OAuth 1.0a: the account's access token secret."
    )
    client_id: Secret | str | None = Field(
        default=None, description="OAuth 2.0: the app's client id, as text or as a secret."
    )
    client_secret: Secret | None = Field(
        default=None, description="OAuth 2.0: the app's client secret (confidential clients only)."
    )
    refresh_token: Secret | None = Field(
        default=None,
        description=(
            "OAuth 2.0: the first refresh token. X takes each only once: the ones that follow are kept in "
            "the state folder. To authorise again, put a new one here."
        ),
    )
    bearer_token: Secret | None = Field(
        default=None, description="App only: the app's bearer token. X shows no DMs to it."
    )

    api_url: BaseUrl = Field(default="https://api.x.com", description="Where X's API is.")
    fields: Literal["auto", "tweet", "post"] = Field(
        default="auto",
        description=(
            'Which names of fields to ask X for: "tweet", or "post" as X calls them since August 2026. '
            '"auto" asks for the first and turns to the second where X no longer knows them.'
        ),
    )

    mentions: bool = Field(default=True, description="Read posts that mention the account.")
    search: bool = Field(default=True, description="Search for the brand's keywords, if it has any.")
    dms: bool = Field(default=True, description="Read direct messages, sent and received (not app only).")
    own: bool = Field(
        default=True,
        description="Read the account's own posts. Without them no answer is seen: every case would breach.",
    )
    mentions_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often mentions are read (X: 300 times in 15 minutes).",
    )
    search_every: Cadence = Field(
        default=timedelta(seconds=60),
        validate_default=True,
        description="How often the search is made (X: 300 times in 15 minutes).",
    )
    dms_every: Annotated[Duration, AfterValidator(_bears_dm_limit)] = Field(
        default=timedelta(seconds=90),
        validate_default=True,
        description="How often DMs are read (X: 15 times in 15 minutes).",
    )
    own_every: Cadence = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        description="How often the account's own posts are read (X: 900 times in 15 minutes).",
    )

    page_size: int = Field(default=100, ge=10, le=100, description="Posts asked for in one request.")
    pages_max: int = Field(
        default=20, ge=1, le=1000, description="Pages read in a row; the rest follows at the next cadence."
    )
    lag_margin: Margin = Field(
        default=timedelta(seconds=2),
        description="How far behind the moment of a reading a stream is held to be complete.",
    )
    overlap: Margin = Field(
        default=timedelta(seconds=60),
        description=(
            "How far back each reading looks again, for posts that X shows late (X charges them once a day)."
        ),
    )
    daily_read_budget: int | None = Field(
        default=None,
        ge=10,
        description=(
            "At most so many posts, users and DMs are read in a UTC day. At 80 % customers' posts are no "
            "longer read, at 100 % neither are the account's own."
        ),
    )
    owned_app: bool = Field(
        default=False,
        description="This account owns the developer app, so that mentions and own posts cost $0.001 each.",
    )

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics."""
        return self.account or self.handle

    @property
    def access(self) -> Access:
        """Which set of credentials was given."""
        if self.bearer_token is not None:
            return Access.APP
        return Access.OAUTH2 if self.refresh_token is not None else Access.OAUTH1

    @model_validator(mode="after")
    def _one_set_of_credentials(self) -> Self:
        given1 = [n for n in _OAUTH1 if getattr(self, n) is not None]
        given2 = [n for n in (*_OAUTH2, "client_secret") if getattr(self, n) is not None]
        sets = [s for s in (given1, given2, [self.bearer_token] if self.bearer_token else []) if s]
        if not sets:
            raise ValueError(
                f"no credentials: set {', '.join(_OAUTH1)} (OAuth 1.0a), or {' and '.join(_OAUTH2)} "
                "(OAuth 2.0), or bearer_token (app only, no DMs)"
            )
        if len(sets) > 1:
            raise ValueError(
                f"more than one set of credentials: keep either {', '.join(_OAUTH1)}, or "
                f"{', '.join(_OAUTH2)} (and client_secret), or bearer_token"
            )
        lacking = [n for n in _OAUTH1 if n not in given1] if given1 else []
        if given2:
            lacking = [n for n in _OAUTH2 if n not in given2]
        if lacking:
            raise ValueError(f"credentials are incomplete: set {', '.join(lacking)} too")
        return self
