"""Limits by key spare critical traffic first, and relayed key is made ready where it is wanted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.bus.routes import StockAdvice
from qnx_hw.network.key_policy import RELAY_AHEAD_S, SLOT_S, KeyPolicy
from qnx_hw.network.keyflow import BULK, CRITICAL, Pools, key_topology
from qnx_hw.network.planner import Planner
from qnx_hw.network.tables import Terms, route_tables
from qnx_hw.network.topology import Topology

LINE = key_topology(("a", "b", "c"), [(0, 1), (1, 2)])


def pair(topology: Topology, source: str, target: str) -> int:
    names, (rows, columns) = topology.names, topology.pairs
    ends = [(names[row], names[column]) for row, column in zip(rows, columns, strict=True)]
    return ends.index((source, target))


def wanted(bulk_bps: float, critical_bps: float = 0.0) -> np.ndarray:
    wanted_bps = np.zeros((2, 6))
    wanted_bps[:, pair(LINE, "a", "c")] = critical_bps, bulk_bps
    return wanted_bps


def pools(stock: float) -> Pools:
    return Pools(np.full(2, stock), np.full(2, 1e9))


def test_enough_key_limits_nobody_and_is_relayed_ahead() -> None:
    plan = KeyPolicy(LINE).decide(wanted(1e3), np.full(2, 5e3), pools(1e8), np.zeros(6))

    assert np.isinf(plan.limits_bps).all()
    there = pair(LINE, "a", "c")
    assert plan.stocks_bits[there] == pytest.approx(1e3 * RELAY_AHEAD_S)
    assert plan.stocks_bits.sum() == plan.stocks_bits[there]
    assert plan.ways[there] == (1,)


def test_bulk_is_limited_first_and_critical_flows_keep_what_they_want() -> None:
    policy = KeyPolicy(LINE)

    for _ in range(12):
        plan = policy.decide(wanted(4e3, 1e3), np.full(2, 2e3), pools(0.0), np.zeros(6))

    there = pair(LINE, "a", "c")
    assert np.isinf(plan.limits_bps[CRITICAL, there])
    assert 0 <= plan.limits_bps[BULK, there] <= 1e3
    assert plan.prices.max() > 0


def test_relayed_key_in_stock_lifts_the_limit() -> None:
    ready = np.zeros(6)
    ready[pair(LINE, "a", "c")] = 4e3 * SLOT_S
    policy = KeyPolicy(LINE)

    without = policy.decide(wanted(4e3), np.zeros(2), pools(0.0), np.zeros(6))
    with_stock = policy.decide(wanted(4e3), np.zeros(2), pools(0.0), ready)

    there = pair(LINE, "a", "c")
    assert without.limits_bps[BULK, there] == 0.0
    assert np.isinf(with_stock.limits_bps[BULK, there])
    assert with_stock.differs(without)
    assert not with_stock.differs(with_stock)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_links_never_give_more_than_they_hold_and_make(data: st.DataObject) -> None:
    amount = st.floats(0, 1e5)
    policy = KeyPolicy(LINE)
    for _ in range(3):
        asked = np.array([[data.draw(amount) for _ in range(6)] for _ in range(2)])
        gain, stock = data.draw(amount), data.draw(amount)
        plan = policy.decide(asked, np.full(2, gain), pools(stock), np.zeros(6))

        served = np.minimum(plan.limits_bps, asked).sum(axis=0)
        crossing = served[[pair(LINE, *ends) for ends in ("ab", "ba", "ac", "ca")]].sum()
        assert plan.limits_bps.min() >= 0
        # What was lost of the gains before counts in the outlook; the greatest gain bounds it.
        assert crossing * SLOT_S <= (stock + 1e5 * SLOT_S) * (1 + 1e-6)


def test_tables_tell_critical_traffic_apart_at_the_source_alone() -> None:
    planner = Planner(LINE)
    there = pair(LINE, "a", "c")
    stock = StockAdvice(peer="c", bits=5, by=("b",))
    terms = Terms({there: 1e6}, {there: None}, {"a": (stock,)})

    plan = planner.decide(np.ones((2, 3, 3)))
    tables = route_tables(plan.paths, plan.splits, revision=1, time_s=0.0, terms=terms)

    kinds = {
        (table.node, entry.traffic_class): entry.rate_limit_bps
        for table in tables
        for entry in table.entries
        if (entry.source, entry.destination) == ("a", "c")
    }
    assert kinds == {("a", "critical"): None, ("a", "any"): 1e6, ("b", "any"): None}
    assert tables[0].stocks == (stock,)
    assert tables[1].stocks == ()
