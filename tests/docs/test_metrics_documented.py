"""docs/metrics.md and the metrics say the same."""

from __future__ import annotations

import re
from pathlib import Path

from monitor.metrics import METRICS

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


def test_every_metric_has_an_example_query() -> None:
    """Nobody has to work out alone how a figure is asked for."""
    text = DOCS.read_text(encoding="utf-8")
    queries = "\n".join(re.findall(r"```promql\n(.*?)```", text, re.DOTALL))
    queries += "\n".join(row.rsplit("|", 2)[1] for row in text.splitlines() if _ROW.match(row))
    asked = set(_NAME.findall(queries))
    for doc in METRICS:
        names = {doc.name, f"{doc.name}_bucket", f"{doc.name}_sum", f"{doc.name}_count"}
        assert names & asked, doc.name
