"""The smoothed past of a clock against Wiener's optimum, and times brought along its path."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.timing.clock_sync.clock import ClockMap
from qnx_hw.timing.clock_sync.kalman import ClockFilter
from qnx_hw.timing.clock_sync.smoother import Path

SLOTS = 1500
SLOT_PS = 50_000_000_000
WANDER_PS = 1e3
"""In ps per second and square root of a second, as the filter supposes."""


def wandering(rng: np.random.Generator) -> np.ndarray:
    """Offsets at the middles of slots, of a clock whose rate walks at random."""
    fine, slot_s = 50, SLOT_PS / 1e12
    step_s = slot_s / fine
    rates = np.cumsum(rng.normal(0.0, WANDER_PS * np.sqrt(step_s), SLOTS * fine))
    return np.asarray(np.cumsum(rates * step_s).reshape(SLOTS, fine)[:, fine // 2])


def test_what_has_settled_is_as_near_as_any_estimate_can_be() -> None:
    rng = np.random.default_rng(11)
    noise_ps = 110.0
    truth = wandering(rng)
    followed = ClockFilter(ClockMap(0, 0, 4e-6), 100.0, 1e-9)
    now, settled = [], []

    for slot, offset_ps in enumerate(truth):
        time_b = (slot + 1) * SLOT_PS
        measured = offset_ps + 4e-6 * time_b + rng.normal(0.0, noise_ps)
        followed.learn(time_b, measured - followed.clock.at(time_b), noise_ps**2)
        path = followed.path()
        if slot > 100:
            now.append(followed.clock.at(time_b) - 4e-6 * time_b - offset_ps)
            time_b -= 11 * SLOT_PS
            settled.append(path.at_knot(-12).at(time_b) - 4e-6 * time_b - truth[slot - 11])

    # Two-sided optimum for white noise of density S on a twice integrated walk of density q:
    # the integral of S q / (S w^4 + q) over the frequencies, S^(3/4) q^(1/4) / sqrt(8).
    density = noise_ps**2 * SLOT_PS / 1e12
    optimum = np.sqrt(density**0.75 * WANDER_PS**0.5 / np.sqrt(8))
    assert np.sqrt(np.mean(np.square(settled))) < 1.15 * optimum
    assert np.sqrt(np.mean(np.square(now))) > 1.5 * optimum


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=6, unique=True).map(sorted),
    st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6),
    st.lists(st.integers(-2 * 10**6, 2 * 10**6), max_size=30, unique=True).map(sorted),
    st.floats(-2e-4, 2e-4),
)
def test_sorted_times_stay_sorted_along_a_path(
    knots: list[int], beyond: list[float], times: list[int], rate: float
) -> None:
    spread = 10_000
    places = np.array(knots, dtype=np.int64) * spread
    path = Path(ClockMap(int(places[-1]), 7, rate), places, np.array(beyond[: places.size]))

    # Neighbours 1 ps apart, where rounding could change their order.
    near = np.repeat(np.array(times, dtype=np.int64) * spread, 3)
    near[1::3] += 1
    near[2::3] += 2
    moved = path.to_reference(near)

    assert np.all(np.diff(moved) >= 0)


def test_a_path_goes_through_its_knots_and_on_along_the_line() -> None:
    clock = ClockMap(2_000_000, 500, 0.0)
    path = Path(clock, np.array([0, 2_000_000], dtype=np.int64), np.array([40.0, 0.0]))

    moved = path.to_reference(np.array([0, 1_000_000, 2_000_000, 3_000_000], dtype=np.int64))

    assert moved.tolist() == [-540, 999_480, 1_999_500, 2_999_500]
    assert path.at_knot(0).at(0) == 540
