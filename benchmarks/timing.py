"""Measure the loops over time tags: process CPU time, one core, beside `np.sum` over int64.

Run `qnx bench timing`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from qnx_hw.commands.bench import Result
from qnx_hw.timing import coincidence, filters, histogram, tag_codec
from qnx_hw.timing.merged_stream import MergedStream
from qnx_hw.timing.warm_up import warm_up

ROUNDS = 7
BLOCK_TAGS = 1 << 17


def rate_mtags_s(run: Callable[[], object], tags: int) -> float:
    """Return the median rate in million tags per second of CPU time."""
    spans = []
    for _ in range(ROUNDS):
        start = time.process_time()
        run()
        spans.append(time.process_time() - start)
    return tags / max(statistics.median(spans), 1e-9) / 1e6


def suite() -> Iterator[Result]:
    """Measure each loop, and numpy's way of counting the same coincidences."""
    warm_up(lambda _name, _done: None)
    rng = np.random.default_rng(1)
    pairs = np.sort(rng.integers(0, 2 * 10**12, 20_000_000))
    a = pairs[rng.random(pairs.size) < 0.2]
    b = np.sort(pairs[rng.random(pairs.size) < 0.2] + 100)
    channels_a = rng.integers(1, 5, a.size).astype(np.uint8)
    channels_b = rng.integers(1, 5, b.size).astype(np.uint8)
    lags = rng.integers(-300, 300, (5, 5))
    both, merged_channels = _merged(a, channels_a, b, channels_b)
    packed = tag_codec.encode(a, channels_a)
    machine = rate_mtags_s(both.sum, both.size)
    yield Result(name="np.sum of int64", value=machine, unit="M/s")
    searching = rate_mtags_s(lambda: _by_search(a, channels_a, b, channels_b, lags), both.size)
    runs: dict[str, tuple[Callable[[], object], int, float | None]] = {
        "match, 16 channel pairs": (
            lambda: coincidence.match(a, channels_a, b, channels_b, lags, 1000),
            both.size,
            5.0,
        ),
        "merged stream, split and matched": (
            lambda: _match_merged(both, merged_channels, lags),
            both.size,
            4.0,
        ),
        "merged stream, split only": (
            lambda: _split_merged(both, merged_channels),
            both.size,
            None,
        ),
        "delay histogram (g2)": (
            lambda: histogram.delays(a, b, start_ps=-102_400, bin_ps=50, n_bins=4096),
            both.size,
            5.0,
        ),
    }
    for name, (run, tags, goal) in runs.items():
        rate = rate_mtags_s(run, tags)
        share = 100 * rate / machine
        yield Result(
            name=f"{name}: of np.sum",
            value=share,
            unit="%",
            goal=goal,
            met=goal is None or share >= goal,
        )
        if name.startswith("match"):
            yield Result(
                name=name,
                value=rate,
                unit="Mtags/s",
                goal=20 * searching,
                met=rate >= 20 * searching,
                peer="numpy searchsorted",
                peer_value=searching,
                ratio=rate / searching,
            )
    for name, run in {
        "pack tags": lambda: tag_codec.encode(a, channels_a),
        "unpack tags": lambda: tag_codec.decode(packed),
    }.items():
        yield Result(name=name, value=rate_mtags_s(run, a.size), unit="Mtags/s")
    size = len(packed) / a.size
    yield Result(name="packed tags", value=size, unit="B/tag", goal=4.0, met=size <= 4.0)


def _merged(
    a: np.ndarray, channels_a: np.ndarray, b: np.ndarray, channels_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return one stream of eight channels; Bob's count from 5."""
    times = np.concatenate((a, b))
    order = np.argsort(times, kind="stable")
    channels = np.concatenate((channels_a, channels_b + 4)).astype(np.uint8)
    return times[order], channels[order]


def _match_merged(times: np.ndarray, channels: np.ndarray, lags: np.ndarray) -> int:
    """Match a merged stream in the blocks in which a tagger would bring it."""
    by_channel = np.zeros((9, 9), np.int64)
    by_channel[1:5, 5:9] = lags[1:, 1:]
    stream = MergedStream(by_channel, 1000, [1, 2, 3, 4], [5, 6, 7, 8])
    found = 0
    for start in range(0, times.size, BLOCK_TAGS):
        block = slice(start, start + BLOCK_TAGS)
        found += len(stream.feed(times[block], channels[block], int(times[block][-1])))
    return found


def _split_merged(times: np.ndarray, channels: np.ndarray) -> None:
    for start in range(0, times.size, BLOCK_TAGS):
        block = slice(start, start + BLOCK_TAGS)
        filters.split(times[block], channels[block], [[1, 2, 3, 4], [5, 6, 7, 8]])


def _by_search(
    a: np.ndarray, channels_a: np.ndarray, b: np.ndarray, channels_b: np.ndarray, lags: np.ndarray
) -> int:
    """Count coincidences as scripts of laboratories do: a sorted search for each channel pair."""
    found = 0
    for first in range(1, 5):
        ours = a[channels_a == first]
        for second in range(1, 5):
            theirs = b[channels_b == second] + lags[first, second]
            low, high = np.searchsorted(theirs, (ours - 500, ours + 500))
            found += int(np.count_nonzero(high > low))
    return found


if __name__ == "__main__":
    for result in suite():
        print(result)
