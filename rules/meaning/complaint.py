"""What speaks for a complaint: patterns that matched, and the stars of a review.

May hold evidence from what people say and how they rate. One pattern may also say whether a reply is needed,
so both claims come from the one pass over the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rules.meaning.contract import Claim, Evidence
from rules.meaning.patterns import Matcher, Pattern, make_matcher
from rules.meaning.reading import Reading
from rules.message import Message


@dataclass(frozen=True, slots=True)
class PatternRule:
    """The patterns of a pack or of the user. Build with `make_pattern_rule`.

    `languages`: only in texts of these, None for any. `speaks_for` holds for each pattern the evidence that
    it gives, still without the words that matched.
    """

    matcher: Matcher
    speaks_for: tuple[tuple[Evidence, ...], ...]
    languages: frozenset[str] | None = None

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]:
        """A piece of evidence for each claim that a matched pattern has a weight for, with the words."""
        if not reading.data or (self.languages is not None and not reading.spoken_in(self.languages)):
            return ()
        found: list[Evidence] = []
        # Of a private message nothing is quoted, so nothing that could be is looked for.
        for index, quoted in self.matcher.find(reading.data, quotes=message.public):
            if quoted:
                found += [_with_words(evidence, (quoted,)) for evidence in self.speaks_for[index]]
            else:
                found += self.speaks_for[index]
        return tuple(found)


def make_pattern_rule(patterns: Sequence[Pattern], languages: frozenset[str] | None = None) -> PatternRule:
    """Compile the patterns. Raises ValueError naming the one that is wrong (see `make_matcher`)."""
    return PatternRule(make_matcher(patterns), tuple(map(_evidence_of, patterns)), languages)


def _evidence_of(pattern: Pattern) -> tuple[Evidence, ...]:
    found: list[Evidence] = []
    topic, reason = pattern.topic, pattern.reason
    if pattern.complaint:
        found.append(Evidence(Claim.COMPLAINT, pattern.complaint, reason, (), topic, pattern.severe))
    if pattern.reply:
        found.append(Evidence(Claim.NEEDS_REPLY, pattern.reply, reason, (), topic))
    return tuple(found)


def _with_words(evidence: Evidence, words: tuple[str, ...]) -> Evidence:
    # `dataclasses.replace` says the same three times as slowly.
    return Evidence(evidence.claim, evidence.score, evidence.reason, words, evidence.topic, evidence.severe)


# Stars to log-odds: one and two stars are a complaint whatever the words, four and five hardly ever.
_STARS = ((1.5, 4.0), (2.5, 2.5), (3.5, 0.3), (4.5, -1.5), (float("inf"), -3.0))


@dataclass(frozen=True, slots=True)
class RatingRule:
    """The stars that a review gives, on the usual scale of 1 to 5."""

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]:
        """One piece of evidence where there is a rating."""
        if message.rating is None or not message.rating >= 0:
            return ()
        score = next((score for below, score in _STARS if message.rating < below), _STARS[-1][1])
        reason = f"gives {message.rating:g} of 5 stars"
        return (Evidence(Claim.COMPLAINT, score, reason, topic="rating" if score > 1 else ""),)
