"""The daemon as its host sees it: a process that starts, is scraped, reloads, and stops when told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from monitor.demo import config_text
from simulator.serve import Served
from simulator.town import Town, make_town

WAIT_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """A town where nobody writes."""
    with make_town(seed=1, empty=True) as made:
        yield made


def wait_for(what: Callable[[], bool], stopwatch: Callable[[], float], why: str) -> None:
    """Wait until it is so, for a bounded time."""
    began = stopwatch()
    while not what():
        assert stopwatch() - began < WAIT_SECONDS_MAX, why
        threading.Event().wait(0.05)


class Running:
    """A daemon's process, its log and its web address."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, url: str) -> None:
        self.process, self._log, self.url = process, log, url

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def get(self, path: str) -> httpx.Response | None:
        try:
            return httpx.get(self.url + path, timeout=5, trust_env=False)
        except httpx.TransportError:
            return None

    def is_ready(self) -> bool:
        answer = self.get("/readyz")
        return answer is not None and answer.status_code == 200


def write_config(town: Town, folder: Path, port: int, extra: str = "") -> Path:
    path = folder / "monitor.toml"
    text = config_text(town, folder).replace("enabled = false", f'listen = "127.0.0.1:{port}"')
    path.write_text(text + extra, "utf-8")
    return path


@contextmanager
def running(town: Town, folder: Path, stopwatch: Callable[[], float], extra: str = "") -> Iterator[Running]:
    """The daemon on a free port, ready; killed at the end if it still runs."""
    port = free_port()
    config = write_config(town, folder, port, extra)
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "run", "--config", str(config)],
            env={**os.environ, **town.secrets(), "DEMO_HEARTBEAT": os.environ.get("DEMO_HEARTBEAT", "")},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    found = Running(process, log, f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: found.is_ready() or process.poll() is not None, stopwatch, "it did not start")
        assert process.poll() is None, found.log()
        yield found
    finally:
        process.kill()
        process.wait(10)


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_it_starts_is_scraped_reloads_and_stops(
    town: Town, tmp_path: Path, stopwatch: Callable[[], float]
) -> None:
    """Ready within seconds; metrics of every stream; a bad config leaves the old one in force; a good one is
    taken; SIGTERM ends it with 0."""
    with running(town, tmp_path, stopwatch) as daemon:
        wanted = 'response_monitor_stream_up{account="acme",brand="acme",connector="x",stream="mentions"} 1.0'
        wait_for(lambda: wanted in _metrics(daemon), stopwatch, "the stream was not read")
        through = "response_monitor_stream_complete_through_timestamp_seconds{"
        wait_for(lambda: through in _metrics(daemon), stopwatch, "the stream was not read to its end")
        config = tmp_path / "monitor.toml"
        good = config.read_text("utf-8")
        config.write_text(good + "\n[nonsense]\n", "utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload refused" in daemon.log(), stopwatch, "the bad config was not refused")
        assert 'response_monitor_config_reloads_total{outcome="refused"} 1.0' in _metrics(daemon)
        config.write_text(re.sub(r'env = "\w+"', 'env = "NOT_SET_ANYWHERE"', good, count=1), "utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "NOT_SET_ANYWHERE" in daemon.log(), stopwatch, "the missing credential is not named")
        assert 'response_monitor_config_reloads_total{outcome="refused"} 2.0' in _metrics(daemon)
        config.write_text(good.replace('first_response = "15m"', 'first_response = "10m"'), "utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: '"event": "reloaded"' in daemon.log(), stopwatch, "the good config was not taken")
        assert daemon.is_ready()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(WAIT_SECONDS_MAX) == 0
        assert "stopped" in daemon.log()
        for secret in town.secrets().values():
            assert secret not in daemon.log()


def _metrics(daemon: Running) -> str:
    answer = daemon.get("/metrics")
    return "" if answer is None else answer.text


def test_a_second_daemon_on_the_same_folder_does_not_start(
    town: Town, tmp_path: Path, stopwatch: Callable[[], float]
) -> None:
    """Two would say everything twice: the second says why it will not, and ends with 1."""
    with running(town, tmp_path, stopwatch):
        second = subprocess.run(
            [sys.executable, "-m", "monitor", "run", "--config", str(tmp_path / "monitor.toml")],
            env={**os.environ, **town.secrets()},
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS_MAX,
            check=False,
        )
    assert second.returncode == 1
    assert "another response-monitor runs" in second.stderr


def test_the_heart_beats_while_all_is_well_and_stops_when_a_platform_fails(
    town: Town, tmp_path: Path, stopwatch: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead man's switch: its silence is the alarm, also when only a connector is dead."""
    beats: list[str] = []

    async def beat(request: Request) -> PlainTextResponse:
        beats.append(request.url.path)
        return PlainTextResponse("ok")

    extra = '\n[heartbeat]\nurl = { env = "DEMO_HEARTBEAT" }\nevery = "1s"\n'
    with Served(Starlette(routes=[Route("/ping/secret-uuid", beat)])) as served:
        monkeypatch.setenv("DEMO_HEARTBEAT", f"{served.url}/ping/secret-uuid")
        with running(town, tmp_path, stopwatch, extra) as daemon:
            wait_for(lambda: len(beats) >= 2, stopwatch, "it did not beat")
            assert "secret-uuid" not in daemon.log()
            text = (tmp_path / "monitor.toml").read_text("utf-8")
            (tmp_path / "monitor.toml").write_text(
                text.replace(town.reddit_url, "http://127.0.0.1:9"), "utf-8"
            )
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(
                lambda: "heartbeat withheld" in daemon.log(), stopwatch, "it beats on beside a dead feed"
            )
            assert daemon.is_ready()
