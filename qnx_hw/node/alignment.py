"""A link's alignment in its node: what a block discloses goes to the loop, off the event loop.

How it thinks: a block is looked at if it began after the axes last came to rest; one that saw a
move is left out. The station never waits for the loop: of blocks that come while it computes or
moves, the newest is kept.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.api.schema import Level
from qnx_hw.config.alignment import AlignmentSection
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Loop, Title
from qnx_hw.errors import InstrumentError, QnxError
from qnx_hw.instruments.families import Instrument, PolarizationController
from qnx_hw.instruments.values import Family
from qnx_hw.node.bank import Mounted
from qnx_hw.node.loop_seat import LoopSeat
from qnx_hw.node.station import Judged
from qnx_hw.node.tellers import Teller
from qnx_hw.qkd.roles import Role

if TYPE_CHECKING:
    from qnx_hw.control.polarization import Actuator, Measurement

log = logging.getLogger(__name__)

SETTLED_S = 0.5
"""Tags are on their way for so long; a block that began sooner after a move has seen it."""
READY_TIMEOUT_S = 30.0
STATES_TOLD = {
    LoopState.TRACKING: Level.OK,
    LoopState.SEARCHING: Level.WARNING,
    LoopState.FAULT: Level.ALARM,
}


class Alignment:
    """Runs one alignment loop until cancelled; all methods belong to the event loop's thread."""

    def __init__(
        self, title: Title, role: Role, section: AlignmentSection, folder: Path, tell: Teller
    ) -> None:
        self.seat = LoopSeat(
            title,
            algorithm=section.algorithm,
            target=section.target,
            is_held=section.starts_held,
        )
        self._role = role
        self._section = section
        self._folder = folder
        self._tell = tell
        self._newest: Judged | None = None
        self._bell = asyncio.Event()
        self._rested_s = time.monotonic()
        self._told: LoopState | None = None

    def judged(self, judged: Judged) -> None:
        """Take what a block disclosed; returns at once."""
        self._newest = judged
        self._bell.set()

    async def run(self, mounted: Mounted) -> None:
        """Keep the link aligned by a controller until cancelled."""
        try:
            loop = await self.seat.worker.call(self._open, mounted)
        except QnxError as error:
            self._tell(Level.ALARM, self.seat.name, str(error))
            return
        self.seat.loop = loop
        if self._section.starts_held:
            loop.hold()
        try:
            while True:
                await self._bell.wait()
                self._bell.clear()
                await self._look(loop)
        finally:
            self.seat.leave()

    async def _look(self, loop: Loop[Measurement]) -> None:
        judged, self._newest = self._newest, None
        if judged is None or judged.began_s < self._rested_s + SETTLED_S:
            return
        if np.shape(judged.metrics.matrix) != (4, 4):
            return
        moved = await self.seat.worker.call(loop.observe, lambda values: self._see(judged, values))
        if moved:
            self._rested_s = time.monotonic()
        view = loop.view
        if view.state is not self._told and view.state in STATES_TOLD:
            self._tell(STATES_TOLD[view.state], self.seat.name, f"{view.state}: {view.message}")
            self._told = view.state

    def _see(self, judged: Judged, values: tuple[float, ...]) -> Measurement:
        from qnx_hw.control.polarization import Measurement

        return Measurement.of_matrix(
            judged.metrics.matrix,
            values,
            near_is_rows=self._role is Role.ALICE,
            tested=judged.metrics.tested,
        )

    def _open(self, mounted: Mounted) -> Loop[Measurement]:
        """Make the loop once the controller has told what it is; blocks."""
        from qnx_hw.control.polarization import ALGORITHMS, actuator_of, make
        from qnx_hw.control.polarization.controller import ControllerActuation

        actuator: Actuator = mounted.ask(
            lambda instrument: actuator_of(
                _controller(instrument, mounted.name).capabilities,
                retardances_rad=tuple(np.deg2rad(self._section.retardances_deg)),
                backlash=self._section.backlash,
            ),
            timeout_s=READY_TIMEOUT_S,
        )
        actuation = ControllerActuation(
            lambda function: mounted.ask(
                lambda instrument: function(_controller(instrument, mounted.name))
            ),
            actuator,
        )
        first = self._section.algorithm
        return Loop(
            self.seat.title,
            actuation,
            lambda algorithm, target: make(algorithm, actuator, target=target),
            algorithms=(first, *(each for each in ALGORITHMS if each != first)),
            target=self._section.target,
            log=DecisionLog(self._folder, time.time),
        )


def _controller(instrument: Instrument, name: str) -> PolarizationController:
    if instrument.family is not Family.POLARIZATION_CONTROLLER:
        raise InstrumentError(f"'{name}' is no polarization controller")
    # The family says which interface the instrument has; protocols do not narrow.
    return cast("PolarizationController", instrument)
