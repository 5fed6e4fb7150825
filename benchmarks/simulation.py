"""Measure the simulated bench: tags per second of process CPU time, one core, median of rounds.

Run `python benchmarks/simulation.py [--json FILE]`. Wall time is not measured: it says more about
the neighbours. The rate of `np.sum` over int64 stands beside it, as the measure of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sim_devices.physics.bench import CHUNK_PS, Bench
from sim_devices.physics.clicks import Place
from sim_devices.physics.decoy import Receiver, Transmitter, receive
from sim_devices.physics.detection import Detectors, Response

ROUNDS = 7
GOAL_MTAGS_S = 25.0
# SeQUeNCe 0.8.5, an event for each photon: figures of an earlier study with other parameters, not
# measured by this script, so the ratio gives the order of magnitude only.
PEER = "SeQUeNCe 0.8.5"
PEER_PAIRS_MTAGS_S = 0.0072
PEER_PULSES_MTAGS_S = 0.008


@dataclass(frozen=True, slots=True)
class Result:
    """A line of the table."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    met: bool | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None


def pairs(pair_rate_hz: float, efficiency: float, span_s: float) -> Callable[[], int]:
    """Return a round: both stations' tags of `span_s`, fetched each 20 ms."""
    station = {
        "efficiency": efficiency,
        "dark_rate_cps": 200.0,
        "dead_time_ps": 30_000,
        "jitter_ps": 300,
        "drift_rad_per_sqrt_s": 1e-3,
        "clock_drift_ppm": 3.0,
        "clock_wander_ppm_per_sqrt_s": 1e-3,
    }
    bench = Bench.from_network(
        {
            "bench": {
                "stations": {"alice": dict(station), "bob": dict(station)},
                "sources": {
                    "spdc": {
                        "pair_rate_hz": pair_rate_hz,
                        "visibility": 0.97,
                        "arms": ["alice", "bob"],
                    }
                },
            }
        }
    )

    def run() -> int:
        start_s = bench.now_s
        fetches = [start_s + 0.02 * step for step in range(1, round(span_s / 0.02) + 1)]
        return sum(
            len(bench.station(name).take_tags(until_s)[0])
            for until_s in fetches
            for name in bench.stations
        )

    return run


def pulses(pulse_rate_hz: float, transmission: float, n_chunks: int) -> Callable[[], int]:
    """Return a round: the receiver's tags of some chunks of decoy BB84."""
    transmitter = Transmitter(pulse_rate_hz, (0.5, 0.1, 0.0), (0.8, 0.15, 0.05))
    receiver = Receiver(transmission, misalignment=0.01, dark_rate_cps=200.0)
    response = Response(dead_time_ps=30_000, jitter_ps=100)

    def run() -> int:
        detectors = Detectors(response)
        n_tags = 0
        for chunk in range(n_chunks):
            start_ps = chunk * CHUNK_PS
            place = Place(1, 2, chunk)
            arrivals = receive(transmitter, receiver, (start_ps, CHUNK_PS), place)
            clock = (start_ps, start_ps, 1.0)
            end_ps = start_ps + CHUNK_PS
            n_tags += len(detectors.register(arrivals, end_ps, clock, Place(1, 3, chunk))[0])
        return n_tags

    return run


def rate(run: Callable[[], int]) -> float:
    """Return the median of millions per second of CPU time; the first round compiles."""
    run()
    rates = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        n = run()
        rates.append(n / (time.process_time() - start_s) / 1e6)
    return statistics.median(rates)


def machine_rate() -> float:
    """Return the rate of `np.sum` over int64 in millions per second."""
    numbers = np.arange(8_000_000)

    def run() -> int:
        numbers.sum()
        return numbers.size

    return rate(run)


def measure() -> list[Result]:
    """Run all cases."""
    pairs_peer, pulses_peer = PEER_PAIRS_MTAGS_S, PEER_PULSES_MTAGS_S
    cases = [
        ("pairs 1e6/s, 0.6 Mtags/s in real time", pairs(1e6, 0.3, 1.0), None, pairs_peer),
        ("pairs 1e7/s, 4 Mtags/s in real time", pairs(1e7, 0.2, 0.3), GOAL_MTAGS_S, pairs_peer),
        ("pairs 2e7/s, 15 Mtags/s in real time", pairs(2e7, 0.4, 0.1), GOAL_MTAGS_S, pairs_peer),
        ("decoy BB84, 1 GHz, 4 Mtags/s in real time", pulses(1e9, 0.01, 30), None, pulses_peer),
    ]
    results = []
    for name, run, goal, peer_value in cases:
        value = rate(run)
        met = None if goal is None else value >= goal
        results.append(
            Result(name, value, "Mtags/s", goal, met, PEER, peer_value, value / peer_value)
        )
    return [*results, Result("np.sum of int64, for comparison", machine_rate(), "M/s")]


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    results = measure()
    print(f"{'case':44}{'ours':>10}{'goal':>8}  {PEER}")
    for result in results:
        goal = "-" if result.goal is None else f"{result.goal:g}"
        peer = "-" if result.peer_value is None else f"{result.peer_value:g} ({result.ratio:.0f}x)"
        print(f"{result.name:44}{result.value:10.1f}{goal:>8}  {peer}")
    if arguments.json:
        machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        report = {"machine": machine, "results": [asdict(result) for result in results]}
        arguments.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
