"""Choose, move and drop tags before they are matched."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Channels, Times, as_channels, as_times, kernel
from qnx_hw.timing.coincidence import Side

Places = npt.NDArray[np.uint64]
_CHANNELS = 256


def select(times_ps: Times, channels: Channels, wanted: list[int]) -> tuple[Times, Channels]:
    """Keep the tags of these channels, in order."""
    table = np.zeros(_CHANNELS, np.bool_)
    table[wanted] = True
    keep = table[channels]
    return times_ps[keep], channels[keep]


def split(
    times_ps: Times, channels: Channels, groups: list[list[int]]
) -> list[tuple[Times, Channels]]:
    """Cut a merged stream into one stream per group of channels, in one pass.

    A channel belongs to one group at most; `ValueError` otherwise.
    """
    group_of = group_of_channel(groups)
    times = np.require(times_ps, dtype=np.int64, requirements=("C", "W", "A"))
    values = as_channels(channels, times)
    # Every group's part could hold all tags. What is never written takes no memory.
    starts = np.arange(len(groups) + 1, dtype=np.uint64) * np.uint64(times.size)
    ends = starts.copy()
    room = starts.size * times.size
    dealt, kept = np.empty(room, np.int64), np.empty(room, np.uint8)
    _deal((times, values), group_of, (dealt, kept), ends)
    return [
        (dealt[start:end], kept[start:end])
        for start, end in zip(starts[:-1].tolist(), ends[:-1].tolist(), strict=True)
    ]


def group_of_channel(groups: Sequence[Sequence[int]]) -> Channels:
    """Return for each channel the number of its group; `len(groups)` where it is in none.

    A channel from 0 to 255 belongs to one group at most; `ValueError` otherwise.
    """
    wanted = [channel for group in groups for channel in group]
    if len(set(wanted)) != len(wanted):
        raise ValueError(f"a channel stands twice in the groups {groups}")
    if wanted and not 0 <= min(wanted) <= max(wanted) < _CHANNELS:
        raise ValueError(f"channels are numbers from 0 to {_CHANNELS - 1}, not {wanted}")
    group_of = np.full(_CHANNELS, len(groups), np.uint8)
    for number, group in enumerate(groups):
        group_of[list(group)] = number
    return group_of


def without_delays(
    times_ps: Times, channels: Channels, delays_ps: Mapping[int, int]
) -> tuple[Times, Channels, npt.NDArray[np.int64]]:
    """Take each channel's delay off its tags and bring them into order again.

    Also return where each tag stood before. Equal times keep their order.
    """
    times = as_times(times_ps)
    values = as_channels(channels, times)
    table = np.zeros(_CHANNELS, np.int64)
    for channel, delay in delays_ps.items():
        table[channel] = delay
    moved = times - table[values]
    order = np.argsort(moved, kind="stable")
    return moved[order], values[order], order


def live(
    times_ps: Times, channels: Channels, dead_time_ps: int, *, per_channel: bool = True
) -> npt.NDArray[np.bool_]:
    """Mark the tags that come later than `dead_time_ps` after the tag before, kept or not.

    Per channel, or after any tag of the station. What comes within the dead time is an after-pulse
    or an echo of the tagger; a tag exactly at its end is kept.
    """
    times = as_times(times_ps)
    values = as_channels(channels, times) if per_channel else np.zeros(times.size, np.uint8)
    return np.asarray(_live(times, values, dead_time_ps), dtype=np.bool_)


def gated(times_ps: Times, period_ps: float, start_ps: int, width_ps: int) -> npt.NDArray[np.bool_]:
    """Mark the tags within gates of `width_ps` that open at `start_ps` and every period after.

    The period may be a fraction of picoseconds; whole numbers keep far gates exact.
    """
    if not 0 < width_ps <= period_ps:
        raise ValueError(f"gates of {width_ps} ps every {period_ps} ps")
    since = np.asarray(times_ps, dtype=np.int64) - start_ps
    whole = int(period_ps)
    fraction = period_ps - whole
    number = np.floor(since / period_ps).astype(np.int64)
    phase = since - number * whole - number * fraction
    # The division may be off by one period where it rounds.
    phase = np.where(phase < 0, phase + period_ps, phase)
    phase = np.where(phase >= period_ps, phase - period_ps, phase)
    return np.asarray(phase < width_ps)


@kernel()
def _live(times: Times, channels: Channels, dead_time: int) -> npt.NDArray[np.bool_]:
    last = np.full(_CHANNELS, -(1 << 62), np.int64)
    keep = np.empty(times.size, np.bool_)
    for i in range(times.size):
        keep[i] = times[i] - last[channels[i]] >= dead_time
        last[channels[i]] = times[i]
    return keep


@kernel()
def _deal(tags: Side, group_of: Channels, dealt: Side, ends: Places) -> None:
    """Write each tag to where its group's part ends, and move that on."""
    for index in range(np.uint64(tags[0].size)):
        channel = tags[1][index]
        group = np.uint64(group_of[channel])
        place = ends[group]
        dealt[0][place] = tags[0][index]
        dealt[1][place] = channel
        # Unsigned places need no check for those counted from the end.
        ends[group] = place + np.uint64(1)
