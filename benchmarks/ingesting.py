"""Taking messages in: the whole path against the bare database, and a very long thread."""

from __future__ import annotations

import cProfile
import pstats
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.material import NOON, messages, policy, x_pages
from connectors.contract import Page
from connectors.x.parse import Reader, parse_posts, read_json
from monitor.ingest import Arrival, ingest
from monitor.policy import Policy
from monitor.store.store import Store, open_store

COUNT = 10_000
PAGE = 100
ROUNDS = 3
READER = Reader("acme", "acme", "1", frozenset({"acme"}))


def _bare(folder: Path) -> float:
    """Seconds for raw executemany of the same rows: two indexes, WAL, FULL, a commit a page."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE m (id TEXT, account TEXT, conversation TEXT, author TEXT, handle TEXT, name TEXT,"
        " followers INTEGER, text TEXT, created_at INTEGER, url TEXT, reach INTEGER)"
    )
    connection.execute("CREATE UNIQUE INDEX a ON m (id)")
    connection.execute("CREATE INDEX b ON m (conversation, created_at)")
    rows = [
        (m.id, m.account, m.conversation, m.author.id, m.author.handle, m.author.name, m.author.followers, m.text,
         int(m.created_at.timestamp() * 1e6), m.url, m.reach)
        for m in messages(COUNT)
    ]  # fmt: skip
    began = time.perf_counter()
    for start in range(0, COUNT, PAGE):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO m VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows[start : start + PAGE])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def _take(store: Store, rules: Policy, bodies: list[bytes]) -> float:
    began = time.perf_counter()
    for body in bodies:
        found = parse_posts(read_json(body, "the page"), READER, NOON)
        ingest(store, rules, Arrival("acme", "x", "acme", "bench", Page(tuple(found.messages), {})), NOON)
    return time.perf_counter() - began


def full_path() -> dict[str, Any]:
    """Parse, judge, fold, store and commit ÷ raw executemany of the same rows."""
    rules = policy()
    bodies = list(x_pages(COUNT, PAGE))
    ratios, bare_rate, rate = [], 0.0, 0.0
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            bare = _bare(folder)
            store = open_store(folder / "m.db", checkpoints=True)
            ours = _take(store, rules, bodies)
            store.close()
        ratios.append(bare / ours)
        bare_rate, rate = max(bare_rate, COUNT / bare), max(rate, COUNT / ours)
    return {
        "bare messages a second": round(bare_rate),
        "messages a second": round(rate),
        "ratio (aim ≥ 0.10)": round(sorted(ratios)[ROUNDS // 2], 3),
        **_profile(rules, bodies[:20]),
    }


def _profile(rules: Policy, bodies: list[bytes]) -> dict[str, Any]:
    """Where the time goes, as shares of the profiled whole."""
    with tempfile.TemporaryDirectory() as name:
        store = open_store(Path(name) / "m.db")
        profile = cProfile.Profile()
        profile.enable()
        _take(store, rules, bodies)
        profile.disable()
        store.close()
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined] # not in the stubs
    whole = next(v[3] for k, v in stats.items() if k[2] == "_take")
    wanted = {
        "parse": ("parse.py", "parse_posts"),
        "judge": ("policy.py", "judge"),
        "fold and keep": ("folding.py", "fold_again"),
        "insert": ("messages.py", "insert"),
        "database": ("~", "<method 'execute' of 'sqlite3.Connection' objects>"),
    }
    shares = {}
    for label, (file, function) in wanted.items():
        spent = [v[3] for k, v in stats.items() if k[0].endswith(file) and k[2] == function]
        shares[f"of which {label}"] = f"{100 * max(spent, default=0.0) / whole:.0f} %"
    return shares


def long_thread() -> dict[str, Any]:
    """A public thread of 20,000 comments in pages of 100: the last page ÷ the first."""
    rules = policy()
    made = messages(20_000, conversation="thread")
    with tempfile.TemporaryDirectory() as name:
        store = open_store(Path(name) / "m.db", checkpoints=True)
        seconds = []
        for start in range(0, len(made), PAGE):
            page = Page(tuple(made[start : start + PAGE]), {})
            began = time.perf_counter()
            ingest(store, rules, Arrival("acme", "x", "acme", "bench", page), NOON)
            seconds.append(time.perf_counter() - began)
        store.close()
    first, last = sorted(seconds[:10])[5], sorted(seconds[-10:])[5]
    return {
        "first page, milliseconds": round(first * 1000, 1),
        "last page, milliseconds": round(last * 1000, 1),
        "ratio (aim ≤ 3)": round(last / first, 2),
    }
