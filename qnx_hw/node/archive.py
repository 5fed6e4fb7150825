"""A month of roll-ups in SQLite: mean and extremes of every quantity over spans of time.

Two levels: spans of 10 s for a day and a half, spans of 5 minutes for a month. What is added is
gathered in memory and written once per short span, in one transaction; a span that a restart cut
in two is put together again. The file is read and written in a thread of its own.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from qnx_hw.api.schema import Series
from qnx_hw.node.worker import Worker

log = logging.getLogger(__name__)

LEVELS_S: Final = ((10.0, 1.5 * 86_400.0), (300.0, 31 * 86_400.0))
"""Length of a span and how long spans are kept."""
MOST_POINTS = 2_000
FORGET_INTERVAL_S = 600.0

Key = tuple[str, str, str]
"""Kind, name of the thing, name of the quantity."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, thing TEXT NOT NULL, name TEXT NOT NULL,
  UNIQUE (kind, thing, name));
CREATE TABLE IF NOT EXISTS spans (
  series INTEGER NOT NULL, step_s REAL NOT NULL, start_s REAL NOT NULL,
  count INTEGER NOT NULL, total REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
  PRIMARY KEY (series, step_s, start_s)) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  count = count + excluded.count, total = total + excluded.total,
  low = min(low, excluded.low), high = max(high, excluded.high)
"""


class _Span(msgspec.Struct):
    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf


class Archive:
    """Keeps roll-ups; `add` and `flush` belong to the event loop's thread."""

    def __init__(self, path: Path | str, now: Callable[[], float] = time.time) -> None:
        self._worker = Worker("history")
        self._now = now
        self._spans: dict[tuple[Key, float, float], _Span] = {}
        self._flushed_s = now()
        self._forgot_s = -math.inf
        self._ids: dict[Key, int] = {}
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.executescript(_SCHEMA)

    def add(self, key: Key, time_s: float, value: float) -> None:
        """Add a sample; it is on disk after the next `flush`."""
        if not math.isfinite(value):
            return
        for step_s, _ in LEVELS_S:
            start_s = time_s // step_s * step_s
            span = self._spans.setdefault((key, step_s, start_s), _Span())
            span.count += 1
            span.total += value
            span.low, span.high = min(span.low, value), max(span.high, value)

    @property
    def is_due(self) -> bool:
        """Whether a span ended since the last `flush`."""
        return self._now() - self._flushed_s >= LEVELS_S[0][0]

    async def flush(self) -> None:
        """Write what was added; a disk that refuses costs history, nothing else."""
        spans, self._spans = self._spans, {}
        self._flushed_s = self._now()
        try:
            await self._worker.call(self._write, spans)
        except sqlite3.Error as error:
            log.warning("history could not be written: %s", error)

    async def read(self, key: Key, unit: str, since_s: float, until_s: float | None) -> Series:
        """Return a quantity's past, in the finest spans that reach back so far."""
        waiting = {
            (step_s, start_s): msgspec.structs.replace(span)
            for (other, step_s, start_s), span in self._spans.items()
            if other == key
        }
        end_s = self._now() + 1.0 if until_s is None else until_s
        return await self._worker.call(self._read, key, unit, since_s, end_s, waiting)

    async def close(self) -> None:
        """Write what was added and close the file."""
        await self.flush()
        await self._worker.call(self._file.close)
        self._worker.close()

    def _write(self, spans: dict[tuple[Key, float, float], _Span]) -> None:
        rows = [
            (self._id(key), step_s, start_s, span.count, span.total, span.low, span.high)
            for (key, step_s, start_s), span in spans.items()
        ]
        with self._transaction():
            self._file.executemany(_ADD, rows)
            self._forget()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN")
        try:
            yield
            self._file.execute("COMMIT")
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise

    def _forget(self) -> None:
        if self._now() - self._forgot_s >= FORGET_INTERVAL_S:
            self._forgot_s = self._now()
            for step_s, kept_s in LEVELS_S:
                self._file.execute(
                    "DELETE FROM spans WHERE step_s = ? AND start_s < ?",
                    (step_s, self._now() - kept_s),
                )

    def _read(
        self,
        key: Key,
        unit: str,
        since_s: float,
        end_s: float,
        waiting: dict[tuple[float, float], _Span],
    ) -> Series:
        step_s = next(
            (step for step, kept in LEVELS_S if self._now() - since_s <= kept), LEVELS_S[-1][0]
        )
        spans = {
            start_s: _Span(count, total, low, high)
            for start_s, count, total, low, high in self._file.execute(
                "SELECT start_s, count, total, low, high FROM spans "
                "WHERE series = ? AND step_s = ? AND start_s BETWEEN ? AND ? ORDER BY start_s",
                (self._id(key), step_s, since_s // step_s * step_s, end_s),
            )
        }
        for (step, start_s), span in waiting.items():
            if step == step_s and since_s - step_s <= start_s <= end_s:
                spans[start_s] = _joined(spans.get(start_s), span)
        width_s = step_s * max(1, math.ceil((end_s - since_s) / step_s / MOST_POINTS))
        wide: dict[float, _Span] = {}
        for start_s, span in sorted(spans.items()):
            place_s = start_s // width_s * width_s
            wide[place_s] = _joined(wide.get(place_s), span)
        return _series(key, unit, width_s, wide)

    def _id(self, key: Key) -> int:
        if key not in self._ids:
            self._file.execute(
                "INSERT OR IGNORE INTO series (kind, thing, name) VALUES (?, ?, ?)", key
            )
            row = self._file.execute(
                "SELECT id FROM series WHERE kind = ? AND thing = ? AND name = ?", key
            ).fetchone()
            self._ids[key] = int(row[0])
        return self._ids[key]


def _joined(one: _Span | None, other: _Span) -> _Span:
    if one is None:
        return other
    return _Span(
        one.count + other.count,
        one.total + other.total,
        min(one.low, other.low),
        max(one.high, other.high),
    )


def _series(key: Key, unit: str, width_s: float, spans: dict[float, _Span]) -> Series:
    """Return spans as a series; a hole in time is one empty point, so that no line crosses it."""
    times: list[float] = []
    rows: list[tuple[float | None, float | None, float | None]] = []
    for start_s, span in spans.items():
        if times and start_s - times[-1] > 2.0 * width_s:
            times.append(times[-1] + width_s)
            rows.append((None, None, None))
        times.append(start_s + width_s / 2.0)
        rows.append((span.total / span.count, span.low, span.high))
    return Series(
        kind=key[0],
        link=key[1],
        name=key[2],
        unit=unit,
        times_s=tuple(times),
        values=tuple(row[0] for row in rows),
        low=tuple(row[1] for row in rows),
        high=tuple(row[2] for row in rows),
        step_s=width_s,
    )
