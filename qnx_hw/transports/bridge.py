"""A wire whose device is served by a thread of its own, at the far end of an in-process pipe.

For libraries that cannot be waited for together with other descriptors (ZeroMQ, VISA).
"""

from __future__ import annotations

import logging
import socket
import threading
from abc import abstractmethod

from qnx_hw.errors import NotConnected
from qnx_hw.transports.sockets import SocketWire

log = logging.getLogger(__name__)

# What the serving thread may take to notice that its pipe was closed.
LONGEST_END_S = 5.0


class BridgedWire(SocketWire):
    """The near end; `_reach` opens the device and `_serve` moves bytes until an end closes."""

    def __init__(self, place: str) -> None:
        super().__init__(None, place)
        self._thread: threading.Thread | None = None

    def open(self, *, timeout_s: float) -> None:
        """Reach the device and start its thread."""
        self._reach(timeout_s)
        near, far = socket.socketpair()
        near.setblocking(False)
        self._socket = near
        self._thread = threading.Thread(
            target=self._run, args=(far,), name=f"bridge {self._place}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Close the pipe; its thread lets go of the device."""
        super().close()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(LONGEST_END_S)

    @abstractmethod
    def _reach(self, timeout_s: float) -> None:
        """Open the device, or raise `NotConnected`."""

    @abstractmethod
    def _serve(self, far: socket.socket) -> None:
        """Move bytes between the pipe and the device until either is gone, then let go."""

    def _run(self, far: socket.socket) -> None:
        with far:
            try:
                self._serve(far)
            except (OSError, NotConnected) as error:
                log.debug("%s ended: %s", self._place, error)
