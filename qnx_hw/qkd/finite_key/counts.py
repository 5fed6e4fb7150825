"""From counts to their means, each side wrong with a given small probability."""

from __future__ import annotations

import math
from enum import StrEnum

from scipy.special import betainccinv, betaincinv


class CountBounds(StrEnum):
    """Which inequality bounds the means of counts."""

    CLOPPER_PEARSON = "clopper-pearson"
    """Exact for sums of unequal coin flips (Hoeffding 1956); the one for keys."""
    HOEFFDING = "hoeffding"
    """Looser; for comparison."""

    def at_least(self, count: float, total: int, p: float) -> float:
        """Return a lower bound on the mean of a count out of `total` trials."""
        if self is CountBounds.HOEFFDING:
            return max(0.0, count - math.sqrt(total * -math.log(p) / 2.0))
        if count <= 0:
            return 0.0
        return total * float(betaincinv(count, total - count + 1.0, p))

    def at_most(self, count: float, total: int, p: float) -> float:
        """Return an upper bound on the mean of a count out of `total` trials."""
        if self is CountBounds.HOEFFDING:
            return count + math.sqrt(total * -math.log(p) / 2.0)
        if count >= total:
            return float(total)
        return total * float(betainccinv(count + 1.0, total - count, p))
