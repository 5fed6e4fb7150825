"""Measure the loops over time tags: process CPU time, one core, beside `np.sum` over int64.

Run `python benchmarks/timing.py`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from qnx_hw.timing import coincidence, histogram, tag_codec
from qnx_hw.timing.warm_up import warm_up

ROUNDS = 7


def rate_mtags_s(run: Callable[[], object], tags: int) -> float:
    """Return the median rate in million tags per second of CPU time."""
    spans = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        spans.append(time.process_time() - start)
    return tags / max(statistics.median(spans), 1e-9) / 1e6


def main() -> None:
    """Print one line per loop."""
    warm_up(lambda _name, _done: None)
    rng = np.random.default_rng(1)
    pairs = np.sort(rng.integers(0, 2 * 10**12, 20_000_000))
    a = pairs[rng.random(pairs.size) < 0.2]
    b = np.sort(pairs[rng.random(pairs.size) < 0.2] + 100)
    channels_a = rng.integers(1, 5, a.size).astype(np.uint8)
    channels_b = rng.integers(1, 5, b.size).astype(np.uint8)
    lags = rng.integers(-300, 300, (5, 5))
    both = np.concatenate((a, b))
    packed = tag_codec.encode(a, channels_a)
    runs: dict[str, tuple[Callable[[], object], int]] = {
        "np.sum(int64)": (both.sum, both.size),
        "match, 16 channel pairs": (
            lambda: coincidence.match(a, channels_a, b, channels_b, lags, 1000),
            both.size,
        ),
        "delay histogram": (
            lambda: histogram.delays(a, b, start_ps=-102_400, bin_ps=50, n_bins=4096),
            both.size,
        ),
        "pack tags": (lambda: tag_codec.encode(a, channels_a), a.size),
        "unpack tags": (lambda: tag_codec.decode(packed), a.size),
    }
    measured = {name: rate_mtags_s(*run) for name, run in runs.items()}
    machine = measured["np.sum(int64)"]
    for name, rate in measured.items():
        print(f"{name:28s} {rate:8.1f} Mtags/s   {100 * rate / machine:6.2f} % of np.sum")
    print(f"packed: {len(packed) / a.size:.2f} bytes per tag")


if __name__ == "__main__":
    main()
