"""What every alert channel promises, asked of each on its simulated sink."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

import alerts
from alerts.contract import Channel, Personal, Receipt
from rules.alert import Addressee, Stage
from simulator.alertmanager_api import BEARER
from simulator.faults import Fault, FaultKind
from simulator.hooks_api import ROUTING_KEY
from tests.alerts.build import BENCHES, LIMIT, NOON, PASSWORD, SECRETS, Bench, alert, as_new
from tests.wire.peers import hangs, peer
from wire.errors import EdgeError, Malformed, NotAllowed, Refused, RetryAt

STAGES = [
    (Stage.WARNING, 0),
    (Stage.BREACH, 0),
    (Stage.BREACH, 2),
    (Stage.MOVED, 0),
    (Stage.CLEARED, 0),
    (Stage.CORRECTED, 0),
    (Stage.TROUBLE, 0),
    (Stage.TEST, 0),
]


@pytest.fixture(scope="module")
def benches() -> Iterator[Mapping[str, Bench]]:
    """All of them, started once: stopping a server takes longer than most of these tests."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(make()) for name, make in BENCHES.items()}


@pytest.fixture(params=list(BENCHES))
def bench(request: pytest.FixtureRequest, benches: Mapping[str, Bench]) -> Bench:
    return as_new(benches[request.param])


def test_every_registered_kind_of_channel_is_asked(benches: Mapping[str, Bench]) -> None:
    """No channel gets into the registry without keeping this contract."""
    assert {made.kind for made in benches.values()} == set(alerts.REGISTRY)


@pytest.mark.parametrize("stage,repeat", STAGES)
@pytest.mark.parametrize("continued", [False, True], ids=["first", "continued"])
def test_every_stage_arrives_with_its_key(bench: Bench, stage: Stage, repeat: int, continued: bool) -> None:
    """Whatever happens to a case is told, whether or not something was told about it before."""
    channel = bench.make()
    previous = channel.send(alert(Stage.WARNING, repeat=9), None, LIMIT) if continued else None
    bench.clock.move(60)
    given = alert(stage, at=bench.clock.now(), repeat=repeat)
    receipt = channel.send(given, previous, LIMIT)
    arrived = [one for one in bench.received() if one.key == given.key]
    assert len(arrived) == 1
    named = given.case.customer if given.case else "@acme on x refuses us"
    assert any(named in text for text in arrived[0].texts)
    assert receipt.at == bench.clock.now()
    assert json.loads(json.dumps(dict(receipt.remote))) == receipt.remote
    assert all(isinstance(value, str) for value in receipt.remote.values())


@pytest.mark.parametrize("stage", [Stage.TROUBLE, Stage.CLEARED])
def test_a_trouble_of_ours_and_its_end_arrive(bench: Bench, stage: Stage) -> None:
    """That we cannot see, and that we see again, is told like anything else, also after it was told once."""
    channel = bench.make()
    trouble = alert(Stage.TROUBLE)
    previous = channel.send(trouble, None, LIMIT)
    channel.send(replace(trouble, key="blind_1/again/care", stage=stage), previous, LIMIT)
    assert "blind_1/again/care" in [one.key for one in bench.received()]


def test_a_receipt_that_tells_nothing_still_lets_the_next_alert_through(bench: Bench) -> None:
    """A receipt of an older version, or of a channel that was set up anew, does not silence a case."""
    channel = bench.make()
    for number, remote in enumerate(({}, {"of": "another age"})):
        channel.send(alert(Stage.BREACH, repeat=number), Receipt(NOON, remote), LIMIT)
    assert len({one.key for one in bench.received()}) == 2


def test_a_check_reaches_the_other_side_and_tells_nobody(bench: Bench) -> None:
    """`check` may be run at any hour."""
    said = bench.make().check(LIMIT)
    assert said and "\n" not in said and not any(secret in said for secret in SECRETS)
    assert bench.received() == []


def test_a_channel_names_its_recipient_without_secrets(bench: Bench) -> None:
    """Labels of metrics, logs and `status` can be shown to anybody."""
    channel = bench.make()
    shown = f"{channel.recipient} {channel!r} {bench.received()}"
    assert channel.recipient and channel.recipient.isprintable()
    assert not any(secret in shown for secret in SECRETS)


ANA = Addressee("ana", "U0ANA", "ana@acme.example", "@olga")
NOBODY = Addressee("zoe", "no id", None)


@pytest.mark.parametrize("continued", [False, True], ids=["first", "continued"])
def test_what_is_for_one_person_reaches_that_person(bench: Bench, continued: bool) -> None:
    """A channel that says that it reaches somebody by name does: once, and so that they notice. Those
    that cannot do not say so, and are never asked."""
    channel = bench.make()
    assert isinstance(channel, Personal) == (bench.kind in ("slack", "smtp"))
    if not isinstance(channel, Personal):
        return
    assert channel.reach(NOBODY) is None
    reach = channel.reach(ANA)
    assert reach is not None and reach.recipient in (channel.recipient, ANA.email)
    previous = channel.send(alert(Stage.BREACH), None, LIMIT) if continued else None
    bench.clock.move(60)
    given = replace(alert(Stage.MOVED, at=bench.clock.now()), addressee=ANA)
    receipt = channel.send(given, previous if reach.recipient == channel.recipient else None, LIMIT)
    assert receipt.put_off == receipt.left_out == ""
    told = [one for one in bench.received() if any("iven to ana by @olga" in text for text in one.texts)]
    if bench.kind == "slack":
        assert [post.called for post in bench.sink.posts if post.called] == [("U0ANA",)]
        assert any("<@U0ANA>" in text for one in told for text in one.texts)
    else:
        mails = [mail for mail in bench.sink.mails if mail.key == given.key]
        assert [mail.recipients for mail in mails] == [("ana@acme.example",)]
        assert mails[0].message["To"] == "ana@acme.example"
        assert told and "olga" in str(mails[0].message["Subject"]) + mails[0].part("plain")


def test_a_closed_channel_can_be_closed_again(bench: Bench) -> None:
    """A reload while the daemon stops does no harm."""
    channel = bench.make()
    channel.send(alert(Stage.TEST), None, LIMIT)
    channel.close()
    channel.close()


@dataclass(frozen=True, slots=True)
class Case:
    """Something that goes wrong, and what the channel makes of it."""

    way: str
    word: str
    arrange: Callable[[Bench], object]
    error: type[EdgeError]
    limited: bool = False
    unknown: bool = False
    at: datetime | None = None


def _says(*words: str) -> Callable[[Bench], object]:
    return lambda bench: bench.sink.refuse(*words)


def _befalls(kind: FaultKind, status: int = 500, wait: str = "") -> Callable[[Bench], object]:
    headers = (("Retry-After", wait),) if wait else ()
    return lambda bench: bench.faults.once("/", Fault(kind, status=status, headers=headers))


def _answers(status: int, wait: str) -> Callable[[Bench], object]:
    return lambda bench: bench.sink.answer(status, retry_after=wait)


def _set(name: str, value: Any) -> Callable[[Bench], object]:
    return lambda bench: setattr(bench.sink, name, value)


_LIMIT = FaultKind.RATE_LIMIT
CASES = [
    *(
        case
        for way in ("slack webhook", "slack token")
        for case in (
            Case(way, "429", _befalls(_LIMIT), RetryAt, limited=True),
            Case(
                way,
                "429 for 30 s",
                _befalls(_LIMIT, 429, "30"),
                RetryAt,
                True,
                at=NOON + timedelta(seconds=30),
            ),
            Case(
                way,
                "429 for a year",
                _befalls(_LIMIT, 429, "31536000"),
                RetryAt,
                True,
                at=NOON + timedelta(hours=1),
            ),
            Case(way, "429 for -5 s", _befalls(_LIMIT, 429, "-5"), RetryAt, True, at=NOON),
            Case(way, "500", _befalls(FaultKind.ERROR, 500), RetryAt),
            Case(way, "503", _befalls(FaultKind.ERROR, 503), RetryAt),
            Case(way, "504", _befalls(FaultKind.ERROR, 504), RetryAt, unknown=True),
            Case(way, "400", _befalls(FaultKind.ERROR, 400), Refused),
            Case(way, "403", _befalls(FaultKind.ERROR, 403), NotAllowed),
            Case(way, "404", _befalls(FaultKind.ERROR, 404), NotAllowed),
            Case(way, "a page", _befalls(FaultKind.HTML), Malformed),
            Case(way, "half an answer", _befalls(FaultKind.TRUNCATED), Malformed),
            Case(way, "line ends", _befalls(FaultKind.DROP), RetryAt, unknown=True),
            Case(way, "line ends after", _befalls(FaultKind.DROP_AFTER), RetryAt, unknown=True),
        )
    ),
    *(
        Case("slack webhook", word, _says(word), error)
        for word, error in {
            "no_service": NotAllowed,
            "invalid_token": NotAllowed,
            "channel_not_found": NotAllowed,
            "channel_is_archived": NotAllowed,
            "action_prohibited": NotAllowed,
            "invalid_payload": Refused,
            "rollup_error": RetryAt,
        }.items()
    ),
    *(
        Case("slack token", word, _says(word), error)
        for word, error in {
            "invalid_auth": NotAllowed,
            "token_revoked": NotAllowed,
            "token_expired": NotAllowed,
            "account_inactive": NotAllowed,
            "missing_scope": NotAllowed,
            "not_in_channel": NotAllowed,
            "channel_not_found": NotAllowed,
            "is_archived": NotAllowed,
            "restricted_action": NotAllowed,
            "msg_too_long": Refused,
            "invalid_blocks": Refused,
            "<!channel> a word that is none": Refused,
            "service_unavailable": RetryAt,
        }.items()
    ),
    Case("slack token", "ratelimited", _says("ratelimited"), RetryAt, limited=True),
    Case("slack token", "internal_error", _says("internal_error"), RetryAt, unknown=True),
    Case("slack token", "another token", _set("token", "xoxb-of-another-age"), NotAllowed),
    Case("slack webhook", "another hook", _set("hook", "T1/B1/another"), NotAllowed),
    *(
        Case("webhook", str(status), _befalls(FaultKind.ERROR, status), error)
        for status, error in {
            400: Refused,
            401: NotAllowed,
            403: NotAllowed,
            404: NotAllowed,
            405: NotAllowed,
            408: RetryAt,
            410: NotAllowed,
            422: Refused,
            500: RetryAt,
            503: RetryAt,
            507: RetryAt,
        }.items()
    ),
    *(
        Case("webhook", f"{status} for {wait} s", _answers(status, wait), RetryAt, limited=limited, at=at)
        for status, wait, limited, at in (
            (429, "30", True, NOON + timedelta(seconds=30)),
            (429, "31536000", True, NOON + timedelta(hours=1)),
            (429, "-5", True, NOON),
            (503, "30", True, NOON + timedelta(seconds=30)),
            (500, "30", False, NOON + timedelta(seconds=30)),
        )
    ),
    Case("webhook", "429", _befalls(_LIMIT), RetryAt, limited=True, at=NOON + timedelta(seconds=30)),
    Case("webhook", "502", _befalls(FaultKind.ERROR, 502), RetryAt, unknown=True),
    Case("webhook", "504", _befalls(FaultKind.ERROR, 504), RetryAt, unknown=True),
    Case("webhook", "drops", _befalls(FaultKind.DROP), RetryAt, unknown=True),
    Case("webhook", "drops after", _befalls(FaultKind.DROP_AFTER), RetryAt, unknown=True),
    Case("webhook", "another secret", _set("secret", f"whsec_{'QUJD' * 8}"), NotAllowed),
    Case("webhook", "another path", _set("path", "/hooks/elsewhere"), NotAllowed),
    *(
        Case("pagerduty", str(status), _befalls(FaultKind.ERROR, status), error)
        for status, error in {
            400: Refused,
            401: NotAllowed,
            403: NotAllowed,
            404: NotAllowed,
            408: RetryAt,
            413: Refused,
            500: RetryAt,
            503: RetryAt,
        }.items()
    ),
    Case("pagerduty", "429", _befalls(_LIMIT), RetryAt, limited=True, at=NOON + timedelta(minutes=1)),
    Case(
        "pagerduty",
        "429 for 30 s",
        _befalls(_LIMIT, 429, "30"),
        RetryAt,
        True,
        at=NOON + timedelta(seconds=30),
    ),
    Case(
        "pagerduty",
        "throttled",
        _set("per_minute", 0),
        RetryAt,
        limited=True,
        at=NOON + timedelta(minutes=1),
    ),
    Case("pagerduty", "504", _befalls(FaultKind.ERROR, 504), RetryAt, unknown=True),
    Case("pagerduty", "a page", _befalls(FaultKind.HTML), Malformed),
    Case("pagerduty", "drops", _befalls(FaultKind.DROP), RetryAt, unknown=True),
    Case("pagerduty", "drops after", _befalls(FaultKind.DROP_AFTER), RetryAt, unknown=True),
    Case("pagerduty", "another key", _set("routing_key", "a" * 32), NotAllowed),
    Case("pagerduty", "a complaint", _says("'payload.source' is missing or blank"), Refused),
    Case("pagerduty", "a secret in the answer", _says(f"<!channel> you said {ROUTING_KEY}"), Refused),
    *(
        Case("alertmanager", str(status), _befalls(FaultKind.ERROR, status), error)
        for status, error in {
            400: Refused,
            401: NotAllowed,
            403: NotAllowed,
            404: NotAllowed,
            405: NotAllowed,
            408: RetryAt,
            413: Refused,
            422: Refused,
            500: RetryAt,
            503: RetryAt,
        }.items()
    ),
    Case("alertmanager", "429", _befalls(_LIMIT), RetryAt, limited=True),
    Case(
        "alertmanager",
        "429 for 30 s",
        _befalls(_LIMIT, 429, "30"),
        RetryAt,
        True,
        at=NOON + timedelta(seconds=30),
    ),
    Case("alertmanager", "504", _befalls(FaultKind.ERROR, 504), RetryAt, unknown=True),
    Case("alertmanager", "a page", _befalls(FaultKind.HTML), Malformed),
    Case("alertmanager", "drops", _befalls(FaultKind.DROP), RetryAt, unknown=True),
    Case("alertmanager", "drops after", _befalls(FaultKind.DROP_AFTER), RetryAt, unknown=True),
    Case("alertmanager", "another token", _set("bearer", "of another age"), NotAllowed),
    Case("alertmanager", "a complaint", _says("at least one label pair required"), Refused),
    Case("alertmanager", "a secret in the answer", _says(f"<!channel> you said {BEARER}"), Refused),
    *(
        Case(f"apprise {way}", str(status), _befalls(FaultKind.ERROR, status), error)
        for way in ("json", "ntfy")
        for status, error in {
            302: Refused,
            400: Refused,
            401: NotAllowed,
            403: NotAllowed,
            404: NotAllowed,
            408: RetryAt,
            410: NotAllowed,
            413: Refused,
            500: RetryAt,
            503: RetryAt,
        }.items()
    ),
    *(
        case
        for way in ("apprise json", "apprise ntfy")
        for case in (
            Case(way, "429", _befalls(_LIMIT), RetryAt, limited=True),
            Case(way, "502", _befalls(FaultKind.ERROR, 502), RetryAt, unknown=True),
            Case(way, "drops", _befalls(FaultKind.DROP), RetryAt, unknown=True),
            Case(way, "drops after", _befalls(FaultKind.DROP_AFTER), RetryAt, unknown=True),
        )
    ),
    Case("apprise json", "another path", _set("path", "/hooks/elsewhere"), NotAllowed),
    Case("apprise ntfy", "another password", _set("password", "another"), NotAllowed),
    Case("smtp", "451", _set("refusals", ["451 4.7.1 greylisted"]), RetryAt),
    Case("smtp", "550", _set("refusals", ["550 5.7.1 spam"]), Refused),
    Case("smtp", "421 to MAIL", _set("mail_refusals", ["421 4.3.2 closing"]), RetryAt),
    Case("smtp", "553 to MAIL", _set("mail_refusals", ["553 5.1.8 not your sender"]), Refused),
    Case("smtp", "530 to MAIL", _set("mail_refusals", ["530 5.7.0 log in first"]), NotAllowed),
    Case(
        "smtp",
        "550 to all",
        _set("refused_recipients", {f"{who}@acme.example": "550 5.1.1 nobody" for who in ("care", "lead")}),
        Refused,
    ),
    Case(
        "smtp",
        "452 to one, 550 to the other",
        _set(
            "refused_recipients",
            {"care@acme.example": "550 5.1.1 nobody", "lead@acme.example": "452 4.2.2 full"},
        ),
        RetryAt,
    ),
    Case("smtp", "another password", _set("users", {"monitor": "another"}), NotAllowed),
    Case("smtp", "a secret in the answer", _set("refusals", [f"550 you said {PASSWORD}"]), Refused),
    Case("smtp", "line ends after", _set("hang_ups", 1), RetryAt, unknown=True),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.way}: {case.word}" for case in CASES])
def test_each_refusal_says_what_can_be_done(benches: Mapping[str, Bench], case: Case) -> None:
    """What may go through later is tried again, the rest is told to a person at once; and whether people
    may already have been told is known."""
    bench = as_new(benches[case.way])
    channel = bench.make()
    case.arrange(bench)
    error = _error(channel)
    assert type(error) is case.error, error
    if isinstance(error, RetryAt):
        assert (error.limited, error.accepted_unknown, error.at) == (case.limited, case.unknown, case.at)
    _assert_speaks_plainly(error)


def test_a_server_that_hangs_costs_no_more_than_the_time_limit(
    bench: Bench, stopwatch: Callable[[], float]
) -> None:
    """A dead server does not hold up the alerts of the other channels."""
    with peer(hangs) as url:
        channel = bench.elsewhere(urlsplit(url).port or 0)
        started = stopwatch()
        error = _error(channel, 0.3)
        assert stopwatch() - started < 3
    assert isinstance(error, RetryAt) and not error.limited
    # Who never greeted has not taken the mail; a request over HTTP is one piece.
    assert error.accepted_unknown == (bench.kind != "smtp")
    _assert_speaks_plainly(error)


def test_nobody_listening_is_worth_another_try(bench: Bench) -> None:
    """A server that restarts loses no alert, and no doubt about doubles is raised."""
    with peer(hangs) as url:
        port = urlsplit(url).port or 0
    error = _error(bench.elsewhere(port))
    assert isinstance(error, RetryAt) and not error.accepted_unknown
    _assert_speaks_plainly(error)


def test_a_missing_secret_is_named_and_not_guessed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forgot to set a variable reads its name, both in `check` and in the dead letter."""
    channel = bench.make()
    for name in ("CARE_TOKEN", "CARE_APP_TOKEN", "CARE_HOOK", "CARE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    assert "CARE_" in str(_error(channel))
    with pytest.raises(NotAllowed, match="CARE_"):
        channel.check(LIMIT)


def test_after_trouble_the_same_channel_works_again(bench: Bench) -> None:
    """A retry goes through, with the same key as the first attempt."""
    channel = bench.make()
    if bench.kind != "smtp":
        bench.faults.once("/", Fault(FaultKind.ERROR, status=503))
    else:
        bench.sink.refusals = ["451 later"]
    assert isinstance(_error(channel), RetryAt)
    channel.send(alert(Stage.BREACH), None, LIMIT)
    assert [one.key for one in bench.received()] == [alert(Stage.BREACH).key]


def _error(channel: Channel, time_limit: float = LIMIT) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        channel.send(alert(Stage.BREACH), None, time_limit)
    return caught.value


def _assert_speaks_plainly(error: EdgeError) -> None:
    """One line, without secrets, and without what the other side might want to say to people."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert not any(secret in shown for secret in SECRETS)
    assert str(error).isprintable() and len(str(error)) < 500
    assert "<!" not in str(error)
