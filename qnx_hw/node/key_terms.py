"""From what nodes tell of key to the terms that key puts to their route tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from qnx_hw.bus.routes import StockAdvice
from qnx_hw.network.key_policy import SLOT_S, KeyPlan, KeyPolicy
from qnx_hw.network.keyflow import BULK, CRITICAL, KeyMap, Pools
from qnx_hw.network.knowledge import Knowledge, PoolState
from qnx_hw.network.tables import Terms
from qnx_hw.network.topology import Floats, Topology

_UNTOLD_BITS = 1e15
_LEAST_DRAW = 1e-2
"""Traffic that draws less than this part of its bits takes a key at times, however much is sent:
to hold it back would save none."""
_KINDS = {CRITICAL: "critical", BULK: "bulk"}


class KeyWatcher:
    """Decides on key once a slot, from what is known; keeps the plan in force."""

    def __init__(self, topology: Topology, make: Callable[[], KeyPolicy]) -> None:
        self._topology, self._make = topology, make
        self._policy: KeyPolicy | None = None
        self._decided_s = -np.inf
        self.plan: KeyPlan | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether a slot has passed since the last decision."""
        return now_s - self._decided_s >= SLOT_S

    def decide(
        self, now_s: float, wanted_bps: Floats, told: Mapping[tuple[str, str], PoolState]
    ) -> bool:
        """Decide from key wanted `(C, P)` and pools by their ends; whether nodes are to be told.

        Takes a while; what it is given must not change meanwhile.
        """
        self._decided_s = now_s
        if self._policy is None:
            if not wanted_bps.any():
                return False
            self._policy = self._make()
        gains_bps, pools = _pools(self._policy.key_map, self._topology, told)
        plan = self._policy.decide(wanted_bps, gains_bps, pools, _ready(self._topology, told))
        if not plan.differs(self.plan):
            return False
        self.plan = plan
        return True


def terms_of(plan: KeyPlan, knowledge: Knowledge) -> Terms:
    """Return what a plan means for the tables: limits of traffic, by the key that a bit draws."""
    topology = knowledge.topology
    names, (rows, columns) = topology.names, topology.pairs
    others: dict[int, float] = {}
    critical: dict[int, float | None] = {}
    stocks: dict[str, list[StockAdvice]] = {}
    wanted = knowledge.key_wanted_bps()
    for pair, (row, column) in enumerate(zip(rows, columns, strict=True)):
        ends = names[row], names[column]
        rates: dict[int, float | None] = {}
        for kind, word in _KINDS.items():
            drawn, limit = knowledge.draw_per_bit(*ends, word), plan.limits_bps[kind, pair]
            rates[kind] = (
                float(limit / drawn) if drawn >= _LEAST_DRAW and np.isfinite(limit) else None
            )
        bulk_bps = rates[BULK]
        if bulk_bps is not None:
            others[pair] = bulk_bps
        if wanted[CRITICAL, pair] > 0 and any(rate is not None for rate in rates.values()):
            critical[pair] = rates[CRITICAL]
        if plan.stocks_bits[pair] >= 1:
            ways = tuple(names[hop] for hop in plan.ways[pair])
            advice = StockAdvice(peer=ends[1], bits=int(plan.stocks_bits[pair]), by=ways)
            stocks.setdefault(ends[0], []).append(advice)
    return Terms(others, critical, {node: tuple(each) for node, each in stocks.items()})


def _pools(
    key_map: KeyMap, topology: Topology, told: Mapping[tuple[str, str], PoolState]
) -> tuple[Floats, Pools]:
    """Return what each pool gains, holds above its reserve, and can hold.

    A pool that nobody tells of holds nobody up.
    """
    gains, stock = np.zeros(key_map.pool_count), np.full(key_map.pool_count, _UNTOLD_BITS)
    capacity = stock.copy()
    for link in range(topology.link_count):
        near = topology.names[topology.sources[link]]
        far = topology.names[topology.targets[link]]
        state = told.get((min(near, far), max(near, far)))
        if state is not None:
            pool = key_map.pool_of[link]
            gains[pool] = state.in_bps
            stock[pool] = max(state.stock_bits - state.reserve_bits, 0.0)
            capacity[pool] = max(state.capacity_bits, stock[pool])
    return gains, Pools(stock, capacity)


def _ready(topology: Topology, told: Mapping[tuple[str, str], PoolState]) -> Floats:
    """Return the relayed key of each pair without a link; half for each direction."""
    joined = set(zip(topology.sources.tolist(), topology.targets.tolist(), strict=True))
    ready = np.zeros(topology.pairs[0].size)
    for pair, (source, target) in enumerate(zip(*topology.pairs, strict=True)):
        ends = sorted((topology.names[source], topology.names[target]))
        state = told.get((ends[0], ends[1]))
        if state is not None and (int(source), int(target)) not in joined:
            ready[pair] = max(state.stock_bits - state.reserve_bits, 0.0) / 2
    return ready
