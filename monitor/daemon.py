"""The daemon: when the steps run, start, reload, stop, systemd.

The main thread is the core (it owns the store and the deadline loop). APScheduler wakes the account workers
at their cadences; channel workers are woken by what the deadline loop says. Nothing here decides what a
message means or what is owed: that is the steps' work.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

import alerts
import connectors
from alerts.contract import CallbackAnswer, Channel, ChannelSurroundings, Listener, Listening
from alerts.words import Templates
from connectors.contract import Connector, Delivery, Surroundings
from monitor.act import mute_by_config, rebuild
from monitor.clock import Clock
from monitor.config import Config
from monitor.core import LOOK_EVERY_SECONDS, Core
from monitor.desk import CareDesk
from monitor.folding import fold_again
from monitor.load import ConfigError, check_secrets, load_config, load_packs, policy_json
from monitor.metrics import ProcessMetrics, StoreCollector
from monitor.notify import notify, watchdog_seconds
from monitor.policy import Policy, find_reaches, make_policy
from monitor.poll import Polled
from monitor.pushed import RETRY_SECONDS, AccountKey, Answer, Deliveries
from monitor.store.database import StoreError, no_failpoint
from monitor.store.store import Store, open_store, read_store
from monitor.watch import Watched
from monitor.workers import AccountWorker, ChannelWorker, stop_all
from rules.case import Place
from wire.errors import EdgeError
from wire.http import HttpClient, HttpOptions

if TYPE_CHECKING:
    from monitor.web.server import WebServer

STOP_SECONDS_MAX = 22.0
"""How long a stop waits for requests under way; systemd kills after 30."""

LISTENER_STOP_SECONDS_MAX = 3.0
READY_WITHIN_SECONDS = 3 * LOOK_EVERY_SECONDS
LEASE_MARGIN_SECONDS = 15.0
FOLD_BATCH = 200
FOLDED_BY = "4"
"""Goes up when the fold comes to know more: the first start after that folds everything again."""

log = structlog.get_logger()


class AlreadyRunning(Exception):
    """Another daemon serves this state folder."""


@dataclass(slots=True)
class Edges:
    """The connectors and channels of one config."""

    connectors: dict[tuple[str, str, str], Connector]
    channels: dict[str, Channel]


def http_options(config: Config) -> HttpOptions:
    """How we talk HTTP, from [http]."""
    return HttpOptions(proxy=config.http.proxy, ca_file=config.http.ca_file)


def build_edges(config: Config, clock: Clock, state_folder: Path) -> Edges:
    """Make every configured connector and channel; nothing is asked of the outside yet.

    Raises what their `build` raises: ValueError, SecretMissing.
    """
    options = http_options(config)
    made: dict[tuple[str, str, str], Connector] = {}
    for account in config.accounts():
        brand = config.brands[account.brand]
        handles = {
            a.handle
            for a in config.accounts()
            if (a.brand, a.connector) == (account.brand, account.connector)
        }
        surroundings = Surroundings(
            brand=account.brand,
            account=account.label,
            keywords=tuple(brand.keywords),
            brand_handles=frozenset(handles),
            clock=clock.now,
            state_folder=state_folder,
            http=options,
            look_back_seconds=config.monitor.look_back.total_seconds(),
        )
        module = connectors.load(account.connector)
        made[account.brand, account.connector, account.label] = module.build(account.settings, surroundings)
    return Edges(made, build_channels(config, clock))


def build_channels(config: Config, clock: Clock) -> dict[str, Channel]:
    """Every channel of a config by its name; raises as `build_edges` does."""
    options = http_options(config)
    zone = ZoneInfo(config.monitor.time_zone)
    templates = build_templates(config)
    return {
        name: alerts.load(channel.type).build(
            channel.settings,
            ChannelSurroundings(
                name=name,
                zone=zone,
                http=options,
                clock=clock.now,
                words=templates.words(name, channel.type),
            ),
        )
        for name, channel in config.channels.items()
    }


def build_templates(config: Config) -> Templates:
    """The words of alerts, with the team's own; raises BadTemplate."""
    layers = {*config.channels, *(channel.type for channel in config.channels.values())}
    return Templates(config.alerts.templates, config.monitor.language, sorted(layers))


def build_policy(config: Config, edges: Edges) -> Policy:
    """The policy of a config, with what its connectors can do."""
    policy = make_policy(
        config,
        load_packs(),
        {name: channel.recipient for name, channel in edges.channels.items()},
        policy_json(config),
        [name for name, channel in edges.channels.items() if channel.updates],
        find_reaches([person.person for person in config.people], edges.channels),
    )
    look_ups = frozenset(
        (brand, name)
        for (brand, name, _), connector in edges.connectors.items()
        if connector.capabilities.deletes
    )
    return policy.with_look_ups(look_ups)


class Daemon:
    """One daemon on one state folder. `run` is its whole life, in the main thread."""

    def __init__(
        self,
        config_path: Path,
        clock: Clock,
        failpoint: Callable[[str], None] = no_failpoint,
    ) -> None:
        self._path = config_path
        self._clock = clock
        self._failpoint = failpoint
        self.config = load_config(config_path)
        problems = check_secrets(self.config)
        if problems:
            raise ConfigError(problems)
        self.state_folder = self.config.monitor.folder(config_path)
        self.metrics = ProcessMetrics(clock.now)
        self._accounts: list[AccountWorker] = []
        self._channels: dict[str, ChannelWorker] = {}
        self._listeners: dict[str, Listener] = {}
        self._deliveries: Deliveries | None = None
        self._last_beat = float("-inf")
        self._last_watchdog = float("-inf")
        self._watchdog = watchdog_seconds()
        self._web: WebServer | None = None
        self._stopper: threading.Thread | None = None
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": {"type": "threadpool", "max_workers": 2}},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ConfigError, StoreError, AlreadyRunning at start."""
        self.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_one(self.state_folder / "daemon.lock"):
            path = self.state_folder / "monitor.db"
            store = open_store(path, self._failpoint, checkpoints=True)
            edges = build_edges(self.config, self._clock, self.state_folder)
            policy = build_policy(self.config, edges)
            self._core = Core(store, policy, self._clock, self._on_watched, self._on_beat)
            now = self._clock.now()
            with store.transaction("start"):
                given_back = store.outbox.give_back(now)
                changed = store.keep_policy(policy.stored, now)
                store.set_mark("started_at", now.isoformat())
            policy = self._core.policy = policy.remembering(store.policies())
            bring_up_to_date(store, policy, now)
            register(store, edges, now)
            mute_by_config(store, *_muted(self.config), now)
            if changed:
                refold_open(store, policy, now)
            self._serve_web(path)
            self._install_signals()
            self._scheduler.add_listener(self._on_job, EVENT_JOB_EXECUTED)
            self._scheduler.start()
            self._start_workers(edges)
            self._start_heartbeat()
            log.info(
                "running", accounts=len(self._accounts), channels=len(self._channels), given_back=given_back
            )
            notify("READY=1")
            try:
                self._core.run()
            finally:
                if self._web is not None:
                    self._web.stop()
                with suppress(StoreError):
                    store.checkpoint()
                store.close()
            log.info("stopped")

    # What the parts tell us.

    def _on_watched(self, watched: Watched) -> None:
        for channel in watched.channels:
            worker = self._channels.get(channel)
            if worker is not None:
                worker.wake()
        for look in watched.looks:
            for account in self._accounts:
                if (account.brand, account.name) != (look.brand, look.connector):
                    continue
                if look.account in (None, account.account):
                    account.look(look.private, look.message_id)

    def _on_beat(self) -> None:
        self._last_beat = self._clock.stopwatch()
        self.metrics.beat(self._clock.now())
        if self._watchdog is not None and self._last_beat - self._last_watchdog >= self._watchdog / 4:
            self._last_watchdog = self._last_beat
            notify("WATCHDOG=1")

    def _on_polled(self, polled: Polled, seconds: float) -> None:
        self.metrics.polled(polled.ref.connector, seconds)
        if polled.error is not None:
            log.warning("poll failed", stream=str(polled.ref), reason=polled.reason, error=polled.error)
        elif polled.taken is not None and (polled.taken.new or polled.taken.rejected):
            log.info(
                "page taken in", stream=str(polled.ref), new=polled.taken.new, rejected=polled.taken.rejected
            )

    def _on_job(self, job: object) -> None:
        planned = getattr(job, "scheduled_run_time", None)
        if planned is not None:
            lag = (self._clock.real_time_of(self._clock.now()) - planned).total_seconds()
            self.metrics.scheduler_lag(max(0.0, lag))

    def ready(self) -> list[str]:
        """Why we are not ready; empty where we are. A platform's outage is a metric, not unreadiness."""
        late = self._clock.stopwatch() - self._last_beat
        if late <= READY_WITHIN_SECONDS:
            return []
        if late == float("inf"):
            return ["the deadline loop has not read the store yet"]
        return [f"the deadline loop has not read the store for {late:.0f} s"]

    # Start, reload, stop.

    def _start_workers(self, edges: Edges) -> None:
        limit = self.config.http.time_limit.total_seconds()
        monitor = self.config.monitor
        self._accounts = [
            AccountWorker(
                brand,
                name,
                label,
                connector,
                self._core,
                self._clock,
                limit,
                self._later,
                self._on_polled,
                monitor.reconcile_after if monitor.reconcile else None,
            )
            for (brand, name, label), connector in edges.connectors.items()
        ]
        lease_seconds = (limit + LEASE_MARGIN_SECONDS) * self._clock.rate
        self._channels = {
            name: ChannelWorker(name, channel, self._core, self._clock, limit, lease_seconds)
            for name, channel in edges.channels.items()
        }
        self._deliveries = Deliveries(edges.connectors, self._core, self._clock.now, self.metrics.delivered)
        for account in self._accounts:
            account.start()
        for channel in self._channels.values():
            channel.start()
        heard = {
            name: channel.listen(CareDesk(self._core, self._clock, name))
            for name, channel in edges.channels.items()
            if isinstance(channel, Listening)
        }
        self._listeners = {name: listener for name, listener in heard.items() if listener is not None}
        for listener in self._listeners.values():
            listener.start()

    def _receive(self, channel: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        """What a platform sends us about a channel, over HTTP."""
        listener = self._listeners.get(channel)
        return CallbackAnswer(404) if listener is None else listener.receive(headers, body)

    def _deliver(self, account: AccountKey, delivery: Delivery) -> Answer:
        """What a platform pushes to an account, over HTTP."""
        deliveries = self._deliveries
        if deliveries is None:  # it is starting, or stopping, or takes a new config: to be sent again
            return Answer(503, retry_seconds=RETRY_SECONDS)
        return deliveries.deliver(account, delivery)

    def _stop_edges(self) -> None:
        """Hear no more, then let what is under way finish."""
        self._deliveries = None
        for listener in self._listeners.values():
            listener.stop(LISTENER_STOP_SECONDS_MAX / len(self._listeners))
        self._listeners = {}
        stop_all(self._accounts, self._channels.values(), STOP_SECONDS_MAX)

    def _later(self, key: str, at: datetime, call: Callable[[], None]) -> None:
        """Have something called at a pretended time; a second call with the same key replaces the first."""
        with suppress(RuntimeError):  # the scheduler is shut down: we are stopping
            self._scheduler.add_job(
                call, "date", run_date=self._clock.real_time_of(at), id=key, replace_existing=True
            )

    def _serve_web(self, path: Path) -> None:
        if not self.config.web.enabled:
            return
        from monitor.web.app import WebState, make_app
        from monitor.web.server import WebServer

        self.metrics.listen_to(lambda: {name: ear.hearing() for name, ear in self._listeners.items()})
        self.metrics.registry.register(
            StoreCollector(
                lambda: read_store(path), self._clock.now, lambda: self._core.policy.response_buckets
            )
        )
        app = make_app(self.metrics.registry, WebState(self.ready, self._receive, self._deliver))
        self._web = WebServer(app, self.config.web.host, self.config.web.port)
        self._web.start()

    def _start_heartbeat(self) -> None:
        self._scheduler.remove_job("heartbeat") if self._scheduler.get_job("heartbeat") else None
        if self.config.heartbeat.url is None:
            return
        every = self.config.heartbeat.every.total_seconds() / self._clock.rate
        client = HttpClient(http_options(self.config))
        self._scheduler.add_job(
            lambda: self._beat_heart(client), "interval", seconds=every, id="heartbeat", replace_existing=True
        )

    def _beat_heart(self, client: HttpClient) -> None:
        """Ping the dead man's switch while all is well; its silence is the alarm."""
        url = self.config.heartbeat.url
        if url is None or self.ready():
            return
        failing = self._core.ask(lambda store: [s for s in store.streams.all() if s.failing_since]).result(10)
        if failing:
            log.info("heartbeat withheld", failing=len(failing))
            return
        try:
            client.request("GET", url.reveal(), time_limit=10.0)
        except EdgeError as error:
            log.warning("heartbeat not sent", error=str(error))

    def _install_signals(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop_signal)
        signal.signal(signal.SIGINT, self._on_stop_signal)
        signal.signal(signal.SIGHUP, self._on_reload_signal)

    def _on_stop_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopper is None:
            self._stopper = threading.Thread(target=self._stop, name="stop", daemon=True)
            self._stopper.start()

    def _on_reload_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopper is None:
            threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _stop(self) -> None:
        """Let what is under way finish; the core records it, so it stops last."""
        notify("STOPPING=1")
        log.info("stopping")
        with suppress(Exception):
            self._scheduler.shutdown(wait=False)
        self._stop_edges()
        self._core.stop()

    def _reload(self) -> None:
        """Take a new config, all of it or none: a bad one leaves the old in force."""
        try:
            config = load_config(self._path)
            problems = check_secrets(config)
            if problems:
                raise ConfigError(problems)
            edges = build_edges(config, self._clock, self.state_folder)
            policy = build_policy(config, edges)
        except Exception as error:  # whatever is wrong with the new one, the old one goes on
            log.error("reload refused, the old config stays", error=str(error))
            self.metrics.reloaded("refused")
            return
        if config.monitor.folder(self._path) != self.state_folder or config.web != self.config.web:
            log.warning("state_folder and [web] change only at a restart")
        self._stop_edges()
        self.config = config
        self._core.ask(lambda store: self._adopt(store, policy, edges)).result()
        self._start_workers(edges)
        self._start_heartbeat()
        self.metrics.reloaded("accepted")
        log.info("reloaded", accounts=len(self._accounts), channels=len(self._channels))

    def _adopt(self, store: Store, policy: Policy, edges: Edges) -> None:
        now = self._clock.now()
        with store.transaction("reload"):
            changed = store.keep_policy(policy.stored, now)
            store.outbox.give_back(now)
        policy = self._core.policy = policy.remembering(store.policies())
        register(store, edges, now)
        mute_by_config(store, *_muted(self.config), now)
        if changed:
            refold_open(store, policy, now)


def _muted(config: Config) -> tuple[list[str], list[str]]:
    """The authors and the phrases that the config mutes."""
    return config.alerts.muted_authors, config.alerts.muted_phrases


def register(store: Store, edges: Edges, now: datetime) -> None:
    """Have every configured stream, with its first-run mark, before its first page is asked for."""
    with store.transaction("register"):
        store.streams.retire_all()
        for (brand, name, label), connector in edges.connectors.items():
            scope = store.make_scope(brand, name)
            for stream in connector.streams:
                store.streams.register(
                    scope, label, stream.name, stream.direction, private=stream.private, now=now
                )


def bring_up_to_date(store: Store, policy: Policy, now: datetime) -> None:
    """Fold everything again where an earlier version folded it: it knew less. No figure is counted anew."""
    if store.mark("folded_by") == FOLDED_BY:
        return
    if store.scopes():
        log.info("folding every case again, once, for this version")
        conversations, changed = rebuild(store, policy, now, _still_here)
        log.info("folded", conversations=conversations, changed=changed)
    with store.transaction("mark"):
        store.set_mark("folded_by", FOLDED_BY)


def _still_here() -> None:
    """Many cases take a while, and that is no hang."""
    notify("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000")


def refold_open(store: Store, policy: Policy, now: datetime) -> None:
    """Open cases take the new targets; closed ones keep what they had."""
    scopes = store.scopes()
    places = store.cases.open_places()
    for start in range(0, len(places), FOLD_BATCH):
        _still_here()
        with store.transaction("refold"):
            for scope, conversation, customer in places[start : start + FOLD_BATCH]:
                place = Place(*scopes[scope], conversation, customer)
                fold_again(store, policy, scope, [place], now)


class _only_one:
    """Holds the lock that keeps a second daemon off this state folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise AlreadyRunning(
                f"another response-monitor runs on {self._path.parent}; stop it, or use another state_folder"
            ) from None

    def __exit__(self, *_error: object) -> None:
        if self._file is not None:
            os.close(self._file)
