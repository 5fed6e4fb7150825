"""What a station tells its control loops: each block that was judged, key or no key."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from qnx_hw.qkd.session import Metrics

BLOCKS_UNDER_WAY = 16


@dataclass(frozen=True, slots=True)
class Judged:
    """A block whose disclosed rounds were judged, key or no key."""

    block: int
    began_s: float
    """When its collection began, by the process' monotonic clock."""
    metrics: Metrics


class JudgedBlocks:
    """Tells of each block once; knows when those under way began."""

    def __init__(self) -> None:
        self._began_s: dict[int, float] = {}
        self._judged = self._late = 0
        self.on_judged: Callable[[Judged], object] | None = None
        """Called with every block that was judged; must return at once."""
        self.on_late: Callable[[Judged], object] | None = None
        """The same with every block that told how late this end's detectors are."""

    def begin(self, block: int) -> None:
        """Note that the collection of a block begins now."""
        recent = {
            each: at for each, at in self._began_s.items() if each >= block - BLOCKS_UNDER_WAY
        }
        self._began_s = {**recent, block: time.monotonic()}

    def pass_on(self, metrics: Metrics) -> None:
        """Tell once of each block that was judged, and of its detectors once that is known."""
        judged, late = metrics.judged_block, metrics.late_block
        if judged > self._judged and self.on_judged is not None:
            self._judged = judged
            self.on_judged(Judged(judged, self._began_s[judged], metrics))
        if late > self._late and self.on_late is not None:
            self._late = late
            self.on_late(Judged(late, self._began_s[late], metrics))
