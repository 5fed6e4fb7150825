"""Rates that users' traffic is held to: token buckets that may go into debt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from qnx_hw.edge.forwarding import Forwarder

BURST_S = 0.1
"""What may go at once after a silence, as time at the full rate."""
LEAST_BPS = 8192.0
"""What a rate of nothing, or less than this, lets pass: a piece a second, so that a session lives
on, and what it offers stays known."""
PIECE_S = 0.05
MIN_PIECE_BYTES = 1024
"""What is read of a user at once where he is held back: otherwise he would go in great leaps."""


class Bucket:
    """One rate, shared by whoever is held to it; safe to use from any thread."""

    def __init__(self, rate_bps: float, now: Callable[[], float] = time.monotonic) -> None:
        self.rate_bps = rate_bps
        self._now = now
        self._free_s = now()
        """When all that was taken has gone at the rate."""
        self._lock = threading.Lock()

    def take(self, n_bytes: int) -> float:
        """Count bytes that were sent; return how long to wait before the next ones."""
        with self._lock:
            now_s = self._now()
            begin_s = max(self._free_s, now_s - BURST_S)
            self._free_s = begin_s + 8 * n_bytes / max(self.rate_bps, LEAST_BPS)
            return max(0.0, self._free_s - now_s)


class Limit:
    """What one kind of traffic is held to now: a bucket, or nothing."""

    def __init__(self, bucket: Bucket | None = None) -> None:
        self.bucket = bucket

    @property
    def rate_bps(self) -> float | None:
        """Bits of users' data per second; None for any rate."""
        return self.bucket.rate_bps if self.bucket is not None else None

    def piece_bytes(self, most: int) -> int:
        """Return how much to read of a user at once."""
        if self.bucket is None:
            return most
        return min(most, max(MIN_PIECE_BYTES, int(self.bucket.rate_bps / 8 * PIECE_S)))

    def take(self, n_bytes: int) -> float:
        """Count bytes that were sent; return how long to wait before the next ones."""
        return self.bucket.take(n_bytes) if self.bucket is not None else 0.0


class PlanLimits:
    """The rates that the controller's table gives traffic that begins at a node."""

    def __init__(self, forwarder: Forwarder, now: Callable[[], float] = time.monotonic) -> None:
        self._forwarder = forwarder
        self._now = now
        self._limits: dict[tuple[str, str], Limit] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def of(self, destination: str, traffic_class: str) -> Limit:
        """Return the limit of a kind of traffic; it follows every later table."""
        place = destination, traffic_class
        if place not in self._limits:
            self._limits[place] = Limit()
            self.follow()
        return self._limits[place]

    def follow(self) -> None:
        """Take the rates of the table in force; classes under one entry share its rate."""
        for (destination, traffic_class), limit in self._limits.items():
            entry = self._forwarder.entry_here(destination, traffic_class)
            if entry is None or entry.rate_limit_bps is None:
                limit.bucket = None
                continue
            place = destination, entry.traffic_class
            bucket = self._buckets.get(place)
            if bucket is None:
                bucket = self._buckets[place] = Bucket(entry.rate_limit_bps, self._now)
            bucket.rate_bps = entry.rate_limit_bps
            limit.bucket = bucket
