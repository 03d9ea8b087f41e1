"""What the models of monitor.toml share: that unknown keys are errors, a few kinds of words, and the keys on
which [[targets]] and [[routes]] are matched.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from rules.match import Match
from rules.meaning.contract import Priority
from rules.message import Kind
from rules.targets import PRIORITY_ORDER

ALWAYS = "always"
"""Names the calendar that is never closed, wherever one can be named."""


class Model(BaseModel):
    """Unknown keys are errors, so that a typing error is seen; nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected letters that can be shown, on one line")
    return text


def one_or_many(value: Any) -> Any:
    """A list, also of one word that stands there without brackets."""
    return [value] if isinstance(value, str | int) else value


Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_printable)
]
Stars = Annotated[int, Field(ge=1, le=10)]
_PLAIN = ("brand", "connector", "account", "public", "kind", "complaint", "addressed")


class MatchConfig(Model):
    """The keys that say which cases something is for. One that is left out matches everything."""

    name: Name = Field(examples=["public complaints"], description="Its name in alerts and metrics.")
    brand: str | None = Field(default=None, examples=["acme"], description="Only cases of this brand.")
    connector: str | None = Field(default=None, examples=["x"], description="Only cases on this platform.")
    account: str | None = Field(
        default=None, examples=["acmehelp"], description="Only cases that came in by this account."
    )
    public: bool | None = Field(
        default=None, description="Only public cases (true), only private ones (false)."
    )
    kind: Kind | None = Field(default=None, description="Only a post, comment, dm, review or email.")
    complaint: bool | None = Field(default=None, description="Only complaints (true), only others (false).")
    addressed: bool | None = Field(
        default=None, description="Only what speaks to the brand (true), only what speaks of it (false)."
    )
    priority: Annotated[list[Priority], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        default=None,
        examples=[["high", "urgent"]],
        description="Only these priorities: low, normal, high, urgent.",
    )
    min_followers: int | None = Field(
        default=None, ge=0, examples=[10_000], description="Only authors with at least so many followers."
    )
    language: Annotated[list[Phrase], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        default=None, examples=[["en", "de"]], description="Only these languages, by their codes."
    )
    topic: Annotated[list[Phrase], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        default=None, examples=[["refund"]], description="Only cases about one of these topics."
    )
    rating: Annotated[list[Stars], BeforeValidator(one_or_many), Field(min_length=1)] | None = Field(
        default=None, examples=[[1, 2]], description="Only reviews with one of these numbers of stars."
    )

    def takes_all_of(self, other: MatchConfig) -> bool:
        """Whether these keys match every case that those of `other` do."""
        for key in _PLAIN:
            own = getattr(self, key)
            if own is not None and own != getattr(other, key):
                return False
        if not set(other.priority or PRIORITY_ORDER) <= set(self.priority or PRIORITY_ORDER):
            return False
        if (self.min_followers or 0) > (other.min_followers or 0):
            return False
        for key in ("language", "topic", "rating"):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine is not None and (theirs is None or not set(theirs) <= set(mine)):
                return False
        return True

    @property
    def match(self) -> Match:
        """The same for the core."""
        return Match(
            brand=self.brand,
            connector=self.connector,
            account=self.account,
            public=self.public,
            kind=self.kind,
            complaint=self.complaint,
            addressed=self.addressed,
            priorities=None if self.priority is None else frozenset(self.priority),
            min_followers=self.min_followers,
            languages=None if self.language is None else frozenset(code.lower() for code in self.language),
            topics=None if self.topic is None else frozenset(self.topic),
            ratings=None if self.rating is None else frozenset(self.rating),
        )
