"""From splits over paths to what each node must know: next hops by pair, and backups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from msgspec.structs import replace
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from qnx_hw.bus.routes import NextHop, RouteEntry, RouteTable, StockAdvice
from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats, Topology

_LEAST_SHARE = 0.01
"""Smaller shares are not worth a path."""


@dataclass(frozen=True)
class Terms:
    """What tables say besides ways."""

    limits_bps: Mapping[int, float] = field(default_factory=dict)
    """By pair, what its source may send, but for critical traffic with an entry of its own."""
    critical_bps: Mapping[int, float | None] = field(default_factory=dict)
    """Pairs whose critical traffic has an entry of its own at the source; None: no limit."""
    stocks: Mapping[str, tuple[StockAdvice, ...]] = field(default_factory=dict)


NO_TERMS = Terms()
_Flow = dict[int, dict[int, float]]
"""What goes from node to node, of one unit from source to destination."""


def route_tables(
    paths: PathSet,
    splits: Floats,
    *,
    revision: int,
    time_s: float,
    closed: frozenset[int] = frozenset(),
    terms: Terms = NO_TERMS,
) -> tuple[RouteTable, ...]:
    """Return every node's table for splits `(paths,)`.

    No entry leads in a circle: what paths of a pair would send around one is taken out.
    """
    topology = paths.topology
    distances = _distances(topology, closed)
    entries: dict[int, list[RouteEntry]] = defaultdict(list)
    for pair, (source, target) in enumerate(zip(*topology.pairs, strict=True)):
        ends = (int(source), int(target))
        flow = _flow(paths, splits, pair)
        for node, out in sorted(flow.items()):
            total = sum(out.values())
            hops = {other: share / total for other, share in sorted(out.items())}
            limit = terms.limits_bps.get(pair) if node == source else None
            entry = RouteEntry(
                source=topology.names[ends[0]],
                destination=topology.names[ends[1]],
                traffic_class="any",
                next_hops=tuple(
                    NextHop(node=topology.names[hop], weight=share) for hop, share in hops.items()
                ),
                backups=tuple(
                    topology.names[hop]
                    for hop in _backups(topology, distances, node, ends[1], closed)
                    if hop not in hops
                ),
                rate_limit_bps=limit,
            )
            if node == source and pair in terms.critical_bps:
                own_bps = terms.critical_bps[pair]
                entries[node].append(
                    replace(entry, traffic_class="critical", rate_limit_bps=own_bps)
                )
            entries[node].append(entry)
    return tuple(
        RouteTable(
            node=name,
            revision=revision,
            time_s=time_s,
            entries=tuple(entries[node]),
            stocks=terms.stocks.get(name, ()),
        )
        for node, name in enumerate(topology.names)
    )


def _flow(paths: PathSet, splits: Floats, pair: int) -> _Flow:
    flow: _Flow = defaultdict(lambda: defaultdict(float))
    own = range(int(paths.first[pair]), int(paths.first[pair + 1]))
    largest = max((splits[path] for path in own), default=0.0)
    for path in own:
        if splits[path] >= min(_LEAST_SHARE, largest):
            nodes = paths.nodes_of(path)
            for near, far in pairwise(nodes):
                flow[near][far] += float(splits[path])
    while (circle := _circle(flow)) is not None:
        steps = list(zip(circle, circle[1:] + circle[:1], strict=True))
        least = min(flow[near][far] for near, far in steps)
        for near, far in steps:
            flow[near][far] -= least
            if flow[near][far] <= 1e-12:
                del flow[near][far]
    return {node: dict(out) for node, out in flow.items() if out}


def _circle(flow: Mapping[int, Mapping[int, float]]) -> list[int] | None:
    """Return the nodes of any circle; None where there is none."""
    done: set[int] = set()
    for start in flow:
        trail: list[int] = []
        waiting: list[tuple[int, int]] = [(start, 0)]
        while waiting:
            node, depth = waiting.pop()
            del trail[depth:]
            if node in trail:
                return trail[trail.index(node) :]
            if node in done:
                continue
            trail.append(node)
            waiting += [(other, depth + 1) for other in flow.get(node, ())]
            if not flow.get(node):
                done.add(node)
        done.add(start)
    return None


def _distances(topology: Topology, closed: frozenset[int]) -> Floats:
    is_open = ~np.isin(np.arange(topology.link_count), sorted(closed))
    places = (topology.sources[is_open], topology.targets[is_open])
    graph = csr_array((topology.weights[is_open], places), shape=(topology.node_count,) * 2)
    distances: Floats = dijkstra(graph)
    return distances


def _backups(
    topology: Topology, distances: Floats, node: int, target: int, closed: frozenset[int]
) -> Iterable[int]:
    """Return loop-free alternates, nearest first (RFC 5286, inequality 1)."""
    links = np.flatnonzero(topology.sources == node)
    others = {int(topology.targets[link]) for link in links if int(link) not in closed}
    safe = [
        other
        for other in others
        if distances[other, target] < distances[other, node] + distances[node, target]
    ]
    return sorted(safe, key=lambda other: (distances[other, target], other))
