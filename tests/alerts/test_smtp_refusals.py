"""Email to a server that says no: at each verb, to some and not to others, and in the worst moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.contract import Receipt
from rules.alert import Stage
from tests.alerts.build import LIMIT, NOON, Bench, alert, mail_bench
from tests.wire.raw import certificate
from wire.errors import EdgeError, NotAllowed, Refused, RetryAt
from wire.http import HttpOptions

CARE, LEAD, BOSS = "care@acme.example", "lead@acme.example", "boss@acme.example"
BREACH = alert(Stage.BREACH)
NEW_YORK = {"address": LEAD, "time_zone": "America/New_York"}


@pytest.fixture
def bench() -> Iterator[Bench]:
    with mail_bench() as made:
        yield made


def _told(bench: Bench) -> list[str]:
    """Every address that a mail was taken for, as often as one was."""
    return [address for mail in bench.sink.mails for address in mail.recipients]


VERBS = ["CONNECT", "EHLO", "AUTH", "MAIL", "DATA"]
ANSWERS: list[tuple[str, type[EdgeError]]] = [
    ("421 4.3.2 closing", RetryAt),
    ("450 4.2.0 busy", RetryAt),
    ("452 4.3.1 no room", RetryAt),
    ("550 5.7.1 no", Refused),
    ("552 5.3.4 too big", Refused),
    ("554 5.7.1 no", Refused),
]


@pytest.mark.parametrize("answer,error", ANSWERS, ids=[answer[:3] for answer, _ in ANSWERS])
@pytest.mark.parametrize("verb", [*VERBS, "RCPT", "the mail itself"])
def test_each_no_at_each_verb_says_what_can_be_done(
    bench: Bench, verb: str, answer: str, error: type[EdgeError]
) -> None:
    """Wherever a server says no, what may go better later is tried again, the rest is told to a person, and
    the alert gets through once the server is well."""
    channel = bench.make(recipients=[CARE])
    if verb == "the mail itself":
        bench.sink.refusals = [answer]
    else:
        # Refused EHLO, we say HELO; refused one way to log in, we try the other: twice is no.
        bench.sink.refusals_at |= {each: [answer] * 2 for each in {verb, verb.replace("EHLO", "HELO")}}
    expected = NotAllowed if verb == "AUTH" and error is Refused else error
    with pytest.raises(expected) as caught:
        channel.send(BREACH, None, LIMIT)
    assert type(caught.value) is expected and bench.sink.mails == []
    assert not getattr(caught.value, "accepted_unknown", False)
    if verb != "AUTH":
        assert answer[:3] in str(caught.value) or verb == "EHLO"
    bench.sink.refusals_at.clear()
    channel.send(BREACH, None, LIMIT)
    assert _told(bench) == [CARE]


@pytest.mark.parametrize(
    ("answer", "error"), [("454 4.7.0 not now", RetryAt), ("502 5.5.1 what?", Refused)], ids=["later", "no"]
)
def test_where_tls_is_refused_nothing_is_said_in_the_open(
    tmp_path: Path, answer: str, error: type[EdgeError]
) -> None:
    """A server, or somebody in the middle, that says no to STARTTLS hears neither password nor mail."""
    ca_file, context = certificate(tmp_path)
    with mail_bench(tls=context) as bench:
        channel = bench.make(http=HttpOptions(ca_file=ca_file), security="starttls")
        bench.sink.refusals_at = {"STARTTLS": [answer]}
        with pytest.raises(error, match="STARTTLS"):
            channel.send(BREACH, None, LIMIT)
        assert bench.sink.mails == []
        channel.send(BREACH, None, LIMIT)
        assert [mail.tls for mail in bench.sink.mails] == [True]


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])
def test_a_line_that_breaks_after_the_last_dot_is_sent_again_under_the_same_id(
    bench: Bench, kept: bool
) -> None:
    """Nobody knows whether the server has it: better twice than not at all, and programs see the double."""
    channel = bench.make(recipients=[CARE])
    setattr(bench.sink, "hang_ups" if kept else "cut_offs", 1)
    with pytest.raises(RetryAt) as caught:
        channel.send(BREACH, None, LIMIT)
    assert caught.value.accepted_unknown
    channel.send(BREACH, None, LIMIT)
    assert len(bench.sink.mails) == (2 if kept else 1)
    assert len({mail.message["Message-ID"] for mail in bench.sink.mails}) == 1


def test_who_is_put_off_is_told_later_and_the_others_once(bench: Bench) -> None:
    """Greylisting of one mailbox neither holds up the rest of the team nor costs anybody the alert."""
    channel = bench.make(recipients=[CARE, LEAD, BOSS])
    bench.sink.refused_recipients = {LEAD: "450 4.2.0 greylisted", BOSS: "550 5.1.1 no such user"}
    first = channel.send(BREACH, None, LIMIT)
    assert first.put_off == f"{LEAD} (450 4.2.0 greylisted)"
    assert first.left_out == f"{BOSS} (550 5.1.1 no such user)"
    bench.sink.refused_recipients = {}
    second = channel.send(BREACH, first, LIMIT)
    assert (second.put_off, second.left_out) == ("", first.left_out)
    assert _told(bench) == [CARE, LEAD]
    one, two = (mail.message for mail in bench.sink.mails)
    assert one["Message-ID"] == two["Message-ID"] and one["Subject"] == two["Subject"]
    assert one["References"] == two["References"]


def test_the_next_alert_goes_to_everybody_again(bench: Bench) -> None:
    """Who was put off or left out once is not forgotten: the next alert asks anew."""
    channel = bench.make(recipients=[CARE, LEAD])
    bench.sink.refused_recipients = {LEAD: "550 5.2.1 disabled"}
    first = channel.send(BREACH, None, LIMIT)
    bench.sink.refused_recipients = {}
    channel.send(alert(Stage.CLEARED), first, LIMIT)
    assert _told(bench) == [CARE, CARE, LEAD]


@pytest.mark.parametrize(
    "answer,missed", [("451 later", "put_off"), ("554 5.7.1 no", "left_out")], ids=["later", "no"]
)
def test_a_second_attempt_that_fails_forgets_nobody_who_was_told(
    bench: Bench, answer: str, missed: str
) -> None:
    """Whatever comes after, an alert that reached somebody was told, and its all-clear will follow."""
    channel = bench.make(recipients=[CARE, LEAD])
    bench.sink.refused_recipients = {LEAD: "450 4.2.0 greylisted"}
    first = channel.send(BREACH, None, LIMIT)
    bench.sink.refused_recipients, bench.sink.refusals_at = {}, {"MAIL": [answer]}
    second = channel.send(BREACH, first, LIMIT)
    assert getattr(second, missed).startswith(f"{LEAD} (") and answer[:3] in getattr(second, missed)
    bench.sink.stop()
    third = channel.send(BREACH, second, LIMIT)
    assert third.put_off if missed == "put_off" else third.left_out == second.left_out
    assert _told(bench) == [CARE]


def test_too_many_recipients_are_told_in_turns(bench: Bench) -> None:
    """An old server says 552 where it means "too many": the rest is told with the next attempt; alone, it is
    a no."""
    channel = bench.make(recipients=[CARE, LEAD])
    bench.sink.refused_recipients = {LEAD: "552 5.5.3 too many"}
    first = channel.send(BREACH, None, LIMIT)
    assert (first.put_off, first.left_out) == (f"{LEAD} (452 5.5.3 too many)", "")
    second = channel.send(BREACH, first, LIMIT)
    assert (second.put_off, second.left_out) == ("", f"{LEAD} (552 5.5.3 too many)")
    assert _told(bench) == [CARE]


def test_everybody_reads_their_own_clock(bench: Bench) -> None:
    """The lead in New York does not subtract at night; each gets one mail, and sees who else was told."""
    channel = bench.make(recipients=[CARE, NEW_YORK, BOSS])
    first = channel.send(BREACH, None, LIMIT)
    second = channel.send(alert(Stage.CLEARED), first, LIMIT)
    assert (first.put_off, first.left_out, second.put_off) == ("", "", "")
    berlin, new_york, berlin_over, new_york_over = bench.sink.mails
    assert berlin.recipients == (CARE, BOSS) and new_york.recipients == (LEAD,)
    assert "Waiting since: Mon 02 Nov 12:53 CET" in berlin.part("plain")
    assert "Waiting since: Mon 02 Nov 06:53 EST" in new_york.part("plain")
    assert "06:53 EST" in new_york.part("html") and "CET" not in new_york.part("html")
    assert berlin.message["To"] == new_york.message["To"] == f"{CARE}, {LEAD}, {BOSS}"
    ids = [mail.message["Message-ID"] for mail in bench.sink.mails]
    assert len(set(ids)) == 4
    assert berlin_over.message["In-Reply-To"] == ids[0]
    assert new_york_over.message["In-Reply-To"] == ids[1]
    roots = {str(mail.message["References"]).split()[0] for mail in bench.sink.mails}
    assert len(roots) == 1


def test_a_zone_that_was_not_reached_is_told_alone(bench: Bench) -> None:
    """The line breaks between two mails: whoever has theirs gets no second one."""
    channel = bench.make(recipients=[CARE, NEW_YORK])
    before = channel.send(alert(Stage.WARNING), None, LIMIT)
    bench.sink.mails.clear()
    bench.sink.refused_recipients = {LEAD: "421 4.3.2 closing"}
    first = channel.send(BREACH, before, LIMIT)
    assert first.put_off.startswith(LEAD) and _told(bench) == [CARE]
    bench.sink.refused_recipients = {}
    second = channel.send(BREACH, first, LIMIT)
    assert second.put_off == "" and _told(bench) == [CARE, LEAD]
    late = bench.sink.mails[1].message
    assert late["In-Reply-To"] == before.remote["message_id America/New_York"]
    assert late["Subject"].startswith("Re: ")


def test_a_zone_where_nobody_is_taken_does_not_cost_the_others_their_mail(bench: Bench) -> None:
    """The first one left the company: the lead, in another zone, is told all the same."""
    channel = bench.make(recipients=[CARE, NEW_YORK])
    bench.sink.refused_recipients = {CARE: "550 5.1.1 no such user"}
    receipt = channel.send(BREACH, None, LIMIT)
    assert receipt.left_out.startswith(CARE) and receipt.put_off == ""
    assert _told(bench) == [LEAD]


def test_a_receipt_of_before_zones_is_continued(bench: Bench) -> None:
    """After an update, the all-clear still lands in the thread of the breach."""
    old = Receipt(NOON, {"message_id": "<a@acme.example>", "references": "<r@x>", "title": "A title"})
    bench.make(recipients=[CARE]).send(alert(Stage.CLEARED), old, LIMIT)
    (mail,) = bench.sink.mails
    assert mail.message["In-Reply-To"] == "<a@acme.example>" and mail.message["Subject"] == "Re: A title"
