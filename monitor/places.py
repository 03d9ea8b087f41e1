"""Where in a TOML text each key stands, which tomllib does not tell; for messages that name a line."""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left

KeyPath = tuple[str | int, ...]
"""Where something stands: ("targets", 0, "name") is the name of the first target."""


def say_key(where: KeyPath) -> str:
    """A place as people write it: brands.acme.x[0].handle."""
    said = ""
    for step in where:
        if isinstance(step, int):
            said += f"[{step}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", step)
            said += ("." if said else "") + (step if plain else json.dumps(step))
    return said


_TOKEN = re.compile(
    r"""
    (?P<text>\"{3}(?:[^\\]|\\.)*?\"{3,5} | '{3}.*?'{3,5} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*')
    | (?P<comment>\#[^\n]*)
    | (?P<mark>[\[\]{}=,\n])
    | (?P<bare>[^\s\[\]{}=,\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of each table, key and entry of a list in a valid TOML text, which tomllib does not tell."""
    return _Lines(text).lines


class _Lines:
    """One pass over a text that tomllib has accepted, so that nothing here can be malformed."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._tokens = [(m[0], m.lastgroup, m.start()) for m in _TOKEN.finditer(text) if not m["comment"]]
        self._breaks = [m.start() for m in re.finditer("\n", text)]
        self._at = 0
        lengths: dict[KeyPath, int] = {}
        table: KeyPath = ()
        while self._at < len(self._tokens):
            if self._peek() == "\n":
                self._at += 1
            elif self._peek() == "[":
                table = self._header(lengths)
            else:
                self._pair(table)

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _here(self) -> int:
        return bisect_left(self._breaks, self._tokens[self._at][2]) + 1

    def _note(self, path: KeyPath) -> None:
        self.lines.setdefault(path, self._here())

    def _header(self, lengths: dict[KeyPath, int]) -> KeyPath:
        """A [table] or an entry of [[tables]]; names of lists in its path mean their last entries."""
        line = self._here()
        brackets = 2 if self._tokens[self._at + 1][0] == "[" else 1
        self._at += brackets
        names = self._key("]")
        self._at += brackets
        path: KeyPath = ()
        for number, name in enumerate(names):
            path = (*path, name)
            if brackets == 2 and number == len(names) - 1:
                lengths[path] = lengths.get(path, 0) + 1
            self.lines.setdefault(path, line)
            if path in lengths:
                path = (*path, lengths[path] - 1)
                self.lines.setdefault(path, line)
        return path

    def _key(self, end: str) -> list[str]:
        names: list[str] = []
        while self._peek() != end:
            word, kind, _ = self._tokens[self._at]
            names += [tomllib.loads(f"k={word}")["k"]] if kind == "text" else filter(None, word.split("."))
            self._at += 1
        return names

    def _pair(self, table: KeyPath) -> None:
        line = self._here()
        path = table
        for name in self._key("="):
            path = (*path, name)
            self.lines.setdefault(path, line)
        self._at += 1
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opened = self._peek()
        if opened not in ("[", "{"):
            while self._peek() not in ("", "\n", ",", "]", "}"):
                self._at += 1
            return
        self._at += 1
        number = 0
        while self._peek() not in ("]", "}"):
            if self._peek() in ("\n", ","):
                self._at += 1
            elif opened == "{":
                self._pair(path)
            else:
                self._note((*path, number))
                self._value((*path, number))
                number += 1
        self._at += 1
