"""What is believed about a clock's offset and rate, and how the belief ages."""

import math
from collections import deque

import numpy as np

from qnx_hw.timing.clock_sync.clock import ClockMap
from qnx_hw.timing.clock_sync.smoother import Belief, Path, smoothed

_PS = 1e12
# Later measurements than so many change nothing: the filter has forgotten by then.
_REMEMBERED = 24


class ClockFilter:
    """A Kalman filter with two states: offset (ps) and rate (ps per second of Bob's clock)."""

    def __init__(self, clock: ClockMap, offset_error_ps: float, rate_error: float) -> None:
        self._clock = clock
        variances = (offset_error_ps**2, 0.0, (rate_error * _PS) ** 2)
        # Offset and rate of a belief are what `clock`, in whole picoseconds, leaves over.
        self._belief = Belief(clock.origin_ps, 0.0, 0.0, *variances)
        self._past: deque[tuple[ClockMap, Belief]] = deque(maxlen=_REMEMBERED)

    @property
    def clock(self) -> ClockMap:
        """The best line, stated at the time of the last measurement."""
        return self._clock

    @property
    def rate_error(self) -> float:
        """One standard deviation of the rate."""
        return math.sqrt(self._belief.rr) / _PS

    def offset_error_ps(self, time_b_ps: int) -> float:
        """Return one standard deviation of the offset foreseen for a time."""
        return math.sqrt(self._belief.aged(time_b_ps).oo)

    def path(self) -> Path:
        """Return the measured past, each place seen with all that was measured later."""
        knots = smoothed([self._from_line(clock, belief) for clock, belief in self._past])
        times = np.array([knot.time_b_ps for knot in knots], dtype=np.int64)
        return Path(self._clock, times, np.array([knot.offset_ps for knot in knots]))

    def learn(self, time_b_ps: int, residual_ps: float, variance_ps2: float) -> None:
        """Take in that at `time_b_ps` the offset was larger than foreseen by `residual_ps`."""
        foreseen = self._belief.aged(time_b_ps)
        gain = foreseen.oo / (foreseen.oo + variance_ps2)
        rate_gain = foreseen.cross / (foreseen.oo + variance_ps2)
        change = residual_ps - foreseen.offset_ps
        drift = self._clock.rate * (time_b_ps - self._clock.origin_ps)
        offset = drift - math.floor(drift) + foreseen.offset_ps + gain * change
        whole = math.floor(offset + 0.5)
        self._clock = ClockMap(
            time_b_ps,
            self._clock.offset_ps + math.floor(drift) + whole,
            self._clock.rate + rate_gain * change / _PS,
        )
        self._belief = Belief(
            time_b_ps,
            offset - whole,
            0.0,
            (1 - gain) * foreseen.oo,
            (1 - gain) * foreseen.cross,
            foreseen.rr - rate_gain * foreseen.cross,
        )
        self._past.append((self._clock, self._belief))

    def _from_line(self, clock: ClockMap, belief: Belief) -> Belief:
        """Return an earlier belief as its distance from the line of now."""
        line = self._clock
        whole = clock.offset_ps - line.offset_ps
        beyond = whole - line.rate * (clock.origin_ps - line.origin_ps) + belief.offset_ps
        rate = (clock.rate - line.rate) * _PS
        variances = (belief.oo, belief.cross, belief.rr)
        return Belief(clock.origin_ps, beyond, rate, *variances)
