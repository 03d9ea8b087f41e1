"""Messages and cases in and out as files: `replay` and `export`.

JSONL as in the published message schema, one message a line. What comes in goes through the very same
`ingest` as what is polled.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

from connectors.contract import Page
from monitor.ingest import IMPORTED, Arrival, ingest
from monitor.policy import Policy
from monitor.store.messages import read_messages
from monitor.store.store import Reader, Store
from monitor.watch import watch_once
from rules.case import Case, Clock
from rules.decisions import running_clocks
from rules.message import Message
from rules.message_json import BadMessage, message_from_json, message_to_json, say_time

BATCH = 500
AFTERWARDS = timedelta(days=2)
"""Pretended time goes on for so long after the last message."""

LINE_BYTES_MAX = 1_000_000
PROBLEMS_KEPT_MAX = 1000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that starts so is run as a formula by spreadsheets."""


@dataclass(slots=True)
class Replayed:
    """What a replay came to. `problems` are (line number, what was wrong), the first thousand."""

    lines: int = 0
    taken: int = 0
    new: int = 0
    bad: int = 0
    alerts: int = 0
    problems: list[tuple[int, str]] | None = None


@contextmanager
def open_lines(path: str, stdin: IO[bytes]) -> Iterator[tuple[IO[bytes], int | None]]:
    """A file's lines, "-" for standard input, gzip noticed by its first bytes; with its size, if known."""
    if path == "-":
        yield _unpacked(io.BufferedReader(stdin)), None  # type: ignore[arg-type] # a binary stream
        return
    with Path(path).open("rb") as raw:
        yield _unpacked(raw), Path(path).stat().st_size


def _unpacked(raw: io.BufferedReader) -> IO[bytes]:
    return gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw  # type: ignore[return-value] # reads like one


def replay(
    store: Store,
    policy: Policy,
    lines: IO[bytes],
    now: datetime,
    *,
    with_alerts: bool = False,
    on_line: Callable[[int], None] = lambda _bytes: None,
) -> Replayed:
    """Take messages in from JSONL. A bad line is kept with its number and skipped.

    Without `with_alerts` all of it is the past and alerts nobody. With it, pretended time walks through the
    messages' own times, in their order, the brand's posts counted as seen through it, and what would have
    been said when stands in the outbox, never to be sent.
    """
    done = Replayed(problems=[])
    with store.transaction("replay"):
        if store.policy() is None:  # a file of its own: it is judged by this config from now on
            store.keep_policy(policy.stored, now)
    policy = policy.remembering(store.policies())
    messages = _read(lines, done, on_line)
    if with_alerts:
        _walk(store, policy, sorted(messages, key=lambda m: m.created_at), done)
        return done
    batch: list[Message] = []
    for message in messages:
        batch.append(message)
        if len(batch) == BATCH:
            _take(store, policy, batch, now, IMPORTED, done)
            batch = []
    _take(store, policy, batch, now, IMPORTED, done)
    return done


def _read(lines: IO[bytes], done: Replayed, on_line: Callable[[int], None]) -> Iterator[Message]:
    while line := lines.readline(LINE_BYTES_MAX + 1):
        done.lines += 1
        on_line(len(line))
        if not line.strip():
            continue
        try:
            if len(line) > LINE_BYTES_MAX:
                while line and not line.endswith(b"\n"):
                    line = lines.readline(LINE_BYTES_MAX)
                raise BadMessage(f"longer than {LINE_BYTES_MAX} bytes")
            yield message_from_json(json.loads(line))
        except (ValueError, RecursionError) as error:
            done.bad += 1
            if done.problems is not None and len(done.problems) < PROBLEMS_KEPT_MAX:
                what = str(error) if isinstance(error, BadMessage) else "not a line of JSON"
                done.problems.append((done.lines, what))


def _take(
    store: Store,
    policy: Policy,
    batch: Sequence[Message],
    now: datetime,
    quiet_before: datetime | None,
    done: Replayed,
) -> None:
    groups: dict[tuple[str, str], list[Message]] = {}
    for message in batch:
        groups.setdefault((message.brand, message.connector), []).append(message)
    for (brand, connector), group in groups.items():
        page = Page(messages=tuple(group), cursor={})
        arrival = Arrival(
            brand, connector, group[0].account, f"{group[0].account}/import", page, quiet_before=quiet_before
        )
        taken = ingest(store, policy, arrival, now)
        done.taken += len(group)
        done.new += taken.new


def _walk(store: Store, policy: Policy, messages: Sequence[Message], done: Replayed) -> None:
    """Step through pretended time, from message to message and deadline to deadline."""
    shadowed = policy.as_seen_by_replay()
    again: datetime | None = None
    for message in messages:
        again = _watch_until(store, shadowed, message.created_at, again, done)
        _take(store, shadowed, [message], message.created_at, None, done)
    if messages:
        _watch_until(store, shadowed, messages[-1].created_at + AFTERWARDS, again, done)


def _watch_until(
    store: Store, policy: Policy, until: datetime, again: datetime | None, done: Replayed
) -> datetime | None:
    """Look at every deadline up to then. `again`: when the last look wanted another. Returns that anew."""
    while True:
        due = min((t for t in (store.cases.next_look(), again) if t is not None), default=None)
        if due is None or due > until:
            return again
        watched = watch_once(store, policy, due)
        done.alerts += watched.said
        again = watched.next_look


def case_to_row(case: Case, now: datetime) -> dict[str, Any]:
    """One case, as `export cases` and `--json` write it. A wait that runs is breached if it is past due."""
    first = case.first_response
    held = case.first
    return {
        "id": case.id,
        "connector": case.place.connector,
        "brand": case.place.brand,
        "account": case.account,
        "conversation": case.place.conversation,
        "customer_id": case.place.customer,
        "customer_handle": case.customer_handle,
        "opened_at": say_time(case.opened_at),
        "first_message_id": case.first_message_id,
        "first_response_message_id": first.message_id if first else None,
        "first_response_at": say_time(first.at) if first else None,
        "first_response_seconds": case.first_response_seconds,
        "first_response_by": first.by if first else None,
        "first_any_reply_at": say_time(case.first_any_reply_at),
        "last_message_at": say_time(case.last_message_at),
        "messages": case.inbound_count,
        "status": case.status.value,
        "complaint": case.complaint,
        "complaint_score": case.complaint_score,
        "needs_reply": case.needs_reply,
        "addressed": case.addressed,
        "public": case.public,
        "priority": case.priority.value,
        "topics": list(case.topics),
        "target": held.target,
        "target_seconds": held.target_seconds,
        "calendar": held.calendar,
        "due_at": say_time(held.due_at),
        "breached_at": say_time(_breached_at(held, case, now)),
        "waiting_since": say_time(case.waiting_since),
        "historic": case.historic,
        "assignee": case.assignee,
        "acknowledged_by": case.acknowledged_by,
        "first_resolution_seconds": case.first_resolution_seconds,
        "full_resolution_seconds": case.full_resolution_seconds,
        "closes_at": say_time(case.closes_at),
        "clocks": [clock_to_row(clock, case, now) for clock in case.all_clocks],
    }


def clock_to_row(clock: Clock, case: Case, now: datetime) -> dict[str, Any]:
    """One clock of a case."""
    return {
        "clock": clock.name.value,
        "cycle": clock.cycle,
        "message_id": clock.message_id,
        "started_at": say_time(clock.started_at),
        "stopped_at": say_time(clock.stopped_at),
        "stopped_by": clock.stopped_by,
        "ending": None if clock.ending is None else clock.ending.value,
        "seconds": clock.seconds,
        "answer_message_id": clock.answer_id,
        "target": clock.target,
        "target_seconds": clock.target_seconds,
        "calendar": clock.calendar,
        "due_at": say_time(clock.due_at),
        "breached_at": say_time(_breached_at(clock, case, now)),
    }


def _breached_at(clock: Clock, case: Case, now: datetime) -> datetime | None:
    """When its promise was broken. A wait that runs is breached if it is past due."""
    if clock.due_at is not None and clock.due_at < now and clock in running_clocks(case, now):
        return clock.due_at
    return clock.breached_at


def export_rows(reader: Reader, what: str, now: datetime) -> Iterator[dict[str, Any]]:
    """All cases or all messages, oldest first."""
    if what == "cases":
        return (case_to_row(row.case, now) for row in reader.cases.everything())
    return (message_to_json(m) for m in read_messages(reader.connection))


def write_jsonl(rows: Iterable[Mapping[str, Any]], out: IO[str]) -> int:
    """One JSON object a line. Returns how many."""
    count = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def write_csv(rows: Iterable[Mapping[str, Any]], out: IO[str]) -> int:
    """CSV with a head; nested values as JSON; cells that a spreadsheet would run are made text."""
    writer: csv.DictWriter[str] | None = None
    count = 0
    for row in rows:
        count += 1
        if writer is None:
            writer = csv.DictWriter(out, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({k: _cell(v) for k, v in row.items()})
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return "'" + value
    return value
