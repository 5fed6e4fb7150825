"""Privacy amplification: a long, partly known string becomes a short, secret one.

The family of hashes is the modified Toeplitz matrix (I | T): the first `length` bits stay, and a
random Toeplitz matrix of the others is added. It is exactly two-universal (Hayashi, Tsurumaru,
IEEE Trans. Inf. Theory 62, 2213 (2016)), as the leftover hash lemma needs, and its
seed has one bit less than its input. The seed is public but must be drawn after the last detection
and sent where it is authenticated.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import fft

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd import carryless

Bits = npt.NDArray[np.uint8]

# Rounding in double precision stays below 1e-6 at 1e8 bits, so a larger residual is a broken
# machine or library, not arithmetic.
RESIDUAL_LIMIT = 0.25
CARRYLESS_MAX_BITS = 1_000_000_000
"""Above this the Fourier transform, n log n, overtakes Karatsuba, n^1.585: at 1e8 bits it still is
five times slower, and takes eight times the memory (measured)."""


class Method(StrEnum):
    """Ways to compute the same bits."""

    CARRYLESS = "carryless"
    """Karatsuba on the processor's carry-less multiplication; fastest, x86-64 only."""
    FOURIER = "fourier"
    """Double-precision Fourier transform; everywhere."""
    SCHOOLBOOK = "schoolbook"
    """Row by row on packed bits; slow, what the others are checked against."""


def seed_length(n: int, length: int) -> int:
    """Return how many random bits hash `n` bits to `length`; 0 where nothing is hashed."""
    if not 0 <= length <= n:
        raise ValueError(f"{n} bits cannot become {length}")
    return n - 1 if 0 < length < n else 0


def amplify(bits: Bits, seed: Bits, length: int, *, method: Method | None = None) -> Bits:
    """Return the `length` bits y = x1 xor T x2 of `bits` = (x1, x2), as 0/1 values.

    `bits` and `seed` hold 0/1 values; `seed` has `seed_length(bits.size, length)` of them and
    T[i, j] = seed[i - j + n - length - 1]. All methods return the same bits; the fastest that
    works here is taken where none is named. Raises `BlockAborted` where arithmetic failed.
    """
    n = bits.size
    if seed.size != seed_length(n, length):
        raise ValueError(f"{seed.size} seed bits for hashing {n} bits to {length}")
    if not (_is_binary(bits) and _is_binary(seed)):
        raise ValueError("one-dimensional arrays of 0 and 1 are needed")
    if length in (0, n):
        return bits[:length].copy()
    chosen = method or _fastest(n)
    product = _PRODUCTS[chosen](bits[length:], seed, length)
    return product ^ bits[:length]


def _is_binary(values: Bits) -> bool:
    return values.ndim == 1 and values.dtype == np.uint8 and int(values.max(initial=0)) <= 1


def _fastest(n: int) -> Method:
    if n <= CARRYLESS_MAX_BITS and carryless.is_available():
        return Method.CARRYLESS
    return Method.FOURIER


def _by_carryless(x: Bits, seed: Bits, length: int) -> Bits:
    return carryless.toeplitz_product(x, seed, length)


def _by_fourier(x: Bits, seed: Bits, length: int) -> Bits:
    # Entry i of T x is entry i + |x| - 1 of the convolution seed * x. A cyclic one of |seed|
    # points will do: what wraps around ends before |x| - 1.
    points = fft.next_fast_len(seed.size, real=True)
    spectrum = fft.rfft(seed.astype(np.float64), points)
    spectrum *= fft.rfft(x.astype(np.float64), points)
    return parities(fft.irfft(spectrum, points)[x.size - 1 : x.size - 1 + length])


def parities(sums: npt.NDArray[np.float64]) -> Bits:
    """Return whether each sum is odd; `BlockAborted` where one is too far from an integer."""
    whole = np.rint(sums)
    residual = float(np.abs(sums - whole).max())
    if not residual < RESIDUAL_LIMIT:
        raise BlockAborted(f"privacy amplification rounded by {residual:.3g}")
    odd: Bits = (whole.astype(np.int64) & 1).astype(np.uint8)
    return odd


def _by_schoolbook(x: Bits, seed: Bits, length: int) -> Bits:
    # Row i is seed[i : i + |x|] read backwards; packed eight ways, one for each shift by a bit.
    backwards = np.packbits(x[::-1])
    shifted = [np.packbits(seed[shift:]) for shift in range(8)]
    product = np.empty(length, dtype=np.uint8)
    tail = np.zeros(backwards.size + 1, dtype=np.uint8)
    for i in range(length):
        row = shifted[i % 8][i // 8 : i // 8 + backwards.size]
        overlap = tail[: row.size]
        np.bitwise_and(row, backwards[: row.size], out=overlap)
        product[i] = int(np.bitwise_count(overlap).sum()) & 1
    return product


_PRODUCTS = {
    Method.CARRYLESS: _by_carryless,
    Method.FOURIER: _by_fourier,
    Method.SCHOOLBOOK: _by_schoolbook,
}
