"""What operators say of a case shows where people read of it."""

from __future__ import annotations

from pathlib import Path

from monitor.act import act
from monitor.dispatch import dispatch_once
from rules.alert import Alert, Stage
from rules.case import Action, Word
from rules.routes import Route
from tests.monitor.build import House, Sink, at, brand, customer, house

ROUTES = (
    Route("care", "#care", frozenset(Stage), updates=True),
    Route("mail", "care@acme.example", frozenset(Stage)),
)


def say(home: House, word: Word, minute: float, **more: object) -> None:
    act(home.store, home.policy, Action(word, "1", "@ana", at(minute), **more), at(minute))  # type: ignore[arg-type]


def pass_time(home: House, sinks: dict[str, Sink], start: int, end: int) -> None:
    """Minute by minute: look, and send on every channel."""
    for minute in range(start, end + 1):
        home.watch(minute)
        for name, sink in sinks.items():
            while dispatch_once(home.store, home.policy, name, sink, at(minute)).outcome != "idle":
                pass


def town(folder: Path) -> tuple[House, dict[str, Sink]]:
    """A complaint of 12:00 whose breach was said at 12:15, in a place that can be changed and by mail."""
    home = house(folder, routes=ROUTES)
    sinks = {"care": Sink(), "mail": Sink("care@acme.example", updates=False)}
    home.take(0, customer("1", 0))
    pass_time(home, sinks, 0, 16)
    assert sinks["care"].stages() == sinks["mail"].stages() == ["warning", "warning", "breach"]
    return home, sinks


def facts(alert: Alert) -> tuple[str | None, str | None]:
    assert alert.case is not None
    return alert.case.moved, alert.case.moved_by


def test_who_takes_it_is_shown_in_the_same_message_and_sends_no_mail(tmp_path: Path) -> None:
    """12:17 @ana takes it: the message says so within a minute; a mailbox is not filled with it."""
    home, sinks = town(tmp_path)
    say(home, Word.ACK, 17)
    pass_time(home, sinks, 17, 20)
    assert sinks["care"].stages()[3:] == ["moved"]
    alert, previous = sinks["care"].sent[-1]
    assert facts(alert) == ("ack", "@ana")
    assert previous is not None and previous.remote == {"ts": "3"}
    assert len(sinks["mail"].sent) == 3


def test_words_said_at_once_are_shown_once(tmp_path: Path) -> None:
    """Taken and handed on within the minute: the message shows the latter, and nothing twice."""
    home, sinks = town(tmp_path)
    say(home, Word.ACK, 17)
    say(home, Word.ASSIGN, 17.2, note="ben")
    pass_time(home, sinks, 18, 30)
    assert sinks["care"].stages()[3:] == ["moved"]
    assert facts(sinks["care"].sent[-1][0]) == ("assign", "@ana")


def test_what_moved_and_then_was_answered_is_only_answered(tmp_path: Path) -> None:
    """The channel was busy while it was taken and answered: people read that it was answered."""
    home, sinks = town(tmp_path)
    say(home, Word.ACK, 17)
    home.watch(17)
    home.take(19, brand("2", 18, "1"))
    pass_time(home, sinks, 19, 20)
    assert sinks["care"].stages()[3:] == ["cleared"]
    dropped = [r for r in home.store.outbox.of_subject("acme/x/1") if r.stage is Stage.MOVED]
    assert [r.outcome for r in dropped] == ["the case is answered"]


def test_no_complaint_ends_its_alerts_and_says_why(tmp_path: Path) -> None:
    """It is shown as no complaint; where all are promised the same its reminders go on, as for others."""
    home, sinks = town(tmp_path)
    say(home, Word.NOT_COMPLAINT, 17)
    pass_time(home, sinks, 17, 20)
    assert facts(sinks["care"].sent[-1][0]) == ("not_complaint", "@ana")
    (case,) = home.cases()
    assert not case.complaint and case.reasons == ("@ana says that it is no complaint",)


def test_a_restart_says_it_no_second_time(tmp_path: Path) -> None:
    """Looking again, as after a crash, makes no second row."""
    home, sinks = town(tmp_path)
    say(home, Word.SNOOZE, 17, until=at(40))
    (pk,) = [row.pk for row in home.store.cases.everything()]
    for minute in (17, 17, 18, 19):
        with home.store.transaction("look"):
            home.store.cases.look_later(pk, at(minute), "", wants_look=False)
        home.watch(minute)
    pass_time(home, sinks, 20, 25)
    assert sinks["care"].stages()[3:] == ["moved"]
