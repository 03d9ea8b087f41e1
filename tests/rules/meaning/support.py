"""What the tests of meaning share: the shipped pack, a brand, and messages made of a few words."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from rules.meaning.judge import Judge, make_judge
from rules.meaning.pack import Pack
from rules.meaning.policy import MeaningPolicy
from rules.meaning.sentiment import Sentiment, vader
from rules.message import Author, Kind, Message

CUSTOMER = Author(id="c1", handle="customer")
POLICY = MeaningPolicy(
    keywords=("acme", "acme air"),
    handles=frozenset({"@Acme", "acmehelp"}),
    account_ids=frozenset({"900"}),
    exclusions=("acme brick works",),
)


def pack_data() -> dict[str, Any]:
    """The English pack, as its file says it."""
    return tomllib.loads(files("rules.meaning").joinpath("packs/en.toml").read_text("utf-8"))


@cache
def english() -> Pack:
    """The English pack."""
    return Pack.from_mapping(pack_data())


@cache
def heard() -> Sentiment:
    """One VADER for all tests."""
    return vader()


@cache
def judge_of(policy: MeaningPolicy = POLICY) -> Judge:
    """The judge of a brand."""
    return make_judge(policy, [english()], heard())


def message(text: str, **changes: Any) -> Message:
    """A public post that says `text`."""
    values: dict[str, Any] = {
        "brand": "acme",
        "connector": "x",
        "account": "acme",
        "id": "1",
        "kind": Kind.POST,
        "conversation": "1",
        "author": CUSTOMER,
        "text": text,
        "created_at": datetime(2025, 3, 3, 12, tzinfo=UTC),
    }
    return Message(**(values | changes))
