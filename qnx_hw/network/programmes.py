"""Linear programmes, solved by HiGHS: the yardstick of every plan, and what-if questions."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, hstack, vstack

from qnx_hw.network.paths import PathSet, shortest
from qnx_hw.network.topology import Floats, Topology


def least_utilisation(topology: Topology, matrix: Floats) -> float:
    """Return the least largest link utilisation that any routing reaches for `matrix` `(N, N)`.

    Multi-commodity flow over links, one commodity per destination, unrestricted in its paths.
    """
    demands = np.zeros((topology.node_count, topology.node_count))
    demands[topology.pairs] = topology.demands(matrix)
    # The solver's tolerances are absolute, and it takes very small factors for none; so it gets
    # demands up to 1, and utilisation as a part of what simple routing reaches.
    most = demands.max(initial=0.0)
    demands /= most or 1.0
    destinations = np.flatnonzero(demands.sum(axis=0) > 0)
    if not destinations.size:
        return 0.0
    links, nodes = topology.link_count, topology.node_count
    ends = np.concatenate((topology.sources, topology.targets))
    signs = np.repeat([1.0, -1.0], links)
    columns = np.tile(np.arange(links), 2)
    balance = csr_array((signs, (ends, columns)), shape=(nodes, links))
    blocks, right = [], []
    for index, destination in enumerate(destinations):
        others = np.flatnonzero(np.arange(nodes) != destination)
        row = coo_array(balance[others])
        shifted = (row.data, (row.row, row.col + index * links))
        blocks.append(csr_array(shifted, shape=(nodes - 1, destinations.size * links + 1)))
        right.append(demands[others, destination])
    bound = _reached(topology, demands)
    able = _within_reach(topology.capacities * bound, demands, topology)
    one_each = [csr_array(np.eye(links))] * destinations.size
    load = hstack([*one_each, csr_array(-able[:, None])])
    cost = np.zeros(destinations.size * links + 1)
    cost[-1] = 1.0
    least, _ = _solve(cost, load, np.zeros(links), vstack(blocks), np.concatenate(right))
    return least * bound * float(most)


def best_splits(paths: PathSet, demands: Floats) -> tuple[float, Floats]:
    """Return the least largest utilisation over `paths` for demands `(P,)`, and its splits."""
    topology, most = paths.topology, demands.max(initial=0.0) or 1.0
    load = csr_array(paths.incidence.T.multiply((demands / most)[paths.pair_of][None, :]))
    pairs = paths.first.size - 1
    simple = np.exp(paths.wide_first)
    simple /= np.bincount(paths.pair_of, simple, pairs)[paths.pair_of]
    bound = float((load @ simple / topology.capacities).max(initial=0.0)) or 1.0
    able = _within_reach(topology.capacities * bound, demands / most, topology)
    load = hstack([load, csr_array(-able[:, None])])
    ones = csr_array(
        (np.ones(len(paths)), (paths.pair_of, np.arange(len(paths)))), shape=(pairs, len(paths) + 1)
    )
    cost = np.zeros(len(paths) + 1)
    cost[-1] = 1.0
    right = np.zeros(topology.link_count)
    least, solution = _solve(cost, load, right, ones, paths.has_path.astype(np.float64))
    return least * bound * float(most), solution[:-1]


def _reached(topology: Topology, demands: Floats) -> float:
    """Return the largest utilisation where each demand goes where links are widest.

    Ways have the least sum of inverse capacity. Where nothing leads, nothing goes.
    """
    before, link_between = shortest(topology, topology.capacities.max() / topology.capacities)
    sources, here = np.nonzero((demands > 0) & (before >= 0))
    amounts, loads = demands[sources, here], np.zeros(topology.link_count)
    while sources.size:
        there = before[sources, here]
        np.add.at(loads, link_between[there, here], amounts)
        left = there != sources
        sources, here, amounts = sources[left], there[left], amounts[left]
    return float((loads / topology.capacities).max(initial=0.0)) or 1.0


def _within_reach(able: Floats, demands: Floats, topology: Topology) -> Floats:
    """Bound what links are able to carry, where no answer could ever need more of them.

    Simple routing is at most pairs x nodes x links from the best; so no link is ever short that
    carries so many times all there is. The solver could not tell larger factors from each other.
    """
    most = topology.pairs[0].size * topology.node_count * topology.link_count
    return np.minimum(able, float(demands.sum()) * most or 1.0)


def _solve(
    cost: Floats, upper: csr_array, limit: Floats, equal: csr_array, right: Floats
) -> tuple[float, Floats]:
    result = linprog(cost, A_ub=upper, b_ub=limit, A_eq=equal, b_eq=right, method="highs")
    if result.status != 0:
        raise ValueError(f"the linear programme has no answer: {result.message}")
    return float(result.fun), np.asarray(result.x)
