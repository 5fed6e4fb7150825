"""What the policies of loops are made from; a log keeps it, so that a replay has the same policy.

A loop and the replay of its log make their policies here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np

from qnx_hw.control import decision_log
from qnx_hw.control.bias import AutoBias, BiasClimb, BiasSeen, Relatching
from qnx_hw.control.decision_log import Logged
from qnx_hw.control.delays import DelaysSeen, DelayTracking
from qnx_hw.control.policy import Decision, Policy, Seen
from qnx_hw.control.source import DecoyAttenuation, MeansSeen, PowerSeen, SourcePower
from qnx_hw.control.window import WindowPolicy, WindowSeen
from qnx_hw.errors import RecordingError
from qnx_hw.instruments.values import PolarizationCapabilities

if TYPE_CHECKING:
    from qnx_hw.control.polarization import Actuator

Numbers: TypeAlias = tuple[float, ...]
LEAST_STEP = 0.1
"""A climb ends with steps of this part of the first one."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True, tag_field="loop"):
    """What one kind of loop makes its policies from, and what it saw from a log's numbers.

    Any in `policy`: each kind looks at something else.
    """

    def encoded(self) -> bytes:
        """Return the recipe as a log keeps it."""
        return msgspec.json.encode(self)


class PolarizationRecipe(Recipe, frozen=True, tag="polarization"):
    """A controller as its driver told it and the network file corrects it."""

    capabilities: PolarizationCapabilities
    retardances_deg: Numbers = ()
    backlash: Numbers = ()

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make an aligner for this controller."""
        from qnx_hw.control.polarization import make

        return make(algorithm, self.actuator(), target=target)

    def actuator(self) -> Actuator:
        """Return the controller's model."""
        from qnx_hw.control.polarization import actuator_of

        return actuator_of(
            self.capabilities,
            retardances_rad=tuple(np.deg2rad(self.retardances_deg)),
            backlash=self.backlash,
        )

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make the counts of a setting again."""
        from qnx_hw.control.polarization import Measurement

        return Measurement.of_numbers(values, numbers)


class WindowRecipe(Recipe, frozen=True, tag="window"):
    """The window's limits."""

    low_ps: float
    high_ps: float

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make the policy of the most key."""
        from qnx_hw.qkd.finite_key.expectation import secret_rate_bps

        return WindowPolicy(self.low_ps, self.high_ps, secret_rate_bps)

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make what a block showed again."""
        return WindowSeen(values, *numbers)


class DelaysRecipe(Recipe, frozen=True, tag="delay"):
    """How many detectors, and what is left alone."""

    n_detectors: int
    deadband_ps: float

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make the filter."""
        return DelayTracking(self.n_detectors, deadband_ps=self.deadband_ps)

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make lateness and errors again."""
        return DelaysSeen(values, numbers[: self.n_detectors], numbers[self.n_detectors :])


class BiasRecipe(Recipe, frozen=True, tag="bias"):
    """Where biases may be put, in the detectors' unit."""

    low: float
    high: float
    step: float
    dark_cps: float

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make the policy of that name."""
        if algorithm == "auto":
            return AutoBias(self.dark_cps)
        if algorithm == "relatch":
            return Relatching()
        least = LEAST_STEP * self.step
        return Relatching(BiasClimb(self.low, self.high, step=self.step, least_step=least))

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make rates and merit again."""
        *rates_cps, merit, sigma = numbers
        return BiasSeen(values, tuple(rates_cps), merit, sigma)


class ThresholdsRecipe(Recipe, frozen=True, tag="threshold"):
    """Where comparators' levels may be put, in V."""

    low: float
    high: float
    step: float

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make the climb."""
        least = LEAST_STEP * self.step
        return BiasClimb(self.low, self.high, step=self.step, least_step=least)

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make the merit again."""
        return BiasSeen(values, (), *numbers)


class PowerRecipe(Recipe, frozen=True, tag="source_power"):
    """The pump's limits, in percent."""

    low: float
    high: float

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make the policy of the most key."""
        from qnx_hw.qkd.finite_key.expectation import secret_rate_bps

        return SourcePower(self.low, self.high, secret_rate_bps)

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make what a block showed again."""
        return PowerSeen(values, *numbers)


class MeansRecipe(Recipe, frozen=True, tag="attenuation"):
    """Mean photon numbers to hold, within an attenuator's limits."""

    targets: Numbers
    least_db: float
    most_db: float
    weakest: float

    def policy(self, algorithm: str, target: float) -> Policy[Any]:
        """Make the policy that holds them."""
        return DecoyAttenuation(
            self.targets, least_db=self.least_db, most_db=self.most_db, weakest=self.weakest
        )

    def seen(self, values: Numbers, numbers: Numbers) -> Seen:
        """Make the measured means again."""
        half = len(numbers) // 2
        return MeansSeen(values, numbers[:half], numbers[half:])


AnyRecipe: TypeAlias = (
    PolarizationRecipe
    | WindowRecipe
    | DelaysRecipe
    | BiasRecipe
    | ThresholdsRecipe
    | PowerRecipe
    | MeansRecipe
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was decided then, and what is decided now."""

    then: Logged
    seen: Seen
    now: Decision

    @property
    def is_same(self) -> bool:
        """Whether the axes would go where they were sent."""
        return self.now.move_to == self.then.decision.move_to


def replayed(
    folder: Path,
    *,
    algorithm: str | None = None,
    target: float | None = None,
    instead: AnyRecipe | None = None,
) -> Iterator[Replayed]:
    """Show the policy of a loop what the loop saw, as its log in `folder` tells.

    Another algorithm or target may be tried, or a recipe in place of the log's. `RecordingError`
    where the log does not say what its policy was made from.
    """

    def recipe(row: Logged) -> AnyRecipe:
        try:
            return instead or _decoded(row.recipe)
        except msgspec.DecodeError as error:
            raise RecordingError(
                f"the log in {folder} does not say what its policy was made from: {error}"
            ) from error

    def make(row: Logged) -> Policy[Any]:
        wanted = row.chosen.target if target is None else target
        return recipe(row).policy(algorithm or row.chosen.algorithm, wanted)

    def see(row: Logged) -> Seen:
        return recipe(row).seen(row.values, row.seen)

    for row, seen, now in decision_log.replay(decision_log.read(folder), make, see):
        yield Replayed(row, seen, now)


@lru_cache
def _decoded(octets: bytes) -> AnyRecipe:
    recipe: AnyRecipe = msgspec.json.decode(octets, type=AnyRecipe)
    return recipe
