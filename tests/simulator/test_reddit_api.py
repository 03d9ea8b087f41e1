"""The simulated Reddit, asked as any client would: whether it is as strict, and as odd, as the real one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from simulator.faults import Fault, FaultKind, Faults
from simulator.reddit_api import RedditAccess, make_reddit_app
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
ACCESS = RedditAccess.of("AcmeHelp", seed=1)
AGENT = {"User-Agent": "linux:acme-tests:1.0"}


@pytest.fixture
def world() -> World:
    world = World(FixedClock(NOON))
    for id, handle in (("h1", "AcmeHelp"), ("a1", "ann")):
        world.add_person(Person(Platform.REDDIT, id, handle, handle))
    return world


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with Served(make_reddit_app(world, [ACCESS], closed={"secret": 403, "gone": 404})) as server:
        yield server.url


def write(world: World, form: Form, text: str, ago: float = 10, author: str = "ann", **more: Any) -> Writing:
    person = world.by_handle(Platform.REDDIT, author)
    assert person is not None
    at = world.clock.now() - timedelta(seconds=ago)
    id = world.new_id(Platform.REDDIT, at)
    whole: dict[str, Any] = {"root": id, "community": "kettles", "title": "A title"} | more
    return world.write(Writing(Platform.REDDIT, id, form, person, text, at, **whole))


def sign_in(url: str, access: RedditAccess = ACCESS, **form: str) -> httpx.Response:
    whole = {"grant_type": "password", "username": access.username, "password": access.password} | form
    with httpx.Client(trust_env=False, headers=AGENT) as client:
        return client.post(
            f"{url}/api/v1/access_token", data=whole, auth=(access.client_id, access.client_secret)
        )


def ask(url: str, path: str, token: str | None = None, **query: Any) -> httpx.Response:
    token = token or sign_in(url).json()["access_token"]
    headers = AGENT | {"Authorization": f"bearer {token}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        return client.get(url + path, params=query)


def names(response: httpx.Response) -> list[str]:
    return [thing["data"]["name"] for thing in response.json()["data"]["children"]]


def test_signing_in_is_refused_in_reddits_ways(url: str) -> None:
    """A wrong password gets 200 with an error, a wrong client 401, a wrong refresh token 400."""
    assert sign_in(url).json()["scope"] == "*"
    wrong = sign_in(url, password="no")
    assert (wrong.status_code, wrong.json()) == (200, {"error": "invalid_grant"})
    assert sign_in(url, replace(ACCESS, client_secret="no")).status_code == 401
    assert sign_in(url, grant_type="refresh_token", refresh_token="no").status_code == 400
    right = sign_in(url, grant_type="refresh_token", refresh_token=ACCESS.refresh_token).json()
    assert right["refresh_token"] == ACCESS.refresh_token
    assert "privatemessages" in right["scope"].split()
    assert sign_in(url, grant_type="magic").json() == {"error": "unsupported_grant_type"}


def test_a_token_ends_after_a_day(world: World, url: str) -> None:
    """An old token gets 401 with the header by which clients know that it ended."""
    token = sign_in(url).json()["access_token"]
    assert ask(url, "/api/v1/me", token).json()["name"] == "AcmeHelp"
    world.clock.sleep(86_400)
    refused = ask(url, "/api/v1/me", token)
    assert refused.status_code == 401
    assert "invalid_token" in refused.headers["www-authenticate"]


def test_a_missing_scope_is_told(world: World) -> None:
    """A token without the scope of a route gets 403 and says so."""
    access = replace(ACCESS, scopes=("identity",))
    with Served(make_reddit_app(world, [access])) as server:
        answer = sign_in(server.url, grant_type="refresh_token", refresh_token=access.refresh_token)
        token = answer.json()["access_token"]
        assert ask(server.url, "/api/v1/me", token).status_code == 200
        refused = ask(server.url, "/message/inbox", token)
    assert (refused.status_code, "insufficient_scope" in refused.headers["www-authenticate"]) == (403, True)


def test_a_client_without_a_name_is_throttled(url: str) -> None:
    """Reddit answers 429 to clients that only say which library they use."""
    token = sign_in(url).json()["access_token"]
    headers = {"Authorization": f"bearer {token}", "User-Agent": "python-requests/2.32"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        assert client.get(f"{url}/api/v1/me").status_code == 429


def test_the_rate_window_is_counted_in_pretended_time(world: World, url: str) -> None:
    """Requests count down to 429, and a new window begins when the pretended time comes."""
    token = sign_in(url).json()["access_token"]
    headers = AGENT | {"Authorization": f"bearer {token}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        first = client.get(f"{url}/api/v1/me")
        assert (first.headers["x-ratelimit-remaining"], first.headers["x-ratelimit-used"]) == ("599.0", "1")
        for _ in range(599):
            last = client.get(f"{url}/api/v1/me")
        assert (last.status_code, last.headers["x-ratelimit-remaining"]) == (200, "0.0")
        over = client.get(f"{url}/api/v1/me")
        assert over.status_code == 429
        world.clock.sleep(float(over.headers["x-ratelimit-reset"]))
        assert client.get(f"{url}/api/v1/me").status_code == 200


def test_the_inbox_holds_what_is_for_us_in_its_own_shape(world: World, url: str) -> None:
    """Mentions, replies and private messages come flat, newest first, and comments lack link_id there."""
    ours = write(world, Form.POST, "new", 90, "AcmeHelp")
    reply = write(world, Form.COMMENT, "nice", 80, root=ours.id, parent=ours.id)
    thread = write(world, Form.POST, "ask u/acmehelp", 70)
    mention = write(world, Form.COMMENT, "u/AcmeHelp?", 60, root=thread.id, parent=thread.id)
    write(world, Form.COMMENT, "nobody", 55, root=thread.id, parent=thread.id)
    help_account = world.by_handle(Platform.REDDIT, "AcmeHelp")
    ann = world.by_handle(Platform.REDDIT, "ann")
    first = write(world, Form.DM, "hello", 50, recipient=help_account)
    answer = write(world, Form.DM, "hi", 40, "AcmeHelp", recipient=ann, root=first.id, parent=first.id)
    inbox = ask(url, "/message/inbox")
    assert names(inbox) == [f"t4_{first.id}", f"t1_{mention.id}", f"t1_{reply.id}"]
    data = inbox.json()["data"]["children"][1]["data"]
    assert (data["type"], data["was_comment"], "link_id" in data) == ("username_mention", True, False)
    assert data["context"].startswith(f"/r/kettles/comments/{thread.id}/")
    assert names(ask(url, "/message/mentions")) == [f"t1_{mention.id}"]
    assert names(ask(url, "/message/unread")) == names(inbox)
    assert names(ask(url, "/message/comments")) == []
    assert names(ask(url, "/message/selfreply")) == [f"t1_{reply.id}"]
    sent = ask(url, "/message/sent")
    assert names(sent) == [f"t4_{answer.id}"]
    told = sent.json()["data"]["children"][0]["data"]
    assert (told["first_message_name"], told["dest"], told["subject"]) == (
        f"t4_{first.id}",
        "ann",
        "re: A title",
    )
    nested = ask(url, "/message/messages").json()["data"]["children"]
    assert [t["data"]["name"] for t in nested] == [f"t4_{first.id}"]
    assert nested[0]["data"]["replies"]["data"]["children"][0]["data"]["name"] == f"t4_{answer.id}"


def test_pages_hold_everything_once_and_a_deleted_anchor_leads_nowhere(world: World, url: str) -> None:
    """Walking by `after` gives all, newest first; after an entry that was deleted comes nothing."""
    posts = [write(world, Form.POST, f"{n}", 100 - n) for n in range(30)]
    first = ask(url, "/r/kettles/new")
    assert len(names(first)) == 25
    after = first.json()["data"]["after"]
    second = ask(url, "/r/kettles+other/new", after=after)
    assert names(first) + names(second) == [f"t3_{p.id}" for p in reversed(posts)]
    assert second.json()["data"]["after"] is None
    back = ask(url, "/r/kettles/new", before=names(second)[0], limit=3)
    assert names(back) == names(first)[-3:]
    assert back.json()["data"]["before"] == names(back)[0]
    assert ask(url, "/r/kettles/new", before=after, after=after).status_code == 400
    posts[5].deleted_at = NOON
    assert after == f"t3_{posts[5].id}"
    assert names(ask(url, "/r/kettles/new", after=after)) == []
    assert len(names(ask(url, "/r/all/new", limit=1000))) == 29


def test_what_is_deleted_leaves_lists_and_stays_known_by_id(world: World, url: str) -> None:
    """/api/info still shows a deleted comment, without its words and its author; and an edited one's time."""
    thread = write(world, Form.POST, "tea", 90)
    lost = write(world, Form.COMMENT, "oh", 80, root=thread.id, parent=thread.id)
    world.edit(thread, NOON - timedelta(seconds=5), "coffee & <cake>")
    lost.deleted_at = NOON
    assert names(ask(url, "/user/ann/comments")) == []
    assert names(ask(url, "/user/ann/submitted")) == [f"t3_{thread.id}"]
    said = write(world, Form.COMMENT, "aha", 70, root=thread.id, parent=thread.id)
    assert names(ask(url, "/user/ann/overview")) == [f"t1_{said.id}", f"t3_{thread.id}"]
    body = ask(url, "/api/info", id=f"t1_{lost.id},t3_{thread.id},t3_zzz").json()["data"]["children"]
    assert [t["data"]["author"] for t in body] == ["[deleted]", "ann"]
    assert body[0]["data"]["body"] == "[deleted]"
    assert body[1]["data"]["selftext"] == "coffee &amp; &lt;cake&gt;"
    assert body[1]["data"]["edited"] == NOON.timestamp() - 5
    raw = ask(url, "/api/info", id=f"t3_{thread.id}", raw_json=1).json()["data"]["children"]
    assert raw[0]["data"]["selftext"] == "coffee & <cake>"
    assert ask(url, "/api/info", id="what").status_code == 400


def test_search_knows_phrases_and_or_in_submissions_only(world: World, url: str) -> None:
    """A search finds submissions by title and text, whole words, any of the choices."""
    one = write(world, Form.POST, "an Acme Kettle", 90)
    two = write(world, Form.POST, "x", 80, title="Teapot", community="pots", likes=9)
    write(world, Form.POST, "kettle of acme, teapots", 70)
    write(world, Form.COMMENT, "acme kettle", 60, root=one.id, parent=one.id)
    query = '"acme kettle" OR teapot'
    assert names(ask(url, "/search", q=query, sort="new")) == [f"t3_{two.id}", f"t3_{one.id}"]
    here = ask(url, "/r/kettles/search", q=query, restrict_sr="1", sort="new")
    assert names(here) == [f"t3_{one.id}"]
    assert ask(url, "/search", q="a" * 513).status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/r/secret/new", 403),
        ("/r/gone/comments", 404),
        ("/r/kettles/magic", 404),
        ("/user/nobody/comments", 404),
        ("/user/ann/magic", 404),
        ("/message/magic", 404),
    ],
)
def test_closed_and_unknown_places_are_refused(url: str, path: str, status: int) -> None:
    """What is private, banned or unknown gets Reddit's status and its number in the body."""
    refused = ask(url, path)
    assert (refused.status_code, refused.json()["error"]) == (status, status)


def test_subreddits_are_told_by_name(url: str) -> None:
    """A private subreddit is shown as such, a banned one is left out."""
    things = ask(url, "/api/info", sr_name="kettles,secret,gone").json()["data"]["children"]
    shown = {t["data"]["display_name"]: t["data"]["subreddit_type"] for t in things}
    assert shown == {"kettles": "public", "secret": "private"}


def test_faults_befall_it(world: World) -> None:
    """What was planned to go wrong does, and then all is well again."""
    faults = Faults(FixedClock(NOON))
    faults.once("/message", Fault(FaultKind.ERROR, status=503))
    with Served(make_reddit_app(world, [ACCESS], faults=faults)) as server:
        token = sign_in(server.url).json()["access_token"]
        assert [ask(server.url, "/message/inbox", token).status_code for _ in range(2)] == [503, 200]
