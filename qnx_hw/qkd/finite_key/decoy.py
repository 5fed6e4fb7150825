"""Decoy BB84: the finite key length with two decoys or one.

Names as in the papers: X is the key basis, Z the test basis. Counts are ordered by falling
intensity. Two decoys: Lim, Curty, Walenta, Xu, Zbinden, PRA 89, 022307 (2014), eq. 2-4; one decoy:
Rusca, Boaron, Gruenenfelder, Martin, Zbinden, APL 112, 171104 (2018), appendix; variable
length: Tupkary, Nahar, Sinha, Luetkenhaus 2024.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qnx_hw.qkd.finite_key.bbm92 import Mismatch, serfling_error_bound
from qnx_hw.qkd.finite_key.budget import EpsilonBudget
from qnx_hw.qkd.finite_key.counts import CountBounds
from qnx_hw.qkd.finite_key.entropy import error_entropy
from qnx_hw.qkd.finite_key.hypergeometric import hypergeometric_upper

MOST_PHOTONS = 100.0
"""On average in a pulse; far beyond what any protocol sends."""
SAFETY_BITS = 16
"""Floors inside the bound can break its monotony by log2((1-e)/e) bits; this covers e > 2e-5."""

Vacuum = Literal["published", "tight"]


@dataclass(frozen=True, slots=True)
class DecoyBasis:
    """What one basis showed: per intensity the detections and the errors among them."""

    detections: tuple[int, ...]
    errors: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.detections) != len(self.errors):
            raise ValueError("detections and errors belong to the same intensities")
        for count, wrong in zip(self.detections, self.errors, strict=True):
            if not 0 <= wrong <= count:
                raise ValueError(f"{wrong} errors among {count} detections cannot be")


@dataclass(frozen=True, slots=True)
class DecoyKeyLength:
    """How long a key may be, and the bounds it stands on."""

    bits: int
    """Never below 0; `SAFETY_BITS` are taken off."""
    vacuum_x: float
    """Detections of the key basis in which no photon was sent: a lower bound with two decoys
    (it adds nothing to the key), an upper bound with one."""
    single_x: float
    """Lower bound on detections of the key basis in which one photon was sent; 0 where the counts
    and the intensities cannot belong together."""
    single_z: float
    single_errors_z: float
    """Upper bound on the errors among `single_z`."""
    phase_error_bound: float


@dataclass(frozen=True, slots=True)
class Intensities:
    """Mean photon numbers, falling, and how often each was chosen."""

    means: tuple[float, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        mu = self.means
        if len(mu) not in (2, 3) or len(self.shares) != len(mu):
            raise ValueError("two or three intensities are needed, each with its probability")
        if not (min(self.shares) > 0.0 and abs(sum(self.shares) - 1.0) <= 1e-9):
            raise ValueError(f"the probabilities {self.shares} do not add up to 1")
        if not mu[0] <= MOST_PHOTONS:
            raise ValueError(f"the intensities {mu} lie above {MOST_PHOTONS:g} photons a pulse")
        falls = all(a > b for a, b in itertools.pairwise(mu))
        if not falls or mu[-1] < 0.0 or (len(mu) == 2 and mu[1] == 0.0):
            raise ValueError(f"the intensities {mu} must fall, and a single decoy must not be 0")
        if len(mu) == 3 and mu[0] <= mu[1] + mu[2]:
            raise ValueError(f"the signal must exceed both decoys together: {mu}")

    def emits(self, photons: int) -> float:
        """Return tau: the probability that a pulse holds this many photons."""
        return sum(
            p * math.exp(-mu) * mu**photons / math.factorial(photons)
            for mu, p in zip(self.means, self.shares, strict=True)
        )


@dataclass(frozen=True, slots=True)
class _Scaled:
    """Bounds on e^mu/p times the means of counts, per intensity."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]


def decoy_key_length(  # noqa: PLR0913 -- the counts, the source and the options, each by name
    key: DecoyBasis,
    test: DecoyBasis,
    leak_bits: int,
    *,
    means: Sequence[float],
    shares: Sequence[float],
    budget: EpsilonBudget,
    bounds: CountBounds = CountBounds.CLOPPER_PEARSON,
    sampling: Literal["exact", "serfling"] = "exact",
    vacuum: Vacuum = "published",
    safety_bits: int = SAFETY_BITS,
    mismatch: Mismatch | None = None,
) -> DecoyKeyLength:
    """Return the key length of all detections of the key basis.

    `means` are the intensities in falling order, `shares` their probabilities; three of them run
    the two-decoy analysis, two the one-decoy one. `leak_bits` counts every bit published about
    any detection of the key basis. With one decoy the errors of the key basis must have been
    announced: add ceil(log2(n+1)) to the leak. `mismatch` says how unequal detectors may be.

        e_up = K(s1_X, s1_Z, e_obs s1_Z; eps_AT)/s1_X
        l = floor(s1_X (1 - h(e_up)) - leak - 2 log2(1/(2 eps_pa)) - log2(2/correctness))

    with secrecy = eps_pa + 2 sqrt(eps_AT^2 + 9 eps_d^2), eps_pa = secrecy/2,
    eps_AT = secrecy/(4 sqrt 2), eps_d = secrecy/(4 sqrt 18), every one-sided count bound failing
    with eps_d^2/2. `bounds` and `sampling` other than the default are for comparison.
    """
    source = Intensities(tuple(means), tuple(shares))
    if {len(key.detections), len(test.detections)} != {len(source.means)}:
        raise ValueError("as many counts as intensities are needed")
    if leak_bits < 0:
        raise ValueError(f"a leak of {leak_bits} bits cannot be")
    p = (budget.secrecy / (4.0 * math.sqrt(18.0))) ** 2 / 2.0
    vacuum_x, single_x = _photons(source, key, bounds, p, vacuum)
    _, single_z = _photons(source, test, bounds, p, vacuum)
    errors_z = _single_errors(source, test, bounds, p)
    eps_at = budget.secrecy / (4.0 * math.sqrt(2.0))
    bound = _phase_error(single_x, single_z, errors_z, eps_at, sampling)
    if mismatch is not None and single_x >= 1.0:
        bound = mismatch.widened(bound, math.floor(single_x), eps_at)
    spent = (
        leak_bits + budget.amplification_bits + math.log2(2.0 / budget.correctness) + safety_bits
    )
    bits = max(0, math.floor(single_x * (1.0 - error_entropy(bound)) - spent))
    return DecoyKeyLength(bits, vacuum_x, single_x, single_z, errors_z, bound)


def _scaled(source: Intensities, counts: tuple[int, ...], bounds: CountBounds, p: float) -> _Scaled:
    total = sum(counts)
    factors = [math.exp(mu) / q for mu, q in zip(source.means, source.shares, strict=True)]
    pairs = list(zip(factors, counts, strict=True))
    return _Scaled(
        tuple(f * bounds.at_least(count, total, p) for f, count in pairs),
        tuple(f * bounds.at_most(count, total, p) for f, count in pairs),
    )


def _photons(
    source: Intensities, basis: DecoyBasis, bounds: CountBounds, p: float, vacuum: Vacuum
) -> tuple[float, float]:
    """Return the bounds on detections of empty pulses and of single photons."""
    n = _scaled(source, basis.detections, bounds, p)
    tau0, tau1 = source.emits(0), source.emits(1)
    if len(source.means) == 2:
        mu1, mu2 = source.means
        none = _vacuum_upper(source, basis, bounds, p, vacuum)
        inner = n.lower[1] - mu2**2 / mu1**2 * n.upper[0] - (mu1**2 - mu2**2) / mu1**2 * none / tau0
        return none, _possible(source, n, tau1 * mu1 / (mu2 * (mu1 - mu2)) * inner)
    mu1, mu2, mu3 = source.means
    none = max(0.0, tau0 * (mu2 * n.lower[2] - mu3 * n.upper[1]) / (mu2 - mu3))
    inner = n.lower[1] - n.upper[2] - (mu2**2 - mu3**2) / mu1**2 * (n.upper[0] - none / tau0)
    divisor = mu1 * (mu2 - mu3) - mu2**2 + mu3**2
    return none, _possible(source, n, tau1 * mu1 * inner / divisor)


def _possible(source: Intensities, n: _Scaled, single: float) -> float:
    """Return a bound on single photons; 0 where one intensity has fewer detections than its share.

    An intensity has p mu e^-mu/tau1 of all single photons. A bound that gives it more of them than
    it has detections comes of counts in another order, or of another source.
    """
    pairs = zip(source.means, n.upper, strict=True)
    if single > 0.0 and all(single * mu / source.emits(1) <= up for mu, up in pairs):
        return single
    return 0.0


def _vacuum_upper(
    source: Intensities, basis: DecoyBasis, bounds: CountBounds, p: float, vacuum: Vacuum
) -> float:
    """Bound the detections of empty pulses by the errors, of which they cause one in two."""
    m = _scaled(source, basis.errors, bounds, p)
    spread = -math.log(p) / 2.0
    if vacuum == "tight":
        # The errors of s empty pulses are s fair coins: 2 m >= s - sqrt(2 s ln(1/p)), solved for s.
        a = math.sqrt(spread)
        return min((a + math.sqrt(a * a + 2.0 * source.emits(0) * up)) ** 2 for up in m.upper)
    total = sum(basis.detections)
    return min(2.0 * source.emits(0) * up + 2.0 * math.sqrt(total * spread) for up in m.upper)


def _single_errors(source: Intensities, test: DecoyBasis, bounds: CountBounds, p: float) -> float:
    m = _scaled(source, test.errors, bounds, p)
    *_, high, low = range(len(source.means))
    gap = source.means[high] - source.means[low]
    found = source.emits(1) * (m.upper[high] - m.lower[low]) / gap
    # More errors at less light contradict the source: then any detection may be wrong.
    return found if found >= 0.0 else float(sum(test.detections))


def _phase_error(
    single_x: float, single_z: float, errors_z: float, eps: float, sampling: str
) -> float:
    key, test = math.floor(single_x), math.floor(single_z)
    if key < 1 or test < 1 or errors_z >= single_z:
        return 0.5
    seen = min(test, math.ceil(errors_z / single_z * test))
    if sampling == "serfling":
        return min(0.5, errors_z / single_z + serfling_error_bound(single_x, single_z, 0.0, eps))
    return min(0.5, hypergeometric_upper(key, test, seen, eps) / key)
