"""A lock is followed, lost and found again."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qnx_hw.timing.clock_sync import ClockMap, Lock, Tracker

_SPEC = importlib.util.spec_from_file_location(
    "synthetic_tracks", Path(__file__).with_name("synthetic.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
synthetic = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = synthetic
_SPEC.loader.exec_module(synthetic)
Scene = synthetic.Scene

LINK = Scene(4e4, 4e4, 8e3, 8.0, offset_s=0.3, ppm=5.0, wander=1e-9)


def lock_at_start(scene: Scene, jitter_ps: float = 300.0) -> Lock:
    offset = round(scene.offset_s * 1e12)
    return Lock(
        clock=ClockMap(offset, offset, scene.ppm * 1e-6 / (1 + scene.ppm * 1e-6)),
        offset_error_ps=100.0,
        rate_error=1e-9,
        jitter_ps=jitter_ps,
        coincidence_rate_hz=scene.pairs_hz,
        resolution_ps=1.0,
        evidence=100.0,
        required=50.0,
    )


def blocks(times: np.ndarray, block_ps: int) -> Iterator[np.ndarray]:
    edges = np.arange(times[0], times[-1] + block_ps, block_ps)
    cuts = np.searchsorted(times, edges)
    for start, end in itertools.pairwise(cuts):
        yield times[start:end]


@pytest.mark.slow
def test_a_wandering_quartz_is_followed_within_the_jitter() -> None:
    times_a, times_b, truth = LINK.tags(1)
    tracker = Tracker(lock_at_start(LINK))
    errors, settled, seen = [], [], 0

    for part_a, part_b in zip(
        blocks(times_a, 100_000_000_000), blocks(times_b, 100_000_000_000), strict=False
    ):
        assert tracker.follow(part_a, part_b)
        errors.append(float((tracker.to_reference(part_b) - truth[seen:][: part_b.size]).mean()))
        seen += part_b.size
        past = tracker.settled
        place = int(np.searchsorted(times_b, past.origin_ps))
        at_past = int(past.to_reference(times_b[place : place + 1])[0])
        settled.append(at_past - truth[place])

    assert np.sqrt(np.mean(np.square(settled[1:]))) < 25
    # 300 ps over the root of 200 pairs a step is 21 ps; the wander adds as much.
    assert np.sqrt(np.mean(np.square(errors))) < 60
    assert abs(tracker.jitter_ps - 300) < 30
    assert abs(tracker.coincidence_rate_hz / LINK.pairs_hz - 1) < 0.1


def test_cutting_the_blocks_otherwise_gives_the_same_clock() -> None:
    scene = Scene(4e4, 4e4, 8e3, 1.0, offset_s=0.3, ppm=5.0)
    times_a, times_b, _ = scene.tags(2)
    whole, cut = Tracker(lock_at_start(scene)), Tracker(lock_at_start(scene))

    whole.follow(times_a, times_b)
    for part in range(0, max(times_a.size, times_b.size), 3000):
        cut.follow(times_a[part : part + 3000], times_b[part : part + 3000])

    assert cut.clock == whole.clock
    assert cut.settled == whole.settled


@pytest.mark.slow
def test_a_lost_link_is_noticed_and_found_again() -> None:
    times_a, times_b, truth = LINK.tags(3)
    unrelated = Scene(4e4, 4e4, 0.0, 8.0).tags(4)[0]
    dark = (times_a > 2e12) & (times_a < 6.5e12)
    unrelated = unrelated[(unrelated > 2e12) & (unrelated < 6.5e12)]
    broken = np.sort(np.concatenate((times_a[~dark], unrelated)))
    tracker = Tracker(lock_at_start(LINK))

    states = [
        tracker.follow(part_a, part_b)
        for part_a, part_b in zip(
            blocks(broken, 250_000_000_000), blocks(times_b, 250_000_000_000), strict=False
        )
    ]

    assert all(states[:7])
    assert not states[24]
    assert states[-1]
    late = slice(times_b.size - 3000, None)
    assert abs(float((tracker.to_reference(times_b[late]) - truth[late]).mean())) < 300


def test_a_gap_on_one_side_does_not_stop_it() -> None:
    scene = Scene(4e4, 4e4, 8e3, 2.0, offset_s=0.3, ppm=5.0)
    times_a, times_b, truth = scene.tags(5)
    gap = (times_a > 0.8e12) & (times_a < 1.2e12)
    tracker = Tracker(lock_at_start(scene))

    assert tracker.follow(times_a[~gap], times_b)

    late = slice(times_b.size - 2000, None)
    assert abs(float((tracker.to_reference(times_b[late]) - truth[late]).mean())) < 60


def test_a_lock_can_be_handed_on() -> None:
    scene = Scene(4e4, 4e4, 8e3, 1.0, offset_s=0.3, ppm=5.0)
    times_a, times_b, _ = scene.tags(6)
    first = Tracker(lock_at_start(scene))
    first.follow(times_a, times_b)

    second = Tracker(first.lock())

    assert second.clock == first.clock
    assert second.jitter_ps == first.jitter_ps
    assert second.is_locked
