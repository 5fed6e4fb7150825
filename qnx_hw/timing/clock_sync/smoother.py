"""What a clock showed a while ago, seen with what came after (Rauch, Tung, Striebel 1965)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Times
from qnx_hw.timing.clock_sync.clock import ClockMap

# A quartz oscillator's frequency wanders by about 1e-9 in a second (random walk of frequency) and
# its phase by 10 ps (white frequency noise); cheaper ones are no worse over a few seconds.
_WANDER_PS_PER_S = 1e3
_WALK_PS = 10.0
_PS = 1e12
_SLICE = 1 << 16


@dataclass(frozen=True, slots=True)
class Belief:
    """How far a clock is from some straight line at a time, and how sure that is."""

    time_b_ps: int
    offset_ps: float
    rate_ps_per_s: float
    oo: float
    """Variances and covariance of offset (ps) and rate (ps per second)."""
    cross: float
    rr: float

    def aged(self, time_b_ps: int) -> "Belief":
        """Return what it comes to at another time, without anything learnt in between."""
        t = (time_b_ps - self.time_b_ps) / _PS
        noise = _WANDER_PS_PER_S**2
        oo = self.oo + 2 * t * self.cross + t * t * self.rr
        oo += abs(t) * _WALK_PS**2 + noise * abs(t) ** 3 / 3
        cross = self.cross + t * self.rr + noise * t * abs(t) / 2
        offset = self.offset_ps + t * self.rate_ps_per_s
        return Belief(time_b_ps, offset, self.rate_ps_per_s, oo, cross, self.rr + noise * abs(t))


def smoothed(beliefs: Sequence[Belief]) -> list[Belief]:
    """Return the same times with what all later ones say; variances stay those before.

    Rauch, Tung and Striebel, AIAA Journal 3, 1445 (1965), eqs. 3.28 and 3.29.
    """
    result = list(beliefs)
    for k in range(len(beliefs) - 2, -1, -1):
        now, later = beliefs[k], result[k + 1]
        ahead = now.aged(later.time_b_ps)
        t = (later.time_b_ps - now.time_b_ps) / _PS
        determinant = ahead.oo * ahead.rr - ahead.cross**2
        if determinant <= 0:
            continue
        d_offset = later.offset_ps - ahead.offset_ps
        d_rate = later.rate_ps_per_s - ahead.rate_ps_per_s
        u = (ahead.rr * d_offset - ahead.cross * d_rate) / determinant
        v = (ahead.oo * d_rate - ahead.cross * d_offset) / determinant
        result[k] = replace(
            now,
            offset_ps=now.offset_ps + (now.oo + t * now.cross) * u + now.cross * v,
            rate_ps_per_s=now.rate_ps_per_s + (now.cross + t * now.rr) * u + now.rr * v,
        )
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """A clock's past from knot to knot, and the straight line that goes on from the last one."""

    clock: ClockMap
    times_b_ps: Times
    """Of the knots."""
    beyond_ps: npt.NDArray[np.float64]
    """How much larger the offset was at a knot than the straight line has it."""

    def to_reference(self, times_b_ps: Times) -> Times:
        """Bring Bob's times to Alice's clock; sorted times stay sorted."""
        times = np.asarray(times_b_ps, dtype=np.int64)
        if not times.size or not self.times_b_ps.size or times.min() >= self.times_b_ps[-1]:
            return self.clock.to_reference(times)
        reference = np.empty_like(times)
        origin = self.clock.origin_ps
        for start in range(0, times.size, _SLICE):
            since = times[start : start + _SLICE] - origin
            # Rounded once: two roundings could put neighbours out of order.
            drift = np.interp(since, self.times_b_ps - origin, self.beyond_ps)
            drift += since * self.clock.rate
            whole = np.rint(drift).astype(np.int64)
            reference[start : start + _SLICE] = since + (origin - self.clock.offset_ps) - whole
        return reference

    def at_knot(self, number: int) -> ClockMap:
        """Return the line through a knot, as steep as the path from there to the next."""
        time = int(self.times_b_ps[number])
        span = int(self.times_b_ps[number + 1]) - time
        steeper = (self.beyond_ps[number + 1] - self.beyond_ps[number]) / span
        offset = self.clock.at(time) + round(float(self.beyond_ps[number]))
        return ClockMap(time, offset, self.clock.rate + float(steeper))
