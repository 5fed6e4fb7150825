"""Recordings of time tags, of other people's instruments and our own, read from bytes."""

from qnx_hw.timing.recordings.formats import Format, detect, read
from qnx_hw.timing.recordings.recording import SYNC_CHANNEL, Recording
from qnx_hw.timing.recordings.writing import to_csv, to_ptu

__all__ = ["SYNC_CHANNEL", "Format", "Recording", "detect", "read", "to_csv", "to_ptu"]
