"""The settings of one mailbox in the config (`[[brands.acme.email]]`)."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from wire.secret import Secret
from wire.settings import Cadence, Margin

Address = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=254,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
    ),
]
"""A mail address alone, in lower case."""

Folder = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A folder by its name ("INBOX", "Support/Answered") or by its role, an attribute of RFC 6154 ("\\Sent")."""


class Settings(BaseModel):
    """One mailbox that customers write to, on any server that speaks IMAP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handle: Address = Field(description='The address that customers write to: "help@acme.example".')
    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Its label in alerts and metrics (default: the address)."
    )
    host: str = Field(
        min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$", description="The IMAP server."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port (default: 993 for tls, 143 for the others)."
    )
    security: Literal["tls", "starttls", "none"] = Field(
        default="tls", description='How the line is protected; "none" only to this machine.'
    )
    username: Annotated[str, StringConstraints(min_length=1, max_length=320)] | None = Field(
        default=None, description="Whom to log in as (default: the address)."
    )
    password: Secret | None = Field(
        default=None, description="The mailbox's password; an app password where the provider has such."
    )
    access_token: Secret | None = Field(
        default=None,
        description="Instead of a password: an OAuth access token (XOAUTH2), which another program keeps "
        "fresh; it is read anew each time.",
    )
    aliases: list[Address] = Field(
        default_factory=list,
        max_length=200,
        description="Further addresses of the brand, such as those of colleagues: who writes from one of "
        "them is no customer.",
    )
    folders: list[Folder] = Field(
        default_factory=lambda: ["INBOX"],
        min_length=1,
        max_length=10,
        description="Where mails of customers are: all folders into which they come or are moved, by name or "
        'by role ("\\\\All", "\\\\Archive").',
    )
    sent_folder: Folder = Field(
        default="\\Sent", description="Where the answers are, by name or by role; without them none is seen."
    )
    inbox: bool = Field(default=True, description="Read what customers write.")
    sent: bool = Field(default=True, description="Read what was answered. Without it no answer is seen.")
    inbox_every: Cadence = Field(
        default=timedelta(seconds=60), validate_default=True, description="How often `folders` are read."
    )
    sent_every: Cadence = Field(
        default=timedelta(seconds=60),
        validate_default=True,
        description="How often the sent mails are read.",
    )
    page_size: int = Field(default=50, ge=1, le=200, description="Mails that are fetched at once.")
    lag_margin: Margin = Field(
        default=timedelta(seconds=10),
        validate_default=True,
        description="How far behind the moment of a reading a stream is held to be complete.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (self.password is None) == (self.access_token is None):
            raise ValueError("expected one of password and access_token")
        if self.security == "none" and not _is_loopback(self.host):
            raise ValueError('security: "none" is for this machine only; expected "tls" or "starttls"')
        return self

    @property
    def label(self) -> str:
        """What the account is called in alerts and metrics."""
        return self.account or self.handle


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host.lower() == "localhost"
