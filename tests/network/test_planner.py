"""Plans are always possible, never look ahead, and come near the optimum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from qnx_hw.network import programmes, splits
from qnx_hw.network.evaluation import evaluate
from qnx_hw.network.paths import candidates
from qnx_hw.network.planner import Planner, utilisation
from qnx_hw.network.topology import Floats, Topology


def ring(count: int = 5, *, chords: int = 2, seed: int = 3) -> Topology:
    """A ring with chords, links both ways, capacities of 1 to 10 Gbit/s."""
    rng = np.random.default_rng(seed)
    ends = [(node, (node + 1) % count) for node in range(count)]
    ends += [(node, (node + 2) % count) for node in range(chords)]
    both = np.array(ends + [(b, a) for a, b in ends])
    capacities = np.tile(rng.choice([1e3, 2.5e3, 1e4], size=len(ends)), 2)
    names = tuple(f"n{node}" for node in range(count))
    return Topology(names, both[:, 0], both[:, 1], capacities, np.ones(len(both)))


def traffic(topology: Topology, steps: int, seed: int = 1) -> Floats:
    """Gravity-like demand with a daily swing and noise."""
    rng = np.random.default_rng(seed)
    mean = np.outer(rng.random(topology.node_count), rng.random(topology.node_count)) * 500
    swing = 1 + 0.5 * np.sin(np.arange(steps) / 20)[:, None, None]
    return mean * swing * rng.lognormal(0, 0.2, size=(steps, *mean.shape))


def assert_possible(planner: Planner, splits: Floats) -> None:
    assert np.all(np.isfinite(splits))
    assert np.all(splits >= 0)
    sums = np.add.reduceat(splits, planner.paths.first[:-1])
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)


def test_every_candidate_leads_from_source_to_target_without_loops() -> None:
    paths = candidates(ring(8, chords=3))

    sources, targets = paths.topology.pairs
    for path in range(len(paths)):
        nodes = paths.nodes_of(path)
        assert (nodes[0], nodes[-1]) == (sources[paths.pair_of[path]], targets[paths.pair_of[path]])
        assert len(set(nodes)) == len(nodes)
        links = paths.links_of(path)
        assert np.array_equal(paths.topology.targets[links[:-1]], paths.topology.sources[links[1:]])


def test_candidates_of_a_pair_differ() -> None:
    paths = candidates(ring(8, chords=3))

    every = [tuple(paths.links_of(path).tolist()) for path in range(len(paths))]

    assert len(set(every)) == len(every)
    assert np.diff(paths.first).min() >= 2


def test_pairs_that_nothing_joins_have_no_path_and_stop_nobody() -> None:
    ends = np.array([[0, 1], [1, 0], [2, 3], [3, 2], [1, 2]])
    topology = Topology(("a", "b", "c", "d"), ends[:, 0], ends[:, 1], np.ones(5), np.ones(5))
    planner = Planner(topology)

    plan = planner.decide(np.ones((3, 4, 4)))

    rows, columns = topology.pairs
    apart = set(zip(rows[~plan.paths.has_path], columns[~plan.paths.has_path], strict=True))
    assert apart == {(2, 0), (2, 1), (3, 0), (3, 1)}
    np.testing.assert_allclose(plan.splits, 1.0)


@pytest.mark.parametrize("count", [1, 3])
def test_a_network_without_links_has_an_empty_plan(count: int) -> None:
    nothing = np.empty(0, dtype=np.int64)
    names = tuple("abc"[:count])
    planner = Planner(Topology(names, nothing, nothing, np.empty(0), np.empty(0)))

    plan = planner.decide(np.ones((5, count, count)), planner.decide(np.ones((4, count, count))))

    assert plan.splits.size == 0


def test_links_one_way_and_nodes_without_demand_are_planned_for() -> None:
    ends = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]])
    topology = Topology(("a", "b", "c", "d"), ends[:, 0], ends[:, 1], np.full(5, 10.0), np.ones(5))
    history = np.zeros((8, 4, 4))
    history[:, 0, 2] = 10.0
    planner, plan = Planner(topology), None

    for step in range(1, 9):
        plan = planner.decide(history[:step], plan)

    assert plan is not None
    assert_possible(planner, plan.splits)
    assert plan.loads(topology.demands(history[-1])).max() == pytest.approx(0.5, rel=0.05)


def test_the_slots_of_every_hop_name_its_link() -> None:
    paths = candidates(ring(7, chords=2))

    slots, offsets, links = paths.supports

    assert np.array_equal(links[slots], paths.links)
    pair_of_hop = np.repeat(paths.pair_of, np.diff(paths.offsets))
    assert np.all((slots >= offsets[pair_of_hop]) & (slots < offsets[pair_of_hop + 1]))


def test_no_plan_beats_the_optimum_and_restricted_paths_come_close_to_it() -> None:
    topology = ring(6)
    matrix = traffic(topology, 1)[0]
    paths = candidates(topology)

    best = programmes.least_utilisation(topology, matrix)
    on_paths, splits = programmes.best_splits(paths, topology.demands(matrix))

    reached = utilisation(paths, splits, topology.demands(matrix)).max()
    assert reached == pytest.approx(on_paths, rel=1e-6)
    assert best <= on_paths + 1e-9
    assert on_paths <= best * 1.05


def test_one_bottleneck_has_the_utilisation_that_can_be_written_down() -> None:
    ends = np.array([[0, 1], [0, 2], [2, 1], [1, 0], [2, 0], [1, 2]])
    capacity = np.array([10.0, 30.0, 30.0, 10.0, 30.0, 30.0])
    topology = Topology(("a", "b", "c"), ends[:, 0], ends[:, 1], capacity, np.ones(6))
    matrix = np.zeros((3, 3))
    matrix[0, 1] = 20.0

    assert programmes.least_utilisation(topology, matrix) == pytest.approx(0.5)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_optimum_does_not_hang_on_the_unit(unit: float) -> None:
    topology = ring(6)
    matrix = traffic(topology, 1)[0]
    scaled = replace(topology, capacities=topology.capacities * unit)
    demands = topology.demands(matrix)

    assert programmes.least_utilisation(scaled, matrix * unit) == pytest.approx(
        programmes.least_utilisation(topology, matrix), rel=1e-6
    )
    assert programmes.best_splits(candidates(scaled), demands * unit)[0] == pytest.approx(
        programmes.best_splits(candidates(topology), demands)[0], rel=1e-6
    )


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_a_plan_does_not_hang_on_the_unit_of_demand(unit: float) -> None:
    matrices = traffic(ring(5), 20)
    planner = Planner(ring(5))

    usual, scaled = planner.decide(matrices), planner.decide(matrices * unit)

    np.testing.assert_allclose(scaled.splits, usual.splits, atol=0.02)


def test_links_of_very_different_width_have_an_optimum() -> None:
    topology = ring(7)
    widths = 10.0 ** np.random.default_rng(2).integers(-3, 10, topology.link_count // 2)
    topology = replace(topology, capacities=np.tile(widths, 2))
    matrix = traffic(topology, 1)[0]

    best = programmes.least_utilisation(topology, matrix)
    on_paths, _ = programmes.best_splits(candidates(topology), topology.demands(matrix))

    assert 0 < best <= on_paths * (1 + 1e-6)


def test_a_full_mesh_offers_every_way_over_one_node() -> None:
    near, far = np.nonzero(~np.eye(14, dtype=bool))
    names = tuple(f"n{node}" for node in range(14))
    paths = candidates(Topology(names, near, far, np.ones(near.size), np.ones(near.size)))

    assert np.all(np.bincount(paths.pair_of, np.diff(paths.offsets) <= 2) == 13)


def test_demands_that_no_way_joins_do_not_count() -> None:
    ends = np.array([[0, 1], [1, 0], [2, 3], [3, 2]])
    topology = Topology(tuple("abcd"), ends[:, 0], ends[:, 1], np.ones(4), np.ones(4))
    matrices = np.ones((3, 4, 4))

    ratios, _ = evaluate(Planner(topology), matrices, range(1, 3))

    assert ratios.tolist() == pytest.approx([1.0, 1.0])


def test_the_planner_is_within_a_few_percent_of_the_clairvoyant_optimum() -> None:
    topology = ring(6)
    matrices = traffic(topology, 120)
    planner, plan, scores = Planner(topology), None, []

    for step in range(60, 120):
        plan = planner.decide(matrices[:step], plan)
        load = plan.loads(topology.demands(matrices[step])).max()
        scores.append(load / programmes.least_utilisation(topology, matrices[step]))

    assert min(scores) >= 1 - 1e-6
    assert np.mean(scores) <= 1.12


def test_a_plan_depends_on_the_past_alone() -> None:
    topology = ring(5)
    matrices = traffic(topology, 30)
    planner = Planner(topology)

    one = planner.decide(matrices[:20])
    other = planner.decide(matrices[:20].copy())

    assert np.array_equal(one.splits, other.splits)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_poisoned_telemetry_never_makes_an_impossible_plan(data: st.DataObject) -> None:
    topology = ring(5)
    planner = Planner(topology, iterations=10)
    steps = data.draw(st.integers(0, 12))
    matrices = traffic(topology, steps) if steps else np.empty((0, 5, 5))
    poison = st.sampled_from([np.nan, np.inf, -np.inf, -1e9, 0.0, 1e18])
    for _ in range(data.draw(st.integers(0, 20)) if steps else 0):
        place = tuple(data.draw(st.integers(0, size - 1)) for size in matrices.shape)
        matrices[place] = data.draw(poison)
    plan = None

    for step in range(max(0, steps - 3), steps + 1):
        plan = planner.decide(matrices[:step], plan)
        assert_possible(planner, plan.splits)


def test_the_expert_that_does_better_gets_the_larger_share() -> None:
    topology = ring(6)
    steady = np.repeat(traffic(topology, 1), 80, axis=0)
    bursts = steady.copy()
    bursts[::2] *= np.random.default_rng(5).lognormal(0, 1.5, size=bursts[::2].shape)
    planner, plan = Planner(topology, iterations=40), None

    for step in range(40, 80):
        plan = planner.decide(bursts[:step], plan)

    assert plan is not None
    assert plan.losses[int(np.argmax(plan.shares))] == min(plan.losses)
    assert sum(plan.shares) == pytest.approx(1.0)


def test_a_topology_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity above zero"):
        Topology(("a", "b"), np.array([0]), np.array([1]), np.array([0.0]), np.array([1.0]))
    with pytest.raises(ValueError, match="joins a node to itself"):
        Topology(("a", "b"), np.array([1]), np.array([1]), np.array([1.0]), np.array([1.0]))


def test_shares_do_not_depend_on_where_the_arrays_lie_in_memory() -> None:
    paths = candidates(ring(5))
    logits = np.random.default_rng(1).normal(size=len(paths))
    memory = np.zeros(4 * logits.size)
    wanted = splits.shares(paths, logits)

    for gap in range(logits.size, logits.size + 40):
        near, far = memory[: logits.size], memory[gap : gap + logits.size]
        near[:] = logits
        splits._softmax(paths.first, near, far)
        assert np.array_equal(far, wanted)


def test_a_search_calls_no_other_piece_of_machine_code() -> None:
    # Which copy of a called piece runs hangs on what was loaded first, and so does its last bit.
    pieces = [
        piece
        for name, piece in vars(splits).items()
        if isinstance(piece, Dispatcher) and name != "_descend"
    ]

    assert pieces
    assert all(piece.targetoptions.get("inline") == "always" for piece in pieces)
