"""Draw the clicks of a chunk: only what is detected is ever drawn.

Pairs from a Poisson source, seen through fixed analysers, are one Poisson process of detected
events, each of one of 24 kinds (which detector here, which there, at least one of them); dark
counts only add to the kinds. The cost does not depend on the loss. Pulsed and thermal sources give
bunches: a negative binomial number of pairs is a Poisson number of bunches whose size has
the logarithmic law, and thinning keeps that form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.random_words import (
    TO_UNIT,
    State,
    exponential,
    inner,
    kernel,
    next_word,
    seeded,
)

Times = NDArray[np.int64]
Inputs = NDArray[np.uint8]
Real = NDArray[np.float64]

# Two sides with four detectors each and 'none': 25 combinations, rounded up; with eight, 81.
FEW_KINDS, MANY_KINDS = 32, 128


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Photons (or dark counts) that meet a detector: sorted true times and detectors from 0."""

    times_ps: Times
    detectors: Inputs


@dataclass(frozen=True, slots=True)
class Bunching:
    """How pairs come: `period_ps` 0 is a continuous pump; `modes` 0 is Poisson, else thermal."""

    period_ps: int = 0
    modes: float = 0.0

    def __post_init__(self) -> None:
        if self.modes and not self.period_ps:
            raise ValueError("thermal statistics need a pulsed source")


@dataclass(frozen=True, slots=True)
class Place:
    """Which random numbers: the seed, the stream and the chunk."""

    seed: int
    stream: int
    chunk: int


class Room:
    """Memory that the arrivals of one drawing after the other use, because fresh pages cost time.

    What was drawn into it holds until the next drawing into it.
    """

    def __init__(self) -> None:
        self.times = np.empty((2, 0), dtype=np.int64)
        self.detectors = np.empty((2, 0), dtype=np.uint8)

    def make(self, capacity: int) -> None:
        """Have room for so many arrivals on each side."""
        if self.times.shape[1] < capacity:
            self.times = np.empty((2, capacity), dtype=np.int64)
            self.detectors = np.empty((2, capacity), dtype=np.uint8)


def draw(
    rates_hz: Real,
    span: tuple[int, int],
    place: Place,
    bunching: Bunching,
    room: Room | None = None,
) -> tuple[Arrivals, Arrivals]:
    """Return what meets the detectors of both sides within `span` (start, length in ps).

    `rates_hz[a, b]` counts events that detectors a and b see together; the last row and column
    are 'none', and their common entry is ignored. Both answers are sorted by time.
    """
    n_kinds = FEW_KINDS if rates_hz.size <= FEW_KINDS else MANY_KINDS
    kinds = np.zeros(n_kinds)
    kinds[: rates_hz.size - 1] = rates_hz.ravel()[:-1]
    rate_hz = float(kinds.sum())
    start_ps, length_ps = span
    if rate_hz <= 0.0:
        return _nothing(), _nothing()
    bunch_rate_hz, log_parameter = _bunches(rate_hz, bunching)
    mean = rate_hz * length_ps * 1e-12
    spread = math.sqrt(mean / (1.0 - log_parameter))
    room = room or Room()
    room.make(math.ceil(mean + 12 * spread + 64 + 12 / (1.0 - log_parameter)))
    times, detectors = room.times, room.detectors
    gap_ps = 1e12 / bunch_rate_hz
    n_a, n_b = _draw(
        seeded(place.seed, place.stream, place.chunk),
        (start_ps, length_ps, gap_ps, bunching.period_ps, log_parameter),
        outcomes(kinds / rate_hz, rates_hz.shape[0] - 1, rates_hz.shape[1] - 1),
        (times[0], detectors[0], times[1], detectors[1]),
    )
    return Arrivals(times[0, :n_a], detectors[0, :n_a]), Arrivals(
        times[1, :n_b], detectors[1, :n_b]
    )


def _nothing() -> Arrivals:
    return Arrivals(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))


def _bunches(rate_hz: float, bunching: Bunching) -> tuple[float, float]:
    """Return the rate of bunches and the parameter of their logarithmic size (0: always one).

    With mean m per pulse and K modes, p = m/(K + m) and the bunches per pulse are Poisson with
    mean −K ln(1 − p) (Quenouille 1949).
    """
    if not bunching.modes:
        return rate_hz, 0.0
    mean = rate_hz * bunching.period_ps * 1e-12
    parameter = mean / (bunching.modes + mean)
    per_pulse = -bunching.modes * math.log1p(-parameter)
    return per_pulse / (bunching.period_ps * 1e-12), parameter


@kernel()
def alias_table(probabilities: Real) -> tuple[Real, NDArray[np.int64]]:
    """Return Walker's alias table: keep column k with `keep[k]`, else take `other[k]`."""
    n = len(probabilities)
    keep = probabilities * n
    other = np.arange(n)
    small = np.empty(n, dtype=np.int64)
    large = np.empty(n, dtype=np.int64)
    n_small = n_large = 0
    for k in range(n):
        if keep[k] < 1.0:
            small[n_small] = k
            n_small += 1
        else:
            large[n_large] = k
            n_large += 1
    while n_small and n_large:
        n_small -= 1
        little, big = small[n_small], large[n_large - 1]
        other[little] = big
        keep[big] -= 1.0 - keep[little]
        if keep[big] < 1.0:
            n_large -= 1
            small[n_small] = big
            n_small += 1
    # What is left over is 1 up to rounding, but a kind that never happens must stay out.
    for k in range(n_small):
        if keep[small[k]] > 0.5:
            keep[small[k]] = 1.0
    for k in range(n_large):
        keep[large[k]] = 1.0
    return keep, other


@kernel()
def outcomes(
    probabilities: Real, none_a: int, none_b: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], np.uint64]:
    """Return Walker's table as the drawing wants it, without a branch that nobody can foresee.

    A word that is k after a shift by the third answer, and whose lowest 53 bits are below
    `limits[k]`, means `pairs[2 k]`, else `pairs[2 k + 1]`: detector a, detector b in the next
    eight bits, and in the two after those whether a and b are detectors at all.
    """
    keep, other = alias_table(probabilities)
    shift = 64
    while 1 << (64 - shift) < len(keep):
        shift -= 1
    limits = np.empty(len(keep), dtype=np.uint64)
    pairs = np.empty(2 * len(keep), dtype=np.uint64)
    for k in range(len(keep)):
        limits[k] = np.uint64(np.ceil(keep[k] * 2.0**53))
        for choice, kind in enumerate((k, other[k])):
            a, b = kind // (none_b + 1), kind % (none_b + 1)
            is_seen = int(a < none_a) | int(b < none_b) << 1
            pairs[2 * k + choice] = a | b << 8 | is_seen << 16
    return limits, pairs, np.uint64(shift)


@kernel()
def _draw(
    state: State,
    timing: tuple[int, int, float, int, float],
    table: tuple[NDArray[np.uint64], NDArray[np.uint64], np.uint64],
    sides: tuple[Times, Inputs, Times, Inputs],
) -> tuple[int, int]:
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    start_ps, length_ps, gap_ps, period_ps, log_parameter = timing
    limits, pairs, shift = table
    times_a, detectors_a, times_b, detectors_b = sides
    # Counts without sign: else each access asks whether it counts from the end.
    one, capacity = np.uint64(1), np.uint64(len(times_a))
    n_a, n_b = np.uint64(0), np.uint64(0)
    elapsed_ps = 0.0
    while True:
        gap, s0, s1, s2, s3 = exponential(s0, s1, s2, s3)
        elapsed_ps += gap * gap_ps
        if elapsed_ps >= length_ps or n_a >= capacity or n_b >= capacity:
            return int(n_a), int(n_b)
        time_ps = start_ps + np.int64(elapsed_ps)
        if period_ps > 0:
            time_ps -= time_ps % period_ps
        left = 1
        if log_parameter > 0.0:
            word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
            left = _logarithmic(
                np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT, log_parameter
            )
        while left > 0 and n_a < capacity and n_b < capacity:
            left -= 1
            word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
            column = word >> shift
            is_other = (word & np.uint64(0x1FFFFFFFFFFFFF)) >= limits[column]
            pair = pairs[(column << one) | np.uint64(is_other)]
            times_a[n_a] = time_ps
            detectors_a[n_a] = np.uint8(pair & np.uint64(0xFF))
            n_a += (pair >> np.uint64(16)) & one
            times_b[n_b] = time_ps
            detectors_b[n_b] = np.uint8((pair >> np.uint64(8)) & np.uint64(0xFF))
            n_b += pair >> np.uint64(17)


@inner()
def _logarithmic(u: float, parameter: float) -> int:
    """Return n ≥ 1 with probability −pⁿ / (n ln(1 − p)), by inversion."""
    term = -parameter / np.log1p(-parameter)
    n = 1
    while u > term and n < 1000:
        u -= term
        term *= parameter * n / (n + 1)
        n += 1
    return n
