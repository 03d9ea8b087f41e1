"""Signing in to Bluesky: few attempts, tokens that end, missing permissions, limits, lying servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.bluesky import BlueskyConnector
from simulator.bluesky_api import ACCESS_LIFE, REFRESH_LIFE, SIGN_INS_IN_WINDOW
from simulator.faults import Fault, FaultKind, Faults
from simulator.serve import Served
from tests.connectors.bluesky_support import HANDLE, SESSION, Desk, Town, anything, told
from wire.errors import Malformed, NotAllowed, RetryAt

Make = Callable[..., BlueskyConnector]


@pytest.fixture
def town() -> Town:
    town = Town()
    town.post(town.ann, f"@{HANDLE} hello", ago=50)
    return town


@pytest.fixture
def make(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    desk = Desk(tmp_path, monkeypatch)
    return lambda url, **more: desk.connector(url, town, **more)


def asked(faults: Faults) -> list[str]:
    """Which methods were asked for, in order."""
    return [path.rpartition(".")[2] for _, path, _ in faults.log]


def watching(town: Town) -> Faults:
    """Nothing goes wrong, and everything is noted."""
    faults = Faults(town.clock)
    faults.share("/xrpc/", Fault(FaultKind.DELAY, seconds=0), 1.0)
    return faults


def test_one_signing_in_serves_until_both_tokens_end(town: Town, make: Make) -> None:
    """Bluesky allows few sign-ins a day: the session is kept, and renewed by its refresh token."""
    faults = watching(town)
    with town.served(faults=faults) as url:
        connector = make(url)
        for wait in (timedelta(0), timedelta(minutes=5), ACCESS_LIFE, REFRESH_LIFE):
            town.clock.move(wait.total_seconds())
            connector.poll("notifications", None, 5)
    assert asked(faults) == [
        "createSession",
        "listNotifications",
        "listNotifications",
        *("listNotifications", "refreshSession", "listNotifications"),
        *("listNotifications", "refreshSession", "createSession", "listNotifications"),
    ]


def test_a_refused_password_is_not_tried_at_every_poll(town: Town, make: Make) -> None:
    """A wrong password does not use up the day's sign-ins; a mended one is tried at once."""
    faults = watching(town)
    with town.served(faults=faults) as url:
        connector = make(url, password="wrong-wrong-wrong")
        for _ in range(5):
            with pytest.raises(NotAllowed, match=r"does not let @acmehelp\.bsky\.social sign in") as refused:
                connector.poll("notifications", None, 5)
            assert "wrong-wrong" not in str(refused.value)
            town.clock.move(20)
        assert asked(faults) == ["createSession"]
        town.clock.move(600)
        with pytest.raises(NotAllowed):
            connector.poll("notifications", None, 5)
        assert asked(faults) == ["createSession"] * 2
        make(url)  # sets the right password in the environment
        assert connector.poll("notifications", None, 5).messages


def test_a_password_without_direct_messages_is_told_and_ends_no_session(town: Town, make: Make) -> None:
    """`check` says what to do about it; the other streams go on without signing in again."""
    faults = watching(town)
    with town.served(faults=faults, access=[replace(town.access, dms=False)]) as url:
        connector = make(url)
        who = connector.identify(5)
        with pytest.raises(NotAllowed, match="Bad token method"):
            connector.poll("dms", None, 5)
        assert connector.poll("notifications", None, 5).messages
    assert [m for m in who.permissions_missing if "app password with access to them" in m]
    assert asked(faults).count("createSession") == 1 and "refreshSession" not in asked(faults)


def test_sign_ins_are_limited_by_the_server_and_we_wait_for_its_window(town: Town, make: Make) -> None:
    """Its ratelimit-reset is a Unix time; until then nobody knocks."""
    with town.served() as url:
        for _ in range(SIGN_INS_IN_WINDOW):
            make(url).identify(5)
        connector = make(url)
        with pytest.raises(RetryAt) as limited:
            connector.poll("notifications", None, 5)
    assert limited.value.limited and limited.value.at == datetime(2026, 11, 2, 12, 5, tzinfo=UTC)
    with pytest.raises(RetryAt):
        connector.poll("notifications", None, 5)  # the server is closed by now: nothing was asked


def test_the_budget_is_what_the_headers_say(town: Town, make: Make) -> None:
    """`status` shows what is left of the server's window."""
    with town.served() as url:
        (budget,) = make(url).poll("notifications", None, 5).budgets
    assert (budget.name, budget.limit) == ("requests", 3000)
    assert budget.remaining == 2998 and budget.resets_at == datetime(2026, 11, 2, 12, 5, tzinfo=UTC)


def test_a_deactivated_account_is_told(town: Town, make: Make) -> None:
    """`check` says why nothing comes."""
    away = SESSION | {"active": False, "status": "deactivated", "handle": "handle.invalid"}

    def answer(request: Request) -> Response:
        return told(away if "refresh" in request.url.path else {"convos": [], "error": "ExpiredToken"}, 200)

    calls: list[str] = []

    def ends_once(request: Request) -> Response:
        calls.append(request.url.path)
        if len(calls) == 1:
            return told({"error": "ExpiredToken", "message": "Token has expired"}, 400)
        return answer(request)

    with Served(anything(ends_once)) as server:
        who = make(server.url).identify(5)
    assert who.permissions_missing == ("an account that is active (this one is deactivated)",)
    assert any("handle.invalid" in note for note in who.notes)


@pytest.mark.parametrize(
    "session",
    [[], {}, SESSION | {"did": None}, SESSION | {"accessJwt": "a\r\nx: y"}, SESSION | {"refreshJwt": "é"}],
)
def test_a_sign_in_that_says_nothing_is_malformed(make: Make, session: object) -> None:
    """Whatever a server gives for a token, no request is made with it that could be bent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await told(session)(scope, receive, send)

    with Served(app) as server, pytest.raises(Malformed, match="who is signed in"):
        make(server.url).poll("notifications", None, 5)


@pytest.mark.parametrize(
    "body", [[], {}, {"notifications": {}}, {"notifications": [], "cursor": 7}, {"notifications": None}]
)
def test_what_is_no_list_is_malformed(make: Make, body: object) -> None:
    """The cursor does not move, and the next poll asks again."""
    with Served(anything(lambda _: told(body))) as server, pytest.raises(Malformed):
        make(server.url).poll("notifications", None, 5)


def test_what_a_server_repeats_of_our_tokens_is_not_repeated_by_us(make: Make) -> None:
    """An error's text may be logged and shown: no token stands in it."""
    bad = {"error": "InvalidRequest", "message": f"Bearer {SESSION['accessJwt']} is no\x1b[31m good"}
    with Served(anything(lambda _: told(bad, 403))) as server, pytest.raises(NotAllowed) as refused:
        make(server.url).poll("notifications", None, 5)
    assert str(SESSION["accessJwt"]) not in str(refused.value) and "\x1b" not in str(refused.value)
    assert "InvalidRequest" in str(refused.value)


def test_reset_headers_that_make_no_sense_are_bounded(make: Make, town: Town) -> None:
    """A reset in the year 9999 does not silence the account for ever."""
    limited = told({"error": "RateLimitExceeded"}, 429, ratelimit_reset="99999999999999")
    with Served(anything(lambda _: limited)) as server, pytest.raises(RetryAt) as refused:
        make(server.url).poll("notifications", None, 5)
    assert refused.value.at is not None and refused.value.at <= town.clock.now() + timedelta(hours=24)
