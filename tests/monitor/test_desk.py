"""What people press and ask in a channel, brought to a real core with a real store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.contract import Asked, Deed, Press
from monitor.clock import Clock
from monitor.config import Show
from monitor.desk import LINES_MAX, CareDesk
from rules.case import Status, Word
from tests.monitor.build import House, brand, customer, house
from tests.monitor.test_workers import core_of


class Noon(Clock):
    """It is 12:05, and stays so."""

    def now(self) -> datetime:
        return datetime(2026, 3, 4, 12, 5, tzinfo=UTC)


@contextmanager
def desk_of(home: House) -> Iterator[CareDesk]:
    """The desk of a core that runs on the house's store."""
    with core_of(home, Noon()) as core:
        yield CareDesk(core, Noon(), "care")


def press(deed: Deed, case: str = "acme/x/1", **more: float) -> Press:
    return Press(deed, case, "@ana", "U1", Noon().now(), **more)


@pytest.mark.parametrize(
    ("deed", "said", "status", "word"),
    [
        (Deed.TAKE, "taken by @ana", Status.WAITING, Word.ACK),
        (Deed.ANSWERED, "answered elsewhere, says @ana", Status.ANSWERED_ELSEWHERE, Word.ANSWERED),
        (Deed.NO_REPLY, "@ana says that it needs no reply", Status.IGNORED, Word.IGNORE),
        (Deed.RESOLVE, "resolved by @ana", Status.RESOLVED, Word.RESOLVE),
        (Deed.NOT_COMPLAINT, "no complaint, says @ana; held to public", Status.WAITING, Word.NOT_COMPLAINT),
    ],
)
def test_each_button_is_an_operators_word(
    tmp_path: Path, deed: Deed, said: str, status: Status, word: Word
) -> None:
    """It is committed with who said it when the one who pressed reads what became of it."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    with desk_of(home) as desk:
        assert desk.act(press(deed)) == said
    (row,) = home.store.cases.everything()
    assert row.case.status is status
    (action,) = home.store.cases.said_of(row.scope, ["1"], "ana")
    assert (action.word, action.who, action.at) == (word, "@ana", Noon().now())


def test_a_snooze_hides_the_alerts_for_as_long_as_the_button_says(tmp_path: Path) -> None:
    """An hour from now; the wait goes on, and the one who pressed is told so."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    with desk_of(home) as desk:
        said = desk.act(press(Deed.SNOOZE, snooze_seconds=3600.0))
    assert said == "snoozed for 1 h; the customer's wait goes on"
    (case,) = home.cases()
    assert case.snoozed_until == Noon().now() + timedelta(hours=1)
    assert case.status is Status.WAITING


def test_what_was_answered_meanwhile_is_not_taken(tmp_path: Path) -> None:
    """She pressed a button of a message that was a moment behind: she is told the truth, nothing is kept."""
    home = house(tmp_path)
    home.take(4, customer("1", 0), brand("2", 3, "1"))
    with desk_of(home) as desk:
        assert desk.act(press(Deed.TAKE)) == "nothing to do any more: answered after 3 min by @acmehelp"
        assert desk.act(press(Deed.RESOLVE)) == "resolved by @ana"
    (row,) = home.store.cases.everything()
    assert [a.word for a in home.store.cases.said_of(row.scope, ["1"], "ana")] == [Word.RESOLVE]


def test_a_case_that_is_no_more_is_said_so(tmp_path: Path) -> None:
    """A button of a case that another message joined, or of another house's."""
    with desk_of(house(tmp_path)) as desk, pytest.raises(ValueError, match="no more"):
        desk.act(press(Deed.TAKE, "acme/x/404"))


def test_who_asks_sees_the_most_urgent_first(tmp_path: Path) -> None:
    """Ten at most, with how late each is and where to answer."""
    home = house(tmp_path)
    home.take(0, *(customer(str(n), -n, who=f"c{n}", url=f"https://x.example/{n}") for n in range(30)))
    with desk_of(home) as desk:
        lines = desk.waiting(Asked("@ana", "U1", "", Noon().now()))
    assert [line.case_id for line in lines] == [f"acme/x/{n}" for n in range(29, 29 - LINES_MAX, -1)]
    assert lines[0].customer == "@c29" and lines[0].place == "x, public"
    assert lines[0].standing == "waits 34 min, 19 min late"
    assert lines[0].url == "https://x.example/29"


def test_the_list_shows_no_more_of_a_customer_than_an_alert_would(tmp_path: Path) -> None:
    """A channel that shows nothing of what customers write shows no title in a link either."""
    home = house(tmp_path, shows={"care": Show.NOTHING})
    url = "https://reddit.example/r/acme/comments/1/call_me_on_0151_23456789/"
    home.take(0, customer("1", 0, url=url))
    with desk_of(home) as desk:
        (line,) = desk.waiting(Asked("@ana", "U1", "", Noon().now()))
    assert line.url == "https://reddit.example/r/acme/comments/1/_/"
