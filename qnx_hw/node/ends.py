"""Which ends of links are a node's."""

from __future__ import annotations

from qnx_hw.config import NetworkFile
from qnx_hw.keys import LinkEnd
from qnx_hw.qkd.roles import Role


def ends_of(network: NetworkFile, node: str) -> list[tuple[str, Role]]:
    """Return the links that end at a node, and in which role it serves each."""
    return [
        (name, role)
        for name, link in network.links.items()
        for role in Role
        if getattr(link, role.value).node == node
    ]


def key_ends(network: NetworkFile, node: str) -> dict[str, LinkEnd]:
    """Return by peer which link a node's keys come from; the first, where there are several."""
    ends: dict[str, LinkEnd] = {}
    for name, role in ends_of(network, node):
        peer = getattr(network.links[name], role.peer.value).node
        ends.setdefault(peer, LinkEnd(name, list(Role).index(role)))
    return ends
