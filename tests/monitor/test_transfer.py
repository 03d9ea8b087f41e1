"""Replay and export: messages in and out as files, and nobody woken by the past."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from monitor.store.codec import case_to_json
from monitor.transfer import export_rows, open_lines, replay, write_csv, write_jsonl
from rules.message_json import message_from_json, message_to_json
from tests.monitor.build import House, at, brand, customer, house

SHARED = Path(__file__).resolve().parent.parent.parent.parent / "shared"
MESSAGES = [
    customer("1", 0),
    brand("2", 11, "1"),
    customer("3", 1, who="ben", conversation="3"),
    customer("4", 2, who="ben", conversation="3", parent="3", handles=()),
]


def lines(*rows: Any) -> io.BytesIO:
    return io.BytesIO(b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows))


def take(home: House, *rows: Any, **more: Any) -> Any:
    return replay(home.store, home.policy, lines(*rows), at(100), **more)


def test_what_was_exported_comes_back_as_the_same_cases(tmp_path: Path) -> None:
    """Export and replay into a new store lose nothing that a case is made of."""
    one, two = house(tmp_path / "one"), house(tmp_path / "two")
    take(one, *map(message_to_json, MESSAGES))
    out = io.StringIO()
    assert write_jsonl(export_rows(one.store, "messages", at(100)), out) == 4
    done = take(two, *(json.loads(line) for line in out.getvalue().splitlines()))
    assert (done.new, done.bad) == (4, 0)
    assert [case_to_json(c) for c in two.cases()] == [case_to_json(c) for c in one.cases()]
    assert take(two, *map(message_to_json, MESSAGES)).new == 0


def test_a_replay_alerts_nobody_ever(tmp_path: Path) -> None:
    """Years of history, then the daemon runs on the same store: silence."""
    home = house(tmp_path)
    take(home, *map(message_to_json, MESSAGES))
    assert all(c.historic and c.quiet for c in home.cases())
    for minute in (101, 200, 10_000):
        home.store.cases.look_at_waiting(at(minute))
        assert home.watch(minute).said == 0


def test_with_alerts_it_tells_what_would_have_been_said_and_when(tmp_path: Path) -> None:
    """Pretended time walks through the messages: the same steps, nothing sent."""
    home = house(tmp_path)
    done = take(home, *map(message_to_json, MESSAGES), with_alerts=True)
    rows = home.store.connection.execute(
        "SELECT message, stage, state, (moment - ?) / 60000000.0 FROM outbox ORDER BY pk",
        (int(at(0).timestamp() * 1e6),),
    ).fetchall()
    assert rows == [
        ("1", "warning", "shadow", 7.5),
        ("3", "warning", "shadow", 8.5),
        ("1", "cleared", "shadow", 11.0),
        ("3", "warning", "shadow", 13.0),
        ("3", "breach", "shadow", 16.0),
    ]
    assert done.alerts == len(rows)


GOOD = message_to_json(MESSAGES[0])


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"not json", "not a line of JSON"),
        (b"[1, 2]", "expected a JSON object"),
        (b"[" * 50_000, "not a line of JSON"),
        (b'{"a": "' + b"x" * 1_100_000 + b'"}', "longer than"),
        ({**GOOD, "texxt": "x"}, "texxt: unknown key"),
        ({k: v for k, v in GOOD.items() if k != "text"}, "text: missing"),
        ({**GOOD, "created_at": "2026-03-04T12:00:00"}, "expected a time zone"),
        ({**GOOD, "created_at": "yesterday"}, "expected a time such as"),
        ({**GOOD, "kind": "tweet"}, "kind: expected one of"),
        ({**GOOD, "author": {"id": "1", "age": 3}}, "author.age: unknown key"),
        ({**GOOD, "reach": -1}, "reach: expected a whole number"),
        ({**GOOD, "public": "yes"}, "public: expected bool"),
        ({**GOOD, "id": ""}, "id: expected some text"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_skipped(tmp_path: Path, row: Any, told: str) -> None:
    """One typing error in a million lines costs one line, and says which."""
    home = house(tmp_path)
    done = take(home, GOOD, row, {**GOOD, "id": "9"})
    assert (done.new, done.bad) == (2, 1)
    assert done.problems is not None
    ((number, problem),) = done.problems
    assert number == 2 and told in problem


def test_packed_files_and_standard_input_are_read_alike(tmp_path: Path) -> None:
    """gzip is noticed by its first bytes, wherever it comes from."""
    packed = gzip.compress(lines(GOOD).read())
    (tmp_path / "m.jsonl.gz").write_bytes(packed)
    for path, stdin in ((str(tmp_path / "m.jsonl.gz"), b""), ("-", packed), ("-", lines(GOOD).read())):
        with open_lines(path, io.BytesIO(stdin)) as (stream, _size):
            assert json.loads(stream.readline()) == GOOD


def test_cells_cannot_run_in_a_spreadsheet(tmp_path: Path) -> None:
    """`=cmd` in a post is text in CSV too."""
    home = house(tmp_path)
    home.take(1, customer("1", 0, text="=HYPERLINK(1)"), customer("2", 0, text="@acme +1"))
    out = io.StringIO()
    write_csv(export_rows(home.store, "messages", at(1)), out)
    assert "'=HYPERLINK(1)" in out.getvalue() and "'@acme +1" in out.getvalue()


def test_a_case_row_has_what_the_docs_promise(tmp_path: Path) -> None:
    """Programs that read the export can rely on these keys."""
    home = house(tmp_path)
    home.take(20, *MESSAGES)
    rows = list(export_rows(home.store, "cases", at(30)))
    assert rows[0]["first_response_seconds"] == 660 and rows[0]["breached_at"] is None
    assert rows[1]["status"] == "waiting" and rows[1]["breached_at"] == rows[1]["due_at"]
    wanted = (
        "id connector account conversation customer_id opened_at first_message_id first_response_message_id"
        " first_response_at first_response_seconds first_any_reply_at status complaint priority target due_at"
        " breached_at"
    ).split()
    assert set(wanted) <= set(rows[0])


def test_exported_messages_keep_the_published_schema(tmp_path: Path) -> None:
    """What we write is what others may read."""
    path = SHARED / "message.schema.json"
    if not path.exists():
        pytest.skip("the published schema is not beside the project")
    import jsonschema

    schema = json.loads(path.read_text("utf-8"))
    home = house(tmp_path)
    home.take(20, *MESSAGES)
    for row in export_rows(home.store, "messages", at(30)):
        jsonschema.validate(row, schema)
        assert message_to_json(message_from_json(row)) == row


def test_real_threads_come_out_with_their_own_answers(tmp_path: Path) -> None:
    """Some 500 real conversations of one customer each, all answered: every customer, nearly every answer."""
    path = SHARED / "data" / "threads-care.jsonl.gz"
    if not path.exists():
        pytest.skip("the real threads are not beside the project")
    home = house(tmp_path)
    with open_lines(str(path), io.BytesIO()) as (stream, _size):
        done = replay(home.store, home.policy, stream, at(0))
    assert (done.taken, done.bad) == (done.lines, 0)
    cases = home.cases()
    places = {(c.place.brand, c.place.conversation, c.place.customer) for c in cases}
    with gzip.open(path) as raw:
        assert len(places) == len({json.loads(line)["conversation"] for line in raw}) > 500
    answered = {
        (c.place.brand, c.place.conversation, c.place.customer) for c in cases if c.first_response is not None
    }
    assert len(answered) / len(places) >= 0.99
