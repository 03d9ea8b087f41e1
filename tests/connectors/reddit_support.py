"""What the tests of the Reddit connector share: a small world on the simulated one, and a server of lies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.contract import Cursor, Page, Surroundings
from connectors.reddit import RedditConnector, Settings, build
from simulator.reddit_api import RedditAccess, make_reddit_app
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


class Town:
    """A world with u/AcmeHelp, u/AcmeHQ and some customers; u/AcmeHelp's app has access to Reddit."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.world = World(self.clock)
        self.help = self._person("h1", "AcmeHelp", "acme")
        self.hq = self._person("h2", "AcmeHQ", "acme")
        self.ann = self._person("a1", "Ann_B", None)
        self.bo = self._person("b1", "bo-bo", None)
        self.robot = self._person("r1", "AutoModerator", None)
        self.access = RedditAccess.of("AcmeHelp")

    def _person(self, id: str, handle: str, brand: str | None) -> Person:
        return self.world.add_person(Person(Platform.REDDIT, id, handle, handle, brand=brand))

    def _write(self, form: Form, author: Person, text: str, ago: float, **more: Any) -> Writing:
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.REDDIT, at)
        whole: dict[str, Any] = {"root": id} | {k: v for k, v in more.items() if v is not None}
        return self.world.write(Writing(Platform.REDDIT, id, form, author, text, at, **whole))

    def post(
        self, author: Person, text: str, *, ago: float = 0, title: str = "Hello", sub: str = "kettles"
    ) -> Writing:
        """A submission, some seconds ago."""
        return self._write(Form.POST, author, text, ago, title=title, community=sub)

    def comment(self, author: Person, text: str, on: Writing, *, ago: float = 0) -> Writing:
        """A comment on a submission or on a comment."""
        return self._write(
            Form.COMMENT, author, text, ago, root=on.root, parent=on.id, community=on.community
        )

    def dm(
        self, author: Person, to: Person, text: str, *, ago: float = 0, after: Writing | None = None
    ) -> Writing:
        """A private message, or an answer to one."""
        return self._write(
            Form.DM,
            author,
            text,
            ago,
            recipient=to,
            title="My order",
            root=after.root if after else None,
            parent=after.id if after else None,
        )

    @contextmanager
    def served(self, **options: Any) -> Iterator[str]:
        """Reddit's URL, while it runs."""
        with Served(make_reddit_app(self.world, [self.access], **options)) as server:
            yield server.url


class Desk:
    """Builds connectors against some URL, with credentials from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch
        self.built: list[RedditConnector] = []

    def connector(
        self,
        url: str,
        town: Town,
        *,
        way: str = "password",
        secret: str | None = None,
        keywords: tuple[str, ...] = ("acme",),
        look_back: float = 86400,
        **settings: Any,
    ) -> RedditConnector:
        self.monkeypatch.setenv("REDDIT_SECRET", town.access.client_secret)
        self.monkeypatch.setenv("REDDIT_WAY", secret or getattr(town.access, way))
        given = {
            "username": "AcmeHelp",
            "client_id": town.access.client_id,
            "client_secret": {"env": "REDDIT_SECRET"},
            way: {"env": "REDDIT_WAY"},
            "user_agent": "linux:acme-tests:1.0 (by /u/acmehelp)",
            "api_url": url,
            "auth_url": url,
            "subreddits": ["kettles"],
        }
        whole = Settings.model_validate(given | settings)
        connector = build(
            whole,
            Surroundings(
                brand="acme",
                account=whole.label,
                keywords=keywords,
                brand_handles=frozenset({"acmehelp", "acmehq"}),
                clock=town.clock.now,
                state_folder=self.state,
                http=HttpOptions(),
                look_back_seconds=look_back,
            ),
        )
        self.built.append(connector)
        return connector

    def close(self) -> None:
        for connector in self.built:
            connector.close()


def drain(connector: RedditConnector, stream: str, cursor: Cursor | None = None) -> tuple[list[Page], Cursor]:
    """Poll until no page waits, each time with the stored form of the cursor; never more than 50 times."""
    pages: list[Page] = []
    for _ in range(50):
        page = connector.poll(stream, cursor, 5)
        pages.append(page)
        cursor = json.loads(json.dumps(page.cursor))
        if not page.has_more:
            return pages, cursor or {}
    raise AssertionError("the stream never came to its end")


def texts(pages: list[Page]) -> list[str]:
    """What was handed over, in order."""
    return [m.text for p in pages for m in p.messages]


def anything(answer: Callable[[Request], Response]) -> ASGIApp:
    """A server that signs us in, knows who we are, and else answers as a test wants."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if request.url.path == "/api/v1/access_token":
            response = told({"access_token": "t", "token_type": "bearer", "expires_in": 3600, "scope": "*"})
        elif request.url.path == "/api/v1/me":
            response = told({"id": "h1", "name": "AcmeHelp"})
        else:
            response = answer(request)
        await response(scope, receive, send)

    return app


def told(body: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer; header names are written with "_" for "-"."""
    return Response(
        json.dumps(body),
        status,
        {k.replace("_", "-"): v for k, v in headers.items()},
        media_type="application/json",
    )


def listing(*things: Any, after: str | None = None) -> Response:
    """A Listing of those things."""
    return told({"kind": "Listing", "data": {"children": list(things), "after": after}})
