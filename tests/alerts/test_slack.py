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
    assert not any(d.update for d in token.sink.deliveries)


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
    updates = [d for d in token.sink.deliveries if d.update]
    assert len(updates) == 10
    assert token.sink.posts[0].ts in {d.ts for d in updates}
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
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], complaint: str) -> None:
    """A mistake in the config is found at the start, and no secret is repeated."""
    with pytest.raises(ValidationError, match=complaint) as caught:
        Settings.model_validate({"type": "slack", **settings})
    assert "hush" not in str(caught.value)
