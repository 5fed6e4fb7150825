"""What a tagger loses: a buffer of limited depth that is emptied at a limited rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.clicks import Times
from sim_devices.physics.random_words import kernel


@dataclass(slots=True)
class TaggerBuffer:
    """A tagger's memory; tags that find it full are lost and counted."""

    drain_rate_hz: float
    depth: int
    missed: int = 0
    """Tags lost so far."""
    _level: float = 0.0
    _last_ps: int = 0

    def accept(self, times_ps: Times) -> NDArray[np.bool_]:
        """Return which of these sorted tags are stored, and go on from there the next time."""
        is_stored = np.empty(len(times_ps), dtype=np.bool_)
        if len(times_ps):
            drain_per_ps = self.drain_rate_hz * 1e-12
            self._level = _fill(
                times_ps, (drain_per_ps, self.depth), self._level, self._last_ps, is_stored
            )
            self._last_ps = int(times_ps[-1])
            self.missed += int(len(times_ps) - np.count_nonzero(is_stored))
        return is_stored


@kernel()
def _fill(
    times: Times,
    limits: tuple[float, int],
    level: float,
    last_ps: int,
    is_stored: NDArray[np.bool_],
) -> float:
    drain_per_ps, depth = limits
    for i in range(len(times)):
        level = max(0.0, level - (times[i] - last_ps) * drain_per_ps)
        last_ps = times[i]
        is_stored[i] = level + 1.0 <= depth
        if is_stored[i]:
            level += 1.0
    return level
