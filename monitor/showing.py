"""What one channel may show of customers' words: masked, as they are, or nothing of them.

May hold how the facts of an alert are made fit to be shown, and nothing that reads the store. It stands
before every channel, so that none can forget it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from monitor.config import Show
from monitor.policy import Policy
from rules.privacy import BLANKS, LENGTH_MAX, Private, mask
from rules.storms import TEXT_LENGTH_MAX
from wire.redact import inert

_DIGITS_QUOTED_MAX = 4
# A post's title in its link, which the platforms that write one do without as well: /comments/ID/TITLE/.
_TITLE_IN_LINK = re.compile(
    r"(?P<head>https?://[^/?#\s]+(?:/[^/?#\s]+){0,3}/comments/[^/?#\s]+/)(?P<title>[^/?#\s]+)"
)


@dataclass(frozen=True, slots=True)
class Showing:
    """How one channel shows customers' words; `kinds` are masked where it masks."""

    show: Show
    kinds: frozenset[Private]

    def text(self, text: str) -> str | None:
        """A message's text; None: it is not shown."""
        match self.show:
            case Show.NOTHING:
                return None
            case Show.ALL:
                return text
            case _:
                return self.masked(text)

    def masked(self, text: str) -> str:
        """Strangers' words that are no message, such as a name that somebody gave themselves."""
        if self.show is Show.ALL:
            return text
        # Channels take out letters that nobody sees. That has to be done before: they may part a number.
        lines = text[: 4 * LENGTH_MAX].splitlines()
        seen = "\n".join(inert(line, LENGTH_MAX) for line in lines)
        found = mask(seen, self.kinds)
        return text if found == seen and len(text) <= LENGTH_MAX else found

    def countable(self, texts: Iterable[str]) -> Iterable[str]:
        """The texts whose common words may be told, without what is masked."""
        match self.show:
            case Show.NOTHING:
                return ()
            case Show.ALL:
                return texts
            case _:
                # What has a digit or an "@" in it is no common word anyhow; only as much is read as counts.
                kinds = self.kinds & {Private.ADDRESS, Private.IBAN}
                return (mask(inert(text[:TEXT_LENGTH_MAX], LENGTH_MAX), kinds, BLANKS) for text in texts)

    def reasons(self, reasons: Iterable[str], texts: Iterable[str]) -> tuple[str, ...]:
        """Reasons as they may be shown: their quoted words (`reason: "words"`) are dropped where the channel
        shows none, and where they hold a part of what is masked in one of the texts."""
        if self.show is Show.ALL:
            return tuple(reasons)
        reasons = tuple(reasons)
        known: list[tuple[str, str]] = []
        if any(': "' in reason for reason in reasons):
            known = [(_plain(text), _plain(self.masked(text))) for text in texts]
        return tuple(self._reason(reason, known) for reason in reasons)

    def _reason(self, reason: str, known: list[tuple[str, str]]) -> str:
        before, quotes, words = reason.partition(': "')
        if not quotes or not words.endswith('"'):
            return self.masked(reason)
        return reason if self._may_quote(_plain(words[:-1]), known) else before

    def _may_quote(self, words: str, known: list[tuple[str, str]]) -> bool:
        if self.show is Show.NOTHING:
            return False
        if not self.kinds:
            return True
        for text, masked in known:
            if words in text:
                return words in masked
        # Words of another message of the case may be the half of something: then rather none.
        digits = sum(letter.isnumeric() for letter in words)
        whole = self.masked(words) == words
        return whole and digits <= _DIGITS_QUOTED_MAX and "@" not in words.lstrip("@")

    def link(self, url: str | None) -> str | None:
        """Where to reply. Some platforms write a post's title into its link: these are a customer's words."""
        if url is None or self.show is Show.ALL:
            return url
        found = _TITLE_IN_LINK.match(url)
        if found is None:
            return url
        title = " ".join(found["title"].split("_"))
        if self.show is Show.MASKED and self.masked(title) == title:
            return url
        return f"{found['head']}_{url[found.end() :]}"


def showing_on(policy: Policy, channel: str) -> Showing:
    """How that channel shows them. Of one that is no more, masked: nobody said that it may show more."""
    return Showing(policy.shows.get(channel, Show.MASKED), policy.mask)


def _plain(text: str) -> str:
    """A text as its quotes are compared: in one case, and with one kind of space."""
    return " ".join(text.casefold().split())
