"""Email: what a mail looks like, how it is protected, and what a server's replies mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.contract import Receipt
from alerts.smtp import Settings
from rules.alert import Stage
from tests.alerts.build import LIMIT, NOON, PASSWORD, Bench, alert, mail_bench
from tests.wire.raw import Line, certificate, serve, signed
from wire.errors import Malformed, NotAllowed, RetryAt
from wire.http import HttpOptions

LATER = NOON + timedelta(minutes=13)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with mail_bench() as made:
        yield made


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1: its file, and a server's context that shows it."""
    return certificate(tmp_path_factory.mktemp("tls"))


def test_one_mail_goes_to_all_recipients(bench: Bench) -> None:
    """Everybody who is told sees who else was, so that one of them answers."""
    bench.make().send(alert(Stage.WARNING), None, LIMIT)
    (mail,) = bench.sink.mails
    assert mail.sender == "monitor@acme.example"
    assert mail.recipients == ("care@acme.example", "lead@acme.example")
    assert mail.message["To"] == "care@acme.example, lead@acme.example"
    assert mail.user == "monitor"


def test_a_case_is_one_thread(bench: Bench) -> None:
    """Mail programs that go by References, and those that go by the subject, keep a case together, and
    cases apart."""
    channel = bench.make()
    receipt: Receipt | None = None
    for stage in (Stage.WARNING, Stage.BREACH, Stage.CLEARED):
        # Somebody changed their name meanwhile; the thread keeps its title.
        name = "@ann_b" if stage is Stage.WARNING else "@ann_c"
        receipt = channel.send(alert(stage, at=LATER, customer=name), receipt, LIMIT)
    channel.send(alert(Stage.WARNING, subject="acme/x/18"), None, LIMIT)
    first, second, third, other = (mail.message for mail in bench.sink.mails)
    assert first["Subject"] == "@ann_b waits for an answer on X (acme)"
    assert second["Subject"] == third["Subject"] == f"Re: {first['Subject']}"
    root = first["References"]
    assert second["References"] == f"{root} {first['Message-ID']}"
    assert third["References"] == f"{root} {second['Message-ID']}"
    assert (second["In-Reply-To"], third["In-Reply-To"]) == (first["Message-ID"], second["Message-ID"])
    assert other["References"] != root
    assert len({mail["Message-ID"] for mail in (first, second, third, other)}) == 4


def test_a_subject_can_say_the_state_instead(bench: Bench) -> None:
    """Who does not use Gmail reads in the list itself how it stands; the thread is kept by its References."""
    channel = bench.make(subject="state")
    receipt = channel.send(alert(Stage.BREACH, at=LATER), None, LIMIT)
    channel.send(alert(Stage.CLEARED, at=LATER), receipt, LIMIT)
    breach, cleared = (mail.message for mail in bench.sink.mails)
    assert breach["Subject"] == "🔴 5 min late: @ann_b has waited 20 min on X"
    assert cleared["Subject"] == "✅ @ann_b on X: answered after 12 min by @acmehelp"
    assert cleared["References"] == f"{breach['References']} {breach['Message-ID']}"


def test_the_line_beside_the_subject_says_how_it_stands_and_what_they_wrote(bench: Bench) -> None:
    """In a list of mails the alert is understood before it is opened, and the rest stays out of it."""
    bench.make().send(alert(Stage.BREACH, at=LATER), None, LIMIT)
    body = bench.sink.mails[0].part("html").partition("<body")[2]
    hidden = body.partition("display:none")[2].partition("</div>")[0]
    said = hidden.partition(">")[2]
    assert said.startswith(
        "🔴 5 min late: @ann_b has waited 20 min on X – “My order never came. Still no answer?”&#847;&nbsp;"
    )
    assert said.count("&#847;&nbsp;") == 60
    private = alert(Stage.BREACH, at=LATER, text=None, public=False)
    bench.make().send(replace(private, key="dm"), None, LIMIT)
    assert "“" not in bench.sink.mails[1].part("html")


def test_the_same_alert_has_the_same_message_id(bench: Bench) -> None:
    """A mail that is sent again after a broken line is known as the same one."""
    channel = bench.make()
    bench.sink.hang_ups = 1
    with pytest.raises(RetryAt):
        channel.send(alert(Stage.BREACH, at=LATER), None, LIMIT)
    channel.send(alert(Stage.BREACH, at=LATER + timedelta(minutes=1)), None, LIMIT)
    first, second = bench.sink.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.key == second.key == alert(Stage.BREACH).key


def test_machines_see_that_it_is_a_machine(bench: Bench) -> None:
    """No out-of-office note answers an alert, and filters can sort it."""
    bench.make().send(alert(Stage.BREACH, at=LATER), None, LIMIT)
    headers = bench.sink.mails[0].message
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["X-Auto-Response-Suppress"] == "All"
    assert headers["List-Id"] == "Response monitor <alerts.acme.example>"
    assert headers["X-Response-Monitor-Stage"] == "breach"
    assert headers["Importance"] == "high"
    assert headers["Date"].datetime == LATER


def test_text_and_html_say_the_same(bench: Bench) -> None:
    """Whatever a mail program shows, the glance is the same, and the preview line is the state."""
    bench.make().send(alert(Stage.BREACH, at=LATER, caveats=("not all was seen",)), None, LIMIT)
    (mail,) = bench.sink.mails
    html, plain = mail.part("html"), mail.part("plain")
    for words in (
        "5 min late: @ann_b has waited 20 min on X",
        "@ann_b (1,234 followers)",
        "Mon 02 Nov 12:53 CET, 20 min ago",
        "Still no answer?",
        "negative wording",
        "not all was seen",
        "https://x.example/ann_b/status/17",
        "response-monitor ack acme/x/17",
    ):
        assert words in plain
        assert words in html
    body = html[html.index("<body") :]
    assert body.index("5 min late") < body.index("<h1")
    assert "<table" not in html and "width=device-width" in html and "max-width:600px" in html


def test_a_recipient_who_is_not_taken_does_not_cost_the_others_their_mail(bench: Bench) -> None:
    """Somebody who left the company does not silence the alerts of the team."""
    bench.sink.refused_recipients["lead@acme.example"] = "550 5.1.1 No such user"
    receipt = bench.make().send(alert(Stage.BREACH, at=LATER), None, LIMIT)
    assert bench.sink.mails[0].recipients == ("care@acme.example",)
    assert receipt.left_out == "lead@acme.example (550 5.1.1 No such user)"


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_mail_goes_over_verified_tls(papers: tuple[Path, ssl.SSLContext], implicit: bool) -> None:
    """A server whose certificate our CA signed is spoken to, and only after TLS are name and password."""
    ca_file, context = papers
    security = "tls" if implicit else "starttls"
    with mail_bench(tls=context, implicit_tls=implicit) as bench:
        channel = bench.make(http=HttpOptions(ca_file=ca_file), security=security)
        assert "lets us in as monitor" in channel.check(LIMIT)
        channel.send(alert(Stage.TEST), None, LIMIT)
        assert [(mail.tls, mail.user) for mail in bench.sink.mails] == [(True, "monitor")]


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    papers: tuple[Path, ssl.SSLContext], implicit: bool
) -> None:
    """Somebody in the middle gets neither the password nor the mail, and the operator is told why."""
    with mail_bench(tls=papers[1], implicit_tls=implicit) as bench:
        channel = bench.make(security="tls" if implicit else "starttls")
        with pytest.raises(NotAllowed, match=r"certificate is not trusted.*http.ca_file"):
            channel.send(alert(Stage.TEST), None, LIMIT)
        assert not bench.sink.mails


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "tls"])
def test_a_certificate_that_our_own_authority_signed_is_trusted_until_it_runs_out(
    tmp_path: Path, implicit: bool
) -> None:
    """A company's own authority goes into http.ca_file; a certificate of its that has lapsed is told, and
    nothing is sent, in the open or otherwise."""
    for days, taken in ((2, 1), (-1, 0)):
        folder = tmp_path / str(days)
        folder.mkdir()
        ca_file, context = signed(folder, days=days)
        with mail_bench(tls=context, implicit_tls=implicit) as bench:
            http = HttpOptions(ca_file=ca_file)
            channel = bench.make(http=http, security="tls" if implicit else "starttls")
            if taken:
                channel.send(alert(Stage.TEST), None, LIMIT)
            else:
                with pytest.raises(NotAllowed, match="certificate"):
                    channel.send(alert(Stage.TEST), None, LIMIT)
            assert [mail.tls for mail in bench.sink.mails] == [True] * taken


def test_a_certificate_for_another_name_is_not_trusted(papers: tuple[Path, ssl.SSLContext]) -> None:
    """A valid certificate of somebody else does not open the door."""
    with mail_bench(tls=papers[1]) as bench:
        channel = bench.make(http=HttpOptions(ca_file=papers[0]), security="starttls", host="localhost")
        with pytest.raises(NotAllowed, match="certificate is not trusted"):
            channel.send(alert(Stage.TEST), None, LIMIT)


def test_where_tls_is_asked_for_nothing_goes_without(bench: Bench) -> None:
    """A server, or somebody in the middle, that strips STARTTLS gets nothing."""
    with pytest.raises(NotAllowed, match="STARTTLS"):
        bench.make(security="starttls").send(alert(Stage.TEST), None, LIMIT)
    assert not bench.sink.mails


def test_a_wrong_password_is_a_persons_work(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed password is told at once, and is in no error."""
    channel = bench.make()
    monkeypatch.setenv("CARE_PASSWORD", "another secret")
    for attempt in (lambda: channel.send(alert(Stage.TEST), None, LIMIT), lambda: channel.check(LIMIT)):
        with pytest.raises(NotAllowed, match="username and password") as caught:
            attempt()
        assert "another secret" not in repr(caught.value)


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((b"hello, I speak HTTP\r\n",), Malformed),
        ((b"220 hi\r\n", b"250-x\r\n250 AUTH GSSAPI\r\n"), NotAllowed),
        ((b"220 hi\r\n", b"250 AUTH PLAIN\r\n", b"334 !!!\r\n"), (NotAllowed, Malformed)),
        ((b"220 hi\r\n", b"250-x\r\n250 AUTH LOGIN\r\n", b"454 4.7.0 later\r\n"), RetryAt),
        ((b"421 4.3.2 too busy\r\n",), RetryAt),
    ],
    ids=["no SMTP", "no login that we know", "a broken challenge", "login later", "too busy"],
)
def test_strange_servers_are_explained(bench: Bench, answers: tuple[bytes, ...], error: Any) -> None:
    """Whatever a server says, the operator reads what to do, and the daemon goes on."""

    def script(line: Line) -> None:
        for answer in answers:
            line.say(answer)
            if not line.sock.recv(65536):
                return
        line.say(b"500 5.5.1 what?\r\n")

    with serve(script) as server, pytest.raises(error):
        bench.elsewhere(server.port).send(alert(Stage.TEST), None, LIMIT)


def test_a_dot_alone_does_not_end_the_mail(bench: Bench) -> None:
    """A customer's line with a single dot cuts no alert short."""
    said = alert(Stage.BREACH, at=LATER, text="before\n.\nafter\n..two\n.x")
    bench.make().send(replace(said, key="dots"), None, LIMIT)
    (mail,) = bench.sink.mails
    assert "> before\n> .\n> after\n> ..two\n> .x\n" in mail.part("plain")


GOOD = {"host": "127.0.0.1", "security": "none", "sender": "m@acme.example", "recipients": ["c@acme.example"]}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"host": "mail.acme.example"}, "this machine only"),
        ({"username": "monitor"}, "together"),
        ({"username": "monitor", "password": PASSWORD}, "not written into the config"),
        ({"sender": "nobody"}, "expected an address"),
        ({"sender": "m@acme.example\r\nBcc: x@y.example"}, "expected an address"),
        ({"recipients": []}, "recipients"),
        ({"recipients": ["c@acme.example", "grüße@acme.example"]}, "expected an address"),
        ({"host": "mail.acme.example\r\nQUIT"}, "host"),
        ({"secure": True}, "secure"),
        ({"subject": "headline"}, "subject"),
        ({"recipients": ["c@acme.example", {"address": "C@acme.example"}]}, "each address once"),
        ({"recipients": [{"address": "c@acme.example", "time_zone": "Mars/Olympus"}]}, "Europe/Berlin"),
        ({"recipients": [{"adress": "c@acme.example"}]}, "address"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], complaint: str) -> None:
    """A mistake in the config is found at the start, and no secret is repeated."""
    Settings.model_validate({"type": "smtp", **GOOD})
    with pytest.raises(ValidationError, match=complaint) as caught:
        Settings.model_validate({"type": "smtp", **GOOD, **changes})
    assert PASSWORD not in str(caught.value)
