"""The commands, as somebody types them: what they print, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monitor.cli import app
from monitor.store.store import open_store
from rules.message import Kind
from rules.message_json import message_to_json
from tests.monitor.build import at, brand, customer

CONFIG = """
[brands.acme]
keywords = ["acme"]

[brands.acme.x]
handle = "acme"
bearer_token = { env = "ACME_X_BEARER" }

[calendars.office]
time_zone = "Europe/Berlin"
hours = { mon-fri = ["09:00-12:30", "13:30-18:00"] }
closed = ["2026-03-05"]

[[targets]]
name = "german"
language = "de"
first_response = "5m"
calendar = "office"

[[targets]]
name = "public"
public = true
first_response = "15m"
needs_reply = "any"

[[targets]]
name = "dm"
first_response = "30m"
needs_reply = "any"

[channels.mail]
type = "smtp"
host = "127.0.0.1"
port = 9
security = "none"
sender = "monitor@acme.example"
recipients = ["care@acme.example"]
"""
NOW = ("--pretended-time", f"1e-12@{at(20).isoformat()}@0")  # a clock that all but stands still


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config, and a store with three customers: one waits, one hostile one, one was answered."""
    path = tmp_path / "monitor.toml"
    path.write_text(CONFIG, "utf-8")
    rows = [
        customer("1", 0),
        customer("2", 1, who="ben", text="@acme \x1b[31mred\x1b[0m [bold]bold[/bold] \u202eevil"),
        customer("3", 2, who="cleo", kind=Kind.DM, public=False, text="@acme my card is 4111"),
        brand("4", 9, "1"),
    ]
    rows = [replace(m, seen_at=m.created_at) for m in rows]
    lines = tmp_path / "m.jsonl"
    lines.write_text("".join(json.dumps(message_to_json(m)) + "\n" for m in rows), "utf-8")
    assert run("replay", str(lines), "-c", str(path)).exit_code == 0
    wake_up(tmp_path / "state" / "monitor.db")
    return path


def wake_up(path: Path) -> None:
    """Imported cases are the past; here they are to be today's."""
    store = open_store(path)
    with store.transaction("test"):
        store.connection.execute("UPDATE messages SET quiet_before = NULL")
    store.close()
    assert run("rebuild", "-c", str(path.parent.parent / "monitor.toml")).exit_code == 0


def run(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, list(words))


def test_without_a_config_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer's first error is a helpful one, and is told from a failure by its exit code."""
    monkeypatch.chdir(tmp_path)
    done = run("status")
    assert done.exit_code == 2 and "response-monitor init" in done.output


def test_init_writes_a_config_once(tmp_path: Path) -> None:
    """What was edited is not overwritten unless asked for."""
    path = tmp_path / "monitor.toml"
    assert run("init", str(path)).exit_code == 0
    assert run("init", str(path)).exit_code == 2
    assert run("init", str(path), "--force").exit_code == 0
    assert "[brands." in path.read_text("utf-8")


def test_a_bad_config_is_told_whole(tmp_path: Path) -> None:
    """All problems at once, each with its place, and exit code 2."""
    path = tmp_path / "monitor.toml"
    path.write_text(CONFIG.replace('"15m"', "15").replace("port = 9", 'port = "nine"'), "utf-8")
    done = run("status", "-c", str(path))
    assert done.exit_code == 2
    assert "first_response" in done.output and "port" in done.output and f"{path}:" in done.output


def test_check_names_the_missing_secret(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that is not set is named; with it, the offline check passes."""
    monkeypatch.delenv("ACME_X_BEARER", raising=False)
    missing = run("check", "--offline", "-c", str(config), "--json")
    assert missing.exit_code == 1 and "ACME_X_BEARER" in missing.output
    monkeypatch.setenv("ACME_X_BEARER", "hunter2hunter2")
    fine = run("check", "--offline", "-c", str(config), "--json")
    assert fine.exit_code == 0 and "hunter2" not in fine.output


def test_check_tells_who_cannot_be_reached(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead mail server is a failed check, in words."""
    monkeypatch.setenv("ACME_X_BEARER", "hunter2hunter2")
    text = config.read_text("utf-8").replace(
        'handle = "acme"', 'handle = "acme"\napi_url = "http://127.0.0.1:9"'
    )
    config.write_text(text, "utf-8")
    done = run("check", "-c", str(config), "--json")
    assert done.exit_code == 1
    failed = {row["what"] for row in json.loads(done.output) if row["result"] == "FAILED"}
    assert failed == {"acme/x/acme", "channel mail"}


def test_the_queue_shows_who_waits_and_hides_what_is_private(config: Path) -> None:
    """The most urgent first, in a table and as JSON; a DM's text stays hidden."""
    rows = json.loads(run("queue", "-c", str(config), "--json", *NOW).output)
    assert [row["who"] for row in rows] == ["ben", "cleo"]
    assert rows[1]["text"] == "(private)"
    plain = run("queue", "-c", str(config), *NOW)
    assert "ben" in plain.output and "4111" not in plain.output


def test_hostile_text_is_inert_on_a_terminal(config: Path) -> None:
    """No escape sequence, no markup, no direction override reaches the terminal."""
    for words in (("queue",), ("case", "2")):
        output = run(*words, "-c", str(config), *NOW).output
        assert "\x1b" not in output and "\u202e" not in output
        assert "[bold]" in output


def test_status_counts_the_unanswered(config: Path) -> None:
    """The honest number, for people and programs."""
    found = json.loads(run("status", "-c", str(config), "--json", *NOW).output)
    assert (found["unanswered"], found["overdue"]) == (2, 1)
    assert "2 unanswered" in run("status", "-c", str(config), *NOW).output


def test_a_case_tells_its_whole_story(config: Path) -> None:
    """Every message, clock, target and reason; by its id or any message's."""
    story = json.loads(run("case", "acme/x/1", "-c", str(config), "--json", *NOW).output)
    assert story["first_response_seconds"] == 540 and story["outcome"] == "answered after 9 min by @acmehelp"
    assert [m["id"] for m in story["conversation_messages"]] == ["1", "4"]
    assert story["targets"] == ["german: no, language is not known, not de", "public: yes"]
    assert run("case", "1", "-c", str(config), *NOW).exit_code == 0
    unknown = run("case", "nobody", "-c", str(config), *NOW)
    assert unknown.exit_code == 1 and "response-monitor queue" in unknown.output


def test_explain_says_which_target_matched_and_why_the_others_did_not(config: Path) -> None:
    """For each clock: every target from the top, with the reason, down to the one that holds."""
    (clock,) = json.loads(run("explain", "acme/x/2", "-c", str(config), *NOW, "--json").stdout)
    assert (clock["clock"], clock["target"], clock["promise"]) == ("first_response", "public", "15 min")
    assert clock["due_at"] == "2026-03-04T12:16:00Z"
    assert clock["reasons"][0].startswith("german: no, language is ")
    assert clock["reasons"][1] == "public: yes"
    shown = run("explain", "3", "-c", str(config), *NOW).stdout
    assert "public: no, public is false, not true" in shown and "dm: yes" in shown


def test_check_prints_next_weeks_opening_hours(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in a calendar can be seen before it costs anybody anything."""
    monkeypatch.setenv("ACME_X_BEARER", "made-up")
    shown = run("check", "-c", str(config), "--offline", "--json").stdout
    lines = [row["detail"] for row in json.loads(shown) if row["what"] == "calendar office (Europe/Berlin)"]
    assert len(lines) == 7
    assert sum("09:00-12:30, 13:30-18:00" in line for line in lines) == 5
    assert sum(line.endswith("closed") for line in lines) == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("ack", "2"), "waiting"),
        (("resolve", "2"), "resolved"),
        (("ignore", "2"), "ignored"),
        (("answered", "2", "--how", "by phone"), "answered elsewhere"),
        (("snooze", "2", "1h"), "waiting"),
        (("assign", "2", "ben"), "waiting"),
        (("not-complaint", "2"), "waiting"),
    ],
)
def test_an_operators_word_is_kept_with_who_said_it(
    config: Path, words: tuple[str, ...], status: str
) -> None:
    """Each word acts at once and stands in the case's story."""
    done = run(*words, "--by", "olga", "-c", str(config), *NOW)
    assert (done.exit_code, done.output.strip()) == (0, f"acme/x/2: {status}")
    story = json.loads(run("case", "2", "-c", str(config), "--json", *NOW).output)
    assert [(a["who"], a["word"]) for a in story["said_by_operators"]] == [
        ("olga", words[0].replace("-", "_"))
    ]


def test_a_bad_duration_is_a_usage_error(config: Path) -> None:
    """`snooze 2 15` could be seconds or minutes: it asks for a unit."""
    done = run("snooze", "2", "15", "-c", str(config), *NOW)
    assert done.exit_code == 2 and "15m" in done.output


def test_mute_takes_an_author_or_a_phrase(config: Path) -> None:
    """One of the two, for as long as is said."""
    assert run("mute", "--author", "@ben", "--for", "2d", "-c", str(config), *NOW).exit_code == 0
    assert run("mute", "--phrase", "boycott acme", "-c", str(config), *NOW).exit_code == 0
    assert run("mute", "-c", str(config), *NOW).exit_code == 2
    muted = json.loads(run("status", "--json", "-c", str(config), *NOW).stdout)["muted"]
    assert [(m["what"], m["is"]) for m in muted] == [("author", "@ben"), ("phrase", "boycott acme")]
    assert run("unmute", "--author", "BEN", "-c", str(config), *NOW).exit_code == 0
    again = run("unmute", "--author", "ben", "-c", str(config), *NOW)
    assert again.exit_code == 1 and "no such author is muted" in again.output
    assert run("unmute", "-c", str(config), *NOW).exit_code == 2


def test_rebuild_changes_nothing_by_itself(config: Path) -> None:
    """The cases are what the facts say."""
    assert "0 cases changed" in run("rebuild", "-c", str(config)).output
    assert "0 verdicts changed" in run("rebuild", "--rejudge", "-c", str(config)).output


def test_export_writes_both_kinds_in_both_forms(config: Path, tmp_path: Path) -> None:
    """To standard output or to a file for its owner only."""
    for what in ("cases", "messages"):
        jsonl = run("export", what, "-c", str(config)).output.splitlines()
        assert all("id" in json.loads(line) for line in jsonl) and len(jsonl) >= 3
        out = tmp_path / f"{what}.csv"
        done = run("export", what, "--format", "csv", "--out", str(out), "-c", str(config))
        assert done.exit_code == 0 and out.stat().st_mode & 0o077 == 0
        assert len(out.read_text("utf-8").splitlines()) >= 4
    assert run("export", "people", "-c", str(config)).exit_code == 2


def test_replay_reports_bad_lines_and_goes_on(config: Path, tmp_path: Path) -> None:
    """The count is printed; what was wrong, with its line, goes to standard error."""
    lines = tmp_path / "more.jsonl"
    lines.write_text("{}\n" + json.dumps(message_to_json(customer("9", 3))) + "\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "monitor", "replay", str(lines), "-c", str(config), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads(done.stdout) == {"lines": 2, "messages": 1, "new": 1, "bad": 1, "alerts": 0}
    assert "more.jsonl:1: connector" in done.stderr


def test_run_refuses_to_start_with_what_it_cannot_use(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing secret is exit code 2, so that systemd does not try for ever."""
    monkeypatch.delenv("ACME_X_BEARER", raising=False)
    done = run("run", "-c", str(config))
    assert done.exit_code == 2 and "ACME_X_BEARER" in done.output
