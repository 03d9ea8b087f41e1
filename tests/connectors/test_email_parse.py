"""What mails mean: fixtures as mail programs and servers write them, read from a real server; anything."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Page
from connectors.email.box import internal_date
from connectors.email.parse import Reader, message_of, people, read_headers
from connectors.email.place import Place, begin
from connectors.email.structure import Part, Unreadable, answers, parts_of, read_fetch
from connectors.email.text import TEXT_LENGTH_MAX, decoded, from_html, own_words
from rules.message import Message
from simulator.world import FixedClock
from tests.connectors.email_support import HANDLE, NOON, Desk
from tests.mailbox import PASSWORD, mailbox

FIXTURES = Path(__file__).parent / "fixtures" / "email"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected.json").read_text("utf-8"))
READER = Reader("acme", HANDLE, frozenset({HANDLE, "bo@acme.example"}), ours=False)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """All fixtures, delivered to one mailbox and read from there, one a page."""
    found: dict[str, Page] = {}
    with mailbox() as server, pytest.MonkeyPatch.context() as monkeypatch:
        mails = [(FIXTURES / f"{name}.eml").read_bytes() for name in EXPECTED]
        server.put(HANDLE, *mails, at=NOON - timedelta(minutes=1))
        desk = Desk(tmp_path_factory.mktemp("state"), monkeypatch)
        url = f"imap://127.0.0.1:{server.imap_port}"
        given: dict[str, Any] = {"password": PASSWORD, "aliases": ["Bo@acme.example"], "page_size": 1}
        connector = desk.connector(url, FixedClock(NOON), **given)
        cursor = None
        for name in EXPECTED:
            found[name] = connector.poll("inbox", cursor, 5)
            cursor = found[name].cursor
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_mails_are_understood_as_people_would(pages: dict[str, Page], name: str) -> None:
    """Who wrote, in which conversation, their own words without quotes or signature, and as a person."""
    expected, page = EXPECTED[name], pages[name]
    assert [r.reason for r in page.rejected] == ([expected["rejected"]] if "rejected" in expected else [])
    if "none" in expected or "rejected" in expected:
        assert page.messages == ()
        return
    (message,) = page.messages
    storable(message)
    author = message.author
    said = {
        "text": message.text,
        "author": author.id,
        "name": author.name,
        "automated": author.automated,
        "brand": author.brand,
        "conversation": message.conversation,
        "parent": message.parent,
        "client": message.client,
        "to": list(message.to),
    }
    assert {key: said[key] for key in expected if key != "contains"} == {
        key: value for key, value in expected.items() if key != "contains"
    }
    assert expected.get("contains", "") in message.text


def test_every_fixture_is_expected_to_say_something() -> None:
    """A mail that nobody looks at proves nothing."""
    assert {path.stem for path in FIXTURES.glob("*.eml")} == set(EXPECTED)


def storable(message: Message) -> None:
    """As a database and JSON need it."""
    for said in (
        message.id,
        message.conversation,
        message.text,
        message.author.id,
        message.author.name or "",
    ):
        said.encode("utf-8")
        assert "\0" not in said
    assert message.id and message.author.id and not message.public


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("On Monday I called.\nYour agent wrote:\nnever again", None),
        ("> quoted only", "> quoted only"),
        ("-----Original Message-----\nall of it", "-----Original Message-----\nall of it"),
        ("yes\n\nAm 02.11.2026 um 11:00 schrieb Acme Help <h@acme.example>:\n> Geht es?\n", "yes"),
        ("From: the heart\nI hate this", None),
        ("one\n--\nnot a signature, since it is long\n" + "line\n" * 30, None),
        ("x" * 100_000, "x" * TEXT_LENGTH_MAX),
        ("Begin\n\n\n\n\nend", "Begin\n\nend"),
    ],
)
def test_words_are_cut_only_where_they_are_surely_anothers(text: str, own: str | None) -> None:
    """A complaint is not lost to a line that looks like a quotation."""
    assert own_words(text) == (text.strip() if own is None else own)


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["> a", "On x wrote:", "From: a b c", "Sent: x", "--", "", "hi"])).map(
        "\n".join
    )
)
def test_own_words_are_never_nothing(text: str) -> None:
    """Whatever is cut, something is left of what had words."""
    assert bool(own_words(text)) == bool(text.strip())


HTML = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<div class='gmail_quote'>",
            "</div>",
            "<!--",
            "-->",
            "<",
            ">",
            "&#",
            "9" * 5000,
            ";",
            "<style>",
            "</style>",
            "<br/>",
            "word",
            "&amp;",
            "<a href='",
            "<blockquote>",
            "<p style='display:none'>",
        ]
    ),
    max_size=30,
).map("".join)


@given(HTML | st.text(max_size=200))
def test_no_html_breaks_the_reading(html: str) -> None:
    """It is what customers' programs make of it."""
    assert "\0" not in own_words(from_html(html.replace("\0", "")))


@pytest.mark.parametrize(
    "html",
    ["<a/" * 30_000, "<!--" * 20_000, "<" * 90_000, '<a b="' * 15_000, "<style>" * 12_000, "<p>" * 30_000],
)
def test_hostile_html_takes_no_time(html: str, stopwatch: Any) -> None:
    """One mail must not hold up all others for half a minute."""
    began = stopwatch()
    from_html(html)
    assert stopwatch() - began < 1


@given(
    st.binary(max_size=200),
    st.sampled_from(["base64", "quoted-printable", "7bit", "x-odd", ""]),
    st.sampled_from(["utf-8", "utf-16", "koi8-r", "rot13", "hex", "idna", "no\0", "", "utf-7"]),
)
def test_no_text_breaks_the_reading(raw: bytes, encoding: str, charset: str) -> None:
    """Wrongly encoded, cut off, in a charset that is none: letters are lost, never the mail."""
    text = decoded(raw, encoding, charset)
    text.encode("utf-8")
    assert "\0" not in text and "\r" not in text


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "From",
            "To",
            "Subject",
            "Message-ID",
            "References",
            "In-Reply-To",
            "List-Id",
            "Reply-To",
            "Auto-Submitted",
        ]
    ),
    st.text(max_size=60)
    | st.sampled_from(
        [
            "a@b.example",
            "<a@b>",
            '"x" <a@b',
            "=?utf-8?b?",
            "=?x?q?=00?=",
            "<" * 50,
            "(" * 50,
            '"' * 9,
            "a@b, c@d",
        ]
    ),
)


@given(HEADERS, st.text(max_size=50), st.booleans())
def test_no_headers_break_the_reading(headers: dict[str, str], text: str, ours: bool) -> None:
    """Whatever stands there, it is a message that can be stored, or rejected."""
    raw = "\r\n".join(f"{name}: {value}" for name, value in headers.items()).encode(
        "utf-8", "surrogateescape"
    )
    reader = Reader("acme", HANDLE, READER.own, ours)
    part = Part("1", "text/plain", "", "", 1, headers.get("Subject"), True)
    try:
        message = message_of(read_headers(raw), text.replace("\0", ""), [part], NOON, reader)
    except Unreadable:
        return
    if message is not None:
        storable(message)
        assert message.parent != message.id


PIECES = st.lists(
    st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                b"(",
                b")",
                b'"',
                b"UID ",
                b"1 ",
                b"NIL ",
                b'"TEXT" ',
                b"BODYSTRUCTURE ",
                b"BODY[1]<0> ",
                b"{5}",
                b"[",
                b"\\",
            ]
        ),
        max_size=25,
    ).map(b"".join)
    | st.tuples(st.binary(max_size=20), st.binary(max_size=20)),
    max_size=6,
)


@given(PIECES)
def test_no_answer_of_a_server_breaks_the_reading(pieces: list[Any]) -> None:
    """It is parts of a mail, or it is told to be none."""
    for answer in answers(pieces):
        try:
            said = read_fetch(answer)
            parts_of(said.get("BODYSTRUCTURE"))
        except Unreadable:
            continue


def test_a_structure_that_is_nested_without_end_is_refused() -> None:
    """A mail may hold a mail may hold a mail; nobody has to follow."""
    with pytest.raises(Unreadable, match="too deep"):
        read_fetch([b"1 (BODYSTRUCTURE " + b"(" * 5000 + b")" * 5000 + b")"])
    wide = b'("TEXT" "PLAIN" NIL NIL NIL "7BIT" 1 1)' * 5000
    assert len(parts_of(read_fetch([b"1 (BODYSTRUCTURE (" + wide + b' "MIXED"))'])["BODYSTRUCTURE"])) == 200


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (b"02-Nov-2026 12:00:00 +0000", "2026-11-02T12:00:00+00:00"),
        (b" 2-Nov-2026 12:00:00 +0530", "2026-11-02T06:30:00+00:00"),
        (b"02-nov-2026 12:00:00 -0800", "2026-11-02T20:00:00+00:00"),
        (b"31-Feb-2026 12:00:00 +0000", None),
        (b"02-Xyz-2026 12:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +2359", None),
        (b"yesterday", None),
        (None, None),
    ],
)
def test_when_the_server_got_a_mail(said: Any, at: str | None) -> None:
    """In whatever zone the server counts."""
    found = internal_date(said)
    assert (None if found is None else found.isoformat()) == at


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=9,
)


@given(
    st.dictionaries(
        st.sampled_from(["v", "since", "marks", "x"]),
        ANYTHING
        | st.just(1)
        | st.just(NOON.isoformat())
        | st.dictionaries(
            st.text(max_size=3),
            st.dictionaries(st.sampled_from(["validity", "uid", "since", "read_at"]), ANYTHING, max_size=4),
            max_size=2,
        ),
    )
)
def test_a_cursor_is_read_or_refused(cursor: dict[str, Any]) -> None:
    """Whatever stands in the database, it is a place to go on from or a plain error."""
    try:
        place = Place.read(cursor)
    except ValueError:
        place, gap = begin(cursor, NOON, timedelta(days=1))
        assert gap
    assert Place.read(json.loads(json.dumps(place.written()))) == place


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ('"acmehelp@acme.example" <EVE@evil.example>', [("eve@evil.example", "acmehelp@acme.example")]),
        ('"<ann@mail.example>, x" <eve@evil.example>', [("eve@evil.example", "<ann@mail.example>, x")]),
        ("Bee, Ann <ann@mail.example>", [("ann@mail.example", "Bee, Ann")]),
        ("a@b.example, B <b@b.example>", [("a@b.example", None), ("b@b.example", "B")]),
        ("ann@mail.example (Ann Bee)", [("ann@mail.example", None)]),
        (r'"Ann \"the\" Bee" <ann@mail.example>', [("ann@mail.example", 'Ann "the" Bee')]),
        ("=?utf-8?q?B=2C_Zo=C3=AB?= <zoe@mail.example>", [("zoe@mail.example", "B, Zoë")]),
        ("undisclosed-recipients:;", []),
        ("Team: a@b.example, c@d.example;", [("a@b.example", "Team:"), ("c@d.example", None)]),
        ("MAILER-DAEMON", [("mailer-daemon", None)]),
        ("Mail Delivery <MAILER-DAEMON>", [("mailer-daemon", "Mail Delivery")]),
        ("<>", []),
        ("nobody at all", []),
        ('"unclosed <ann@mail.example>', [("ann@mail.example", "unclosed")]),
        (", ".join(f"p{n}@x.example" for n in range(99)), [(f"p{n}@x.example", None) for n in range(20)]),
    ],
)
def test_who_is_named_in_a_header(header: str, named: list[tuple[str, str | None]]) -> None:
    """Whoever calls themselves by our address does not write from it; a comma costs nobody's complaint."""
    assert [(person.address, person.name) for person in people(header)] == named
