"""Candidate paths: short ones, and diverse ones that avoid each other's links."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from qnx_hw.network.topology import Floats, Integers, Topology

_Way = tuple[int, ...]
"""The links of a path in order."""
_Partial = tuple[float, float, tuple[int, ...], tuple[int, ...]]
"""A path on its way: least length it can end with, length so far, nodes, links."""
_NEXT_SHORTEST_LIMIT = 60
"""Nodes up to which the next shortest paths are enumerated."""
_SEARCH_LIMIT = 500
"""Partial paths of a pair that are looked at; between far nodes there are very many alike."""
_MOST_PATHS = 200_000
"""Paths of all pairs together: very large networks get fewer for each."""
_DETOUR_LIMIT = 20_000
"""Link removals times nodes up to which every link's detours are tried."""

_PRICED_ROUNDS = 12
_PRICE_GROWTH = 6.0
"""A link's price grows by e to this where it has the largest load."""
_LEAST_WIDTH = 1e-8
"""A path this much narrower than the pair's widest is no help: smaller shares cannot be told."""


@dataclass(frozen=True, eq=False)
class PathSet:
    """Paths `p` of all pairs, in the order of pairs.

    `links[offsets[p]:offsets[p + 1]]` are the links of path p; `first[k]:first[k + 1]` are the
    paths of pair k; none where nothing joins its nodes.
    """

    topology: Topology
    offsets: Integers
    links: Integers
    first: Integers

    def __len__(self) -> int:
        return int(self.offsets.size - 1)

    @cached_property
    def pair_of(self) -> Integers:
        """Return the pair each path belongs to."""
        return np.repeat(np.arange(self.first.size - 1), np.diff(self.first))

    @cached_property
    def has_path(self) -> npt.NDArray[np.bool_]:
        """Return which pairs `(P,)` have any."""
        return np.diff(self.first) > 0

    @cached_property
    def incidence(self) -> csr_array:
        """Return the `(paths, links)` matrix that is 1 where a path uses a link."""
        shape = (len(self), self.topology.link_count)
        return csr_array((np.ones(self.links.size), self.links, self.offsets), shape=shape)

    @cached_property
    def supports(self) -> tuple[Integers, Integers, Integers]:
        """Return the links that any path of a pair uses: `slots`, `offsets`, `links`.

        `links[offsets[k]:offsets[k + 1]]` are those of pair k; hop h of `self.links` is
        `links[slots[h]]`.
        """
        count = self.topology.link_count
        keys = np.repeat(self.pair_of, np.diff(self.offsets)) * count + self.links
        unique, slots = np.unique(keys, return_inverse=True)
        offsets = np.searchsorted(unique, np.arange(self.first.size) * count)
        return slots.astype(np.int64), offsets.astype(np.int64), unique % count

    @cached_property
    def wide_first(self) -> Floats:
        """Return logits `(paths,)` that split as the narrowest links of each pair's paths are wide.

        Where a search begins: who sends nothing yet must not stay on a link far too small for it.
        """
        if not len(self):
            return np.zeros(0)
        widths = np.minimum.reduceat(self.topology.capacities[self.links], self.offsets[:-1])
        widest = np.zeros(self.first.size - 1)
        np.maximum.at(widest, self.pair_of, widths)
        logits: Floats = np.log(widths / widest[self.pair_of])
        return logits

    def avoiding(self, links: frozenset[int]) -> tuple[PathSet, Integers]:
        """Return the paths that pass none of `links`, and which of ours they are."""
        passes = np.isin(self.links, sorted(links)).astype(np.int64)
        bad = np.add.reduceat(passes, self.offsets[:-1]) if len(self) else passes
        kept = np.flatnonzero(bad == 0)
        lengths = np.diff(self.offsets)
        per_pair = np.bincount(self.pair_of[kept], minlength=self.first.size - 1)
        paths = PathSet(
            self.topology,
            np.concatenate(([0], np.cumsum(lengths[kept]))),
            self.links[np.repeat(bad == 0, lengths)],
            np.concatenate(([0], np.cumsum(per_pair))),
        )
        return paths, kept

    def links_of(self, path: int) -> Integers:
        """Return the links of a path in the order they are passed."""
        return self.links[self.offsets[path] : self.offsets[path + 1]]

    def nodes_of(self, path: int) -> tuple[int, ...]:
        """Return the nodes of a path, both ends included."""
        links = self.links_of(path)
        topology = self.topology
        return (int(topology.sources[links[0]]), *map(int, topology.targets[links]))


def candidates(
    topology: Topology, *, most: int = 10, seed: int = 1, closed: frozenset[int] = frozenset()
) -> PathSet:
    """Collect up to `most` paths per pair, none of them over `closed` links.

    First the shortest by hops, by weight and by inverse capacity, then some that share wide links
    well, then the next shortest by hops, then for each link the detours around it, then shortest
    paths under random weights. Where nodes have more than `most` links on average, as in a full
    mesh, so many more are collected: traffic of one pair may have to use them all. Pairs that
    nothing joins have none.
    Links that lie side by side count as one here; its paths are then laid over all of them.
    """
    bundles = _Bundles.of(topology, closed)
    found: list[dict[_Way, None]] = [{} for _ in topology.pairs[0]]
    if bundles.topology.link_count:
        _collect_all(bundles.topology, most, seed, found)
    return pack(topology, [bundles.laid_out(ways) for ways in found])


def _collect_all(topology: Topology, most: int, seed: int, found: list[dict[_Way, None]]) -> None:
    degree = topology.link_count // topology.node_count
    most = max(2, min(max(most, degree), _MOST_PATHS // max(1, len(found))))
    base = topology.weights / topology.weights.mean()
    hops = np.ones(topology.link_count) + 1e-3 * base
    for metric in (hops, base, 1 / topology.capacities):
        _collect(topology, metric, found, most)
    detours = topology.link_count * topology.node_count <= _DETOUR_LIMIT
    _collect_priced(topology, found, most // 2, _PRICED_ROUNDS if detours else _PRICED_ROUNDS // 4)
    if topology.node_count <= _NEXT_SHORTEST_LIMIT:
        _collect_next_shortest(topology, hops, found, max(3 + most // 2, min(degree, most)))
    rng = np.random.default_rng(seed)
    for metric in (hops, base) if detours else ():
        for link, pairs in _users(topology, metric).items():
            avoiding = metric.copy()
            avoiding[link] *= 10 * topology.link_count
            _collect(topology, avoiding, found, most, pairs)
    for spread in np.linspace(0.3, 3.0, 12 if detours else 6):
        for metric in (hops, base):
            noisy = metric * (1 + spread * rng.random(topology.link_count))
            _collect(topology, noisy, found, most)


@dataclass(frozen=True, eq=False)
class _Bundles:
    """A topology whose links side by side are one, and which links each of these is."""

    topology: Topology
    members: tuple[Integers, ...]
    ends: tuple[Floats, ...]
    """Where each member ends if their capacities are laid in a row, the whole being 1."""

    @classmethod
    def of(cls, topology: Topology, closed: frozenset[int]) -> _Bundles:
        is_open = ~np.isin(np.arange(topology.link_count), sorted(closed))
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for link in np.flatnonzero(is_open).tolist():
            groups[int(topology.sources[link]), int(topology.targets[link])].append(link)
        members = tuple(np.array(group, dtype=np.int64) for group in groups.values())
        sums = [topology.capacities[group].sum() for group in members]
        joined = Topology(
            topology.names,
            np.array([source for source, _ in groups], dtype=np.int64),
            np.array([target for _, target in groups], dtype=np.int64),
            np.array(sums, dtype=np.float64),
            np.array([topology.weights[group].min() for group in members], dtype=np.float64),
        )
        laid = [np.cumsum(topology.capacities[group]) for group in members]
        return cls(joined, members, tuple(each / each[-1] for each in laid))

    def laid_out(self, ways: Collection[_Way]) -> list[_Way]:
        """Return a pair's ways in links, without those that carry next to nothing beside others."""
        widths = [float(self.topology.capacities[list(way)].min()) for way in ways]
        least = _LEAST_WIDTH * max(widths, default=0.0)
        wide = [way for way, width in zip(ways, widths, strict=True) if width >= least]
        return [strand for way in wide for strand in self._strands(way)]

    def _strands(self, way: _Way) -> Iterable[_Way]:
        """Yield paths that fill the links of each bundle alike, if split as wide as they are."""
        if all(self.members[bundle].size == 1 for bundle in way):
            yield tuple(int(self.members[bundle][0]) for bundle in way)
            return
        begins = np.unique(np.concatenate(([0.0], *(self.ends[bundle][:-1] for bundle in way))))
        strands = {
            tuple(
                int(self.members[bundle][np.searchsorted(self.ends[bundle], begin, side="right")])
                for bundle in way
            ): None
            for begin in begins[begins < 1.0]
        }
        yield from strands


def _collect(
    topology: Topology,
    metric: Floats,
    found: list[dict[_Way, None]],
    most: int,
    pairs: Iterable[int] | None = None,
) -> None:
    """Add every pair's shortest path under a metric; of `pairs` only, where given."""
    wanting = [
        pair for pair in (range(len(found)) if pairs is None else pairs) if len(found[pair]) < most
    ]
    if not wanting:
        return
    before, link_between = shortest(topology, metric, wanting)
    rows, columns = topology.pairs
    for pair in wanting:
        source, target = int(rows[pair]), int(columns[pair])
        if before[source, target] >= 0:
            found[pair][_walk(before[source], link_between, source, target)] = None


def _collect_priced(
    topology: Topology, found: list[dict[_Way, None]], most: int, rounds: int
) -> None:
    """Add shortest paths under prices that grow where all pairs' paths so far put their load.

    The multiplicative weights of oblivious routing (Räcke 2008): where links are of different
    width, the ways that are short are not the ways that are wide together.
    """
    prices = topology.capacities.max() / topology.capacities
    load = np.zeros(topology.link_count)
    rows, columns = topology.pairs
    for _ in range(rounds):
        metric = prices * np.exp(_PRICE_GROWTH * load / max(load.max(), 1e-300))
        before, link_between = shortest(topology, metric)
        for pair, (source, target) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            if before[source, target] >= 0:
                way = _walk(before[source], link_between, source, target)
                load[list(way)] += prices[list(way)]
                if len(found[pair]) < most:
                    found[pair][way] = None


def _users(topology: Topology, metric: Floats) -> dict[int, list[int]]:
    """Return which pairs' shortest paths under a metric pass each link."""
    users: dict[int, list[int]] = defaultdict(list)
    rows, columns = topology.pairs
    before, link_between = shortest(topology, metric)
    for pair, (source, target) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        if before[source, target] >= 0:
            for link in _walk(before[source], link_between, source, target):
                users[link].append(pair)
    return users


def shortest(
    topology: Topology, metric: Floats, pairs: list[int] | None = None
) -> tuple[npt.NDArray[np.int32], Integers]:
    """Return the node before each on the shortest paths `(N, N)`, and the link between two nodes.

    Where `pairs` are given, rows of sources that are not among them are -1.
    """
    count = topology.node_count
    order = np.lexsort((metric, topology.targets, topology.sources))
    sources, targets = topology.sources[order], topology.targets[order]
    keep = np.ones(order.size, dtype=bool)  # of parallel links the shortest
    keep[1:] = (sources[1:] != sources[:-1]) | (targets[1:] != targets[:-1])
    chosen = order[keep & np.isfinite(metric[order])]
    link_between = np.full((count, count), -1, dtype=np.int64)
    link_between[topology.sources[chosen], topology.targets[chosen]] = chosen
    places = (topology.sources[chosen], topology.targets[chosen])
    graph = csr_array((metric[chosen], places), shape=(count, count))
    starts = np.arange(count) if pairs is None else np.unique(topology.pairs[0][pairs])
    before = np.full((count, count), -1, dtype=np.int32)
    before[starts] = dijkstra(graph, indices=starts, return_predecessors=True)[1]
    return before, link_between


def _collect_next_shortest(
    topology: Topology,
    metric: Floats,
    found: list[dict[_Way, None]],
    most: int,
) -> None:
    """Add every pair's next shortest simple paths until it has `most`.

    Best-first search over partial paths; what remains at least is known exactly, so that whole
    paths come out in order of their length.
    """
    places = (topology.sources, topology.targets)
    remaining = dijkstra(csr_array((metric, places), shape=(topology.node_count,) * 2))
    leaving = [np.flatnonzero(topology.sources == node) for node in range(topology.node_count)]
    for pair, (source, target) in enumerate(zip(*topology.pairs, strict=True)):
        paths = found[pair]
        if not paths:
            continue
        queue: list[_Partial] = [(float(remaining[source, target]), 0.0, (int(source),), ())]
        for _ in range(_SEARCH_LIMIT):
            if not queue or len(paths) >= most:
                break
            _, length, nodes, links = heapq.heappop(queue)
            if nodes[-1] == target:
                paths[links] = None
                continue
            for link in leaving[nodes[-1]]:
                node = int(topology.targets[link])
                if node not in nodes:
                    passed = length + float(metric[link])
                    bound = passed + float(remaining[node, target])
                    step = (bound, passed, (*nodes, node), (*links, int(link)))
                    heapq.heappush(queue, step)


def _walk(before: npt.NDArray[np.int32], link_between: Integers, source: int, target: int) -> _Way:
    links, node = [], target
    while node != source:
        previous = int(before[node])
        links.append(int(link_between[previous, node]))
        node = previous
    return tuple(reversed(links))


def pack(topology: Topology, ways: Sequence[Collection[_Way]]) -> PathSet:
    """Return the set of each pair's paths, given by their links."""
    paths = [way for of_pair in ways for way in of_pair]
    lengths = np.fromiter((len(way) for way in paths), dtype=np.int64, count=len(paths))
    per_pair = np.fromiter((len(of_pair) for of_pair in ways), dtype=np.int64, count=len(ways))
    return PathSet(
        topology,
        np.concatenate(([0], np.cumsum(lengths))),
        np.fromiter((link for way in paths for link in way), np.int64, int(lengths.sum())),
        np.concatenate(([0], np.cumsum(per_pair))),
    )
