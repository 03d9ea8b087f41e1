"""Faults of the machine below us: a full disk, a killed process, a clock that jumps, a long sleep."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from connectors.contract import Page
from monitor.clock import Clock
from monitor.core import Core
from monitor.ingest import Arrival, ingest
from monitor.poll import StreamRef, prepare
from monitor.store.database import StoreFull
from monitor.store.store import open_store
from monitor.watch import Watched, watch_once
from tests.monitor.build import MENTIONS, House, at, brand, customer, house, policy

REF = StreamRef("acme", "x", "acme", MENTIONS)


def arrival(home: House, number: int, minute: float) -> Arrival:
    """A page of twenty customers."""
    row = prepare(home.store, REF, at(0))
    messages = tuple(customer(f"{number}-{n}", minute, who=f"c{number}-{n}") for n in range(20))
    return Arrival("acme", "x", "acme", "m", Page(messages, {"v": 1, "page": number}), stream=row)


def test_a_full_disk_keeps_the_cursor_and_heals_by_itself(tmp_path: Path) -> None:
    """FAULTS 2: nothing of the page is kept, the cursor stays, and with space it goes on."""
    home = house(tmp_path)
    ingest(home.store, home.policy, arrival(home, 0, 1), at(2))
    pages = home.store.connection.execute("PRAGMA page_count").fetchone()[0]
    home.store.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    with pytest.raises(StoreFull, match="free some space"):
        for number in range(1, 50):
            ingest(home.store, home.policy, arrival(home, number, 1), at(2))
    cursor = prepare(home.store, REF, at(3)).cursor
    assert cursor is not None
    count = home.store.connection.execute("SELECT count(*) FROM messages").fetchone()[0]
    assert count == 20 * (cursor["page"] + 1)
    home.store.connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    taken = ingest(home.store, home.policy, arrival(home, cursor["page"] + 1, 1), at(4))
    assert taken.new == 20


def test_a_full_disk_is_no_heartbeat_and_the_alerts_come_when_there_is_space(tmp_path: Path) -> None:
    """FAULTS 2: while what is owed cannot be written down the deadline loop does not beat (so that /readyz
    says 503, the watchdog bites and Prometheus tells of a stalled loop); with space all are told of."""
    home = house(tmp_path)
    home.take(1, *(customer(str(n), 0, who=f"c{n}") for n in range(200)))
    beats: list[int] = []
    looks: list[Watched] = []

    def look() -> None:
        core = Core(home.store, home.policy, Standing(), looks.append, lambda: beats.append(1))
        core.stop()
        core.run()

    pages = home.store.connection.execute("PRAGMA page_count").fetchone()[0]
    home.store.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    look()
    assert (beats, looks) == ([], [])
    assert home.store.connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    home.store.connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    look()
    assert beats and looks[0].said == 200


class Standing(Clock):
    """It is sixteen minutes past noon."""

    def now(self) -> datetime:
        return at(16)


def test_an_error_of_the_disk_leaves_the_page_unacknowledged(tmp_path: Path) -> None:
    """FAULTS 3: the disk fails in the middle of a page (the kernel refuses the write, which SQLite knows as
    an I/O error): nothing of it is kept, the cursor stays, and the same page comes again and is whole."""
    home = house(tmp_path)
    ingest(home.store, home.policy, arrival(home, 0, 1), at(2))
    page = arrival(home, 1, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    written = max(file.stat().st_size for file in tmp_path.glob("monitor.db*"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (written + 4096, hard))
    try:
        with pytest.raises(StoreFull, match="disk I/O error"):
            ingest(home.store, home.policy, page, at(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert prepare(home.store, REF, at(3)).cursor == {"v": 1, "page": 0}
    assert home.store.connection.execute("SELECT count(*) FROM messages").fetchone() == (20,)
    assert home.store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert ingest(home.store, home.policy, arrival(home, 1, 1), at(4)).new == 20


KILLED = """
import sys
from pathlib import Path
from monitor.failpoints import from_environment
from monitor.ingest import ingest
from monitor.store.store import open_store
from tests.faults.test_store_faults import arrival
from tests.monitor.build import House, at, policy
path = Path(sys.argv[1])
home = House(open_store(path, from_environment()), policy(), path)
for number in range(10):
    ingest(home.store, home.policy, arrival(home, number, 1), at(2))
"""


@pytest.mark.parametrize(("point", "kept"), [("ingest.before_commit", 2), ("ingest.after_commit", 3)])
def test_kill_nine_around_a_commit_keeps_page_and_cursor_together(
    tmp_path: Path, point: str, kept: int
) -> None:
    """FAULTS 1: the third page is there with its cursor, or neither is."""
    path = tmp_path / "m.db"
    environment = {**os.environ, "RESPONSE_MONITOR_FAILPOINT": f"{point}:3"}
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)], env=environment, cwd=root, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    store = open_store(path)
    row = prepare(store, REF, at(3))
    assert row.cursor == {"v": 1, "page": kept - 1}
    assert store.connection.execute("SELECT count(*) FROM messages").fetchone() == (20 * kept,)
    assert store.connection.execute("SELECT count(*) FROM cases").fetchone() == (20 * kept,)


def test_a_clock_that_jumps_says_each_breach_once(tmp_path: Path) -> None:
    """FAULTS 7 and 8: ten minutes on, an hour back, an hour on again."""
    home = house(tmp_path)
    home.take(1, customer("1", 0))
    for minute in (2, 16, -44, -40, 17, 18):
        home.store.cases.look_at_waiting(at(minute))
        watch_once(home.store, home.policy, at(minute))
    said = home.store.connection.execute("SELECT stage, count(*) FROM outbox GROUP BY stage").fetchall()
    assert said == [("breach", 1)]
    home.take(21, brand("2", 20, "1"))
    (case,) = home.cases()
    assert case.first_response_seconds == 1200


def test_after_an_hours_sleep_every_case_says_one_thing(tmp_path: Path) -> None:
    """FAULTS 9: overdue cases are told at once, each once, and warnings of the past are not."""
    home = house(tmp_path)
    home.take(1, *(customer(str(n), n / 60, who=f"c{n}") for n in range(30)))
    watched = watch_once(home.store, home.policy, at(70))
    assert watched.said == 30
    assert home.store.connection.execute("SELECT DISTINCT stage FROM outbox").fetchall() == [("breach",)]
    assert watch_once(home.store, policy(), at(71)).said == 0
