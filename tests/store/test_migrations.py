"""A store of every older version goes on: no figure changes, nothing is said twice, and more is known."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from monitor.act import rebuild
from monitor.store import schema
from monitor.store.store import Store, open_store
from monitor.watch import watch_once
from rules.case import ClockName, Status
from tests.monitor.build import at, policy

FOLDER = Path(__file__).parent / "schemas"
OLD = sorted(FOLDER.glob("*.sql"))


def old_store(script: Path, path: Path) -> sqlite3.Connection:
    """The file as that version left it."""
    connection = sqlite3.connect(path)
    connection.executescript(script.read_text("utf-8"))
    return connection


def first_responses(store: Store) -> dict[str, tuple[str, float | None]]:
    return {
        row.case.id: (str(row.case.status), row.case.first_response_seconds)
        for row in store.cases.everything()
    }


def test_there_is_a_store_of_every_older_schema() -> None:
    """A new migration comes with a file of the version before it, or nobody has tried it."""
    assert [path.stem for path in OLD] == [name.split("_")[0] for name in schema.NAMES[:-1]]


@pytest.mark.parametrize("script", OLD, ids=lambda path: path.stem)
def test_a_migration_and_a_rebuild_keep_every_figure(script: Path, tmp_path: Path) -> None:
    """Response times, endings, counters and what was said are as before, at once and after the rebuild."""
    connection = old_store(script, tmp_path / "m.db")
    bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM cases")]
    figures = "SELECT name, labels, value FROM counters ORDER BY name, labels"
    counted = connection.execute(figures).fetchall()
    said = connection.execute("SELECT key, state FROM outbox ORDER BY pk").fetchall()
    connection.close()
    store = open_store(tmp_path / "m.db")
    before = {
        case["id"]: (
            case["status"],
            (case["first_response"][1] - case["opened_at"]) / 1e6 if "first_response" in case else None,
        )
        for case in bodies
    }
    assert before and first_responses(store) == before
    assert rebuild(store, policy(), at(41))[0] == len(before)
    assert first_responses(store) == before
    assert rebuild(store, policy(), at(41))[1] == 0
    assert store.connection.execute(figures).fetchall() == counted
    watch_once(store, policy(), at(41))
    rows = store.connection.execute("SELECT key, state, stage FROM outbox ORDER BY pk").fetchall()
    assert [row[:2] for row in rows[: len(said)]] == said
    assert {stage for _, _, stage in rows[len(said) :]} <= {"cleared"}  # nothing is claimed twice


def test_the_first_schemas_waits_become_clocks(tmp_path: Path) -> None:
    """What the first version knew of a wait is there before any rebuild; after it the next responses too."""
    old_store(FOLDER / "0001.sql", tmp_path / "m.db").close()
    store = open_store(tmp_path / "m.db")
    cases = {row.case.id: row.case for row in store.cases.everything()}
    late, waiting = cases["acme/x/2"], cases["acme/x/3"]
    assert late.latest.breached_at == at(16)
    assert (waiting.status, waiting.latest.cycle, waiting.waiting_since) == (Status.WAITING, 1, at(21.5))
    assert waiting.due_at == at(36.5)
    assert cases["acme/x/1"].latest.answer_id == "r1"
    rebuild(store, policy(), at(41))
    again = {row.case.id: row.case for row in store.cases.everything()}
    names = [(c.name, c.seconds) for c in again["acme/x/1"].clocks]
    assert names == [(ClockName.FIRST_RESPONSE, 510.0), (ClockName.NEXT_RESPONSE, 180.0)]
