"""Clicks of two stations that share photon pairs, with two clocks: what the tests know as truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scene:
    rate_a_hz: float
    rate_b_hz: float
    pairs_hz: float
    duration_s: float = 3.0
    offset_s: float = 0.0
    ppm: float = 0.0
    jitter_ps: float = 300.0
    round_a_ps: int = 1
    round_b_ps: int = 1
    start_b_s: float = 0.0
    wander: float = 0.0
    """Random walk of the frequency, per square root of a second."""

    def offset_ps(self, true_ps: np.ndarray) -> np.ndarray:
        return self.offset_s * 1e12 + self.ppm * 1e-6 * true_ps

    def tags(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return Alice's and Bob's tags, and Bob's tags as they would be in Alice's clock."""
        rng = np.random.default_rng(seed)

        def poisson(rate_hz: float) -> np.ndarray:
            count = rng.poisson(rate_hz * self.duration_s)
            return rng.random(count) * self.duration_s * 1e12

        both = poisson(self.pairs_hz)
        seen_a = both + rng.normal(0, self.jitter_ps / np.sqrt(2), both.size)
        seen_b = both + rng.normal(0, self.jitter_ps / np.sqrt(2), both.size)
        a = np.sort(np.concatenate((seen_a, poisson(self.rate_a_hz - self.pairs_hz))))
        b = np.sort(np.concatenate((seen_b, poisson(self.rate_b_hz - self.pairs_hz))))
        b = b[b > self.start_b_s * 1e12]
        walk = rng.normal(0, self.wander * np.sqrt(0.01), int(self.duration_s * 100) + 2)
        drift = np.concatenate(([0.0], np.cumsum(np.cumsum(walk) * 1e10)))
        moved = b + self.offset_ps(b) + np.interp(b, np.arange(drift.size) * 1e10, drift)
        times_a = np.floor(a / self.round_a_ps).astype(np.int64) * self.round_a_ps
        times_b = np.floor(moved / self.round_b_ps).astype(np.int64) * self.round_b_ps
        return times_a, times_b, np.rint(b).astype(np.int64)


DEMO = Scene(3e5, 3e5, 9e4, offset_s=1.7, ppm=4.0, jitter_ps=90.0, round_a_ps=2000, round_b_ps=2000)
