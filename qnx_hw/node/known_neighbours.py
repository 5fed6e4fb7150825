"""By what a node's edge and its neighbours' prove themselves to each other."""

from __future__ import annotations

from pathlib import Path

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.config import NetworkFile
from qnx_hw.edge.circuits import split_address
from qnx_hw.edge.neighbours import Neighbours
from qnx_hw.node.guard import is_loopback


def known_neighbours(network: NetworkFile, node: str, tell: Teller) -> Neighbours | None:
    """Return the proof by the bus' certificates; None in a network without a bus.

    Such a network is one process, so an edge that others can reach is worth a warning.
    """
    section = network.nodes[node].edge
    assert section is not None
    if network.bus is None:
        if not is_loopback(split_address(section.listen)[0]):
            words = f"the edge at {section.listen} takes anybody for a neighbour: there is no [bus]"
            tell(Level.WARNING, node, words, "neighbours")
        return None
    from qnx_hw.bus.certificates import neighbourly

    names = [name for name, other in network.nodes.items() if other.edge is not None]
    return Neighbours(names, *neighbourly(Path(network.bus.certificates), node))
