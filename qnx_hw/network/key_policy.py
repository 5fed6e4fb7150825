"""How much key each pair of nodes may draw while the network runs, decided slot by slot.

What users want is what they offer times the key that a bit of theirs draws. The grants of
`keyflow` become limits at the sources, by class, and the stock of relayed key that two nodes
without a common link should have ready before it is asked for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from qnx_hw.network.key_outlook import look_ahead
from qnx_hw.network.keyflow import BLOCKS, CRITICAL, Allocator, KeyMap, Pools
from qnx_hw.network.paths import candidates
from qnx_hw.network.topology import Floats, Topology

SLOT_S = 60.0
RELAY_AHEAD_S = 600.0
"""Relayed key is kept ready for what is expected over this time."""
_MOST_PATHS = 5
_MOST_NUMBERS = 30_000_000
"""Of the past that is kept: large networks remember less than a day."""
_GAIN_PART = 0.9
"""Of the key a slot is likely to make, this part may be given before it is made."""
_MOVED, _STOCK_MOVED = 0.05, 0.25
"""Parts by which a limit or a level of stock must have moved to be told anew."""
_FULL = 1 - 1e-3


@dataclass(frozen=True, eq=False)
class KeyPlan:
    """What key allows in the slot to come; limits `(C, P)` in bit/s of key, infinite where none."""

    limits_bps: Floats
    stocks_bits: Floats
    """Relayed key `(P,)` that source and destination should have ready."""
    ways: tuple[tuple[int, ...], ...]
    """By pair, the neighbours over which its key is best relayed, best first; empty: no matter."""
    prices: Floats
    """Of a bit of each pool `(L,)`, in bits of bulk."""

    def differs(self, other: KeyPlan | None) -> bool:
        """Whether this is worth telling where `other` is in force."""
        if other is None:
            return bool(np.isfinite(self.limits_bps).any() or self.stocks_bits.any())
        mine, theirs = self.limits_bps, other.limits_bps
        if np.any(np.isfinite(mine) != np.isfinite(theirs)):
            return True
        limited = np.isfinite(mine)
        if not np.allclose(mine[limited], theirs[limited], rtol=_MOVED, atol=1.0):
            return True
        return not np.allclose(self.stocks_bits, other.stocks_bits, rtol=_STOCK_MOVED, atol=1e4)


class KeyPolicy:
    """Decides slot by slot for one topology; remembers what was wanted and what was made."""

    def __init__(
        self, topology: Topology, *, slot_s: float = SLOT_S, season_s: float = 86_400.0
    ) -> None:
        self.key_map = KeyMap.of(candidates(topology, most=_MOST_PATHS))
        self.slot_s = slot_s
        self._season = max(1, round(season_s / slot_s))
        kept = _MOST_NUMBERS // (2 * topology.pairs[0].size)
        self._wanted: deque[Floats] = deque(maxlen=min(self._season + sum(BLOCKS), kept))
        self._gains: deque[Floats] = deque(maxlen=self._wanted.maxlen)
        self._allocator = Allocator(self.key_map)

    def decide(self, wanted_bps: Floats, gains_bps: Floats, pools: Pools, ready: Floats) -> KeyPlan:
        """Return the plan for the next slot.

        `wanted_bps` `(C, P)` and `gains_bps` `(L,)` are those of the slot that ended, `pools` what
        links hold and may give, `ready` `(P,)` the relayed key in stock, in bits.
        """
        self._gains.append(gains_bps * self.slot_s)
        now = wanted_bps * self.slot_s
        past = np.array(self._wanted).reshape(-1, *now.shape)
        self._wanted.append(now)
        ahead = look_ahead(
            past, np.array(self._gains), now, season=self._season, horizon=sum(BLOCKS)
        )
        stock = np.minimum(pools.stock + _GAIN_PART * ahead.gains[0], pools.capacity)
        grants = self._allocator.allocate(Pools(stock, pools.capacity), ahead)
        served = grants.served(self.key_map)
        return KeyPlan(
            limits_bps=self._limits(now, served, ready),
            stocks_bits=self._stocks(now, served),
            ways=self._ways(grants.flows.sum(axis=0)),
            prices=grants.prices,
        )

    def _limits(self, wanted: Floats, served: Floats, ready: Floats) -> Floats:
        """Add what is relayed already, for critical flows first."""
        extra = np.minimum(np.maximum(wanted[CRITICAL] - served[CRITICAL], 0.0), ready)
        given = served + np.stack((extra, ready - extra))
        return np.where(given < _FULL * wanted, given / self.slot_s, np.inf)

    def _stocks(self, wanted: Floats, served: Floats) -> Floats:
        """Return what to keep ready of what may be drawn; pairs with a link need none."""
        topology = self.key_map.paths.topology
        level: Floats = served.sum(axis=0) / self.slot_s * RELAY_AHEAD_S
        joined = topology.sources * topology.node_count + topology.targets
        pairs = topology.pairs[0] * topology.node_count + topology.pairs[1]
        return np.where(np.isin(pairs, joined) | (wanted.sum(axis=0) <= 0), 0.0, level)

    def _ways(self, flows: Floats) -> tuple[tuple[int, ...], ...]:
        paths = self.key_map.paths
        ways: list[tuple[int, ...]] = []
        for pair in range(paths.first.size - 1):
            by_hop: dict[int, float] = {}
            for path in range(int(paths.first[pair]), int(paths.first[pair + 1])):
                if flows[path] > 0:
                    hop = int(paths.topology.targets[paths.links_of(path)[0]])
                    by_hop[hop] = by_hop.get(hop, 0.0) + float(flows[path])
            ways.append(
                tuple(hop for _, hop in sorted((-much, hop) for hop, much in by_hop.items()))
            )
        return tuple(ways)
