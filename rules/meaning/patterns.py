"""Patterns that cannot be made slow: google-re2 expressions with weights, many of them asked in one pass.

May hold what compiles and matches patterns, of the packs and of the users alike. RE2 runs in time linear in
the text whatever the expression (https://github.com/google/re2/wiki/WhyRE2), so a user's expression cannot
stop the daemon; expressions that RE2 does not know (look-around, back-references) are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EXPRESSION_LENGTH_MAX = 4_000
PROGRAM_SIZE_MAX = 20_000  # RE2 steps of one pattern: what a character may cost at the very worst
PROGRAM_SIZE_SUM_MAX = 100_000  # of all patterns of one matcher
# A set is one automaton. Measured: with all of the English pack in one, its states outgrow the memory and are
# built anew for every message; in three sets of this size they are kept (4 to 6 microseconds for all three).
# Smaller sets cost about 0.9 microseconds a set and need a third less memory.
_SET_PROGRAM_SIZE = 7_000
_SET_MEMORY_BYTES = 8 << 20
_QUOTED_FROM = 0.9  # log-odds: a weaker hit is not worth the 8 microseconds to find its words
_QUOTE_MEMORY_BYTES = 4 << 20
_QUOTE_LENGTH_MAX = 60
_WEIGHT_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """One thing that people say, and what it speaks for.

    `expressions` are RE2, matched in either case; any of them counts, and all of them count once.
    `complaint` and `reply` are weights in log-odds (-10 to 10), for or against "this is a complaint" and
    "a person should answer". `topic` names what it is about. `severe` raises the priority of a complaint.
    """

    name: str
    expressions: tuple[str, ...]
    reason: str
    complaint: float = 0.0
    reply: float = 0.0
    topic: str = ""
    severe: bool = False


@dataclass(frozen=True, slots=True)
class Matcher:
    """Many patterns, compiled. Build with `make_matcher`."""

    patterns: tuple[Pattern, ...]
    _sets: tuple[tuple[Any, int], ...]  # an RE2 set and the index of its first pattern
    # One compiled expression a pattern, to find the words once the set said yes; None for a weak pattern.
    _quotes: tuple[Any, ...]

    def find(self, data: bytes, *, quotes: bool = True) -> list[tuple[int, str]]:
        """The patterns that occur in a UTF-8 text, by their index and in its order, each with the first words
        that did it (empty for weak patterns, for signs, and without `quotes`). One linear pass a set, and one
        a quote."""
        hits: list[tuple[int, str]] = []
        for compiled, first in self._sets:
            # RE2 gives the hits of a set in no promised order, and a verdict must not depend on it.
            for index in sorted(compiled.Match(data) or ()):
                expression = self._quotes[first + index] if quotes else None
                hits.append((first + index, "" if expression is None else _quote(expression, data)))
        return hits


def _quote(expression: Any, data: bytes) -> str:
    """The words that matched, on one line and short enough to quote."""
    match = expression.search(data)
    if match is None:
        return ""
    start, end = match.span()
    words = " ".join(data[start:end].decode("utf-8", "replace").split()).strip(" ,.;:-")
    if not words[:1].isalnum() and not any(map(str.isalnum, words)):
        return ""
    return words if len(words) <= _QUOTE_LENGTH_MAX else words[: _QUOTE_LENGTH_MAX - 1] + "…"


def make_matcher(patterns: Sequence[Pattern]) -> Matcher:
    """Compile patterns, those of a pack and those of the users together.

    Raises ValueError naming the pattern and what RE2 says against it.
    """
    quotes: list[Any] = []
    total = 0
    for pattern in patterns:
        compiled = _compile(pattern)
        total += compiled.programsize
        quotes.append(compiled)
    if total > PROGRAM_SIZE_SUM_MAX:
        raise ValueError(
            f"the patterns are too large together ({total} steps, at most {PROGRAM_SIZE_SUM_MAX}): "
            "use fewer, or without large repeats such as {0,500}"
        )
    sets: list[tuple[Any, int]] = []
    first = 0
    while first < len(patterns):
        after, size = first + 1, quotes[first].programsize
        while after < len(patterns) and size + quotes[after].programsize <= _SET_PROGRAM_SIZE:
            size += quotes[after].programsize
            after += 1
        sets.append((_compile_set(patterns[first:after]), first))
        first = after
    strong = [max(abs(pattern.complaint), abs(pattern.reply)) >= _QUOTED_FROM for pattern in patterns]
    return Matcher(
        tuple(patterns),
        tuple(sets),
        tuple(quote if is_strong else None for quote, is_strong in zip(quotes, strong, strict=True)),
    )


def _compile_set(patterns: Sequence[Pattern]) -> Any:
    import re2

    compiled = re2.Set.SearchSet(_options(_SET_MEMORY_BYTES))
    try:
        for pattern in patterns:
            compiled.Add(_joined(pattern))
        compiled.Compile()
    except re2.error:
        names = ", ".join(repr(pattern.name) for pattern in patterns[:5])
        raise ValueError(f"the patterns {names} are too large; use smaller repeats") from None
    return compiled


def _joined(pattern: Pattern) -> bytes:
    return "|".join(f"(?:{expression})" for expression in pattern.expressions).encode("utf-8")


def _options(memory_bytes: int) -> Any:
    import re2

    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False  # RE2 would write the expression to stderr by itself
    options.never_capture = True
    options.max_mem = memory_bytes
    return options


def _compile(pattern: Pattern) -> Any:
    import re2

    options = _options(_QUOTE_MEMORY_BYTES)
    for expression in pattern.expressions:
        where = f"pattern {pattern.name!r}: {_shown(expression)}"
        if len(expression) > EXPRESSION_LENGTH_MAX:
            raise ValueError(f"{where} is longer than {EXPRESSION_LENGTH_MAX} characters")
        try:
            # Each alone first: "a)|(b" must not become whole by being joined to its neighbours.
            alone = re2.compile(expression.encode("utf-8"), options)
        except (re2.error, UnicodeEncodeError) as error:
            raise ValueError(f"{where} is not an RE2 expression: {_why(error)}") from None
        if alone.search(b"") is not None:
            raise ValueError(f"{where} matches an empty text, so it would match every message")
    try:
        joined = re2.compile(_joined(pattern), options)
    except re2.error as error:
        raise ValueError(f"pattern {pattern.name!r} is too large: {_why(error)}") from None
    if joined.programsize > PROGRAM_SIZE_MAX:
        raise ValueError(
            f"pattern {pattern.name!r} is too large ({joined.programsize} steps, "
            f"at most {PROGRAM_SIZE_MAX}): use smaller repeats"
        )
    return joined


def _why(error: Exception) -> str:
    said = error.args[0] if error.args else error
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if "perl operator" in text or "(?=" in text or "(?!" in text or "(?<" in text:
        text += " (look-around is not available, so that matching stays fast)"
    return text


def _shown(expression: str) -> str:
    return repr(expression if len(expression) <= 80 else expression[:79] + "…")


def pattern_from_mapping(data: Mapping[str, Any], where: str) -> Pattern:
    """Read one row of `[[patterns]]` (see `docs/rules.md`).

    Raises ValueError naming the key and what was expected.
    """
    known = {"name", "topic", "reason", "complaint", "reply", "severe", "phrases", "any"}
    for key in data:
        if key not in known:
            raise ValueError(f"{where}.{key}: unknown key, expected one of {', '.join(sorted(known))}")
    name = text_of(data, "name", where)
    where = f"{where} ({name})"
    phrases = texts_of(data, "phrases", where)
    # "still no" must not be found inside "instill nothing": a phrase begins and ends where words do.
    expressions = [rf"\b(?:{phrase})\b" for phrase in phrases] + list(texts_of(data, "any", where))
    if not expressions:
        raise ValueError(f'{where}.phrases: expected at least one expression, such as ["still (?:no|not)"]')
    severe = data.get("severe", False)
    if not isinstance(severe, bool):
        raise ValueError(f"{where}.severe: expected true or false, not {severe!r}")
    complaint = number_of(data, "complaint", where, default=0.0)
    reply = number_of(data, "reply", where, default=0.0)
    if not complaint and not reply:
        raise ValueError(
            f"{where}.complaint: expected a weight here or in reply, such as 1.0; it has neither"
        )
    return Pattern(
        name=name,
        expressions=tuple(expressions),
        reason=text_of(data, "reason", where),
        complaint=complaint,
        reply=reply,
        topic=text_of(data, "topic", where) if "topic" in data else "",
        severe=severe,
    )


def text_of(data: Mapping[str, Any], key: str, where: str) -> str:
    """A required, non-empty string of at most 200 characters, or ValueError."""
    value = data.get(key)
    if not isinstance(value, str) or not value.strip() or len(value) > 200:
        raise ValueError(f"{where}.{key}: expected a text of 1 to 200 characters, not {_shown(repr(value))}")
    return value.strip()


def texts_of(data: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A list of non-empty strings (empty where the key is missing), or ValueError."""
    value = data.get(key, ())
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
        raise ValueError(
            f'{where}.{key}: expected a list of texts, such as ["no reply"], not {_shown(repr(value))}'
        )
    return tuple(value)


def number_of(data: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    """A number from -10 to 10 (log-odds), or ValueError."""
    value = data.get(key, default)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not -_WEIGHT_MAX <= value <= _WEIGHT_MAX
    ):
        raise ValueError(f"{where}.{key}: expected a number from -10 to 10, not {_shown(repr(value))}")
    return float(value)
