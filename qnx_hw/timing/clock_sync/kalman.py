"""What is believed about a clock's offset and rate, and how the belief ages."""

import math

from qnx_hw.timing.clock_sync.clock import ClockMap

# A quartz oscillator's frequency wanders by about 1e-9 in a second (random walk of frequency) and
# its phase by 10 ps (white frequency noise); cheaper ones are no worse over a few seconds.
_WANDER_PS_PER_S = 1e3
_WALK_PS = 10.0
_PS = 1e12


class ClockFilter:
    """A Kalman filter with two states: offset (ps) and rate (ps per second of Bob's clock)."""

    def __init__(self, clock: ClockMap, offset_error_ps: float, rate_error: float) -> None:
        self._clock = clock
        self._fraction_ps = 0.0
        self._oo = offset_error_ps**2
        self._or = 0.0
        self._rr = (rate_error * _PS) ** 2

    @property
    def clock(self) -> ClockMap:
        """The best line, stated at the time of the last measurement."""
        return self._clock

    @property
    def rate_error(self) -> float:
        """One standard deviation of the rate."""
        return math.sqrt(self._rr) / _PS

    def offset_error_ps(self, time_b_ps: int) -> float:
        """Return one standard deviation of the offset foreseen for a time."""
        return math.sqrt(self._aged(time_b_ps)[0])

    def learn(self, time_b_ps: int, residual_ps: float, variance_ps2: float) -> None:
        """Take in that at `time_b_ps` the offset was larger than foreseen by `residual_ps`."""
        oo, cross, rr = self._aged(time_b_ps)
        gain = oo / (oo + variance_ps2)
        rate_gain = cross / (oo + variance_ps2)
        change = residual_ps - self._fraction_ps
        drift = self._clock.rate * (time_b_ps - self._clock.origin_ps)
        offset = drift - math.floor(drift) + self._fraction_ps + gain * change
        whole = math.floor(offset + 0.5)
        self._fraction_ps = offset - whole
        self._clock = ClockMap(
            time_b_ps,
            self._clock.offset_ps + math.floor(drift) + whole,
            self._clock.rate + rate_gain * change / _PS,
        )
        self._oo = (1 - gain) * oo
        self._or = (1 - gain) * cross
        self._rr = rr - rate_gain * cross

    def _aged(self, time_b_ps: int) -> tuple[float, float, float]:
        t = (time_b_ps - self._clock.origin_ps) / _PS
        noise = _WANDER_PS_PER_S**2
        oo = self._oo + 2 * t * self._or + t * t * self._rr
        oo += abs(t) * _WALK_PS**2 + noise * abs(t) ** 3 / 3
        cross = self._or + t * self._rr + noise * t * abs(t) / 2
        return oo, cross, self._rr + noise * abs(t)
