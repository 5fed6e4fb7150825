"""Clocks are found wherever they are within the limits, and never where there is nothing."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.timing.arrays import UnsortedTimes
from qnx_hw.timing.clock_sync import ClockMap, Lock, Tracker, acquire, resolution_of

_SPEC = importlib.util.spec_from_file_location(
    "synthetic_tags", Path(__file__).with_name("synthetic.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
synthetic = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = synthetic
_SPEC.loader.exec_module(synthetic)
DEMO, Scene = synthetic.DEMO, synthetic.Scene


def error_ps(lock: Lock | Tracker, times_b: np.ndarray, truth_ps: np.ndarray) -> float:
    """Mean error of converted times near the lock's origin, without that of rounding down."""
    near = np.argsort(np.abs(times_b - lock.clock.origin_ps))[:2000]
    return float((lock.clock.to_reference(times_b[near]) - truth_ps[near]).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("offset_s", "ppm"), [(1.7, 4.0), (-1.7, -4.0), (9.5, 195.0), (-9.5, -195.0), (0.0, 0.0)]
)
def test_coarse_taggers_are_brought_together_anywhere_in_the_range(
    offset_s: float, ppm: float
) -> None:
    times_a, times_b, truth = replace(DEMO, offset_s=offset_s, ppm=ppm, duration_s=2.0).tags(1)

    lock = acquire(times_a, times_b)

    assert lock is not None
    # Both sides round down, so Bob's rounded times are early by half a unit like Alice's.
    assert abs(error_ps(lock, times_b, truth) + 1000) < 100
    assert abs(lock.clock.rate - ppm * 1e-6 / (1 + ppm * 1e-6)) < 3e-9
    assert lock.evidence > lock.required


def test_bob_may_publish_times_rounded_to_a_wide_window() -> None:
    times_a, times_b, truth = replace(DEMO, round_b_ps=6000, duration_s=1.5).tags(2)

    lock = acquire(times_a, times_b)

    assert lock is not None
    # Bob's are early by 3 ns, Alice's by 1 ns: pairs coincide when his are shifted by 2 ns.
    assert abs(error_ps(lock, times_b, truth) + 1000) < 300


def test_tags_that_overlap_only_in_part_are_enough() -> None:
    times_a, times_b, truth = replace(DEMO, duration_s=3.0, start_b_s=1.6).tags(3)

    lock = acquire(times_a, times_b)

    assert lock is not None
    assert abs(error_ps(lock, times_b, truth) + 1000) < 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "limits"),
    [
        (Scene(2.2e4, 2.2e4, 376, 3.0, 4.2, -6.0, wander=1e-9), (10.0, 10.0)),
        (Scene(2e5, 4e3, 350, 3.0, -4.2, 6.0, wander=1e-9), (10.0, 10.0)),
        (Scene(1e5, 1e5, 944, 4.0, 0.13, -6.0, wander=1e-9), (0.2, 10.0)),
    ],
    ids=["metro", "asymmetric 30 dB", "symmetric 40 dB"],
)
def test_weak_links_are_found(scene: Scene, limits: tuple[float, float]) -> None:
    times_a, times_b, truth = scene.tags(4)

    lock = acquire(times_a, times_b, offset_limit_s=limits[0], drift_limit_ppm=limits[1])

    assert lock is not None
    near = np.argsort(np.abs(times_b - lock.clock.origin_ps))[:20]
    assert np.abs(lock.clock.to_reference(times_b[near]) - truth[near]).mean() < 300


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "duration_s", "limits"),
    [(0, 0.5, (0.1, 2.0)), *((n, 0.1, (0.01, 1.0)) for n in (1, 2, 3))],
)
def test_unrelated_streams_are_never_locked(
    seed: int, duration_s: float, limits: tuple[float, float]
) -> None:
    times_a, times_b, _ = Scene(2e4, 2e4, 0.0, duration_s=duration_s).tags(seed)

    lock = acquire(times_a, times_b, offset_limit_s=limits[0], drift_limit_ppm=limits[1])

    assert lock is None


def test_pairs_outside_the_limits_are_not_found() -> None:
    times_a, times_b, _ = Scene(2e4, 2e4, 5e3, duration_s=0.5, offset_s=0.1).tags(5)

    assert acquire(times_a, times_b, offset_limit_s=0.02, drift_limit_ppm=1.0) is None
    assert acquire(times_a, times_b, offset_limit_s=0.12, drift_limit_ppm=1.0) is not None


def test_the_search_can_be_stopped() -> None:
    times_a, times_b, _ = Scene(2e4, 2e4, 0.0, duration_s=1.0).tags(6)

    assert acquire(times_a, times_b, should_stop=lambda: True) is None


def test_duplicated_tags_do_no_harm_and_unsorted_ones_are_refused() -> None:
    times_a, times_b, truth = replace(DEMO, duration_s=1.0).tags(7)

    lock = acquire(np.repeat(times_a, 2), times_b)

    assert lock is not None
    assert abs(error_ps(lock, times_b, truth) + 1000) < 150
    with pytest.raises(UnsortedTimes, match="Bob's times step back"):
        acquire(times_a, times_b[::-1])


@pytest.mark.parametrize("count", [0, 1, 19])
def test_too_few_tags_prove_nothing(count: int) -> None:
    times = np.arange(count, dtype=np.int64) * 1000

    assert acquire(times, times) is None


def test_the_unit_of_rounded_times_is_seen() -> None:
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 10**9, 500)) * 2000 + 7

    assert resolution_of(times) == 2000
    assert resolution_of(times[:1]) == 1


@given(
    st.integers(-(10**17), 10**17),
    st.integers(-(10**13), 10**13),
    st.floats(-2e-4, 2e-4),
    st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=40),
)
def test_conversion_keeps_order_and_can_be_undone(
    origin: int, offset: int, rate: float, times: list[int]
) -> None:
    clock = ClockMap(origin, offset, rate)
    times_b = np.array(sorted(times), dtype=np.int64)

    reference = clock.to_reference(times_b)

    assert np.all(np.diff(reference) >= 0)
    for time_b, time_a in zip(times_b.tolist(), reference.tolist(), strict=True):
        assert abs(clock.from_reference(time_a) - time_b) <= 20
        assert time_b - clock.at(time_b) == time_a


def test_a_peer_that_repeats_one_time_a_million_times_costs_little() -> None:
    times_a, _, _ = Scene(1e5, 1e5, 0.0, duration_s=1.0).tags(8)
    flood = np.full(1_000_000, 10**11, dtype=np.int64)

    assert acquire(times_a, flood, offset_limit_s=0.5, drift_limit_ppm=10.0) is None
