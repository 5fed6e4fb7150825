"""Measure the simulated bench: tags per second of process CPU time, one core, median of rounds.

Run `qnx bench simulation`. Wall time stands only where threads draw together, and depends on what
else runs. The rate of `np.sum` over int64 stands beside it, as the measure of the machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np

from qnx_hw.commands import peers
from qnx_hw.commands.bench import Result
from sim_devices.physics.bench import CHUNK_PS, Bench
from sim_devices.physics.clicks import Place
from sim_devices.physics.decoy import Receiver, Transmitter, receive
from sim_devices.physics.detection import Detectors, Response

ROUNDS = 7
GOAL_MTAGS_S = 25.0
REAL_TIME_MTAGS_S = 8 * 1.9
PEER = "SeQUeNCe"
# An event for each photon: a pair source of 10 MHz with two polarization analysers.
PEER_PROGRAM = """
import sys, time
from sequence.kernel.timeline import Timeline
from sequence.components.light_source import SPDCSource
from sequence.components.detector import QSDetectorPolarization
from sequence.utils.encoding import polarization
pairs_hz, efficiency, span_s = map(float, sys.argv[1:4])
clock_hz = 1e7
timeline = Timeline(int(span_s * 1e12) + 10**9)
source = SPDCSource("source", timeline, [1550, 1550], clock_hz, pairs_hz / clock_hz, polarization)
ends = [QSDetectorPolarization(name, timeline) for name in ("a", "b")]
pulses = int(span_s * clock_hz)
for end in ends:
    for detector in end.detectors:
        detector.efficiency, detector.dark_count = efficiency, 200
        detector.count_rate, detector.time_resolution = 33e6, 1
    end.set_basis_list([0] * (pulses + 100), 0, clock_hz)
    source.add_receiver(end)
timeline.init()
start = time.process_time()
source.emit([((2**-0.5) + 0j, (2**-0.5) + 0j)] * pulses)
timeline.run()
spent = time.process_time() - start
print(sum(len(times) for end in ends for times in end.get_photon_times()) / spent)
"""


def pairs(
    pair_rate_hz: float, efficiency: float, span_s: float, threads: int | None = 1
) -> Callable[[], int]:
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
        },
        threads,
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


def rate(run: Callable[[], int], now_s: Callable[[], float] = time.process_time) -> float:
    """Return the median of millions per second of CPU time; the first round compiles."""
    run()
    rates = []
    for _ in range(ROUNDS):
        start_s = now_s()
        n = run()
        rates.append(n / (now_s() - start_s) / 1e6)
    return statistics.median(rates)


def machine_rate() -> float:
    """Return the rate of `np.sum` over int64 in millions per second."""
    numbers = np.arange(8_000_000)

    def run() -> int:
        numbers.sum()
        return numbers.size

    return rate(run)


def suite() -> Iterator[Result]:
    """Run all cases, and SeQUeNCe on a pair source where it can be had."""
    peer = peers.number(PEER, ("sequence",), PEER_PROGRAM, ("1e6", "0.3", "0.02"))
    yield from _pairs(peer / 1e6 if peer is not None else None)
    value = rate(pulses(1e9, 0.01, 30))
    yield Result(name="decoy BB84, 1 GHz, 4 Mtags/s in real time", value=value, unit="Mtags/s")
    yield Result(name="np.sum of int64, for comparison", value=machine_rate(), unit="M/s")


def _pairs(peer_mtags_s: float | None) -> Iterator[Result]:
    cases = [
        ("pairs 1e6/s, efficiency 0.3", pairs(1e6, 0.3, 1.0), None),
        ("pairs 1e7/s, 4 Mtags/s in real time", pairs(1e7, 0.2, 0.3), GOAL_MTAGS_S),
        ("8 detectors x 1.9 Mcps", pairs(2e7, 0.4, 0.1), GOAL_MTAGS_S),
    ]
    for name, run, goal in cases:
        value = rate(run)
        is_same_link = goal is None  # the one that the peer runs, too
        yield Result(
            name=name,
            value=value,
            unit="Mtags/s",
            goal=1000 * peer_mtags_s if is_same_link and peer_mtags_s else goal,
            met=value >= 1000 * peer_mtags_s
            if is_same_link and peer_mtags_s
            else None
            if goal is None
            else value >= goal,
            peer=(PEER if peer_mtags_s else f"{PEER} cannot be had here") if is_same_link else None,
            peer_value=peer_mtags_s if is_same_link else None,
            ratio=value / peer_mtags_s if is_same_link and peer_mtags_s else None,
        )
    real = value / REAL_TIME_MTAGS_S
    yield Result(name=f"{name}: of real time", value=real, unit="x", goal=3.0, met=real >= 3.0)
    wall = rate(pairs(2e7, 0.4, 0.1, threads=None), time.perf_counter) / REAL_TIME_MTAGS_S
    yield Result(name=f"{name}: of real time, wall clock, all cores", value=wall, unit="x")


if __name__ == "__main__":
    for result in suite():
        print(result)
