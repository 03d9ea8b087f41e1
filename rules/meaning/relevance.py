"""Is it us? Whether a message is addressed to the brand, or at least about it.

May hold what tells the brand from others of its name; not whether the message matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.meaning.contract import Claim, Evidence
from rules.meaning.policy import MeaningPolicy
from rules.meaning.reading import TEXT_LENGTH_MAX, Reading, handles_in
from rules.message import Kind, Message

_ADDRESSED = 8.0  # nothing that the text says takes this away
_NAMED = 3.0
_NOT_MEANT = -5.0
_NOT_NAMED = -2.0

_TO_US = "addressed to us"
_HOW = {
    Kind.DM: "a private message to us",
    Kind.REVIEW: "a review of us",
    Kind.EMAIL: "an email to us",
}


def addresses_brand(message: Message, policy: MeaningPolicy, parent_is_ours: bool = False) -> bool:
    """Whether a message speaks to the brand, and not only of it.

    True for a DM, a review or an email; where `to` holds one of the brand's account ids; where the message
    mentions one of its handles; where it answers one of its messages (`parent_is_ours`: only the caller can
    know). Never raises.
    """
    return parent_is_ours or _address(message, policy) is not None


def _address(message: Message, policy: MeaningPolicy) -> str | None:
    """How it is addressed to the brand, in words, or None."""
    if message.kind in _HOW:
        return _HOW[message.kind]
    if message.to and not policy.account_ids.isdisjoint(message.to):
        return _TO_US
    if policy.handles:
        for handle in message.handles:
            if handle in policy.handles:
                return _mentions(handle)
        text = message.text[:TEXT_LENGTH_MAX].lower()
        if any(handle in text for handle in policy.handles):
            found = policy.handles & handles_in(text)
            if found:
                return _mentions(min(found))
    return None


def _mentions(handle: str) -> str:
    return f"mentions @{handle}"


_NOT_TO_US = Evidence(Claim.NEEDS_REPLY, -1.0, "speaks of us, not to us")
_BELIEVED = (Evidence(Claim.RELEVANT, _NAMED, "found by the platform as a mention"),)
_UNNAMED = (Evidence(Claim.RELEVANT, _NOT_NAMED, "does not name the brand"), _NOT_TO_US)
_OUT_OF_CONTEXT = Evidence(Claim.RELEVANT, _NOT_MEANT, "has none of the words that show that we are meant")


@dataclass(frozen=True, slots=True)
class RelevanceRule:
    """Addressed to us is always relevant; else a keyword must be there, in its context and not excluded."""

    policy: MeaningPolicy
    _addressed: Mapping[str, tuple[Evidence, ...]]  # what each way of being addressed to us speaks for
    _keywords: Any  # compiled expressions, or None where there are no such phrases
    _exclusions: Any
    _context: Any

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]:
        """One or two pieces of evidence for RELEVANT, and whether it speaks to us for NEEDS_REPLY."""
        how = _address(message, self.policy)
        if how is not None:
            return self._addressed[how]
        if self._keywords is None:
            # With no keywords there is nothing to go by: what the platform's search found is believed.
            return _BELIEVED
        named = self._keywords.search(reading.data)
        if named is None:
            return _UNNAMED
        word = named.group(1).decode("utf-8", "replace")
        found = [Evidence(Claim.RELEVANT, _NAMED, "names the brand", (word,)), _NOT_TO_US]
        excluded = self._exclusions.search(reading.data) if self._exclusions is not None else None
        if excluded is not None:
            what = excluded.group(1).decode("utf-8", "replace")
            found.append(Evidence(Claim.RELEVANT, _NOT_MEANT, "means something else by it", (what,)))
        elif self._context is not None and self._context.search(reading.data) is None:
            found.append(_OUT_OF_CONTEXT)
        return tuple(found)


def make_relevance(policy: MeaningPolicy) -> RelevanceRule:
    """The rule of one brand, its phrases compiled. Raises ValueError where they are too many to compile."""
    ways = [*_HOW.values(), _TO_US, *map(_mentions, policy.handles)]
    return RelevanceRule(
        policy,
        {
            how: (Evidence(Claim.RELEVANT, _ADDRESSED, how), Evidence(Claim.NEEDS_REPLY, 1.0, how))
            for how in ways
        },
        _whole_words(policy.keywords, "keywords"),
        _whole_words(policy.exclusions, "exclusions"),
        _whole_words(policy.context, "context"),
    )


def _whole_words(phrases: Sequence[str], key: str) -> Any:
    """One expression for all phrases, each as whole words of any script, with any space between them."""
    if not phrases:
        return None
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    # Longest first, so that the reason quotes "acme air" and not "acme".
    longest_first = sorted({" ".join(phrase.split()) for phrase in phrases}, key=lambda one: (-len(one), one))
    inner = "|".join(re2.escape(phrase) for phrase in longest_first)
    # RE2's \b knows ASCII letters only, and names have others.
    expression = rf"(?:^|[^\pL\pM\pN_])({inner})(?:$|[^\pL\pM\pN_])"
    try:
        return re2.compile(expression.encode("utf-8"), options)
    except (re2.error, UnicodeEncodeError):
        raise ValueError(f"{key}: the phrases are too many or too long together; use fewer") from None
