"""The session: both parties of BBM92 as one pure state machine."""

from qnx_hw.qkd.parameters import (
    PendingBlock,
    ReleasedBlock,
    Resumption,
    SessionParameters,
    StationInputs,
)
from qnx_hw.qkd.session.machine import Session
from qnx_hw.qkd.session.outputs import (
    Aborted,
    BlockStarted,
    Ended,
    KeyDropped,
    KeyPending,
    KeyReady,
    Metrics,
    Output,
    Progress,
    Provenance,
    Send,
    Transmit,
)
from qnx_hw.qkd.session.randomness import Randomness, SystemRandomness

__all__ = [
    "Aborted",
    "BlockStarted",
    "Ended",
    "KeyDropped",
    "KeyPending",
    "KeyReady",
    "Metrics",
    "Output",
    "PendingBlock",
    "Progress",
    "Provenance",
    "Randomness",
    "ReleasedBlock",
    "Resumption",
    "Send",
    "Session",
    "SessionParameters",
    "StationInputs",
    "SystemRandomness",
    "Transmit",
]
