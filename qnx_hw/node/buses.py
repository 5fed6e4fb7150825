"""Which bus a participant uses: the process' own, or NATS where the network file names servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.bus.interface import Bus
from qnx_hw.config import NetworkFile
from qnx_hw.node.certificate_watch import kept_fresh


@asynccontextmanager
async def joined_bus(
    network: NetworkFile, participant: str, own: Bus, tell: Teller
) -> AsyncIterator[Bus]:
    """Yield the bus for a node, or for `permissions.CONTROLLER`, while the context lasts."""
    if network.bus is None:
        yield own
        return
    from qnx_hw.bus.certificates import context
    from qnx_hw.bus.nats_bus import NatsBus

    def say(is_up: bool, reason: str) -> None:
        level, words = (Level.OK, "is joined") if is_up else (Level.WARNING, f"is away: {reason}")
        tell(level, participant, f"the bus {words}", "bus")

    tls = context(Path(network.bus.certificates), participant)
    folder = Path(network.bus.certificates)
    pair = (folder / f"{participant}.pem", folder / f"{participant}.key")
    async with (
        kept_fresh(tell, participant, pair, tls),
        NatsBus.open(participant, network.bus.servers, tls, say) as bus,
    ):
        yield bus
