"""Decides how traffic and keys find their way: computes, opens nothing, looks at no clock."""

from qnx_hw.network.planner import Plan, Planner
from qnx_hw.network.topology import Topology

__all__ = ["Plan", "Planner", "Topology"]
