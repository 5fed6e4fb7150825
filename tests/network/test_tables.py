"""Route tables carry what the plan says, never in circles, and know a way out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.bus.routes import RouteTable
from qnx_hw.network.paths import candidates
from qnx_hw.network.planner import Planner, utilisation
from qnx_hw.network.tables import route_tables
from qnx_hw.network.topology import Floats, Topology

ENDS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2), (1, 3))


def mesh() -> Topology:
    both = np.array([*ENDS, *((b, a) for a, b in ENDS)])
    return Topology(tuple("abcde"), both[:, 0], both[:, 1], np.full(14, 1e3), np.ones(14))


def loads(topology: Topology, tables: tuple[RouteTable, ...], demand: Floats) -> Floats:
    """Send every pair's demand hop by hop as the tables say; return link utilisation."""
    index = {name: node for node, name in enumerate(topology.names)}
    link_of = dict(
        zip(zip(topology.sources, topology.targets, strict=True), range(14), strict=True)
    )
    entries = {(t.node, e.source, e.destination): e for t in tables for e in t.entries}
    result = np.zeros(14)
    for source, target, amount in zip(*topology.pairs, demand, strict=True):
        here = {topology.names[source]: float(amount)}
        for _ in range(topology.node_count):
            onward: dict[str, float] = {}
            for node, flow in here.items():
                if node == topology.names[target]:
                    continue
                for hop in entries[node, topology.names[source], topology.names[target]].next_hops:
                    result[link_of[index[node], index[hop.node]]] += flow * hop.weight
                    onward[hop.node] = onward.get(hop.node, 0.0) + flow * hop.weight
            here = onward
        assert not here, "something still travels after as many hops as nodes"
    return result / topology.capacities


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_any_splits_become_tables_without_circles_that_load_links_no_more(seed: int) -> None:
    topology, rng = mesh(), np.random.default_rng(seed)
    paths = candidates(topology)
    raw = rng.random(len(paths)) + 0.02
    splits = raw / np.add.reduceat(raw, paths.first[:-1])[paths.pair_of]
    demand = rng.random(topology.pairs[0].size) * 100

    tables = route_tables(paths, splits, revision=1, time_s=0.0)

    planned = utilisation(paths, splits, demand)
    followed = loads(topology, tables, demand)
    assert np.all(followed <= planned + 0.02 * planned.max() + 1e-9)
    for table in tables:
        for entry in table.entries:
            assert abs(sum(hop.weight for hop in entry.next_hops) - 1) < 1e-9


def test_backups_are_neighbours_that_do_not_send_it_back() -> None:
    topology = mesh()
    plan = Planner(topology).decide(np.zeros((1, 5, 5)))

    tables = route_tables(plan.paths, plan.splits, revision=1, time_s=0.0)

    entry = next(e for e in tables[4].entries if (e.source, e.destination) == ("e", "d"))
    assert not {hop.node for hop in entry.next_hops} & set(entry.backups)
    links = set(zip(topology.sources.tolist(), topology.targets.tolist(), strict=True))
    for table in tables:
        near = topology.names.index(table.node)
        for each in table.entries:
            for backup in each.backups:
                assert (near, topology.names.index(backup)) in links


def test_a_closed_link_is_in_no_table_after_planning_around_it() -> None:
    topology = mesh()
    planner = Planner(topology)
    plan = planner.decide(np.ones((3, 5, 5)))
    closed = frozenset({0, 7})  # a-b both ways

    around, left = planner.avoiding(closed, plan)
    after = around.decide(np.ones((4, 5, 5)), left)

    tables = route_tables(after.paths, after.splits, revision=2, time_s=0.0, closed=closed)
    hops = {(t.node, h.node) for t in tables for e in t.entries for h in e.next_hops}
    backups = {(t.node, b) for t in tables for e in t.entries for b in e.backups}
    assert not {("a", "b"), ("b", "a")} & (hops | backups)
    assert after.paths.has_path.all()
    assert after.revision == plan.revision + 1
