"""Follow Bob's clock from block to block."""

import math

import numpy as np

from qnx_hw.timing.arrays import Times, as_times
from qnx_hw.timing.clock_sync.clock import ClockMap
from qnx_hw.timing.clock_sync.kalman import ClockFilter
from qnx_hw.timing.clock_sync.line import Fit, Line, Noise, fit, likelihood, refine
from qnx_hw.timing.clock_sync.lock import Lock
from qnx_hw.timing.clock_sync.parts import parts
from qnx_hw.timing.clock_sync.smoother import Path

# 100 pairs give the mean to 10 % of the jitter, soon enough for a quartz that wanders.
_PAIRS_PER_STEP = 100
_SHORTEST_PS, _LONGEST_PS = 20_000_000_000, 1_000_000_000_000
# A chance of one in a million per step (e^-14) that a background bump passes for the peak.
_LEAST_EVIDENCE = 14.0
_LOST_AFTER_PS = 3_000_000_000_000
_MOST_WAITING = 1 << 22
_WIDE = 12.0
_PS = 1e12
_MIN_TAGS = 3


class Tracker:
    """Follow a lock with a Kalman filter of offset and rate; owned by one thread.

    Tags wait inside until both sides reach far enough for a step; no more than 4 million a side,
    then the oldest are dropped.
    """

    def __init__(self, lock: Lock) -> None:
        self._filter = ClockFilter(lock.clock, lock.offset_error_ps, lock.rate_error)
        self._lock = lock
        self._jitter_ps = lock.jitter_ps
        self._pair_rate_hz = lock.coincidence_rate_hz
        self._step_ps = self._usual_step()
        self._a: Times = np.empty(0, np.int64)
        self._b: Times = np.empty(0, np.int64)
        self._seen_ps = lock.clock.origin_ps
        self._is_locked = True
        self._path: Path | None = None
        self._settled_b_ps = lock.clock.origin_ps

    @property
    def clock(self) -> ClockMap:
        """The best line now, for times near the last ones that were followed."""
        return self._filter.clock

    @property
    def jitter_ps(self) -> float:
        """Standard deviation of the time differences of true pairs, lately."""
        return self._jitter_ps

    @property
    def coincidence_rate_hz(self) -> float:
        """True pairs per second, lately."""
        return self._pair_rate_hz

    @property
    def is_locked(self) -> bool:
        """Whether pairs are still seen where they are expected; False after 3 s without."""
        return self._is_locked

    @property
    def settled(self) -> ClockMap:
        """The line at the newest time for which a whole step of later pairs was heard too.

        Behind the newest tags by one to two steps: 20 to 40 ms, or the time that 100 to 200 pairs
        take where they are fewer than 5000 in a second. `clock` does not wait; where it wanders
        by more than the jitter of a pair in that time, what has settled is several times better.
        """
        path = self._walked()
        knots = path.times_b_ps
        number = min(int(np.searchsorted(knots, self._settled_b_ps)), knots.size - 1) - 1
        return path.at_knot(number) if number >= 0 else self._lock.clock

    def to_reference(self, times_b_ps: Times) -> Times:
        """Bring Bob's times to Alice's clock; sorted times stay sorted.

        Times that the pairs of later steps have been heard for are the better for it: they go by
        the smoothed path, newer ones by the `clock`.
        """
        return self._walked().to_reference(times_b_ps)

    def lock(self) -> Lock:
        """Return the state as a lock, from which another tracker could go on."""
        origin = self.clock.origin_ps
        return Lock(
            clock=self.clock,
            offset_error_ps=self._filter.offset_error_ps(origin),
            rate_error=self._filter.rate_error,
            jitter_ps=self._jitter_ps,
            coincidence_rate_hz=self._pair_rate_hz,
            resolution_ps=self._lock.resolution_ps,
            evidence=self._lock.evidence,
            required=self._lock.required,
        )

    def follow(self, times_a_ps: Times, times_b_ps: Times) -> bool:
        """Learn from the next tags of both clocks (Bob's in his own clock); return `is_locked`.

        Looks a few jitters around the expected coincidence time for the peak, and beside it for
        the background. Each side's tags must be later than those before; the sides need not
        reach equally far. After a loss the search widens with the time that has passed, so that a
        link that comes back within a minute is found again.
        """
        self._a = np.concatenate((self._a, as_times(times_a_ps, "Alice's times")))[-_MOST_WAITING:]
        self._b = np.concatenate((self._b, as_times(times_b_ps, "Bob's times")))[-_MOST_WAITING:]
        while self._step():
            pass
        return self._is_locked

    def _step(self) -> bool:
        """Use up the next stretch that both sides cover; False where there is none yet."""
        if not self._a.size or not self._b.size:
            return False
        clock = self.clock
        first_b, last_b = int(self._b[0]), int(self._b[-1])
        start = min(max(int(self._a[0]), first_b - clock.at(first_b)), int(self._a[-1]))
        end = start + self._step_ps
        if end > min(int(self._a[-1]), last_b - clock.at(last_b)):
            return False
        cut_a = int(np.searchsorted(self._a, end))
        cut_b = int(np.searchsorted(self._b, clock.from_reference(end)))
        a = self._a[int(np.searchsorted(self._a, start)) : cut_a]
        self._measure(a, self._b, clock.from_reference((start + end) // 2))
        self._a, self._b = self._a[cut_a:], self._b[cut_b:]
        return True

    def _measure(self, times_a: Times, times_b: Times, time_b_ps: int) -> None:
        """Compare one stretch with what is foreseen, and learn from it."""
        found = self._find(times_a, times_b, time_b_ps) if times_a.size >= _MIN_TAGS else None
        if found is None:
            self._is_locked &= time_b_ps + self._step_ps // 2 - self._seen_ps < _LOST_AFTER_PS
            self._step_ps = min(2 * self._step_ps, _LONGEST_PS)
            return
        true = max(found.inside - found.expected, 1.0)
        variance = found.sigma_ps**2 * found.inside / true**2 + 1.0 / 12
        for part in parts(times_a, times_b, found):
            residual = part.line_ps - self._line(part.time_a_ps).offset_ps + part.residual_ps
            time_b = part.time_a_ps + part.line_ps
            self._filter.learn(time_b, residual, variance / part.share)
        self._path, self._settled_b_ps = None, time_b_ps - self._step_ps // 2
        span_s = max(1, int(times_a[-1]) - int(times_a[0])) / _PS
        # 95 % of a Gaussian peak is within two sigma.
        self._pair_rate_hz += 0.2 * (true / 0.95 / span_s - self._pair_rate_hz)
        self._jitter_ps += 0.2 * (found.sigma_ps - self._jitter_ps)
        self._step_ps = self._usual_step()
        self._seen_ps, self._is_locked = time_b_ps, True

    def _walked(self) -> Path:
        """Return the path up to the last step, smoothed when it is asked for."""
        if self._path is None:
            self._path = self._filter.path()
        return self._path

    def _find(self, times_a: Times, times_b: Times, time_b_ps: int) -> Fit | None:
        error = self._filter.offset_error_ps(time_b_ps)
        line = self._line((int(times_a[0]) + int(times_a[-1])) // 2)
        narrow = max(3.5 * self._jitter_ps, self._lock.resolution_ps)
        reach = _WIDE * self._jitter_ps + 5 * error
        low, high = np.searchsorted(
            times_b, [times_a[0] + line.offset_ps, times_a[-1] + line.offset_ps]
        )
        rate_b = (int(high) - int(low)) / max(1, int(times_a[-1]) - int(times_a[0]))
        noise = Noise(max(times_a.size * rate_b, 1e-9), self._lock.resolution_ps)
        if error < self._jitter_ps:
            found = fit(times_a, times_b, line, narrow + 3 * error, noise)
            needed = _LEAST_EVIDENCE
        else:
            found = refine(times_a, times_b, line, reach, self._lock.resolution_ps)
            needed = _LEAST_EVIDENCE + 2 * math.log(reach / self._jitter_ps + 1)
        shift = abs(found.line.offset_ps - line.offset_ps)
        expected = max(found.expected, 1e-3)
        is_sure = likelihood(found.inside, expected) >= needed and shift <= reach
        return found if is_sure and found.sigma_ps < 4 * self._jitter_ps + 100 else None

    def _line(self, time_a_ps: int) -> Line:
        """Return the foreseen line as a function of Alice's time."""
        clock = self.clock
        time_b = clock.from_reference(time_a_ps)
        return Line(time_a_ps, time_b - time_a_ps, clock.rate / (1.0 - clock.rate))

    def _usual_step(self) -> int:
        step = _PAIRS_PER_STEP / max(self._pair_rate_hz, 1e-3) * _PS
        return int(min(max(step, _SHORTEST_PS), _LONGEST_PS))
