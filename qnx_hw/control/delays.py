"""Delays of a station's detectors against each other, followed from its own coincidences.

Alice compares her own fine times with the windows that Bob publishes; she tells him what that says
of his detectors, from rounds that both published, and nothing of hers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnx_hw.api.loops import LoopState
from qnx_hw.control.policy import Decision, Policy


@dataclass(frozen=True, slots=True)
class DelaysSeen:
    """Mean arrival of each detector's coincidences against the peak, with the delays that stood."""

    values: tuple[float, ...]
    """Delays in force, ps."""
    late_ps: tuple[float, ...]
    sigmas_ps: tuple[float, ...]

    def numbers(self) -> tuple[float, ...]:
        """Return lateness, then its standard errors."""
        return (*self.late_ps, *self.sigmas_ps)


class DelayTracking(Policy[DelaysSeen]):
    """A Kalman filter for each detector; corrects what is certain and worth it."""

    def __init__(
        self, n_detectors: int, *, walk_ps: float = 1.0, deadband_ps: float = 20.0
    ) -> None:
        """`walk_ps` is how far a delay strays from one look to the next."""
        self._n = n_detectors
        self._walk_ps = walk_ps
        self._deadband_ps = deadband_ps
        self.restart()

    def restart(self) -> None:
        """Forget all delays."""
        self._delays_ps: NDArray[np.float64] = np.zeros(self._n)
        self._variances: NDArray[np.float64] = np.full(self._n, 1e12)

    def observe(self, seen: DelaysSeen) -> Decision:
        """Take how late each detector is and correct the delays."""
        sigmas = np.array(seen.sigmas_ps)
        told = np.array(seen.values) + np.array(seen.late_ps)
        self._variances += self._walk_ps**2
        gain = self._variances / (self._variances + sigmas**2)
        self._delays_ps += gain * (told - self._delays_ps)
        self._variances *= 1 - gain
        off = self._delays_ps - np.array(seen.values)
        off -= off.mean()
        worst = int(np.argmax(np.abs(off)))
        excess, sigma = float(np.abs(off[worst])), float(np.sqrt(self._variances[worst]))
        if excess < max(self._deadband_ps, 3 * sigma):
            return Decision(LoopState.TRACKING, None, "all detectors agree", excess, sigma)
        goal = tuple(float(round(each)) for each in np.array(seen.values) + off)
        reason = f"detector {worst + 1} is {off[worst]:+.0f} ps off"
        return Decision(LoopState.TRACKING, goal, reason, excess, sigma)
