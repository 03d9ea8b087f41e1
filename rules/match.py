"""Matching a case on plain keys: what `rules.targets` and `rules.routes` have in common, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rules.meaning.contract import Priority
from rules.message import Kind


@dataclass(frozen=True, slots=True)
class Traits:
    """What a case is, as far as its messages up to some point tell: what targets and routes are matched
    on."""

    brand: str
    connector: str
    account: str
    public: bool
    kind: Kind
    complaint: bool
    addressed: bool
    needs_reply: bool
    priority: Priority
    followers: int | None
    topics: frozenset[str] = frozenset()
    language: str | None = None
    rating: float | None = None


_PLAIN = ("brand", "connector", "account", "public", "kind", "complaint", "addressed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The keys that say which cases something is for. One that is None matches everything. `ratings` are
    stars."""

    brand: str | None = None
    connector: str | None = None
    account: str | None = None
    public: bool | None = None
    kind: Kind | None = None
    complaint: bool | None = None
    addressed: bool | None = None
    priorities: frozenset[Priority] | None = None
    min_followers: int | None = None
    languages: frozenset[str] | None = None
    topics: frozenset[str] | None = None
    ratings: frozenset[int] | None = None

    def mismatch(self, traits: Traits) -> str | None:
        """Why these keys are not for such a case, in words for `explain`; None where they are."""
        for key in _PLAIN:
            wanted = getattr(self, key)
            if wanted is not None and wanted != getattr(traits, key):
                return f"{key} is {_plain(getattr(traits, key))}, not {_plain(wanted)}"
        if self.priorities is not None and traits.priority not in self.priorities:
            return f"priority is {traits.priority}, not {any_of(self.priorities)}"
        if self.min_followers is not None and (traits.followers or 0) < self.min_followers:
            return f"{traits.followers or 0} followers, fewer than {self.min_followers}"
        if self.languages is not None and _tongue(traits.language) not in self.languages:
            return f"language is {traits.language or 'not known'}, not {any_of(self.languages)}"
        if self.topics is not None and not self.topics & traits.topics:
            return f"topic is {any_of(traits.topics) or 'none'}, not {any_of(self.topics)}"
        if self.ratings is not None and (traits.rating is None or _stars(traits.rating) not in self.ratings):
            rating = "none" if traits.rating is None else f"{traits.rating:g}"
            return f"rating is {rating}, not {any_of(str(r) for r in self.ratings)}"
        return None


def any_of(values: Iterable[str]) -> str:
    """ "high or urgent"."""
    return " or ".join(sorted(values))


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tongue(language: str | None) -> str | None:
    """The language without its region: "pt-BR" is "pt"."""
    return None if language is None else language.replace("_", "-").split("-")[0].lower()


def _stars(rating: float) -> int:
    """A rating as stars: 3.5 counts as 4."""
    return int(rating + 0.5)
