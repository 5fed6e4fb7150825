"""The database of a key store: one process, one writer at a time, many writes in one commit.

How it thinks: a commit waits for the disk, which takes longer than what
is written. So writes queue up while the disk works, and a thread takes all that wait, runs each in
a savepoint of its own, commits once, and only then lets anybody see a result. A write that raises
undoes itself and spares the others.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from qnx_hw.errors import ConfigError, Conflict, StoreFailed

log = logging.getLogger(__name__)

VERSION = 6
"""Of the tables."""
MOST_TOGETHER = 256
"""Writes that share a commit at most, so that the first of them does not wait for long."""
LONGEST_TOGETHER_S = 0.004
"""No more join a commit after so long, so that the peer can work on the first meanwhile."""

_Result = TypeVar("_Result")
_Settle = Callable[[], None]


class Cursor(Protocol):
    """What a statement found."""

    @abstractmethod
    def fetchone(self) -> Any:  # a row of whatever was selected
        """Return the next row, or None."""

    @abstractmethod
    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""

    @property
    @abstractmethod
    def rowcount(self) -> int:
        """How many rows were changed."""


class Engine(Protocol):
    """A connection to a database that nobody else uses; statements are in words both know."""

    failure: type[Exception]
    """What the database raises."""
    duplicate: type[Exception]
    """What it raises where there is such an entry already."""

    @abstractmethod
    def execute(self, statement: str, values: Sequence[object] = ()) -> Cursor:
        """Run a statement with values in place of `?`."""

    @abstractmethod
    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement for many rows."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction that writes."""

    @abstractmethod
    def commit(self) -> None:
        """Have it on disk before this returns."""

    @abstractmethod
    def roll_back(self) -> None:
        """Undo the transaction, where one is open."""

    @abstractmethod
    def forget(self) -> None:
        """Let go of copies of what was deleted, as far as the database can."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""


class Execute:
    """Runs one statement with its values, inside the transaction it was handed out for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.cuts_journal = False
        """Set where the journal must keep no copy of what was deleted."""

    def __call__(self, statement: str, *values: object) -> Cursor:
        return self._engine.execute(statement, values)

    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        self._engine.many(statement, rows)


class Database:
    """One database that this process alone uses; safe to use from any thread."""

    def __init__(self, engine: Engine) -> None:
        self._lock = threading.Lock()
        self._engine = engine
        self._execute = Execute(engine)
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write, name="keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Commit what waits and let go of the database."""
        if not self._is_closed:
            self._is_closed = True
            self._waiting.put(None)
            self._thread.join()
        with self._lock:
            self._engine.close()

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """Hold the database and commit at the end; nothing is kept where the body raises.

        `StoreFailed` where the disk does not take it.
        """
        with self._lock, self._failing_clearly():
            self._engine.begin()
            try:
                yield self._execute
                self._engine.commit()
            except BaseException:
                self._engine.roll_back()
                raise
            if threading.current_thread() is not self._thread:
                self._forget()

    @contextmanager
    def reading(self) -> Iterator[Execute]:
        """Hold the database to read what is committed."""
        with self._lock, self._failing_clearly():
            yield self._execute

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except self._engine.duplicate:
            raise
        except self._engine.failure as error:
            raise StoreFailed(f"the key store failed: {error}") from error

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
        while (first := self._waiting.get()) is not None:
            self._commit(first)
            # Nobody waits for this: what was written is on disk, and told.
            with self._lock:
                self._forget()

    def _forget(self) -> None:
        """Let go of copies of what was deleted; with the next write, where the disk refuses."""
        if self._execute.cuts_journal:
            try:
                self._engine.forget()
                self._execute.cuts_journal = False
            except self._engine.failure as error:
                log.warning("the key store could not cut its journal: %s", error)

    def _joining(self) -> Iterator[_Write]:
        """Yield what waits by the time that the write before it is done."""
        end_s = time.monotonic() + LONGEST_TOGETHER_S
        for _ in range(MOST_TOGETHER - 1):
            if self._waiting.empty() or time.monotonic() > end_s:
                return
            write = self._waiting.get()
            if write is None:
                self._waiting.put(None)
                return
            yield write

    def _commit(self, first: _Write) -> None:
        batch = [first]
        try:
            with self.transaction() as execute:
                first.run(execute, self._engine)
                for write in self._joining():
                    batch.append(write)
                    write.run(execute, self._engine)
        except StoreFailed as failure:  # nothing of the batch is kept
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

    def run(self, execute: Execute, engine: Engine) -> None:
        """Do the work, or undo it and remember why."""
        execute("SAVEPOINT one")
        try:
            self._result = self._work(execute)
        except engine.duplicate:
            execute("ROLLBACK TO one")
            self._error = Conflict("the key store holds an entry of this name already")
        except engine.failure:
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
