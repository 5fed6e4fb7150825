"""How late each of Alice's detectors is against the others, from the pairs of a block.

Only means over many pairs leave this module, and they stay at her station.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qnx_hw.qkd.messages import Bits

N_DETECTORS = 4
FEWEST = 50
"""A detector with fewer pairs says nothing."""


class Lateness:
    """Sums of delays for each detector, in the order of `StationInputs`."""

    def __init__(self) -> None:
        self._sums: NDArray[np.float64] = np.zeros((3, N_DETECTORS))

    def add(self, bases: Bits, outcomes: Bits, late_ps: NDArray[np.int64]) -> None:
        """Take pairs: which of her detectors clicked, and how much later than Bob's."""
        detectors = 2 * bases.astype(np.int64) + outcomes
        late = late_ps.astype(np.float64)
        for row, weights in enumerate((None, late, late * late)):
            self._sums[row] += np.bincount(detectors, weights, minlength=N_DETECTORS)

    @property
    def late_ps(self) -> tuple[float, ...]:
        """Mean lateness of each against the mean of all; empty while one has too few pairs."""
        if self._sums[0].min() < FEWEST:
            return ()
        means = self._sums[1] / self._sums[0]
        return tuple((means - means.mean()).tolist())

    @property
    def sigma_ps(self) -> tuple[float, ...]:
        """Standard errors of `late_ps`."""
        if self._sums[0].min() < FEWEST:
            return ()
        counts, sums, squares = self._sums
        variances = squares / counts - (sums / counts) ** 2
        return tuple(np.sqrt(np.maximum(variances, 1.0) / counts).tolist())
