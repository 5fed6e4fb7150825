"""How the delays of published rounds spread, for each pair of detectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qnx_hw.qkd.arrivals import ArrivalTimes
from qnx_hw.qkd.messages import Bits
from qnx_hw.timing.arrays import Times

BINS = 51
Counts = tuple[tuple[tuple[int, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class PairDelays:
    """Delays of one block: bins of Alice's H V D A, of each with all of Bob's detectors."""

    block: int
    start_ps: int
    bin_ps: int
    counts: Counts

    def of_bob(self) -> ArrivalTimes:
        """Return when each of Bob's detectors clicked, by its delay to whichever of Alice's."""
        centres_ps = self.start_ps + self.bin_ps * (np.arange(BINS, dtype=np.float64) + 0.5)
        return ArrivalTimes.binned(np.array(self.counts).sum(axis=0), centres_ps)


def spread(
    block: int, window_ps: int, delays_ps: Times, pairs: tuple[Bits, Bits], n_bob: int
) -> PairDelays:
    """Count delays over the window for each pair: detectors 0 to 3 of Alice's, `n_bob` of his."""
    alice, bob = pairs
    bin_ps = -(-window_ps // BINS)
    start_ps = -(bin_ps * BINS) // 2
    places = np.clip((delays_ps - start_ps) // bin_ps, 0, BINS - 1)
    cells = (alice.astype(np.int64) * n_bob + bob) * BINS + places
    counts = np.bincount(cells, minlength=4 * n_bob * BINS).reshape(4, n_bob, BINS).tolist()
    return PairDelays(
        block, start_ps, bin_ps, tuple(tuple(tuple(bins) for bins in row) for row in counts)
    )
