"""Calls into a maker's package, on a thread of their own, so that even one that hangs has an end.

A package cannot be waited for: its calls return when they please. Here they wait in a queue for one
thread; a caller that gave up leaves the thread to its call, and a call that was not begun by then
is never made.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from qnx_hw.errors import InstrumentTimeout
from qnx_hw.transports import left_s

ResultT = TypeVar("ResultT")
Work = Callable[[], None]
WATCH_S = 0.2


class PackageCalls:
    """One thread that makes calls for all; `end` lets it go, once its call returns.

    While nobody asks it makes the call `watch`, as a package does not say what it lost.
    """

    def __init__(self, name: str, watch: Work) -> None:
        self._name = name
        self._watch = watch
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"package {name}", daemon=True).start()

    def call(self, function: Callable[[], ResultT], timeout_s: float) -> ResultT:
        """Return what `function` returns or raises; raise `InstrumentTimeout` where it hangs."""
        future: Future[ResultT] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

        self._waiting.put(work)
        try:
            return future.result(left_s(timeout_s))
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise
            future.cancel()
            raise InstrumentTimeout(
                f"the maker's package did not answer for '{self._name}' in time"
            ) from error

    def end(self) -> None:
        """Let the thread end."""
        self._waiting.put(None)

    def _run(self) -> None:
        while True:
            try:
                work = self._waiting.get(timeout=WATCH_S)
            except queue.Empty:
                work = self._watch
            if work is None:
                return
            work()
