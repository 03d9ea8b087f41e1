"""The email connector at a real mail server (dovecot): folders, numbers, threads; that it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Page
from connectors.email import EmailConnector
from simulator.world import FixedClock
from tests.connectors.email_support import HANDLE, NOON, Desk
from tests.mailbox import PASSWORD, Mailbox, mailbox
from tests.wire.raw import certificate
from wire.errors import NotAllowed, RetryAt
from wire.http import HttpOptions


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1: its file."""
    return certificate(tmp_path_factory.mktemp("tls"))[0]


@pytest.fixture(scope="module")
def server(papers: Path) -> Iterator[Mailbox]:
    with mailbox(papers.parent) as made:
        yield made


class Office:
    """One mailbox on the server, of an address that no other test has."""

    def __init__(self, server: Mailbox, desk: Desk, name: str) -> None:
        self.server, self.desk = server, desk
        self.address = f"{name}@acme.example"
        self.clock = FixedClock(NOON)

    def connector(self, **more: Any) -> EmailConnector:
        given: dict[str, Any] = {"username": self.address, "password": PASSWORD} | more
        return self.desk.connector(f"imap://127.0.0.1:{self.server.imap_port}", self.clock, **given)

    def put(
        self,
        id: str,
        text: str = "Where is my order?",
        *,
        ago: float = 60,
        folder: str = "INBOX",
        **headers: str,
    ) -> None:
        self.server.put(self.address, mail(id, text, **headers), at=at(ago), folder=folder)


def at(ago: float) -> datetime:
    return NOON - timedelta(seconds=ago)


def mail(id: str, text: str, **headers: str) -> bytes:
    """A mail; header names are written with "_" for "-"."""
    made = EmailMessage()
    given = {"From": "Ann Bee <ann@mail.example>", "To": HANDLE, "Subject": "My order"}
    given |= {"Message-ID": f"<{id}@mail.example>", "Date": "Thu, 01 Jan 1970 00:00:00 +0000"}
    for name, value in (given | {k.replace("_", "-"): v for k, v in headers.items()}).items():
        made[name] = value
    made.set_content(text)
    return made.as_bytes()


@pytest.fixture
def office(
    server: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Office:
    return Office(server, Desk(tmp_path, monkeypatch), request.node.name.replace("[", ".").rstrip("]")[:60])


def drain(connector: EmailConnector, stream: str, cursor: Any = None) -> tuple[list[Page], Any]:
    """Poll until no page waits, each time with the stored form of the cursor."""
    pages = []
    for _ in range(20):
        pages.append(connector.poll(stream, cursor, 5))
        cursor = json.loads(json.dumps(pages[-1].cursor))
        if not pages[-1].has_more:
            return pages, cursor
    raise AssertionError("the stream never came to its end")


def ids(pages: list[Page]) -> list[str]:
    return [m.id.partition("@")[0] for page in pages for m in page.messages]


def test_a_question_and_its_answer_are_one_conversation(office: Office) -> None:
    """The answer is found in the folder that the server marks as \\Sent, whatever it is called."""
    office.put("q", "Wo bleibt meine Größe 42? 😡")
    sent = {"From": HANDLE, "To": "ann@mail.example", "Subject": "Re: My order"}
    references = {"In_Reply_To": "<q@mail.example>", "References": "<q@mail.example>"}
    office.put("a", "It left today.", ago=30, folder="Sent Items", **sent, **references)
    connector = office.connector()
    ((question,),) = [page.messages for page in drain(connector, "inbox")[0]]
    ((answer,),) = [page.messages for page in drain(connector, "sent")[0]]
    assert question.inbound and not question.public and question.kind == "email"
    assert (question.author.id, question.author.name) == ("ann@mail.example", "Ann Bee")
    assert question.text == "My order\n\nWo bleibt meine Größe 42? 😡"
    assert answer.author.brand and answer.text == "It left today." and answer.to == ("ann@mail.example",)
    assert answer.parent == question.id and answer.conversation == question.conversation == question.id


def test_a_mail_counts_from_when_the_server_got_it(office: Office) -> None:
    """The date in a mail is its sender's word: a mail of 1970 waits since it came, and one of 2999 too."""
    office.put("old", ago=90)
    office.put("future", ago=60, Date="Fri, 01 Jan 2999 00:00:00 +0000")
    pages, _ = drain(office.connector(), "inbox")
    assert [m.created_at for p in pages for m in p.messages] == [at(90), at(60)]


def test_nothing_is_marked_as_read_and_nothing_changes(office: Office) -> None:
    """Colleagues see in their mail program what they would see without us."""
    office.put("one")
    office.put("two", folder="Sent Items")
    connector = office.connector()
    connector.identify(5)
    drain(connector, "inbox")
    drain(connector, "sent")
    for folder in ("INBOX", "Sent Items"):
        assert b"\\Seen" not in b" ".join(office.server.flags(office.address, folder))


def test_the_last_mail_does_not_come_again_at_every_reading(office: Office) -> None:
    """A server that is asked for what is newer names its last mail, where nothing is."""
    office.put("one")
    connector = office.connector()
    _, cursor = drain(connector, "inbox")
    office.put("spam")
    with office.server.inbox(office.address) as line:
        line.select()
        line.store("2", "+FLAGS", r"\Deleted")
        line.expunge()
        assert line.uid("SEARCH", "UID 2:*")[1] == [b"1"], "so the server names it"
    pages, cursor = drain(connector, "inbox", cursor)
    assert ids(pages) == [] and cursor["marks"]["INBOX"]["uid"] == 2
    office.put("two")
    pages, cursor = drain(connector, "inbox", cursor)
    assert ids(pages) == ["two"]
    assert ids(drain(connector, "inbox", cursor)[0]) == []


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_pages_of_several_folders_lose_nothing(office: Office, size: int) -> None:
    """Whatever the page, and wherever a restart falls: all folders are read, oldest first, each mail once."""
    for number in range(4):
        office.put(f"in{number}")
        office.put(f"arc{number}", folder="Archive")
    pages: list[Page] = []
    cursor = None
    for _ in range(20):
        connector = office.connector(folders=["INBOX", "Archive", "INBOX"], page_size=size)
        pages.append(connector.poll("inbox", cursor, 5))
        cursor = json.loads(json.dumps(pages[-1].cursor))
        if not pages[-1].has_more:
            break
    assert ids(pages) == [f"in{n}" for n in range(4)] + [f"arc{n}" for n in range(4)]
    assert [page.complete_through is None for page in pages] == [True] * (len(pages) - 1) + [False]


def test_a_folder_that_was_made_anew_is_read_again_and_says_nothing_twice(office: Office) -> None:
    """After a move to another server all numbers are others: what is new comes, and what is known comes under
    the ids that it had."""
    folders = ["Support"]
    office.put("one", folder="Support")
    office.put("two", folder="Support")
    connector = office.connector(folders=folders)
    pages, cursor = drain(connector, "inbox")
    assert ids(pages) == ["one", "two"]
    office.server.destroy(office.address, "Support")
    before = cursor["marks"]["Support"]["validity"]
    for id in ("two", "three", "one"):
        office.put(id, folder="Support")
    office.put("ancient", folder="Support", ago=5 * 86400)
    pages, cursor = drain(connector, "inbox", cursor)
    assert cursor["marks"]["Support"]["validity"] != before, "the folder has to be a new one"
    assert ids(pages) == ["two", "three", "one"] and pages[0].gap is None
    assert ids(drain(connector, "inbox", cursor)[0]) == []


def test_a_mail_without_an_id_keeps_the_one_that_it_is_given(office: Office) -> None:
    """Filed elsewhere or numbered anew, it is the same mail; another one is another."""
    for folder, text in (("INBOX", "one"), ("Archive", "one"), ("INBOX", "two")):
        raw = b"\n".join(r for r in mail("x", text).split(b"\n") if not r.startswith(b"Message-ID"))
        office.server.put(office.address, raw, at=at(60), folder=folder)
    pages, _ = drain(office.connector(folders=["INBOX", "Archive"]), "inbox")
    found = [m for page in pages for m in page.messages]
    assert [m.text for m in found] == ["My order\n\none", "My order\n\ntwo"]
    assert len({m.id for m in found}) == 2


def test_drafts_are_no_answers(office: Office) -> None:
    """What was begun and not sent answers nobody."""
    office.server.put(office.address, mail("d", "We will"), at=at(60), folder="Sent Items", flags=r"(\Draft)")
    office.put("sent", folder="Sent Items")
    assert ids(drain(office.connector(), "sent")[0]) == ["sent"]


def test_what_a_colleague_files_or_deletes_is_not_taken_back_by_its_writer(office: Office) -> None:
    """An inbox that is emptied closes no case."""
    office.put("one")
    connector = office.connector()
    _, cursor = drain(connector, "inbox")
    with office.server.inbox(office.address) as line:
        line.select()
        line.store("1", "+FLAGS", r"\Deleted")
        line.expunge()
    (page,), _ = drain(connector, "inbox", cursor)
    assert page.gone == () and page.messages == () and page.complete_through is not None


def test_attachments_are_named_and_never_fetched(office: Office) -> None:
    """A photo of what is broken is known by its name; its megabytes stay where they are."""
    made = EmailMessage()
    made["From"], made["Subject"], made["Message-ID"] = (
        "ann@mail.example",
        "=?utf-8?q?Gr=C3=B6=C3=9Fe?=",
        "<p@m>",
    )
    made.set_content("See the photo.")
    made.add_alternative("<p>See <b>the</b> photo.</p>", subtype="html")
    made.add_attachment(b"\xff" * 3_000_000, maintype="image", subtype="jpeg", filename="kaputt – größer.jpg")
    made.add_attachment(
        mail("inner", "forwarded"), maintype="application", subtype="pdf", filename="bill.pdf"
    )
    office.server.put(office.address, made.as_bytes(), at=at(60))
    # So little is let through that fetching the photo would fail.
    (page,), _ = drain(office.connector(http=HttpOptions(body_bytes_max=100_000)), "inbox")
    (message,) = page.messages
    assert message.text == "Größe\n\nSee the photo.\n\n[attached: kaputt – größer.jpg, bill.pdf]"


def test_a_very_long_mail_is_read_in_part(office: Office) -> None:
    """Its beginning says what it is about."""
    office.put("long", "It is broken. " + "and " * 100_000)
    (page,), _ = drain(office.connector(http=HttpOptions(body_bytes_max=100_000)), "inbox")
    assert (
        page.messages[0].text.startswith("My order\n\nIt is broken. and and")
        and len(page.messages[0].text) < 21_000
    )


def test_the_folders_that_are_missing_are_named(office: Office) -> None:
    """`check` says which folder is not there, and what to do."""
    who = office.connector(folders=["INBOX", "Nowhere", "\\Archive"]).identify(5)
    first, second = who.permissions_missing
    assert "Nowhere" in first and "\\Archive" in second and "sent_folder" in second
    assert who.handle == HANDLE
    with pytest.raises(NotAllowed, match="Nowhere"):
        office.connector(folders=["Nowhere"]).poll("inbox", None, 5)


def test_a_wrong_password_is_told_and_a_mended_one_taken(office: Office) -> None:
    """A real server's refusal is understood, and a password that was mended is taken at once."""
    wrong = "another-password"
    connector = office.connector(password=wrong)
    with pytest.raises(NotAllowed, match="check username and password") as told:
        connector.poll("inbox", None, 5)
    assert wrong not in str(told.value)
    office.desk.monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    assert connector.poll("inbox", None, 5).complete_through is not None


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_the_line_is_protected_and_the_server_proves_itself(
    office: Office, papers: Path, security: str
) -> None:
    """Nobody in between reads customers' mails: a certificate that our authority signed is needed."""
    server = office.server
    port = server.imaps_port if security == "tls" else server.imap_port
    office.put("one")
    trusting = office.connector(security=security, port=port, http=HttpOptions(ca_file=papers))
    assert ids(drain(trusting, "inbox")[0]) == ["one"]
    with pytest.raises(NotAllowed, match=r"certificate is not trusted.*http.ca_file"):
        office.connector(security=security, port=port).poll("inbox", None, 5)


def test_tls_where_none_is_spoken_is_a_line_that_breaks(office: Office) -> None:
    """The wrong port is told at once, and nothing is sent in the clear."""
    with pytest.raises(RetryAt, match="connecting"):
        office.connector(security="tls").poll("inbox", None, 5)
