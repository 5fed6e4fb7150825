"""What loops turn at the detectors of an end: each one's bias, or the level of its comparator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, cast

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.control.loop import Actuation
from qnx_hw.errors import InstrumentError
from qnx_hw.instruments.families import Instrument, PhotonDetector
from qnx_hw.instruments.values import DetectorCapabilities, DetectorLevels, Family
from qnx_hw.node.bank import Mounted
from qnx_hw.node.loop_runner import READY_TIMEOUT_S

AUTO_TIMEOUT_S = 120.0
STEPS_IN_RANGE = 20
Result = TypeVar("Result")


class Level(StrEnum):
    """Which of a detector's two levels."""

    BIAS = "bias"
    THRESHOLD = "threshold"

    def of(self, held: DetectorLevels) -> float:
        """Return what a detector holds."""
        return held.bias if self is Level.BIAS else held.threshold_v

    def unit_and_range(self, capabilities: DetectorCapabilities) -> tuple[str, float, float] | None:
        """Return the level's unit, least and most; None where it cannot be set."""
        if self is Level.BIAS:
            unit, limits = capabilities.bias_unit, capabilities.bias_range
        else:
            unit, limits = "V", capabilities.threshold_range_v or (0.0, 0.0)
        return (unit, *limits) if unit and limits[0] < limits[1] else None


@dataclass(frozen=True, slots=True)
class Head:
    """One detector: the instrument that has it, and its number there."""

    mounted: Mounted
    channel: int

    def ask(self, function: Callable[[PhotonDetector], Result], timeout_s: float = 0.0) -> Result:
        """Call a function with the instrument."""

        def call(instrument: Instrument) -> Result:
            if instrument.family is not Family.PHOTON_DETECTOR:
                raise InstrumentError(f"'{self.mounted.name}' detects no photons")
            # The family says which interface the instrument has; protocols do not narrow.
            return function(cast("PhotonDetector", instrument))

        return self.mounted.ask(call, timeout_s=timeout_s)


def heads_of(mounted: Sequence[Mounted], inputs: tuple[int, ...]) -> tuple[Head, ...]:
    """Return the detectors behind a tagger's inputs: of one bank, or the first of each of many."""
    if len(mounted) == 1 and len(inputs) > 1:
        return tuple(Head(mounted[0], number) for number in inputs)
    return tuple(Head(each, 1) for each in mounted)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a level may be put, in its unit."""

    unit: str
    whole: tuple[float, float]
    low: float
    high: float
    step: float
    has_auto_bias: bool


def span_of(
    level: Level,
    heads: Sequence[Head],
    limits: tuple[float | None, float | None],
    step: float | None,
) -> Span:
    """Ask the instruments what they can do, within the limits of the network file."""
    lows, highs, units, autos = [], [], set(), []
    for head in heads:
        able = head.ask(lambda detector: detector.capabilities, READY_TIMEOUT_S)
        found = level.unit_and_range(able)
        if found is None or able.n_channels < head.channel:
            raise InstrumentError(
                f"'{head.mounted.name}' has no {level} to set for these detectors"
            )
        units.add(found[0])
        lows.append(found[1])
        highs.append(found[2])
        autos.append(able.has_auto_bias)
    if len(units) > 1:
        raise InstrumentError(f"the {level} of these detectors is in {' and '.join(sorted(units))}")
    whole = max(lows), min(highs)
    bottom = whole[0] if limits[0] is None else max(limits[0], whole[0])
    top = whole[1] if limits[1] is None else min(limits[1], whole[1])
    return Span(
        units.pop(), whole, bottom, top, step or (top - bottom) / STEPS_IN_RANGE, all(autos)
    )


class DetectorLevelsActuation(Actuation):
    """One level of the detectors behind a tagger's inputs, in the order of these inputs."""

    def __init__(
        self,
        level: Level,
        heads: tuple[Head, ...],
        inputs: tuple[int, ...],
        span: Span,
        dark_cps: float = 0.0,
    ) -> None:
        """`dark_cps` are the dark counts per second for which biases are found."""
        self._level = level
        self._heads = heads
        self._inputs = inputs
        self._span = span
        self._dark_cps = dark_cps

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return one axis for each detector."""
        low, high = self._span.whole
        return tuple(
            ActuatorAxis(name=f"detector {number}", unit=self._span.unit, low=low, high=high)
            for number in self._inputs
        )

    def positions(self) -> tuple[float, ...]:
        """Read what the detectors hold."""
        held = {
            head.mounted.name: head.ask(lambda detector: detector.levels())
            for head in {each.mounted.name: each for each in self._heads}.values()
        }
        return tuple(
            self._level.of(held[each.mounted.name][each.channel - 1]) for each in self._heads
        )

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Set what differs."""
        for head, value, now in zip(self._heads, values, self.positions(), strict=True):
            if not math.isclose(value, now, rel_tol=1e-3, abs_tol=1e-12):
                self._set(head, value)
        return self.positions()

    def find(self) -> tuple[float, ...]:
        """Let the detectors find their biases; what lies beyond the limits is brought back."""
        (bank,) = {each.mounted.name: each for each in self._heads}.values()

        def search(detector: PhotonDetector) -> None:
            targets = [self._dark_cps] * detector.capabilities.n_channels
            detector.auto_bias(targets, timeout_s=AUTO_TIMEOUT_S)

        bank.ask(search)
        low, high = self._span.low, self._span.high
        return self.move(tuple(min(max(each, low), high) for each in self.positions()))

    def make_safe(self) -> None:
        """The driver takes the bias away when it lets go; nothing is to be done before."""

    def _set(self, head: Head, value: float) -> None:
        channel = head.channel
        if self._level is Level.BIAS:
            head.ask(lambda detector: detector.set_bias(channel, value))
        else:
            head.ask(lambda detector: detector.set_threshold_v(channel, value))
