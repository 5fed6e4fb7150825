"""What a link must show, in closed form, from the parameters of the bench.

Rates follow Neumann et al., PRA 104, 022406 (2021), with each detector kept apart: pairs p[a, b] of
the analysers' effects, non-paralysable dead time S/(1 + Sτ), a window that catches a part of the
pairs, and accidentals among the clicks that found no partner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from sim_devices.physics.description import (
    Laboratory,
    LinkEnds,
    PulsedLink,
    Source,
    StationSetup,
)
from sim_devices.physics.detection import FWHM_PER_SIGMA
from sim_devices.physics.polarization import Real, analyser, click_probabilities, directions
from sim_devices.physics.transmitter import STOKES


@dataclass(frozen=True, slots=True)
class Expected:
    """A link's rates (per second) and correlations with the fibres as identity, paddles at 0.

    A bit is wrong where Alice's and Bob's outcomes differ, as for Φ+. `chsh_s` is √2 (E_ZZ + E_XX),
    or the S of its own settings where Bob has them; none where a transmitter sends pulses.
    """

    qber: float
    qber_z: float
    qber_x: float
    chsh_s: float | None
    singles_alice_cps: tuple[float, ...]
    singles_bob_cps: tuple[float, ...]
    coincidences_cps: float
    accidentals_cps: float
    """Those among the coincidences that are no pairs."""
    sifted_cps: float
    sifted_fraction: float
    window_fraction: float
    """The part of the detected pairs that falls into the coincidence window."""


def expect(laboratory: Laboratory, link: str) -> Expected:
    """Return what a link shows; KeyError for one that the bench knows nothing of."""
    if link in laboratory.pulsed:
        return _expect_pulsed(laboratory, laboratory.pulsed[link])
    ends = laboratory.links[link]
    alice, bob = laboratory.stations[ends.alice], laboratory.stations[ends.bob]
    pairs_hz = np.zeros((alice.n_detectors, bob.n_detectors))
    singles = {ends.alice: _noise(alice), ends.bob: _noise(bob)}
    caught = 1.0
    for source in laboratory.sources:
        for name, setup in ((ends.alice, alice), (ends.bob, bob)):
            if name in source.arms:
                singles[name] = singles[name] + _singles(source, setup)
        if {ends.alice, ends.bob} <= set(source.arms):
            pairs_hz = pairs_hz + _pairs(source, ends, laboratory)
            caught = _caught(source, ends, laboratory)
    seen_a, seen_b = _seen(singles[ends.alice], alice), _seen(singles[ends.bob], bob)
    true_hz = pairs_hz * np.outer(_live(singles[ends.alice], alice), _live(singles[ends.bob], bob))
    alone_a, alone_b = seen_a - true_hz.sum(axis=1), seen_b - true_hz.sum(axis=0)
    accidental_hz = np.outer(alone_a, alone_b) * ends.window_ps * 1e-12
    return _summary(true_hz * caught, accidental_hz, (seen_a, seen_b), caught)


def _expect_pulsed(laboratory: Laboratory, link: PulsedLink) -> Expected:
    """Return what pulses show: 1 − exp(−μη − dark) of each detector, lowered by its dead time."""
    bob = laboratory.stations[link.bob]
    effects, z = _effects(bob)[:-1], link.z_probability
    seen = np.clip(STOKES @ effects.T, 0.0, None)
    means = seen[:, None, :] * np.array(link.intensities)[None, :, None]
    darks = _noise(bob) * link.gate_ps * 1e-12
    states = np.array([z / 2, z / 2, (1 - z) / 2, (1 - z) / 2])
    weights = states[:, None] * np.array(link.shares)[None, :] * link.pulse_rate_hz
    every = np.einsum("sk,skd->d", weights, 1.0 - np.exp(-means)) + _noise(bob)
    live = _live(every, bob)
    sigma = bob.response.jitter_ps / FWHM_PER_SIGMA
    caught = window_fraction(link.gate_ps, sigma, (0.0, 0.0))
    rates = np.einsum("sk,skd->sd", weights, 1.0 - np.exp(-means * caught - darks)) * live
    wrong = [rates[0, 1] + rates[1, 0], rates[2, 3] + rates[3, 2]]
    sifted = [rates[:2, :2].sum(), rates[2:, 2:4].sum()]
    return Expected(
        qber=_ratio(sum(wrong), sum(sifted)),
        qber_z=_ratio(wrong[0], sifted[0]),
        qber_x=_ratio(wrong[1], sifted[1]),
        chsh_s=None,
        singles_alice_cps=(),
        singles_bob_cps=tuple((every * live).tolist()),
        coincidences_cps=float(rates.sum()),
        accidentals_cps=float((darks * live).sum() * link.pulse_rate_hz),
        sifted_cps=float(sum(sifted)),
        sifted_fraction=_ratio(sum(sifted), rates.sum()),
        window_fraction=caught,
    )


def _summary(
    true_hz: Real, accidental_hz: Real, seen: tuple[Real, Real], caught: float
) -> Expected:
    found_hz = true_hz + accidental_hz
    z_hz, x_hz = found_hz[:2, :2], found_hz[2:4, 2:4]
    wrong = [block[0, 1] + block[1, 0] for block in (z_hz, x_hz)]
    sifted_hz = z_hz.sum() + x_hz.sum()
    qber_z, qber_x = _ratio(wrong[0], z_hz.sum()), _ratio(wrong[1], x_hz.sum())
    return Expected(
        qber=_ratio(wrong[0] + wrong[1], sifted_hz),
        qber_z=qber_z,
        qber_x=qber_x,
        chsh_s=_measured_s(found_hz)
        if found_hz.shape[1] == 8
        else math.sqrt(2.0) * (2.0 - 2.0 * qber_z - 2.0 * qber_x),
        singles_alice_cps=tuple(seen[0].tolist()),
        singles_bob_cps=tuple(seen[1].tolist()),
        coincidences_cps=float(found_hz.sum()),
        accidentals_cps=float(accidental_hz.sum()),
        sifted_cps=float(sifted_hz),
        sifted_fraction=_ratio(sifted_hz, found_hz.sum()),
        window_fraction=caught,
    )


def _measured_s(found_hz: Real) -> float:
    """Return S of Alice's 0 and 45 against Bob's third and fourth analyser (22.5, 67.5 degrees)."""
    cells = found_hz[:4, 4:8].reshape(2, 2, 2, 2).transpose(0, 2, 1, 3)
    signs = np.array([[1.0, -1.0], [-1.0, 1.0]])
    e = (cells * signs).sum(axis=(2, 3)) / np.maximum(cells.sum(axis=(2, 3)), 1e-300)
    return float(e[0, 0] - e[0, 1] + e[1, 0] + e[1, 1])


def _ratio(part: float, whole: float) -> float:
    """Return the part, or what blind guessing gives where there is nothing."""
    return float(part / whole) if whole > 0.0 else 0.5


def _effects(setup: StationSetup) -> Real:
    split = np.repeat(setup.shares, 2)
    transmission = 10 ** (-setup.fibre.loss_db / 10)
    weights = np.array(setup.efficiency) * split * transmission
    return analyser(weights.tolist(), setup.extinction, directions(setup.analysers_deg))


def _noise(setup: StationSetup) -> Real:
    return np.asarray(np.add(setup.dark_rate_cps, setup.background_cps), dtype=np.float64)


def _singles(source: Source, setup: StationSetup) -> Real:
    """Return the photons per second that meet each detector; each user sees 2/N of them."""
    everything = np.array([[1.0, 0.0, 0.0, 0.0]])
    seen = click_probabilities(source.pair, _effects(setup), everything)[:-1, 0]
    if source.arms[-1] == setup.name or len(source.arms) > 2:
        other = click_probabilities(source.pair.T, _effects(setup), everything)[:-1, 0]
        seen = other if len(source.arms) == 2 else (seen + other) / 2
    return np.asarray(source.pair_rate_hz * 2 / len(source.arms) * seen)


def _pairs(source: Source, ends: LinkEnds, laboratory: Laboratory) -> Real:
    pair, rate_hz = source.pair, source.pair_rate_hz
    if len(source.arms) > 2:
        pair, rate_hz = (pair + pair.T) / 2, rate_hz * 2 / len(source.arms) ** 2
    elif source.arms[0] != ends.alice:
        pair = pair.T
    here, there = _effects(laboratory.stations[ends.alice]), _effects(laboratory.stations[ends.bob])
    return np.asarray(rate_hz * click_probabilities(pair, here, there)[:-1, :-1])


def _live(singles: Real, setup: StationSetup) -> Real:
    """Return the part of the time in which each detector is not dead."""
    return np.asarray(1.0 / (1.0 + singles * setup.response.dead_time_ps * 1e-12))


def _seen(singles: Real, setup: StationSetup) -> Real:
    after = 1.0 + setup.response.afterpulse_probability
    return np.asarray(singles * _live(singles, setup) * after)


def _caught(source: Source, ends: LinkEnds, laboratory: Laboratory) -> float:
    variance = 0.0
    for name in (ends.alice, ends.bob):
        setup = laboratory.stations[name]
        spread_ps = setup.fibre.dispersion_ps_per_nm * source.bandwidth_nm
        variance += math.hypot(setup.response.jitter_ps, spread_ps) ** 2 / FWHM_PER_SIGMA**2
    return window_fraction(ends.window_ps, math.sqrt(variance), ends.resolution_ps)


def window_fraction(window_ps: float, sigma_ps: float, slots_ps: tuple[float, float]) -> float:
    """Return the part of the pairs with |dt| ≤ window/2.

    dt is Gaussian (sigma) plus the rounding of both taggers, uniform over a slot each; their sum is
    integrated over 64 × 64 midpoints. Without slots it is erf(window / (2 √2 σ)).
    """
    steps = (np.arange(64) + 0.5) / 64 - 0.5
    shift = np.add.outer(steps * slots_ps[0], steps * slots_ps[1])
    sigma = max(sigma_ps, 1e-3)
    upper, lower = (window_ps / 2 - shift) / sigma, (-window_ps / 2 - shift) / sigma
    return float(np.mean(ndtr(upper) - ndtr(lower)))
