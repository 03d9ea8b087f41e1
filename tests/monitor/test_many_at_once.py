"""Storms, spikes, escalations, quiet hours and blindness, through the steps and the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from alerts.contract import Channel
from connectors.contract import Page
from monitor.act import act
from monitor.dispatch import dispatch_once
from monitor.ingest import Arrival, ingest
from monitor.poll import Fetched, StreamRef, prepare, take_in
from monitor.store.outbox import State
from monitor.store.store import open_store
from rules.alert import Alert, Stage
from rules.case import Action, ClockName, Word
from rules.decisions import Sight, decide
from rules.escalation import Step
from rules.hours import Calendar, Opening
from rules.meaning.contract import Priority
from rules.message import Message
from rules.policies import FoldPolicy, Policies
from rules.routes import Route
from rules.storms import SpikePolicy, StormPolicy
from rules.targets import Target
from tests.monitor.build import MENTIONS, NOON, OWN, TARGET, House, Sink, at, brand, customer, house, policy
from wire.errors import RetryAt

STORM = StormPolicy(cases=5, within_seconds=600.0, over_after_seconds=900.0, update_seconds=60.0)
DAYTIME = Calendar("daytime", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(7)))


def crowd(count: int, minute: float, start: int = 0) -> list[Message]:
    """So many customers complain in one minute."""
    return [
        customer(f"{start + n}", minute, f"@acme no delivery again, number {n}", who=f"c{start + n}")
        for n in range(count)
    ]


def say_all(home: House, minute: float, channel: Channel, name: str = "care") -> None:
    """Send what the channel may send now."""
    for _ in range(100):
        if dispatch_once(home.store, home.policy, name, channel, at(minute)).outcome == "idle":
            return


def live(home: House, channel: Channel, start: float, end: float) -> None:
    """Every half minute the house looks, and the channel speaks."""
    minute = start
    while minute <= end:
        while home.watch(minute).more:
            pass
        say_all(home, minute, channel)
        minute += 0.5


def alerts_of(sink: Sink, stage: Stage) -> list[Alert]:
    return [alert for alert, _ in sink.sent if alert.stage is stage]


def test_a_storm_is_one_message_that_is_brought_up_to_date(tmp_path: Path) -> None:
    """Twenty late cases are one message, updated in place; the single ones are noted as said by it."""
    home, sink = house(tmp_path, storm=STORM, routes=(_route(updates=True),)), Sink()
    home.take(1, *crowd(20, 0))
    live(home, sink, 1, 16)
    storms = alerts_of(sink, Stage.STORM)
    assert storms and storms[0].storm is not None
    assert (storms[0].storm.reached, storms[0].storm.waiting) == (20, 20)
    assert len(storms[0].storm.worst) == 5
    assert ("delivery", 20) in storms[0].storm.words
    assert not alerts_of(sink, Stage.WARNING) and not alerts_of(sink, Stage.BREACH)
    singles = [r for n in range(20) for r in home.store.outbox.of_subject(f"acme/x/{n}")]
    assert {(r.state, r.outcome) for r in singles} == {(State.SUPERSEDED, "said by the storm acme storm 1")}
    assert {alert.subject for alert in storms} == {"acme storm 1"}


def _route(*, updates: bool) -> Route:
    return Route("care", "#care", frozenset(Stage), updates=updates)


def test_a_channel_that_cannot_update_hears_of_a_storm_twice(tmp_path: Path) -> None:
    """By mail a storm is its beginning and its end, and not a message a minute."""
    home, sink = house(tmp_path, storm=STORM, routes=(_route(updates=False),)), Sink()
    home.take(1, *crowd(20, 0))
    live(home, sink, 1, 20)
    home.take(20, *(brand(f"r{n}", 19, str(n)) for n in range(18)))
    live(home, sink, 20, 60)
    said = [alert.stage for alert, _ in sink.sent if alert.subject == "acme storm 1"]
    assert said == [Stage.STORM, Stage.CLEARED]


def test_when_a_storm_is_over_it_says_so(tmp_path: Path) -> None:
    """Nothing new for a quarter of an hour: how many were answered, how many wait, and then silence."""
    home, sink = house(tmp_path, storm=STORM, routes=(_route(updates=True),)), Sink()
    home.take(1, *crowd(8, 0))
    live(home, sink, 1, 16)
    home.take(17, *(brand(f"r{n}", 16.5, str(n)) for n in range(6)))
    live(home, sink, 17, 45)
    over = [a for a in alerts_of(sink, Stage.CLEARED) if a.storm is not None]
    assert len(over) == 1 and over[0].storm is not None and over[0].storm.over_at is not None
    assert (over[0].storm.reached, over[0].storm.waiting, over[0].storm.answered) == (8, 2, 6)
    assert not [a for a in alerts_of(sink, Stage.CLEARED) if a.case is not None]
    count = len(sink.sent)
    live(home, sink, 45, 80)
    assert [a.stage for a, _ in sink.sent[count:] if a.storm is not None] == []


def test_what_waits_to_be_sent_goes_into_the_storm(tmp_path: Path) -> None:
    """Alerts that were not out yet when the storm began are not sent beside it."""
    home, sink = house(tmp_path, storm=STORM, routes=(_route(updates=True),)), Sink()
    home.take(1, *crowd(4, 0))
    home.watch(7.6)
    home.take(7.7, *crowd(4, 0.2, start=10))
    home.watch(7.8)
    say_all(home, 8, sink)
    assert [alert.stage for alert, _ in sink.sent] == [Stage.STORM]


def test_whom_an_escalation_reaches_in_a_storm_hears_of_the_storm(tmp_path: Path) -> None:
    """The lead is told by the storm's message too, also where its numbers have not changed."""
    home, sink = house(tmp_path, storm=STORM, steps=(LEAD,), routes=LEADS), Sink()
    home.take(1, *crowd(20, 0))
    live(home, sink, 1, 26)
    lead = Sink(recipient="lead@acme.example")
    say_all(home, 26, lead, "lead")
    assert [(a.stage, a.subject) for a, _ in lead.sent] == [(Stage.STORM, "acme storm 1")]


def test_a_few_cases_are_no_storm(tmp_path: Path) -> None:
    """Five in ten minutes are five messages, as ever."""
    home, sink = house(tmp_path, storm=STORM), Sink()
    home.take(1, *crowd(5, 0))
    live(home, sink, 1, 16)
    assert len(alerts_of(sink, Stage.BREACH)) == 5
    assert not alerts_of(sink, Stage.STORM)


def test_a_restart_in_a_storm_says_nothing_twice(tmp_path: Path) -> None:
    """The storm is a fact in the store: another process goes on with it."""
    home, sink = house(tmp_path, storm=STORM, routes=(_route(updates=True),)), Sink()
    home.take(1, *crowd(20, 0))
    live(home, sink, 1, 8)
    said = len(sink.sent)
    home.store.close()
    again = House(open_store(home.path), home.policy, home.path)
    live(again, sink, 8, 8.4)
    assert len(sink.sent) == said


def test_a_spike_is_told_before_any_target_is_broken(tmp_path: Path) -> None:
    """Forty complaints in ten minutes, usually two: said once, at once, with both numbers."""
    home, sink = house(tmp_path, spike=SpikePolicy(at_least=15, times=5.0)), Sink()
    week = 7 * 24 * 60.0
    for back in range(1, 5):
        for step in range(-4, 5):
            past = crowd(2, -back * week + step * 10 + 5, start=1000 * back + 10 * (step + 5))
            _import(home, past)
    home.take(5, *crowd(40, 1))
    live(home, sink, 5, 7)
    (spike,) = [alert.spike for alert in alerts_of(sink, Stage.SPIKE)]
    assert spike is not None and (spike.count, spike.usual) == (40, 2.0)
    assert not alerts_of(sink, Stage.WARNING)


def _import(home: House, messages: list[Message]) -> None:
    page = Page(tuple(messages), {})
    arrival = Arrival("acme", "x", "acme", "acme/import", page, quiet_before=NOON)
    ingest(home.store, home.policy, arrival, at(0))


def test_without_a_past_nothing_is_called_a_spike(tmp_path: Path) -> None:
    """In the first week nobody knows what is usual."""
    home, sink = house(tmp_path, spike=SpikePolicy()), Sink()
    home.take(5, *crowd(60, 1))
    live(home, sink, 5, 7)
    assert not alerts_of(sink, Stage.SPIKE)


LEAD = Step("team lead", frozenset({"lead"}), Stage.BREACH, 600.0, 600.0, 2)
LEADS = (
    Route("care", "#care", frozenset(Stage)),
    Route("lead", "lead@acme.example", frozenset({Stage.TROUBLE})),
)


def escalated(home: House) -> list[tuple[str, float]]:
    """(channel, minute) of each step that was made."""
    rows = [r for r in home.store.outbox.of_subject("acme/x/1") if r.stage is Stage.ESCALATED]
    return [(r.channel, (r.owed.moment - NOON).total_seconds() / 60) for r in rows]


def test_an_escalation_tells_its_channels_and_nobody_else(tmp_path: Path) -> None:
    """Ten minutes after the breach, and ten after that: the lead, whatever else that channel hears."""
    home, sink = house(tmp_path, steps=(LEAD,), routes=LEADS), Sink()
    home.take(0, customer("1", 0))
    live(home, sink, 0, 60)
    assert escalated(home) == [("lead", 25), ("lead", 35)]
    lead = Sink(recipient="lead@acme.example")
    say_all(home, 60, lead, "lead")
    assert [(a.stage, a.step) for a, _ in lead.sent] == [(Stage.ESCALATED, "team lead")]


def test_taking_it_stops_the_escalation(tmp_path: Path) -> None:
    """Acknowledged at 12:20: the lead is left alone."""
    home, sink = house(tmp_path, steps=(LEAD,), routes=LEADS), Sink()
    home.take(0, customer("1", 0))
    live(home, sink, 0, 19)
    act(home.store, home.policy, Action(Word.ACK, "1", "olga", at(20)), at(20))
    live(home, sink, 20, 60)
    assert escalated(home) == []


def test_a_quiet_channel_carries_over_what_is_still_true(tmp_path: Path) -> None:
    """Nothing at night; in the morning one message a case that still waits, and none of the answered one."""
    home, sink = house(tmp_path, hours={"care": DAYTIME}), Sink()
    night = 7 * 60.0  # 19:00, two hours after closing
    home.take(night, customer("1", night), customer("2", night, who="ben", conversation="2"))
    live(home, sink, night, night + 60)
    assert sink.sent == []
    home.take(night + 70, brand("3", night + 69, "2"))
    home.watch(night + 70)
    say_all(home, 20.99 * 60, sink)
    assert sink.sent == []
    say_all(home, 21 * 60, sink)
    assert [(a.stage, a.case.case_id if a.case else None) for a, _ in sink.sent] == [
        (Stage.BREACH, "acme/x/1")
    ]


def test_what_a_slow_channel_held_back_is_not_sent_after_hours(tmp_path: Path) -> None:
    """Slack was down until the evening: an alert about a promise in opening hours waits for the morning."""
    office = replace(TARGET, calendar="daytime")
    made = policy()
    fold = Policies.of(FoldPolicy((office,), calendars={"daytime": DAYTIME}))
    home, sink = house(tmp_path, brands={"acme": replace(made.brands["acme"], fold=fold)}), Sink()
    asked = 4 * 60 + 30.0  # 16:30
    home.take(asked, customer("1", asked))
    home.watch(asked + 16)
    say_all(home, 9 * 60, sink)
    assert sink.sent == []
    say_all(home, 21 * 60, sink)
    assert [a.stage for a, _ in sink.sent] == [Stage.BREACH]


def test_a_quiet_channel_says_when_it_will_speak(tmp_path: Path) -> None:
    """The worker sleeps until the channel opens, and not a moment longer."""
    home = house(tmp_path, hours={"care": DAYTIME})
    night = 7 * 60.0
    home.take(night, customer("1", night))
    home.watch(night + 16)
    done = dispatch_once(home.store, home.policy, "care", Sink(), at(night + 16))
    assert (done.outcome, done.again_at) == ("idle", at(21 * 60))


def test_blind_claims_say_that_nobody_knows(tmp_path: Path) -> None:
    """What falls due while we cannot see is said as unknown, and counts as no breach until we have looked."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    (case,) = home.cases()
    blind = Sight(through=at(3), accounts=("@acme",), blind_since=at(3))
    decision = decide(case, [], blind, at(17))
    (owed,) = decision.owed
    assert owed.unknown_since == at(3)
    assert decision.known_late == () and decision.wants_look
    seen = decide(case, [], Sight(through=at(18), accounts=("@acme",)), at(18))
    assert seen.known_late == ((ClockName.FIRST_RESPONSE, 0),)


def test_blind_after_is_half_of_the_tightest_target_there() -> None:
    """An account with a promise of ten minutes is blind after five; one with twelve hours after six."""
    quick = Target("quick", 600.0, account="acme")
    slow = Target("slow", 43_200.0, account="mail")
    made = policy(blind_after_seconds=None)
    fold = Policies.of(FoldPolicy((quick, slow)))
    made = replace(made, brands={"acme": replace(made.brands["acme"], fold=fold)})
    assert made.blind_after("acme", "x", "acme") == 300.0
    assert made.blind_after("acme", "x", "mail") == 21_600.0


def test_an_urgent_case_is_the_first_of_a_storm(tmp_path: Path) -> None:
    """The worst five are those whom to answer first."""
    home, sink = house(tmp_path, storm=STORM, routes=(_route(updates=True),)), Sink()
    loud = customer("99", 0.5, "@acme I am injured, this is dangerous!", who="loud", reach=1_000_000)
    home.take(1, *crowd(10, 0), loud)
    live(home, sink, 1, 9)
    storm = alerts_of(sink, Stage.STORM)[-1].storm
    assert storm is not None and storm.worst[0].priority in (Priority.URGENT, Priority.HIGH)
    assert storm.worst[0].case_id == "acme/x/99"


def test_business_hours_reach_the_alert(tmp_path: Path) -> None:
    """A target in office hours is due in office hours, through ingest, watch and the channel."""
    office = replace(TARGET, calendar="daytime", first_response_seconds=1800.0)
    made = policy()
    fold = Policies.of(FoldPolicy((office,), calendars={"daytime": DAYTIME}))
    home, sink = house(tmp_path, brands={"acme": replace(made.brands["acme"], fold=fold)}), Sink()
    asked = 4 * 60 + 45.0  # 16:45, a quarter of an hour before closing
    home.take(asked, customer("1", asked))
    live(home, sink, asked, asked + 60)
    assert sink.sent == []  # half of it has passed just as the office closes: nobody is told after hours
    live(home, sink, 21 * 60 - 10, 21 * 60 + 20)
    assert [a.stage for a, _ in sink.sent] == [Stage.WARNING, Stage.WARNING, Stage.BREACH]
    breach = alerts_of(sink, Stage.BREACH)[0]
    assert breach.case is not None
    assert breach.case.due_at == NOON + timedelta(hours=21, minutes=15)
    assert breach.case.calendar == "daytime"
    assert date(2026, 3, 5) == breach.case.due_at.date()


def test_a_trouble_that_is_over_is_not_told_in_the_morning(tmp_path: Path) -> None:
    """Blind at night, and seeing again before the channel opens: nobody is woken up late by old news."""
    home, sink = house(tmp_path, hours={"care": DAYTIME}, sees_all=False), Sink()
    night = 7 * 60.0
    ref = StreamRef("acme", "x", "acme", OWN)
    row = prepare(home.store, ref, at(night))
    take_in(home.store, home.policy, ref, Fetched(row, None, RetryAt("down")), at(night + 1))
    home.watch(night + 20)
    rows = [r for r in home.store.outbox.due("care", at(night + 20), 9) if r.stage is Stage.TROUBLE]
    assert len(rows) == 1
    row = prepare(home.store, ref, at(night + 30))
    page = Page((), {"v": 1}, complete_through=at(night + 30))
    take_in(home.store, home.policy, ref, Fetched(row, page, None), at(night + 30))
    home.watch(night + 30)
    say_all(home, 21 * 60, sink)
    assert sink.sent == []


def test_a_recovery_over_several_pages_ends_the_same_blind_episode(tmp_path: Path) -> None:
    """Told once that we are blind and once that we see again, though the backlog comes in two pages."""
    home, sink = house(tmp_path, sees_all=False), Sink()
    ref = StreamRef("acme", "x", "acme", OWN)

    def poll(minute: float, page: Page | None) -> None:
        row = prepare(home.store, ref, at(minute))
        error = None if page is not None else RetryAt("503")
        take_in(home.store, home.policy, ref, Fetched(row, page, error), at(minute))

    poll(0, Page((), {"v": 1}, complete_through=at(0)))
    poll(1, None)
    live(home, sink, 1, 15)
    poll(15, None)
    poll(20, Page((brand("r", 3, None),), {"v": 1, "p": 2}, has_more=True))
    live(home, sink, 20, 20.5)
    poll(21, Page((), {"v": 2}, complete_through=at(20.9)))
    live(home, sink, 21, 25)
    said = [(alert.subject, alert.stage) for alert, _ in sink.sent]
    subject = "acme/x/acme blind 1"
    assert said == [(subject, Stage.TROUBLE), (subject, Stage.CLEARED)]
    ((since, until),) = home.store.connection.execute("SELECT since, until FROM blind_spans").fetchall()
    assert (until - since) / 60e6 == 20.9


def test_a_stream_that_answers_and_lags_is_blind_too(tmp_path: Path) -> None:
    """Every poll succeeds and the platform shows nothing newer than an hour ago: people are told."""
    home, sink = house(tmp_path, sees_all=False), Sink()
    ref = StreamRef("acme", "x", "acme", OWN)
    for minute in range(0, 20, 2):
        row = prepare(home.store, ref, at(minute))
        page = Page((), {"v": 1}, complete_through=at(min(minute, 4)))
        take_in(home.store, home.policy, ref, Fetched(row, page, None), at(minute))
        home.watch(minute)
        say_all(home, minute, sink)
    (told,) = alerts_of(sink, Stage.TROUBLE)
    assert told.trouble is not None and told.trouble.since == at(4)
    row = prepare(home.store, ref, at(22))
    caught_up = Page((), {"v": 1}, complete_through=at(22))
    take_in(home.store, home.policy, ref, Fetched(row, caught_up, None), at(22))
    live(home, sink, 22, 23)
    assert [a.stage for a, _ in sink.sent] == [Stage.TROUBLE, Stage.CLEARED]


def test_a_stumble_of_another_stream_does_not_prolong_a_blind_span(tmp_path: Path) -> None:
    """The own timeline is read again; that the mentions fail at that moment is not the same trouble."""
    home, sink = house(tmp_path, sees_all=False), Sink()
    own, mentions = (StreamRef("acme", "x", "acme", stream) for stream in (OWN, MENTIONS))

    def poll(ref: StreamRef, minute: float, through: float | None) -> None:
        row = prepare(home.store, ref, at(minute))
        page = None if through is None else Page((), {"v": 1}, complete_through=at(through))
        fetched = Fetched(row, page, RetryAt("503") if page is None else None)
        take_in(home.store, home.policy, ref, fetched, at(minute))

    poll(own, 0, 0)
    poll(mentions, 0, 0)
    poll(own, 1, None)
    poll(mentions, 11, 11)
    live(home, sink, 11, 12)
    poll(mentions, 12, None)
    poll(own, 13, 13)
    live(home, sink, 13, 14)
    assert [alert.stage for alert, _ in sink.sent] == [Stage.TROUBLE, Stage.CLEARED]
