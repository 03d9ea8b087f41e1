"""The lines of keys in a TOML text, against what tomllib reads in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.places import KeyPath, key_lines, say_key

TRICKY = '''\
top = "a = b # no comment"  # [not.a.table]
[monitor]
text = """
[targets]
name = "inside a text"
\\""" still = inside
"""
literal = \'\'\'
[[targets]]
\'\'\'
[ "brands" . acme ] # a comment ]
keywords = [
  "[one]",   # = [
  "two = 2",
  [ 3, { four = 4 },
  ]
]
dotted.key."with.dot" = 1
[[brands.acme.x]]
handle = "a"
token = { env = "A" }

[[brands.acme.x]]
handle = 'b'
[brands.acme.x.inner]
deep = 1979-05-27 07:32:00
[[brands.acme.x.inner.list]]
[[brands.acme.x.inner.list]]
last = ""
[[targets]]
name = "t"
empty = []
none = {}
'''


def paths_in(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key and every entry of a list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in inner:
        yield (*path, step)
        yield from paths_in(below, (*path, step))


TEXTS = {
    "tricky": TRICKY,
    "template": (Path(__file__).parents[2] / "monitor.toml").read_text("utf-8"),
    "empty": "",
    "no end of line": "a = 1",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_key_has_a_line_and_nothing_else_has(text: str) -> None:
    """Whatever is wrong, its line can be told; what only looks like a key inside a text is none."""
    assert set(key_lines(text)) == set(paths_in(tomllib.loads(text)))


def test_the_lines_are_right() -> None:
    """An editor that jumps to the line stands on the key."""
    text = TEXTS["tricky"]
    lines = text.splitlines()
    found = key_lines(text)
    for path, start in {
        ("top",): "top =",
        ("monitor", "literal"): "literal =",
        ("brands", "acme"): '[ "brands"',
        ("brands", "acme", "keywords", 1): '  "two = 2"',
        ("brands", "acme", "keywords", 2, 1, "four"): "  [ 3,",
        ("brands", "acme", "dotted", "key", "with.dot"): "dotted.key",
        ("brands", "acme", "x", 0, "token", "env"): "token =",
        ("brands", "acme", "x", 1, "handle"): "handle = 'b'",
        ("brands", "acme", "x", 1, "inner", "deep"): "deep =",
        ("brands", "acme", "x", 1, "inner", "list", 1, "last"): "last =",
        ("targets", 0, "none"): "none =",
    }.items():
        assert lines[found[path] - 1].startswith(start), path
    heads = [number for number, line in enumerate(lines, 1) if line == "[[brands.acme.x]]"]
    assert [found["brands", "acme", "x", n] for n in (0, 1)] == heads


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("targets", 0, "name"), "targets[0].name"),
        (("brands", "a.b", "x", 1), 'brands."a.b".x[1]'),
        (("\x1b[31m",), '"\\u001b[31m"'),
        ((), ""),
    ],
)
def test_a_place_is_said_as_it_is_written(path: KeyPath, said: str) -> None:
    """A key reads as in the file, and one with control characters is inert."""
    assert say_key(path) == said
