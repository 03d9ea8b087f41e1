"""How a text sounds: VADER's sentiment as one modest piece of evidence for or against a complaint.

May hold what turns wording into a sentiment score. VADER (Hutto & Gilbert, ICWSM 2014) is quadratic in the
number of words and worse in emoji, so it is given a bounded piece of a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from rules.meaning.contract import Claim, Evidence
from rules.meaning.reading import Reading
from rules.message import Message

Sentiment = Callable[[str], float]
"""A text to its sentiment, from -1 (negative) to 1 (positive)."""

# Where a text is longer, its head and its tail are heard: people say what they feel first and last.
_HEAD_WORDS = 120
_TAIL_WORDS = 80
_WORD_LENGTH_MAX = 40
_SYMBOLS_MAX = 16
_SYMBOL = re.compile(r"[©®‼⁉™ℹ\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]")
_SAID_FROM = 0.2  # nearer to zero than this, wording is called neutral


def vader() -> Sentiment:
    """VADER's compound score, ready to use. Reads its lexicons (about 50 ms), so share it between judges."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    scores = SentimentIntensityAnalyzer().polarity_scores

    def compound(text: str) -> float:
        return float(scores(text)["compound"])

    return compound


def bounded(plain: str) -> str:
    """What of a text is given to VADER: at most 200 words of 40 characters, and 16 emoji."""
    words = plain.split()
    too_many = len(words) > _HEAD_WORDS + _TAIL_WORDS
    if too_many:
        words = words[:_HEAD_WORDS] + words[-_TAIL_WORDS:]
    if too_many or max(map(len, words), default=0) > _WORD_LENGTH_MAX:
        plain = " ".join(word[:_WORD_LENGTH_MAX] for word in words)
    if not plain.isascii() and len(_SYMBOL.findall(plain)) > _SYMBOLS_MAX:
        kept = set(islice((found.start() for found in _SYMBOL.finditer(plain)), _SYMBOLS_MAX))
        plain = _SYMBOL.sub(lambda found: found[0] if found.start() in kept else "", plain)
    return plain


@dataclass(frozen=True, slots=True)
class SentimentRule:
    """Negative wording speaks for a complaint, positive wording against it.

    `negative` and `positive` are log-odds at full sentiment, from the pack. VADER knows English only, and
    hears "die" in German as a disaster: `languages` are those in which it is asked.
    """

    sentiment: Sentiment
    languages: frozenset[str]
    negative: float
    positive: float

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]:
        """One piece of evidence, or none where the text is neutral or in another language."""
        if not reading.plain or not reading.spoken_in(self.languages):
            return ()
        compound = self.sentiment(bounded(reading.plain))
        score = -compound * (self.negative if compound < 0 else self.positive)
        if abs(compound) < _SAID_FROM or not score:
            return ()
        said = "negative" if compound < 0 else "positive"
        return (Evidence(Claim.COMPLAINT, score, f"{said} wording (VADER {compound:+.2f})"),)
