"""A link's alignment in its node: what a block discloses, and a controller of one or more parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from qnx_hw.config.alignment import AlignmentSection
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Loop, Title
from qnx_hw.errors import InstrumentError
from qnx_hw.instruments.families import Instrument, PolarizationController
from qnx_hw.instruments.joined import JoinedController
from qnx_hw.instruments.values import Family
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import READY_TIMEOUT_S, NodeLoop, Plan
from qnx_hw.node.recipes import PolarizationRecipe
from qnx_hw.qkd.roles import Role

if TYPE_CHECKING:
    from qnx_hw.control.polarization import Measurement

Result = TypeVar("Result")


class Alignment(NodeLoop):
    """The loop that keeps the polarization of a link."""

    def __init__(
        self,
        title: Title,
        role: Role,
        section: AlignmentSection,
        instruments: tuple[str, ...],
        folder: Path,
    ) -> None:
        """`instruments` are the parts of the controller, as the light passes them."""
        self.plan = Plan(title, instruments, section.algorithm, section.target, section.starts_held)
        self._role = role
        self._section = section
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[Measurement]:
        """Make the loop once the controller has told what it is."""
        from qnx_hw.control.polarization import ALGORITHMS
        from qnx_hw.control.polarization.controller import ControllerActuation

        recipe = PolarizationRecipe(
            capabilities=asked(
                mounted, lambda controller: controller.capabilities, timeout_s=READY_TIMEOUT_S
            ),
            retardances_deg=self._section.retardances_deg,
            backlash=self._section.backlash,
        )
        first = self._section.algorithm
        return Loop(
            self.plan.title,
            ControllerActuation(lambda function: asked(mounted, function), recipe.actuator()),
            recipe.policy,
            algorithms=(first, *(each for each in ALGORITHMS if each != first)),
            target=self._section.target,
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], Measurement] | None:
        """Look at the coincidences that a block disclosed."""
        if judged is None or np.shape(judged.metrics.matrix) != (4, 4):
            return None
        from qnx_hw.control.polarization import Measurement

        metrics = judged.metrics
        return lambda values: Measurement.of_matrix(
            metrics.matrix,
            values,
            near_is_rows=self._role is Role.ALICE,
            tested=metrics.tested,
        )


def asked(
    mounted: Sequence[Mounted],
    function: Callable[[PolarizationController], Result],
    *,
    timeout_s: float = 0.0,
) -> Result:
    """Call a function with the controller that these instruments are together."""

    def gather(rest: Sequence[Mounted], parts: tuple[PolarizationController, ...]) -> Result:
        if not rest:
            return function(parts[0] if len(parts) == 1 else JoinedController(parts))
        first, *others = rest
        return first.ask(
            lambda instrument: gather(others, (*parts, _controller(instrument, first.name))),
            timeout_s=timeout_s,
        )

    return gather(mounted, ())


def _controller(instrument: Instrument, name: str) -> PolarizationController:
    if instrument.family is not Family.POLARIZATION_CONTROLLER:
        raise InstrumentError(f"'{name}' is no polarization controller")
    # The family says which interface the instrument has; protocols do not narrow.
    return cast("PolarizationController", instrument)
