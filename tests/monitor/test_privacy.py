"""What customers wrote reaches a channel only as that channel may show it: real steps, real channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from monitor.act import act
from monitor.config import Show
from monitor.dispatch import dispatch_once
from monitor.showing import Showing
from rules.alert import Alert, Stage
from rules.case import Action, Word
from rules.message import Author, Kind
from rules.privacy import EVERYTHING, Private
from rules.routes import Route
from rules.storms import StormPolicy
from tests.alerts.build import BENCHES
from tests.monitor.build import House, Sink, at, customer, house

WORDS = (
    "@acme my parcel never arrived and nobody answers! Call +44 7700 900123 or jane.doe@example.com, "
    "12 High Street, card 4111 1111 1111 1111, IBAN DE89370400440532013000, order 12345678 of 01.02.2026"
)
SECRETS = ("7700 900123", "jane.doe", "High Street", "4111 1111", "DE8937")
TWO = (Route("care", "#care", frozenset(Stage)), Route("wall", "#wall", frozenset(Stage)))


def told(home: House, minute: float, channel: str = "care") -> list[Alert]:
    """What that channel is told by then."""
    sink = Sink(recipient=f"#{channel}")
    while dispatch_once(home.store, home.policy, channel, sink, at(minute)).outcome == "delivered":
        pass
    return [alert for alert, _ in sink.sent]


def words_of(alert: Alert) -> str:
    """All that an alert holds, as one text."""
    return repr(alert)


def test_no_channel_is_told_what_gives_a_customer_away(tmp_path: Path) -> None:
    """From the post to the alert: number, address, card and account are masked, and the order number stays.
    No word of the config was needed."""
    home = house(tmp_path)
    home.take(0, customer("1", 0, WORDS))
    for minute in (8, 13, 16):
        home.watch(minute)
        (alert,) = told(home, minute)
        assert alert.case is not None and alert.case.text is not None
        assert "order 12345678 of 01.02.2026" in alert.case.text
        for mark in ("[phone]", "[email]", "[card]", "[IBAN]", "[address]"):
            assert mark in alert.case.text
        assert [secret for secret in SECRETS if secret in words_of(alert)] == []


@pytest.mark.parametrize("name", BENCHES)
def test_every_channel_is_handed_masked_words(name: str, tmp_path: Path) -> None:
    """What goes over the line to the service, in whatever form it does, holds nothing of it."""
    home = house(tmp_path)
    home.take(0, customer("1", 0, WORDS))
    home.watch(16)
    with BENCHES[name]() as made:
        done = dispatch_once(home.store, home.policy, "care", made.make(), at(16))
        assert done.outcome == "delivered", done.detail
        sent = " ".join(text for received in made.received() for text in received.texts)
    assert "parcel never arrived" in sent and "order 12345678" in sent
    assert [secret for secret in SECRETS if secret in sent] == []


def test_each_channel_shows_what_it_may(tmp_path: Path) -> None:
    """The care team sees it all, and the wall in the corridor no word of what was written."""
    shows = {"care": Show.ALL, "wall": Show.NOTHING}
    home = house(tmp_path, routes=TWO, shows=shows)
    url = "https://www.reddit.example/r/acme/comments/1abc/my_parcel_never_arrived/"
    home.take(0, customer("1", 0, WORDS, url=url))
    home.watch(16)
    (care,), (wall,) = told(home, 16, "care"), told(home, 16, "wall")
    assert care.case is not None and wall.case is not None
    assert (care.case.text, care.case.url) == (WORDS, url)
    assert wall.case.text is None
    assert wall.case.url == "https://www.reddit.example/r/acme/comments/1abc/_/"
    assert wall.case.customer == care.case.customer == "@ana"
    assert any('"' in reason for reason in care.case.reasons)
    assert [reason.partition(":")[0] for reason in care.case.reasons] == list(wall.case.reasons)
    assert "parcel" not in words_of(wall)


def test_a_private_message_needs_both_words(tmp_path: Path) -> None:
    """`show = "all"` shows no private message; `show_dm_text` does, masked unless all is shown."""
    for dms, show, expected in (
        (False, Show.ALL, None),
        (True, Show.MASKED, "call me on [phone]"),
        (True, Show.ALL, "call me on 07700 900123"),
        (True, Show.NOTHING, None),
    ):
        home = house(tmp_path / f"{dms}{show}", show_dm_text=dms, shows={"care": show})
        home.take(0, customer("1", 0, "call me on 07700 900123", kind=Kind.DM, public=False))
        home.watch(16)
        (alert,) = told(home, 16)
        assert alert.case is not None and alert.case.text == expected


def test_only_what_the_team_names_is_masked(tmp_path: Path) -> None:
    """`mask = ["card"]` masks cards and nothing else; `mask = []` nothing at all."""
    for kinds, missing in ((frozenset({Private.CARD}), {"4111 1111"}), (frozenset[Private](), set[str]())):
        home = house(tmp_path / str(len(kinds)), mask=kinds)
        home.take(0, customer("1", 0, WORDS))
        home.watch(16)
        (alert,) = told(home, 16)
        assert alert.case is not None and alert.case.text is not None
        assert {secret for secret in SECRETS if secret not in alert.case.text} == missing


def test_how_it_ended_is_masked_too(tmp_path: Path) -> None:
    """An all-clear says by whom, and not by which address of a customer or a colleague."""
    home = house(tmp_path)
    home.take(0, customer("1", 0, WORDS))
    home.watch(16)
    told(home, 16)
    act(home.store, home.policy, Action(Word.RESOLVE, "1", "olga@acme.example", at(17)), at(17))
    home.watch(17)
    (alert,) = told(home, 17)
    assert alert.case is not None and alert.case.outcome == "resolved by [email]"


def test_names_that_are_addresses_are_masked(tmp_path: Path) -> None:
    """Who writes by email, or calls himself a phone number, is told as such and not by it."""
    for number, (kind, author) in enumerate(
        (
            (Kind.EMAIL, Author("jane.doe@example.com", "jane.doe@example.com")),
            (Kind.EMAIL, Author("a1", None, name="+44 7700 900123")),
            (Kind.REVIEW, Author("a2", None, name="jane.doe@example.com")),
        )
    ):
        home = house(tmp_path / str(number))
        home.take(0, customer("1", 0, kind=kind, author=author))
        home.watch(16)
        (alert,) = told(home, 16)
        assert alert.case is not None and alert.case.customer in ("[email]", "[phone]")


def test_a_storm_counts_no_word_of_an_address(tmp_path: Path) -> None:
    """The common words of a storm are what it is about: no street, no mask, and none at all where the channel
    shows nothing."""
    home = house(
        tmp_path,
        routes=TWO,
        shows={"wall": Show.NOTHING},
        storm=StormPolicy(cases=3),
    )
    for number in range(6):
        text = f"@acme the courier never came to {number + 2} Rosenbaum Street, mail jane{number}@example.com"
        home.take(0, customer(str(number), 0, text, who=f"c{number}"))
    home.watch(8)
    (care,), (wall,) = told(home, 8, "care"), told(home, 8, "wall")
    assert care.storm is not None and wall.storm is not None
    words = {word for word, _ in care.storm.words}
    assert "courier" in words
    assert words & {"rosenbaum", "street", "address", "email", "jane"} == set()
    assert wall.storm.words == ()


def test_a_quote_shows_no_half_of_a_number() -> None:
    """A reason that quotes a part of what is masked in the text quotes nothing; other quotes stay."""
    showing = Showing(Show.MASKED, EVERYTHING)
    text = "Please CALL me on 07700  900123, my parcel never arrived"
    reasons = ('asks: "call me on 07700"', 'says: "Parcel never arrived"', "gives 1 of 5 stars")
    assert showing.reasons(reasons, [text]) == ("asks", 'says: "Parcel never arrived"', "gives 1 of 5 stars")
    # Of a message that is not at hand, what may be half of something is left out.
    of_another = ('asks: "on 07700"', 'asks: "jane.doe@exam…"', 'says: "waiting for 5 days"')
    assert showing.reasons(of_another, []) == ("asks", "asks", 'says: "waiting for 5 days"')
    assert Showing(Show.MASKED, frozenset()).reasons(of_another, []) == of_another


def test_letters_that_nobody_sees_part_no_number() -> None:
    """A number with a terminal sequence or an invisible letter inside would be whole again once a channel has
    taken these out: it is masked before."""
    showing = Showing(Show.MASKED, EVERYTHING)
    for inside in ("\x1b[0m", "\u200b", "\x00", "\u202e", "\x1b]0;title\x07"):
        assert "900123" not in (showing.text(f"call 07700 9{inside}00123 now") or "")


def test_a_link_keeps_its_words_unless_they_say_too_much() -> None:
    """A link leads to the post in every case; its title is dropped where it holds a number, or nothing is
    shown."""
    head = "https://www.reddit.example/r/acme/comments/1abc"
    for show, title, expected in (
        (Show.MASKED, "my_parcel", "my_parcel"),
        (Show.MASKED, "call_me_on_07700_900123", "_"),
        (Show.NOTHING, "my_parcel", "_"),
        (Show.ALL, "call_me_on_07700_900123", "call_me_on_07700_900123"),
    ):
        assert Showing(show, EVERYTHING).link(f"{head}/{title}/x1/") == f"{head}/{expected}/x1/"
    plain = "https://x.example/i/status/1234567890123456789"
    assert Showing(Show.NOTHING, EVERYTHING).link(plain) == plain
    assert Showing(Show.NOTHING, EVERYTHING).link(None) is None


def test_a_channel_that_is_no_more_in_the_config_shows_masked_words(tmp_path: Path) -> None:
    """What a dropped channel still had to say is not shown whole: nobody said that it may."""
    home = house(tmp_path, shows={"care": Show.ALL})
    home.take(0, customer("1", 0, WORDS))
    home.watch(16)
    home.policy = replace(home.policy, shows={"other": Show.ALL})
    (alert,) = told(home, 16)
    assert [secret for secret in SECRETS if secret in words_of(alert)] == []
