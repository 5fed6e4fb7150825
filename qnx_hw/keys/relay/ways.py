"""By which nodes to send to a peer: around what is away or failed lately."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from qnx_hw.errors import ChannelError
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.relay.paths import Graph, Path, disjoint

SHUNNED_S = 20.0
"""How long a hop that failed is avoided, where there is another way."""

Preference: TypeAlias = Callable[[str], Sequence[str]]
"""The neighbours by which to send to a destination, best first; may be empty."""


class Ways:
    """The paths from one node to its peers."""

    def __init__(self, kme: Kme, graph: Graph, prefer: Preference) -> None:
        self._kme = kme
        self._graph = graph
        self._prefer = prefer
        self._shunned: dict[frozenset[str], float] = {}

    def shun(self, hop: tuple[str, str]) -> None:
        """Avoid the way between two nodes for a while."""
        self._shunned[frozenset(hop)] = asyncio.get_running_loop().time() + SHUNNED_S

    def paths(self, peer: str, count: int) -> list[Path]:
        """Return so many paths without a common node; `ChannelError` where there are fewer."""
        now = asyncio.get_running_loop().time()
        self._shunned = {hop: end for hop, end in self._shunned.items() if end > now}
        node = self._kme.node
        away = {
            frozenset((node, each))
            for each in self._graph[node]
            if not self._kme.is_connected(each)
        }
        for shunned in (away | set(self._shunned), away):
            paths = self._find(peer, count, shunned)
            if len(paths) == count:
                return paths
        raise ChannelError(f"there are fewer than {count} ways to '{peer}' now")

    def _find(self, peer: str, count: int, shunned: Collection[frozenset[str]]) -> list[Path]:
        return disjoint(
            self._graph,
            self._kme.node,
            peer,
            count,
            shunned=shunned,
            preferred=self._prefer(peer),
        )
