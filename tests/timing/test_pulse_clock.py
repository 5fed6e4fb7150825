"""The pulses' clock comes out of the clicks, and background stays background."""

from __future__ import annotations

import numpy as np
import pytest

from qnx_hw.timing.pulse_clock import recover


def clicks(
    frequency_hz: float, count_hz: float, dark_hz: float, jitter_ps: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return click times of 0.2 s and the number of the pulse behind each (-1: none)."""
    rng = np.random.default_rng(seed)
    numbers = np.sort(rng.integers(0, int(0.2 * frequency_hz), rng.poisson(0.2 * count_hz)))
    seen = np.rint(
        numbers * (1e12 / frequency_hz) + 123_456 + rng.normal(0, jitter_ps, numbers.size)
    )
    dark = rng.random(rng.poisson(0.2 * dark_hz)) * 2e11
    times = np.concatenate((seen, np.rint(dark))).astype(np.int64)
    order = np.argsort(times, kind="stable")
    return times[order], np.concatenate((numbers, np.full(dark.size, -1)))[order]


@pytest.mark.parametrize("ppm", [-49.0, 0.0, 13.7])
@pytest.mark.parametrize(("count_hz", "dark_hz"), [(1e4, 2e3), (2e5, 2e4)])
def test_frequency_and_pulse_numbers_are_recovered(
    ppm: float, count_hz: float, dark_hz: float
) -> None:
    frequency = 1e9 * (1 + ppm * 1e-6)
    times, numbers = clicks(frequency, count_hz, dark_hz, 100.0, seed=3)

    train = recover(times, 1e9)

    assert train is not None
    assert abs(1e12 / train.period_ps / frequency - 1) < 2e-10
    lit = numbers >= 0
    shift = train.pulse_numbers(times)[lit] - numbers[lit]
    assert np.mean(shift == np.median(shift)) > 0.999
    assert abs(np.std(train.residuals_ps(times)[lit]) / 100 - 1) < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_background_is_not_taken_for_pulses(seed: int) -> None:
    times, _ = clicks(1e9, 0.0, 1e4, 0.0, seed)

    assert recover(times, 1e9) is None


def test_too_few_clicks_prove_nothing() -> None:
    assert recover(np.arange(100, dtype=np.int64) * 1000, 1e9) is None
