"""docs/templates.md names every part, variable and filter, and its examples do what it says."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

from alerts.language import Language
from alerts.words import NAMES, PARTS, Templates, _filters, _given
from rules.alert import CaseFacts, Stage
from tests.alerts.build import BERLIN, NOON, alert, storm_alert

PAGE = (Path(__file__).parents[2] / "docs/templates.md").read_text("utf-8")


def documented(heading: str) -> set[str]:
    """The names in the first column of the tables below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name.split("(")[0] for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_page_names_all_that_there_is() -> None:
    """Every template, part, variable and filter, and none that is not there."""
    assert documented("Where a template is looked for") >= set(NAMES)
    assert documented("The parts of an alert") == set(PARTS)
    given = {*_given(alert(Stage.BREACH), BERLIN), *_given(storm_alert(), BERLIN)}
    assert documented("What a template is given") == given | set(_filters(Language()))
    known = set(re.findall(r"`(\w+)`", PAGE))
    assert {field.name for field in fields(CaseFacts)} - {"text", "calls"} <= known


def test_the_examples_work(tmp_path: Path) -> None:
    """Copied as they stand, they make what the page shows."""
    hotline, german = re.findall(r"```jinja\n(.*?)```", PAGE.replace("\n   ", "\n"), re.DOTALL)
    late = alert(Stage.BREACH, at=NOON + timedelta(minutes=13))
    path = tmp_path / "case.j2"
    path.write_text(hotline, "utf-8")
    said = Templates(tmp_path).words().render(late, BERLIN)
    assert said.facts[-1] == ("Hotline", "+49 30 1234567") and said.more_links[0].link_text == "What to do"
    path.write_text(german, "utf-8")
    said = Templates(tmp_path, "de").words().render(late, BERLIN)
    assert f"    {said.mark} {said.headline}\n" in PAGE
