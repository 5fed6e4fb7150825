"""Where the peak lay in each part of a stretch of tags: finer steps for what wanders."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qnx_hw.timing.arrays import Times
from qnx_hw.timing.clock_sync.coarse import middle_of
from qnx_hw.timing.clock_sync.line import SOFT, Fit, differences, half_span, soft_weights

# Fewer pairs do not tell a part's mean from its outliers; more parts tell nothing new.
_LEAST_PAIRS = 16
_MOST_PARTS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """The mean offset of the pairs of one part."""

    time_a_ps: int
    """Their mean time, of Alice's clock."""
    line_ps: int
    """Offset of the fitted line at that time."""
    residual_ps: float
    """How much more their own offset is."""
    share: float
    """Weight of the part in the whole stretch."""


def parts(times_a: Times, times_b: Times, found: Fit) -> Iterator[Part]:
    """Yield the parts of a stretch that was fitted, in order, as many as its pairs allow."""
    line = found.line.moved(middle_of(times_a))
    reach_ps = SOFT * found.sigma_ps
    x, dt = differences(times_a, times_b, line, reach_ps)
    count = int(np.clip(found.inside // _LEAST_PAIRS, 1, _MOST_PARTS))
    number = np.minimum((x + 1.0) * (count / 2), count - 1).astype(np.int64)
    weights = soft_weights(dt, reach_ps)
    for _ in range(2):  # the first mean still leans to the line
        sums = np.maximum(np.bincount(number, weights, count), 1e-9)
        means = np.bincount(number, weights * dt, count) / sums
        weights = soft_weights(dt - means[number], reach_ps)
    centres = np.bincount(number, weights * x, count) / sums
    for k in np.flatnonzero(sums > 1.0):
        moved = line.moved(line.centre_ps + round(float(centres[k]) * half_span(times_a)))
        share = float(sums[k] / sums.sum())
        yield Part(moved.centre_ps, moved.offset_ps, float(means[k]), share)
