"""The steps together, as a timetable: what is written when, and what people hear when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from alerts.contract import Receipt
from connectors.contract import (
    Budget,
    Capabilities,
    Direction,
    Gone,
    Identity,
    Outbound,
    Page,
    Rejected,
    Stream,
)
from monitor.act import act, find_case, mute, rebuild
from monitor.dispatch import Dispatched, dispatch_once, lease, record, send
from monitor.ingest import Arrival, ingest
from monitor.poll import StreamRef, poll_once, prepare
from monitor.store.cases import Mute
from monitor.store.codec import case_to_json
from rules.alert import Stage
from rules.case import Action, Status, Word
from rules.routes import Route
from tests.monitor.build import MENTIONS, OWN, House, Sink, at, brand, customer, house
from wire.errors import EdgeError, NotAllowed, Refused, RetryAt


def dispatch(home: House, sink: Sink, minute: float) -> list[Dispatched]:
    """Send until nothing is due."""
    done = []
    while (step := dispatch_once(home.store, home.policy, "care", sink, at(minute))).outcome != "idle":
        done.append(step)
    return done


def pass_time(home: House, sink: Sink, start: int, end: int) -> None:
    """Minute by minute: look, and send."""
    for minute in range(start, end + 1):
        home.watch(minute)
        dispatch(home, sink, minute)


def test_a_complaint_that_nobody_answers_is_told_in_stages_and_cleared_by_the_answer(tmp_path: Path) -> None:
    """12:00 a complaint; 12:08 a warning, 12:12 another, 12:15 the breach; 12:21 answered, and said so."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    pass_time(home, sink, 0, 20)
    assert sink.stages() == ["warning", "warning", "breach"]
    home.take(22, brand("2", 21, "1"))
    pass_time(home, sink, 22, 60)
    assert sink.stages() == ["warning", "warning", "breach", "cleared"]
    cleared, previous = sink.sent[-1]
    assert cleared.case is not None and cleared.case.outcome == "answered after 21 min by @acmehelp"
    assert previous is not None and previous.remote == {"ts": "3"}
    assert home.count("breaches") == 1


def test_an_answer_that_arrives_while_a_warning_is_queued_means_no_message(tmp_path: Path) -> None:
    """Slack was down, the customer was answered meanwhile: nobody hears of it."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    home.watch(8)
    home.take(9, brand("2", 8.5, "1"))
    home.watch(9)
    pass_time(home, sink, 9, 30)
    assert sink.sent == []
    assert home.count("alerts_ended") == 1


def test_a_breach_that_was_answered_before_anybody_was_told_is_counted_all_the_same(tmp_path: Path) -> None:
    """Late is late: the figure does not depend on whether an alert went out."""
    home = house(tmp_path)
    home.take(20, customer("1", 0), brand("2", 16, "1"))
    assert home.count("breaches") == 1
    home.take(21, customer("1", 0))
    assert home.count("breaches") == 1


def test_a_claim_waits_for_the_brands_posts_and_no_longer_than_it_may(tmp_path: Path) -> None:
    """The own timeline was read up to 12:05: the warning of 12:07:30 asks for a look, waits a minute, and
    then admits what it did not see."""
    home, sink = house(tmp_path, sees_all=False), Sink()
    ref = StreamRef("acme", "x", "acme", OWN)
    row = prepare(home.store, ref, at(0))
    seen = Page((), {"v": 1}, complete_through=at(5))
    ingest(home.store, home.policy, Arrival("acme", "x", "acme", "acme/own", seen, stream=row), at(5))
    home.take(1, customer("1", 0))
    looked = home.watch(7.5)
    assert looked.said == 0 and {look.message_id for look in looked.looks} == {"1"}
    assert home.watch(8.4).said == 0
    assert home.watch(8.5).said == 1
    dispatch(home, sink, 8.5)
    assert sink.sent[0][0].case is not None
    assert "not visible since" in sink.sent[0][0].case.caveats[0]


def test_a_private_message_waits_only_for_the_account_it_was_sent_to(tmp_path: Path) -> None:
    """Readings of DMs are scarce: another account's are not asked for, and do not hold the claim up."""
    from rules.message import Kind

    home = house(tmp_path, sees_all=False)
    both = Stream("dms", Direction.BOTH, 90.0, private=True)
    for account, through in (("acme", 8), ("acmehelp", 1)):
        row = prepare(home.store, StreamRef("acme", "x", account, both), at(0))
        seen = Page((), {"v": 1}, complete_through=at(through))
        ingest(home.store, home.policy, Arrival("acme", "x", account, "dms", seen, stream=row), at(through))
    home.take(1, customer("1", 0, kind=Kind.DM, public=False))
    assert home.watch(7.5).said == 1
    home.take(
        1, customer("2", 0, kind=Kind.DM, public=False, account="acmehelp", conversation="2", who="ben")
    )
    looked = home.watch(7.5)
    assert looked.said == 0 and {look.account for look in looked.looks} == {"acmehelp"}


def test_a_third_of_a_rate_window_is_left_for_urgent_looks(tmp_path: Path) -> None:
    """Fifteen readings in a quarter of an hour: the cadence spends ten, and slows when some are gone."""
    home = house(tmp_path)
    dms = Stream("dms", Direction.BOTH, 60.0, private=True)
    ref = StreamRef("acme", "x", "acme", dms)
    for remaining, slowest in ((15, 91), (10, 181), (5, 901)):
        budget = Budget("dms", 15, remaining, at(15))
        page = Page((), {"v": 1}, complete_through=at(0), budgets=(budget,))
        polled = poll_once(home.store, home.policy, ref, Scripted([page]), at(0))
        assert slowest / 2 - 1 <= (polled.again_at - at(0)).total_seconds() <= slowest


def test_a_fresh_look_lets_the_claim_go_at_once(tmp_path: Path) -> None:
    """As soon as the own timeline is read past the moment, the alert goes."""
    home = house(tmp_path, sees_all=False)
    ref = StreamRef("acme", "x", "acme", OWN)
    row = prepare(home.store, ref, at(0))
    home.take(1, customer("1", 0))
    assert home.watch(7.5).said == 0
    seen = Page((), {"v": 1}, complete_through=at(7.6))
    ingest(home.store, home.policy, Arrival("acme", "x", "acme", "acme/own", seen, stream=row), at(7.7))
    assert home.store.cases.next_look() == at(7.7)
    assert home.watch(7.7).said == 1


def test_a_deleted_post_alerts_nobody(tmp_path: Path) -> None:
    """The look-up finds it gone: no alert, and it is no breach."""
    home = house(tmp_path, sees_all=False, look_ups=frozenset({("acme", "x")}))
    row = prepare(home.store, StreamRef("acme", "x", "acme", OWN), at(0))
    seen = Page((), {}, complete_through=at(60))
    ingest(home.store, home.policy, Arrival("acme", "x", "acme", "acme/own", seen, stream=row), at(1))
    home.take(1, customer("1", 0))
    assert home.watch(7.5).looks
    gone = Arrival("acme", "x", "acme", "look-up", Page((), {}, gone=(Gone("1", at(7.6)),)), asked=("1",))
    ingest(home.store, home.policy, gone, at(7.6))
    assert home.watch(30).said == 0
    assert home.cases()[0].status is Status.WITHDRAWN
    assert home.count("breaches") == 0


def test_looking_twice_or_after_a_restart_says_nothing_twice(tmp_path: Path) -> None:
    """Every look works out anew what is owed, and the outbox keeps it from being said again."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    for _ in range(3):
        home.store.cases.look_at_waiting(at(16))
        home.watch(16)
    dispatch(home, sink, 16)
    home.store.close()
    again = house(tmp_path)
    again.store.cases.look_at_waiting(at(17))
    again.watch(17)
    dispatch(again, sink, 17)
    assert sink.stages() == ["breach"]


def test_a_crash_between_sending_and_recording_says_it_twice_rather_than_never(tmp_path: Path) -> None:
    """The lease is given back at the next start, with the same key."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    home.watch(16)
    leased, _ = lease(home.store, home.policy, "care", at(16), 60)
    assert leased is not None
    send(sink, leased, 5)  # and here the process dies
    assert dispatch(home, sink, 16.5) == []  # nobody else takes it while the lease holds
    with home.store.transaction("start"):
        assert home.store.outbox.give_back(at(17)) == 1
    dispatch(home, sink, 17)
    assert [alert.key for alert, _ in sink.sent] == [leased.alert.key] * 2


def test_an_unsent_answer_still_clears_what_may_have_been_told(tmp_path: Path) -> None:
    """We do not know whether the breach got through; the all-clear is sent to be safe."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    home.watch(16)
    leased, _ = lease(home.store, home.policy, "care", at(16), 60)
    assert leased is not None
    lost = RetryAt("dropped", accepted_unknown=True)
    sink.failures = [lost]
    record(home.store, home.policy, send(sink, leased, 5), at(16))
    home.take(17, brand("2", 16.5, "1"))
    pass_time(home, sink, 17, 30)
    assert sink.stages() == ["cleared"]


def test_retry_after_is_kept_and_backoff_grows(tmp_path: Path) -> None:
    """Slack says when; where it does not, each try comes later than the last, and none is lost."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    home.watch(16)
    sink.failures = [RetryAt("slow down", at=at(18), limited=True), RetryAt("503"), RetryAt("503")]
    tries = []
    for second in range(0, 600, 5):
        minute = 16 + second / 60
        step = dispatch_once(home.store, home.policy, "care", sink, at(minute))
        if step.outcome != "idle":
            tries.append((step.outcome, second))
    assert tries[:2] == [("retry", 0), ("retry", 120)]
    assert [outcome for outcome, _ in tries] == ["retry", "retry", "retry", "delivered"]
    assert tries[3][1] - tries[2][1] > tries[2][1] - tries[1][1]


def test_a_dead_letter_is_counted_and_told_over_another_route(tmp_path: Path) -> None:
    """A revoked token is no silence: the other channel hears of it, once a day."""
    routes = (Route("care", "#care", frozenset(Stage)), Route("mail", "care@acme.example", frozenset(Stage)))
    home, sink, mail = house(tmp_path, routes=routes), Sink(), Sink("care@acme.example")
    home.take(0, customer("1", 0), customer("2", 0))
    home.watch(16)
    sink.failures = [NotAllowed("the token was revoked"), Refused("no such channel")]
    assert [d.outcome for d in dispatch(home, sink, 16)] == ["dead", "dead"]
    while dispatch_once(home.store, home.policy, "mail", mail, at(16)).outcome != "idle":
        pass
    assert sorted(mail.stages()) == ["breach", "breach", "trouble"]
    assert home.store.outbox.dead_letters() == 2


def test_one_case_that_cannot_be_read_silences_no_other(tmp_path: Path) -> None:
    """A poisoned row is put off and counted; everybody else is told as ever."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0), customer("2", 0, who="ben"))
    home.store.connection.execute("UPDATE cases SET body = '{}' WHERE id = 'acme/x/1'")
    watched = home.watch(16)
    assert list(watched.failed.values()) == ["KeyError"] and home.count("cases_unreadable") == 1
    assert watched.next_look == at(21)
    dispatch(home, sink, 16)
    assert [alert.subject for alert, _ in sink.sent] == ["acme/x/2"]


def test_one_alert_that_cannot_be_said_holds_no_channel_up(tmp_path: Path) -> None:
    """It becomes a dead letter, and the rest goes out."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0), customer("2", 0, who="ben"))
    home.watch(16)
    home.store.connection.execute("UPDATE messages SET created_at = 'soon' WHERE id = '1'")
    dispatch(home, sink, 16)
    assert [alert.subject for alert, _ in sink.sent] == ["acme/x/2"]
    assert home.store.outbox.dead_letters() == 1


def test_shadow_mode_writes_down_and_sends_nothing(tmp_path: Path) -> None:
    """A team can read for a week what would have been said."""
    home, sink = house(tmp_path, shadow=True), Sink()
    home.take(0, customer("1", 0))
    home.watch(16)
    assert dispatch(home, sink, 16) == []
    states = home.store.connection.execute("SELECT stage, state FROM outbox").fetchall()
    assert states == [("breach", "shadow")]


def test_a_private_text_is_shown_only_if_the_team_wants_it(tmp_path: Path) -> None:
    """By default a DM's text reaches no channel."""
    from rules.message import Kind

    for shown, expected in ((False, None), (True, "my card is 4111")):
        home, sink = house(tmp_path / str(shown), show_dm_text=shown), Sink()
        home.take(0, customer("1", 0, "my card is 4111", kind=Kind.DM, public=False))
        home.watch(16)
        dispatch(home, sink, 16)
        facts = sink.sent[0][0].case
        assert facts is not None and facts.text == expected


def test_operators_words_act_at_once(tmp_path: Path) -> None:
    """Resolved: no breach. By any message's id, and only if it is clear which case is meant."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0, conversation="t"), customer("2", 1, conversation="t"))
    done = act(home.store, home.policy, Action(Word.RESOLVE, "2", "olga", at(5)), at(5))
    assert (done.status, done.latest.stopped_by) == (Status.RESOLVED, "olga")
    pass_time(home, sink, 5, 30)
    assert sink.sent == []
    assert find_case(home.store, "acme/x/1").case.status is Status.RESOLVED


def test_a_muted_author_alerts_nobody_until_it_ends(tmp_path: Path) -> None:
    """A campaign is muted and counted; the wait goes on and is told when the mute has ended."""
    home = house(tmp_path)
    home.take(0, customer("1", 0))
    mute(home.store, Mute("", "author", "@Ana", at(20), "olga", at(1)), at(1))
    assert home.watch(16).said == 0
    assert home.count("alerts_muted") == 1
    assert home.watch(21).said == 1


def test_rebuild_gives_the_same_cases_bit_for_bit(tmp_path: Path) -> None:
    """Cases are a fold: thrown away, they come back as they were, and no counter moves."""
    home = house(tmp_path)
    home.take(20, customer("1", 0), brand("2", 5, "1"), customer("3", 1), customer("4", 2, who="ben"))
    act(home.store, home.policy, Action(Word.IGNORE, "4", "olga", at(6)), at(6))
    before = [case_to_json(c) for c in home.cases()]
    counted = [c for c in home.store.figures.counts() if c.name != "operator_actions"]
    home.store.connection.execute("DELETE FROM cases")
    rebuild(home.store, home.policy, at(30))
    assert [case_to_json(c) for c in home.cases()] == before
    assert [c for c in home.store.figures.counts() if c.name != "operator_actions"] == counted


@dataclass
class Scripted:
    """A connector that hands over what it was given, or fails as told. It keeps the real contract."""

    pages: list[Page | EdgeError | Exception] = field(default_factory=list)
    capabilities: ClassVar[Capabilities] = Capabilities((MENTIONS, OWN), Outbound.LISTED, 86400.0)
    streams: tuple[Stream, ...] = (MENTIONS, OWN)

    def identify(self, time_limit: float) -> Identity:
        return Identity("1", "acme")

    def poll(self, stream: str, cursor: object, time_limit: float) -> Page:
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page

    def look_up(self, ids: object, time_limit: float) -> Page:
        raise Refused("cannot tell")

    def close(self) -> None:
        self.pages.clear()


MENTIONS_REF = StreamRef("acme", "x", "acme", MENTIONS)


def test_what_was_there_before_the_first_poll_is_the_past(tmp_path: Path) -> None:
    """The first-run mark is committed before the first page is asked for: a crash between changes nothing."""
    home = house(tmp_path)
    prepare(home.store, MENTIONS_REF, at(0))
    page = Page((customer("1", -60), customer("2", 1)), {"v": 1})
    poll_once(home.store, home.policy, MENTIONS_REF, Scripted([page]), at(2))
    quiet = {c.first_message_id: c.quiet for c in home.cases()}
    assert quiet == {"1": True, "2": False}


def test_a_rate_limit_is_waited_out_and_a_refusal_stops_that_stream_only(tmp_path: Path) -> None:
    """429: come back when it says. 403: a person must act, and is told at once; other streams go on."""
    home = house(tmp_path)
    connector = Scripted([RetryAt("429", at=at(14), limited=True), NotAllowed("scope dm.read is missing")])
    limited = poll_once(home.store, home.policy, MENTIONS_REF, connector, at(1))
    assert (limited.again_at, limited.reason) == (at(14), "rate_limited")
    refused = poll_once(home.store, home.policy, MENTIONS_REF, connector, at(2))
    assert refused.reason == "not_allowed"
    assert home.watch(2).said == 1
    row = home.store.connection.execute("SELECT stage, body FROM outbox").fetchone()
    assert row[0] == "trouble" and "dm.read" in row[1]


def test_a_connector_that_fails_for_long_is_told_and_its_recovery_too(tmp_path: Path) -> None:
    """A dead feed is not zero complaints: people hear that we are blind, and that we see again."""
    home, sink = house(tmp_path), Sink()
    down: list[Page | EdgeError | Exception] = [RetryAt("503") for _ in range(12)]
    connector = Scripted([Page((), {"v": 1}, complete_through=at(0)), *down])
    poll_once(home.store, home.policy, MENTIONS_REF, connector, at(0))
    now: datetime = at(1)
    waits = []
    for _ in range(12):
        polled = poll_once(home.store, home.policy, MENTIONS_REF, connector, now)
        waits.append(polled.again_at - now)
        now = polled.again_at
        if now < at(7):
            assert home.watch((now - at(0)).total_seconds() / 60).said == 0
    assert waits == sorted(waits) and waits[-1] <= timedelta(minutes=6)
    home.watch(20)
    dispatch(home, sink, 20)
    assert sink.stages() == ["trouble"]
    trouble = sink.sent[0][0].trouble
    assert trouble is not None and "blind on @acme on x since 12:00" in trouble.title
    connector.pages = [Page((), {"v": 1}, complete_through=at(29))]
    poll_once(home.store, home.policy, MENTIONS_REF, connector, at(30))
    home.watch(30)
    dispatch(home, sink, 30)
    assert sink.stages() == ["trouble", "cleared"]


def test_a_credential_that_lapses_is_told_before_it_hurts_and_once(tmp_path: Path) -> None:
    """A fortnight before, people hear of it; a renewed one starts anew."""
    home, sink = house(tmp_path), Sink()
    row = prepare(home.store, MENTIONS_REF, at(0))
    day = 24 * 60
    home.store.streams.keep_identity(row.scope, "acme", "acme", at(20 * day))
    assert home.watch(5 * day).said == 0
    for minute in (6 * day, 6 * day + 5, 7 * day):
        home.watch(minute)
    dispatch(home, sink, 7 * day)
    assert sink.stages() == ["trouble"]
    trouble = sink.sent[0][0].trouble
    assert trouble is not None and "@acme on x lapses on 2026-03-24" in trouble.title
    home.store.streams.keep_identity(row.scope, "acme", "acme", at(40 * day))
    assert home.watch(8 * day).said == 0


def test_a_connector_that_breaks_its_contract_is_a_failure_not_a_crash(tmp_path: Path) -> None:
    """A bug in one connector is contained and named, without what it was fed."""
    home = house(tmp_path)
    polled = poll_once(home.store, home.policy, MENTIONS_REF, Scripted([KeyError("hunter2")]), at(0))
    assert polled.reason == "malformed"
    assert "KeyError" in (polled.error or "") and "hunter2" not in (polled.error or "")


def test_rejected_items_are_kept_for_a_person_to_look_at(tmp_path: Path) -> None:
    """What could not be understood is counted and quarantined with its reason; the page goes on."""
    home = house(tmp_path)
    page = Page((customer("1", 0),), {"v": 1}, rejected=(Rejected("9", "no author", "{...}"),))
    polled = poll_once(home.store, home.policy, MENTIONS_REF, Scripted([page]), at(1))
    assert polled.taken is not None and (polled.taken.new, polled.taken.rejected) == (1, 1)
    assert home.count("messages_rejected") == 1


def test_receipts_come_back_as_they_were_given(tmp_path: Path) -> None:
    """What a channel needs to update its message survives the store."""
    home, sink = house(tmp_path), Sink()
    home.take(0, customer("1", 0))
    pass_time(home, sink, 0, 16)
    assert [previous for _, previous in sink.sent] == [
        None,
        Receipt(at(8), {"ts": "1"}),
        Receipt(at(12), {"ts": "2"}),
    ]
