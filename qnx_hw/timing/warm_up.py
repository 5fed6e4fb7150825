"""Compile everything ahead of need, so that the first block is as fast as the others."""

from collections.abc import Callable, Mapping

import numpy as np

from qnx_hw.timing import coincidence, filters, histogram, tag_codec
from qnx_hw.timing.clock_sync import acquire
from qnx_hw.timing.merged_stream import MergedStream
from qnx_hw.timing.pulse_clock import recover


def warm_up(progress: Callable[[str, float], None]) -> None:
    """Compile all loops, or load them from disk; tell what is done and which part (0 to 1).

    Takes up to half a minute of one core the first time on a machine and a fraction of a second
    later. Meant for a thread at start; every function works without it, only its first call is
    slower.
    """
    _run(
        progress,
        {
            "coincidences": _match,
            "merged streams": _match_merged,
            "histograms": _count,
            "packed tags": _pack,
            "filters": _filter,
            "clock synchronisation": _synchronise,
            "pulse clock": _recover,
        },
    )


def warm_up_links(progress: Callable[[str, float], None], *, pulses: bool) -> None:
    """Compile only what links need: pairs and clocks, and the clock of pulses where some are sent.

    Less than half of everything.
    """
    steps: dict[str, Callable[[], object]] = {
        "coincidences": _match,
        "clock synchronisation": _synchronise,
    }
    _run(progress, {**steps, "pulse clock": _recover} if pulses else steps)


def _run(progress: Callable[[str, float], None], steps: Mapping[str, Callable[[], object]]) -> None:
    for number, (name, run) in enumerate(steps.items()):
        progress(name, number / len(steps))
        run()
    progress("ready", 1.0)


def _match() -> None:
    times, channels = _few_tags()
    coincidence.match(times, channels, times, channels, coincidence.no_delays(), 3000)


def _match_merged() -> None:
    times, channels = _few_tags()
    MergedStream(coincidence.no_delays(), 3000, [1], [2]).feed(times, channels, 10_000)


def _count() -> None:
    times, _ = _few_tags()
    histogram.delays(times, times, start_ps=0, bin_ps=1, n_bins=10)


def _pack() -> None:
    times, channels = _few_tags()
    tag_codec.decode(tag_codec.encode(times, channels))


def _filter() -> None:
    filters.live(*_few_tags(), 1)
    filters.split(*_few_tags(), [[1]])


def _synchronise() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 10**10, 3000))
    acquire(times, times, offset_limit_s=1e-3, drift_limit_ppm=1.0)


def _recover() -> None:
    recover(np.arange(1000, dtype=np.int64) * 10_000, 1e8, drift_limit_ppm=1.0)


def _few_tags() -> tuple[np.ndarray, np.ndarray]:
    times = np.array([0, 500, 1000, 1200, 9000], dtype=np.int64)
    return times, np.ones(times.size, np.uint8)
