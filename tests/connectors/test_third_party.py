"""A connector out of another package: installed for real, listed, peeked at, harmless when it is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator.serve import Served

ROOT = Path(__file__).parents[2]
TOKEN = "guest-token-1234"
ENTRIES: list[dict[str, Any]] = [
    {
        "seq": n,
        "id": n,
        "author": {"id": f"a{n}", "name": f"Ann {n}"},
        "text": f"Where is my order {n}? \x1b[31m",
        "at": "2026-11-02T11:30:00+00:00",
        "url": f"https://guestbook.example/{n}",
        "answer": {"text": "We look", "at": "2026-11-02T11:40:00+00:00"} if n == 1 else None,
    }
    for n in (1, 2, 3)
]
CONFIG = """
[monitor]
look_back = "36500d"

[brands.acme]
[[brands.acme.guestbook]]
handle = "acme"
token = { env = "GUESTBOOK_TOKEN" }
api_url = "URL"
"""


@contextmanager
def guestbook() -> Iterator[str]:
    """A guestbook with three entries, one of them answered, and one that is broken."""

    def entries(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({}, 401)
        after = int(request.query_params["after"])
        return JSONResponse({"entries": [e for e in [*ENTRIES, {"seq": 4, "id": 4}] if e["seq"] > after]})

    def me(_request: Request) -> Response:
        return JSONResponse({"id": "acme", "name": "Acme"})

    with Served(Starlette(routes=[Route("/entries", entries), Route("/me", me)])) as server:
        yield server.url


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, installed by pip into a folder of its own; nothing is fetched."""
    target = tmp_path_factory.mktemp("site")
    flags = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--target", str(target)]
    words = [sys.executable, "-m", "pip", "install", *flags, str(ROOT / "docs/connectors/template")]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    return target


def run(site: Path, *words: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    """response-monitor with what is installed there."""
    env = {**os.environ, "PYTHONPATH": f"{site}:{ROOT}", "GUESTBOOK_TOKEN": token, "COLUMNS": "200"}
    words = (sys.executable, "-m", "monitor", *words)
    return subprocess.run(words, check=False, capture_output=True, text=True, env=env, timeout=60)


def test_a_package_brings_a_connector(installed: Path, tmp_path: Path) -> None:
    """Installed, it is listed, checked, and shows what it brings, inert on a terminal; nothing is stored."""
    path = tmp_path / "monitor.toml"
    now = ("--pretended-time", "1e-12@2026-11-02T12:00:00+00:00@0")
    with guestbook() as url:
        path.write_text(CONFIG.replace("URL", url), "utf-8")
        listed = json.loads(run(installed, "connectors", "--json").stdout)
        (found,) = (row for row in listed if row["connector"] == "guestbook")
        assert found["streams"] == "entries" and found["own_replies"] == "embedded"
        checked = json.loads(run(installed, "check", "-c", str(path), "--json").stdout)
        said = {row["what"]: row["detail"] for row in checked}
        assert said["acme/guestbook/acme"].startswith("we are @Acme")
        read = said["acme/guestbook/acme entries"]
        assert read.startswith("read 4 messages; the newest is ") and "1 not understood" in read
        shown = run(installed, "connectors", "peek", "guestbook", "-c", str(path), *now)
        assert shown.returncode == 0, shown.stderr
        assert "acme/guestbook/acme entries: 4 messages" in shown.stdout
        assert "Ann 3 (post, 3): Where is my order 3?" in shown.stdout and "\x1b" not in shown.stdout
        assert "not understood: 4: KeyError" in shown.stdout
        words = ("connectors", "peek", "acme/guestbook/acme", "--limit", "2", "--json", "-c", str(path), *now)
        rows = [json.loads(line) for line in run(installed, *words).stdout.splitlines()]
        assert [row["message"]["id"] for row in rows] == ["3", "1:reply"]
        refused = run(installed, "connectors", "peek", "guestbook", "-c", str(path), token="wrong-token")
        assert refused.returncode == 1 and "401" in refused.stdout
    assert run(installed, "connectors", "peek", "nobody", "-c", str(path)).returncode == 2
    assert not (tmp_path / "state" / "monitor.db").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('no')", "cannot be imported: no"),
        ("build = None", "has no Settings, CAPABILITIES"),
    ],
)
def test_a_broken_package_harms_nobody_else(tmp_path: Path, source: str, said: str) -> None:
    """The list goes on without it; a config that names it is told why, with the place in the file."""
    (tmp_path / "broken_one.py").write_text(source, "utf-8")
    folder = tmp_path / "broken_one-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: broken-one\nVersion: 1\n", "utf-8")
    points = "[response_monitor.connectors]\nbroken = broken_one\nx = broken_one\n"
    (folder / "entry_points.txt").write_text(points, "utf-8")
    listed = {row["connector"]: row for row in json.loads(run(tmp_path, "connectors", "--json").stdout)}
    assert said in listed["broken"]["streams"] and "mentions" in listed["x"]["streams"]
    path = tmp_path / "monitor.toml"
    path.write_text('[brands.acme.broken]\nhandle = "acme"\n', "utf-8")
    refused = run(tmp_path, "check", "-c", str(path))
    assert refused.returncode == 2 and said in refused.stderr and "brands.acme.broken" in refused.stderr
