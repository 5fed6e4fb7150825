"""Match two groups of channels of one endless stream, as a tagger with all detectors brings it."""

from collections.abc import Sequence

import numpy as np

from qnx_hw.timing.arrays import Channels, Times, UnsortedTimes, as_channels, kernel
from qnx_hw.timing.coincidence import (
    MAX_TIME_PS,
    Indices,
    Pairs,
    Reach,
    Side,
    check_limits,
    match_kernel,
)
from qnx_hw.timing.filters import group_of_channel

Kept = tuple[Times, Channels, Indices]
"""Times, channels, and where in the stream each tag stands."""


class MergedStream:
    """Find the pairs `filters.split` and `coincidence.match` would find, however it is cut.

    Most tags have no neighbour within the reach of a pair. Nothing depends on those, and one look
    at the time to the next tag tells: only the others are split and matched. That is several
    times faster than splitting everything, as long as delays and window are shorter than the
    usual time between two tags, and hardly slower where they are longer.
    """

    def __init__(
        self,
        delays_ps: Times,
        window_ps: int,
        channels_a: Sequence[int],
        channels_b: Sequence[int],
    ) -> None:
        """Take delays indexed by the stream's own channel numbers (see `coincidence.match`)."""
        self._reach = Reach.of(delays_ps, window_ps)
        self._group_of = group_of_channel([channels_a, channels_b])
        self._reach.check_channels(*(np.array(c, np.uint8) for c in (channels_a, channels_b)))
        self._kept = [_room(0), _room(0)]
        self._counts = np.zeros(3, np.int64)
        self._until_ps = -MAX_TIME_PS
        self._last_ps = -2 * MAX_TIME_PS

    def feed(self, times_ps: Times, channels: Channels, until_ps: int) -> Pairs:
        """Add the next tags, return the pairs that are certain by now.

        Later tags will not be before `until_ps`. The pairs' indices are places in the whole
        stream, counted over all channels; those of Bob's tags rise only where all delays are equal.
        """
        times = np.require(times_ps, requirements=("C", "W", "A"))
        if times.ndim != 1 or times.dtype != np.int64:
            raise ValueError(f"times must be flat int64 picoseconds, not {times.dtype}")
        channels = as_channels(channels, times)
        self._check_ends(times, until_ps)
        self._make_room(times.size)
        near = np.empty(times.size + 1, np.int64)
        reach_ps = self._reach.outer_ps + abs(self._reach.middle_ps)
        n_near, steps_back = _near(times, reach_ps, self._last_ps, until_ps, near)
        if steps_back:
            raise UnsortedTimes(f"the stream steps back {steps_back} times before {until_ps} ps")
        kept = (self._kept[0], self._kept[1])
        _deal((times, channels), near[:n_near], self._group_of, kept, self._counts)
        self._until_ps = until_ps
        self._last_ps = int(times[-1]) if times.size else self._last_ps
        return self._take()

    def _check_ends(self, times: Times, until_ps: int) -> None:
        check_limits(times)
        if until_ps < self._until_ps or (times.size and times[0] < self._until_ps):
            raise UnsortedTimes(f"a block begins or ends before {self._until_ps} ps")
        if times.size and times[-1] > until_ps:
            raise UnsortedTimes(f"a block ends at {until_ps} ps, before its last tag {times[-1]}")

    def _make_room(self, tags: int) -> None:
        for side, waiting in enumerate(self._counts[:2].tolist()):
            old = self._kept[side]
            if old[0].size <= waiting + tags:
                self._kept[side] = new = _room(2 * (waiting + tags) + 1)
                new[0][:waiting], new[1][:waiting] = old[0][:waiting], old[1][:waiting]
                new[2][:waiting] = old[2][:waiting]

    def _take(self) -> Pairs:
        a, b = (
            (times[:count], channels[:count], places[:count])
            for (times, channels, places), count in zip(self._kept, self._counts[:2], strict=True)
        )
        room = min(a[0].size, b[0].size)
        found = (np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64))
        ends = np.full(2, self._until_ps, dtype=np.int64)
        n, *settled = match_kernel(a[:2], b[:2], self._reach.rule(), ends, found)
        pairs = Pairs(a[2][found[0][:n]], b[2][found[1][:n]], found[2][:n])
        for side, done in zip((a, b), settled, strict=True):
            for part in side:
                part[: part.size - done] = part[done:].copy()
        self._counts[:2] -= settled
        return pairs


def _room(tags: int) -> Kept:
    return np.empty(tags, np.int64), np.empty(tags, np.uint8), np.empty(tags, np.int64)


@kernel()
def _near(
    times: Times, reach_ps: int, last_ps: int, until_ps: int, near: Indices
) -> tuple[np.int64, int]:
    """Note the tags with a neighbour in reach, or that may get one after `until_ps`.

    Return how many they are, and how often times step back. No branch here depends on a time, and
    unsigned places need no check for those counted from the end: 2 ns a tag.
    """
    if times.size == 0:
        return np.int64(0), 0
    n, steps_back = np.uint64(0), 0
    is_joined = times[0] - last_ps <= reach_ps
    end = np.uint64(times.size - 1)
    for place in range(end):
        gap = times[place + np.uint64(1)] - times[place]
        is_near = gap <= reach_ps
        near[n] = place
        n += np.uint64(is_joined | is_near)
        is_joined = is_near
        steps_back += gap < 0
    near[n] = end
    n += np.uint64(is_joined | (until_ps - times[end] <= reach_ps))
    return np.int64(n), steps_back


@kernel()
def _deal(
    block: Side, near: Indices, group_of: Channels, kept: tuple[Kept, Kept], counts: Indices
) -> None:
    """Append the noted tags to the side that their channel is on.

    `counts` are the tags that wait on either side, and those that came before this block. Each is
    written to both sides, and one of them counts on: nothing to guess for the processor.
    """
    (times_a, channels_a, places_a), (times_b, channels_b, places_b) = kept
    n_a, n_b = np.uint64(counts[0]), np.uint64(counts[1])
    for place in near:
        time, channel, seen = block[0][place], block[1][place], counts[2] + place
        times_a[n_a], channels_a[n_a], places_a[n_a] = time, channel, seen
        times_b[n_b], channels_b[n_b], places_b[n_b] = time, channel, seen
        n_a += np.uint64(group_of[channel] == 0)
        n_b += np.uint64(group_of[channel] == 1)
    counts[0], counts[1], counts[2] = n_a, n_b, counts[2] + block[0].size
