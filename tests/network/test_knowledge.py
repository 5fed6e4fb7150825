"""Telemetry becomes traffic matrices, whatever nodes tell and whenever it comes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.bus.telemetry import FlowSample, HopSample, NodeSample, PoolSample
from qnx_hw.network.knowledge import Knowledge
from qnx_hw.network.topology import Topology

ENDS = np.array([(0, 1), (0, 2), (2, 1), (1, 0), (2, 0), (1, 2)])
TOPOLOGY = Topology(("a", "b", "c"), ENDS[:, 0], ENDS[:, 1], np.full(6, 100.0), np.ones(6))


def sample(
    number: int, time_s: float, mbps: float = 10.0, node: str = "a", *, up: bool = True
) -> NodeSample:
    return NodeSample(
        node=node,
        number=number,
        time_s=time_s,
        revision=0,
        hops=(HopSample(target="b", is_up=up, capacity_bps=1e8, load_bps=mbps * 1e6),),
        flows=(
            FlowSample(
                destination="b", traffic_class="bulk", demand_bps=mbps * 1e6, goodput_bps=0.0
            ),
        ),
    )


def test_samples_of_an_interval_are_averaged_and_silent_nodes_leave_gaps() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)

    for second in range(20):
        knowledge.take(sample(second, second, mbps=second), float(second))

    matrices = knowledge.matrices(20.0)
    assert matrices[:, 0, 1] == pytest.approx([4.5, 14.5])
    assert np.isnan(matrices[:, 1]).all()


def test_a_late_sample_counts_where_it_belongs_and_a_very_late_one_nowhere() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)
    for second in range(0, 200, 2):
        knowledge.take(sample(second, second), float(second))

    assert knowledge.take(sample(151, 151.0, mbps=70.0), 200.0)
    assert not knowledge.take(sample(3, 3.0, mbps=70.0), 200.5)

    matrices = knowledge.matrices(200.0)
    assert matrices[15, 0, 1] == pytest.approx(20.0)
    assert matrices[0, 0, 1] == pytest.approx(10.0)
    assert knowledge.lost_samples()["a"] == 98


def test_a_repeated_sample_counts_once() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)

    assert knowledge.take(sample(1, 1.0), 1.0)
    assert not knowledge.take(sample(1, 1.0, mbps=90.0), 1.1)


def test_a_node_that_restarts_is_heard_again() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)
    knowledge.take(sample(5_000, 1.0), 1.0)

    assert knowledge.take(sample(0, 25.0, mbps=30.0), 25.0)
    assert knowledge.matrices(30.0)[2, 0, 1] == pytest.approx(30.0)


@pytest.mark.parametrize("skew_s", [-86_400.0, -40.0, 3.0, 1e6])
def test_a_clock_that_is_wrong_is_set_right(skew_s: float) -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)

    for second in range(40):
        knowledge.take(sample(second, second + skew_s, mbps=second // 10), float(second))

    assert knowledge.matrices(40.0)[:, 0, 1] == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.2)
    assert ("a" in knowledge.doubts) == (abs(skew_s) > 5)


def test_a_lying_node_is_bounded_by_its_links_and_named() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)

    knowledge.take(sample(1, 1.0, mbps=1e9), 1.0)

    assert knowledge.matrices(10.0)[0, 0, 1] == pytest.approx(400.0)
    assert "more demand than its links" in knowledge.doubts["a"]

    knowledge.take(sample(2, 2.0, mbps=10.0), 2.0)
    assert knowledge.doubts == {}


def test_down_links_and_silent_nodes_are_closed() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)
    knowledge.take(sample(1, 1.0, up=False), 1.0)
    knowledge.take(sample(1, 1.0, node="c"), 1.0)
    assert knowledge.down_links(2.0) == {0}

    knowledge.take(sample(2, 12.0), 12.0)

    assert knowledge.down_links(12.0) == {1, 2, 4, 5}


def test_of_two_ends_of_a_pool_the_smaller_stock_counts() -> None:
    knowledge = Knowledge(TOPOLOGY, interval_s=10.0)
    for node, peer, stock in (("a", "b", 500), ("b", "a", 300)):
        pool = PoolSample(peer=peer, stock_bits=stock, capacity_bits=1000, in_bps=5.0, out_bps=1.0)
        knowledge.take(NodeSample(node=node, number=1, time_s=1.0, revision=0, pools=(pool,)), 1.0)

    assert knowledge.pools()["a", "b"].stock_bits == 300


numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([-1.0, 0.0, 1e30])
)
poisoned = st.builds(
    NodeSample,
    node=st.sampled_from(["a", "b", "c", "nobody"]),
    number=st.integers(-5, 2**62),
    time_s=numbers,
    revision=st.integers(),
    hops=st.lists(
        st.builds(
            HopSample,
            target=st.sampled_from(["a", "b", "x"]),
            is_up=st.booleans(),
            capacity_bps=numbers,
            load_bps=numbers,
            delay_s=numbers,
        ),
        max_size=3,
    ).map(tuple),
    pools=st.just(()),
    flows=st.lists(
        st.builds(
            FlowSample,
            destination=st.sampled_from(["a", "b", "c", "x"]),
            traffic_class=st.just("bulk"),
            demand_bps=numbers,
            goodput_bps=numbers,
        ),
        max_size=4,
    ).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(poisoned, st.floats(0, 20)), max_size=12))
def test_no_telemetry_makes_an_impossible_matrix(told: list[tuple[NodeSample, float]]) -> None:
    knowledge, now_s = Knowledge(TOPOLOGY, interval_s=10.0), 1000.0
    for each, wait_s in told:
        now_s += wait_s
        knowledge.take(each, now_s)

    matrices = knowledge.matrices(now_s + 10)

    known = matrices[np.isfinite(matrices)]
    assert np.all(known >= 0)
    assert np.all(known <= 400.0 + 1e-6)
    assert len(matrices) <= 30
    assert not any(math.isinf(value) for value in knowledge.link_loads())
