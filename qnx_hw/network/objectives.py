"""Exact answers for each thing a network may aim at, by linear programmes over candidate paths.

All of them keep every link within `ceiling` of its capacity where the objective can say no to
traffic (fair, throughput); where all traffic must be carried, a full link is paid for dearly.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats


class Objective(StrEnum):
    """What a plan aims at."""

    UTILISATION = "least maximum utilisation"
    FAIR = "max-min fair"
    THROUGHPUT = "weighted throughput"
    DELAY = "least delay"


CEILING = 0.95
"""Part of a link's capacity that plans may fill."""
# Fortz and Thorup, INFOCOM 2000, equation 4: slopes of the price of load, and where they begin.
_SLOPES = np.array([1.0, 3.0, 10.0, 70.0, 500.0, 5000.0])
_KNEES = np.array([0.0, 1 / 3, 2 / 3, 9 / 10, 1.0, 11 / 10])
_FAIR_ROUNDS = 30
_TINY = 1e-7


@dataclass(frozen=True, eq=False)
class Allocation:
    """What each pair may send `(P,)` in the demands' unit, and its splits over paths."""

    rates: Floats
    splits: Floats


def weighted_throughput(
    paths: PathSet, demands: Floats, weights: Floats, *, ceiling: float = CEILING
) -> Allocation:
    """Carry the greatest sum of weight `(P,)` times rate that fits."""
    program = _Programme(paths, demands, ceiling)
    flows = program.solve(-weights[paths.pair_of])
    return _allocation(paths, flows)


def max_min_fair(paths: PathSet, demands: Floats, *, ceiling: float = CEILING) -> Allocation:
    """Raise all pairs' rates together; who is held by a full link stays, the others go on.

    Each round is one programme; a pair is settled when it has its demand or its dual says that
    more for it would cost the others.
    """
    program = _Programme(paths, demands, ceiling)
    wants = (demands > 0) & paths.has_path
    settled = np.where(wants, np.nan, 0.0)
    flows = np.zeros(len(paths))
    for _ in range(_FAIR_ROUNDS):
        free = np.isnan(settled)
        if not free.any():
            break
        level, flows, held = program.raise_level(settled)
        full = free & (demands <= level * (1 + _TINY) + _TINY)
        stuck = free & held
        if not (full | stuck).any():
            stuck = free
        settled[full] = demands[full]
        settled[stuck & ~full] = level
    return _allocation(paths, flows)


def least_delay(paths: PathSet, demands: Floats, delays_s: Floats) -> Allocation:
    """Carry everything with the least sum of time on the way and the price of loaded links.

    `delays_s` `(E,)` are the links' delays without load. The price is piecewise linear in load
    and grows steeply above two thirds of the capacity (Fortz and Thorup, INFOCOM 2000).
    """
    topology = paths.topology
    links = topology.link_count
    usual_s = max(float(delays_s.mean()), 1e-6)
    cost = np.concatenate((paths.incidence @ (delays_s / usual_s), np.ones(links)))
    load = csr_array(paths.incidence.T)
    offsets = np.cumsum(np.diff(_SLOPES, prepend=0.0) * _KNEES)
    prices = [hstack([load * slope, csr_array(-eye_array(links))]) for slope in _SLOPES.tolist()]
    limits = np.concatenate([offset * topology.capacities for offset in offsets])
    pairs = demands.size
    ones = csr_array(
        (np.ones(len(paths)), (paths.pair_of, np.arange(len(paths)))),
        shape=(pairs, len(paths) + links),
    )
    wanted = np.where(paths.has_path, demands, 0.0)
    result = linprog(cost, vstack(prices), limits, ones, wanted, method="highs")
    if result.status != 0:
        raise ValueError(f"the linear programme has no answer: {result.message}")
    return _allocation(paths, np.asarray(result.x[: len(paths)]))


class _Programme:
    """Flows over paths within capacity and demand."""

    def __init__(self, paths: PathSet, demands: Floats, ceiling: float) -> None:
        self._paths = paths
        self._load = csr_array(paths.incidence.T)
        self._sums = csr_array(
            (np.ones(len(paths)), (paths.pair_of, np.arange(len(paths)))),
            shape=(demands.size, len(paths)),
        )
        self._limits = np.concatenate((paths.topology.capacities * ceiling, demands))

    def solve(self, cost: Floats) -> Floats:
        """Return the flows of least cost."""
        result = linprog(cost, vstack([self._load, self._sums]), self._limits, method="highs")
        if result.status != 0:
            raise ValueError(f"the linear programme has no answer: {result.message}")
        return np.asarray(result.x)

    def raise_level(self, settled: Floats) -> tuple[float, Floats, np.ndarray]:
        """Return the greatest common rate of who is not settled, the flows, and who is held."""
        free = np.isnan(settled)
        count = len(self._paths)
        upper = vstack([self._load, self._sums])
        upper = hstack([upper, csr_array((upper.shape[0], 1))])
        floor = hstack([-self._sums, csr_array(free.astype(np.float64)[:, None])])
        # Settled pairs keep a hair less, so that rounding never makes the programme impossible.
        right = np.where(free, 0.0, -np.nan_to_num(settled) * (1 - _TINY))
        cost = np.zeros(count + 1)
        cost[-1] = -1.0
        bounds = [(0, None)] * count + [(0, float(self._limits[-free.size :][free].min()))]
        result = linprog(
            cost,
            vstack([upper, floor]),
            np.concatenate((self._limits, right)),
            bounds=bounds,
            method="highs",
        )
        if result.status != 0:
            raise ValueError(f"the linear programme has no answer: {result.message}")
        held = np.abs(result.ineqlin.marginals[-free.size :]) > _TINY
        return float(result.x[-1]), np.asarray(result.x[:-1]), held


def _allocation(paths: PathSet, flows: Floats) -> Allocation:
    """Turn flows into rates and splits; a pair that sends nothing takes its first path."""
    flows = np.maximum(flows, 0.0)
    rates = np.bincount(paths.pair_of, flows, minlength=paths.first.size - 1).astype(np.float64)
    splits = np.zeros(len(paths))
    moving = rates[paths.pair_of] > 1e-9
    splits[moving] = flows[moving] / rates[paths.pair_of[moving]]
    idle = np.flatnonzero((rates <= 1e-9) & paths.has_path)
    splits[paths.first[idle]] = 1.0
    return Allocation(rates, splits)
