"""What a random sample says about the rest: exact bounds from the hypergeometric distribution."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

TERMS_AT_ONCE = 4096
NEGLIGIBLE = 1e-20
"""Terms below this part of the sum can no longer change a double."""


def hypergeometric_upper(n: int, k: int, x: int, eps: float) -> int:
    """Return K, the most errors among n bits that x errors in k random test bits leave possible.

    Of N = n + k bits T are wrong; k of them were drawn at random and x of those were wrong. K is
    T_up - x with T_up = max{T : Pr[Hypergeom(N, T, k) <= x] > eps^2}: whatever T is, more than K
    errors remain with a probability of at most eps^2. The tail is summed exactly; what the
    log-gamma function may err by counts against the key.
    """
    if not (n >= 0 and 0 <= x <= k):
        raise ValueError(f"{x} errors among {k} test bits of {n} + {k} cannot be")
    if not 0.0 < eps < 1.0:
        raise ValueError(f"epsilon lies between 0 and 1, not at {eps!r}")
    goal = 2.0 * math.log(eps) - _rounding(n + k)
    # Below `possible` the tail is large enough, from `impossible` on it is not.
    possible, impossible = x, n + x + 1
    while impossible - possible > 1:
        middle = (possible + impossible) // 2
        if log_lower_tail(n + k, middle, k, x) > goal:
            possible = middle
        else:
            impossible = middle
    return possible - x


def log_lower_tail(total: int, marked: int, drawn: int, x: int) -> float:
    """Return ln Pr[X <= x], X the marked ones among `drawn` of `total`, `marked` of them marked."""
    least, most = max(0, drawn + marked - total), min(marked, drawn)
    if x >= most:
        return 0.0
    if x < least:
        return -math.inf
    mode = (drawn + 1) * (marked + 1) // (total + 2)
    if x <= mode:
        return min(0.0, _log_sum_down(total, marked, drawn, x))
    # Count the unmarked ones instead: X > x where at most drawn - x - 1 of them are unmarked.
    above = _log_sum_down(total, total - marked, drawn, drawn - x - 1)
    return math.log1p(-math.exp(min(above, -1e-300))) if above < 0.0 else -math.inf


def _log_sum_down(total: int, marked: int, drawn: int, x: int) -> float:
    """Sum Pr[X = x], Pr[X = x-1], ... down; x lies at or below the mode, so the terms fall."""
    term, whole = 1.0, 1.0
    least = max(0, drawn + marked - total)
    first = _log_probability(total, marked, drawn, x)
    while x > least and term > NEGLIGIBLE * whole:
        i = np.arange(x, max(least, x - TERMS_AT_ONCE), -1, dtype=np.float64)
        terms = term * np.cumprod(_ratios(total, marked, drawn, i))
        whole += float(terms.sum())
        term = float(terms[-1])
        x -= i.size
    return math.log(whole) + first


def _ratios(
    total: int, marked: int, drawn: int, i: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return Pr[X = i-1] / Pr[X = i]."""
    ratios = i * (total - marked - drawn + i) / ((marked - i + 1.0) * (drawn - i + 1.0))
    return np.asarray(ratios, dtype=np.float64)


def _log_probability(total: int, marked: int, drawn: int, x: int) -> float:
    return (
        _log_choose(marked, x) + _log_choose(total - marked, drawn - x) - _log_choose(total, drawn)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)


def _rounding(total: int) -> float:
    """Bound the error of nine log-gammas and their sum: each below 4 ulp of the largest."""
    return 40.0 * math.ulp(1.0) * max(1.0, math.lgamma(total + 1.0))
