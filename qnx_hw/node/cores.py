"""The threads that all links of a node share for array work, in kernels that release the GIL.

How it thinks: a link offers the pieces of its work and begins with the first itself. Free threads
take offered pieces; a piece that nobody has begun when its link gets there the link does itself.
So a link never waits for another link's work, only for its own under way, and at worst it is as
fast as alone on one core. A link offers two pieces at a time, so no more than that ever waits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic

from qnx_hw.qkd.session.hands import Hands, Made


class Cores(Hands):
    """Threads, daemons so that a long computation does not hold up the end of the process."""

    def __init__(self, count: int) -> None:
        """Use `count` cores at most beside the callers' own."""
        self._offered: queue.SimpleQueue[_Piece[Any] | None] = queue.SimpleQueue()
        self._count = count
        for number in range(count):
            name = f"core {number + 1}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def side_by_side(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        pieces = [_Piece(work) for work in works]
        for piece in pieces[1:]:
            self._offered.put(piece)
        for piece in pieces:
            piece.do_if_free()
        return [piece.result() for piece in pieces]

    def close(self) -> None:
        """Let the threads end after what was offered to them."""
        for _ in range(self._count):
            self._offered.put(None)

    def _work(self) -> None:
        while (piece := self._offered.get()) is not None:
            piece.do_if_free()


class _Piece(Generic[Made]):
    """Work that is done by whoever claims it first."""

    def __init__(self, work: Callable[[], Made]) -> None:
        self._work = work
        self._claim = threading.Lock()
        self._is_done = threading.Event()
        self._made: list[Made] = []
        self._error: BaseException | None = None

    def do_if_free(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._made.append(self._work())
        except BaseException as error:
            self._error = error
        finally:
            self._is_done.set()

    def result(self) -> Made:
        self._is_done.wait()
        if self._error is not None:
            raise self._error
        return self._made[0]
