"""What a loop may look at: counts of published coincidences and where the axes stood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qnx_hw.control.polarization.rotations import Real


@dataclass(frozen=True, slots=True)
class Measurement:
    """Coincidences of one setting, by the basis (Z, X) of the far end and of the controller's end.

    `equal[far][near]` of `rounds[far][near]` coincidences had equal outcomes. Same-basis rounds
    are the tested ones, different-basis rounds are discarded by the protocol: all are public.
    """

    values: tuple[float, ...]
    """Where the axes stood, as read back, in their own units."""
    equal: tuple[tuple[float, float], tuple[float, float]]
    rounds: tuple[tuple[float, float], tuple[float, float]]

    @classmethod
    def of_matrix(
        cls,
        matrix: tuple[tuple[float, ...], ...],
        values: tuple[float, ...],
        *,
        near_is_rows: bool,
        tested: tuple[float, float] | None = None,
    ) -> Measurement:
        """Take a 4 × 4 matrix of coincidences, H V D A, Alice's down and Bob's across.

        `tested` are the rounds that really were published of Z-Z and X-X where the matrix scales
        those quarters up.
        """
        cells = np.asarray(matrix, dtype=np.float64).reshape(2, 2, 2, 2).swapaxes(1, 2)
        rounds = cells.sum(axis=(2, 3))
        equal = np.trace(cells, axis1=2, axis2=3)
        for basis, count in enumerate(tested or ()):
            if rounds[basis, basis]:
                equal[basis, basis] *= count / rounds[basis, basis]
                rounds[basis, basis] = count
        if near_is_rows:
            equal, rounds = equal.T, rounds.T
        return cls(values, _square(equal), _square(rounds))

    @classmethod
    def of_numbers(cls, values: tuple[float, ...], numbers: tuple[float, ...]) -> Measurement:
        """Make what `numbers` was made from."""
        a, b, c, d, e, f, g, h = numbers
        return cls(values, ((a, b), (c, d)), ((e, f), (g, h)))

    def numbers(self) -> tuple[float, ...]:
        """Return equal outcomes and rounds of ZZ, ZX, XZ, XX."""
        return (*self.equal[0], *self.equal[1], *self.rounds[0], *self.rounds[1])

    @property
    def coincidences(self) -> float:
        """How many coincidences there are in all."""
        return sum(map(sum, self.rounds))

    @property
    def qber(self) -> float:
        """The mean of the error rates in Z and X; a half where a basis has no rounds."""
        return sum(self._shares) / 2

    @property
    def worse_qber(self) -> float:
        """The higher of the error rates in Z and X: a block is given up by either of them."""
        return max(self._shares)

    @property
    def _shares(self) -> tuple[float, float]:
        of_z, of_x = (
            1 - self.equal[b][b] / self.rounds[b][b] if self.rounds[b][b] else 0.5 for b in (0, 1)
        )
        return of_z, of_x

    @property
    def qber_sigma(self) -> float:
        """The standard error of `qber`, smoothed as (errors + 1)/(rounds + 2)."""
        variance = 0.0
        for b in (0, 1):
            share = (self.rounds[b][b] - self.equal[b][b] + 1) / (self.rounds[b][b] + 2)
            variance += share * (1 - share) / (self.rounds[b][b] + 2)
        return math.sqrt(variance) / 2


def counts(measurements: list[Measurement]) -> tuple[Real, Real]:
    """Return equal outcomes and rounds as arrays (measurement, 4) in the order ZZ, ZX, XZ, XX."""
    equal = np.array([each.equal for each in measurements], dtype=np.float64)
    rounds = np.array([each.rounds for each in measurements], dtype=np.float64)
    return equal.reshape(-1, 4), rounds.reshape(-1, 4)


def _square(cells: Real) -> tuple[tuple[float, float], tuple[float, float]]:
    (a, b), (c, d) = cells.tolist()
    return (a, b), (c, d)
