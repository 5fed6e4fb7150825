"""Which neighbour comes next: the controller's table, and what to do where it does not help."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Mapping, Sequence

import msgspec

from qnx_hw.bus.routes import NextHop, RouteAck, RouteEntry, RouteTable

MAX_HOPS = 16
ANY = "any"
WEIGHT_TOLERANCE = 1e-3


class Forwarder:
    """One node's forwarding; decides, sends nothing.

    Where the newest table has no way that works, its backups come next, and then the shortest way
    over the neighbours of the network file, so traffic flows before the first table and after the
    last controller.
    """

    def __init__(
        self, node: str, neighbours: Mapping[str, Sequence[str]], rng: random.Random
    ) -> None:
        self._node = node
        self._neighbours = neighbours
        self._rng = rng
        self.table = RouteTable(node=node, revision=0, time_s=0.0, entries=())

    def apply(self, table: RouteTable) -> RouteAck:
        """Follow a newer, sound table; otherwise keep the one before. Return what to answer."""
        reason = self._fault(table)
        if not reason:
            self.table = table
        return RouteAck(
            node=self._node,
            revision=table.revision,
            accepted=not reason,
            reason=reason,
        )

    def candidates(
        self,
        source: str,
        destination: str,
        traffic_class: str,
        *,
        path: Collection[str] = (),
        up: Collection[str] = (),
    ) -> list[str]:
        """Return the neighbours to try, best first; none that was passed before (loop guard).

        Next hops come in a random order in which each is first with its weight's chance.
        """
        if len(path) >= MAX_HOPS:
            return []
        entry = self.entry(source, destination, traffic_class)
        planned = [*self._drawn(entry.next_hops), *entry.backups] if entry is not None else []
        ordered = [*planned, *self._shortest(destination)]
        allowed = [
            hop
            for hop in dict.fromkeys(ordered)
            if hop in self._neighbours.get(self._node, ()) and hop not in path
        ]
        # A neighbour that seems down comes last, not never: that it is up again is seen by trying.
        return sorted(allowed, key=lambda hop: hop not in up)

    def entry_here(self, destination: str, traffic_class: str) -> RouteEntry | None:
        """Return the table's entry for traffic that begins at this node."""
        return self.entry(self._node, destination, traffic_class)

    def entry(self, source: str, destination: str, traffic_class: str) -> RouteEntry | None:
        """Return the table's entry for a kind of traffic."""
        for wanted in (traffic_class, ANY):
            for entry in self.table.entries:
                if (entry.source, entry.destination, entry.traffic_class) == (
                    source,
                    destination,
                    wanted,
                ):
                    return entry
        return None

    def _fault(self, table: RouteTable) -> str:
        if table.node != self._node:
            return f"the table is for '{table.node}'"
        if table.revision <= self.table.revision:
            return f"revision {table.revision} is not newer than {self.table.revision}"
        for entry in table.entries:
            hops = [hop.node for hop in entry.next_hops]
            for hop in (*hops, *entry.backups):
                if hop not in self._neighbours.get(self._node, ()):
                    return f"'{hop}' is no neighbour"
            weights = [hop.weight for hop in entry.next_hops]
            # Written so that a weight that is no number fails as well.
            if not all(0.0 <= weight <= 1.0 + WEIGHT_TOLERANCE for weight in weights):
                return f"a weight to '{entry.destination}' is out of range"
            if weights and not abs(sum(weights) - 1.0) <= WEIGHT_TOLERANCE:
                return f"the weights to '{entry.destination}' do not sum to 1"
        return ""

    def _drawn(self, hops: Sequence[NextHop]) -> list[str]:
        left = [hop for hop in hops if hop.weight > 0.0]
        drawn: list[str] = []
        while left:
            chosen = self._rng.choices(left, [hop.weight for hop in left])[0]
            left.remove(chosen)
            drawn.append(chosen.node)
        return drawn

    def _shortest(self, destination: str) -> list[str]:
        """Return the neighbours by their distance from the destination."""
        distances = {destination: 0}
        waiting = deque([destination])
        while waiting:
            node = waiting.popleft()
            for other, reached in self._neighbours.items():
                if node in reached and other not in distances and other != self._node:
                    distances[other] = distances[node] + 1
                    waiting.append(other)
        near = [hop for hop in self._neighbours.get(self._node, ()) if hop in distances]
        return sorted(near, key=lambda hop: distances[hop])


def decode_table(payload: bytes) -> RouteTable:
    """Read a table from the bus; `msgspec.DecodeError` where it is none."""
    return msgspec.json.decode(payload, type=RouteTable)
