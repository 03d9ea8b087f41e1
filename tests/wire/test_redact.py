"""Secrets are taken out of texts, and foreign text can do nothing to a terminal or a log."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.redact import Redactor, defused, defused_link, inert

SECRETS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=6, max_size=40)
TEXTS = st.text(max_size=100)


@given(SECRETS, TEXTS, TEXTS)
def test_no_form_of_a_secret_is_left(secret: str, before: str, after: str) -> None:
    """A secret is gone from a text as it is, and as URLs, JSON, HTML, repr and base64 write it."""
    redactor = Redactor([secret])
    raw = secret.encode()
    forms = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)]
    forms += [json.dumps(secret)[1:-1], repr(secret)[1:-1], base64.b64encode(raw).decode()]
    forms += [base64.urlsafe_b64encode(raw).decode()]
    for form in forms:
        cleaned = redactor.clean(f"{before}{form}{after}")
        assert form not in cleaned
        assert "***" in cleaned


@given(SECRETS, st.binary(max_size=9), st.binary(max_size=9))
def test_a_secret_inside_of_base64_is_found(secret: str, before: bytes, after: bytes) -> None:
    """Basic authentication does not give a secret away, wherever in it the secret stands."""
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    assert "***" in Redactor([secret]).clean(f"Authorization: Basic {encoded}")


@given(TEXTS)
def test_a_text_without_secrets_stays(text: str) -> None:
    """Nothing else is touched."""
    assert Redactor(["a-secret-that-no-text-holds"]).clean(text) == text
    assert Redactor([]).clean(text) == text


def test_short_values_are_left_alone() -> None:
    """A password of "on" does not turn every log line into stars."""
    assert Redactor(["on", "", "12345"]).clean("on 12345 once") == "on 12345 once"


def test_percent_encoding_in_small_letters_is_found() -> None:
    """Some libraries write %2f for %2F."""
    assert Redactor(["ab/cd+ef"]).clean("x=ab%2fcd%2bef&y") == "x=***&y"


def test_the_longer_of_two_secrets_is_taken_whole() -> None:
    """A token that begins with another one leaves no tail."""
    assert Redactor(["secret-a", "secret-abc"]).clean("secret-abc secret-a") == "*** ***"


def test_a_rotated_secret_is_known_at_once() -> None:
    """After a rotation the new token is taken out, without a restart."""
    tokens = ["first-token"]
    redactor = Redactor(lambda: tokens)
    assert redactor.clean("first-token second-token") == "*** second-token"
    tokens[0] = "second-token"
    assert redactor.clean("second-token") == "***"


def test_a_redactor_does_not_show_what_it_knows() -> None:
    """Logging the redactor itself gives nothing away."""
    redactor = Redactor(["hush-hush"])
    redactor.clean("x")
    assert "hush" not in repr(redactor)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x1b(Btext\x1bc", "text"),
        ("\x1b]0;never ended", "0;never ended"),
        ("a\r\nb\n\n\nc\rd\x0be\u2028f\x85g", "a ⏎ b ⏎ c ⏎ d ⏎ e ⏎ f ⏎ g"),
        ("\n\n a \t b \n", "a   b"),
        ("user\u202egpj.exe", "usergpj.exe"),
        ("\u2066a\u2069\u200bb\ufeff\u061c", "ab"),
        ("a\U000e0041b", "ab"),
        ("a\x00b\x7fc\x08", "abc"),
        ("a\ud800b", "a\ufffdb"),
        ("👩\u200d👧 می\u200cخواهم", "👩\u200d👧 می\u200cخواهم"),
        ("<!channel> =1+1 & <b>", "<!channel> =1+1 & <b>"),
        ("", ""),
    ],
)
def test_foreign_text_is_made_inert(text: str, expected: str) -> None:
    """Each trick has a known, readable outcome; customers' own writing stays as it is."""
    assert inert(text) == expected


NASTY = st.text(
    st.one_of(
        st.sampled_from("\x1b\x9b\x9d[]0;m\x07\\\r\n\t\x00\u202e\u2028\ud800\udc00⏎ a"),
        st.characters(),
    ),
    max_size=200,
)


@given(NASTY, st.integers(0, 60))
def test_nothing_dangerous_is_ever_left(text: str, length_max: int) -> None:
    """Whatever is written: one line, no control letters, no bidi overrides, no surrogates, short enough."""
    safe = inert(text, length_max)
    assert len(safe) <= length_max
    assert len(safe.splitlines()) <= 1
    assert not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in safe)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", safe)
    safe.encode("utf-8")


@given(NASTY, st.integers(1, 60))
def test_making_inert_twice_changes_nothing(text: str, length_max: int) -> None:
    """A text may pass through here as often as it likes."""
    once = inert(text, length_max)
    assert inert(once, length_max) == once


def test_a_long_text_ends_with_an_ellipsis() -> None:
    """What was cut off shows, and the length is kept to the letter."""
    assert inert("a" * 501) == "a" * 499 + "…"
    assert inert("a" * 500) == "a" * 500


@pytest.mark.parametrize("piece", ["\x1b[", "\x1b]", "\x1b[0", "\x1b(", " ", "\n ", "\x9d", "\x1bP0\x1b"])
def test_no_text_is_slow(piece: str, stopwatch: Callable[[], float]) -> None:
    """A post that is made to be hard to clean costs no more than any other."""
    began = stopwatch()
    inert(piece * 50_000 + "x")
    inert(piece + "0" * 200_000)
    assert stopwatch() - began < 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@everyone and @here", "@\u200beveryone and @\u200bhere"),
        ("<!channel> <@U012AB3CD>", "‹!channel› ‹@\u200bU012AB3CD›"),
        ("[your bank](https://evil.example)", "[your bank] (https://evil.example)"),
        ("```\nall that follows", "'''\nall that follows"),
        ("<b>bold</b> & co", "‹b›bold‹/b› & co"),
        ("me@acme.example @ noon", "me@\u200bacme.example @ noon"),
        ("@@everyone", "@\u200b@\u200beveryone"),
        ("https://x.example/a?b=c#d", "https://x.example/a?b=c#d"),
    ],
)
def test_a_text_for_an_unknown_chat_calls_nobody(text: str, expected: str) -> None:
    """Whichever chat an alert ends up in, a post calls nobody there and hides no address."""
    assert defused(text) == expected


@given(NASTY)
def test_defusing_twice_changes_nothing(text: str) -> None:
    """Several hands may defuse the same text."""
    assert defused(defused(text)) == defused(text)


def test_a_link_to_everybody_is_only_a_link() -> None:
    """A customer whose handle is "everyone" calls nobody by the link to the post."""
    assert defused_link("https://m.example/@everyone/1") == "https://m.example/%40everyone/1"
    assert defused_link("https://x.example/a/1") == "https://x.example/a/1"
