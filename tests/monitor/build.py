"""A policy, a store and messages, for the tests of the steps: everything real, and no config file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from alerts.contract import Receipt
from connectors.contract import Direction, Gone, Page, Stream
from monitor.ingest import Arrival, Taken, ingest
from monitor.policy import BrandPolicy, Policy
from monitor.store.store import Store, open_store
from monitor.watch import Watched, watch_once
from rules.alert import Alert, Stage
from rules.meaning.judge import Judge, make_judge
from rules.meaning.pack import Pack
from rules.meaning.policy import MeaningPolicy
from rules.message import Author, Kind, Message
from rules.people import make_automation
from rules.policies import FoldPolicy, Policies
from rules.routes import Route
from rules.targets import Target
from wire.errors import EdgeError

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MEANING = MeaningPolicy(keywords=("acme",), handles=frozenset({"acme", "acmehelp"}))
TARGET = Target("public", 900.0, needs_reply_only=False)
FOLD = Policies.of(FoldPolicy((TARGET,)))
STORED = json.dumps(
    {
        "targets": [
            {
                "name": "public",
                "first_response": 900,
                "needs_reply": "any",
                "gap": 86400,
                "warnings": [0.5, 0.8],
            }
        ]
    }
)
"""The same, as the store keeps it."""


def at(minutes: float) -> datetime:
    """That many minutes past noon."""
    return NOON + timedelta(minutes=minutes)


@cache
def judge() -> Judge:
    """One judge for all tests: its lexicons take time to read."""
    text = files("rules.meaning").joinpath("packs/en.toml").read_text("utf-8")
    return make_judge(MEANING, [Pack.from_mapping(tomllib.loads(text))])


def policy(**changes: Any) -> Policy:
    """Fifteen minutes for everybody, one channel that hears everything, nothing gated."""
    brand = BrandPolicy("acme", "Acme", MEANING, judge(), make_automation(["acmebot"]), FOLD)
    made = Policy(
        brands={"acme": brand},
        routes=(Route("care", "#care", frozenset(Stage)),),
        shadow=False,
        show_dm_text=False,
        blind_after_seconds=450.0,
        credentials_warning=timedelta(days=14),
        response_buckets=(300.0, 900.0),
        stored=STORED,
        sees_all=True,
    )
    return replace(made, **changes)


def customer(
    id: str, minute: float, text: str = "@acme my parcel is still not here!", **more: Any
) -> Message:
    """A customer writes on X."""
    who = more.pop("who", "ana")
    author = more.pop("author", None) or Author(who, who, followers=10)
    fields = {"conversation": id, "handles": ("acme",), "account": "acme", "kind": Kind.POST, **more}
    return Message("acme", "x", id=id, author=author, text=text, created_at=at(minute), **fields)


def brand(id: str, minute: float, parent: str | None, **more: Any) -> Message:
    """The brand writes on X."""
    who = more.pop("who", "acmehelp")
    fields = {
        "conversation": parent or id,
        "text": "sorry to hear that, we look into it",
        "account": "acme",
        "kind": Kind.POST,
        **more,
    }
    author = Author(who, who, brand=True)
    return Message("acme", "x", id=id, author=author, created_at=at(minute), parent=parent, **fields)


MENTIONS = Stream("mentions", Direction.INBOUND, 60.0)
OWN = Stream("own", Direction.OUTBOUND, 60.0)


@dataclass
class House:
    """A store with a policy, and the steps at pretended times."""

    store: Store
    policy: Policy
    path: Path

    def take(self, minute: float, *messages: Message, gone: Sequence[Gone] = ()) -> Taken:
        """A page comes in."""
        page = Page(tuple(messages), {"v": 1}, gone=tuple(gone))
        return ingest(
            self.store, self.policy, Arrival("acme", "x", "acme", "acme/mentions", page), at(minute)
        )

    def watch(self, minute: float) -> Watched:
        """The deadline loop looks."""
        return watch_once(self.store, self.policy, at(minute))

    def cases(self) -> list[Any]:
        return [row.case for row in self.store.cases.everything()]

    def count(self, name: str) -> float:
        """A counter over all its labels."""
        return sum(c.value for c in self.store.figures.counts() if c.name == name)


def house(folder: Path, **changes: Any) -> House:
    """A new one."""
    folder.mkdir(exist_ok=True)
    path = folder / "monitor.db"
    return House(open_store(path), policy(**changes), path)


@dataclass
class Sink:
    """A channel that keeps what it is given, or fails as it is told. It keeps the real contract."""

    recipient: str = "#care"
    updates: bool = True
    sent: list[tuple[Alert, Receipt | None]] = field(default_factory=list)
    failures: list[EdgeError] = field(default_factory=list)

    def send(self, alert: Alert, previous: Receipt | None, time_limit: float) -> Receipt:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((alert, previous))
        return Receipt(alert.at, {"ts": str(len(self.sent))})

    def check(self, time_limit: float) -> str:
        return "a sink"

    def close(self) -> None:
        self.sent.clear()

    def stages(self) -> list[str]:
        return [str(alert.stage) for alert, _ in self.sent]
