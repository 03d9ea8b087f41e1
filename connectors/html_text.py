"""The words of HTML that a platform has cleaned already: posts and comments whose JSON holds markup. Pure.

Time grows with the length alone, whatever the markup is; nothing here is safe to show as HTML.
"""

from __future__ import annotations

import re
from contextlib import suppress
from html import unescape

LENGTH_MAX = 100_000
_BREAKS = re.compile(r"<(?:br|hr|/p|/div|/li|/h[1-6]|/blockquote|/pre|/tr)\b[^<>]*>", re.IGNORECASE)
_TAGS = re.compile(r"</?[A-Za-z][^<>]*>|<!--[^<>]*>")
_BLANKS = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """The words, a line a block. A link's words stay; its address does too where that is what they show."""
    html = html[:LENGTH_MAX]
    if "<" in html:
        # Line ends of the source mean no more than a blank does.
        html = _TAGS.sub("", _BREAKS.sub("\n", html.replace("\n", " ")))
    with suppress(ValueError):  # a reference to a letter whose number has thousands of digits
        html = unescape(html) if "&" in html else html
    lines = _BLANKS.sub(" ", html).split("\n")
    return _EMPTY_LINES.sub("\n\n", "\n".join(line.strip() for line in lines)).strip()
