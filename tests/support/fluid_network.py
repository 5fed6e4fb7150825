"""Nodes that forward traffic as their route tables say, as a fluid, and tell what they measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from qnx_hw.bus.interface import Bus
from qnx_hw.bus.routes import BUCKET, RouteAck, RouteTable
from qnx_hw.bus.telemetry import FlowSample, HopSample, NodeSample, PoolSample
from qnx_hw.network.topology import Topology

MEGA = 1e6


@dataclass
class FluidNetwork:
    """Demand in Mbit/s by (source, destination); key rates in bit/s by (node, node) in order."""

    topology: Topology
    demand: dict[tuple[str, str], float] = field(default_factory=dict)
    key_rates: dict[tuple[str, str], float] = field(default_factory=dict)
    stocks: dict[tuple[str, str], int] = field(default_factory=dict)
    critical: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of nodes whose traffic is critical; all other is bulk."""
    down: set[tuple[str, str]] = field(default_factory=set)
    tables: dict[str, RouteTable] = field(default_factory=dict)
    number: int = 0

    async def follow(self, bus: Bus) -> list[RouteAck]:
        """Take the newest tables; every one must be sound."""
        acks = []
        for node in self.topology.names:
            entry = await bus.bucket(BUCKET).get(node)
            if entry is None or entry.value is None:
                continue
            table = msgspec.json.decode(entry.value, type=RouteTable)
            if node not in self.tables or table.revision > self.tables[node].revision:
                assert_sound(table, self.topology)
                self.tables[node] = table
                acks.append(RouteAck(node=node, revision=table.revision, accepted=True))
        return acks

    def loads(self) -> dict[tuple[str, str], float]:
        """Return the traffic of every link in Mbit/s."""
        loads: dict[tuple[str, str], float] = {}
        for (source, destination), amount in self.demand.items():
            here: Mapping[str, float] = {source: amount}
            for _ in self.topology.names:
                onward: dict[str, float] = {}
                for node, flow in here.items():
                    if node == destination:
                        continue
                    for hop, share in self._next(node, source, destination).items():
                        loads[node, hop] = loads.get((node, hop), 0.0) + flow * share
                        onward[hop] = onward.get(hop, 0.0) + flow * share
                here = onward
        return loads

    def fullest(self) -> float:
        """Return the largest load as a part of its link's capacity."""
        loads = self.loads()
        links = zip(self._links(), self.topology.capacities, strict=True)
        return max(loads.get(link, 0.0) / capacity for link, capacity in links)

    def samples(self, time_s: float) -> list[NodeSample]:
        """Return what every node tells of the last second."""
        loads = self.loads()
        self.number += 1
        keyed = 1.0 if self.key_rates else 0.0
        return [
            NodeSample(
                node=node,
                number=self.number,
                time_s=time_s,
                revision=self.tables[node].revision if node in self.tables else 0,
                hops=tuple(
                    HopSample(
                        target=far,
                        is_up=(near, far) not in self.down,
                        capacity_bps=float(capacity) * MEGA,
                        load_bps=loads.get((near, far), 0.0) * MEGA,
                    )
                    for (near, far), capacity in zip(
                        self._links(), self.topology.capacities, strict=True
                    )
                    if near == node
                ),
                pools=tuple(
                    PoolSample(
                        peer=pair[1] if pair[0] == node else pair[0],
                        stock_bits=self.stocks.get(pair, 0),
                        capacity_bits=10**9,
                        in_bps=rate,
                        out_bps=0.0,
                    )
                    for pair, rate in self.key_rates.items()
                    if node in pair
                ),
                flows=tuple(
                    FlowSample(
                        destination=destination,
                        traffic_class="critical"
                        if (source, destination) in self.critical
                        else "bulk",
                        demand_bps=amount * MEGA,
                        goodput_bps=amount * MEGA,
                        key_draw_bps=keyed * amount * MEGA,
                    )
                    for (source, destination), amount in self.demand.items()
                    if source == node
                ),
            )
            for node in self.topology.names
        ]

    def _links(self) -> list[tuple[str, str]]:
        names = self.topology.names
        ends = zip(self.topology.sources, self.topology.targets, strict=True)
        return [(names[near], names[far]) for near, far in ends]

    def _next(self, node: str, source: str, destination: str) -> dict[str, float]:
        table = self.tables.get(node)
        for entry in table.entries if table is not None else ():
            if (entry.source, entry.destination) == (source, destination):
                return {hop.node: hop.weight for hop in entry.next_hops}
        return {}


def assert_sound(table: RouteTable, topology: Topology) -> None:
    """Fail unless a node could follow every entry."""
    names = topology.names
    ends = zip(topology.sources, topology.targets, strict=True)
    neighbours = {names[far] for near, far in ends if names[near] == table.node}
    for entry in table.entries:
        weights = np.array([hop.weight for hop in entry.next_hops])
        assert weights.size
        assert np.isfinite(weights).all()
        assert np.all(weights >= 0)
        assert abs(weights.sum() - 1) < 1e-6
        assert {hop.node for hop in entry.next_hops} | set(entry.backups) <= neighbours
