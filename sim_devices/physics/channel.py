"""A fibre or air path: a rotation that drifts, a loss that may fade."""

from __future__ import annotations

import math

import numpy as np

from sim_devices.physics.description import Fibre
from sim_devices.physics.polarization import PAULI, Complex, random_rotation, rotation


class Channel:
    """The light's way to one station; constant within a chunk, moved on between chunks.

    The drift is a random walk on SU(2): in each chunk of length t a turn of the Poincaré sphere by
    a Gaussian angle of standard deviation drift·√t about each of three axes. Fading follows a
    log-normal law whose logarithm is an Ornstein-Uhlenbeck process.
    """

    _RAMP_AXIS = np.array([1.0, 1.0, 1.0]) / math.sqrt(3.0)
    _KNOCK_AXIS = np.array([0.8, 0.6, 0.0])

    def __init__(self, fibre: Fibre, rng: np.random.Generator) -> None:
        self.fibre = fibre
        """May be replaced at any time; what it says holds from the next chunk on."""
        self._rng = rng
        self.jones: Complex = random_rotation(rng) if fibre.is_rotation_random else PAULI[0].copy()
        self._now_s = 0.0
        self._log_variance = math.log1p(fibre.scintillation_index)
        self._fade = rng.standard_normal() if fibre.scintillation_index else 0.0

    @property
    def transmission(self) -> float:
        """The part of the light that arrives now."""
        steady = 10 ** (-self.fibre.loss_db / 10)
        if not self._log_variance:
            return float(steady)
        fading = math.exp(math.sqrt(self._log_variance) * self._fade - self._log_variance / 2)
        return float(min(steady * fading, 1.0))

    def knock(self, angle_rad: float) -> None:
        """Turn the light at once, about the axis of all knocks."""
        self.jones = rotation(angle_rad * self._KNOCK_AXIS) @ self.jones

    def advance(self, span_s: float) -> None:
        """Let the path change for a while."""
        fibre = self.fibre
        turn = np.zeros(3)
        if fibre.drift_rad_per_sqrt_s:
            turn += fibre.drift_rad_per_sqrt_s * math.sqrt(span_s) * self._rng.standard_normal(3)
        if fibre.ramp_rad_per_s:
            turn += fibre.ramp_rad_per_s * span_s * self._RAMP_AXIS
        if fibre.knock_rad and self._now_s < fibre.knock_at_s <= self._now_s + span_s:
            turn += fibre.knock_rad * self._KNOCK_AXIS
        if turn.any():
            self.jones = rotation(turn) @ self.jones
        if self._log_variance:
            memory = math.exp(-span_s / fibre.fading_time_s)
            fresh = math.sqrt(1 - memory**2) * self._rng.standard_normal()
            self._fade = memory * self._fade + fresh
        self._now_s += span_s
