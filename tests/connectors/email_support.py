"""What the tests of the email connector share: a small world on the simulated mail server, and a bench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.contract import Surroundings
from connectors.email import EmailConnector, Settings, build
from simulator.faults import Faults
from simulator.imap_server import ImapAccess, ImapServer, MailFolders, message_id
from simulator.world import FixedClock, Form, Person, Platform, World, Writing
from wire.http import HttpOptions

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
TOKEN = "ya29.token-of-the-mailbox"
HANDLE = "acmehelp@acme.example"


class Town:
    """A world with the mailbox acmehelp@acme.example, and some customers."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.world = World(self.clock)
        self.help = self._person(HANDLE, "Acme Help", brand="acme")
        self.ann = self._person("ann@mail.example", "Ann Bee")
        self.away = self._person("away@mail.example", "Al Away", automated=True)
        self.access = ImapAccess(self.help)
        self.folders = MailFolders(self.world, self.help)

    def _person(self, id: str, name: str, **more: Any) -> Person:
        return self.world.add_person(Person(Platform.EMAIL, id, id, name, **more))

    def mail(
        self,
        author: Person,
        to: Person,
        text: str,
        *,
        ago: float = 0,
        parent: Writing | None = None,
        **more: Any,
    ) -> Writing:
        """A mail some seconds ago, or an answer to one."""
        at = self.clock.now() - timedelta(seconds=ago)
        id = self.world.new_id(Platform.EMAIL, at)
        root = parent.root if parent else id
        above = parent.id if parent else None
        return self.world.write(
            Writing(
                Platform.EMAIL, id, Form.DM, author, text, at, root=root, parent=above, recipient=to, **more
            )
        )

    @contextmanager
    def served(self, faults: Faults | None = None) -> Iterator[str]:
        """The server's URL, while it runs."""
        with ImapServer([(self.access, self.folders)], faults) as server:
            yield server.url


class Desk:
    """Builds connectors against some server, with the password from the environment as a config would."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "state"
        self.monkeypatch = monkeypatch

    def connector(
        self,
        url: str,
        clock: FixedClock,
        *,
        password: str | None,
        look_back: float = 86400,
        http: HttpOptions | None = None,
        **settings: Any,
    ) -> EmailConnector:
        self.monkeypatch.setenv("MAIL_PASSWORD", password or TOKEN)
        at = urlsplit(url)
        given = {
            "handle": HANDLE,
            "host": at.hostname,
            "port": at.port,
            "security": "none",
            "password" if password is not None else "access_token": {"env": "MAIL_PASSWORD"},
        }
        whole = Settings.model_validate(given | settings)
        return build(
            whole,
            Surroundings(
                brand="acme",
                account=whole.label,
                keywords=(),
                brand_handles=frozenset({HANDLE}),
                clock=clock.now,
                state_folder=self.state,
                http=http or HttpOptions(),
                look_back_seconds=look_back,
            ),
        )


class EmailBench:
    """What tests/contract/test_connectors.py needs."""

    incoming, path = "inbox", "/INBOX/FETCH"
    signs_in = frozenset({"/-/LOGIN"})

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.town = Town()
        self.desk = Desk(tmp_path, monkeypatch)
        self.clock = self.town.clock
        self.secrets = (self.town.access.password,)

    def ask(self, text: str, ago: float) -> Writing:
        return self.town.mail(self.town.ann, self.town.help, text, ago=ago)

    def answer(self, to: Writing, ago: float) -> Writing:
        return self.town.mail(self.town.help, self.town.ann, "we look into it", ago=ago, parent=to)

    def message_id(self, writing: Writing) -> str:
        return message_id(writing.id)

    def edit(self, writing: Writing, text: str) -> None:
        raise AssertionError("a mail cannot be edited")

    def served(self, faults: Faults | None) -> Any:
        return self.town.served(faults)

    def connector(self, url: str, look_back: float = 86400) -> EmailConnector:
        return self.desk.connector(
            url, self.clock, password=self.town.access.password, look_back=look_back, page_size=10
        )
