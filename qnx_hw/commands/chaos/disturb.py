"""How each fault begins and ends in a network of wires, programs and a bench."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from qnx_hw.commands.chaos import schedule
from qnx_hw.commands.chaos.layout import Layout
from qnx_hw.commands.chaos.processes import NodeProcess
from qnx_hw.commands.chaos.schedule import Fault, Kind
from qnx_hw.commands.chaos.wires import Wire
from qnx_hw.commands.sim import tell
from qnx_hw.keys import pki

ENDED_DAYS = -1 / 1440
"""The validity of a certificate that ended a minute ago."""


class Disturber:
    """Lets faults begin and end."""

    def __init__(self, layout: Layout, nodes: Mapping[str, NodeProcess]) -> None:
        self._layout, self._nodes = layout, nodes

    async def inject(self, fault: Fault) -> None:
        """Let it begin."""
        match fault.kind:
            case Kind.UNPLUG | Kind.CUT:
                for wire in self._wires(fault):
                    wire.cut()
            case Kind.KILL | Kind.CONTROLLER:
                await self._nodes[fault.target].kill()
            case Kind.FREEZE:
                self._nodes[fault.target].freeze()
            case Kind.DISK:
                self._nodes[fault.target].fill_disk()
            case Kind.CERTIFICATE:
                self._issue(fault.target, ENDED_DAYS)
            case Kind.CORE:
                assert self._layout.core is not None
                await self._layout.core.kill()
            case _:
                await self._tell(_beginning(fault, schedule.loss_db(self._bench, fault.target)))

    async def mend(self, fault: Fault) -> None:
        """Let it end; a clock that jumped and a fibre that was knocked stay as they are."""
        match fault.kind:
            case Kind.UNPLUG | Kind.CUT:
                for wire in self._wires(fault):
                    wire.mend()
            case Kind.KILL | Kind.CONTROLLER:
                await self._nodes[fault.target].start()
            case Kind.FREEZE:
                self._nodes[fault.target].thaw()
            case Kind.DISK:
                self._nodes[fault.target].free_disk()
            case Kind.CERTIFICATE:
                self._issue(fault.target, pki.VALID_DAYS)
            case Kind.CORE:
                assert self._layout.core is not None
                await self._layout.core.start()
            case Kind.LOSS:
                usual = schedule.loss_db(self._bench, fault.target)
                await self._tell(f"loss {fault.target} {usual:g}")
            case Kind.STORM:
                usual = schedule.drift(self._bench, fault.target)
                await self._tell(f"drift {fault.target} {usual:g}")
            case Kind.EAVESDROPPER:
                await self._tell(f"eavesdropper {fault.target} off")
            case Kind.CLOCK | Kind.KNOCK:
                pass

    @property
    def _bench(self) -> schedule.Bench:
        return self._layout.network.bench

    def _wires(self, fault: Fault) -> tuple[Wire, ...]:
        if fault.kind is Kind.UNPLUG:
            return self._layout.plugs[fault.target]
        link = self._layout.network.links[fault.target]
        return self._layout.paths[frozenset({link.alice.node, link.bob.node})]

    def _issue(self, node: str, days: float) -> None:
        network = self._layout.network
        pki.make_kme(network, network.certificates, node, days)

    async def _tell(self, command: str) -> None:
        await asyncio.to_thread(tell, self._bench["control"], command)


def _beginning(fault: Fault, usual_loss_db: float) -> str:
    """Return the command that disturbs the bench."""
    match fault.kind:
        case Kind.LOSS:
            return f"loss {fault.target} {usual_loss_db + fault.strength:.3f}"
        case Kind.EAVESDROPPER:
            return f"eavesdropper {fault.target} {fault.strength:g}"
        case Kind.CLOCK:
            return f"clock-jump {fault.target} {fault.strength:.6f}"
        case Kind.KNOCK:
            return f"knock {fault.target} {fault.strength:.3f}"
        case _:
            return f"drift {fault.target} {fault.strength:g}"
