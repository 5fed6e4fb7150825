"""Compiling what counts tags and makes keys, before the first tag comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from qnx_hw.config import NetworkFile
from qnx_hw.node.worker import Worker

Progress = Callable[[str, float], None]
"""Takes what is being prepared and the part of it that is done, 0 to 1."""

TIMING_SHARE = 0.4
"""Part of the whole that the timing kernels take; measured, for the bar only."""


async def warm_up(progress: Progress, network: NetworkFile) -> None:
    """Compile what a network needs off the event loop; quick where that was done before."""
    methods = {link.reconciliation for link in network.links.values()}
    pulses = any(link.protocol == "decoy-bb84" for link in network.links.values())
    loop = asyncio.get_running_loop()

    def hand(what: str, fraction: float) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(progress, what, fraction)

    worker = Worker("compiler")
    try:
        await worker.call(compile_all, hand, methods, pulses)
    finally:
        worker.close()


def compile_all(
    progress: Progress, methods: Collection[str] = ("auto",), pulses: bool = True
) -> None:
    """Run each kernel that links use once on next to nothing; takes seconds the first time.

    `methods` of reconciliation as network files name them; `pulses` where a link sends some.
    """
    import numpy as np

    from qnx_hw.instruments.tags import TagBlock
    from qnx_hw.qkd import (
        privacy_amplification,
        pulse_sync,
        reconciliation,
        selection,
        sifting,
    )
    from qnx_hw.qkd.parameters import StationInputs
    from qnx_hw.timing.warm_up import warm_up_links

    what = "compiling kernels"
    warm_up_links(lambda _, fraction: progress(what, TIMING_SHARE * fraction), pulses=pulses)
    progress(what, TIMING_SHARE)
    times = np.arange(1, 5, dtype=np.int64) * 1_000_000
    tags = TagBlock(times, np.arange(1, 5, dtype=np.uint8), 0, 10_000_000)
    sifting.EventFinder(StationInputs(), window_ps=2_000, dead_time_ps=0).find(tags)
    if pulses:
        pulse_sync.warm_up()
    selection.warm_up()
    progress(what, 0.7)
    reconciliation.warm_up(methods)
    progress(what, 0.9)
    bits = np.zeros(512, np.uint8)
    seed = np.zeros(privacy_amplification.seed_length(bits.size, 256), np.uint8)
    privacy_amplification.amplify(bits, seed, 256)
    progress(what, 1.0)
