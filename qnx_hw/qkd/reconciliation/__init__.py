"""Reconciliation: make Bob's string equal to Alice's, and count every bit that it costs."""

from qnx_hw.qkd.reconciliation.cascade import CascadeAlice, CascadeBob, reconcile
from qnx_hw.qkd.reconciliation.cascade_plan import CascadeParameters, Mode
from qnx_hw.qkd.reconciliation.interface import (
    Bits,
    Corrector,
    ReconciliationFailed,
    Reference,
    Result,
)
from qnx_hw.qkd.reconciliation.ldpc import (
    SHORTEST_LDPC_BITS,
    LdpcAlice,
    LdpcBob,
    LdpcParameters,
)
from qnx_hw.qkd.reconciliation.max_key import (
    LEAST_MAX_KEY_ERRORS,
    LONGEST_MAX_KEY_BITS,
    MaxKeyAlice,
    MaxKeyBob,
)
from qnx_hw.qkd.reconciliation.warm_up import warm_up

__all__ = [
    "LEAST_MAX_KEY_ERRORS",
    "LONGEST_MAX_KEY_BITS",
    "SHORTEST_LDPC_BITS",
    "Bits",
    "CascadeAlice",
    "CascadeBob",
    "CascadeParameters",
    "Corrector",
    "LdpcAlice",
    "LdpcBob",
    "LdpcParameters",
    "MaxKeyAlice",
    "MaxKeyBob",
    "Mode",
    "ReconciliationFailed",
    "Reference",
    "Result",
    "reconcile",
    "warm_up",
]
