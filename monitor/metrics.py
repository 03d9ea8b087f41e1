"""What Prometheus is told: the figures of the business, read from the store, and of this process.

`METRICS` is the table of all of them; the output and the docs are held to it. Business counters come from
the store's rollup rows, so they survive restarts; what only this process knows lives in `ProcessMetrics`.
"""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from alerts.contract import Hearing
from monitor.dispatch import DELIVERY_BUCKETS
from monitor.policy import RESPONSE_BUCKETS
from monitor.store.figures import Count
from monitor.store.store import Reader

PREFIX = "response_monitor_"
LABEL_LENGTH_MAX = 200
LAG_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
POLL_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)

log = structlog.get_logger()


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricDoc:
    """One metric: its whole name as Prometheus shows it (a histogram's without _bucket), its labels (without
    `le`), and what it says."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


def _counter(name: str, labels: str, help: str) -> MetricDoc:
    return MetricDoc(f"{PREFIX}{name}_total", Kind.COUNTER, tuple(labels.split()), help)


def _gauge(name: str, labels: str, help: str) -> MetricDoc:
    return MetricDoc(PREFIX + name, Kind.GAUGE, tuple(labels.split()), help)


def _histogram(name: str, labels: str, help: str) -> MetricDoc:
    return MetricDoc(PREFIX + name, Kind.HISTOGRAM, tuple(labels.split()), help)


STORED: Mapping[str, MetricDoc] = {
    "cases_opened": _counter(
        "cases_opened", "brand connector account", "Cases that began: requests of a customer."
    ),
    "first_response_seconds": _histogram(
        "first_response_seconds",
        "brand connector target",
        "Time from a case's first message to the first answer by a person; answered cases only.",
    ),
    "next_response_seconds": _histogram(
        "next_response_seconds",
        "brand connector target",
        "Time from the oldest message that nobody had answered to the next answer by a person.",
    ),
    "resolution_seconds": _histogram(
        "resolution_seconds",
        "brand connector target",
        "Time from a case's first message until it was first resolved, less the pauses its target allows.",
    ),
    "answers_seen_late_seconds": _counter(
        "answers_seen_late_seconds",
        "brand connector target",
        "Sum of the times from when a first answer was written to when we saw it.",
    ),
    "first_response_corrections": _counter(
        "first_response_corrections",
        "brand connector target",
        "First response times that were counted and proved different later; the histogram keeps the first.",
    ),
    "cases_unreadable": _counter(
        "cases_unreadable", "", "Cases that could not be looked at, and were put off: a mistake of ours."
    ),
    "cases_withdrawn": _counter(
        "cases_withdrawn", "brand connector", "Cases whose customer deleted what was asked."
    ),
    "breaches": _counter(
        "breaches",
        "brand connector target priority clock",
        "Waits whose due time passed before they ended, by clock.",
    ),
    "messages": _counter("messages", "brand connector account", "New messages that were stored."),
    "messages_rejected": _counter(
        "messages_rejected", "brand connector account", "Malformed messages that were put into quarantine."
    ),
    "platform_reads": _counter(
        "platform_reads", "brand connector account", "Reads that the platform counts or charges."
    ),
    "platform_cost_usd": _counter(
        "platform_cost_usd",
        "brand connector account",
        "Cost of reads in US dollars, by the set price.",
    ),
    "poll_failures": _counter(
        "poll_failures", "brand connector account stream reason", "Polls that brought no page, by reason."
    ),
    "alerts_created": _counter(
        "alerts_created", "channel stage", "Alerts that were put into the outbox, by stage."
    ),
    "alerts_ended": _counter(
        "alerts_ended",
        "channel outcome",
        "Alerts that left the outbox: delivered, dead (will never be taken), or superseded (no longer true).",
    ),
    "alerts_by_fallback": _counter(
        "alerts_by_fallback",
        "channel",
        "Alerts that a fallback was told, since nobody else could be or no route was for them.",
    ),
    "alert_retries": _counter("alert_retries", "channel", "Attempts to send that failed and are made again."),
    "alert_delivery_seconds": _histogram(
        "alert_delivery_seconds", "channel", "Time from an alert's making to the remote's accept."
    ),
    "false_alerts": _counter(
        "false_alerts", "brand connector", "Alerts that proved false later and were corrected."
    ),
    "storms": _counter(
        "storms", "brand", "Storms: many cases reached a stage at once, and one message said so."
    ),
    "spikes": _counter("spikes", "brand", "Spikes: complaints were unusually many for that hour."),
    "alerts_muted": _counter("alerts_muted", "brand", "Waits of which a mute kept people from being told."),
    "operator_actions": _counter("operator_actions", "action brand", "Words of operators about cases."),
}
"""The counters and histograms of the store, by their name there."""

_WAITING = "brand connector priority target"
_STREAM = "brand connector account stream"
_ACCOUNT = "brand connector account"
_BUDGET = "brand connector account budget"

UNANSWERED = _gauge("unanswered_cases", _WAITING, "Cases under a target in which a customer waits now.")
OVERDUE = _gauge("overdue_cases", _WAITING, "Those of the unanswered cases whose due time has passed.")
OLDEST = _gauge(
    "oldest_waiting_since_timestamp_seconds", _WAITING, "Since when the longest waiting customer waits."
)
STREAM_UP = _gauge("stream_up", _STREAM, "1 while the stream can be read, 0 while it fails.")
STREAM_FAILURES = _gauge(
    "stream_consecutive_failures", _STREAM, "Polls that failed since the last that did not."
)
STREAM_STARTED = _gauge(
    "stream_started_timestamp_seconds",
    _STREAM,
    "When the stream was first configured; what is older is the past.",
)
STREAM_SUCCESS = _gauge(
    "stream_last_success_timestamp_seconds",
    _STREAM,
    "When a page was last taken in; absent before that.",
)
STREAM_THROUGH = _gauge(
    "stream_complete_through_timestamp_seconds",
    _STREAM,
    "Everything that was written up to then has been read; absent until it is known.",
)
ACCOUNT_REFUSED = _gauge(
    "account_refused", _ACCOUNT, "1 while the platform refuses us until a person acts, else 0."
)
EXPIRY = _gauge(
    "credentials_expiry_timestamp_seconds",
    _ACCOUNT,
    "When a person must have renewed the credentials; absent where they do not expire.",
)
BUDGET_LIMIT = _gauge("budget_limit", _BUDGET, "The platform's or our own limit of reads in a window.")
BUDGET_REMAINING = _gauge("budget_remaining", _BUDGET, "What was left of the limit when it was last told.")
BUDGET_RESET = _gauge(
    "budget_reset_timestamp_seconds", _BUDGET, "When the limit's window begins anew; absent where unknown."
)
OUTBOX = _gauge("outbox_depth", "channel state", "Alerts in the outbox that are still to be sent, by state.")
OUTBOX_OLDEST = _gauge(
    "outbox_oldest_timestamp_seconds",
    "channel",
    "When the oldest alert was made that is still to be sent; absent where there is none.",
)
OUTBOX_PUT_OFF = _gauge(
    "outbox_put_off", "channel", "Of those, what reached some of its recipients, and is tried for the others."
)
DEAD = _gauge(
    "dead_letters", "channel", "Alerts that no remote would take and nobody has had tried again since."
)
STORE_UP = _gauge("store_up", "", "1 where this scrape could read the store, else 0.")
ERRORS = _counter(
    "metrics_errors", "part", "Parts or rows of the store that a scrape had to leave out, by part."
)

BUILD = _gauge("build_info", "version", "Always 1; the version is the label.")
LAG = _histogram("scheduler_lag_seconds", "", "How much later than planned a cadence began its work.")
LOOP = _gauge(
    "deadline_loop_last_run_timestamp_seconds", "", "When the deadline loop last read the store well."
)
RELOADS = _counter("config_reloads", "outcome", "Reloads of the config, accepted or refused.")
DELIVERIES = _counter(
    "deliveries",
    "brand connector account outcome",
    "What was pushed to an account: accepted, forged, malformed, refused or failed.",
)
LOADED = _gauge("config_loaded_timestamp_seconds", "", "When the config in force was loaded.")
LISTENING = _gauge(
    "channel_listening",
    "channel",
    "1 while what people press in a channel is heard, else 0.",
)
HEARD = _counter("channel_heard", "channel", "What people pressed or asked in a channel.")
LOST = _counter("channel_lost", "channel", "What people pressed or asked and could not be done or answered.")
RECONNECTS = _counter("channel_reconnects", "channel", "Lines to a channel after its first one.")
POLL = _histogram("poll_duration_seconds", "connector", "How long one poll of a platform took.")

METRICS: tuple[MetricDoc, ...] = (
    *STORED.values(),
    *(UNANSWERED, OVERDUE, OLDEST),
    *(STREAM_UP, STREAM_FAILURES, STREAM_STARTED, STREAM_SUCCESS, STREAM_THROUGH),
    *(ACCOUNT_REFUSED, EXPIRY, BUDGET_LIMIT, BUDGET_REMAINING, BUDGET_RESET),
    *(OUTBOX, OUTBOX_OLDEST, OUTBOX_PUT_OFF, DEAD, STORE_UP, ERRORS),
    *(BUILD, LAG, LOOP, RELOADS, LOADED, POLL, DELIVERIES),
    *(LISTENING, HEARD, LOST, RECONNECTS),
)
"""Every metric of ours. The libraries' own `process_…` and `python_…` come beside them."""


_WAITS = ("first_response_seconds", "next_response_seconds", "resolution_seconds")
"""The histograms of customers' waits, which have every target as an exact edge."""


class BadRow(ValueError):
    """A row of the store that cannot be told to Prometheus; it is left out and counted."""


class _Series:
    """The samples of gauges and counters, by metric and label values. Lives for one scrape."""

    def __init__(self) -> None:
        self._values: dict[MetricDoc, dict[tuple[str, ...], float]] = defaultdict(dict)

    def set(self, doc: MetricDoc, labels: Sequence[str], value: float | datetime | None) -> None:
        """A gauge; None is told by its absence."""
        if value is not None:
            number = value.timestamp() if isinstance(value, datetime) else float(value)
            self._values[doc][tuple(map(label_text, labels))] = number

    def add(self, doc: MetricDoc, labels: Sequence[str], value: float) -> None:
        """A counter; rows that differ in nothing that is shown are one series."""
        values = self._values[doc]
        key = tuple(labels)
        values[key] = values.get(key, 0.0) + value

    def families(self) -> Iterator[Metric]:
        for doc, values in self._values.items():
            make = CounterMetricFamily if doc.kind is Kind.COUNTER else GaugeMetricFamily
            family = make(doc.name, doc.help, labels=doc.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family


class _Histograms:
    """The histograms of one scrape: observations a bucket (not cumulative) and sums, by label values."""

    def __init__(self) -> None:
        self._buckets: dict[MetricDoc, dict[tuple[str, ...], dict[float, float]]] = defaultdict(dict)
        self._sums: dict[MetricDoc, dict[tuple[str, ...], float]] = defaultdict(dict)

    def add_bucket(self, doc: MetricDoc, labels: tuple[str, ...], edge: float, count: float) -> None:
        buckets = self._buckets[doc].setdefault(labels, {})
        buckets[edge] = buckets.get(edge, 0.0) + count

    def add_sum(self, doc: MetricDoc, labels: tuple[str, ...], amount: float) -> None:
        sums = self._sums[doc]
        sums[labels] = sums.get(labels, 0.0) + amount

    def families(self, edges_of: Mapping[str, Sequence[float]]) -> Iterator[Metric]:
        """`edges_of`: the edges by metric name. Edges that are stored beside them join: targets that held
        once. All series of a family have the same edges, or quantiles over several would be wrong."""
        for doc, by_labels in self._buckets.items():
            stored = {edge for buckets in by_labels.values() for edge in buckets}
            edges = sorted({*edges_of.get(doc.name, ()), *stored, math.inf})
            family = HistogramMetricFamily(doc.name, doc.help, labels=doc.labels)
            for labels, buckets in by_labels.items():
                total = 0.0
                cumulative = []
                for edge in edges:
                    total += buckets.get(edge, 0.0)
                    cumulative.append((_go_text(edge), total))
                family.add_metric(labels, cumulative, self._sums[doc].get(labels, 0.0))
            yield family


def _go_text(edge: float) -> str:
    """A bucket's edge as Prometheus writes it; the label is compared as text."""
    return str(floatToGoString(edge))  # type: ignore[no-untyped-call]


def label_text(value: object) -> str:
    """A label's value that no scraper can trip over: bounded, valid UTF-8, without control characters."""
    text = str(value)[:LABEL_LENGTH_MAX].encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class StoreCollector(Collector):
    """Reads the store at each scrape, over a read-only connection of its own, and never raises.

    `make_reader` opens that connection; `clock` gives the aware UTC now; `response_buckets` gives the edges
    of the first-response histogram in seconds, asked at each scrape, since a reload may bring new targets.
    A part that cannot be read, or a row that makes no sense, is left out, logged and counted.
    """

    def __init__(
        self,
        make_reader: Callable[[], Reader],
        clock: Callable[[], datetime],
        response_buckets: Callable[[], Sequence[float]] = lambda: RESPONSE_BUCKETS,
    ) -> None:
        self._make_reader = make_reader
        self._clock = clock
        self._response_buckets = response_buckets
        self._lock = threading.Lock()
        self._errors = dict.fromkeys(("store", *_PARTS, "counters"), 0)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the store."""
        return ()

    def collect(self) -> list[Metric]:
        """All families, read at once, so that no connection outlives the scrape."""
        families: list[Metric] = []
        series = _Series()
        try:
            reader = self._make_reader()
        except Exception as error:  # whatever is wrong with the file, process metrics are still told
            self._failed("store", error)
            series.set(STORE_UP, (), 0)
        else:
            try:
                families += self._read(reader, series)
            finally:
                reader.close()
        with self._lock:
            for part, count in self._errors.items():
                series.add(ERRORS, (part,), count)
        return [*families, *series.families()]

    def _read(self, reader: Reader, series: _Series) -> list[Metric]:
        now = self._clock()
        read = 0
        for part, tell in _PARTS.items():
            try:
                tell(reader, now, series)
                read += 1
            except Exception as error:  # one part must not take the others with it
                self._failed(part, error)
        families: list[Metric] = []
        try:
            counts = reader.figures.counts()
            read += 1
            families += self._counts(counts, series)
        except Exception as error:
            self._failed("counters", error)
        series.set(STORE_UP, (), float(read == len(_PARTS) + 1))
        return families

    def _counts(self, counts: Iterable[Count], series: _Series) -> list[Metric]:
        histograms = _Histograms()
        for count in counts:
            try:
                _take_count(count, series, histograms)
            except BadRow as error:
                self._failed("counters", error)
        edges_of = {
            **dict.fromkeys((STORED[name].name for name in _WAITS), self._response_buckets()),
            STORED["alert_delivery_seconds"].name: DELIVERY_BUCKETS,
        }
        return list(histograms.families(edges_of))

    def _failed(self, part: str, error: Exception) -> None:
        with self._lock:
            self._errors[part] += 1
        log.warning("metrics left out", part=part, error=f"{type(error).__name__}: {error}")


def _take_count(count: Count, series: _Series, histograms: _Histograms) -> None:
    """Sort one rollup row in. Raises BadRow. A counter that this version does not know (an older or newer
    one counted it) is passed over."""
    name, suffix = count.name, ""
    for ending in ("_bucket", "_sum"):
        base = count.name.removesuffix(ending)
        if base != count.name and base in STORED and STORED[base].kind is Kind.HISTOGRAM:
            name, suffix = base, ending
    doc = STORED.get(name)
    if doc is None:
        return
    if not math.isfinite(count.value) or count.value < 0:
        raise BadRow(f"{count.name} has the value {count.value}")
    given = dict(count.labels)
    edge = given.pop("le", None)
    unknown = set(given) - set(doc.labels)
    if unknown:
        raise BadRow(f"{count.name} has the label {min(unknown)!r}, which it should not have")
    labels = tuple(label_text(given.get(label, "")) for label in doc.labels)
    if suffix == "_bucket":
        histograms.add_bucket(doc, labels, _edge(count.name, edge), count.value)
    elif suffix == "_sum":
        histograms.add_sum(doc, labels, count.value)
    elif doc.kind is Kind.COUNTER and edge is None:
        series.add(doc, labels, count.value)
    else:
        raise BadRow(f"{count.name} is no plain counter")


def _edge(name: str, text: str | None) -> float:
    try:
        edge = float(text or "")
    except ValueError:
        raise BadRow(f"{name} has no bucket edge") from None
    if math.isnan(edge):
        raise BadRow(f"{name} has no bucket edge")
    return edge


def _tell_waiting(reader: Reader, now: datetime, series: _Series) -> None:
    for row in reader.figures.waiting(now):
        labels = (row.brand, row.connector, row.priority, row.target)
        series.set(UNANSWERED, labels, row.count)
        series.set(OVERDUE, labels, row.overdue)
        series.set(OLDEST, labels, row.oldest_since)


def _tell_streams(reader: Reader, _now: datetime, series: _Series) -> None:
    for row in reader.streams.all():
        labels = (row.brand, row.connector, row.account, row.name)
        series.set(STREAM_UP, labels, float(row.failing_since is None and row.refused is None))
        series.set(STREAM_FAILURES, labels, row.failures)
        series.set(STREAM_STARTED, labels, row.first_mark)
        series.set(STREAM_SUCCESS, labels, row.succeeded_at)
        series.set(STREAM_THROUGH, labels, row.complete_through)


def _tell_accounts(reader: Reader, _now: datetime, series: _Series) -> None:
    for row in reader.streams.accounts():
        labels = (row.brand, row.connector, row.account)
        series.set(ACCOUNT_REFUSED, labels, float(row.refused is not None))
        series.set(EXPIRY, labels, row.expires_at)


def _tell_budgets(reader: Reader, _now: datetime, series: _Series) -> None:
    for row in reader.streams.budgets():
        labels = (row.brand, row.connector, row.account, row.name)
        series.set(BUDGET_LIMIT, labels, row.maximum)
        series.set(BUDGET_REMAINING, labels, row.remaining)
        series.set(BUDGET_RESET, labels, row.resets_at)


def _tell_outbox(reader: Reader, _now: datetime, series: _Series) -> None:
    for channel, state, count in reader.outbox.depth():
        series.set(OUTBOX, (channel, state), count)
    for channel, made_at in reader.outbox.oldest_unsent():
        series.set(OUTBOX_OLDEST, (channel,), made_at)
    for channel, count, _, _ in reader.outbox.dead():
        series.set(DEAD, (channel,), count)
    for channel, count in reader.outbox.put_off_recipients():
        series.set(OUTBOX_PUT_OFF, (channel,), count)


_PARTS: Mapping[str, Callable[[Reader, datetime, _Series], None]] = {
    "waiting": _tell_waiting,
    "streams": _tell_streams,
    "accounts": _tell_accounts,
    "budgets": _tell_budgets,
    "outbox": _tell_outbox,
}


class _WithoutBirthDates(Collector):
    """A metric of prometheus_client without its `_created` series, which would double the process's
    series for nothing."""

    def __init__(self, metric: Collector) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        for family in self._metric.collect():
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
            yield family


class _Ears(Collector):
    """How well the channels hear, by their names."""

    def __init__(self, ears: Callable[[], Mapping[str, Hearing]]) -> None:
        self._ears = ears

    def collect(self) -> Iterator[Metric]:
        listening = GaugeMetricFamily(LISTENING.name, LISTENING.help, labels=LISTENING.labels)
        counters = [
            CounterMetricFamily(doc.name, doc.help, labels=doc.labels) for doc in (HEARD, LOST, RECONNECTS)
        ]
        for channel, hearing in self._ears().items():
            listening.add_metric([channel], float(hearing.healthy))
            for counter, count in zip(
                counters, (hearing.heard, hearing.lost, hearing.reconnects), strict=True
            ):
                counter.add_metric([channel], count)
        yield from (listening, *counters)


class ProcessMetrics:
    """What only this process knows, in a registry of its own. Its methods may be called by any thread.

    `clock` gives the aware UTC now.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        build = Gauge(BUILD.name, BUILD.help, BUILD.labels, registry=self.registry)
        build.labels(version("response-monitor")).set(1)
        self._loop = Gauge(LOOP.name, LOOP.help, registry=None)
        self._beaten = False
        self._loaded = Gauge(LOADED.name, LOADED.help, registry=self.registry)
        self._lag = Histogram(LAG.name, LAG.help, buckets=LAG_BUCKETS, registry=None)
        self._poll = Histogram(POLL.name, POLL.help, POLL.labels, buckets=POLL_BUCKETS, registry=None)
        self._reloads = Counter(RELOADS.name, RELOADS.help, RELOADS.labels, registry=None)
        for outcome in ("accepted", "refused"):
            self._reloads.labels(outcome)
        self._deliveries = Counter(DELIVERIES.name, DELIVERIES.help, DELIVERIES.labels, registry=None)
        for metric in (self._lag, self._poll, self._reloads, self._deliveries):
            self.registry.register(_WithoutBirthDates(metric))
        for collector in (ProcessCollector, PlatformCollector):
            collector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._loaded.set(clock().timestamp())

    def beat(self, now: datetime) -> None:
        """The deadline loop has read the store well. Called by the core thread only; before the first
        time the metric is absent, since 0 would be a time."""
        self._loop.set(now.timestamp())
        if not self._beaten:
            self._beaten = True
            self.registry.register(self._loop)

    def listen_to(self, ears: Callable[[], Mapping[str, Hearing]]) -> None:
        """Show how well each channel that listens hears, as of each scrape."""
        self.registry.register(_Ears(ears))

    def delivered(self, account: tuple[str, str, str], outcome: str) -> None:
        """Something was pushed to an account, and was accepted or not."""
        self._deliveries.labels(*account, outcome).inc()

    def polled(self, connector: str, seconds: float) -> None:
        """A poll took so long, real time, however it ended."""
        self._poll.labels(connector).observe(seconds)

    def scheduler_lag(self, seconds: float) -> None:
        """A cadence began so much later than planned, real time."""
        self._lag.observe(seconds)

    def reloaded(self, outcome: str) -> None:
        """A reload was "accepted" or "refused"."""
        self._reloads.labels(outcome).inc()
        if outcome == "accepted":
            self._loaded.set(self._clock().timestamp())
