"""Write down what went over a wire: one JSON object per line with time, direction and bytes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Direction(StrEnum):
    """Which way bytes went, seen from this computer."""

    SENT = ">"
    RECEIVED = "<"


class Recorder(Protocol):
    """Something that wants to see every byte; called from I/O threads, so it must be quick."""

    def __call__(self, direction: Direction, payload: bytes) -> None: ...


class Transcript:
    """Writes `{"t": seconds, "dir": ">" or "<", "hex": "..."}` lines to a file."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_new: bool = False,
    ) -> None:
        self._file = path.open("w" if is_new else "a", encoding="ascii", buffering=1)
        self._clock = clock
        self._start_s = clock()
        self._lock = threading.Lock()

    def __call__(self, direction: Direction, payload: bytes) -> None:
        """Add one line; after `close` nothing happens."""
        entry = {
            "t": round(self._clock() - self._start_s, 6),
            "dir": direction.value,
            "hex": payload.hex(),
        }
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(entry) + "\n")

    def note(self, **facts: str | int) -> None:
        """Add a line about the recording, not of it."""
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(facts) + "\n")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
