"""What the bounded clients promise whatever the other side does."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import peers
from wire.errors import Malformed, Refused, RetryAt
from wire.http import HttpClient, HttpOptions, Reply, retry_at
from wire.sessions import new_session

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SMALL = HttpOptions(body_bytes_max=1_000_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nX-Thing: Yes\r\n\r\n" + b'{"ok": true} '
SLOW = [peers.hangs, peers.trickles_head, peers.trickles_body]
Stopwatch = Callable[[], float]


def get(url: str, limit: float = 5.0) -> Reply:
    client = HttpClient(SMALL)
    try:
        return client.request("GET", url + "/secret-path?token=hunter2", time_limit=limit)
    finally:
        client.close()


def test_a_plain_answer_comes_back_whole() -> None:
    """Status, headers and body are what was sent."""
    with peers.peer(peers.says(OK)) as url:
        reply = get(url)
    assert (reply.status, reply.headers["x-thing"], reply.json()) == (200, "Yes", {"ok": True})


@pytest.mark.parametrize("talk", SLOW)
def test_the_time_limit_is_over_the_whole_exchange(talk: peers.Talk, stopwatch: Stopwatch) -> None:
    """A peer that hangs or trickles holds nobody longer than the limit."""
    with peers.peer(talk) as url:
        began = stopwatch()
        with pytest.raises(RetryAt) as told:
            get(url, 0.3)
        assert stopwatch() - began < 3
    assert told.value.accepted_unknown
    assert "within 0.3 s" in told.value.reason


def test_a_flood_is_cut_off() -> None:
    """A body without end costs a bounded piece of memory."""
    with peers.peer(peers.floods) as url, pytest.raises(RetryAt, match="longer than"):
        get(url)


def test_a_compressed_answer_is_refused_unread() -> None:
    """A gzip bomb is never unpacked."""
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with peers.peer(peers.says(head + bomb)) as url, pytest.raises(RetryAt, match="compressed"):
        get(url)


def test_a_redirect_is_not_followed() -> None:
    """Nobody sends us to an address inside our network."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with peers.peer(peers.says(answer)) as url, pytest.raises(Refused, match="redirect"):
        get(url)


def test_it_is_known_whether_the_request_may_have_been_taken() -> None:
    """Nobody there: nothing was sent. Hung up after the request: it may have been."""
    with peers.peer(peers.drops) as url, pytest.raises(RetryAt) as dropped:
        get(url)
    assert dropped.value.accepted_unknown
    with pytest.raises(RetryAt) as absent:
        get(url)
    assert not absent.value.accepted_unknown


def test_no_error_names_the_path_or_the_query() -> None:
    """A webhook's URL is a secret, and errors are shown."""
    with pytest.raises(RetryAt) as told:
        get("http://127.0.0.1:9")
    assert "hunter2" not in str(told.value) and "secret-path" not in str(told.value)


@pytest.mark.parametrize("body", [b"<html>", b'{"a": ', b"[" * 100_000, b"NaN", b"9" * 10_000, b"\xff"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """HTML, half a body, endless nesting and endless numbers are one clear error."""
    with pytest.raises(Malformed):
        Reply(200, {}, body).json()


@pytest.mark.parametrize("talk", SLOW)
def test_a_library_session_keeps_the_limit_too(talk: peers.Talk, stopwatch: Stopwatch) -> None:
    """tweepy and praw cannot be held up either."""
    with peers.peer(talk) as url, new_session(SMALL, {"https://api.example": url}) as session:
        began = stopwatch()
        with pytest.raises(requests.Timeout), session.time_limit(0.3):
            session.get("https://api.example/2/me")
        assert stopwatch() - began < 3


def test_a_library_session_bounds_the_body_and_refuses_compression() -> None:
    """A flood ends as an error of the kind that the libraries expect."""
    with peers.peer(peers.floods) as url, new_session(SMALL, {}) as session:
        with pytest.raises(requests.RequestException):
            session.get(url)
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    with peers.peer(peers.says(packed)) as url, new_session(SMALL, {}) as session:
        with pytest.raises(requests.RequestException):
            session.get(url)


def test_a_library_session_goes_where_it_is_sent_and_remembers_the_headers() -> None:
    """api_url moves the library's requests, and rate-limit headers are not lost."""
    with (
        peers.peer(peers.says(OK)) as url,
        new_session(SMALL, {"https://api.example": url + "/x"}) as session,
    ):
        assert session.get("https://api.example/2/me").json() == {"ok": True}
    assert (session.last_status, session.last_headers["x-thing"]) == (200, "Yes")


def test_a_library_session_follows_no_redirect_to_another_host() -> None:
    """A redirect to another host is an error, not a visit."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with peers.peer(peers.says(answer)) as url, new_session(SMALL, {}) as session:
        with pytest.raises(requests.RequestException, match="another host"):
            session.get(url)


@given(st.one_of(st.text(), st.floats().map(str), st.integers().map(str)))
def test_retry_after_is_clamped_whatever_it_says(value: str) -> None:
    """Missing, negative, a date, a billion: never in the past, never next year."""
    at = retry_at({"retry-after": value}, NOW)
    assert at is None or NOW <= at <= NOW + timedelta(hours=1)


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    """Both forms of the standard are understood."""
    assert retry_at({"retry-after": "30"}, NOW) == NOW + timedelta(seconds=30)
    assert retry_at({"retry-after": "Wed, 04 Mar 2026 12:01:00 GMT"}, NOW) == NOW + timedelta(minutes=1)
    assert retry_at({}, NOW) is None
