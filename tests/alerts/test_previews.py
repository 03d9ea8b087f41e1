"""Previews: what a channel would send, to be looked at, and nothing sent."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from alerts.contract import Previewing
from rules.alert import Stage
from tests.alerts.build import BENCHES, LIMIT, SECRETS, alert, strings

EVIL = '<script>alert(1)</script> <!channel> <@U0EVIL> \x1b[31m </td> "quoted" &amp;'
STAGES = [stage for stage in Stage if stage is not Stage.TEST]


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


@pytest.mark.parametrize("kind", ["slack webhook", "slack token", "smtp"])
def test_a_preview_is_what_would_be_sent_and_sends_nothing(kind: str) -> None:
    """For each stage: whole, inert, without a secret; and nobody has received anything."""
    with BENCHES[kind]() as bench:
        channel = bench.make()
        assert isinstance(channel, Previewing)
        for stage in STAGES:
            changes: dict[str, Any] = {"text": EVIL}
            shown = channel.preview(alert(stage, **changes))
            assert not any(secret in shown.text for secret in SECRETS) and "\x1b" not in shown.text
            if shown.kind == "json":
                blocks = json.loads(shown.text)["blocks"]
                marked = [b["text"]["text"] for b in blocks if b.get("text", {}).get("type") == "mrkdwn"]
                assert marked == [] and len(strings(blocks)) > 5
            else:
                tags = Tags()
                tags.feed(shown.text)
                assert shown.kind == "html" and "script" not in tags.found and "body" in tags.found
        assert bench.received() == []


@pytest.mark.parametrize("kind", ["webhook", "pagerduty"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_preview_for_a_program_is_the_very_request(kind: str, stage: Stage) -> None:
    """Who writes a receiver, or rules in PagerDuty, sees beforehand what will come, without the secrets."""
    with BENCHES[kind]() as bench:
        channel = bench.make()
        assert isinstance(channel, Previewing)
        said = alert(stage, acknowledged_by="olga", text=EVIL)
        shown = channel.preview(said)
        assert bench.received() == []
        assert shown.kind == "json" and not any(secret in shown.text for secret in SECRETS)
        channel.send(said, None, LIMIT)
        sent = bench.sink.delivered[0] if kind == "webhook" else bench.sink.enqueued[0]
        assert json.loads(shown.text) == {k: v for k, v in sent.body.items() if k != "routing_key"}


def test_what_pagerduty_is_not_asked_is_previewed_as_nothing() -> None:
    """A case that is handed on changes no incident, and the preview does not pretend so."""
    with BENCHES["pagerduty"]() as bench:
        channel = bench.make()
        assert isinstance(channel, Previewing)
        assert channel.preview(alert(Stage.MOVED, acknowledged_by=None, moved="assign")).text == "{}"


@pytest.mark.parametrize(
    ("mention", "calls", "expected"),
    [
        (None, (), []),
        (None, ("U0ANAXX",), ["<@U0ANAXX>"]),
        ("@here", ("U0ANAXX",), ["<!here> <@U0ANAXX>"]),
        ("U0ANAXX", ("U0ANAXX", "U0BENXX"), ["<@U0ANAXX> <@U0BENXX>"]),
        ("@oncall", (), []),
        ("@oncall", ("U0ANAXX",), ["<@U0ANAXX>"]),
        ("@oncall", ("<!channel>", "ana"), []),  # what is no id is never a mention
    ],
)
def test_slack_calls_the_people_whom_it_concerns_by_name(
    mention: str | None, calls: tuple[str, ...], expected: list[str]
) -> None:
    """A breach calls the channel's own mention and the people of the config, each once; a warning nobody."""
    with BENCHES["slack token"]() as bench:
        channel = bench.make(**({} if mention is None else {"mention": mention}))
        assert isinstance(channel, Previewing)
        for stage, wanted in ((Stage.BREACH, expected), (Stage.WARNING, [])):
            blocks = json.loads(channel.preview(alert(stage, calls=calls)).text)["blocks"]
            assert [b["text"]["text"] for b in blocks if b["type"] == "section"] == wanted
