"""What goes wrong on the line to a mail server, in the one vocabulary; and mails that are too much."""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.contract import Page
from connectors.email import EmailConnector, Settings
from connectors.email.box import LIMITED_FOR, LIMITED_MAX, LOG_IN_AGAIN
from simulator.faults import Fault, FaultKind, Faults
from tests.connectors.email_support import HANDLE, NOON, TOKEN, Desk, EmailBench, Town
from tests.wire.raw import Line, Script, serve
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt

PASSWORD = "correct horse battery"
GREETING = b"* OK [CAPABILITY IMAP4rev1] ready\r\n"
EXAMINED = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n* OK [UIDNEXT 2] next\r\nTAG OK done\r\n"
FINE = {
    b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n",
    b"LOGIN": b"TAG OK in\r\n",
    b"EXAMINE": EXAMINED,
    b"SEARCH": b"* SEARCH 1\r\nTAG OK done\r\n",
}

MONSTER = b"* 2 FETCH (UID 2 BODYSTRUCTURE {999999999999}\r\n"
WHOLE = (
    b'* 1 FETCH (UID 1 INTERNALDATE "02-Nov-2026 11:59:00 +0000" BODYSTRUCTURE '
    b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)'
    b" BODY[HEADER.FIELDS (FROM)]<0> {16}\r\nFrom: ann@mail\r\n BODY[1]<0> {5}\r\nHello)\r\n"
)


def says(answers: dict[bytes, bytes], greeting: bytes = GREETING) -> Script:
    """A server that says these bytes to these commands ("TAG" is the command's own), and closes at others,
    and after an answer without a tag."""

    def script(line: Line) -> None:
        line.say(greeting)
        lines = line.sock.makefile("rb")
        while row := lines.readline():
            tag, *words = row.split()
            name = words[1] if words[0] == b"UID" else words[0]
            said = (FINE | answers).get(name)
            if said is None:
                return
            line.say(said.replace(b"TAG", tag))
            if b"TAG" not in said:
                return

    return script


@pytest.fixture
def poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Poll the inbox of a server that says such things."""

    def ask(script: Script, seconds: float = 5, **more: Any) -> Any:
        with serve(script) as server:
            url = f"imap://127.0.0.1:{server.port}"
            return connector(tmp_path, monkeypatch, url, **more).poll("inbox", None, seconds)

    return ask


def connector(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, **more: Any) -> EmailConnector:
    given: dict[str, Any] = {"password": PASSWORD} | more
    return Desk(folder, monkeypatch).connector(url, Town().clock, **given)


ANSWERS: list[tuple[bytes, bytes, type[EdgeError]]] = [
    (b"LOGIN", b"TAG NO [AUTHENTICATIONFAILED] correct horse battery is wrong\r\n", NotAllowed),
    (b"LOGIN", b"TAG NO sorry\r\n", NotAllowed),
    (b"LOGIN", b"TAG NO [ALERT] Application-specific password required\r\n", NotAllowed),
    (b"LOGIN", b"TAG NO [UNAVAILABLE] Temporary authentication failure.\r\n", RetryAt),
    (b"LOGIN", b"TAG NO [ALERT] Too many simultaneous connections. (Failure)\r\n", RetryAt),
    (b"LOGIN", b"* BYE [UNAVAILABLE] going down\r\n", RetryAt),
    (b"EXAMINE", b"TAG NO [NONEXISTENT] no such folder\r\n", NotAllowed),
    (b"EXAMINE", b"TAG NO Server Unavailable. 15\r\n", RetryAt),
    (b"EXAMINE", b"TAG OK but no UIDVALIDITY\r\n", Malformed),
    (b"SEARCH", b"TAG NO [LIMIT] too many\r\n", RetryAt),
    (b"SEARCH", b"TAG BAD Error in IMAP command\r\n", Refused),
    (b"SEARCH", b"TAG NO not today\r\n", Refused),
    (b"SEARCH", b"* SEARCH 1\r\n", RetryAt),
    (b"SEARCH", b"HTTP/1.1 400 Bad Request\r\n\r\n", Malformed),
    (b"FETCH", b"TAG NO [INUSE] later\r\n", RetryAt),
    (b"FETCH", b"* 1 FETCH (UID 1 BODY[] {900}\r\nshort", RetryAt),
    (b"FETCH", b'* 1 FETCH (UID 1 INTERNALDATE "02-N\r\nTAG OK done\r\n', Malformed),
    (b"FETCH", b"\xff\xfe\x00\r\nTAG OK done\r\n", Malformed),
    (b"FETCH", b"", RetryAt),
]


@pytest.mark.parametrize(("command", "answer", "expected"), ANSWERS)
def test_each_refusal_says_what_can_be_done(
    poll: Callable[..., Any], command: bytes, answer: bytes, expected: type[EdgeError]
) -> None:
    """A person must act, or it goes through later, or it is no mail server: and no word of the password."""
    answers = {command: answer} if answer else {}
    with pytest.raises(expected) as told:
        poll(says(answers))
    assert PASSWORD not in str(told.value) + repr(told.value)


@pytest.mark.parametrize(
    ("greeting", "expected"),
    [
        (b"<html><body>Hello</body></html>\r\n", Malformed),
        (b"220 mail.example ESMTP\r\n", Malformed),
        (b"* BYE Too many connections\r\n", RetryAt),
        (b"* BYE shutting down\r\n", RetryAt),
        (b"", RetryAt),
    ],
)
def test_whoever_speaks_at_that_port(
    poll: Callable[..., Any], greeting: bytes, expected: type[EdgeError]
) -> None:
    """A web server, another mail protocol, a server that is full, one that hangs up."""

    def script(line: Line) -> None:
        line.say(greeting)

    with pytest.raises(expected, match="connecting"):
        poll(script)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("NO Request is throttled. Suggested Backoff Time: 299910 milliseconds", 299.91),
        ("BAD Request is throttled. Suggested Backoff Time: 89117 milliseconds", 89.117),
        (
            "NO Request is throttled. Suggested Backoff Time: 999999999999 milliseconds",
            LIMITED_MAX.total_seconds(),
        ),
        ("BAD Account exceeded command or bandwidth limits", LIMITED_FOR.total_seconds()),
        ("NO [OVERQUOTA] slow down", LIMITED_FOR.total_seconds()),
    ],
)
def test_a_limit_is_waited_out(poll: Callable[..., Any], said: str, seconds: float) -> None:
    """As long as the server says; a limit is nobody's fault."""
    with pytest.raises(RetryAt) as told:
        poll(says({b"SEARCH": f"TAG {said}\r\n".encode()}))
    assert told.value.limited and told.value.at == NOON + timedelta(seconds=seconds)


def test_a_server_that_trickles_is_left(poll: Callable[..., Any], stopwatch: Callable[[], float]) -> None:
    """A byte at a time is not a time-out of a socket; the whole exchange has one."""
    began = stopwatch()
    with pytest.raises(RetryAt, match="not done in time"):
        poll(lambda line: line.trickle(b"* OK " + b"x" * 1000), seconds=0.3)
    assert stopwatch() - began < 2


def test_a_missing_extra_is_named(poll: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed without it reads what to install, and not a traceback."""
    monkeypatch.setitem(sys.modules, "imap_tools.mailbox", None)
    with pytest.raises(NotAllowed, match=re.escape("pip install 'response-monitor[email]'")):
        poll(says({}))


def test_a_line_without_tls_is_not_made_do_with(poll: Callable[..., Any]) -> None:
    """Where a server takes STARTTLS back (or somebody in between does) no password is sent."""
    with pytest.raises(NotAllowed, match="does not offer STARTTLS"):
        poll(says({}), security="starttls")


def test_a_refused_password_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers lock accounts: it is tried again after ten minutes, or at once when it was changed."""
    bench = EmailBench(tmp_path, monkeypatch)
    faults = Faults(bench.clock)

    def attempts() -> int:
        return sum(path.endswith("/LOGIN") for _, path in faults.asked)

    with bench.served(faults) as url:
        reader = bench.desk.connector(url, bench.clock, password="mistyped-password")
        for _ in range(3):
            with pytest.raises(NotAllowed, match="check username and password"):
                reader.poll("inbox", None, 5)
        assert attempts() == 1
        bench.clock.move(LOG_IN_AGAIN.total_seconds())
        with pytest.raises(NotAllowed):
            reader.poll("inbox", None, 5)
        assert attempts() == 2
        monkeypatch.setenv("MAIL_PASSWORD", bench.town.access.password)
        reader.poll("inbox", None, 5)
    assert attempts() == 3


def test_a_token_is_used_instead_of_a_password(poll: Callable[..., Any]) -> None:
    """Providers that take no passwords: the token goes as XOAUTH2, and into no error."""
    heard: list[bytes] = []

    def script(line: Line) -> None:
        line.say(b"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready\r\n")
        lines = line.sock.makefile("rb")
        tag = lines.readline().split()[0]
        line.say(b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n" + tag + b" OK done\r\n")
        tag = lines.readline().split()[0]
        line.say(b"+ \r\n")
        heard.append(lines.readline())
        line.say(tag + b" NO [AUTHENTICATIONFAILED] " + heard[0].strip() + b"\r\n")

    with pytest.raises(NotAllowed) as told:
        poll(script, password=None)
    said = b64decode(heard[0]).decode()
    assert said == f"user={HANDLE}\1auth=Bearer {TOKEN}\1\1"
    assert heard[0].decode().strip() not in str(told.value) and TOKEN not in str(told.value)


def test_one_monstrous_mail_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is larger than we take is asked for alone, told, and passed over."""

    def script(line: Line) -> None:
        line.say(GREETING)
        lines = line.sock.makefile("rb")
        while row := lines.readline():
            tag, *words = row.split()
            name = words[1] if words[0] == b"UID" else words[0]
            said = FINE.get(name, b"TAG OK done\r\n").replace(b"UIDNEXT 2", b"UIDNEXT 4")
            if name == b"SEARCH":
                first = int(words[3].partition(b":")[0])
                said = b"* SEARCH 1 2 3\r\nTAG OK done\r\n".replace(b"1 2 3", b"1 2 3"[2 * first - 2 :])
            for uid in words[2].split(b",") if name == b"FETCH" else ():
                line.say(MONSTER if uid == b"2" else WHOLE.replace(b"UID 1", b"UID " + uid))
            line.say(said.replace(b"TAG", tag))

    with serve(script) as server:
        reader = connector(tmp_path, monkeypatch, f"imap://127.0.0.1:{server.port}")
        with pytest.raises(Malformed, match="larger than any"):
            reader.poll("inbox", None, 5)
        pages: list[Page] = []
        while not pages or (pages[-1].has_more and len(pages) < 9):
            pages.append(reader.poll("inbox", pages[-1].cursor if pages else None, 5))
    assert [len(page.messages) for page in pages] == [1, 0, 1]
    assert [r.reason for page in pages for r in page.rejected] == ["a mail whose description is too large"]
    assert pages[-1].complete_through is not None and pages[-1].cursor["marks"]["INBOX"]["uid"] == 3


def test_what_robots_write_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An out-of-office reply neither complains nor waits."""
    bench = EmailBench(tmp_path, monkeypatch)
    town = bench.town
    asked = town.mail(town.help, town.away, "Did it arrive?", ago=60)
    town.mail(town.away, town.help, "I am away, this is unacceptable", ago=50, parent=asked)
    with town.served() as url:
        (message,) = bench.connector(url).poll("inbox", None, 5).messages
    assert message.author.automated and message.inbound


def test_a_cursor_that_is_none_is_told_and_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the database, mails are read."""
    bench = EmailBench(tmp_path, monkeypatch)
    bench.ask("question", ago=60)
    with bench.served(None) as url:
        for cursor in (
            {"v": 2},
            {"v": 1},
            {"v": 1, "since": "now", "marks": {}},
            {"v": 1, "marks": {"INBOX": 7}},
        ):
            page = bench.connector(url).poll("inbox", cursor, 5)
            assert len(page.messages) == 1 and page.gap


def test_a_stream_that_is_switched_off_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked for it, and `check` says what is not seen then."""
    bench = EmailBench(tmp_path, monkeypatch)
    with bench.served(None) as url:
        given = {"password": bench.town.access.password, "sent": False}
        reader = bench.desk.connector(url, bench.clock, **given)  # type: ignore[arg-type]
        assert [s.name for s in reader.streams] == ["inbox"]
        with pytest.raises(Refused, match="no stream"):
            reader.poll("sent", None, 5)
        assert "sent = false: answers by email are not seen" in reader.identify(5).notes


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"handle": "acme"}, "handle"),
        ({"security": "none"}, "this machine only"),
        ({"password": None}, "one of password and access_token"),
        ({"access_token": {"env": "TOKEN"}}, "one of password and access_token"),
        ({"host": "imap.example/../x"}, "host"),
        ({"folders": []}, "folders"),
        ({"folders": ["a\r\nb"]}, "folders"),
        ({"password": "plain"}, "secrets are not written into the config"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], said: str) -> None:
    """Before the daemon starts, with the reason."""
    fine = {"handle": HANDLE, "host": "imap.acme.example", "password": {"env": "MAIL"}}
    assert Settings.model_validate(fine).label == HANDLE
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate(fine | wrong)


def test_a_fault_between_two_questions_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that breaks after the mails were described and before their texts came: all come next time."""
    bench = EmailBench(tmp_path, monkeypatch)
    bench.ask("question", ago=60)
    faults = Faults(bench.clock)
    with bench.served(faults) as url:
        reader = bench.connector(url)
        faults.once("/INBOX/FETCH", Fault(FaultKind.DELAY, seconds=0))
        faults.once("/INBOX/FETCH", Fault(FaultKind.DROP))
        with pytest.raises(RetryAt, match="broke off"):
            reader.poll("inbox", None, 5)
        assert [m.text for m in reader.poll("inbox", None, 5).messages] == ["A question\n\nquestion"]
