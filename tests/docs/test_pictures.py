"""The pictures of docs/clocks.md are what the core does, and everybody can read them."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures.draw_clocks import (
    FOLDER,
    Picture,
    describe,
    draw,
    friday_afternoon,
    key_lines,
    pictures,
    story_of_ana,
)

DOCS = FOLDER.parent / "clocks.md"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("path", "drawn"), pictures(), ids=lambda value: getattr(value, "name", ""))
def test_the_picture_is_what_the_core_does(path: Path, drawn: str) -> None:
    """Who looks at the picture sees how this version measures. To draw it anew:
    python -m docs.pictures.draw_clocks"""
    assert path.read_text("utf-8") == drawn


def test_every_picture_is_drawn_and_shown() -> None:
    """No picture lies about that nobody draws, and none is missing from the page."""
    names = {path.name for path, _ in pictures()}
    assert {path.name for path in FOLDER.glob("*.svg")} == names
    assert set(re.findall(r"pictures/(\w+\.svg)", DOCS.read_text("utf-8"))) == names


@pytest.mark.parametrize(("path", "drawn"), pictures(), ids=lambda value: getattr(value, "name", ""))
def test_who_cannot_see_the_picture_is_told_it(path: Path, drawn: str) -> None:
    """A screen reader has a title and the whole story; in the dark the picture is dark."""
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img" and root.get("aria-labelledby") == "title desc"
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and title.text
    assert desc is not None and desc.text and "The story:" in desc.text and "The clocks:" in desc.text
    assert "prefers-color-scheme:dark" in drawn


@pytest.mark.parametrize("picture", [story_of_ana(), friday_afternoon()], ids=lambda p: p.title)
def test_nothing_of_a_picture_is_cut_off(picture: Picture) -> None:
    """Every bar, mark and word is inside of the picture, a letter taken as 6.6 pixels wide."""
    root = ElementTree.fromstring(draw(picture))
    width, height = float(root.get("width", "0")), float(root.get("height", "0"))
    for text in root.iter(f"{SVG}text"):
        assert float(text.get("x", "-1")) + 6.6 * len(text.text or "") <= width, text.text
        assert 0 < float(text.get("y", "-1")) < height, text.text
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.get("y", "0")) + float(rect.get("height", "0")) <= height
        assert float(rect.get("height", "0")) > 0


def test_the_page_says_what_the_picture_says() -> None:
    """The golden case in the text is that of the picture: the figures come from the core."""
    text = " ".join(DOCS.read_text("utf-8").split())
    assert "Mon 09:15" in text and "broken Mon 09:15" in describe(friday_afternoon())
    figures = set(re.findall(r"\d+ h \d\d min", " ".join(key_lines(story_of_ana()))))
    assert len(figures) == 7
    assert {figure for figure in figures if figure not in text} == set()
    case = story_of_ana().case
    assert [c.breached_at is not None for c in case.clocks] == [False, True, False]
    assert case.resolution is not None and case.resolution.breached_at is not None
