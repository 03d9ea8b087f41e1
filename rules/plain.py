"""A text made plain, so that simple expressions find what people wrote in many shapes, and where it stood.

May hold how letters are folded into ASCII, and nothing of what is looked for.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

_AROUND = 48  # bytes that are looked at beside a find


@dataclass(frozen=True, slots=True)
class PlainText:
    """A text made plain for matching: `data` is ASCII, without accents and without what nobody sees; `where`
    has for each byte, and for the end, the character of the text that it came from."""

    data: bytes
    where: tuple[int, ...] | range

    def before(self, at: int) -> str:
        """The words that lead to a place."""
        return self.data[max(0, at - _AROUND) : at].decode("ascii")

    def after(self, at: int) -> str:
        """The words that follow a place."""
        return self.data[at : at + _AROUND].decode("ascii")


def make_plain(text: str) -> PlainText:
    """Make it. Linear; never raises, whatever the text is."""
    if text.isascii() and text.isprintable():
        return PlainText(text.encode("ascii"), range(len(text) + 1))
    data, where = bytearray(), []
    for index, letter in enumerate(text):
        folded = letter if letter.isascii() and letter.isprintable() else fold(letter)
        data += folded.encode("ascii")
        where += [index] * len(folded)
    return PlainText(bytes(data), (*where, len(text)))


_FOLDED = {
    **dict.fromkeys("\n\r\v\f\x85\u2028\u2029", "\n"),
    **dict.fromkeys("’‘ʼ·", "'"),
    **dict.fromkeys("°º", "o"),
    "\t": " ",
    "ß": "ss",
    "\N{MINUS SIGN}": "-",
}
_FOLDED_CATEGORIES = {
    # What is shown nowhere parts nothing; marks are left out so that "allée" is "allee".
    **dict.fromkeys(("Cf", "Cc", "Mn", "Me"), ""),
    "Zs": " ",
    "Pd": "-",
    "Sc": "$",
    "Lu": "X",
    "Lt": "X",
    "Ll": "x",
}
_FOREIGN = ";"  # parts words: many scripts write none, and a number may stand right beside their letters


def fold(letter: str) -> str:
    """A letter as it is matched, in ASCII: "＠" is "@", "é" is "e", "٣" is "3"."""
    if letter in _FOLDED:
        return _FOLDED[letter]
    category = unicodedata.category(letter)
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    if category not in ("Cf", "Cc", "Zs", "Pd", "Sc"):
        parts = [one for one in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(one)]
        if parts and "".join(parts).isascii() and "".join(parts).isprintable():
            return "".join(parts)
    return _FOLDED_CATEGORIES.get(category, _FOREIGN)
