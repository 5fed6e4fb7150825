"""Find offset and rate of Bob's clock from the clicks alone.

First a folded correlation for a few supposed rates (`coarse`), then the line that the pairs draw
near its best peaks (`line`), then proof: the peak must be so strong that chance, with all the
places it was searched in, could not have made it. Where nothing is found the steps between
supposed rates are divided by four, which doubles the sensitivity and costs 8 to 16 times more.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np

from qnx_hw.timing.arrays import Times, as_times
from qnx_hw.timing.clock_sync.clock import ClockMap
from qnx_hw.timing.clock_sync.coarse import Candidate, FoldedCorrelation, middle_of, work_of
from qnx_hw.timing.clock_sync.line import Fit, Line, refine
from qnx_hw.timing.clock_sync.lock import Lock
from qnx_hw.timing.clock_sync.tracker import Tracker

_PS = 1e12
# Pairs within reach of a coarse peak: enough for any peak the coarse step can see.
_NEAR_PAIRS = 2e6
_LEAST_BIN_PS = 20_000
_MOST_BINS = 1 << 24
# Points to transform in one level: some 10 s of one core.
_MOST_WORK = 5e8
_WEAK, _STRONG = 4.5, 9.0
_CANDIDATES = 32
# ln(100 000): one false lock in so many calls on unrelated streams.
_CAUTION = 11.5
_LEAST_TAGS = 20
# Fewer pairs in a stretch than this would be no proof even without any background.
_LEAST_PAIRS = 12
# A quartz wanders by about this much in a second, so that the line found is not quite straight.
_WANDER = 1e-9


def acquire(
    times_a_ps: Times,
    times_b_ps: Times,
    *,
    offset_limit_s: float = 10.0,
    drift_limit_ppm: float = 200.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Lock | None:
    """Return the clocks' relation, or None where these tags do not prove one.

    The tags of both must cover a common stretch of real time (one second or more is usual); the
    arrays need not begin or end together. `offset_limit_s` bounds `|t_b - t_a|` of true pairs,
    `drift_limit_ppm` the rate of Bob's clock against Alice's. Times may be rounded (tagger
    resolution, coincidence window). No lock is declared that chance could explain once in 100 000
    calls; chance means independent random clicks, so a pulsed source must be narrowed down to one
    period by its limits. Takes fractions of a second of one core where coincidences are plenty,
    up to a minute where none are; `should_stop` is asked now and then.

    Raise `UnsortedTimes` for times out of order; equal times count once.
    """
    times_a, times_b = as_times(times_a_ps, "Alice's times"), as_times(times_b_ps, "Bob's times")
    if not 0 < offset_limit_s <= 1e5 or not 0 < drift_limit_ppm <= 1e4:
        raise ValueError(f"cannot search ±{offset_limit_s} s and ±{drift_limit_ppm} ppm")
    # A time told twice would count as proof twice.
    times_a, times_b = _once(times_a), _once(times_b)
    if min(times_a.size, times_b.size) < _LEAST_TAGS:
        return None
    search = _Search(times_a, times_b, offset_limit_s, drift_limit_ppm)
    for stretch, correlation, rates in search.levels():
        for candidate in _best_candidates(correlation, rates, should_stop):
            found = search.examine(stretch, candidate, correlation.bin_ps)
            if found is not None:
                return search.lock(found, stretch)
        if should_stop():
            break
    return None


def resolution_of(times: Times) -> int:
    """Return the unit to which these times are rounded, at least 1 ps."""
    steps = np.diff(times[:4096])
    return max(1, int(np.gcd.reduce(steps))) if steps.size > 1 else 1


def _once(times: Times) -> Times:
    is_new = np.ones(times.size, np.bool_)
    is_new[1:] = times[1:] != times[:-1]
    return times if is_new.all() else times[is_new]


def _best_candidates(
    correlation: FoldedCorrelation, rates: list[float], should_stop: Callable[[], bool]
) -> Iterator[Candidate]:
    """Yield striking ones as they come, and in the end the best of the others."""
    weak: list[Candidate] = []
    for start in range(0, len(rates), correlation.group):
        if should_stop():
            return
        group = rates[start : start + correlation.group]
        for candidate in correlation.candidates(group, _WEAK, _CANDIDATES):
            if candidate.score >= _STRONG:
                yield candidate
            else:
                weak.append(candidate)
    yield from sorted(weak, key=lambda candidate: -candidate.score)[:_CANDIDATES]


class _Search:
    """One call's tags and limits."""

    def __init__(
        self, times_a: Times, times_b: Times, offset_limit_s: float, drift_limit_ppm: float
    ) -> None:
        self._a, self._b = times_a, times_b
        self._limit_ps = round(offset_limit_s * _PS)
        self._least_bin_ps = max(_LEAST_BIN_PS, 2 * self._limit_ps // _MOST_BINS)
        self._full_step = 2e-6 * drift_limit_ppm
        self._span_a = max(1, int(times_a[-1]) - int(times_a[0]))
        self._rate_a = times_a.size / self._span_a
        # Tags of Bob crammed into a moment are not taken for a rate.
        self._rate_b = times_b.size / max(int(times_b[-1]) - int(times_b[0]), self._span_a / 10)
        self._resolution = math.hypot(resolution_of(times_a), resolution_of(times_b))

    def levels(self) -> Iterator[tuple[Times, FoldedCorrelation, list[float]]]:
        """Yield stretches of Alice's tags with the rates to suppose, from coarse to fine."""
        divisions = 1
        while True:
            step = self._full_step / divisions
            span = self._stretch_ps(step)
            bin_ps = max(self._least_bin_ps, int(step * span / 2))
            rates = [(k + 0.5) * step - self._full_step / 2 for k in range(divisions)]
            places = (0.5,) if span > self._span_a / 2 else (0.5, 0.0, 1.0)
            work = len(places) * work_of(span, self._limit_ps, bin_ps, divisions)
            if divisions > 1 and work > _MOST_WORK:
                return
            for place in places:
                stretch = self._stretch(span, place)
                if stretch.size >= _LEAST_TAGS and self._nearby(stretch).size >= _LEAST_TAGS:
                    correlation = FoldedCorrelation(
                        stretch, self._nearby(stretch), limit_ps=self._limit_ps, bin_ps=bin_ps
                    )
                    yield stretch, correlation, rates
            weakest = _WEAK * math.sqrt(self._rate_a * self._rate_b * step) * span
            if bin_ps == self._least_bin_ps or weakest < _LEAST_PAIRS:
                return
            divisions *= 4

    def examine(self, stretch: Times, candidate: Candidate, bin_ps: int) -> Fit | None:
        """Look closely at a candidate; return it if it is beyond doubt."""
        line = Line(middle_of(stretch), candidate.offset_ps, candidate.rate)
        found = refine(stretch, self._nearby(stretch), line, 1.5 * bin_ps, self._resolution)
        near_limits = abs(found.line.offset_ps) <= 1.001 * self._limit_ps and (
            abs(found.line.rate) <= 0.51 * self._full_step
        )
        return found if near_limits and found.evidence > self._required(found, stretch) else None

    def lock(self, found: Fit, stretch: Times) -> Lock:
        """State what was found, and follow it from the stretch's beginning to the last tags."""
        span_s = max(1, int(stretch[-1]) - int(stretch[0])) / _PS
        true = max(found.inside - found.expected, 1.0)
        error = found.sigma_ps * math.sqrt(found.inside) / true + 1.0
        line = found.line.moved(int(stretch[0]))
        clock = ClockMap(
            line.centre_ps + line.offset_ps, line.offset_ps, line.rate / (1.0 + line.rate)
        )
        wander = _WANDER * math.sqrt(span_s)
        start = Lock(
            clock=clock,
            offset_error_ps=math.hypot(2 * error, wander * span_s * _PS / 2),
            rate_error=math.hypot(math.sqrt(12) * error / span_s / _PS, wander),
            jitter_ps=found.sigma_ps,
            coincidence_rate_hz=true / 0.95 / span_s,
            resolution_ps=self._resolution,
            evidence=found.evidence,
            required=self._required(found, stretch),
        )
        tracker = Tracker(start)
        tracker.follow(
            self._a[np.searchsorted(self._a, stretch[0]) :],
            self._b[np.searchsorted(self._b, clock.from_reference(int(stretch[0]))) :],
        )
        return tracker.lock()

    def _required(self, found: Fit, stretch: Times) -> float:
        """Evidence that chance does not reach anywhere in the searched range."""
        sigma = max(found.sigma_ps, 1.0)
        span = max(1, int(stretch[-1]) - int(stretch[0]))
        offsets = 2 * self._limit_ps / sigma + 1
        slopes = self._full_step * span / sigma + 1
        return math.log(offsets) + math.log(slopes) + _CAUTION

    def _stretch_ps(self, step: float) -> int:
        """Return how long a stretch may be, given how many pairs come near a coarse peak."""
        pairs_per_ps2 = 1.5 * self._rate_a * self._rate_b * step
        return int(min(self._span_a, math.sqrt(_NEAR_PAIRS / pairs_per_ps2)))

    def _stretch(self, span_ps: int, place: float) -> Times:
        start = int(self._a[0]) + int((self._span_a - span_ps) * place)
        low, high = np.searchsorted(self._a, [start, start + span_ps + 1])
        return self._a[low:high]

    def _nearby(self, stretch: Times) -> Times:
        low, high = np.searchsorted(
            self._b, [stretch[0] - self._limit_ps, stretch[-1] + self._limit_ps + 1]
        )
        return self._b[low:high]
