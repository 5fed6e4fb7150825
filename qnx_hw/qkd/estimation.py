"""Error rates and correlations from disclosed rounds, with their standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.api.value import Estimate


@dataclass(frozen=True, slots=True)
class Tally:
    """Disclosed rounds of one pair of bases: `counts[a][b]` with Alice's outcome a, Bob's b."""

    counts: tuple[tuple[int, int], tuple[int, int]]

    @property
    def rounds(self) -> int:
        """How many rounds there are."""
        return sum(map(sum, self.counts))

    @property
    def errors(self) -> int:
        """Rounds whose outcomes differ."""
        return self.counts[0][1] + self.counts[1][0]


def tally(alice: npt.NDArray[np.uint8], bob: npt.NDArray[np.uint8]) -> Tally:
    """Count the four pairs of outcomes; the rows have equal length and hold 0 and 1."""
    if alice.shape != bob.shape:
        raise ValueError(f"{alice.size} outcomes of Alice against {bob.size} of Bob")
    ours, theirs = int(np.count_nonzero(alice)), int(np.count_nonzero(bob))
    both = int(np.count_nonzero(alice & bob))
    return Tally(((alice.size - ours - theirs + both, theirs - both), (ours - both, both)))


def error_rate(errors: int, rounds: int) -> Estimate:
    """Return the share of errors and its standard error.

    The error is that of a binomial share at (errors + 1)/(rounds + 2), which stays above zero
    where no error, or nothing but errors, was seen.
    """
    if rounds == 0:
        return Estimate()
    smoothed = (errors + 1) / (rounds + 2)
    return Estimate(
        value=errors / rounds, sigma=math.sqrt(smoothed * (1 - smoothed) / (rounds + 2))
    )


def correlation(rounds: Tally) -> Estimate:
    """Return E = (equal - different)/rounds and its standard error sqrt((1 - E^2)/rounds).

    The smoothing of `error_rate` applies to the error: E = 1 - 2 q.
    """
    share = error_rate(rounds.errors, rounds.rounds)
    if share.value is None or share.sigma is None:
        return share
    return Estimate(value=1 - 2 * share.value, sigma=2 * share.sigma)


def measured_chsh(cells: tuple[Tally, Tally, Tally, Tally]) -> Estimate:
    """Return S = E(a0,b0) - E(a0,b1) + E(a1,b0) + E(a1,b1) from rounds of its own settings.

    `cells` in this order, with a0, a1 Alice's Z and X (0, 45 degrees) and b0, b1 Bob's 22.5 and
    67.5 degrees; 2 sqrt(2) for Phi+, at most 2 without entanglement (Clauser, Horne, Shimony, Holt,
    Phys. Rev. Lett. 23, 880 (1969)).
    """
    found = [correlation(rounds) for rounds in cells]
    means = [each.value for each in found if each.value is not None]
    sigmas = [each.sigma for each in found if each.sigma is not None]
    if len(means) != len(cells):
        return Estimate()
    value = means[0] - means[1] + means[2] + means[3]
    return Estimate(value=value, sigma=math.hypot(*sigmas))


def chsh(zz: Tally, zx: Tally, xz: Tally, xx: Tally) -> Estimate:
    """Infer the largest CHSH value that settings in the measured plane would show.

    Z and X on both sides are not CHSH settings (0, 45 against 22.5, 67.5 degrees), so S is not
    measured; it follows from the 2x2 block of the correlation matrix T. For a state with
    correlations T the best settings in the plane give S = 2 sqrt(s1^2 + s2^2), s1 and s2 the
    singular values of T (Horodecki, Horodecki, Horodecki, Phys. Lett. A 200, 340 (1995),
    theorem and eq. 4-7, restricted to the plane). The sum of their squares is the sum of the
    squares of the four correlations, from which the squares of their standard errors, a bias,
    are subtracted.
    """
    cells = [correlation(rounds) for rounds in (zz, zx, xz, xx)]
    means = [cell.value for cell in cells if cell.value is not None]
    sigmas = [cell.sigma for cell in cells if cell.sigma is not None]
    if len(means) != len(cells):
        return Estimate()
    variances = [sigma**2 for sigma in sigmas]
    norm = math.sqrt(max(0.0, sum(mean**2 for mean in means) - sum(variances)))
    if norm == 0.0:
        return Estimate(value=0.0, sigma=2 * math.sqrt(sum(variances)))
    spread = math.sqrt(sum((m * s) ** 2 for m, s in zip(means, sigmas, strict=True))) / norm
    return Estimate(value=2 * norm, sigma=2 * spread)
