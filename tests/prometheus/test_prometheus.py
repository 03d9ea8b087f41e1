"""A real Prometheus understands what we give it: metrics, alert rules, dashboard."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.exposition import generate_latest

from monitor.metrics import METRICS, Kind, ProcessMetrics, StoreCollector
from monitor.store.store import open_store, read_store
from monitor.web.app import WebState, make_app
from monitor.web.server import WebServer
from tests.needs import needs

FOLDER = Path(__file__).parents[2] / "prometheus"
RULES = FOLDER / "response-monitor.rules.yml"
DASHBOARD = FOLDER / "grafana-dashboard.json"
OPERATIONS = FOLDER.parent / "docs" / "operations.md"
SCRAPED_WITHIN_SECONDS = 60.0
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def promtool(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [needs("promtool"), *arguments], input=stdin, capture_output=True, timeout=60, cwd=FOLDER, check=False
    )


@pytest.fixture
def metrics(tmp_path: Path) -> ProcessMetrics:
    """The metrics of a daemon that has seen a little of everything."""
    path = tmp_path / "monitor.db"
    store = open_store(path)
    with store.transaction("test"):
        scope = store.make_scope("acme", "x")
        store.streams.register(scope, "help", "mentions", "inbound", private=False, now=NOON)
        stream = store.streams.get(scope, "help", "mentions")
        assert stream is not None
        store.streams.advance(stream, {"v": 1}, NOON, None, NOON)
        store.streams.keep_budget(scope, "help", "daily_reads", 500, 20, NOON, NOON)
        labels = {"brand": "acme", "connector": "x", "target": "public"}
        store.figures.count("breaches", 3, priority="high", **labels)
        for seconds in (40.0, 900.0, 901.0):
            store.figures.observe("first_response_seconds", seconds, (60.0, 900.0, 3600.0), **labels)
        store.figures.count("platform_cost_usd", 0.125, brand="acme", connector="x", account="help")
        store.figures.observe("alert_delivery_seconds", 0.2, (0.1, 0.5), channel="slack")
    store.close()
    made = ProcessMetrics(lambda: NOON)
    made.beat(NOON)
    made.polled("x", 0.3)
    made.scheduler_lag(0.01)
    made.registry.register(StoreCollector(lambda: read_store(path), lambda: NOON))
    return made


def test_promtool_finds_nothing_to_criticise(metrics: ProcessMetrics) -> None:
    """`promtool check metrics`, Prometheus's own linter, is silent about our names, types and help."""
    done = promtool("check", "metrics", stdin=generate_latest(metrics.registry))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_alert_rules_are_valid() -> None:
    """Prometheus loads the alert rules."""
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alert_rules_fire_when_they_should_and_only_then() -> None:
    """Each alert fires in the situation that it is for and stays silent beside it."""
    done = promtool("test", "rules", "tests.yml")
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_rule_tests_would_notice(tmp_path: Path) -> None:
    """A rule that can never fire is caught by the rules' own tests, for each of them."""
    text = RULES.read_text(encoding="utf-8")
    muted = re.sub(r"expr: [^\n]*(\n {10}[^\n]*)*", "expr: vector(0) > 1", text)
    (tmp_path / RULES.name).write_text(muted, encoding="utf-8")
    (tmp_path / "tests.yml").write_text((FOLDER / "tests.yml").read_text(encoding="utf-8"), encoding="utf-8")
    done = promtool("test", "rules", str(tmp_path / "tests.yml"))
    missed = set(re.findall(r"alertname: (\w+)", (done.stdout + done.stderr).decode()))
    assert missed == set(re.findall(r"- alert: (\w+)", text))


def known_names() -> set[str]:
    names = set()
    for doc in METRICS:
        parts = ("_bucket", "_sum", "_count") if doc.kind is Kind.HISTOGRAM else ("",)
        names |= {doc.name + part for part in parts}
    return names


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("path", [RULES, DASHBOARD, FOLDER / "tests.yml"])
def test_rules_and_dashboard_name_metrics_that_exist(path: Path) -> None:
    """No alert and no panel waits for a metric that was renamed."""
    named = set(re.findall(r"\bresponse_monitor_\w+", path.read_text(encoding="utf-8")))
    assert named
    assert named - known_names() == set()


def test_dashboard_queries_are_valid(tmp_path: Path) -> None:
    """Every panel's query is one that Prometheus understands."""
    queries = [
        re.sub(r"\$__rate_interval", "5m", e).replace("$instance", ".*").replace("$brand", ".*")
        for e in expressions()
    ]
    assert len(queries) > 15
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries)]
    path = tmp_path / "panels.json"  # JSON is YAML too
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = promtool("check", "rules", "--lint=none", str(path))
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_dashboard_shows_how_people_are_told() -> None:
    """Whatever we measure of alerts and channels has a panel: what nobody sees warns nobody."""
    shown = set(re.findall(r"\bresponse_monitor_\w+", " ".join(expressions())))
    shown |= {name.removesuffix("_bucket") for name in shown}
    about = re.compile(r"response_monitor_(alert|channel|outbox|dead|storms|spikes|false)")
    # How many were made says nothing that how they ended does not.
    measured = {doc.name for doc in METRICS if about.match(doc.name)} - {
        "response_monitor_alerts_created_total"
    }
    assert measured and measured - shown == set()


def test_dashboard_panels_do_not_overlap() -> None:
    """The dashboard looks as it was drawn: each panel has an id and a place of its own."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_alert_is_explained() -> None:
    """Whoever is woken by an alert finds what it means and what to do under the link that it carries."""
    text = RULES.read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", text)
    headings = re.findall(r"(?m)^### (ResponseMonitor\w+)$", OPERATIONS.read_text(encoding="utf-8"))
    assert sorted(alerts) == sorted(headings)
    assert re.findall(r"runbook: \"docs/operations\.md#(\w+)\"", text) == [alert.lower() for alert in alerts]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def prometheus(folder: Path, target_port: int) -> Iterator[str]:
    """A Prometheus that scrapes us as docs/operations.md says, only more often. Gives its address."""
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{json.dumps(str(RULES))}]\n"
        "scrape_configs:\n"
        "  - job_name: response-monitor\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]\n",
        encoding="utf-8",
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                needs("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def ask(address: str, query: str) -> list[dict[str, Any]]:
    """The samples that Prometheus has for a query now; none while it is still starting."""
    try:
        answer = httpx.get(f"{address}/api/v1/query", params={"query": query}, timeout=5)
    except httpx.TransportError:
        return []
    if answer.status_code == 503:
        return []
    body = answer.json()
    assert body["status"] == "success", body
    result: list[dict[str, Any]] = body["data"]["result"]
    return result


def test_a_real_prometheus_scrapes_it(
    metrics: ProcessMetrics, tmp_path: Path, stopwatch: Callable[[], float]
) -> None:
    """A Prometheus as Debian ships it scrapes the daemon's page, and its queries give the stored figures."""
    needs("prometheus")
    server = WebServer(make_app(metrics.registry, WebState(list)), "127.0.0.1", 0)
    server.start()
    try:
        with prometheus(tmp_path, server.port) as address:
            end = stopwatch() + SCRAPED_WITHIN_SECONDS
            while not (up := ask(address, 'up{job="response-monitor"} == 1')) and stopwatch() < end:
                threading.Event().wait(0.1)
            log = (tmp_path / "prometheus.log").read_text(encoding="utf-8")
            assert up, log
            [breaches] = ask(address, "response_monitor_breaches_total")
            [within] = ask(
                address,
                'response_monitor_first_response_seconds_bucket{le="900.0"}'
                " / ignoring (le) response_monitor_first_response_seconds_count",
            )
            targets = httpx.get(f"{address}/api/v1/targets").json()["data"]["activeTargets"]
            rules = httpx.get(f"{address}/api/v1/rules").json()["data"]["groups"][0]["rules"]
    finally:
        server.stop()
    assert breaches["value"][1] == "3"
    assert {k: v for k, v in breaches["metric"].items() if k in ("brand", "priority", "target")} == {
        "brand": "acme",
        "priority": "high",
        "target": "public",
    }
    assert float(within["value"][1]) == pytest.approx(2 / 3)
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]
    assert not [rule for rule in rules if rule["health"] == "err"]
    assert "error" not in log.lower()
