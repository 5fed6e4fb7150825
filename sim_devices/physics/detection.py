"""Turn photons that meet detectors into stamps: dead time, after-pulses, jitter, clock.

Dead time acts on true times, jitter comes afterwards, and the stamps are sorted, as a tagger gives
them. Times are true picoseconds since the bench began, stamps those of the station's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from sim_devices.physics.clicks import Arrivals, Inputs, Place, Real, Times
from sim_devices.physics.random_words import TO_UNIT, State, exponential, kernel, next_word, seeded

FWHM_PER_SIGMA = 2.3548200450309493
N_JITTER = 4096
NEVER = -(1 << 61)
NO_TAGS: tuple[Times, Inputs] = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))


@dataclass(frozen=True, slots=True)
class Response:
    """How a station's detectors, all equal, answer light; times in ps, `jitter_ps` is the FWHM.

    `jitter_tail_fraction` of the clicks are later by an exponential of mean `jitter_tail_ps`.
    An after-pulse follows with the given probability, `afterpulse_ps` (mean) after the dead time.
    Crosstalk makes the next detector click too, at once. `recovery_ps` is the time in which the
    efficiency returns after the dead time, as 1 − exp(−t/recovery).
    """

    dead_time_ps: int = 0
    jitter_ps: float = 0.0
    jitter_tail_fraction: float = 0.0
    jitter_tail_ps: float = 0.0
    afterpulse_probability: float = 0.0
    afterpulse_ps: float = 50_000.0
    crosstalk_probability: float = 0.0
    recovery_ps: float = 0.0
    jitter_histogram: tuple[float, ...] = ()
    """A measured distribution, in bins of `jitter_bin_ps`; it stands in place of the others."""
    jitter_bin_ps: float = 1.0

    @property
    def reach_ps(self) -> int:
        """No click is moved further than this by jitter, but for one in 1e12."""
        measured_ps = len(self.jitter_histogram) * self.jitter_bin_ps
        return round(8 * self.jitter_ps + 16 * self.jitter_tail_ps + measured_ps) + 1


def jitter_table(response: Response) -> Real:
    """Return the inverse distribution of the jitter at 4097 equally likely steps, in ps.

    A measured one is counted from its mean: what all clicks have in common is a delay.
    """
    if response.jitter_histogram:
        return _measured(np.asarray(response.jitter_histogram), response.jitter_bin_ps)
    steps = (np.arange(N_JITTER + 1) / N_JITTER).clip(0.25 / N_JITTER, 1 - 0.25 / N_JITTER)
    gauss = response.jitter_ps / FWHM_PER_SIGMA * ndtri(steps)
    if not response.jitter_tail_fraction or not response.jitter_tail_ps:
        return np.asarray(gauss, dtype=np.float64)
    rng = np.random.default_rng(0)
    n_draws = 1 << 20
    late = rng.random(n_draws) < response.jitter_tail_fraction
    sample = ndtri((np.arange(n_draws) + 0.5) / n_draws) * response.jitter_ps / FWHM_PER_SIGMA
    sample = sample + late * rng.exponential(response.jitter_tail_ps, n_draws)
    return np.asarray(np.quantile(sample, steps))


def _measured(counts: Real, bin_ps: float) -> Real:
    edges = np.arange(counts.size + 1) * bin_ps
    below = np.concatenate(([0.0], np.cumsum(counts) / counts.sum()))
    mean_ps = float(np.sum(counts * (edges[:-1] + bin_ps / 2)) / counts.sum())
    filled = np.flatnonzero(counts > 0)
    # Both ends of each filled bin; nothing is drawn from the gap before the next.
    shares = np.column_stack((below[filled], below[filled + 1] - 1e-12)).ravel()
    times = np.column_stack((edges[filled], edges[filled + 1])).ravel()
    steps = np.arange(N_JITTER + 1) / N_JITTER
    return np.asarray(np.interp(steps, shares, times) - mean_ps)


@dataclass(slots=True, eq=False)
class Detectors:
    """The state of a station's detectors between chunks."""

    response: Response
    n_detectors: int = 4
    clicks: NDArray[np.int64] = field(init=False)
    """Clicks of each detector so far."""
    _last_ps: Times = field(init=False)
    _pending_ps: Times = field(init=False)
    _table: Real = field(init=False)

    def __post_init__(self) -> None:
        self.clicks = np.zeros(self.n_detectors, dtype=np.int64)
        self._last_ps = np.full(self.n_detectors, NEVER, dtype=np.int64)
        self._pending_ps = np.full(self.n_detectors, 1 << 61, dtype=np.int64)
        self._table = jitter_table(self.response)

    def register(
        self,
        arrivals: Arrivals,
        end_ps: int,
        clock: tuple[int, int, float],
        place: Place,
        held: tuple[Times, Inputs] = NO_TAGS,
    ) -> tuple[Times, Inputs]:
        """Return sorted stamps and inputs (from 1) of what clicks before `end_ps`.

        `clock` is (true time, stamp at that time, stamps per true time) of the chunk. Sorted tags
        `held` back from the chunk before are merged in.
        """
        r = self.response
        n, n_held = len(arrivals.times_ps), len(held[0])
        extra = (r.afterpulse_probability, r.afterpulse_ps, r.crosstalk_probability)
        capacity = n + 64
        if r.afterpulse_probability or r.crosstalk_probability:
            capacity = 4 * n + 256
        stamps = np.empty(capacity + n_held, dtype=np.int64)
        inputs = np.empty(capacity + n_held, dtype=np.uint8)
        stamps[:n_held], inputs[:n_held] = held
        state = seeded(place.seed, place.stream, place.chunk)
        seen, out = (arrivals.times_ps, arrivals.detectors, end_ps), (stamps, inputs, n_held)
        if any(extra[::2]) or r.recovery_ps:
            answer = (r.dead_time_ps, r.recovery_ps, self._table, *extra)
            memory = (self._last_ps, self._pending_ps, self.clicks)
            n_out = _register(state, seen, clock, answer, memory, out)
        else:
            plain = (r.dead_time_ps, self._table)
            n_out = _register_plainly(state, seen, clock, plain, (self._last_ps, self.clicks), out)
        return stamps[:n_out], inputs[:n_out]


@kernel()
def _register(
    state: State,
    arrivals: tuple[Times, Inputs, int],
    clock: tuple[int, int, float],
    answer: tuple[int, float, Real, float, float, float],
    memory: tuple[Times, Times, NDArray[np.int64]],
    out: tuple[Times, Inputs, int],
) -> int:
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    times, detectors, end_ps = arrivals
    start_ps, stamp_ps, stamps_per_ps = clock
    dead_ps, recovery_ps, table, after_probability, after_ps, cross_probability = answer
    last, pending, clicks = memory
    stamps, inputs, n = out
    has_extra = after_probability > 0.0 or cross_probability > 0.0
    next_extra = pending.min()
    n_in = len(times)
    i = 0
    while n < len(stamps):
        if i < n_in and times[i] <= next_extra:
            time_ps = times[i]
            d = np.int64(detectors[i])
            i += 1
        elif next_extra < end_ps:
            d = np.int64(np.argmin(pending))
            time_ps = pending[d]
            pending[d] = 1 << 61
            next_extra = pending.min()
        else:
            return n
        since_ps = time_ps - last[d]
        if since_ps < dead_ps:
            continue
        word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        if recovery_ps > 0.0 and since_ps < dead_ps + 40 * recovery_ps:
            u = np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT
            if u < np.exp(-(since_ps - dead_ps) / recovery_ps):
                continue
            word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        last[d] = time_ps
        clicks[d] += 1
        elapsed_ps = np.float64(time_ps - start_ps) + _jitter(word, table)
        stamp = stamp_ps + np.int64(np.floor(elapsed_ps * stamps_per_ps))
        _insert(stamps, inputs, np.uint64(n), stamp, np.uint8(d + 1))
        n += 1
        if has_extra:
            word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
            u = np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT
            if u < after_probability:
                delay, s0, s1, s2, s3 = exponential(s0, s1, s2, s3)
                pending[d] = min(pending[d], time_ps + dead_ps + np.int64(delay * after_ps))
                next_extra = pending.min()
            elif u < after_probability + cross_probability:
                neighbour = (d + 1) % len(last)
                pending[neighbour] = min(pending[neighbour], time_ps + 1)
                next_extra = pending.min()
    return n


@kernel()
def _register_plainly(
    state: State,
    arrivals: tuple[Times, Inputs, int],
    clock: tuple[int, int, float],
    answer: tuple[int, Real],
    memory: tuple[Times, NDArray[np.int64]],
    out: tuple[Times, Inputs, int],
) -> int:
    """Do the same for detectors with dead time and jitter alone: three times as fast."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    times, detectors, _ = arrivals
    start_ps, stamp_ps, stamps_per_ps = clock
    dead_ps, table = answer
    last, clicks = memory
    stamps, inputs, n_held = out
    # Counts without sign: else each access asks whether it counts from the end.
    n = np.uint64(n_held)
    for i in range(len(times)):
        time_ps = times[i]
        d = np.uint64(detectors[i])
        if time_ps - last[d] < dead_ps:
            continue
        word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        last[d] = time_ps
        clicks[d] += 1
        elapsed_ps = np.float64(time_ps - start_ps) + _jitter(word, table)
        stamp = stamp_ps + np.int64(np.floor(elapsed_ps * stamps_per_ps))
        _insert(stamps, inputs, n, stamp, np.uint8(d + np.uint64(1)))
        n += np.uint64(1)
    return int(n)


@njit(nogil=True, cache=True, inline="always")
def _jitter(word: np.uint64, table: Real) -> np.float64:
    step = word >> np.uint64(52)
    part = np.float64(np.int64(word & np.uint64(0xFFFFFFFFFF))) * 2.0**-40
    return np.float64(table[step] + part * (table[step + np.uint64(1)] - table[step]))


@njit(nogil=True, cache=True, inline="always")
def _insert(stamps: Times, inputs: Inputs, n: np.uint64, stamp: np.int64, tagger: np.uint8) -> None:
    """Put a stamp in its place among the `n` sorted ones; it nearly always is the last."""
    k = n
    while k > np.uint64(0) and stamps[k - np.uint64(1)] > stamp:
        stamps[k] = stamps[k - np.uint64(1)]
        inputs[k] = inputs[k - np.uint64(1)]
        k -= np.uint64(1)
    stamps[k] = stamp
    inputs[k] = tagger
