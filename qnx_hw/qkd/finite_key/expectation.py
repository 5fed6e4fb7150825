"""What a link may expect: secret bits per second of finite blocks."""

from __future__ import annotations

from qnx_hw.qkd.finite_key.bbm92 import bbm92_key_length
from qnx_hw.qkd.finite_key.budget import EpsilonBudget
from qnx_hw.qkd.finite_key.entropy import binary_entropy

TEST_FRACTION = 0.1
EFFICIENCY = 1.15
"""Published bits of reconciliation over those of Shannon's limit; typical of this software."""
BUDGET = EpsilonBudget(1e-10, 1e-15).split(2)


def secret_rate_bps(coincidences_cps: float, qber: float, block_s: float) -> float:
    """Return what BBM92 with balanced bases makes of blocks of this length; 0 where nothing."""
    if qber >= 0.11:
        return 0.0
    sifted = coincidences_cps * block_s / 4
    tested = round(TEST_FRACTION * sifted)
    kept = round(sifted) - tested
    if tested < 20:
        return 0.0
    leak = round(EFFICIENCY * binary_entropy(qber) * kept)
    length = bbm92_key_length(kept, tested, round(qber * tested), leak, budget=BUDGET)
    return 2 * length.bits / block_s
