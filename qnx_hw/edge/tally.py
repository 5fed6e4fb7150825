"""What goes from a node to each of its neighbours: bytes, what waits, what was sent again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qnx_hw.edge.hops import Hop
from qnx_hw.edge.session import Session
from qnx_hw.edge.transit import Transit


class Tally:
    """Sums over a node's live sessions and relays, and over those that ended."""

    def __init__(
        self,
        node: str,
        hops: Mapping[str, Hop],
        sessions: Mapping[bytes, Session],
        transit: Transit,
    ) -> None:
        self._node = node
        self._hops = hops
        self._sessions = sessions
        self._transit = transit

    def towards(self, target: str) -> Iterator[Session]:
        """Yield the live sessions that go over a neighbour."""
        for session in tuple(self._sessions.values()):
            if neighbour(self._node, session.path) == target:
                yield session

    def ended(self, session: Session) -> None:
        """Keep what a session sent: it lives no longer."""
        if (hop := self._hops.get(neighbour(self._node, session.path))) is not None:
            hop.sent_bytes += session.counters.bytes_in

    def sent_bytes(self, target: str) -> int:
        """Return what was sent to a neighbour so far."""
        sums = {target: self._hops[target].sent_bytes}
        self._transit.add_bytes(sums)
        return sums[target] + sum(each.counters.bytes_in for each in self.towards(target))

    def retransmits(self, target: str) -> int:
        """Return how many TCP segments were sent again to a neighbour by what runs now."""
        by_sessions = sum(each.counters.retransmits for each in self.towards(target))
        return self._transit.retransmits(target) + by_sessions

    def queued_bytes(self, target: str) -> int:
        """Return what this node sent over a neighbour and the other ends did not confirm yet."""
        return sum(each.unacknowledged_bytes for each in self.towards(target))


def neighbour(node: str, path: tuple[str, ...]) -> str:
    """Return the node next to an end of a path; empty where there is none."""
    if len(path) < 2:
        return ""
    return path[1] if path[0] == node else path[-2]
