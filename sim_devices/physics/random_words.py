"""Random numbers for numba kernels: xoshiro256++ kept in local variables, seeded by place.

xoshiro256++ and SplitMix64: Blackman & Vigna, ACM TOMS 47 (2021) 36. Ziggurat: Marsaglia & Tsang,
J. Stat. Softw. 5 (2000) 8, in Doornik's form, with 256 layers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
from numba import njit
from numpy.typing import NDArray

Word = np.uint64
State = NDArray[np.uint64]

# numba has no types for its decorator. Kernels release the GIL and are kept on disk between runs.
kernel: Callable[..., Any] = partial(njit, nogil=True, cache=True, no_cfunc_wrapper=True)
# Only kernels call it: there is no way in from Python, which would take as long to compile as it.
inner: Callable[..., Any] = partial(kernel, no_cpython_wrapper=True)

TO_UNIT = 2.0**-53
# Right end and area of the layers for exp(−x), 256 layers (Marsaglia & Tsang, table 2).
_TAIL_START = 7.69711747013104972
_LAYER_AREA = 0.0039496598225815571993


def _layers() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    edges = np.zeros(257)
    edges[0] = _LAYER_AREA / np.exp(-_TAIL_START)
    edges[1] = _TAIL_START
    for i in range(2, 256):
        edges[i] = -np.log(_LAYER_AREA / edges[i - 1] + np.exp(-edges[i - 1]))
    return edges, edges[1:] / edges[:-1]


EDGES, RATIOS = _layers()


def stream_number(name: str) -> int:
    """Return the number of a random stream, the same in every process."""
    return crc32(name.encode())


@njit(nogil=True, cache=True, inline="always")
def next_word(s0: Word, s1: Word, s2: Word, s3: Word) -> tuple[Word, Word, Word, Word, Word]:
    """Return a random word and the next state (xoshiro256++)."""
    mixed = s0 + s3
    word = ((mixed << np.uint64(23)) | (mixed >> np.uint64(41))) + s0
    shifted = s1 << np.uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << np.uint64(45)) | (s3 >> np.uint64(19))
    return word, s0, s1, s2, s3


@inner()
def mixed(value: Word) -> Word:
    """Return SplitMix64's hash of a number: a bijection without visible pattern."""
    z = value + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel()
def seeded(seed: int, stream: int, chunk: int) -> State:
    """Return the generator's state for a seed, a named stream and a chunk number."""
    root = mixed(mixed(np.uint64(seed)) ^ mixed(np.uint64(stream) << np.uint64(1)))
    root = mixed(root ^ np.uint64(chunk))
    step = np.uint64(0x9E3779B97F4A7C15)
    state = np.empty(4, dtype=np.uint64)
    for i in range(4):
        state[i] = mixed(root + step * np.uint64(i))
    return state


@kernel()
def exponential(s0: Word, s1: Word, s2: Word, s3: Word) -> tuple[float, Word, Word, Word, Word]:
    """Return a draw of mean 1 and the next state."""
    tail = 0.0
    while True:
        word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        layer = np.int64(word & np.uint64(255))
        u = np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT
        x = u * EDGES[layer]
        if u < RATIOS[layer]:
            return tail + x, s0, s1, s2, s3
        if layer == 0:
            tail += EDGES[1]
            continue
        low, high = np.exp(-EDGES[layer]), np.exp(-EDGES[layer + 1])
        word, s0, s1, s2, s3 = next_word(s0, s1, s2, s3)
        v = np.float64(np.int64(word >> np.uint64(11))) * TO_UNIT
        if low + v * (high - low) < np.exp(-x):
            return tail + x, s0, s1, s2, s3
