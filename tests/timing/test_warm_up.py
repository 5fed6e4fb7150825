"""Everything can be compiled ahead of need."""

from __future__ import annotations

import numpy as np
import pytest

from qnx_hw.timing import (
    arrays,
    coincidence,
    filters,
    histogram,
    merged_stream,
    pulse_clock,
    tag_codec,
)
from qnx_hw.timing.clock_sync import acquire, coarse, line
from qnx_hw.timing.warm_up import warm_up

ENTRIES = (
    arrays._steps_back,
    coarse._fold,
    coarse._peaks,
    coincidence.match_kernel,
    filters._deal,
    filters._live,
    histogram._count,
    line._best_box,
    line._differences,
    merged_stream._deal,
    merged_stream._near,
    pulse_clock._best_rate,
    pulse_clock._phase_sum,
    tag_codec._pack,
    tag_codec._packed_bits,
    tag_codec._unpack,
)


@pytest.mark.slow
def test_nothing_is_left_to_compile_after_warming_up() -> None:
    told: list[tuple[str, float]] = []
    warm_up(lambda name, done: told.append((name, done)))
    compiled = [len(entry.signatures) for entry in ENTRIES]
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, 10**12, 20_000))
    channels = rng.integers(1, 5, times.size).astype(np.uint8)

    lock = acquire(times, times + 10**9, offset_limit_s=0.1, drift_limit_ppm=1.0)
    assert lock is not None
    moved = lock.clock.to_reference(times + 10**9)
    coincidence.match(times, channels, moved, channels, coincidence.no_delays(), 3000)
    unpacked, _ = tag_codec.decode(tag_codec.encode(times, channels, unit_ps=2000))
    histogram.delays(times, unpacked, start_ps=-5000, bin_ps=100, n_bins=100)
    filters.live(times, channels, 50_000)
    filters.split(times, channels, [[1, 2], [3]])
    stream = merged_stream.MergedStream(coincidence.no_delays(), 3000, [1, 2], [3, 4])
    stream.feed(times, channels, 10**12)

    assert min(compiled) >= 1
    assert [len(entry.signatures) for entry in ENTRIES] == compiled
    assert told[-1] == ("ready", 1.0)
    assert [done for _, done in told] == sorted(done for _, done in told)
