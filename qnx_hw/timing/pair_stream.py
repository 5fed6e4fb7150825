"""Match two endless streams of tags that arrive in blocks."""

import numpy as np

from qnx_hw.timing.arrays import Channels, Times, UnsortedTimes, as_channels, as_times
from qnx_hw.timing.coincidence import MAX_TIME_PS, Pairs, Reach, check_limits, match_kernel


class PairStream:
    """Find the pairs `coincidence.match` would find in the whole streams, however they are cut.

    Tags that a later block could still change wait here. That is as many as one side is ahead of
    the other: the caller must bound it by feeding both sides.
    """

    def __init__(self, delays_ps: Times, window_ps: int) -> None:
        self._reach = Reach.of(delays_ps, window_ps)
        self._sides = (_Waiting(), _Waiting())

    @property
    def waiting(self) -> tuple[int, int]:
        """Tags of Alice and of Bob that are not settled yet."""
        return self._sides[0].times.size, self._sides[1].times.size

    def feed_a(self, times_ps: Times, channels: Channels, until_ps: int) -> None:
        """Add Alice's next tags; later ones will not be before `until_ps`."""
        self._sides[0].add(times_ps, channels, until_ps)

    def feed_b(self, times_ps: Times, channels: Channels, until_ps: int) -> None:
        """Add Bob's next tags, in the reference clock; later ones will not be before `until_ps`."""
        self._sides[1].add(times_ps, channels, until_ps)

    def take(self) -> Pairs:
        """Return the pairs that are certain by now; indices count from the streams' beginning."""
        a, b = self._sides
        self._reach.check_channels(a.channels, b.channels)
        room = min(a.times.size, b.times.size)
        found = (np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64))
        ends = np.array([a.until_ps, b.until_ps], dtype=np.int64)
        n, settled_a, settled_b = match_kernel(
            (a.times, a.channels), (b.times, b.channels), self._reach.rule(), ends, found
        )
        pairs = Pairs(found[0][:n] + a.dropped, found[1][:n] + b.dropped, found[2][:n])
        a.drop(settled_a)
        b.drop(settled_b)
        return pairs


class _Waiting:
    """Tags of one side that are not settled."""

    def __init__(self) -> None:
        self.times: Times = np.empty(0, np.int64)
        self.channels: Channels = np.empty(0, np.uint8)
        self.until_ps = -MAX_TIME_PS
        self.dropped = 0

    def add(self, times_ps: Times, channels: Channels, until_ps: int) -> None:
        times = as_times(times_ps)
        channels = as_channels(channels, times)
        check_limits(times)
        if until_ps < self.until_ps or (times.size and times[0] < self.until_ps):
            raise UnsortedTimes(f"a block begins or ends before {self.until_ps} ps, where it must")
        if times.size and times[-1] > until_ps:
            raise UnsortedTimes(f"a block ends at {until_ps} ps, before its last tag {times[-1]}")
        self.times = np.concatenate((self.times, times))
        self.channels = np.concatenate((self.channels, channels))
        self.until_ps = until_ps

    def drop(self, count: int) -> None:
        self.times, self.channels = self.times[count:], self.channels[count:]
        self.dropped += count
