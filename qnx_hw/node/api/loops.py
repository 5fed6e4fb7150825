"""Closed loops: hold, resume, search anew, and their settings."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from qnx_hw.api.access import Right
from qnx_hw.api.commands import SetLoop
from qnx_hw.api.loops import LoopView
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.state import Hub


class LoopCommands(Protocol):
    """What clients may ask of closed loops; `KeyError` where no such loop is here."""

    @abstractmethod
    async def hold_loop(self, name: str) -> LoopView:
        """Have a loop leave its actuator alone."""

    @abstractmethod
    async def resume_loop(self, name: str) -> LoopView:
        """Have a held loop go on."""

    @abstractmethod
    async def relock_loop(self, name: str) -> LoopView:
        """Have a loop search anew from where it stands."""

    @abstractmethod
    async def set_loop(
        self, name: str, *, algorithm: str | None = None, target: float | None = None
    ) -> LoopView:
        """Change what is given; all of it, or nothing."""


class Loops:
    """Passes commands on to the loops."""

    def __init__(self, hub: Hub, commands: LoopCommands | None) -> None:
        self._hub = hub
        self._commands = commands

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/loops", handler=self._list, answers=tuple[LoopView, ...],
                summary="All closed loops.",
            ),
            Operation(
                method="POST", path="/loops/{name}/hold", handler=self._hold, answers=LoopView,
                needs=Right.OPERATE, summary="Have a loop leave its actuator alone.",
            ),
            Operation(
                method="POST", path="/loops/{name}/resume", handler=self._resume,
                answers=LoopView, needs=Right.OPERATE, summary="Have a held loop go on.",
            ),
            Operation(
                method="POST", path="/loops/{name}/relock", handler=self._relock,
                answers=LoopView, needs=Right.OPERATE, summary="Have a loop search anew.",
            ),
            Operation(
                method="POST", path="/loops/{name}/settings", handler=self._set,
                answers=LoopView, takes=SetLoop, needs=Right.OPERATE,
                summary="Change a loop's algorithm or target.",
            ),
        ]  # fmt: skip

    async def _list(self, call: Call) -> tuple[LoopView, ...]:
        return self._hub.latest(LoopView)

    async def _hold(self, call: Call) -> LoopView:
        before, commands = self._find(call)
        return _noted(call, before, await commands.hold_loop(before.name))

    async def _resume(self, call: Call) -> LoopView:
        before, commands = self._find(call)
        return _noted(call, before, await commands.resume_loop(before.name))

    async def _relock(self, call: Call) -> LoopView:
        before, commands = self._find(call)
        return _noted(call, before, await commands.relock_loop(before.name))

    async def _set(self, call: Call) -> LoopView:
        before, commands = self._find(call)
        wish: SetLoop = call.body
        _unchanged(before, "algorithm", wish.expected_algorithm, before.algorithm)
        _unchanged(before, "target", wish.expected_target, before.target)
        if wish.algorithm is not None and wish.algorithm not in before.algorithms:
            known = ", ".join(before.algorithms) or "no choice"
            raise Refused(400, f"'{before.name}' has {known}, not '{wish.algorithm}'", "algorithm")
        after = await commands.set_loop(before.name, algorithm=wish.algorithm, target=wish.target)
        call.note(_settings(before), _settings(after))
        return after

    def _find(self, call: Call) -> tuple[LoopView, LoopCommands]:
        name = call.path["name"]
        for loop in self._hub.latest(LoopView):
            if loop.name == name and self._commands is not None:
                return loop, self._commands
        raise Refused(404, f"there is no loop '{name}' at this node")


def _unchanged(loop: LoopView, field: str, expected: object, actual: object) -> None:
    if expected is not None and expected != actual:
        raise Refused(
            409,
            f"somebody set the {field} of '{loop.name}' to {actual} meanwhile; "
            "look at it and try again",
            f"expected_{field}",
        )


def _settings(loop: LoopView) -> dict[str, object]:
    return {"algorithm": loop.algorithm, "target": loop.target}


def _noted(call: Call, before: LoopView, after: LoopView) -> LoopView:
    call.note(before.state, after.state)
    return after
