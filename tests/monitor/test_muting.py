"""A muted author or campaign alerts nobody, and is counted: by a command or by the config, for as long as it
holds and no longer."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from monitor.act import NotOurs, act, mute, mute_by_config, unmute
from monitor.dispatch import dispatch_once
from monitor.store.cases import Mute
from monitor.store.outbox import State
from monitor.views import show_status, status
from rules.alert import Reach
from rules.case import Action, Word
from rules.team import Person
from tests.monitor.build import House, Sink, at, customer, house

ANA = Mute("", "author", "@Ana", None, "olga", at(0))
CAMPAIGN = Mute("", "phrase", "Boycott Acme", None, "olga", at(0))


def late(folder: Path) -> House:
    """Ana, and Ben who joins a campaign, have waited since noon."""
    home = house(folder)
    home.take(1, customer("1", 0), customer("2", 0, "@acme boycott ACME, nothing works!", who="ben"))
    return home


def told(home: House) -> list[str]:
    """The cases of which anything was put into the outbox."""
    return sorted({row.subject for row in home.store.outbox.latest((), None, 100)})


def live(home: House, start: int, end: int) -> None:
    for minute in range(start, end + 1):
        home.watch(minute)


def test_each_wait_is_counted_once_and_when_people_would_have_been_told(tmp_path: Path) -> None:
    """Muted at 12:02: nothing is kept back before the first warning of 12:07:30, and then one of each,
    however often they are looked at."""
    home = late(tmp_path)
    for one in (ANA, CAMPAIGN):
        mute(home.store, one, at(2))
    live(home, 2, 7)
    assert home.count("alerts_muted") == 0
    live(home, 8, 30)
    home.take(31, customer("3", 30, who="ana", conversation="1", parent="1"))
    live(home, 31, 40)
    assert home.count("alerts_muted") == 2 and told(home) == []


def test_when_a_mute_ends_by_itself_who_still_waits_is_told(tmp_path: Path) -> None:
    """Ana is muted until 12:20. Nobody does anything then; people are told at once that she is late."""
    home = late(tmp_path)
    mute(home.store, Mute("", "author", "ana", at(20), "olga", at(1)), at(1))
    live(home, 1, 19)
    assert told(home) == ["acme/x/2"]
    assert home.store.cases.next_look() == at(20)
    live(home, 20, 21)
    assert told(home) == ["acme/x/1", "acme/x/2"]


def test_unmuted_is_told(tmp_path: Path) -> None:
    """Whatever the letters' case; and where nothing of the kind is muted, nothing happens."""
    home = late(tmp_path)
    for one in (ANA, CAMPAIGN, ANA):
        mute(home.store, one, at(1))
    live(home, 1, 16)
    assert told(home) == []
    assert unmute(home.store, Mute("other", "author", "ana", None, "olga", at(17)), at(17)) == 0
    assert unmute(home.store, Mute("", "author", "ana", None, "olga", at(17)), at(17)) == 2
    assert unmute(home.store, Mute("", "phrase", "BOYCOTT acme", None, "olga", at(17)), at(17)) == 1
    live(home, 17, 18)
    assert told(home) == ["acme/x/1", "acme/x/2"]


def test_what_waits_to_be_sent_is_not_sent(tmp_path: Path) -> None:
    """Slack is slow: Ana's breach stands in the outbox when she is muted. Ben's is sent."""
    home, sink = late(tmp_path), Sink()
    live(home, 1, 15)
    mute(home.store, ANA, at(16))
    while dispatch_once(home.store, home.policy, "care", sink, at(16)).outcome != "idle":
        pass
    assert {a.subject for a, _ in sink.sent} == {"acme/x/2"}
    rows = home.store.outbox.latest((State.SUPERSEDED,), None, 10)
    assert "muted: the author, by olga" in {r.outcome for r in rows}


def test_the_config_mutes_for_as_long_as_it_says_so(tmp_path: Path) -> None:
    """At each start and reload what it says holds: once each, and what it says no more is muted no more. A
    command cannot undo it, since the next reload would."""
    home = late(tmp_path)
    for _ in range(3):
        mute_by_config(home.store, ["@ana"], ["boycott acme"], at(1))
    assert len(home.store.cases.mutes(at(1))) == 2
    live(home, 1, 16)
    assert told(home) == []
    with pytest.raises(NotOurs, match="take it out"):
        unmute(home.store, ANA, at(16))
    mute_by_config(home.store, [], ["boycott acme"], at(17))
    live(home, 17, 18)
    assert told(home) == ["acme/x/1"]


def test_status_shows_what_is_muted_and_what_it_kept_back(tmp_path: Path) -> None:
    """Who wonders why it is so quiet sees it."""
    home = late(tmp_path)
    mute(home.store, Mute("acme", "phrase", "boycott \x1b[31macme", at(60), "olga", at(1)), at(1))
    mute(home.store, ANA, at(1))
    live(home, 1, 16)
    found = status(home.store, at(16))
    assert found["muted"][1] == {"what": "author", "is": "@Ana", "brand": "all", "until": None, "by": "olga"}
    assert found["muted"][0]["until"] == "2026-03-04T13:00:00Z" and found["kept_back_by_mutes"] == 1
    page = io.StringIO()
    show_status(found, Console(width=160, file=page))
    shown = page.getvalue()
    assert "@Ana" in shown and "1 wait so far" in shown and "\x1b" not in shown


def test_whom_a_muted_case_is_given_is_told(tmp_path: Path) -> None:
    """Somebody gives it to ben on purpose: that is no campaign's doing. That it is late is kept back."""
    reaches = {"ben": {"care": Reach("#care", hears_all=True)}}
    home = house(tmp_path, people=(Person("ben", "U0BEN"),), reaches=reaches)
    home.take(1, customer("1", 0))
    mute(home.store, ANA, at(2))
    act(home.store, home.policy, Action(Word.ASSIGN, "1", "@olga", at(3), None, "ben"), at(3))
    live(home, 3, 20)
    rows = home.store.outbox.latest((), None, 10)
    assert [(r.stage.value, r.owed.to) for r in rows] == [("moved", "ben")]
    assert home.count("alerts_muted") == 1
