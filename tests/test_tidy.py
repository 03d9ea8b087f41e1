"""The house stays small enough to hold in one's head: a machine counts, so that nobody has to nag."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("wire", "connectors", "rules", "alerts", "monitor", "simulator", "benchmarks", "tests")
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
ENTRANCES = {"monitor.__main__", "monitor.cli", "benchmarks.__main__"}
"""Modules that nobody imports because they are where things begin."""


def sources(*packages: str) -> Iterator[Path]:
    for package in packages or PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_function_is_longer_than_a_page() -> None:
    """Whoever reads a function sees all of it at once."""
    long = [
        f"{name_of(path)}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_no_file_has_grown_out_of_its_purpose() -> None:
    """A file of more than 600 lines has more than one reason to exist."""
    long = [name_of(p) for p in sources() if len(p.read_text("utf-8").splitlines()) > FILE_LINES_MAX]
    assert long == []


def test_nothing_is_left_for_later() -> None:
    """No marker of unfinished work in the code."""
    marker = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    found = [
        f"{name_of(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if marker.search(line) or ("NotImplementedError" in line and path != Path(__file__))
    ]
    assert found == []


def test_every_file_says_what_it_is_for() -> None:
    """A file's and a folder's head says in a sentence what may live there."""
    silent = [
        name_of(path)
        for path in sources()
        if path.read_text("utf-8").strip() and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_every_test_states_its_promise() -> None:
    """A failing test says what a user would notice."""
    silent = [
        f"{name_of(path)}.{node.name}"
        for path in sources("tests")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_module_is_dead() -> None:
    """What nobody imports is deleted."""
    modules = {name_of(p) for p in sources(*PACKAGES[:-2]) if p.name != "__init__.py"}
    used: set[str] = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                used.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module)
                used.update(f"{node.module}.{alias.name}" for alias in node.names)
    from alerts import REGISTRY as CHANNELS
    from connectors import REGISTRY as CONNECTORS

    used |= set(CHANNELS.values()) | set(CONNECTORS.values()) | ENTRANCES
    assert sorted(modules - used) == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_no_addresses(lock: str) -> None:
    """Dependencies are pinned by version and hash, wherever they are fetched from."""
    text = (ROOT / lock).read_text("utf-8")
    assert "://" not in text and "index-url" not in text
    pins = re.findall(r"^[a-z0-9].*", text, re.MULTILINE)
    assert pins and all("==" in pin for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)
