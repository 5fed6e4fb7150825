"""Charts: which points are drawn where, and what stands at the axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("PySide6.QtGui")

from PySide6.QtCore import QRectF

from gui.desktop.charts.ring import Ring
from gui.desktop.charts.ticks import step, ticks, wide, words
from gui.desktop.charts.traces import Frame, Line, polygon, reduced, runs

numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-3)


@given(numbers, st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks_are_round_even_and_inside(low: float, span: float, most: int) -> None:
    found = np.asarray(ticks(low, low + span, most))
    apart = step(low, low + span, most)

    assert found.size <= most + 1
    assert np.allclose(np.diff(found), apart)
    assert (found >= low - 1e-6 * span).all()
    assert (found <= low + span * (1 + 1e-6)).all()


@given(numbers, st.floats(1e-3, 1e6))
def test_a_widened_range_holds_the_first_and_is_not_much_wider(low: float, span: float) -> None:
    wide_low, wide_high = wide(low, low + span)

    slack = 1e-6 * (abs(low) + span)
    assert wide_low <= low + slack
    assert low + span <= wide_high + slack
    assert wide_high - wide_low <= 2 * span + slack


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ((0.0, 25.0, 50.0), ("0", "25", "50")),
        ((-0.5, 0.0, 0.5), ("−0.5", "0.0", "0.5")),
        ((0.0, 20_000.0, 40_000.0), ("0k", "20k", "40k")),
        ((2.9, 3.0, 3.1), ("2.9", "3.0", "3.1")),
    ],
)
def test_numbers_of_an_axis_are_told_apart(
    values: tuple[float, ...], written: tuple[str, ...]
) -> None:
    assert words(values) == written


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=500), st.integers(1, 40))
def test_a_reduced_curve_keeps_the_extremes_of_every_pixel(heights: list[float], px: int) -> None:
    across = np.linspace(0.0, px, len(heights), endpoint=False)
    down = np.asarray(heights)

    x, y = reduced(across, down)

    assert x.size <= max(2 * px + 2, 8)
    for column in range(px):
        there = down[np.floor(across) == column]
        kept = y[np.floor(x) == column]
        if there.size:
            assert (kept.min(), kept.max()) == (there.min(), there.max())


def test_points_reach_qt_unchanged() -> None:
    made = polygon(np.asarray([1.0, 2.5]), np.asarray([-3.0, 4.0]))

    assert [(p.x(), p.y()) for p in made] == [(1.0, -3.0), (2.5, 4.0)]


@given(st.lists(st.booleans(), max_size=60))
def test_runs_cover_what_holds_and_nothing_else(flags: list[bool]) -> None:
    covered = [False] * len(flags)
    for part in runs(np.asarray(flags, dtype=bool)):
        assert part.stop > part.start
        for index in range(part.start, part.stop):
            covered[index] = True

    assert covered == flags


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1))
def test_a_frame_finds_back_what_it_shows(low: float, span: float, part: float) -> None:
    frame = Frame(QRectF(52, 8, 700, 300), low, low + span, 0.0, 1.0)
    x = low + part * span

    found = frame.x_at(float(frame.across(np.asarray([x]))[0]))

    assert found == pytest.approx(x, abs=1e-6 * (abs(low) + span))


def test_a_curve_that_is_not_known_everywhere_tells_its_extent() -> None:
    curve = Line(0)
    assert curve.extent(0.0, 1.0) is None

    curve.set(np.asarray([0.0, 1.0, 2.0]), np.asarray([5.0, np.nan, 9.0]))

    assert curve.extent(0.0, 1.5) == (5.0, 5.0)
    assert curve.extent(0.0, 3.0) == (5.0, 9.0)


@given(st.integers(1, 9), st.integers(1, 60))
def test_a_ring_keeps_the_newest_rows_in_order(size: int, count: int) -> None:
    ring = Ring(2, size)

    for at in range(count):
        ring.append(float(at), np.asarray([10.0 * at]))

    kept = list(range(max(0, count - size), count))
    assert ring.times.tolist() == kept
    assert ring.values[0].tolist() == [10.0 * at for at in kept]
    assert np.isnan(ring.values[1]).all()


def test_a_clock_set_back_empties_the_ring() -> None:
    ring = Ring(1, 4)
    ring.append(5.0, np.asarray([1.0]))

    ring.append(3.0, np.asarray([2.0]))

    assert ring.times.tolist() == [3.0]
