"""A pack: the words and patterns of one language, as data (`packs/*.toml`).

May hold what a pack is and how it is checked. Reading the file is not done
here: this folder does no IO.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.meaning.patterns import Pattern, number_of, pattern_from_mapping, text_of, texts_of
from rules.meaning.reading import short_language

PACK_PATTERNS_MAX = 500


@dataclass(frozen=True, slots=True)
class Pack:
    """The words of one language.

    `bias` is the log-odds of a complaint where nothing is found; `negative` and `positive` weigh VADER's
    sentiment. A text made only of `closing_core` and `closing_filler` words closes a conversation,
    unless it begins with one of `closing_openers`.
    `digest` is a hash of the whole content.
    """

    language: str
    version: str
    bias: float
    negative: float
    positive: float
    closing_core: frozenset[str]
    closing_filler: frozenset[str]
    closing_openers: frozenset[str]
    patterns: tuple[Pattern, ...]
    digest: str

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Pack:
        """Read a pack from the parsed TOML of its file.

        Raises ValueError naming the key and what was expected.
        """
        known = {"language", "version", "bias", "sentiment", "closings", "patterns"}
        for key in data:
            if key not in known:
                raise ValueError(f"pack.{key}: unknown key, expected one of {', '.join(sorted(known))}")
        language = text_of(data, "language", "pack")
        if short_language(language) != language:
            raise ValueError(f'pack.language: expected a short language tag such as "en", not {language!r}')
        version = data.get("version")
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise ValueError(f"pack.version: expected a whole number from 1, not {version!r}")
        sentiment = _table(data, "sentiment", {"negative", "positive"})
        closings = _table(data, "closings", {"core", "filler", "openers"})
        rows = data.get("patterns", [])
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError("pack.patterns: expected [[patterns]] tables")
        if len(rows) > PACK_PATTERNS_MAX:
            raise ValueError(f"pack.patterns: expected at most {PACK_PATTERNS_MAX} patterns, not {len(rows)}")
        patterns = tuple(
            pattern_from_mapping(row, f"pack.patterns[{number}]") for number, row in enumerate(rows, start=1)
        )
        names = [pattern.name for pattern in patterns]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"pack.patterns: expected each name once, but {name!r} is there twice")
        return cls(
            language=language,
            version=str(version),
            bias=number_of(data, "bias", "pack"),
            negative=number_of(sentiment, "negative", "pack.sentiment", default=0.0),
            positive=number_of(sentiment, "positive", "pack.sentiment", default=0.0),
            closing_core=_words(closings, "core"),
            closing_filler=_words(closings, "filler"),
            closing_openers=_words(closings, "openers"),
            patterns=patterns,
            digest=digest_of(data),
        )


def digest_of(data: object) -> str:
    """Twelve hex digits that change when the content does, and with nothing else."""
    canonical = json.dumps(data, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:12]


def _table(data: Mapping[str, Any], key: str, known: set[str]) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"pack.{key}: expected a table [{key}]")
    for inner in value:
        if inner not in known:
            raise ValueError(f"pack.{key}.{inner}: unknown key, expected one of {', '.join(sorted(known))}")
    return value


def _words(closings: Mapping[str, Any], key: str) -> frozenset[str]:
    return frozenset(word.lower() for word in texts_of(closings, key, "pack.closings"))
