"""One thread for work that would hold up the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Worker:
    """Runs calls one after another in a thread of its own.

    The thread is a daemon: a computation that takes seconds does not hold up the end of the
    process, which an executor's thread would.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def call(
        self,
        function: Callable[_Arguments, _Result],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Result:
        """Return what `function` returns; cancelling stops the waiting, not the computation."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = function(*arguments, **named)
            except BaseException as error:
                _hand_over(loop, future, partial(future.set_exception, error))
            else:
                _hand_over(loop, future, partial(future.set_result, result))

        self._calls.put(run)
        return await future

    def post(self, function: Callable[[], object]) -> None:
        """Have something done that nobody waits for; it must not raise."""

        def run() -> None:
            function()

        self._calls.put(run)

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _hand_over(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[_Result], settle: Callable[[], None]
) -> None:
    def settle_if_awaited() -> None:
        if not future.cancelled():
            settle()

    if not loop.is_closed():
        loop.call_soon_threadsafe(settle_if_awaited)
