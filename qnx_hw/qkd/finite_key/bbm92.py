"""BBM92, and BB84 with single photons: the length of one basis' key."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qnx_hw.qkd.finite_key.budget import EpsilonBudget
from qnx_hw.qkd.finite_key.entropy import error_entropy
from qnx_hw.qkd.finite_key.hypergeometric import hypergeometric_upper


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How unequal the detectors of a station may be."""

    deviation: float
    """Each efficiency lies within +- this part of a common one."""
    roles_swapped: bool = False
    """Whether the roles of the detectors are swapped at random."""

    def widened(self, error_bound: float, n: int, eps: float) -> float:
        """Return the phase-error bound that holds with such detectors."""
        return widened_for_mismatch(
            error_bound, n, self.deviation, eps, roles_swapped=self.roles_swapped
        )


@dataclass(frozen=True, slots=True)
class KeyLength:
    """How long a key may be, and why."""

    bits: int
    """0 where the block holds no key."""
    phase_error_bound: float
    """Upper bound on the part of phase errors among the key bits; 1 where nothing is known."""
    phase_errors: int
    """The same as a count, K."""
    leak_bits: int
    tag_bits: int
    budget: EpsilonBudget


def bbm92_key_length(
    n: int,
    k: int,
    errors: int,
    leak_bits: int,
    *,
    budget: EpsilonBudget,
    mismatch: Mismatch | None = None,
) -> KeyLength:
    """Return the key length of n bits of one basis, tested by k bits of the other.

    `n` bits entered error correction, which published `leak_bits` about them (every bit; the
    verification tag is counted here, apart). The `k` test bits are a uniformly random part of the
    other basis' sifted rounds and `errors` of them differ. With both bases making keys, call this
    once per basis with `budget.split(2)`. Where the detectors' efficiencies are not known to be
    equal, `mismatch` says how far they may be apart.

        e_up = K(n, k, errors; eps_at)/n
        l = floor(n (1 - h(e_up)) - leak - tag - 2 log2(1/(2 eps_pa)))

    Proof: entropic uncertainty relation and leftover hashing (Tomamichel, Lim, Gisin, Renner,
    Nat. Commun. 3, 634 (2012)) with the exact hypergeometric tail in place of
    Serfling's inequality; valid for a length chosen after `errors` is seen (Tupkary, Nahar, Sinha,
    Luetkenhaus 2024). Conditions: docs/explanation/security.md.
    """
    if not all(0 <= each < math.inf for each in (n, k, errors, leak_bits)) or errors > k:
        raise ValueError(f"n {n}, k {k}, errors {errors}, leak {leak_bits} cannot be")
    if n == 0 or k == 0:
        return KeyLength(0, 1.0, n, leak_bits, budget.tag_bits, budget)
    worst = hypergeometric_upper(n, k, errors, budget.eps_at)
    bound = worst / n
    if mismatch is not None:
        bound = mismatch.widened(bound, n, budget.eps_at)
    entropy_bits = n * (1.0 - error_entropy(bound))
    spent_bits = leak_bits + budget.tag_bits + budget.amplification_bits
    bits = max(0, math.floor(entropy_bits - spent_bits))
    return KeyLength(bits, bound, worst, leak_bits, budget.tag_bits, budget)


def serfling_error_bound(n: float, k: float, errors: float, eps: float) -> float:
    """Return errors/k + nu, which is never below K/n: a cross-check, too loose for keys.

    nu = sqrt((n+k)(k+1) ln(1/eps) / (n k^2)) (Tomamichel et al. 2012; wrong with
    probability eps^2 at most). Not clipped to 1.
    """
    if n < 1 or k < 1:
        raise ValueError("an empty sample, or nothing to say about")
    return errors / k + math.sqrt((n + k) * (k + 1.0) * math.log(1.0 / eps) / (n * k**2))


def widened_for_mismatch(
    error_bound: float, n: int, deviation: float, eps: float, *, roles_swapped: bool = False
) -> float:
    """Widen a phase-error bound where detector efficiencies are known only to +-`deviation`.

    e -> (e + delta1 + g)/(1 - delta2 - g) with r = (1-d)/(1+d), g = sqrt(ln(1/eps)/n),
    delta2 = 1 - r and delta1 = 4 (1 - sqrt(r)); with the detectors' roles swapped at random
    delta2 = (1-r)^2/2 and delta1 = 4 (1 - sqrt(1 - delta2)). (Tupkary et al. 2024, without the
    factor for dark counts.) Never above 1/2.
    """
    if not 0.0 <= deviation < 1.0 or n < 1:
        raise ValueError(f"a deviation of {deviation!r} over {n} bits cannot be")
    r = (1.0 - deviation) / (1.0 + deviation)
    if roles_swapped:
        delta2 = (1.0 - r) ** 2 / 2.0
        delta1 = 4.0 * (1.0 - math.sqrt(1.0 - delta2))
    else:
        delta2 = 1.0 - r
        delta1 = 4.0 * (1.0 - math.sqrt(r))
    g = math.sqrt(math.log(1.0 / eps) / n)
    left = 1.0 - delta2 - g
    return min(0.5, (error_bound + delta1 + g) / left) if left > 0.0 else 0.5
