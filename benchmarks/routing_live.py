"""The closed loop beside static shortest paths: five nodes, a fluid, one hour, two surprises.

The real controller hears telemetry each second and plans every 10 s; nodes are a fluid with a queue
on each link (a quarter of a second of buffer; what does not fit is lost). After 20 minutes a hot
spot opens, after 40 minutes the key of one link slows down to a twentieth, and with it what the
link can encrypt. Both rules see the same demand. `python benchmarks/routing_live.py PICTURE.svg`
draws what happened.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from fluid_network import FluidNetwork
from routing_picture import Row, drawing

from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.commands.bench import Result
from qnx_hw.config.network import NetworkFile, parse
from qnx_hw.network import programmes
from qnx_hw.network.paths import candidates
from qnx_hw.network.tables import route_tables
from qnx_hw.network.topology import Floats
from qnx_hw.node.controller import Controller, topology_of

HOPS = {"a": "bce", "b": "ac", "c": "abd", "d": "ce", "e": "ad"}
MBPS, BUFFER_S, WAY_S = 100.0, 0.25, 0.002
SECONDS, HOT_AT, SLOW_AT = 3600, 1200, 2400
PLAN_S = 10
NEAR_BEST = 1.25
"""A change is learnt when the fullest link is no fuller than so many times the least possible."""
HOT, HOT_MBPS = ("a", "c"), 85.0
SLOW = ("a", "b")
KEY_BPS, SLOW_KEY_BPS = 200e6, 10e6


def network_file(folder: Path) -> NetworkFile:
    """Five nodes; a-c is the shortest way of what becomes the hot spot."""
    text = f'[network]\nname = "five"\ndata_dir = "{folder}"\n'
    text += '[controller]\nnode = "a"\nseason_s = 0\n'
    for port, (node, peers) in enumerate(HOPS.items(), start=1):
        text += f'[nodes.{node}]\nlisten = "127.0.0.1:{9000 + port}"\n'
        text += f'[nodes.{node}.edge]\nlisten = "127.0.0.1:{9100 + port}"\n'
        for peer in peers:
            text += f"[nodes.{node}.edge.hops.{peer}]\ncapacity_bps = {MBPS * 1e6}\n"
    return parse(text)


def demand_at(second: int, noise: Floats) -> dict[tuple[str, str], float]:
    """Return what users offer in Mbit/s: a slow swing, noise, and the hot spot."""
    names = tuple(HOPS)
    swing = 1 + 0.3 * np.sin(2 * np.pi * second / 1800)
    demand = {
        (near, far): float(10.0 * swing * noise[second // 10, row, column])
        for row, near in enumerate(names)
        for column, far in enumerate(names)
        if near != far
    }
    if second >= HOT_AT:
        demand[HOT] += HOT_MBPS
    return demand


@dataclass
class Tracks:
    """What each second brought."""

    delays_s: list[float] = field(default_factory=list)
    """Of the whole traffic, weighed by what each pair sends."""
    by_pair: list[tuple[float, float]] = field(default_factory=list)
    """Delay and weight, pair by pair."""
    goodput: list[float] = field(default_factory=list)
    """Part of the offered traffic that arrived."""
    excess: list[float] = field(default_factory=list)
    """Each `PLAN_S`, the fullest link's load over what the best routing would make of it."""


class Queues:
    """Fluid queues of a network's links."""

    def __init__(self, nodes: FluidNetwork) -> None:
        self.nodes = nodes
        self.backlog: dict[tuple[str, str], float] = {}
        self.tracks = Tracks()

    def second(self) -> None:
        """Let a second pass under the tables in force."""
        loads, kept, waits = self.nodes.loads(), {}, {}
        for link, load in loads.items():
            able = self._able(link)
            queue = self.backlog.get(link, 0.0) + load
            sent = min(queue, able)
            left = min(queue - sent, BUFFER_S * able)
            kept[link] = (sent + left - self.backlog.get(link, 0.0)) / load if load > 0 else 1.0
            self.backlog[link] = left
            waits[link] = WAY_S + left / able
        self.backlog = {link: self.backlog[link] for link in loads}
        self._tell(kept, waits)

    def compare(self) -> None:
        """Note how far the fullest link is from the clairvoyant optimum."""
        topology, names = self.nodes.topology, self.nodes.topology.names
        able = replace(topology, capacities=np.array([self._able(ends) for ends in topology.ends]))
        matrix = np.zeros((len(names), len(names)))
        for (near, far), amount in self.nodes.demand.items():
            matrix[names.index(near), names.index(far)] = amount
        fullest = max(load / self._able(link) for link, load in self.nodes.loads().items())
        self.tracks.excess.append(fullest / programmes.least_utilisation(able, matrix))

    def _able(self, link: tuple[str, str]) -> float:
        rates = self.nodes.key_rates
        key_bps = rates.get(link, rates.get(link[::-1], np.inf))
        return float(min(MBPS, key_bps / 2 / 1e6))

    def _tell(
        self, kept: dict[tuple[str, str], float], waits: dict[tuple[str, str], float]
    ) -> None:
        arrived, offered, weighed = 0.0, 0.0, 0.0
        for pair, amount in self.nodes.demand.items():
            delay, part = self._way(pair, kept, waits)
            offered, arrived = offered + amount, arrived + amount * part
            weighed += amount * delay
            self.tracks.by_pair.append((delay, amount))
        self.tracks.delays_s.append(weighed / offered)
        self.tracks.goodput.append(arrived / offered)

    def _way(
        self,
        pair: tuple[str, str],
        kept: dict[tuple[str, str], float],
        waits: dict[tuple[str, str], float],
    ) -> tuple[float, float]:
        """Return the mean delay and the part that arrives."""
        here, delay, part = {pair[0]: 1.0}, 0.0, 0.0
        alive = {pair[0]: 1.0}
        while here:
            onward: dict[str, float] = {}
            living: dict[str, float] = {}
            for node, share in here.items():
                for hop, weight in self.nodes._next(node, *pair).items():
                    delay += share * weight * waits[node, hop]
                    passed = alive[node] * weight * min(1.0, max(0.0, kept[node, hop]))
                    if hop == pair[1]:
                        part += passed
                        continue
                    onward[hop] = onward.get(hop, 0.0) + share * weight
                    living[hop] = living.get(hop, 0.0) + passed
            here, alive = onward, living
        return delay, part


async def play(folder: Path) -> tuple[Tracks, Tracks]:
    """Return what the learning controller and the static shortest paths made of the same hour."""
    network, bus = network_file(folder), InProcessBus()
    topology = topology_of(network)
    rng = np.random.default_rng(9)
    steps = rng.normal(0, 0.12, (SECONDS // 10, 5, 5))
    noise = np.exp(np.cumsum(steps, axis=0) * 0.4 + rng.normal(0, 0.1, steps.shape))
    now_s = [1_000_000.0]
    controller = Controller(
        network, bus, lambda *told: None, lambda view: None, now=lambda: now_s[0]
    )
    learning, static = FluidNetwork(topology), FluidNetwork(topology)
    paths = candidates(topology)
    single = np.zeros(len(paths))
    single[paths.first[:-1]] = 1.0
    tables = route_tables(paths, single, revision=1, time_s=0.0)
    static.tables = {table.node: table for table in tables}
    learning.tables = dict(static.tables)
    rates = {(near, far): KEY_BPS for near, peers in HOPS.items() for far in peers if near < far}
    learning.key_rates = static.key_rates = rates
    queues = Queues(learning), Queues(static)
    for second in range(SECONDS):
        now_s[0] += 1
        if second == SLOW_AT:
            rates[SLOW] = SLOW_KEY_BPS
        learning.demand = static.demand = demand_at(second, noise)
        for queue in queues:
            queue.second()
        for sample in learning.samples(now_s[0]):
            controller.take(sample.node, msgspec.json.encode(sample))
        if now_s[0] % PLAN_S == 0:
            queues[0].compare()
            await controller.step()
            await learning.follow(bus)
    return queues[0].tracks, queues[1].tracks


def live_results() -> Iterator[Result]:
    """Yield p95 of delay and goodput, the controller beside static shortest paths."""
    with tempfile.TemporaryDirectory() as folder:
        ours, static = asyncio.run(play(Path(folder)))
    for name, unit, values in (
        ("p95 delay", "ms", (_p95(ours) * 1e3, _p95(static) * 1e3)),
        ("goodput", "of offered", (float(np.mean(ours.goodput)), float(np.mean(static.goodput)))),
    ):
        better = values[0] < values[1] if unit == "ms" else values[0] > values[1]
        yield Result(
            name=f"live, five nodes, hot spot and slow key: {name}",
            value=values[0],
            unit=unit,
            goal=values[1],
            met=better,
            peer="static shortest path",
            peer_value=values[1],
            ratio=values[0] / values[1],
        )
    for word, begin, end in (("hot spot", HOT_AT, SLOW_AT), ("slow key", SLOW_AT, SECONDS)):
        for told, value in (
            ("learnt after", _learnt_s(ours, begin, end)),
            ("delays are as before after", _settled_s(ours, begin, end)),
        ):
            yield Result(name=f"live, {word}: {told}", value=value, unit="s")


def _p95(tracks: Tracks) -> float:
    """Return the delay that 95 % of the traffic stays within."""
    delays, weights = np.array(tracks.by_pair).T
    order = np.argsort(delays)
    passed = np.cumsum(weights[order])
    return float(delays[order][np.searchsorted(passed, 0.95 * passed[-1])])


def _learnt_s(tracks: Tracks, begin: int, end: int) -> float:
    """Return the time from a change until plans stay near the best that is possible."""
    far = np.flatnonzero(np.array(tracks.excess[begin // PLAN_S : end // PLAN_S]) > NEAR_BEST)
    return float(PLAN_S * (far[-1] + 1)) if far.size else 0.0


def _settled_s(tracks: Tracks, begin: int, end: int) -> float:
    """Return the time from a change until delay stays below twice that before it for a minute."""
    usual = float(np.median(tracks.delays_s[begin - 300 : begin]))
    delays = np.array(tracks.delays_s[begin:end])
    for second in range(len(delays) - 60):
        if np.all(delays[second : second + 60] < 2 * usual + WAY_S):
            return float(second)
    return float("nan")


def picture(ours: Tracks, static: Tracks) -> str:
    """Return an SVG of delay and goodput over the hour."""

    def means(track: list[float], factor: float) -> Floats:
        values: Floats = np.array(track).reshape(-1, 10).mean(axis=1) * factor
        return values

    rows = (
        Row("mean delay, ms", means(ours.delays_s, 1e3), means(static.delays_s, 1e3)),
        Row("arrived, %", means(ours.goodput, 100), means(static.goodput, 100)),
    )
    marks = ((HOT_AT / SECONDS, "hot spot a-c"), (SLOW_AT / SECONDS, "key of a-b slows down"))
    return drawing(rows, marks, "one hour")


def main() -> None:
    """Draw the picture where asked, and print the figures."""
    if len(sys.argv) > 1:
        with tempfile.TemporaryDirectory() as folder:
            Path(sys.argv[1]).write_text(picture(*asyncio.run(play(Path(folder)))))
    for result in live_results():
        print(f"{result.name:60} {result.value:10.3f} {result.unit:10} {result.peer_value}")


if __name__ == "__main__":
    main()
