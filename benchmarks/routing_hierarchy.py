"""Control in two levels, simulated: regions plan their inside, one controller plans between them.

The upper controller sees a node per region and a link per pair of neighbours, with the capacity of
all border links between them. Its splits over ways of regions say how much leaves a region over
which border; that is divided over the border links by their capacity. Each region then plans its
own traffic, what its nodes send to and get from borders, and what only passes. Both levels use the
same planner. Demand is a gravity model with more traffic inside regions than between.

`python benchmarks/routing_hierarchy.py` also plays ten thousand nodes, which takes minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qnx_hw.commands.bench import Result
from qnx_hw.network import Plan, Planner, Topology
from qnx_hw.network.topology import Floats, Integers

BORDER_LINKS = 2
"""Between two neighbouring regions."""
INSIDE = 8.0
"""How much more two nodes of one region send each other than two of different ones."""
CAPACITIES = (1e3, 2e3, 4e3)
BORDER_CAPACITY = 4e3


@dataclass(frozen=True, eq=False)
class Country:
    """Regions, each a plane network, and the links over their borders."""

    insides: tuple[Topology, ...]
    masses: tuple[Floats, ...]
    """What each node of each region sends and gets."""
    borders: dict[tuple[int, int], tuple[tuple[int, int], ...]]
    """By two regions: the node on this side and that on the other, for each border link."""

    @property
    def total(self) -> float:
        """All masses together."""
        return float(sum(mass.sum() for mass in self.masses))


def country(regions: int, nodes: int, seed: int) -> Country:
    """Make one up; the same seed makes it again."""
    rng = np.random.default_rng(seed)
    insides = tuple(plane(nodes, rng, CAPACITIES) for _ in range(regions))
    outline = plane(regions, rng, (1.0,))
    borders: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
    for near, far in zip(outline.sources.tolist(), outline.targets.tolist(), strict=True):
        if near < far:
            ends = zip(
                rng.choice(nodes, BORDER_LINKS, replace=False).tolist(),
                rng.choice(nodes, BORDER_LINKS, replace=False).tolist(),
                strict=True,
            )
            borders[near, far] = tuple(ends)
            borders[far, near] = tuple((b, a) for a, b in borders[near, far])
    masses = tuple(rng.lognormal(0.0, 0.8, nodes) for _ in range(regions))
    return Country(insides, masses, borders)


def plane(count: int, rng: np.random.Generator, capacities: tuple[float, ...]) -> Topology:
    """Return a plane network: a tree of near nodes, and each node's two nearest."""
    places = rng.random((count, 2))
    apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    ends = {(min(range(node), key=lambda k, n=node: apart[n, k]), node) for node in range(1, count)}
    for node in range(count):
        ends |= {(min(node, int(far)), max(node, int(far))) for far in np.argsort(apart[node])[1:3]}
    joined = np.array(sorted(ends))
    both = np.concatenate((joined, joined[:, ::-1]))
    names = tuple(f"n{node}" for node in range(count))
    wide = np.tile(rng.choice(capacities, len(joined)), 2)
    return Topology(names, both[:, 0], both[:, 1], wide, np.ones(len(both)))


def between(whole: Country) -> Topology:
    """Return what the upper controller sees."""
    ends = np.array(sorted(whole.borders))
    wide = np.array([len(whole.borders[tuple(pair)]) * BORDER_CAPACITY for pair in ends.tolist()])
    names = tuple(f"r{region}" for region in range(len(whole.insides)))
    return Topology(names, ends[:, 0], ends[:, 1], wide, np.ones(len(ends)))


def upper_demand(whole: Country) -> Floats:
    """Return what regions send each other, `(R, R)` in Mbit/s."""
    sums = np.array([mass.sum() for mass in whole.masses])
    demand: Floats = np.outer(sums, sums) / whole.total
    np.fill_diagonal(demand, 0.0)
    return demand


@dataclass(eq=False)
class Tasks:
    """What the upper plan asks of one region, as demand between its nodes."""

    demand: Floats

    def leave(self, node: int, masses: Floats, amount: float) -> None:
        """Let the region's nodes send so much to a border node, by their masses."""
        self.demand[:, node] += amount * masses / masses.sum()

    def arrive(self, node: int, masses: Floats, amount: float) -> None:
        """Let them get so much from one."""
        self.demand[node] += amount * masses / masses.sum()

    def cross(self, node: int, other: int, amount: float) -> None:
        """Let so much pass from border to border."""
        if node != other:
            self.demand[node, other] += amount


def tasks(whole: Country, planner: Planner, plan: Plan) -> list[Tasks]:
    """Return each region's demand under the upper plan."""
    found = [Tasks(INSIDE * np.outer(mass, mass) / whole.total) for mass in whole.masses]
    demands = planner.topology.demands(upper_demand(whole))
    for path, pair in enumerate(planner.paths.pair_of.tolist()):
        amount = float(demands[pair] * plan.splits[path])
        if amount <= 0:
            continue
        way = planner.paths.nodes_of(path)
        for place in range(BORDER_LINKS):
            share = amount / BORDER_LINKS
            first = whole.borders[way[0], way[1]][place]
            found[way[0]].leave(first[0], whole.masses[way[0]], share)
            came = first[1]
            for here, onward in pairwise(way[1:]):
                link = whole.borders[here, onward][place]
                found[here].cross(came, link[0], share)
                came = link[1]
            found[way[-1]].arrive(came, whole.masses[way[-1]], share)
    for each in found:
        np.fill_diagonal(each.demand, 0.0)
    return found


@dataclass(frozen=True)
class Outcome:
    """One round of both levels."""

    utilisation: float
    """Of the fullest link, inside and between regions."""
    upper_s: float
    slowest_region_s: float
    all_regions_s: float


def two_levels(whole: Country) -> Outcome:
    """Plan both levels; times are of the processor, paths included."""
    began_s = time.process_time()
    planner = Planner(between(whole))
    demand = upper_demand(whole)
    plan = planner.decide(demand[None])
    fullest = float(plan.loads(planner.topology.demands(demand)).max())
    upper_s = time.process_time() - began_s
    times = []
    for inside, each in zip(whole.insides, tasks(whole, planner, plan), strict=True):
        began_s = time.process_time()
        lower = Planner(inside).decide(each.demand[None])
        fullest = max(fullest, float(lower.loads(inside.demands(each.demand)).max()))
        times.append(time.process_time() - began_s)
    return Outcome(fullest, upper_s, max(times), sum(times))


def one_level(whole: Country) -> float:
    """Return the fullest link's utilisation where one planner sees every node."""
    count = len(whole.masses[0])
    sources, targets, wide = [], [], []
    for region, inside in enumerate(whole.insides):
        sources.append(inside.sources + region * count)
        targets.append(inside.targets + region * count)
        wide.append(inside.capacities)
    for (near, far), links in whole.borders.items():
        sources.append(np.array([near * count + here for here, _ in links]))
        targets.append(np.array([far * count + there for _, there in links]))
        wide.append(np.full(len(links), BORDER_CAPACITY))
    mass = np.concatenate(whole.masses)
    same = np.kron(np.eye(len(whole.insides)), np.ones((count, count)))
    demand = np.outer(mass, mass) / whole.total * np.where(same > 0, INSIDE, 1.0)
    np.fill_diagonal(demand, 0.0)
    ends, capacities = _merged(
        np.concatenate(sources), np.concatenate(targets), np.concatenate(wide)
    )
    names = tuple(f"n{node}" for node in range(mass.size))
    topology = Topology(names, ends[:, 0], ends[:, 1], capacities, np.ones(len(ends)))
    plan = Planner(topology).decide(demand[None])
    return float(plan.loads(topology.demands(demand)).max())


def _merged(sources: Integers, targets: Integers, wide: Floats) -> tuple[Integers, Floats]:
    ends, place = np.unique(np.stack((sources, targets), axis=1), axis=0, return_inverse=True)
    return ends, np.bincount(place.ravel(), weights=wide)


def hierarchy_results(*, is_large: bool = False) -> Iterator[Result]:
    """Yield what two levels lose against one where both can be had, and what a large one takes."""
    losses = []
    for seed in range(3):
        whole = country(8, 15, seed)
        losses.append(two_levels(whole).utilisation / one_level(whole))
    yield Result(
        name="two levels, 8 regions of 15 nodes: fullest link over that of one planner",
        value=float(np.median(losses)),
        unit="times",
    )
    if not is_large:
        return
    outcome = two_levels(country(100, 100, 0))
    for word, value in (
        ("upper level", outcome.upper_s),
        ("slowest region", outcome.slowest_region_s),
        ("all regions, one after the other", outcome.all_regions_s),
    ):
        yield Result(name=f"two levels, 10,000 nodes: {word}", value=value, unit="s")


if __name__ == "__main__":
    for result in hierarchy_results(is_large="--small" not in sys.argv):
        print(f"{result.name:75} {result.value:10.3f} {result.unit}")
