"""A relay's part of a circuit: bytes from one neighbour to the next, and back."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable

from qnx_hw.edge.carrier import wake
from qnx_hw.edge.records import MAX_PLAIN_BYTES
from qnx_hw.edge.tcp import retransmits

CHUNK_BYTES = 256 << 10


class Relay:
    """Copies ciphertext in both directions until one side ends, with a buffer for each."""

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

    def retransmits(self) -> tuple[int, int]:
        """Return how many TCP segments were sent again, towards the two neighbours."""
        before, after = map(retransmits, self._sides)
        return before, after

    def start(self) -> None:
        """Begin, in two threads."""
        for side in self._sides:
            side.setblocking(True)
        for to in (0, 1):
            thread = threading.Thread(target=self._copy, args=(to,), name="relay", daemon=True)
            thread.start()

    async def run(self) -> None:
        """Do the same in two tasks, for very many relays on one thread."""
        for side in self._sides:
            side.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            for to in (0, 1):
                tasks.create_task(self._pass_on(to))

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
        self._ended()

    async def _pass_on(self, to: int) -> None:
        loop, source, sink = asyncio.get_running_loop(), self._sides[1 - to], self._sides[to]
        buffer = memoryview(bytearray(MAX_PLAIN_BYTES))
        try:
            while size := await loop.sock_recv_into(source, buffer):
                await loop.sock_sendall(sink, buffer[:size])
                self.sent_bytes[to] += size
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
        self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        for side in self._sides:
            side.close()
        self._on_over(self)
