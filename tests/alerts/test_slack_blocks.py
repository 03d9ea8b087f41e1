"""Every message that we can make is one that Slack takes, whatever strangers wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from alerts.contract import WaitingLine
from alerts.slack.blocks import DEEDS, OPEN_ACTION, WAITING_MAX, build_blocks, build_list
from rules.alert import Alert, Stage
from simulator.slack_blocks import trouble_with
from tests.alerts.build import BERLIN, NOON, alert, facts, render, strings
from tests.contract.test_hostile_texts import hostile

WAITING = [Stage.WARNING, Stage.BREACH, Stage.ESCALATED, Stage.MOVED]


def _blocks(given: Alert, **options: Any) -> list[dict[str, Any]]:
    return build_blocks(given, render(given, BERLIN), "<!here>", buttons=True, **options)


def _buttons(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [element for block in blocks if block["type"] == "actions" for element in block["elements"]]


@st.composite
def hostile_cases(draw: st.DrawFn) -> Alert:
    """A case that waits, whose every word, its id included, is chosen by a stranger."""
    names = ("case_id", "customer", "text", "assignee", "acknowledged_by", "account", "connector", "moved_by")
    words = {name: draw(hostile) for name in names}
    url = draw(st.one_of(st.none(), hostile.map(lambda text: f"https://x.example/{text}")))
    case = facts(**words, moved="assign", url=url, reasons=tuple(draw(st.lists(hostile, max_size=3))))
    return Alert("k/0a", "k", draw(st.sampled_from(WAITING)), NOON, case=case)


@settings(max_examples=200, deadline=None, database=None)
@given(hostile_cases())
def test_slack_takes_every_message_and_nothing_in_it_calls(given_alert: Alert) -> None:
    """Blocks, buttons and their values keep Slack's limits; the only mention is ours; a button hands back the
    very case, or is not there."""
    blocks = _blocks(given_alert, block_id="k/0a~now")
    assert trouble_with({"text": "x", "blocks": blocks}) is None
    for block in Block.parse_all(blocks):
        block.validate_json()
    marked = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    assert set(marked) <= {"<!here>"}
    assert given_alert.case is not None
    values = {button["value"] for button in _buttons(blocks) if button["action_id"] in DEEDS}
    assert values in (set(), {given_alert.case.case_id})
    for value in values:
        assert value.encode("utf-8").decode("utf-8") == value


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(st.builds(WaitingLine, hostile, hostile, hostile, hostile, st.one_of(st.none(), hostile))))
def test_slack_takes_every_list(lines: list[WaitingLine]) -> None:
    """/waiting answers, whatever customers call themselves."""
    text, blocks = build_list(lines)
    assert trouble_with({"text": text, "blocks": blocks}) is None
    assert "mrkdwn" not in strings(blocks)
    for block in Block.parse_all(blocks):
        block.validate_json()


def test_a_long_list_is_cut_to_the_most_urgent() -> None:
    """Who asks sees those to answer first, on one screen."""
    lines = [WaitingLine(f"acme/x/{n}", "@ann_b", "X", f"{n} min late") for n in range(50)]
    text, blocks = build_list(lines)
    assert text == f"The {WAITING_MAX} most urgent cases"
    assert "@ann_b on X: 0 min late (acme/x/0)" in strings(blocks)
    assert not any("acme/x/20" in each for each in strings(blocks))
    assert build_list(lines[:1])[0] == "The most urgent case"


@pytest.mark.parametrize("reference", ["", "a\nb", "a" * 2001, "💥" * 1001, "\ud800", "a\u202eb", "a\x00b"])
def test_a_case_that_slack_could_not_hand_back_gets_no_buttons(reference: str) -> None:
    """No button acts on another case than the one that it stands on."""
    waits = alert(Stage.WARNING)
    assert waits.case is not None
    assert _buttons(_blocks(replace(waits, case=replace(waits.case, case_id=reference)))) == []


@pytest.mark.parametrize("reference", ["a" * 2000, "💥" * 1000, "acme/imap/<a@b.example>", "åß∂"])
def test_a_case_with_a_strange_name_keeps_it(reference: str) -> None:
    """The case's id comes back from the button letter by letter."""
    waits = alert(Stage.WARNING)
    assert waits.case is not None
    found = _buttons(_blocks(replace(waits, case=replace(waits.case, case_id=reference))))
    assert {button["value"] for button in found if button["action_id"] != OPEN_ACTION} == {reference}


def test_a_post_without_an_address_cannot_be_opened() -> None:
    """There is no button that leads nowhere, or to where a stranger wants."""
    for url in (None, "javascript:alert(1)", "https://x.example/a b"):
        found = _buttons(_blocks(alert(Stage.WARNING, url=url)))
        assert [button["action_id"] for button in found] == list(DEEDS)


def test_the_names_of_the_buttons_stay() -> None:
    """Messages that were sent before an update of ours can still be pressed after it."""
    assert {action: (deed.value, seconds) for action, (deed, seconds, _) in DEEDS.items()} == {
        "response_monitor.take": ("take", None),
        "response_monitor.snooze_15": ("snooze", 900.0),
        "response_monitor.snooze_60": ("snooze", 3600.0),
        "response_monitor.answered": ("answered", None),
        "response_monitor.no_reply": ("no_reply", None),
        "response_monitor.not_complaint": ("not_complaint", None),
        "response_monitor.resolve": ("resolve", None),
    }
