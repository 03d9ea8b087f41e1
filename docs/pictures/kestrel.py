"""The invented wait that the pictures of alerts show: nobody and nothing in it is real.

What may live here: the alerts of one customer's wait, from the warning to the answer, and a storm's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from rules.alert import Alert, CaseFacts, Stage, Storm, StormCase

ZONE = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
TAKER = "@ana"
_MINUTE = timedelta(minutes=1)


def waiting_case() -> CaseFacts:
    """Who waits: since twenty minutes at NOON, where a quarter of an hour is promised."""
    return CaseFacts(
        case_id="kestrel/x/1897",
        brand="Kestrel Kettles",
        connector="x",
        account="kestrelhelp",
        public=True,
        customer="@mira_tea",
        followers=2140,
        reach=3900,
        text="@kestrelhelp third kettle in a month that leaks, and still no answer to my order K-20481.\n"
        "Is anybody there?",
        messages=2,
        reasons=('says that it still waits: "still no answer"', 'speaks of a defect: "leaks"'),
        complaint=True,
        priority="high",
        waiting_since=NOON - 20 * _MINUTE,
        target_name="public complaint",
        target_seconds=900.0,
        due_at=NOON - 5 * _MINUTE,
        url="https://x.example/mira_tea/status/1897",
    )


def warned() -> Alert:
    """Five minutes are left."""
    return _told(Stage.WARNING, NOON - 10 * _MINUTE, waiting_case())


def breached() -> Alert:
    """It is late."""
    return _told(Stage.BREACH, NOON, waiting_case())


def taken() -> Alert:
    """A minute later somebody takes it."""
    return _told(Stage.MOVED, NOON + _MINUTE, _taken(waiting_case()))


def answered(*, was_taken: bool) -> Alert:
    """Two more minutes later it is over."""
    at = NOON + 3 * _MINUTE
    case = _taken(waiting_case()) if was_taken else waiting_case()
    over = replace(case, outcome="answered after 23 min by @kestrelhelp", answered_at=at)
    return _told(Stage.CLEARED, at, over)


def _taken(case: CaseFacts) -> CaseFacts:
    return replace(case, moved="ack", moved_by=TAKER, acknowledged_by=TAKER)


def _told(stage: Stage, at: datetime, case: CaseFacts) -> Alert:
    return Alert(f"{case.case_id}/{case.clock}/0/{stage}/0/care/0a1b", case.case_id, stage, at, case=case)


def storm() -> Alert:
    """Many wait at once."""
    begun = NOON - timedelta(minutes=10)
    names = (("@oskar_b", "x"), ("@tilda77", "x"), ("u/greenleaf_ben", "reddit"), ("@nuria_p", "x"))
    worst = tuple(
        StormCase(
            case_id=f"kestrel/{connector}/{2000 + number}",
            customer=name,
            connector=connector,
            priority="urgent" if number == 0 else "high",
            waiting_since=NOON - timedelta(minutes=26 - 2 * number),
            due_at=NOON - timedelta(minutes=16 - 3 * number),
            url=f"https://{connector}.example/{name.lstrip('@')}/{2000 + number}",
        )
        for number, (name, connector) in enumerate(names)
    )
    told = Storm(
        brand="Kestrel Kettles",
        connectors=("reddit", "x"),
        since=begun,
        reached=54,
        waiting=42,
        answered=12,
        worst=worst,
        words=(("delivery", 31), ("refund", 12)),
    )
    return Alert("storm_7/0", "storm_7", Stage.STORM, NOON, storm=told)
