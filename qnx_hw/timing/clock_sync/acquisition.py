"""Find offset and rate of Bob's clock from the clicks alone."""

from collections.abc import Callable
from dataclasses import dataclass

from qnx_hw.timing.arrays import Times
from qnx_hw.timing.clock_sync.clock import ClockMap


@dataclass(frozen=True, slots=True)
class Lock:
    """Two clocks found to run together, and how sure that is."""

    clock: ClockMap
    jitter_ps: float
    """Standard deviation of the time differences of true pairs."""
    pairs: int
    """Pairs the fit rests on, true ones plus some accidentals."""
    evidence: float
    """Logarithm (base e) of how much better pairs explain the peak than chance."""
    required: float
    """Evidence that was asked for: rises with the limits searched, so that chance cannot win."""


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
    calls. Takes fractions of a second of one core where coincidences are plenty, tens of seconds
    where they drown in background; `should_stop` is asked now and then.

    Raise `UnsortedTimes` for times out of order; equal times are allowed.
    """
    raise NotImplementedError
