"""Compiling what counts tags, before the first tag comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qnx_hw.node.worker import Worker

Progress = Callable[[str, float], None]
"""Takes what is being prepared and the part of it that is done, 0 to 1."""


async def warm_up(progress: Progress) -> None:
    """Compile all kernels off the event loop; quick where they were compiled before."""
    loop = asyncio.get_running_loop()

    def hand(what: str, fraction: float) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(progress, what, fraction)

    worker = Worker("compiler")
    try:
        await worker.call(_compile, hand)
    finally:
        worker.close()


def _compile(progress: Progress) -> None:
    from qnx_hw import timing

    timing.warm_up(progress)
