"""Histograms count every pair once, however the streams are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.timing.arrays import UnsortedTimes
from qnx_hw.timing.histogram import Bins, DelayHistogram, delays, g2

TIMES = st.lists(st.integers(-100, 100), max_size=40).map(
    lambda values: np.array(sorted(values), dtype=np.int64)
)
BINS = st.builds(Bins, st.integers(-120, 60), st.integers(1, 20), st.integers(1, 20))


def by_definition(a: np.ndarray, b: np.ndarray, bins: Bins) -> np.ndarray:
    edges = bins.start_ps + bins.bin_ps * np.arange(bins.count + 1)
    all_dt = (b[None, :] - a[:, None]).ravel()
    return np.histogram(all_dt[all_dt < edges[-1]], edges)[0]


@settings(max_examples=200, deadline=None)
@given(TIMES, TIMES, BINS)
def test_every_pair_counts_once(a: np.ndarray, b: np.ndarray, bins: Bins) -> None:
    counts = delays(a, b, start_ps=bins.start_ps, bin_ps=bins.bin_ps, n_bins=bins.count)

    assert np.array_equal(counts, by_definition(a, b, bins))


@settings(max_examples=200, deadline=None)
@given(TIMES, TIMES, BINS, st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=8))
def test_cutting_the_streams_never_changes_the_histogram(
    a: np.ndarray, b: np.ndarray, bins: Bins, feeds: list[tuple[bool, int]]
) -> None:
    histogram = DelayHistogram(bins)
    fed_a = fed_b = 0
    for is_a, count in feeds:
        if is_a:
            histogram.feed(a[fed_a : fed_a + count], b[:0])
            fed_a = min(a.size, fed_a + count)
        else:
            histogram.feed(a[:0], b[fed_b : fed_b + count])
            fed_b = min(b.size, fed_b + count)
    histogram.feed(a[fed_a:], b[fed_b:])

    assert np.array_equal(histogram.counts, by_definition(a, b, bins))


def test_independent_streams_have_a_g2_of_one() -> None:
    rng = np.random.default_rng(2)
    duration = 2 * 10**12
    a = np.sort(rng.integers(0, duration, 400_000))
    b = np.sort(rng.integers(0, duration, 300_000))

    counts = delays(a, b, start_ps=-500_000, bin_ps=10_000, n_bins=100)

    normal = g2(counts, bin_ps=10_000, clicks_a=a.size, clicks_b=b.size, duration_ps=duration)
    expected = a.size * b.size * 10_000 / duration
    assert abs(normal.mean() - 1) < 5 / np.sqrt(100 * expected)
    assert np.abs(normal - 1).max() < 6 / np.sqrt(expected)


def test_a_block_that_goes_back_is_refused() -> None:
    histogram = DelayHistogram(Bins(0, 10, 10))
    histogram.feed(np.array([100], np.int64), np.array([], np.int64))

    with pytest.raises(UnsortedTimes, match="begins at 99 ps"):
        histogram.feed(np.array([99], np.int64), np.array([], np.int64))


def test_bins_around_a_delay_are_centred_on_it() -> None:
    bins = Bins.around(500, 95, 10)

    centres = bins.centres_ps()
    assert centres[bins.count // 2] == 500
    assert bins.start_ps <= 405
    assert bins.end_ps >= 595
