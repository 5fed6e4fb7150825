"""Cascade and LDPC codes: efficiency, rounds, speed over error rate; CPU time of both ends.

Run: python benchmarks/reconciliation.py [BITS [FRAMES]]
"""

from __future__ import annotations

import sys
import time

import numpy as np

from qnx_hw.qkd.finite_key import binary_entropy
from qnx_hw.qkd.reconciliation import CascadeParameters, Mode, ldpc, reconcile

RATES = (0.01, 0.02, 0.03, 0.05, 0.08, 0.10, 0.11)


def measure(
    mode: Mode | None, rate: float, size: int, frames: int
) -> tuple[float, float, float, int]:
    """Return median f, median rounds, Mbit per CPU second and the number of frames left wrong.

    Without a mode of Cascade it is LDPC codes that are measured.
    """
    rng = np.random.default_rng(round(rate * 1e4))
    factors, rounds, spent_s, wrong = [], [], 0.0, 0
    for frame in range(frames + 1):
        alice = rng.integers(0, 2, size, dtype=np.uint8)
        bob = alice ^ (rng.random(size) < rate).astype(np.uint8)
        started_s = time.process_time()
        if mode is None:
            result = ldpc.reconcile(alice, bob, rate, seed=frame.to_bytes(8))
        else:
            parameters = CascadeParameters(mode=mode)
            result = reconcile(alice, bob, rate, seed=frame.to_bytes(8), parameters=parameters)
        if frame:  # the first frame only warms up
            spent_s += time.process_time() - started_s
            true_rate = float(np.mean(alice != bob))
            factors.append(result.leak_alice / (size * binary_entropy(true_rate)))
            rounds.append(result.rounds)
            wrong += not np.array_equal(result.corrected, alice)
    return float(np.median(factors)), float(np.median(rounds)), size * frames / spent_s / 1e6, wrong


def main() -> None:
    """Print the table."""
    size = int(float(sys.argv[1])) if len(sys.argv) > 1 else 100_000
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    print(f"n = {size}, {frames} frames a row")
    print(f"{'mode':>10} {'Q':>6} {'f':>7} {'rounds':>7} {'Mbit/s':>8} {'wrong':>6}")
    for mode in (*Mode, None):
        for rate in RATES:
            factor, rounds, speed, wrong = measure(mode, rate, size, frames)
            figures = f"{factor:>7.3f} {rounds:>7.0f} {speed:>8.1f} {wrong:>6}"
            print(f"{mode or 'ldpc':>10} {rate:>6.2f} {figures}")


if __name__ == "__main__":
    main()
