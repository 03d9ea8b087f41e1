"""Our mails in a real mailbox: sent over SMTP, relayed over LMTP, kept and threaded by a real IMAP server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from alerts.contract import Receipt
from rules.alert import Alert, Stage
from tests.alerts.build import LIMIT, NOON, Bench, alert, mail_bench
from tests.mailbox import Mailbox, mailbox

CARE, LEAD = "care@acme.example", "lead@acme.example"


@pytest.fixture(scope="module")
def post_office() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture
def bench(post_office: Mailbox) -> Iterator[Bench]:
    with mail_bench(next_hop=("127.0.0.1", post_office.lmtp_port)) as made:
        yield made


def _alerts() -> list[Alert]:
    """The warning, the breach and the end of one case, and the first two of another, as they come in life."""
    one: dict[str, Any] = {"subject": "acme/x/17"}
    other: dict[str, Any] = {"subject": "acme/x/18", "customer": "@ben", "case_id": "acme/x/18"}
    return [
        alert(Stage.WARNING, at=NOON, **one),
        alert(Stage.WARNING, at=NOON + timedelta(minutes=1), **other),
        alert(Stage.BREACH, at=NOON + timedelta(minutes=8), **one),
        alert(Stage.BREACH, at=NOON + timedelta(minutes=9), **other),
        alert(Stage.CLEARED, at=NOON + timedelta(minutes=12), **one),
    ]


@pytest.mark.parametrize("subject", ["case", "state"])
def test_a_real_mailbox_keeps_each_case_together(post_office: Mailbox, bench: Bench, subject: str) -> None:
    """In the mail program of the team five mails of two cases are two threads, of three and of two."""
    address = f"{subject}@acme.example"
    channel = bench.make(recipients=[address], subject=subject)
    receipts: dict[str, Receipt] = {}
    for given in _alerts():
        receipts[given.subject] = channel.send(given, receipts.get(given.subject), LIMIT)
    assert sorted(map(sorted, post_office.threads(address))) == [[1, 3, 5], [2, 4]]
    stages = [mail["X-Response-Monitor-Stage"] for mail in post_office.mails(address)]
    assert stages == ["warning", "warning", "breach", "breach", "cleared"]


def test_a_thread_holds_together_although_a_mail_of_it_was_deleted(
    post_office: Mailbox, bench: Bench
) -> None:
    """Who deletes the warning still finds the all-clear beside the breach: both name the same root."""
    channel = bench.make(recipients=["tidy@acme.example"])
    receipt: Receipt | None = None
    for given in _alerts():
        if given.subject != "acme/x/17":
            continue
        receipt = channel.send(given, receipt, LIMIT)
        if given.stage is Stage.BREACH:
            # This one is taken from them at once, as a filter would.
            with post_office.inbox("tidy@acme.example") as line:
                line.select()
                line.store("2", "+FLAGS", r"\Deleted")
                line.expunge()
    assert post_office.threads("tidy@acme.example") == [[1, 2]]


def test_a_real_mailbox_reads_what_we_say_of_ourselves(post_office: Mailbox, bench: Bench) -> None:
    """What went through two servers and a mailbox is still whole: headers, both parts, every letter."""
    text = "Die Größe stimmt nicht – 😡\n.\nFrom me to you, and a very long line: " + "wörter " * 120
    given = alert(Stage.BREACH, at=NOON + timedelta(minutes=13), text=text, customer="@zoë_ß")
    lead = {"address": LEAD, "time_zone": "America/New_York"}
    receipt = bench.make(recipients=[CARE, lead]).send(given, None, LIMIT)
    (mail,), (hers,) = post_office.mails(CARE), post_office.mails(LEAD)
    assert mail["Subject"] == "@zoë_ß waits for an answer on X (acme)"
    assert mail["Message-ID"] == receipt.remote["message_id"]
    assert mail["Message-ID"] != hers["Message-ID"] and mail["References"] == hers["References"]
    assert mail["In-Reply-To"] == mail["References"]
    assert mail["List-Id"] == "Response monitor <alerts.acme.example>"
    assert mail["Auto-Submitted"] == "auto-generated" and mail["X-Auto-Response-Suppress"] == "All"
    assert mail["Date"].datetime == NOON + timedelta(minutes=13)
    assert [address.addr_spec for address in mail["To"].addresses] == [CARE, LEAD]
    assert mail.get_content_type() == "multipart/alternative"
    plain, html, her_text = mail.get_body(("plain",)), mail.get_body(("html",)), hers.get_body(("plain",))
    assert plain is not None and html is not None and her_text is not None
    said = plain.get_content()
    assert "> Die Größe stimmt nicht – 😡" in said and "\n> .\n" in said.replace("\r\n", "\n")
    assert "wörter wörter" in said and "wörter wörter" in html.get_content()
    assert not [defect for part in mail.walk() for defect in part.defects]
    assert "EST" in her_text.get_content()
