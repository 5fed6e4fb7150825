"""Instruments: their settings as they hold them, and how to change them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from qnx_hw.api.access import Right
from qnx_hw.api.commands import Configure, Setting
from qnx_hw.api.instrument import InstrumentSettings
from qnx_hw.api.schema import InstrumentView, NodeView
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.state import Hub


class InstrumentCommands(Protocol):
    """What clients may ask of instruments; `KeyError` where no such instrument is here."""

    @abstractmethod
    async def instrument_settings(self, node: str, name: str) -> InstrumentSettings:
        """Ask the instrument what it holds."""

    @abstractmethod
    async def configure_instrument(
        self, node: str, name: str, settings: Mapping[str, Setting], revision: str
    ) -> InstrumentSettings:
        """Apply settings made from `revision`, all or none; `Conflict` where they changed since."""

    @abstractmethod
    async def stop_instrument(self, node: str, name: str) -> None:
        """Halt motion, stream or ramp now."""


class Instruments:
    """Passes questions and commands on to the instruments."""

    def __init__(self, hub: Hub, commands: InstrumentCommands | None) -> None:
        self._hub = hub
        self._commands = commands

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        place = "/instruments/{node}/{name}"
        return [
            Operation(
                method="GET", path="/instruments", handler=self._list,
                answers=tuple[InstrumentView, ...], summary="All instruments.",
            ),
            Operation(
                method="GET", path=f"{place}/settings", handler=self._settings,
                answers=InstrumentSettings,
                summary="Ask an instrument what it holds; the answer carries a revision.",
            ),
            Operation(
                method="POST", path=f"{place}/settings", handler=self._configure,
                answers=InstrumentSettings, takes=Configure, needs=Right.OPERATE,
                summary="Change settings, all or none; the answer is what the instrument holds "
                "afterwards.",
            ),
            Operation(
                method="POST", path=f"{place}/stop", handler=self._stop, answers=InstrumentView,
                needs=Right.OPERATE, summary="Halt motion, stream or ramp now.",
            ),
        ]  # fmt: skip

    async def _list(self, call: Call) -> tuple[InstrumentView, ...]:
        return tuple(each for node in self._hub.latest(NodeView) for each in node.instruments)

    async def _settings(self, call: Call) -> InstrumentSettings:
        view, commands = self._find(call)
        return await commands.instrument_settings(view.node, view.name)

    async def _configure(self, call: Call) -> InstrumentSettings:
        view, commands = self._find(call)
        wish: Configure = call.body
        call.note("", wish.settings)
        after = await commands.configure_instrument(
            view.node, view.name, wish.settings, wish.revision
        )
        call.note(f"revision {wish.revision}", after.settings)
        return after

    async def _stop(self, call: Call) -> InstrumentView:
        view, commands = self._find(call)
        await commands.stop_instrument(view.node, view.name)
        return self._find(call)[0]

    def _find(self, call: Call) -> tuple[InstrumentView, InstrumentCommands]:
        node, name = call.path["node"], call.path["name"]
        for each in self._hub.latest(NodeView):
            for instrument in each.instruments:
                if self._commands and (instrument.node, instrument.name) == (node, name):
                    return instrument, self._commands
        raise Refused(404, f"there is no instrument '{name}' at node '{node}' here")
