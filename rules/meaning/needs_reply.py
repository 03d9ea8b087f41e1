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

_BY_NO_PERSON = Evidence(Claim.NEEDS_REPLY, _NOBODY_WAITS, "no person wrote it")
_IN_PRIVATE = Evidence(Claim.NEEDS_REPLY, _PRIVATE, "writes to us in private")
_REPEATS = Evidence(Claim.NEEDS_REPLY, _NOBODY_WAITS, "only repeats what another wrote")
_CLOSING = (
    Evidence(Claim.NEEDS_REPLY, _CLOSES, "only closes the conversation"),
    Evidence(Claim.COMPLAINT, _CLOSES_COMPLAINT, "only closes the conversation"),
)
_SIGNS = Evidence(Claim.NEEDS_REPLY, _NOBODY_WAITS, "only emoji or signs")
_PRIVATE_KINDS = frozenset({Kind.DM, Kind.EMAIL})


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
            return (_BY_NO_PERSON,)
        private = (_IN_PRIVATE,) if message.kind in _PRIVATE_KINDS else ()
        if reading.repost:
            return (*private, _REPEATS)
        if self._closes(reading):
            return (*private, *_CLOSING)
        if _only_signs(reading):
            return (*private, _SIGNS)
        return private

    def _closes(self, reading: Reading) -> bool:
        """Whether it says nothing but thanks, yes or goodbye, in a few words and without a question."""
        if "?" in reading.plain:
            return False
        has_core = False
        # Most texts show with their first or second word that they are no closing.
        for number, word in enumerate(reading.words(), start=1):
            if word in self.core:
                has_core = True
            elif word not in self.filler:
                return False
            if number > _CLOSING_WORDS_MAX or (number == 1 and word in self.openers):
                return False
        return has_core


def _only_signs(reading: Reading) -> bool:
    """Emoji or signs without a word. Not a link or nothing at all: that may be a picture of what went wrong,
    and not "?" or "??", which asks where the answer is."""
    if not reading.plain or reading.links or "?" in reading.plain:
        return False
    return next(reading.words(), None) is None
