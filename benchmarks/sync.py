"""Finding and following the other party's clock, on the tags of the simulated bench.

Run `qnx bench sync`, or `python benchmarks/sync.py SEEDS` with fewer seeds. Tags have jitter of
300 ps with tails, dead time, afterpulses, dark counts and a clock whose rate walks at random by
1e-9 in a square root of a second; offsets and rates are drawn anew for each seed. Time is process
CPU time without compilation. fpfind (GPL) is called as a program of its own where it is installed.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qnx_hw.commands import peers
from qnx_hw.commands.bench import Result
from qnx_hw.timing.clock_sync import Lock, Tracker, acquire
from qnx_hw.timing.warm_up import warm_up
from sim_devices.physics.bench import Bench

SEEDS = 10
UNCORRELATED = 100
FOLLOWED_S = 6.0
SETTLED_S = 2.0
BLOCK_S = 0.1
JITTER_PS = 300.0
PS = 1e12


@dataclass(frozen=True, slots=True)
class Scenario:
    """A link and how far its clocks may be apart."""

    pairs_hz: float
    efficiency: tuple[float, float]
    seconds: float
    limit_s: float
    limit_ppm: float = 10.0
    dark_cps: float = 500.0
    cpu_goal_s: float = 2.0
    success_goal: float = 1.0
    follows: bool = True
    clock: tuple[float, float] | None = None
    """Offset (s) and rate (ppm) where the seed does not draw them."""


SCENARIOS = {
    "lab": Scenario(1e6, (0.2, 0.2), 1.0, 10.0),
    "metro": Scenario(1e6, (0.02, 0.02), 2.0, 10.0),
    "asymmetric 30 dB": Scenario(1e6, (0.2, 0.002), 2.0, 10.0),
    "bright": Scenario(2e7, (0.1, 0.1), 0.2, 10.0),
    "symmetric 40 dB": Scenario(1e7, (0.01, 0.01), 2.0, 0.2, cpu_goal_s=20.0),
    "satellite": Scenario(
        5e6, (0.2, 2e-4), 4.0, 0.2, dark_cps=250.0, cpu_goal_s=20.0, success_goal=0.95
    ),
    "lab, 200 ppm": Scenario(1e6, (0.2, 0.2), 1.0, 10.0, limit_ppm=200.0, follows=False),
}


# What fpfind can take: an offset above zero and below a fifth of a second, counts well correlated.
PEER = "fpfind"
PEER_CASE = Scenario(4e5, (0.5, 0.25), 12.0, 10.0, clock=(0.05, 5.0))
PEER_SETTINGS = ("-q", "21", "-R", "256")
PEER_TIMEOUT_S = 300.0


@dataclass(slots=True)
class Outcome:
    """What the seeds of a scenario gave."""

    locks: int = 0
    cpu_s: list[float] = field(default_factory=list)
    errors_ps: list[float] = field(default_factory=list)
    rms_ps: list[float] = field(default_factory=list)
    bounds_ps: list[float] = field(default_factory=list)


class Link:
    """Two stations of the bench; Alice's clock is true, Bob's is off by what the seed says."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        rng = np.random.default_rng((20090, seed))
        sign = 1 if seed % 2 else -1
        self.offset_s = sign * rng.uniform(0.05, 0.95) * scenario.limit_s
        self.ppm = rng.uniform(-0.95, 0.95) * scenario.limit_ppm
        if scenario.clock is not None:
            self.offset_s, self.ppm = scenario.clock
        common: dict[str, object] = {
            "dark_rate_cps": scenario.dark_cps,
            "dead_time_ps": 30_000,
            "jitter_ps": JITTER_PS / np.sqrt(2) * 2.355,
            "jitter_tail_fraction": 0.2,
            "jitter_tail_ps": 200.0,
            "afterpulse_probability": 0.01,
        }
        clock = {
            "clock_offset_s": self.offset_s,
            "clock_drift_ppm": self.ppm,
            "clock_wander_ppm_per_sqrt_s": 1e-3,
        }
        stations = {
            "alice": {**common, "efficiency": scenario.efficiency[0]},
            "bob": {**common, **clock, "efficiency": scenario.efficiency[1]},
        }
        source = {"pair_rate_hz": scenario.pairs_hz, "arms": ["alice", "bob"]}
        self.bench = Bench.from_network(
            {"bench": {"seed": seed, "stations": stations, "sources": {"spdc": source}}}
        )
        self.now_s = 0.0

    def tags(self, seconds: float) -> tuple[np.ndarray, np.ndarray]:
        """Let time pass and return both parties' tags of it."""
        self.now_s += seconds
        a, b = (self.bench.station(name).take_tags(self.now_s)[0] for name in ("alice", "bob"))
        return a, b

    def error_ps(self, time_b_ps: int, time_a_ps: int) -> float:
        """Return how far Bob's clock really was from `time_b_ps` when Alice's showed the other."""
        return float(self.bench.station("bob").clock.stamp_at(time_a_ps) - time_b_ps)


def suite(seeds: int = SEEDS, uncorrelated: int = UNCORRELATED) -> Iterator[Result]:
    """Run every scenario; each yields its success, CPU time and errors."""
    warm_up(lambda _name, _done: None)
    for name, scenario in SCENARIOS.items():
        outcome = Outcome()
        for seed in range(seeds):
            _run(scenario, seed, outcome)
        yield from _results(name, scenario, outcome, seeds)
    yield _beside_fpfind()
    false_locks = sum(_is_false_lock(seed) for seed in range(uncorrelated))
    yield Result(
        name=f"false locks in {uncorrelated} unrelated pairs of streams",
        value=false_locks,
        unit="",
        goal=0,
        met=false_locks == 0,
    )


def _beside_fpfind() -> Result:
    link = Link(PEER_CASE, 1)
    parts = [link.tags(1.0) for _ in range(round(PEER_CASE.seconds))]
    a, b = (np.concatenate(side) for side in zip(*parts, strict=True))
    started_s = time.process_time()
    found = acquire(a, b, offset_limit_s=10.0, drift_limit_ppm=10.0)
    ours_s = time.process_time() - started_s
    peer_s = _fpfind_s(a, b)
    return Result(
        name="0.2/0.1 Mcps, 2e4 pairs/s, +50 ms, 5 ppm: CPU",
        value=ours_s if found is not None else float("nan"),
        unit="s",
        peer=PEER if peer_s else f"{PEER} cannot be had here",
        peer_value=peer_s,
        ratio=ours_s / peer_s if peer_s else None,
    )


def _fpfind_s(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return the CPU time that fpfind takes for two files, where it finds the offset."""
    python = peers.environment(PEER, (PEER,))
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("a.ts", "b.ts")]
        for path, times in zip(paths, (a, b), strict=True):
            words = (np.rint(times * 0.256).astype(np.uint64) << np.uint64(10)) | np.uint64(1)
            path.write_bytes(words.astype("<u8").tobytes())
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        files = ("-t", str(paths[0]), "-T", str(paths[1]))
        try:
            done = subprocess.run(
                [python.parent / PEER, *files, *PEER_SETTINGS],
                capture_output=True,
                text=True,
                timeout=PEER_TIMEOUT_S,
                check=True,
            )
            offset_ns = float(done.stdout.split()[-1])
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            return None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    is_right = abs(abs(offset_ns) - 5e7) < 1e5
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime if is_right else None


def _run(scenario: Scenario, seed: int, outcome: Outcome) -> None:
    link = Link(scenario, seed)
    a, b = link.tags(scenario.seconds)
    started_s = time.process_time()
    lock = acquire(a, b, offset_limit_s=scenario.limit_s, drift_limit_ppm=scenario.limit_ppm)
    outcome.cpu_s.append(time.process_time() - started_s)
    if lock is None:
        return
    origin_ps = lock.clock.origin_ps
    error_ps = link.error_ps(origin_ps, origin_ps - lock.clock.offset_ps)
    if abs(error_ps) > 10 * JITTER_PS:
        return
    outcome.locks += 1
    outcome.errors_ps.append(error_ps)
    if scenario.follows:
        _follow(link, lock, outcome)


def _follow(link: Link, lock: Lock, outcome: Outcome) -> None:
    tracker = Tracker(lock)
    errors_ps = []
    for block in range(round(FOLLOWED_S / BLOCK_S)):
        a, b = link.tags(BLOCK_S)
        tracker.follow(a, b)
        clock = tracker.settled
        if block * BLOCK_S >= SETTLED_S:
            errors_ps.append(link.error_ps(clock.origin_ps, clock.origin_ps - clock.offset_ps))
    # The tracker's blocks hold 100 pairs, but last 20 ms at least.
    pairs = max(100.0, 0.02 * tracker.coincidence_rate_hz)
    outcome.rms_ps.append(_rms(errors_ps))
    outcome.bounds_ps.append(max(10.0, 1.3 * JITTER_PS / float(np.sqrt(pairs))))


def _results(name: str, scenario: Scenario, outcome: Outcome, seeds: int) -> Iterator[Result]:
    share = outcome.locks / seeds
    yield Result(
        name=f"{name}: locks",
        value=100 * share,
        unit="%",
        goal=100 * scenario.success_goal,
        met=share >= scenario.success_goal,
    )
    cpu_s = statistics.median(outcome.cpu_s)
    yield Result(
        name=f"{name}: CPU, median (largest {max(outcome.cpu_s):.2f})",
        value=cpu_s,
        unit="s",
        goal=scenario.cpu_goal_s,
        met=cpu_s <= scenario.cpu_goal_s,
    )
    if outcome.errors_ps:
        rms = _rms(outcome.errors_ps)
        yield Result(name=f"{name}: offset error at the lock, rms", value=rms, unit="ps")
    if outcome.rms_ps:
        rms, bound = statistics.median(outcome.rms_ps), statistics.median(outcome.bounds_ps)
        yield Result(
            name=f"{name}: tracking, rms", value=rms, unit="ps", goal=bound, met=rms <= bound
        )


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _is_false_lock(seed: int) -> bool:
    rng = np.random.default_rng((777, seed))
    streams = [np.sort(rng.integers(0, 2 * 10**12, 40_000)) for _ in range(2)]
    return acquire(*streams, offset_limit_s=0.5, drift_limit_ppm=10.0) is not None


if __name__ == "__main__":
    for result in suite(int(sys.argv[1]) if len(sys.argv) > 1 else 3, 10):
        print(result)
