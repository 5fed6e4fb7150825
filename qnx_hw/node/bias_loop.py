"""Bias of a link's detectors: found in the dark, climbed to the most key, given back if latched."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.config.loops import BiasSection
from qnx_hw.control.bias import BiasSeen
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.errors import InstrumentError
from qnx_hw.instruments.families import Instrument, PhotonDetector
from qnx_hw.instruments.values import Family
from qnx_hw.node.bank import Mounted
from qnx_hw.node.key_merit import merit_of
from qnx_hw.node.loop_runner import READY_TIMEOUT_S, NodeLoop, Plan
from qnx_hw.node.recipes import BiasRecipe
from qnx_hw.node.station import Judged

LOOK_INTERVAL_S = 2.0
"""Rates are averaged over a second; this long after a change of bias none of it is old."""
ALGORITHMS = ("relatch", "climb", "auto")
AUTO_TIMEOUT_S = 120.0
STEPS_IN_RANGE = 20


@dataclass(frozen=True, slots=True)
class Span:
    """Where the biases may be put, in the detectors' unit."""

    unit: str
    whole: tuple[float, float]
    low: float
    high: float
    step: float
    algorithms: tuple[str, ...]


class BiasActuation(Actuation):
    """The bias of the detectors behind a tagger's inputs, in the order of these inputs."""

    def __init__(
        self, mounted: Mounted, channels: tuple[int, ...], span: Span, dark_cps: float
    ) -> None:
        """`dark_cps` are the dark counts per second for which biases are found."""
        self._mounted = mounted
        self._channels = channels
        self._span = span
        self._unit = span.unit
        self._dark_cps = dark_cps

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return one axis for each detector."""
        low, high = self._span.whole
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

    def find(self) -> tuple[float, ...]:
        """Let the detectors find their biases; what lies beyond the limits is brought back."""

        def search(instrument: Instrument) -> None:
            # The family was checked when the loop was opened; protocols do not narrow.
            detector = cast("PhotonDetector", instrument)
            targets = [self._dark_cps] * detector.capabilities.n_channels
            detector.auto_bias(targets, timeout_s=AUTO_TIMEOUT_S)

        self._mounted.ask(search)
        low, high = self._span.low, self._span.high
        return self.move(tuple(min(max(each, low), high) for each in self.positions()))

    def make_safe(self) -> None:
        """The driver switches the bias off when it lets go; nothing is to be done before."""


class BiasLoop(NodeLoop):
    """The loop of one end's detectors."""

    def __init__(
        self,
        title: Title,
        section: BiasSection,
        channels: tuple[int, ...],
        rates_cps: Callable[[], tuple[float, ...]],
        folder: Path,
    ) -> None:
        """`rates_cps` gives clicks per second of the detectors `channels`, in this order."""
        self.plan = Plan(
            title,
            (title.instrument,),
            section.algorithm,
            starts_held=section.starts_held,
            interval_s=LOOK_INTERVAL_S,
        )
        self._section = section
        self._channels = channels
        self._rates_cps = rates_cps
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[BiasSeen]:
        """Make the loop once the detectors have told what they are."""
        (detectors,) = mounted
        span = detectors.ask(self._range, timeout_s=READY_TIMEOUT_S)

        recipe = BiasRecipe(
            low=span.low, high=span.high, step=span.step, dark_cps=self._section.dark_cps
        )
        first = self._section.algorithm
        return Loop(
            self.plan.title,
            BiasActuation(detectors, self._channels, span, self._section.dark_cps),
            recipe.policy,
            algorithms=(first, *(each for each in span.algorithms if each != first)),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], BiasSeen] | None:
        """Look at the newest rates, and at the key that a block promises."""
        seen = self._rates_cps()[: len(self._channels)]
        if len(seen) < len(self._channels):
            return None
        merit, sigma = (math.nan, 0.0) if judged is None else merit_of(judged.metrics)
        return lambda biases: BiasSeen(biases, seen, merit, sigma)

    def _range(self, instrument: Instrument) -> Span:
        if instrument.family is not Family.PHOTON_DETECTOR:
            raise InstrumentError(f"'{self.plan.title.instrument}' detects no photons")
        # The family says which interface the instrument has; protocols do not narrow.
        capabilities = cast("PhotonDetector", instrument).capabilities
        if not capabilities.bias_unit or capabilities.n_channels < max(self._channels):
            raise InstrumentError(
                f"'{self.plan.title.instrument}' has no bias to set for these detectors"
            )
        section = self._section
        known = ALGORITHMS if capabilities.has_auto_bias else ALGORITHMS[:-1]
        if section.algorithm not in known:
            raise InstrumentError(
                f"'{self.plan.title.instrument}' finds no bias by itself; choose one of "
                f"{', '.join(known)}"
            )
        low, high = capabilities.bias_range
        bottom = low if section.low is None else max(section.low, low)
        top = high if section.high is None else min(section.high, high)
        step = section.step or (top - bottom) / STEPS_IN_RANGE
        return Span(capabilities.bias_unit, (low, high), bottom, top, step, known)
