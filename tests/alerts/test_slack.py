"""Slack: what is posted, threaded and changed, and how it is set up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.contract import Channel, Receipt
from alerts.slack import Settings
from rules.alert import Stage
from simulator.faults import Fault, FaultKind
from tests.alerts.build import BENCHES, LIMIT, NOON, Bench, alert, strings
from wire.errors import NotAllowed, RetryAt

LATER = NOON + timedelta(minutes=13)


@pytest.fixture
def token() -> Iterator[Bench]:
    with BENCHES["slack token"]() as made:
        yield made


@pytest.fixture
def app() -> Iterator[Bench]:
    with BENCHES["slack app"]() as made:
        yield made


@pytest.fixture
def webhook() -> Iterator[Bench]:
    with BENCHES["slack webhook"]() as made:
        yield made


def _tell(channel: Channel, *stages: Stage) -> list[Receipt]:
    """Say these stages of one case, each after the other."""
    receipts: list[Receipt] = []
    for number, stage in enumerate(stages):
        previous = receipts[-1] if receipts else None
        receipts.append(channel.send(alert(stage, at=LATER, repeat=number), previous, LIMIT))
    return receipts


def test_a_breach_is_noticed_in_the_thread_and_in_the_channel(token: Bench) -> None:
    """After a warning, a breach and its reminder call people again, and stand beside what was said."""
    _tell(token.make(), Stage.WARNING, Stage.BREACH, Stage.BREACH)
    first, breach, reminder = token.sink.posts
    assert first.thread_ts is None
    assert [(p.thread_ts, p.broadcast) for p in (breach, reminder)] == [(first.ts, True)] * 2
    assert [d.ts for d in token.sink.deliveries if d.update] == [first.ts] * 2


def test_the_first_message_shows_how_the_case_stands(token: Bench) -> None:
    """Who looks at the top of the thread sees the breach and not the old warning; nobody is called by that,
    and it is still found under the key that it was posted with."""
    _tell(token.make(mention="@here"), Stage.WARNING, Stage.BREACH)
    first, breach = token.sink.posts
    assert first.text == breach.text and first.text.startswith("🔴")
    assert first.history[0].startswith("⏳")
    assert "<!here>" in strings(breach.blocks) and "<!here>" not in strings(first.blocks)
    assert (first.stage, breach.stage) == ("warning", "breach")
    assert (
        first.key == alert(Stage.WARNING).key and first.blocks[0]["block_id"] != breach.blocks[0]["block_id"]
    )


@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.RATE_LIMIT, FaultKind.DROP, FaultKind.HTML])
def test_a_breach_is_not_said_twice_because_the_first_message_could_not_be_changed(
    token: Bench, kind: FaultKind
) -> None:
    """What people must notice was said; the first message is mended by what comes next."""
    channel = token.make()
    warned = _tell(channel, Stage.WARNING)[0]
    token.faults.once("/api/chat.update", Fault(kind))
    breached = channel.send(alert(Stage.BREACH, at=LATER), warned, LIMIT)
    assert [p.stage for p in token.sink.posts] == ["warning", "breach"]
    assert token.sink.posts[0].history == []
    channel.send(alert(Stage.MOVED, at=LATER), breached, LIMIT)
    assert "Taken by @ana" in token.sink.posts[0].text


def test_a_case_that_moves_shows_it_everywhere_and_tells_its_story_in_the_thread(token: Bench) -> None:
    """Who took a case is seen on each of its messages at once, and read in its thread; nobody is called."""
    channel = token.make(mention="@here")
    breached = _tell(channel, Stage.WARNING, Stage.BREACH)[-1]
    moved = channel.send(alert(Stage.MOVED, at=LATER), breached, LIMIT)
    first, breach, line = token.sink.posts
    assert line.text == "13:13 taken by @ana"
    assert (line.thread_ts, line.broadcast, line.blocks) == (first.ts, False, [])
    for post in (first, breach):
        assert post.text == "✋ Taken by @ana: @ann_b has waited 20 min on X"
        assert post.stage == "moved" and "<!here>" not in strings(post.blocks)
    assert moved.remote == breached.remote


def test_a_case_that_moves_tells_it_once_however_often_it_is_tried(token: Bench) -> None:
    """A limit in the middle leaves no half-told story and no double one."""
    channel = token.make()
    breached = _tell(channel, Stage.WARNING, Stage.BREACH)[-1]
    for path in ("/api/chat.update", "/api/chat.postMessage"):
        token.faults.once(path, Fault(FaultKind.RATE_LIMIT))
        with pytest.raises(RetryAt):
            channel.send(alert(Stage.MOVED, at=LATER), breached, LIMIT)
    channel.send(alert(Stage.MOVED, at=LATER), breached, LIMIT)
    assert [p.text for p in token.sink.posts if p.stage == "moved" and not p.blocks] == [
        "13:13 taken by @ana"
    ]
    assert len(token.sink.posts) == 3


def test_a_case_that_moves_where_its_messages_are_gone(token: Bench) -> None:
    """Without its thread the other messages still show who took it; without any it is said anew."""
    channel = token.make()
    breached = _tell(channel, Stage.WARNING, Stage.BREACH)[-1]
    token.sink.delete(token.sink.posts[0].ts)
    channel.send(alert(Stage.MOVED, at=LATER), breached, LIMIT)
    assert [p.stage for p in token.sink.posts] == ["moved"]
    assert token.sink.posts[0].history
    token.sink.delete(token.sink.posts[0].ts)
    anew = channel.send(alert(Stage.MOVED, at=LATER, repeat=1), breached, LIMIT)
    assert [(p.stage, p.history) for p in token.sink.posts] == [("moved", [])]
    assert anew.remote["ts"] == token.sink.posts[0].ts


def test_buttons_are_there_while_the_customer_waits(app: Bench) -> None:
    """What can be done stands on each message of a case that waits, and goes when it is over."""
    channel = app.make()
    receipts = _tell(channel, Stage.WARNING, Stage.BREACH)
    assert [len(_buttons(post.blocks)) for post in app.sink.posts] == [8, 8]
    assert [button["text"]["text"] for button in _buttons(app.sink.posts[0].blocks)] == [
        "I take it", "Snooze 15 min", "Snooze 1 h", "Open post",
        "Answered elsewhere", "No reply needed", "Not a complaint", "Resolved",
    ]  # fmt: skip
    receipts.append(channel.send(alert(Stage.MOVED, at=LATER), receipts[-1], LIMIT))
    assert [len(_buttons(post.blocks)) for post in app.sink.posts] == [8, 8, 0]
    channel.send(alert(Stage.CLEARED), receipts[-1], LIMIT)
    assert not any(_buttons(post.blocks) for post in app.sink.posts)


@pytest.mark.parametrize("stage", [Stage.STORM, Stage.SPIKE, Stage.TROUBLE, Stage.TEST, Stage.CLEARED])
def test_where_no_single_customer_waits_there_are_no_buttons(app: Bench, stage: Stage) -> None:
    """Nobody can take a storm, or what is over."""
    app.make().send(alert(stage), None, LIMIT)
    assert not _buttons(app.sink.posts[0].blocks)


def _buttons(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [element for block in blocks if block["type"] == "actions" for element in block["elements"]]


def test_an_answer_changes_every_message_of_the_case(token: Bench) -> None:
    """Nothing in the channel goes on claiming that nobody answered, and nobody is called for it."""
    _tell(token.make(), Stage.WARNING, Stage.BREACH, Stage.BREACH, Stage.CLEARED)
    assert len(token.sink.posts) == 3
    for post in token.sink.posts:
        assert "answered after 12 min by @acmehelp" in post.text
        assert post.blocks[0]["text"]["text"].endswith("answered after 12 min by @acmehelp")
        assert post.stage == "cleared"


def test_many_reminders_stay_bounded(token: Bench) -> None:
    """A case with endless reminders costs a bounded number of changes when it ends; the first stays known."""
    receipts = _tell(token.make(), *[Stage.BREACH] * 15, Stage.CLEARED)
    last = [d for d in token.sink.deliveries if d.update and "cleared" in d.key]
    assert len(last) == 10
    assert token.sink.posts[0].ts in {d.ts for d in last}
    assert receipts[-1].remote["ts"] == token.sink.posts[0].ts


def test_messages_that_somebody_deleted_are_passed_over(token: Bench) -> None:
    """Who deletes an alert by hand still hears of the answer, once."""
    channel = token.make()
    warned = _tell(channel, Stage.WARNING)[0]
    token.sink.delete(token.sink.posts[0].ts)
    channel.send(alert(Stage.CLEARED), warned, LIMIT)
    assert [p.stage for p in token.sink.posts] == ["cleared"]


def test_a_thread_that_is_gone_does_not_swallow_a_breach(token: Bench) -> None:
    """A breach whose thread was deleted is posted as a message of its own, which later ones follow."""
    channel = token.make()
    warned = _tell(channel, Stage.WARNING)[0]
    token.sink.delete(token.sink.posts[0].ts)
    receipt = channel.send(alert(Stage.BREACH, at=LATER), warned, LIMIT)
    assert [(p.stage, p.thread_ts) for p in token.sink.posts] == [("breach", None)]
    assert receipt.remote["ts"] == token.sink.posts[0].ts


def test_ending_a_case_twice_does_no_harm(token: Bench) -> None:
    """A crash between Slack's yes and our record of it leaves no double."""
    channel = token.make()
    last = _tell(channel, Stage.WARNING, Stage.BREACH)[-1]
    token.faults.once("/api/chat.update", Fault(FaultKind.DROP_AFTER))
    with pytest.raises(RetryAt):
        channel.send(alert(Stage.CLEARED), last, LIMIT)
    channel.send(alert(Stage.CLEARED), last, LIMIT)
    assert len(token.sink.posts) == 2
    assert {p.stage for p in token.sink.posts} == {"cleared"}


def test_a_webhook_says_the_end_in_a_new_message(webhook: Bench) -> None:
    """What a webhook cannot change it says anew."""
    _tell(webhook.make(), Stage.WARNING, Stage.CLEARED)
    assert [p.text[:1] for p in webhook.sink.posts] == ["⏳", "✅"]
    assert not webhook.make().updates


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("@here", "<!here>"),
        ("@channel", "<!channel>"),
        ("S0123ABCD", "<!subteam^S0123ABCD>"),
        ("U0123ABCD", "<@U0123ABCD>"),
        ("<!subteam^S0123ABCD>", "<!subteam^S0123ABCD>"),
    ],
)
def test_a_mention_calls_on_a_breach_only(token: Bench, given: str, sent: str) -> None:
    """The people who are to be called are called when a promise is broken, and not before or after."""
    receipts = _tell(token.make(mention=given), Stage.WARNING, Stage.BREACH)
    warning, breach = (strings(p.blocks) for p in token.sink.posts)
    assert sent in breach and sent not in warning
    token.make(mention=given).send(alert(Stage.CLEARED), receipts[-1], LIMIT)
    assert not any(sent in strings(p.blocks) for p in token.sink.posts)


def test_slack_limits_a_channel_to_one_message_a_second(token: Bench) -> None:
    """Slack's own limit is waited for, as long as Slack asks."""
    token.sink.limit(per_second=1.0)
    channel = token.make()
    channel.send(alert(Stage.WARNING, subject="a"), None, LIMIT)
    with pytest.raises(RetryAt) as caught:
        channel.send(alert(Stage.WARNING, subject="b"), None, LIMIT)
    assert caught.value.limited and caught.value.at == NOON + timedelta(seconds=1)
    token.clock.move(1)
    channel.send(alert(Stage.WARNING, subject="b"), None, LIMIT)
    assert len(token.sink.posts) == 2


def test_a_missing_scope_is_named(token: Bench) -> None:
    """The operator reads which scope to add."""
    token.sink.refuse("missing_scope")
    with pytest.raises(NotAllowed, match=r"chat:write.*install it again"):
        token.make().send(alert(Stage.TEST), None, LIMIT)


def test_a_check_says_who_we_are(token: Bench) -> None:
    """`check` shows that the token is the right one."""
    assert token.make().check(LIMIT) == "we are response-monitor in Acme, to #care"


@pytest.mark.parametrize(("way", "how"), [("app", "Socket Mode"), ("callbacks", "signed callbacks")])
def test_a_check_says_how_buttons_are_heard(way: str, how: str) -> None:
    """`check` tries the app-level token too, and posts nothing."""
    with BENCHES[f"slack {way}"]() as bench:
        assert bench.make().check(LIMIT).endswith(f"to #care; buttons are heard over {how}")
        assert bench.sink.posts == []


TOKEN = {"bot_token": {"env": "T"}, "channel": "#care"}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "webhook_url, or bot_token and channel"),
        ({**TOKEN, "webhook_url": {"env": "W"}}, "webhook_url, or bot_token and channel"),
        ({"bot_token": {"env": "T"}}, "channel: missing"),
        ({"webhook_url": {"env": "W"}, "channel": "#care"}, "its own channel"),
        ({"webhook_url": "https://hooks.example/hush"}, "not written into the config"),
        ({**TOKEN, "mention": "<!channel> hello"}, "@here"),
        ({**TOKEN, "channel": "#care <!channel>"}, "channel"),
        ({**TOKEN, "api_url": "https://user:hush@slack.example/api"}, "without a user"),
        ({**TOKEN, "chanel": "#care"}, "chanel"),
        ({"webhook_url": {"env": "W"}, "app_token": {"env": "A"}}, "a webhook can only post"),
        ({**TOKEN, "app_token": {"env": "A"}, "signing_secret": {"env": "S"}}, "not both"),
        ({**TOKEN, "operators": ["U0123ABCD"]}, "nobody is heard without"),
        ({**TOKEN, "app_token": {"env": "A"}, "operators": ["@ana"]}, "Copy member ID"),
        ({**TOKEN, "app_token": "xapp-hush"}, "not written into the config"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], complaint: str) -> None:
    """A mistake in the config is found at the start, and no secret is repeated."""
    with pytest.raises(ValidationError, match=complaint) as caught:
        Settings.model_validate({"type": "slack", **settings})
    assert "hush" not in str(caught.value)
