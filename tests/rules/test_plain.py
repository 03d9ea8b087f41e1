"""What is found in the plain text is found in the text itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.plain import fold, make_plain


@given(st.text(max_size=200))
def test_every_byte_knows_where_it_came_from(text: str) -> None:
    """Whatever people write, each byte of the plain text points to its character, in order, and the end to
    the end: what is cut out there is cut out here."""
    plain = make_plain(text)
    where = list(plain.where)
    assert plain.data.isascii() and len(where) == len(plain.data) + 1
    assert where == sorted(where) and where[-1] == len(text)
    for at, index in enumerate(where[:-1]):
        assert chr(plain.data[at]) in (fold(text[index]), *fold(text[index]))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("jane＠example．com", b"jane@example.com"),
        ("٠٧٧٠٠ ९", b"07700 9"),
        ("Straße, allée, nº 5", b"Strasse, allee, no 5"),
        ("07\u200b7\x000\u00ad0\u202e9", b"077009"),
        ("a\u00a0b\u2013c\u2212d\te\r\nf", b"a b-c-d e\n\nf"),
        ("5 € £", b"5 $ $"),
        ("电话1 Щщ \ud800½", b";;1 Xx ;;"),
    ],
)
def test_letters_of_other_shapes_are_what_they_look_like(text: str, plain: bytes) -> None:
    """Wide, Arabic and accented letters are read as a person reads them; what nobody sees is not there."""
    assert make_plain(text).data == plain


def test_the_words_beside_a_find_are_bounded() -> None:
    """The words before and after a place, not the whole text."""
    plain = make_plain("a" * 100 + "|" + "b" * 100)
    assert set(plain.before(100)) == {"a"} and set(plain.after(101)) == {"b"}
    assert len(plain.before(100)) == len(plain.after(101)) < 60
