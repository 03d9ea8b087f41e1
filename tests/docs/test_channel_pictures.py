"""The pictures of docs/alerts.md show what this version sends over each channel, and all are shown."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

import alerts
from docs.pictures import draw_channels, draw_mails
from docs.pictures.draw_mails import FOLDER, digest, measure
from tests.needs import needs

DOCS = FOLDER.parent / "alerts.md"
SIZE_BYTES_MAX = 60_000


@pytest.mark.parametrize(
    ("path", "name", "page"), draw_channels.pictures(), ids=lambda value: getattr(value, "stem", "")
)
def test_the_picture_shows_what_this_version_sends(path: Path, name: str, page: str) -> None:
    """Who looks at the documentation sees what will be in the channel. To draw the pictures anew:
    python -m docs.pictures.draw_channels"""
    png = path.read_bytes()
    assert png.startswith(b"\x89PNG\r\n") and len(png) <= SIZE_BYTES_MAX
    assert struct.unpack(">I", png[16:20])[0] == draw_channels.WIDTH
    assert b"tEXtSource\0" + digest(page).encode("ascii") in png


def _drawn() -> list[Path]:
    """The files of all pictures."""
    return [path for path, *_ in draw_mails.pictures()] + [path for path, *_ in draw_channels.pictures()]


def test_every_picture_is_drawn_and_shown() -> None:
    """No picture lies about that nobody draws, none is missing from the page, and each says in words what it
    shows."""
    names = {path.name for path in _drawn()}
    assert {path.name for path in FOLDER.glob("*.png")} == names
    shown = re.findall(r"!\[([^\]]*)\]\(pictures/([\w-]+\.png)\)", DOCS.read_text("utf-8"))
    assert {name for _, name in shown} == names
    assert all(len(words) > 20 for words, _ in shown)


def test_every_channel_has_a_picture() -> None:
    """A new channel is not finished before people can see what it looks like."""
    drawn = {path.stem.partition("-")[0] for path in _drawn()}
    assert {{"mail": "smtp"}.get(name, name) for name in drawn} == set(alerts.REGISTRY)


def test_nothing_hangs_over_the_edge_of_a_picture() -> None:
    """What is cut off in a picture, people would take for cut off in the channel."""
    found = measure(needs("chromium"), draw_channels.pages(), draw_channels.WIDTH)
    assert {name: wide for name, (wide, _) in found.items() if wide > draw_channels.WIDTH} == {}
