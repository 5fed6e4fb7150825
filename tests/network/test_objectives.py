"""Objectives against what can be worked out on paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.network.objectives import CEILING, least_delay, max_min_fair, weighted_throughput
from qnx_hw.network.paths import PathSet, candidates
from qnx_hw.network.planner import utilisation
from qnx_hw.network.topology import Floats, Topology


def line(capacities: tuple[float, float] = (10.0, 100.0)) -> PathSet:
    """a - b - c, both ways."""
    ends = np.array([(0, 1), (1, 0), (1, 2), (2, 1)])
    topology = Topology(
        ("a", "b", "c"), ends[:, 0], ends[:, 1], np.repeat(capacities, 2), np.ones(4)
    )
    return candidates(topology)


def demands(paths: PathSet, wanted: dict[tuple[int, int], float]) -> Floats:
    pairs = zip(*paths.topology.pairs, strict=True)
    return np.array([wanted.get((int(a), int(b)), 0.0) for a, b in pairs])


def pair(paths: PathSet, source: int, target: int) -> int:
    rows, columns = paths.topology.pairs
    return int(np.flatnonzero((rows == source) & (columns == target))[0])


def test_a_full_link_is_shared_evenly_and_the_rest_goes_on() -> None:
    paths = line()
    wanted = demands(paths, {(0, 1): 50.0, (0, 2): 50.0, (1, 2): 200.0})

    rates = max_min_fair(paths, wanted, ceiling=1.0).rates

    assert rates[pair(paths, 0, 1)] == pytest.approx(5.0, rel=1e-4)
    assert rates[pair(paths, 0, 2)] == pytest.approx(5.0, rel=1e-4)
    assert rates[pair(paths, 1, 2)] == pytest.approx(95.0, rel=1e-4)


def test_the_weightier_flow_gets_the_full_link() -> None:
    paths = line()
    wanted = demands(paths, {(0, 1): 50.0, (0, 2): 4.0})
    weights = np.ones(6)
    weights[pair(paths, 0, 2)] = 20.0

    rates = weighted_throughput(paths, wanted, weights, ceiling=1.0).rates

    assert rates[pair(paths, 0, 2)] == pytest.approx(4.0)
    assert rates[pair(paths, 0, 1)] == pytest.approx(6.0)


def test_least_delay_goes_the_quick_way_until_it_fills() -> None:
    ends = np.array([(0, 1), (0, 2), (2, 1), (1, 0), (2, 0), (1, 2)])
    topology = Topology(("a", "b", "c"), ends[:, 0], ends[:, 1], np.full(6, 100.0), np.ones(6))
    paths = candidates(topology)
    delays_s = np.array([0.001, 0.002, 0.002, 0.001, 0.002, 0.002])

    calm = least_delay(paths, demands(paths, {(0, 1): 20.0}), delays_s)
    busy = least_delay(paths, demands(paths, {(0, 1): 150.0}), delays_s)

    direct = next(path for path in range(len(paths)) if paths.nodes_of(path) == (0, 1))
    assert calm.splits[direct] == pytest.approx(1.0)
    assert 0.5 <= busy.splits[direct] < 0.7
    assert utilisation(paths, busy.splits, demands(paths, {(0, 1): 150.0})).max() <= 1.0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_link_is_filled_beyond_the_ceiling_and_nobody_gets_more_than_asked(seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths = line((float(rng.uniform(1, 50)), float(rng.uniform(1, 50))))
    wanted = rng.uniform(0, 60, 6)

    for got in (max_min_fair(paths, wanted), weighted_throughput(paths, wanted, np.ones(6))):
        load = utilisation(paths, got.splits, got.rates)
        assert load.max() <= CEILING * (1 + 1e-6)
        assert np.all(got.rates <= wanted * (1 + 1e-6) + 1e-6)
        sums = np.bincount(paths.pair_of, got.splits, minlength=6)
        np.testing.assert_allclose(sums, 1.0)
