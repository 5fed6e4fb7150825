"""S-Fifteen time stamps: 64-bit words, as binary (a1) or as hex text (a0, a2).

Bits 63-10 count 1/256 ns, bit 4 marks a word that only carries the clock, bits 3-0 are the inputs.
Binary and a0 files come with the low half first; "legacy" ones have the high half first.
"""

import re

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings.recording import Recording, in_order

Words = npt.NDArray[np.uint64]
_HEX_LINE = re.compile(rb"[0-9a-fA-F]+")
# Tags of one device come nearly sorted; a wrong word order makes about every second step go back.
_MOST_DISORDER = 0.2
_CLOCK_BITS = 54


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
    if len(content) % 8:
        raise RecordingError(
            f"the S-Fifteen file is cut short: {len(content)} bytes are no whole 8-byte words"
        )
    halves = np.frombuffer(content, dtype="<u4").astype(np.uint64)
    words, order = _join_halves(halves, "a1")
    return _recording(words, f"a1 (binary, {order})")


def looks_like_binary(content: bytes) -> bool:
    """Whether the first words come in order of time, in one of the two word orders."""
    if not content or len(content) % 8:
        return False
    halves = np.frombuffer(content[:32768], dtype="<u4").astype(np.uint64)
    return min(_disorder(halves[1::2]), _disorder(halves[0::2])) <= _MOST_DISORDER


def _join_halves(halves: Words, kind: str) -> tuple[Words, str]:
    """Find out by the order of times which half comes first, and join them."""
    if halves.size % 2:
        raise RecordingError(f"the S-Fifteen {kind} file is cut short: half a word at its end")
    first, second = halves[0::2], halves[1::2]
    low_first, high_first = _disorder(second), _disorder(first)
    if min(low_first, high_first) > _MOST_DISORDER:
        raise RecordingError(f"the S-Fifteen {kind} file is damaged: its times are in no order")
    if high_first < low_first:
        return (first << np.uint64(32)) | second, "legacy word order"
    return (second << np.uint64(32)) | first, "low word first"


def _disorder(high: Words) -> float:
    """Return the share of steps that go back, a wrap of the clock forgiven."""
    if high.size < 2:
        return 0.0
    steps = np.diff(high.astype(np.int64))
    backward = (steps < 0) & (steps > -(1 << 31))
    return float(np.count_nonzero(backward)) / steps.size


def _recording(words: Words, kind: str) -> Recording:
    if _disorder(words >> np.uint64(32)) > _MOST_DISORDER:
        raise RecordingError(f"the S-Fifteen {kind} file is damaged: its times are in no order")
    ticks = (words >> np.uint64(64 - _CLOCK_BITS)).astype(np.int64)
    wraps = np.cumsum(np.diff(ticks, prepend=ticks[:1]) < -(1 << (_CLOCK_BITS - 1)))
    ticks += wraps << _CLOCK_BITS
    dummy = (words >> np.uint64(4)) & np.uint64(1) == 1
    pattern = np.where(dummy, 0, words & np.uint64(0xF)).astype(np.uint8)
    # One tag for each input of a word: 1/256 ns are 125/32 ps.
    inputs = [np.flatnonzero(pattern >> bit & 1) for bit in range(4)]
    rows = np.concatenate(inputs)
    channels = np.repeat(np.arange(1, 5, dtype=np.uint8), [index.size for index in inputs])
    order = np.argsort(rows, kind="stable")
    rows, channels = rows[order], channels[order]
    times_ps, channels, backward = in_order(ticks[rows] * 125 // 32, channels)
    return Recording(
        format=f"S-Fifteen {kind}",
        resolution_ps=125 / 32,
        times_ps=times_ps,
        channels=channels,
        records=int(words.size),
        overflows=int(np.count_nonzero(dummy)),
        backward_steps=backward,
    )
