"""Compiling what counts tags and makes keys, before the first tag comes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Collection
from contextlib import suppress

from qnx_hw.config import NetworkFile
from qnx_hw.node import compiler_lock
from qnx_hw.node.worker import Worker

Progress = Callable[[str, float], None]
"""Takes what is being prepared and the part of it that is done, 0 to 1."""

OTHER_DEADLINE_S = 120.0
LINKS_SHARE, TIMING_SHARE = 0.7, 0.6
"""Parts that links take of the whole, and timing of that; measured, for the bar only."""


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
    from qnx_hw.timing.arrays import is_first_time, kernel_folder

    is_first = is_first_time()
    with compiler_lock.taken(kernel_folder(), alone=is_first, deadline_s=OTHER_DEADLINE_S):
        what = "compiling kernels"
        other = _other_process(methods) if is_first else None
        _compile_links(lambda fraction: progress(what, LINKS_SHARE * fraction), pulses)
        if other is not None:
            with suppress(subprocess.TimeoutExpired):
                other.wait(OTHER_DEADLINE_S)
        progress(what, 0.9)
        compile_keys(methods)
        progress(what, 1.0)


def _compile_links(progress: Callable[[float], None], pulses: bool) -> None:
    """Compile what finds pairs and sifts them."""
    import numpy as np

    from qnx_hw.instruments.tags import TagBlock
    from qnx_hw.qkd import pulse_sync, selection, sifting
    from qnx_hw.qkd.parameters import StationInputs
    from qnx_hw.timing.warm_up import warm_up_links

    warm_up_links(lambda _, fraction: progress(TIMING_SHARE * fraction), pulses=pulses)
    times = np.arange(1, 5, dtype=np.int64) * 1_000_000
    tags = TagBlock(times, np.arange(1, 5, dtype=np.uint8), 0, 10_000_000)
    sifting.EventFinder(StationInputs(), window_ps=2_000, dead_time_ps=0).find(tags)
    if pulses:
        pulse_sync.warm_up()
    selection.warm_up()
    progress(1.0)


def compile_keys(methods: Collection[str]) -> None:
    """Compile what makes strings equal and hashes them."""
    import numpy as np

    from qnx_hw.qkd import privacy_amplification, reconciliation

    reconciliation.warm_up(methods)
    bits = np.zeros(512, np.uint8)
    seed = np.zeros(privacy_amplification.seed_length(bits.size, 256), np.uint8)
    privacy_amplification.amplify(bits, seed, 256)


def _other_process(methods: Collection[str]) -> subprocess.Popen[bytes] | None:
    """Have the same loops compiled on another core: the compiler keeps one busy, whole.

    What it leaves on disk is loaded here; where it fails, all is compiled here after all.
    """
    command = [sys.executable, "-m", "qnx_hw.node.warming", *methods]
    nothing = subprocess.DEVNULL
    try:
        return subprocess.Popen(  # noqa: S603 (our own interpreter)
            command, stdin=nothing, stdout=nothing, stderr=nothing
        )
    except OSError:
        return None


if __name__ == "__main__":
    compile_keys(sys.argv[1:])
