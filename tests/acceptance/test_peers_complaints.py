"""The sixteen complaints of peers' users, each as a day in our house: what they suffered from, ours never do.

What may live here: one or more tests for each complaint, told as a care team would notice it. Numbers are the
peers' own issues. They are short, and run with all the others.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import alerts
import connectors
from connectors.contract import Page
from monitor.act import act
from monitor.config import TargetConfig
from monitor.dispatch import dispatch_once
from monitor.poll import Fetched, StreamRef, prepare, take_in
from monitor.store.database import no_failpoint
from monitor.store.store import open_store
from rules.alert import Stage
from rules.case import Action, Case, ClockName, Status, Word
from rules.escalation import Step
from rules.hours import Calendar, Opening
from rules.message import Author, Message
from rules.people import make_automation
from rules.policies import FoldPolicy, Policies
from rules.routes import Route
from rules.targets import Target
from tests.monitor.build import NOON, OWN, TARGET, House, Sink, at, brand, customer, house, policy
from wire.errors import RetryAt

DAY = 24 * 60.0
FRIDAY = 2 * DAY
"""Minutes from Wednesday noon to Friday noon."""

EVERYTHING = frozenset(Stage)
TWO_CHANNELS = (Route("care", "#care", EVERYTHING), Route("mail", "care@acme.example", EVERYTHING))
OFFICE = Calendar("office", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(5)))


def promising(
    folder: Path, target: Target, calendars: Mapping[str, Calendar] | None = None, **changes: Any
) -> House:
    """A house with this promise for everybody."""
    fold = Policies.of(FoldPolicy((target,), calendars=calendars or {}))
    return house(folder, brands={"acme": replace(policy().brands["acme"], fold=fold)}, **changes)


def say_all(home: House, minute: float, sink: Sink, name: str = "care") -> None:
    """Send what the channel may send now."""
    while dispatch_once(home.store, home.policy, name, sink, at(minute)).outcome != "idle":
        pass


def live(home: House, sink: Sink, start: float, end: float, every: float = 0.5) -> None:
    """The house looks and the channel speaks, again and again."""
    for n in range(int((end - start) / every) + 1):
        home.watch(start + n * every)
        say_all(home, start + n * every, sink)


def heard(sink: Sink) -> list[tuple[str, int, float]]:
    """(stage, repeat, minute) of all that was said."""
    return [(str(a.stage), a.repeat, (a.at - NOON).total_seconds() / 60) for a, _ in sink.sent]


def says(home: House, word: Word, id: str, minute: float) -> Case:
    """An operator speaks."""
    return act(home.store, home.policy, Action(word, id, "olga", at(minute)), at(minute))


def the_case(home: House) -> Case:
    (case,) = home.cases()
    assert isinstance(case, Case)
    return case


BREACHED = [("warning", 0, 7.5), ("warning", 1, 12.0), ("breach", 0, 15.0)]
"""What people hear of a complaint of 12:00 that nobody answers, promised fifteen minutes."""

BOTS: dict[str, Message] = {
    "a listed account": brand("2", 1, "1", who="acmebot"),
    "the platform says so": replace(brand("2", 1, "1"), author=Author("b", brand=True, automated=True)),
    "faster than a person types": brand("2", 2 / 60, "1"),
}


@pytest.mark.parametrize("how", BOTS)
def test_01_a_bots_reply_is_no_first_response_and_leaves_the_customer_waiting(
    tmp_path: Path, how: str
) -> None:
    """A bot answers at once and nobody else does: people are warned and told as if it had not, and only the
    person's reply at 12:20 ends the wait. Chatwoot #6409, #13181, #13417."""
    home, sink = house(tmp_path), Sink()
    home.take(2, customer("1", 0), BOTS[how])
    live(home, sink, 2, 19)
    assert heard(sink) == BREACHED
    assert the_case(home).first_response is None and the_case(home).first_any_reply_at is not None
    home.take(20.5, brand("3", 20, "1"))
    live(home, sink, 20.5, 60)
    assert the_case(home).first_response_seconds == 1200
    assert heard(sink)[3:] == [("cleared", 0, 20.5)]


def test_02_our_own_alerts_are_no_reply(tmp_path: Path) -> None:
    """Three alerts went out about it, and an operator took it with a note: nothing was written to the
    conversation by that, and the customer waits for her first response. frappe #32328."""
    home, sink = house(tmp_path), Sink()
    home.take(1, customer("1", 0))
    live(home, sink, 1, 30)
    for word in (Word.ACK, Word.ASSIGN):
        said = Action(word, "1", "olga", at(30), note="this customer is rude")
        act(home.store, home.policy, said, at(30))
    live(home, sink, 30, 60)
    assert heard(sink) == BREACHED
    assert home.store.connection.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    case = the_case(home)
    assert (case.status, case.first_response, case.first_any_reply_at) == (Status.WAITING, None, None)
    assert case.waiting_since == at(0)


def test_02_an_alerting_client_that_posts_with_the_brands_account_is_no_reply(tmp_path: Path) -> None:
    """Some other tool writes "ticket opened" in the brand's name, by a client that we list, and with words
    that we list: neither is an answer. frappe #32328."""
    acme = policy().brands["acme"]
    listed = make_automation(clients=["TicketTool"], patterns=["^Ticket [0-9]+ opened"])
    home = house(tmp_path, brands={"acme": replace(acme, automation=listed)})
    home.take(9, customer("1", 0), brand("2", 3, "1", client="TicketTool"))
    home.take(9, brand("3", 4, "1", text="Ticket 4711 opened, we will be in touch"))
    assert the_case(home).status is Status.WAITING and the_case(home).first_response is None
    home.take(9, brand("4", 8, "1"))
    assert the_case(home).first_response_seconds == 480


def test_03_thanks_after_resolve_start_no_clock(tmp_path: Path) -> None:
    """Resolved at 12:10; "thank you so much" at 12:20: no clock runs, nobody is told, for three days.
    Chatwoot #10178, #15024."""
    promise = replace(TARGET, next_response_seconds=900.0, resolution_seconds=7200.0)
    home, sink = promising(tmp_path, promise), Sink()
    home.take(6, customer("1", 0), brand("2", 5, "1"))
    says(home, Word.RESOLVE, "1", 10)
    home.take(21, customer("3", 20, "@acme thank you so much!", conversation="1", parent="2"))
    live(home, sink, 21, 3 * DAY, every=15)
    case = the_case(home)
    assert sink.sent == []
    assert case.inbound_count == 2 and case.status is Status.RESOLVED
    assert [clock for clock in case.all_clocks if clock.runs] == []


def test_04_reopening_leaves_the_times_that_were(tmp_path: Path) -> None:
    """Resolved at 12:10, asked again at 13:00, resolved again at 13:20: the first response stays five minutes
    and the first resolution ten; the new wait has a clock of its own. Chatwoot #11787, #12058."""
    promise = replace(TARGET, next_response_seconds=900.0, resolution_seconds=86_400.0, pauses=False)
    home = promising(tmp_path, promise)
    home.take(6, customer("1", 0), brand("2", 5, "1"))
    before = says(home, Word.RESOLVE, "1", 10)
    home.take(61, customer("3", 60, "@acme it is broken again!", conversation="1", parent="2"))
    reopened = the_case(home)
    assert reopened.status is Status.WAITING and reopened.waiting_since == at(60)
    home.take(71, brand("4", 70, "3", conversation="1"))
    after = says(home, Word.RESOLVE, "3", 80)
    for case in (before, reopened, after):
        assert case.first_response_seconds == 300
        assert case.first_resolution_seconds == 600
        assert case.clocks[0] == before.clocks[0]
    assert (before.full_resolution_seconds, after.full_resolution_seconds) == (600, 4800)
    assert [(c.name, c.seconds) for c in after.clocks[1:]] == [(ClockName.NEXT_RESPONSE, 600)]
    assert home.count("first_response_seconds_bucket") == 1
    assert home.count("first_response_corrections") == 0


SHIFTS = Calendar(
    "shifts",
    "UTC",
    tuple(Opening(day, *span) for day in range(5) for span in ((8 * 60, 12 * 60), (13 * 60, 17 * 60))),
)
NIGHTS = Calendar("nights", "UTC", tuple(Opening(day, 22 * 60, 30 * 60) for day in range(5)))
CLOSED_MONDAY = replace(OFFICE, closed=frozenset({date(2026, 3, 9)}))


def utc(day: int, hour: int, minute: int, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("calendar", "asked", "due"),
    [
        (OFFICE, utc(6, 16, 45), utc(9, 9, 15)),
        (CLOSED_MONDAY, utc(6, 16, 45), utc(10, 9, 15)),
        (OFFICE, utc(7, 11, 0), utc(9, 9, 30)),
        (SHIFTS, utc(5, 11, 50), utc(5, 13, 20)),
        (SHIFTS, utc(5, 12, 30), utc(5, 13, 30)),
        (NIGHTS, utc(5, 23, 50), utc(6, 0, 20)),
        (NIGHTS, utc(6, 5, 50), utc(6, 22, 20)),
        (NIGHTS, utc(7, 5, 50), utc(9, 22, 20)),
    ],
    ids=["weekend", "holiday", "saturday", "lunch", "in lunch", "midnight", "morning", "friday night"],
)
def test_05_promises_count_in_opening_hours(
    tmp_path: Path, calendar: Calendar, asked: datetime, due: datetime
) -> None:
    """Thirty minutes of opening time: over a weekend, a holiday, a lunch break, past midnight. Not a minute
    before that is it late. Chatwoot #13392, #14009, #5254; FreeScout #3756; osTicket #1168."""
    promise = replace(TARGET, first_response_seconds=1800.0, calendar="hours", warnings=())
    home, sink = promising(tmp_path, promise, {"hours": calendar}), Sink()
    minute, due_minute = ((t - NOON).total_seconds() / 60 for t in (asked, due))
    home.take(minute, customer("1", minute))
    assert the_case(home).due_at == due
    live(home, sink, minute, due_minute - 1, every=7)
    assert sink.sent == []
    live(home, sink, due_minute, due_minute)
    assert heard(sink) == [("breach", 0, due_minute)]


def test_06_no_clock_runs_while_the_customer_is_silent(tmp_path: Path) -> None:
    """We answered, and wrote once more; she says nothing for two days: no update is due, nobody is told.
    Zammad #3140, #5177, #3410."""
    promise = replace(TARGET, next_response_seconds=900.0, resolution_seconds=3600.0)
    home, sink = promising(tmp_path, promise), Sink()
    home.take(9, customer("1", 0), brand("2", 5, "1"), brand("3", 8, "1", conversation="1"))
    live(home, sink, 9, 2 * DAY, every=15)
    case = the_case(home)
    assert sink.sent == [] and case.status is Status.ANSWERED
    assert [clock.name for clock in case.clocks] == [ClockName.FIRST_RESPONSE]
    assert home.count("breaches") == 0


def test_07_who_was_answered_in_time_is_never_overdue(tmp_path: Path) -> None:
    """Answered at 12:14:59: no breach, nothing overdue, also a day later. osTicket #1684, #419."""
    home, sink = house(tmp_path), Sink()
    home.take(1, customer("1", 0))
    live(home, sink, 1, 14)
    home.take(15, brand("2", 14 + 59 / 60, "1"))
    live(home, sink, 15, DAY, every=5)
    assert heard(sink) == [*BREACHED[:2], ("cleared", 0, 15.0)]
    assert home.store.cases.waiting(10) == [] and home.store.figures.waiting(at(DAY)) == []
    assert home.count("breaches") == 0


def test_07_an_answer_that_we_see_late_is_owned_up_to(tmp_path: Path) -> None:
    """The reply of 12:14 comes in at 12:20, after the breach was said: it is corrected in the same place and
    counted as a false alert, and the case was never late. osTicket #1684."""
    home, sink = house(tmp_path), Sink()
    home.take(1, customer("1", 0))
    live(home, sink, 1, 16)
    home.take(20, brand("2", 14, "1"))
    live(home, sink, 20, 60)
    assert heard(sink) == [*BREACHED, ("corrected", 0, 20.0)]
    assert len({alert.subject for alert, _ in sink.sent}) == 1
    assert the_case(home).latest.breached_at is None
    assert home.count("false_alerts") == 1


def test_08_waiting_since_is_the_oldest_unanswered_message(tmp_path: Path) -> None:
    """She asks at 12:00, 12:09 and 12:14: she waits since 12:00, and that is what the alert says; after the
    answer at 12:20 the same holds for the next one. FreeScout #5225."""
    promise = replace(TARGET, next_response_seconds=900.0, warnings=())
    home, sink = promising(tmp_path, promise), Sink()
    for id, minute in (("1", 0), ("2", 9), ("3", 14)):
        home.take(minute, customer(id, minute, conversation="1", parent=None if id == "1" else "1"))
        live(home, sink, minute, minute)
    live(home, sink, 14.5, 19.5)
    home.take(20, brand("4", 20, "3", conversation="1"))
    live(home, sink, 20, 20)
    for id, minute in (("5", 22), ("6", 30)):
        home.take(minute, customer(id, minute, "@acme and now?!", conversation="1", parent="4"))
    live(home, sink, 30, 40)
    assert heard(sink) == [("breach", 0, 15.0), ("cleared", 0, 20.0), ("breach", 0, 37.0)]
    since = [a.case.waiting_since for a, _ in sink.sent if a.case is not None]
    assert since == [at(0), at(0), at(22)]
    assert the_case(home).waiting_since == at(22)


def test_09_a_limited_channel_holds_nobody_else_up_and_keeps_its_order(tmp_path: Path) -> None:
    """Slack says 429 until 12:14: mail is on time to the half minute, and Slack hears the latest warning as
    soon as it may, then the breach, in that order, each once. OnCall #4087; GoAlert #4188; SigNoz #12891."""
    home, slack, mail = house(tmp_path, routes=TWO_CHANNELS), Sink(), Sink("care@acme.example")
    home.take(1, customer("1", 0))
    slack.failures = [RetryAt("429", at=at(14), limited=True)]
    for half in range(2, 60):
        home.watch(half / 2)
        say_all(home, half / 2, slack, "care")
        say_all(home, half / 2, mail, "mail")
    assert heard(mail) == BREACHED
    assert heard(slack) == [("warning", 1, 14.0), ("breach", 0, 15.0)]
    assert home.store.outbox.depth() == [] and home.store.outbox.dead_letters() == 0


def test_09_what_a_limit_held_back_is_all_said_when_it_ends(tmp_path: Path) -> None:
    """Ten late customers, ten times 429: when the window opens each of them is told of, once."""
    home, slack = house(tmp_path), Sink()
    home.take(1, *(customer(str(n), 0, who=f"c{n}") for n in range(10)))
    slack.failures = [RetryAt("429", at=at(20), limited=True) for _ in range(10)]
    home.watch(16)
    say_all(home, 16, slack)
    assert slack.sent == []
    say_all(home, 19.9, slack)
    assert slack.sent == []
    say_all(home, 20, slack)
    assert sorted(a.subject for a, _ in slack.sent) == sorted(f"acme/x/{n}" for n in range(10))
    assert {a.stage for a, _ in slack.sent} == {Stage.BREACH}


KILLED = """
import sys
from pathlib import Path
from monitor.dispatch import dispatch_once
from monitor.failpoints import from_environment
from monitor.store.store import open_store
from tests.acceptance.test_peers_complaints import Book
from tests.monitor.build import House, at, policy
path = Path(sys.argv[1])
home = House(open_store(path, from_environment()), policy(), path)
home.watch(16)
dispatch_once(home.store, home.policy, "care", Book(path.with_name("heard")), at(16))
"""


class Book(Sink):
    """A channel whose far side writes down the keys that it accepted: it outlives whoever sent them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def send(self, alert: Any, previous: Any, time_limit: float) -> Any:
        with self._path.open("a", encoding="utf-8") as book:
            book.write(f"{alert.key}\n")
        return super().send(alert, previous, time_limit)

    def keys(self) -> list[str]:
        return self._path.read_text("utf-8").split() if self._path.exists() else []


@pytest.mark.parametrize(
    ("point", "times"),
    [
        ("watch.before_commit", 1),
        ("watch.after_commit", 1),
        ("lease.after_commit", 1),
        ("record.before_commit", 2),
        ("record.after_commit", 1),
    ],
)
def test_10_a_crash_anywhere_on_the_way_loses_no_alert(tmp_path: Path, point: str, times: int) -> None:
    """Killed before and after it is owed, leased, sent and recorded: after the restart the breach was said,
    twice only where it was sent and not recorded, and then with the same key. Healthchecks #212."""
    home = house(tmp_path)
    home.take(1, customer("1", 0))
    home.store.close()
    environment = {**os.environ, "RESPONSE_MONITOR_FAILPOINT": point}
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home.path)], env=environment, cwd=root, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    again = House(open_store(home.path, no_failpoint), home.policy, home.path)
    with again.store.transaction("start"):
        again.store.outbox.give_back(at(17))
    book = Book(home.path.with_name("heard"))
    again.watch(17)
    say_all(again, 17, book)
    assert len(book.keys()) == times and len(set(book.keys())) == 1
    assert "/breach/" in book.keys()[0]
    assert again.store.outbox.depth() == []


def test_11_a_dead_connector_is_told_and_nothing_is_claimed_to_be_known(tmp_path: Path) -> None:
    """The own timeline dies at 12:03. At 12:10:30 people hear that we are blind and that one waits; the
    breach at 12:16 says that nobody knows; no breach is counted, until we see again that there was an answer.
    Chatwoot #4415; Zammad #4725; Huginn #1191."""
    home, sink = house(tmp_path, sees_all=False), Sink()
    ref = StreamRef("acme", "x", "acme", OWN)

    def poll(minute: float, page: Page | None) -> None:
        row = prepare(home.store, ref, at(minute))
        take_in(
            home.store, home.policy, ref, Fetched(row, page, None if page else RetryAt("503")), at(minute)
        )

    poll(0, Page((), {"v": 1}, complete_through=at(0)))
    home.take(1, customer("1", 0))
    poll(3, Page((), {"v": 1}, complete_through=at(3)))
    poll(3.5, None)
    for half in range(8, 36):
        poll(half / 2, None)
        live(home, sink, half / 2, half / 2)
    troubles = [a.trouble for a, _ in sink.sent if a.trouble is not None]
    assert [t.waiting for t in troubles] == [1] and "blind on @acme on x since 12:03" in troubles[0].title
    claims = [a for a, _ in sink.sent if a.case is not None]
    assert [a.stage for a in claims] == [Stage.WARNING, Stage.WARNING, Stage.BREACH]
    assert all(a.case is not None and a.case.unknown_since == at(3) and a.case.caveats for a in claims)
    assert home.count("breaches") == 0 and home.store.cases.count_waiting() == 1
    answer = brand("2", 10, "1")
    poll(20, Page((answer,), {"v": 2}, complete_through=at(19.9)))
    live(home, sink, 20, 25)
    assert [str(a.stage) for a, _ in sink.sent[-2:]] == ["cleared", "cleared"]
    assert the_case(home).first_response_seconds == 600
    assert (home.count("breaches"), home.count("false_alerts")) == (0, 0)


def test_12_nobody_is_called_at_midnight_about_a_promise_in_office_hours(tmp_path: Path) -> None:
    """A complaint on Friday at 16:45 that nobody answers until Tuesday evening, looked at every quarter of an
    hour: warnings, breach, reminders and the lead all come in office hours. Zammad #4432."""
    promise = replace(
        TARGET, first_response_seconds=1800.0, calendar="office", repeat_seconds=3600.0, repeat_max=4
    )
    lead = Step("lead", frozenset({"mail"}), Stage.BREACH, 1800.0, 7200.0, 6)
    home = promising(tmp_path, promise, {"office": OFFICE}, routes=TWO_CHANNELS, steps=(lead,))
    care, mail = Sink(), Sink("care@acme.example")
    asked = FRIDAY + 285
    home.take(asked, customer("1", asked))
    for quarter in range(4 * 24 * 4 + 4):
        now = asked + 15 * quarter
        home.watch(now)
        say_all(home, now, care, "care")
        say_all(home, now, mail, "mail")
    moments = [alert.at for sink in (care, mail) for alert, _ in sink.sent]
    assert len([a for a, _ in mail.sent if a.stage is Stage.ESCALATED]) == 6
    outside = [m for m in moments if m.weekday() > 4 or not 9 * 60 <= m.hour * 60 + m.minute <= 17 * 60]
    assert outside == []
    breaches = [a.at for a, _ in care.sent if a.stage is Stage.BREACH]
    monday = FRIDAY + 3 * DAY
    assert breaches == [at(monday - 165 + 60 * n) for n in range(5)]  # 9:15, and each hour after it


def test_13_people_are_warned_before_the_breach(tmp_path: Path) -> None:
    """At half of the promise and at four fifths of it, whatever the promise. Chatwoot #6889."""
    for seconds in (900.0, 3600.0, 86_400.0):
        home, sink = (
            promising(tmp_path / str(seconds), replace(TARGET, first_response_seconds=seconds)),
            Sink(),
        )
        home.take(0, customer("1", 0))
        live(home, sink, 0, seconds / 60, every=seconds / 600)
        minutes = seconds / 60
        expected = [
            ("warning", 0, minutes / 2),
            ("warning", 1, minutes * 0.8),
            ("breach", 0, minutes),
        ]
        assert [(s, n, round(m, 6)) for s, n, m in heard(sink)] == expected


def test_13_every_promise_of_the_config_that_we_ship_has_warnings() -> None:
    """Whoever starts with our file is warned."""
    text = files("monitor").joinpath("templates/monitor.toml").read_text("utf-8")
    shipped = [TargetConfig.model_validate(row) for row in tomllib.loads(text)["targets"]]
    promised = [target for target in shipped if not target.no_target]
    assert promised and all(target.warnings for target in promised)


def test_14_reminders_come_at_the_times_that_the_config_says(tmp_path: Path) -> None:
    """`repeat` after the breach, so many times, for each case by itself, whatever else is going on and
    however often the house looks. Alertmanager #642, #2647, #4008."""
    repeat_seconds, limit = 1200.0, 3
    promise = replace(TARGET, warnings=(), repeat_seconds=repeat_seconds, repeat_max=limit)
    expected = [("breach", n, 15 + n * repeat_seconds / 60) for n in range(limit + 1)]
    for every in (0.5, 2.5):
        home, sink = promising(tmp_path / str(every), promise), Sink()
        home.take(0, customer("1", 0))
        live(home, sink, 0, 5 - every, every=every)
        home.take(5, customer("2", 5, who="ben"))
        live(home, sink, 5, 300, every=every)
        by_case: dict[str, list[tuple[str, int, float]]] = {}
        for (alert, _), said in zip(sink.sent, heard(sink), strict=True):
            by_case.setdefault(alert.subject, []).append(said)
        assert by_case["acme/x/1"] == expected
        assert by_case["acme/x/2"] == [(stage, n, minute + 5) for stage, n, minute in expected]


def clock_shift(zone: str, opens: int, closes: int) -> Calendar:
    return Calendar("hours", zone, tuple(Opening(day, opens * 60, closes * 60) for day in range(7)))


@pytest.mark.parametrize(
    ("calendar", "asked", "seconds", "due"),
    [
        # Berlin 9-17 is 8:00-16:00 UTC in winter and 7:00-15:00 in summer.
        (clock_shift("Europe/Berlin", 9, 17), utc(28, 15, 45), 1800, utc(29, 7, 15)),
        (clock_shift("Europe/Berlin", 9, 17), utc(24, 14, 45, 10), 1800, utc(25, 8, 15, 10)),
        # New York's clocks jump on another Sunday.
        (clock_shift("America/New_York", 9, 17), utc(7, 21, 45), 1800, utc(8, 13, 15)),
        # A night shift 22-06 lasts seven hours when the clock jumps forward, nine when it falls back.
        (clock_shift("Europe/Berlin", 22, 30), utc(28, 21, 0), 7 * 3600, utc(29, 4, 0)),
        (clock_shift("Europe/Berlin", 22, 30), utc(28, 21, 0), 7 * 3600 + 60, utc(29, 20, 1)),
        (clock_shift("Europe/Berlin", 22, 30), utc(24, 20, 0, 10), 9 * 3600, utc(25, 5, 0, 10)),
        (clock_shift("Asia/Kolkata", 9, 17), utc(6, 11, 15), 1800, utc(7, 3, 45)),
    ],
)
def test_15_time_zones_and_daylight_saving(
    tmp_path: Path, calendar: Calendar, asked: datetime, seconds: float, due: datetime
) -> None:
    """Opening hours are wall time where the team sits; what passes in them is real time. OTRS #787."""
    promise = replace(TARGET, first_response_seconds=float(seconds), calendar="hours")
    home = promising(tmp_path, promise, {"hours": calendar})
    minute = (asked - NOON).total_seconds() / 60
    home.take(minute, customer("1", minute))
    assert the_case(home).due_at == due
    home.take(minute + 3 * DAY, brand("2", (due - NOON).total_seconds() / 60, "1"))
    assert the_case(home).latest.breached_at is None
    assert the_case(home).first_response_seconds == (due - asked).total_seconds()


def test_15_the_resolution_pauses_while_the_customer_is_waited_for(tmp_path: Path) -> None:
    """An hour is promised. We took ten minutes, she took a day, then it runs on from ten: due 50 minutes
    after she wrote, and nobody was told while she had the word. frappe helpdesk #3776."""
    promise = Target("pausing", None, resolution_seconds=3600.0, warnings=(), needs_reply_only=False)
    home, sink = promising(tmp_path, promise), Sink()
    home.take(11, customer("1", 0), brand("2", 10, "1"))
    live(home, sink, 11, 20 * 60, every=10)
    back = 20 * 60.0
    home.take(
        back, customer("3", back, "@acme here is the photo, still broken!", conversation="1", parent="2")
    )
    live(home, sink, back, back + 120)
    assert heard(sink) == [("breach", 0, back + 50)]
    assert sink.sent[0][0].case is not None and sink.sent[0][0].case.clock == "resolution"


def public_names(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


READING = {"identify", "poll", "receive", "look_up", "close", "streams", "capabilities"}


@pytest.mark.parametrize("platform", sorted(connectors.REGISTRY))
def test_16_a_connector_has_nothing_to_write_with(platform: str) -> None:
    """No method of a connector posts, replies, likes or deletes: there is no way to a customer to be taken
    by mistake; tests/contract asks each platform that it hears nothing but questions. Chatwoot #15605."""
    connector = get_type_hints(connectors.load(platform).build)["return"]
    assert {"poll"} <= public_names(connector) <= READING


@pytest.mark.parametrize("kind", sorted(alerts.REGISTRY))
def test_16_what_is_written_in_an_alerts_thread_goes_nowhere(kind: str) -> None:
    """A channel can send, show, be checked and be closed, and hear of its own buttons and command: so that a
    colleague's remark in the alert's thread cannot reach a customer. Chatwoot #15605."""
    channel = get_type_hints(alerts.load(kind).build)["return"]
    allowed = {"recipient", "updates", "send", "preview", "check", "close", "listen", "reach"}
    assert {"send"} <= public_names(channel) <= allowed
