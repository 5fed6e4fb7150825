"""One process of a machine compiles, the others wait and load what it left on disk."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

FILE = "compiling.lock"


@contextmanager
def taken(folder: Path, *, alone: bool, deadline_s: float) -> Iterator[bool]:
    """Hold the lock of a cache's folder, `alone` or beside all who only load; tell if it is held.

    The system lets go of it when a process ends, whatever ended it. Where it cannot be had by the
    deadline, or there are no such locks, the body runs without: that costs time and nothing else.
    """
    try:
        file = (folder / FILE).open("ab")
    except OSError:
        yield False
        return
    ready, over = threading.Event(), threading.Event()

    def wait() -> None:
        with file:
            with suppress(OSError):  # a file system without locks
                _lock(file, alone)
            ready.set()
            over.wait()

    # A call that waits for a lock has no deadline of its own.
    threading.Thread(target=wait, name="compiler lock", daemon=True).start()
    try:
        yield ready.wait(deadline_s)
    finally:
        over.set()


def _lock(file: BinaryIO, alone: bool) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
