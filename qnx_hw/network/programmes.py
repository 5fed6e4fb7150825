"""Linear programmes, solved by HiGHS: the yardstick of every plan, and what-if questions."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array, hstack, vstack

from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats, Topology


def least_utilisation(topology: Topology, matrix: Floats) -> float:
    """Return the least largest link utilisation that any routing reaches for `matrix` `(N, N)`.

    Multi-commodity flow over links, one commodity per destination, unrestricted in its paths.
    """
    demands = np.zeros((topology.node_count, topology.node_count))
    demands[topology.pairs] = topology.demands(matrix)
    # The solver's tolerances are absolute, so it gets numbers about 1, whatever the unit was.
    most, widest = demands.max(initial=0.0), topology.capacities.max(initial=0.0)
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
    one_each = [csr_array(np.eye(links))] * destinations.size
    load = hstack([*one_each, csr_array(-topology.capacities[:, None] / widest)])
    cost = np.zeros(destinations.size * links + 1)
    cost[-1] = 1.0
    least, _ = _solve(cost, load, np.zeros(links), vstack(blocks), np.concatenate(right))
    return least * float(most / widest)


def best_splits(paths: PathSet, demands: Floats) -> tuple[float, Floats]:
    """Return the least largest utilisation over `paths` for demands `(P,)`, and its splits."""
    most, widest = demands.max(initial=0.0) or 1.0, paths.topology.capacities.max(initial=0.0)
    flow = demands[paths.pair_of] / most
    load = csr_array(paths.incidence.T.multiply(flow[None, :]))
    load = hstack([load, csr_array(-paths.topology.capacities[:, None] / widest)])
    pairs = paths.first.size - 1
    ones = csr_array(
        (np.ones(len(paths)), (paths.pair_of, np.arange(len(paths)))), shape=(pairs, len(paths) + 1)
    )
    cost = np.zeros(len(paths) + 1)
    cost[-1] = 1.0
    right = np.zeros(paths.topology.link_count)
    utilisation, solution = _solve(cost, load, right, ones, paths.has_path.astype(np.float64))
    return utilisation * float(most / widest), solution[:-1]


def _solve(
    cost: Floats, upper: csr_array, limit: Floats, equal: csr_array, right: Floats
) -> tuple[float, Floats]:
    result = linprog(cost, A_ub=upper, b_ub=limit, A_eq=equal, b_eq=right, method="highs")
    if result.status != 0:
        raise ValueError(f"the linear programme has no answer: {result.message}")
    return float(result.fun), np.asarray(result.x)
