"""Write down what went over a wire: one JSON object per line with time, direction and bytes.

Where an instrument has several wires, lines of all but the first name theirs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
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
    """Writes `{"t": seconds, "dir": ">" or "<", "hex": "...", "wire": "..."}` lines to a file."""

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
        """Add one line of the first wire; after `close` nothing happens."""
        self._add(direction, payload, {})

    def wire(self, name: str, *, is_endless: bool = False) -> Recorder:
        """Return what records another wire; on an endless one the instrument talks unasked."""
        if is_endless:
            self.note(endless=[name])
        return lambda direction, payload: self._add(direction, payload, {"wire": name})

    def note(self, **facts: str | int | list[str]) -> None:
        """Add a line about the recording, not of it."""
        self._write(facts)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _add(self, direction: Direction, payload: bytes, more: Mapping[str, str]) -> None:
        t_s = round(self._clock() - self._start_s, 6)
        self._write({"t": t_s, "dir": direction.value, "hex": payload.hex(), **more})

    def _write(self, entry: Mapping[str, object]) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(entry) + "\n")


def of_wire(recorder: Recorder | None, name: str, *, is_endless: bool = False) -> Recorder | None:
    """Return what records another wire of the same instrument.

    A transcript tells the wires apart; any other recorder sees the bytes of all.
    """
    if isinstance(recorder, Transcript):
        return recorder.wire(name, is_endless=is_endless)
    return recorder
