"""What the instruments of a station have before them: light, or something plausible instead."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

N_DETECTORS = 4


class Station(Protocol):
    """The optics and detectors of one station, seen by the emulators of its instruments.

    Tagger and detector bank look at the same clicks; each takes its own share of time.
    """

    @property
    @abstractmethod
    def n_detectors(self) -> int:
        """How many detectors there are, each on the tagger input of its number."""

    @abstractmethod
    def take_tags(self, until_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return times (ps, station clock, sorted) and inputs (from 1) since the last call."""

    @abstractmethod
    def stamp_at(self, true_s: float) -> int:
        """Return what the station's clock (ps) shows at a time shortly before now."""

    @abstractmethod
    def take_counts(self, until_s: float) -> NDArray[np.int64]:
        """Return the clicks of each detector since the last call."""

    @abstractmethod
    def set_paddle(self, paddle: int, angle_deg: float) -> None:
        """Turn paddle 1, 2 or 3 of the polarization controller to this angle."""

    @abstractmethod
    def set_retarder(self, place: int, retardance_rad: float, angle_deg: float) -> None:
        """Give the squeezer or crystal at a place behind the paddles this retardance."""

    @abstractmethod
    def set_bias(self, detector: int, microampere: float) -> None:
        """Give detector 1..4 this bias current."""

    @abstractmethod
    def set_excess(self, detector: int, part: float) -> None:
        """Let detector 1..4 be an avalanche diode at this part of its usual excess bias."""

    @property
    @abstractmethod
    def latched(self) -> tuple[bool, ...]:
        """Which detectors are resistive: too much bias made them so, none brings them back."""

    @abstractmethod
    def set_threshold(self, detector: int, millivolt: float) -> None:
        """Give detector 1..4 this trigger level."""

    @abstractmethod
    def set_enabled(self, enabled: bool) -> None:
        """Switch the bias of all detectors on or off."""


class RandomStation(Station):
    """Independent Poisson clicks on each detector, for an instrument that stands alone.

    The rate of detector n is `rates_cps[n - 1]` at its working bias, a sigmoid of the bias below.
    """

    WORKING_BIAS_UA = 20.0
    _SWITCHING_UA, _RESET_UA = 26.0, 1.0
    _HALF_BIAS_UA = 14.0
    _WIDTH_UA = 1.5
    _NOISE_MV = 5.0
    _PULSE_MV = 300.0
    # What is generated for a late caller; older clicks are lost.
    _LONGEST_S = 0.25

    def __init__(self, rates_cps: Sequence[float], seed: int) -> None:
        self._rates_cps = np.asarray(rates_cps, dtype=np.float64)
        self._rng = np.random.default_rng(seed)
        self._bias_ua = np.full(len(rates_cps), self.WORKING_BIAS_UA)
        self._hears = np.ones(len(rates_cps))
        self._is_latched = np.zeros(len(rates_cps), dtype=bool)
        self._enabled = True
        self._tags_until_s = 0.0
        self._counts_until_s = 0.0

    @property
    def n_detectors(self) -> int:
        """How many rates were given."""
        return len(self._rates_cps)

    def take_tags(self, until_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return the clicks since the last call, at most a quarter of a second of them."""
        start_s = max(self._tags_until_s, until_s - self._LONGEST_S)
        self._tags_until_s = max(until_s, self._tags_until_s)
        span_s = max(until_s - start_s, 0.0)
        n_clicks = self._rng.poisson(self._effective_cps() * span_s)
        channels = np.repeat(np.arange(1, len(n_clicks) + 1, dtype=np.uint8), n_clicks)
        times_ps = self._rng.integers(
            round(start_s * 1e12), round(until_s * 1e12) + 1, size=len(channels), dtype=np.int64
        )
        order = np.argsort(times_ps)
        return times_ps[order], channels[order]

    def stamp_at(self, true_s: float) -> int:
        """Return the true time."""
        return round(true_s * 1e12)

    def take_counts(self, until_s: float) -> NDArray[np.int64]:
        """Return how many clicks each detector made since the last call."""
        span_s = max(until_s - self._counts_until_s, 0.0)
        self._counts_until_s = max(until_s, self._counts_until_s)
        return self._rng.poisson(self._effective_cps() * span_s).astype(np.int64)

    def set_paddle(self, paddle: int, angle_deg: float) -> None:
        """Change nothing: the clicks are unpolarized."""

    def set_retarder(self, place: int, retardance_rad: float, angle_deg: float) -> None:
        """Change nothing: the clicks are unpolarized."""

    def set_bias(self, detector: int, microampere: float) -> None:
        """Scale the detector's rate; too much bias silences it until it has none."""
        self._bias_ua[detector - 1] = microampere
        if microampere > self._SWITCHING_UA:
            self._is_latched[detector - 1] = True
        elif microampere < self._RESET_UA:
            self._is_latched[detector - 1] = False

    def set_excess(self, detector: int, part: float) -> None:
        """Change nothing: these are no diodes."""

    @property
    def latched(self) -> tuple[bool, ...]:
        """Which detectors had too much bias since they had none."""
        return tuple(self._is_latched.tolist())

    def set_threshold(self, detector: int, millivolt: float) -> None:
        """Let a detector be heard only with a level between noise and pulse height."""
        self._hears[detector - 1] = self._NOISE_MV <= abs(millivolt) <= self._PULSE_MV

    def set_enabled(self, enabled: bool) -> None:
        """Let detectors click or not."""
        self._enabled = enabled
        if not enabled:
            self._is_latched[:] = False

    def _effective_cps(self) -> NDArray[np.float64]:
        if not self._enabled:
            return np.zeros_like(self._rates_cps)
        overdrive = (self._bias_ua - self._HALF_BIAS_UA) / self._WIDTH_UA
        scale = 1.0 / (1.0 + np.exp(np.clip(-overdrive, -50.0, 50.0)))
        return np.asarray(self._rates_cps * scale * self._hears * ~self._is_latched)
