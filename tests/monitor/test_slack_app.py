"""A real daemon with a Slack app: people press, and everybody sees at once what became of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from alerts.slack.payloads import COMMAND
from simulator.serve import Served
from simulator.slack_api import APP_TOKEN, SIGNING_SECRET, TOKEN, Post, SlackWorkspace, make_slack_app
from simulator.slack_people import ANA
from simulator.world import Clock as WorldClock
from tests.acceptance.test_soak import ORIGIN, RATE, Soak, answers, asks, prepare
from tests.monitor.test_daemon import free_port, wait_for

SOCKET = 'app_token = { env = "SOAK_APP_TOKEN" }\n'
CALLBACKS = 'signing_secret = { env = "SOAK_SIGNING_SECRET" }\n'
TAKE = "response_monitor.take"
NOT_COMPLAINT = "response_monitor.not_complaint"


@pytest.mark.parametrize("way", [SOCKET, CALLBACKS], ids=["socket", "callbacks"])
def test_a_press_shows_in_the_message_and_the_answer_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopwatch: Callable[[], float], way: str
) -> None:
    """Ana takes a case that is late: its message says so, its thread tells it, and once the brand has
    answered the buttons are gone. Who asks sees who waits; Prometheus sees that we hear."""
    for name, secret in (("TOKEN", TOKEN), ("APP_TOKEN", APP_TOKEN), ("SIGNING_SECRET", SIGNING_SECRET)):
        monkeypatch.setenv(f"SOAK_{name}", secret)
    world = WorldClock(ORIGIN, RATE)
    slack = SlackWorkspace(world, channels=("#care",))
    with Served(make_slack_app(slack)) as served:
        slack.url = served.url
        port = free_port()
        soak = prepare(tmp_path, served.url, world.real, way)
        text = soak.config.read_text("utf-8").replace("enabled = false", f'listen = "127.0.0.1:{port}"', 1)
        soak.config.write_text(text, "utf-8")
        if way is CALLBACKS:
            slack.request_url = f"http://127.0.0.1:{port}/callbacks/care"
        soak.take([asks(0)])
        with _running(soak, f"http://127.0.0.1:{port}/metrics", stopwatch) as metrics:
            _story(slack, soak, metrics, stopwatch)


def _story(
    slack: SlackWorkspace, soak: Soak, metrics: Callable[[], str], stopwatch: Callable[[], float]
) -> None:
    def seen(what: Callable[[], bool], why: str) -> None:
        wait_for(what, stopwatch, why)

    seen(lambda: len(slack.posts) == 1, "the breach was not told")
    first: Post = slack.posts[0]
    seen(lambda: 'channel_listening{channel="care"} 1.0' in metrics(), "nobody listens")
    assert slack.press(first.channel, first.ts, TAKE, ANA.id).acknowledged()
    seen(lambda: "aken by @ana" in first.text, f"the message does not say it: {first.text}")
    seen(lambda: len(slack.posts) == 2, "the thread does not tell it")
    assert slack.posts[1].thread_ts == first.ts and not slack.posts[1].broadcast
    seen(lambda: any("taken by @ana" in whisper.text for whisper in slack.whispers), "Ana is not told")
    assert slack.ask("#care", ANA.id, COMMAND).acknowledged()
    seen(
        lambda: any("@c0" in str(whisper.blocks) for whisper in slack.whispers),
        f"no list of who waits: {slack.whispers}",
    )
    assert 'channel_heard_total{channel="care"} 2.0' in metrics()
    assert slack.press(first.channel, first.ts, NOT_COMPLAINT, ANA.id).acknowledged()
    seen(lambda: "o complaint, says @ana" in first.text, f"the message does not say it: {first.text}")
    soak.take([answers(0, soak.clock.now())])
    seen(lambda: "answered after" in first.text, f"the message does not say it: {first.text}")
    with pytest.raises(LookupError):
        slack.press(first.channel, first.ts, TAKE, ANA.id)


class _running:
    """The daemon's process; inside, a function that reads its metrics."""

    def __init__(self, soak: Soak, url: str, stopwatch: Callable[[], float]) -> None:
        pretended = f"{RATE}@{ORIGIN.isoformat()}@{soak.real}"
        command = [sys.executable, "-m", "monitor", "run", "-c", str(soak.config)]
        self._process = subprocess.Popen([*command, "--pretended-time", pretended], env=dict(os.environ))
        self._url = url
        self._stopwatch = stopwatch

    def __enter__(self) -> Callable[[], str]:
        wait_for(lambda: bool(self._metrics()), self._stopwatch, "the daemon did not start")
        return self._metrics

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        try:
            assert self._process.wait(30) == 0
        finally:
            self._process.kill()

    def _metrics(self) -> str:
        try:
            return httpx.get(self._url, timeout=5, trust_env=False).text
        except httpx.TransportError:
            return ""
