"""First responses against real threads, where their data is beside the project; and the yardstick itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.real_threads import (
    DATA_VARIABLE,
    QUICK,
    SETS,
    compare,
    config_text,
    data_file,
    hide_parents,
    read_rows,
    real_threads,
    replay_here,
    shuffled,
    wanted_cases,
)

AGREEMENT_PERCENT_MIN = 99.5
Row = dict[str, Any]


def row(
    id: str, minute: float, who: str, parent: str | None = None, text: str = "where is my parcel?"
) -> Row:
    """A line of made-up data; the brand is "acme"."""
    seconds = round(minute * 60)
    days, seconds = divmod(seconds, 86_400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return {
        "connector": "x",
        "account": "acme",
        "id": id,
        "kind": "post",
        "conversation": "thread",
        "parent": parent,
        "author": {"id": who, "handle": who, "brand": who == "acme"},
        "text": text,
        "created_at": f"2026-03-{4 + days:02}T{clock}Z",
        "public": True,
    }


def firsts(*rows: Row) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    return {who: [(c.first, c.replies) for c in cases] for (_, who), cases in wanted_cases(rows).items()}


def test_the_reference_follows_links_through_parts_and_credits_nobody_elses_answer() -> None:
    """The yardstick itself is right: parts, two customers, a brand that speaks first, a day of silence."""
    rows = [
        row("0", 0, "acme"),
        row("1", 1, "ann", "0"),
        row("2", 2, "ben", "0"),
        row("4", 9, "acme", "3"),  # a part of the next one, which is an answer to ann
        row("3", 8, "acme", "1"),
        row("5", 10, "ann", "3"),
        row("6", 10 + 1440, "ann", "5"),  # still unanswered: the same case
        row("7", 11 + 1440, "acme", "6"),
        row("8", 11 + 2880, "ann", "7"),  # a day after the answer: another one
    ]
    assert firsts(*rows) == {"ann": [("1", ("3",)), ("8", ())], "ben": [("2", ())]}
    assert firsts(*rows[::-1]) == firsts(*rows)


def made_up(tmp_path: Path, *rows: Row, hidden: frozenset[str] = frozenset()) -> list[str]:
    """Why the replay of made-up threads disagrees; the links of `hidden` are not told to it."""
    config = tmp_path / "monitor.toml"
    config.write_text(config_text(rows), "utf-8")
    told = [{**r, "parent": None} if r["id"] in hidden else r for r in rows]
    return [d.why for d in compare(rows, replay_here(told, config, tmp_path / "m.db"), told).first_differ]


def test_a_disagreement_is_seen_and_says_why(tmp_path: Path) -> None:
    """A comparison that cannot fail would prove nothing: what differs is found, with its cause."""
    quick = [row("1", 0, "ann", text="@acme where is it?"), row("2", 0.05, "acme", "1", "@ann hello")]
    assert made_up(tmp_path, *quick) == [QUICK]
    crowd = [
        row("1", 0, "ann", text="@acme where is it?"),
        row("2", 1, "ben", text="@acme and mine?"),
        row("3", 5, "acme", "1", "on its way"),
    ]
    (tmp_path / "two").mkdir()
    why = made_up(tmp_path / "two", *crowd, hidden=frozenset({"3"}))
    assert why == [
        "the answer was placed with nobody: its link was hidden; it names none of several who had written"
    ]
    (tmp_path / "three").mkdir()
    assert made_up(tmp_path / "three", *crowd) == []


def test_hidden_links_are_a_tenth_and_only_the_brands() -> None:
    """The figure with links hidden means what it says."""
    rows = [row(str(n), n, "acme" if n % 2 else "ann", str(n - 1) if n else None) for n in range(200)]
    fewer, hidden = hide_parents(rows, 1)
    assert len(hidden) == 10
    assert {r["id"] for r, told in zip(rows, fewer, strict=True) if r != told} == hidden
    assert all(int(id) % 2 for id in hidden)


def test_without_the_data_the_benchmark_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has only the project gets a word about what is missing, not an error."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert [*real_threads()] == [f"{name}: skipped" for name in SETS]


@pytest.mark.parametrize("name", SETS)
def test_first_responses_of_real_threads_are_those_of_their_links(name: str, tmp_path: Path) -> None:
    """In whatever order real threads come in, the answers are credited to whom they were given."""
    path = data_file(name)
    if path is None:
        # The data is no part of the project: its absence is no failure, not even under REQUIRE_ALL.
        pytest.skip(f"threads-{name}.jsonl.gz is not beside the project; set {DATA_VARIABLE} to its folder")
    rows = read_rows(path)
    config = tmp_path / "monitor.toml"
    config.write_text(config_text(rows), "utf-8")
    in_order = replay_here(rows, config, tmp_path / "order.db")
    compared = compare(rows, in_order)
    assert compared.agreement_percent >= AGREEMENT_PERCENT_MIN, [d.case for d in compared.first_differ]
    assert compared.judged_differ == 0, "they differ beyond the judge's word on who waits"
    mixed = replay_here(shuffled(rows, 1), config, tmp_path / "shuffled.db")
    assert mixed == in_order
