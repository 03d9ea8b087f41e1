"""The figures that Prometheus is shown: right, complete, and shown whatever one bad row says."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from alerts.contract import Hearing
from monitor.metrics import METRICS, STORED, Kind, ProcessMetrics, StoreCollector, label_text
from monitor.store.store import Store, open_store, read_store

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]
Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "monitor.db"


@pytest.fixture
def store(path: Path) -> Store:
    return open_store(path)


def scrape(path: Path, edges: Callable[[], Sequence[float]] | None = None) -> Samples:
    """The samples of one scrape, by name, as a reader of the text format understands them."""
    make = (lambda: read_store(path), lambda: NOON)
    collector = StoreCollector(*make) if edges is None else StoreCollector(*make, edges)
    registry = CollectorRegistry()
    registry.register(collector)
    return samples_of(generate_latest(registry).decode())


def samples_of(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


LABELS = {"brand": "acme", "connector": "x", "target": "dm", "priority": "high", "clock": "first_response"}


def test_counters_survive_a_restart(path: Path) -> None:
    """A restarted daemon shows the counts of before, not zero."""
    first = open_store(path)
    with first.transaction("test"):
        first.figures.count("breaches", 3, **LABELS)
    first.close()
    again = open_store(path)
    with again.transaction("test"):
        again.figures.count("breaches", **LABELS)
    assert scrape(path)["response_monitor_breaches_total"] == [(LABELS, 4.0)]


def test_histogram_is_cumulative_with_targets_as_edges(store: Store, path: Path) -> None:
    """The share answered within a target can be read off its own bucket, exactly."""
    edges = (60.0, 1200.0, 3600.0)
    labels = {"brand": "acme", "connector": "x", "target": "dm"}
    with store.transaction("test"):
        for seconds in (30.0, 60.0, 1200.0, 1200.5, 90000.0):
            store.figures.observe("first_response_seconds", seconds, edges, **labels)
    found = scrape(path, lambda: edges)
    name = "response_monitor_first_response_seconds"
    buckets = {sample["le"]: value for sample, value in found[f"{name}_bucket"]}
    assert buckets == {"60.0": 2, "1200.0": 3, "3600.0": 4, "+Inf": 5}
    assert found[f"{name}_count"] == [(labels, 5.0)]
    assert found[f"{name}_sum"] == [(labels, 30 + 60 + 1200 + 1200.5 + 90000)]


def test_all_series_of_a_histogram_have_the_same_edges(store: Store, path: Path) -> None:
    """A quantile over several targets stays right when a target of before left an edge of its own."""
    with store.transaction("test"):
        store.figures.observe(
            "first_response_seconds", 700.0, (60.0, 777.0), brand="a", connector="x", target="old"
        )
        store.figures.observe(
            "first_response_seconds", 70.0, (60.0, 120.0), brand="a", connector="x", target="new"
        )
    edges: dict[str, list[str]] = {}
    for labels, _ in scrape(path, lambda: (60.0, 120.0))["response_monitor_first_response_seconds_bucket"]:
        edges.setdefault(labels["target"], []).append(labels["le"])
    assert edges["old"] == edges["new"] == ["60.0", "120.0", "777.0", "+Inf"]


def test_streams_accounts_budgets_and_waits_are_shown(store: Store, path: Path) -> None:
    """One sees of each stream whether it can be read, when it was, how far, and what is left to spend."""
    with store.transaction("test"):
        scope = store.make_scope("acme", "x")
        for name in ("mentions", "dms"):
            store.streams.register(
                scope, "help", name, "inbound", private=False, now=NOON - timedelta(hours=1)
            )
        good = store.streams.get(scope, "help", "mentions")
        bad = store.streams.get(scope, "help", "dms")
        assert good is not None and bad is not None
        store.streams.advance(good, {"v": 1}, NOON - timedelta(seconds=30), None, NOON)
        store.streams.fail(bad, "403", None, NOON, refused=True, limited=False)
        store.streams.keep_budget(scope, "help", "daily_reads", 500, 20, NOON + timedelta(hours=2), NOON)
        store.streams.keep_identity(scope, "help", "acmehelp", NOON + timedelta(days=3))
        store.streams.keep_health(store.streams.accounts()[0], 1, NOON, "403")
    found = scrape(path)

    def by_stream(name: str) -> dict[str, float]:
        return {labels["stream"]: value for labels, value in found[f"response_monitor_{name}"]}

    def alone(name: str) -> float:
        [(_, value)] = found[f"response_monitor_{name}"]
        return value

    assert by_stream("stream_up") == {"mentions": 1, "dms": 0}
    assert by_stream("stream_consecutive_failures") == {"mentions": 0, "dms": 1}
    assert by_stream("stream_last_success_timestamp_seconds") == {"mentions": NOON.timestamp()}
    assert by_stream("stream_complete_through_timestamp_seconds") == {"mentions": NOON.timestamp() - 30}
    assert by_stream("stream_started_timestamp_seconds")["dms"] == NOON.timestamp() - 3600
    assert alone("account_refused") == 1
    assert alone("credentials_expiry_timestamp_seconds") == NOON.timestamp() + 3 * 86400
    assert (alone("budget_limit"), alone("budget_remaining")) == (500, 20)
    assert alone("budget_reset_timestamp_seconds") == NOON.timestamp() + 7200
    assert alone("store_up") == 1


def add_case(path: Path, number: int, priority: str, waiting_since: datetime, due_at: datetime) -> None:
    """A waiting case, as its columns stand in the store."""
    connection = sqlite3.connect(path, isolation_level=None)
    since, due = (int(at.timestamp() * 1e6) for at in (waiting_since, due_at))
    connection.execute(
        "INSERT INTO cases (id, scope, conversation, customer, opened_at, status, priority, target, quiet,"
        " waiting_since, due_at, body) VALUES (?, 1, 'c', 'u', ?, 'waiting', ?, 'public', 0, ?, ?, '{}')",
        (f"case{number}", since, priority, since, due),
    )
    connection.close()


def test_waiting_cases_are_shown_by_priority(store: Store, path: Path) -> None:
    """One sees how many wait, how many of them too long, and since when the longest."""
    with store.transaction("test"):
        store.make_scope("acme", "x")
    add_case(path, 1, "high", NOON - timedelta(minutes=50), NOON - timedelta(minutes=20))
    add_case(path, 2, "high", NOON - timedelta(minutes=5), NOON + timedelta(minutes=25))
    add_case(path, 3, "low", NOON - timedelta(minutes=1), NOON + timedelta(hours=1))
    found = scrape(path)

    def by_priority(name: str) -> dict[str, float]:
        return {labels["priority"]: value for labels, value in found[f"response_monitor_{name}"]}

    assert by_priority("unanswered_cases") == {"high": 2, "low": 1}
    assert by_priority("overdue_cases") == {"high": 1, "low": 0}
    assert by_priority("oldest_waiting_since_timestamp_seconds") == {
        "high": (NOON - timedelta(minutes=50)).timestamp(),
        "low": (NOON - timedelta(minutes=1)).timestamp(),
    }


def test_outbox_is_shown_by_channel_and_state(store: Store, path: Path) -> None:
    """Alerts that nobody has received yet can be seen waiting."""
    row = "INSERT INTO outbox (key, subject, stage, cycle, repeat, moment, channel, recipient, state, body,"
    row += " created_at, due_at) VALUES (?, 's', 'breach', 0, 0, 0, ?, 'r', ?, '{}', 0, 0)"
    store.connection.executemany(
        row, [("a", "slack", "pending"), ("b", "slack", "pending"), ("c", "email", "leased")]
    )
    found = scrape(path)["response_monitor_outbox_depth"]
    assert sorted((labels["channel"], labels["state"], value) for labels, value in found) == [
        ("email", "leased", 1.0),
        ("slack", "pending", 2.0),
    ]


def test_dead_letters_and_the_oldest_unsent_alert_are_shown_by_channel(store: Store, path: Path) -> None:
    """A channel that takes nothing, and one that is behind, are seen as such; those that are well are
    absent."""
    row = "INSERT INTO outbox (key, subject, stage, cycle, repeat, moment, channel, recipient, state, body,"
    row += " created_at, due_at, ended_at, outcome)"
    row += " VALUES (?, 's', 'breach', 0, 0, 0, ?, 'r', ?, '{}', ?, 0, 0, 'gone')"
    rows = [
        ("a", "slack", "dead", 1_000_000),
        ("b", "slack", "dead", 2_000_000),
        ("c", "email", "leased", 7_000_000),
        ("d", "email", "pending", 9_000_000),
        ("e", "pager", "delivered", 1_000_000),
    ]
    store.connection.executemany(row, rows)
    found = scrape(path)
    assert found["response_monitor_dead_letters"] == [({"channel": "slack"}, 2.0)]
    assert found["response_monitor_outbox_oldest_timestamp_seconds"] == [({"channel": "email"}, 7.0)]


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("breaches", '[["brand","evil"],["surprise","y"]]', 1.0),
        ("breaches", '[["brand","evil"],["le","5"]]', 1.0),
        ("breaches", '[["brand","evil"]]', -1.0),
        ("breaches", '[["brand","evil"]]', float("inf")),
        ("first_response_seconds_bucket", '[["brand","evil"]]', 1.0),
        ("first_response_seconds_bucket", '[["brand","evil"],["le","nan"]]', 1.0),
        ("first_response_seconds_bucket", '[["brand","evil"],["le","soon"]]', 1.0),
        ("first_response_seconds", '[["brand","evil"]]', 1.0),
    ],
)
def test_one_bad_row_is_left_out_and_counted(
    store: Store, path: Path, name: str, labels: str, value: float
) -> None:
    """A row that makes no sense costs its own figure, never the scrape."""
    with store.transaction("test"):
        store.figures.count("messages", 7, brand="acme", connector="x", account="help")
        store.connection.execute("INSERT INTO counters VALUES (?, ?, ?)", (name, labels, value))
    found = scrape(path)
    assert [v for _, v in found["response_monitor_messages_total"]] == [7.0]
    assert not [s for samples in found.values() for s in samples if s[0].get("brand") == "evil"]
    errors = {labels["part"]: v for labels, v in found["response_monitor_metrics_errors_total"]}
    assert errors["counters"] == 1
    assert sum(errors.values()) == 1


def test_a_part_that_cannot_be_read_leaves_the_others(store: Store, path: Path) -> None:
    """Damage to one table costs its figures only, and is told."""
    with store.transaction("test"):
        store.figures.count("messages", 7, brand="acme", connector="x", account="help")
    store.connection.execute("DROP TABLE budgets")
    found = scrape(path)
    assert [v for _, v in found["response_monitor_messages_total"]] == [7.0]
    assert found["response_monitor_store_up"] == [({}, 0.0)]
    assert ({"part": "budgets"}, 1.0) in found["response_monitor_metrics_errors_total"]


def test_labels_that_are_not_json_do_not_end_the_scrape(store: Store, path: Path) -> None:
    """Damage to the counters themselves leaves the gauges."""
    store.connection.execute("INSERT INTO counters VALUES ('messages', '{', 1)")
    store.connection.execute(
        "INSERT INTO outbox (key, subject, stage, cycle, repeat, moment, channel, recipient, state, body,"
        " created_at, due_at) VALUES ('k', 's', 'breach', 0, 0, 0, 'slack', 'r', 'pending', '{}', 0, 0)"
    )
    found = scrape(path)
    assert found["response_monitor_outbox_depth"] == [({"channel": "slack", "state": "pending"}, 1.0)]
    assert ({"part": "counters"}, 1.0) in found["response_monitor_metrics_errors_total"]


def test_a_missing_store_still_shows_that_it_is_missing(path: Path) -> None:
    """Without a store the scrape works and says so."""
    found = scrape(path)
    assert found["response_monitor_store_up"] == [({}, 0.0)]
    assert ({"part": "store"}, 1.0) in found["response_monitor_metrics_errors_total"]


def test_hostile_label_values_cannot_break_the_format(store: Store, path: Path) -> None:
    """A name with quotes, line ends, NUL or half a character neither ends the scrape nor forges a sample."""
    evil = 'a"} 1\nresponse_monitor_forged 1\x00\x1b[31m' + "x" * 1000
    with store.transaction("test"):
        store.figures.count("alerts_muted", 1, brand=evil)
        store.connection.execute(
            "INSERT INTO counters VALUES ('alerts_muted', ?, 2)", (r'[["brand","\ud800"]]',)
        )
    found = scrape(path)
    assert "response_monitor_forged" not in found
    shown = {labels["brand"]: value for labels, value in found["response_monitor_alerts_muted_total"]}
    assert sorted(shown.values()) == [1.0, 2.0]
    assert all(len(brand) <= 200 and brand.isprintable() for brand in shown)
    assert label_text("Łódź 🙂") == "Łódź 🙂"


def test_rows_that_differ_in_nothing_shown_are_one_series(store: Store, path: Path) -> None:
    """A label that an older version did not write does not double a series, which Prometheus would refuse."""
    with store.transaction("test"):
        store.figures.count("cases_withdrawn", 2, brand="acme")
        store.figures.count("cases_withdrawn", 3, brand="acme", connector="")
    [(_, value)] = scrape(path)["response_monitor_cases_withdrawn_total"]
    assert value == 5.0


def test_counters_of_other_versions_are_passed_over(store: Store, path: Path) -> None:
    """After going back a version, the newer one's counters disturb nothing and raise no alarm."""
    with store.transaction("test"):
        store.figures.count("from_the_future", 2, brand="acme")
    found = scrape(path)
    assert not [name for name in found if "future" in name]
    assert {value for _, value in found["response_monitor_metrics_errors_total"]} == {0.0}


def full_registry(store: Store, path: Path) -> CollectorRegistry:
    """A registry in which every metric of ours has a sample."""
    process = ProcessMetrics(lambda: NOON)
    process.listen_to(lambda: {"care": Hearing(NOON, reconnects=1, heard=3, lost=0)})
    process.beat(NOON)
    process.polled("x", 0.2)
    process.scheduler_lag(0.02)
    process.delivered(("acme", "webhook", "shop"), "accepted")
    process.reloaded("refused")
    with store.transaction("test"):
        for name, doc in STORED.items():
            labels = dict.fromkeys(doc.labels, "v")
            if doc.kind is Kind.HISTOGRAM:
                store.figures.observe(name, 12.0, (60.0,), **labels)
            else:
                store.figures.count(name, 1, **labels)
        scope = store.make_scope("acme", "x")
        store.streams.register(scope, "help", "mentions", "inbound", private=False, now=NOON)
        stream = store.streams.get(scope, "help", "mentions")
        assert stream is not None
        store.streams.advance(stream, {"v": 1}, NOON, None, NOON)
        store.streams.keep_budget(scope, "help", "reads", 500, 20, NOON, NOON)
        store.streams.keep_identity(scope, "help", "acmehelp", NOON)
        store.connection.executemany(
            "INSERT INTO outbox (key, subject, stage, cycle, repeat, moment, channel, recipient, state, body,"
            " created_at, due_at, ended_at)"
            " VALUES (?, 's', 'breach', 0, 0, 0, 'slack', 'r', ?, '{}', 0, 0, 0)",
            [("k", "pending"), ("l", "dead")],
        )
    add_case(path, 1, "high", NOON, NOON)
    process.registry.register(StoreCollector(lambda: read_store(path), lambda: NOON))
    return process.registry


def shown(families: list[Metric]) -> dict[str, tuple[str, frozenset[str], str]]:
    """Kind, labels and help of each family, under the name that Prometheus shows."""
    table = {}
    for family in families:
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = frozenset(label for s in family.samples for label in s.labels if label != "le")
        table[name] = (family.type, labels, family.documentation)
    return table


def test_the_table_says_what_is_shown(store: Store, path: Path) -> None:
    """Every metric of ours is in METRICS with its kind, labels and help, and the table has no other."""
    found = shown(list(full_registry(store, path).collect()))
    ours = {name: what for name, what in found.items() if name.startswith("response_monitor_")}
    assert ours == {doc.name: (doc.kind.value, frozenset(doc.labels), doc.help) for doc in METRICS}
    libraries = {name.split("_")[0] for name in set(found) - set(ours)}
    assert libraries == {"process", "python"}


def test_openmetrics_is_well_formed(store: Store, path: Path) -> None:
    """Prometheus, which asks for OpenMetrics, can read every line of it."""
    encode, _ = choose_encoder("application/openmetrics-text;version=1.0.0")
    text = encode(full_registry(store, path)).decode()
    families = list(read_openmetrics(text))  # type: ignore[no-untyped-call]
    assert "response_monitor_breaches" in {family.name for family in families}


def test_everything_that_is_counted_is_shown() -> None:
    """A figure that some step counts reaches Prometheus: none is counted in vain."""
    counted: dict[str, Kind] = {}
    for source in sorted((REPOSITORY / "monitor").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            where, name = node.func, node.args[0]
            by_figures = where.attr in ("count", "observe") and ast.unparse(where.value).endswith("figures")
            if by_figures and isinstance(name, ast.Constant):
                counted[str(name.value)] = Kind.HISTOGRAM if where.attr == "observe" else Kind.COUNTER
    assert counted == {name: doc.kind for name, doc in STORED.items()}


def test_process_metrics_tell_what_happened() -> None:
    """A reload, the last look at the deadlines, lag and poll times can be seen."""
    times = iter([NOON, NOON + timedelta(minutes=5)])
    metrics = ProcessMetrics(lambda: next(times))
    before = samples_of(generate_latest(metrics.registry).decode())
    assert "response_monitor_deadline_loop_last_run_timestamp_seconds" not in before
    assert before["response_monitor_config_loaded_timestamp_seconds"] == [({}, NOON.timestamp())]
    metrics.beat(NOON)
    metrics.beat(NOON + timedelta(seconds=5))
    metrics.reloaded("refused")
    metrics.reloaded("accepted")
    metrics.polled("reddit", 0.3)
    metrics.scheduler_lag(0.2)
    after = samples_of(generate_latest(metrics.registry).decode())
    assert after["response_monitor_deadline_loop_last_run_timestamp_seconds"] == [({}, NOON.timestamp() + 5)]
    assert after["response_monitor_config_loaded_timestamp_seconds"] == [({}, NOON.timestamp() + 300)]
    assert after["response_monitor_config_reloads_total"] == [
        ({"outcome": "accepted"}, 1.0),
        ({"outcome": "refused"}, 1.0),
    ]
    assert after["response_monitor_poll_duration_seconds_sum"] == [({"connector": "reddit"}, 0.3)]
    assert after["response_monitor_scheduler_lag_seconds_count"] == [({}, 1.0)]
    assert not [name for name in after if name.endswith("_created")]
