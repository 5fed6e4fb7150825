"""Threads that share work whose result does not depend on who does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Made = TypeVar("Made")

MOST_THREADS = 8


class Hands:
    """Runs jobs side by side; compiled ones, which let go of the interpreter, gain by it."""

    def __init__(self, threads: int | None = None) -> None:
        """Without a number, as many `threads` as there are cores, up to 8."""
        self.threads = threads or min(os.cpu_count() or 1, MOST_THREADS)
        self._pool: ThreadPoolExecutor | None = None

    def run(self, jobs: Sequence[Callable[[], Made]], *, together: bool) -> list[Made]:
        """Return what the jobs return, in their order; one after the other unless `together`."""
        if not together or self.threads == 1 or len(jobs) < 2:
            return [job() for job in jobs]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="bench")
        return list(self._pool.map(lambda job: job(), jobs))
