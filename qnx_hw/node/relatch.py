"""Brings latched detectors of a link's end back: rates from the tagger, bias of the detectors."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.api.schema import Level
from qnx_hw.control.bias import BiasSeen, Relatching
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.errors import InstrumentError, QnxError
from qnx_hw.instruments.families import Instrument, PhotonDetector
from qnx_hw.instruments.values import Family
from qnx_hw.node.bank import Mounted
from qnx_hw.node.loop_seat import LoopSeat
from qnx_hw.node.tellers import Teller

LOOK_INTERVAL_S = 2.0
"""Rates are averaged over a second; this long after a change of bias none of it is old."""
READY_TIMEOUT_S = 30.0
ALGORITHM = "relatch"


class BiasActuation(Actuation):
    """The bias of the detectors behind a tagger's inputs, in the order of these inputs."""

    def __init__(
        self, mounted: Mounted, channels: tuple[int, ...], limits: tuple[float, float], unit: str
    ) -> None:
        self._mounted = mounted
        self._channels = channels
        self._limits = limits
        self._unit = unit

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return one axis for each detector."""
        low, high = self._limits
        return tuple(
            ActuatorAxis(name=f"detector {channel}", unit=self._unit, low=low, high=high)
            for channel in self._channels
        )

    def positions(self) -> tuple[float, ...]:
        """Read the biases that the detectors hold."""
        held = self._mounted.ask(lambda instrument: instrument.settings())
        try:
            found = tuple(float(held[f"bias_{c}_{self._unit}"]) for c in self._channels)
        except KeyError as error:
            raise InstrumentError(f"'{self._mounted.name}' does not tell its bias") from error
        return found

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Set what differs."""
        held = self.positions()

        def apply(instrument: Instrument) -> None:
            # The family was checked when the loop was opened; protocols do not narrow.
            detector = cast("PhotonDetector", instrument)
            for channel, value, now in zip(self._channels, values, held, strict=True):
                if not math.isclose(value, now, rel_tol=1e-3, abs_tol=1e-12):
                    detector.set_bias(channel, value)

        self._mounted.ask(apply)
        return self.positions()

    def make_safe(self) -> None:
        """The driver switches the bias off when it lets go; nothing is to be done before."""


class Relatch:
    """Looks at the rates every few seconds until cancelled."""

    def __init__(
        self,
        title: Title,
        channels: tuple[int, ...],
        rates_cps: Callable[[], tuple[float, ...]],
        folder: Path,
        tell: Teller,
    ) -> None:
        """`rates_cps` gives clicks per second of the detectors `channels`, in this order."""
        self.seat = LoopSeat(title, algorithm=ALGORITHM, target=0.0, is_held=False)
        self._channels = channels
        self._rates_cps = rates_cps
        self._folder = folder
        self._tell = tell

    async def run(self, mounted: Mounted) -> None:
        """Keep the detectors alive until cancelled."""
        try:
            loop = await self.seat.worker.call(self._open, mounted)
        except QnxError as error:
            self._tell(Level.ALARM, self.seat.name, str(error))
            return
        self.seat.loop = loop
        try:
            while True:
                await asyncio.sleep(LOOK_INTERVAL_S)
                await self.look(loop)
        finally:
            self.seat.leave()

    async def look(self, loop: Loop[BiasSeen]) -> None:
        """Show the loop the newest rates, where there are any."""
        rates_cps = self._rates_cps()
        if len(rates_cps) < len(self._channels):
            return
        seen = rates_cps[: len(self._channels)]
        if await self.seat.worker.call(loop.observe, lambda biases: BiasSeen(biases, seen)):
            self._tell(Level.WARNING, self.seat.name, loop.view.message)

    def _open(self, mounted: Mounted) -> Loop[BiasSeen]:
        """Make the loop once the detectors have told what they are; blocks."""

        def ask(instrument: Instrument) -> tuple[tuple[float, float], str]:
            if instrument.family is not Family.PHOTON_DETECTOR:
                raise InstrumentError(f"'{mounted.name}' detects no photons")
            # The family says which interface the instrument has; protocols do not narrow.
            capabilities = cast("PhotonDetector", instrument).capabilities
            if not capabilities.bias_unit or capabilities.n_channels < max(self._channels):
                raise InstrumentError(f"'{mounted.name}' has no bias to set for these detectors")
            return capabilities.bias_range, capabilities.bias_unit

        limits, unit = mounted.ask(ask, timeout_s=READY_TIMEOUT_S)
        return Loop(
            self.seat.title,
            BiasActuation(mounted, self._channels, limits, unit),
            lambda algorithm, target: Relatching(),
            algorithms=(ALGORITHM,),
            target=0.0,
            log=DecisionLog(self._folder, time.time),
        )
