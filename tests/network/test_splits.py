"""The search over many cases: what bounds them, and whom it listens to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.network import Planner, Topology, programmes, splits
from qnx_hw.network.evaluation import evaluate
from qnx_hw.network.paths import candidates
from qnx_hw.network.planner import RECENT, ROBUST, WIDE, utilisation
from qnx_hw.network.topology import Floats


def mesh(count: int, capacity: float = 10.0) -> Topology:
    """Each node has a link to each other."""
    sources, targets = np.nonzero(~np.eye(count, dtype=bool))
    size = sources.size
    names = tuple(f"n{node}" for node in range(count))
    return Topology(names, sources, targets, np.full(size, capacity), np.ones(size))


def bursts(count: int, steps: int, seed: int) -> Floats:
    """Demand without any order in time."""
    rng = np.random.default_rng(seed)
    return rng.lognormal(0, 0.7, (steps, count, count))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_no_routing_falls_below_what_the_nodes_links_allow(seed: int) -> None:
    topology = mesh(4)
    matrix = bursts(4, 1, seed)
    demands = topology.demands(matrix).T[None].astype(np.float32)

    least = 1.0 / splits._ease(topology, demands, splits._inverse(topology.capacities))

    best = programmes.least_utilisation(topology, matrix[0])
    assert best >= least.item() / topology.capacities.max() * (1 - 1e-5)


def test_with_a_power_the_worst_case_counts_the_more() -> None:
    """A share x of a to b goes direct, the rest by c, where usually much is: 2 - x against 2 x."""
    ends = np.array([[0, 1], [0, 2], [2, 1]])
    topology = Topology(("a", "b", "c"), ends[:, 0], ends[:, 1], np.ones(3), np.ones(3))
    paths = candidates(topology)
    usual, rare = np.zeros((3, 3)), np.zeros((3, 3))
    usual[0, 1] = usual[2, 1] = rare[0, 1] = 1.0
    cases = topology.demands(np.stack([usual] * 9 + [rare]))
    direct = []

    for power in (0.0, 6.0):
        logits = splits.search(
            paths, cases, np.ones(10), paths.wide_first, iterations=400, power=power
        )
        direct.append(utilisation(paths, splits.shares(paths, logits), cases[-1])[0])

    # 9 (2 - x)^6 + (2 x)^6 is least where 2 x / (2 - x) is 4.5^(1/5).
    slope = 4.5**0.2
    assert direct == [
        pytest.approx(1.0, abs=0.03),
        pytest.approx(2 * slope / (2 + slope), abs=0.03),
    ]


def test_a_case_without_demand_has_no_say_whatever_the_power() -> None:
    topology = mesh(3)
    paths = candidates(topology)
    one = topology.demands(bursts(3, 1, seed=1))
    cases = np.concatenate((one, np.zeros((1, one.shape[1]))))

    logits = splits.search(paths, cases, np.ones(2), paths.wide_first, iterations=50, power=6.0)

    assert np.isfinite(logits).all()
    load = utilisation(paths, splits.shares(paths, logits), one[0]).max()
    assert load <= 1.05 * programmes.best_splits(paths, one[0])[0]


@pytest.mark.slow
def test_bursts_without_order_are_met_by_what_was_seen() -> None:
    topology, matrices, steps = mesh(4), bursts(4, 360, seed=3), range(300, 360)

    with_seen, _ = evaluate(Planner(topology), matrices, steps)
    without, _ = evaluate(Planner(topology, experts=(RECENT, WIDE, ROBUST)), matrices, steps)

    assert with_seen.mean() < without.mean()
