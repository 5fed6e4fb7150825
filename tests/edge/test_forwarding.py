"""The next neighbour: by the table's weights, never back, and by the shortest way without one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.bus.routes import NextHop, RouteEntry, RouteTable
from qnx_hw.edge.forwarding import MAX_HOPS, Forwarder

SQUARE = {"a": ["b", "c"], "b": ["a", "d"], "c": ["a", "d"], "d": ["b", "c"]}


def table(revision: int, *hops: tuple[str, float], **fields: object) -> RouteTable:
    entry = RouteEntry(
        source="a",
        destination="d",
        traffic_class="any",
        next_hops=tuple(NextHop(node=node, weight=weight) for node, weight in hops),
        **fields,
    )
    return RouteTable(node="a", revision=revision, time_s=0.0, entries=(entry,))


def forwarder() -> Forwarder:
    return Forwarder("a", SQUARE, random.Random(7))


def test_traffic_divides_by_the_weights() -> None:
    ours = forwarder()
    assert ours.apply(table(1, ("b", 0.8), ("c", 0.2))).accepted

    firsts = [ours.candidates("a", "d", "bulk", up=SQUARE)[0] for _ in range(4000)]

    # Five standard deviations of a binomial: sqrt(4000 * 0.8 * 0.2) = 25.
    assert abs(firsts.count("b") - 3200) < 127
    assert set(firsts) == {"b", "c"}


def test_a_backup_follows_where_the_next_hop_is_down() -> None:
    ours = forwarder()
    ours.apply(table(1, ("b", 1.0), backups=("c",)))

    assert ours.candidates("a", "d", "bulk", up=["b", "c"]) == ["b", "c"]
    assert ours.candidates("a", "d", "bulk", up=["c"]) == ["c", "b"]


def test_without_a_table_the_shortest_way_is_taken() -> None:
    line = {"a": ["b", "d"], "b": ["a", "c"], "c": ["b", "d"], "d": ["a", "c"]}
    ours = Forwarder("a", line, random.Random(7))

    assert ours.candidates("a", "c", "bulk", up=line)[0] in ("b", "d")
    assert ours.candidates("a", "b", "bulk", up=line) == ["b", "d"]
    assert ours.candidates("a", "nowhere", "bulk", up=line) == []


@given(st.lists(st.sampled_from("abcd"), max_size=6))
def test_no_node_is_passed_twice(path: list[str]) -> None:
    assert not set(forwarder().candidates("a", "d", "bulk", path=path, up=SQUARE)) & set(path)


def test_a_way_has_an_end() -> None:
    assert forwarder().candidates("a", "d", "bulk", path=["x"] * MAX_HOPS, up=SQUARE) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (table(1, ("b", 1.0)), "not newer"),
        (table(3, ("d", 1.0)), "no neighbour"),
        (table(3, ("b", 0.5)), "do not sum to 1"),
        (table(3, ("b", 1.5), ("c", -0.5)), "out of range"),
        (table(3, ("b", float("nan"))), "out of range"),
        (table(3, ("b", 1.0), backups=("x",)), "no neighbour"),
        (RouteTable(node="b", revision=9, time_s=0.0, entries=()), "is for 'b'"),
    ],
)
def test_a_bad_table_is_refused_and_the_last_good_one_stays(bad: RouteTable, reason: str) -> None:
    ours = forwarder()
    ours.apply(table(2, ("c", 1.0)))

    answer = ours.apply(bad)

    assert not answer.accepted
    assert reason in answer.reason
    assert (ours.table.revision, ours.candidates("a", "d", "bulk", up=SQUARE)[0]) == (2, "c")


def test_a_class_of_its_own_goes_before_any() -> None:
    entries = tuple(
        RouteEntry(
            source="a",
            destination="d",
            traffic_class=kind,
            next_hops=(NextHop(node=hop, weight=1.0),),
        )
        for kind, hop in (("any", "b"), ("critical", "c"))
    )
    ours = forwarder()
    ours.apply(RouteTable(node="a", revision=1, time_s=0.0, entries=entries))

    assert ours.candidates("a", "d", "critical", up=SQUARE)[0] == "c"
    assert ours.candidates("a", "d", "bulk", up=SQUARE)[0] == "b"
