"""The clocks' speed: folding a conversation, and a replay of many against the bare database.

`python -m benchmarks.folding --profile` prints where a replay's time goes, function by function.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import json
import pstats
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.material import NOON, TEXTS, policy
from monitor.policy import Policy
from monitor.store.store import Store, open_store
from monitor.transfer import BATCH, replay
from rules.case import Action, Part, Place, Word
from rules.fold import fold
from rules.meaning.contract import Verdict
from rules.message import Author, Kind, Message

PLACE = Place("acme", "x", "thread", "7000")
CASE_MESSAGES = 10
CASE_ROUNDS = 2000
LENGTHS = (10, 100, 1_000, 10_000)
MESSAGES_PER_LENGTH = 20_000  # each length is folded so often that it comes to so many messages
LENGTH_ROUNDS = 3
REPLAYED = 100_000
PROFILED = 10_000
SLICE = 5_000
START_SECONDS_APART = 30.0  # how often a conversation starts
REPLIES = (
    "We are sorry, {n}! Which order is it? 1/2",
    "@{who} it left our house today, see the link",
    "Done!",
)
THANKS = "@acme thank you, that helped"
TOP_SHOWN = 30


def _parts(count: int) -> list[Part]:
    """One conversation in which customer and brand take turns, minutes apart, judged by the real judge."""
    brand = policy().brand("acme")
    verdicts = [_verdict(brand.judge(_asked(n), False)) for n in range(len(TEXTS))]
    return [
        Part(
            id=str(10**18 + n),
            inbound=n % 2 == 0,
            created_at=NOON + timedelta(minutes=4 * n),
            seen_at=NOON + timedelta(minutes=4 * n, seconds=20),
            author_handle="customer" if n % 2 == 0 else "acme",
            verdict=verdicts[n % len(verdicts)] if n % 2 == 0 else None,
            addressed=n % 2 == 0,
            account="acme",
        )
        for n in range(count)
    ]


def _verdict(judged: tuple[Verdict, bool]) -> Verdict:
    return judged[0]


def _asked(n: int) -> Message:
    return Message(
        brand="acme",
        connector="x",
        account="acme",
        id=str(n),
        kind=Kind.POST,
        conversation="thread",
        author=Author("7000", "customer"),
        text=TEXTS[n].format(n=n),
        created_at=NOON,
        handles=("acme",),
    )


def _fold_seconds(parts: Sequence[Part], actions: Sequence[Action], rounds: int) -> list[float]:
    rules = policy().brand("acme").fold
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        fold(PLACE, parts, actions, rules)
        seconds.append(time.perf_counter() - began)
    return seconds


def _each_us(parts: Sequence[Part], actions: Sequence[Action]) -> float:
    """Microseconds a message: the least of some rounds, since other programs only ever add to it."""
    rounds = max(LENGTH_ROUNDS, MESSAGES_PER_LENGTH // len(parts))
    return min(_fold_seconds(parts, actions, rounds)) / len(parts) * 1e6


def folding_cases() -> dict[str, Any]:
    """One case of ten messages; and whether the time for a message stays the same in long conversations: plain
    ones, those of which an operator spoke, and those whose customer deleted everything, one by one."""
    case = _parts(CASE_MESSAGES)
    _fold_seconds(case, (), CASE_ROUNDS // 10)
    median = statistics.median(_fold_seconds(case, (), CASE_ROUNDS))
    found: dict[str, Any] = {"a case of 10 messages, median µs (aim ≤ 100)": round(median * 1e6, 1)}
    whole = _parts(LENGTHS[-1])
    end = whole[-1].created_at
    deleted = [replace(p, deleted_at=end + timedelta(seconds=n), inbound=True) for n, p in enumerate(whole)]
    word = Action(Word.ACK, whole[0].id, "ann", whole[0].seen_at)
    said: tuple[Action, ...] = (word,)
    for label, parts, actions in (
        ("", whole, ()),
        (", a word said", whole, said),
        (", all deleted", deleted, ()),
    ):
        each = {length: _each_us(parts[:length], actions) for length in LENGTHS}
        found[f"µs a message in {', '.join(f'{n:,}' for n in LENGTHS)}{label}"] = ", ".join(
            f"{us:.1f}" for us in each.values()
        )
        # Against the cheapest, which is not the shortest: there, what every case costs once weighs most.
        ratio = each[LENGTHS[-1]] / min(each.values())
        found[f"the longest to the cheapest{label} (aim ≤ 2)"] = round(ratio, 2)
    return found


def conversation_rows(number: int, chance: random.Random) -> Iterator[dict[str, Any]]:
    """One thread as an export has it: a customer, at times a second one, and the brand's replies, at times in
    two parts; nearly four messages on average."""
    start = NOON + timedelta(seconds=number * START_SECONDS_APART)
    thread = str(10**18 + number * 100)
    made = 0

    def line(who: str | None, text: str, parent: str | None, at: datetime) -> dict[str, Any]:
        nonlocal made
        made += 1
        author: dict[str, Any] = {"id": "1", "handle": "acme", "name": "Acme", "brand": True}
        if who is not None:
            author = {"id": f"7{who}", "handle": f"customer{who}", "name": f"Customer {who}"}
            author["followers"] = number % 5000
        id = str(int(thread) + made - 1)
        return {
            "connector": "x",
            "brand": "acme",
            "account": "acme",
            "id": id,
            "kind": "post",
            "conversation": thread,
            "parent": parent,
            "author": author,
            "text": text,
            "created_at": at.isoformat().replace("+00:00", "Z"),
            "public": True,
            "language": "en",
            "url": f"https://x.example/{author['handle']}/status/{id}",
            "reach": number % 300,
        }

    customers = [str(number)] if chance.random() < 0.94 else [str(number), f"{number}b"]
    for position, who in enumerate(customers):
        at = start + timedelta(minutes=3 * position)
        asked = line(who, TEXTS[number % len(TEXTS)].format(n=number), None if not position else thread, at)
        yield asked
        for turn in range(4):
            if chance.random() < (0.12 if turn == 0 else 0.25):
                break
            at += timedelta(minutes=chance.lognormvariate(2.9, 1.3))
            reply = line(
                None, REPLIES[turn % len(REPLIES)].format(n=number, who=f"customer{who}"), asked["id"], at
            )
            yield reply
            if chance.random() < 0.1:
                yield line(None, "… and this is the rest of it. 2/2", reply["id"], at + timedelta(seconds=23))
            if chance.random() < 0.45:
                break
            at += timedelta(minutes=chance.lognormvariate(2.9, 1.3))
            asked = line(who, THANKS if turn else TEXTS[(number + 2) % 5].format(n=turn), reply["id"], at)
            yield asked


def exported(count: int) -> list[bytes]:
    """So many lines of JSONL, in the order in which they were written, of many threads at once."""
    chance = random.Random(1)
    rows: list[dict[str, Any]] = []
    number = 0
    while len(rows) < count:
        rows.extend(conversation_rows(number, chance))
        number += 1
    rows.sort(key=lambda row: (datetime.fromisoformat(row["created_at"]), row["id"]))
    return [json.dumps(row).encode() + b"\n" for row in rows[:count]]


def _replay_seconds(store: Store, rules: Policy, lines: Sequence[bytes]) -> float:
    body = io.BytesIO(b"".join(lines))
    began = time.perf_counter()
    done = replay(store, rules, body, NOON + timedelta(days=365))
    seconds = time.perf_counter() - began
    if (done.new, done.bad) != (len(lines), 0):
        raise RuntimeError(f"{done.new} of {len(lines)} lines were taken, {done.bad} were bad")
    return seconds


def _open_bare(path: Path, source: sqlite3.Connection) -> sqlite3.Connection:
    """A database with the same settings, and a table with the same columns and indexes as ours, and no more."""
    bare = sqlite3.connect(path, isolation_level=None)
    for setting in ("journal_mode", "synchronous", "wal_autocheckpoint", "cache_size"):
        value = source.execute(f"PRAGMA {setting}").fetchone()[0]  # a constant
        bare.execute(f"PRAGMA {setting} = {value}").fetchall()
    # The table first, then its indexes; the one of its UNIQUE has no statement of its own.
    for (statement,) in source.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'messages' AND sql IS NOT NULL AND type IN ('table', 'index')"
        " ORDER BY type DESC"
    ):
        bare.execute(statement)
    return bare


def _bare_seconds(bare: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> float:
    """Seconds for raw executemany, committed as often as a replay commits."""
    insert = f"INSERT INTO messages VALUES ({', '.join('?' * len(rows[0]))})"  # noqa: S608 # marks only
    began = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(insert, rows[start : start + BATCH])
        bare.execute("COMMIT")
    return time.perf_counter() - began


def replaying() -> dict[str, Any]:
    """A replay of 100,000 messages ÷ raw executemany of the very rows that it left, and where its time goes.
    Both go in turns, slice by slice, so that whatever else the machine does slows both."""
    rules = policy()
    lines = exported(REPLAYED)
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = open_store(folder / "m.db")
        beside = _open_bare(folder / "bare.db", store.connection)
        ask = store.connection.execute
        for start in range(0, len(lines), SLICE):
            ours.append(_replay_seconds(store, rules, lines[start : start + SLICE]))
            rows = ask("SELECT * FROM messages WHERE pk > ? ORDER BY pk", (start,)).fetchall()
            bare.append(_bare_seconds(beside, rows))
        conversations = ask(
            "SELECT count(*) FROM (SELECT DISTINCT scope, conversation, customer FROM messages)"
        ).fetchone()[0]
        cases = ask("SELECT count(*) FROM cases").fetchone()[0]
        beside.close()
        store.close()
    ratios = [b / o for b, o in zip(bare, ours, strict=True)]
    return {
        "messages, conversations, cases": f"{len(lines):,}, {conversations:,}, {cases:,}",
        "bare messages a second": round(len(lines) / sum(bare)),
        "messages a second": round(len(lines) / sum(ours)),
        "ratio (aim ≥ 0.10)": round(sum(bare) / sum(ours), 3),
        f"ratio, median of {len(ratios)} slices": round(statistics.median(ratios), 3),
        **_shares(_profile(rules, lines[:PROFILED])),
    }


def _profile(rules: Policy, lines: Sequence[bytes]) -> pstats.Stats:
    with tempfile.TemporaryDirectory() as name:
        store = open_store(Path(name) / "m.db")
        profile = cProfile.Profile()
        profile.enable()
        _replay_seconds(store, rules, lines)
        profile.disable()
        store.close()
    return pstats.Stats(profile)


def _shares(profiled: pstats.Stats) -> dict[str, str]:
    """Where the time goes, as shares of the profiled whole; they overlap where one calls another."""
    stats = profiled.stats  # type: ignore[attr-defined] # not in the stubs
    whole = next(v[3] for k, v in stats.items() if k[2] == "_replay_seconds")
    wanted = {
        "parse": ("monitor/transfer.py", ("message_from_json",)),
        "JSON": ("json/__init__.py", ("loads", "dumps")),
        "judge": ("monitor/policy.py", ("judge",)),
        "verdicts to and from JSON": ("store/codec.py", ("verdict_to_json", "verdict_from_json")),
        "place": ("rules/attribution.py", ("attribute",)),
        "fold and keep": ("monitor/folding.py", ("fold_again",)),
        "fold alone": ("rules/fold.py", ("fold_threads",)),
        "read parts": ("store/messages.py", ("parts",)),
        "write cases": ("store/cases.py", ("write",)),
        "insert messages": ("store/messages.py", ("insert",)),
        "database": (
            "~",
            tuple(
                f"<method '{what}' of 'sqlite3.{of}' objects>"
                for what, of in (
                    ("execute", "Connection"),
                    ("executemany", "Connection"),
                    ("fetchall", "Cursor"),
                )
            ),
        ),
    }
    shares = {}
    for label, (file, functions) in wanted.items():
        spent = sum(v[3] for k, v in stats.items() if k[0].endswith(file) and k[2] in functions)
        shares[f"of which {label}"] = f"{100 * spent / whole:.0f} %"
    return shares


def main() -> None:
    """Print the figures; with --profile, the functions that take the time."""
    parser = argparse.ArgumentParser(description="the speed of folding and replaying")
    parser.add_argument("--profile", action="store_true", help="only where a replay's time goes")
    words = parser.parse_args()
    if words.profile:
        profiled = _profile(policy(), exported(PROFILED))
        for order in ("cumulative", "tottime"):
            profiled.sort_stats(order).print_stats(TOP_SHOWN)
        return
    for label, value in {**folding_cases(), **replaying()}.items():
        print(f"{label:<58} {value}")


if __name__ == "__main__":
    main()
