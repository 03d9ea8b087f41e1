"""What users of other tools complain of, so that ours never can, numbered as in docs/clocks.md.

Each docstring names the complaints, and what is promised instead.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import connectors
from connectors.contract import Connector, Page
from monitor.dispatch import dispatch_once, lease
from monitor.policy import Policy
from monitor.poll import Fetched, StreamRef, prepare, take_in
from monitor.store.store import open_store
from rules.alert import Stage
from rules.case import Action, Case, ClockName, Part, Status, Word
from rules.decisions import Sight, decide
from rules.escalation import Step
from rules.fold import fold
from rules.hours import Calendar, Opening
from rules.policies import FoldPolicy, Policies
from rules.routes import Route
from rules.targets import Target
from tests.monitor.build import OWN, House, Sink, brand, customer, house, policy
from tests.rules.build import NOON, PLACE, asks, at, replies, says, verdict
from wire.errors import RetryAt

TARGET = Target("public", 900.0, 900.0, 7200.0, needs_reply_only=False)
OFFICE = Calendar("office", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(5)))
FRIDAY_16_45 = datetime(2026, 3, 6, 16, 45, tzinfo=UTC)
WRITES = ("create_tweet", "create_direct_message", ".reply(", ".submit(", "retweet(", ".like(", ".message(")
BOTH = (Route("care", "#care", frozenset(Stage)), Route("mail", "care@acme.example", frozenset(Stage)))


def one(*parts: Part, said: tuple[Action, ...] = (), target: Target = TARGET) -> Case:
    """The one case of a conversation."""
    (case,) = fold(PLACE, parts, said, FoldPolicy((target,), calendars={"office": OFFICE}))
    return case


def thanks(id: str, minutes: float) -> Part:
    return asks(id, minutes, verdict=verdict(complaint=False, needs_reply=False))


def in_office_hours(*, steps: tuple[Step, ...] = (), **target: float) -> Policy:
    """Half an hour, counted in office hours."""
    promise = Target("office", 1800.0, calendar="office", needs_reply_only=False, **target)  # type: ignore[arg-type]
    made = policy(steps=steps)
    fold_policy = Policies.of(FoldPolicy((promise,), calendars={"office": OFFICE}))
    return replace(made, brands={"acme": replace(made.brands["acme"], fold=fold_policy)})


def minutes_to(moment: datetime) -> float:
    return (moment - NOON).total_seconds() / 60


def live(home: House, sink: Sink, start: float, end: float, step: float = 1.0) -> None:
    """Look and send, again and again."""
    while start <= end:
        home.watch(start)
        while dispatch_once(home.store, home.policy, "care", sink, at(start)).outcome != "idle":
            pass
        start += step


def test_01_a_bots_reply_ends_nothing() -> None:
    """Chatwoot 6409, 13181, 13417: the customer waits on, and the bot's reply is kept beside the clock."""
    case = one(asks("1", 0), replies("bot", 0.5, automated=True))
    assert (case.status, case.first_response, case.first_any_reply_at) == (Status.WAITING, None, at(0.5))
    handed_over = one(asks("1", 0), replies("bot", 0.5, automated=True), asks("2", 3), replies("r", 10))
    assert handed_over.first_response_seconds == 600


def test_02_our_own_alert_is_no_answer(tmp_path: Path) -> None:
    """frappe 32328: nothing that we send becomes a message, so nothing that we send stops a clock."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    live(home, sink, 0, 20)
    assert sink.stages() == ["warning", "warning", "breach"]
    assert home.store.connection.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    assert home.cases()[0].status is Status.WAITING


def test_03_thanks_after_resolve_starts_nothing() -> None:
    """Chatwoot 10178, 15024: resolved stays resolved, whatever politeness follows."""
    case = one(asks("1", 0), replies("2", 5), thanks("3", 12), said=(says(Word.RESOLVE, "1", 10),))
    assert (case.status, case.wait, len(case.clocks)) == (Status.RESOLVED, None, 1)
    assert case.resolution is not None and case.resolution.ending is Status.RESOLVED


def test_04_reopening_keeps_what_was_measured() -> None:
    """Chatwoot 11787, 12058: the first response and first resolution stay; the new wait is a new record."""
    before = one(asks("1", 0), replies("2", 5), said=(says(Word.RESOLVE, "1", 10),))
    words = (says(Word.RESOLVE, "1", 10), says(Word.RESOLVE, "1", 60))
    after = one(asks("1", 0), replies("2", 5), asks("3", 40), replies("4", 50), said=words)
    assert after.first_response_seconds == before.first_response_seconds == 300
    assert after.first_resolution_seconds == before.first_resolution_seconds == 300
    assert after.full_resolution_seconds == 900  # and ten minutes of the second wait
    assert [(c.name, c.seconds) for c in after.clocks] == [
        (ClockName.FIRST_RESPONSE, 300),
        (ClockName.NEXT_RESPONSE, 600),
    ]


def test_05_business_hours_count_with_split_shifts_and_past_midnight(tmp_path: Path) -> None:
    """Chatwoot 13392, 14009, 5254; FreeScout 3756; osTicket 1168: Fri 16:45 + 30 min is Mon 09:15."""
    home = house(tmp_path)
    home.policy = in_office_hours()
    asked = minutes_to(FRIDAY_16_45)
    home.take(asked, customer("1", asked))
    assert home.cases()[0].due_at == datetime(2026, 3, 9, 9, 15, tzinfo=UTC)
    shifts = Calendar("s", "UTC", (Opening(4, 540, 720), Opening(4, 780, 1020), Opening(4, 1320, 1560)))
    friday = FRIDAY_16_45.replace(hour=11, minute=50)
    assert shifts.add(friday, 1200) == friday.replace(hour=13, minute=10)
    assert shifts.add(FRIDAY_16_45, 1800) == FRIDAY_16_45.replace(hour=22, minute=15)
    assert shifts.is_open(FRIDAY_16_45.replace(hour=23) + timedelta(hours=2))


def test_06_no_clock_runs_while_the_customer_is_silent() -> None:
    """Zammad 3140, 5177, 3410: after an answer nothing falls due until the customer writes again."""
    case = one(asks("1", 0), replies("2", 5))
    assert case.wait is None and case.resolution is not None and case.resolution.due_at is None
    assert not decide(case, [], Sight(gates=False), at(60 * 20)).owed


def test_07_what_was_answered_never_goes_overdue(tmp_path: Path) -> None:
    """osTicket 1684, 419: answered in time, and no look at any later time says a word."""
    home, sink = house(tmp_path), Sink()
    home.take(6, customer("1", 0), brand("2", 5, "1"))
    live(home, sink, 6, 60 * 30, step=15)
    assert sink.sent == []
    assert home.count("breaches") == 0


def test_08_waiting_since_is_the_oldest_unanswered_message() -> None:
    """FreeScout 5225: "hello?" does not make the wait younger, neither at first nor after an answer."""
    assert one(asks("1", 0), asks("2", 30)).waiting_since == at(0)
    again = one(asks("1", 0), replies("2", 5), asks("3", 20), asks("4", 50))
    assert again.waiting_since == at(20)
    assert again.latest.due_at == at(35)


def test_09_one_channels_limits_delay_no_other(tmp_path: Path) -> None:
    """OnCall 4087; GoAlert 4188; SigNoz 12891: Slack says "later", and the mail goes out at once."""
    home = house(tmp_path, routes=BOTH)
    slow, mail = Sink(failures=[RetryAt("429", at=at(20), limited=True)]), Sink(recipient="care@acme.example")
    home.take(0, customer("1", 0))
    home.watch(7.5)
    assert dispatch_once(home.store, home.policy, "care", slow, at(7.5)).outcome == "retry"
    assert dispatch_once(home.store, home.policy, "mail", mail, at(7.5)).outcome == "delivered"
    home.watch(12)
    assert dispatch_once(home.store, home.policy, "care", slow, at(12)).outcome == "idle"
    home.watch(15)
    while dispatch_once(home.store, home.policy, "care", slow, at(20)).outcome != "idle":
        pass
    assert slow.stages() == ["breach"]  # by then the warnings are no news


def test_10_a_crash_between_sending_and_noting_loses_nothing(tmp_path: Path) -> None:
    """Healthchecks 212: leased and never recorded is sent again, under the same key."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    home.watch(15)
    leased, _ = lease(home.store, home.policy, "care", at(15), 60)
    assert leased is not None
    home.store.close()  # kill -9: whether the remote has it, nobody knows
    again = House(open_store(home.path), home.policy, home.path)
    sink = Sink()
    live(again, sink, 16, 18)
    assert [alert.key for alert, _ in sink.sent] == [leased.alert.key]


def test_11_a_dead_feed_is_told_and_never_zero_complaints(tmp_path: Path) -> None:
    """Chatwoot 4415; Zammad 4725; Huginn 1191: a connector that fails is an alert of its own."""
    home, sink = house(tmp_path, sees_all=False), Sink()
    ref = StreamRef("acme", "x", "acme", OWN)
    row = prepare(home.store, ref, at(0))
    take_in(home.store, home.policy, ref, Fetched(row, Page((), {}, complete_through=at(0)), None), at(0))
    home.take(1, customer("1", 0))
    row = prepare(home.store, ref, at(1))
    take_in(home.store, home.policy, ref, Fetched(row, None, RetryAt("no route to host")), at(1))
    live(home, sink, 1, 20, step=0.5)
    troubles = [a.trouble for a, _ in sink.sent if a.trouble is not None]
    assert [(t.since, t.waiting) for t in troubles] == [(at(0), 1)]
    claims = [a.case for a, _ in sink.sent if a.case is not None]
    assert claims and all(case.unknown_since == at(0) for case in claims)
    assert home.count("breaches") == 0  # nobody knows yet


def test_12_nobody_is_woken_about_a_business_hours_promise(tmp_path: Path) -> None:
    """Zammad 4432: over a whole weekend, half hour by half hour, warnings, reminders and escalations keep
    office hours."""
    lead = Step("lead", frozenset({"care"}), Stage.BREACH, 600.0, 3600.0, 5)
    home, sink = house(tmp_path), Sink()
    home.policy = in_office_hours(steps=(lead,), repeat_seconds=1800.0, repeat_max=9)
    asked = minutes_to(FRIDAY_16_45)
    home.take(asked, customer("1", asked))
    live(home, sink, asked, asked + 5 * 24 * 60, step=15)
    assert {alert.stage for alert, _ in sink.sent} == {Stage.WARNING, Stage.BREACH, Stage.ESCALATED}
    assert all(OFFICE.is_open(alert.at) for alert, _ in sink.sent)
    assert all(alert.at.weekday() < 5 for alert, _ in sink.sent)


def test_13_people_are_warned_before_the_breach(tmp_path: Path) -> None:
    """Chatwoot 6889: at half of the promise and at 80 % of it, while there is still time to answer."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    live(home, sink, 0, 14.5, step=0.5)
    assert [(a.stage, a.at) for a, _ in sink.sent] == [(Stage.WARNING, at(7.5)), (Stage.WARNING, at(12))]


def test_14_repeats_follow_one_plain_rule(tmp_path: Path) -> None:
    """Alertmanager 642, 2647, 4008: every so often after the due time, so many times, and no more."""
    target = replace(TARGET, repeat_seconds=1200.0, repeat_max=3, resolution_seconds=None)
    made = policy()
    brands = {"acme": replace(made.brands["acme"], fold=Policies.of(FoldPolicy((target,))))}
    home, sink = house(tmp_path, brands=brands), Sink()
    home.take(0, customer("1", 0))
    live(home, sink, 0, 200, step=0.5)
    assert [a.at for a, _ in sink.sent if a.stage is Stage.BREACH] == [at(15), at(35), at(55), at(75)]


def test_15_zones_clock_changes_and_pauses_are_right() -> None:
    """OTRS 787; frappe helpdesk 3776: a night shift lasts 7 hours in spring and 9 in autumn, and waiting for
    the customer does not count towards the resolution."""
    night = Calendar("night", "Europe/Berlin", tuple(Opening(day, 22 * 60, 30 * 60) for day in range(7)))
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert night.open_seconds(spring, spring + timedelta(days=1)) == 7 * 3600
    assert night.open_seconds(autumn, autumn + timedelta(days=1)) == 9 * 3600
    story = (asks("1", 0), replies("2", 30), asks("3", 300), replies("4", 330))
    resolved = (says(Word.RESOLVE, "1", 600),)
    assert one(*story, said=resolved).first_resolution_seconds == 3600
    through = replace(TARGET, pauses=False)
    assert one(*story, said=resolved, target=through).first_resolution_seconds == 36_000
    waiting = one(*story[:3])
    assert waiting.resolution is not None and waiting.resolution.due_at == at(300 + 90)


def test_16_we_never_post_to_a_platform() -> None:
    """Chatwoot 15605: what is written in the alert's thread reaches no customer: no connector can write."""
    promised = {name for name, _ in inspect.getmembers(Connector) if not name.startswith("_")}
    assert promised == {"close", "identify", "look_up", "poll", "streams"}
    for name in connectors.REGISTRY:
        module = Path(inspect.getfile(connectors.load(name)))
        files = list(module.parent.rglob("*.py")) if module.name == "__init__.py" else [module]
        assert files
        for file in files:
            text = file.read_text("utf-8")
            assert not [call for call in WRITES if call in text], file.name
