"""How often each SAE may ask."""

from __future__ import annotations

from collections.abc import Callable

from qnx_hw.errors import RequestRefused

BURST_S = 2.0
"""What an SAE may save up: the requests of this long."""


class Rates:
    """A bucket of requests per SAE that fills at its rate."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._buckets: dict[str, tuple[float, float]] = {}

    def count(self, sae: str, requests_per_s: float | None) -> None:
        """Count one request; refuse it where the SAE asks too often."""
        if requests_per_s is None:
            return
        now, limit = self._now(), max(1.0, requests_per_s * BURST_S)
        level, since = self._buckets.get(sae, (limit, now))
        level = min(limit, level + (now - since) * requests_per_s)
        if level < 1.0:
            self._buckets[sae] = (level, now)
            raise RequestRefused(
                f"'{sae}' asks more often than {requests_per_s:g} times a second", 503
            )
        self._buckets[sae] = (level - 1.0, now)
