"""What the log promises: one line a thing, readable by machines, and nothing in it that hurts."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from monitor.logs import set_up

SECRET = "hunter2hunter2"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error, and structlog as it was afterwards."""
    before = structlog.get_config()
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up("auto", "info", lambda: [SECRET])
    yield stream
    structlog.configure(**before)


def test_each_line_is_json_where_nobody_watches(lines: io.StringIO) -> None:
    """journald and the like get one JSON object a line, with level and time."""
    structlog.get_logger().info("page taken in", stream="acme/x/acme/mentions", new=3)
    (line,) = lines.getvalue().splitlines()
    row = json.loads(line)
    assert (row["event"], row["new"], row["level"]) == ("page taken in", 3, "info")
    assert row["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_logged(lines: io.StringIO) -> None:
    """log_level = "info" keeps the noise out."""
    structlog.get_logger().debug("noise")
    assert lines.getvalue() == ""


def test_secrets_are_blotted_out_of_values_and_tracebacks(lines: io.StringIO) -> None:
    """Whatever a library puts into its exception, a token is not in the log."""
    log = structlog.get_logger()
    log.warning("poll failed", error=f"bad token {SECRET}")
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("worker failed")
    assert SECRET not in lines.getvalue() and "***" in lines.getvalue()


def test_a_strangers_text_cannot_forge_a_line(lines: io.StringIO) -> None:
    """No line break, no escape sequence, no direction override gets through."""
    structlog.get_logger().info("seen", who="eve\nforged line \x1b[31m\u202e")
    (line,) = lines.getvalue().splitlines()
    who = json.loads(line)["who"]
    assert "\n" not in who and "\x1b" not in who and "\u202e" not in who
