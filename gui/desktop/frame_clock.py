"""One clock for everything that moves: 30 frames per second, and only what can be seen."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import QObject, Qt, QTimer, Signal

FRAME_MS = 33
WORDS = 6
"""What is read and not watched changes with every sixth frame: five times a second."""
SLOW_S = 0.012
"""A card that takes longer twice in a row is drawn half as often."""
_SLOWEST = 16


class FrameClock(QObject):
    """Calls each drawer with every frame; a slow one less often, so that input never waits."""

    ticked = Signal()
    """A frame begins."""

    def __init__(self, parent: QObject, now: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(parent)
        self._now = now
        self._drawers: list[_Drawer] = []
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.tick)
        self.frame_s = 0.0
        """What the last frame that drew something took."""

    def add(self, draw: Callable[[], bool], every: int = 1) -> None:
        """Call `draw` with every so many frames; it returns whether it drew anything."""
        self._drawers.append(_Drawer(draw, every, len(self._drawers)))

    def start(self) -> None:
        """Run."""
        self._timer.start(FRAME_MS)

    def stop(self) -> None:
        """Stand still."""
        self._timer.stop()

    def tick(self) -> None:
        """Draw one frame: what is due in it."""
        self.ticked.emit()
        began = self._now()
        drew = False
        for drawer in self._drawers:
            drew |= drawer.tick(self._now)
        if drew:
            self.frame_s = self._now() - began

    def draw_all(self) -> None:
        """Draw everything now."""
        for drawer in self._drawers:
            drawer.draw()


class _Drawer:
    def __init__(self, draw: Callable[[], bool], every: int, number: int) -> None:
        self.draw = draw
        self._fastest = self._every = every
        # Those of the same pace take turns, so that no frame draws them all.
        self._skipped = number % every
        self._slow = 0

    def tick(self, now: Callable[[], float]) -> bool:
        self._skipped += 1
        if self._skipped < self._every:
            return False
        self._skipped = 0
        began = now()
        drew = self.draw()
        if not drew:
            return False
        took = now() - began
        self._slow = self._slow + 1 if took > SLOW_S else 0
        if self._slow >= 2:
            self._every, self._slow = min(2 * self._every, max(_SLOWEST, self._fastest)), 0
        elif took < SLOW_S / 2 and self._every > self._fastest:
            self._every //= 2
        return True
