"""Whether sessions have compiled loops: these take seconds to come, and not all systems can."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qnx_hw.edge.ciphers import GcmCipher
from qnx_hw.edge.figures import Figures, Memory, SharedLock
from qnx_hw.edge.halves import SendingHalf
from qnx_hw.edge.pages import Pages
from qnx_hw.edge.records import RecordType
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

Loop = Callable[[npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]], int]


class Loops(NamedTuple):
    """What `loops` has, without importing it."""

    send: Loop
    receive: Loop
    n_words: int
    """Of scratch."""


class Engine:
    """Gives sessions the compiled loops once they are loaded; until then threads do without."""

    def __init__(self) -> None:
        self.loops: Loops | None = None

    def load(self) -> None:
        """Compile the loops, or load them from disk; for a thread, and quiet where they cannot be.

        They are used only where what they seal is, byte for byte, what the interpreter seals.
        """
        if sys.platform != "linux" or sys.byteorder != "little":
            return
        try:
            from qnx_hw.edge import loops
        except (ImportError, OSError, RuntimeError) as error:  # numba raises all three
            log.info("users' data is carried without compiled loops: %s", error)
            return
        found = Loops(loops.send_loop, loops.receive_loop, loops.SCRATCH_WORDS)
        if _is_right(found):
            self.loops = found
        else:
            log.error("the compiled loops do not seal as they should, and are not used")


class Runner:
    """One direction of a session in compiled loops."""

    def __init__(self, loop: Loop, figures: Figures, pages: Pages, n_words: int) -> None:
        self._loop = loop
        self._table = pages.table
        self._figures = np.frombuffer(memoryview(figures), np.dtype(Figures))
        self._scratch = np.zeros(n_words, np.int64)

    def run(self) -> int:
        """Run the loop until it returns an outcome."""
        return self._loop(self._figures, self._table, self._scratch)


def _is_right(loops: Loops) -> bool:
    """Whether the send loop makes the record that the interpreter makes."""
    key, said = bytes(range(32)), bytes(range(100))
    by_interpreter, by_loop = (SendingHalf(GcmCipher(Secret(key), 5)) for _ in range(2))
    figures, lock, plain = by_loop.figures, SharedLock(), Memory.of(len(said))
    if not figures.cipher:
        return False
    user, theirs = socket.socketpair()
    circuit, far = socket.socketpair()
    with user, theirs, circuit, far:
        user.sendall(said)
        figures.user, figures.circuit = theirs.fileno(), circuit.fileno()
        figures.plain, figures.plain_bytes = plain.address, len(said)
        figures.budget, figures.key_ends_ns = len(said), (1 << 63) - 1
        figures.send_lock = lock.address
        Runner(loops.send, figures, by_loop.pages, loops.n_words).run()
        circuit.shutdown(socket.SHUT_WR)
        sealed = far.recv(2 * len(said))
    return sealed == by_interpreter.seal(RecordType.DATA, memoryview(said), 0)
