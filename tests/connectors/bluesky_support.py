"""What the tests of the Bluesky connector share: a small world on the simulated one, a bench, and a server of
lies."""

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

from connectors.bluesky import BlueskyConnector, Settings, build
from connectors.contract import Cursor, Page, Surroundings
from simulator.bluesky_api import BlueskyAccess, make_bluesky_app
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HANDLE = "acmehelp.bsky.social"


class Town:
    """A world with @acmehelp.bsky.social, @acme.example and some customers."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.world = World(self.clock)
        self.help = self._person("h1", HANDLE, "acme")
        self.hq = self._person("h2", "acme.example", "acme")
        self.ann = self._person("a1", "ann.bsky.social", None)
        self.bo = self._person("b1", "bo.example.org", None)
        self.robot = self._person("r1", "quotes.bsky.social", None, automated=True)
        self.access = BlueskyAccess.of(HANDLE)

    def _person(self, id: str, handle: str, brand: str | None, automated: bool = False) -> Person:
        did = f"did:plc:{id:a<24}"
        made = Person(Platform.BLUESKY, did, handle, handle.split(".")[0], brand=brand, automated=automated)
        return self.world.add_person(made)

    def post(
        self, author: Person, text: str, *, ago: float = 0, parent: Writing | None = None, **more: Any
    ) -> Writing:
        """A post some seconds ago, or a reply to one."""
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.BLUESKY, at)
        return self.world.write(
            Writing(
                Platform.BLUESKY,
                id,
                Form.POST,
                author,
                text,
                at,
                root=parent.root if parent else id,
                parent=parent.id if parent else None,
                **more,
            )
        )

    def dm(
        self, author: Person, to: Person, text: str, *, ago: float = 0, after: Writing | None = None
    ) -> Writing:
        """A direct message, the first of its conversation or after another."""
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.BLUESKY, at)
        root = after.root if after else id
        return self.world.write(
            Writing(Platform.BLUESKY, id, Form.DM, author, text, at, root=root, recipient=to)
        )

    @contextmanager
    def served(self, **options: Any) -> Iterator[str]:
        """The account's server's URL, while it runs."""
        access = options.pop("access", [self.access])
        with Served(make_bluesky_app(self.world, access, **options)) as server:
            yield server.url


def uri(writing: Writing) -> str:
    """The id under which we know a post."""
    return f"at://{writing.author.id}/app.bsky.feed.post/{writing.id}"


class Desk:
    """Builds connectors against some URL, with credentials from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch

    def connector(
        self,
        url: str,
        town: Town,
        *,
        password: str | None = None,
        keywords: tuple[str, ...] = ("acme kettle",),
        look_back: float = 86400,
        **settings: Any,
    ) -> BlueskyConnector:
        self.monkeypatch.setenv("BLUESKY_PASSWORD", password or town.access.password)
        given = {"handle": HANDLE, "app_password": {"env": "BLUESKY_PASSWORD"}, "api_url": url}
        whole = Settings.model_validate(given | settings)
        return build(
            whole,
            Surroundings(
                brand="acme",
                account=whole.label,
                keywords=keywords,
                brand_handles=frozenset({HANDLE, "acme.example"}),
                clock=town.clock.now,
                state_folder=self.state,
                http=HttpOptions(),
                look_back_seconds=look_back,
            ),
        )


class BlueskyBench:
    """What tests/contract/test_connectors.py needs."""

    incoming, path = "notifications", "/xrpc/app.bsky."
    signs_in = frozenset(
        {"/xrpc/com.atproto.server.createSession", "/xrpc/com.atproto.server.refreshSession"}
    )

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = Town()
        self.desk = Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        self.secrets = (self.town.access.password, "eyJ0eXAi")

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.post(self.town.ann, f"@{HANDLE} {text}", ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.post(self.town.help, "we look into it", ago=ago, parent=to)

    def message_id(self, writing: Writing) -> str:
        return uri(writing)

    def edit(self, writing: Writing, text: str) -> None:
        raise AssertionError("posts on Bluesky cannot be edited")

    def served(self, faults: Any) -> Any:
        return self.town.served(faults=faults, page_max=10)

    def connector(self, url: str, look_back: float = 86400) -> BlueskyConnector:
        return self.desk.connector(url, self.town, look_back=look_back)


def drain(
    connector: BlueskyConnector, stream: str, cursor: Cursor | None = None
) -> tuple[list[Page], Cursor]:
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


SESSION = {
    "accessJwt": "eyJhY2Nlc3M",
    "refreshJwt": "eyJyZWZyZXNo",
    "did": "did:plc:h1aaaaaaaaaaaaaaaaaaaaaa",
    "handle": HANDLE,
    "active": True,
}


def anything(answer: Callable[[Request], Response]) -> ASGIApp:
    """A server that signs us in, and else answers as a test wants."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        signing_in = request.url.path == "/xrpc/com.atproto.server.createSession"
        await (told(SESSION) if signing_in else answer(request))(scope, receive, send)

    return app


def told(body: Any, status: int = 200, **headers: str) -> Response:
    """A JSON answer; header names are written with "_" for "-"."""
    return Response(
        json.dumps(body),
        status,
        {k.replace("_", "-"): v for k, v in headers.items()},
        media_type="application/json",
    )
