"""Recordings of time tags by other people's instruments and programs, read from bytes."""

from qnx_hw.timing.recordings.formats import Format, detect, read
from qnx_hw.timing.recordings.recording import SYNC_CHANNEL, Recording

__all__ = ["SYNC_CHANNEL", "Format", "Recording", "detect", "read"]
