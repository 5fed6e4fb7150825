"""What a station has between its fibre and its analysers to turn the polarization."""

from __future__ import annotations

import math

from sim_devices.physics.polarization import PAULI, Complex, paddles, retarder

N_PADDLES = 3


class Retarders:
    """Three paddles or rotating plates (λ/4, λ/2, λ/4), and behind them driven retarders."""

    def __init__(self) -> None:
        self._paddles_deg = [0.0] * N_PADDLES
        self._driven: dict[int, Complex] = {}
        self.jones: Complex = PAULI[0]
        """What all of them do; the identity with the paddles at 0 and nothing driven."""

    @property
    def paddles_deg(self) -> tuple[float, float, float]:
        """Where the paddles stand."""
        first, middle, last = self._paddles_deg
        return first, middle, last

    def set_paddle(self, paddle: int, angle_deg: float) -> None:
        """Turn paddle 1, 2 or 3."""
        if not 1 <= paddle <= N_PADDLES:
            raise ValueError(f"there is no paddle {paddle}; there are 1 to {N_PADDLES}")
        self._paddles_deg[paddle - 1] = angle_deg
        self._settle()

    def set_retarder(self, place: int, retardance_rad: float, angle_deg: float) -> None:
        """Give the driven retarder at a place, counted as the light passes, its retardance."""
        self._driven[place] = retarder(retardance_rad, math.radians(angle_deg))
        self._settle()

    def _settle(self) -> None:
        jones = paddles(self._paddles_deg)
        for place in sorted(self._driven):
            jones = self._driven[place] @ jones
        self.jones = jones
