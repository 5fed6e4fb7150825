"""Keys for nodes without a common link, carried over the nodes between them."""

from qnx_hw.keys.relay.blocks import RelayedBlocks
from qnx_hw.keys.relay.paths import Graph, disjoint
from qnx_hw.keys.relay.relay import Relay, RelaySettings

__all__ = ["Graph", "Relay", "RelaySettings", "RelayedBlocks", "disjoint"]
