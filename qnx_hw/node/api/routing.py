"""Routing: the plan, what it expects, its objective, and questions to the controller."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from qnx_hw.api.access import Right
from qnx_hw.api.commands import SetObjective, WhatIf
from qnx_hw.api.traffic import Forecast, PlanView
from qnx_hw.node.api.operation import Call, Operation, Refused
from qnx_hw.node.state import Hub


class RoutingCommands(Protocol):
    """What clients may ask of the controller."""

    @abstractmethod
    async def set_objective(self, objective: str) -> PlanView:
        """Aim at something else from the next plan on, and return that plan."""

    @abstractmethod
    async def what_if(self, question: WhatIf) -> PlanView:
        """Return what the controller would decide; nothing is put into force."""

    @abstractmethod
    async def forecasts(self) -> tuple[Forecast, ...]:
        """Return what was expected of each quantity, and what came."""


class Routing:
    """Asks the controller."""

    def __init__(self, hub: Hub, commands: RoutingCommands | None) -> None:
        self._hub = hub
        self._commands = commands

    def operations(self) -> list[Operation]:
        """Return what clients may ask."""
        return [
            Operation(
                method="GET", path="/routing/plan", handler=self._plan, answers=PlanView,
                summary="The plan in force.",
            ),
            Operation(
                method="GET", path="/routing/forecasts", handler=self._forecasts,
                answers=tuple[Forecast, ...], summary="Forecasts beside what came.",
            ),
            Operation(
                method="POST", path="/routing/objective", handler=self._set_objective,
                answers=PlanView, takes=SetObjective, needs=Right.OPERATE,
                summary="Have the controller aim at something else.",
            ),
            Operation(
                method="POST", path="/routing/what-if", handler=self._what_if, answers=PlanView,
                takes=WhatIf, summary="What the controller would decide if; changes nothing.",
            ),
        ]  # fmt: skip

    async def _plan(self, call: Call) -> PlanView:
        return self._current()[0]

    async def _forecasts(self, call: Call) -> tuple[Forecast, ...]:
        return await self._current()[1].forecasts()

    async def _set_objective(self, call: Call) -> PlanView:
        before, commands = self._current()
        wish: SetObjective = call.body
        if wish.revision not in (None, before.revision):
            raise Refused(
                409,
                f"the plan is at revision {before.revision} by now, aiming at "
                f"'{before.objective}'; look at it and try again",
                "revision",
            )
        if wish.objective not in before.objectives:
            known = ", ".join(before.objectives)
            raise Refused(
                400, f"the controller can aim at {known}, not '{wish.objective}'", "objective"
            )
        after = await commands.set_objective(wish.objective)
        call.note(before.objective, after.objective)
        return after

    async def _what_if(self, call: Call) -> PlanView:
        return await self._current()[1].what_if(call.body)

    def _current(self) -> tuple[PlanView, RoutingCommands]:
        plans = self._hub.latest(PlanView)
        if self._commands is None:
            raise Refused(404, "no routing controller runs here")
        if not plans:
            raise Refused(404, "the routing controller has made no plan yet; try again in a moment")
        return plans[0], self._commands
