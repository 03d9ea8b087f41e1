"""What the benchmarks work on: a policy, and X's JSON as it comes over the wire."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from monitor.policy import BrandPolicy, Policy
from rules.alert import Stage
from rules.meaning.judge import make_judge
from rules.meaning.pack import Pack
from rules.meaning.policy import MeaningPolicy
from rules.message import Author, Kind, Message
from rules.people import make_automation
from rules.policies import FoldPolicy, Policies
from rules.routes import Route
from rules.targets import Target

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
TEXTS = (
    "@acme my parcel number {n} is a week late, and nobody tells me where it is. Second time this month!",
    "@acme thank you, order {n} came a day early, well done",
    "Hello @acme, do you ship anvil {n} to Norway? The page does not say.",
    "@acme your app logs me out every {n} minutes since the update, please mend it",
    "watching a cartoon with an acme rocket, episode {n}",
)


def policy() -> Policy:
    """One brand, one target, one channel; every claim may be made at once."""
    meaning = MeaningPolicy(keywords=("acme",), handles=frozenset({"acme"}))
    text = files("rules.meaning").joinpath("packs/en.toml").read_text("utf-8")
    judge = make_judge(meaning, [Pack.from_mapping(tomllib.loads(text))])
    target = Target("public", 900.0, needs_reply_only=False)
    return Policy(
        brands={
            "acme": BrandPolicy(
                "acme", "Acme", meaning, judge, make_automation(), Policies.of(FoldPolicy((target,)))
            )
        },
        routes=(Route("care", "#care", frozenset(Stage)),),
        shadow=False,
        show_dm_text=False,
        blind_after_seconds=450.0,
        credentials_warning=timedelta(days=14),
        response_buckets=(300.0, 900.0, 3600.0),
        stored=json.dumps(
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
        ),
        sees_all=True,
    )


def messages(count: int, *, conversation: str | None = None) -> list[Message]:
    """Messages of as many customers, a second apart."""
    return [
        Message(
            brand="acme",
            connector="x",
            account="acme",
            id=str(10**18 + n),
            kind=Kind.POST,
            conversation=conversation or str(10**18 + n),
            author=Author(str(7000 + n), f"customer{n}", f"Customer {n}", n % 5000),
            text=TEXTS[n % len(TEXTS)].format(n=n),
            created_at=NOON + timedelta(seconds=n),
            handles=("acme",),
            url=f"https://x.example/customer{n}/status/{10**18 + n}",
            reach=n % 300,
        )
        for n in range(count)
    ]


def x_pages(count: int, size: int) -> Iterator[bytes]:
    """The same, as X's API v2 sends it: pages of JSON, newest first."""
    for start in range(0, count, size):
        data: list[dict[str, Any]] = []
        users: list[dict[str, Any]] = []
        for n in range(start, min(start + size, count)):
            at = NOON + timedelta(seconds=n)
            data.append(
                {
                    "id": str(10**18 + n),
                    "text": TEXTS[n % len(TEXTS)].format(n=n),
                    "author_id": str(7000 + n),
                    "conversation_id": str(10**18 + n),
                    "created_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "edit_history_tweet_ids": [str(10**18 + n)],
                    "lang": "en",
                    "entities": {"mentions": [{"start": 0, "end": 5, "username": "acme", "id": "1"}]},
                    "public_metrics": {"like_count": 1, "retweet_count": 0, "quote_count": 0, "impression_count": n % 300},
                }
            )  # fmt: skip
            users.append(
                {
                    "id": str(7000 + n),
                    "username": f"customer{n}",
                    "name": f"Customer {n}",
                    "public_metrics": {"followers_count": n % 5000},
                }
            )
        body = {"data": data[::-1], "includes": {"users": users}, "meta": {"result_count": len(data)}}
        yield json.dumps(body).encode()
