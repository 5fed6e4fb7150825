"""A transmitter of weak pulses on the bench: dark until a board plays, then one pulse a period.

Weak coherent pulses stay coherent through linear optics, so the photons that meet each detector
are independent Poisson numbers whose means follow from the state, the intensity, and what lies
between. Candidates are drawn for the largest means and kept with the ratio: only clicks cost time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim_devices.physics.beam import Beam
from sim_devices.physics.clicks import Arrivals, Real
from sim_devices.physics.pattern import DARK, Score
from sim_devices.physics.polarization import DIRECTIONS

HC_J_M = 6.62607015e-34 * 299_792_458.0
STOKES = np.concatenate([np.ones((4, 1)), DIRECTIONS], axis=1)


@dataclass(frozen=True, slots=True)
class TransmitterSetup:
    """A transmitter, and the station its light goes to."""

    name: str
    arm: str
    pulse_rate_hz: float
    launch_db: float = 0.0
    """Attenuation at which the board's intensities leave as they are."""
    wavelength_nm: float = 1550.0


class BenchTransmitter:
    """What the board's emulator drives; settings act from the next chunk (10 ms) on."""

    def __init__(
        self, setup: TransmitterSetup, seed: int, stream: int, advance: Callable[[float], None]
    ) -> None:
        self.setup = setup
        self._seed = (seed, stream)
        self._advance = advance
        self._score: Score | None = None
        self._intensities: tuple[float, ...] = ()
        self._start_ps = 0
        self.beam = Beam(setup.launch_db, self._power_w)

    @property
    def pulse_rate_hz(self) -> float:
        """How many pulses are sent per second."""
        return self.setup.pulse_rate_hz

    def play(self, score: Score, intensities: tuple[float, ...], start_s: float) -> None:
        """Send pulse 0 at a true time not drawn yet, and then one after the other."""
        self._score, self._intensities = score, intensities
        self._start_ps = round(start_s * 1e12)

    def darken(self, now_s: float) -> None:
        """Send nothing any more from now on, as far as clicks are not drawn yet."""
        self._advance(now_s)
        self._score = None

    def arrivals(self, effects: Real, span: tuple[int, int], chunk: int) -> Arrivals:
        """Return the photons that meet the detectors with these effects within a span."""
        nothing = Arrivals(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))
        score = self._score
        period_ps = 1e12 / self.pulse_rate_hz
        first = max(0, math.ceil((span[0] - self._start_ps) / period_ps))
        end = math.ceil((span[0] + span[1] - self._start_ps) / period_ps)
        if score is None or end <= first:
            return nothing
        means = self._means(effects)
        largest = means.max(axis=(0, 1))
        rng = np.random.default_rng([*self._seed, chunk])
        count = rng.poisson(float(largest.sum()) * (end - first))
        if not count:
            return nothing
        pulses = np.sort(rng.integers(first, end, count))
        edges = np.cumsum(largest / largest.sum())[:-1]
        detectors = np.searchsorted(edges, rng.random(count), side="right")
        states, kinds = score.choices(pulses)
        is_lit = kinds != DARK
        wanted = np.zeros(count)
        wanted[is_lit] = means[states[is_lit], kinds[is_lit], detectors[is_lit]]
        kept = rng.random(count) * largest[detectors] < wanted
        times = self._start_ps + np.rint(pulses[kept] * period_ps).astype(np.int64)
        return Arrivals(times, detectors[kept].astype(np.uint8))

    def _means(self, effects: Real) -> Real:
        """Return the mean photons per pulse, [state, intensity, detector]."""
        seen = np.clip(STOKES @ effects[:-1].T, 0.0, None)
        intensities = self.beam.factor * np.array(self._intensities)
        return np.asarray(seen[:, None, :] * intensities[None, :, None])

    def _power_w(self) -> float:
        """Return the mean power of the pulses as the board chooses them."""
        if self._score is None:
            return 0.0
        mean = sum(s * i for s, i in zip(self._score.shares, self._intensities, strict=False))
        photon_j = HC_J_M / (self.setup.wavelength_nm * 1e-9)
        return mean * photon_j * self.pulse_rate_hz
