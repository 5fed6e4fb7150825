"""Links: start, stop, and the coincidence window."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from qnx_hw.api.access import Right
from qnx_hw.api.commands import SetWindow
from qnx_hw.api.schema import LinkView
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.state import Hub


class LinkCommands(Protocol):
    """What clients may ask of the node's links; `KeyError` where no such link is here."""

    @abstractmethod
    async def start_link(self, name: str) -> LinkView:
        """Let a link make keys."""

    @abstractmethod
    async def stop_link(self, name: str) -> LinkView:
        """Let a link rest."""

    @abstractmethod
    async def set_window(self, name: str, window_ps: int) -> LinkView:
        """Change a link's coincidence window, full width."""


class Links:
    """Passes commands on to the links."""

    def __init__(self, hub: Hub, commands: LinkCommands | None) -> None:
        self._hub = hub
        self._commands = commands

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/links/{name}", handler=self._show, answers=LinkView,
                summary="A link.",
            ),
            Operation(
                method="POST", path="/links/{name}/start", handler=self._start, answers=LinkView,
                needs=Right.OPERATE, summary="Let a link make keys.",
            ),
            Operation(
                method="POST", path="/links/{name}/stop", handler=self._stop, answers=LinkView,
                needs=Right.OPERATE, summary="Let a link rest.",
            ),
            Operation(
                method="POST", path="/links/{name}/window", handler=self._window,
                answers=LinkView, takes=SetWindow, needs=Right.OPERATE,
                summary="Change a link's coincidence window; its session starts anew.",
            ),
        ]  # fmt: skip

    async def _show(self, call: Call) -> LinkView:
        return self._find(call)[0]

    async def _start(self, call: Call) -> LinkView:
        before, commands = self._find(call)
        after = await commands.start_link(before.name)
        call.note(before.phase, after.phase)
        return after

    async def _stop(self, call: Call) -> LinkView:
        before, commands = self._find(call)
        after = await commands.stop_link(before.name)
        call.note(before.phase, after.phase)
        return after

    async def _window(self, call: Call) -> LinkView:
        before, commands = self._find(call)
        wish: SetWindow = call.body
        if wish.expected_ps not in (None, before.window_ps):
            raise Refused(
                409,
                f"somebody set the window of '{before.name}' to {before.window_ps} ps meanwhile; "
                "look at it and try again",
                "expected_ps",
            )
        after = await commands.set_window(before.name, wish.window_ps)
        call.note(f"{before.window_ps} ps", f"{after.window_ps} ps")
        return after

    def _find(self, call: Call) -> tuple[LinkView, LinkCommands]:
        name = call.path["name"]
        link = self._hub.link(name)
        if link is None or self._commands is None:
            raise Refused(404, f"there is no link '{name}' at this node")
        return link, self._commands
