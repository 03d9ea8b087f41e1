"""A real Alertmanager understands what we post, and the simulated one is as strict as it is."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from alerts.contract import Channel
from rules.alert import Stage
from simulator.alertmanager_api import Alertmanager, make_alertmanager_app
from simulator.serve import Served
from simulator.world import Clock, FixedClock
from tests.alerts.build import LIMIT, alert, build_channel, spike_alert, storm_alert
from tests.contract.test_hostile_texts import NASTY, look_at_chat
from tests.needs import needs
from tests.prometheus.test_prometheus import free_port
from wire.http import HttpOptions

WITHIN_SECONDS = 30.0


class Receiver:
    """A webhook receiver of Alertmanager's notifications: what every group said, in order."""

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []
        self.arrived = threading.Condition()

    def app(self) -> Starlette:
        """The server."""

        async def take(request: Request) -> Response:
            group = await request.json()
            with self.arrived:
                self.groups.append(group)
                self.arrived.notify_all()
            return Response(b"", 200)

        return Starlette(routes=[Route("/", take, methods=["POST"])])

    def wait_for(self, status: str) -> dict[str, Any]:
        """The first group that says so."""
        with self.arrived:
            found = self.arrived.wait_for(
                lambda: [group for group in self.groups if group["status"] == status], WITHIN_SECONDS
            )
        assert found, self.groups
        return found[0]


@contextmanager
def alertmanager(folder: Path, receiver_url: str) -> Iterator[str]:
    """A real one that tells the receiver at once. Gives its address when it is ready."""
    port = free_port()
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: care, group_by: [alertname, case], group_wait: 100ms, group_interval: 100ms}\n"
        f"receivers: [{{name: care, webhook_configs: [{{url: {json.dumps(receiver_url)}}}]}}]\n",
        encoding="utf-8",
    )
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [
                needs("prometheus-alertmanager"),
                f"--config.file={config}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(int(WITHIN_SECONDS / 0.05)):
                if is_ready(url):
                    break
                threading.Event().wait(0.05)
            assert is_ready(url), (folder / "alertmanager.log").read_text("utf-8")
            yield url
        finally:
            process.terminate()
            process.wait(30)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[str]:
    needs("prometheus-alertmanager")
    with Served(receiver.app()) as served:
        with alertmanager(tmp_path_factory.mktemp("alertmanager"), f"{served.url}/") as url:
            yield url


@pytest.fixture
def clock() -> Clock:
    """The real time: a real Alertmanager has no other one."""
    return Clock(datetime(1970, 1, 1, tzinfo=UTC), 1.0, 0.0)


def channel_to(url: str, clock: Clock) -> Channel:
    settings = {"type": "alertmanager", "urls": [url], "labels": {"team": "care"}}
    return build_channel("alertmanager", FixedClock(clock.now()), settings, HttpOptions())


def listed(url: str, name: str) -> list[dict[str, Any]]:
    """What its API shows as going on, of one name."""
    shown: list[dict[str, Any]] = httpx.get(
        f"{url}/api/v2/alerts", params={"filter": f'case="{name}"'}
    ).json()
    return shown


def test_one_alert_fires_and_is_resolved(real: str, receiver: Receiver, clock: Clock) -> None:
    """Whoever Alertmanager tells hears that a customer waits, sees it brought up to date, and hears that it
    is over: one alert, from the warning to the answer."""
    channel, now = channel_to(real, clock), clock.now()
    times = {"waiting_since": now - timedelta(minutes=20), "due_at": now - timedelta(minutes=5)}
    about: dict[str, Any] = {"subject": "acme/x/4711", "case_id": "acme/x/4711", **times}
    receipt = channel.send(alert(Stage.WARNING, at=now, **about), None, LIMIT)
    (warned,) = listed(real, "acme/x/4711")
    assert warned["annotations"]["stage"] == "warning"
    told = receiver.wait_for("firing")
    assert told["commonLabels"]["team"] == "care" and told["commonLabels"]["priority"] == "high"
    assert told["commonAnnotations"]["summary"].startswith("⏳ 5 min late: @\u200bann_b has waited 20 min")
    receipt = channel.send(alert(Stage.BREACH, at=now, **about), receipt, LIMIT)
    (breached,) = listed(real, "acme/x/4711")
    assert breached["annotations"]["stage"] == "breach" and breached["status"]["state"] == "active"
    assert breached["fingerprint"] == warned["fingerprint"] and breached["startsAt"] == warned["startsAt"]
    assert datetime.fromisoformat(breached["endsAt"].replace("Z", "+00:00")) > now + timedelta(days=2)
    channel.send(alert(Stage.CLEARED, at=now, **about, answered_at=now), receipt, LIMIT)
    assert listed(real, "acme/x/4711") == []
    over = receiver.wait_for("resolved")
    assert [each["status"] for each in over["alerts"]] == ["resolved"]
    assert over["alerts"][0]["fingerprint"] == warned["fingerprint"]
    assert over["alerts"][0]["annotations"]["summary"].startswith("✅ @\u200bann_b on X: answered")


def test_an_answer_long_before_we_looked_resolves_it_too(real: str, clock: Clock) -> None:
    """A correction hours later ends the alert, although its end lies before its last reminder."""
    channel, now = channel_to(real, clock), clock.now()
    since = now - timedelta(hours=5)
    about: dict[str, Any] = {"subject": "acme/x/4712", "waiting_since": since}
    receipt = channel.send(alert(Stage.BREACH, at=now, repeat=3, **about), None, LIMIT)
    assert len(listed(real, "acme/x/4712")) == 1
    corrected = alert(Stage.CORRECTED, at=now, **about, answered_at=since + timedelta(seconds=1))
    channel.send(corrected, receipt, LIMIT)
    assert listed(real, "acme/x/4712") == []


def test_nothing_that_strangers_write_is_refused(real: str, clock: Clock) -> None:
    """No post, name or link makes Alertmanager refuse the alert about it, and none calls anybody in the chats
    that it passes alerts on to."""
    channel, now = channel_to(real, clock), clock.now()
    for number, text in enumerate(NASTY):
        words: dict[str, Any] = {
            "customer": text,
            "text": text,
            "account": text,
            "reasons": (text,),
            "caveats": (text,),
        }
        links = (f"https://x.example/{text}", "https://x.example/%zz?a=b#c#d", "https://x.example/@here/1")
        for link, url in enumerate(links):
            name = f"nasty/{number}/{link}"
            given = alert(Stage.BREACH, at=now, subject=name, **words, url=url)
            channel.send(given, None, LIMIT)
            (shown,) = listed(real, name)
            for said in (*shown["annotations"].values(), *shown["labels"].values()):
                look_at_chat(said)
    for given in (storm_alert(), spike_alert(), alert(Stage.TROUBLE), alert(Stage.TEST)):
        channel.send(replace(given, at=now), None, LIMIT)


def test_a_check_knows_it(real: str, clock: Clock) -> None:
    """`check` says which Alertmanager answers, in which version."""
    said = channel_to(real, clock).check(LIMIT)
    assert said.startswith(f"{real}: Alertmanager 0.")


WRONG: list[tuple[str, str]] = [
    ('[{"labels":{"alertname":"a"},"generatorURL":"http://x/%zz"}]', "application/json"),
    ('[{"labels":{"alertname":"a"},"generatorURL":"http://x y/"}]', "application/json"),
    ('[{"labels":{"alertname":"a"},"generatorURL":"foo"}]', "application/json"),
    ('[{"labels":{"alertname":"a"},"startsAt":"yesterday"}]', "application/json"),
    ('[{"labels":{}}]', "application/json"),
    ('[{"labels":{"a":""}}]', "application/json"),
    ('[{"labels":{"a-b":"c"}}]', "application/json"),
    ('[{"labels":{"a":"b"},"annotations":{"a-b":"c"}}]', "application/json"),
    (
        '[{"labels":{"a":"b"},"startsAt":"2026-11-23T12:00:00Z","endsAt":"2026-11-22T12:00:00Z"}]',
        "application/json",
    ),
    ('{"labels":{"alertname":"a"}}', "application/json"),
    ('[{"annotations":{}}]', "application/json"),
    ('[{"labels":{"alertname":1}}]', "application/json"),
    ("[3]", "application/json"),
    ("nope", "application/json"),
    ("[]", "text/plain"),
]
RIGHT = [
    "[]",
    '[{"labels":{"alertname":"right"}}]',
    '[{"labels":{"alertname":"right"},"generatorURL":""}]',
    '[{"labels":{"alertname":"right"},"generatorURL":"http://x.example/a|b{}"}]',
    '[{"labels":{"alertname":"right","empty":""},"annotations":{"a":"\\u0000 \\ud800"}}]',
    '[{"labels":{"alertname":"right"},"startsAt":"2026-11-02T12:00:00.000Z"}]',
    '[{"labels":{"alertname":"right"},"endsAt":"2026-11-02T12:00:00+01:00"}]',
]


@pytest.fixture(scope="module")
def simulated() -> Iterator[str]:
    manager = Alertmanager(FixedClock(datetime(2026, 11, 2, 12, tzinfo=UTC)), bearer=None)
    with Served(make_alertmanager_app(manager)) as server:
        yield server.url


@pytest.mark.parametrize(
    ("body", "kind", "right"),
    [(*wrong, False) for wrong in WRONG] + [(body, "application/json", True) for body in RIGHT],
)
def test_the_simulated_one_judges_as_the_real_one(
    real: str, simulated: str, body: str, kind: str, right: bool
) -> None:
    """What the simulator lets through is right for the real one too, and its refusals are the real ones'."""
    answers = [
        httpx.post(f"{url}/api/v2/alerts", content=body.encode(), headers={"Content-Type": kind})
        for url in (real, simulated)
    ]
    assert answers[0].status_code == answers[1].status_code
    assert (answers[0].status_code == 200) == right
    shapes: list[Any] = [answer.json() if answer.content else None for answer in answers]
    assert type(shapes[0]) is type(shapes[1])
    if isinstance(shapes[0], dict):
        assert shapes[0]["code"] == shapes[1]["code"]
    else:
        assert shapes[0] == shapes[1]


def test_both_merge_what_has_the_same_labels_alike(real: str, simulated: str, clock: Clock) -> None:
    """A reminder, a shorter end, an end in the past and a new beginning: both show the same."""
    now = clock.now()
    steps = [(-60, 600), (-30, 300), (-60, -10), (-5, 900), (-90, -80)]
    seen: dict[str, list[Any]] = {real: [], simulated: []}
    for url, at in ((real, now), (simulated, datetime(2026, 11, 2, 12, tzinfo=UTC))):
        for start, end in steps:
            times = {"startsAt": at + timedelta(seconds=start), "endsAt": at + timedelta(seconds=end)}
            entry = {"labels": {"case": "merged"}, **{k: v.isoformat() for k, v in times.items()}}
            assert httpx.post(f"{url}/api/v2/alerts", json=[entry]).status_code == 200
            shown = [one for one in listed(url, "merged") if one["labels"] == {"case": "merged"}]
            seen[url].append(
                [
                    tuple(
                        round((datetime.fromisoformat(one[k].replace("Z", "+00:00")) - at).total_seconds())
                        for k in ("startsAt", "endsAt")
                    )
                    for one in shown
                ]
            )
    assert seen[real] == seen[simulated]
    assert seen[real][0] == [(-60, 600)] and seen[real][2] == []
