"""S-Fifteen time stamps: 64-bit words, as binary (a1) or as hex text (a0, a2).

Bits 63-10 count 1/256 ns, bit 4 marks a word that only carries the clock, bits 3-0 are the inputs.
Binary and a0 files come with the low half first; "legacy" ones have the high half first.
"""

import re

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings.recording import (
    LONGEST_STEP_BACK_PS,
    Recording,
    in_order,
    refuse_long_steps_back,
)

Words = npt.NDArray[np.uint64]
Ticks = npt.NDArray[np.int64]
WORD_BYTES = 8
_HEX_LINE = re.compile(rb"[0-9a-fA-F]+")
# Tags of one device come nearly sorted; a wrong word order makes about every second step go back.
_MOST_DISORDER = 0.2
# A damaged recording has few such steps; bytes of something else have many.
_MOST_FAR_BACK = 0.02
_CLOCK_BITS = 54
_HALF_TURN = 1 << (_CLOCK_BITS - 1)
_LOW_HALF_TICKS = 1 << 22
# Words that show whether others would fit the bytes better.
_FEWEST_JUDGED, _MOST_JUDGED = 64, 4096
_MANY_BACKWARD = 0.03


def looks_like_text(content: bytes) -> bool:
    """Whether the first lines are hex numbers of 8 or 16 digits."""
    lines = content[:4096].split()
    if len(content) > 4096:
        lines = lines[:-1]
    return bool(lines) and all(len(x) in (8, 16) and _HEX_LINE.fullmatch(x) for x in lines)


def read_text(content: bytes) -> Recording:
    """Decode an a0 (32-bit lines) or a2 (64-bit lines) file."""
    lines = content.split()
    digits = len(lines[0]) if lines else 0
    for number, line in enumerate(lines, 1):
        if len(line) != digits or digits not in (8, 16) or not _HEX_LINE.fullmatch(line):
            shown = line[:20].decode("latin-1")
            raise RecordingError(
                f"the S-Fifteen text file is damaged: line {number} is '{shown}', "
                f"not a hex number of {digits if digits in (8, 16) else '8 or 16'} digits"
            )
    values = np.array([int(line, 16) for line in lines], dtype=np.uint64)
    if digits == 16:
        return _recording(values, "a2 (hex text)")
    words, order = _join_halves(values, "a0 text")
    return _recording(words, f"a0 (hex text, {order})")


def read_binary(content: bytes) -> Recording:
    """Decode an a1 file, in either word order."""
    if len(content) % WORD_BYTES:
        raise RecordingError(
            f"the S-Fifteen file is cut short: {len(content)} bytes are no whole 8-byte words"
        )
    if _is_out_of_step(content):
        raise RecordingError(
            "the S-Fifteen file is damaged: its words do not begin where the file does,"
            " some bytes are missing or too many"
        )
    words, order = _join_halves(_halves(content), "a1")
    return _recording(words, f"a1 (binary, {order})")


def whole_words(size: int) -> int:
    """Return how many bytes the whole words of a file take."""
    return size - size % WORD_BYTES


def looks_like_binary(content: bytes) -> bool:
    """Whether the first words come nearly in order of time, perhaps a few bytes out of step."""
    if not content or len(content) % WORD_BYTES:
        return False
    words = _likelier(_halves(content[: _MOST_JUDGED * WORD_BYTES]))[0]
    in_order = _disorder(_ticks(words)) <= _MOST_DISORDER
    if in_order and _far_back(words) <= _MOST_FAR_BACK * words.size:
        return True
    return _is_out_of_step(content)


def _halves(content: bytes) -> Words:
    return np.frombuffer(content, dtype="<u4").astype(np.uint64)


def _join_halves(halves: Words, kind: str) -> tuple[Words, str]:
    """Find out by the course of time which half comes first, and join them."""
    if halves.size % 2:
        raise RecordingError(f"the S-Fifteen {kind} file is cut short: half a word at its end")
    return _likelier(halves)


def _likelier(halves: Words) -> tuple[Words, str]:
    """Join halves in the order that has fewer steps back, or else in which time is shorter."""
    judged = halves[: 2 * _MOST_JUDGED]
    legacy, low_first = (_joined(judged[one::2], judged[1 - one :: 2]) for one in (0, 1))
    if _disarray(legacy) < _disarray(low_first):
        return _joined(halves[0::2], halves[1::2]), "legacy word order"
    return _joined(halves[1::2], halves[0::2]), "low word first"


def _disarray(words: Words) -> tuple[float, float]:
    return _disorder(_ticks(words)), _way(words)


def _joined(high: Words, low: Words) -> Words:
    return high << np.uint64(32) | low


def _far_back(words: Words) -> int:
    """Return how many steps go back by more than any device's."""
    steps_ps = np.diff(_picoseconds(_ticks(words)))
    return int(np.count_nonzero(steps_ps < -LONGEST_STEP_BACK_PS))


def _way(words: Words) -> float:
    """Return how many ticks the clock goes, forth and back."""
    return float(np.sum(np.abs(np.diff(_ticks(words))), dtype=np.float64))


def _is_out_of_step(content: bytes) -> bool:
    """Tell whether the words begin at another byte than the file.

    They do where the words from there, nearly all dummies or of one input, make a far steadier
    clock. Half a word too few swaps the halves of neighbours: then many steps go back a little.
    """
    judged = content[: _MOST_JUDGED * WORD_BYTES]
    if len(judged) < _FEWEST_JUDGED * WORD_BYTES:
        return False
    found = _likelier(_halves(judged))[0]
    way, backward = _way(found), _backward(found)
    for lost in range(1, WORD_BYTES):
        words = _likelier(_halves(judged[lost : lost - WORD_BYTES]))[0]
        inputs = words & np.uint64(0x1F)
        plain = (inputs >= 16) | np.isin(inputs, np.array([1, 2, 4, 8], np.uint64))
        is_swapped = backward > _MANY_BACKWARD and _backward(words) < backward / 4
        if np.mean(plain) > 0.9 and (_way(words) < way / 16 or is_swapped):
            return True
    return False


def _backward(words: Words) -> float:
    return float(np.mean(np.diff(_ticks(words)) < 0))


def _disorder(ticks: Ticks) -> float:
    """Return the share of steps that go back by more than the low half of a word can."""
    return float(np.count_nonzero(np.diff(ticks) < -_LOW_HALF_TICKS)) / max(ticks.size - 1, 1)


def _ticks(words: Words) -> Ticks:
    """Return what the clock showed, each of its turns (19.5 h) added; none is negative."""
    ticks = (words >> np.uint64(64 - _CLOCK_BITS)).astype(np.int64)
    steps = np.diff(ticks)
    # Around the turn words may be out of order, so the clock may seem to turn back, too.
    turns = np.cumsum((steps < -_HALF_TURN).astype(np.int64) - (steps > _HALF_TURN))
    ticks[1:] += turns << _CLOCK_BITS
    return ticks - (min(int(turns.min(initial=0)), 0) << _CLOCK_BITS)


def _picoseconds(ticks: Ticks) -> Ticks:
    """Return times of 1/256 ns, which are 125/32 ps, without overflow in the product."""
    return ticks // 32 * 125 + ticks % 32 * 125 // 32


def _recording(words: Words, kind: str) -> Recording:
    ticks = _ticks(words)
    if _disorder(ticks) > _MOST_DISORDER:
        raise RecordingError(f"the S-Fifteen {kind} file is damaged: its times are in no order")
    found_ps = _picoseconds(ticks)
    refuse_long_steps_back(f"S-Fifteen {kind}", found_ps)
    dummy = (words >> np.uint64(4)) & np.uint64(1) == 1
    pattern = np.where(dummy, 0, words & np.uint64(0xF)).astype(np.uint8)
    # One tag for each input of a word.
    inputs = [np.flatnonzero(pattern >> bit & 1) for bit in range(4)]
    rows = np.concatenate(inputs)
    channels = np.repeat(np.arange(1, 5, dtype=np.uint8), [index.size for index in inputs])
    order = np.argsort(rows, kind="stable")
    rows, channels = rows[order], channels[order]
    times_ps, channels, backward = in_order(found_ps[rows], channels)
    return Recording(
        format=f"S-Fifteen {kind}",
        resolution_ps=125 / 32,
        times_ps=times_ps,
        channels=channels,
        records=int(words.size),
        overflows=int(np.count_nonzero(dummy)),
        backward_steps=backward,
    )
