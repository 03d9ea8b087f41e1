"""What docs/configuration.md shows besides its tables is what the code takes, prints and decides."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from textwrap import dedent

from monitor.calendars import CalendarConfig, make_calendar, week_lines
from monitor.config import EscalationConfig, TargetConfig, plain
from monitor.load import template
from monitor.policy import make_target
from monitor.who import PersonConfig, RouteConfig, hidden_routes, untaken
from rules.hours import Calendar
from rules.match import Traits
from rules.meaning.contract import Priority
from rules.message import Kind
from rules.targets import explain
from tests.docs.settings_tables import DOCS


def snippets() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)


def calendars() -> dict[str, Calendar]:
    """Every calendar that the page shows."""
    tables = [tomllib.loads(s).get("calendars", {}) for s in snippets() if "[calendars." in s]
    return {
        name: make_calendar(name, CalendarConfig.model_validate(body), "Europe/Berlin")
        for shown in tables
        for name, body in shown.items()
    }


def test_what_is_to_be_copied_into_the_config_is_right() -> None:
    """A calendar, a target, an escalation, a route or a person copied out of the page is accepted."""
    assert set(calendars()) == {"office", "night-shift", "waking"}
    shown = [tomllib.loads(s) for s in snippets() if "[[" in s]
    steps = [EscalationConfig.model_validate(row) for found in shown for row in found.get("escalations", ())]
    targets = [TargetConfig.model_validate(row) for found in shown for row in found.get("targets", ())]
    routes = [RouteConfig.model_validate(row) for found in shown for row in found.get("routes", ())]
    people = [PersonConfig.model_validate(row) for found in shown for row in found.get("people", ())]
    assert [route.name for route in routes] == ["refunds", "public complaints", "the rest"]
    assert (list(hidden_routes(routes)), untaken(routes, "acme")) == ([], [])
    assert [person.shift for person in people] == ["office"]
    assert [step.name for step in steps] == ["team lead", "head of care"]
    assert [target.calendar for target in targets] == ["office"]
    known = {row["name"] for row in tomllib.loads(template())["targets"]}
    assert {name for step in steps for name in step.targets or ()} <= known


def test_the_week_in_the_docs_is_the_one_that_check_prints() -> None:
    """Who compares the page with the terminal sees the same lines."""
    text = dedent(DOCS.read_text("utf-8").replace("\n    ", "\n"))
    assert "\n".join(week_lines(calendars()["office"], date(2026, 12, 24))) in text
    assert week_lines(calendars()["night-shift"], date(2027, 3, 27))[0] in text


def test_the_explanation_in_the_docs_is_what_explain_says() -> None:
    """The reasons on the page are those that the default targets give for a public complaint."""
    targets = [
        make_target(plain(TargetConfig.model_validate(row))) for row in tomllib.loads(template())["targets"]
    ]
    traits = Traits("acme", "x", "acme", True, Kind.POST, True, True, True, Priority.NORMAL, None)
    reasons = explain(targets, traits).reasons
    assert "".join(f"      {reason}\n" for reason in reasons) in DOCS.read_text("utf-8")


def test_no_link_leads_nowhere() -> None:
    """Each link from a page of the docs to another, and to its headings, finds something."""
    paths = [*DOCS.parent.rglob("*.md"), DOCS.parent.parent / "README.md"]
    pages = {path: path.read_text("utf-8") for path in paths}
    lost = []
    for path, text in pages.items():
        for name, heading in re.findall(r"\]\(([\w./-]+\.(?:md|svg))(#[\w-]+)?\)", text):
            target = (path.parent / name).resolve()
            if not target.exists() or (heading and heading[1:] not in headings(pages[target])):
                lost.append(f"{path.name}: {name}{heading}")
    assert lost == []


def headings(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in found}
