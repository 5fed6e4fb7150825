"""Coincidences against a quadratic reference, closed formulas and any cut of the stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.timing.arrays import UnsortedTimes
from qnx_hw.timing.coincidence import Pairs, match, no_delays
from qnx_hw.timing.merged_stream import MergedStream
from qnx_hw.timing.pair_stream import PairStream

CROWDED = st.lists(st.tuples(st.integers(-60, 60), st.integers(1, 3)), max_size=25).map(sorted)
DELAYS = st.lists(st.integers(-8, 8), min_size=16, max_size=16).map(
    lambda values: np.array(values, dtype=np.int64).reshape(4, 4)
)
Tags = list[tuple[int, int]]


def arrays(tags: Tags) -> tuple[np.ndarray, np.ndarray]:
    times = np.array([time for time, _ in tags], dtype=np.int64)
    return times, np.array([channel for _, channel in tags], dtype=np.uint8)


def by_definition(a: Tags, b: Tags, delays: np.ndarray, window: int) -> list[tuple[int, int, int]]:
    def dt(i: int, j: int) -> int:
        return int(b[j][0] - a[i][0] - delays[a[i][1], b[j][1]])

    pairs = []
    for i in range(len(a)):
        j = min(range(len(b)), key=lambda j: (abs(dt(i, j)), j), default=None)
        if j is None or abs(dt(i, j)) > window // 2:
            continue
        if min(range(len(a)), key=lambda k: (abs(dt(k, j)), k)) == i:
            pairs.append((i, j, dt(i, j)))
    return pairs


def as_list(pairs: Pairs) -> list[tuple[int, int, int]]:
    return list(
        zip(*(x.tolist() for x in (pairs.index_a, pairs.index_b, pairs.dt_ps)), strict=True)
    )


@settings(max_examples=300, deadline=None)
@given(CROWDED, CROWDED, DELAYS, st.integers(1, 30))
def test_pairs_are_those_that_find_each_other_nearest(
    a: Tags, b: Tags, delays: np.ndarray, window: int
) -> None:
    found = match(*arrays(a), *arrays(b), delays, window)

    assert as_list(found) == by_definition(a, b, delays, window)


@settings(max_examples=300, deadline=None)
@given(CROWDED, CROWDED, DELAYS, st.integers(1, 30), st.lists(st.integers(-70, 70), max_size=6))
def test_cutting_the_streams_never_changes_the_pairs(
    a: Tags, b: Tags, delays: np.ndarray, window: int, cuts: list[int]
) -> None:
    stream = PairStream(delays, window)
    found = []
    for turn, (start, end) in enumerate(
        zip([-100, *sorted(cuts)], [*sorted(cuts), 100], strict=True)
    ):
        part_a = [tag for tag in a if start <= tag[0] < end]
        part_b = [tag for tag in b if start <= tag[0] < end]
        stream.feed_a(*arrays(part_a), end)
        if turn % 2:
            found += as_list(stream.take())
        stream.feed_b(*arrays(part_b), end)
        found += as_list(stream.take())
    stream.feed_a(*arrays([]), 1000)
    stream.feed_b(*arrays([]), 1000)
    found += as_list(stream.take())

    assert found == as_list(match(*arrays(a), *arrays(b), delays, window))
    assert stream.waiting == (0, 0)


MERGED = st.lists(st.tuples(st.integers(-60, 60), st.integers(1, 7)), max_size=50).map(sorted)


@settings(max_examples=300, deadline=None)
@given(MERGED, DELAYS, st.integers(1, 30), st.lists(st.integers(-70, 70), max_size=6))
def test_a_merged_stream_has_the_pairs_of_its_two_sides(
    tags: Tags, delays: np.ndarray, window: int, cuts: list[int]
) -> None:
    by_channel = np.zeros((7, 7), np.int64)
    by_channel[1:4, 4:7] = delays[1:, 1:]
    stream = MergedStream(by_channel, window, [1, 2, 3], [4, 5, 6])
    found = []
    for start, end in zip([-100, *sorted(cuts)], [*sorted(cuts), 100], strict=True):
        part = [tag for tag in tags if start <= tag[0] < end]
        found += as_list(stream.feed(*arrays(part), end))
    found += as_list(stream.feed(*arrays([]), 1000))

    sides = ([k for k, tag in enumerate(tags) if tag[1] in side] for side in ((1, 2, 3), (4, 5, 6)))
    places_a, places_b = sides
    expected = match(
        *arrays([tags[k] for k in places_a]),
        *arrays([tags[k] for k in places_b]),
        by_channel,
        window,
    )
    assert found == [(places_a[i], places_b[j], dt) for i, j, dt in as_list(expected)]


@pytest.mark.parametrize(
    ("block", "until_ps", "words"),
    [
        ([60, 50, 70], 80, "steps back 1 times"),
        ([30], 80, "before 40 ps"),
        ([60], 50, "before its last tag 60"),
    ],
)
def test_a_merged_block_out_of_order_is_refused_and_forgotten(
    block: list[int], until_ps: int, words: str
) -> None:
    stream = MergedStream(no_delays(), 10, [1], [2])
    stream.feed(*arrays([(35, 1)]), 40)

    with pytest.raises(UnsortedTimes, match=words):
        stream.feed(*arrays([(time, 2) for time in block]), until_ps)

    assert as_list(stream.feed(*arrays([(40, 2)]), 60)) == [(0, 1, 5)]


def test_a_channel_of_both_sides_is_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        MergedStream(no_delays(), 10, [1, 2], [2, 3])


@settings(max_examples=100, deadline=None)
@given(CROWDED, CROWDED, st.integers(1, 30))
def test_no_click_is_used_twice(a: Tags, b: Tags, window: int) -> None:
    pairs = match(*arrays(a), *arrays(b), no_delays(4), window)

    assert np.all(np.diff(pairs.index_a) > 0)
    assert np.all(np.diff(pairs.index_b) > 0)
    assert np.all(np.abs(pairs.dt_ps) <= window // 2)


def test_accidentals_follow_the_product_of_the_rates() -> None:
    rng = np.random.default_rng(5)
    duration, rate_a, rate_b, window = 5e12, 2e5, 3e5, 10_000
    a = np.sort(rng.integers(0, int(duration), rng.poisson(rate_a * duration / 1e12)))
    b = np.sort(rng.integers(0, int(duration), rng.poisson(rate_b * duration / 1e12)))
    ones_a, ones_b = np.ones(a.size, np.uint8), np.ones(b.size, np.uint8)

    pairs = match(a, ones_a, b, ones_b, no_delays(), window)

    expected = rate_a * rate_b * window / 1e12 * duration / 1e12
    assert abs(len(pairs) - expected) < 5 * np.sqrt(expected)


def test_unsorted_times_are_refused_with_their_place() -> None:
    times = np.array([0, 5, 3], dtype=np.int64)
    channels = np.ones(3, np.uint8)

    with pytest.raises(UnsortedTimes, match="Bob's times step back at entry 2, to 3 ps"):
        match(times[:2], channels[:2], times, channels, no_delays(), 10)


def test_a_channel_without_a_delay_is_refused() -> None:
    times, channels = np.zeros(1, np.int64), np.full(1, 4, np.uint8)

    with pytest.raises(ValueError, match="channel 4 has no delay"):
        match(times, channels, times, channels, no_delays(4), 10)


def test_times_from_received_bytes_can_be_matched() -> None:
    times = np.frombuffer(np.arange(5, dtype=np.int64).tobytes(), dtype=np.int64)
    channels = np.frombuffer(bytes(5), dtype=np.uint8)

    assert len(match(times, channels, times, channels, no_delays(), 1)) == 5


def test_a_block_that_goes_back_in_time_is_refused() -> None:
    stream = PairStream(no_delays(), 10)
    stream.feed_a(np.array([50], np.int64), np.ones(1, np.uint8), 100)

    with pytest.raises(UnsortedTimes, match="before 100 ps"):
        stream.feed_a(np.array([60], np.int64), np.ones(1, np.uint8), 200)
