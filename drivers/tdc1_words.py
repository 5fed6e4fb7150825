"""The words of a TDC1's stream, and the blocks that become of them.

Word format (maker's sheet of the TDC1, time-stamp mode): 32 bits, little-endian. Bits 31..5 count
2 ns units and roll over every 2^27 units (268.435456 ms); bit 4 marks a word that only shows the
roll-over; bits 3..0 say which inputs fired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock

UNIT_PS = 2000
PERIOD = 1 << 27
# Steps back by less than this are words out of order, all others are roll-overs (maker's scripts).
REORDER = 1 << 24
N_CHANNELS = 4
WORD_BYTES = 4
MARKER = 0x10
PATTERN = 0x0F
# At high rates two bytes can get lost; then the steps between words become wild. The maker's
# decoder calls a raw step above 2^25, which is 2^20 units, wild; at low rates a step is wild
# only when it is also far above what is usual.
WILD_STEP = 1 << 20
WILD_RATIO = 64
# So many words at the other alignment must look tame before it is believed.
PROOF_WORDS = 8
SLIP_BYTES = 2

_POPULATION = np.array([value.bit_count() for value in range(16)], dtype=np.int64)
_LOWEST = np.array([max((v & -v).bit_length(), 0) for v in range(16)], dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Tags in the order of their words: unwrapped units and inputs; `slips_at` in units."""

    units: NDArray[np.int64]
    channels: NDArray[np.uint8]
    first_unit: int | None
    """Time of the very first word, markers included, or None before one came."""
    newest_unit: int
    """Largest time seen so far, markers included."""
    slips_at: tuple[int, ...] = ()


class WordDecoder:
    """Turns a byte stream into tags; keeps alignment and the roll-over count in between."""

    def __init__(self) -> None:
        self.resyncs = 0
        self._pending = b""
        self._skip = 0
        self._last_raw: int | None = None
        self._last_is_marker = False
        self._last_unit = 0
        self._first_unit: int | None = None
        self._newest_unit = 0
        self._usual_step: float | None = None

    def feed(self, received: bytes) -> Decoded:
        """Decode all complete words that can be trusted by now."""
        skipped = min(self._skip, len(received))
        self._skip -= skipped
        self._pending += received[skipped:]
        parts: list[tuple[NDArray[np.int64], NDArray[np.uint8]]] = []
        slips: list[int] = []
        while len(self._pending) >= WORD_BYTES:
            words = np.frombuffer(self._pending, "<u4", len(self._pending) // WORD_BYTES)
            steps = self._steps(words)
            trusted, is_slip = self._trust(words, steps)
            if trusted:
                parts.append(self._unwrap(words[:trusted], steps[:trusted]))
            self._pending = self._pending[trusted * WORD_BYTES :]
            if not is_slip:
                break
            self._pending = self._pending[SLIP_BYTES:]
            self.resyncs += 1
            slips.append(self._last_unit)
        units = np.concatenate([part[0] for part in parts] or [np.empty(0, np.int64)])
        channels = np.concatenate([part[1] for part in parts] or [np.empty(0, np.uint8)])
        return Decoded(units, channels, self._first_unit, self._newest_unit, tuple(slips))

    def gap(self, lost_bytes: int) -> None:
        """Go on after bytes that are known to be missing behind what was fed."""
        self._skip = -(len(self._pending) + lost_bytes) % WORD_BYTES
        self._pending = b""

    def _steps(self, words: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return signed steps in units from word to word: small ones back, all others forward."""
        raw = (words >> np.uint32(5)).astype(np.int64)
        before = int(raw[0]) if self._last_raw is None else self._last_raw
        steps = np.diff(raw, prepend=before)
        steps &= PERIOD - 1
        steps[steps > PERIOD - REORDER] -= PERIOD
        markers = (words & np.uint32(MARKER)) != 0
        still = markers & (steps == 0)
        if still.any():  # the same marker twice: one silent period lies between them
            after_marker = np.concatenate(([self._last_is_marker], markers[:-1]))
            steps[still & after_marker] = PERIOD
        return steps

    def _trust(self, words: NDArray[np.uint32], steps: NDArray[np.int64]) -> tuple[int, bool]:
        """Return how many words to take, and whether the stream has slipped behind them."""
        sizes = np.abs(steps)
        if self._usual_step is None:
            if len(words) < 2 * PROOF_WORDS:
                return len(words), False
            self._usual_step = float(np.median(sizes[1:]))
        limit = max(WILD_STEP, WILD_RATIO * self._usual_step)
        if limit < PERIOD:
            for index in np.flatnonzero(sizes > limit).tolist():
                slipped = self._looks_slipped(index, limit)
                if slipped is None:
                    return index, False
                if slipped:
                    return index, True
        if len(words) >= 2 * PROOF_WORDS:
            self._usual_step = float(np.median(sizes[1:]))
        return len(words), False

    def _looks_slipped(self, index: int, limit: float) -> bool | None:
        """Whether words from `index` on only make sense two bytes later; None: too early to say."""
        start = index * WORD_BYTES
        if len(self._pending) < start + SLIP_BYTES + PROOF_WORDS * WORD_BYTES:
            return None
        there = np.frombuffer(self._pending, "<u4", PROOF_WORDS, start + SLIP_BYTES)
        here = np.frombuffer(self._pending, "<u4", PROOF_WORDS, start)
        return _is_tame(there, limit) and not _is_tame(here, limit)

    def _unwrap(
        self, words: NDArray[np.uint32], steps: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        if self._first_unit is None:
            self._last_unit = self._first_unit = self._newest_unit = int(words[0] >> np.uint32(5))
        units = np.cumsum(steps)
        units += self._last_unit
        self._last_raw = int(words[-1] >> np.uint32(5))
        self._last_is_marker = bool(words[-1] & np.uint32(MARKER))
        self._last_unit = int(units[-1])
        self._newest_unit = max(self._newest_unit, int(units.max()))
        patterns = (words & np.uint32(PATTERN)).astype(np.uint8)
        patterns[(words & np.uint32(MARKER)) != 0] = 0
        return _expand(units, patterns)


class BlockAssembler:
    """Cuts decoded tags into sorted blocks of equal length that join without a gap."""

    def __init__(self, block_ps: int) -> None:
        self._block_units = max(block_ps // UNIT_PS, 1)
        self._units: list[NDArray[np.int64]] = []
        self._channels: list[NDArray[np.uint8]] = []
        self._start: int | None = None
        self._newest = 0
        self._slips: list[int] = []
        self._has_overflow = False
        self.late_tags = 0

    def add(self, decoded: Decoded) -> None:
        """Take in decoded tags."""
        if self._start is None:
            self._start = decoded.first_unit
        self._newest = decoded.newest_unit
        self._slips += decoded.slips_at
        if decoded.units.size:
            self._units.append(decoded.units)
            self._channels.append(decoded.channels)

    def overflow(self) -> None:
        """Mark the next block as one that lacks tags."""
        self._has_overflow = True

    def next_block(self) -> TagBlock | None:
        """Return the next block whose tags are all here, or None."""
        if self._start is None or self._newest < self._start + self._block_units + REORDER:
            return None
        start, end = self._start, self._start + self._block_units
        units, channels = self._sorted()
        first, last = np.searchsorted(units, [start, end]).tolist()
        self.late_tags += first
        has_slip = any(slip < end for slip in self._slips)
        self._slips = [slip for slip in self._slips if slip >= end]
        block = TagBlock(
            units[first:last] * UNIT_PS,
            channels[first:last],
            start * UNIT_PS,
            end * UNIT_PS,
            lost=UNKNOWN_LOSS if has_slip or self._has_overflow else first,
            overflow=self._has_overflow,
        )
        self._units, self._channels = [units[last:]], [channels[last:]]
        self._start, self._has_overflow = end, False
        return block

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        if not self._units:
            return np.empty(0, np.int64), np.empty(0, np.uint8)
        units, channels = np.concatenate(self._units), np.concatenate(self._channels)
        if np.any(units[1:] < units[:-1]):
            order = np.argsort(units, kind="stable")
            units, channels = units[order], channels[order]
        return units, channels


def _is_tame(words: NDArray[np.uint32], limit: float) -> bool:
    """Whether these words follow each other closely, in time and form."""
    raw = (words >> np.uint32(5)).astype(np.int64)
    steps = (raw[1:] - raw[:-1]) & (PERIOD - 1)
    steps[steps > PERIOD // 2] -= PERIOD
    has_meaning = (words & np.uint32(MARKER | PATTERN)) != 0
    return bool(np.all(np.abs(steps) <= limit) and np.all(has_meaning))


def _expand(
    units: NDArray[np.int64], patterns: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return one tag per set bit, lower inputs first; markers give none."""
    population = _POPULATION[patterns]
    if population.max(initial=0) <= 1:
        fired = patterns != 0
        if fired.all():
            return units, _LOWEST[patterns]
        return units[fired], _LOWEST[patterns[fired]]
    bits = np.unpackbits(patterns[:, None], axis=1, count=N_CHANNELS, bitorder="little")
    word, channel = np.nonzero(bits)
    return units[word], (channel + 1).astype(np.uint8)
