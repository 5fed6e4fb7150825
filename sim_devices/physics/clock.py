"""A tagger's own clock: offset, rate and a rate that wanders, as stamps against true time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of true time with one rate; `true_ps` is its start, `stamp_ps` what the clock says."""

    true_ps: int
    stamp_ps: int
    stamps_per_ps: float

    def stamp_at(self, true_ps: int) -> int:
        """Return the stamp of a true time near this span."""
        elapsed_ps = true_ps - self.true_ps
        return self.stamp_ps + elapsed_ps + round(elapsed_ps * (self.stamps_per_ps - 1.0))


class Clock:
    """Stamps = offset + (1 + drift) · true time, where the drift may walk at random."""

    _KEPT = 1000

    def __init__(
        self, offset_s: float, drift_ppm: float, wander_ppm: float, rng: np.random.Generator
    ) -> None:
        """`wander_ppm` is the walk of the drift in one square root of a second."""
        self._wander = wander_ppm * 1e-6
        self._rng = rng
        self._rest_ps = 0.0
        self._segments = [Segment(0, round(offset_s * 1e12), 1.0 + drift_ppm * 1e-6)]

    def segment(self) -> Segment:
        """Return the span that begins where the last one ended."""
        return self._segments[-1]

    def advance(self, span_ps: int) -> None:
        """End the present span after `span_ps` and begin the next."""
        now = self._segments[-1]
        gained_ps = span_ps * (now.stamps_per_ps - 1.0) + self._rest_ps
        whole_ps = round(gained_ps)
        self._rest_ps = gained_ps - whole_ps
        rate = now.stamps_per_ps
        if self._wander:
            rate += self._wander * (span_ps * 1e-12) ** 0.5 * self._rng.standard_normal()
        self._segments.append(
            Segment(now.true_ps + span_ps, now.stamp_ps + span_ps + whole_ps, rate)
        )
        if len(self._segments) > 2 * self._KEPT:
            del self._segments[: self._KEPT]

    def disturb(self, jump_ps: int, drift_ppm: float | None = None) -> None:
        """Begin a span that is `jump_ps` ahead of the last, with another rate if one is given.

        Stamps stay in order, so a clock can be put forward only.
        """
        if jump_ps < 0:
            raise ValueError("a clock can only be put forward: stamps must stay in order")
        now = self._segments[-1]
        rate = now.stamps_per_ps if drift_ppm is None else 1.0 + drift_ppm * 1e-6
        self._segments[-1] = Segment(now.true_ps, now.stamp_ps + jump_ps, rate)

    def stamp_at(self, true_ps: int) -> int:
        """Return what the clock shows at a true time that is not long ago."""
        place = bisect_right(self._segments, true_ps, key=lambda segment: segment.true_ps)
        return self._segments[max(place - 1, 0)].stamp_at(true_ps)
