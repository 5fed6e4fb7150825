"""Verification: a short random hash tells whether both ends hold the same string.

Alice draws a public key after Bob's corrections are done and sends it with the tag of her string.
The tag is a Poly1305 hash of the whole string, cut to the wanted length by a random Toeplitz hash,
because each of its bits leaks and 128 would be more than the correctness asks for.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.poly1305 import Poly1305

from qnx_hw.qkd.privacy_amplification import Method, amplify, seed_length

KEY_BYTES = 32
"""A uniformly random, public key: 16 bytes for the polynomial, 16 for cutting its value."""
FULL_TAG_BITS = 128
MIN_TAG_BITS = 40
"""Shorter tags miss the 1e-12 that nothing here may exceed."""
POLYNOMIAL_BYTES = 16
LENGTH_BYTES = 8


def tag(bits: npt.NDArray[np.uint8], key: bytes, tag_bits: int) -> bytes:
    """Return the tag of a string of 0/1 values: `tag_bits` bits, zeros up to the next byte.

    `key` is `KEY_BYTES` fresh random bytes. Two different strings have equal tags with a
    probability of at most `epsilon(bits.size, tag_bits)` over the key.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a verification key has {KEY_BYTES} bytes, not {len(key)}")
    if not MIN_TAG_BITS <= tag_bits <= FULL_TAG_BITS:
        raise ValueError(f"a tag has {MIN_TAG_BITS} to {FULL_TAG_BITS} bits, not {tag_bits}")
    if bits.ndim != 1 or bits.dtype != np.uint8 or (bits.size and bits.max() > 1):
        raise ValueError("a one-dimensional array of 0 and 1 is needed")
    text = bits.size.to_bytes(LENGTH_BYTES, "big") + np.packbits(bits).tobytes()
    value = Poly1305.generate_tag(key[:POLYNOMIAL_BYTES] + bytes(16), text)
    full = np.unpackbits(np.frombuffer(value, dtype=np.uint8))
    seed = np.unpackbits(np.frombuffer(key[POLYNOMIAL_BYTES:], dtype=np.uint8))
    seed = seed[: seed_length(FULL_TAG_BITS, tag_bits)]
    return np.packbits(amplify(full, seed, tag_bits, method=Method.SCHOOLBOOK)).tobytes()


def epsilon(n_bits: int, tag_bits: int) -> float:
    """Return the largest probability that two different strings have equal tags.

    Poly1305 alone 8 ceil(L/16)/2^106 for L bytes (Bernstein, FSE 2005, section 3); cutting it
    by a two-universal hash adds 2^-tag_bits.
    """
    octets = LENGTH_BYTES + (n_bits + 7) // 8
    polynomial = 8.0 * math.ceil(octets / 16) * 2.0**-106
    return polynomial + (2.0**-tag_bits if tag_bits < FULL_TAG_BITS else 0.0)


def tag_bits_for(n_bits: int, correctness: float) -> int:
    """Return the fewest tag bits with which `epsilon` is at most `correctness`."""
    for tag_bits in range(MIN_TAG_BITS, FULL_TAG_BITS + 1):
        if epsilon(n_bits, tag_bits) <= correctness:
            return tag_bits
    raise ValueError(f"no tag verifies {n_bits} bits to {correctness!r}")
