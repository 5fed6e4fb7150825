"""How often somebody may ask."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_NAMES = 4_096
"""More names at once than this, and the ones that were quiet longest are forgotten."""


class Limit:
    """A bucket of tokens for each name: `burst` at once, `per_s` in the long run."""

    def __init__(
        self, *, per_s: float, burst: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait_s(self, name: str) -> float:
        """Take one and return 0, or return after how many seconds there will be one."""
        now_s = self._now()
        left, at_s = self._buckets.pop(name, (self._burst, now_s))
        left = min(self._burst, left + (now_s - at_s) * self._per_s)
        is_free = left >= 1.0
        self._buckets[name] = (left - 1.0 if is_free else left, now_s)
        while len(self._buckets) > MOST_NAMES:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if is_free else (1.0 - left) / self._per_s
