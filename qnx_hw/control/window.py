"""The coincidence window: wide enough for the pairs, narrow enough against accidentals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.control.merit import KeyRate
from qnx_hw.control.policy import Decision, Policy

WORTH = 0.05
"""A new window begins a new session; less than this gain is not worth it."""
_ROOT_LN2 = math.sqrt(math.log(2.0))


@dataclass(frozen=True, slots=True)
class WindowSeen:
    """What a block showed at a window (full width, ps)."""

    values: tuple[float, ...]
    fwhm_ps: float
    """Of the peak in the delay histogram."""
    coincidences_cps: float
    accidentals_cps: float
    qber: float
    block_s: float

    def numbers(self) -> tuple[float, ...]:
        """Return everything but the window."""
        return (
            self.fwhm_ps,
            self.coincidences_cps,
            self.accidentals_cps,
            self.qber,
            self.block_s,
        )

    def at(self, window_ps: float) -> tuple[float, float]:
        """Return coincidences per second and error rate with another window.

        A Gaussian peak holds erf(√ln2 w/FWHM) of its pairs in a full width w (Neumann et al., PRA
        104, 022406 (2021), section II); accidentals grow with w, half of them are errors.
        """
        (now_ps,) = self.values
        true = max(self.coincidences_cps - self.accidentals_cps, 0.0)
        errors = max(self.qber * self.coincidences_cps - self.accidentals_cps / 2, 0.0)
        inside = self._inside(window_ps) / self._inside(now_ps)
        chance = self.accidentals_cps * window_ps / now_ps
        both = true * inside + chance
        return both, (errors * inside + chance / 2) / both if both else 0.5

    def _inside(self, window_ps: float) -> float:
        return math.erf(_ROOT_LN2 * window_ps / self.fwhm_ps)


class WindowPolicy(Policy[WindowSeen]):
    """Chooses the window with the most secret bits per second."""

    def __init__(self, low_ps: float, high_ps: float, key_rate: KeyRate) -> None:
        self._key_rate = key_rate
        self._windows_ps = np.geomspace(low_ps, high_ps, 60)

    def restart(self) -> None:
        """There is nothing to forget."""

    def observe(self, seen: WindowSeen) -> Decision:
        """Compare all windows by what a block showed in this one."""
        if seen.coincidences_cps <= 0 or seen.fwhm_ps <= 0:
            return Decision(LoopState.SEARCHING, None, "there are no coincidences")
        rates = [self._key_rate(*seen.at(each), seen.block_s) for each in self._windows_ps]
        now = self._key_rate(seen.coincidences_cps, seen.qber, seen.block_s)
        best = int(np.argmax(rates))
        if rates[best] <= 0:
            return Decision(LoopState.SEARCHING, None, "no window gives a key")
        lost = 1 - now / rates[best]
        if lost < WORTH:
            return Decision(LoopState.TRACKING, None, "the window is near the best", lost)
        window_ps = float(round(self._windows_ps[best]))
        return Decision(LoopState.TRACKING, (window_ps,), "more key in another window", lost)
