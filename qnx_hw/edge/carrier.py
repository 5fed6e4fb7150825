"""The circuit that a session uses now: it can be lost and replaced while threads wait for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from qnx_hw.edge.figures import Figures
from qnx_hw.edge.halves import SessionOver

THREADED = 200
"""Sessions, and relays, of a node up to which each has two threads of its own."""

Place = tuple[socket.socket, int]
"""A circuit and how many came before."""


class Carrier:
    """Holds a connected, blocking socket; safe to use from any thread."""

    def __init__(
        self, circuit: socket.socket, on_lost: Callable[[], None], figures: Figures
    ) -> None:
        """Whenever the circuit changes, the figures' `turn` grows."""
        self._changed = threading.Condition()
        self._place: tuple[socket.socket | None, int] = circuit, 1
        self._over = ""
        self._on_lost = on_lost
        self._figures = figures
        # A lost socket is shut down at once and closed only when no thread can be inside a call on
        # it, since the system gives its number to the next socket.
        self._lost: list[socket.socket] = []

    def peek(self) -> tuple[socket.socket | None, int]:
        """Return the circuit, or None while it is lost, and how many came before; takes no lock."""
        return self._place

    def is_at(self, place: Place) -> Callable[[], bool]:
        """Return a question: whether this circuit is still in use."""
        return lambda: self._place == place

    def now(self) -> Place | None:
        """Return the circuit, None while it is lost; `SessionOver` where it ended."""
        circuit, generation = self._place
        if circuit is not None:
            return circuit, generation
        if self._over:
            raise SessionOver(self._over)
        return None

    def current(self, timeout_s: float) -> Place:
        """Return the circuit; waits for a new one, and raises `SessionOver` where none comes."""
        circuit, generation = self._place
        if circuit is not None:
            return circuit, generation
        with self._changed:
            if not self._changed.wait_for(lambda: self._place[0] or self._over, timeout_s):
                raise SessionOver(f"no way to the other end for {timeout_s:g} s")
            circuit, generation = self._place
            if circuit is None:
                raise SessionOver(self._over)
            return circuit, generation

    def lose(self, generation: int) -> None:
        """Give up a circuit; does nothing where it was replaced already."""
        with self._changed:
            if generation != self._place[1] or self._place[0] is None:
                return
            self._drop()
        self._on_lost()

    def attach(self, circuit: socket.socket) -> None:
        """Go on over a new circuit; the old one is closed."""
        with self._changed:
            if self._over:
                circuit.close()
                raise SessionOver(self._over)
            self._drop()
            self._place = circuit, self._place[1] + 1
            self._figures.turn += 1
            self._changed.notify_all()

    def finish(self, reason: str) -> None:
        """End it; whoever waits is told why."""
        with self._changed:
            self._over = self._over or reason
            self._drop()
            self._changed.notify_all()

    def close(self) -> None:
        """Close what was used; the threads must have ended."""
        with self._changed:
            self._drop()
            for circuit in self._lost:
                circuit.close()
            self._lost.clear()

    def _drop(self) -> None:
        circuit, generation = self._place
        if circuit is not None:
            wake(circuit)
            self._lost.append(circuit)
            self._place = None, generation
            self._figures.turn += 1


def wake(circuit: socket.socket) -> None:
    """Make every thread that is blocked on a socket return."""
    with suppress(OSError):
        circuit.shutdown(socket.SHUT_RDWR)
