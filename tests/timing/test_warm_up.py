"""Everything can be compiled ahead of need."""

from __future__ import annotations

import numba
import pytest

from qnx_hw.timing import arrays, coincidence, filters, histogram, pulse_clock, tag_codec
from qnx_hw.timing.clock_sync import coarse, line
from qnx_hw.timing.warm_up import warm_up


@pytest.mark.slow
def test_every_loop_is_compiled_and_progress_is_told() -> None:
    told: list[tuple[str, float]] = []

    warm_up(lambda name, done: told.append((name, done)))

    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1] == ("ready", 1.0)
    for module in (arrays, coarse, coincidence, filters, histogram, line, pulse_clock, tag_codec):
        loops = [
            x for x in vars(module).values() if isinstance(x, numba.core.dispatcher.Dispatcher)
        ]
        assert loops
        assert all(loop.signatures for loop in loops)
