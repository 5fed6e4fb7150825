"""How likely a key may be anything but equal and secret, and what that costs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpsilonBudget:
    """The failure probabilities that one key is allowed.

    `secrecy` is the trace distance of the key from an ideal one, `correctness` bounds the
    probability that the two ends' keys differ and nobody notices. Both are composable: the key as
    a whole fails with at most their sum, and consecutive keys add theirs up.
    """

    secrecy: float = 1e-10
    correctness: float = 1e-15

    def __post_init__(self) -> None:
        for name, value in (("secrecy", self.secrecy), ("correctness", self.correctness)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"epsilon of {name} lies between 0 and 1, not at {value!r}")

    @property
    def eps_pa(self) -> float:
        """Part of the secrecy spent on privacy amplification; secrecy = eps_pa + 2 eps_at."""
        return self.secrecy / 2.0

    @property
    def eps_at(self) -> float:
        """Part spent on the error estimate, wrong with probability eps_at^2 at most."""
        return self.secrecy / 4.0

    @property
    def tag_bits(self) -> int:
        """Bits of the verification tag, ceil(log2(1/correctness)); they leak."""
        return math.ceil(-math.log2(self.correctness))

    @property
    def amplification_bits(self) -> float:
        """Bits that privacy amplification gives up, 2 log2(1/(2 eps_pa))."""
        return -2.0 * math.log2(2.0 * self.eps_pa)

    def split(self, parts: int) -> EpsilonBudget:
        """Return the budget of each of `parts` keys that together keep to this one."""
        if parts < 1:
            raise ValueError(f"a budget is split in at least one part, not {parts}")
        return EpsilonBudget(self.secrecy / parts, self.correctness / parts)
