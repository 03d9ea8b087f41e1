"""Routes through the steps and the store: who is told of what, who is told instead, and who is called."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from monitor.act import act, mute
from monitor.dispatch import Dispatched, dispatch_once, lease, record, send
from monitor.store.cases import Mute
from monitor.store.outbox import State
from monitor.store.store import open_store
from rules.alert import Stage
from rules.case import Action, Word
from rules.escalation import Step
from rules.hours import Calendar, Opening
from rules.match import Match
from rules.routes import Route, Row
from rules.storms import StormPolicy
from rules.team import Person
from tests.alerts.build import BENCHES, mail_bench
from tests.monitor.build import House, Sink, at, brand, customer, house
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt

ALL = frozenset(Stage)
CARE, LEAD, MAIL = Route("care", "#care", ALL), Route("lead", "#lead", ALL), Route("mail", "ops@acme", ALL)
PUBLIC = Row("public", ("care",), Match(public=True))
DAYTIME = Calendar("daytime", "UTC", tuple(Opening(day, 9 * 60, 17 * 60) for day in range(7)))


def routed(folder: Path, *rows: Row, **changes: Any) -> House:
    """A house with three channels and these routes."""
    return house(folder, routes=(CARE, LEAD, MAIL), rows=rows, **changes)


def said(home: House) -> list[tuple[str, str, str]]:
    """(stage, channel, state) of everything in the outbox, in the order in which it was made."""
    return [
        (row.stage.value, row.channel, row.state.value)
        for row in reversed(home.store.outbox.latest((), None, 1000))
    ]


def send_all(home: House, channel: str, sink: Any, minute: float) -> list[str]:
    """Send what the channel may send now; what became of each."""
    done: list[Dispatched] = []
    for _ in range(50):
        step = dispatch_once(home.store, home.policy, channel, sink, at(minute))
        if step.outcome == "idle":
            break
        done.append(step)
    return [step.outcome for step in done]


def down(count: int = 50) -> Sink:
    """A channel that answers nothing but 503."""
    failures: list[EdgeError] = [RetryAt("503") for _ in range(count)]
    return Sink(failures=failures)


def keep_failing(home: House, sink: Sink, start: float, end: float, channel: str = "care") -> None:
    """Every half minute the house looks, and the channel tries."""
    minute = start
    while minute <= end:
        home.watch(minute)
        send_all(home, channel, sink, minute)
        minute += 0.5


def test_the_first_route_for_a_case_says_who_hears_of_it(tmp_path: Path) -> None:
    """A private message goes to the lead, what is public to care, and the outbox knows by which route."""
    home = routed(tmp_path, Row("private", ("lead",), Match(public=False)), Row("rest", ("care", "mail")))
    home.take(0, customer("1", 0))
    home.watch(16)
    assert said(home) == [("breach", "care", "pending"), ("breach", "mail", "pending")]
    row = home.store.outbox.find("1")
    assert row is not None and row.body["routes"] == ["rest"]


def test_a_route_by_stage_and_clock_lets_warnings_go_elsewhere(tmp_path: Path) -> None:
    """Warnings to care alone, the breach to the lead too."""
    rows = (
        Row("late", ("lead",), stages=frozenset({Stage.BREACH}), goes_on=True),
        Row("all", ("care",)),
    )
    home = routed(tmp_path, *rows)
    home.take(0, customer("1", 0))
    home.watch(8)
    home.watch(16)
    assert [(stage, channel) for stage, channel, _ in said(home)] == [
        ("warning", "care"),
        ("breach", "lead"),
        ("breach", "care"),
    ]


def test_an_escalation_names_its_channels_itself(tmp_path: Path) -> None:
    """No route keeps the lead from hearing that nobody took a case."""
    step = Step("the lead", frozenset({"lead"}), delay_seconds=60.0)
    home = routed(tmp_path, Row("all", ("care",)), steps=(step,))
    home.take(0, customer("1", 0))
    home.watch(15)
    home.watch(17)
    assert [row[:2] for row in said(home)] == [("breach", "care"), ("escalated", "lead")]


def test_the_all_clear_goes_to_those_who_were_told_and_to_the_fallback(tmp_path: Path) -> None:
    """Care's token was revoked, so the mail was told, though it says no all-clears: it hears how it ended."""
    mail = replace(MAIL, stages=frozenset({Stage.TROUBLE}))
    home = house(tmp_path, routes=(CARE, LEAD, mail), rows=(PUBLIC,), fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(16)
    failing, ops = Sink(failures=[NotAllowed("the token was revoked")]), Sink("ops@acme")
    assert send_all(home, "care", failing, 16) == ["dead"]
    send_all(home, "mail", ops, 16)
    assert sorted(ops.stages()) == ["breach", "trouble"]
    breach = next(alert for alert, _ in ops.sent if alert.stage is Stage.BREACH)
    assert breach.case is not None
    assert breach.case.caveats == ("told here because it could not be said over care",)
    home.take(20, brand("2", 19, "1"))
    home.watch(20)
    send_all(home, "mail", ops, 20)
    assert ops.stages()[-1] == "cleared" and ("cleared", "lead") not in [row[:2] for row in said(home)]
    assert home.count("alerts_by_fallback") == 2  # the breach, and that care takes nothing


def test_the_fallback_waits_until_nobody_can_be_told(tmp_path: Path) -> None:
    """One dead channel of two is no silence; the second one's death is."""
    home = routed(tmp_path, Row("both", ("care", "lead")), fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(16)
    send_all(home, "care", Sink(failures=[Refused("no such channel")]), 16)
    home.watch(20)
    assert ("breach", "mail") not in [row[:2] for row in said(home)]
    send_all(home, "lead", Sink(failures=[Refused("no such channel")]), 16)
    assert [row[:2] for row in said(home)].count(("breach", "mail")) == 1


def test_one_that_was_told_keeps_the_fallback_quiet(tmp_path: Path) -> None:
    """Who heard it over one channel does not hear it again by mail because another is down."""
    home = routed(tmp_path, Row("both", ("care", "lead")), fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(15)
    assert send_all(home, "lead", Sink("#lead"), 15) == ["delivered"]
    keep_failing(home, down(), 15, 40)
    assert [row for row in said(home) if row[1] == "mail"] == []


def test_an_outage_is_told_elsewhere_after_ten_minutes_and_once(tmp_path: Path) -> None:
    """Slack answers 503: not at once, at the tenth minute, and never again; what was queued goes out when
    Slack is back."""
    home = routed(tmp_path, PUBLIC, fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(15)
    slack = down()
    keep_failing(home, slack, 15, 24.5)
    assert [row for row in said(home) if row[1] == "mail"] == []
    watched = home.watch(25)
    assert "mail" in watched.channels
    keep_failing(home, slack, 25, 60)
    assert [row for row in said(home) if row[1] == "mail"] == [("breach", "mail", "pending")]
    slack.failures.clear()
    assert send_all(home, "care", slack, 80) == ["delivered"]


def test_what_waits_behind_a_rate_limit_falls_back_too(tmp_path: Path) -> None:
    """Slack said "in an hour": what was never tried meanwhile is as stuck as what was."""
    home = routed(tmp_path, PUBLIC, fallback=("mail",))
    home.take(0, customer("1", 0), customer("2", 0, who="ben"))
    home.watch(15)
    limited = Sink(failures=[RetryAt("429", at=at(75), limited=True)])
    dispatch_once(home.store, home.policy, "care", limited, at(15))  # and the worker asks no more until then
    home.watch(24)
    assert [row for row in said(home) if row[1] == "mail"] == []
    home.watch(25.1)
    assert [row[:2] for row in said(home)].count(("breach", "mail")) == 2


def test_quiet_hours_are_no_outage_and_a_standstill_of_ours_is_none(tmp_path: Path) -> None:
    """What waits for the morning is told in the morning; after a night off, the channels get their turn."""
    hours = {"care": replace(DAYTIME, openings=tuple(Opening(d, 18 * 60, 20 * 60) for d in range(7)))}
    home = routed(tmp_path / "quiet", PUBLIC, fallback=("mail",), hours=hours)
    home.take(0, customer("1", 0))
    for minute in (15, 30, 120, 359):
        home.watch(minute)
    assert [row for row in said(home) if row[1] == "mail"] == []
    home.watch(6 * 60 + 11)  # the channel has been open for eleven minutes, and nobody came to send
    assert [row[1] for row in said(home)] == ["care", "mail"]
    hours = {"care": replace(DAYTIME, openings=tuple(Opening(d, 0, 12 * 60 + 20) for d in range(7)))}
    home = routed(tmp_path / "evening", PUBLIC, fallback=("mail",), hours=hours)
    home.take(0, customer("1", 0))
    for minute in (15, 26, 300, 12 * 60 + 4):  # it closed after five minutes, and opened four minutes ago
        home.watch(minute)
    assert [row for row in said(home) if row[1] == "mail"] == []
    home = routed(tmp_path / "off", PUBLIC, fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(15)
    with home.store.transaction("start"):
        home.store.set_mark("started_at", at(600).isoformat())
    home.watch(600)
    home.watch(609)
    assert [row for row in said(home) if row[1] == "mail"] == []


def test_a_routes_own_fallback_comes_before_the_last_one(tmp_path: Path) -> None:
    """The lead is told of what the first route could not say, though care heard it; the mail only when the
    lead is dead too."""
    rows = (
        Row("vip", ("care",), goes_on=True, fallback=("lead",)),
        Row("all", ("night",)),
    )
    night = Route("night", "#night", ALL)
    home = house(tmp_path, routes=(CARE, LEAD, MAIL, night), rows=rows, fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(16)
    gone: list[EdgeError] = [Refused("gone")]
    send_all(home, "care", Sink(failures=list(gone)), 16)
    assert [row[:2] for row in said(home) if row[0] == "breach"][2:] == [("breach", "lead")]
    send_all(home, "lead", Sink(failures=list(gone)), 16)
    assert ("breach", "mail") not in [row[:2] for row in said(home)]  # the night's turn has not come
    send_all(home, "night", Sink(failures=list(gone)), 16)
    assert [row[:2] for row in said(home)].count(("breach", "mail")) == 1


def test_a_routes_own_fallback_is_told_of_an_outage_that_others_do_not_share(tmp_path: Path) -> None:
    """Night heard it at once; care, tried half a minute late, is given its ten minutes, and then the lead is
    told."""
    rows = (
        Row("vip", ("care",), goes_on=True, fallback=("lead",)),
        Row("all", ("night",)),
    )
    night = Route("night", "#night", ALL)
    home = house(tmp_path, routes=(CARE, LEAD, MAIL, night), rows=rows, fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(15)
    assert send_all(home, "night", Sink("#night"), 15) == ["delivered"]
    keep_failing(home, down(), 15.5, 25)
    assert [row[1] for row in said(home)] == ["care", "night"]
    keep_failing(home, down(), 25.5, 40)
    assert [row[1] for row in said(home)] == ["care", "night", "lead"]


def test_what_no_route_is_for_reaches_the_fallback_at_once(tmp_path: Path) -> None:
    """A hole in the routes is no silence, and is admitted."""
    home = routed(tmp_path, Row("private", ("lead",), Match(public=False)), fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(16)
    assert said(home) == [("breach", "mail", "pending")]
    row = home.store.outbox.find("1")
    assert row is not None and row.owed.caveats == ("told here because no route is for it",)


def test_a_death_and_its_fallback_are_one_step(tmp_path: Path) -> None:
    """The daemon dies while it notes a dead letter: either both the death and the mail stand, or neither, and
    the next try makes one mail."""
    for place in ("record.before_commit", "record.after_commit"):
        home = routed(tmp_path / place, PUBLIC, fallback=("mail",))
        home.take(0, customer("1", 0))
        home.watch(16)
        leased, _ = lease(home.store, home.policy, "care", at(16), 60)
        assert leased is not None
        dead = send(Sink(failures=[Refused("gone")]), leased, 5)
        home.store.close()
        dying = open_store(home.path, partial(_die_at, place))
        with pytest.raises(KeyboardInterrupt):
            record(dying, home.policy, dead, at(16))
        dying.close()
        home.store = open_store(home.path)
        both = [("care", "dead"), ("mail", "pending")]
        stands = [("care", "leased")] if place == "record.before_commit" else both
        assert [row[1:] for row in said(home) if row[0] == "breach"] == stands
        record(home.store, home.policy, dead, at(17))
        assert [row[1:] for row in said(home) if row[0] == "breach"] == both


def _die_at(place: str, here: str) -> None:
    if here == place:
        raise KeyboardInterrupt


def test_a_dead_channel_is_told_even_where_only_it_hears_of_troubles(tmp_path: Path) -> None:
    """The route for troubles leads to the very channel that died: another hears of it all the same."""
    home = routed(tmp_path, Row("all", ("care",)))
    home.take(0, customer("1", 0))
    home.watch(16)
    send_all(home, "care", Sink(failures=[NotAllowed("revoked")]), 16)
    told = [row[:2] for row in said(home) if row[0] == "trouble"]
    assert told == [("trouble", "lead"), ("trouble", "mail")]
    home = routed(tmp_path / "fallback", Row("all", ("care",)), fallback=("mail",))
    home.take(0, customer("1", 0))
    home.watch(16)
    send_all(home, "care", Sink(failures=[NotAllowed("revoked")]), 16)
    assert [row[:2] for row in said(home) if row[0] == "trouble"] == [("trouble", "mail")]
    assert "mail" in home.watch(16.1).channels  # and its worker is woken


def test_a_storm_follows_its_cases_and_falls_back_once(tmp_path: Path) -> None:
    """A storm goes to those to whom its cases would have gone; if they are dead, the mail hears of it once,
    and that it is over."""
    storm = StormPolicy(cases=3, within_seconds=600.0, over_after_seconds=900.0, update_seconds=60.0)
    home = routed(tmp_path, PUBLIC, fallback=("mail",), storm=storm)
    home.take(0, *(customer(str(n), 0, who=f"c{n}") for n in range(6)))
    home.watch(16)
    assert [row[:2] for row in said(home) if row[2] == "pending"] == [("storm", "care")]
    care, mail = Sink(failures=[Refused("gone") for _ in range(20)]), Sink("ops@acme", updates=False)
    for minute in range(16, 60):
        home.watch(minute)
        send_all(home, "care", care, minute)
        send_all(home, "mail", mail, minute)
    assert [s for s in mail.stages() if s != "trouble"] == ["storm", "cleared"]


def test_letters_that_die_together_make_no_storm(tmp_path: Path) -> None:
    """Two hours' worth of alerts is refused at once and told by mail: the next late case is one case, no
    storm."""
    storm = StormPolicy(cases=3, within_seconds=600.0, over_after_seconds=900.0, update_seconds=60.0)
    home = routed(tmp_path, PUBLIC, fallback=("mail",), storm=storm, fallback_after_seconds=1e6)
    for n in range(6):
        home.take(20 * n, customer(str(n), 20 * n, who=f"c{n}"))
        home.watch(20 * n + 15)
    send_all(home, "care", Sink(failures=[Refused("gone") for _ in range(50)]), 119)
    assert [row[:2] for row in said(home)].count(("breach", "mail")) == 6
    home.take(105, customer("9", 105, who="zoe"))
    home.watch(120)
    assert home.count("storms") == 0


def test_only_those_on_shift_are_called_and_the_assignee(tmp_path: Path) -> None:
    """A channel whose mention is @oncall gets the ids of who is on shift when it is said; who the case is
    assigned to is called on every channel."""
    people = (
        Person("Ana", "U0ANA", shift="daytime"),
        Person("ben", "U0BEN", shift="always"),
        Person("cleo", "U0CLEO"),
    )
    shifts = {"daytime": DAYTIME, "always": None}
    home = routed(
        tmp_path,
        Row("all", ("care", "lead")),
        people=people,
        shifts=shifts,
        on_call=frozenset({"care"}),
    )
    home.take(0, customer("1", 0))
    act(home.store, home.policy, Action(Word.ASSIGN, "1", "olga", at(1), note="CLEO"), at(1))
    home.watch(16)
    for channel, expected in (("care", ("U0CLEO", "U0ANA", "U0BEN")), ("lead", ("U0CLEO",))):
        sink = Sink()
        send_all(home, channel, sink, 16)
        facts = sink.sent[0][0].case
        assert facts is not None and facts.calls == expected and facts.caveats == ()


def test_where_nobody_is_on_shift_the_breach_says_so(tmp_path: Path) -> None:
    """At night nobody is called, and the alert admits it; a warning calls nobody anyway."""
    people = (Person("Ana", "U0ANA", shift="daytime"), Person("ben", shift="always"))
    policy = {
        "people": people,
        "shifts": {"daytime": DAYTIME, "always": None},
        "on_call": frozenset({"care"}),
    }
    home = routed(tmp_path, PUBLIC, **policy)
    home.take(10 * 60, customer("1", 10 * 60))
    warning, breach = Sink(), Sink()
    for minute, sink in ((8, warning), (15, breach)):
        home.watch(10 * 60 + minute)
        dispatch_once(home.store, home.policy, "care", sink, at(10 * 60 + minute))
    facts = [sink.sent[0][0].case for sink in (warning, breach)]
    assert [f.calls for f in facts if f] == [(), ()]
    assert [f.caveats for f in facts if f] == [(), ("nobody is on shift",)]


def test_an_answer_names_the_colleague_who_signed_it(tmp_path: Path) -> None:
    """The all-clear says who it was, by the signature that ends the reply."""
    home = routed(tmp_path, PUBLIC, people=(Person("Ana", signature="^AN"),))
    home.take(0, customer("1", 0))
    sink = Sink()
    home.watch(16)
    send_all(home, "care", sink, 16)
    home.take(20, brand("2", 19, "1", text="we look into it ^AN"))
    home.watch(20)
    send_all(home, "care", sink, 20)
    cleared = sink.sent[-1][0].case
    assert cleared is not None and cleared.outcome == "answered after 19 min by @acmehelp (Ana)"


def test_an_answer_overtakes_a_queued_warning_on_every_channel(tmp_path: Path) -> None:
    """One channel told the warning, the other was down: the first hears of the answer, the second nothing."""
    home = routed(tmp_path, Row("both", ("care", "lead")))
    home.take(0, customer("1", 0))
    home.watch(8)
    care, lead = Sink(), down(1)
    send_all(home, "care", care, 8)
    send_all(home, "lead", lead, 8)
    home.take(9, brand("2", 8.5, "1"))
    home.watch(9)
    send_all(home, "care", care, 30)
    send_all(home, "lead", lead, 30)
    assert care.stages() == ["warning", "cleared"] and lead.stages() == []
    assert home.store.outbox.depth() == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RetryAt("503"), []),
        (RetryAt("dropped", accepted_unknown=True), ["cleared"]),
        (Malformed("200 with a page"), ["cleared"]),
    ],
)
def test_who_may_have_heard_a_warning_hears_the_end_of_it(
    tmp_path: Path, error: EdgeError, expected: list[str]
) -> None:
    """A plain no leaves nothing to clear; an answer that was lost, or makes no sense, may have been a yes."""
    home = routed(tmp_path, PUBLIC)
    home.take(0, customer("1", 0))
    home.watch(8)
    sink = Sink(failures=[error])
    assert send_all(home, "care", sink, 8) == ["retry"]
    home.take(9, brand("2", 8.5, "1"))
    home.watch(9)
    send_all(home, "care", sink, 9)
    assert sink.stages() == expected


def test_a_case_keeps_its_order_on_a_channel_that_stumbles(tmp_path: Path) -> None:
    """The warning is tried again and again; the breach that came meanwhile is never said before it, and
    another case's alert does not wait for either."""
    home = routed(tmp_path, PUBLIC)
    home.take(0, customer("1", 0))
    home.watch(8)
    sink = Sink(failures=[RetryAt("503", at=at(11))])
    assert send_all(home, "care", sink, 8) == ["retry"]
    home.take(9, customer("2", 0, who="ben"))
    home.watch(9)
    assert send_all(home, "care", sink, 9) == ["delivered"]
    assert [alert.subject for alert, _ in sink.sent] == ["acme/x/2"]
    home.watch(10)
    send_all(home, "care", sink, 11)
    home.watch(16)
    send_all(home, "care", sink, 16)
    mine = [alert.stage for alert, _ in sink.sent if alert.subject == "acme/x/1"]
    assert mine == [Stage.WARNING, Stage.BREACH]


@pytest.mark.parametrize("kind", ["slack webhook", "slack token"])
def test_a_revoked_slack_is_told_by_real_mail(tmp_path: Path, kind: str) -> None:
    """Over loopback: Slack refuses for good, and the same breach arrives by mail with the reason, once."""
    with BENCHES[kind]() as slack, mail_bench() as post:
        care, mail = slack.make(), post.make()
        slack.sink.token, slack.sink.hook = "xoxb-another", "T/B/another"
        routes = (
            Route("care", care.recipient, ALL),
            Route("mail", mail.recipient, frozenset({Stage.TROUBLE})),
        )
        home = house(tmp_path, routes=routes, rows=(PUBLIC,), fallback=("mail",))
        home.take(0, customer("1", 0))
        home.watch(16)
        assert send_all(home, "care", care, 16) == ["dead"]
        assert send_all(home, "mail", mail, 16) == ["delivered", "delivered"]
        texts = [received.texts for received in post.received()]
    told = [text for text in texts if "could not be said over care" in text[1]]
    assert len(texts) == 2 and len(told) == 1 and "@ana" in told[0][0]
    assert not any("xoxb" in part for text in texts for part in text)


def test_slack_calls_whoever_is_on_shift(tmp_path: Path) -> None:
    """In the real message stands the mention of the config's people, and none from the post's text."""
    with BENCHES["slack token"]() as bench:
        care = bench.make(mention="@oncall")
        routes = (Route("care", care.recipient, ALL),)
        people = (Person("Ana", "U0ANAXYZ", shift="always"),)
        home = house(
            tmp_path, routes=routes, people=people, shifts={"always": None}, on_call=frozenset({"care"})
        )
        home.take(0, customer("1", 0, "@acme <@U0EVIL> <!channel> @oncall my parcel is still not here!"))
        home.watch(16)
        assert send_all(home, "care", care, 16) == ["delivered"]
        blocks = bench.sink.posts[-1].blocks
    sections = [block["text"]["text"] for block in blocks if block["type"] == "section"]
    assert sections == ["<@U0ANAXYZ>"]


def test_a_retried_letter_is_sent_once_if_it_is_still_true(tmp_path: Path) -> None:
    """An operator mends the channel and has them tried again: who still waits is told, who was answered is
    not."""
    home = routed(tmp_path, PUBLIC)
    home.take(0, customer("1", 0), customer("2", 0, who="ben"))
    home.watch(16)
    send_all(home, "care", Sink(failures=[Refused("gone"), Refused("gone")]), 16)
    home.take(20, brand("3", 19, "2"))
    numbers = home.store.outbox.dead_rows("care", 10)
    with home.store.transaction("retry"):
        assert all(home.store.outbox.try_again(pk, "olga", at(2000)) for pk in numbers)
        assert not any(home.store.outbox.try_again(pk, "olga", at(2000)) for pk in numbers)
    # More than a day after the first try a failure is still worth another one.
    sink = Sink(failures=[RetryAt("503")])
    assert send_all(home, "care", sink, 2000) == ["retry"]
    assert send_all(home, "care", sink, 2001) == ["delivered"]
    assert [alert.subject for alert, _ in sink.sent] == ["acme/x/1"]
    states = {row.subject: row.state for row in home.store.outbox.latest((), "care", 10)}
    assert states == {"acme/x/1": State.DELIVERED, "acme/x/2": State.SUPERSEDED}


def test_ten_minutes_is_a_setting(tmp_path: Path) -> None:
    """Who sets one minute is told after one minute."""
    home = routed(tmp_path, PUBLIC, fallback=("mail",), fallback_after_seconds=60.0)
    home.take(0, customer("1", 0))
    home.watch(15)
    keep_failing(home, down(), 15, 16)
    assert ("breach", "mail", "pending") in said(home)


def test_a_muted_campaign_reaches_neither_a_route_nor_the_fallback(tmp_path: Path) -> None:
    """Its words alert nobody, however the routes stand, and are counted; others are told as ever."""
    home = routed(tmp_path, Row("none", ("lead",), Match(public=False)), fallback=("mail",))
    mute(home.store, Mute("", "phrase", "boycott acme", None, "olga", at(0)), at(0))
    home.take(
        1, customer("1", 0, "@acme everybody BOYCOTT ACME, nothing arrives!"), customer("2", 0, who="b")
    )
    home.watch(8)
    home.watch(16)
    rows = home.store.outbox.latest((), None, 10)
    assert {row.subject for row in rows} == {"acme/x/2"}
    assert home.count("alerts_muted") == 1
