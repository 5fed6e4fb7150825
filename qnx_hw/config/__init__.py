"""The network file: its tables, a module for each part of the software, and how it is read."""

from qnx_hw.config.edge import (
    BusSection,
    EdgeSection,
    HopSection,
    StepSection,
    StreamSection,
    TrafficSection,
    TunnelSection,
)
from qnx_hw.config.keys import KeysSection, KmeSection, SaeSection
from qnx_hw.config.network import (
    ApiSection,
    ChannelMap,
    InstrumentSection,
    LinkSection,
    NetworkFile,
    NetworkSection,
    NodeSection,
    SecuritySection,
    StationSection,
    load,
    parse,
)
from qnx_hw.config.pulses import PulsesSection
from qnx_hw.config.section import Section

__all__ = [
    "ApiSection",
    "BusSection",
    "ChannelMap",
    "EdgeSection",
    "HopSection",
    "InstrumentSection",
    "KeysSection",
    "KmeSection",
    "LinkSection",
    "NetworkFile",
    "NetworkSection",
    "NodeSection",
    "PulsesSection",
    "SaeSection",
    "Section",
    "SecuritySection",
    "StationSection",
    "StepSection",
    "StreamSection",
    "TrafficSection",
    "TunnelSection",
    "load",
    "parse",
]
