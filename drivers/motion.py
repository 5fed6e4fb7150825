"""A controller's motions: one at a time, each with a deadline, given up by a stop or a cancel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from drivers.operation import Operation
from qnx_hw.errors import Cancelled, InstrumentTimeout
from qnx_hw.instruments.values import InstrumentState

# A look that was begun in time may end; a unit that does not answer takes no longer than that.
LAST_LOOK_S = 0.2


class Motion:
    """What moves now, and how often it was told to stop; one at a time."""

    def __init__(self, name: str, *, poll_s: float) -> None:
        self._operation = Operation(name)
        self._name = name
        self._poll_s = poll_s
        self._stops = 0
        self._is_running = False

    @property
    def state(self) -> InstrumentState:
        """Busy while a motion runs."""
        return InstrumentState.BUSY if self._is_running else InstrumentState.READY

    def within(self, timeout_s: float | None) -> AbstractContextManager[None]:
        """Be the one who moves or sets something, so long at most."""
        return self._operation.within(None if timeout_s is None else timeout_s + LAST_LOOK_S)

    def give_up(self) -> None:
        """Have the running motion raise `Cancelled` at its next look."""
        self._stops += 1

    @contextmanager
    def running(self, timeout_s: float, cancel: threading.Event | None) -> Iterator[Watch]:
        """Be the one motion that runs; its time counts from this call."""
        deadline_s = time.monotonic() + timeout_s
        with self.within(timeout_s):
            stops = self._stops
            self._is_running = True
            try:
                yield Watch(
                    self._name,
                    self._poll_s,
                    deadline_s,
                    cancel or threading.Event(),
                    lambda: self._stops != stops,
                )
            finally:
                self._is_running = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Waits between two looks at a motion that is under way."""

    name: str
    poll_s: float
    deadline_s: float
    cancel: threading.Event
    is_given_up: Callable[[], bool]

    def wait(self, where: Callable[[], str]) -> None:
        """Wait for the next look, unless the motion was given up or its time is over.

        `where` says how it stands, for `InstrumentTimeout`.
        """
        if self.cancel.is_set() or self.is_given_up():
            raise Cancelled(f"the motion of '{self.name}' was given up")
        if time.monotonic() >= self.deadline_s:
            raise InstrumentTimeout(f"'{self.name}' did not arrive: {where()}")
        self.cancel.wait(self.poll_s)
