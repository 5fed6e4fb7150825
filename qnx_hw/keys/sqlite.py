"""A key store in a file: SQLite in write-ahead mode, each commit on disk before it returns."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from qnx_hw.errors import ConfigError
from qnx_hw.keys.database import VERSION, Cursor, Engine


class SqliteEngine(Engine):
    """One file; exclusive locking refuses a second process."""

    failure = sqlite3.Error
    duplicate = sqlite3.IntegrityError

    def __init__(self, path: Path, schema: str) -> None:
        self._connection = _open(path, schema)

    def execute(self, statement: str, values: Sequence[object] = ()) -> Cursor:
        return self._connection.execute(statement, tuple(values))

    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        self._connection.executemany(statement, rows)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.commit()

    def roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.rollback()

    def forget(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        self._connection.close()


def _open(path: Path, schema: str) -> sqlite3.Connection:
    # SQLite gives its journal the mode of the database, so that is private from its first byte.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.5)
    try:
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version in (0, VERSION):
            connection.executescript(schema)
        # An exclusive lock is taken by the first write and kept until the connection closes.
        connection.execute(f"PRAGMA user_version = {version or VERSION}")
        # A crash may have left copies of what was deleted.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        raise ConfigError(f"the key store {path} is in use by another process: {error}") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ConfigError(f"the key store {path} cannot be read: {error}") from error
    if version not in (0, VERSION):
        connection.close()
        raise ConfigError(
            f"the key store {path} was made by another version of qnx; move its folder away "
            f"and make new initial secrets with `qnx keys init`"
        )
    return connection
