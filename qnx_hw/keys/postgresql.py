"""A key store in a PostgreSQL database, one schema for each node.

For sites whose databases are kept by others already: replicated, watched, backed up. The statements
are SQLite's, in words that both know. What is deleted there stays in old pages and in the server's
journal until it cleans them up: sealed, but the keys of its blocks stay there too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import psycopg
from psycopg import sql

from qnx_hw.errors import ConfigError
from qnx_hw.keys.database import VERSION, Cursor, Engine

CONNECT_DEADLINE_S = 10
NOT_WORD = re.compile(r"[^a-z0-9]+")
TYPES = {"BLOB": "BYTEA", "INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION"}


class PostgresEngine(Engine):
    """One schema of a server; an advisory lock refuses a second process."""

    failure = psycopg.Error
    duplicate = psycopg.IntegrityError

    def __init__(self, url: str, folder: Path, schema: str) -> None:
        try:
            self._connection = psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_DEADLINE_S
            )
        except psycopg.Error as error:
            raise ConfigError(f"the key store's server cannot be reached: {error}") from error
        self.is_new = False
        try:
            self._prepare(_name(folder), schema)
        except BaseException:
            self._connection.close()
            raise

    def execute(self, statement: str, values: Sequence[object] = ()) -> Cursor:
        found = self._connection.execute(_translated(statement), [_plain(each) for each in values])
        return cast("Cursor", found)  # it has what `Cursor` asks for, and knows nothing of it

    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(
                _translated(statement), [[_plain(each) for each in row] for row in rows]
            )

    def begin(self) -> None:
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        if not self._connection.closed:
            self._connection.execute("ROLLBACK")

    def forget(self) -> None:
        """Do nothing: the server's journal is not ours to cut."""

    def close(self) -> None:
        self._connection.close()

    def _prepare(self, name: str, schema: str) -> None:
        for setting in ("fsync", "full_page_writes"):
            row = self._connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
            if row is None or row[0] != "on":
                raise ConfigError(f"the key store's server runs with {setting} = off: it forgets")
        locked = self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]
        ).fetchone()
        if locked is None or not locked[0]:
            raise ConfigError(f"the key store {name} is in use by another process")
        known = self._connection.execute("SELECT to_regnamespace(%s)", [name]).fetchone()
        self.is_new = known is None or known[0] is None
        self._connection.execute("SET synchronous_commit = on")
        self.begin()
        self._connection.execute(
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name))
        )
        self._connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(name)))
        for statement in _schema(schema).split(";"):
            if statement.strip():
                self._connection.execute(statement.encode())
        self._check_version(name)
        self.commit()

    def _check_version(self, name: str) -> None:
        self._connection.execute("CREATE TABLE IF NOT EXISTS about(version BIGINT)")
        row = self._connection.execute("SELECT version FROM about").fetchone()
        if row is None:
            self._connection.execute("INSERT INTO about VALUES (%s)", [VERSION])
        elif row[0] != VERSION:
            raise ConfigError(f"the key store {name} was made by another version of qnx")


def _name(folder: Path) -> str:
    """Return the schema of a node's folder: its name, and a mark of its whole path."""
    mark = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return f"qnx_{NOT_WORD.sub('_', folder.name.lower())[:32]}_{mark}"


def _translated(statement: str) -> bytes:
    return statement.replace("%", "%%").replace("?", "%s").encode()


def _plain(value: object) -> object:
    """Return an enum's text as text: this driver would write its name."""
    return str(value) if isinstance(value, str) else value


def _schema(text: str) -> str:
    text = text.replace(") STRICT, WITHOUT ROWID;", ");").replace(") STRICT;", ");")
    for ours, theirs in TYPES.items():
        text = re.sub(rf"\b{ours}\b", theirs, text)
    return text
