"""A channel to rehearse alignment on: a random fibre, a real actuator, and shot noise.

What the policies believe of the actuator is one thing (`Actuator`), what it does here is another:
its elements have errors, its moves lose their way.
"""

from __future__ import annotations

import numpy as np

from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.measurement import Measurement
from qnx_hw.control.polarization.rotations import Real, scattered, turn
from qnx_hw.control.polarization.solution import loss, overlap, solve


class Rehearsal:
    """A fibre and the actuator behind it; time passes by settings."""

    def __init__(
        self,
        actuator: Actuator,
        rng: np.random.Generator,
        *,
        visibility: float = 0.97,
        errors: Real | None = None,
    ) -> None:
        self._actuator = actuator
        self._rng = rng
        self._visibility = visibility
        self._errors = np.zeros((len(actuator.axes), 2)) if errors is None else errors
        self.fibre: Real = scattered(1, rng)[0]
        self.values = actuator.resting
        self._turned_at: tuple[tuple[float, ...], Real] | None = None
        self.moved_s = 0.0
        self._axis = rng.standard_normal(3)

    def move(self, values: tuple[float, ...]) -> None:
        """Send the axes somewhere; backlash leaves those that come from above short of it."""
        here, there = np.array(self.values), self._actuator.within(np.array(values))
        self.moved_s += float(self._actuator.move_time_s(here, there))
        self.values = tuple(there.tolist())

    def drift(self, angle_rad: float, wander: float = 0.1) -> None:
        """Turn the fibre by an angle about an axis that wanders."""
        self._axis += wander * np.linalg.norm(self._axis) * self._rng.standard_normal(3)
        self._axis /= np.linalg.norm(self._axis)
        self.fibre = turn(angle_rad * self._axis) @ self.fibre

    def measure(self, coincidences: float) -> Measurement:
        """Return Poissonian counts of the present setting with this mean in all."""
        seen = self._visibility * overlap(self.fibre, self._turned())
        rounds = self._rng.poisson(coincidences / 4, size=(2, 2))
        equal = self._rng.binomial(rounds, np.clip((1 + seen) / 2, 0.0, 1.0))
        (a, b), (c, d) = equal.tolist()
        (e, f), (g, h) = rounds.tolist()
        return Measurement(self.values, ((a, b), (c, d)), ((e, f), (g, h)))

    @property
    def excess(self) -> float:
        """The true error rate above that of a perfect setting."""
        return float(self._visibility * loss(self.fibre, self._turned()) / 2)

    def excess_at(self, values: tuple[float, ...]) -> float:
        """Return what `excess` would be elsewhere."""
        turned = self._actuator.rotations(np.array([values]), self._errors[None])[0]
        return float(self._visibility * loss(self.fibre, turned) / 2)

    @property
    def least_excess(self) -> float:
        """The excess of the best setting that the actuator has."""
        return self.excess_at(solve(self._actuator, self.fibre, self.values, self._errors))

    def _turned(self) -> Real:
        if self._turned_at is None or self._turned_at[0] != self.values:
            there = np.array([self.values])
            turned = np.asarray(self._actuator.rotations(there, self._errors[None])[0])
            self._turned_at = self.values, turned
        return self._turned_at[1]
