"""Clocks: offset, rate and wander."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.physics.clock import Clock

CHUNK_PS = 10**10


def _clock(offset_s: float, drift_ppm: float, wander_ppm: float = 0.0, seed: int = 1) -> Clock:
    return Clock(offset_s, drift_ppm, wander_ppm, np.random.default_rng(seed))


@given(st.floats(-10, 10), st.floats(-200, 200), st.integers(0, 10**12))
def test_stamps_are_offset_plus_stretched_time(
    offset_s: float, drift_ppm: float, true_ps: int
) -> None:
    clock = _clock(offset_s, drift_ppm)
    for _ in range(100):
        clock.advance(CHUNK_PS)

    stamp = clock.stamp_at(true_ps)

    assert stamp == pytest.approx(offset_s * 1e12 + true_ps * (1 + drift_ppm * 1e-6), abs=2)


def test_rounding_does_not_add_up() -> None:
    clock = _clock(0.0, 1e-4 / 3)

    for _ in range(30_000):
        clock.advance(CHUNK_PS)

    assert clock.segment().stamp_ps - clock.segment().true_ps == pytest.approx(10_000, abs=1)


def test_drift_walks_with_the_square_root_of_time() -> None:
    ends = []
    for seed in range(200):
        clock = _clock(0.0, 0.0, 0.001, seed)
        for _ in range(400):
            clock.advance(CHUNK_PS)
        ends.append(clock.segment().stamps_per_ps - 1)

    assert np.std(ends) == pytest.approx(1e-9 * 2.0, rel=0.2)
