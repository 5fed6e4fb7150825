"""Traffic in the network file joins nodes that carry it."""

import pytest

from qnx_hw.config import parse
from qnx_hw.errors import ConfigError

NODES = """
[network]
name = "test"
[nodes.alice]
listen = "127.0.0.1:1"
edge = { listen = "127.0.0.1:2", hops = { bob = { capacity_bps = 1e8 } } }
[nodes.bob]
listen = "127.0.0.1:3"
edge = { listen = "127.0.0.1:4" }
[nodes.carol]
listen = "127.0.0.1:5"
"""
TUNNEL = """
[tunnels.web]
source = "alice"
destination = "bob"
listen = "127.0.0.1:80"
target = "127.0.0.1:81"
"""


def test_a_tunnel_between_edges_is_read() -> None:
    network = parse(NODES + TUNNEL)

    assert network.tunnels["web"].policy == "block"
    assert network.nodes["alice"].edge is not None
    assert network.nodes["alice"].edge.hops["bob"].capacity_bps == 1e8


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('destination = "bob"', 'destination = "carol"', r"tunnels\.web: there is no \[nodes\.c"),
        ('destination = "bob"', 'destination = "alice"', "to itself"),
        ("hops = { bob", "hops = { carol", r"edge\.hops\.carol"),
        ('listen = "127.0.0.1:80"', 'policy = "hope"', "tunnels"),
    ],
)
def test_traffic_to_nowhere_is_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse((NODES + TUNNEL).replace(old, new))
