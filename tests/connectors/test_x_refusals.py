"""What the X connector makes of refusals, failures and rotating tokens; and that it gives no secret away."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from simulator.serve import Served
from tests.connectors.x_support import APP, NOON, OAUTH1, OAUTH2, Answerer, Desk, Town, anything, told
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, monkeypatch)
    yield desk
    desk.close()


def refusal(
    town: Town, desk: Desk, answer: Answerer, stream: str = "mentions", limit: float = 5
) -> EdgeError:
    """What a poll raises where X answers so."""
    with Served(anything(answer)) as server:
        connector = desk.connector(server.url, town)
        with pytest.raises(EdgeError) as caught:
            connector.poll(stream, None, limit)
    return caught.value


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x_rate_limit_reset": str(int(NOON.timestamp()) + 300)}, 300),
        ({}, 60),
        ({"x_rate_limit_reset": "soon"}, 60),
        ({"x_rate_limit_reset": "-5"}, 60),
        ({"x_rate_limit_reset": "1"}, 1),
        ({"x_rate_limit_reset": "99999999999999"}, 900),
    ],
)
def test_a_rate_limit_says_when_to_come_again(
    town: Town, desk: Desk, headers: dict[str, str], seconds: int, stopwatch: Callable[[], float]
) -> None:
    """At the limit nobody sleeps in the worker: the error says when the window ends, and a missing or mad
    header stops the stream for a minute, or for one window at most."""
    began = stopwatch()
    error = refusal(town, desk, lambda _: told({"title": "Too Many Requests"}, 429, **headers))
    assert isinstance(error, RetryAt)
    assert (error.limited, error.at) == (True, NOON + timedelta(seconds=seconds))
    assert stopwatch() - began < 20


def test_the_simulated_limit_is_told_before_and_at_its_end(town: Town, desk: Desk) -> None:
    """After 15 readings of DMs in one window, the sixteenth says that it will go on with the next one."""
    with town.served() as url:
        connector = desk.connector(url, town)
        left = [connector.poll("dms", None, 5).budgets[0].remaining for _ in range(15)]
        with pytest.raises(RetryAt) as caught:
            connector.poll("dms", None, 5)
        assert (left[0], left[-1], caught.value.limited) == (14, 0, True)
        assert caught.value.at is not None
        town.clock.move((caught.value.at - NOON).total_seconds())
        assert connector.poll("dms", None, 5).budgets[0].remaining == 14


PROBLEM = "https://api.x.com/2/problems/"


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, {"errors": [{"parameters": {"query": ["x"]}, "message": "no"}]}, Refused, "400"),
        (401, {"title": "Unauthorized"}, NotAllowed, "check consumer_key, consumer_secret"),
        (402, {"title": "CreditsDepleted"}, NotAllowed, "credits"),
        (403, {"type": PROBLEM + "client-forbidden"}, NotAllowed, "attach the app to a project"),
        (403, {"title": "Forbidden"}, NotAllowed, "missing permission"),
        (403, {"type": PROBLEM + "not-authorized-for-resource"}, NotAllowed, "protected"),
        (404, {"title": "Not Found"}, Refused, "404"),
        (429, {"type": PROBLEM + "usage-capped"}, NotAllowed, "monthly cap"),
        (500, {"title": "Internal"}, RetryAt, "500"),
        (503, "busy", RetryAt, "503"),
        (502, ["odd"], RetryAt, "502"),
        (400, {"errors": None, "error": None}, Refused, "400"),
        (200, {"errors": [{"type": PROBLEM + "resource-not-found"}]}, Refused, "renamed or deleted"),
        (200, {"errors": [{"type": PROBLEM + "not-authorized-for-resource"}]}, NotAllowed, "suspended"),
        (200, {"errors": [{"type": PROBLEM + "internal-error"}]}, RetryAt, "internal-error"),
        (200, {}, Malformed, "neither data"),
        (200, ["odd"], Malformed, "JSON object"),
    ],
)
def test_each_refusal_says_what_the_caller_can_do(
    town: Town, desk: Desk, status: int, body: object, kind: type[EdgeError], message: str
) -> None:
    """What passes by itself is tried again; what a person must mend says what; nonsense is named."""
    error = refusal(town, desk, lambda _: told(body, status))
    assert type(error) is kind or (kind in (NotAllowed, Refused) and isinstance(error, kind))
    assert message in str(error)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<html>captive portal</html>", {}),
        (b'{"data":[{"id":"1","te', {}),
        (b"", {}),
    ],
    ids=["html", "truncated", "empty"],
)
def test_a_success_that_is_none_is_not_taken_for_an_empty_page(
    town: Town, desk: Desk, body: bytes, headers: dict[str, str]
) -> None:
    """A 200 with a broken body must not count as having seen that nobody wrote."""
    assert isinstance(refusal(town, desk, lambda _: Response(body, 200, headers)), Malformed)


def test_an_answer_that_hangs_is_given_up_in_time(
    town: Town, desk: Desk, stopwatch: Callable[[], float]
) -> None:
    """A hanging X costs its time limit and is tried again later; the other accounts go on."""

    async def hang(_: Request) -> Response:
        await asyncio.sleep(2)
        return told({})

    began = stopwatch()
    error = refusal(town, desk, hang, limit=0.4)
    assert isinstance(error, RetryAt)
    assert not error.limited
    assert stopwatch() - began < 20


def test_an_x_that_is_not_there_is_tried_again(town: Town, desk: Desk) -> None:
    """Where nothing listens, the stream is behind, not refused."""
    with Served(anything(lambda _: told({}))) as server:
        url = server.url
    with pytest.raises(RetryAt, match="did not answer"):
        desk.connector(url, town).poll("mentions", None, 5)


@pytest.mark.parametrize(
    ("credentials", "message"),
    [(OAUTH1, "Read and write and Direct message"), (OAUTH2, "scope dm.read")],
    ids=["oauth1", "oauth2"],
)
def test_a_missing_permission_for_dms_is_named(
    town: Town, desk: Desk, credentials: tuple[str, ...], message: str
) -> None:
    """Where the app may not read DMs, `check` and the stream's error name what to grant; the others go on."""
    town.access = replace(town.access, scopes=("tweet.read", "users.read", "offline.access"))
    with town.served() as url:
        connector = desk.connector(url, town, credentials=credentials)
        lacking = connector.identify(5).permissions_missing
        with pytest.raises(NotAllowed, match=message):
            connector.poll("dms", None, 5)
        assert connector.poll("mentions", None, 5).complete_through is not None
    assert len(lacking) == 1
    assert message.split()[-1] in lacking[0]


@pytest.mark.parametrize("wrong", [*OAUTH1, *APP])
def test_a_wrong_key_is_refused_with_the_settings_to_check(town: Town, desk: Desk, wrong: str) -> None:
    """A key with a typing error is told as such, and once it is mended the next poll goes through."""
    credentials = APP if wrong in APP else OAUTH1
    with town.served() as url:
        connector = desk.connector(url, town, credentials=credentials, secrets={wrong: "not-the-key-it-was"})
        with pytest.raises(NotAllowed, match=f"check .*{wrong}"):
            connector.poll("mentions", None, 5)
        desk.monkeypatch.setenv(f"X_{wrong.upper()}", getattr(town.access, wrong))
        assert connector.poll("mentions", None, 5).complete_through is not None


def test_a_secret_that_is_not_there_is_named(town: Town, desk: Desk) -> None:
    """Where the environment lacks a variable, the error says which."""
    connector = desk.connector("http://127.0.0.1:9", town)
    desk.monkeypatch.delenv("X_ACCESS_TOKEN")
    with pytest.raises(NotAllowed, match="X_ACCESS_TOKEN is not set"):
        connector.poll("mentions", None, 5)


@pytest.mark.parametrize("credentials", [OAUTH1, OAUTH2, APP], ids=["oauth1", "oauth2", "app"])
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
def test_no_error_log_or_repr_gives_a_secret_away(
    town: Town, desk: Desk, caplog: pytest.LogCaptureFixture, status: int, credentials: tuple[str, ...]
) -> None:
    """Even where X echoes our own headers in its errors, and logging is at its loudest, no key is shown."""
    caplog.set_level(logging.DEBUG)
    echoed: list[str] = []

    async def echo(request: Request) -> Response:
        form = (await request.body()).decode()
        echoed.append(request.headers.get("authorization", "") + form)
        if request.url.path.endswith("/token"):
            return told(
                {"access_token": "fresh-access-token", "refresh_token": "next-refresh", "expires_in": 9999}
            )
        said = echoed[-1]
        return told({"title": said, "detail": said, "errors": [{"message": said, "type": said}]}, status)

    with Served(anything(echo, who=False)) as server:
        connector = desk.connector(server.url, town, credentials=credentials)
        with pytest.raises(EdgeError) as caught:
            connector.poll("mentions", None, 5)
    shown = f"{caught.value} {caught.value!r} {connector!r} {vars(connector)!r} {caplog.text}"
    secrets = [getattr(town.access, n) for n in credentials] + ["fresh-access-token", "next-refresh"]
    assert echoed
    assert [s for s in secrets if s in shown] == []


def state_file(desk: Desk) -> Path:
    (path,) = desk.state.glob("x-*.json")
    return path


def test_rotating_tokens_survive_a_restart(town: Town, desk: Desk) -> None:
    """The first refresh token works once: a restarted daemon goes on with what it kept, for its eyes only."""
    with town.served() as url:
        connector = desk.connector(url, town, credentials=OAUTH2)
        identity = connector.identify(5)
        restarted = desk.connector(url, town, credentials=OAUTH2)
        assert restarted.poll("dms", None, 5).complete_through is not None
        town.clock.move(3 * 3600)
        assert restarted.poll("dms", None, 5).complete_through is not None
        assert connector.poll("dms", None, 5).complete_through is not None
    assert identity.credentials_expire_at == NOON + timedelta(days=180)
    assert stat.S_IMODE(state_file(desk).stat().st_mode) == 0o600
    assert town.access.refresh_token not in state_file(desk).read_text()


def test_a_renewal_moves_the_day_on_which_the_authorisation_ends(town: Town, desk: Desk) -> None:
    """The date that we warn about is that of the newest refresh token."""
    with town.served() as url:
        connector = desk.connector(url, town, credentials=OAUTH2)
        connector.identify(5)
        town.clock.move(10 * 86_400)
        assert connector.identify(5).credentials_expire_at == NOON + timedelta(days=190)


def test_an_access_token_that_ends_early_is_renewed_once(town: Town, desk: Desk) -> None:
    """Where X revokes an access token before its time, one renewal mends it within the same poll."""
    with town.served() as url:
        connector = desk.connector(url, town, credentials=OAUTH2)
        connector.identify(5)
        known = json.loads(state_file(desk).read_text())
        state_file(desk).write_text(json.dumps(known | {"access_token": "revoked-by-x"}))
        restarted = desk.connector(url, town, credentials=OAUTH2)
        assert restarted.poll("mentions", None, 5).complete_through is not None


def test_the_new_pair_is_on_disk_before_it_is_used(town: Town, desk: Desk) -> None:
    """Killed right after a renewal, the daemon would still find its only valid refresh token."""
    kept: list[str] = []

    def answer(request: Request) -> Response:
        if request.url.path.endswith("/token"):
            return told({"access_token": "access-1", "refresh_token": "refresh-1", "expires_in": 7200})
        kept.append(json.loads(state_file(desk).read_text())["refresh_token"])
        return told({"data": {"id": "100", "username": "AcmeHelp"}})

    with Served(anything(answer, who=False)) as server:
        desk.connector(server.url, town, credentials=OAUTH2).identify(5)
    assert kept == ["refresh-1"]


def test_no_token_is_spent_where_its_successor_cannot_be_kept(town: Town, desk: Desk) -> None:
    """With an unusable state folder the authorisation stays whole, and the error says what to mend."""
    desk.state.write_text("a file where the folder should be")
    with town.served() as url:
        connector = desk.connector(url, town, credentials=OAUTH2)
        with pytest.raises(RetryAt, match="cannot be kept"):
            connector.poll("mentions", None, 5)
        desk.state.unlink()
        assert connector.poll("mentions", None, 5).complete_through is not None


def test_a_pair_that_could_not_be_written_is_not_lost(town: Town, desk: Desk) -> None:
    """Where the disk fills up during a renewal, the new pair is written as soon as there is room."""
    with town.served() as url:
        connector = desk.connector(url, town, credentials=OAUTH2)
        connector.identify(5)
        in_the_way = state_file(desk).with_suffix(".new")
        in_the_way.mkdir()
        town.clock.move(3 * 3600)
        with pytest.raises(RetryAt, match="cannot be written"):
            connector.poll("mentions", None, 5)
        in_the_way.rmdir()
        assert connector.poll("mentions", None, 5).complete_through is not None
        assert desk.connector(url, town, credentials=OAUTH2).poll("mentions", None, 5).gap is None


def test_a_new_authorisation_in_the_config_wins_over_the_kept_tokens(town: Town, desk: Desk) -> None:
    """After authorising again, the new refresh token is used, and a refused one says to authorise again."""
    with town.served() as url:
        desk.connector(url, town, credentials=OAUTH2).identify(5)
    town.access = replace(town.access, refresh_token="authorised-again")
    with town.served() as url:
        assert desk.connector(url, town, credentials=OAUTH2).poll("own", None, 5).gap is None
        with pytest.raises(NotAllowed, match="authorise again"):
            desk.connector(url, town, credentials=OAUTH2, secrets={"refresh_token": "made up"}).identify(5)


def test_a_damaged_token_file_falls_back_to_the_config(town: Town, desk: Desk) -> None:
    """A half-written or foreign file does not stop the daemon while the config's token still holds."""
    with town.served() as url:
        desk.connector(url, town, credentials=OAUTH2).identify(5)
    state_file(desk).write_text('{"v": 1, "half')
    with town.served() as url:
        assert desk.connector(url, town, credentials=OAUTH2).poll("own", None, 5).gap is None


def test_a_failing_token_endpoint_is_tried_again(town: Town, desk: Desk) -> None:
    """X's trouble at the renewal is not told as a lost authorisation."""
    statuses = iter((503, 429, 400, 401))
    with Served(anything(lambda _: told({"error": "x"}, next(statuses)), who=False)) as server:
        for kind in (RetryAt, RetryAt, NotAllowed, NotAllowed):
            with pytest.raises(kind):
                desk.connector(server.url, town, credentials=OAUTH2).poll("own", None, 5)
