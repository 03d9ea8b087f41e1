"""docs/metrics.md and the metrics say the same."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from monitor.metrics import METRICS
from tests.needs import needs

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
_NAME = re.compile(r"response_monitor_[a-z0-9_]+")
_ROW = re.compile(r"^\| `(response_monitor_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|", re.MULTILINE)


def test_every_metric_is_documented_with_its_kind_and_labels() -> None:
    """Whoever finds a metric finds what it means; what the docs promise is there."""
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in _ROW.findall(DOCS.read_text(encoding="utf-8"))
    }
    assert documented == {doc.name: (doc.kind.value, doc.labels) for doc in METRICS}


def test_no_metric_is_documented_twice_or_without_a_meaning() -> None:
    """Each metric has one row, and the row says something beyond its name."""
    rows = _ROW.findall(DOCS.read_text(encoding="utf-8"))
    assert len({name for name, *_ in rows}) == len(rows)
    assert all(len(meaning.split()) >= 4 for *_, meaning in rows)


def test_example_queries_ask_for_metrics_that_exist() -> None:
    """A query copied out of the docs finds something."""
    known = {doc.name for doc in METRICS}
    for doc in METRICS:
        if doc.kind.value == "histogram":
            known |= {f"{doc.name}_{part}" for part in ("bucket", "sum", "count")}
    named = set(_NAME.findall(DOCS.read_text(encoding="utf-8")))
    assert named - known == set()


def queries() -> list[str]:
    """The example queries: one begins on each line that is not indented."""
    blocks = re.findall(r"```promql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return [query for block in blocks for query in re.split(r"\n(?!\s)", block.strip())]


def test_every_metric_has_an_example_query() -> None:
    """Nobody has to work out alone how a figure is asked for."""
    asked = set(_NAME.findall("\n".join(queries())))
    for doc in METRICS:
        names = {doc.name, f"{doc.name}_bucket", f"{doc.name}_sum", f"{doc.name}_count"}
        assert names & asked, doc.name


def test_example_queries_are_valid(tmp_path: Path) -> None:
    """A query copied out of the docs is one that Prometheus understands."""
    rules = [{"record": f"example:{n}", "expr": query} for n, query in enumerate(queries())]
    path = tmp_path / "examples.json"  # JSON is YAML too
    path.write_text(json.dumps({"groups": [{"name": "examples", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run(
        [needs("promtool"), "check", "rules", "--lint=none", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
