"""Recordings written for other people's programs."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings.picoquant import MAGIC
from qnx_hw.timing.recordings.recording import SYNC_CHANNEL

# PicoQuant, "PTU file format": tag types and the record type of HydraHarp v2 T2.
_EMPTY, _INT8, _FLOAT8, _ANSI = 0xFFFF0008, 0x10000008, 0x20000008, 0x4001FFFF
_HYDRAHARP2_T2 = 0x01010204
_WRAP_PS = 1 << 25
_MOST_WRAPS = _WRAP_PS - 1
"""Wraps that one overflow record can carry."""
_CHANNELS = 62


def to_ptu(times_ps: npt.NDArray[np.int64], channels: npt.NDArray[np.uint8]) -> bytes:
    """Write tags as PicoQuant PTU, HydraHarp v2 T2 with 1 ps.

    `times_ps` int64 `(n,)`, sorted and not negative; `channels` uint8 `(n,)`, 0 to 62 as they shall
    stand in the file (read back unchanged), 255 for the sync input. `RecordingError` otherwise.
    """
    if times_ps.size and (times_ps[0] < 0 or np.any(np.diff(times_ps) < 0)):
        raise RecordingError("a PTU file holds times from zero on, in order")
    is_sync = channels == SYNC_CHANNEL
    if np.any(channels[~is_sync] > _CHANNELS):
        raise RecordingError(f"a PTU file holds channels 0 to {_CHANNELS}")
    words = _t2_words(times_ps, channels, is_sync)
    return _header(int(words.size)) + words.astype("<u4").tobytes()


def _t2_words(
    times_ps: npt.NDArray[np.int64],
    channels: npt.NDArray[np.uint8],
    is_sync: npt.NDArray[np.bool_],
) -> npt.NDArray[np.uint32]:
    wraps = times_ps // _WRAP_PS
    steps = np.diff(wraps, prepend=0)
    marks = -(-steps // _MOST_WRAPS)  # a long silence needs several
    places = np.cumsum(marks) + np.arange(times_ps.size)
    words = np.empty(times_ps.size + int(marks.sum()), np.uint32)
    # A sync click is a special record of channel 0 (bit 31 set).
    kind = np.where(is_sync, 1 << 31, channels.astype(np.int64) << 25)
    words[places] = (kind | (times_ps % _WRAP_PS)).astype(np.uint32)
    for index in np.flatnonzero(marks):
        end, count = int(places[index]), int(marks[index])
        left = int(steps[index])
        for place in range(end - count, end):
            carried = min(left, _MOST_WRAPS)
            words[place] = 1 << 31 | 63 << 25 | carried
            left -= carried
    return words


def _header(records: int) -> bytes:
    tags = (
        _tag("File_CreatingTime", _EMPTY, 0),
        _text("CreatorSW_Name", "qnx"),
        _text("CreatorSW_Version", "1.0"),
        _text("HW_Type", "HydraHarp 400"),
        _text("HW_Version", "2.0"),
        _tag("Measurement_Mode", _INT8, 2),
        _tag("MeasDesc_AcquisitionTime", _INT8, 0),
        _real("MeasDesc_GlobalResolution", 1e-12),
        _real("MeasDesc_Resolution", 1e-12),
        _tag("TTResult_SyncRate", _INT8, 0),
        _tag("TTResultFormat_TTTRRecType", _INT8, _HYDRAHARP2_T2),
        _tag("TTResultFormat_BitsPerRecord", _INT8, 32),
        _tag("TTResult_NumberOfRecords", _INT8, records),
        _tag("Header_End", _EMPTY, 0),
    )
    return MAGIC.ljust(8, b"\0") + b"1.0.00".ljust(8, b"\0") + b"".join(tags)


def _tag(name: str, kind: int, value: int) -> bytes:
    return struct.pack("<32siIq", name.encode(), -1, kind, value)


def _real(name: str, value: float) -> bytes:
    return struct.pack("<32siId", name.encode(), -1, _FLOAT8, value)


def _text(name: str, text: str) -> bytes:
    payload = text.encode("latin-1") + b"\0"
    payload += b"\0" * (-len(payload) % 8)
    return _tag(name, _ANSI, len(payload)) + payload


def to_csv(times_ps: npt.NDArray[np.int64], channels: npt.NDArray[np.uint8]) -> Iterator[str]:
    """Yield the lines of a CSV file, a heading first: whole picoseconds and channel."""
    yield "time_ps,channel\n"
    for time_ps, channel in zip(times_ps.tolist(), channels.tolist(), strict=True):
        yield f"{time_ps},{channel}\n"
