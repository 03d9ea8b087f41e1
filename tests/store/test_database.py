"""What the file promises: private, ours, whole, and never half written."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.store import database, schema
from monitor.store.codec import (
    case_from_json,
    case_to_json,
    from_us,
    to_us,
    verdict_from_json,
    verdict_to_json,
)
from monitor.store.database import StoreBusy, StoreError, open_database, open_reader
from monitor.store.store import open_store, read_store
from rules.case import Word
from rules.fold import fold
from rules.meaning.contract import Priority, Verdict
from tests.rules.build import PLACE, POLICY, asks, at, replies, says


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Customers' messages are nobody else's to read, in the write-ahead log neither."""
    store = open_store(tmp_path / "m.db")
    with store.transaction("t"):
        store.make_scope("acme", "x")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes and set(modes.values()) == {0o600}


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    """WAL with synchronous=FULL: NORMAL may lose the last commits."""
    connection = open_database(tmp_path / "m.db").connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A wrong state_folder costs nobody their data."""
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_newer_versions_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Going back a version says what to do instead of guessing."""
    path = tmp_path / "m.db"
    store = open_database(path)
    store.connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, '9999_later', '')",
        (schema.MIGRATION_SET,),
    )
    store.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer version"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_corrupt_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """It may be mended or restored: we do not touch it."""
    path = tmp_path / "m.db"
    path.write_bytes(b"this is no database at all" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="left as it is"):
        open_database(path)
    assert path.read_bytes() == before


def test_a_reader_says_that_there_is_nothing_yet(tmp_path: Path) -> None:
    """`status` before the first start is a clear sentence."""
    with pytest.raises(StoreError, match="no store yet"):
        open_reader(tmp_path / "m.db")


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """A page or a scrape can break nothing."""
    open_store(tmp_path / "m.db").close()
    reader = read_store(tmp_path / "m.db")
    with pytest.raises(sqlite3.OperationalError):
        reader.connection.execute("DELETE FROM messages")


def test_another_writer_is_waited_for_and_then_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command beside the daemon waits a bounded time, and nothing is half done."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    one, two = open_store(tmp_path / "m.db"), open_store(tmp_path / "m.db")
    with one.transaction("long"):
        one.make_scope("acme", "x")
        with pytest.raises(StoreBusy), two.transaction("short"):
            two.make_scope("acme", "y")
    assert two.scopes() == {1: ("acme", "x")}


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    """All or nothing, also what was remembered in memory."""
    store = open_store(tmp_path / "m.db")
    with pytest.raises(ZeroDivisionError), store.transaction("t"):
        store.make_scope("acme", "x")
        raise ZeroDivisionError
    assert store.scope("acme", "x") is None


@given(st.datetimes(timezones=st.just(from_us(0).tzinfo)))
def test_times_come_back_to_the_microsecond(moment: object) -> None:
    """A first response time is exact because its ends are."""
    assert from_us(to_us(moment)) == moment  # type: ignore[arg-type] # a datetime


def test_cases_come_back_as_they_were() -> None:
    """The stored fold is the fold, whatever happened to the case."""
    said = [
        says(Word.ACK, "1", 1),
        says(Word.ASSIGN, "1", 2, note="ben"),
        says(Word.SNOOZE, "1", 3, until=at(9)),
        says(Word.RESOLVE, "4", 3000),
    ]
    parts = [
        asks("1", 0, followers=7, reach=9),
        replies("2", 1, automated=True),
        replies("3", 8),
        asks("4", 2900, author_handle=None, quiet_before=at(2950)),
        asks("5", 9000, deleted_at=at(9001)),
    ]
    cases = fold(PLACE, parts, said, POLICY)
    assert len(cases) == 3
    for case in cases:
        text = case_to_json(case)
        assert case_from_json(text) == case
        assert case_to_json(case_from_json(text)) == text


@given(
    st.builds(
        Verdict,
        st.floats(0, 1).map(lambda f: round(f, 6)),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from(Priority),
        st.lists(st.text(), max_size=3).map(tuple),
        st.none() | st.text(),
        st.lists(st.text(), max_size=3).map(tuple),
        st.text(),
    )
)
def test_verdicts_come_back_as_they_were(verdict: Verdict) -> None:
    """What we thought of a message, and why, is a fact that is kept."""
    assert verdict_from_json(verdict_to_json(verdict)) == verdict
