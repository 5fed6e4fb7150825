"""The file of a key store: SQLite, one process, one writer at a time, many writes in one commit.

How it thinks: with `synchronous = FULL` a commit waits for the disk, which takes longer than what
is written. So writes queue up while the disk works, and a thread takes all that wait, runs each in
a savepoint of its own, commits once, and only then lets anybody see a result. A write that raises
undoes itself and spares the others.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from qnx_hw.errors import ConfigError, Conflict, StoreFailed

VERSION = 5
"""Of the tables."""
MOST_TOGETHER = 256
"""Writes that share a commit at most, so that the first of them does not wait for long."""

_Result = TypeVar("_Result")
_Settle = Callable[[], None]


class Execute:
    """Runs one statement with its values, inside the transaction it was handed out for."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.cuts_journal = False
        """Set where the journal must keep no copy of what was deleted."""

    def __call__(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def many(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        """Run one statement for many rows."""
        self._connection.executemany(statement, rows)


class Database:
    """One SQLite file in write-ahead mode; safe to use from any thread."""

    def __init__(self, path: Path, schema: str) -> None:
        self._lock = threading.Lock()
        self._connection = _open(path, schema)
        self._execute = Execute(self._connection)
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write, name=f"keys {path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what waits and let go of the file."""
        if not self._is_closed:
            self._is_closed = True
            self._waiting.put(None)
            self._thread.join()
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Hold the file and commit at the end; nothing is kept where the body raises."""
        with self._lock, self._connection:  # sqlite3 commits, or rolls back what raises
            self._execute("BEGIN IMMEDIATE")
            yield self._execute
        if self._execute.cuts_journal:
            with self._lock:
                self._execute.cuts_journal = False
                self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def reading(self) -> Iterator[Execute]:
        """Hold the file to read what is committed."""
        with self._lock:
            yield self._execute

    async def write(self, work: Callable[[Execute], _Result]) -> _Result:
        """Return what `work` returns once it is on disk, together with what others wrote.

        Cancelling stops the waiting, not the writing.
        """
        if self._is_closed:
            raise ConfigError("the key store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()
        self._waiting.put(_Write(work, loop, future))
        return await future

    def _write(self) -> None:
        while batch := self._next():
            self._commit(batch)

    def _next(self) -> list[_Write]:
        batch: list[_Write] = []
        write = self._waiting.get()
        while write is not None:
            batch.append(write)
            if len(batch) == MOST_TOGETHER or self._waiting.empty():
                return batch
            write = self._waiting.get()
        if batch:
            self._waiting.put(None)
        return batch

    def _commit(self, batch: list[_Write]) -> None:
        try:
            with self.transaction() as execute:
                for write in batch:
                    write.run(execute)
        except sqlite3.Error as error:  # the disk: nothing of the batch is kept
            failure = StoreFailed(f"the key store could not write: {error}")
            for write in batch:
                write.fail(failure)
        loops = {write.loop for write in batch}
        for loop in loops:
            settled = [write.settle for write in batch if write.loop is loop]
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle_all, settled)


class _Write:
    """One write that waits, and who waits for it."""

    def __init__(
        self,
        work: Callable[[Execute], Any],  # of any type; `Database.write` ties it to the future
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
    ) -> None:
        self.loop = loop
        self._work = work
        self._future = future
        self._result: object = None
        self._error: BaseException | None = None

    def run(self, execute: Execute) -> None:
        """Do the work, or undo it and remember why."""
        execute("SAVEPOINT one")
        try:
            self._result = self._work(execute)
        except sqlite3.IntegrityError:
            execute("ROLLBACK TO one")
            self._error = Conflict("the key store holds an entry of this name already")
        except sqlite3.Error:
            raise
        except BaseException as error:  # handed over to who waits, never swallowed
            execute("ROLLBACK TO one")
            self._error = error
        execute("RELEASE one")

    def fail(self, error: BaseException) -> None:
        """Give up the result: it did not reach the disk."""
        self._result, self._error = None, error

    def settle(self) -> None:
        """Tell who waits; runs in its event loop."""
        if self._future.cancelled():
            return
        if self._error is not None:
            # A future refuses StopIteration, and who waits would wait for ever.
            wrapped = RuntimeError("a write ended early")
            wrapped.__cause__ = self._error
            is_stop = isinstance(self._error, StopIteration)
            self._future.set_exception(wrapped if is_stop else self._error)
        else:
            self._future.set_result(self._result)


def _settle_all(settled: list[_Settle]) -> None:
    for settle in settled:
        settle()


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
