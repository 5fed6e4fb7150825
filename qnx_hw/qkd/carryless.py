"""Toeplitz products over GF(2) by the processor's carry-less multiplication (PCLMULQDQ).

Bits are packed into 64-bit words. A square block of a Toeplitz matrix of words is split in four,
of which the two on the diagonal are equal, so three products of half the size do (Karatsuba's
trick, transposed: Fan, Hasan, IEEE Trans. Computers 56, 224 (2007), section 3).
"""

from __future__ import annotations

import functools
import platform

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]

WORD_BITS = 64
PROBE_BITS = 301
LEAF_WORDS = 16
"""Below twice this size the plain product is faster than splitting (measured)."""


@functools.cache
def is_available() -> bool:
    """Whether the instruction is there and works; compiles the kernel the first time."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    import llvmlite.binding as llvm

    if not llvm.get_host_cpu_features().get("pclmul", False):
        return False
    # A library that compiles the instruction wrongly must cost speed, never a key.
    seed = (np.arange(PROBE_BITS) ** 2 // 3 % 2).astype(np.uint8)
    x, length = seed[::-2], seed.size - seed[::-2].size + 1
    expected = np.convolve(seed.astype(np.int64), x)[x.size - 1 :][:length] % 2
    return bool((toeplitz_product(x, seed, length) == expected).all())


def toeplitz_product(x: Bits, seed: Bits, length: int) -> Bits:
    """Return y with y[i] = xor over j of seed[i - j + |x| - 1] x[j], for i < `length`.

    0/1 values; |seed| = |x| + length - 1 and all are at least 1. Needs `is_available()`.
    """
    from qnx_hw.qkd.carryless_kernel import multiply_square

    # In words, with the seed moved up to a word border: z[i] = xor_j s[i - j + first] * x[j] in
    # 128 bits, and word i of y is the low half of z[i] and the high half of z[i - 1].
    shift = -(x.size - 1) % WORD_BITS
    first = (x.size - 1 + shift) // WORD_BITS
    rows, columns = _words(length) + 1, _words(x.size)
    side = min(rows, columns)
    levels = max(0, (side // LEAF_WORDS).bit_length() - 1)
    side = -(-side // (1 << levels)) << levels
    across, down = -(-columns // side), -(-rows // side)
    # Tile (0, 0) starts at row -1; its window begins `side` words below the one of (0, across-1).
    before = max(0, across * side - first)
    padded = np.zeros(before + first + down * side + side, dtype=np.uint64)
    packed = _pack(seed, shift)
    padded[before : before + packed.size] = packed
    vector = np.zeros(across * side, dtype=np.uint64)
    vector[:columns] = _pack(x, 0)
    low = np.zeros(down * side, dtype=np.uint64)
    high = np.zeros(down * side, dtype=np.uint64)
    workspace = np.empty(8 * side + 64 * (levels + 1), dtype=np.uint64)
    part_low, part_high = np.empty_like(low[:side]), np.empty_like(low[:side])
    for tile in range(down):
        here = slice(tile * side, (tile + 1) * side)
        for column in range(across):
            start = before + first + (tile - column - 1) * side
            window = padded[start : start + 2 * side - 1]
            piece = vector[column * side : (column + 1) * side]
            multiply_square(window, piece, part_low, part_high, workspace)
            low[here] ^= part_low
            high[here] ^= part_high
    words = low[1:rows] ^ high[: rows - 1]
    return _unpack(words, length)


def _words(bits: int) -> int:
    return -(-bits // WORD_BITS)


def _pack(bits: Bits, shift: int) -> Words:
    """Pack least significant bit first, `shift` zeros before the first."""
    room = np.zeros(_words(bits.size + shift) * WORD_BITS, dtype=np.uint8)
    room[shift : shift + bits.size] = bits
    return np.packbits(room, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def _unpack(words: Words, count: int) -> Bits:
    octets = np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, bitorder="little", count=count)
