"""Filters against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.timing import filters

TAGS = st.lists(st.tuples(st.integers(-200, 200), st.integers(1, 4)), max_size=50).map(sorted)


def arrays(tags: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([time for time, _ in tags], dtype=np.int64),
        np.array([channel for _, channel in tags], dtype=np.uint8),
    )


@settings(max_examples=100, deadline=None)
@given(TAGS)
def test_splitting_loses_and_invents_nothing(tags: list[tuple[int, int]]) -> None:
    times, channels = arrays(tags)

    parts = filters.split(times, channels, [[1, 3], [2], [4]])

    for part, group in zip(parts, ((1, 3), (2,), (4,)), strict=True):
        found = list(zip(*(x.tolist() for x in part), strict=True))
        assert found == sorted((tag for tag in tags if tag[1] in group), key=lambda tag: tag[0])


def test_a_channel_is_in_one_group_only() -> None:
    with pytest.raises(ValueError, match="twice"):
        filters.split(*arrays([(1, 1)]), [[1, 2], [2]])


def test_a_channel_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="numbers from 0 to 255"):
        filters.split(*arrays([(1, 1)]), [[256]])


@settings(max_examples=100, deadline=None)
@given(TAGS, st.integers(0, 60), st.booleans())
def test_tags_in_the_dead_time_of_any_tag_before_are_marked(
    tags: list[tuple[int, int]], dead_time: int, per_channel: bool
) -> None:
    keep = filters.live(*arrays(tags), dead_time, per_channel=per_channel)

    for k, (time, channel) in enumerate(tags):
        before = [t for t, c in tags[:k] if c == channel or not per_channel]
        assert keep[k] == (not before or time - before[-1] >= dead_time)


@settings(max_examples=100, deadline=None)
@given(TAGS, st.lists(st.integers(-50, 50), min_size=4, max_size=4))
def test_delays_are_taken_off_and_order_restored(
    tags: list[tuple[int, int]], delays: list[int]
) -> None:
    times, channels = arrays(tags)

    moved, moved_channels, order = filters.without_delays(
        times, channels, dict(enumerate(delays, 1))
    )

    assert np.all(np.diff(moved) >= 0)
    assert np.array_equal(channels[order], moved_channels)
    assert np.array_equal(times[order] - np.array([0, *delays])[moved_channels], moved)


@settings(max_examples=200, deadline=None)
@given(st.integers(-(10**15), 10**15), st.integers(2, 10**6), st.data())
def test_gates_open_once_per_period(start: int, period: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, period))
    times = np.array(data.draw(st.lists(st.integers(-(10**15), 10**15))), dtype=np.int64)

    marked = filters.gated(times, period, start, width)

    assert marked.tolist() == [(t - start) % period < width for t in times.tolist()]


def test_gates_wider_than_the_period_are_refused() -> None:
    with pytest.raises(ValueError, match="gates of 20 ps every 10"):
        filters.gated(np.zeros(1, np.int64), 10, 0, 20)
