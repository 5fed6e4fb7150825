"""Find which click of Alice belongs to which click of Bob."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Channels, Times, as_channels, as_times, inner, kernel

Indices = npt.NDArray[np.int64]
Side = tuple[Times, Channels]
Rule = tuple[Times, Times]
Found = tuple[Indices, Indices, Times]
NEVER_PS = 1 << 61
"""Later than any time; where a stream ends for good."""
# Sums of a time, a delay and a window must stay inside int64.
MAX_TIME_PS = 1 << 60
# numba compiles what a kernel calls anew for each literal number it is called with; these are none,
# and int to it.
_ZERO: Any = np.int64(0)
_NONE: Any = np.int64(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Clicks that belong together: `times_a[index_a[k]]` and `times_b[index_b[k]]`.

    No click is in two pairs. `index_a` rises; `index_b` rises too where all delays are equal.
    `dt_ps` is Bob's time minus Alice's, minus the delay of the two channels.
    """

    index_a: Indices
    index_b: Indices
    dt_ps: Times

    def __len__(self) -> int:
        return int(self.index_a.size)


def no_delays(channels: int = 17) -> Times:
    """Delay matrix of zeros, for channels 0 to `channels - 1`."""
    return np.zeros((channels, channels), dtype=np.int64)


def match(
    times_a: Times,
    channels_a: Channels,
    times_b: Times,
    channels_b: Channels,
    delays_ps: Times,
    window_ps: int,
) -> Pairs:
    """Pair each click with its nearest one on the other side, if both find each other nearest.

    `delays_ps[channel_a, channel_b]` says how much later Bob's channel clicks than Alice's for the
    same pair; it is indexed by the channel numbers themselves. A distance is
    `|t_b - t_a - delay|`; a pair needs at most half of `window_ps` (its full width). Of two
    clicks equally near, the earlier in the array counts as nearer. The result does not depend on
    how a stream is cut into blocks (see `pair_stream`, and `merged_stream` for one stream of both
    sides). Both clocks must run together already.

    Raise `ValueError` for times out of order or beyond 13 days, a channel without a delay, or a
    window that is not positive.
    """
    times_a, times_b = as_times(times_a, "Alice's times"), as_times(times_b, "Bob's times")
    channels_a = as_channels(channels_a, times_a, "Alice's channels")
    channels_b = as_channels(channels_b, times_b, "Bob's channels")
    check_limits(times_a, times_b)
    reach = Reach.of(delays_ps, window_ps)
    reach.check_channels(channels_a, channels_b)
    room = min(times_a.size, times_b.size)
    found = (np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64))
    ends = np.array([NEVER_PS, NEVER_PS], dtype=np.int64)
    side_a, side_b = (times_a, channels_a), (times_b, channels_b)
    n, _, _ = match_kernel(side_a, side_b, reach.rule(), ends, found)
    return Pairs(found[0][:n], found[1][:n], found[2][:n])


def check_limits(*streams: Times) -> None:
    """Refuse times with which sums could overflow."""
    for times in streams:
        if times.size and max(-int(times[0]), int(times[-1])) > MAX_TIME_PS:
            raise ValueError(f"times beyond ±{MAX_TIME_PS} ps: {times[0]} to {times[-1]}")


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """How far apart two clicks of one pair may lie, over all channels and for each."""

    delays_ps: Times
    half_window_ps: int
    middle_ps: int
    """Middle of the smallest and the largest delay."""
    outer_ps: int
    """No pair is farther than this from `middle_ps`."""

    @classmethod
    def of(cls, delays_ps: Times, window_ps: int) -> "Reach":
        """Check delays and window."""
        delays = np.require(delays_ps, requirements=("C", "W", "A"))
        if delays.dtype != np.int64 or delays.ndim != 2 or not delays.size:
            raise ValueError(f"delays must be an int64 matrix, not {delays.dtype} {delays.shape}")
        low, high = int(delays.min()), int(delays.max())
        if window_ps < 1 or max(-low, high, window_ps) > MAX_TIME_PS:
            raise ValueError(f"a window of {window_ps} ps with delays {low} to {high} ps")
        middle = (low + high) // 2
        return cls(
            delays, window_ps // 2, middle, window_ps // 2 + max(high - middle, middle - low)
        )

    def rule(self) -> Rule:
        """What the kernel needs: the delays, and half window, middle, outer."""
        numbers = [self.half_window_ps, self.middle_ps, self.outer_ps]
        return self.delays_ps, np.array(numbers, dtype=np.int64)

    def check_channels(self, channels_a: Channels, channels_b: Channels) -> None:
        """Refuse channels that the delay matrix does not have."""
        for axis, channels in enumerate((channels_a, channels_b)):
            highest = int(channels.max(initial=0))
            if highest >= self.delays_ps.shape[axis]:
                raise ValueError(
                    f"channel {highest} has no delay: the matrix is {self.delays_ps.shape}"
                )


@kernel(_nrt=False)
def match_kernel(a: Side, b: Side, rule: Rule, ends: Times, found: Found) -> tuple[int, int, int]:
    """Match up to where later tags (from `ends` on, per side) could change the result.

    Walk both streams at once. Most steps are misses, and there the advance is arithmetic instead
    of a branch that the processor would guess wrong. Tags within reach of each other form a
    cluster that no other tag can disturb; each cluster is settled on its own.
    Return the number of pairs and how many tags of either side are settled.
    """
    ta, tb = a[0], b[0]
    delays, half, middle, outer = rule[0], rule[1][0], rule[1][1], rule[1][2]
    na, nb = ta.size, tb.size
    i = j = n = _ZERO
    while i < na and j < nb:
        d = tb[j] - ta[i] - middle
        if d > outer or d < -outer:
            i += d > outer
            j += d < -outer
            continue
        i_end, j_end = _cluster_end(ta, tb, i, j, middle, outer)
        if (i_end == na and ends[0] + middle - outer <= tb[j_end - 1]) or (
            j_end == nb and ends[1] - middle - outer <= ta[i_end - 1]
        ):
            return n, i, j
        if i_end == i + 1 and j_end == j + 1:
            d = tb[j] - ta[i] - delays[a[1][i], b[1][j]]
            found[0][n], found[1][n], found[2][n] = i, j, d
            n += -half <= d <= half
        else:
            n = _settle(a, b, rule, (i, i_end, j, j_end), found, n)
        i, j = i_end, j_end
    while i < na and ends[1] - middle - outer > ta[i]:
        i += 1
    while j < nb and ends[0] + middle - outer > tb[j]:
        j += 1
    return n, i, j


@inner(_nrt=False)
def _cluster_end(ta: Times, tb: Times, i: int, j: int, middle: int, outer: int) -> tuple[int, int]:
    # Sorted streams: the next tag belongs to the cluster if it reaches the other side's last one.
    i, j = i + 1, j + 1
    while True:
        if i < ta.size and tb[j - 1] - ta[i] - middle >= -outer:
            i += 1
        elif j < tb.size and tb[j] - ta[i - 1] - middle <= outer:
            j += 1
        else:
            return i, j


@inner(_nrt=False)
def _settle(
    a: Side,
    b: Side,
    rule: Rule,
    span: tuple[int, int, int, int],
    found: Found,
    n: int,
) -> int:
    """Pair the tags of one cluster that are nearest to each other, both ways."""
    ta, tb = a[0], b[0]
    delays, half, middle, outer = rule[0], rule[1][0], rule[1][1], rule[1][2]
    i_start, i_end, j_low, j_end = span
    for i in range(i_start, i_end):
        while j_low < j_end and tb[j_low] - ta[i] - middle < -outer:
            j_low += 1
        best, nearest, dt = _NONE, half + 1, _ZERO
        for j in range(j_low, j_end):
            if tb[j] - ta[i] - middle > outer:
                break
            d = tb[j] - ta[i] - delays[a[1][i], b[1][j]]
            if abs(d) < nearest:
                best, nearest, dt = j, abs(d), d
        if best >= 0 and _is_nearest(a, b, rule, (i_start, i, i_end, best), nearest):
            found[0][n], found[1][n], found[2][n] = i, best, dt
            n += 1
    return n


@inner(_nrt=False)
def _is_nearest(
    a: Side,
    b: Side,
    rule: Rule,
    place: tuple[int, int, int, int],
    distance: int,
) -> bool:
    """Tell whether no other click of Alice is nearer to Bob's click `j` than `i`."""
    i_start, i, i_end, j = place
    delays, middle, outer = rule[0], rule[1][1], rule[1][2]
    tb, cb = b[0][j], b[1][j]
    for k in range(i - 1, i_start - 1, -1):
        if tb - a[0][k] - middle > outer:
            break
        if abs(tb - a[0][k] - delays[a[1][k], cb]) <= distance:
            return False
    for k in range(i + 1, i_end):
        if tb - a[0][k] - middle < -outer:
            break
        if abs(tb - a[0][k] - delays[a[1][k], cb]) < distance:
            return False
    return True
