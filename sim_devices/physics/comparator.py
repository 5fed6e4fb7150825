"""The comparator behind a detector: which pulses pass its level, and how often noise does.

Pulse heights spread like a Gaussian. Gaussian noise crosses a level L upwards f0 exp(-L²/2σ²)
times a second (Rice, Bell Syst. Tech. J. 24, 46 (1945), section 3.3). The figures are typical, not
measured ones.
"""

from __future__ import annotations

import math

PULSE_MV = 300.0
PULSE_SPREAD_MV = 30.0
NOISE_RMS_MV = 15.0
CROSSINGS_HZ = 1e8
DEAF_BELOW_MV = 5.0
"""A comparator that is always above its level never fires."""


def heard(level_mv: float) -> float:
    """Return which part of the pulses passes a level."""
    if abs(level_mv) < DEAF_BELOW_MV:
        return 0.0
    return 0.5 * math.erfc((abs(level_mv) - PULSE_MV) / (math.sqrt(2.0) * PULSE_SPREAD_MV))


def noise_cps(level_mv: float) -> float:
    """Return how often a second noise passes a level."""
    if abs(level_mv) < DEAF_BELOW_MV:
        return 0.0
    return CROSSINGS_HZ * math.exp(-0.5 * (level_mv / NOISE_RMS_MV) ** 2)
