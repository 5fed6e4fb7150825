"""When each detector clicks, against the others of its station: delays, and shifted times.

Who can choose when a photon arrives, and knows that detectors answer at slightly different
times, chooses the outcome without an error (time shift attack: Qi, Fung, Lo, Ma, Quantum Inf.
Comput. 7, 73 (2007); Zhao et al., Phys. Rev. A 78, 042333 (2008)). A detector that answers only
early or late light has its clicks' centroid elsewhere than the others, and one that answers more
seldom at the edge of its gate has another spread. Alice sees both in the delays between partners:
of her own detectors in all pairs, of Bob's in the rounds whose outcomes were published. Bob's
published times are rounded, which widens all spreads alike. Where Alice sends pulses, Bob sees the
phases of his own clicks.

Only means over many clicks leave this module. Those of Alice's detectors stay with her; those of
Bob's, which rest on published rounds, she tells him in the block's transcript.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnx_hw.errors import Tampering

NAMES = ("H", "V", "D", "A", "22.5°", "112.5°", "67.5°", "157.5°")
FEWEST = 50
"""A detector with fewer clicks has no mean to be shown."""
LEAST_CLICKS = 500
"""Fewer raise no alarm."""
SIGMAS = 6.0
"""So many standard errors may a detector be off by chance, beside the limit."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """By how much each detector of a station is later than their mean, and standard errors."""

    late_ps: tuple[float, ...]
    sigma_ps: tuple[float, ...]


class ArrivalTimes:
    """Counts, centroids and spreads of a station's detectors, in the order of `StationInputs`."""

    def __init__(self, n_detectors: int = 4) -> None:
        self._sums: NDArray[np.float64] = np.zeros((3, n_detectors))

    def add(
        self, bases: NDArray[np.uint8], outcomes: NDArray[np.uint8], times_ps: NDArray[np.int64]
    ) -> None:
        """Take clicks: which detectors, and when they came, from any common origin."""
        detectors = 2 * bases.astype(np.int64) + outcomes
        times = times_ps.astype(np.float64)
        for row, weights in enumerate((None, times, times * times)):
            self._sums[row] += np.bincount(detectors, weights, minlength=self._sums.shape[1])

    @classmethod
    def binned(cls, counts: NDArray[np.int64], times_ps: NDArray[np.float64]) -> ArrivalTimes:
        """Return what a histogram for each detector tells, with its bins at these times."""
        made = cls(len(counts))
        made._sums += np.stack([counts @ times_ps**power for power in range(3)])
        return made

    @property
    def lateness(self) -> Lateness | None:
        """How late each is against the mean of all; None while one has too few clicks."""
        if self._sums[0].min() < FEWEST:
            return None
        counts, means, spreads = self._moments()
        errors = np.maximum(spreads, 1.0) / np.sqrt(counts)
        return Lateness(tuple((means - means.mean()).tolist()), tuple(errors.tolist()))

    def check(self, limit_ps: float, station: str) -> None:
        """Raise `Tampering` where a detector's centroid or spread is off by more than the limit."""
        known = np.flatnonzero(self._sums[0] >= LEAST_CLICKS)
        if known.size < 2:
            return
        counts, centroids, spreads = (each[known] for each in self._moments())
        errors = spreads / np.sqrt(counts)
        for what, values in (("later", centroids), ("wider", spreads)):
            off = values - np.median(values)
            beyond = np.abs(off) - SIGMAS * errors
            worst = int(np.argmax(beyond))
            if beyond[worst] > limit_ps:
                raise Tampering(
                    f"{station}'s detector {NAMES[known[worst]]} answers {off[worst]:+.0f} ps "
                    f"{what} than the others, more than {limit_ps:.0f} ps: somebody may choose "
                    f"arrival times, or the detectors' delays are not taken off"
                )

    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return counts, means and standard deviations."""
        counts, sums, squares = self._sums
        some = np.maximum(counts, 1.0)
        means = sums / some
        return counts, means, np.sqrt(np.maximum(squares / some - means**2, 0.0))
