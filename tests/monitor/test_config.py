"""What may stand in monitor.toml, model by model."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from monitor.config import (
    AlertsConfig,
    BrandConfig,
    HeartbeatConfig,
    HttpConfig,
    MonitorConfig,
    RoutingConfig,
    RulesConfig,
    TargetConfig,
    WebConfig,
    plain,
)
from monitor.policy import make_target
from rules.match import Traits
from rules.meaning.contract import Priority
from rules.message import Kind


def target(**keys: Any) -> TargetConfig:
    """A target for everything that needs a reply, but for these keys."""
    return TargetConfig.model_validate({"name": "t", "first_response": "15m", **keys})


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (MonitorConfig, {"time_zone": "Mars/Olympus"}),
        (MonitorConfig, {"time_zone": "../../etc/passwd"}),
        (MonitorConfig, {"time_zone": ""}),
        (MonitorConfig, {"look_back": 7}),
        (MonitorConfig, {"look_back": "0s"}),
        (MonitorConfig, {"look_back": "-7d"}),
        (MonitorConfig, {"log_level": "loud"}),
        (HttpConfig, {"proxy": "socks5://proxy.example:1080"}),
        (HttpConfig, {"proxy": "http://me:pw@proxy.example:3128"}),
        (HttpConfig, {"proxy": "proxy.example"}),
        (HttpConfig, {"time_limit": "500ms"}),
        (WebConfig, {"listen": "9464"}),
        (WebConfig, {"listen": "127.0.0.1"}),
        (WebConfig, {"listen": "127.0.0.1:"}),
        (WebConfig, {"listen": "127.0.0.1:65536"}),
        (WebConfig, {"listen": "127.0.0.1:-1"}),
        (WebConfig, {"listen": "metrics.example:80"}),
        (WebConfig, {"listen": "999.0.0.1:80"}),
        (HeartbeatConfig, {"url": "https://beat.example/secret"}),
        (HeartbeatConfig, {"every": "100ms"}),
        (RulesConfig, {"complaint_threshold": 0}),
        (RulesConfig, {"complaint_threshold": 1}),
        (RulesConfig, {"complaint_threshold": float("nan")}),
        (RulesConfig, {"followers_high": 200_000}),
        (RulesConfig, {"reach_high": 0}),
        (RulesConfig, {"patterns": [{}] * 501}),
        (BrandConfig, {"keywords": [" "]}),
        (BrandConfig, {"keywords": ["x" * 201]}),
        (BrandConfig, {"keywords": ["x"] * 501}),
        (BrandConfig, {"automated_patterns": ["(unclosed"]}),
        (BrandConfig, {"automated_patterns": [r"(a)\1"]}),
        (BrandConfig, {"automated_patterns": ["x*"]}),
        (BrandConfig, {"name": "a\x1b[31m"}),
        (TargetConfig, {"name": "t"}),
        (TargetConfig, {"name": "t", "first_response": "15m", "no_target": True}),
        (TargetConfig, {"name": "", "first_response": "15m"}),
        (TargetConfig, {"name": "a\nb", "first_response": "15m"}),
        (TargetConfig, {"name": "t", "first_response": "15m", "warnings": [0.5, 0.5]}),
        (TargetConfig, {"name": "t", "first_response": "15m", "warnings": [0.0]}),
        (TargetConfig, {"name": "t", "first_response": "15m", "warnings": [1.0]}),
        (TargetConfig, {"name": "t", "first_response": "15m", "warnings": [float("inf")]}),
        (TargetConfig, {"name": "t", "first_response": "15m", "priority": []}),
        (TargetConfig, {"name": "t", "first_response": "15m", "priority": ["loud"]}),
        (TargetConfig, {"name": "t", "first_response": "15m", "repeat_max": -1}),
        (TargetConfig, {"name": "t", "first_response": "15m", "repeat": "0s"}),
        (TargetConfig, {"name": "t", "first_response": "15m", "needs_reply": True}),
        (AlertsConfig, {"mode": "quiet"}),
        (AlertsConfig, {"blind_after": "0s"}),
        (RoutingConfig, {"type": "slack", "stages": []}),
        (RoutingConfig, {"type": "slack", "stages": ["breech"]}),
        (RoutingConfig, {"type": "slack", "brands": []}),
    ],
)
def test_what_cannot_be_meant_is_refused(model: type[BaseModel], values: dict[str, Any]) -> None:
    """A value that would fail or do nothing at midnight fails when the file is read."""
    with pytest.raises(ValidationError):
        model.model_validate(values)


@pytest.mark.parametrize(
    "model",
    [
        MonitorConfig,
        HttpConfig,
        WebConfig,
        HeartbeatConfig,
        RulesConfig,
        BrandConfig,
        AlertsConfig,
    ],
)
def test_every_setting_has_a_sensible_default(model: type[BaseModel]) -> None:
    """Only brands, accounts and channels have to be written; unknown keys are seen; nothing changes later."""
    made = model.model_validate({})
    with pytest.raises(ValidationError, match="Extra inputs"):
        model.model_validate({"unheard_of": 1})
    first = next(iter(model.model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(made, first, getattr(made, first))


@pytest.mark.parametrize(
    ("listen", "host", "port", "public"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464, False),
        ("127.8.0.1:0", "127.8.0.1", 0, False),
        ("[::1]:9464", "::1", 9464, False),
        ("0.0.0.0:80", "0.0.0.0", 80, True),
        ("[::]:80", "::", 80, True),
        ("10.1.2.3:80", "10.1.2.3", 80, True),
    ],
)
def test_the_address_is_taken_apart(listen: str, host: str, port: int, public: bool) -> None:
    """It is known whether others can reach it, IPv6 included."""
    web = WebConfig(listen=listen)
    assert (web.host, web.port, web.is_public) == (host, port, public)


def test_loopback_is_the_default() -> None:
    """Nobody publishes metrics by not thinking of it."""
    assert not WebConfig().is_public


def test_the_state_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in the file, else given by systemd, else beside the file: never the folder one stands in."""
    config = tmp_path / "etc" / "monitor.toml"
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert MonitorConfig().folder(config) == tmp_path / "etc" / "state"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/response-monitor:/var/lib/other")
    assert MonitorConfig().folder(config) == Path("/var/lib/response-monitor")
    assert MonitorConfig(state_folder=Path("kept")).folder(config) == tmp_path / "etc" / "kept"
    assert MonitorConfig(state_folder=Path("/srv/kept")).folder(config) == Path("/srv/kept")


def test_one_priority_or_several() -> None:
    """`priority = "urgent"` needs no brackets."""
    assert target(priority="urgent").priority == [Priority.URGENT]
    assert target(priority=["high", "urgent"]).priority == [Priority.HIGH, Priority.URGENT]


@pytest.mark.parametrize(
    ("above", "below", "hidden"),
    [
        ({}, {}, True),
        ({}, {"public": True, "complaint": True}, True),
        ({}, {"needs_reply": "any"}, False),
        ({"needs_reply": "any"}, {}, True),
        ({"public": True}, {}, False),
        ({"public": True}, {"public": False}, False),
        ({"public": True}, {"public": True, "kind": "post"}, True),
        ({"public": False}, {"public": True}, False),
        ({"complaint": False}, {"complaint": True}, False),
        ({"brand": "acme"}, {"brand": "acme", "connector": "x"}, True),
        ({"brand": "acme"}, {"brand": "other"}, False),
        ({"priority": "urgent"}, {"priority": ["high", "urgent"]}, False),
        ({"priority": ["high", "urgent"]}, {"priority": "urgent"}, True),
        ({"priority": ["high", "urgent"]}, {}, False),
        ({"priority": ["low", "normal", "high", "urgent"]}, {}, True),
        ({"min_followers": 1000}, {}, False),
        ({"min_followers": 1000}, {"min_followers": 5000}, True),
        ({"min_followers": 0}, {}, True),
    ],
)
def test_a_target_that_is_never_reached_is_recognised(
    above: dict[str, Any], below: dict[str, Any], hidden: bool
) -> None:
    """A promise that no case can come to is told, and one that some case can come to is not."""
    assert target(**above).leaves_nothing_to(target(**below)) is hidden


def test_a_kind_is_one_of_ours() -> None:
    """A target is for a post, comment, dm, review or email."""
    assert target(kind="dm").kind is Kind.DM
    with pytest.raises(ValidationError):
        target(kind="tweet")


def _case(values: tuple[Any, ...]) -> Traits:
    """A case with these traits."""
    brand, public, kind, complaint, addressed, needs_reply, priority, followers, topics, *rest = values
    return Traits(
        brand,
        "x",
        "help",
        public,
        kind,
        complaint,
        addressed,
        needs_reply,
        priority,
        followers,
        frozenset(topics),
        *rest,
    )


_CASES = [
    _case(values)
    for values in product(
        ("acme", "other"),
        (True, False),
        (Kind.POST, Kind.DM),
        (True, False),
        (True, False),
        (True, False),
        Priority,
        (None, 5, 50),
        ((), ("refund",), ("app",)),
        (None, "en-GB", "de"),
        (None, 1.0, 4.5),
    )
]
_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "brand": st.sampled_from(["acme", "other"]),
        "public": st.booleans(),
        "kind": st.sampled_from(["post", "dm"]),
        "complaint": st.booleans(),
        "addressed": st.booleans(),
        "priority": st.lists(st.sampled_from([p.value for p in Priority]), min_size=1, unique=True),
        "min_followers": st.sampled_from([0, 5, 50]),
        "needs_reply": st.sampled_from(["yes", "any"]),
        "language": st.sampled_from(["en", ["en", "de"]]),
        "topic": st.sampled_from(["refund", ["refund", "app"]]),
        "rating": st.sampled_from([1, [1, 5]]),
    },
)


@settings(max_examples=60, deadline=None)
@given(above=_KEYS, narrower=_KEYS, nested=st.booleans())
def test_never_reached_means_what_matching_does(
    above: dict[str, Any], narrower: dict[str, Any], nested: bool
) -> None:
    """The warning agrees with how cases really find their target, for any pair of targets."""
    upper, lower = target(**above), target(**({**narrower, **above} if nested else narrower))
    first, second = make_target(plain(upper)), make_target(plain(lower))
    takes_all = all(first.mismatch(case) is None for case in _CASES if second.mismatch(case) is None)
    assert upper.leaves_nothing_to(lower) is takes_all
