"""Parsing: from the bytes of a page to messages, for each platform that speaks JSON, on its recorded-style bodies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.app_store import parse_reviews as parse_app_store
from connectors.bluesky import parse as bluesky
from connectors.google_play import parse_reviews as parse_google_play
from connectors.mastodon import parse as mastodon
from connectors.reddit import parse as reddit
from connectors.reviews import Place, messages_of
from connectors.x import parse as x
from rules.message import Kind
from wire.lenient import read_lenient

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parents[1] / "tests" / "connectors" / "fixtures"
ROUNDS, TRIES = 200, 5
_BRAND = frozenset({"acmehelp", "acme"})


def _reviews(parse: Callable[[Any], Any], body: Any) -> int:
    place = Place("acme", "reviews", "acme")
    return sum(len(messages_of(review, place, NOW)) for review in parse(body)[0])


def _pages() -> dict[str, tuple[bytes, Callable[[bytes], int]]]:
    """A page of each platform, and what counts its messages."""
    x_reader = x.Reader("acme", "acmehelp", "100", _BRAND)
    reddit_reader = reddit.Reader("acme", "acmehelp", "acmehelp", _BRAND)
    bluesky_reader = bluesky.Reader("acme", "acmehelp", "did:plc:h1", "acmehelp.bsky.social", _BRAND)
    mastodon_reader = mastodon.Reader("acme", "acmehelp", "101", "acmehelp", "m.example", _BRAND)

    def read(*path: str) -> bytes:
        return FIXTURES.joinpath(*path).read_bytes()

    at = {"seconds": "1793527200", "nanos": 1}
    comments = [{"userComment": {"text": "Bad\tIt fails", "lastModified": at, "starRating": 1}}]
    play = {"reviews": [{"reviewId": f"gp:{n}", "authorName": "A", "comments": comments} for n in range(100)]}
    attributes = {"rating": 1, "title": "Bad", "body": "It fails", "createdDate": "2026-11-01T03:00:00-07:00"}
    apple = {"data": [{"id": f"r-{n}", "attributes": attributes} for n in range(200)]}
    return {
        "x": (
            read("x", "mentions_tweet.json"),
            lambda raw: len(x.parse_posts(x.read_json(raw, "a page"), x_reader, NOW).messages),
        ),
        "reddit": (
            read("reddit", "inbox.json"),
            lambda raw: len(
                reddit.parse_listing(read_lenient(raw), reddit_reader, NOW, tuple(Kind), "a page").messages
            ),
        ),
        "bluesky": (
            read("bluesky", "notifications.json"),
            lambda raw: len(bluesky.parse_notifications(read_lenient(raw), bluesky_reader, NOW).messages),
        ),
        "mastodon": (
            read("mastodon", "notifications.json"),
            lambda raw: len(mastodon.parse_notifications(read_lenient(raw), mastodon_reader, NOW).messages),
        ),
        "app_store": (json.dumps(apple).encode(), lambda raw: _reviews(parse_app_store, read_lenient(raw))),
        "google_play": (
            json.dumps(play).encode(),
            lambda raw: _reviews(parse_google_play, read_lenient(raw)),
        ),
    }


def parsing() -> dict[str, Any]:
    """Messages a second from bytes to messages, and how many times the time of `json.loads` alone that is."""
    found: dict[str, Any] = {}
    for name, (raw, count) in _pages().items():
        messages = count(raw)
        spent = min(_seconds(count, raw) for _ in range(TRIES))
        bare = min(_seconds(json.loads, raw) for _ in range(TRIES))
        found[f"{name} (aim ≥ 20,000 a second)"] = (
            f"{round(messages / spent):,} a second, {spent / bare:.1f} × json.loads"
        )
    return found


def _seconds(call: Callable[[bytes], Any], raw: bytes) -> float:
    """How long one call takes, on the average of many."""
    began = time.perf_counter()
    for _ in range(ROUNDS):
        call(raw)
    return (time.perf_counter() - began) / ROUNDS
