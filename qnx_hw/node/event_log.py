"""Events on disk, so that a restart forgets no alarm and nobody's acknowledgement."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from qnx_hw.api.schema import Event
from qnx_hw.node.event_ring import RING_EVENTS
from qnx_hw.node.state import Hub
from qnx_hw.node.worker import Worker

log = logging.getLogger(__name__)

MOST_EVENTS = 10_000

_SCHEMA = "CREATE TABLE IF NOT EXISTS events(number INTEGER PRIMARY KEY, content BLOB NOT NULL)"


class EventLog:
    """Keeps a hub's newest events, and what still stands; the hub begins with them next time."""

    def __init__(self, path: Path, hub: Hub) -> None:
        self._worker = Worker("events")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute(_SCHEMA)
        hub.restore(self._newest())
        self._hub = hub
        self._number = hub.number

    async def flush(self) -> None:
        """Write what is new or has changed; a disk that refuses costs it, nothing else."""
        number = self._hub.number
        events, self._number = self._hub.since(self._number).events, number
        if not events:
            return
        standing = filter(_stands, self._hub.snapshot().events)
        try:
            await self._worker.call(self._write, (*standing, *events))
        except sqlite3.Error as error:
            log.warning("events could not be written: %s", error)

    async def close(self) -> None:
        """Write what is left and close the file."""
        await self.flush()
        await self._worker.call(self._file.close)
        self._worker.close()

    def _newest(self) -> list[Event]:
        events = []
        for (content,) in self._file.execute("SELECT content FROM events ORDER BY number"):
            try:
                events.append(msgspec.json.decode(content, type=Event))
            except msgspec.DecodeError as error:  # of another version
                log.warning("an earlier event cannot be read: %s", error)
        return [*filter(_stands, events[:-RING_EVENTS]), *events[-RING_EVENTS:]]

    def _write(self, events: Sequence[Event]) -> None:
        rows = [(event.number, msgspec.json.encode(event)) for event in events]
        oldest = max(event.number for event in events) - MOST_EVENTS
        self._file.execute("BEGIN")
        try:
            self._file.execute("DELETE FROM events WHERE number <= ?", (oldest,))
            self._file.executemany("INSERT OR REPLACE INTO events VALUES (?, ?)", rows)
            self._file.execute("COMMIT")
        except sqlite3.Error:
            self._file.execute("ROLLBACK")
            raise


def _stands(event: Event) -> bool:
    return event.is_standing
