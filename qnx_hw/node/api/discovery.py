"""Finding instruments: search, see what came, cancel, have one blink, try to read one.

A search opens ports and connections from the node's computer, so it takes the right to change the
network file.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from qnx_hw.api.access import Right
from qnx_hw.api.commands import Nothing
from qnx_hw.api.discovery import DriverView, Place, SearchView, StartSearch, TestRead
from qnx_hw.node.api.operation import Call, Operation, Refused


class DiscoveryCommands(Protocol):
    """What clients may ask of the search for instruments."""

    @abstractmethod
    def start(self, wish: StartSearch) -> SearchView:
        """Search anew; a search that still runs is cancelled."""

    @abstractmethod
    def search(self) -> SearchView:
        """Return what the newest search found so far."""

    @abstractmethod
    def cancel(self) -> SearchView:
        """End the search; what it found stays."""

    @abstractmethod
    async def identify(self, place: Place) -> None:
        """Have an instrument blink; `Unsupported` where it cannot."""

    @abstractmethod
    async def try_instrument(self, place: Place) -> TestRead:
        """Connect to an instrument, ask who it is and for its numbers, and let it go."""

    @abstractmethod
    async def drivers(self) -> tuple[DriverView, ...]:
        """Return what is installed."""


class Discoveries:
    """Passes questions on to who searches."""

    def __init__(self, commands: DiscoveryCommands | None) -> None:
        self._commands = commands

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/discovery", handler=self._show, answers=SearchView,
                summary="What the newest search for instruments found so far.",
            ),
            Operation(
                method="GET", path="/discovery/drivers", handler=self._drivers,
                answers=tuple[DriverView, ...], summary="The drivers that are installed.",
            ),
            Operation(
                method="POST", path="/discovery/start", handler=self._start, answers=SearchView,
                takes=StartSearch, needs=Right.ADMIN,
                summary="Search for instruments; what the nodes work with is left alone.",
            ),
            Operation(
                method="POST", path="/discovery/cancel", handler=self._cancel,
                answers=SearchView, needs=Right.ADMIN, summary="End the search.",
            ),
            Operation(
                method="POST", path="/discovery/identify", handler=self._identify,
                answers=Nothing, takes=Place, needs=Right.ADMIN,
                summary="Have an instrument blink, where it can.",
            ),
            Operation(
                method="POST", path="/discovery/read", handler=self._read, answers=TestRead,
                takes=Place, needs=Right.ADMIN,
                summary="Connect to an instrument, read it once, and let it go.",
            ),
        ]  # fmt: skip

    async def _show(self, call: Call) -> SearchView:
        return self._here().search()

    async def _drivers(self, call: Call) -> tuple[DriverView, ...]:
        return await self._here().drivers()

    async def _start(self, call: Call) -> SearchView:
        call.note("", call.body)
        return self._here().start(call.body)

    async def _cancel(self, call: Call) -> SearchView:
        return self._here().cancel()

    async def _identify(self, call: Call) -> Nothing:
        call.note("", call.body)
        await self._here().identify(call.body)
        return Nothing()

    async def _read(self, call: Call) -> TestRead:
        call.note("", call.body)
        return await self._here().try_instrument(call.body)

    def _here(self) -> DiscoveryCommands:
        if self._commands is None:
            raise Refused(404, "no instruments are looked for here")
        return self._commands
