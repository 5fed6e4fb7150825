"""Time tags as they leave a driver."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNKNOWN_LOSS = -1
"""Value of `TagBlock.lost` where tags are missing and nobody knows how many."""


@dataclass(frozen=True, slots=True, eq=False)
class TagBlock:
    """The tags of one span of time `[start_ps, end_ps)`, and what is missing from it.

    `times_ps` is sorted int64 of shape `(n,)` in picoseconds of the tagger's own clock; `channels`
    is uint8 of the same shape, inputs counted from 1. Consecutive blocks of a stream join without
    a gap: a silent second is a block without tags.
    """

    times_ps: npt.NDArray[np.int64]
    channels: npt.NDArray[np.uint8]
    start_ps: int
    end_ps: int
    lost: int = 0
    """Tags known to be missing, or `UNKNOWN_LOSS`. No key is made from a block with losses."""
    overflow: bool = False

    def __post_init__(self) -> None:
        if self.times_ps.shape != self.channels.shape or self.times_ps.ndim != 1:
            raise ValueError(
                f"times {self.times_ps.shape}, channels {self.channels.shape}: must be equal, flat"
            )
        if self.times_ps.dtype != np.int64 or self.channels.dtype != np.uint8:
            raise ValueError(
                f"times must be int64 and channels uint8, "
                f"not {self.times_ps.dtype}, {self.channels.dtype}"
            )
        if self.end_ps < self.start_ps:
            raise ValueError(f"block ends at {self.end_ps} ps, before its start {self.start_ps} ps")

    def __len__(self) -> int:
        return int(self.times_ps.size)

    @property
    def is_complete(self) -> bool:
        """Whether no tag is missing."""
        return self.lost == 0 and not self.overflow
