"""The store as the steps see it: its rooms, over one connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from monitor.store.cases import Cases
from monitor.store.codec import from_us, to_us
from monitor.store.database import Database, no_failpoint, open_database, open_reader
from monitor.store.figures import Figures
from monitor.store.messages import Messages, StoredThread
from monitor.store.outbox import Outbox
from monitor.store.streams import Streams
from monitor.store.surges import Surges


class Reader:
    """What may be asked. A page, a scrape or a command has one of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.cases = Cases(connection)
        self.streams = Streams(connection)
        self.outbox = Outbox(connection)
        self.figures = Figures(connection)
        self.surges = Surges(connection)
        self._scopes: dict[tuple[str, str], int] = {}

    def scope(self, brand: str, connector: str) -> int | None:
        """The number that stands for a brand on a platform; None where it is not known yet."""
        number = self._scopes.get((brand, connector))
        if number is None:
            row = self.connection.execute(
                "SELECT id FROM scopes WHERE brand = ? AND connector = ?", (brand, connector)
            ).fetchone()
            if row is None:
                return None
            number = self._scopes[brand, connector] = int(row[0])
        return number

    def scopes(self) -> dict[int, tuple[str, str]]:
        """Every (brand, connector) by its number."""
        rows = self.connection.execute("SELECT id, brand, connector FROM scopes")
        return {number: (brand, connector) for number, brand, connector in rows}

    def messages(self, scope: int) -> Messages:
        """The messages of one brand on one platform."""
        return Messages(self.connection, scope)

    def thread(self, scope: int, conversation: str) -> StoredThread:
        """One thread, as attribution asks for it."""
        return StoredThread(self.connection, scope, conversation)

    def policy(self) -> str | None:
        """The policy that holds now, as it was stored."""
        row = self.connection.execute("SELECT body FROM policies ORDER BY pk DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def policies(self) -> list[tuple[datetime, str]]:
        """Every policy with the time from which it held."""
        rows = self.connection.execute("SELECT holds_from, body FROM policies ORDER BY pk")
        return [(from_us(at), body) for at, body in rows]

    def mark(self, name: str) -> str | None:
        """A note about the file itself."""
        row = self.connection.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        self.connection.close()


class Store(Reader):
    """What may be asked and changed. Changes are made inside `transaction`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.connection)
        self._database = database

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """All or nothing; see Database.transaction."""
        known = dict(self._scopes)
        try:
            with self._database.transaction(name):
                yield
        except BaseException:
            self._scopes = known  # a scope that was made in it is no more
            raise

    def make_scope(self, brand: str, connector: str) -> int:
        """The number that stands for a brand on a platform, made if it is new."""
        number = self.scope(brand, connector)
        if number is None:
            done = self.connection.execute(
                "INSERT INTO scopes (brand, connector) VALUES (?, ?)", (brand, connector)
            )
            number = self._scopes[brand, connector] = int(done.lastrowid or 0)
        return number

    def keep_policy(self, body: str, now: datetime) -> bool:
        """Record the policy that holds from now on. False where it is the one that held."""
        if self.policy() == body:
            return False
        self.connection.execute("INSERT INTO policies (holds_from, body) VALUES (?, ?)", (to_us(now), body))
        return True

    def set_mark(self, name: str, value: str) -> None:
        """Note something about the file itself."""
        self.connection.execute("INSERT OR REPLACE INTO marks (name, value) VALUES (?, ?)", (name, value))

    def answers(self) -> bool:
        """Whether the file answers: the watchdog and readiness ask it."""
        return bool(self.connection.execute("SELECT count(*) FROM scopes").fetchone())

    def checkpoint(self) -> None:
        self._database.checkpoint()


def open_store(
    path: Path, failpoint: Callable[[str], None] = no_failpoint, *, checkpoints: bool = False
) -> Store:
    """Open for writing; see `open_database`."""
    return Store(open_database(path, failpoint, checkpoints=checkpoints))


def read_store(path: Path) -> Reader:
    """Open for reading only; see `open_reader`."""
    return Reader(open_reader(path))
