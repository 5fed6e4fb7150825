"""Measure privacy amplification: input bits per second of process CPU time, one thread.

Run `python benchmarks/privacy_amplification.py [EXPONENT ...]`; 5 stands for 1e5 bits. The output
is half as long as the input. Wall time is not measured: it says more about the neighbours.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from qnx_hw.qkd import carryless
from qnx_hw.qkd.privacy_amplification import Method, amplify, seed_length

ROUNDS = 5
SCHOOLBOOK_MAX_BITS = 30_000


def measure(n: int, method: Method) -> float:
    """Return the median rate in Mbit/s."""
    rng = np.random.default_rng(n)
    bits = rng.integers(0, 2, n, dtype=np.uint8)
    seed = rng.integers(0, 2, seed_length(n, n // 2), dtype=np.uint8)
    amplify(bits[:1000], seed[:999], 500, method=method)  # compiles
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        amplify(bits, seed, n // 2, method=method)
        seconds.append(time.process_time() - start)
    return n / statistics.median(seconds) / 1e6


def main(exponents: list[int]) -> None:
    """Print a table of rates."""
    methods = [Method.FOURIER, Method.SCHOOLBOOK]
    if carryless.is_available():
        methods.insert(0, Method.CARRYLESS)
    print(f"{'bits':>12}" + "".join(f"{method.value:>14}" for method in methods))
    for exponent in exponents:
        n = 10**exponent
        row = f"{n:12}"
        for method in methods:
            is_slow = method is Method.SCHOOLBOOK and n > SCHOOLBOOK_MAX_BITS
            row += f"{'-' if is_slow else f'{measure(n, method):.1f}':>14}"
        print(row + "  Mbit/s")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [4, 5, 6])
