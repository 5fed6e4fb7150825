"""Which ends of links are a node's."""

from __future__ import annotations

from qnx_hw.config import KeysSection, NetworkFile
from qnx_hw.keys import LinkEnd
from qnx_hw.keys.relay import RelaySettings, disjoint
from qnx_hw.qkd.roles import Role


def ends_of(network: NetworkFile, node: str) -> list[tuple[str, Role]]:
    """Return the links that end at a node, and in which role it serves each."""
    return [
        (name, role)
        for name, link in network.links.items()
        for role in Role
        if getattr(link, role.value).node == node
    ]


def key_ends(network: NetworkFile, node: str) -> dict[str, tuple[LinkEnd, ...]]:
    """Return by peer which links a node's keys come from, in the same order at both nodes."""
    ends: dict[str, tuple[LinkEnd, ...]] = {}
    for name, role in sorted(ends_of(network, node)):
        peer = getattr(network.links[name], role.peer.value).node
        ends[peer] = (*ends.get(peer, ()), LinkEnd(name, list(Role).index(role)))
    return ends


def graph_of(network: NetworkFile) -> dict[str, set[str]]:
    """Return who has a link with whom."""
    return {node: set(key_ends(network, node)) for node in network.nodes}


def relay_settings(keys: KeysSection) -> RelaySettings:
    """Return how much relayed key a node keeps ready, from the network file's tables."""
    relay = keys.relay
    return RelaySettings(
        low_bits=relay.low_bits,
        high_bits=relay.high_bits,
        batch_bits=relay.batch_bits,
        paths=relay.paths,
        keep_bits=keys.reserve_bits,
    )


def relayed_ends(network: NetworkFile, node: str) -> dict[str, LinkEnd]:
    """Return by peer the keys that come over other nodes.

    With whom: all whose SAEs or user traffic may need keys with those of this node, and what
    `[keys.relay] pairs` names, as far as links lead there and there is no common one.
    """
    graph = graph_of(network)
    wanted = [*network.keys.relay.pairs]
    wanted += [(each.source, each.destination) for each in network.tunnels.values()]
    wanted += [(each.source, each.destination) for each in network.streams.values()]
    homes = {sae.node for sae in network.saes.values()}
    wanted += [(one, other) for one in homes for other in homes]
    ends: dict[str, LinkEnd] = {}
    for pair in sorted({tuple(sorted(pair)) for pair in wanted if node in pair}):
        peer = pair[1 - pair.index(node)]
        if peer != node and peer not in graph[node] and disjoint(graph, node, peer):
            ends[peer] = LinkEnd("~".join(pair), pair.index(node), is_relayed=True)
    return ends
