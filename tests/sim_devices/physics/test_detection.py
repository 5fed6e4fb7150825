"""Detectors against closed formulas; fixed seeds, four standard deviations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import exponnorm, kstest, norm

from sim_devices.physics.clicks import Arrivals, Inputs, Place, Times
from sim_devices.physics.detection import FWHM_PER_SIGMA, Detectors, Response

SPAN_PS = 10**12


def _light(rate_hz: float, seed: int = 1, span_ps: int = SPAN_PS) -> Arrivals:
    rng = np.random.default_rng(seed)
    n = rng.poisson(rate_hz * span_ps * 1e-12)
    times = np.sort(rng.integers(0, span_ps, n))
    return Arrivals(times, rng.integers(0, 4, n).astype(np.uint8))


def _see(response: Response, arrivals: Arrivals, rate: float = 1.0) -> tuple[Times, Inputs]:
    return Detectors(response).register(arrivals, SPAN_PS, (0, 0, rate), Place(1, 1, 1))


def test_perfect_detectors_stamp_every_photon() -> None:
    light = _light(1e5)

    stamps, inputs = _see(Response(), light)

    assert np.array_equal(stamps, light.times_ps)
    assert np.array_equal(inputs, light.detectors + 1)


def test_gaussian_jitter_has_its_width() -> None:
    light = Arrivals(np.arange(1, 100_001) * 10**6, np.zeros(100_000, dtype=np.uint8))

    stamps, _ = _see(Response(jitter_ps=1000.0), light)

    assert kstest(stamps - light.times_ps, norm(-0.5, 1000 / FWHM_PER_SIGMA).cdf).pvalue > 1e-4


def test_jitter_tail_is_exponential() -> None:
    light = Arrivals(np.arange(1, 100_001) * 10**6, np.zeros(100_000, dtype=np.uint8))
    sigma = 500 / FWHM_PER_SIGMA

    stamps, _ = _see(
        Response(jitter_ps=500.0, jitter_tail_fraction=1.0, jitter_tail_ps=800.0), light
    )

    late = exponnorm(800.0 / sigma, loc=-0.5, scale=sigma)
    assert kstest(stamps - light.times_ps, late.cdf).pvalue > 1e-4


def test_measured_jitter_is_drawn_as_it_was_measured() -> None:
    light = Arrivals(np.arange(1, 100_001) * 10**6, np.zeros(100_000, dtype=np.uint8))
    counts = (0.0, 0.0, 5.0, 20.0, 10.0, 0.0, 5.0)  # bins of 200 ps, with a side peak

    stamps, _ = _see(Response(jitter_histogram=counts, jitter_bin_ps=200.0), light)

    late_ps = stamps - light.times_ps
    mean_ps = 200.0 * np.average(np.arange(7) + 0.5, weights=counts)
    found, _ = np.histogram(late_ps + mean_ps + 0.5, bins=np.arange(8) * 200.0)
    assert abs(late_ps.mean() + 0.5) < 4 * late_ps.std() / np.sqrt(late_ps.size)
    share = np.array(counts) / sum(counts)
    sigma = np.sqrt(share * (1 - share) / late_ps.size)
    assert np.all(np.abs(found / late_ps.size - share) <= 4 * sigma + 1e-3)


def test_stamps_are_sorted_whatever_the_jitter() -> None:
    stamps, _ = _see(Response(jitter_ps=1e6), _light(1e6))

    assert (np.diff(stamps) >= 0).all()


def test_dead_time_goes_on_over_the_end_of_a_chunk() -> None:
    detectors = Detectors(Response(dead_time_ps=1000))
    first = Arrivals(np.array([9_900]), np.zeros(1, dtype=np.uint8))
    second = Arrivals(np.array([10_100, 10_900]), np.zeros(2, dtype=np.uint8))

    detectors.register(first, 10_000, (0, 0, 1.0), Place(1, 1, 0))
    stamps, _ = detectors.register(second, 20_000, (0, 0, 1.0), Place(1, 1, 1))

    assert stamps.tolist() == [10_900]
    assert detectors.clicks.tolist() == [2, 0, 0, 0]


def test_afterpulses_follow_with_their_probability() -> None:
    light = _light(4000.0)
    response = Response(dead_time_ps=50_000, afterpulse_probability=0.05, afterpulse_ps=100_000.0)

    stamps, inputs = _see(response, light)

    # Each click is followed by one with 5 %, that one too: 1/(1 − p).
    extra = stamps.size - light.times_ps.size
    assert extra == pytest.approx(light.times_ps.size * 0.05 / 0.95, abs=4 * 15)
    gaps = np.concatenate([np.diff(stamps[inputs == d]) for d in (1, 2, 3, 4)])
    after = gaps[gaps < 1_000_000] - 50_000
    assert after.mean() == pytest.approx(100_000, rel=0.3)


def test_crosstalk_makes_the_next_detector_click() -> None:
    light = Arrivals(np.arange(1, 20_001) * 10**7, np.zeros(20_000, dtype=np.uint8))

    _, inputs = _see(Response(crosstalk_probability=0.1, dead_time_ps=1000), light)

    counts = np.bincount(inputs, minlength=5)[1:]
    assert counts[0] == 20_000
    assert counts[1] == pytest.approx(2000, abs=4 * np.sqrt(1800))
    assert counts[2] == pytest.approx(200, abs=4 * np.sqrt(200))


def test_efficiency_recovers_after_the_dead_time() -> None:
    pairs = np.repeat(np.arange(1, 20_001) * 10**7, 2) + np.tile([0, 40_000], 20_000)
    light = Arrivals(pairs, np.zeros(40_000, dtype=np.uint8))

    stamps, _ = _see(Response(dead_time_ps=20_000, recovery_ps=20_000.0), light)

    second = stamps.size - 20_000
    chance = 1 - np.exp(-1.0)
    assert second == pytest.approx(20_000 * chance, abs=4 * np.sqrt(20_000 * chance * (1 - chance)))


def test_clock_rate_stretches_the_stamps() -> None:
    light = _light(1e4)

    stamps, _ = _see(Response(), light, rate=1 + 1e-4)

    assert np.abs(stamps - light.times_ps * (1 + 1e-4)).max() <= 1.0
