"""The map of faults stays true: a number without a test, or a test that is no more, is found by a machine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults import FAULTS, TESTS

ROOT = Path(__file__).resolve().parent.parent.parent


def _tests_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}


def test_every_fault_has_a_test() -> None:
    """Who asks what happens when something breaks finds where it is shown, for each number."""
    assert list(FAULTS) == list(TESTS) == list(range(1, 28))
    assert all(TESTS.values())


@pytest.mark.parametrize("number", TESTS)
def test_each_test_of_a_fault_exists(number: int) -> None:
    """A test that was renamed or deleted does not leave a promise behind that nobody keeps."""
    for named in TESTS[number]:
        path, _, name = named.partition("::")
        assert name in _tests_in(ROOT / path), named


def test_each_fault_test_here_is_on_the_map() -> None:
    """A test that names a number stands under that number."""
    found: dict[int, set[str]] = {}
    for path in sorted((ROOT / "tests" / "faults").glob("test_*.py")):
        for name in _tests_in(path):
            match = re.match(r"test_fault_(\d+)_", name)
            if match:
                found.setdefault(int(match[1]), set()).add(f"tests/faults/{path.name}::{name}")
    assert set(found) >= {10, *range(12, 19), 22}
    for number, names in found.items():
        assert names <= set(TESTS[number]), number
