"""What the Reddit connector makes of refusals and rate limits; and that it gives no secret away."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from simulator.serve import Served
from tests.connectors.reddit_support import NOON, Desk, Town, anything, listing, told
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, monkeypatch)
    yield desk
    desk.close()


def test_a_used_up_budget_raises_and_never_sleeps(town: Town, desk: Desk) -> None:
    """With nothing left of the rate limit, we say when to come back, without asking Reddit again."""
    asked: list[str] = []
    spent = {"x_ratelimit_remaining": "0.0", "x_ratelimit_used": "996", "x_ratelimit_reset": "120"}

    def answer(request: Any) -> Response:
        asked.append(request.url.path)
        response = listing()
        for name, value in spent.items():
            response.headers[name.replace("_", "-")] = value
        return response

    with Served(anything(answer)) as server:
        connector = desk.connector(server.url, town)
        (budget,) = connector.poll("dms", None, 5).budgets
        assert (budget.limit, budget.remaining) == (996, 0)
        assert budget.resets_at == NOON + timedelta(seconds=120)
        with pytest.raises(RetryAt) as refused:
            connector.poll("dms", None, 5)
        assert (refused.value.limited, refused.value.at) == (True, NOON + timedelta(seconds=120))
        assert len(asked) == 1
        town.clock.move(121)
        connector.poll("dms", None, 5)
    assert len(asked) == 2


def test_a_429_says_when_to_come_back(town: Town, desk: Desk) -> None:
    """Reddit's rate limit is nobody's fault, and its own time is kept."""
    with Served(anything(lambda _: told({}, 429, x_ratelimit_reset="45"))) as server:
        with pytest.raises(RetryAt) as refused:
            desk.connector(server.url, town).poll("dms", None, 5)
    assert (refused.value.limited, refused.value.at) == (True, NOON + timedelta(seconds=45))


@pytest.mark.parametrize(
    ("response", "error", "said"),
    [
        (told({}, 403), NotAllowed, "privatemessages"),
        (told({}, 403, www_authenticate='Bearer error="insufficient_scope"'), NotAllowed, "privatemessages"),
        (told({}, 401), NotAllowed, "access token"),
        (told({}, 302, location="/login?dest=x"), NotAllowed, "log in"),
        (told({}, 302, location="/elsewhere"), Malformed, "redirected"),
        (told({}, 302), Malformed, "redirected"),
        (told({}, 404), Refused, "404"),
        (told({"odd": 1}, 400), Refused, "400"),
        (told({}, 418), Refused, "418"),
        (told({}, 500), RetryAt, "500"),
        (told({}, 522), RetryAt, "522"),
        (Response("<html>", media_type="text/html"), Malformed, "HTML"),
        (Response('{"kind": "Listing", "da'), Malformed, "breaks off"),
        (Response("[" * 100_000), Malformed, "JSON"),
        (Response(""), Malformed, "Listing"),
        (Response(status_code=204), Malformed, "Listing"),
        (told({"data": {"children": 7}}), Malformed, "Listing"),
        (told({"data": {"children": [], "after": "../x"}}), Malformed, "fullname"),
    ],
)
def test_each_refusal_says_what_to_do(
    town: Town, desk: Desk, response: Response, error: type[EdgeError], said: str
) -> None:
    """Whatever Reddit answers, the operator reads what it was and what to do, and nothing else breaks."""
    with Served(anything(lambda _: response)) as server:
        with pytest.raises(error, match=said) as refused:
            desk.connector(server.url, town).poll("dms", None, 5)
    assert town.access.password not in str(refused.value)


def test_rate_limit_headers_that_make_no_sense_do_no_harm(town: Town, desk: Desk) -> None:
    """Broken numbers in headers are passed over."""

    def answer(_: Any) -> Response:
        response = listing()
        response.headers["x-ratelimit-remaining"] = "many"
        response.headers["x-ratelimit-reset"] = "nan"
        return response

    with Served(anything(answer)) as server:
        assert desk.connector(server.url, town).poll("dms", None, 5).budgets == ()


def test_closed_and_unknown_places_are_named(town: Town, desk: Desk) -> None:
    """A private or banned subreddit, and a missing scope, are told by name."""
    with town.served(closed={"kettles": 403, "gone": 404}) as url:
        with pytest.raises(NotAllowed, match="kettles"):
            desk.connector(url, town).poll("comments", None, 5)
        with pytest.raises(Refused, match="gone"):
            desk.connector(url, town, subreddits=["gone"]).poll("comments", None, 5)
    town.access = replace(town.access, scopes=("identity", "read"))
    with town.served() as url:
        connector = desk.connector(url, town, way="refresh_token")
        missing = connector.identify(5).permissions_missing
        with pytest.raises(NotAllowed, match="privatemessages"):
            connector.poll("dms", None, 5)
    assert missing == ("scope history", "scope privatemessages")


@pytest.mark.parametrize("way", ["password", "refresh_token"])
def test_wrong_credentials_are_told_and_a_mended_secret_is_read(town: Town, desk: Desk, way: str) -> None:
    """A wrong password or token names the settings to check, never its value; mended, it works at once."""
    with town.served() as url:
        connector = desk.connector(url, town, way=way, secret="wr0ng-secret")
        with pytest.raises(NotAllowed, match=way) as refused:
            connector.poll("dms", None, 5)
        assert "wr0ng-secret" not in str(refused.value)
        desk.monkeypatch.setenv("REDDIT_WAY", getattr(town.access, way))
        assert connector.poll("dms", None, 5).complete_through is not None


def test_an_access_token_that_ended_early_is_renewed(town: Town, desk: Desk) -> None:
    """After a day the token is renewed without anybody noticing."""
    with town.served() as url:
        connector = desk.connector(url, town)
        connector.poll("dms", None, 5)
        town.clock.move(2 * 86_400)
        town.dm(town.ann, town.help, "hello", ago=5)
        assert len(connector.poll("dms", None, 5).messages) == 1


def test_credentials_of_another_account_are_refused(town: Town, desk: Desk) -> None:
    """The inbox of a wrong account is never read as ours."""
    with town.served() as url:
        connector = desk.connector(url, town, way="refresh_token", username="acmehq")
        assert "acmehelp" in connector.identify(5).permissions_missing[0]
        with pytest.raises(NotAllowed, match="acmehelp"):
            connector.poll("dms", None, 5)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"x_ratelimit_reset": "300"}, 300),
        ({"retry_after": "7", "x_ratelimit_reset": "300"}, 7),
        ({"retry_after": "Mon, 02 Nov 2026 12:05:00 GMT"}, 300),
        ({"retry_after": "-5"}, 1),
        ({"retry_after": "0"}, 1),
        ({"retry_after": "9" * 400}, 3600),
        ({"retry_after": "soon", "x_ratelimit_reset": "1e308"}, 3600),
        ({"x_ratelimit_reset": "inf", "x_ratelimit_remaining": "0", "x_ratelimit_used": "x"}, 60),
    ],
)
def test_at_the_limit_no_stream_of_the_account_asks_again(
    town: Town, desk: Desk, headers: dict[str, str], seconds: int
) -> None:
    """One 429 closes the door for all streams until the time that Reddit gives, within a second and an hour,
    whatever its headers say; then it opens again."""
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return told({}, 429, **headers) if len(asked) == 1 else listing()

    with Served(anything(answer)) as server:
        connector = desk.connector(server.url, town)
        for stream in ("dms", "own", "comments"):
            with pytest.raises(RetryAt) as refused:
                connector.poll(stream, None, 5)
            assert (refused.value.limited, refused.value.at) == (True, NOON + timedelta(seconds=seconds))
        assert asked == ["/message/inbox"]
        town.clock.move(seconds)
        assert connector.poll("dms", None, 5).complete_through is not None


def test_a_clock_set_back_does_not_keep_the_door_closed(town: Town, desk: Desk) -> None:
    """An hour taken back from the clock is not added to a wait of a minute."""
    answers = iter([told({}, 429), listing()])
    with Served(anything(lambda _: next(answers))) as server:
        connector = desk.connector(server.url, town)
        with pytest.raises(RetryAt):
            connector.poll("dms", None, 5)
        town.clock.move(-3700)
        connector.poll("dms", None, 5)
    assert next(answers, None) is None


def test_the_sign_in_may_be_limited_or_broken_too(town: Town, desk: Desk) -> None:
    """What goes wrong while signing in is told like anything else, and is no fault of the credentials."""
    answers: list[tuple[Response, type[EdgeError]]] = [
        (told({}, 429), RetryAt),
        (told({}, 503), RetryAt),
        (Response("<html>hello</html>"), Malformed),
        (told({"access_token": "t", "scope": "*"}), Malformed),
        (told([]), Malformed),
        (told({"error": "invalid_grant"}), NotAllowed),
        (told({"error": "<script>"}), NotAllowed),
        (told({}, 403), NotAllowed),
    ]
    for response, error in answers:

        async def app(scope: Any, receive: Any, send: Any, response: Response = response) -> None:
            await response(scope, receive, send)

        with Served(app) as server:
            with pytest.raises(error) as refused:
                desk.connector(server.url, town).identify(5)
        assert "script>" not in str(refused.value)


def test_subreddits_that_show_nothing_are_named(town: Town, desk: Desk) -> None:
    """Among several subreddits Reddit leaves closed ones out without a word: `check` names them."""
    with town.served(closed={"secret": 403, "gone": 404}) as url:
        connector = desk.connector(url, town, subreddits=["kettles", "Secret", "gone"])
        missing = connector.identify(5).permissions_missing
        assert [m.split()[1] for m in missing] == ["r/secret", "r/gone"]
        assert connector.poll("comments", None, 5).messages == ()  # and the others are read all the same
        town.access = replace(town.access, scopes=("identity",))
    with town.served() as url:
        missing = desk.connector(url, town, way="refresh_token").identify(5).permissions_missing
    assert missing == ("scope history", "scope privatemessages", "scope read")


def test_what_cannot_be_read_is_told_once(town: Town, desk: Desk) -> None:
    """A broken comment that stays among the newest is not counted anew at each reading."""
    when = NOON.timestamp() - 60
    usual = {"author": "ann", "body": "acme", "link_id": "t3_b", "parent_id": "t3_b", "created_utc": when}
    things = [
        {"kind": "t1", "data": {**usual, "name": "t1_a"}},
        {"kind": "t1", "data": {**usual, "name": "t1_b", "body": "acme \ud800"}},
        {"kind": "t1", "data": {**usual, "name": "t1_c", "created_utc": None}},
    ]
    cursor, told_of = None, []
    with Served(anything(lambda _: listing(*things))) as server:
        connector = desk.connector(server.url, town)
        for _ in range(3):
            page = connector.poll("inbox", cursor, 5)
            cursor = json.loads(json.dumps(page.cursor))
            told_of.append(([m.id for m in page.messages], [r.id for r in page.rejected]))
    assert told_of == [(["t1_a"], ["t1_b", "t1_c"]), ([], []), ([], [])]


@pytest.mark.parametrize("fields", [["a", "b"], [], "x", 7])
def test_an_error_that_praw_does_not_expect_is_an_answer_all_the_same(
    town: Town, desk: Desk, fields: Any
) -> None:
    """praw takes the bodies of errors at their word; a daemon does not fall over one."""
    body = {"fields": fields, "reason": "SOMETHING", "explanation": "else"}
    with Served(anything(lambda _: told(body, 400))) as server:
        with pytest.raises(Refused, match="400"):
            desk.connector(server.url, town).poll("dms", None, 5)


@pytest.mark.parametrize("way", ["password", "refresh_token"])
def test_no_secret_is_ever_shown(town: Town, desk: Desk, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither errors nor logs, down to the libraries' own, hold a password, a secret or a token."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    bodies = [told({}, 401), told({}, 403), told({}, 429), told({}, 500), Response("<html>")]
    for response in bodies:

        def answer(_: Request, response: Response = response) -> Response:
            return response

        with Served(anything(answer)) as server:
            connector = desk.connector(server.url, town, way=way)
            with pytest.raises(EdgeError) as refused:
                connector.poll("dms", None, 5)
            said += [repr(refused.value), str(refused.value), repr(connector), repr(refused.value.__cause__)]
    with town.served() as url:
        desk.connector(url, town, way=way).identify(5)
    shown = "\n".join([*said, caplog.text])
    access = town.access
    assert not any(s in shown for s in (access.password, access.client_secret, access.refresh_token))
    assert "urllib3" in {r.name.partition(".")[0] for r in caplog.records}  # something did listen
