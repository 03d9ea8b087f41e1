"""Webhooks: what is posted, that it is signed, and what a receiver's answers mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from alerts.webhook import TEXT_LENGTH_MAX, Settings, build_body, webhook_id
from rules.alert import Alert, CaseFacts, Spike, Stage, Storm, StormCase, Trouble
from simulator.faults import Fault, FaultKind
from simulator.hooks_api import SIGNING_SECRET, Delivered
from simulator.world import Clock
from tests.alerts.build import (
    BERLIN,
    HOOK,
    LIMIT,
    NOON,
    Bench,
    alert,
    as_new,
    build_channel,
    hook_bench,
    render,
    storm_alert,
    storm_case,
)
from tests.contract.test_hostile_texts import NASTY, hostile_alerts
from tests.wire.raw import answer, closed_port, saying, serve
from wire.errors import NotAllowed, Refused, RetryAt
from wire.http import HttpOptions
from wire.standard_webhooks import sign

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "webhook.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
NEW_SECRET = "whsec_" + base64.b64encode(b"n" * 24).decode("ascii")
EVERY = tuple(alert(stage) for stage in Stage)
REAL_TIME = Clock(datetime(1970, 1, 1, tzinfo=UTC), 1.0, 0.0)


@pytest.fixture(scope="module")
def served() -> Iterator[Bench]:
    with hook_bench() as made:
        yield made


@pytest.fixture
def bench(served: Bench) -> Bench:
    return as_new(served)


def _body(given_: Alert) -> dict[str, Any]:
    return build_body(given_, render(given_, BERLIN))


def _post(bench: Bench, said: Alert, **changes: Any) -> Delivered:
    bench.make(**changes).send(said, None, LIMIT)
    found: Delivered = bench.sink.delivered[-1]
    return found


@pytest.mark.parametrize("said", EVERY, ids=[each.stage.value for each in EVERY])
def test_every_stage_has_the_published_form(bench: Bench, said: Alert) -> None:
    """Who writes a receiver by the schema is never surprised, whatever happens to a case."""
    body = _post(bench, said).body
    VALIDATOR.validate(body)
    assert body["type"] == f"alert.{said.stage}" and body["version"] == 1
    assert body["data"]["key"] == said.key and body["data"]["subject"] == said.subject


def test_whatever_strangers_write_has_the_published_form() -> None:
    """No customer's words, however broken, make a body that a receiver cannot read."""

    @settings(max_examples=150, deadline=None, database=None)
    @given(hostile_alerts())
    def holds(said: Alert) -> None:
        VALIDATOR.validate(_body(said))

    holds()
    for nasty in NASTY:
        words = storm_alert(
            words=((nasty, 3),) * 99, connectors=(nasty,) * 99, worst=(storm_case(customer=nasty, url=nasty),)
        )
        VALIDATOR.validate(_body(words))


@pytest.mark.parametrize(
    ("part", "kind", "renamed"),
    [
        ("case", CaseFacts, set()),
        ("trouble", Trouble, set()),
        ("storm", Storm, set()),
        ("storm_case", StormCase, set()),
        ("spike", Spike, set()),
        ("alert", Alert, {"headline", "calls"}),
    ],
)
def test_every_fact_is_told_and_described(part: str, kind: Any, renamed: set[str]) -> None:
    """A program learns all that a person is told, and the schema names each of it."""
    known = SCHEMA["$defs"][part]
    assert set(known["properties"]) == set(known["required"])
    facts = {field.name for field in fields(kind)} - {"calls", "addressee"}  # colleagues' ids stay with us
    assert set(known["properties"]) - renamed == facts


def test_the_schema_lets_nothing_through_that_is_wrong() -> None:
    """The schema itself is one, and it would notice a fact that is missing or of the wrong kind."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    good = _body(alert(Stage.BREACH))
    for change in ({"customer": 7}, {"due_at": "noon"}, {"url": "javascript:x"}, {"priority": "?"}):
        wrong = {**good, "data": {**good["data"], "case": {**good["data"]["case"], **change}}}
        assert not VALIDATOR.is_valid(wrong), change
    assert not VALIDATOR.is_valid({**good, "data": {**good["data"], "case": None}})
    assert not VALIDATOR.is_valid({**good, "version": 2})
    for name in good["data"]:
        assert not VALIDATOR.is_valid({**good, "data": {n: v for n, v in good["data"].items() if n != name}})


def test_a_case_is_told_with_all_its_facts(bench: Bench) -> None:
    """A program can open a ticket from it without asking back."""
    body = _post(bench, alert(Stage.BREACH, at=NOON + timedelta(minutes=13))).body
    assert body["timestamp"] == "2026-11-02T12:13:00Z"
    data = body["data"]
    assert data["headline"] == "5 min late: @ann_b has waited 20 min on X" and data["calls"] is True
    assert (data["trouble"], data["storm"], data["spike"], data["step"]) == (None, None, None, None)
    case = data["case"]
    assert case["text"] == "My order never came.\nStill no answer?"
    assert case["url"] == "https://x.example/ann_b/status/17"
    assert (case["waiting_since"], case["due_at"]) == ("2026-11-02T11:53:00Z", "2026-11-02T12:08:00Z")
    assert (case["followers"], case["target_seconds"], case["public"]) == (1234, 900.0, True)


def test_a_storm_is_told_with_its_worst_cases_and_words() -> None:
    """A program sees what people see of a storm."""
    unsafe = storm_case(2, url="javascript:alert(1)")
    data = _body(storm_alert(worst=(storm_case(), unsafe)))["data"]
    assert data["storm"]["words"][0] == {"word": "delivery", "cases": 31}
    assert [case["url"] for case in data["storm"]["worst"]] == [
        "https://x.example/customer_1/status/1",
        None,
    ]
    assert (data["storm"]["reached"], data["storm"]["over_at"], data["calls"]) == (54, None, True)


def test_a_private_message_stays_private(bench: Bench) -> None:
    """The text of a DM that people may not read is not handed to a program either."""
    delivered = _post(bench, alert(Stage.BREACH, public=False, text=None))
    assert delivered.body["data"]["case"]["text"] is None
    assert delivered.body["data"]["case"]["public"] is False


def test_broken_unicode_is_whole_when_it_arrives(bench: Bench) -> None:
    """Lone surrogates and NUL, which databases and parsers choke on, do not get as far as a receiver."""
    text = "a\ud800b\x00c\x1b[31md\u202ee\nsecond line"
    delivered = _post(bench, alert(Stage.BREACH, text=text, customer="x\x00\udfff"))
    case = delivered.body["data"]["case"]
    assert case["text"] == "a\ufffdbcde\nsecond line" and case["customer"] == "x\ufffd"
    assert b"\\u" not in delivered.raw and b"\x00" not in delivered.raw


@pytest.mark.parametrize("text", ["💥" * 50_000, "word " * 9_000, "line\n" * 9_000, "\n" * 90_000])
def test_an_endless_text_is_cut_and_says_so(text: str) -> None:
    """Bodies stay of a size that every receiver takes."""
    said = alert(Stage.BREACH, text=text)
    case = _body(said)["data"]["case"]
    assert len(case["text"]) <= TEXT_LENGTH_MAX and case["text"].endswith("…")
    assert len(json.dumps(_body(said), ensure_ascii=False).encode()) < 20_000


def test_a_text_of_the_longest_length_is_whole() -> None:
    """What fits is not called cut."""
    text = "a" * TEXT_LENGTH_MAX
    assert _body(alert(Stage.BREACH, text=text))["data"]["case"]["text"] == text
    assert _body(alert(Stage.BREACH, text=text + "b"))["data"]["case"]["text"].endswith("a…")


def test_the_maintained_library_finds_the_signature_right(bench: Bench) -> None:
    """A receiver that uses a library of Standard Webhooks need not know anything of us. (That library looks
    at the real time, so that this channel does, too.)"""
    bench.clock.at = REAL_TIME.now()
    delivered = _post(bench, alert(Stage.BREACH, text="Grüße 💥"))
    headers = dict(delivered.headers)
    assert Webhook(SIGNING_SECRET).verify(delivered.raw, headers) == delivered.body
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW_SECRET).verify(delivered.raw, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SIGNING_SECRET).verify(delivered.raw.replace(b"breach", b"test", 1), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SIGNING_SECRET).verify(delivered.raw, headers | {"webhook-id": "another"})


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The known answer of Standard Webhooks' own examples comes out."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    found = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_changed_without_a_gap(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While both secrets sign, a receiver may know the old or the new one; and a new one is read from its
    place without a restart."""
    monkeypatch.setenv("CARE_SIGNING_NEW", NEW_SECRET)
    both = [{"env": "CARE_SIGNING_NEW"}, {"env": "CARE_SIGNING"}]
    channel = bench.make(signing_secrets=both)
    for secret in (SIGNING_SECRET, NEW_SECRET):
        bench.sink.secret = secret
        channel.send(alert(Stage.BREACH), None, LIMIT)
    assert len(bench.sink.delivered) == 2
    assert bench.sink.delivered[0].headers["webhook-signature"].count("v1,") == 2
    channel = bench.make()
    with pytest.raises(NotAllowed, match="signing_secrets"):
        channel.send(alert(Stage.BREACH), None, LIMIT)
    monkeypatch.setenv("CARE_SIGNING", NEW_SECRET)
    channel.send(alert(Stage.BREACH), None, LIMIT)
    assert len(bench.sink.delivered) == 3


def test_a_retry_has_the_same_id_and_a_new_time(bench: Bench) -> None:
    """A receiver that took it before the line broke knows the double by its id, and takes no old request
    for a new one."""
    channel = bench.make()
    bench.faults.once("/", Fault(FaultKind.DROP_AFTER))
    with pytest.raises(RetryAt) as caught:
        channel.send(alert(Stage.BREACH), None, LIMIT)
    assert caught.value.accepted_unknown
    bench.clock.move(3600)
    receipt = channel.send(alert(Stage.BREACH, at=bench.clock.now()), None, LIMIT)
    first, second = bench.sink.delivered
    assert (first.again, second.again) == (False, True)
    assert receipt.remote == {"id": first.id, "subject": "acme/x/17"} and first.id == second.id
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 3600


def test_an_id_can_be_read_in_one_way_only() -> None:
    """Whoever chooses the name of an account, or a message's id, cannot shift the borders of what is signed;
    and two keys never become one id."""
    assert webhook_id("acme/x/17/first_response/0/breach/0/care/0a1b") == (
        "acme/x/17/first_response/0/breach/0/care/0a1b"
    )
    keys = ["a.b", "a_b", "a.b.c", "a_b.c", "a b", "a\r\nb", "ä", "a" * 300, "a" * 301, "\ud800"]
    ids = [webhook_id(key) for key in keys]
    assert len(set(ids)) == len(keys)
    assert all(found.isascii() and found.isprintable() and not set(found) & set(". ") for found in ids)
    assert all(len(found) <= 220 for found in ids)


def test_a_key_with_a_dot_arrives_and_is_believed(bench: Bench) -> None:
    """The second round of a wait, whose key has a dot in it, is told like any other."""
    key = "acme/x/17/first_response/0.2/breach/0/care/0a1b"
    delivered = _post(bench, replace(alert(Stage.BREACH), key=key))
    assert delivered.body["data"]["key"] == key and delivered.id == webhook_id(key)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_yes_is_a_yes(bench: Bench, status: int) -> None:
    """A receiver need not know which of the good answers we like."""
    bench.sink.answer(status)
    assert bench.make().send(alert(Stage.BREACH), None, LIMIT).at == NOON


def test_a_receiver_that_is_gone_is_named_as_gone(bench: Bench) -> None:
    """Who reads of the dead letter knows what to change."""
    bench.sink.answer(410)
    with pytest.raises(NotAllowed, match=r"wants no more webhooks .*set its new address in `url`"):
        bench.make().send(alert(Stage.BREACH), None, LIMIT)


def test_a_redirect_is_not_followed(bench: Bench) -> None:
    """Nobody who can make the receiver redirect gets what customers wrote, nor the way to the inner net."""
    with serve(saying(answer(b"", status="204 No Content"))) as elsewhere:
        away = answer(b"", f"Location: {elsewhere.url}/hush-hush-hush", status="307 Temporary Redirect")
        with serve(saying(away)) as server:
            with pytest.raises(Refused, match=r"redirects to .*not followed") as caught:
                bench.elsewhere(server.port).send(alert(Stage.BREACH), None, LIMIT)
        assert elsewhere.connections == 0
    assert "hush" not in str(caught.value)


def test_a_receivers_words_are_not_repeated(bench: Bench) -> None:
    """What a receiver says back, perhaps what the customer wrote, gets into no log."""
    with serve(saying(answer(b"My order never came", status="422 My order never came"))) as server:
        with pytest.raises(Refused) as caught:
            bench.elsewhere(server.port).send(alert(Stage.BREACH), None, LIMIT)
    assert "order" not in str(caught.value) and "422" in str(caught.value)


def test_a_check_asks_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver may act on whatever it gets, so nothing is sent; what can be seen from here is said."""
    with serve(saying(answer(b""))) as server:
        said = bench.elsewhere(server.port).check(LIMIT)
        assert server.connections == 0
    assert said.startswith(f"a webhook at http://127.0.0.1:{server.port}, unencrypted, signed with 1 secret;")
    monkeypatch.setenv("CARE_HOOK", f"https://127.0.0.1:{closed_port()}/{HOOK}")
    settings_ = {"type": "webhook", "url": {"env": "CARE_HOOK"}, "signing_secrets": [{"env": "CARE_SIGNING"}]}
    channel = build_channel("webhook", bench.clock, settings_, HttpOptions())
    assert "unencrypted" not in channel.check(LIMIT)
    channel.close()


@pytest.mark.parametrize(
    "value",
    [
        "hush-hush-hush",
        "whsec_",
        "whsec_hush-hush-hush!!",
        "whsec_" + base64.b64encode(b"h" * 23).decode("ascii"),
        "whsec_" + base64.b64encode(b"h" * 65).decode("ascii"),
        SIGNING_SECRET.removeprefix("whsec_"),
        SIGNING_SECRET.replace("whsec_", "whsk_"),
        "whsec_ä" + SIGNING_SECRET,
    ],
)
def test_a_secret_that_is_none_is_named_and_not_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A weak or mistyped secret is found before anything is signed with it, and is not repeated."""
    monkeypatch.setenv("CARE_SIGNING", value)
    channel = bench.make()
    for ask in (lambda: channel.check(LIMIT), lambda: channel.send(alert(Stage.BREACH), None, LIMIT)):
        with pytest.raises(NotAllowed, match=r"CARE_SIGNING.* expected whsec_ and then 24 to 64") as caught:
            ask()
        assert len(value) < 7 or value[6:] not in str(caught.value)
    assert bench.sink.delivered == []


@pytest.mark.parametrize("length", [24, 25, 26, 64])
def test_a_secret_may_come_without_padding(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """What other tools make as a secret is taken, with or without the signs at its end."""
    whole = "whsec_" + base64.b64encode(b"k" * length).decode("ascii")
    bench.sink.secret = whole
    for value in (whole, whole.rstrip("=") + "\n"):
        monkeypatch.setenv("CARE_SIGNING", value)
        _post(bench, alert(Stage.BREACH))
    assert len(bench.sink.delivered) == 2


@pytest.mark.parametrize("value", ["example.com/hush-hush-hush", "ftp://x/hush-hush-hush", "hush-hush-hush"])
def test_an_address_that_is_none_is_named_and_not_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A URL without its https:// is found by `check`, and is not repeated."""
    channel = bench.make()
    monkeypatch.setenv("CARE_HOOK", value)
    with pytest.raises(NotAllowed, match=r"CARE_HOOK.* holds no URL") as caught:
        channel.check(LIMIT)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"signing_secrets": []},
        {"signing_secrets": [{"env": f"S{number}"} for number in range(6)]},
        {"signing_secrets": [SIGNING_SECRET]},
        {"url": "https://example.com/hush-hush-hush"},
        {"headers": {}},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    """No channel goes out unsigned, and no secret stands in the config."""
    own = {"type": "webhook", "url": {"env": "HOOK"}, "signing_secrets": [{"env": "KEY"}]}
    Settings.model_validate(own)
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(own | wrong)
    assert "hush" not in str(caught.value) and SIGNING_SECRET not in str(caught.value)


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(max_size=300))
def test_any_key_makes_an_id_that_a_header_carries(key: str) -> None:
    """No key, whoever had a part in it, can break the request."""
    found = webhook_id(key)
    assert found.isascii() and "." not in found and all("!" <= letter <= "~" for letter in found)


def test_what_belongs_together_keeps_its_subject(bench: Bench) -> None:
    """A case whose first message we saw late has another id since; a ticket of it is still found."""
    channel = bench.make()
    told = channel.send(alert(Stage.WARNING), None, LIMIT)
    told = channel.send(alert(Stage.BREACH, case_id="acme/x/9"), told, LIMIT)
    channel.send(alert(Stage.CLEARED, case_id="acme/x/8"), told, LIMIT)
    found = [one.body["data"] for one in bench.sink.delivered]
    assert [data["subject"] for data in found] == ["acme/x/17"] * 3
    assert [data["case"]["case_id"] for data in found] == ["acme/x/17", "acme/x/9", "acme/x/8"]


def test_a_program_hears_of_moves(bench: Bench) -> None:
    """Who took a case is told to programs that keep their own list of it."""
    channel = bench.make()
    assert channel.updates
    moved = alert(Stage.MOVED, moved="ack", moved_by="olga", acknowledged_by="olga")
    channel.send(moved, None, LIMIT)
    case = bench.sink.delivered[-1].body["data"]["case"]
    assert (case["moved"], case["moved_by"], case["acknowledged_by"]) == ("ack", "olga", "olga")
