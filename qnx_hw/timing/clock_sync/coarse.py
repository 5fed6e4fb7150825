"""The first look: folded streams, correlated by Fourier transform, one supposed rate at a time.

A true offset stands out of the background by `C * sqrt(T / (r_A * r_B * d))` standard deviations,
with C coincidences/s, T seconds of Alice's tags and bins of d. A rate that is wrong by up to half
a step smears the peak over `step * T / 2`; with bins of that width T cancels, so a short T gives
small transforms, and only smaller steps (more supposed rates) find weaker links.
Ho, Lamas-Linares, Kurtsiefer, New J. Phys. 11, 045011 (2009), without their second resolution.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from qnx_hw.timing.arrays import Times, kernel

Spectrum = npt.NDArray[np.complex64]
Counts = npt.NDArray[np.float32]
# The background of a bin is the mean of 16 bins on either side, from the fourth neighbour on.
_NEAR, _FAR = 4, 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rate and an offset (known to 1.5 bins) that may be the true ones."""

    score: float
    """Standard deviations above the background."""
    rate: float
    offset_ps: int


class FoldedCorrelation:
    """The correlation of both streams for offsets within the limits, at any supposed rate.

    A stretch of Alice's tags longer than the range of offsets is cut into segments. Each segment's
    correlation serves for a group of rates: between these it only shifts.
    """

    def __init__(self, times_a: Times, times_b: Times, *, limit_ps: int, bin_ps: int) -> None:
        self.bin_ps = bin_ps
        self._limit_ps = limit_ps
        self._centre_ps = middle_of(times_a)
        self._lags = 2 * limit_ps // bin_ps + 1
        span = max(1, int(times_a[-1]) - int(times_a[0]))
        pieces, self.group = _pieces_and_group(span, limit_ps)
        self._pad = _FAR + self.group + 1
        size = self._lags + span // pieces // bin_ps + 2 * self._pad
        self._size = int(fft.next_fast_len(int(size), real=True))
        edges = int(times_a[0]) + np.arange(pieces + 1) * (span // pieces + 1)
        cuts = np.searchsorted(times_a, edges)
        parts = [times_a[i:k] for i, k in itertools.pairwise(cuts) if k > i]
        self._segments = [(part, self._spectrum_b(part, times_b)) for part in parts]

    def candidates(self, rates: list[float], least_score: float, most: int) -> list[Candidate]:
        """Return the most striking offsets at each of a group of neighbouring rates."""
        middle = (rates[0] + rates[-1]) / 2
        correlations = [
            self._correlate(part, spectrum, middle) for part, spectrum in self._segments
        ]
        found = []
        for rate in rates:
            counts = self._sum(correlations, rate - middle)
            lags, scores = _peaks(counts, self._lags, least_score, 64 * most)
            best = np.argsort(scores)[::-1][:most]
            shift_ps = self.bin_ps // 2 - self._limit_ps
            found += [
                Candidate(float(scores[k]), rate, int(lags[k]) * self.bin_ps + shift_ps)
                for k in best
            ]
        return found

    def _spectrum_b(self, part: Times, times_b: Times) -> Spectrum:
        reach = self._limit_ps + self._pad * self.bin_ps
        low, high = np.searchsorted(times_b, [part[0] - reach, part[-1] + reach])
        start = self._centre_ps - self._limit_ps
        return self._transform(times_b[low:high], start, 0.0)

    def _correlate(self, part: Times, spectrum_b: Spectrum, rate: float) -> Counts:
        spectrum = self._transform(part, self._centre_ps, rate)
        np.conjugate(spectrum, out=spectrum)
        spectrum *= spectrum_b
        counts = fft.irfft(spectrum, self._size, overwrite_x=True)
        # Bring the few negative lags to the front.
        return np.concatenate((counts[-self._pad :], counts[: self._lags + self._pad]))

    def _sum(self, correlations: list[Counts], rate: float) -> Counts:
        margin = self._pad - _FAR
        total = np.zeros(self._lags + 2 * _FAR, np.float32)
        for (part, _), counts in zip(self._segments, correlations, strict=True):
            shift = round(rate * (middle_of(part) - self._centre_ps) / self.bin_ps)
            shift = min(max(shift, -margin), margin)
            total += counts[margin + shift : margin + shift + total.size]
        return total

    def _transform(self, times: Times, start_ps: int, rate: float) -> Spectrum:
        folded = _fold(times, self._centre_ps, start_ps, rate, self.bin_ps, self._size)
        spectrum: Spectrum = fft.rfft(folded, overwrite_x=True)
        return spectrum


def work_of(span_ps: int, limit_ps: int, bin_ps: int, rates: int) -> float:
    """Return how many points are transformed for that many supposed rates."""
    pieces, group = _pieces_and_group(span_ps, limit_ps)
    return rates / group * pieces * (2 * limit_ps + span_ps / pieces) / bin_ps


def _pieces_and_group(span_ps: int, limit_ps: int) -> tuple[int, int]:
    # Inside a piece the rates of a group may smear a peak by a quarter of a bin.
    pieces = max(1, round(span_ps / (2 * limit_ps)))
    return pieces, max(1, pieces // 4)


def middle_of(times: Times) -> int:
    """Return the middle between the first and the last time."""
    return (int(times[0]) + int(times[-1])) // 2


@kernel()
def _fold(times: Times, centre: int, start: int, rate: float, bin_ps: int, size: int) -> Counts:
    counts = np.zeros(size, np.float32)
    for time in times:
        shift = np.int64(np.rint((time - centre) * rate))
        counts[(time + shift - start) // bin_ps % size] += np.float32(1.0)
    return counts


@kernel()
def _peaks(
    counts: Counts, lags: int, least_score: float, most: int
) -> tuple[Times, npt.NDArray[np.float64]]:
    """Score two neighbouring bins together, because a peak usually lies across a border.

    The first and last `_FAR` counts are only background.
    """
    found = np.empty(most, np.int64)
    scores = np.empty(most, np.float64)
    n, ring = 0, 0.0
    for k in range(_NEAR, _FAR):
        ring += counts[_FAR + 1 + k] + counts[_FAR - k]
    for lag in range(lags - 2):
        at = lag + _FAR
        background = ring / (_FAR - _NEAR)
        excess = counts[at] + counts[at + 1] - background
        # A bin without background still fluctuates by the one count that may come.
        if excess > 0.0 and excess * excess > least_score**2 * max(background, 1.0) and n < most:
            found[n], scores[n] = lag, excess / np.sqrt(max(background, 1.0))
            n += 1
        ring += counts[at + 1 + _FAR] - counts[at + 1 + _NEAR]
        ring += counts[at - _NEAR + 1] - counts[at - _FAR + 1]
    return found[:n], scores[:n]
