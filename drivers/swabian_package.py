"""What is used of Swabian Instruments' own package, and where it is found.

The wire of their time taggers is not public, so the maker's package is the only way to one. It is
optional: it is imported once a tagger is connected, and tests hand in one of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from qnx_hw.errors import NotConnected

# Today's wheel, then what the maker's desktop installer leaves behind.
PLACES = ("Swabian.TimeTagger", "TimeTagger")
HOW_TO_GET = "install the maker's package: pip install swabian-timetagger"


class Tagger(Protocol):
    """A time tagger, as `createTimeTagger` returns it."""

    def getSerial(self) -> str: ...
    def getModel(self) -> str: ...
    def setTriggerLevel(self, channel: int, voltage: float) -> None: ...
    def getTriggerLevel(self, channel: int) -> float: ...
    def setInputDelay(self, channel: int, delay: int) -> None: ...
    def getInputDelay(self, channel: int) -> int: ...
    def setDeadtime(self, channel: int, deadtime: int) -> int: ...
    def getDeadtime(self, channel: int) -> int: ...
    def setTestSignal(self, channel: int, enabled: bool) -> None: ...
    def getTestSignal(self, channel: int) -> bool: ...
    def getOverflowsAndClear(self) -> int: ...


class Tags(Protocol):
    """What `TimeTagStream.getData` returns; `tGetData` is the stream's time at that moment."""

    tStart: int
    tGetData: int
    hasOverflows: bool

    def getTimestamps(self) -> NDArray[np.int64]: ...
    def getChannels(self) -> NDArray[np.int32]: ...
    def getEventTypes(self) -> NDArray[np.uint8]: ...
    def getMissedEvents(self) -> NDArray[np.uint16]: ...


class TagSource(Protocol):
    """A running stream; `getData` empties its buffer."""

    def getData(self) -> Tags: ...
    def stop(self) -> None: ...


class Rates(Protocol):
    """Counts per second of each channel since it was made."""

    def getData(self) -> NDArray[np.float64]: ...
    def stop(self) -> None: ...


class Package(Protocol):
    """The maker's module."""

    def scanTimeTagger(self) -> Sequence[str]: ...
    def createTimeTagger(self, serial: str = "") -> Tagger: ...
    def createTimeTaggerNetwork(self, address: str) -> Tagger: ...
    def freeTimeTagger(self, tagger: Tagger) -> None: ...
    def Countrate(self, tagger: Tagger, channels: Sequence[int]) -> Rates: ...
    def TimeTagStream(
        self, tagger: Tagger, n_max_events: int, channels: Sequence[int]
    ) -> TagSource: ...


def end(measurement: TagSource | Rates) -> None:
    """Stop a measurement; one that cannot be stopped ends once nobody keeps it."""
    stop = getattr(measurement, "stop", None)
    if stop is not None:
        stop()


def makers_package() -> Package:
    """Import the maker's package, or raise `NotConnected` with how to get it."""
    errors = []
    for place in PLACES:
        try:
            # The package comes without types; `Package` says what is used of it.
            return cast(Package, import_module(place))
        except ImportError as error:
            errors.append(str(error))
    raise NotConnected(f"Swabian time taggers: {HOW_TO_GET} ({errors[0]})")
