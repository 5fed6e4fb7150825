"""Clicks do not depend on who draws them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from physics_benches import network

from sim_devices.physics.bench import Bench

STATION = {"dead_time_ps": 30_000, "jitter_ps": 300.0, "dark_rate_cps": 1000.0}
WANDERING = {"clock_drift_ppm": 3.0, "clock_wander_ppm_per_sqrt_s": 1e-3}
MOVING = {"drift_rad_per_sqrt_s": 0.5, "afterpulse_probability": 0.02}


def _taken(threads: int, seed: int, times_s: list[float]) -> list[NDArray[np.int64]]:
    file = network(STATION | MOVING, STATION | WANDERING, {"pair_rate_hz": 8e6}, seed=seed)
    made = Bench.from_network(file, threads)
    taken = []
    for number, until_s in enumerate(times_s):
        if number == 1:
            made.station("bob").set_paddle(1, 30.0)
        for station in map(made.station, made.stations):
            stamps, inputs = station.take_tags(until_s)
            taken += [stamps, inputs.astype(np.int64), station.take_counts(until_s)]
    return taken


@pytest.mark.slow
@settings(max_examples=5)
@given(
    st.integers(0, 1 << 40),
    st.lists(st.integers(1, 60), min_size=1, max_size=3, unique=True),
    st.integers(2, 5),
)
def test_any_number_of_threads_draws_the_same_clicks(
    seed: int, times_ms: list[int], threads: int
) -> None:
    times_s = [each * 1e-3 for each in sorted(times_ms)]

    together, alone = _taken(threads, seed, times_s), _taken(1, seed, times_s)

    assert sum(map(len, together)) > 4_000
    assert all(map(np.array_equal, together, alone))
