"""`demo`: the real daemon, in a process of its own, against a simulated world on loopback.

The simulator writes what customers and agents write, serves the platforms, takes the alerts, and presses
their buttons; the daemon knows nothing of it but addresses. At the end the ground truth is compared with what
the daemon found and with what the sinks received.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitor.clock import Clock
from monitor.demo_judging import STORM_CASES, STORM_UPDATE_SECONDS, STORM_WITHIN_SECONDS, compare
from monitor.demo_result import Result
from monitor.demo_view import LiveView
from monitor.failpoints import VARIABLE as FAILPOINT
from monitor.store.database import StoreError
from monitor.store.store import Reader, read_store
from simulator.promises import MINUTE, OfficeHours, Promise
from simulator.town import Town, make_town

ORIGIN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LEAD_REAL_SECONDS = 5.0
"""The daemon has this long to start before anybody writes."""

DRAIN_REAL_SECONDS_MAX = 20.0
QUIET_REAL_SECONDS = 1.0
STOP_REAL_SECONDS_MAX = 30.0

FAILPOINTS = (
    "ingest.before_commit",
    "ingest.after_commit",
    "watch.before_commit",
    "watch.after_commit",
    "lease.after_commit",
    "record.before_commit",
    "record.after_commit",
    "act.before_commit",
    "act.after_commit",
)


@dataclass(slots=True)
class Kill:
    """When the daemon was killed on the way, and how."""

    at: datetime
    how: str


class Daemon:
    """The daemon's process, started again when it was killed."""

    def __init__(self, config: Path, clock: str, log: Path, secrets: Mapping[str, str]) -> None:
        self._command = [
            sys.executable, "-m", "monitor", "run", "--config", str(config), "--pretended-time", clock,
        ]  # fmt: skip
        self._log = log
        self._secrets = secrets
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str | None = None) -> None:
        """Start it; with a failpoint, it kills itself there."""
        environment = {**os.environ, **self._secrets}
        environment.pop(FAILPOINT, None)
        if failpoint is not None:
            environment[FAILPOINT] = failpoint
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def died(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL, as the power cut does it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM, as systemd does it. Returns its exit code."""
        if self._process is None:
            return 1
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_REAL_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def last_words(self) -> str:
        """The end of its log, for when it would not start."""
        return self._log.read_text("utf-8", "replace")[-2000:] if self._log.exists() else ""


def run_demo(
    *, seconds: float, speed: float, seed: int, live: bool, kills: int = 0, keep: Path | None = None
) -> Result:
    """Play `seconds` of real time at that speed, then compare. See `Result` for what comes of it."""
    with _folder(keep) as folder:
        real = time.time()
        start = ORIGIN + timedelta(days=seed % 3650)
        first = start + timedelta(seconds=LEAD_REAL_SECONDS * speed)
        end = first + timedelta(seconds=seconds * speed)
        clock = Clock(speed, start, real)
        town = make_town(
            seed=seed,
            origin=start,
            real=real,
            rate=speed,
            first=first,
            seconds=seconds * speed,
        )
        with town:
            config = folder / "monitor.toml"
            config.write_text(config_text(town, folder), "utf-8")
            pretended = f"{speed}@{start.isoformat()}@{real!r}"
            daemon = Daemon(config, pretended, folder / "daemon.log", town.secrets())
            store = folder / "state" / "monitor.db"
            killed = _play(daemon, store, town, clock, end, kills, random.Random(seed), live=live)
            code = daemon.stop()
            if not store.exists():
                raise StoreError(f"the daemon did not start: {daemon.last_words()}")
            reader = read_store(store)
            try:
                moments = [kill.at for kill in killed]
                result = compare(reader, town, end, seed=seed, killed=moments, exit_code=code)
            finally:
                reader.close()
        return result


def _play(
    daemon: Daemon,
    store: Path,
    town: Town,
    clock: Clock,
    end: datetime,
    kills: int,
    chance: random.Random,
    *,
    live: bool,
) -> list[Kill]:
    """Let the time pass, killing the daemon on the way if asked to; then let it drain."""
    killed: list[Kill] = []
    moments = _kill_moments(clock, end, kills, chance)
    view = LiveView(clock, town, end) if live else None
    failpoint = _failpoint(moments, chance)
    daemon.start(failpoint)
    reader: Reader | None = None
    drained_since: float | None = None
    deadline = time.monotonic() + clock.real_seconds_until(end) + DRAIN_REAL_SECONDS_MAX
    try:
        while time.monotonic() < deadline:
            if moments and (daemon.died() or time.time() >= moments[0]):
                how = failpoint if daemon.died() and failpoint else "SIGKILL"
                daemon.kill()
                killed.append(Kill(clock.now(), how))
                moments.pop(0)
                failpoint = _failpoint(moments, chance)
                daemon.start(failpoint)
            elif daemon.died():
                break
            if reader is None:
                reader = _try_to_read(store)
            if town.colleagues is not None:
                town.colleagues.look()
            if view is not None:
                view.show(reader)
            if clock.now() >= end and reader is not None:
                quiet = _is_drained(reader, end)
                drained_since = (drained_since or time.monotonic()) if quiet else None
                if drained_since is not None and time.monotonic() - drained_since > QUIET_REAL_SECONDS:
                    break
            _pause(0.2 if view is not None else 0.05)
    except KeyboardInterrupt:
        if view is None:
            raise
    finally:
        if view is not None:
            view.close()
        if reader is not None:
            reader.close()
    return killed


def _pause(seconds: float) -> None:
    """A real pause: the demo is the one who waits, not the daemon."""
    threading.Event().wait(seconds)


def _kill_moments(clock: Clock, end: datetime, kills: int, chance: random.Random) -> list[float]:
    """Real times of the kills, spread over the writing, each somewhere in its slice."""
    if not kills:
        return []
    begin = time.time() + LEAD_REAL_SECONDS
    span = max(0.1, clock.real_seconds_until(end) - LEAD_REAL_SECONDS - 3.0)
    piece = span / kills
    return [begin + piece * (n + chance.uniform(0.5, 0.95)) for n in range(kills)]


def _failpoint(moments: list[float], chance: random.Random) -> str | None:
    """Every other life of the daemon ends by itself, inside a transaction or a send."""
    if not moments or len(moments) % 2:
        return None
    point = chance.choice(FAILPOINTS)
    return f"{point}:{chance.randint(1, 2) if point.startswith('act.') else chance.randint(2, 12)}"


def _try_to_read(store: Path) -> Reader | None:
    try:
        return read_store(store)
    except StoreError:
        return None


def _is_drained(reader: Reader, end: datetime) -> bool:
    """Everything up to the end was read, and nothing waits to be sent."""
    seen = [s.complete_through for s in reader.streams.all() if s.refused is None]
    due = reader.cases.next_look()
    return (
        bool(seen)
        and all(t is not None and t >= end for t in seen)
        and not reader.outbox.depth()
        and (due is None or due > end)
    )


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="response-monitor-demo-") as name:
        yield Path(name)


def config_text(town: Town, folder: Path) -> str:
    """The demo's monitor.toml: what a real one looks like, but for the addresses."""
    return f"""\
# The demo's config. The addresses are the simulator's; everything else is as it would be.
[monitor]
state_folder = "{folder / "state"}"
log = "json"

[http]
time_limit = "2s"

[web]
enabled = false

[brands.acme]
name = "Acme"
keywords = ["Acme"]
automated_clients = ["AcmeBot"]
automated_accounts = ["acmebot"]

{_x_account(town, "acme", "acme")}
{_x_account(town, "acme", "acmehelp")}
[[brands.acme.reddit]]
username = "acme_support"
api_url = "{town.reddit_url}"
auth_url = "{town.reddit_url}"
client_id = "{town.reddit_access.client_id}"
client_secret = {{ env = "DEMO_REDDIT_SECRET" }}
password = {{ env = "DEMO_REDDIT_PASSWORD" }}
user_agent = "response-monitor demo"
subreddits = ["{town.subreddit}"]

[brands.{town.other_brand}]
name = "Globex"
keywords = ["Globex"]

{_x_account(town, town.other_brand, town.other_handle)}
{_promises_text(town)}
{_channels_text(town)}"""


def _promises_text(town: Town) -> str:
    """What customers are promised, and what is said when many wait or nothing happens."""
    promises = town.promises
    return f"""\
{_calendar_text("office", promises.forum.hours)}
# The demo compares with a truth that knows no texts: whoever speaks to the brand is promised an answer.
{_target_text(promises.forum, 'connector = "reddit"', "public = true", "addressed = true")}
{_target_text(promises.outage, f'brand = "{town.other_brand}"', "public = true", "addressed = true")}
{_target_text(promises.public, "public = true", "addressed = true")}
{_target_text(promises.dm, "public = false")}
[[escalations]]
name = "care lead"
channels = ["{town.lead_channel()}"]
after = "breach"
delay = "{_minutes(promises.escalation)}"

[storms]
# More than an ordinary hour ever has, and less than an outage of the network makes.
cases = {STORM_CASES}
within = "{_minutes(STORM_WITHIN_SECONDS)}"
over_after = "5m"
update_every = "{_minutes(STORM_UPDATE_SECONDS)}"
"""


def _channels_text(town: Town) -> str:
    """Who is told, and where."""
    return f"""\
[channels.care-slack]
type = "slack"
api_url = "{town.slack_url}"
bot_token = {{ env = "DEMO_SLACK_TOKEN" }}
app_token = {{ env = "DEMO_SLACK_APP_TOKEN" }}
channel = "#care"

[channels.care-mail]
type = "smtp"
host = "127.0.0.1"
port = {town.mail_port}
security = "none"
sender = "monitor@acme.example"
recipients = ["care@acme.example"]

[channels.{town.lead_channel()}]
# Stages are what is told there at once; escalations come by their own steps.
type = "smtp"
host = "127.0.0.1"
port = {town.mail_port}
security = "none"
sender = "monitor@acme.example"
recipients = ["{town.lead_mailbox}"]
stages = ["cleared"]
"""


def _calendar_text(name: str, hours: OfficeHours | None) -> str:
    if hours is None:
        return ""
    spans = ", ".join(
        f'"{opens // 60:02d}:{opens % 60:02d}-{closes // 60:02d}:{closes % 60:02d}"'
        for opens, closes in hours.spans
    )
    return f"""\
[calendars.{name}]
time_zone = "{hours.zone}"
hours = {{ daily = [{spans}] }}
"""


def _target_text(promise: Promise, *who: str) -> str:
    lines = [
        "[[targets]]",
        f'name = "{promise.name}"',
        *who,
        'needs_reply = "any"',
        f'first_response = "{_minutes(promise.first)}"',
        f'next_response = "{_minutes(promise.again)}"',
    ]
    if promise.hours is not None:
        lines.append('calendar = "office"')
    if promise.reminder is not None:
        lines += [f'repeat = "{_minutes(promise.reminder)}"', "repeat_max = 1"]
    return "\n".join([*lines, ""])


def _minutes(seconds: float) -> str:
    return f"{seconds / MINUTE.total_seconds():g}m"


def _x_account(town: Town, brand: str, handle: str) -> str:
    keys = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    secrets = "\n".join(f'{key} = {{ env = "{f"DEMO_X_{handle}_{key}".upper()}" }}' for key in keys)
    return f"""\
[[brands.{brand}.x]]
handle = "{handle}"
api_url = "{town.x_url}"
{secrets}
"""
