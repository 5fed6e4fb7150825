"""What is known about the other party's clock, and times brought to the reference clock."""

from dataclasses import dataclass

import numpy as np

from qnx_hw.timing.arrays import Times

_SLICE = 1 << 16


@dataclass(frozen=True, slots=True)
class ClockMap:
    """A straight line between two clocks; Alice's clock is the reference.

    A click at time `t_b` of Bob's clock happened at
    `t_b - offset_ps - rate * (t_b - origin_ps)` of Alice's clock. A positive offset means that
    Bob's clock shows a later time, a positive rate that it runs fast (4e-6: by 4 ppm).
    """

    origin_ps: int
    """Time of Bob's clock at which `offset_ps` holds."""
    offset_ps: int
    rate: float

    def to_reference(self, times_b_ps: Times) -> Times:
        """Bring Bob's times to Alice's clock; sorted times stay sorted.

        Absolute times stay whole numbers. Only the small correction is a float: exact to 1 ps up
        to 30 years from the origin at 200 ppm.
        """
        times = np.asarray(times_b_ps, dtype=np.int64)
        reference = np.empty_like(times)
        for start in range(0, times.size, _SLICE):  # slices stay in the processor's cache
            part = times[start : start + _SLICE]
            drift = np.rint((part - self.origin_ps) * self.rate).astype(np.int64)
            reference[start : start + _SLICE] = part - self.offset_ps - drift
        return reference

    def at(self, time_b_ps: int) -> int:
        """Return the offset at one time of Bob's clock, in picoseconds."""
        return self.offset_ps + round(self.rate * (time_b_ps - self.origin_ps))

    def from_reference(self, time_a_ps: int) -> int:
        """Return the time of Bob's clock at one time of Alice's, to 1 ps."""
        span = (time_a_ps + self.offset_ps - self.origin_ps) / (1.0 - self.rate)
        return time_a_ps + self.at(self.origin_ps + round(span))

    def moved(self, origin_ps: int) -> "ClockMap":
        """Return the same line, stated at another time of Bob's clock."""
        return ClockMap(origin_ps, self.at(origin_ps), self.rate)
