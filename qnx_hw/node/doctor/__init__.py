"""Is everything here that a network needs? Looks, and changes nothing."""

from qnx_hw.node.doctor.finding import Finding, Health
from qnx_hw.node.doctor.installation import installation
from qnx_hw.node.doctor.machine import machine
from qnx_hw.node.doctor.network import network

__all__ = ["Finding", "Health", "installation", "machine", "network"]
