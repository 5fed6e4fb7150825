"""What belongs together on a wire: one caller at a time, and one deadline for all of it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qnx_hw.errors import Busy, Cancelled, InstrumentError, InstrumentTimeout
from qnx_hw.transports import left_s, overtime, together
from qnx_hw.transports.request import ends_s

# Nothing that an instrument does in one go takes longer: homing, an automatic bias.
LONGEST_TURN_S = 120.0
SET_BACK_S = 1.0
CANCEL_CHECK_S = 0.02


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


def has_time(span_s: float) -> bool:
    """Whether the block's deadline leaves so long."""
    return ends_s(math.inf) >= time.monotonic() + span_s


def sit_out(
    what: str, span_s: float, stopped: threading.Event, cancel: threading.Event | None
) -> None:
    """Wait while an instrument counts, unless it is stopped or the deadline is sooner."""
    if not has_time(span_s):
        raise InstrumentTimeout(f"{what} takes {span_s:g} s, and the deadline is sooner")
    over_s = time.monotonic() + span_s
    while (rest_s := over_s - time.monotonic()) > 0:
        is_stopped = stopped.wait(min(rest_s, CANCEL_CHECK_S))
        if is_stopped or (cancel is not None and cancel.is_set()):
            raise Cancelled(f"{what} was cancelled")


@contextmanager
def all_or_none(set_back: Callable[[], object]) -> Iterator[None]:
    """Set back what the block had changed where it fails half-way, within `SET_BACK_S` more."""
    try:
        yield
    except InstrumentError:
        with overtime(SET_BACK_S):
            set_back()
        raise
