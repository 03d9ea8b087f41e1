"""Does somebody wait for an answer? What closes a conversation, and what was never a question.

May hold evidence about the need of a reply that is not a pattern: the form of a message and who wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.meaning.contract import Claim, Evidence
from rules.meaning.reading import Reading
from rules.message import Kind, Message

_CLOSES = -8.0  # stronger than a private message and a mention together
_CLOSES_COMPLAINT = -4.0  # "no problem, all good now" has bad words and is none
_NOBODY_WAITS = -8.0
_PRIVATE = 2.0
_CLOSING_WORDS_MAX = 15


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """Closings, emoji alone and reposts wait for nobody; a private message does, unless it closes.

    `core` and `filler` are the closing words of the packs, `openers` those that begin a question.
    """

    core: frozenset[str]
    filler: frozenset[str]
    openers: frozenset[str]

    def weigh(self, message: Message, reading: Reading) -> tuple[Evidence, ...]:
        """Evidence for and against NEEDS_REPLY; a closing also speaks against a complaint."""
        if message.author.automated:
            return (Evidence(Claim.NEEDS_REPLY, _NOBODY_WAITS, "no person wrote it"),)
        found: list[Evidence] = []
        if message.kind in (Kind.DM, Kind.EMAIL):
            found.append(Evidence(Claim.NEEDS_REPLY, _PRIVATE, "writes to us in private"))
        if reading.repost:
            found.append(Evidence(Claim.NEEDS_REPLY, _NOBODY_WAITS, "only repeats what another wrote"))
        elif self._closes(reading):
            found.append(Evidence(Claim.NEEDS_REPLY, _CLOSES, "only closes the conversation"))
            found.append(Evidence(Claim.COMPLAINT, _CLOSES_COMPLAINT, "only closes the conversation"))
        elif _only_signs(reading):
            found.append(Evidence(Claim.NEEDS_REPLY, _NOBODY_WAITS, "only emoji or signs"))
        return tuple(found)

    def _closes(self, reading: Reading) -> bool:
        """Whether it says nothing but thanks, yes or goodbye, in a few words and without a question."""
        words = reading.words
        if not 0 < len(words) <= _CLOSING_WORDS_MAX or "?" in reading.plain or words[0] in self.openers:
            return False
        return not self.core.isdisjoint(words) and all(
            word in self.core or word in self.filler for word in words
        )


def _only_signs(reading: Reading) -> bool:
    """Emoji or signs without a word. Not a link or nothing at all: that may be a picture of what went wrong,
    and not "?" or "??", which asks where the answer is."""
    return not reading.words and bool(reading.plain) and not reading.links and "?" not in reading.plain
