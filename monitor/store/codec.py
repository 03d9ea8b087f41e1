"""How the core's values become columns and come back, exactly."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from rules.case import Action, Case, Clock, ClockName, Place, Reply, Status, Word
from rules.meaning.contract import Priority, Verdict
from rules.message import Kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

_CASE_FIELDS = tuple(f.name for f in fields(Case))
_CASE_TIMES = frozenset(
    {
        "opened_at",
        "last_message_at",
        "asked_at",
        "first_any_reply_at",
        "closes_at",
        "acknowledged_at",
        "snoozed_until",
    }
)
_CASE_ACTIONS = frozenset({"moved", "assigned"})
_CASE_MAY_BE_MISSING = ("customer_handle", "followers", "reach")


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC, exactly. `at` must be aware."""
    return (at - _EPOCH) // _MICROSECOND


def to_us_or_none(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Back to an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def from_us_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def say_json(value: Any) -> str:
    """Compact JSON, the same for the same value."""
    return _encode(value)


def verdict_to_json(verdict: Verdict) -> str:
    return _encode(
        [
            round(verdict.complaint, 6),
            verdict.is_complaint,
            verdict.needs_reply,
            verdict.relevant,
            verdict.priority,
            verdict.topics,
            verdict.language,
            verdict.reasons,
            verdict.judged_by,
        ]
    )


def verdict_from_json(body: str) -> Verdict:
    row = json.loads(body)
    return Verdict(
        row[0], row[1], row[2], row[3], Priority(row[4]), tuple(row[5]), row[6], tuple(row[7]), row[8]
    )


def case_to_json(case: Case) -> str:
    """The whole case, canonical: the same case gives the same text, bit for bit."""
    row: dict[str, Any] = {}
    for name in _CASE_FIELDS:
        value = getattr(case, name)
        if value is None:
            continue
        if name in _CASE_TIMES:
            value = to_us(value)
        elif name == "place":
            value = [value.brand, value.connector, value.conversation, value.customer]
        elif name == "first_response":
            value = [value.message_id, to_us(value.at), value.by, to_us(value.seen_at)]
        elif name == "clocks":
            value = [_clock_to_row(clock) for clock in value]
        elif name == "resolution":
            value = _clock_to_row(value)
        elif name in _CASE_ACTIONS:
            until = to_us_or_none(value.until)
            value = [value.word, value.message_id, value.who, to_us(value.at), until, value.note]
        row[name] = value
    return _encode(row)


def _clock_to_row(clock: Clock) -> list[Any]:
    return [
        clock.name,
        clock.cycle,
        to_us(clock.started_at),
        clock.message_id,
        to_us_or_none(clock.stopped_at),
        clock.stopped_by,
        clock.ending,
        clock.answer_id,
        clock.target,
        clock.target_seconds,
        clock.calendar,
        to_us_or_none(clock.due_at),
        [[share, to_us(at)] for share, at in clock.warnings],
        clock.repeat_seconds,
        clock.repeat_max,
    ]


def _clock_from_row(row: list[Any]) -> Clock:
    return Clock(
        ClockName(row[0]),
        row[1],
        from_us(row[2]),
        row[3],
        from_us_or_none(row[4]),
        row[5],
        None if row[6] is None else Status(row[6]),
        row[7],
        row[8],
        row[9],
        row[10],
        from_us_or_none(row[11]),
        tuple((share, from_us(at)) for share, at in row[12]),
        row[13],
        row[14],
    )


def case_from_json(body: str) -> Case:
    """The case that `case_to_json` wrote."""
    row: dict[str, Any] = dict.fromkeys(_CASE_MAY_BE_MISSING)
    row.update(json.loads(body))
    for name in _CASE_TIMES & row.keys():
        row[name] = from_us(row[name])
    row["place"] = Place(*row["place"])
    row["kind"] = Kind(row["kind"])
    row["status"] = Status(row["status"])
    row["priority"] = Priority(row["priority"])
    row["topics"] = tuple(row["topics"])
    row["reasons"] = tuple(row["reasons"])
    row["clocks"] = tuple(_clock_from_row(clock) for clock in row["clocks"])
    if "resolution" in row:
        row["resolution"] = _clock_from_row(row["resolution"])
    if "first_response" in row:
        message_id, at, by, seen_at = row["first_response"]
        row["first_response"] = Reply(message_id, from_us(at), by, from_us(seen_at))
    for name in _CASE_ACTIONS & row.keys():
        word, message_id, who, at, until, note = row[name]
        row[name] = Action(Word(word), message_id, who, from_us(at), from_us_or_none(until), note)
    return Case(**row)
