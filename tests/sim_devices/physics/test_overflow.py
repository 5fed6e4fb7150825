"""Taggers that are given too much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.physics.overflow import TaggerBuffer


def test_sustained_overload_passes_at_the_drain_rate() -> None:
    times = np.sort(np.random.default_rng(1).integers(0, 10**11, 400_000))
    buffer = TaggerBuffer(1e6, 1000)

    is_stored = buffer.accept(times)

    assert np.count_nonzero(is_stored) == pytest.approx(101_000, rel=0.005)
    assert buffer.missed == times.size - np.count_nonzero(is_stored)


def test_burst_fills_the_buffer_and_no_more() -> None:
    buffer = TaggerBuffer(1e6, 64)

    is_stored = buffer.accept(np.arange(100, dtype=np.int64))

    assert is_stored[:64].all()
    assert not is_stored[64:].any()


@given(st.lists(st.integers(0, 10**7), max_size=60), st.integers(1, 60))
def test_losses_do_not_depend_on_the_cutting(times: list[int], cut: int) -> None:
    stream = np.sort(np.array(times, dtype=np.int64))
    whole, cut_up = TaggerBuffer(1e6, 3), TaggerBuffer(1e6, 3)

    parts = [cut_up.accept(part) for part in (stream[:cut], stream[cut:])]

    assert np.array_equal(np.concatenate(parts), whole.accept(stream))
    assert cut_up.missed == whole.missed
