"""A decoy BB84 transmitter and its receiver, for pulse rates up to 1 GHz and beyond.

Weak coherent pulses stay coherent through linear optics, so the photons that meet each detector
are independent Poisson numbers whose means depend on what Alice chose. Candidates are
drawn for the largest means and kept with the ratio, so only clicks cost time. What Alice chose for
pulse n is a hash of the seed and n; it can be asked for any pulse and is stored nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.clicks import Arrivals, Inputs, Place, Real, Times
from sim_devices.physics.polarization import DIRECTIONS, analyser
from sim_devices.physics.random_words import (
    TO_UNIT,
    State,
    exponential,
    inner,
    kernel,
    mixed,
    next_word,
    seeded,
)

N_STATES = 4


@dataclass(frozen=True, slots=True)
class Transmitter:
    """What Alice sends: one of H V D A with one of up to four mean photon numbers."""

    pulse_rate_hz: float
    intensities: tuple[float, ...]
    probabilities: tuple[float, ...]
    """How often each intensity is chosen; they add up to 1."""
    z_probability: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        if len(self.intensities) != len(self.probabilities) or not 1 <= len(self.intensities) <= 4:
            raise ValueError("a transmitter needs one to four intensities, each with a probability")
        if abs(sum(self.probabilities) - 1.0) > 1e-9 or min(self.probabilities) < 0.0:
            raise ValueError(f"probabilities {self.probabilities} do not add up to 1")
        if self.pulse_rate_hz <= 0.0 or min(self.intensities) < 0.0:
            raise ValueError("pulse rate and intensities cannot be negative, nor the rate 0")

    def period_ps(self) -> float:
        """Return the time between pulses."""
        return 1e12 / self.pulse_rate_hz

    def choices(self, pulses: Times) -> tuple[Inputs, Inputs]:
        """Return the state (0 to 3: H V D A) and the intensity's number of each pulse."""
        states = np.empty(len(pulses), dtype=np.uint8)
        kinds = np.empty(len(pulses), dtype=np.uint8)
        _choices(self.seed, pulses, self.z_probability, self._limits(), states, kinds)
        return states, kinds

    def _limits(self) -> Real:
        return np.cumsum(np.array(self.probabilities))


@dataclass(frozen=True, slots=True)
class Receiver:
    """What Bob has: everything from the transmitter's output to his four detectors."""

    transmission: float
    """Channel, optics and detectors together."""
    z_probability: float = 0.5
    misalignment: float = 0.0
    """Part of the light of one polarization that goes to the opposite detector."""
    dark_rate_cps: float = 0.0


def mean_photons(transmitter: Transmitter, receiver: Receiver) -> Real:
    """Return the mean photons per pulse, [state, intensity, detector]."""
    z = receiver.z_probability
    effects = analyser([z, z, 1 - z, 1 - z], receiver.misalignment)[:4]
    stokes = np.concatenate([np.ones((4, 1)), DIRECTIONS], axis=1)
    to_detectors = stokes @ effects.T
    mu = np.array(transmitter.intensities) * receiver.transmission
    return np.asarray(to_detectors[:, None, :] * mu[None, :, None])


def gains(transmitter: Transmitter, receiver: Receiver, dead_time_ps: int = 0) -> Real:
    """Return the click probability per pulse, [state, intensity, detector], in closed form.

    1 − (1 − Y0) exp(−μη) of each detector (Ma, Qi, Zhao & Lo, PRA 72, 012326, eq. 10), lowered by
    non-paralysable dead time.
    """
    dark = receiver.dark_rate_cps / transmitter.pulse_rate_hz
    raw = 1.0 - np.exp(-mean_photons(transmitter, receiver) - dark)
    z = transmitter.z_probability
    states = np.array([z / 2, z / 2, (1 - z) / 2, (1 - z) / 2])
    average = np.einsum("s,k,skd->d", states, np.array(transmitter.probabilities), raw)
    return np.asarray(raw / (1.0 + average * transmitter.pulse_rate_hz * dead_time_ps * 1e-12))


def receive(
    transmitter: Transmitter, receiver: Receiver, span: tuple[int, int], place: Place
) -> Arrivals:
    """Return what meets Bob's detectors within a span (start, length in ps).

    Photons come at n · period, darks at any time; the order is right to within a period.
    """
    start_ps, length_ps = span
    means = mean_photons(transmitter, receiver)
    largest = means.max(axis=(0, 1))
    dark = receiver.dark_rate_cps / transmitter.pulse_rate_hz
    per_pulse = float(largest.sum()) + 4 * dark
    if per_pulse <= 0.0:
        return Arrivals(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8))
    expected = per_pulse * length_ps / transmitter.period_ps()
    capacity = math.ceil(expected + 12 * math.sqrt(expected) + 64)
    times = np.empty(capacity, dtype=np.int64)
    detectors = np.empty(capacity, dtype=np.uint8)
    edges = np.cumsum(np.concatenate([largest, np.full(4, dark)])) / per_pulse
    n = _receive(
        seeded(place.seed, place.stream, place.chunk),
        (start_ps, length_ps, transmitter.period_ps(), per_pulse),
        (transmitter.seed, transmitter.z_probability, np.cumsum(transmitter.probabilities)),
        edges,
        np.ascontiguousarray(means / np.where(largest > 0.0, largest, 1.0)),
        (times, detectors),
    )
    return Arrivals(times[:n], detectors[:n])


@inner()
def _choice(seed: int, pulse: np.int64, z_probability: float, limits: Real) -> tuple[np.int64, int]:
    word = mixed(mixed(np.uint64(seed)) + np.uint64(pulse))
    bit = np.int64(word & np.uint64(1))
    u = np.float64(np.int64((word >> np.uint64(1)) & np.uint64(0x7FFFFFFF))) * 2.0**-31
    v = np.float64(np.int64(word >> np.uint64(32))) * 2.0**-32
    kind = 0
    while kind < len(limits) - 1 and v >= limits[kind]:
        kind += 1
    return np.int64(bit if u < z_probability else 2 + bit), kind


@kernel()
def _choices(  # one array in, two out
    seed: int, pulses: Times, z_probability: float, limits: Real, states: Inputs, kinds: Inputs
) -> None:
    for i in range(len(pulses)):
        states[i], kinds[i] = _choice(seed, pulses[i], z_probability, limits)


@kernel()
def _receive(
    state: State,
    timing: tuple[int, int, float, float],
    alice: tuple[int, float, Real],
    edges: Real,
    ratios: Real,
    out: tuple[Times, Inputs],
) -> int:
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    start_ps, length_ps, period_ps, per_pulse = timing
    seed, z_probability, limits = alice
    times, detectors = out
    gap_ps = period_ps / per_pulse
    elapsed_ps = 0.0
    n = 0
    while n < len(times):
        gap, s0, s1, s2, s3 = exponential(s0, s1, s2, s3)
        elapsed_ps += gap * gap_ps
        if elapsed_ps >= length_ps:
            break
        word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        u = np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT
        cause = 0
        while cause < 7 and u >= edges[cause]:
            cause += 1
        time_ps = start_ps + np.int64(elapsed_ps)
        if cause >= N_STATES:
            times[n] = time_ps
            detectors[n] = cause - N_STATES
            n += 1
            continue
        pulse = np.int64(time_ps / period_ps)
        sent, kind = _choice(seed, pulse, z_probability, limits)
        word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        if np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT < ratios[sent, kind, cause]:
            times[n] = np.int64(np.rint(pulse * period_ps))
            detectors[n] = cause
            n += 1
    return n


def pulse_numbers(times_ps: Times, transmitter: Transmitter) -> NDArray[np.int64]:
    """Return the nearest pulse to each true time (below 2⁵³ ps, 2.5 h, where floats are exact)."""
    return np.rint(times_ps / transmitter.period_ps()).astype(np.int64)
