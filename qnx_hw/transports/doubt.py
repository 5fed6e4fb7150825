"""When a line may still bring what nobody waits for any more.

A line is doubtful after a request that got no reply, and where a driver says so. Then nothing is
sent until nothing came for `quiet_s`; where the device has a harmless question (`Fence`), that is
asked and answered first, too. All of it is the I/O thread's alone.
"""

from __future__ import annotations

from concurrent.futures import Future

from qnx_hw.transports.framing import Framer
from qnx_hw.transports.request import Counters, LinkTraits, Priority, Request, resolve

# A device that never falls silent (status messages each 100 ms) must not block its link.
LONGEST_DRAIN_S = 1.0
FENCE_TIMEOUT_S = 1.0
FENCE_NUMBER = -1


class Doubt:
    """What is known of a line's silence; moments are of the monotonic clock."""

    def __init__(self, traits: LinkTraits, framer: Framer, counters: Counters) -> None:
        self.waiting: list[Future[bytes]] = []
        """Who waits for the line to be quiet."""
        self._traits = traits
        self._framer = framer
        self._counters = counters
        self._quiet_at_s: float | None = None
        self._ends_s = 0.0
        self._received_at_s = 0.0
        self._is_fence_due = False
        self._fences_open = 0

    @property
    def is_raised(self) -> bool:
        """Whether the line must be left alone now."""
        return self._quiet_at_s is not None

    def raise_(self, now_s: float, *, fenced: bool) -> None:
        """Begin to wait for silence, and for a fence where `fenced` and there is one."""
        self._is_fence_due |= fenced and self._traits.fence is not None
        self._quiet_at_s = now_s + self._traits.quiet_s
        self._ends_s = now_s + LONGEST_DRAIN_S

    def received(self, now_s: float) -> None:
        """Take note that bytes came."""
        self._received_at_s = now_s
        if self._quiet_at_s is not None:
            self._quiet_at_s = now_s + self._traits.quiet_s

    def due_s(self) -> list[float]:
        """Return when there is something to do next."""
        due = []
        if self._quiet_at_s is not None:
            due.append(min(self._quiet_at_s, self._ends_s))
        if self._traits.stale_s is not None and self._received_at_s:
            due.append(self._received_at_s + self._traits.stale_s)
        return due

    def settle(self, now_s: float) -> None:
        """End the doubt where the line is quiet, and forget the start of a message that is old."""
        if self._quiet_at_s is not None and now_s >= min(self._quiet_at_s, self._ends_s):
            self._quiet_at_s = None
            self._forget()
            for future in self.waiting:
                resolve(future, b"")
            self.waiting.clear()
        stale_s = self._traits.stale_s
        if stale_s is not None and self._received_at_s and now_s >= self._received_at_s + stale_s:
            self._received_at_s = 0.0
            self._forget()

    def fence(self, now_s: float) -> Request | None:
        """Return the question that must be answered before the next request, if there is one."""
        fence = self._traits.fence
        if fence is None or not self._is_fence_due:
            return None
        self._is_fence_due = False
        self._fences_open += 1
        deadline_s = now_s + FENCE_TIMEOUT_S
        return Request(Priority.COMMAND, FENCE_NUMBER, fence.payload, fence.matcher, deadline_s)

    def answered(self, request: Request, now_s: float) -> None:
        """Let the answers to fences that were given up come, too, where one is answered now."""
        if request.number != FENCE_NUMBER:
            return
        if self._fences_open > 1:
            self.raise_(now_s, fenced=False)
        self._fences_open = 0

    def _forget(self) -> None:
        self._counters.discarded_bytes += self._framer.reset()
