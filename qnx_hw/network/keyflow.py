"""How much key each flow gets, over which relays, when key is scarce.

Relaying one bit over a path takes one bit of every link's pool on it. What is given now is missing
later, so each slot is decided together with the hours to come: a linear programme over forecasts
of requests and of key, of which only the first slot is carried out (receding horizon). Its duals
are the price of a bit in each pool. Later slots count in growing blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_diag, coo_array, csr_array, eye_array, hstack, kron, vstack

from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats, Integers, Topology

CRITICAL, BULK = 0, 1
WEIGHTS = np.array([20.0, 1.0])
"""What a bit is worth, critical and bulk."""
BLOCKS = (1, 1, 2, 4, 8, 16, 24, 40)
"""Slots in each block of the look-ahead; the first is the one decided."""
_LATER = 0.999
"""A bit served a block later is worth this part: ties are served now."""
_KEPT_VALUE = 0.05
"""What a bit left at the end of the look-ahead is worth, in bits of bulk."""
RESERVE_SLOTS = 6
"""Slots of expected critical use that bulk may not touch."""


class Mode(StrEnum):
    """How a flow is encrypted, by which it draws key."""

    OTP = "otp"
    AES = "aes-256-gcm"


def key_draw_bps(mode: Mode, rate_bps: float, *, rekey_s: float) -> float:
    """Return the key that a two-way flow draws: one bit a bit, or 256 a direction and rekeying."""
    return rate_bps if mode is Mode.OTP else 2 * 256 / rekey_s


@dataclass(frozen=True, eq=False)
class KeyMap:
    """Which pools each path draws on.

    `pool_of` `(E,)` numbers the pool of each directed link: both directions share one.
    """

    paths: PathSet
    pool_of: Integers
    draws: csr_array
    """`(paths, pools)`, 1 where a path takes key."""

    @classmethod
    def of(cls, paths: PathSet) -> KeyMap:
        """Let both directions of a link share a pool, numbered by their nodes in order."""
        topology = paths.topology
        low = np.minimum(topology.sources, topology.targets)
        high = np.maximum(topology.sources, topology.targets)
        _, pool_of = np.unique(low * topology.node_count + high, return_inverse=True)
        shape = (topology.link_count, int(pool_of.max()) + 1)
        joined = csr_array((np.ones(pool_of.size), (np.arange(pool_of.size), pool_of)), shape=shape)
        return cls(paths, pool_of.astype(np.int64), csr_array(paths.incidence @ joined))

    @property
    def pool_count(self) -> int:
        """Number of pools L."""
        return int(self.draws.shape[1])


@dataclass(frozen=True, eq=False)
class Pools:
    """Stock of each pool `(L,)` in bits, and what it can hold."""

    stock: Floats
    capacity: Floats

    def after(self, used: Floats, gained: Floats) -> Pools:
        """Return the pools a slot later; what does not fit is lost."""
        return Pools(np.clip(self.stock - used + gained, 0.0, self.capacity), self.capacity)


@dataclass(frozen=True, eq=False)
class Outlook:
    """Requests `(H, C, P)` and key `(H, L)` of the slots to come, in bits; slot 0 is now."""

    wanted: Floats
    gains: Floats


@dataclass(frozen=True, eq=False)
class Grants:
    """Bits given over each path `(C, paths)`, and the price of a bit of each pool `(L,)`."""

    flows: Floats
    prices: Floats

    def used(self, key_map: KeyMap) -> Floats:
        """Return what is taken from each pool."""
        used: Floats = key_map.draws.T @ self.flows.sum(axis=0)
        return used

    def served(self, key_map: KeyMap) -> Floats:
        """Return what each class and pair gets `(C, P)`."""
        pairs = key_map.paths.first.size - 1
        return np.stack(
            [np.bincount(key_map.paths.pair_of, f, minlength=pairs) for f in self.flows]
        )


def allocate(
    key_map: KeyMap, pools: Pools, outlook: Outlook, *, weights: Floats = WEIGHTS
) -> Grants:
    """Decide the slot that is now; never more than is asked for or in stock."""
    wanted, gains, lengths = _blocks(outlook)
    asked = wanted.sum(axis=0) > 0
    columns = [np.flatnonzero(asked[c][key_map.paths.pair_of]) for c in range(len(weights))]
    program = _Programme(key_map, columns, len(lengths))
    reserve = _reserve(key_map, outlook)
    flows, prices = program.solve(pools, wanted, gains, weights, reserve)
    return Grants(_fitted(key_map, pools, wanted[0], flows), prices)


class _Programme:
    """Variables: flows by block, class and path that is asked for; then stock by block and pool."""

    def __init__(self, key_map: KeyMap, columns: list[Integers], blocks: int) -> None:
        self._map, self._columns, self._blocks = key_map, columns, blocks
        pairs = key_map.paths.first.size - 1
        self._draw = csr_array(hstack([key_map.draws[own].T for own in columns]))
        ask = [
            coo_array(
                (np.ones(own.size), (key_map.paths.pair_of[own], np.arange(own.size))),
                shape=(pairs, own.size),
            )
            for own in columns
        ]
        self._ask = csr_array(block_diag(ask))

    def solve(
        self, pools: Pools, wanted: Floats, gains: Floats, weights: Floats, reserve: Floats
    ) -> tuple[Floats, Floats]:
        size, count = self._draw.shape[1], self._map.pool_count
        blocks, eye = self._blocks, eye_array(self._blocks)
        flows_only = csr_array((blocks * self._ask.shape[0], blocks * count))
        asked = hstack([kron(eye, self._ask), flows_only])
        step = eye - eye_array(blocks, k=-1)
        balance = hstack([kron(eye, self._draw), kron(step, eye_array(count))])
        now = hstack([self._draw, csr_array((count, (blocks - 1) * size + blocks * count))])
        is_bulk = np.repeat([c != CRITICAL for c in range(len(weights))], self._widths())
        bulk = hstack(
            [
                self._draw * is_bulk[None, :],
                csr_array((count, (blocks - 1) * size + blocks * count)),
            ]
        )
        start = gains.copy()
        start[0] += pools.stock
        limits = (
            wanted.reshape(-1),
            start.reshape(-1),
            pools.stock,
            np.maximum(pools.stock - reserve, 0.0),
        )
        worth = np.repeat(weights, self._widths())
        cost = np.concatenate([-worth * _LATER**block for block in range(blocks)])
        kept = np.zeros(blocks * count)
        kept[-count:] = -_KEPT_VALUE * weights.min()
        bounds = [(0.0, np.inf)] * (blocks * size)
        bounds += [(0.0, float(most)) for _ in range(blocks) for most in pools.capacity]
        result = linprog(
            np.concatenate((cost, kept)),
            csr_array(vstack([asked, balance, now, bulk])),
            np.concatenate(limits),
            bounds=bounds,
            method="highs",
        )
        if result.status != 0:
            raise ValueError(f"the linear programme has no answer: {result.message}")
        flows = np.zeros((len(weights), len(self._map.paths)))
        begin = 0
        for c, own in enumerate(self._columns):
            flows[c, own] = result.x[begin : begin + own.size]
            begin += own.size
        first = asked.shape[0]
        prices = -result.ineqlin.marginals[first : first + count]
        return flows, np.asarray(prices, dtype=np.float64)

    def _widths(self) -> list[int]:
        return [own.size for own in self._columns]


def _blocks(outlook: Outlook) -> tuple[Floats, Floats, list[int]]:
    """Sum the slots to come in blocks."""
    wanted, gains, lengths, slot = [], [], [], 0
    for length in BLOCKS:
        stop = min(slot + length, len(outlook.wanted))
        if stop > slot:
            wanted.append(outlook.wanted[slot:stop].sum(axis=0))
            gains.append(outlook.gains[slot:stop].sum(axis=0))
            lengths.append(stop - slot)
        slot = stop
    return np.stack(wanted), np.stack(gains), lengths


def _reserve(key_map: KeyMap, outlook: Outlook) -> Floats:
    """Return what each pool keeps for critical flows of the next slots on their shortest way."""
    ahead = outlook.wanted[1 : 1 + RESERVE_SLOTS, CRITICAL].sum(axis=0)
    first = key_map.paths.first[:-1][key_map.paths.has_path]
    expected = ahead[key_map.paths.has_path]
    reserve: Floats = key_map.draws[first].T @ expected
    return reserve


def _fitted(key_map: KeyMap, pools: Pools, wanted: Floats, flows: Floats) -> Floats:
    """Take back what rounding gave beyond requests or stock."""
    flows = np.maximum(flows, 0.0)
    pair_of = key_map.paths.pair_of
    for c in range(len(flows)):
        given = np.bincount(pair_of, flows[c], minlength=wanted.shape[1])
        part = np.divide(wanted[c], given, out=np.ones_like(given), where=given > wanted[c])
        flows[c] *= part[pair_of]
    used = key_map.draws.T @ flows.sum(axis=0)
    over = np.divide(pools.stock, used, out=np.ones_like(used), where=used > pools.stock)
    worst = np.ones(len(key_map.paths))
    rows = np.repeat(np.arange(len(worst)), np.diff(key_map.draws.indptr))
    np.minimum.at(worst, rows, over[key_map.draws.indices])
    fitted: Floats = flows * worst
    return fitted


def clairvoyant(
    key_map: KeyMap, pools: Pools, outlook: Outlook, weights: Floats = WEIGHTS
) -> float:
    """Return the greatest weighted sum served when all slots are known: the yardstick."""
    wanted, gains = outlook.wanted, outlook.gains
    asked = wanted.sum(axis=0) > 0
    columns = [np.flatnonzero(asked[c][key_map.paths.pair_of]) for c in range(len(weights))]
    draw = csr_array(hstack([key_map.draws[own].T for own in columns]))
    pairs = wanted.shape[2]
    ask = csr_array(
        block_diag(
            [
                coo_array(
                    (np.ones(own.size), (key_map.paths.pair_of[own], np.arange(own.size))),
                    shape=(pairs, own.size),
                )
                for own in columns
            ]
        )
    )
    slots, count, size = len(wanted), key_map.pool_count, draw.shape[1]
    eye = eye_array(slots)
    # Stock before each slot; use comes out of it, then the gain goes in.
    asked_rows = hstack([kron(eye, ask), csr_array((slots * ask.shape[0], slots * count))])
    in_stock = hstack([kron(eye, draw), kron(-eye, eye_array(count))])
    shift = eye_array(slots, k=-1)
    step = hstack([kron(shift, draw), kron(eye - shift, eye_array(count))])
    start = np.concatenate((pools.stock, gains[:-1].reshape(-1)))
    worth = np.repeat(weights, [own.size for own in columns])
    cost = np.concatenate((np.tile(-worth, slots), np.zeros(slots * count)))
    bounds = [(0.0, np.inf)] * (slots * size) + [
        (0.0, float(most)) for _ in range(slots) for most in pools.capacity
    ]
    result = linprog(
        cost,
        csr_array(vstack([asked_rows, in_stock, step])),
        np.concatenate((wanted.reshape(-1), np.zeros(slots * count), start)),
        bounds=bounds,
        method="highs-ipm",
    )
    if result.status != 0:
        raise ValueError(f"the linear programme has no answer: {result.message}")
    return float(-result.fun)


def key_topology(names: tuple[str, ...], joined: list[tuple[int, int]]) -> Topology:
    """Return a topology of links both ways for key alone; capacities mean nothing."""
    ends = np.array([*joined, *((far, near) for near, far in joined)], dtype=np.int64)
    ones = np.ones(len(ends))
    return Topology(names, ends[:, 0], ends[:, 1], ones, ones)
