"""Blocks of equal length from the buffers of a Swabian time tagger, with what they lack.

Event types (maker's manual, TimeTagStream): 0 tag, 1 error, 2 and 3 begin and end of an overflow,
4 how many tags of a channel were missed. Falling edges of input n have the channel number -n.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from drivers.swabian_package import Tags
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock


class Event(IntEnum):
    """What an entry of a buffer is."""

    TAG = 0
    ERROR = 1
    OVERFLOW_BEGIN = 2
    OVERFLOW_END = 3
    MISSED = 4


class Blocks:
    """Cuts buffers into blocks that join without a gap."""

    def __init__(self, block_ps: int) -> None:
        self._block_ps = block_ps
        self._times: list[NDArray[np.int64]] = []
        self._channels: list[NDArray[np.uint8]] = []
        self._marks: list[tuple[int, Event, int]] = []
        self._start_ps: int | None = None
        self._horizon_ps = 0
        self._doubtful_until_ps: int | None = None
        self._is_overflowing = False

    def add(self, tags: Tags, *, overflows: int = 0) -> int:
        """Take a buffer in; `overflows` are those that the tagger counted since the last."""
        times = np.asarray(tags.getTimestamps(), np.int64)
        kinds = np.asarray(tags.getEventTypes())
        start_ps, horizon_ps = _span_ps(tags, times)
        if self._start_ps is None and start_ps is not None:
            self._start_ps = self._horizon_ps = start_ps
        self._horizon_ps = max(horizon_ps or 0, self._horizon_ps)
        is_tag = kinds == Event.TAG
        if not is_tag.all():
            self._mark(times[~is_tag], kinds[~is_tag], np.asarray(tags.getMissedEvents())[~is_tag])
        if (tags.hasOverflows or overflows) and is_tag.all():
            # It says that tags are missing and not where.
            self._doubtful_until_ps = self._horizon_ps
        self._times.append(times[is_tag])
        channels = np.abs(np.asarray(tags.getChannels())[is_tag]).astype(np.uint8)
        self._channels.append(channels)
        return len(channels)

    def drop(self) -> int:
        """Give up the tags that wait, because nobody reads them; return how many."""
        dropped = sum(len(times) for times in self._times)
        self._times, self._channels = [], []
        self._doubtful_until_ps = self._horizon_ps
        return dropped

    def next_block(self) -> TagBlock | None:
        """Return the next block whose tags are all here, or None."""
        if self._start_ps is None or self._horizon_ps < self._start_ps + self._block_ps:
            return None
        start_ps, end_ps = self._start_ps, self._start_ps + self._block_ps
        times, channels = self._sorted()
        first, last = np.searchsorted(times, [start_ps, end_ps]).tolist()
        lost, overflow = self._missing(start_ps, end_ps)
        if first and lost != UNKNOWN_LOSS:
            lost += first  # came after their block was gone
        block = TagBlock(times[first:last], channels[first:last], start_ps, end_ps, lost, overflow)
        self._times, self._channels = [times[last:]], [channels[last:]]
        self._start_ps = end_ps
        return block

    def _mark(
        self, times: NDArray[np.int64], kinds: NDArray[np.uint8], missed: NDArray[np.uint16]
    ) -> None:
        for time_ps, kind, count in zip(
            times.tolist(), kinds.tolist(), missed.tolist(), strict=True
        ):
            known = Event(kind) if kind in set(Event) else Event.ERROR
            self._marks.append((time_ps, known, count))

    def _missing(self, start_ps: int, end_ps: int) -> tuple[int, bool]:
        """Return how many tags a block lacks, and whether an overflow is the reason."""
        here = [mark for mark in self._marks if mark[0] < end_ps]
        self._marks = [mark for mark in self._marks if mark[0] >= end_ps]
        overflow, counted, is_unknown = self._is_overflowing, 0, False
        for _, kind, count in here:
            if kind is Event.ERROR:
                is_unknown = True
            elif kind is Event.MISSED:
                counted += count
            else:
                self._is_overflowing = kind is Event.OVERFLOW_BEGIN
                overflow = True
        if self._doubtful_until_ps is not None and start_ps < self._doubtful_until_ps:
            is_unknown = overflow = True
        if is_unknown or (overflow and not counted):
            return UNKNOWN_LOSS, overflow
        return counted, overflow or bool(counted)

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        times = np.concatenate([np.empty(0, np.int64), *self._times])
        channels = np.concatenate([np.empty(0, np.uint8), *self._channels])
        if np.any(times[1:] < times[:-1]):
            order = np.argsort(times, kind="stable")
            return times[order], channels[order]
        return times, channels


def _span_ps(tags: Tags, times: NDArray[np.int64]) -> tuple[int | None, int | None]:
    """Return when the stream began and up to when all is known.

    Where the package does not say, that is from the first event to the last, if there is one.
    """
    first, last = (int(times.min()), int(times.max())) if times.size else (None, None)
    return getattr(tags, "tStart", first), getattr(tags, "tGetData", last)
