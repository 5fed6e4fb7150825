"""What a polarization controller does to the light: a stack of retarders, with limits and errors.

Each element turns the Poincaré sphere about an axis in the linear plane: a plate at angle θ about
(sin 2θ, 0, cos 2θ) (order x, y, z) by its retardance. The light passes the elements in the order of
the axes. Every element has two small unknowns that an estimate may fit: its retardance (rad; for
driven elements relative) and its zero (rad on the sphere).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Protocol

import numpy as np

from qnx_hw.control.polarization.rotations import Real, turn
from qnx_hw.errors import ConfigError
from qnx_hw.instruments.values import AxisKind, AxisRange, PolarizationCapabilities

QUARTER_WAVE_RAD = np.pi / 2
HALF_WAVE_RAD = np.pi


class Element(Protocol):
    """One retarder."""

    @property
    @abstractmethod
    def sigmas(self) -> tuple[float, float]:
        """How far, as a standard deviation, the two unknowns may be from zero."""

    @abstractmethod
    def vectors(self, values: Real, errors: Real) -> Real:
        """Return rotation vectors (n, 3) for values (n,) and unknowns (n, 2)."""

    @abstractmethod
    def spread(self, parts: Real, axis: AxisRange) -> Real:
        """Return values that cover the element's effect evenly, for parts from 0 to 1."""

    @abstractmethod
    def part(self, value: float, axis: AxisRange) -> float:
        """Return the part of which `spread` makes this value."""

    @abstractmethod
    def period(self, axis: AxisRange) -> float:
        """Return after which part the effect repeats itself."""


@dataclass(frozen=True, slots=True)
class RotatingPlate(Element):
    """A wave plate, or a fibre paddle, at a set angle in degrees."""

    retardance_rad: float
    sigmas: tuple[float, float] = (np.deg2rad(2.5), np.deg2rad(1.0))

    def vectors(self, values: Real, errors: Real) -> Real:
        """Return rotation vectors; the zero's error is the doubled angle."""
        angle = 2 * np.deg2rad(values) + errors[:, 1]
        return _in_linear_plane(self.retardance_rad + errors[:, 0], angle)

    def spread(self, parts: Real, axis: AxisRange) -> Real:
        """Return angles, evenly."""
        return axis.low + parts * (axis.high - axis.low)

    def part(self, value: float, axis: AxisRange) -> float:
        """Return the part of the range."""
        return (value - axis.low) / (axis.high - axis.low)

    def period(self, axis: AxisRange) -> float:
        """Return half a turn: a plate has no front."""
        return 180.0 / (axis.high - axis.low)


@dataclass(frozen=True, slots=True)
class DrivenRetarder(Element):
    """A squeezer or liquid crystal at a fixed angle, its retardance a curve over the voltage."""

    angle_deg: float
    curve: tuple[tuple[float, float], ...]
    """Voltage and retardance in rad, rising in voltage; straight lines between."""
    sigmas: tuple[float, float] = (0.02, 0.05)

    def vectors(self, values: Real, errors: Real) -> Real:
        """Return rotation vectors."""
        size = np.interp(values, *_columns(self.curve)) * (1 + errors[:, 0]) + errors[:, 1]
        return _in_linear_plane(size, 2 * np.deg2rad(self.angle_deg))

    def spread(self, parts: Real, axis: AxisRange) -> Real:
        """Return voltages that are even in retardance."""
        volts, retardances = _columns(self.curve)
        order = np.argsort(retardances)
        wanted = retardances.min() + parts * np.ptp(retardances)
        found = np.interp(wanted, retardances[order], volts[order])
        return np.asarray(np.clip(found, axis.low, axis.high))

    def part(self, value: float, axis: AxisRange) -> float:
        """Return the part of the range of retardances."""
        volts, retardances = _columns(self.curve)
        return float((np.interp(value, volts, retardances) - retardances.min()) / self._range_rad)

    def period(self, axis: AxisRange) -> float:
        """Return one wave of retardance."""
        return 2 * np.pi / self._range_rad

    @property
    def _range_rad(self) -> float:
        return float(np.ptp(_columns(self.curve)[1]))


def _in_linear_plane(size: Real, angle: Real | float) -> Real:
    """Return rotation vectors of these lengths, at an angle from z towards x."""
    vectors = np.zeros((len(size), 3))
    vectors[:, 0], vectors[:, 2] = size * np.sin(angle), size * np.cos(angle)
    return vectors


@lru_cache(maxsize=32)
def _columns(curve: tuple[tuple[float, float], ...]) -> tuple[Real, Real]:
    volts, retardances = np.array(curve).T
    return volts, retardances


@dataclass(frozen=True, slots=True)
class Actuator:
    """A controller's elements with the ranges and speeds of their axes."""

    elements: tuple[Element, ...]
    axes: tuple[AxisRange, ...]
    settle_s: float = 0.0
    update_rate_hz: float = 100.0
    backlash: tuple[float, ...] = field(default=())
    """By how much each axis falls short when it comes from above, in its unit; empty is none."""

    def rotations(self, values: Real, errors: Real | None = None) -> Real:
        """Return what settings (n, axes) with unknowns (n, axes, 2) do to the sphere: (n, 3, 3)."""
        if errors is None:
            errors = np.zeros((len(values), len(self.elements), 2))
        vectors = [
            element.vectors(values[:, number], errors[:, number])
            for number, element in enumerate(self.elements)
        ]
        first, *others = turn(np.stack(vectors))
        return np.asarray(reduce(lambda whole, one: one @ whole, others, first))

    def parts(self, values: Sequence[float]) -> Real:
        """Return a setting in parts of each element's effect, 0 to 1."""
        columns = zip(self.elements, values, self.axes, strict=True)
        return np.array([each.part(value, axis) for each, value, axis in columns])

    def settings(self, parts: Real) -> Real:
        """Return settings (..., axes), within all ranges, of parts of each element's effect."""
        columns = zip(self.elements, np.moveaxis(parts, -1, 0), self.axes, strict=True)
        spread = [each.spread(part, axis) for each, part, axis in columns]
        return self.within(np.stack(spread, axis=-1))

    @property
    def lows(self) -> Real:
        """The lowest value of each axis."""
        return np.array([axis.low for axis in self.axes])

    @property
    def highs(self) -> Real:
        """The highest value of each axis."""
        return np.array([axis.high for axis in self.axes])

    def within(self, values: Real) -> Real:
        """Return settings (..., axes) brought into range: periodic axes wrapped, others cut off."""
        periodic = np.array([axis.periodic for axis in self.axes])
        span = self.highs - self.lows
        wrapped = self.lows + np.mod(values - self.lows, span)
        return np.where(periodic, wrapped, np.clip(values, self.lows, self.highs))

    def steps(self, start: Real, end: Real) -> Real:
        """Return how far each axis goes (..., axes), the short way round where it may."""
        periodic = np.array([axis.periodic for axis in self.axes])
        span = self.highs - self.lows
        step = end - start
        return np.where(periodic, step - span * np.round(step / span), step)

    def move_time_s(self, start: Real, end: Real) -> Real:
        """Return how long moves (..., axes) take, settling included."""
        speeds = np.array([axis.speed_per_s or np.inf for axis in self.axes])
        slowest = np.max(np.abs(self.steps(start, end)) / speeds, axis=-1)
        return np.asarray(np.maximum(slowest + self.settle_s, 1 / self.update_rate_hz))

    def approach(self, start: Sequence[float], end: Sequence[float]) -> tuple[float, ...] | None:
        """Return where to go first, so that every axis reaches `end` from below; None if nowhere.

        Axes with backlash then always stand on the same flank of their gears.
        """
        if not self.backlash:
            return None
        step = self.steps(np.array(start), np.array(end))
        slack = np.array(self.backlash)
        via = np.where((step < 0) & (slack > 0), np.array(end) - 2 * slack, np.array(end))
        via = self.within(via)
        return tuple(via.tolist()) if np.any(via != np.array(end)) else None

    @property
    def error_sigmas(self) -> Real:
        """Prior standard deviations of all unknowns, (axes, 2)."""
        return np.array([element.sigmas for element in self.elements])

    @property
    def resting(self) -> tuple[float, ...]:
        """The middle of every range: a safe place from which to search."""
        return tuple(((self.lows + self.highs) / 2).tolist())


PLATES = {
    2: (QUARTER_WAVE_RAD, HALF_WAVE_RAD),
    3: (QUARTER_WAVE_RAD, HALF_WAVE_RAD, QUARTER_WAVE_RAD),
}
"""The usual order of rotating elements."""

# Half-wave voltage of an OZ Optics squeezer at 1550 nm: pieces have 2.5 to 3.5 V; fit the one you
# have.
SQUEEZER_VOLTS_PER_HALF_WAVE = 3.0
# A full-wave liquid crystal: flat below its threshold, steepest near 2 V (typical).
CRYSTAL_CURVE = (
    (0.0, 2.2 * np.pi),
    (1.0, 2.15 * np.pi),
    (1.5, 1.8 * np.pi),
    (2.0, 1.3 * np.pi),
    (2.5, 0.95 * np.pi),
    (3.5, 0.6 * np.pi),
    (5.0, 0.36 * np.pi),
    (7.0, 0.24 * np.pi),
    (10.0, 0.16 * np.pi),
    (25.0, 0.06 * np.pi),
)


def actuator_of(
    capabilities: PolarizationCapabilities,
    *,
    retardances_rad: Sequence[float] = (),
    backlash: Sequence[float] = (),
) -> Actuator:
    """Return the model of a controller as it is usually built.

    Rotating elements are quarter, half and quarter wave unless `retardances_rad` says otherwise;
    driven ones stand at 0, 45, 0, 45 degrees in turn.
    """
    kinds = {axis.kind for axis in capabilities.axes}
    n_axes = len(capabilities.axes)
    elements: tuple[Element, ...]
    if kinds <= {AxisKind.PADDLE_ANGLE, AxisKind.WAVE_PLATE_ANGLE}:
        plates = tuple(retardances_rad) or PLATES.get(n_axes, ())
        if len(plates) != n_axes:
            raise ConfigError(f"{n_axes} rotating axes need {n_axes} retardances")
        elements = tuple(RotatingPlate(each) for each in plates)
    elif kinds == {AxisKind.SQUEEZER_VOLTAGE}:
        elements = tuple(
            DrivenRetarder(45.0 * (number % 2), _straight(axis))
            for number, axis in enumerate(capabilities.axes)
        )
    elif kinds == {AxisKind.RETARDANCE_VOLTAGE}:
        elements = tuple(DrivenRetarder(45.0 * (n % 2), CRYSTAL_CURVE) for n in range(n_axes))
    else:
        raise ConfigError("a controller with axes of different kinds needs a model of its own")
    return Actuator(
        elements,
        capabilities.axes,
        capabilities.settle_s,
        capabilities.update_rate_hz,
        tuple(backlash),
    )


def _straight(axis: AxisRange) -> tuple[tuple[float, float], ...]:
    rad_per_v = np.pi / SQUEEZER_VOLTS_PER_HALF_WAVE
    return (axis.low, axis.low * rad_per_v), (axis.high, axis.high * rad_per_v)
