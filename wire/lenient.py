"""Reading a stranger's JSON so that one monstrous value spoils itself and not its whole page."""

from __future__ import annotations

import json
import re
from typing import Any

DEPTH_MAX = 64
DIGITS_MAX = 40
_TOKENS = re.compile(r'"(?:[^"\\]++|\\(?:.|\Z))*+(?:"|\Z)|[\[\]{}]', re.DOTALL)


def read_lenient(raw: bytes) -> Any:
    """The JSON of a body, whatever single values in it are monstrous: a number of 5,000 digits becomes text,
    what is nested deeper than 64 becomes null. Raises ValueError where it is not JSON."""
    text = raw.decode("utf-8-sig", "replace")
    try:
        return json.loads(text)
    except RecursionError:
        text = _pruned(text)
    except ValueError:
        if text.lstrip()[:1] not in ("{", "["):
            raise
    try:
        return json.loads(text, parse_int=_bounded)  # perhaps only a number was too long for Python
    except RecursionError:
        raise ValueError("nested too deep") from None


def _bounded(digits: str) -> int | str:
    return int(digits) if len(digits) <= DIGITS_MAX else digits


def _pruned(text: str) -> str:
    """The same JSON, with null in the place of what is nested too deep."""
    kept: list[str] = []
    copied = depth = 0
    for token in _TOKENS.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            if depth == DEPTH_MAX + 1:
                kept += (text[copied : token.start()], "null")
        elif token[0] in ("]", "}"):
            if depth == DEPTH_MAX + 1:
                copied = token.end()
            depth -= 1
    return "".join(kept) + (text[copied:] if depth <= DEPTH_MAX else "")
