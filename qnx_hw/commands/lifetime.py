"""How long a command runs, and how it ends."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from qnx_hw.errors import QnxError

LOOK_INTERVAL_S = 0.2
SLOW_END_S = 15.0

_Result = TypeVar("_Result")


def run_async(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a command's coroutine; of several errors at once, raise the one said in words."""
    try:
        return asyncio.run(main)
    except BaseExceptionGroup as group:
        error = spoken(group)
        if error is None:
            raise
        raise error from group


def spoken(group: BaseExceptionGroup[BaseException]) -> QnxError | None:
    """Return the first error of ours in a group, or None where another kind is in it too."""
    ours, others = group.split(QnxError)
    if ours is None or others is not None:
        return None
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, QnxError)
    return error


def settle_heap() -> None:
    """Take all that was loaded by now out of what the garbage collector looks at.

    A full collection over the modules of a node takes 20 ms and more, in which nobody gets a key.
    """
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def told_to_stop(slow_end_s: float = SLOW_END_S) -> AsyncIterator[asyncio.Event]:
    """Yield an event that Ctrl-C or SIGTERM sets; a second Ctrl-C interrupts at once.

    A process that was told and still runs `slow_end_s` later prints where its threads and its
    tasks stand.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    kinds = (signal.SIGINT, signal.SIGTERM)

    def told() -> None:
        stop.set()
        faulthandler.dump_traceback_later(slow_end_s)
        loop.call_later(slow_end_s, _show_tasks)
        for kind in kinds:
            loop.remove_signal_handler(kind)

    try:
        for kind in kinds:
            loop.add_signal_handler(kind, told)
    except NotImplementedError:  # Windows: Ctrl-C cancels the main task instead
        pass
    try:
        yield stop
    finally:
        if not stop.is_set():
            _remove(loop, kinds)


def _show_tasks() -> None:
    """Print what each task waits for: threads alone do not tell why a loop goes on."""
    for task in asyncio.all_tasks():
        task.print_stack()


async def until(stop: asyncio.Event, seconds: float | None, is_done: Callable[[], bool]) -> None:
    """Wait until told to stop, or `seconds` went by, or `is_done`."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    while not (stop.is_set() or is_done() or (end is not None and loop.time() >= end)):
        try:
            async with asyncio.timeout(LOOK_INTERVAL_S):
                await stop.wait()
        except TimeoutError:
            continue


def _remove(loop: asyncio.AbstractEventLoop, kinds: tuple[signal.Signals, ...]) -> None:
    try:
        for kind in kinds:
            loop.remove_signal_handler(kind)
    except NotImplementedError:
        return
