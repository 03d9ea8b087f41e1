"""What a text gives away is masked, and what a care agent needs is not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.privacy import BLANKS, EVERYTHING, LENGTH_MAX, MASKS, Private, mask

MASKED = """
Mail me at jane.doe+shop@example.co.uk please | Mail me at [email] please
(jane@example.com), jörg.müller@exämple.de! | ([email]), [email]!
Call 07700 900123 or (020) 7946 0123 | Call [phone] or [phone]
My mobile is 07700900123, thanks | My mobile is [phone], thanks
I am on +44 7700 900123 or +44 (0)20 7946 0123. | I am on [phone] or [phone].
write to (020) 7946 0123 or (030) 1234567 | write to [phone] or [phone]
Call me back: (402) 555-0134 or 402.555.0134 | Call me back: [phone] or [phone]
my number is 4025550134 | my number is [phone]
Ruft an: 030 1234567, 0170/1234567 oder 0049 30 1234567 | Ruft an: [phone], [phone] oder [phone]
oder 0170-12-34567, почта@пример.рф | oder [phone], [email]
Handy 0151 23456789 seit 01.02.2026 | Handy [phone] seit 01.02.2026
Appelez-moi au 06 12 34 56 78 / 01.23.45.67.89 | Appelez-moi au [phone] / [phone]
joignable au +33 6 12 34 56 78 avant 18:30 | joignable au [phone] avant 18:30
Llámame al 612345678 o al 612 345 678 o al 91 123 45 67 | Llámame al [phone] o al [phone] o al [phone]
https://wa.me/447700900123 hier | https://wa.me/[phone] hier
07700 900123 12.03.2026 10:30 | [phone] 12.03.2026 10:30
我的电话07700900123谢谢 | 我的电话[phone]谢谢
٠٧٧٠٠٩٠٠١٢٣ and jane＠example.com | [phone] and [email]
card 4111 1111 1111 1111 12/27 123 | card [card] 12/27 123
5500-0000-0000-0004, 378282246310005 | [card], [card]
IBAN DE89 3704 0044 0532 0130 00 bitte | IBAN [IBAN] bitte
GB82WEST12345698765432 or FR14 2004 1010 0505 0001 3M02 606 | [IBAN] or [IBAN]
ES91 2100 0418 4502 0005 1332 es la mía | [IBAN] es la mía
I live at 221b Baker Street, London NW1 6XE now | I live at [address] now
Flat 4, 12 Rose Court, London SW1A 1AA | [address]
it went to 12 high street instead | it went to [address] instead
1600 Pennsylvania Ave NW, Washington, DC 20500 | [address]
Deliver to 5 Elm Drive, please | Deliver to [address], please
1 Infinite Loop, Cupertino, CA 95014 | [address]
Hauptstraße 12, 10115 Berlin. Danke | [address]. Danke
Lange Straße 5, 70173 Stuttgart bitte | [address] bitte
wohne Kleine Gasse 3b. Danke | wohne [address]. Danke
Am Alten Markt 7, 14467 Potsdam | [address]
Goethestr. 3a, 80336 München und Berliner Allee 5 | [address] und [address]
wohne hauptstr. 7b, Am Markt 5, 50667 Köln | wohne [address], [address]
12 bis rue de la Paix, 75002 Paris, merci | [address], merci
j'habite 3 allée des Tilleuls | j'habite [address]
12 place de la République | [address]
Calle Mayor 5, 3º B, 28013 Madrid. Gracias | [address]. Gracias
Vivo en c/ Alcalá, nº 20 y en avenida de la constitución 12 | Vivo en [address] y en [address]
"""

UNTOUCHED = """
@acmehelp order #0123456789 is late since 12:30 on 01.02.2026
order 402-1234567-1234567, ref 07700900123, ticket no. 2026-000123456
Bestellnummer 0123456789, Sendung 00340434161094042557, Auftrag Nr. 0301234567
commande n° 0612345678, suivi 6A12345678901, pedido número 612345678
customer of 012345678, since 0.0123456789 | tracking 1Z999AA10123456784, ISBN 978-3-16-148410-0
@jane@mastodon.example and @07700900123 say so
24/7 support, 10:30-11:45, 2026-03-04T12:30, 12/27, 3 x 4 = 12
£1,299.99, 1.234.567,89 €, 600 000 000 views, $402 555 0134, 0.123456789
4111 1111 1111 1112 is no card, DE88 3704 0044 0532 0130 00 no account
https://x.com/acme/status/4111111111111111 and https://shop.example/order/07700900123
2 people on the road, 3 days on the way, 2 Disney Park tickets
Auf dem Heimweg 2 Stunden gewartet, Was für eine Straße 3 Autos, Im Januar 2026
Diese Straße 5 mal, Lange Straße 3 Autos, the 2 way street
IMEI 490154203237518, imei no.: 490154203237518
3 Main Points, Great Ideas, OK 12
1 place de concert, 1 cours de yoga, 2 rue pour rien
la calle con 3 perros, paseo de 2 horas, plaza 3
ping me @ work, a@b, me@localhost
Version 1.2.3.4, 192.168.100.200, 12345678901234
zip 20500, room 1204, iPhone 15 Pro, 5G, B2B, A4
""".strip().splitlines()


def rows() -> list[tuple[str, str]]:
    return [(line.split(" | ")[0], line.split(" | ")[1]) for line in MASKED.strip().splitlines()]


@pytest.mark.parametrize(("text", "expected"), rows())
def test_what_gives_a_person_away_is_masked(text: str, expected: str) -> None:
    """A customer who writes a number or an address in public is not spread by us: in five languages."""
    assert mask(text) == expected


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_a_care_agent_needs_survives(text: str) -> None:
    """Order numbers, handles, dates, times, prices, links and plain words are shown as they were written."""
    assert mask(text) == text


def test_each_kind_is_masked_only_if_the_team_wants_it() -> None:
    """Of five things in a text exactly those are masked that are asked for; none: the text is as it was."""
    parts = {
        Private.EMAIL: "jane@example.com",
        Private.PHONE: "07700 900123",
        Private.CARD: "4111 1111 1111 1111",
        Private.IBAN: "DE89370400440532013000",
        Private.ADDRESS: "12 High Street",
    }
    text = " ; ".join(parts.values())
    for kind in Private:
        assert mask(text, [kind]) == text.replace(parts[kind], MASKS[kind])
    assert mask(text, []) == text
    assert mask(text) == " ; ".join(MASKS[kind] for kind in parts)
    assert mask(text, EVERYTHING, BLANKS).strip(" ;") == ""


def test_digits_of_an_address_are_no_phone_number() -> None:
    """Where email addresses may be shown, the number in one is not cut out of it."""
    assert mask("07700900123@example.com", [Private.PHONE]) == "07700900123@example.com"


@pytest.mark.parametrize(
    "country", ["DE89370400440532013000", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"]
)
def test_an_account_number_with_one_wrong_digit_is_none(country: str) -> None:
    """The check digits decide, so that what merely looks like an IBAN stays."""
    assert mask(f"to {country}!") == "to [IBAN]!"
    wrong = country[:-2] + ("1" if country[-2] != "1" else "2") + country[-1]
    assert mask(wrong) == wrong


_TOKENS = st.sampled_from(
    (
        "07700 900123 4111 1111-1111 @ jane example.com . , / + ( ) DE89 3704 0044 0532 0130 00 12 High"
        " Street rue de calle c/ Straße str. 10115 Berlin SW1A 1AA # order no \n \u200b \ud800 é ٣ ＠ https://"
        " wa.me/ 01.02.2026 12:30 [phone] [email] bis Am 5"
    ).split(" ")
)
_HOSTILE = st.one_of(
    st.text(max_size=300), st.lists(_TOKENS, max_size=40).map("".join), st.lists(_TOKENS).map(" ".join)
)


@settings(max_examples=300, deadline=None)
@given(_HOSTILE)
def test_masking_twice_is_masking_once(text: str) -> None:
    """Whatever people write, it never fails, it is bounded, and nothing is left that would be masked."""
    once = mask(text)
    assert mask(once) == once
    assert len(once) <= LENGTH_MAX


@settings(max_examples=150, deadline=None)
@given(_HOSTILE, _HOSTILE, st.sampled_from(["jane@example.com", "+44 7700 900123", "DE89370400440532013000"]))
def test_no_words_around_it_let_it_through(before: str, after: str, secret: str) -> None:
    """An address, an international number or an IBAN that stands on a line of its own is masked, whatever
    stands on the lines around it."""
    assert secret not in mask(f"{before}\n{secret}\n{after}")


@settings(max_examples=200, deadline=None)
@given(
    st.text(
        alphabet=st.characters(exclude_categories=["Nd", "Nl", "No"], exclude_characters="@＠﹫"),
        max_size=300,
    )
)
def test_words_without_digits_are_never_touched(text: str) -> None:
    """Mere words are shown as they were written."""
    assert mask(text) == text


@pytest.mark.parametrize(
    "unit",
    [
        "0 ",
        "07700 ",
        "4111 1111 1111 1111 ",
        "a.b@c.d",
        "1 Aa Bb St, ",
        "12.3.",
        "DE89 ",
        "(0",
        "0\u200b",
        "é",
    ],
)
def test_a_hostile_text_costs_no_more_than_its_length(unit: str) -> None:
    """The work is counted, not timed: for each letter at most so much, whatever stands before and after it;
    and a text of any length is no more work than one at the bound."""
    for length in (LENGTH_MAX // 10, LENGTH_MAX // 2, LENGTH_MAX, 40 * LENGTH_MAX):
        assert _calls(unit, length) <= 40 * min(length, LENGTH_MAX)


def _calls(unit: str, length: int) -> int:
    """How much work the masking of a text of that length is, in calls."""
    import sys

    calls = 0

    def count(frame: object, what: str, argument: object) -> None:
        nonlocal calls
        calls += what == "c_call"

    text = (unit * length)[:length]
    sys.setprofile(count)
    try:
        mask(text)
    finally:
        sys.setprofile(None)
    return calls


def test_a_long_text_is_cut_and_shows_no_half_number() -> None:
    """What is cut at the bound is cut for good: at every place that a number may straddle it."""
    number = "+44 7700 900123"
    for length in range(LENGTH_MAX - len(number) - 2, LENGTH_MAX + 1):
        masked = mask("a" * (length - 1) + " " + number + " and more" * 99)
        assert len(masked) <= LENGTH_MAX
        assert "7700 9001" not in masked


def test_random_digits_are_rarely_cards() -> None:
    """Of order numbers with 16 random digits at most one in ten is taken for a card: Luhn's check and what
    card numbers begin with let no more through."""
    rng = random.Random(4)
    numbers = ["".join(rng.choices("0123456789", k=16)) for _ in range(1000)]
    assert sum(mask(number) != number for number in numbers) < 70
