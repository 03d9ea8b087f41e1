"""What packs and patterns promise: data that is wrong is refused by name, and many patterns stay fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import process_time
from typing import Any

import pytest

from rules.meaning.pack import Pack
from rules.meaning.patterns import Pattern, make_matcher
from rules.meaning.policy import MeaningPolicy
from tests.rules.meaning.support import POLICY, english, judge_of, message, pack_data


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("(unclosed", "unclosed"),
        ("(?=ahead)x", "look-around"),
        (r"(a)\1", "RE2"),
        ("a*", "empty"),
        ("a)|(b", "RE2"),
        ("(?:[a-z]{1,900}){900}", "RE2"),
        ("\ud800", "RE2"),
    ],
)
def test_a_bad_expression_is_refused_by_name(expression: str, why: str) -> None:
    """Whoever mistypes a pattern is told which one and why."""
    with pytest.raises(ValueError, match=why) as refused:
        make_matcher([Pattern("mine", (expression,), "a reason", complaint=1.0)])
    assert "'mine'" in str(refused.value)


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("language", to="English!"), "pack.language"),
        (_set("version", to="one"), "pack.version"),
        (_set("bias", to=float("nan")), "pack.bias"),
        (_set("bias", to=True), "pack.bias"),
        (_set("colour", to="red"), "pack.colour"),
        (_set("sentiment", to=3), "pack.sentiment"),
        (_set("closings", "core", to="thanks"), "pack.closings.core"),
        (_set("patterns", to=["x"]), "pack.patterns"),
        (_set("patterns", 0, "complaint", to="high"), r"pack.patterns\[1\] \(still_waiting\).complaint"),
        (_set("patterns", 0, "reason", to=""), "reason"),
        (_set("patterns", 0, "phrases", to=[]), "phrases"),
        (_set("patterns", 0, "severe", to="yes"), "severe"),
        (_set("patterns", 0, "weigth", to=1), "weigth"),
        (_set("patterns", 1, "name", to="still_waiting"), "twice"),
    ],
)
def test_a_wrong_pack_is_refused_by_key(change: Callable[[dict[str, Any]], None], named: str) -> None:
    """Whoever writes a pack is told the key that is wrong and what was expected there."""
    data = pack_data()
    change(data)
    with pytest.raises(ValueError, match=named) as refused:
        Pack.from_mapping(data)
    assert "expected" in str(refused.value)


def test_the_version_of_a_pack_follows_its_content() -> None:
    """A changed weight changes the mark on the verdicts."""
    data = pack_data()
    assert Pack.from_mapping(data).digest == english().digest
    data["patterns"][0]["complaint"] += 0.5
    assert Pack.from_mapping(data).digest != english().digest


def test_five_hundred_patterns_of_a_user_stay_fast_and_each_is_heard() -> None:
    """A team with a long list of its own patterns still sees every one of them, and fast."""
    mine = tuple(
        Pattern(f"p{n}", (rf"\bword{n}\b.*(?:late|slow)",), f"reason {n}", complaint=6.0) for n in range(500)
    )
    judge = judge_of(replace(POLICY, patterns=mine))
    for number in (0, 128, 499):
        verdict = judge.judge(message(f"@acme word{number} is so late"))
        assert any(f"reason {number}:" in reason for reason in verdict.reasons)
    plain = [message(f"@acme an ordinary text about nothing, number {n}") for n in range(200)]
    start = process_time()
    for one in plain:
        judge.judge(one)
    assert (process_time() - start) / len(plain) < 0.002


@pytest.mark.parametrize("expression", ["(?:a+)+$", "(?:a|aa)+$", "(?:a|a)*b$", "(?:.*)*=(?:.*)*$"])
def test_an_expression_that_would_take_for_ever_elsewhere_does_not_here(expression: str) -> None:
    """A team's innocent-looking pattern and a troll's long post cost milliseconds together."""
    judge = judge_of(replace(POLICY, patterns=(Pattern("mine", (expression,), "mine", complaint=6.0),)))
    hostile = message("@acme " + "a" * 100_000 + "!")
    start = process_time()
    judge.judge(hostile)
    assert process_time() - start < 0.5


def test_more_patterns_than_allowed_are_refused() -> None:
    """A list that would slow every message down is refused when it is read."""
    with pytest.raises(ValueError, match="at most 500"):
        MeaningPolicy(patterns=(Pattern("p", ("x",), "r", complaint=1.0),) * 501)
    heavy = [Pattern(f"h{n}", ("[a-z]{1,800}x",), "r", complaint=1.0) for n in range(100)]
    with pytest.raises(ValueError, match="large together"):
        make_matcher(heavy)
