"""Light levels: the pump of a pair source, the attenuators of a decoy transmitter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.control.merit import KeyRate
from qnx_hw.control.policy import Decision, Policy

WORTH = 0.02
LARGEST_STEP = 2.0
"""The pump is not changed by more than this factor at once: the model is good nearby."""


@dataclass(frozen=True, slots=True)
class PowerSeen:
    """What two stations see at a pump power, in any unit in which pairs are proportional to it."""

    values: tuple[float, ...]
    singles_a_cps: float
    singles_b_cps: float
    coincidences_cps: float
    accidentals_cps: float
    qber: float
    window_s: float
    block_s: float
    dark_a_cps: float = 0.0
    dark_b_cps: float = 0.0

    def numbers(self) -> tuple[float, ...]:
        """Return everything but the power, in the order of the fields."""
        return (
            *(self.singles_a_cps, self.singles_b_cps, self.coincidences_cps),
            *(self.accidentals_cps, self.qber, self.window_s, self.block_s),
            *(self.dark_a_cps, self.dark_b_cps),
        )

    def at(self, power: float) -> tuple[float, float]:
        """Return coincidences per second and error rate at another power.

        True pairs and their errors grow with the power, accidentals with the product of the
        singles (Neumann et al., PRA 104, 022406 (2021), section II).
        """
        factor = power / self.values[0]
        true = factor * self.true_cps
        errors = factor * max(self.qber * self.coincidences_cps - self.accidentals_cps / 2, 0.0)
        singles_a = factor * (self.singles_a_cps - self.dark_a_cps) + self.dark_a_cps
        singles_b = factor * (self.singles_b_cps - self.dark_b_cps) + self.dark_b_cps
        chance = singles_a * singles_b * self.window_s
        both = true + chance
        return both, (errors + chance / 2) / both if both > 0 else 0.5

    @property
    def true_cps(self) -> float:
        """Coincidences of pairs."""
        return max(self.coincidences_cps - self.accidentals_cps, 0.0)


class SourcePower(Policy[PowerSeen]):
    """Sets the pump where finite blocks hold the most secret bits per second."""

    def __init__(self, low: float, high: float, key_rate: KeyRate) -> None:
        self._low, self._high = low, high
        self._key_rate = key_rate

    def restart(self) -> None:
        """There is nothing to forget."""

    def observe(self, seen: PowerSeen) -> Decision:
        """Compare powers by the model of the link that was seen."""
        (now,) = seen.values
        if seen.true_cps <= 0 or now <= 0:
            return Decision(LoopState.SEARCHING, None, "there are no pairs to judge by")
        powers = np.geomspace(self._low, self._high, 80)
        rates = [self._key_rate(*seen.at(float(power)), seen.block_s) for power in powers]
        best, here = int(np.argmax(rates)), self._key_rate(*seen.at(now), seen.block_s)
        if rates[best] <= 0:
            return Decision(LoopState.SEARCHING, None, "no power gives a key")
        lost = 1 - here / rates[best]
        if lost < WORTH:
            return Decision(LoopState.TRACKING, None, "the power is near the best", lost)
        power = float(np.clip(powers[best], now / LARGEST_STEP, now * LARGEST_STEP))
        power = min(max(power, self._low), self._high)
        return Decision(LoopState.SEARCHING, (power,), "more key at another power", lost)


@dataclass(frozen=True, slots=True)
class MeansSeen:
    """Mean photons per pulse that were measured at attenuations in dB."""

    values: tuple[float, ...]
    means: tuple[float, ...]
    sigmas: tuple[float, ...]

    def numbers(self) -> tuple[float, ...]:
        """Return means, then standard errors."""
        return (*self.means, *self.sigmas)


class DecoyAttenuation(Policy[MeansSeen]):
    """Holds mean photon numbers at their targets; never goes below the least attenuation."""

    def __init__(
        self,
        targets: tuple[float, ...],
        *,
        least_db: float,
        most_db: float,
        tolerance: float = 0.02,
        weakest: float = 0.0,
    ) -> None:
        """`tolerance` is the relative error of a mean that is not worth a move.

        Once all means were right, one below `weakest` of its target is a source that fails, and
        nothing is moved: it would be too bright when it comes back.
        """
        self._targets = targets
        self._least_db, self._most_db = least_db, most_db
        self._tolerance = tolerance
        self._weakest = weakest
        self.restart()

    def restart(self) -> None:
        """Take any light for the source's own."""
        self._was_right = False

    def observe(self, seen: MeansSeen) -> Decision:
        """Correct attenuations whose means are surely off."""
        goal, worst = list(seen.values), 0.0
        parts = [mean / target for mean, target in zip(seen.means, self._targets, strict=True)]
        if self._was_right and min(parts) < self._weakest:
            words = f"the source gives {min(parts):.0%} of its light"
            return Decision(LoopState.FAULT, None, words, 1 - min(parts))
        for n, (mean, sigma, target) in enumerate(
            zip(seen.means, seen.sigmas, self._targets, strict=True)
        ):
            off = mean / target - 1
            worst = max(worst, abs(off))
            if mean > 0 and abs(off) > max(self._tolerance, 2 * sigma / target):
                wanted = goal[n] + 10 * math.log10(mean / target)
                goal[n] = min(max(wanted, self._least_db), self._most_db)
        if tuple(goal) == seen.values:
            self._was_right = self._was_right or worst <= self._tolerance
            return Decision(LoopState.TRACKING, None, "all means are at their targets", worst)
        return Decision(LoopState.TRACKING, tuple(goal), "a mean is off its target", worst)
