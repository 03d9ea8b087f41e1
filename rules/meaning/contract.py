"""Rule → Evidence, all Evidence → Verdict: the words that the meaning of a message is said in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rules.meaning.reading import Reading
from rules.message import Message


class Claim(StrEnum):
    """What a piece of evidence speaks for (score > 0) or against (score < 0)."""

    RELEVANT = "relevant"  # it is about the brand
    COMPLAINT = "complaint"  # a breach of expectations
    NEEDS_REPLY = "needs_reply"  # a person should answer
    REACH = "reach"  # many may read it


class Priority(StrEnum):
    """How soon a person should look, lowest first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one rule found. `score` is in log-odds, positive for the claim. `reason` is one short sentence
    that a care agent understands; `words` are the pieces of the text that caused it. `topic` is what it says
    that the message is about, `severe` that a complaint with it cannot wait."""

    claim: Claim
    score: float
    reason: str
    words: tuple[str, ...] = ()
    topic: str = ""
    severe: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a message means. `complaint` is a probability, `is_complaint` whether it passes the threshold.

    `relevant`: it is about the brand at all. `needs_reply`: "thanks!" does not. `reasons` say why, the
    strongest first. `judged_by` is the version of the judge and its packs, so that a stored verdict can
    be told from today's.
    """

    complaint: float
    is_complaint: bool
    needs_reply: bool
    relevant: bool
    priority: Priority
    topics: tuple[str, ...] = ()
    language: str | None = None
    reasons: tuple[str, ...] = ()
    judged_by: str = ""


class Rule(Protocol):
    """One kind of evidence. Pure, and bounded in time by the length of the text.

    `reading` is the message's text, prepared once for all rules. Never raises, whatever the text is.
    """

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]: ...
