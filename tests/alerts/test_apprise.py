"""Apprise, over real HTTP to two services that it knows: one plain message, once, in time, and no secrets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from alerts import apprise_child
from alerts.apprise import KINDS, Settings, blame
from alerts.contract import Channel, Previewing
from rules.alert import Stage
from simulator.faults import Fault, FaultKind
from simulator.world import FixedClock
from tests.alerts.build import (
    BENCHES,
    HOOK,
    LIMIT,
    NOON,
    SECRETS,
    Bench,
    alert,
    build_channel,
    storm_alert,
)
from tests.wire.peers import hangs, peer
from tests.wire.raw import Line, answer, certificate, serve
from wire.errors import NotAllowed, Refused, RetryAt
from wire.http import HttpOptions

CHILD = apprise_child.__file__


@pytest.fixture(scope="module")
def benches() -> Iterator[dict[str, Bench]]:
    with BENCHES["apprise json"]() as json_bench, BENCHES["apprise ntfy"]() as ntfy_bench:
        yield {"json": json_bench, "ntfy": ntfy_bench}


@pytest.fixture(params=["json", "ntfy"])
def bench(request: pytest.FixtureRequest, benches: dict[str, Bench]) -> Bench:
    return fresh(benches[request.param])


@pytest.fixture
def json_bench(benches: dict[str, Bench]) -> Bench:
    return fresh(benches["json"])


@pytest.fixture
def ntfy_bench(benches: dict[str, Bench]) -> Bench:
    return fresh(benches["ntfy"])


def fresh(bench: Bench) -> Bench:
    bench.faults.clear()
    bench.faults.log.clear()
    bench.sink.notices.clear()
    return bench


@contextmanager
def at_address(
    url: str, monkeypatch: pytest.MonkeyPatch, http: HttpOptions | None = None
) -> Iterator[Channel]:
    """A channel with a process of its own."""
    monkeypatch.setenv("CARE_HOOK", url)
    settings = {"type": "apprise", "url": {"env": "CARE_HOOK"}}
    channel = build_channel("apprise", FixedClock(NOON), settings, http or HttpOptions())
    try:
        yield channel
    finally:
        channel.close()


def children() -> set[int]:
    """The processes of ours that send over Apprise."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                ours = f"\nPPid:\t{os.getpid()}\n" in (folder / "status").read_text("utf-8", "replace")
                if ours and CHILD.encode() in (folder / "cmdline").read_bytes():
                    found.add(int(folder.name))
    return found


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        (Stage.WARNING, "warning"),
        (Stage.BREACH, "failure"),
        (Stage.ESCALATED, "failure"),
        (Stage.CLEARED, "success"),
        (Stage.CORRECTED, "success"),
        (Stage.TROUBLE, "failure"),
        (Stage.SPIKE, "warning"),
        (Stage.TEST, "info"),
    ],
)
def test_each_stage_has_its_colour(json_bench: Bench, stage: Stage, kind: str) -> None:
    """Red, yellow and green mean in every chat what they mean to people."""
    json_bench.make().send(alert(stage), None, LIMIT)
    assert json_bench.sink.notices[-1].kind == kind


def test_the_end_of_a_storm_is_good_news(json_bench: Bench) -> None:
    """A storm is red while it goes on, and green when it is over."""
    channel = json_bench.make()
    channel.send(storm_alert(), None, LIMIT)
    channel.send(storm_alert(1, over_at=NOON), None, LIMIT)
    assert [notice.kind for notice in json_bench.sink.notices] == ["failure", "success"]


def test_every_stage_has_a_kind() -> None:
    """No stage that comes to be added is silently lost here."""
    assert set(KINDS) == set(Stage)


def test_the_message_begins_with_what_one_can_do(bench: Bench) -> None:
    """A service that cuts messages short still shows who waits, for how long, and where to answer."""
    bench.make().send(alert(Stage.BREACH, at=NOON + timedelta(minutes=13)), None, LIMIT)
    (notice,) = bench.sink.notices
    assert notice.title == "🔴 5 min late: @\u200bann_b has waited 20 min on X"
    assert notice.message.startswith(
        "Open on X and reply: https://x.example/ann_b/status/17\n\nWho: @\u200bann_b (1,234 followers)\n"
    )
    assert notice.message.count("5 min late: @") == 0
    assert notice.message.endswith("\nacme/x/17/first_response/0/breach/0/care/0a1b")
    assert notice.body.get("attachments", []) == []


def test_a_long_message_is_cut_and_stays_one(bench: Bench) -> None:
    """10,000 emoji are one message of a size that is shown, not an attachment or a dozen of messages."""
    hours = tuple("💥" * 300 for _ in range(6))
    for text in ("💥" * 9000, "ß" * 9000, "\n".join(["a" * 90] * 99)):
        bench.sink.notices.clear()
        bench.make("?overflow=split").send(
            alert(Stage.BREACH, text=text, reasons=hours, caveats=hours), None, LIMIT
        )
        (notice,) = bench.sink.notices
        assert "They wrote:" in notice.message and len(notice.message.encode()) < 4096
        assert notice.message.rpartition("\n")[2] == alert(Stage.BREACH).key


@pytest.mark.parametrize("query", ["?format=markdown", "?format=html", "?emojis=yes"])
def test_no_format_of_the_address_gives_strangers_markup(json_bench: Bench, query: str) -> None:
    """Whatever format the address asks for, a customer's words stay words."""
    evil = "@everyone <!channel> <@U1> [bank](https://evil.example) ``` :fire: <b>x</b> \\n {{ 7*7 }}"
    json_bench.make(query).send(alert(Stage.BREACH, text=evil), None, LIMIT)
    (notice,) = json_bench.sink.notices
    assert "@everyone" not in notice.message and "<" not in notice.message.replace("<br", "")
    assert "](http" not in notice.message and "```" not in notice.message and ":fire" in notice.message
    assert "49" not in notice.message


@pytest.mark.parametrize("query", ["?optional=yes", "?retry=5&wait=0.1"])
def test_the_address_cannot_break_our_promises(json_bench: Bench, query: str) -> None:
    """A failure is a failure, and tried again by us alone, whatever the address asks for."""
    json_bench.faults.once("/", Fault(FaultKind.ERROR, 503), times=9)
    with pytest.raises(RetryAt, match="JSON answered 503"):
        json_bench.make(query).send(alert(Stage.BREACH), None, LIMIT)
    assert len(json_bench.faults.log) == 1


def test_redirects_are_not_followed(json_bench: Bench) -> None:
    """A service that was taken over cannot send what customers wrote elsewhere."""
    location = (("Location", "/elsewhere"),)
    json_bench.faults.once("/hooks", Fault(FaultKind.ERROR, 302, headers=location))
    with pytest.raises(Refused, match="redirects are not followed"):
        json_bench.make("?redirect=yes").send(alert(Stage.BREACH), None, LIMIT)
    assert json_bench.sink.notices == [] and len(json_bench.faults.log) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ntfy://127.0.0.1:9/one/two", "several targets"),
        ("nonsense://127.0.0.1/hush-hush-hush", "does not understand"),
        ("hush-hush-hush", "does not understand"),
        ("file:///etc/passwd", "does not understand"),
        ("json://", "does not understand"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_it(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` finds what is wrong with an address, and the address, which may hold a token, is not shown."""
    with at_address(url, monkeypatch) as channel:
        for ask in (lambda: channel.check(LIMIT), lambda: channel.send(alert(Stage.BREACH), None, LIMIT)):
            with pytest.raises(NotAllowed, match=why) as caught:
                ask()
            assert "hush" not in str(caught.value) and url not in str(caught.value)


def test_after_a_server_that_hangs_the_next_alert_goes_through(
    monkeypatch: pytest.MonkeyPatch, json_bench: Bench, stopwatch: Callable[[], float]
) -> None:
    """What hangs is ended at the time limit, not left behind; the next one has a process of its own."""
    json_bench.make()
    good = os.environ["CARE_HOOK"]
    with peer(hangs) as url, at_address(url.replace("http", "json"), monkeypatch) as channel:
        before = children()
        channel.check(LIMIT)
        (first,) = children() - before
        started = stopwatch()
        with pytest.raises(RetryAt, match="no answer in time"):
            channel.send(alert(Stage.BREACH), None, 0.3)
        assert stopwatch() - started < 2
        assert not Path(f"/proc/{first}").exists()
        monkeypatch.setenv("CARE_HOOK", good)
        channel.send(alert(Stage.BREACH), None, LIMIT)
    assert len(json_bench.sink.notices) == 1


def test_an_endless_answer_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, stopwatch: Callable[[], float]
) -> None:
    """A server that sends gigabytes does not fill the machine's memory."""
    sent = 0

    def gigabytes(line: Line) -> None:
        nonlocal sent
        line.read_request()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n")
        for _ in range(9000):
            line.say(bytes(1_000_000))
            sent += 1_000_000

    with serve(gigabytes) as server, at_address(f"json://127.0.0.1:{server.port}/", monkeypatch) as channel:
        channel.check(LIMIT)
        started = stopwatch()
        with pytest.raises(RetryAt, match="too much memory") as caught:
            channel.send(alert(Stage.BREACH), None, 30.0)
        assert stopwatch() - started < 15
    assert caught.value.accepted_unknown and sent < 2_000_000_000


def test_no_secret_is_where_others_could_look(json_bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is neither an argument nor in the environment of the process that sends, and that process
    has none of our other secrets either."""
    json_bench.make()
    before = children()
    with at_address(os.environ["CARE_HOOK"], monkeypatch) as channel:
        channel.send(alert(Stage.BREACH), None, LIMIT)
        (child,) = children() - before
        shown = Path(f"/proc/{child}/cmdline").read_bytes() + Path(f"/proc/{child}/environ").read_bytes()
        assert HOOK.encode() not in shown and not any(secret.encode() in shown for secret in SECRETS)
        assert b"CARE_HOOK" not in shown
    assert not Path(f"/proc/{child}").exists()


def test_nothing_that_apprise_says_gets_out(
    json_bench: Bench, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Apprise logs addresses with their tokens: no line of it reaches our log or terminal."""
    json_bench.faults.once("/", Fault(FaultKind.ERROR, 500))
    with pytest.raises(RetryAt):
        json_bench.make().send(alert(Stage.BREACH), None, LIMIT)
    out, err = capfd.readouterr()
    assert (out, err, caplog.text) == ("", "", "")


def test_our_own_authority_and_proxy_hold_here_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, json_bench: Bench
) -> None:
    """A service in one's own network is trusted by `http.ca_file`, and by nothing in the address; and what
    goes to the world goes through `http.proxy`."""
    cert, tls = certificate(tmp_path)

    def takes(line: Line) -> None:
        line.read_request()
        line.say(answer(b"{}"))

    with serve(takes, tls) as server:
        url = f"jsons://127.0.0.1:{server.port}/?verify=no"
        with at_address(url, monkeypatch) as stranger, pytest.raises(RetryAt) as caught:
            stranger.send(alert(Stage.BREACH), None, LIMIT)
        assert not caught.value.accepted_unknown
        with at_address(url, monkeypatch, HttpOptions(ca_file=cert)) as friend:
            friend.send(alert(Stage.BREACH), None, LIMIT)
    with serve(takes) as proxy:
        options = HttpOptions(proxy=proxy.url)
        with at_address("json://service.invalid/hooks", monkeypatch, options) as channel:
            channel.send(alert(Stage.BREACH), None, LIMIT)
        assert proxy.requests[0].startswith(b"POST http://service.invalid/hooks HTTP/1.1\r\n")
    with pytest.raises(ValueError, match="ca_file"):
        build_channel(
            "apprise", FixedClock(NOON), {"url": {"env": "X"}}, HttpOptions(ca_file=tmp_path / "none.pem")
        )


def test_a_missing_library_is_named_with_what_to_do() -> None:
    """Who configures the channel without the extra reads what to install."""
    request = json.dumps({"url": "json://127.0.0.1:9/", "ca_file": "", "seconds": 1}).encode() + b"\n"
    bare = subprocess.run(
        [sys.executable, "-I", "-S", CHILD], input=request, capture_output=True, timeout=30, check=True
    )
    with pytest.raises(NotAllowed, match=r'pip install "response-monitor\[apprise\]"'):
        blame(json.loads(bare.stdout))


def test_apprise_is_not_in_our_own_process() -> None:
    """Who does not use it does not pay for it, and who does pays in a process that can be ended."""
    code = "import sys, alerts; alerts.load('apprise'); print([m for m in sys.modules if m == 'apprise'])"
    root = Path(CHILD).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, timeout=60, check=True)
    assert done.stdout == b"[]\n"


def test_the_process_ends_with_us_and_not_in_the_middle_of_a_message() -> None:
    """A daemon that is killed leaves no process behind; one that is stopped lets the last message go out."""
    child = subprocess.Popen(
        [sys.executable, "-I", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
    )
    assert child.stdin is not None and child.stdout is not None
    request = json.dumps({"url": "json://127.0.0.1:9/", "ca_file": "", "seconds": 1}).encode() + b"\n"
    for _ in range(2):
        child.stdin.write(request)
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"service": "JSON", "targets": 1}
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGINT)
    child.stdin.close()
    assert child.wait(10) == 0
    child.stdout.close()


def test_a_preview_is_what_is_sent(json_bench: Bench) -> None:
    """Who sets the channel up sees the message before the first alert."""
    channel = json_bench.make()
    assert isinstance(channel, Previewing)
    shown = json.loads(channel.preview(alert(Stage.BREACH)).text)
    assert json_bench.sink.notices == []
    channel.send(alert(Stage.BREACH), None, LIMIT)
    (notice,) = json_bench.sink.notices
    assert shown == {"title": notice.title, "body": notice.message, "kind": notice.kind}


def test_a_check_says_that_it_asked_nobody(bench: Bench) -> None:
    """A green check is not taken for more than it is."""
    assert bench.make().check(LIMIT).endswith("over Apprise (the address is understood; --send tries it)")
    assert bench.faults.log == type(bench.faults.log)()


def test_the_address_is_a_secret() -> None:
    """An address with its token does not stand in the config."""
    with pytest.raises(ValueError, match="secrets are not written into the config"):
        Settings.model_validate({"url": "discord://id/hush-hush-hush"})
