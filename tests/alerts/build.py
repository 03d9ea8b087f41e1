"""Alerts as the tests want them, and the two kinds of channels on their simulated sinks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import alerts
from alerts.contract import Channel, ChannelSurroundings
from rules.alert import Alert, CaseFacts, Stage, Trouble
from simulator.faults import Faults
from simulator.mail import MailSink
from simulator.serve import Served
from simulator.slack_api import TOKEN, SlackWorkspace, make_slack_app
from simulator.world import FixedClock
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
PASSWORD = "correct horse battery staple"
HOOK = "T0HUSH/B0HUSH/hush-hush-hush"
SECRETS = (TOKEN, PASSWORD, "hush-hush-hush")


def facts(**changes: Any) -> CaseFacts:
    """@ann_b, who has waited for 7 minutes of 15 on X at noon."""
    given: dict[str, Any] = {
        "case_id": "acme/x/17",
        "brand": "acme",
        "connector": "x",
        "account": "acmehelp",
        "public": True,
        "customer": "@ann_b",
        "followers": 1234,
        "reach": 5600,
        "text": "My order never came.\nStill no answer?",
        "messages": 2,
        "reasons": ('says that it still waits: "still no"', "negative wording"),
        "complaint": True,
        "priority": "high",
        "waiting_since": NOON - timedelta(minutes=7),
        "target_name": "public",
        "target_seconds": 900.0,
        "due_at": NOON + timedelta(minutes=8),
        "url": "https://x.example/ann_b/status/17",
    }
    return CaseFacts(**(given | changes))


def alert(stage: Stage, *, at: datetime = NOON, repeat: int = 0, subject: str = "", **changes: Any) -> Alert:
    """An alert of that stage; of a case, or for TROUBLE and TEST of ourselves."""
    if stage in (Stage.TROUBLE, Stage.TEST):
        since = NOON - timedelta(minutes=5)
        trouble = Trouble("@acme on x refuses us", "mentions: 403", since, 3, "Give the permission")
        return Alert(f"blind 1/{stage}/0/care", subject or "blind 1", stage, at, repeat, trouble=trouble)
    if stage in (Stage.CLEARED, Stage.CORRECTED):
        over = {
            "outcome": "answered after 12 min by @acmehelp",
            "answered_at": NOON + timedelta(minutes=5),
        }
        changes = over | changes
    case = facts(**changes)
    subject = subject or case.case_id
    return Alert(f"{subject}/first_response/0/{stage}/{repeat}/care/0a1b", subject, stage, at, repeat, case)


@dataclass(frozen=True, slots=True)
class Received:
    """What a sink holds of one alert: its key, and every text of it that a program could act upon."""

    key: str
    texts: tuple[str, ...]


@dataclass(slots=True)
class Bench:
    """One kind of channel on its sink. `make` builds the channel with settings changed, `elsewhere` one that
    talks to another port of this machine; `received` lists what arrived."""

    kind: str
    clock: FixedClock
    make: Callable[..., Channel]
    elsewhere: Callable[[int], Channel]
    received: Callable[[], list[Received]]
    sink: Any
    faults: Faults
    made: list[Channel] = field(default_factory=list)


def build_channel(kind: str, clock: FixedClock, settings: dict[str, Any], http: HttpOptions) -> Channel:
    """A channel as the daemon builds it from its config."""
    module = alerts.load(kind)
    surroundings = ChannelSurroundings("care", BERLIN, http, clock.now)
    channel: Channel = module.build(module.Settings.model_validate(settings), surroundings)
    return channel


@contextmanager
def slack_bench(webhook: bool) -> Iterator[Bench]:
    """A Slack workspace, with a webhook or with a bot token."""
    clock = FixedClock(NOON)
    faults = Faults(clock)
    workspace = SlackWorkspace(clock, hook=HOOK, channels=("#care",))
    with Served(make_slack_app(workspace, faults)) as server, _environment() as environment:
        environment["CARE_TOKEN"] = TOKEN
        environment["CARE_HOOK"] = f"{server.url}/services/{HOOK}"
        own: dict[str, Any] = {"webhook_url": {"env": "CARE_HOOK"}}
        if not webhook:
            own = {
                "bot_token": {"env": "CARE_TOKEN"},
                "channel": "#care",
                "api_url": f"{server.url}/api",
            }

        def make(**changes: Any) -> Channel:
            settings = {"type": "slack", **own, **changes}
            channel = build_channel("slack", clock, settings, HttpOptions())
            bench.made.append(channel)
            return channel

        def elsewhere(port: int) -> Channel:
            environment["CARE_HOOK"] = f"http://127.0.0.1:{port}/services/{HOOK}"
            try:
                return _Kept(make(**({} if webhook else {"api_url": f"http://127.0.0.1:{port}/api"})))
            finally:
                pass

        def received() -> list[Received]:
            return [Received(p.key, (p.text, *_strings(p.blocks))) for p in workspace.posts]

        bench = Bench("slack", clock, make, received, workspace, faults)
        yield bench
        for channel in bench.made:
            channel.close()


@contextmanager
def mail_bench(**options: Any) -> Iterator[Bench]:
    """A mail server that wants a login."""
    clock = FixedClock(NOON)
    sink = MailSink(clock, users={"monitor": PASSWORD}, **options)
    with sink, _environment() as environment:
        environment["CARE_PASSWORD"] = PASSWORD

        def make(*, http: HttpOptions | None = None, **changes: Any) -> Channel:
            settings = {
                "type": "smtp",
                "host": "127.0.0.1",
                "port": sink.port,
                "security": "none",
                "username": "monitor",
                "password": {"env": "CARE_PASSWORD"},
                "sender": "Response monitor <monitor@acme.example>",
                "recipients": ["care@acme.example", "lead@acme.example"],
            }
            return build_channel("smtp", clock, settings | changes, http or HttpOptions())

        def received() -> list[Received]:
            return [
                Received(m.key, (str(m.message["Subject"]), m.part("plain"), m.part("html")))
                for m in sink.mails
            ]

        yield Bench("smtp", clock, make, received, sink, Faults(clock))


def _strings(value: Any) -> list[str]:
    """Every string in a piece of JSON."""
    if isinstance(value, dict):
        return [s for v in value.values() for s in _strings(v)]
    if isinstance(value, list):
        return [s for v in value for s in _strings(v)]
    return [value] if isinstance(value, str) else []


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """The process's environment, put back afterwards (a fixture of function scope would be made anew for
    each test, and the servers with it)."""
    before = dict(os.environ)
    try:
        yield os.environ  # type: ignore[misc] # it is a MutableMapping, which is all that is needed
    finally:
        os.environ.clear()
        os.environ.update(before)
