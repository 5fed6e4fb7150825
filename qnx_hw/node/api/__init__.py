"""The HTTP API of a node process, one module for each subject.

A module holds a class that is given what it needs and returns its `operations()`; the commands it
passes on are a protocol beside it, which `Host` or another part implements. `application.py` puts
all together; a new subject is a module and a line there.
"""

from qnx_hw.node.api.application import Api, Commands
from qnx_hw.node.api.discovery import DiscoveryCommands
from qnx_hw.node.api.instruments import InstrumentCommands
from qnx_hw.node.api.links import LinkCommands
from qnx_hw.node.api.loops import LoopCommands
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.api.recordings import RecordingCommands
from qnx_hw.node.api.routing import RoutingCommands

__all__ = [
    "Api",
    "Call",
    "Commands",
    "DiscoveryCommands",
    "InstrumentCommands",
    "LinkCommands",
    "LoopCommands",
    "Operation",
    "RecordingCommands",
    "Refused",
    "RoutingCommands",
]
