"""The text of a message, prepared once for every rule: what people wrote, without links, handles and traps.

May hold what turns text into something safe to weigh; nothing that says what the text means. Texts are
attacker-controlled: they are cut, lone surrogates and control characters go, and every step is linear.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

TEXT_LENGTH_MAX = 10_000
"""How many characters of a text are judged; what stands after them is not read."""

# Replaced one after another, which is several times faster than `str.translate` on a text beyond ASCII.
_QUOTES = (("’", "'"), ("‘", "'"), ("´", "'"), ("ʼ", "'"), ("“", '"'), ("”", '"'), ("\u00a0", " "))
_UNSAFE = re.compile(r"[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u2060\ufeff]")
_LINK = re.compile(r"(?:https?://|www\.|pic\.twitter\.com/)\S+", re.IGNORECASE)
# A handle: "@acme", "@acme.bsky.social", "@acme@mastodon.example", "u/acme"; not inside an email address.
_HANDLE = re.compile(r"(?<![\w@/.])(?:@|/?u/)(\w[\w.-]{0,63}(?:@[\w.-]{1,100})?)")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_REPOST = re.compile(r"\s*RT\s+@\w")
_SHORT_LANGUAGE = re.compile(r"[a-z]{2,3}(?=$|[-_])")
# What platforms say when they could not tell the language ("und"), or when there is none to tell.
_NO_LANGUAGE = frozenset({"und", "zxx", "mul", "mis", "qme", "qht", "qam", "qst", "qct", "art"})


@dataclass(frozen=True, slots=True)
class Reading:
    """A text made ready.

    `raw` is the cut and cleaned text. `plain` is without links and handles, with straight quotes and single
    spaces; `data` is `plain` as UTF-8. `links` counts the links. `repost` says that it is a plain repost
    ("RT @somebody: ..."). `language` is a short tag ("en"), or None where nobody could tell.
    """

    raw: str
    plain: str
    data: bytes
    links: int
    repost: bool
    language: str | None = None

    def spoken_in(self, languages: frozenset[str]) -> bool:
        """Whether words of these languages may be looked for in it; an unknown language may be any."""
        return self.language is None or self.language in languages

    def words(self) -> Iterator[str]:
        """Its words, lower case, found one by one: most askers know enough after the first."""
        return (found[0] for found in _WORD.finditer(self.plain.lower()))


def read(text: str, language: str | None = None) -> Reading:
    """Prepare a text. Never fails, whatever the text is; linear in its length."""
    raw = _safe(text[:TEXT_LENGTH_MAX])
    # Unescaping may make a character that was refused a moment ago ("&#0;", "&#8203;").
    plain = _safe(html.unescape(raw)) if "&" in raw else raw
    if not plain.isascii():
        for curly, straight in _QUOTES:
            plain = plain.replace(curly, straight)
    links = 0
    if "/" in plain or "www." in plain:
        plain, links = _LINK.subn(" ", plain)
    if "@" in plain or "u/" in plain:
        plain = _HANDLE.sub(" ", plain)
    plain = " ".join(plain.split())
    return Reading(
        raw=raw,
        plain=plain,
        data=plain.encode("utf-8"),
        links=links,
        repost="RT" in raw and _REPOST.match(raw) is not None,
        language=short_language(language),
    )


def _safe(text: str) -> str:
    """The text with a space for each character that is refused; what is printable has none of them."""
    return text if text.isprintable() else _UNSAFE.sub(" ", text)


def handles_in(text: str) -> frozenset[str]:
    """The handles that a text mentions, lower case, without "@" or "u/"."""
    if "@" not in text and "u/" not in text:
        return frozenset()
    return frozenset(found.rstrip(".-").lower() for found in _HANDLE.findall(text[:TEXT_LENGTH_MAX]))


def short_language(tag: str | None) -> str | None:
    """ "en" for "en", "en-GB" or "EN_us"; None where the platform could not tell ("und", "zxx")."""
    found = _SHORT_LANGUAGE.match(tag.lower()) if tag else None
    return None if found is None or found[0] in _NO_LANGUAGE else found[0]
