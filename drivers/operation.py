"""What belongs together on a wire: one caller at a time, and one deadline for all of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from qnx_hw.errors import Busy
from qnx_hw.transports import left_s, overtime, together

# Nothing that an instrument does in one go takes longer: homing, an automatic bias.
LONGEST_TURN_S = 120.0
SET_BACK_S = 1.0


class Operation:
    """Keeps apart what several threads ask of one instrument; a thread may enter again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()

    @contextmanager
    def within(self, timeout_s: float | None = None) -> Iterator[None]:
        """Be the one caller; waiting for that, and all that is asked then, ends after `timeout_s`.

        With None each question has its own deadline. Raises `Busy` where others take too long.
        """
        with together(timeout_s):
            if not self._lock.acquire(timeout=left_s(LONGEST_TURN_S)):
                raise Busy(f"'{self._name}' is busy with what another caller asked")
            try:
                yield
            finally:
                self._lock.release()


def setting_back() -> AbstractContextManager[None]:
    """Have `SET_BACK_S` more than the deadline, for what a failed call had changed already."""
    return overtime(SET_BACK_S)
