"""What the daemon serves over HTTP, asked over real sockets on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alerts.contract import CallbackAnswer
from monitor.web.app import CALLBACK_BYTES_MAX, SCRAPES_MAX, WebState, make_app
from monitor.web.server import CONNECTIONS_MAX, REQUEST_HEAD_BYTES_MAX, WebError, WebServer


def always_ready() -> list[str]:
    return []


def registry_with_one() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("answer", "What it says.", registry=registry).set(42)
    return registry


@contextmanager
def serving(
    ready: Callable[[], list[str]] = always_ready,
    registry: CollectorRegistry | None = None,
    connection_seconds_max: float = 30.0,
) -> Iterator[WebServer]:
    app = make_app(registry or registry_with_one(), WebState(ready))
    server = WebServer(app, "127.0.0.1", 0, connection_seconds_max)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def url(server: WebServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    """Prometheus gets OpenMetrics, a person's curl gets plain text."""
    with serving() as server:
        plain = httpx.get(url(server, "/metrics"))
        open_metrics = httpx.get(
            url(server, "/metrics"),
            headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"},
        )
    assert plain.status_code == open_metrics.status_code == 200
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "answer 42.0\n" in plain.text
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")


def test_alive_and_ready() -> None:
    """A daemon that is well says so to whoever probes it."""
    with serving() as server:
        alive, ready = httpx.get(url(server, "/healthz")), httpx.get(url(server, "/readyz"))
    assert (alive.status_code, alive.text.strip()) == (200, "ok")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})


def test_not_ready_says_why_and_stays_alive() -> None:
    """A daemon whose deadline loop stands still is not ready and says why, but is not killed for it."""
    reasons = ["the deadline loop has not read the store for 42 s"]
    with serving(lambda: reasons) as server:
        ready, alive = httpx.get(url(server, "/readyz")), httpx.get(url(server, "/healthz"))
        reasons = []
        again = httpx.get(url(server, "/readyz"))
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "reasons": ["the deadline loop has not read the store for 42 s"]}
    assert alive.status_code == 200
    assert again.status_code == 200


def test_readiness_that_fails_is_unreadiness_without_details() -> None:
    """An error while asking is told as not ready, and what it says stays inside."""

    def broken() -> list[str]:
        raise RuntimeError("token=hunter2")

    with serving(broken) as server:
        answer = httpx.get(url(server, "/readyz"))
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert "hunter2" not in answer.text


def test_index_links_to_what_there_is() -> None:
    """Someone who opens the address in a browser finds the way, and every link works."""
    with serving() as server:
        index = httpx.get(url(server, "/"))
        links = [part.split('"')[0] for part in index.text.split('href="')[1:]]
        answers = [httpx.get(url(server, link)).status_code for link in links]
    assert index.headers["content-type"].startswith("text/html")
    assert links == ["/metrics", "/healthz", "/readyz"]
    assert answers == [200, 200, 200]


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/"])
def test_read_only(path: str) -> None:
    """HEAD answers like GET without a body; nothing can be sent."""
    with serving() as server:
        head, got = httpx.head(url(server, path)), httpx.get(url(server, path))
        posted = httpx.post(url(server, path), content=b"x")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]
    assert got.headers["x-content-type-options"] == "nosniff"
    assert posted.status_code == 405


@pytest.mark.parametrize("path", ["/nothing", "/metrics/more", "/docs", "/%2e%2e/etc/passwd"])
def test_unknown_paths_are_not_found(path: str) -> None:
    """A mistyped scrape path is an error, not silently the metrics."""
    with serving() as server:
        assert httpx.get(url(server, path)).status_code == 404


def test_a_taken_port_is_told_plainly() -> None:
    """Starting on a port that something else uses fails at once, naming the address and what to do."""
    with serving() as server:
        second = WebServer(make_app(registry_with_one(), WebState(always_ready)), "127.0.0.1", server.port)
        with pytest.raises(WebError) as told:
            second.start()
        second.stop()
    assert f"127.0.0.1:{server.port}" in str(told.value)
    assert "in use" in str(told.value)
    assert "another" in str(told.value)


def test_a_host_that_is_not_ours_is_told_plainly() -> None:
    """A typing error in [web] host names the setting."""
    with pytest.raises(WebError, match=r"\[web\] 203\.0\.113\.7:0 cannot be listened on"):
        WebServer(make_app(registry_with_one(), WebState(always_ready)), "203.0.113.7", 0).start()


def test_stop_frees_the_port_and_may_be_called_twice() -> None:
    """After a stop, a restarted daemon can listen on the same port."""
    with serving() as server:
        httpx.get(url(server, "/healthz"))
        server.stop()
        server.stop()
        again = WebServer(make_app(registry_with_one(), WebState(always_ready)), "127.0.0.1", server.port)
        again.start()
        try:
            assert httpx.get(url(again, "/healthz")).status_code == 200
        finally:
            again.stop()
    WebServer(make_app(registry_with_one(), WebState(always_ready)), "127.0.0.1", 0).stop()


def test_stop_is_bounded_while_clients_hang(stopwatch: Callable[[], float]) -> None:
    """A client that never finishes its request does not hold up the daemon's stop."""
    with serving() as server:
        hanging = socket.create_connection(("127.0.0.1", server.port))
        hanging.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        begun = stopwatch()
        server.stop()
        took = stopwatch() - begun
        hanging.close()
    assert took < 7.0


def test_slow_clients_are_cut_off() -> None:
    """A client that sends its request a byte at a time is cut off, and others are answered meanwhile."""
    with serving(connection_seconds_max=0.3) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            assert httpx.get(url(server, "/healthz")).status_code == 200
            try:
                answer = slow.recv(1000)
            except ConnectionResetError:
                answer = b""
        assert answer == b""


def test_endless_headers_are_refused() -> None:
    """A request whose head never ends is refused before it takes memory."""
    with (
        serving() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (2 * REQUEST_HEAD_BYTES_MAX))
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_many_connections_are_bounded() -> None:
    """When somebody opens connections without end, further ones are turned away and come back later."""
    with serving() as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CONNECTIONS_MAX)]
        try:
            turned_away = httpx.get(url(server, "/healthz"))
        finally:
            for one in held:
                one.close()
        assert turned_away.status_code == 503
        statuses = (httpx.get(url(server, "/healthz")).status_code for _ in range(100))
        assert 200 in statuses


class Stuck(Collector):
    """A collector that waits, as one whose disk hangs."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.release = threading.Event()

    def collect(self) -> Iterator[Metric]:
        self.entered.release()
        self.release.wait(10)
        yield GaugeMetricFamily("late", "Came late.", value=1)


def test_stuck_scrapes_hold_up_nobody() -> None:
    """While the disk hangs, health is still answered, and scrapes do not pile up without bound."""
    stuck, registry = Stuck(), CollectorRegistry()
    registry.register(stuck)
    answers: list[int] = []
    with serving(registry=registry) as server:
        scrapes = [
            threading.Thread(
                target=lambda: answers.append(httpx.get(url(server, "/metrics"), timeout=15).status_code)
            )
            for _ in range(SCRAPES_MAX)
        ]
        for scrape in scrapes:
            scrape.start()
        for _ in scrapes:
            assert stuck.entered.acquire(timeout=10)
        assert httpx.get(url(server, "/healthz")).status_code == 200
        busy = httpx.get(url(server, "/metrics"))
        stuck.release.set()
        for scrape in scrapes:
            scrape.join(10)
        assert httpx.get(url(server, "/metrics")).status_code == 200
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "5")
    assert answers == [200] * SCRAPES_MAX


def test_nothing_tells_which_software_serves() -> None:
    """The answers name no server software and no version."""
    with serving() as server:
        headers = httpx.get(url(server, "/readyz")).headers
    assert "server" not in headers
    assert "uvicorn" not in json.dumps(dict(headers)).lower()


def test_a_callback_reaches_its_channel_as_it_was_sent() -> None:
    """The very bytes that were signed, and what the channel answers."""
    heard: list[tuple[str, str | None, bytes]] = []

    def receive(channel: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        heard.append((channel, headers.get("x-slack-signature"), body))
        return CallbackAnswer(200 if channel == "care" else 404, b"taken")

    server = WebServer(make_app(registry_with_one(), WebState(always_ready, receive)), "127.0.0.1", 0)
    server.start()
    try:
        sent = b"payload=%7B%22a%22%3A1%7D&x=+"
        answer = httpx.post(
            url(server, "/callbacks/care"), content=sent, headers={"X-Slack-Signature": "v0=abc"}
        )
        assert (answer.status_code, answer.text) == (200, "taken")
        assert heard == [("care", "v0=abc", sent)]
        assert httpx.post(url(server, "/callbacks/other"), content=b"").status_code == 404
        assert httpx.get(url(server, "/callbacks/care")).status_code == 405
        too_large = httpx.post(url(server, "/callbacks/care"), content=b"x" * (CALLBACK_BYTES_MAX + 1))
        assert too_large.status_code == 413 and len(heard) == 2
    finally:
        server.stop()


def test_without_a_channel_that_listens_no_callback_is_taken() -> None:
    """A daemon that has no app in Slack is no door."""
    with serving() as server:
        assert httpx.post(url(server, "/callbacks/care"), content=b"x").status_code == 404
