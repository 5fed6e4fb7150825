"""Bias of detectors: efficiency, dark counts, latching.

Of superconducting nanowires, efficiency follows a sigmoid in the bias current, dark counts grow
exponentially, and above the switching current the wire stays resistive until its bias is taken away
(Natarajan, Tanner & Hadfield, SUST 25 (2012) 063001, for the behaviour). Of avalanche diodes,
efficiency saturates with the bias beyond breakdown, as more carriers start an avalanche, and dark
counts grow faster than in proportion, as the field frees carriers (Cova et al., Appl. Opt. 35
(1996) 1956, for the behaviour). The figures are plausible choices, not measured ones: fit them
before comparing with a real detector.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

WORKING_BIAS_UA = 20.0
# Relative to the working bias, so that another working bias scales the whole curve.
HALF_EFFICIENCY = 0.7
SIGMOID_WIDTH = 0.075
DARK_WIDTH = 0.065
SWITCHING = 1.3
RESET = 0.05
# Of a diode, relative to its usual excess bias.
SATURATING_EXCESS = 0.6
DARK_EXCESS = 0.5


class Bias:
    """Bias of the detectors; at the working bias efficiency and darks are as configured.

    Nanowires, biased in µA, until one is said to be a diode.
    """

    def __init__(self, working_ua: float = WORKING_BIAS_UA, n_detectors: int = 4) -> None:
        self._working_ua = working_ua
        self._bias_ua = np.full(n_detectors, working_ua)
        self._is_latched = np.zeros(n_detectors, dtype=bool)
        self._is_enabled = True
        self._excess = np.full(n_detectors, np.nan)
        self._settle()

    def set_excess(self, detector: int, part: float) -> None:
        """Let a detector (from 1) be a diode with this part of its usual excess bias."""
        self._excess[detector - 1] = max(part, 0.0)
        self._settle()

    def set(self, detector: int, microampere: float) -> None:
        """Give a detector (from 1) its bias; too much latches it, next to none unlatches it."""
        if not 1 <= detector <= self._bias_ua.size:
            last = self._bias_ua.size
            raise ValueError(f"there is no detector {detector}; there are 1 to {last}")
        self._bias_ua[detector - 1] = microampere
        relative = abs(microampere) / self._working_ua
        if relative > SWITCHING:
            self._is_latched[detector - 1] = True
        elif relative < RESET:
            self._is_latched[detector - 1] = False
        self._settle()

    def set_enabled(self, enabled: bool) -> None:
        """Switch all bias on or off; off unlatches."""
        self._is_enabled = enabled
        if not enabled:
            self._is_latched[:] = False
        self._settle()

    @property
    def is_latched(self) -> tuple[bool, ...]:
        """Which detectors are resistive and click no more."""
        return tuple(bool(each) for each in self._is_latched)

    @property
    def efficiency_scale(self) -> NDArray[np.float64]:
        """Each detector's efficiency relative to that at the working bias."""
        return self._efficiency_scale

    @property
    def dark_scale(self) -> NDArray[np.float64]:
        """Each detector's dark counts relative to those at the working bias."""
        return self._dark_scale

    def _settle(self) -> None:
        relative = np.abs(self._bias_ua) / self._working_ua
        is_live = (relative > RESET) & ~self._is_latched & self._is_enabled
        self._efficiency_scale: NDArray[np.float64] = np.where(
            is_live, _sigmoid(relative) / _sigmoid(np.ones(1)), 0.0
        )
        self._dark_scale: NDArray[np.float64] = np.where(
            is_live, np.exp((relative - 1.0) / DARK_WIDTH), 0.0
        )
        for diode in np.flatnonzero(~np.isnan(self._excess)):
            excess = float(self._excess[diode])
            triggers = math.expm1(-excess / SATURATING_EXCESS) / math.expm1(-1 / SATURATING_EXCESS)
            self._efficiency_scale[diode] = triggers
            self._dark_scale[diode] = excess * math.exp((excess - 1.0) / DARK_EXCESS)


def _sigmoid(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-(relative - HALF_EFFICIENCY) / SIGMOID_WIDTH)))
