"""A house whose Slack and mail lie across a real wire: the steps, the store, the config and the commands as
they are in the daemon, with a clock that the test moves.

What may live here: what several tests of faults need to let things go wrong and to see what a user sees then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from alerts.contract import Channel
from monitor.cli import app
from monitor.clock import Clock
from monitor.daemon import build_edges, build_policy
from monitor.dispatch import Dispatched, lease, next_due, record, send
from monitor.load import load_config
from monitor.metrics import StoreCollector
from monitor.store.store import open_store, read_store
from rules.message import Message
from simulator.faults import Fault, FaultKind, Faults
from simulator.mail import MailSink
from simulator.serve import Served
from simulator.slack_api import TOKEN, SlackWorkspace, make_slack_app
from simulator.world import FixedClock
from tests.monitor.build import NOON, House, at, customer

CONFIG = """\
[monitor]
state_folder = "state"

[http]
time_limit = "{time_limit}"

[spikes]
enabled = false

[brands.acme]
keywords = ["acme"]

[[targets]]
name = "all"
first_response = "15m"
needs_reply = "any"
warnings = []

[channels.care]
type = "slack"
bot_token = {{ env = "FAULTS_SLACK" }}
channel = "#care"
api_url = "{slack_url}/api"

[channels.mail]
type = "smtp"
host = "127.0.0.1"
port = {mail_port}
security = "none"
sender = "monitor@acme.example"
recipients = ["ops@acme.example"]
"""

SENDS_MAX = 500
"""So many sends in one go are a loop that does not end."""


class HandClock(Clock):
    """Pretended time that stands still until the test moves it; who waits for a moment waits to be woken."""

    def __init__(self, world: FixedClock) -> None:
        super().__init__()
        self.world = world

    def now(self) -> datetime:
        return self.world.at

    def real_seconds_until(self, at: datetime) -> float:
        return 0.0 if at <= self.world.at else 3600.0


@dataclass
class Street:
    """The house, and whom it talks to: Slack (as the channel "care", which `faults` befall) and a mail server
    (as "mail"). Minutes are those past noon."""

    home: House
    clock: HandClock
    channels: dict[str, Channel]
    slack: SlackWorkspace
    mail: MailSink
    faults: Faults
    config: Path
    time_limit: float
    chance: Random

    def go_to(self, minute: float) -> None:
        """It is so many minutes past noon."""
        self.clock.world.at = at(minute)

    @property
    def minute(self) -> float:
        return (self.clock.now() - NOON) / timedelta(minutes=1)

    def complain(self, *numbers: int) -> None:
        """These customers write now, each for themselves."""
        self.take(*(customer(str(n), self.minute, who=f"c{n}") for n in numbers))

    def take(self, *messages: Message) -> None:
        self.home.take(self.minute, *messages)

    def send_one(self, name: str) -> Dispatched:
        """Let a channel send the next that it may send now."""
        store, policy, now = self.home.store, self.home.policy, self.clock.now()
        leased, dropped = lease(store, policy, name, now, 60.0)
        if leased is None:
            return Dispatched("idle", next_due(store, policy, name, now), dropped)
        sent = send(self.channels[name], leased, self.time_limit)
        return record(store, policy, sent, now, self.chance.random())

    def send(self, name: str) -> list[Dispatched]:
        """Let a channel send all that it may send now; what became of each."""
        done: list[Dispatched] = []
        for _ in range(SENDS_MAX):
            step = self.send_one(name)
            if step.outcome == "idle":
                return done
            done.append(step)
        raise AssertionError(f"{name} never comes to an end")

    def live(self, until: float, every: float = 1.0) -> None:
        """The house looks and all channels speak, again and again, until that minute."""
        while True:
            while self.home.watch(self.minute).more:
                pass
            for name in self.channels:
                self.send(name)
            if self.minute >= until:
                return
            self.go_to(min(until, self.minute + every))

    def refuse(self, status: int, until: float, **headers: str) -> None:
        """Slack answers everything with that status until then. Header names have "_" for "-"."""
        kind = FaultKind.RATE_LIMIT if status == 429 else FaultKind.ERROR
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        self.faults.between("/api/", Fault(kind, status, headers=named), self.clock.now(), at(until))

    def asked(self) -> list[float]:
        """The minutes at which Slack was asked and something went wrong."""
        return [(moment - NOON) / timedelta(minutes=1) for moment, _, _ in self.faults.log]

    def posted(self) -> list[tuple[str, float]]:
        """(what it is about, minute) of each message that stands in Slack."""
        return [(subject_of(post.key), (post.at - NOON) / timedelta(minutes=1)) for post in self.slack.posts]

    def mailed(self) -> list[tuple[str, str]]:
        """(what it is about, stage) of each mail."""
        return [(subject_of(mail.key), mail.stage) for mail in self.mail.mails]

    def mail_about(self, subject: str) -> str:
        """The text of the latest mail about it."""
        return [m.part("plain") for m in self.mail.mails if subject_of(m.key) == subject][-1]

    def rows(self, channel: str) -> list[tuple[str, str, str]]:
        """What `alerts list` shows of a channel, the oldest first: (what it is about, stage, state)."""
        return [(row["about"], row["stage"], row["state"]) for row in self.listed(channel)]

    def listed(self, channel: str) -> list[dict[str, Any]]:
        """What `alerts list --json` prints of a channel, the oldest first."""
        printed = self.run("alerts", "list", "--channel", channel, "--limit", "1000", "--json")
        rows: list[dict[str, Any]] = json.loads(printed)
        return rows[::-1]

    def run(self, *words: str, timeless: bool = False) -> str:
        """What a command prints; it must end well. `timeless`: it cares for no time."""
        pretended = [] if timeless else ["--pretended-time", f"1e-12@{self.clock.now().isoformat()}@0"]
        runner = CliRunner(env={"COLUMNS": "200"})
        done = runner.invoke(app, [*words, "-c", str(self.config), *pretended])
        assert done.exit_code == 0, done.output
        return done.output

    def shown(self, metric: str, **labels: str) -> float:
        """What /metrics shows: the sum over the series that have these labels."""
        registry = CollectorRegistry()
        registry.register(StoreCollector(lambda: read_store(self.home.path), self.clock.now))
        return sum(
            sample.value
            for family in text_string_to_metric_families(generate_latest(registry).decode())
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )

    def ended(self, channel: str) -> dict[str, float]:
        """How many alerts of a channel ended in which way, as /metrics counts them."""
        outcomes = ("delivered", "dead", "superseded")
        name = "response_monitor_alerts_ended_total"
        counts = {outcome: self.shown(name, channel=channel, outcome=outcome) for outcome in outcomes}
        return {outcome: count for outcome, count in counts.items() if count}


def subject_of(key: str) -> str:
    """What an alert is about, out of its key ("acme/x/17")."""
    return key.partition("/first_response/")[0]


@contextmanager
def street(
    folder: Path, more: str = "", *, slack_url: str | None = None, time_limit: str = "15s"
) -> Iterator[Street]:
    """A new one at noon. `more` ends the config; `slack_url`: another server in Slack's place."""
    world = FixedClock(NOON)
    clock, faults, slack = HandClock(world), Faults(world), SlackWorkspace(world)
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.setenv("FAULTS_SLACK", TOKEN)
        mail = stack.enter_context(MailSink(world))
        if slack_url is None:
            slack_url = stack.enter_context(Served(make_slack_app(slack, faults))).url
        config = folder / "monitor.toml"
        told = CONFIG.format(slack_url=slack_url, mail_port=mail.port, time_limit=time_limit)
        config.write_text(told + more, "utf-8")
        state = folder / "state"
        state.mkdir()
        loaded = load_config(config)
        edges = build_edges(loaded, clock, state)
        store = open_store(state / "monitor.db")
        home = House(store, build_policy(loaded, edges), state / "monitor.db")
        seconds = loaded.http.time_limit.total_seconds()
        yield Street(home, clock, edges.channels, slack, mail, faults, config, seconds, Random(15))
        for channel in edges.channels.values():
            channel.close()
        store.close()


def cases(numbers: Sequence[int] | range) -> list[str]:
    """What is said of these customers' cases is about this."""
    return [f"acme/x/{n}" for n in numbers]
