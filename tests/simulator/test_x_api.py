"""The simulated X, asked as any client would: whether it is as strict, and as forgetful, as the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from simulator.faults import Fault, FaultKind, Faults
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from simulator.x_api import XAccess, make_x_app
from simulator.x_shapes import compile_query, snowflake, time_of

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ACCESS = XAccess.of("AcmeHelp", seed=1)


@pytest.fixture
def world() -> World:
    world = World(FixedClock(NOON))
    for id, handle in (("100", "AcmeHelp"), ("7", "ann")):
        world.add_person(Person(Platform.X, id, handle, handle, 12))
    return world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with Served(make_x_app(world, [ACCESS])) as server:
        yield server.url


def write(world: World, text: str, ago: float = 10, author: str = "ann", **more: Any) -> Writing:
    person = world.by_handle(Platform.X, author)
    assert person is not None
    at = world.clock.now() - timedelta(seconds=ago)
    id = world.new_id(Platform.X, at)
    whole: dict[str, Any] = {"root": id, "mentions": ("AcmeHelp",), "form": Form.POST} | more
    return world.write(Writing(platform=Platform.X, id=id, author=person, text=text, created_at=at, **whole))


def ask(url: str, path: str, bearer: str = ACCESS.bearer_token, **query: Any) -> httpx.Response:
    names = {k.replace("__", "."): v for k, v in query.items()}
    with httpx.Client(trust_env=False) as client:
        return client.get(url + path, params=names, headers={"Authorization": f"Bearer {bearer}"})


def renew(url: str, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    with httpx.Client(trust_env=False) as client:
        return client.post(
            f"{url}/2/oauth2/token", data=form, auth=(ACCESS.client_id, ACCESS.client_secret or "")
        )


def user_token(url: str) -> str:
    token: str = renew(url, ACCESS.refresh_token).json()["access_token"]
    return token


def test_only_what_is_asked_for_is_shown(world: World, url: str) -> None:
    """A client that forgets a field finds that out here, not in production."""
    complaint = write(world, "@AcmeHelp broken & <sad>")
    write(world, "@AcmeHelp still", ago=5, parent=complaint.id, root=complaint.id)
    plain = ask(url, "/2/users/100/mentions").json()
    assert set(plain) == {"data", "meta"}
    assert set(plain["data"][0]) == {"id", "text", "edit_history_tweet_ids"}
    assert plain["data"][1]["text"] == "@AcmeHelp broken &amp; &lt;sad&gt;"
    old = ask(
        url,
        "/2/users/100/mentions",
        tweet__fields="author_id,referenced_tweets,conversation_id",
        expansions="author_id",
        user__fields="public_metrics",
    ).json()
    assert old["data"][0]["referenced_tweets"] == [{"type": "replied_to", "id": complaint.id}]
    assert old["includes"]["users"][0]["public_metrics"]["followers_count"] == 12
    new = ask(url, "/2/users/100/mentions", post__fields="author_id,created_at").json()
    assert set(new["data"][0]) == {"id", "text", "edit_history_post_ids", "created_at"}
    linked = ask(
        url, "/2/users/100/mentions", post__fields="id", expansions="referenced_posts,author_id"
    ).json()
    assert (linked["data"][0]["author_id"], len(linked["includes"]["posts"])) == ("7", 1)
    assert "referenced_posts" in linked["data"][0]


@pytest.mark.parametrize(
    ("path", "query", "parameter"),
    [
        ("/2/users/100/mentions", {"max_results": "4"}, "max_results"),
        ("/2/users/100/mentions", {"max_results": "101"}, "max_results"),
        ("/2/users/100/mentions", {"since_id": "abc"}, "since_id"),
        ("/2/users/100/mentions", {"until_id": "abc"}, "until_id"),
        ("/2/users/100/mentions", {"start_time": "yesterday"}, "start_time"),
        ("/2/users/100/mentions", {"pagination_token": "nonsense"}, "pagination_token"),
        ("/2/users/100/mentions", {"colour": "red"}, "colour"),
        ("/2/users/me2/mentions", {}, "id"),
        ("/2/tweets/search/recent", {"query": "a" * 513}, "query"),
        ("/2/tweets/search/recent", {"query": ""}, "query"),
        ("/2/tweets/search/recent", {"query": "a", "since_id": "1"}, "since_id"),
        ("/2/tweets/search/recent", {"query": "a", "start_time": "2026-10-01T00:00:00Z"}, "start_time"),
        (
            "/2/tweets/search/recent",
            {"query": "a", "start_time": "2026-11-02T00:00:00Z", "since_id": "2117000000000000000"},
            "since_id",
        ),
        ("/2/tweets", {"ids": "1,b"}, "ids"),
    ],
)
def test_a_wrong_request_is_refused_as_x_does(
    url: str, path: str, query: dict[str, str], parameter: str
) -> None:
    """Each wrong parameter gets X's 400, which names it."""
    refused = ask(url, path, **query)
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("application/problem+json")
    body = refused.json()
    assert list(body["errors"][0]["parameters"]) == [parameter]
    assert body["type"].endswith("/invalid-request")


@pytest.mark.parametrize("fields", ["tweet", "post"])
def test_a_server_of_one_generation_refuses_the_others_names(world: World, fields: str) -> None:
    """Before and after the renaming, only one set of names is known."""
    with Served(make_x_app(world, [ACCESS], fields=fields)) as server:  # type: ignore[arg-type] # a parameter
        statuses = [
            ask(server.url, "/2/users/100/tweets", **{f"{g}__fields": "lang"}).status_code
            for g in ("tweet", "post")
        ]
    assert statuses == ([200, 400] if fields == "tweet" else [400, 200])


def test_pages_hold_every_post_once_newest_first(world: World, url: str) -> None:
    """Walking the page tokens gives all that since_id and until_id leave, and each token holds an hour."""
    posts = [write(world, f"@AcmeHelp {n}", ago=100 - n) for n in range(12)]
    query: dict[str, str] = {"max_results": "5", "since_id": posts[0].id, "until_id": posts[11].id}
    seen: list[str] = []
    for _ in range(5):
        body = ask(url, "/2/users/100/mentions", **query).json()
        seen += [p["id"] for p in body["data"]]
        assert (body["meta"]["newest_id"], body["meta"]["result_count"]) == (
            body["data"][0]["id"],
            len(body["data"]),
        )
        if "next_token" not in body["meta"]:
            break
        query["pagination_token"] = body["meta"]["next_token"]
    assert seen == [p.id for p in reversed(posts[1:11])]
    assert isinstance(world.clock, FixedClock)
    world.clock.move(3700)
    assert ask(url, "/2/users/100/mentions", **query).status_code == 400


def test_times_bound_a_page(world: World, url: str) -> None:
    """start_time and end_time leave what lies between them."""
    for ago in (300, 200, 100):
        write(world, f"@AcmeHelp {ago}", ago=ago)
    body = ask(
        url, "/2/users/100/mentions", start_time="2026-11-02T11:56:00Z", end_time="2026-11-02T11:57:30Z"
    ).json()
    assert [p["text"] for p in body["data"]] == ["@AcmeHelp 200"]


def test_limits_are_counted_in_pretended_time(world: World, url: str) -> None:
    """The 16th reading of DMs in a window gets 429 with the time of the next, and then it goes on."""
    token = user_token(url)
    answers = [ask(url, "/2/dm_events", token) for _ in range(16)]
    assert [a.status_code for a in answers] == [200] * 15 + [429]
    assert [a.headers["x-rate-limit-remaining"] for a in answers[-3:]] == ["1", "0", "0"]
    assert int(answers[-1].headers["x-rate-limit-reset"]) - int(NOON.timestamp()) in (900, 901)
    assert answers[-1].json()["title"] == "Too Many Requests"
    assert isinstance(world.clock, FixedClock)
    world.clock.move(901)
    assert ask(url, "/2/dm_events", token).status_code == 200


def test_limits_can_be_off(world: World) -> None:
    """Benchmarks ask as often as they like."""
    with Served(make_x_app(world, [ACCESS], rate_limits=False)) as server:
        token = user_token(server.url)
        assert {ask(server.url, "/2/dm_events", token).status_code for _ in range(20)} == {200}


def test_a_refresh_token_is_taken_once_and_an_access_token_ends(world: World, url: str) -> None:
    """Who spends a refresh token twice is refused, as is an access token after two hours."""
    first = renew(url, ACCESS.refresh_token)
    again = renew(url, ACCESS.refresh_token)
    assert (first.status_code, again.status_code) == (200, 400)
    assert again.json()["error"] == "invalid_request"
    token = first.json()["access_token"]
    assert ask(url, "/2/users/me", token).json()["data"]["username"] == "AcmeHelp"
    assert isinstance(world.clock, FixedClock)
    world.clock.move(7201)
    assert ask(url, "/2/users/me", token).status_code == 401
    assert renew(url, first.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic eDp5", 'OAuth oauth_consumer_key="x"'])
def test_strangers_get_401(url: str, header: str | None) -> None:
    """Without a known credential nothing is shown."""
    with httpx.Client(trust_env=False) as client:
        answer = client.get(f"{url}/2/users/me", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")


def test_an_app_without_a_user_sees_no_dms(url: str) -> None:
    """X shows DMs to users only, and says which ways in there are."""
    refused = ask(url, "/2/dm_events")
    assert (refused.status_code, refused.json()["type"].rsplit("/")[-1]) == (
        403,
        "unsupported-authentication",
    )


def test_dms_are_those_of_the_user(world: World, url: str) -> None:
    """A user's DM events are what he sent and got within 30 days, with the fields that were asked for."""
    acme, ann = (world.by_handle(Platform.X, h) for h in ("AcmeHelp", "ann"))
    write(world, "old", ago=31 * 86_400, form=Form.DM, recipient=acme)
    write(world, "in", ago=20, form=Form.DM, recipient=acme)
    write(world, "out", author="AcmeHelp", form=Form.DM, recipient=ann)
    write(world, "others", form=Form.DM, recipient=ann)
    asked = {"dm_event__fields": "sender_id,dm_conversation_id", "expansions": "sender_id"}
    body = ask(url, "/2/dm_events", user_token(url), **asked).json()
    assert [(e["text"], e["sender_id"], e["dm_conversation_id"]) for e in body["data"]] == [
        ("out", "100", "7-100"),
        ("in", "7", "7-100"),
    ]
    assert {u["id"] for u in body["includes"]["users"]} == {"7", "100"}


def test_a_deleted_post_vanishes_and_is_reported_on_look_up(world: World, url: str) -> None:
    """From the moment of its deletion a post is in no list, and a look-up names it as not found."""
    post = write(world, "@AcmeHelp soon gone")
    post.deleted_at = NOON + timedelta(seconds=5)
    assert ask(url, "/2/tweets", ids=post.id).json()["data"][0]["id"] == post.id
    assert isinstance(world.clock, FixedClock)
    world.clock.move(5)
    body = ask(url, "/2/tweets", ids=post.id).json()
    assert (body["errors"][0]["resource_id"], "data" in body) == (post.id, False)
    assert ask(url, "/2/users/100/mentions").json()["meta"]["result_count"] == 0


def test_an_edit_is_a_new_version_with_an_id_of_its_own(world: World, url: str) -> None:
    """Lists show the newest version, a look-up the one that was asked for, both with the whole history."""
    post = write(world, "@AcmeHelp boken", ago=60)
    change = world.edit(post, NOON - timedelta(seconds=30), "@AcmeHelp broken")
    (listed,) = ask(url, "/2/users/100/mentions", tweet__fields="created_at").json()["data"]
    assert (listed["id"], listed["text"]) == (change.id, "@AcmeHelp broken")
    assert listed["edit_history_tweet_ids"] == [post.id, change.id]
    assert listed["created_at"] == "2026-11-02T11:59:30.000Z"
    (looked_up,) = ask(url, "/2/tweets", ids=post.id).json()["data"]
    assert (looked_up["id"], looked_up["text"]) == (post.id, "@AcmeHelp boken")


def test_a_post_shows_when_x_is_ready(world: World, url: str) -> None:
    """What X shows late is in no list before its time."""
    write(world, "@AcmeHelp", visible_at=NOON + timedelta(seconds=9))
    assert ask(url, "/2/users/100/mentions").json()["meta"]["result_count"] == 0
    assert isinstance(world.clock, FixedClock)
    world.clock.move(9)
    assert ask(url, "/2/users/100/mentions").json()["meta"]["result_count"] == 1


def test_a_timeline_holds_replies_unless_they_are_excluded(world: World, url: str) -> None:
    """Who excludes replies sees no answers."""
    complaint = write(world, "@AcmeHelp broken", ago=60)
    write(world, "@ann sorry", author="AcmeHelp", parent=complaint.id, mentions=("ann",))
    assert ask(url, "/2/users/100/tweets").json()["meta"]["result_count"] == 1
    assert ask(url, "/2/users/100/tweets", exclude="replies").json()["meta"]["result_count"] == 0
    assert ask(url, "/2/users/5/tweets").json()["errors"][0]["resource_type"] == "user"


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("kettle", True),
        ("kettl", False),
        ('"acme kettle"', True),
        ('"kettle acme"', False),
        ("acme -kettle", False),
        ('(toaster OR "acme kettle") -from:acmehelp -is:retweet', True),
        ("(acme OR toaster) -from:ann", False),
        ("from:ANN toaster OR kettle", True),
        ("toaster", False),
        ('-"acme kettle"', False),
    ],
)
def test_search_reads_queries_as_x_does(world: World, query: str, matches: bool) -> None:
    """Words are whole, phrases in order, AND binds closer than OR, and a minus excludes."""
    post = write(world, "My ACME kettle's broken!")
    assert compile_query(query)(post, NOON) is matches


def test_search_goes_back_seven_days(world: World, url: str) -> None:
    """What is older than a week is not found."""
    write(world, "acme", ago=8 * 86_400)
    write(world, "acme", ago=6 * 86_400)
    assert ask(url, "/2/tweets/search/recent", query="acme").json()["meta"]["result_count"] == 1


def test_an_id_holds_its_time() -> None:
    """Ids are made as X makes them, so that clients may read the time from them."""
    assert time_of(snowflake(NOON)) == NOON


def test_faults_come_before_the_server(world: World) -> None:
    """A fault that is switched on befalls the next request, and only it."""
    faults = Faults(world.clock)
    with Served(make_x_app(world, [ACCESS], faults=faults)) as server:
        faults.once("/mentions", Fault(FaultKind.ERROR, status=503))
        assert [ask(server.url, "/2/users/100/mentions").status_code for _ in range(2)] == [503, 200]
