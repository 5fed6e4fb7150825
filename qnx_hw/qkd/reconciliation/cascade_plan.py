"""What both parties of Cascade derive from public settings: block sizes and shuffles."""

from __future__ import annotations

import hashlib
import math
from enum import StrEnum
from typing import NamedTuple

import msgspec

from qnx_hw.qkd.reconciliation.interface import MAX_KEY_BITS

PASSES = 3
LANES = 64


class Mode(StrEnum):
    """What to spare: bits or round trips."""

    LOW_LEAK = "low-leak"
    LOW_ROUND = "low-round"


class CascadeParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Public settings of Cascade; both ends must hold the same ones."""

    mode: Mode = Mode.LOW_LEAK
    confirmations: int = 14
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


class Plan(NamedTuple):
    """How a string is asked about."""

    sizes: tuple[int, int, int]
    """Block sizes of the passes."""
    overlap: int = 0
    """Questions in a message, per 1e5 bits of the string; with no more than these left, the next
    pass begins beside the current one."""
    halved: float = 0.0
    """Part of the second pass's blocks whose halves are told apart in the same message."""


def plan(n: int, qber_hint: float, parameters: CascadeParameters) -> Plan:
    """Choose block sizes (powers of two) for `n` bits with an expected error rate."""
    if parameters.block_sizes is not None:
        return Plan(parameters.block_sizes)
    low_round = parameters.mode is Mode.LOW_ROUND
    if n >= LONG_BITS and not low_round:
        for limit, long_plan in _LONG_PLANS:
            if qber_hint < limit:
                return long_plan
    for limit, low_leak_plan, low_round_plan in _PLANS:
        if qber_hint < limit:
            return low_round_plan if low_round else low_leak_plan
    return Plan((4, 64, 4096))


LONG_BITS = 300_000
# Measured at 1e6 bits, where 800 rounds are few beside the time that such a block takes.
_LONG_PLANS = (
    (0.014, Plan((128, 1024, 16384))),
    (0.04, Plan((32, 512, 16384))),
)
# Measured with this code at 1e5 bits, for error rates up to each limit: the smallest leak but
# for 0.2 % or so that would double the rounds; the smallest leak in 130 rounds.
_PLANS: tuple[tuple[float, Plan, Plan], ...] = (
    (0.0003, Plan((4096, 16384, 65536)), Plan((4096, 16384, 65536), 2)),
    (0.0015, Plan((1024, 4096, 32768)), Plan((1024, 4096, 32768), 2)),
    (0.0035, Plan((256, 2048, 16384)), Plan((256, 1024, 16384), 2)),
    (0.007, Plan((128, 1024, 16384)), Plan((128, 512, 16384), 2)),
    (0.014, Plan((128, 512, 16384)), Plan((128, 256, 16384), 4)),
    (0.025, Plan((64, 256, 16384)), Plan((32, 128, 16384))),
    (0.04, Plan((32, 256, 16384)), Plan((32, 128, 16384), 12)),
    (0.065, Plan((16, 256, 16384)), Plan((16, 64, 16384), 1)),
    (0.09, Plan((8, 256, 16384)), Plan((8, 64, 16384), 4)),
    (0.15, Plan((8, 256, 16384)), Plan((8, 64, 16384), 0, 0.875)),
)


def public_number(seed: bytes) -> int:
    """Hash a block's public seed to the 64 bits that shuffles and subsets are drawn from."""
    digest = hashlib.sha256(b"qnx cascade 1" + len(seed).to_bytes(8, "little") + seed).digest()
    return int.from_bytes(digest[:8], "little")


def leak_limit_bits(n: int, parameters: CascadeParameters) -> int:
    """Most parities Alice discloses for `n` bits; a few hundred are granted to tiny strings."""
    return math.ceil(n * parameters.leak_limit) + 256
