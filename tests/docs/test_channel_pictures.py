"""The pictures of docs/alerts.md show what this version sends over each channel."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest

import alerts
from docs.pictures import draw_mails, draw_payloads, draw_slack
from docs.pictures.browser import FOLDER, Picture, digest
from simulator.hooks_api import ROUTING_KEY, SIGNING_SECRET
from simulator.slack_api import APP_TOKEN, TOKEN

DOCS = FOLDER.parent / "alerts.md"
SIZE_BYTES_MAX = 60_000
DRAWN = {"slack": draw_slack, "payloads": draw_payloads}
SECTIONS = {
    "slack": "Slack",
    "smtp": "Email",
    "webhook": "Webhooks",
    "pagerduty": "PagerDuty",
    "alertmanager": "Alertmanager",
    "apprise": "Apprise",
}
"""Each kind of channel and its section of the page."""


@pytest.fixture(scope="module")
def drawn() -> list[Picture]:
    """Every picture but the mails', told anew over every channel."""
    return [picture for module in DRAWN.values() for picture in module.pictures()]


def test_the_pictures_show_what_this_version_sends(drawn: list[Picture]) -> None:
    """Who looks at the documentation sees what will be in the channel. To draw the pictures anew:
    python -m docs.pictures.draw_slack, python -m docs.pictures.draw_payloads"""
    outdated = []
    for picture in drawn:
        png = picture.path.read_bytes()
        assert png.startswith(b"\x89PNG\r\n") and len(png) <= SIZE_BYTES_MAX, picture.name
        assert struct.unpack(">I", png[16:20])[0] == picture.width
        if b"tEXtSource\0" + digest(picture.page).encode("ascii") not in png:
            outdated.append(picture.name)
    assert outdated == []


def test_every_picture_is_drawn_and_shown(drawn: list[Picture]) -> None:
    """No picture lies about that nobody draws, none is missing from the page, and each says in words what it
    shows."""
    names = {picture.path.name for picture in [*drawn, *draw_mails.pictures()]}
    assert {path.name for path in FOLDER.glob("*.png")} == names
    shown = re.findall(r"!\[([^\]]*)\]\(pictures/([\w-]+\.png)\)", DOCS.read_text("utf-8"))
    assert sorted(name for _, name in shown) == sorted(names)
    assert all(len(words) > 20 for words, _ in shown)


def test_every_channel_is_shown_in_its_section() -> None:
    """Who chooses a channel sees, where it is explained, what people will look at."""
    assert set(SECTIONS) == set(alerts.REGISTRY)
    parts = re.split(r"^## ", DOCS.read_text("utf-8"), flags=re.MULTILINE)
    sections = {part.partition("\n")[0]: part for part in parts}
    assert [title for title in SECTIONS.values() if "](pictures/" not in sections[title]] == []


def test_no_secret_is_in_a_picture(drawn: list[Picture]) -> None:
    """Nobody copies a key out of the documentation, nor learns to show theirs."""
    secrets = (ROUTING_KEY, SIGNING_SECRET, TOKEN, APP_TOKEN)
    assert [p.name for p in drawn if any(secret in p.page for secret in secrets)] == []
    assert "127.0.0.1" not in "".join(picture.page for picture in drawn)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "image_url": "https://x.example/1.png"},
        {"type": "section", "text": {"type": "mrkdwn", "text": "*bold*"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<@U0ANA>"}},
        {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": []}]},
        {"type": "actions", "elements": [{"type": "datepicker"}]},
    ],
)
def test_what_a_picture_could_not_show_stops_the_drawing(block: dict[str, Any]) -> None:
    """A message that gains a part has it in its picture, or there is no picture."""
    with pytest.raises(ValueError, match="do not know"):
        draw_slack.draw_block(block)


def test_slack_shows_strangers_words_as_words() -> None:
    """What a customer writes makes no page of its own in a picture."""
    said = {"type": "text", "text": "<script>&</script>"}
    block = {"type": "rich_text", "elements": [{"type": "rich_text_quote", "elements": [said]}]}
    assert draw_slack.draw_block(block) == "<blockquote>&lt;script&gt;&amp;&lt;/script&gt;</blockquote>"
