"""Run two clocks together, knowing nothing but when each party's detectors clicked.

`acquire` finds offset and rate from scratch, `Tracker` follows them, `ClockMap` converts times.
"""

from qnx_hw.timing.clock_sync.acquisition import acquire, resolution_of
from qnx_hw.timing.clock_sync.clock import ClockMap
from qnx_hw.timing.clock_sync.lock import Lock
from qnx_hw.timing.clock_sync.tracker import Tracker

__all__ = ["ClockMap", "Lock", "Tracker", "acquire", "resolution_of"]
