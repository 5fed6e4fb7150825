"""One acquisition of an ID900 that its data link service writes into files.

Source: ID Quantique, "ID900 Time Controller User Guide" and example scripts. The files lie where
the service runs, in its own formats: `file_format` is what it calls them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from drivers.id900_line import Id900Line
from drivers.id900_service import DataLinkService
from drivers.operation import SET_BACK_S, has_time
from qnx_hw.errors import InstrumentTimeout
from qnx_hw.transports import overtime

PS_PER_S = 10**12
LOOK_S = 0.05
# A count of stamps that stands so many looks has come to its end.
STILL_LOOKS = 4
Wait = Callable[[float, threading.Event | None], None]


@dataclass(frozen=True, slots=True)
class SavedInput:
    """What was saved of one input, and whether some of its stamps were lost."""

    channel: int
    filename: str
    time_stamps: int
    has_losses: bool


class Saving:
    """Records the prepared inputs of one controller once; `wait` lets time pass or raises."""

    def __init__(self, line: Id900Line, service: DataLinkService, wait: Wait) -> None:
        self._line = line
        self._service = service
        self._wait = wait

    def save(
        self,
        controller: str,
        filenames: Mapping[int, str],
        file_format: str,
        duration_s: float,
        cancel: threading.Event | None,
    ) -> tuple[SavedInput, ...]:
        """Save each input to its file, wait until all is written, and say how much that is."""
        self._service.save(controller, filenames, file_format)
        try:
            for channel in filenames:
                self._line.put(f"RAW{channel}:SEND", "ON")
            self._line.ask("REC:PLAY")
            self._wait(duration_s, cancel)
            while self._line.ask("REC:STAG?").upper() == "PLAYING":
                self._wait(LOOK_S, cancel)
            return tuple(
                SavedInput(channel, name, self._written(channel, cancel), self._has_losses(channel))
                for channel, name in filenames.items()
            )
        finally:
            with overtime(SET_BACK_S):
                self._end(filenames)

    def _end(self, filenames: Mapping[int, str]) -> None:
        try:
            self._line.ask("REC:STOP")
            for channel in filenames:
                self._line.ask(f"RAW{channel}:SEND OFF")
        finally:
            self._service.stop()

    def _written(self, channel: int, cancel: threading.Event | None) -> int:
        """Return how many stamps there are, once no more of them come."""
        still, written = 0, -1
        while still < STILL_LOOKS:
            if not has_time(LOOK_S):
                raise InstrumentTimeout(f"the data link still writes input {channel}")
            self._wait(LOOK_S, cancel)
            stamps = self._service.status(channel).stamps
            still, written = (still + 1 if stamps == written else 0), stamps
        return written

    def _has_losses(self, channel: int) -> bool:
        has_overflow = self._line.number(f"RAW{channel}:ERRORS?") > 0
        return has_overflow or self._service.status(channel).has_errors


def filename_of(filename: str, channel: int) -> str:
    """Return an input's own file: `run.bin` becomes `run-1.bin`."""
    path = PurePosixPath(filename)
    return str(path.with_name(f"{path.stem}-{channel}{path.suffix}"))
