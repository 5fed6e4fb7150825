"""A relay's part of a circuit: bytes from one neighbour to the next, and back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from qnx_hw.edge.carrier import wake

CHUNK_BYTES = 256 << 10


class Relay:
    """Copies ciphertext in both directions until one side ends; two threads, two buffers."""

    def __init__(
        self,
        before: socket.socket,
        after: socket.socket,
        *,
        on_over: Callable[[Relay], None],
        hops: tuple[str, str],
    ) -> None:
        self.hops = hops
        """The neighbours, in the order in which the circuit was opened."""
        self.sent_bytes = [0, 0]
        """Towards the neighbour before, and after."""
        self._sides = before, after
        self._on_over = on_over
        self._left = 2
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin."""
        for to in (0, 1):
            thread = threading.Thread(target=self._copy, args=(to,), name="relay", daemon=True)
            thread.start()

    def cut(self) -> None:
        """End it, from any thread."""
        for side in self._sides:
            wake(side)

    def _copy(self, to: int) -> None:
        source, sink = self._sides[1 - to], self._sides[to]
        buffer = memoryview(bytearray(CHUNK_BYTES))
        try:
            while size := source.recv_into(buffer):
                sink.sendall(buffer[:size])
                self.sent_bytes[to] += size
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
        with self._lock:
            self._left -= 1
            if self._left:
                return
        for side in self._sides:
            side.close()
        self._on_over(self)
