"""How many secret bits a block holds: the question and the answer; counts only, no bits."""

from __future__ import annotations

from typing import Annotated

import msgspec

from qnx_hw.api.commands import Command
from qnx_hw.api.value import Value

Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Epsilon = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]


class BlockCounts(Command, frozen=True, kw_only=True):
    """One basis of a block of an entanglement link."""

    n: Count
    """Key bits that were reconciled."""
    k: Count
    """Test bits of the other basis."""
    errors: Count
    """Errors among the test bits."""
    leak: Count
    """Bits that reconciliation published about the key."""
    epsilon_secrecy: Epsilon = 1e-10
    epsilon_correctness: Epsilon = 1e-15


class KeyLength(Value, frozen=True, kw_only=True):
    """What such a block is worth."""

    bits: int
    phase_error_bound: float
