"""What the controller knows: telemetry of all nodes laid into equal intervals.

Nodes are not believed blindly. A sample's time is set right by the node's usual offset against
the receiver; numbers that cannot be (negative, no number, more than the node's links carry) are
dropped or bounded and the node is named. A node that is silent leaves a gap, never a zero.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from qnx_hw.bus.telemetry import FlowSample, HopSample, NodeSample, PoolSample
from qnx_hw.network.topology import Floats, Topology

_KEPT_INTERVALS = 2048
_LATEST_INTERVALS = 12
"""How many intervals back a late sample still counts."""
_OFFSETS = 31
_SKEW_S = 5.0
"""A clock further off than this is worth a word."""
_BURST = 2.0
"""Users may offer more than the links carry, but not beyond this many times."""
_MOST_DRAWN = 2.0
"""One-time pad draws a bit a bit, and some for tags."""
_DRAW_MEMORY = 0.98
"""A sample, of what was drawn and what arrived before."""
FEATURES = (
    "age_s", "mbps", "delay_s", "loss", "queue_bytes", "key_in_bps", "key_out_bps", "stock_bits",
)  # fmt: skip
"""What is known of a link."""
SILENT_S = 10.0
"""After this long without a sample a node counts as away."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """Key that two nodes have in common, by what both ends say: the smaller stock counts."""

    stock_bits: float
    capacity_bits: float
    in_bps: float
    out_bps: float
    reserve_bits: float


@dataclass(slots=True)
class _Heard:
    number: int = -1
    received_s: float = -math.inf
    offsets_s: deque[float] = field(default_factory=lambda: deque(maxlen=_OFFSETS))
    hops: dict[str, HopSample] = field(default_factory=dict)
    pools: dict[str, PoolSample] = field(default_factory=dict)
    flows: tuple[FlowSample, ...] = ()
    draws: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """Key drawn and traffic arrived lately, by destination and class."""
    lost: int = 0


class Knowledge:
    """Takes samples as they come and gives traffic matrices and link states."""

    def __init__(self, topology: Topology, *, interval_s: float) -> None:
        self.topology = topology
        self.interval_s = interval_s
        self._index = {name: node for node, name in enumerate(topology.names)}
        self._heard = {name: _Heard() for name in topology.names}
        self._sums: dict[int, Floats] = {}
        self._counts: dict[int, Floats] = {}
        self.doubts: dict[str, str] = {}
        """Nodes whose newest samples are not believed as they are, and why."""

    def take(self, sample: NodeSample, received_s: float) -> bool:
        """Add a sample; False where none of it is used (unknown node, repeated, too late)."""
        heard = self._heard.get(sample.node)
        if heard is None or not math.isfinite(sample.time_s):
            return False
        self.doubts.pop(sample.node, None)
        time_s = self._right(sample, heard, received_s)
        if not self._is_new(sample, heard, received_s):
            return False
        if received_s >= heard.received_s:
            heard.received_s = received_s
            heard.hops = {hop.target: hop for hop in sample.hops}
            heard.flows = sample.flows
            _note_draws(heard)
            heard.pools = {pool.peer: pool for pool in sample.pools}
        return self._add_flows(sample, self._interval(time_s), self._interval(received_s))

    def matrices(self, now_s: float) -> Floats:
        """Return the traffic `(T, N, N)` in Mbit/s of all whole intervals before now; NaN is a gap.

        Intervals without any sample are left out at the beginning only.
        """
        now = self._interval(now_s)
        known = [interval for interval in self._sums if interval < now]
        count = self.topology.node_count
        if not known:
            return np.empty((0, count, count))
        first = max(min(known), now - _KEPT_INTERVALS)
        return np.stack([self._matrix(interval) for interval in range(first, now)])

    def down_links(self, now_s: float) -> frozenset[int]:
        """Return the links that an end says are down, and all links of nodes that are away.

        A node never heard is not away: the network may only be starting.
        """
        down = set()
        for link in range(self.topology.link_count):
            near, far = self._ends(link)
            said = self._heard[near].hops.get(far)
            if (said is not None and not said.is_up) or self._is_away(near, far, now_s):
                down.add(link)
        return frozenset(down)

    def link_loads(self) -> Floats:
        """Return the newest measured load `(E,)` in Mbit/s; NaN where unknown or impossible."""
        loads = np.full(self.topology.link_count, np.nan)
        for link in range(self.topology.link_count):
            near, far = self._ends(link)
            hop = self._heard[near].hops.get(far)
            if hop is not None and _is_amount(hop.load_bps):
                loads[link] = hop.load_bps / 1e6
        return loads

    def link_delays_s(self) -> Floats:
        """Return the newest measured delay `(E,)`; NaN where unknown."""
        delays = np.full(self.topology.link_count, np.nan)
        for link in range(self.topology.link_count):
            near, far = self._ends(link)
            hop = self._heard[near].hops.get(far)
            if hop is not None and hop.delay_s is not None and _is_amount(hop.delay_s):
                delays[link] = hop.delay_s
        return delays

    def pools(self) -> dict[tuple[str, str], PoolState]:
        """Return what each pair of neighbours has in stock, by names in order."""
        ends: dict[tuple[str, str], list[PoolSample]] = {}
        for name, heard in self._heard.items():
            for peer, pool in heard.pools.items():
                numbers = (pool.stock_bits, pool.capacity_bits, pool.in_bps, pool.out_bps)
                if peer in self._index and all(map(_is_amount, numbers)):
                    ends.setdefault((min(name, peer), max(name, peer)), []).append(pool)
        return {
            pair: PoolState(
                stock_bits=min(pool.stock_bits for pool in said),
                capacity_bits=min(pool.capacity_bits for pool in said),
                in_bps=min(pool.in_bps for pool in said),
                out_bps=max(pool.out_bps for pool in said),
                reserve_bits=max(pool.reserve_bits for pool in said),
            )
            for pair, said in ends.items()
        }

    def demand_and_draw_bps(self) -> tuple[float, float]:
        """Return what users offered lately in all nodes, and the key it drew."""
        good = [
            flow
            for flow in self.flows()
            if _is_amount(flow.demand_bps) and _is_amount(flow.key_draw_bps)
        ]
        return sum(flow.demand_bps for flow in good), sum(flow.key_draw_bps for flow in good)

    def features(self, now_s: float) -> Floats:
        """Return what is known of each link `(E, FEATURES)`; NaN where nothing is.

        Traffic is its source's word, key that of both ends; `age_s` says how old it is.
        """
        pools = self.pools()
        features = np.full((self.topology.link_count, len(FEATURES)), np.nan)
        for link, row in enumerate(features):
            near, far = self._ends(link)
            heard, pool = self._heard[near], pools.get((min(near, far), max(near, far)))
            if (hop := heard.hops.get(far)) is not None:
                told = (now_s - heard.received_s, hop.load_bps / 1e6, hop.delay_s, hop.loss)
                row[:5] = [_amount(value) for value in (*told, hop.queue_bytes)]
            if pool is not None:
                row[5:] = pool.in_bps, pool.out_bps, pool.stock_bits
        return features

    def flows(self) -> tuple[FlowSample, ...]:
        """Return users' traffic as all nodes told it last."""
        return tuple(flow for heard in self._heard.values() for flow in heard.flows)

    def hops(self) -> tuple[HopSample, ...]:
        """Return the ways to neighbours as all nodes told them last."""
        return tuple(hop for heard in self._heard.values() for hop in heard.hops.values())

    def key_wanted_bps(self) -> Floats:
        """Return the key `(2, P)`, critical and bulk, that users' newest offers would draw."""
        rows, columns = self.topology.pairs
        wanted = np.zeros((2, self.topology.node_count, self.topology.node_count))
        for name, heard in self._heard.items():
            row = self._index[name]
            leaving_bps = self.topology.capacities[self.topology.sources == row].sum() * 1e6
            for flow in heard.flows:
                column = self._index.get(flow.destination)
                draw = self.draw_per_bit(name, flow.destination, flow.traffic_class)
                if column is None or not _is_amount(flow.demand_bps):
                    continue
                kind = 0 if flow.traffic_class == "critical" else 1
                wanted[kind, row, column] += draw * min(flow.demand_bps, _BURST * leaving_bps)
        return wanted[:, rows, columns]

    def draw_per_bit(self, source: str, destination: str, traffic_class: str) -> float:
        """Return the key that a bit of such traffic draws; 0 where it drew none."""
        drawn, arrived = self._heard[source].draws.get((destination, traffic_class), (0.0, 0.0))
        return min(drawn / arrived, _MOST_DRAWN) if arrived > 0 else 0.0

    def lost_samples(self) -> dict[str, int]:
        """Return how many samples of each node never came."""
        return {name: heard.lost for name, heard in self._heard.items()}

    def offset_s(self, node: str) -> float:
        """Return how far a node's clock is behind the receiver's, by the median of late."""
        offsets = self._heard[node].offsets_s
        return median(offsets) if offsets else 0.0

    def restore(self, first: int, matrices: Floats) -> None:
        """Begin with intervals kept from before, the first of number `first`."""
        for place, matrix in enumerate(matrices):
            seen = np.isfinite(matrix).any(axis=1)
            self._sums[first + place] = np.where(np.isfinite(matrix), matrix, 0.0)
            self._counts[first + place] = seen.astype(np.float64)

    def matrix(self, interval: int) -> Floats:
        """Return one interval's traffic; rows of silent nodes are NaN."""
        return self._matrix(interval)

    def _right(self, sample: NodeSample, heard: _Heard, received_s: float) -> float:
        heard.offsets_s.append(received_s - sample.time_s)
        offset_s = median(heard.offsets_s)
        if abs(offset_s) > _SKEW_S:
            self.doubts[sample.node] = f"its clock is {offset_s:+.0f} s off; set right here"
        # A sample far from the usual offset was late on its way; nothing comes from the future.
        return min(sample.time_s + offset_s, received_s)

    def _is_new(self, sample: NodeSample, heard: _Heard, received_s: float) -> bool:
        behind = heard.number - sample.number
        restarted = behind > _LATEST_INTERVALS * self.interval_s or (
            behind >= 0 and received_s - heard.received_s > SILENT_S
        )
        if behind == 0 and not restarted:
            return False
        if behind < 0 and heard.number >= 0:
            heard.lost += -behind - 1
        if behind < 0 or restarted:
            heard.number = sample.number
        else:
            heard.lost = max(0, heard.lost - 1)  # late, not lost
        return True

    def _add_flows(self, sample: NodeSample, interval: int, now: int) -> bool:
        if now - interval > _LATEST_INTERVALS:
            return False
        count = self.topology.node_count
        row = self._index[sample.node]
        demand = np.zeros(count)
        for flow in sample.flows:
            column = self._index.get(flow.destination)
            if column is None or column == row or not _is_amount(flow.demand_bps):
                self.doubts[sample.node] = f"it tells an impossible demand to '{flow.destination}'"
                continue
            demand[column] += flow.demand_bps / 1e6
        leaving = self.topology.capacities[self.topology.sources == row].sum()
        if demand.sum() > _BURST * leaving:
            self.doubts[sample.node] = "it tells more demand than its links could ever carry"
            demand *= _BURST * leaving / demand.sum()
        if interval not in self._sums:
            self._sums[interval] = np.zeros((count, count))
            self._counts[interval] = np.zeros(count)
            self._forget(now)
        self._sums[interval][row] += demand
        self._counts[interval][row] += 1
        return True

    def _forget(self, now: int) -> None:
        for interval in [each for each in self._sums if each < now - _KEPT_INTERVALS]:
            del self._sums[interval], self._counts[interval]

    def _matrix(self, interval: int) -> Floats:
        count = self.topology.node_count
        if interval not in self._sums:
            return np.full((count, count), np.nan)
        counts = self._counts[interval]
        seen = np.where(counts > 0, counts, np.nan)
        matrix: Floats = self._sums[interval] / seen[:, None]
        return matrix

    def _interval(self, time_s: float) -> int:
        return math.floor(time_s / self.interval_s)

    def _ends(self, link: int) -> tuple[str, str]:
        return self.topology.ends[link]

    def _is_away(self, near: str, far: str, now_s: float) -> bool:
        last = (self._heard[near].received_s, self._heard[far].received_s)
        return any(math.isfinite(at) and now_s - at > SILENT_S for at in last)


def _note_draws(heard: _Heard) -> None:
    """Add to what was drawn and what arrived; who lacks key draws none, and nothing arrives."""
    for flow in heard.flows:
        if _is_amount(flow.key_draw_bps) and _is_amount(flow.goodput_bps):
            place = flow.destination, flow.traffic_class
            drawn, arrived = heard.draws.get(place, (0.0, 0.0))
            heard.draws[place] = (
                _DRAW_MEMORY * drawn + flow.key_draw_bps,
                _DRAW_MEMORY * arrived + flow.goodput_bps,
            )


def _amount(value: float | None) -> float:
    return value if value is not None and _is_amount(value) else math.nan


def _is_amount(value: float) -> bool:
    return math.isfinite(value) and value >= 0
