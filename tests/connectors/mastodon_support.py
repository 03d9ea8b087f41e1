"""What the tests of the Mastodon connector share: a small world on the simulated one, and a bench."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Cursor, Page, Surroundings
from connectors.mastodon import MastodonConnector, Settings, build
from simulator.mastodon_api import MastodonAccess, make_mastodon_app
from simulator.serve import Served
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HANDLE = "acmehelp"


class Town:
    """A world with @acmehelp, the brand's @acme on another server, and some customers."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.world = World(self.clock)
        self.help = self._person("101", HANDLE, "acme")
        self.hq = self._person("102", "acme@social.acme.example", "acme")
        self.ann = self._person("201", "ann", None)
        self.bo = self._person("202", "bo@far.example", None)
        self.robot = self._person("203", "quotes", None, automated=True)
        self.access = MastodonAccess.of(HANDLE)

    def _person(self, id: str, handle: str, brand: str | None, automated: bool = False) -> Person:
        name = handle.split("@")[0]
        return self.world.add_person(
            Person(Platform.MASTODON, id, handle, name, 12, brand=brand, automated=automated)
        )

    def post(
        self, author: Person, text: str, *, ago: float = 0, parent: Writing | None = None, **more: Any
    ) -> Writing:
        """A post some seconds ago, or an answer to one."""
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.MASTODON, at)
        form = more.pop("form", Form.POST)
        root, above = (parent.root, parent.id) if parent else (id, None)
        written = Writing(Platform.MASTODON, id, form, author, text, at, root=root, parent=above, **more)
        return self.world.write(written)

    def dm(self, author: Person, to: Person, text: str, **more: Any) -> Writing:
        """A post that only the two of them can see."""
        return self.post(author, f"@{to.handle} {text}", form=Form.DM, recipient=to, **more)

    @contextmanager
    def served(self, **options: Any) -> Iterator[str]:
        """The server's URL, while it runs."""
        access = options.pop("access", [self.access])
        with Served(make_mastodon_app(self.world, access, **options)) as server:
            yield server.url


class Desk:
    """Builds connectors against some URL, with a token from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch

    def connector(
        self, url: str, town: Town, *, token: str | None = None, look_back: float = 86400, **settings: Any
    ) -> MastodonConnector:
        self.monkeypatch.setenv("MASTODON_TOKEN", town.access.token if token is None else token)
        given = {"handle": HANDLE, "access_token": {"env": "MASTODON_TOKEN"}, "api_url": url}
        whole = Settings.model_validate(given | settings)
        return build(
            whole,
            Surroundings(
                brand="acme",
                account=whole.label,
                keywords=("acme",),
                brand_handles=frozenset({HANDLE, "acme@social.acme.example"}),
                clock=town.clock.now,
                state_folder=self.state,
                http=HttpOptions(),
                look_back_seconds=look_back,
            ),
        )


class MastodonBench:
    """What tests/contract/test_connectors.py needs."""

    incoming, path = "mentions", "/api/v1/notifications"
    signs_in: frozenset[str] = frozenset()

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = Town()
        self.desk = Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        self.secrets = (self.town.access.token,)

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.post(self.town.ann, f"@{HANDLE} {text}", ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.post(self.town.help, "@ann we look into it", ago=ago, parent=to)

    def message_id(self, writing: Writing) -> str:
        return writing.id

    def edit(self, writing: Writing, text: str) -> None:
        self.town.world.edit(writing, self.clock.now(), text)

    def served(self, faults: Any) -> Any:
        return self.town.served(faults=faults, page_max=10)

    def connector(self, url: str, look_back: float = 86400) -> MastodonConnector:
        return self.desk.connector(url, self.town, look_back=look_back)


def drain(
    connector: MastodonConnector, stream: str, cursor: Cursor | None = None
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
