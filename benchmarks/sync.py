"""Measure finding the other clock: success, error and process CPU time of each scenario.

Run `python benchmarks/sync.py [SEEDS]`. The last scenario has no pairs and must find nothing.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from qnx_hw.timing.clock_sync import acquire
from qnx_hw.timing.warm_up import warm_up

# name: clicks/s of Alice, of Bob, pairs/s, seconds, limit of the offset in s; rates within 10 ppm.
SCENARIOS = {
    "lab": (2e5, 2e5, 3.7e4, 2.0, 10.0),
    "metro": (2.2e4, 2.2e4, 376.0, 3.0, 10.0),
    "asymmetric 30 dB": (2e5, 4e3, 350.0, 3.0, 10.0),
    "bright": (2e6, 2e6, 1.8e5, 1.0, 10.0),
    "symmetric 40 dB": (1e5, 1e5, 944.0, 4.0, 0.2),
    "satellite": (1e6, 2e3, 155.0, 6.0, 0.2),
    "no pairs": (2e4, 2e4, 0.0, 2.0, 1.0),
}
JITTER_PS = 300.0


def tags(
    scenario: tuple[float, float, float, float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return both parties' times and the true offset and rate."""
    rate_a, rate_b, pairs_hz, duration_s, limit_s = scenario
    span = duration_s * 1e12
    both = rng.random(rng.poisson(pairs_hz * duration_s)) * span
    rest_a = rng.random(rng.poisson((rate_a - pairs_hz) * duration_s)) * span
    rest_b = rng.random(rng.poisson((rate_b - pairs_hz) * duration_s)) * span
    offset, rate = rng.uniform(-0.95, 0.95) * limit_s * 1e12, rng.uniform(-1e-5, 1e-5)
    a = np.sort(np.concatenate((both, rest_a)))
    b = np.sort(np.concatenate((both + rng.normal(0, JITTER_PS, both.size), rest_b)))
    moved = b * (1 + rate) + offset
    return np.rint(a).astype(np.int64), np.rint(moved).astype(np.int64), offset, rate


def main() -> None:
    """Print one line per scenario."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    warm_up(lambda _name, _done: None)
    for name, scenario in SCENARIOS.items():
        errors, spans = [], []
        for seed in range(seeds):
            a, b, offset, rate = tags(scenario, np.random.default_rng(seed))
            start = time.process_time()
            lock = acquire(a, b, offset_limit_s=scenario[4], drift_limit_ppm=10.0)
            spans.append(time.process_time() - start)
            if lock is not None:
                true_ps = (lock.clock.origin_ps - offset) / (1 + rate)
                errors.append(lock.clock.origin_ps - true_ps - lock.clock.offset_ps)
        rms = float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")
        print(
            f"{name:18s} locked {len(errors)}/{seeds}   offset error {rms:7.1f} ps rms   "
            f"CPU {statistics.median(spans):6.2f} s (most {max(spans):.2f})"
        )


if __name__ == "__main__":
    main()
