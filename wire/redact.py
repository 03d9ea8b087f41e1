"""Making text harmless: secrets are blotted out, and strangers' text is made inert for terminals and logs."""

from __future__ import annotations

import base64
import re
import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import quote

SECRET_LENGTH_MIN = 6
BLOT = "***"
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])


class Redactor:
    """Replaces secret values, also as they look in URLs and in Basic authentication.

    `secrets` is asked anew at each use, so that a rotated secret is known; values shorter than six
    characters are left, since blotting them out would tear other words apart.
    """

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets

    def clean(self, text: str) -> str:
        """The text without any of them."""
        for secret in self._secrets():
            if len(secret) < SECRET_LENGTH_MIN:
                continue
            for form in (
                secret,
                quote(secret, safe=""),
                base64.b64encode(secret.encode()).decode().rstrip("="),
            ):
                text = text.replace(form, BLOT)
        return text


def inert(text: str, length_max: int = 500) -> str:
    """A stranger's text, safe to print on one line: no control characters, escape sequences, bidirectional
    overrides or lone surrogates; line ends become a visible mark."""
    text = _ANSI.sub("", text[: 4 * length_max])
    text = re.sub(r"\s*[\r\n\u2028\u2029\x0b\x0c\x85]\s*", " ⏎ ", text).translate(_BIDI)
    text = "".join(
        "\ufffd" if "\ud800" <= c <= "\udfff" else c
        for c in text
        if c == "\t" or unicodedata.category(c) != "Cc"
    )
    return text if len(text) <= length_max else text[: length_max - 1] + "…"
