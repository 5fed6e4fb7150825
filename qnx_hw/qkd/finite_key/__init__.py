"""How many secret bits a block holds: finite-key lengths, asymptotic rates and link models.

All logarithms written log2 are base 2. Lengths are bits, times seconds, rates per second.
"""

from qnx_hw.qkd.finite_key.asymptotic import (
    DecoyChannel,
    bb84_fraction,
    decoy_rate,
    decoy_rate_limit,
)
from qnx_hw.qkd.finite_key.bbm92 import (
    KeyLength,
    Mismatch,
    bbm92_key_length,
    serfling_error_bound,
    widened_for_mismatch,
)
from qnx_hw.qkd.finite_key.budget import EpsilonBudget
from qnx_hw.qkd.finite_key.chsh import ChshTest, Correlator, device_independent_fraction
from qnx_hw.qkd.finite_key.decoy import DecoyBasis, DecoyKeyLength, decoy_key_length
from qnx_hw.qkd.finite_key.entropy import binary_entropy
from qnx_hw.qkd.finite_key.hypergeometric import hypergeometric_upper
from qnx_hw.qkd.finite_key.links import (
    LinkRates,
    PairLink,
    dead_time_rate,
    fibre_transmission,
    free_space_transmission,
    pulsed_pair_statistics,
)

__all__ = [
    "ChshTest",
    "Correlator",
    "DecoyBasis",
    "DecoyChannel",
    "DecoyKeyLength",
    "EpsilonBudget",
    "KeyLength",
    "LinkRates",
    "Mismatch",
    "PairLink",
    "bb84_fraction",
    "bbm92_key_length",
    "binary_entropy",
    "dead_time_rate",
    "decoy_key_length",
    "decoy_rate",
    "decoy_rate_limit",
    "device_independent_fraction",
    "fibre_transmission",
    "free_space_transmission",
    "hypergeometric_upper",
    "pulsed_pair_statistics",
    "serfling_error_bound",
    "widened_for_mismatch",
]
