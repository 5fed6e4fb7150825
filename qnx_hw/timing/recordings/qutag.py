"""quTAG binary files: a header of 40 bytes, then records of 10 (quTAG manual, file formats)."""

import numpy as np

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings.recording import Recording, in_order, refuse_long_steps_back

HEADER_BYTES = 40
RECORD = np.dtype([("time_ps", "<u8"), ("channel", "<u2")])
# Inputs are numbered up to 32 on the largest model, virtual ones stay below 256.
_CHANNEL_LIMIT = 255


def whole_records(size: int) -> int:
    """Return how many bytes header and whole records of a longer file take."""
    return size - (size - HEADER_BYTES) % RECORD.itemsize


def looks_like(content: bytes) -> bool:
    """Whether the size fits, and the first records hold channels and times that can be."""
    size = len(content) - HEADER_BYTES
    if size <= 0 or size % RECORD.itemsize:
        return False
    first = np.frombuffer(content, RECORD, count=min(size // 10, 4096), offset=HEADER_BYTES)
    forward = np.count_nonzero(np.diff(first["time_ps"].astype(np.int64)) >= 0)
    return bool(
        np.all(first["channel"] < _CHANNEL_LIMIT)
        and np.all(first["time_ps"] < 1 << 63)
        and forward >= 0.8 * (first.size - 1)
    )


def read(content: bytes) -> Recording:
    """Decode a whole quTAG file."""
    size = len(content) - HEADER_BYTES
    if size < 0 or size % RECORD.itemsize:
        raise RecordingError(
            f"the quTAG file is cut short: {len(content)} bytes are no header of {HEADER_BYTES} "
            f"and whole records of {RECORD.itemsize}"
        )
    records = np.frombuffer(content, RECORD, offset=HEADER_BYTES)
    wrong = np.flatnonzero((records["channel"] >= _CHANNEL_LIMIT) | (records["time_ps"] >> 63 == 1))
    if wrong.size:
        number = int(wrong[0])
        raise RecordingError(
            f"the quTAG file is damaged: record {number} has channel {records['channel'][number]} "
            f"and time {records['time_ps'][number]} ps"
        )
    found_ps = records["time_ps"].astype(np.int64)
    refuse_long_steps_back("quTAG", found_ps)
    times_ps, channels, backward = in_order(found_ps, records["channel"].astype(np.uint8))
    return Recording(
        format="quTAG binary",
        resolution_ps=1.0,
        times_ps=times_ps,
        channels=channels,
        records=int(records.size),
        backward_steps=backward,
    )
