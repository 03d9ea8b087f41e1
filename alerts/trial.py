"""Invented alerts: whatever can be said, once. A team's own templates are tried out on them.

What may live here: facts that nobody wrote. They cover every kind of alert, every stage, and each thing that
may be known or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rules.alert import Addressee, Alert, CaseFacts, Spike, Stage, Storm, StormCase, Trouble

_NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_CASE_STAGES = (
    Stage.WARNING,
    Stage.BREACH,
    Stage.ESCALATED,
    Stage.MOVED,
    Stage.CLEARED,
    Stage.CORRECTED,
    Stage.TEST,
)
_CLOCKS = ("first_response", "next_response", "resolution")
_MOVES = ("ack", "assign", "snooze", "not_complaint", None)


def invented_alerts() -> Iterator[Alert]:
    """All of them."""
    for stage in _CASE_STAGES:
        for clock in _CLOCKS:
            for full in (True, False):
                for repeat in (0, 1):
                    for moved in _MOVES if stage is Stage.MOVED else (None,):
                        case = _full_case(clock, moved) if full else _bare_case(clock, moved)
                        step = "the lead" if full else None
                        whose = Addressee("ana", handed_by="bo" if full else None)
                        for one in (None, whose) if moved == "assign" else (None,):
                            yield Alert(
                                "trial", "acme/x/1", stage, _NOW, repeat, case, step=step, addressee=one
                            )
    for storm in (_full_storm(), _bare_storm()):
        for held in (storm, replace(storm, held_since=storm.since)):
            yield Alert("trial", "storm", Stage.STORM, _NOW, storm=held)
    for usual in (0.0, 2.5):
        yield Alert("trial", "spike", Stage.SPIKE, _NOW, spike=Spike("Acme", 12, 600.0, usual, _NOW))
    for stage in (Stage.TROUBLE, Stage.CLEARED, Stage.TEST):
        for waiting in (0, 3):
            trouble = Trouble("x cannot be read", "it answers 503", _NOW - _MINUTE, waiting, "wait")
            yield Alert("trial", "blind", stage, _NOW, trouble=trouble)


def _full_case(clock: str, moved: str | None) -> CaseFacts:
    """All is known of it, and it is late."""
    return CaseFacts(
        case_id="acme/x/1",
        brand="Acme",
        connector="x",
        account="acme",
        public=True,
        customer="@someone",
        followers=1,
        reach=1200,
        text="Where is my order?\nNobody answers.",
        messages=2,
        reasons=("asks where an order is",),
        complaint=True,
        priority="high",
        waiting_since=_NOW - 20 * _MINUTE,
        target_name="public",
        target_seconds=900.0,
        due_at=_NOW - 5 * _MINUTE,
        url="https://example.com/1",
        caveats=("no reply seen through 11:58",),
        assignee="ana",
        acknowledged_by="bo",
        outcome="answered after 12 min by @acme",
        answered_at=_NOW,
        clock=clock,
        unknown_since=_NOW - 3 * _MINUTE,
        calendar="office",
        moved=moved,
        moved_by="bo",
        snoozed_until=_NOW + 15 * _MINUTE,
    )


def _bare_case(clock: str, moved: str | None) -> CaseFacts:
    """Hardly anything is known of it, and there is time left."""
    return CaseFacts(
        case_id="acme/x/1",
        brand="Acme",
        connector="x",
        account="acme",
        public=False,
        customer="",
        followers=None,
        reach=None,
        text=None,
        messages=1,
        reasons=(),
        complaint=False,
        priority="normal",
        waiting_since=_NOW - 5 * _MINUTE,
        target_name="",
        target_seconds=0.0,
        due_at=_NOW + 10 * _MINUTE,
        clock=clock,
        moved=moved,
    )


def _full_storm() -> Storm:
    worst = tuple(
        StormCase(
            f"acme/x/{number}", "@someone", "x", "high", _NOW - 20 * _MINUTE, due_at, "https://example.com/1"
        )
        for number, due_at in enumerate((_NOW - _MINUTE, _NOW + _MINUTE, None))
    )
    words = (("order", 9), ("late", 4))
    caveats = ("reddit cannot be read since 11:40",)
    return Storm("Acme", ("x", "reddit"), _NOW - 10 * _MINUTE, 12, 5, 4, worst, words, None, caveats=caveats)


def _bare_storm() -> Storm:
    return Storm("Acme", (), _NOW - 10 * _MINUTE, 12, 0, 12, over_at=_NOW)
