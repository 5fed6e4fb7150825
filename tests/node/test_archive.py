"""Roll-ups are what the samples were, over restarts and up to a month."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.api.schema import Series
from qnx_hw.node.archive import LEVELS_S, MOST_POINTS, Archive

KEY = ("link", "alice-bob", "qber")
START_S = 1.7e9


class Clock:
    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


def read(
    archive: Archive, since_s: float, until_s: float | None = None, *, close: bool = True
) -> Series:
    async def scenario() -> Series:
        series = await archive.read(KEY, "", since_s, until_s)
        if close:
            await archive.close()
        return series

    return asyncio.run(scenario())


@given(st.lists(st.tuples(st.floats(0.0, 500.0), st.floats(-9.0, 9.0)), min_size=1, max_size=40))
def test_spans_hold_mean_and_extremes_of_their_samples(samples: list[tuple[float, float]]) -> None:
    clock = Clock()
    archive = Archive(":memory:", clock)
    for index, (after_s, value) in enumerate(samples):
        archive.add(KEY, START_S + after_s, value)
        if index == len(samples) // 2:
            asyncio.run(archive.flush())
    clock.now_s += 600.0

    series = read(archive, START_S - 10.0)

    assert series.step_s == LEVELS_S[0][0]
    for at, mean, low, high in zip(
        series.times_s, series.values, series.low, series.high, strict=True
    ):
        inside = [v for after_s, v in samples if at - 5.0 <= START_S + after_s < at + 5.0]
        if mean is None:
            assert not inside
        else:
            assert mean == pytest.approx(sum(inside) / len(inside), abs=1e-9)
            assert (low, high) == (min(inside), max(inside))
    assert sum(value is not None for value in series.values) == len(
        {(START_S + after_s) // 10 for after_s, _ in samples}
    )


def test_a_span_cut_by_a_restart_is_put_together(tmp_path: Path) -> None:
    clock = Clock()
    for value in (1.0, 3.0):
        archive = Archive(tmp_path / "history.sqlite", clock)
        archive.add(KEY, START_S, value)
        asyncio.run(archive.close())
    clock.now_s += 60.0

    series = read(Archive(tmp_path / "history.sqlite", clock), START_S - 30.0)

    assert (series.values, series.low, series.high) == ((2.0,), (1.0,), (3.0,))


def test_a_month_is_thinned_and_older_things_are_forgotten() -> None:
    clock = Clock()
    archive = Archive(":memory:", clock)
    days = 45
    for step in range(days * 288):
        archive.add(KEY, START_S + 300.0 * step, float(step))
    clock.now_s = START_S + days * 86_400.0
    asyncio.run(archive.flush())

    series = read(archive, clock.now_s - 30 * 86_400.0, close=False)
    everything = read(archive, START_S, clock.now_s)

    assert MOST_POINTS / 2 < len(series.times_s) <= MOST_POINTS + 1
    assert series.times_s[0] >= clock.now_s - 30 * 86_400.0 - series.step_s
    assert min(everything.times_s) >= clock.now_s - LEVELS_S[1][1] - everything.step_s


def test_a_hole_in_time_is_a_hole() -> None:
    clock = Clock()
    archive = Archive(":memory:", clock)
    archive.add(KEY, START_S, 1.0)
    archive.add(KEY, START_S + 400.0, 1.0)
    clock.now_s += 500.0

    assert read(archive, START_S - 1.0).values == (1.0, None, 1.0)


def test_what_is_no_number_is_passed_over() -> None:
    archive = Archive(":memory:", Clock())
    archive.add(KEY, START_S, float("nan"))
    archive.add(KEY, START_S, float("inf"))

    assert read(archive, START_S - 60.0).values == ()
