"""Ways through the links' graph for keys: few hops, and no node on two of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

Graph: TypeAlias = Mapping[str, Collection[str]]
"""Who has a link with whom."""
Path: TypeAlias = tuple[str, ...]


class _Spot(NamedTuple):
    """A node on a way, either as it is entered or as it is left."""

    node: str
    is_left: bool


def disjoint(
    graph: Graph,
    source: str,
    target: str,
    count: int = 1,
    *,
    shunned: Collection[frozenset[str]] = (),
    preferred: Sequence[str] = (),
) -> list[Path]:
    """Return up to `count` ways that share no node but their ends, as many as there can be.

    One way is a shortest one, by a `preferred` first hop where that is no longer. A hop in
    `shunned` is not used.
    """

    def rank(node: str) -> tuple[int, str]:
        return preferred.index(node) if node in preferred else len(preferred), node

    usable = {
        node: sorted((each for each in peers if {node, each} not in shunned), key=rank)
        for node, peers in graph.items()
    }
    flow = _Flow(usable, source, target)
    while len(flow.starts) < count and flow.augment():
        pass
    return flow.ways()


class _Flow:
    """Ways as a flow of one unit through each node, augmented along shortest paths.

    Edmonds and Karp, J. ACM 19 (1972) 248; each node stands twice, entered and left, with one
    unit between the two.
    """

    def __init__(self, usable: Graph, source: str, target: str) -> None:
        self._usable = usable
        self._source = source
        self._target = target
        self._after: dict[str, str] = {}
        self.starts: list[str] = []

    def ways(self) -> list[Path]:
        """Return the ways, shortest first."""
        found = []
        for start in self.starts:
            path = [self._source, start]
            while path[-1] != self._target:
                path.append(self._after[path[-1]])
            found.append(tuple(path))
        return sorted(found, key=len)

    def augment(self) -> bool:
        """Add one way, pushing others aside where needed; whether there was one."""
        start = _Spot(self._source, is_left=True)
        came: dict[_Spot, _Spot] = {start: start}
        queue = deque([start])
        while queue:
            spot = queue.popleft()
            for step in self._steps(spot):
                if step in came:
                    continue
                came[step] = spot
                if step.node == self._target:
                    self._apply(came, step)
                    return True
                queue.append(step)
        return False

    def _steps(self, spot: _Spot) -> list[_Spot]:
        node, before = spot.node, self._before(spot.node)
        if spot.is_left:
            taken = self.starts if node == self._source else [self._after.get(node)]
            steps = [_Spot(each, False) for each in self._usable[node] if each not in taken]
            # Back through the node itself, against the flow that runs through it.
            return steps if before is None else [*steps, _Spot(node, False)]
        if before is None:
            return [_Spot(node, True)]
        return [] if before == self._source else [_Spot(before, True)]

    def _before(self, node: str) -> str | None:
        if node in self.starts:
            return self._source
        return next((each for each, after in self._after.items() if after == node), None)

    def _apply(self, came: Mapping[_Spot, _Spot], step: _Spot) -> None:
        added: list[tuple[str, str]] = []
        while (origin := came[step]) != step:
            if origin.node != step.node:
                if origin.is_left:
                    added.append((origin.node, step.node))
                else:
                    del self._after[step.node]
            step = origin
        for node, after in added:
            if node == self._source:
                self.starts.append(after)
            else:
                self._after[node] = after
