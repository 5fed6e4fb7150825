"""Shannon's entropy of one biased bit."""

from __future__ import annotations

import math


def binary_entropy(x: float) -> float:
    """Return h(x) = -x log2 x - (1-x) log2(1-x) in bits, with h(0) = h(1) = 0."""
    if not 0.0 <= x <= 1.0:
        raise ValueError(f"a probability lies between 0 and 1, not at {x!r}")
    if x in (0.0, 1.0):
        return 0.0
    return -(x * math.log2(x) + (1.0 - x) * math.log1p(-x) / math.log(2.0))


def error_entropy(error_bound: float) -> float:
    """Return h of an upper bound on an error rate: a bound above 1/2 says nothing, h = 1."""
    return binary_entropy(min(0.5, error_bound))
