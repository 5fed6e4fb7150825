"""The TDC1's time-stamp words: 27 bits of 2 ns units, a marker bit and four inputs.

Bits 31..5 hold the time, bit 4 marks a word that only shows the roll-over, bits 3..0 are the
inputs that clicked in that 2 ns slot (maker's decoder, little-endian words).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNIT_PS = 2000
PERIOD_UNITS = 1 << 27
# Four markers in each period of 268 ms: a reader that misses one still sees the roll-over.
MARKER_UNITS = PERIOD_UNITS // 4

_MARKER = np.uint32(0x10)
_WORD = np.dtype("<u4")


def pack(
    times_ps: NDArray[np.int64], channels: NDArray[np.uint8], from_ps: int, until_ps: int
) -> NDArray[np.uint32]:
    """Return the words for sorted clicks, with the markers of the span [from_ps, until_ps).

    Clicks on several inputs in one 2 ns slot share a word.
    """
    units = times_ps // UNIT_PS
    patterns = np.left_shift(np.uint32(1), channels.astype(np.uint32) - np.uint32(1))
    if len(units):
        starts = np.flatnonzero(np.diff(units, prepend=units[0] - 1))
        if len(starts) < len(units):
            patterns = np.bitwise_or.reduceat(patterns, starts)
            units = units[starts]
    words = _time_bits(units) | patterns
    markers = _markers(from_ps // UNIT_PS, until_ps // UNIT_PS)
    if len(markers):
        places = np.searchsorted(units, markers, side="right")
        words = np.insert(words, places, _time_bits(markers) | _MARKER)
    return np.asarray(words, dtype=_WORD)


def _time_bits(units: NDArray[np.int64]) -> NDArray[np.uint32]:
    return ((units & (PERIOD_UNITS - 1)) << 5).astype(np.uint32)


def _markers(from_unit: int, until_unit: int) -> NDArray[np.int64]:
    """Return the last unit of each quarter of a period that lies in the span."""
    first = (from_unit + MARKER_UNITS) // MARKER_UNITS
    last = until_unit // MARKER_UNITS
    return np.arange(first, last + 1, dtype=np.int64) * MARKER_UNITS - 1
