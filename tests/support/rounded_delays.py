"""Delays between partners as Alice sees them: Bob's times are rounded to slots of the window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qnx_hw.api.schema import Histogram

BINS = 101


def rounded_delays(
    window_ps: float, slots: int, spread_ps: float, count: int = 200_000
) -> NDArray[np.float64]:
    """Return the delays of pairs whose clicks lie apart by Gaussians of this width."""
    rng = np.random.default_rng(5)
    slot_ps = window_ps / slots
    true = rng.uniform(0, 1e9, count)
    told = (np.floor((true + rng.normal(0, spread_ps, count)) / slot_ps) + 0.5) * slot_ps
    return np.asarray(told - true)


def delay_histogram(window_ps: int, slots: int, spread_ps: float, chance: int = 0) -> Histogram:
    """Return what a session shows of them, over five windows to each side."""
    bin_ps = 20 * window_ps // (2 * BINS)
    start_ps = -(bin_ps * BINS) // 2
    ends = start_ps, start_ps + bin_ps * BINS
    by_chance = np.random.default_rng(6).uniform(*ends, chance)
    delays = np.concatenate((rounded_delays(window_ps, slots, spread_ps), by_chance))
    counts, _ = np.histogram(delays, BINS, ends)
    return Histogram(
        start_ps=start_ps,
        bin_ps=bin_ps,
        counts=tuple(counts.tolist()),
        peak_ps=0.0,
        fwhm_ps=float(window_ps),
    )
