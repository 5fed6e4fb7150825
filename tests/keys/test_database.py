"""Writes that wait share a commit; one that fails spares the others and leaves nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from qnx_hw.errors import ConfigError, Conflict, KeyExhausted
from qnx_hw.keys.database import Database, Execute
from qnx_hw.keys.sqlite import SqliteEngine

SCHEMA = "CREATE TABLE IF NOT EXISTS entry(name TEXT PRIMARY KEY) STRICT;"


def names(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM entry")}
    finally:
        connection.close()


class Adding:
    """A write that adds a name, and may fail afterwards."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self._name = name
        self._failure = failure

    def __call__(self, execute: Execute) -> str:
        execute("INSERT INTO entry VALUES (?)", self._name)
        if self._failure is not None:
            raise self._failure
        return self._name


def test_a_write_that_fails_spares_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"

    async def scenario() -> list[object]:
        database = Database(SqliteEngine(path, SCHEMA))
        works = [
            Adding("a"),
            Adding("b", KeyExhausted("no more")),
            Adding("a"),
            Adding("c", ZeroDivisionError()),
            Adding("d"),
            Adding("e", StopIteration()),
        ]
        try:
            return list(await asyncio.gather(*map(database.write, works), return_exceptions=True))
        finally:
            database.close()

    results = asyncio.run(scenario())

    assert [type(each) for each in results] == [
        *(str, KeyExhausted, Conflict, ZeroDivisionError, str, RuntimeError)
    ]
    assert names(path) == {"a", "d"}


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    database = Database(SqliteEngine(path, SCHEMA))
    with pytest.raises(ZeroDivisionError), database.transaction() as execute:
        Adding("a", ZeroDivisionError())(execute)
    with database.transaction() as execute:
        Adding("b")(execute)
    database.close()

    assert names(path) == {"b"}


def test_a_closed_database_takes_no_write(tmp_path: Path) -> None:
    database = Database(SqliteEngine(tmp_path / "x.sqlite", SCHEMA))
    database.close()

    with pytest.raises(ConfigError, match="closed"):
        asyncio.run(database.write(Adding("a")))


def test_many_who_wait_share_commits(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    commits: list[str] = []

    async def scenario() -> None:
        engine = SqliteEngine(path, SCHEMA)
        database = Database(engine)
        engine._connection.set_trace_callback(
            lambda words: commits.append(words) if words == "COMMIT" else None
        )
        await asyncio.gather(*(database.write(Adding(f"{each}")) for each in range(200)))
        database.close()

    asyncio.run(scenario())

    assert len(names(path)) == 200
    assert 0 < len(commits) < 200
