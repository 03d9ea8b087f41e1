"""The session that tweepy and prawcore are given, against servers that do everything wrong."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import prawcore
import pytest
import requests
import tweepy

from tests.wire.raw import (
    Line,
    Script,
    answer,
    certificate,
    closed_port,
    endless,
    full_listener,
    saying,
    saying_once,
    serve,
    tunnel,
)
from wire.http import HttpOptions
from wire.sessions import BodyTooLarge, BoundedSession, RedirectRefused, new_session

HEAD = b"HTTP/1.1 200 OK\r\n"
OK = saying(answer(b'{"data":{"id":"1","name":"A","username":"a"}}', "x-rate-limit-remaining: 7"))


@pytest.fixture
def session() -> Iterator[BoundedSession]:
    """A session with a small body limit."""
    with new_session(HttpOptions(body_bytes_max=100_000), {}) as made:
        yield made


def get_error(session: BoundedSession, script: Script, seconds: float = 5) -> requests.RequestException:
    """What a GET of a secret path raises."""
    with (
        serve(script) as server,
        session.time_limit(seconds),
        pytest.raises(requests.RequestException) as caught,
    ):
        session.get(f"{server.url}/hush", params={"token": "hush"})
    assert "hush" not in str(caught.value) + repr(caught.value)
    return caught.value


def test_tweepy_works_through_it_and_the_rate_limit_is_seen() -> None:
    """tweepy is sent to another base URL, and the headers that it drops are at hand."""
    with serve(OK) as server:
        session = new_session(HttpOptions(), {"https://api.twitter.com": f"{server.url}/x/"})
        client = tweepy.Client("token")
        client.session = session
        answered = client.get_me(user_auth=False)
        session.close()
    assert answered.data.username == "a"
    assert server.requests[0].startswith(b"GET /x/2/users/me HTTP/1.1\r\n")
    assert (session.last_status, session.last_headers["X-Rate-Limit-Remaining"]) == (200, "7")


def test_tweepy_knows_a_rate_limit_in_spite_of_a_broken_body() -> None:
    """A 429 whose body is compressed is still a rate limit."""
    limited = answer(b"\x1f\x8b", "Content-Encoding: gzip", "x-rate-limit-reset: 9", status="429 Slow")
    with serve(saying(limited)) as server:
        client = tweepy.Client("token")
        client.session = new_session(HttpOptions(), {"https://api.twitter.com": server.url})
        with pytest.raises(tweepy.TooManyRequests):
            client.get_me(user_auth=False)
        client.session.close()


def test_prawcore_works_through_it_and_sees_redirects_itself() -> None:
    """prawcore is sent to another base URL, and a redirect of a missing subreddit reaches it unfollowed."""
    moved = answer(b"", "Location: http://169.254.169.254/", status="302 Found")
    with serve(saying(moved)) as server:
        session = new_session(HttpOptions(), {"https://oauth.reddit.com": server.url})
        made = prawcore.Requestor(user_agent="test:agent (by me)", session=session)
        reply = made.request("GET", "https://oauth.reddit.com/r/none", allow_redirects=False)
        made.close()
    assert reply.status_code == 302
    assert len(server.requests) == 1


def test_what_a_library_asks_for_is_not_compressed(session: BoundedSession) -> None:
    """Every request asks for the body as it is and names us, whatever the library says."""
    with serve(OK) as server:
        session.post(f"{server.url}/a", json={"a": 1}, headers={"Accept-Encoding": "gzip"})
    assert b"Accept-Encoding: identity" in server.requests[0]
    assert b"User-Agent: response-monitor" in server.requests[0]
    assert server.requests[0].endswith(b'{"a": 1}')


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.x.com/2/a?b=c", "/x/2/a?b=c"),
        ("https://api.x.com", "/x"),
        ("https://api.x.com?b=c", "/x?b=c"),
        ("https://api.x.com/upload/a", "/u/a"),
    ],
)
def test_base_urls_are_exchanged(url: str, expected: str) -> None:
    """A request to a platform goes to the configured place with the rest of its URL; the longest key wins."""
    with serve(OK) as server:
        bases = {"https://api.x.com": f"{server.url}/x", "https://api.x.com/upload": f"{server.url}/u"}
        with new_session(HttpOptions(), bases) as session:
            session.get(url)
    assert server.requests[0].startswith(f"GET {expected} HTTP/1.1\r\n".encode())


def test_a_name_that_only_begins_alike_is_another() -> None:
    """https://api.x.com.evil is not https://api.x.com."""
    with serve(OK) as server, new_session(HttpOptions(), {"https://api.x.com": server.url}) as session:
        with pytest.raises(requests.ConnectionError):
            session.get("https://api.x.com.invalid/2")
    assert server.connections == 0


@pytest.mark.parametrize("base", ["", "127.0.0.1:80", "ftp://a"])
def test_a_base_url_that_is_none_is_said_at_the_start(base: str) -> None:
    """A wrong api_url is found when the session is made."""
    with pytest.raises(ValueError, match="expected http"):
        new_session(HttpOptions(), {"https://api.x.com": base})


def trickled_headers(line: Line) -> None:
    """Header rows without an end."""
    line.read_request()
    line.say(HEAD)
    line.trickle(b"X-Slow: " + b"a" * 5000)


def trickled_body(line: Line) -> None:
    """A body that comes byte by byte."""
    line.read_request()
    line.say(HEAD + b"Content-Length: 5000\r\n\r\n")
    line.trickle(b"a" * 5000)


def trickled_chunks(line: Line) -> None:
    """A chunk size that never ends."""
    line.read_request()
    line.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;")
    line.trickle(b"a" * 5000)


def silent(line: Line) -> None:
    """Takes the request and says nothing."""
    line.read_request()
    line.hang()


def continued(line: Line) -> None:
    """Asks to go on, for ever."""
    line.read_request()
    line.trickle(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.001)


@pytest.mark.parametrize("script", [trickled_headers, trickled_body, trickled_chunks, silent, continued])
def test_an_answer_that_trickles_is_a_timeout(
    session: BoundedSession, script: Script, stopwatch: Callable[[], float]
) -> None:
    """A platform that keeps the line busy holds a poll no longer than allowed."""
    began = stopwatch()
    assert isinstance(get_error(session, script, 0.3), requests.Timeout)
    assert 0.2 < stopwatch() - began < 2
    assert session.last_status is None


def test_a_platform_that_does_not_accept_is_a_connect_timeout(
    session: BoundedSession, stopwatch: Callable[[], float]
) -> None:
    """A hanging connect is given up."""
    began = stopwatch()
    with full_listener() as url, session.time_limit(0.3), pytest.raises(requests.exceptions.ConnectTimeout):
        session.get(url)
    assert stopwatch() - began < 2


def test_a_platform_that_reads_slowly_is_a_timeout(
    session: BoundedSession, stopwatch: Callable[[], float]
) -> None:
    """A large post to somebody who does not read is given up."""
    began = stopwatch()
    with serve(Line.hang) as server, session.time_limit(0.3), pytest.raises(requests.Timeout):
        session.post(server.url, data=bytes(50_000_000))
    assert stopwatch() - began < 2


def test_several_requests_share_one_time_limit(
    session: BoundedSession, stopwatch: Callable[[], float]
) -> None:
    """A library that makes three slow requests in a poll does not get three time limits."""

    def slow(line: Line) -> None:
        while line.read_request():
            line.trickle(answer(b"0123456789"), 0.005)

    began = stopwatch()
    with serve(slow) as server, pytest.raises(requests.Timeout), session.time_limit(0.6):
        for _ in range(100):
            # A time-out that the library asks for does not lengthen ours, nor does a wider limit within it.
            with session.time_limit(60):
                session.get(server.url, timeout=60)
    assert 0.5 < stopwatch() - began < 3
    assert len(server.requests) >= 2


def test_a_limit_ends_with_its_block(session: BoundedSession) -> None:
    """After a poll that ran out of time, the next one has its own."""
    with serve(OK) as server:
        with session.time_limit(0), pytest.raises(requests.Timeout):
            session.get(server.url)
        assert session.get(server.url).status_code == 200


@pytest.mark.parametrize(
    "script",
    [
        saying_once(b""),
        saying_once(HEAD + b"Content-Length: 10\r\n\r\nhalf"),
        saying_once(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe"),
        saying_once(b"SSH-2.0-hush\r\n\r\n"),
        saying_once(HEAD + b"X: " + b"a" * 300_000),
        saying_once(HEAD + b"X: a\r\n" * 200 + b"\r\n"),
    ],
)
def test_a_broken_answer_is_a_connection_error(session: BoundedSession, script: Script) -> None:
    """What the libraries know as a passing trouble is what they get."""
    assert isinstance(get_error(session, script), requests.ConnectionError)


def test_a_refused_connection_says_why(session: BoundedSession) -> None:
    """Nobody listens: the error says where and why, and nothing of the path."""
    with pytest.raises(
        requests.ConnectionError, match=r"127\.0\.0\.1:\d+ failed: Connection refused"
    ) as caught:
        session.get(f"http://127.0.0.1:{closed_port()}/hush?hush")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/hush", "//127.0.0.1:1/hush", "https://127.0.0.1/", "http://[::1", "\xff"],
)
def test_a_redirect_to_another_place_is_refused(session: BoundedSession, target: str) -> None:
    """A redirect to a link-local address, another port or another scheme is not followed."""
    error = get_error(session, saying(answer(b"", f"Location: {target}", status="302 Found")))
    assert isinstance(error, RedirectRefused)


def test_a_redirect_to_the_same_place_is_followed_three_times(session: BoundedSession) -> None:
    """A platform may move a page of its own, but not for ever."""
    round_and_round = saying(answer(b"", "Location: /again", status="302 Found"))
    with serve(round_and_round) as server, pytest.raises(requests.TooManyRedirects):
        session.get(f"{server.url}/a")
    assert len(server.requests) == 4

    def once(line: Line) -> None:
        while request := line.read_request():
            there = request.startswith(b"GET /b ")
            line.say(answer(b"ok") if there else answer(b"", "Location: /b", status="302 Found"))

    with serve(once) as server:
        assert session.get(f"{server.url}/a").content == b"ok"


def test_a_gzip_bomb_is_not_unpacked(session: BoundedSession) -> None:
    """A small compressed body that unpacks to 50 MB costs no memory and is told."""
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        error = get_error(session, saying_once(answer(bomb, "Content-Encoding: gzip")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, requests.exceptions.ContentDecodingError)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (b"Content-Length: 1073741824\r\n\r\n", bytes(65536)),
        (b"\r\n", bytes(65536)),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", (b"1;" + b"x" * 200 + b"\r\na\r\n") * 100),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: a\r\n" * 1000),
    ],
)
def test_a_gigabyte_is_not_read(session: BoundedSession, head: bytes, chunk: bytes) -> None:
    """However a body's length is told, reading stops at the limit."""
    tracemalloc.start()
    try:
        error = get_error(session, endless(HEAD + head, chunk))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, BodyTooLarge)
    assert peak < 5_000_000


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(session: BoundedSession) -> None:
    """The limit is exact."""
    with serve(saying_once(answer(bytes(100_000)))) as server:
        assert len(session.get(server.url).content) == 100_000
    with serve(saying_once(answer(bytes(100_001)))) as server, pytest.raises(BodyTooLarge):
        session.get(server.url)


def test_a_connection_is_used_again_and_never_after_a_half_read_answer(session: BoundedSession) -> None:
    """Pages of one poll share a connection; what is left of a refused answer is never taken for the next."""
    with serve(OK) as server:
        for _ in range(3):
            session.get(server.url)
        assert server.connections == 1
    too_large = answer(bytes(300_000), status="500 Oops")
    with serve(saying(too_large)) as server:
        for _ in range(2):
            reply = session.get(server.url)
            assert (reply.status_code, reply.content) == (500, b"")
        assert server.connections == 2


def test_cookies_are_not_kept(session: BoundedSession) -> None:
    """A platform cannot fill our memory with cookies, nor mark us."""
    with serve(saying(answer(b"ok", "Set-Cookie: a=b; Path=/"))) as server:
        session.get(server.url)
        session.get(server.url)
    assert len(session.cookies) == 0
    assert b"cookie" not in server.requests[1].lower()


def test_an_own_authority_is_trusted_only_when_named(tmp_path: Path) -> None:
    """A company's own CA works once it is configured; switching verification off does not work at all."""
    cert, context = certificate(tmp_path)
    with serve(OK, context) as server:
        with new_session(HttpOptions(ca_file=cert), {}) as trusting:
            assert trusting.get(server.url).status_code == 200
            assert trusting.get(server.url).status_code == 200
        with new_session(HttpOptions(), {}) as strict:
            for verify in (True, False):
                with pytest.raises(requests.exceptions.SSLError, match="self-signed certificate"):
                    strict.get(server.url, verify=verify)


def test_bounds_hold_over_tls(tmp_path: Path, stopwatch: Callable[[], float]) -> None:
    """A trickling answer over TLS ends at the limit, and so does a handshake that nobody answers."""
    cert, context = certificate(tmp_path)
    with new_session(HttpOptions(ca_file=cert, body_bytes_max=100_000), {}) as session:
        for script, tls in ((trickled_headers, context), (trickled_body, context), (Line.hang, None)):
            began = stopwatch()
            with serve(script, tls) as server, session.time_limit(0.4), pytest.raises(requests.Timeout):
                session.get(server.url.replace("http://", "https://"))
            assert stopwatch() - began < 2
        with (
            serve(endless(HEAD + b"\r\n", bytes(65536)), context) as server,
            pytest.raises(BodyTooLarge),
        ):
            session.get(server.url)


def test_a_proxy_is_used_for_both_schemes(tmp_path: Path) -> None:
    """Plain requests go through the proxy, and https is tunnelled with its certificate still checked."""
    cert, context = certificate(tmp_path)
    with serve(tunnel) as proxy, serve(OK, context) as server:
        options = HttpOptions(proxy=proxy.url.replace("://", "://me:hush@"), ca_file=cert)
        with new_session(options, {}) as session:
            assert session.get("http://platform.invalid/x").json() == {"by": "proxy"}
            assert session.get(f"{server.url}/x").status_code == 200
    assert proxy.requests[0].startswith(b"GET http://platform.invalid/x ")
    assert proxy.requests[1].startswith(b"CONNECT 127.0.0.1:")
    assert all(b"Basic bWU6aHVzaA==" in request for request in proxy.requests)


def test_a_proxy_that_trickles_is_a_timeout(stopwatch: Callable[[], float]) -> None:
    """A proxy that never ends its answer to CONNECT holds a poll no longer than allowed."""
    began = stopwatch()
    with serve(trickled_headers) as proxy, new_session(HttpOptions(proxy=proxy.url), {}) as session:
        with session.time_limit(0.3), pytest.raises(requests.Timeout):
            session.get("https://platform.invalid/hush")
    assert stopwatch() - began < 2


def test_a_proxy_that_is_away_is_a_proxy_error() -> None:
    """A proxy that nobody runs is named as such, without its password."""
    proxy = f"http://me:hush@127.0.0.1:{closed_port()}"
    with new_session(HttpOptions(proxy=proxy), {}) as session:
        with pytest.raises(requests.exceptions.ProxyError) as caught:
            session.get("https://platform.invalid/hush")
    assert "hush" not in str(caught.value)


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used: what is not in the config does not hold."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    with serve(OK) as server, new_session(HttpOptions(), {}) as session:
        assert session.get(server.url).status_code == 200


@pytest.mark.parametrize("value", ["Bearer hush\r\nX: y", "Bearer hush€"])
def test_headers_that_cannot_be_sent_are_not_shown(session: BoundedSession, value: str) -> None:
    """A token with a line end in it is refused, and not repeated in the error."""
    with serve(OK) as server, pytest.raises(requests.exceptions.InvalidHeader) as caught:
        session.get(server.url, headers={"Authorization": value})
    assert "hush" not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("url", ["", "hush", "ftp://hush/", "http://[::1", "http://a:99999/hush"])
def test_what_is_no_address_is_refused(session: BoundedSession, url: str) -> None:
    """A wrong URL is said without repeating it."""
    with pytest.raises(requests.exceptions.InvalidURL) as caught:
        session.get(url)
    assert "hush" not in str(caught.value)
