"""Changing one's mind: what a new policy changes, and what it never does."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitor.act import rebuild
from monitor.daemon import refold_open
from monitor.store.codec import case_to_json
from rules.case import Status
from rules.hours import Calendar, Opening, calendar_to_mapping
from tests.monitor.build import House, at, brand, customer, house


def stored(first_response: float, name: str = "public", **more: Any) -> str:
    """A policy as the store keeps it."""
    target = {
        "name": name,
        "first_response": first_response,
        "needs_reply": "any",
        "gap": 86_400,
        "warnings": [0.5, 0.8],
        **more.pop("target", {}),
    }
    return json.dumps({"targets": [target], **more})


def hours(opens: int, closes: int) -> dict[str, Any]:
    week = tuple(Opening(day, opens * 60, closes * 60) for day in range(7))
    return {"calendars": {"office": calendar_to_mapping(Calendar("office", "UTC", week))}}


def adopt(home: House, body: str, minute: float) -> None:
    """What the daemon does with a new config."""
    with home.store.transaction("policy"):
        assert home.store.keep_policy(body, at(minute))
    home.policy = home.policy.remembering(home.store.policies())
    refold_open(home.store, home.policy, at(minute))


def bodies(home: House) -> list[str]:
    return [case_to_json(case) for case in home.cases()]


def test_open_cases_take_the_new_target_and_closed_ones_keep_theirs(tmp_path: Path) -> None:
    """A tighter promise holds for who waits, and makes nobody late who was answered in time."""
    home = house(tmp_path)
    adopt(home, stored(900), -60)
    home.take(0, customer("1", 0), customer("2", 0, who="ben", conversation="2"))
    home.take(9, brand("r", 9, "1"))
    adopt(home, stored(300, name="tight"), 10)
    answered, waiting = home.cases()
    assert (answered.status, answered.target, answered.due_at) == (Status.ANSWERED, "public", at(15))
    # Five minutes had passed already: it is due one warning interval after the change, not in the past.
    assert (waiting.status, waiting.target, waiting.due_at) == (Status.WAITING, "tight", at(12.5))
    home.take(20, brand("r2", 19, "2"))
    adopt(home, stored(86_400, name="loose"), 30)
    assert [c.target for c in home.cases()] == ["public", "tight"]
    assert [c.latest.breached_at for c in home.cases()] == [None, at(12.5)]


def test_a_case_keeps_the_calendar_that_it_began_with(tmp_path: Path) -> None:
    """Longer opening hours from tomorrow do not make today's case late."""
    home = house(tmp_path)
    late = 4 * 60 + 45.0  # 16:45
    office: dict[str, Any] = {"target": {"calendar": "office"}}
    adopt(home, stored(1800, **office, **hours(9, 17)), -600)
    home.take(late, customer("1", late))
    due_at = at(21 * 60 + 15)
    assert home.cases()[0].due_at == due_at
    adopt(home, stored(1800, **office, **hours(0, 24)), late + 5)
    assert home.cases()[0].due_at == due_at
    home.take(late + 10, customer("2", late + 9, who="ben", conversation="2"))
    assert home.cases()[1].due_at == at(late + 39)


def test_a_rebuild_gives_the_same_cases_bit_for_bit(tmp_path: Path) -> None:
    """After three policies, two calendars, answers, words and an edit: every case is what it was."""
    home = house(tmp_path)
    office: dict[str, Any] = {"target": {"calendar": "office", "next_response": 600, "resolution": 7200}}
    adopt(home, stored(900), -60)
    home.take(0, customer("1", 0), customer("2", 1, who="ben", conversation="2"))
    home.take(6, brand("r1", 5, "1"))
    adopt(home, stored(600, name="second", **office, **hours(9, 17)), 8)
    home.take(12, customer("3", 11, conversation="1", parent="r1", text="@acme still nothing!"))
    adopt(home, stored(1200, name="third", **office, **hours(6, 22)), 14)
    home.take(16, brand("r2", 15, "2"), customer("4", 15.5, who="cleo", conversation="4"))
    before = bodies(home)
    with home.store.transaction("forget"):
        home.store.connection.execute("DELETE FROM cases")
    rebuild(home.store, home.policy, at(20))
    assert bodies(home) == before
    assert rebuild(home.store, home.policy, at(30))[1] == 0


def test_a_config_that_is_not_in_force_yet_changes_nothing(tmp_path: Path) -> None:
    """A command that reads an edited file works by the policy that the daemon goes by."""
    home = house(tmp_path)
    adopt(home, stored(900), -60)
    home.take(0, customer("1", 0))
    before = bodies(home)
    edited = house(tmp_path / "other").policy  # as made from the edited file: no store behind it
    assert rebuild(home.store, edited, at(1))[1] == 0
    assert bodies(home) == before


def test_the_policy_of_a_past_moment_is_the_one_that_held_then(tmp_path: Path) -> None:
    """An answer that we see only after the change is judged by the promise of when it was written."""
    home = house(tmp_path)
    adopt(home, stored(900), -60)
    home.take(0, customer("1", 0))
    adopt(home, stored(300, name="tight"), 12)
    home.take(13, brand("r", 10, "1"))
    (case,) = home.cases()
    assert (case.target, case.latest.breached_at) == ("public", None)
    assert case.first_response_seconds == timedelta(minutes=10).total_seconds()
