"""E91 and CHSH: correlations, the S value and what it guarantees. S never enters a key's length."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from scipy.special import betaincinv

from qnx_hw.qkd.finite_key.entropy import binary_entropy


@dataclass(frozen=True, slots=True)
class Correlator:
    """Counts of one pair of settings by the two outcomes (+ or -), Alice's first."""

    plus_plus: int
    plus_minus: int
    minus_plus: int
    minus_minus: int

    @property
    def trials(self) -> int:
        """How often this pair of settings was measured."""
        return self.plus_plus + self.plus_minus + self.minus_plus + self.minus_minus

    @property
    def equal(self) -> int:
        """Trials with equal outcomes."""
        return self.plus_plus + self.minus_minus

    @property
    def value(self) -> float:
        """E = (equal - different)/trials."""
        return (2.0 * self.equal - self.trials) / self.trials

    @property
    def variance(self) -> float:
        """(1 - E^2)/trials."""
        return (1.0 - self.value**2) / self.trials


@dataclass(frozen=True, slots=True)
class ChshTest:
    """S = E(a0,b0) - E(a0,b1) + E(a1,b0) + E(a1,b1) from counts.

    For the state Phi+ the polarizer angles are a0 = 0, a1 = 45, b0 = 22.5, b1 = 67.5 degrees.
    """

    a0_b0: Correlator
    a0_b1: Correlator
    a1_b0: Correlator
    a1_b1: Correlator

    def __post_init__(self) -> None:
        if any(min(dataclasses.astuple(setting)) < 0 for setting in self._settings):
            raise ValueError("a count cannot be below 0")
        if any(setting.trials < 1 for setting in self._settings):
            raise ValueError("every pair of settings needs at least one trial")

    @property
    def s(self) -> float:
        """The CHSH value; at most 2 without entanglement, 2 sqrt(2) at best."""
        return self.a0_b0.value - self.a0_b1.value + self.a1_b0.value + self.a1_b1.value

    @property
    def sigma(self) -> float:
        """Standard error of S."""
        return math.sqrt(sum(setting.variance for setting in self._settings))

    @property
    def wins(self) -> int:
        """Wins of the CHSH game: outcomes equal, or different for (a0, b1)."""
        different = self.a0_b1.trials - self.a0_b1.equal
        return self.a0_b0.equal + different + self.a1_b0.equal + self.a1_b1.equal

    @property
    def trials(self) -> int:
        """Trials of all settings together."""
        return sum(setting.trials for setting in self._settings)

    def lower_bound(self, eps: float) -> float:
        """Return S_low: the true S is smaller with probability eps at most.

        S_low = 8 (w - 1/2) with w = BetaInv(eps; wins, trials - wins + 1) (Clopper-Pearson), for
        equally many trials per setting; other numbers are refused.
        """
        if len({setting.trials for setting in self._settings}) != 1:
            raise ValueError("the bound needs equally many trials of every pair of settings")
        if not 0.0 < eps < 1.0:
            raise ValueError(f"epsilon lies between 0 and 1, not at {eps!r}")
        if self.wins == 0:
            return -4.0
        return 8.0 * (float(betaincinv(self.wins, self.trials - self.wins + 1, eps)) - 0.5)

    @property
    def _settings(self) -> tuple[Correlator, ...]:
        return (self.a0_b0, self.a0_b1, self.a1_b0, self.a1_b1)


def device_independent_fraction(s: float, qber: float) -> float:
    """Return r = 1 - h(Q) - h((1 + sqrt((S/2)^2 - 1))/2), 0 where it is not positive.

    An indicator to show (Acin et al., PRL 98, 230501 (2007)): with the detection loophole
    open it secures nothing.
    """
    if not s > 2.0 or qber >= 0.5:
        return 0.0
    inner = min(1.0, math.sqrt((s / 2.0) ** 2 - 1.0))
    return max(0.0, 1.0 - binary_entropy(qber) - binary_entropy((1.0 + inner) / 2.0))
