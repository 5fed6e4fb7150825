"""What a recording holds, whatever wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import RecordingError

SYNC_CHANNEL = 255
"""Channel number that stands for the sync input of a T2 recording."""
LONGEST_STEP_BACK_PS = 10**11
"""Inputs have buffers, so tags come a little unsorted; what is far beyond that is damage."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The tags of a file, sorted by time.

    `times_ps` is int64 of shape `(n,)` in picoseconds, `channels` uint8 of the same shape with the
    numbers that the file uses. `laser` holds what only synchronous (T3) recordings have.
    """

    format: str
    """What kind of file it was, e.g. `PicoQuant PTU, HydraHarp v2 T3`."""
    resolution_ps: float
    times_ps: npt.NDArray[np.int64]
    channels: npt.NDArray[np.uint8]
    records: int
    """Records in the file, those without a tag included."""
    overflows: int = 0
    """Records that only carry the clock on: overflow marks, dummies."""
    markers: int = 0
    """Records of marker inputs; they make no tag."""
    backward_steps: int = 0
    """Places where the file's tags were not in order of time."""
    sync: "SyncRecord | None" = None
    details: Mapping[str, str] = field(default_factory=dict)
    """What the file's header says of its making."""

    def counts(self) -> dict[int, int]:
        """Return the number of tags of each channel that has any."""
        numbers, counts = np.unique(self.channels, return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist(), strict=True))

    @property
    def duration_s(self) -> float:
        """Time from the first tag to the last."""
        if self.times_ps.size < 2:
            return 0.0
        return float(self.times_ps[-1] - self.times_ps[0]) * 1e-12

    def of_channel(self, channel: int) -> npt.NDArray[np.int64]:
        """Return the times of one channel in ps."""
        times_ps: npt.NDArray[np.int64] = self.times_ps[self.channels == channel]
        return times_ps


@dataclass(frozen=True, slots=True, eq=False)
class SyncRecord:
    """What a T3 recording tells of each tag: the laser pulse before it and the time since.

    `pulses` is int64, `delays` uint16 in units of `resolution_ps`; both in the order of the file.
    """

    rate_hz: float
    pulses: npt.NDArray[np.int64]
    delays: npt.NDArray[np.uint16]
    channels: npt.NDArray[np.uint8]


def in_order(
    times_ps: npt.NDArray[np.int64], channels: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], int]:
    """Sort tags by time, keep equal times as they were, and count the steps back."""
    backward = int(np.count_nonzero(np.diff(times_ps) < 0))
    if not backward:
        return times_ps, channels, 0
    order = np.argsort(times_ps, kind="stable")
    return times_ps[order], channels[order], backward


def refuse_long_steps_back(what: str, times_ps: npt.NDArray[np.int64]) -> None:
    """Raise `RecordingError` where a record is dated so long before the one ahead of it."""
    wrong = np.flatnonzero(np.diff(times_ps) < -LONGEST_STEP_BACK_PS)
    if wrong.size:
        number = int(wrong[0]) + 1
        back_s = int(times_ps[number - 1] - times_ps[number]) * 1e-12
        raise RecordingError(
            f"the {what} file is damaged: record {number} is {back_s:.3g} s earlier than the one "
            f"before it, more than {LONGEST_STEP_BACK_PS * 1e-12:g} s"
        )
