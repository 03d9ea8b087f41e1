"""The HTTP client against servers that do everything wrong."""

from __future__ import annotations

import contextlib
import gzip
import json
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from wire.errors import EdgeError, Malformed, Refused, RetryAt
from wire.http import HttpClient, HttpOptions, Reply, retry_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def client() -> Iterator[HttpClient]:
    """A client with a small body limit."""
    with HttpClient(HttpOptions(body_bytes_max=100_000)) as made:
        yield made


def get_error(client: HttpClient, script: Script, time_limit: float = 5) -> EdgeError:
    """What a GET of a secret path raises."""
    with serve(script) as server, pytest.raises(EdgeError) as caught:
        client.request("GET", f"{server.url}/services/T0/hush?token=hush", time_limit=time_limit)
    assert "hush" not in str(caught.value) + repr(caught.value)
    return caught.value


def test_a_request_arrives_as_it_was_meant(client: HttpClient) -> None:
    """A JSON post arrives with its headers, is asked for uncompressed, and its answer is read."""
    with serve(saying(answer(b'{"ok":true}', "X-Thing: 1", "X-Thing: 2"))) as server:
        reply = client.request(
            "POST", f"{server.url}/a?b=c", headers={"X-Mine": "yes"}, json={"text": "hé"}, time_limit=5
        )
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    rows = head.lower().split(b"\r\n")
    assert rows[0] == b"post /a?b=c http/1.1"
    assert {b"x-mine: yes", b"accept-encoding: identity", b"content-type: application/json"} <= set(rows)
    assert json.loads(body) == {"text": "hé"}
    assert (reply.status, reply.headers["x-thing"], reply.json()) == (200, "1, 2", {"ok": True})


def test_a_form_and_basic_authentication_arrive(client: HttpClient) -> None:
    """A form is encoded, and a user in the URL becomes an Authorization header."""
    with serve(saying(answer(b""))) as server:
        url = server.url.replace("://", "://me:p%40ss@")
        assert client.request("POST", url, form={"a": "1&2", "b": "\ud800"}, time_limit=5).body == b""
    assert b"authorization: Basic bWU6cEBzcw==" in server.requests[0]
    assert server.requests[0].endswith(b"\r\n\r\na=1%262&b=%3F")


def test_lone_surrogates_in_a_post_do_not_stop_the_alert(client: HttpClient) -> None:
    """An alert that quotes a broken character is still sent."""
    with serve(saying(answer(b"ok"))) as server:
        assert client.request("POST", server.url, json={"text": "a\ud800b"}, time_limit=5).status == 200
    assert server.requests[0].endswith(b'{"text":"a?b"}')


def test_an_error_status_is_an_answer(client: HttpClient) -> None:
    """The caller sees a 429 and its Retry-After."""
    with serve(saying(answer(b"slow down", "Retry-After: 30", status="429 Too Many"))) as server:
        reply = client.request("GET", server.url, time_limit=5)
    assert (reply.status, reply.body) == (429, b"slow down")
    assert retry_at(reply.headers, NOW) == NOW + timedelta(seconds=30)


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


def endless_interim(line: Line) -> None:
    """Promises an answer for ever."""
    line.read_request()
    line.trickle(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, 0.001)


@pytest.mark.parametrize(
    "script", [trickled_headers, trickled_body, trickled_chunks, silent, endless_interim]
)
def test_an_answer_that_trickles_ends_at_the_time_limit(
    client: HttpClient, script: Script, stopwatch: Callable[[], float]
) -> None:
    """A server that keeps the line busy holds us no longer than allowed, and may have taken the request."""
    began = stopwatch()
    error = get_error(client, script, time_limit=0.3)
    assert isinstance(error, RetryAt)
    assert error.accepted_unknown
    assert 0.2 < stopwatch() - began < 2


def test_a_server_that_does_not_accept_ends_at_the_time_limit(
    client: HttpClient, stopwatch: Callable[[], float]
) -> None:
    """A hanging connect is given up, and cannot have taken the request."""
    began = stopwatch()
    with full_listener() as url, pytest.raises(RetryAt, match="did not answer within") as caught:
        client.request("POST", url, content=b"x", time_limit=0.3)
    assert not caught.value.accepted_unknown
    assert stopwatch() - began < 2


def test_a_server_that_reads_slowly_ends_at_the_time_limit(
    client: HttpClient, stopwatch: Callable[[], float]
) -> None:
    """A large post to somebody who does not read is given up; it was not handed over whole."""
    began = stopwatch()
    with serve(Line.hang) as server, pytest.raises(RetryAt) as caught:
        client.request("POST", server.url, content=bytes(50_000_000), time_limit=0.3)
    assert not caught.value.accepted_unknown
    assert stopwatch() - began < 2


def test_no_time_left_sends_nothing(client: HttpClient) -> None:
    """A time limit that is already over is an error before anything is sent."""
    with serve(saying(answer(b""))) as server, pytest.raises(RetryAt) as caught:
        client.request("POST", server.url, content=b"x", time_limit=0)
    assert not caught.value.accepted_unknown
    assert server.requests == []


def reset(line: Line) -> None:
    """Breaks the line with a reset once the request is there."""
    line.read_request()
    line.sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    "script",
    [
        reset,
        saying_once(b""),
        saying_once(HEAD),
        saying_once(HEAD + b"Content-Length: 10\r\n\r\nhalf"),
        saying_once(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe"),
        saying_once(b"SSH-2.0-hush\r\n\r\n"),
        saying_once(HEAD + b"X: " + b"a" * 300_000),
    ],
)
def test_a_line_that_breaks_after_the_request_may_have_done_it(client: HttpClient, script: Script) -> None:
    """Where the post may have been taken, the caller is told so."""
    error = get_error(client, script)
    assert isinstance(error, RetryAt)
    assert error.accepted_unknown


def test_a_refused_connection_has_done_nothing(client: HttpClient) -> None:
    """Nobody listens: it may be tried again without fear of a duplicate, and the reason is said."""
    url = f"http://127.0.0.1:{closed_port()}/hush"
    with pytest.raises(
        RetryAt, match=r"could not connect to http://127\.0\.0\.1:\d+: Connection refused"
    ) as caught:
        client.request("POST", url, content=b"x", time_limit=5)
    assert not caught.value.accepted_unknown


def test_an_unknown_name_has_done_nothing(client: HttpClient) -> None:
    """A name that does not resolve is a passing trouble."""
    with pytest.raises(RetryAt) as caught:
        client.request("GET", "http://platform.invalid/hush", time_limit=5)
    assert not caught.value.accepted_unknown
    assert "platform.invalid" in str(caught.value)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/hush", "/hush", "//evil.example\x1b[31m/", "ftp://x/", "http://[::1"]
)
def test_a_redirect_is_not_followed(client: HttpClient, status: str, target: str) -> None:
    """A redirect, be it to a link-local address, is refused and said; nothing of its path is repeated."""
    error = get_error(client, saying(answer(b"", f"Location: {target}", status=status)))
    assert isinstance(error, Refused)
    assert str(error).isprintable()


def test_a_gzip_bomb_is_not_unpacked(client: HttpClient) -> None:
    """A small compressed body that unpacks to 50 MB costs no memory and is told."""
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        error = get_error(client, saying_once(answer(bomb, "Content-Encoding: gzip")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, Malformed)
    assert "compressed" in str(error)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (b"Content-Length: 1073741824\r\n\r\n", bytes(65536)),
        (b"Content-Length: 99999999999999999999\r\n\r\n", bytes(65536)),
        (b"\r\n", bytes(65536)),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", (b"1;" + b"x" * 200 + b"\r\na\r\n") * 100),
    ],
)
def test_a_gigabyte_is_not_read(client: HttpClient, head: bytes, chunk: bytes) -> None:
    """However a body's length is told, reading stops at the limit."""
    tracemalloc.start()
    try:
        error = get_error(client, endless(HEAD + head, chunk))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, Malformed | RetryAt)
    assert peak < 5_000_000


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(client: HttpClient) -> None:
    """The limit is exact, with and without a length."""
    for head in (b"", b"Content-Length: %d\r\n"):
        for size in (100_000, 100_001):
            rows = head % size if head else b""
            with serve(saying_once(HEAD + rows + b"\r\n" + bytes(size))) as server:
                if size == 100_000:
                    assert len(client.request("GET", server.url, time_limit=5).body) == size
                else:
                    with pytest.raises(Malformed, match="more than 100000 bytes"):
                        client.request("GET", server.url, time_limit=5)


@pytest.mark.parametrize("script", [
    saying_once(answer(b"\x1f\x8b", "Content-Encoding: gzip", status="503 Busy")),
    saying_once(answer(bytes(200_000), status="503 Busy")),
])  # fmt: skip
def test_the_status_of_an_error_counts_more_than_its_body(client: HttpClient, script: Script) -> None:
    """A 503 stays a 503, even if its body is of no use."""
    with serve(script) as server:
        reply = client.request("GET", server.url, time_limit=5)
    assert (reply.status, reply.body) == (503, b"")


def test_no_connection_is_used_twice(client: HttpClient) -> None:
    """A post never fails, with its fate unknown, because a kept connection had been closed meanwhile."""
    for script in (saying(answer(b"ok")), saying_once(answer(b"ok"))):
        with serve(script) as server:
            for _ in range(3):
                assert client.request("POST", server.url, content=b"x", time_limit=5).body == b"ok"
            assert server.connections == 3
        assert all(b"connection: close" in request.lower() for request in server.requests)


@pytest.mark.parametrize(
    "url", ["", "hush", "ftp://hush/", "http://", "http://[::1", "http://a:99999/hush", "file:///hush"]
)
def test_what_is_no_address_is_refused(client: HttpClient, url: str) -> None:
    """A wrong URL in the config is said without repeating it."""
    with pytest.raises(Refused) as caught:
        client.request("GET", url, time_limit=1)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("value", ["hush\r\nX: y", "hushé€", "hush\x00"])
def test_a_header_that_cannot_be_sent_is_refused(client: HttpClient, value: str) -> None:
    """A token with a line end in it is refused and not shown."""
    with serve(saying(answer(b"ok"))) as server, pytest.raises(Refused) as caught:
        client.request("GET", server.url, headers={"Authorization": value}, time_limit=5)
    assert "hush" not in str(caught.value)
    assert server.requests == []


def test_two_bodies_are_a_mistake(client: HttpClient) -> None:
    """Whoever passes two bodies learns it at once."""
    with pytest.raises(ValueError, match="only one"):
        client.request("POST", "http://127.0.0.1/", json={}, content=b"", time_limit=1)


def test_an_own_authority_is_trusted_only_when_named(tmp_path: Path) -> None:
    """A company's own CA works once it is configured, and is refused before that, with the reason."""
    cert, context = certificate(tmp_path)
    with serve(saying(answer(b"ok")), context) as server:
        with HttpClient(HttpOptions(ca_file=cert)) as trusting:
            assert trusting.request("GET", server.url, time_limit=5).body == b"ok"
            assert trusting.request("GET", server.url, time_limit=5).body == b"ok"
        with (
            HttpClient(HttpOptions()) as strict,
            pytest.raises(RetryAt, match="self-signed certificate") as caught,
        ):
            strict.request("GET", server.url, time_limit=5)
    assert not caught.value.accepted_unknown


def test_bounds_hold_over_tls(tmp_path: Path, stopwatch: Callable[[], float]) -> None:
    """A trickling answer over TLS ends at the limit, and so does a handshake that nobody answers."""
    cert, context = certificate(tmp_path)
    with HttpClient(HttpOptions(ca_file=cert)) as client:
        for script, tls in ((trickled_headers, context), (trickled_body, context), (Line.hang, None)):
            began = stopwatch()
            with serve(script, tls) as server, pytest.raises(RetryAt, match="did not answer within"):
                client.request("GET", server.url.replace("http://", "https://"), time_limit=0.4)
            assert stopwatch() - began < 2


def test_a_proxy_is_used_for_both_schemes(tmp_path: Path) -> None:
    """Plain requests go through the proxy, and https is tunnelled with its certificate still checked."""
    cert, context = certificate(tmp_path)
    with serve(tunnel) as proxy, serve(saying(answer(b"ok")), context) as server:
        options = HttpOptions(proxy=proxy.url.replace("://", "://me:hush@"), ca_file=cert)
        with HttpClient(options) as client:
            assert client.request("GET", "http://platform.invalid/x", time_limit=5).json() == {"by": "proxy"}
            assert client.request("GET", f"{server.url}/x", time_limit=5).body == b"ok"
    assert proxy.requests[0].startswith(b"GET http://platform.invalid/x ")
    assert proxy.requests[1].startswith(b"CONNECT 127.0.0.1:")
    assert all(b"Basic bWU6aHVzaA==" in request for request in proxy.requests)
    assert "hush" not in repr(options)
    assert b"Basic" not in server.requests[0]


def test_a_proxy_that_refuses_has_done_nothing() -> None:
    """A proxy's 407 is told, and the request cannot have been taken."""
    with serve(saying_once(b"HTTP/1.1 407 hush\r\nContent-Length: 0\r\n\r\n")) as proxy:
        with (
            HttpClient(HttpOptions(proxy=proxy.url)) as client,
            pytest.raises(RetryAt, match="407") as caught,
        ):
            client.request("POST", "https://platform.invalid/x", content=b"x", time_limit=5)
    assert not caught.value.accepted_unknown
    assert "hush" not in str(caught.value)


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not used: what is not in the config does not hold."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    with serve(saying(answer(b"ok"))) as server, HttpClient(HttpOptions()) as client:
        assert client.request("GET", server.url, time_limit=5).body == b"ok"


@pytest.mark.parametrize("proxy", ["hush:3128", "socks5://hush", "https://hush:1", "http://"])
def test_a_proxy_that_cannot_be_used_is_said_at_the_start(proxy: str) -> None:
    """A wrong proxy setting is found when the client is made, and its password is not shown."""
    with pytest.raises(ValueError, match="expected an http:// address") as caught:
        HttpClient(HttpOptions(proxy=proxy))
    assert "hush" not in str(caught.value)


def test_an_authority_file_that_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    """A wrong CA file is found when the client is made."""
    with pytest.raises(ValueError, match="No such file"):
        HttpClient(HttpOptions(ca_file=tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("not a certificate")
    with pytest.raises(ValueError, match="expected a PEM file"):
        HttpClient(HttpOptions(ca_file=tmp_path / "bad.pem"))


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"<!DOCTYPE html><html>hush</html>", "HTML"),
        (b"", "empty body"),
        (b'{"a": 1, "b"', "truncated"),
        (b"hush", "other text"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":NaN}', "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"[1e999]", "not finite"),
        (b"[" + b"9" * 5000 + b"]", "too long"),
        (b'"\xff"', "UTF-8"),
    ],
)
def test_an_answer_that_is_not_json_is_malformed(body: bytes, word: str) -> None:
    """Whatever comes instead of JSON is said in a word, and never quoted."""
    with pytest.raises(Malformed, match=word) as caught:
        Reply(200, {}, body).json()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"\\ud800"', "\ud800"),
        (b"18446744073709551616", 2**64),
        (b"\xef\xbb\xbf1.5", 1.5),
        (b'"\\u0000"', "\x00"),
    ],
)
def test_odd_json_is_still_json(body: bytes, value: object) -> None:
    """Lone surrogates, NUL, large numbers and a byte order mark are read as they are."""
    assert Reply(200, {}, body).json() == value


@given(st.binary())
def test_any_body_is_json_or_malformed(body: bytes) -> None:
    """No body can raise anything that nobody expects."""
    with contextlib.suppress(Malformed):
        json.dumps(Reply(200, {}, body).json())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("30", 30), (" 30 ", 30), ("1.5", 1), ("-5", 0), ("1000000000", 3600), ("9" * 5000, 3600),
        ("Sun, 01 Mar 2026 12:05:00 GMT", 300), ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("Fri, 01 Jan 2999 00:00:00 GMT", 3600), ("Sun, 01 Mar 2026 12:05:00 -0000", 300),
        ("", None), ("soon", None), ("12h", None), ("٣", None), ("nan", None), ("Sun, 99 Mar 2026", None),
        ("Sun, 01 Mar 2026 12:05:00 +9999", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_and_clamped(value: str, seconds: int | None) -> None:
    """Each way of writing Retry-After leads to a time between now and an hour, or to none."""
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert retry_at({"Retry-After": value}, NOW) == expected


def test_without_retry_after_there_is_no_time() -> None:
    """A missing header leaves it to the caller's backoff."""
    assert retry_at({"x-retry-after": "5"}, NOW) is None


@given(st.text() | st.from_regex(r"[+-]?[0-9]{0,30}(\.[0-9]*)?"), st.floats(0, 1e6))
def test_retry_after_never_leads_beyond_its_limit(value: str, limit: float) -> None:
    """Whatever a server writes, we come again within the limit and never in the past."""
    at = retry_at({"retry-after": value}, NOW, limit_seconds_max=limit)
    assert at is None or NOW <= at <= NOW + timedelta(seconds=limit)


@given(st.integers(-(10**9), 10**11))
def test_every_http_date_is_understood(seconds: int) -> None:
    """A date means that date, between now and the limit."""
    moment = NOW + timedelta(seconds=seconds)
    expected = min(max(moment, NOW), NOW + timedelta(hours=1))
    assert retry_at({"retry-after": format_datetime(moment, usegmt=True)}, NOW) == expected
