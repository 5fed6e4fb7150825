"""Choose, move and drop tags before they are matched."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Channels, Times, as_channels, as_times, kernel

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
    group_of = np.full(_CHANNELS, len(groups), np.int64)
    for number, group in enumerate(groups):
        if len(set(group)) != len(group) or np.any(group_of[group] != len(groups)):
            raise ValueError(f"a channel stands twice in the groups {groups}")
        group_of[group] = number
    values = as_channels(channels, times_ps)
    times, kept, ends = _dealt(times_ps, values, group_of, len(groups) + 1)
    return [
        (times[ends[number] : ends[number + 1]], kept[ends[number] : ends[number + 1]])
        for number in range(len(groups))
    ]


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
def _dealt(
    times: Times, channels: Channels, group_of: Times, n_groups: int
) -> tuple[Times, Channels, Times]:
    """Write each tag to the next place of its group; the last group is what nobody wants.

    Also return where each group begins, and where the last one ends.
    """
    counts = np.zeros(_CHANNELS, np.int64)
    for channel in channels:
        counts[channel] += 1
    ends = np.zeros(n_groups + 1, np.int64)
    for channel in range(_CHANNELS):
        ends[group_of[channel] + 1] += counts[channel]
    for group in range(n_groups):
        ends[group + 1] += ends[group]
    places = ends.copy()
    dealt = np.empty_like(times)
    kept = np.empty_like(channels)
    for index in range(times.size):
        group = group_of[channels[index]]
        place = places[group]
        dealt[place] = times[index]
        kept[place] = channels[index]
        places[group] = place + 1
    return dealt, kept, ends
