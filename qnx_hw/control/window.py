"""The coincidence window: wide enough for the pairs, narrow enough against accidentals.

Bob's times are published rounded to the window or to a part of it, so the peak of delays is as wide
as that, whatever the detectors do. What tells how far partners' clicks lie apart is the part of the
peak that falls beyond the window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.api.schema import Histogram
from qnx_hw.control.merit import KeyRate
from qnx_hw.control.policy import Decision, Policy

WORTH = 0.05
"""A new window begins a new session; less than this gain is not worth it."""
LARGEST_STEP = 3.0
"""The window is not changed by more than this factor at once: the model is good nearby."""
PEAK_REACH = 2.0
"""The peak is looked for within so many windows to each side; beyond it all is chance."""
SMALLEST_SPREAD = 1e-3
"""Of the window: what is less cannot be told from nothing."""
HALVINGS = 40


def kept(window_ps: float, slots: int, spread_ps: float) -> float:
    """Return which part of the pairs a window (full width) holds.

    Delays are Gaussian with this standard deviation; rounding to `slots` time slots of the window
    adds an even error of one slot, no rounding (0) none.
    """
    slot_ps = window_ps / slots if slots else 0.0
    return _between(-window_ps / 2, window_ps / 2, slot_ps, spread_ps)


def spread_of(histogram: Histogram, window_ps: float, slots: int) -> float | None:
    """Return the standard deviation of partners' delays, by what lies beyond the window.

    None where there is no peak.
    """
    counts = np.asarray(histogram.counts, dtype=np.float64)
    if not counts.size or histogram.peak_ps is None:
        return None
    edges = histogram.start_ps + histogram.bin_ps * np.arange(counts.size + 1)
    beyond = np.minimum(np.abs(edges[:-1]), np.abs(edges[1:])) > PEAK_REACH * window_ps
    if beyond.all() or not beyond.any():
        return None
    peak = np.where(beyond, 0.0, counts - counts[beyond].mean())
    # The bins' edges that are nearest to the window's.
    low, high = (int(np.argmin(np.abs(edges - edge))) for edge in (-window_ps / 2, window_ps / 2))
    inside = float(peak[low:high].sum())
    if inside <= 0:
        return None
    part, slot_ps = inside / float(peak.sum()), window_ps / slots if slots else 0.0
    least, most = SMALLEST_SPREAD * window_ps, PEAK_REACH * window_ps
    for _ in range(HALVINGS):
        middle = math.sqrt(least * most)
        is_wider = _between(float(edges[low]), float(edges[high]), slot_ps, middle) > part
        least, most = (middle, most) if is_wider else (least, middle)
    return most


def _between(low: float, high: float, slot_ps: float, spread_ps: float) -> float:
    """Return the chance that a delay, with its error of rounding, lies between two places."""

    def below(place: float) -> float:
        if not slot_ps:
            return 0.5 * math.erfc(-place / (math.sqrt(2.0) * spread_ps))
        return (
            _area(place + slot_ps / 2, spread_ps) - _area(place - slot_ps / 2, spread_ps)
        ) / slot_ps

    return below(high) - below(low)


def _area(upper: float, spread_ps: float) -> float:
    """Integrate the normal distribution's function from far below up to a place."""
    at = upper / spread_ps
    density = math.exp(-0.5 * at * at) / math.sqrt(2.0 * math.pi)
    return upper * 0.5 * math.erfc(-at / math.sqrt(2.0)) + spread_ps * density


@dataclass(frozen=True, slots=True)
class WindowSeen:
    """What a block showed at a window (full width, ps)."""

    values: tuple[float, ...]
    spread_ps: float
    """Standard deviation of the delays between partners' clicks."""
    slots: float
    """Time slots that Bob publishes per window; 0 where his times are not rounded to it."""
    coincidences_cps: float
    accidentals_cps: float
    qber: float
    block_s: float

    def numbers(self) -> tuple[float, ...]:
        """Return everything but the window."""
        return (
            self.spread_ps,
            self.slots,
            self.coincidences_cps,
            self.accidentals_cps,
            self.qber,
            self.block_s,
        )

    def at(self, window_ps: float) -> tuple[float, float]:
        """Return coincidences per second and error rate with another window.

        True pairs go with what the window holds of them, accidentals with its width, and half of
        these are errors (Neumann et al., PRA 104, 022406 (2021), section II).
        """
        (now_ps,) = self.values
        true = max(self.coincidences_cps - self.accidentals_cps, 0.0)
        errors = max(self.qber * self.coincidences_cps - self.accidentals_cps / 2, 0.0)
        inside = self._inside(window_ps) / self._inside(now_ps)
        chance = self.accidentals_cps * window_ps / now_ps
        both = true * inside + chance
        return both, (errors * inside + chance / 2) / both if both else 0.5

    def _inside(self, window_ps: float) -> float:
        return kept(window_ps, round(self.slots), self.spread_ps)


class WindowPolicy(Policy[WindowSeen]):
    """Chooses the window with the most secret bits per second."""

    def __init__(self, low_ps: float, high_ps: float, key_rate: KeyRate) -> None:
        self._key_rate = key_rate
        self._windows_ps = np.geomspace(low_ps, high_ps, 60)

    def restart(self) -> None:
        """There is nothing to forget."""

    def observe(self, seen: WindowSeen) -> Decision:
        """Compare all windows by what a block showed in this one."""
        if seen.coincidences_cps <= 0 or seen.spread_ps <= 0:
            return Decision(LoopState.SEARCHING, None, "there are no coincidences")
        (present_ps,) = seen.values
        near = np.abs(np.log(self._windows_ps / present_ps)) < math.log(LARGEST_STEP)
        windows_ps = self._windows_ps[near] if near.any() else self._windows_ps
        rates = [self._key_rate(*seen.at(each), seen.block_s) for each in windows_ps]
        now = self._key_rate(seen.coincidences_cps, seen.qber, seen.block_s)
        best = int(np.argmax(rates))
        if rates[best] <= 0:
            return Decision(LoopState.SEARCHING, None, "no window gives a key")
        lost = 1 - now / rates[best]
        if lost < WORTH:
            return Decision(LoopState.TRACKING, None, "the window is near the best", lost)
        window_ps = float(round(windows_ps[best]))
        return Decision(LoopState.TRACKING, (window_ps,), "more key in another window", lost)
