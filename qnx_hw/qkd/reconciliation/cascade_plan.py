"""What both parties of Cascade derive from public settings: block sizes and shuffles."""

from __future__ import annotations

import hashlib
import math
from enum import StrEnum

import msgspec

from qnx_hw.qkd.reconciliation.interface import MAX_KEY_BITS

PASSES = 3
LANES = 64
MIN_HINT, MAX_HINT = 1e-4, 0.25


class Mode(StrEnum):
    """What to spare: bits or round trips."""

    LOW_LEAK = "low-leak"
    LOW_ROUND = "low-round"


class CascadeParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public settings of Cascade; both ends must hold the same ones."""

    mode: Mode = Mode.LOW_LEAK
    confirmations: int = 12
    """Parities of random subsets that must agree at the end; each halves the residual failures."""
    leak_limit: float = 1.0
    """Bits that Alice discloses at most, per bit of key; more would leave no key."""
    block_sizes: tuple[int, int, int] | None = None
    """Block sizes of the three passes, powers of two; None chooses them from the error rate."""

    def __post_init__(self) -> None:
        if not 1 <= self.confirmations <= 64 or not 0.0 < self.leak_limit <= 4.0:
            raise ValueError("1 to 64 confirmations and a leak limit of up to 4 are possible")
        for size in self.block_sizes or ():
            if not 2 <= size <= MAX_KEY_BITS or size & (size - 1):
                raise ValueError(f"a block size is a power of two from 2 up, not {size}")


def block_sizes(qber_hint: float, mode: Mode) -> tuple[int, int, int]:
    """Choose the three passes' block sizes (powers of two) for an expected error rate."""
    hint = min(max(qber_hint, MIN_HINT), MAX_HINT)
    for limit, low_leak, second in _SIZES:
        if hint < limit:
            return low_leak if mode is Mode.LOW_LEAK else (low_leak[0], second, low_leak[2])
    return (4, 64, 4096)


# Measured with this code: the smallest leak at 1e5 bits for the error rates up to each limit.
_SIZES: tuple[tuple[float, tuple[int, int, int], int], ...] = (
    (0.0003, (4096, 16384, 65536), 16384),
    (0.0015, (1024, 8192, 32768), 4096),
    (0.0035, (256, 4096, 16384), 1024),
    (0.007, (128, 2048, 8192), 512),
    (0.014, (128, 1024, 8192), 256),
    (0.025, (32, 512, 8192), 128),
    (0.04, (32, 512, 4096), 128),
    (0.065, (16, 256, 4096), 64),
    (0.09, (16, 256, 4096), 64),
    (0.105, (8, 256, 4096), 32),
    (0.15, (8, 128, 4096), 32),
)


def public_number(seed: bytes) -> int:
    """Hash a block's public seed to the 64 bits that shuffles and subsets are drawn from."""
    digest = hashlib.sha256(b"qnx cascade 1" + len(seed).to_bytes(8, "little") + seed).digest()
    return int.from_bytes(digest[:8], "little")


def leak_limit_bits(n: int, parameters: CascadeParameters) -> int:
    """Most parities Alice discloses for `n` bits; a few hundred are granted to tiny strings."""
    return math.ceil(n * parameters.leak_limit) + 256
