"""What strangers write goes through the whole house, and does nothing in any place where people read it."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import structlog
from prometheus_client import CollectorRegistry

from monitor.logs import set_up
from monitor.metrics import StoreCollector
from monitor.store.store import read_store
from monitor.web.app import WebState, make_app
from rules.message import Author
from simulator.serve import Served
from tests.contract.test_hostile_texts import Tags, look_at_blocks
from tests.faults.build import Street, street
from tests.faults.test_worker_faults import working
from tests.monitor.build import brand, customer
from tests.monitor.test_daemon import wait_for

POSTS = (
    "@acme <!channel> <@U012AB3CD> <https://evil.example|your bank> still not here!",
    "@acme <script>alert(1)</script><img src=x onerror=alert(1)> still not here!",
    "@acme still not here!\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<x@y.example>\r\n",
    "@acme \x1b[31mstill\x1b[0m \x1b]0;title\x07 not \u202ehere!\u202c [bold]now[/bold]\nforged line",
    "=cmd|' /C calc'!A1 @acme still not here!",
    "+1 @acme still not here!",
    "-2 @acme still not here!",
    "\t=1 @acme still not here!",
)
HANDLES = ("<!channel>", "<b>eve</b>", "eve\r\nBcc: v@example.com", "\x1b[31meve\u202e", "=cmd|' /C calc'!A1")
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_fault_22_a_hostile_post_is_mere_text_wherever_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopwatch: Callable[[], float]
) -> None:
    """Calls, HTML, line breaks, escape sequences and formulas, in posts and in names: Slack calls nobody, the
    mail has no header and no tag of theirs, the terminal keeps its colours, the spreadsheet computes nothing,
    no line of the log is forged and the page shows nothing of it."""
    with street(tmp_path, "\n[storms]\nenabled = false\n") as town:
        for number, text in enumerate(POSTS):
            name = HANDLES[number % len(HANDLES)]
            town.take(customer(str(number), 0, text, author=Author(f"c{number}", name, name=name)))
        town.go_to(16)
        log = _tell_all(town, monkeypatch, stopwatch)
        _look_at_slack(town)
        _look_at_mail(town)
        _look_at_terminal(town)
        _look_at_spreadsheets(town, tmp_path)
        _look_at_log(log)
        _look_at_page(town)


def _tell_all(town: Street, monkeypatch: pytest.MonkeyPatch, stopwatch: Callable[[], float]) -> str:
    """Let the workers say it all, and that each was answered. Returns the log."""
    before, stream = structlog.get_config(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up("json", "info", list)
    try:
        with working(town) as look:
            look()
            count = len(POSTS)
            wait_for(lambda: town.ended("care") == {"delivered": count}, stopwatch, "Slack was not told")
            wait_for(lambda: town.ended("mail") == {"delivered": count}, stopwatch, "the mail was not told")
            town.go_to(17)
            town.take(*(brand(f"r{n}", 16.5, str(n), text=text) for n, text in enumerate(POSTS)))
            look()
            wait_for(lambda: town.ended("care") == {"delivered": 2 * count}, stopwatch, "no all-clear")
            wait_for(lambda: town.ended("mail") == {"delivered": 2 * count}, stopwatch, "no all-clear")
    finally:
        structlog.configure(**before)
    return stream.getvalue()


def _look_at_slack(town: Street) -> None:
    assert len(town.slack.posts) == len(POSTS)
    for post in town.slack.posts:
        for shown in (post.text, *post.history):
            assert not re.search("[<>]", shown) and not DANGEROUS.search(shown)
        look_at_blocks(post.blocks)
    assert "your bank" in json.dumps([post.blocks for post in town.slack.posts])


def _look_at_mail(town: Street) -> None:
    assert len(town.mail.mails) == 2 * len(POSTS)
    for mail in town.mail.mails:
        assert mail.recipients == ("ops@acme.example",)
        assert mail.message["Bcc"] is None and not mail.message.defects
        assert not DANGEROUS.search(str(mail.message["Subject"]) + mail.part("plain") + mail.part("html"))
        html = Tags()
        html.feed(mail.part("html"))
        assert {tag for tag, _ in html.found}.isdisjoint({"script", "img", "b"})
        assert not any("evil.example" in link for link in html.links)


def _look_at_terminal(town: Street) -> None:
    commands = [
        ("queue",),
        ("status",),
        ("alerts", "list"),
        ("alerts", "show", "1"),
        ("case", "3"),
        ("case", "4"),
    ]
    for words in commands:
        assert not DANGEROUS.search(town.run(*words)), words
    assert "[bold]now[/bold]" in town.run("case", "3")


def _look_at_spreadsheets(town: Street, folder: Path) -> None:
    for what in ("messages", "cases"):
        path = folder / f"{what}.csv"
        town.run("export", what, "--format", "csv", "--out", str(path), timeless=True)
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in list(csv.reader(file))[1:] for cell in row]
        assert len(cells) > len(POSTS)
        assert not [
            c for c in cells if c.startswith(("=", "+", "@", "\t", "\r")) or re.match(r"-(?!\d+$)", c)
        ]
    assert "'=cmd" in (folder / "messages.csv").read_text("utf-8")


def _look_at_log(log: str) -> None:
    lines = [json.loads(line) for line in log.splitlines()]
    assert sum(line["event"] == "alert delivered" for line in lines) == 4 * len(POSTS)
    assert not DANGEROUS.search(log) and "forged line" not in log and "still" not in log


def _look_at_page(town: Street) -> None:
    registry = CollectorRegistry()
    registry.register(StoreCollector(lambda: read_store(town.home.path), town.clock.now))
    with Served(make_app(registry, WebState(list))) as web:
        for path in ("/", "/metrics", "/readyz"):
            answer = httpx.get(web.url + path, trust_env=False)
            assert answer.status_code == 200
            assert not re.search("<script|<b>eve|<!channel|calc|still not", answer.text)
