"""Opening the file, and transactions. One writer a process; readers use connections of their own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.store import schema

BUSY_SECONDS = 10.0
APPLICATION_ID = 0x52736D6F  # "Rsmo": tells our files from any other SQLite file


class StoreError(Exception):
    """The file cannot be served: says why and what to do. The file was left as it is."""


class StoreBusy(StoreError):
    """Another process holds the write lock for too long: try again."""


class StoreFull(StoreError):
    """The disk is full, or cannot be written: nothing of the transaction was kept."""


def no_failpoint(_name: str) -> None:
    """Nothing fails here. Tests pass a function that kills the process at a named point."""


class Database:
    """A connection and its transactions. Not to be shared between threads.

    `failpoint` is called by name right before and right after each commit, and nowhere else.
    """

    def __init__(self, connection: sqlite3.Connection, failpoint: Callable[[str], None] = no_failpoint):
        self.connection = connection
        self._failpoint = failpoint

    @contextmanager
    def transaction(self, name: str) -> Iterator[sqlite3.Connection]:
        """All or nothing. `name` is what it is for ("ingest"), for failpoints and errors.

        Raises StoreBusy when another process writes for longer than the bound, StoreFull when the disk
        will not take it; nothing was kept then.
        """
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            self._failpoint(f"{name}.before_commit")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            _roll_back(connection)
            raise _told(error, name) from error
        except BaseException:
            _roll_back(connection)
            raise
        self._failpoint(f"{name}.after_commit")

    def checkpoint(self) -> None:
        """Fold the write-ahead log into the file. Only the daemon does so."""
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        self.connection.close()


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _told(error: sqlite3.OperationalError, name: str) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{name}: another process has been writing for {BUSY_SECONDS:.0f} s; try again")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return StoreFull(f"{name}: the disk will not take it ({error}); free some space")
    return error


def open_database(
    path: Path, failpoint: Callable[[str], None] = no_failpoint, *, checkpoints: bool = False
) -> Database:
    """Open for writing, make it if it is not there (0600), bring its schema up to date.

    `checkpoints`: only the daemon folds the write-ahead log back; commands leave that to it. Raises
    StoreError for a file that is not ours, is corrupt, or was written by a newer version.
    """
    try:
        # The file is made here, so that it and its -wal are never readable for others.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened for writing: {error.strerror}") from None
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        _check_ours(connection, path)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"PRAGMA wal_autocheckpoint = {1000 if checkpoints else 0}").fetchall()
        connection.execute("PRAGMA cache_size = -8192")
        _migrate(connection, path)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path}: is not a readable database ({error}); it was left as it is. "
            "Restore a backup, or move it away and start anew"
        ) from error
    return Database(connection, failpoint)


def open_reader(path: Path) -> sqlite3.Connection:
    """A read-only connection for pages, metrics and commands; may be used by one thread at a time."""
    if not path.exists():
        raise StoreError(f"{path}: there is no store yet; start the daemon first, or check state_folder")
    connection = sqlite3.connect(
        f"file:{path}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    applied = _applied(connection)
    if applied != list(schema.NAMES):
        connection.close()
        raise StoreError(f"{path}: its schema is not this version's; start the daemon once to update it")
    return connection


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours, before anything is written to it."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        return
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise StoreError(f"{path}: is a database of another program; it was left as it is")
    newer = [n for n in _applied(connection) if n not in schema.NAMES]
    if newer:
        raise StoreError(
            f"{path}: was written by a newer version of response-monitor ({newer[-1]}); "
            "it was left as it is. Install that version again"
        )


def _applied(connection: sqlite3.Connection) -> list[str]:
    try:
        rows = connection.execute(
            "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY name",
            (schema.MIGRATION_SET,),
        )
        return [name for (name,) in rows]
    except sqlite3.OperationalError:
        return []


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _applied(connection) == list(schema.NAMES):
        return
    from sqlite_utils import Database as Migrated  # 100 ms and 10 MB that only a new file needs

    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    schema.migrations().apply(Migrated(connection))
    if _applied(connection) != list(schema.NAMES):
        raise StoreError(f"{path}: the schema could not be brought up to date")
