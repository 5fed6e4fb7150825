"""How much key each flow gets, over which relays, when key is scarce.

Relaying one bit over a path takes one bit of every link's pool on it. What is given now is missing
later, so each slot is decided together with the hours to come: a linear programme over forecasts
of requests and of key, of which only the first slot is carried out (receding horizon). Its duals
are the price of a bit in each pool. Later slots count in growing blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import highspy
import numpy as np
import numpy.typing as npt
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
    return Allocator(key_map, weights=weights).allocate(pools, outlook)


class Allocator:
    """Decides slot after slot for one network, each from the last slot's solution."""

    def __init__(self, key_map: KeyMap, *, weights: Floats = WEIGHTS) -> None:
        self._map, self._weights = key_map, weights
        self._program: _Programme | None = None

    def allocate(self, pools: Pools, outlook: Outlook) -> Grants:
        """Decide the slot that is now; never more than is asked for or in stock."""
        wanted, gains, lengths = _blocks(outlook)
        asked = wanted.sum(axis=0) > 0
        program = self._program
        if program is None or not program.covers(asked, len(lengths), pools):
            if program is not None and program.asked.shape == asked.shape:
                asked = asked | program.asked
            program = _Programme(self._map, asked, len(lengths), pools, self._weights)
            self._program = program
        flows, prices = program.solve(pools, wanted, gains, _reserve(self._map, outlook))
        return Grants(_fitted(self._map, pools, wanted[0], flows), prices)


class _Programme:
    """Variables: flows by block, class and path that is asked for; then stock by block and pool.

    Only the right sides change from slot to slot, so that the last basis is where a dual simplex
    goes on.
    """

    def __init__(
        self, key_map: KeyMap, asked: npt.NDArray[np.bool_], blocks: int, pools: Pools,
        weights: Floats,
    ) -> None:  # fmt: skip
        self.asked, self._capacity, self._blocks = asked, pools.capacity, blocks
        self._map, self._weights = key_map, weights
        self._columns = [np.flatnonzero(of_class[key_map.paths.pair_of]) for of_class in asked]
        # The class above this one turns on callbacks, and then HiGHS greets on standard output.
        self._solver = highspy._core._Highs()
        self._solver.setOptionValue("output_flag", False)
        self._solver.setOptionValue("threads", 1)
        self._rows = 0
        self._pass()

    def covers(self, asked: npt.NDArray[np.bool_], blocks: int, pools: Pools) -> bool:
        """Whether this programme is the one for such a slot, but for its right sides."""
        return (
            blocks == self._blocks
            and asked.shape == self.asked.shape
            and not np.any(asked & ~self.asked)
            and np.array_equal(pools.capacity, self._capacity)
        )

    def solve(
        self, pools: Pools, wanted: Floats, gains: Floats, reserve: Floats
    ) -> tuple[Floats, Floats]:
        """Return the flows of the first block `(C, paths)` and the prices of key now `(L,)`."""
        start = gains.copy()
        start[0] += pools.stock
        limits = np.concatenate(
            (
                wanted.reshape(-1),
                start.reshape(-1),
                pools.stock,
                np.maximum(pools.stock - reserve, 0.0),
            )
        )
        rows = np.arange(self._rows, dtype=np.int32)
        lowest = np.full(self._rows, -highspy.kHighsInf)
        # highspy's stubs leave it out.
        self._solver.changeRowsBounds(self._rows, rows, lowest, limits)  # type: ignore[attr-defined]
        self._solver.run()
        status = self._solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise ValueError(f"the linear programme has no answer: {status.name}")
        solution = self._solver.getSolution()
        values = np.asarray(solution.col_value)
        flows = np.zeros((len(self._columns), len(self._map.paths)))
        begin = 0
        for c, own in enumerate(self._columns):
            flows[c, own] = values[begin : begin + own.size]
            begin += own.size
        first = wanted.size
        duals = np.asarray(solution.row_dual)[first : first + self._map.pool_count]
        return flows, -duals

    def _pass(self) -> None:
        """Build the matrix and the costs, and hand them to the solver."""
        key_map, blocks, count = self._map, self._blocks, self._map.pool_count
        pairs = key_map.paths.first.size - 1
        draw = csr_array(hstack([key_map.draws[own].T for own in self._columns]))
        ask = block_diag(
            [
                coo_array(
                    (np.ones(own.size), (key_map.paths.pair_of[own], np.arange(own.size))),
                    shape=(pairs, own.size),
                )
                for own in self._columns
            ]
        )
        size, eye = draw.shape[1], eye_array(blocks)
        widths = [own.size for own in self._columns]
        is_bulk = np.repeat([c != CRITICAL for c in range(len(widths))], widths)
        later = csr_array((count, (blocks - 1) * size + blocks * count))
        step = eye - eye_array(blocks, k=-1)
        matrix = csr_array(
            vstack(
                [
                    hstack([kron(eye, ask), csr_array((blocks * ask.shape[0], blocks * count))]),
                    hstack([kron(eye, draw), kron(step, eye_array(count))]),
                    hstack([draw, later]),
                    hstack([draw * is_bulk[None, :], later]),
                ]
            )
        )
        matrix.eliminate_zeros()
        worth = np.repeat(self._weights, widths)
        kept = np.zeros(blocks * count)
        kept[-count:] = -_KEPT_VALUE * self._weights.min()
        self._rows = matrix.shape[0]
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = matrix.shape
        costs = [-worth * _LATER**block for block in range(blocks)]
        lp.col_cost_ = np.concatenate((*costs, kept))
        lp.col_lower_ = np.zeros(lp.num_col_)
        lp.col_upper_ = np.concatenate(
            (np.full(blocks * size, highspy.kHighsInf), np.tile(self._capacity, blocks))
        )
        lp.row_lower_ = np.full(self._rows, -highspy.kHighsInf)
        lp.row_upper_ = np.zeros(self._rows)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
        lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
        lp.a_matrix_.value_ = matrix.data
        self._solver.passModel(lp)


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
