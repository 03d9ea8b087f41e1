"""Storms and spikes as people read them: one message instead of many, on every channel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from alerts.contract import Receipt
from alerts.render import HEADLINE_LENGTH_MAX, Rendered
from rules.alert import Alert, Stage
from tests.alerts.build import (
    BENCHES,
    BERLIN,
    LIMIT,
    NOON,
    Bench,
    alert,
    render,
    spike_alert,
    storm_alert,
    storm_case,
    strings,
)
from tests.contract.test_hostile_texts import NASTY, look_at_chat

OVER: dict[str, Any] = {
    "at": NOON + timedelta(minutes=30),
    "over_at": NOON + timedelta(minutes=25),
    "reached": 42,
    "waiting": 2,
    "answered": 40,
}


def said(given: Alert) -> Rendered:
    return render(given, BERLIN)


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with BENCHES[request.param]() as made:
        yield made


@pytest.fixture
def token() -> Iterator[Bench]:
    with BENCHES["slack token"]() as made:
        yield made


def test_a_storm_says_how_many_where_and_whom_to_answer_first() -> None:
    """One look at the one message of a storm says how big it is, what it is about, and where to begin."""
    found = said(storm_alert())
    assert found.headline == "Storm at Acme: 42 cases waiting too long, 12 answered"
    assert dict(found.facts) == {
        "Since": "Mon 02 Nov 12:50 CET, 10 min ago",
        "Cases": "54 in all: 42 still wait, 12 answered",
        "Where": "X, Reddit",
        "Common words": '"delivery" in 31, "refund" in 12',
        "Meanwhile": "this stands for the single alerts",
    }
    assert [line.text for line in found.cases] == [
        f"@customer_{n} on X, high, has waited 20 min, 5 min late (acme/x/{n})" for n in range(1, 6)
    ]
    assert {line.link_text for line in found.cases} == {"Open on X"}
    assert found.footer == "All that wait: response-monitor queue"
    assert "- @customer_1 on X, high, has waited 20 min, 5 min late (acme/x/1): https://x" in found.text


def test_a_storm_counts_what_ended_otherwise() -> None:
    """Cases that were deleted or closed are neither waiting nor answered, and still add up."""
    cases = dict(said(storm_alert(reached=60)).facts)["Cases"]
    assert cases == "60 in all: 42 still wait, 12 answered, 6 ended otherwise"
    alone = said(storm_alert(reached=11, waiting=1, answered=10))
    assert alone.headline == "Storm at Acme: 1 case waiting too long, 10 answered"
    assert dict(alone.facts)["Cases"] == "11 in all: 1 still waits, 10 answered"


@pytest.mark.parametrize("stage", [Stage.STORM, Stage.CLEARED])
@pytest.mark.parametrize(
    ("waiting", "left"), [(2, "2 still wait"), (1, "1 still waits"), (0, "nobody waits")]
)
def test_a_storm_that_is_over_says_so(stage: Stage, waiting: int, left: str) -> None:
    """People know when they can go back to single alerts, and whether somebody was left behind."""
    found = said(storm_alert(9, stage=stage, **(OVER | {"waiting": waiting})))
    assert found.headline == f"The storm at Acme is over: 42 cases, 40 answered, {left}"
    assert found.mark == "✅"
    assert found.facts[0] == ("Lasted", "35 min, from Mon 02 Nov 12:50 CET to Mon 02 Nov 13:25 CET")
    assert "Meanwhile" not in dict(found.facts)


def test_a_worst_case_without_a_promise_or_a_link_is_still_shown() -> None:
    """What nobody promised, and what has no address, can wait too long all the same."""
    worst = (
        storm_case(due_at=None, url=None),
        storm_case(2, due_at=NOON + timedelta(minutes=3), url="javascript:alert(1)"),
    )
    found = said(storm_alert(worst=worst))
    assert [(line.text, line.link) for line in found.cases] == [
        ("@customer_1 on X, high, has waited 20 min (acme/x/1)", None),
        ("@customer_2 on X, high, has waited 20 min, 3 min left (acme/x/2)", None),
    ]


@pytest.mark.parametrize(
    ("usual", "count", "headline"),
    [
        (3.0, 42, "42 complaints in 10 min at Acme, usually 3"),
        (3.5, 1042, "1,042 complaints in 10 min at Acme, usually 3.5"),
        (0.0, 15, "15 complaints in 10 min at Acme, usually none"),
    ],
)
def test_a_spike_says_how_many_and_what_is_usual(usual: float, count: int, headline: str) -> None:
    """A care lead judges at a glance whether more people are needed."""
    found = said(spike_alert(usual=usual, count=count))
    assert found.headline == headline
    assert dict(found.facts)["Since"] == "Mon 02 Nov 12:50 CET, 10 min ago"
    assert "at this hour of past weeks" in dict(found.facts)["Usually"]


@pytest.mark.parametrize("stage", [Stage.ESCALATED, Stage.STORM, Stage.SPIKE])
@pytest.mark.parametrize("continued", [False, True], ids=["first", "continued"])
def test_every_channel_tells_them(bench: Bench, stage: Stage, continued: bool) -> None:
    """Escalations, storms and spikes arrive with their keys, whatever was told before."""
    channel = bench.make()
    previous = channel.send(alert(Stage.WARNING), None, LIMIT) if continued else None
    given = alert(stage)
    channel.send(given, previous, LIMIT)
    arrived = [one for one in bench.received() if one.key == given.key]
    assert len(arrived) == 1
    assert any(said(given).headline in text for text in arrived[0].texts)


def test_a_storm_is_one_message_that_is_kept_up_to_date(token: Bench) -> None:
    """In a storm Slack holds one message with the figures of now: it called people once, when it began, and
    nobody after."""
    channel = token.make(mention="@here")
    receipt: Receipt | None = None
    for minute in range(5):
        now = NOON + timedelta(minutes=minute)
        receipt = channel.send(storm_alert(minute, at=now, waiting=42 + minute), receipt, LIMIT)
        (post,) = token.sink.posts
        assert f"{42 + minute} cases waiting too long" in post.text
        assert ("<!here>" in strings(post.blocks)) == (minute == 0)
        assert [d.update for d in token.sink.deliveries] == [False] + [True] * minute
    channel.send(storm_alert(5, **OVER), receipt, LIMIT)
    (post,) = token.sink.posts
    assert "The storm at Acme is over: 42 cases, 40 answered, 2 still wait" in post.text
    assert len(post.keys) == len(set(post.keys)) == 6


def test_a_storm_message_that_somebody_deleted_is_posted_anew_and_calls_nobody(token: Bench) -> None:
    """Who tidies up the channel during a storm still sees it, in one message again."""
    channel = token.make(mention="@here")
    receipt = channel.send(storm_alert(), None, LIMIT)
    token.sink.delete(token.sink.posts[0].ts)
    for minute in (1, 2):
        receipt = channel.send(storm_alert(minute), receipt, LIMIT)
    (post,) = token.sink.posts
    assert post.key == storm_alert(2).key
    assert "<!here>" not in strings(post.blocks)


def test_a_webhook_posts_each_state_of_a_storm_and_calls_once() -> None:
    """What cannot change a message says each state anew, and calls people for the first only."""
    with BENCHES["slack webhook"]() as bench:
        channel = bench.make(mention="@here")
        receipt = channel.send(storm_alert(), None, LIMIT)
        receipt = channel.send(storm_alert(1), receipt, LIMIT)
        channel.send(storm_alert(2, **OVER), receipt, LIMIT)
        assert ["<!here>" in strings(post.blocks) for post in bench.sink.posts] == [True, False, False]


def test_escalations_call_people_and_spikes_do_not(token: Bench) -> None:
    """Who is escalated to is called; that more than usual comes in can be read when there is time."""
    channel = token.make(mention="@here")
    for stage, called in ((Stage.ESCALATED, True), (Stage.SPIKE, False), (Stage.STORM, True)):
        channel.send(alert(stage), None, LIMIT)
        assert ("<!here>" in strings(token.sink.posts[-1].blocks)) is called, stage


def test_the_mails_of_a_storm_are_one_thread() -> None:
    """A storm is one line in the inbox, whatever its figures; its beginning is marked as important."""
    with BENCHES["smtp"]() as bench:
        channel = bench.make()
        receipt: Receipt | None = None
        for given in (storm_alert(), storm_alert(1, waiting=60), storm_alert(2, **OVER)):
            receipt = channel.send(given, receipt, LIMIT)
        channel.send(storm_alert(since=NOON), None, LIMIT)
        first, second, last, other = (mail.message for mail in bench.sink.mails)
        assert first["Subject"] == "Storm at Acme, Mon 02 Nov 12:50 CET"
        assert second["Subject"] == last["Subject"] == f"Re: {first['Subject']}"
        assert second["References"] == f"{first['References']} {first['Message-ID']}"
        assert last["In-Reply-To"] == second["Message-ID"]
        assert [bool(mail["Importance"]) for mail in (first, second, last)] == [True, False, False]
        assert other["Subject"] != first["Subject"]
        html, over = bench.sink.mails[0].part("html"), bench.sink.mails[2].part("html")
        assert "6px solid #c53030" in html and "6px solid #2f855a" in over
        assert html.count("<li>@customer_") == 5 and '">Open on X</a>' in html
        assert "https://x.example/customer_5/status/5" in bench.sink.mails[0].part("plain")


class _Tags(HTMLParser):
    """The tags of a mail, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def _links(value: Any) -> list[str]:
    """Where the links of Slack's blocks lead."""
    if isinstance(value, list):
        return [url for each in value for url in _links(each)]
    if not isinstance(value, dict):
        return []
    own = [str(value["url"])] if value.get("type") == "link" else []
    return own + [url for each in value.values() for url in _links(each)]


@pytest.mark.parametrize("over", [False, True], ids=["goes on", "over"])
def test_strangers_words_in_a_storm_do_nothing(bench: Bench, over: bool) -> None:
    """A handle or a common word that holds markup, mentions, HTML or headers arrives as mere text, and keeps
    no storm from being told."""
    channel = bench.make()
    for text in NASTY:
        changes: dict[str, Any] = {
            "brand": text,
            "connectors": ("x", text),
            "worst": (storm_case(customer=text, case_id=text, url=f"https://x.example/{text}"),) * 9,
            "words": ((text, 3),) * 99,
            "queue_command": text,
        }
        given = storm_alert(**changes, **(OVER if over else {}))
        assert len(said(given).headline) <= HEADLINE_LENGTH_MAX
        assert len(said(given).cases) == 5 and said(given).text.count("\n") < 40
        channel.send(given, None, LIMIT)
        for arrived in bench.received()[-1].texts:
            assert not re.search(
                "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", arrived
            )
        if bench.kind == "slack":
            post = bench.sink.posts[-1]
            assert not re.search("[<>]", post.text)
            assert "mrkdwn" not in strings(post.blocks)
            links = _links(post.blocks)
        elif bench.kind == "webhook":
            worst = bench.sink.delivered[-1].body["data"]["storm"]["worst"]
            links = [case["url"] for case in worst if case["url"] is not None]
        elif bench.kind == "pagerduty":
            links = [link["href"] for link in bench.sink.enqueued[-1].body["links"]]
        elif bench.kind in ("alertmanager", "apprise"):
            sent = bench.sink.posted if bench.kind == "alertmanager" else [bench.sink.notices[-1].body]
            for each in strings(sent[-1]):
                look_at_chat(each)
            links = []  # In a text that goes through many hands a link is only text.
        else:
            mail = bench.sink.mails[-1]
            assert mail.recipients == ("care@acme.example", "lead@acme.example")
            assert "Bcc" not in mail.message and not mail.message.defects
            html = _Tags()
            html.feed(mail.part("html"))
            assert not html.tags & {"script", "img", "b"}
            links = html.links
        assert all(re.fullmatch(r"https://x\.example/[!-~]*", link) for link in links)
    assert len(bench.received()) == len(NASTY)


def test_spikes_and_steps_of_hostile_names_do_nothing(bench: Bench) -> None:
    """A brand or a step with a strange name is still told, as mere text."""
    channel = bench.make()
    for text in NASTY:
        channel.send(spike_alert(brand=text), None, LIMIT)
    assert len(bench.received()) == len(NASTY)
