"""Rates for infinitely long keys: what a link can reach, never what a block holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qnx_hw.qkd.finite_key.entropy import binary_entropy


def bb84_fraction(qber_z: float, qber_x: float, f: float = 1.0) -> float:
    """Return r = 1 - h(q_x) - f h(q_z) per sifted bit, 0 where it is not positive.

    For BBM92 and BB84 with single photons (Shor, Preskill, PRL 85, 441 (2000)); f is what error
    correction leaks in units of the Shannon limit.
    """
    known = 1.0 - binary_entropy(qber_x) - f * binary_entropy(qber_z)
    return max(0.0, known) if max(qber_x, qber_z) < 0.5 else 0.0


@dataclass(frozen=True, slots=True)
class DecoyChannel:
    """A link of decoy BB84 as Ma, Qi, Zhao, Lo, PRA 72, 012326 (2005) describe it."""

    efficiency: float
    """From Alice's output to a click at Bob, between 0 and 1."""
    background: float
    """Y0: clicks per pulse without light."""
    misalignment: float
    """e_d: the part of photons that end in the wrong detector."""

    def gain(self, mu: float) -> float:
        """Return Q_mu = Y0 + 1 - exp(-eta mu), clicks per pulse."""
        return self.background - math.expm1(-self.efficiency * mu)

    def error_gain(self, mu: float) -> float:
        """Return E_mu Q_mu, errors per pulse."""
        return self.background / 2.0 - self.misalignment * math.expm1(-self.efficiency * mu)


def decoy_rate(
    channel: DecoyChannel, mu: float, nu: float, *, f: float = 1.0, sifting: float = 0.5
) -> float:
    """Return secret bits per pulse with a signal mu, a decoy nu and a vacuum decoy.

    Ma et al. 2005, the bounds on Y1 and e1 for vacuum and weak decoy.
    """
    if not 0.0 < nu < mu:
        raise ValueError(f"a decoy of {nu!r} photons must be weaker than the signal's {mu!r}")
    y0 = channel.background
    weak, strong = channel.gain(nu) * math.exp(nu), channel.gain(mu) * math.exp(mu)
    y1 = mu / (mu * nu - nu**2) * (weak - strong * nu**2 / mu**2 - (mu**2 - nu**2) / mu**2 * y0)
    if y1 <= 0.0:
        return 0.0
    e1 = (channel.error_gain(nu) * math.exp(nu) - y0 / 2.0) / (y1 * nu)
    return _rate(channel, mu, y1, e1, (f, sifting))


def decoy_rate_limit(
    channel: DecoyChannel, mu: float, *, f: float = 1.0, sifting: float = 0.5
) -> float:
    """Return secret bits per pulse with infinitely many decoys (Ma et al. 2005)."""
    y1 = channel.background + channel.efficiency
    if y1 <= 0.0:
        return 0.0
    e1 = (channel.background / 2.0 + channel.misalignment * channel.efficiency) / y1
    return _rate(channel, mu, y1, e1, (f, sifting))


def _rate(
    channel: DecoyChannel, mu: float, y1: float, e1: float, weights: tuple[float, float]
) -> float:
    f, sifting = weights
    gain = channel.gain(mu)
    if gain <= 0.0:
        return 0.0
    single = y1 * mu * math.exp(-mu)
    lost = gain * f * binary_entropy(channel.error_gain(mu) / gain)
    return max(0.0, sifting * (single * (1.0 - binary_entropy(min(0.5, max(0.0, e1)))) - lost))
