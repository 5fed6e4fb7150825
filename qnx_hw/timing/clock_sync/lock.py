"""Two clocks found to run together."""

from dataclasses import dataclass

from qnx_hw.timing.clock_sync.clock import ClockMap


@dataclass(frozen=True, slots=True)
class Lock:
    """The relation of two clocks, and how sure it is."""

    clock: ClockMap
    """Holds from its origin on, near the end of the tags it was found in."""
    offset_error_ps: float
    """One standard deviation, at the origin."""
    rate_error: float
    jitter_ps: float
    """Standard deviation of the time differences of true pairs."""
    coincidence_rate_hz: float
    """True pairs per second."""
    resolution_ps: float
    """Units to which the times of both sides are rounded, added in squares."""
    evidence: float
    """Logarithm (base e) of how much better pairs explain the peak than chance does."""
    required: float
    """Evidence that was asked for: rises with the limits searched, so that chance cannot win."""
