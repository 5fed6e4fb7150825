"""Networks and traffic of all kinds: plans are possible, and seldom worse than simple rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.network import Planner, Topology, programmes
from qnx_hw.network.evaluation import evaluate
from qnx_hw.network.paths import candidates
from qnx_hw.network.planner import utilisation
from qnx_hw.network.topology import Floats

Ends = list[tuple[int, int]]
MESH = [(a, b) for a in range(4) for b in range(a)]
SHAPES: dict[str, Ends] = {
    "pair": [(0, 1)],
    "star": [(0, 1), (0, 2), (0, 3)],
    "ring": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)],
    "mesh": MESH,
    "islands": [(0, 1), (1, 2), (0, 2), (3, 4)],
    "side by side": [(0, 1), (0, 1), (1, 2), (1, 2), (1, 2), (2, 0)],
}
HABITS = ("steady", "swing", "bursts", "on and off", "nothing")


def network(ends: Ends, capacities: Floats) -> Topology:
    """Links both ways."""
    both = np.array(ends + [(far, near) for near, far in ends])
    names = tuple(f"n{node}" for node in range(both.max() + 1))
    return Topology(names, both[:, 0], both[:, 1], np.tile(capacities, 2), np.ones(len(both)))


def traffic(count: int, steps: int, habit: str, seed: int) -> Floats:
    """Gravity-like demand with a habit."""
    rng = np.random.default_rng(seed)
    mass = rng.lognormal(0, 1, count)
    shape = (steps, count, count)
    over_time = {
        "steady": np.ones(shape),
        "swing": 1 + 0.6 * np.sin(np.arange(steps) / 8)[:, None, None] * np.ones(shape),
        "bursts": rng.lognormal(0, 0.8, shape),
        "on and off": np.repeat(rng.random(shape) < 0.3, 10, axis=0)[:steps].astype(np.float64),
        "nothing": np.zeros(shape),
    }
    return np.outer(mass, mass) * over_time[habit]


@settings(max_examples=20, deadline=None)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    habit=st.sampled_from(HABITS),
    decades=st.sampled_from([0, 2, 12]),
    unit=st.sampled_from([1e-6, 1.0, 1e12]),
    steps=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_every_plan_can_be_carried_out(
    shape: str, habit: str, decades: int, unit: float, steps: int, seed: int
) -> None:
    ends = SHAPES[shape]
    capacities = 10.0 ** (decades * np.random.default_rng(seed).random(len(ends)))
    topology = network(ends, capacities * unit)
    matrices = traffic(topology.node_count, steps, habit, seed)
    planner, plan = Planner(topology, iterations=10), None

    for step in range(max(0, steps - 2), steps + 1):
        plan = planner.decide(matrices[:step], plan)

        paths = plan.paths
        assert np.all(plan.splits >= 0)
        sums = np.bincount(paths.pair_of, plan.splits, paths.first.size - 1)
        np.testing.assert_allclose(sums[paths.has_path], 1.0, atol=1e-9)
        for path in range(len(paths)):
            links = paths.links_of(path)
            assert np.array_equal(topology.targets[links[:-1]], topology.sources[links[1:]])


@pytest.mark.parametrize("habit", ["swing", "on and off"])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_no_simple_rule_is_clearly_better(shape: str, habit: str) -> None:
    ends = SHAPES[shape]
    topology = network(ends, 10.0 ** np.random.default_rng(1).uniform(0, 2, len(ends)))
    matrices = traffic(topology.node_count, 60, habit, seed=4)
    planner, steps = Planner(topology), range(40, 60)

    ours, _ = evaluate(planner, matrices, steps)

    assert ours.mean() <= min(simple_rules(planner, matrices, steps)) * 1.02


def simple_rules(planner: Planner, matrices: Floats, steps: range) -> list[float]:
    """Return the mean scores of the shortest path, the widest, and the optimum of the last step."""
    topology, paths = planner.topology, planner.paths
    demands = np.where(paths.has_path, topology.demands(matrices), 0.0)
    single, widest = np.zeros(len(paths)), np.zeros(len(paths))
    for pair in np.flatnonzero(paths.has_path):
        own = slice(int(paths.first[pair]), int(paths.first[pair + 1]))
        single[own.start] = 1.0
        widest[own.start + int(np.argmax(paths.wide_first[own]))] = 1.0
    scores = []
    for step in steps:
        if not demands[step].any():
            scores.append([1.0] * 3)
            continue
        matrix = np.zeros(matrices.shape[1:])
        matrix[topology.pairs] = demands[step]
        best = programmes.least_utilisation(topology, matrix)
        last = programmes.best_splits(paths, demands[step - 1])[1]
        scores.append(
            [utilisation(paths, x, demands[step]).max() / best for x in (single, widest, last)]
        )
    means: list[float] = np.mean(scores, axis=0).tolist()
    return means


def test_who_never_sent_does_not_begin_on_a_link_far_too_small() -> None:
    topology = network(MESH, np.array([1e-6, 1.0, 1.0, 1.0, 1.0, 1.0]))
    matrices = traffic(4, 30, "bursts", seed=2)
    small = (int(topology.sources[0]), int(topology.targets[0]))
    matrices[(slice(None), *small)] = 0.0
    plan = Planner(topology).decide(matrices)
    matrix = np.zeros((4, 4))
    matrix[small] = 1.0

    load = plan.loads(topology.demands(matrix)).max()

    assert load <= 2 * programmes.least_utilisation(topology, matrix)


def test_links_side_by_side_are_filled_alike() -> None:
    ends = [(0, 1), (0, 1), (1, 2), (1, 2), (1, 2)]
    topology = network(ends, np.array([10.0, 30.0, 5.0, 5.0, 10.0]))
    matrix = np.zeros((3, 3))
    matrix[0, 2] = 10.0

    on_paths, splits = programmes.best_splits(candidates(topology), topology.demands(matrix))

    assert on_paths == pytest.approx(0.5)
    loads = utilisation(candidates(topology), splits, topology.demands(matrix))
    assert loads[2:5].tolist() == pytest.approx([0.5] * 3)


def test_a_closed_link_leaves_the_one_beside_it() -> None:
    topology = network([(0, 1), (0, 1), (1, 2), (0, 2)], np.ones(4))

    paths = candidates(topology, closed=frozenset({0}))

    assert 0 not in paths.links
    assert 1 in paths.links


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_candidates_come_near_the_optimum_where_links_differ(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 9))
    ends = sorted(
        {(min(e), max(e)) for e in rng.integers(0, count, (2 * count, 2)).tolist() if e[0] != e[1]}
        | {(node, node + 1) for node in range(count - 1)}
    )
    topology = network(ends, 10.0 ** rng.uniform(0, 1, len(ends)))
    mass = rng.lognormal(0, 1, count)
    matrix = np.outer(mass, mass)

    best = programmes.least_utilisation(topology, matrix)
    on_paths, splits = programmes.best_splits(candidates(topology), topology.demands(matrix))

    assert best * (1 - 1e-6) <= on_paths <= best * 1.25
    reached = utilisation(candidates(topology), splits, topology.demands(matrix)).max()
    assert reached == pytest.approx(on_paths, rel=1e-4)
