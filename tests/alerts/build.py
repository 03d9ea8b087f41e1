"""Alerts as the tests want them, and each way of telling people on its simulated sink."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest

import alerts
from alerts.contract import Channel, ChannelSurroundings
from alerts.render import Rendered
from alerts.words import Templates
from rules.alert import Alert, CaseFacts, Spike, Stage, Storm, StormCase, Trouble
from simulator.alertmanager_api import BEARER, Alertmanager, make_alertmanager_app
from simulator.apprise_api import TOPIC, NoticeBoard, make_notice_app
from simulator.faults import Faults
from simulator.hooks_api import (
    ROUTING_KEY,
    HookSink,
    PagerDutyService,
    make_hook_app,
    make_pagerduty_app,
)
from simulator.hooks_api import SIGNING_SECRET as HOOK_SECRET
from simulator.mail import MailSink
from simulator.serve import Served
from simulator.slack_api import APP_TOKEN, SIGNING_SECRET, TOKEN, SlackWorkspace, make_slack_app
from simulator.slack_socket import Lines
from simulator.world import FixedClock
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
WORDS = Templates().words()
PASSWORD = "correct horse battery staple"
HOOK = "T0HUSH/B0HUSH/hush-hush-hush"
SECRETS = (
    TOKEN,
    APP_TOKEN,
    PASSWORD,
    "hush-hush-hush",
    "B0HUSH",
    HOOK_SECRET.removeprefix("whsec_"),
    ROUTING_KEY,
    BEARER,
)
LIMIT = 10.0


def render(alert: Alert, zone: ZoneInfo) -> Rendered:
    """An alert in the built-in words."""
    return WORDS.render(alert, zone)


def facts(**changes: Any) -> CaseFacts:
    """@ann_b, who at noon has waited for 7 minutes of 15 on X."""
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


def storm_case(number: int = 1, **changes: Any) -> StormCase:
    """One of a storm's worst cases: a customer who at noon has waited for 20 minutes, 5 too long."""
    given: dict[str, Any] = {
        "case_id": f"acme/x/{number}",
        "customer": f"@customer_{number}",
        "connector": "x",
        "priority": "high",
        "waiting_since": NOON - timedelta(minutes=20),
        "due_at": NOON - timedelta(minutes=5),
        "url": f"https://x.example/customer_{number}/status/{number}",
    }
    return StormCase(**(given | changes))


def storm(**changes: Any) -> Storm:
    """54 cases since ten to noon, of which 42 wait and 12 were answered."""
    given: dict[str, Any] = {
        "brand": "Acme",
        "connectors": ("x", "reddit"),
        "since": NOON - timedelta(minutes=10),
        "reached": 54,
        "waiting": 42,
        "answered": 12,
        "worst": tuple(storm_case(number) for number in range(1, 6)),
        "words": (("delivery", 31), ("refund", 12)),
    }
    return Storm(**(given | changes))


def storm_alert(repeat: int = 0, *, at: datetime = NOON, stage: Stage = Stage.STORM, **changes: Any) -> Alert:
    """The storm as it is told first, or for the so-manieth time."""
    key = f"storm_1/{stage}/{repeat}/care"
    return Alert(key, "storm_1", stage, at, repeat, storm=storm(**changes))


def spike_alert(**changes: Any) -> Alert:
    """42 complaints in the ten minutes before noon, where 3 are usual."""
    given: dict[str, Any] = {
        "brand": "Acme",
        "count": 42,
        "window_seconds": 600.0,
        "usual": 3.0,
        "since": NOON - timedelta(minutes=10),
    }
    return Alert("spike_1/care", "spike_1", Stage.SPIKE, NOON, spike=Spike(**(given | changes)))


TAKEN: dict[str, Any] = {"moved": "ack", "moved_by": "@ana", "acknowledged_by": "@ana"}


def alert(stage: Stage, *, at: datetime = NOON, repeat: int = 0, subject: str = "", **changes: Any) -> Alert:
    """An alert of that stage: of a case or of many, or for TROUBLE and TEST of ourselves."""
    if stage is Stage.STORM:
        return storm_alert(repeat, at=at)
    if stage is Stage.SPIKE:
        return spike_alert()
    if stage in (Stage.TROUBLE, Stage.TEST):
        since = NOON - timedelta(minutes=5)
        trouble = Trouble("@acme on x refuses us", "mentions: 403", since, 3, "Give the permission")
        return Alert(f"blind_1/{stage}/{repeat}/care", subject or "blind_1", stage, at, repeat, None, trouble)
    if stage in (Stage.CLEARED, Stage.CORRECTED):
        answered_at = NOON + timedelta(minutes=5)
        over = {"outcome": "answered after 12 min by @acmehelp", "answered_at": answered_at}
        changes = over | changes
    if stage is Stage.MOVED:
        changes = TAKEN | changes
    case = facts(**changes)
    subject = subject or case.case_id
    key = f"{subject}/{case.clock}/0/{stage}/{repeat}/care/0a1b"
    step = "the lead" if stage is Stage.ESCALATED else None
    return Alert(key, subject, stage, at, repeat, case, step=step)


@dataclass(frozen=True, slots=True)
class Received:
    """What a sink holds of one alert: its key, and the texts of it."""

    key: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """One way of telling people on its sink. `make` builds a channel with settings changed, `elsewhere` one
    that talks to another port of this machine; `received` lists what arrived; `faults` befall HTTP only."""

    kind: str
    clock: FixedClock
    make: Callable[..., Channel]
    elsewhere: Callable[[int], Channel]
    received: Callable[[], list[Received]]
    sink: Any
    faults: Faults


def build_channel(kind: str, clock: FixedClock, settings: dict[str, Any], http: HttpOptions) -> Channel:
    """A channel as the daemon builds it from its config."""
    module = alerts.load(kind)
    surroundings = ChannelSurroundings("care", BERLIN, http, clock.now)
    channel: Channel = module.build(module.Settings.model_validate(settings), surroundings)
    return channel


@contextmanager
def _slack(way: str) -> Iterator[Bench]:
    """`way` is "webhook", "token" (no buttons), "app" (Socket Mode) or "callbacks" (signed, over HTTP)."""
    clock = FixedClock(NOON)
    faults = Faults(clock)
    workspace = SlackWorkspace(clock, hook=HOOK, channels=("#care",))
    made: list[Channel] = []
    with Served(make_slack_app(workspace, faults)) as server, pytest.MonkeyPatch.context() as environment:

        def make(url: str = server.url, **changes: Any) -> Channel:
            environment.setenv("CARE_TOKEN", TOKEN)
            environment.setenv("CARE_HOOK", f"{url}/services/{HOOK}")
            environment.setenv("CARE_APP_TOKEN", APP_TOKEN)
            environment.setenv("CARE_SIGNING_SECRET", SIGNING_SECRET)
            token = {"bot_token": {"env": "CARE_TOKEN"}, "channel": "#care", "api_url": f"{url}/api"}
            ways: dict[str, dict[str, Any]] = {
                "webhook": {"webhook_url": {"env": "CARE_HOOK"}},
                "token": token,
                "app": {**token, "app_token": {"env": "CARE_APP_TOKEN"}},
                "callbacks": {**token, "signing_secret": {"env": "CARE_SIGNING_SECRET"}},
            }
            settings = {"type": "slack", **ways[way], **changes}
            made.append(build_channel("slack", clock, settings, HttpOptions()))
            return made[-1]

        def elsewhere(port: int) -> Channel:
            return make(f"http://127.0.0.1:{port}")

        def received() -> list[Received]:
            return [Received(post.key, (post.text, *strings(post.blocks))) for post in workspace.posts]

        yield Bench("slack", clock, make, elsewhere, received, workspace, faults)
        for channel in made:
            channel.close()


@contextmanager
def mail_bench(**options: Any) -> Iterator[Bench]:
    """A mail server that wants a login."""
    clock = FixedClock(NOON)
    sink = MailSink(clock, users={"monitor": PASSWORD}, **options)
    with sink, pytest.MonkeyPatch.context() as environment:
        environment.setenv("CARE_PASSWORD", PASSWORD)

        def make(http: HttpOptions | None = None, **changes: Any) -> Channel:
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

        def elsewhere(port: int) -> Channel:
            return make(port=port)

        def received() -> list[Received]:
            return [
                Received(mail.key, (str(mail.message["Subject"]), mail.part("plain"), mail.part("html")))
                for mail in sink.mails
            ]

        yield Bench("smtp", clock, make, elsewhere, received, sink, Faults(clock))


@contextmanager
def hook_bench() -> Iterator[Bench]:
    """A receiver of signed webhooks, whose URL is a secret."""
    clock = FixedClock(NOON)
    faults = Faults(clock)
    sink = HookSink(clock, f"/hooks/{HOOK}")
    made: list[Channel] = []
    with Served(make_hook_app(sink, faults)) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("CARE_SIGNING", HOOK_SECRET)

        def make(url: str = server.url, **changes: Any) -> Channel:
            environment.setenv("CARE_HOOK", f"{url}{sink.path}")
            own = {"url": {"env": "CARE_HOOK"}, "signing_secrets": [{"env": "CARE_SIGNING"}]}
            settings = {"type": "webhook", **own, **changes}
            made.append(build_channel("webhook", clock, settings, HttpOptions()))
            return made[-1]

        def elsewhere(port: int) -> Channel:
            return make(f"http://127.0.0.1:{port}")

        def received() -> list[Received]:
            return [Received(one.body["data"]["key"], tuple(strings(one.body))) for one in sink.delivered]

        yield Bench("webhook", clock, make, elsewhere, received, sink, faults)
        for channel in made:
            channel.close()


@contextmanager
def pagerduty_bench() -> Iterator[Bench]:
    """PagerDuty with one service."""
    clock = FixedClock(NOON)
    faults = Faults(clock)
    service = PagerDutyService(clock)
    made: list[Channel] = []
    with Served(make_pagerduty_app(service, faults)) as server, pytest.MonkeyPatch.context() as environment:

        def make(url: str = server.url, **changes: Any) -> Channel:
            environment.setenv("CARE_TOKEN", ROUTING_KEY)
            settings = {"type": "pagerduty", "routing_key": {"env": "CARE_TOKEN"}, "api_url": url, **changes}
            made.append(build_channel("pagerduty", clock, settings, HttpOptions()))
            return made[-1]

        def elsewhere(port: int) -> Channel:
            return make(f"http://127.0.0.1:{port}")

        def received() -> list[Received]:
            # What only tries our key tells nobody anything: it has no payload.
            every = [one.body for one in service.enqueued if "payload" in one.body]
            return [Received(one["payload"]["custom_details"]["key"], tuple(strings(one))) for one in every]

        yield Bench("pagerduty", clock, make, elsewhere, received, service, faults)
        for channel in made:
            channel.close()


@contextmanager
def alertmanager_bench() -> Iterator[Bench]:
    """An Alertmanager that wants a token."""
    clock = FixedClock(NOON)
    faults = Faults(clock)
    manager = Alertmanager(clock)
    made: list[Channel] = []
    with (
        Served(make_alertmanager_app(manager, faults)) as server,
        pytest.MonkeyPatch.context() as environment,
    ):

        def make(url: str = server.url, **changes: Any) -> Channel:
            environment.setenv("CARE_TOKEN", BEARER)
            settings = {"type": "alertmanager", "urls": [url], "bearer_token": {"env": "CARE_TOKEN"}}
            made.append(build_channel("alertmanager", clock, settings | changes, HttpOptions()))
            return made[-1]

        def elsewhere(port: int) -> Channel:
            return make(f"http://127.0.0.1:{port}")

        def received() -> list[Received]:
            return [Received(one["annotations"]["key"], as_read(one)) for one in manager.posted]

        yield Bench("alertmanager", clock, make, elsewhere, received, manager, faults)
        for channel in made:
            channel.close()


@contextmanager
def apprise_bench(schema: str) -> Iterator[Bench]:
    """A service that Apprise knows: "json" (its path is the secret) or "ntfy" (which wants a login)."""
    clock = FixedClock(NOON)
    faults = Faults(clock)
    board = NoticeBoard(clock, f"/hooks/{HOOK}", PASSWORD)
    made: list[Channel] = []
    with Served(make_notice_app(board, faults)) as server, pytest.MonkeyPatch.context() as environment:
        # Every channel starts a process, which takes half a second: one does for most of the tests.
        settings = {"type": "apprise", "url": {"env": "CARE_HOOK"}}
        made.append(build_channel("apprise", clock, settings, HttpOptions()))

        def point(port: int | str) -> None:
            ntfy = f"ntfy://monitor:{quote(PASSWORD)}@127.0.0.1:{port}/{TOPIC}"
            json = f"json://127.0.0.1:{port}{board.path}"
            environment.setenv("CARE_HOOK", ntfy if schema == "ntfy" else json)

        def make(query: str = "") -> Channel:
            point(server.url.rpartition(":")[2])
            environment.setenv("CARE_HOOK", os.environ["CARE_HOOK"] + query)
            return made[0]

        def elsewhere(port: int) -> Channel:
            point(port)
            made.append(build_channel("apprise", clock, settings, HttpOptions()))
            made[-1].check(LIMIT)  # The process runs when the stopwatch does.
            return made[-1]

        def received() -> list[Received]:
            # The key is the last line, as people see it.
            return [Received(one.message.rpartition("\n")[2], as_read(one.body)) for one in board.notices]

        yield Bench("apprise", clock, make, elsewhere, received, board, faults)
        for channel in made:
            channel.close()


def as_read(value: Any) -> tuple[str, ...]:
    """The texts in a piece of JSON as people read them: what breaks a mention has no width."""
    return tuple(text.replace("\u200b", "") for text in strings(value))


BENCHES: dict[str, Callable[[], AbstractContextManager[Bench]]] = {
    "slack webhook": lambda: _slack("webhook"),
    "slack token": lambda: _slack("token"),
    "slack app": lambda: _slack("app"),
    "slack callbacks": lambda: _slack("callbacks"),
    "smtp": mail_bench,
    "webhook": hook_bench,
    "pagerduty": pagerduty_bench,
    "alertmanager": alertmanager_bench,
    "apprise json": lambda: apprise_bench("json"),
    "apprise ntfy": lambda: apprise_bench("ntfy"),
}
"""Every way that we have of telling people."""


def as_new(bench: Bench) -> Bench:
    """The same bench, with nothing received, nothing wrong, and at noon again."""
    bench.clock.at = NOON
    bench.faults.clear()
    sink = bench.sink
    if isinstance(sink, SlackWorkspace):
        sink.posts.clear()
        sink.deliveries.clear()
        sink.whispers.clear()
        sink.lines = Lines()
        sink.token, sink.app_token, sink.hook = TOKEN, APP_TOKEN, HOOK
        while sink.next_error() is not None:
            pass
    elif isinstance(sink, HookSink):
        for kept in (sink.delivered, sink.rejected, sink.answers):
            kept.clear()
        sink.secret, sink.path = HOOK_SECRET, f"/hooks/{HOOK}"
    elif isinstance(sink, PagerDutyService):
        for kept_too in (sink.incidents, sink.enqueued, sink.errors):
            kept_too.clear()
        sink.routing_key, sink.per_minute = ROUTING_KEY, None
    elif isinstance(sink, Alertmanager):
        for held in (sink.held, sink.posted, sink.errors):
            held.clear()
        sink.bearer = BEARER
    elif isinstance(sink, NoticeBoard):
        sink.notices.clear()
        sink.statuses.clear()
        sink.path, sink.password = f"/hooks/{HOOK}", PASSWORD
    else:
        sink.mails.clear()
        sink.users, sink.hang_ups, sink.cut_offs = {"monitor": PASSWORD}, 0, 0
        sink.refusals_at.clear()
        sink.refusals, sink.mail_refusals, sink.refused_recipients = [], [], {}
    return bench


def strings(value: Any) -> list[str]:
    """Every string in a piece of JSON."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in strings(each)]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []
