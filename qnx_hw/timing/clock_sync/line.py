"""The second look: the line that true pairs draw among all time differences.

Differences `t_b - t_a` of pairs near a supposed offset are a flat background, and a line whose
slope is what is still wrong with the supposed rate. Boxes along lines are counted, the best one is
looked at four times finer, until the box is as narrow as the peak.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Times, kernel
from qnx_hw.timing.clock_sync.coarse import middle_of

Floats = npt.NDArray[np.float64]
_BINS = 24
_BOX = 4
# A time that is rounded to 1 spreads by sqrt(1/12).
_ROUNDED = 0.2887
# A few times what `acquire` aims at; more come only from streams that are no random clicks.
MOST_PAIRS = 1 << 24
# Finer than any tagger and detector: 10 ps.
_FINEST_PS = 10.0
# In widths of the peak: further out weighs nothing. Keeps 96 % of a Gaussian's information, and
# gains 2 % of the error where 3 % of the pairs are accidental and detectors have tails.
SOFT = 5.0
_LEAST_FIT = 8


@dataclass(frozen=True, slots=True)
class Line:
    """Where true pairs lie: at `offset_ps` for Alice's time `centre_ps`, and rising by `rate`."""

    centre_ps: int
    offset_ps: int
    rate: float

    def shifted(self, offset_ps: float, rate: float) -> "Line":
        """Return the line moved by a small offset and rate."""
        return Line(self.centre_ps, self.offset_ps + round(offset_ps), self.rate + rate)

    def moved(self, centre_ps: int) -> "Line":
        """Return the same line, stated at another time."""
        drift = round(self.rate * (centre_ps - self.centre_ps))
        return Line(centre_ps, self.offset_ps + drift, self.rate)


@dataclass(frozen=True, slots=True)
class Fit:
    """A line with the peak that lies on it."""

    line: Line
    sigma_ps: float
    inside: int
    """Pairs within two sigma of the line."""
    expected: float
    """Pairs there if all were accidental."""

    @property
    def evidence(self) -> float:
        """Logarithm of the likelihood ratio of what was counted against chance (Poisson)."""
        return likelihood(self.inside, self.expected)


@dataclass(frozen=True, slots=True)
class Noise:
    """What blurs the peak and what lies under it."""

    density: float
    """Accidental pairs per ps of time difference."""
    resolution_ps: float
    """Units to which the times of both sides are rounded, added in squares."""


def likelihood(counted: float, expected: float) -> float:
    """Return ln of Poisson's probability at its best mean over that at `expected`; 0 for a dip."""
    if counted <= expected:
        return 0.0
    return float(counted * np.log(counted / expected) - counted + expected)


def refine(times_a: Times, times_b: Times, line: Line, reach_ps: float, finest_ps: float) -> Fit:
    """Find the best line whose offset is within `reach_ps` and whose slope smears a third of that.

    `finest_ps` is the resolution of both sides' times: a narrower peak would come from rounding.
    """
    line = line.moved(middle_of(times_a))
    span = half_span(times_a)
    x, dt = differences(times_a, times_b, line, reach_ps)
    density = x.size / (2 * reach_ps)
    finest = max(finest_ps, _FINEST_PS)
    offset, slope, reach, steep = 0.0, 0.0, reach_ps, reach_ps / 3
    best, best_at = 0.0, (0.0, 0.0, reach)
    while x.size:
        cell = 2 * reach / _BINS
        counted, k, slope_k = _best_box(x, dt - offset - slope * x, reach, cell, steep)
        offset, slope = offset + (k + _BOX / 2) * cell - reach, slope + slope_k
        evidence = likelihood(counted, max(density * _BOX * cell, 1e-3))
        if evidence > best:
            best, best_at = evidence, (offset, slope, 3 * cell)
        if evidence < best / 2 or _BOX * cell < 2 * finest:
            break
        reach, steep = 3 * cell, 2 * cell
        near = np.abs(dt - offset - slope * x) <= reach
        x, dt = x[near], dt[near]
    found = line.shifted(best_at[0], best_at[1] / span)
    noise = Noise(density, finest)
    return fit(times_a, times_b, found, max(best_at[2], finest), noise)


def fit(times_a: Times, times_b: Times, line: Line, reach_ps: float, noise: Noise) -> Fit:
    """Fit the line by least squares to the pairs on it, and measure the peak's width.

    The share of accidental pairs is taken off every sum.
    """
    density, narrowest = noise.density, noise.resolution_ps * _ROUNDED
    sigma = reach_ps
    wide = 3 * reach_ps
    line = line.moved(middle_of(times_a))
    x, dt = differences(times_a, times_b, line, wide)
    offset = slope = 0.0
    gate = reach_ps
    for _ in range(12):
        r = dt - offset - slope * x
        near = np.abs(r) <= gate
        rn, xn = r[near], x[near]
        true = max(rn.size - 2 * gate * density, 1.0)
        if rn.size < 3:
            break
        xm = xn.mean()
        xx = max(float(((xn - xm) ** 2).mean()), 1e-9)
        change = float(((xn - xm) * rn).mean()) / xx if rn.size >= _LEAST_FIT else 0.0
        slope += change
        offset += float(rn.mean()) - change * xm
        spread = float((rn**2).sum()) - 2 * gate**3 / 3 * density
        # A flat peak cut at the gate has gate / sqrt(3); more is noise of the background.
        sigma = float(np.sqrt(np.clip(spread / true, narrowest**2, gate**2 / 3)))
        gate = min(max(3.5 * sigma, _FINEST_PS), wide)
    inside = int(np.count_nonzero(np.abs(dt - offset - slope * x) <= 2 * sigma))
    offset, slope = _weighted(x, dt, (offset, slope), SOFT * sigma)
    found = line.shifted(offset, slope / half_span(times_a))
    return Fit(found, sigma, inside, max(4 * sigma * density, 1e-3))


def _weighted(
    x: Floats, dt: Floats, start: tuple[float, float], reach_ps: float
) -> tuple[float, float]:
    """Return offset and slope by two steps from `start` with `soft_weights`."""
    offset, slope = start
    for _ in range(2):
        r = dt - offset - slope * x
        near = np.abs(r) < reach_ps
        rn, xn = r[near], x[near]
        if rn.size < _LEAST_FIT:
            break
        w = soft_weights(rn, reach_ps)
        w /= w.sum()
        xm = float(w @ xn)
        change = float(w @ ((xn - xm) * rn)) / max(float(w @ (xn - xm) ** 2), 1e-9)
        slope += change
        offset += float(w @ rn) - change * xm
    return offset, slope


def soft_weights(residuals_ps: Floats, reach_ps: float) -> Floats:
    """Return less weight for pairs further out, which rather are accidental; none beyond reach.

    Tukey's biweight (Beaton and Tukey, Technometrics 16, 147 (1974)).
    """
    return np.maximum(1.0 - (residuals_ps / reach_ps) ** 2, 0.0) ** 2


def differences(
    times_a: Times, times_b: Times, line: Line, reach_ps: float
) -> tuple[Floats, Floats]:
    """Return all pairs within reach of the line: Alice's time and the residual in ps.

    Alice's time runs from -1 to 1 over her tags; the line must be stated at their middle. None
    are returned where there would be more than `MOST_PAIRS`.
    """
    x, dt = _differences(times_a, times_b, line.centre_ps, line.offset_ps, line.rate, int(reach_ps))
    return x / half_span(times_a), dt


def half_span(times: Times) -> float:
    """Return half the span of these times in ps, at least 1."""
    return max(1.0, (int(times[-1]) - int(times[0])) / 2)


@kernel()
def _differences(
    times_a: Times, times_b: Times, centre: int, offset: int, rate: float, reach: int
) -> tuple[Floats, Floats]:
    low = n = 0
    for count_only in (True, False):
        if not count_only:
            x, dt = np.empty(n, np.float64), np.empty(n, np.float64)
        low = n = 0
        for time in times_a:
            drift = (time - centre) * rate
            expected = time + offset + np.int64(np.rint(drift))
            while low < times_b.size and times_b[low] < expected - reach:
                low += 1
            k = low
            while k < times_b.size and times_b[k] <= expected + reach:
                if not count_only:
                    x[n] = time - centre
                    dt[n] = times_b[k] - (time + offset) - drift
                n += 1
                k += 1
            if n > MOST_PAIRS:
                return np.empty(0, np.float64), np.empty(0, np.float64)
    return x, dt


@kernel()
def _best_box(
    x: Floats, dt: Floats, reach: float, cell: float, steep: float
) -> tuple[int, int, float]:
    """Return the fullest box: its count, its first bin and its slope."""
    best, best_bin, best_slope = -1, 0, 0.0
    steps = int(np.ceil(steep / (2 * cell)))
    bins = np.empty(_BINS, np.int64)
    for step in range(-steps, steps + 1):
        slope = 2 * cell * step
        bins[:] = 0
        for i in range(x.size):
            place = (dt[i] - slope * x[i] + reach) / cell
            if 0.0 <= place < _BINS:
                bins[int(place)] += 1
        counted = 0
        for end in range(1, _BINS + 1):
            counted += bins[end - 1]
            if end > _BOX:
                counted -= bins[end - _BOX - 1]
            if end >= _BOX and counted > best:
                best, best_bin, best_slope = counted, end - _BOX, slope
    return best, best_bin, best_slope
