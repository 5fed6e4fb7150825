"""Follow Bob's clock from block to block."""

from qnx_hw.timing.arrays import Times
from qnx_hw.timing.clock_sync.acquisition import Lock
from qnx_hw.timing.clock_sync.clock import ClockMap


class Tracker:
    """Follow a lock with a Kalman filter of offset and rate; owned by one thread."""

    def __init__(self, lock: Lock) -> None:
        self._clock = lock.clock

    @property
    def clock(self) -> ClockMap:
        """The best line now, for times near the last ones that were followed."""
        return self._clock

    @property
    def jitter_ps(self) -> float:
        """Standard deviation of the time differences of true pairs, lately."""
        raise NotImplementedError

    @property
    def is_locked(self) -> bool:
        """Whether pairs are still seen where they are expected."""
        raise NotImplementedError

    def to_reference(self, times_b_ps: Times) -> Times:
        """Bring Bob's times to Alice's clock; sorted times stay sorted."""
        return self._clock.to_reference(times_b_ps)

    def follow(self, times_a_ps: Times, times_b_ps: Times) -> bool:
        """Learn from the next tags of both clocks (Bob's in his own clock); return `is_locked`.

        Looks a few jitters around the expected coincidence time for the peak, and beside it for
        the background. Blocks must come in order of time.
        """
        raise NotImplementedError
