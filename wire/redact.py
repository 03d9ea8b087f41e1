"""What keeps texts harmless on their way to people: secrets taken out, and foreign text made inert. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

MASK = "***"

_SECRET_LENGTH_MIN = 6
"""Anything shorter would also be found where it is no secret, and make texts unreadable."""

_BASE64_LENGTH_MIN = 7


class Redactor:
    """Takes secrets out of texts. Built with the values, or with a callable that gives them anew each time
    (since a token may rotate). Values of less than 6 characters are left alone.

    Clean a text before it is shortened: half a secret is not recognised. Its repr holds no secret.
    """

    __slots__ = ("_known", "_pattern", "_values")

    def __init__(self, secrets: Callable[[], Iterable[str]] | Iterable[str]) -> None:
        if callable(secrets):
            self._values: Callable[[], Iterable[str]] = secrets
        else:
            fixed = tuple(secrets)
            self._values = lambda: fixed
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def clean(self, text: str) -> str:
        """The text with "***" for each secret, as it is or as it looks in URLs, JSON, HTML, repr and base64
        (also inside of a longer base64 text, as in basic authentication)."""
        values = frozenset(value for value in self._values() if len(value) >= _SECRET_LENGTH_MIN)
        if values != self._known:
            forms = sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)
            self._pattern = re.compile(f"(?:{'|'.join(map(re.escape, forms))})+") if forms else None
            self._known = values
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def _forms(secret: str) -> set[str]:
    """How a secret may look in a text."""
    raw = secret.encode("utf-8", "surrogatepass")
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    forms = {secret, html.escape(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    forms |= {json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= quoted | {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in quoted}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode("ascii")
        forms |= {whole, whole.rstrip("=")}
        # Inside of a longer text the secret begins at any of three offsets; the letters at both ends carry
        # bits of its neighbours, and only those between them are always the same.
        for offset in range(3):
            letters = encode(bytes(offset) + raw).decode("ascii")
            inner = letters[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
            if len(inner) >= _BASE64_LENGTH_MIN:
                forms.add(inner)
    return {form for form in forms if len(form) >= _SECRET_LENGTH_MIN}


_NEWLINE = " ⏎ "

# Terminal sequences: CSI; strings that run up to their terminator (OSC, DCS, SOS, PM, APC); two-letter ones.
# A string does not reach over the start of another one, so that the time is linear in the text's length.
_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)

# What is left without a picture: control letters; bidi marks, embeddings, overrides and isolates, which show
# a text in another order than it has; invisible letters and tags, which hide one. The joiners U+200C and
# U+200D stay, since emoji and Persian are written with them.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


def inert(text: str, length_max: int = 500) -> str:
    """Foreign text on one line that can do nothing to a terminal or a log.

    Terminal sequences, control and invisible letters and bidi overrides are taken out, lone surrogates
    become U+FFFD, line ends become a visible mark, and what is longer than `length_max` characters ends
    with an ellipsis. It is not escaped for HTML, Slack or CSV: that is for those who write these.
    """
    if len(text) <= length_max and text.isascii() and text.isprintable():
        return text.strip()  # Most names and ids: nothing below would find anything in them.
    lines = (
        _INVISIBLE.sub("", line.replace("\t", " ")).strip() for line in _TERMINAL.sub("", text).splitlines()
    )
    joined = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", _NEWLINE.join(line for line in lines if line))
    if len(joined) <= length_max:
        return joined
    return joined[: length_max - 1].rstrip() + "…" if length_max > 0 else ""


# What programs for chats take for a call: an at sign before a name. After it goes a space of no width, which
# is how their own libraries break a mention.
_NO_WIDTH = "\u200b"
_CALL = re.compile(f"@(?=[^\\s{_NO_WIDTH}])")
_LOOKALIKES = str.maketrans({"<": "‹", ">": "›", "`": "'"})


def defused(text: str) -> str:
    """Foreign text for a medium whose markup is not known: a chat behind somebody else's bridge.

    Nothing in it calls anybody (`@here`, `<!channel>`, `<@U1>`), is a tag, swallows what follows (a code
    fence) or shows another address than it leads to (`[bank](https://…)`). Lines stay lines; everything else
    is still readable, and links are still links. Source: the mention and link syntax of Slack, Discord,
    Telegram, Teams, Matrix, Mattermost and Zulip.
    """
    plain = text.translate(_LOOKALIKES).replace("](", "] (")
    return _CALL.sub(f"@{_NO_WIDTH}", plain)


def defused_link(url: str) -> str:
    """A link in such a text: the same address, without an at sign that a chat would read as a call
    (https://mastodon.example/@everyone/1)."""
    return url.replace("@", "%40")
