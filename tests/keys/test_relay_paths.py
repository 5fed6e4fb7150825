"""Ways for keys: as many as can be, none through a node of another."""

from collections.abc import Mapping
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.keys.relay import disjoint

NODES = "abcdef"
GRAPHS = st.sets(st.sampled_from(list(combinations(NODES, 2))), min_size=1).map(
    lambda pairs: {
        node: {other for pair in pairs for other in pair if node in pair and other != node}
        for node in NODES
    }
)
Neighbours = Mapping[str, set[str]]


def most_ways(graph: Neighbours, used: frozenset[str] = frozenset()) -> int:
    """Count by trying all: the most ways from a to b without a node in common."""

    def ways_from(node: str, seen: frozenset[str]) -> list[frozenset[str]]:
        found = []
        for each in graph[node] - seen - used:
            found += [seen | {each}] if each == "b" else ways_from(each, seen | {each})
        return found

    inner = [way - {"a", "b"} for way in ways_from("a", frozenset("a"))]
    direct = frozenset() in inner
    return direct + max(
        (1 + most_ways(without_direct(graph), used | way) for way in inner if way), default=0
    )


def without_direct(graph: Neighbours) -> Neighbours:
    return {node: peers - ({"b"} if node == "a" else set()) for node, peers in graph.items()}


@given(GRAPHS)
def test_there_are_as_many_ways_as_can_be_and_they_share_no_node(graph: Neighbours) -> None:
    ways = disjoint(graph, "a", "b", len(NODES))

    assert len(ways) == most_ways(graph)
    inner = [node for way in ways for node in way[1:-1]]
    assert len(set(inner)) == len(inner)
    for way in ways:
        assert (way[0], way[-1]) == ("a", "b")
        assert all(after in graph[node] for node, after in pairwise(way))


def test_the_shortest_way_is_taken_by_the_hop_that_is_preferred() -> None:
    square = {"a": "cd", "b": "cd", "c": "ab", "d": "ab"}

    assert disjoint(square, "a", "b") == [("a", "c", "b")]
    assert disjoint(square, "a", "b", preferred=("d",)) == [("a", "d", "b")]
    shunned = [frozenset("cb")]
    assert disjoint(square, "a", "b", 2, shunned=shunned) == [("a", "d", "b")]
