"""Mails look right in a browser, on a phone and on a desk; the pictures of them show this version's mails."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from docs.pictures.browser import Picture, digest, measure
from docs.pictures.draw_mails import WIDTHS, facts, pages, pictures
from rules.alert import Stage
from simulator.mail import MailSink
from simulator.world import FixedClock
from tests.alerts.build import LIMIT, NOON, alert, build_channel, storm_alert, storm_case
from tests.needs import needs
from wire.http import HttpOptions

SIZE_BYTES_MAX = 60_000
LONG = "Donaudampfschifffahrtsgesellschaftskapitän" * 8
WIDE = "W" * 400


@pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)
def test_the_picture_shows_the_mail_of_this_version(picture: Picture) -> None:
    """Who looks at the documentation sees what will be in the mailbox. To draw the pictures anew:
    python -m docs.pictures.draw_mails"""
    png = picture.path.read_bytes()
    assert png.startswith(b"\x89PNG\r\n") and len(png) <= SIZE_BYTES_MAX
    assert struct.unpack(">I", png[16:20])[0] == picture.width
    assert b"tEXtSource\0" + digest(picture.page).encode("ascii") in png


def _hostile_pages() -> dict[str, str]:
    """Mails with the longest words in every place."""
    url = f"https://x.example/{WIDE}"
    texts: dict[str, Any] = {
        "customer": f"@{LONG}",
        "text": f"{WIDE}\n{LONG}",
        "reasons": (WIDE,),
        "caveats": (LONG,),
    }
    breach = alert(Stage.BREACH, **texts, url=url, target_name=WIDE, brand=LONG, case_id=f"acme/x/{WIDE}")
    worst = tuple(storm_case(number, customer=f"@{LONG}", url=url) for number in range(1, 6))
    storm = storm_alert(words=((WIDE, 31), (LONG, 12)), worst=worst, brand=WIDE, queue_command=WIDE)
    arrived = {}
    with MailSink(FixedClock(NOON)) as sink:
        settings = {"host": sink.host, "port": sink.port, "security": "none", "sender": "m@acme.example"}
        settings |= {"recipients": ["c@acme.example"]}
        channel = build_channel("smtp", FixedClock(NOON), settings, HttpOptions())
        for name, given in {"long breach": breach, "long storm": storm}.items():
            channel.send(given, None, LIMIT)
            arrived[name] = sink.mails[-1].part("html")
    return arrived


@pytest.mark.parametrize("width", [*WIDTHS, 320])
def test_nothing_hangs_over_the_edge_of_a_screen(width: int) -> None:
    """On a phone nobody scrolls sideways to read an alert, however long the words are that customers
    write."""
    found = measure(needs("chromium"), pages() | _hostile_pages(), width)
    assert set(found) == {*facts(), "long breach", "long storm"}
    assert {name: wide for name, (wide, _) in found.items() if wide > width} == {}


def test_the_measure_finds_what_hangs_over() -> None:
    """The proof above can fail: a word that cannot be broken is seen."""
    page = f'<!doctype html><meta name="viewport" content="width=device-width"><p>{WIDE}</p>'
    assert measure(needs("chromium"), {"bad": page}, 360)["bad"][0] > 360
