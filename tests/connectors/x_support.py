"""What the tests of the X connector share: a small world on the simulated X, and a server of lies."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.contract import Cursor, Page, Surroundings
from connectors.x import Settings, XConnector, build
from simulator.serve import Served
from simulator.world import Edit, FixedClock, Form, Person, Platform, World, Writing
from simulator.x_api import XAccess, make_x_app
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
OAUTH1 = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
OAUTH2 = ("client_secret", "refresh_token")
APP = ("bearer_token",)


class Town:
    """A world with @AcmeHelp, @Acme and some customers; @AcmeHelp's app has access to X."""

    def __init__(self, start: datetime = NOON) -> None:
        self.clock = FixedClock(start)
        self.world = World(self.clock)
        self.help = self._person("100", "AcmeHelp", "acme")
        self.acme = self._person("101", "Acme", "acme")
        self.ann = self._person("7", "ann_b", None)
        self.bo = self._person("8", "bo", None)
        self.access = XAccess.of("AcmeHelp")

    def _person(self, id: str, handle: str, brand: str | None) -> Person:
        return self.world.add_person(Person(Platform.X, id, handle, handle.title(), 321, brand))

    def post(
        self,
        author: Person,
        text: str,
        *,
        ago: float = 0,
        parent: Writing | None = None,
        shown_after: float | None = None,
    ) -> Writing:
        """A post, some seconds ago; its "@" words are its mentions."""
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.X, at)
        return self.world.write(
            Writing(
                platform=Platform.X,
                id=id,
                form=Form.POST,
                author=author,
                text=text,
                created_at=at,
                root=parent.root if parent else id,
                parent=parent.id if parent else None,
                mentions=tuple(w[1:].strip(",.!") for w in text.split() if w.startswith("@")),
                visible_at=None if shown_after is None else at + timedelta(seconds=shown_after),
            )
        )

    def dm(self, author: Person, recipient: Person, text: str, *, ago: float = 0) -> Writing:
        """A direct message, some seconds ago."""
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.X, at)
        return self.world.write(
            Writing(Platform.X, id, Form.DM, author, text, at, root=id, recipient=recipient)
        )

    def edit(self, writing: Writing, text: str) -> Edit:
        """Change a post now."""
        return self.world.edit(writing, self.clock.now(), text)

    @contextmanager
    def served(self, **options: Any) -> Iterator[str]:
        """X's URL, while it runs."""
        with Served(make_x_app(self.world, [self.access], **options)) as server:
            yield server.url


class Desk:
    """Builds connectors against some URL, with credentials from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch
        self.built: list[XConnector] = []

    def connector(
        self,
        url: str,
        town: Town,
        *,
        credentials: tuple[str, ...] = OAUTH1,
        keywords: tuple[str, ...] = ("acme",),
        secrets: Mapping[str, str] | None = None,
        look_back: float = 86400,
        **settings: Any,
    ) -> XConnector:
        for name in credentials:
            value = (secrets or {}).get(name, getattr(town.access, name))
            self.monkeypatch.setenv(f"X_{name.upper()}", value)
        given: dict[str, Any] = {n: {"env": f"X_{n.upper()}"} for n in credentials}
        if credentials == OAUTH2:
            given["client_id"] = town.access.client_id
        whole = Settings.model_validate({"handle": "AcmeHelp", "api_url": url} | given | settings)
        connector = build(
            whole,
            Surroundings(
                brand="acme",
                account=whole.label,
                keywords=keywords,
                brand_handles=frozenset({"acmehelp", "acme"}),
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


def drain(connector: XConnector, stream: str, cursor: Cursor | None = None) -> tuple[list[Page], Cursor]:
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


Answerer = Callable[[Request], Response | Awaitable[Response]]


def anything(answer: Answerer, *, who: bool = True) -> ASGIApp:
    """A server that answers as a test wants; `who`: it knows @AcmeHelp all the same."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if who and request.url.path == "/2/users/me":
            response: Response = told({"data": {"id": "100", "username": "AcmeHelp"}})
        else:
            answered = answer(request)
            response = answered if isinstance(answered, Response) else await answered
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
