"""Matrices, accidentals, efficiencies and peaks against what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from qnx_hw.timing import correlation, peak
from qnx_hw.timing.coincidence import match, no_delays
from qnx_hw.timing.histogram import Bins, delays

DURATION_PS = 2 * 10**12
RATE_A, RATE_B, PAIRS = 200_000, 150_000, 40_000
JITTER_PS = 300.0


@pytest.fixture(scope="module")
def streams() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    both = rng.integers(0, DURATION_PS, 2 * PAIRS)
    rest_a = rng.integers(0, DURATION_PS, 2 * (RATE_A - PAIRS))
    rest_b = rng.integers(0, DURATION_PS, 2 * (RATE_B - PAIRS))
    seen_b = both + np.rint(rng.normal(700, JITTER_PS, both.size)).astype(np.int64)
    return np.sort(np.concatenate((both, rest_a))), np.sort(np.concatenate((seen_b, rest_b)))


def test_the_peak_has_the_centre_and_width_that_were_put_in(
    streams: tuple[np.ndarray, np.ndarray],
) -> None:
    bins = Bins.around(0, 20_000, 50)
    counts = delays(*streams, start_ps=bins.start_ps, bin_ps=bins.bin_ps, n_bins=bins.count)

    found = peak.fit(counts, bins)

    assert found is not None
    assert abs(found.centre_ps - 700) < 10
    assert abs(found.fwhm_ps / (2.3548 * JITTER_PS) - 1) < 0.03
    assert abs(found.counts / (2 * PAIRS) - 1) < 0.02


def test_noise_has_no_peak() -> None:
    bins = Bins(0, 10, 200)

    assert peak.fit(np.random.default_rng(1).poisson(50, 200), bins) is None
    assert peak.fit(np.zeros(200), bins) is None


def test_shifted_windows_measure_the_accidentals(
    streams: tuple[np.ndarray, np.ndarray],
) -> None:
    a, b = streams[0], streams[1] - 700

    found = correlation.contrast(a, b, 3000, shift_ps=50_000)

    # A click that found its true partner cannot pair by chance in its window.
    expected = correlation.accidentals(a.size, b.size, 3000, DURATION_PS)
    assert abs(found.accidentals - expected) < 6 * found.accidentals_error
    assert abs(found.true / (2 * PAIRS) - 1) < 0.01
    assert found.car == found.coincidences / found.accidentals


def test_heralding_is_the_efficiency_of_the_other_arm() -> None:
    assert correlation.heralding(20, 100, 50) == (0.4, 0.2)
    assert correlation.heralding(0, 0, 0) == (0.0, 0.0)


def test_the_matrix_counts_by_channel() -> None:
    times = np.arange(4, dtype=np.int64) * 1000
    channels_a = np.array([1, 1, 2, 4], np.uint8)
    channels_b = np.array([3, 3, 2, 1], np.uint8)
    pairs = match(times, channels_a, times, channels_b, no_delays(), 10)

    counts = correlation.matrix(pairs, channels_a, channels_b)

    assert counts[1, 3] == 2
    assert counts[2, 2] == counts[4, 1] == 1
    assert counts.sum() == 4


def test_a_photon_behind_a_beam_splitter_goes_one_way_only() -> None:
    heralds = np.arange(100, dtype=np.int64) * 10_000
    counts = correlation.threefold(heralds, heralds[::2] + 5, heralds[1::2] + 5, 20)

    assert counts == (100, 50, 50, 0)
    assert correlation.heralded_g2(*counts) == 0
    assert correlation.heralded_g2(100, 50, 50, 25) == 1
