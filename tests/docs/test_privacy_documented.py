"""docs/privacy.md shows what is done."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from monitor.config import PrivacyConfig, RoutingConfig, Show
from rules.message import Message
from rules.privacy import Private, mask

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"


def test_the_examples_are_what_happens() -> None:
    """Each row of the table is masked as it says, and every kind has its row."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [kind for kind, _, _ in rows] == list(Private)
    for kind, written, shown in rows:
        assert mask(written) == mask(written, [Private(kind)]) == shown


def test_the_settings_on_the_page_are_taken() -> None:
    """What is copied from the page into the config is accepted, and says what is the default."""
    text = PAGE.read_text("utf-8")
    privacy, channel = (tomllib.loads(part) for part in re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    assert PrivacyConfig.model_validate(privacy["privacy"]) == PrivacyConfig()
    known = {
        key: value for key, value in channel["channels"]["wall"].items() if key in RoutingConfig.model_fields
    }
    assert RoutingConfig.model_validate(known).show is Show.NOTHING
    assert re.findall(r'^\| `"(\w+)"`', text, re.MULTILINE) == list(Show)


def test_a_message_has_no_place_for_an_attachment() -> None:
    """No connector can hand over a picture or a file: what is not there can be neither kept nor shown."""
    names = {field.name for field in fields(Message)}
    assert "text" in names
    assert [name for name in names if re.search("attach|media|image|photo|file|blob", name)] == []
    connectors = (PAGE.parents[1] / "connectors").rglob("*.py")
    asked = [line for path in connectors for line in path.read_text("utf-8").splitlines() if "media" in line]
    assert asked == [], "the platforms' media are not asked for"
