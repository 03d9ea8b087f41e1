"""docs/alerts.md shows alerts as they are sent, and channels as they are set."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

import alerts
from alerts.slack.blocks import DEEDS
from alerts.slack.payloads import COMMAND
from alerts.webhook import build_body
from monitor.config import RoutingConfig
from rules.alert import Stage
from rules.match import Match, Traits
from rules.meaning.contract import Priority
from rules.message import Kind
from rules.routes import News, Route, Row, find_routes
from simulator.world import Clock
from tests.alerts.build import BERLIN, NOON, alert, render, storm_alert, storm_case
from tests.docs.settings_tables import TABLE, with_tables
from wire.standard_webhooks import sign

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"
URL = "https://x.com/ann_b/status/17"


def test_the_example_is_what_is_sent() -> None:
    """Who reads the docs knows the alert before it comes."""
    said = render(alert(Stage.BREACH, at=NOON + timedelta(minutes=13), url=URL), BERLIN)
    lines = indent(f"{said.mark} {said.text}", "    ", lambda line: bool(line.strip()))
    assert f"\n{lines}\n" in DOCS.read_text("utf-8")


@pytest.mark.parametrize(
    ("stage", "minutes", "repeat"),
    [
        (Stage.WARNING, 0, 0),
        (Stage.BREACH, 13, 0),
        (Stage.BREACH, 23, 1),
        (Stage.MOVED, 0, 0),
        (Stage.CLEARED, 15, 0),
        (Stage.CORRECTED, 15, 0),
        (Stage.ESCALATED, 13, 0),
        (Stage.STORM, 0, 0),
        (Stage.SPIKE, 0, 0),
        (Stage.TROUBLE, 0, 0),
    ],
)
def test_each_stage_begins_as_the_table_says(stage: Stage, minutes: int, repeat: int) -> None:
    """Who filters or skims by the first words finds them in the docs."""
    said = render(alert(stage, at=NOON + timedelta(minutes=minutes), repeat=repeat), BERLIN)
    assert f"| `{said.mark} {said.headline}` |" in DOCS.read_text("utf-8")


def test_the_storm_in_the_docs_is_what_is_sent() -> None:
    """Who reads the docs knows the one message of a storm before it comes."""
    said = render(storm_alert(worst=(storm_case(),)), BERLIN)
    lines = indent(f"{said.mark} {said.text}", "    ", lambda line: bool(line.strip()))
    assert f"\n{lines}\n" in DOCS.read_text("utf-8")


def test_what_else_an_alert_can_begin_with_stands_there() -> None:
    """The words for other clocks, for the unknown and for a storm's end are known before they come."""
    later = NOON + timedelta(minutes=13)
    over: dict[str, Any] = {"over_at": later, "reached": 54, "waiting": 2, "answered": 52}
    resolution: dict[str, Any] = {"clock": "resolution", "waiting_since": NOON - timedelta(days=2)}
    given = (
        alert(Stage.BREACH, at=later, clock="next_response"),
        alert(Stage.BREACH, at=later, **resolution),
        alert(Stage.BREACH, at=later, unknown_since=NOON),
        storm_alert(9, at=later, **over),
    )
    text = DOCS.read_text("utf-8")
    for said in (render(one, BERLIN) for one in given):
        assert f"`{said.mark} {said.headline}`" in text


def test_every_setting_of_every_channel_stands_there() -> None:
    """Nothing can be set that the page does not explain."""
    text = DOCS.read_text("utf-8")
    assert text == with_tables(text)
    named = {found["name"].strip() for found in TABLE.finditer(text)}
    assert named == {f'channels.NAME, type = "{kind}"' for kind in alerts.REGISTRY}


def test_what_is_to_be_copied_into_the_config_is_right() -> None:
    """A snippet that was copied out of the docs is accepted."""
    snippets = re.findall(
        r"^( +)(\[channels\.[^\n]*\n(?:\1[^\n]*\n)*)", DOCS.read_text("utf-8"), re.MULTILINE
    )
    kinds = []
    for space, snippet in snippets:
        for own in tomllib.loads(dedent(space + snippet))["channels"].values():
            routing = RoutingConfig.model_fields.keys() - {"type"}
            RoutingConfig.model_validate(
                {key: own[key] for key in own.keys() & routing} | {"type": own["type"]}
            )
            kind = alerts.load(own["type"]).Settings
            kind.model_validate({key: own[key] for key in own.keys() - routing})
            kinds.append(own["type"])
    names = ["alertmanager", "apprise", "pagerduty", "slack", "slack", "slack", "smtp", "webhook"]
    assert sorted(kinds) == names


def test_the_webhook_in_the_docs_is_what_is_posted() -> None:
    """Who writes a receiver by the example has it right."""
    shown = re.search(r"```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    said = alert(Stage.BREACH, at=NOON + timedelta(minutes=13), url=URL)
    assert shown is not None and json.loads(shown[1]) == build_body(said, render(said, BERLIN))


def test_the_verification_in_the_docs_works() -> None:
    """What is copied out of the docs takes what is ours, and nothing else."""
    snippet = re.search(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert snippet is not None
    names: dict[str, Any] = {}
    exec(snippet[1], names)
    clock = Clock(datetime(1970, 1, 1, tzinfo=UTC), 1.0, 0.0)  # the snippet looks at the real time
    at, body = int(clock.now().timestamp()), b'{"a": 1}'
    for stamp, keys, content, expected in (
        (at, [b"o" * 24, b"k" * 24], body, True),
        (at, [b"o" * 24], body, False),
        (at, [b"k" * 24], body + b" ", False),
        (at - 600, [b"k" * 24], body, False),
    ):
        signed = sign(keys, "id", stamp, body)
        headers = {"webhook-id": "id", "webhook-timestamp": str(stamp), "webhook-signature": signed}
        secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
        assert names["is_ours"](secret, headers, content) is expected
    forged = {"webhook-id": "id", "webhook-timestamp": str(at), "webhook-signature": "v1,ÿ "}
    assert names["is_ours"](secret, forged, body) is False


def test_the_answer_of_alerts_route_is_the_one_on_the_page() -> None:
    """Who compares the page with the terminal sees the same lines."""
    every = frozenset({Stage.WARNING, Stage.BREACH, Stage.CLEARED, Stage.TROUBLE})
    routes = (
        Route("care-slack", "#care", every),
        Route("lead-phone", "webhook of lead-phone", every),
        Route("ops-mail", "ops@acme.example", frozenset({Stage.TROUBLE})),
    )
    rows = (
        Row("refunds", ("care-slack",), Match(topics=frozenset({"refund"}))),
        Row("complaints", tuple(r.channel for r in routes), Match(complaint=True)),
    )
    case = (True, Kind.POST, True, True, True, Priority.NORMAL, 12, frozenset({"waiting"}))
    news = News(Stage.BREACH, "acme", "x", traits=Traits("acme", "x", "acme", *case))
    told = find_routes(routes, rows, news)
    shown = DOCS.read_text("utf-8")
    assert [h.route.channel for h in told.heard] == ["care-slack", "lead-phone"]
    assert "".join(f"         {reason}\n" for reason in told.reasons) in shown


def test_slack_is_set_up_in_ten_steps() -> None:
    """Setting up Slack is a matter of minutes."""
    for part in DOCS.read_text("utf-8").split("\n### ")[1:]:
        assert len(re.findall(r"^\d+\. ", part, re.MULTILINE)) <= 10


def test_the_slack_app_may_do_what_we_do_and_no_more() -> None:
    """The manifest that one pastes has our command and buttons, over Socket Mode, and no scope to read."""
    manifest = (DOCS.parent / "slack-app.yaml").read_text("utf-8")
    scopes = re.findall(r"^ +- (\w+:?\w*)(?: #.*)?$", manifest, re.MULTILINE)
    assert scopes == ["chat:write", "commands"]
    assert re.findall(r"command: (\S+)", manifest) == [COMMAND]
    assert "interactivity:\n    is_enabled: true\n" in manifest and "socket_mode_enabled: true\n" in manifest


def test_every_button_is_explained() -> None:
    """Whoever presses can look up what it does."""
    text = DOCS.read_text("utf-8")
    for _, _, label in DEEDS.values():
        assert f"*{label}*" in text
