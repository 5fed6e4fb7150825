"""Cascade's shuffles: words in any order, lanes within them moved and turned, from a public seed.

A shuffle moves whole 64-bit words and then each of their lanes by an offset of its own, so that
a pass' string is put together by shifts over contiguous words instead of bit by bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qnx_hw.qkd.reconciliation.cascade_board import inner, kernel
from qnx_hw.qkd.reconciliation.cascade_plan import LANES


@inner()
def mix(x: np.uint64) -> np.uint64:
    # The finaliser of splitmix64 (Steele, Lea, Flood 2014).
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@inner()
def _shuffle(values: npt.NDArray[np.int64], state: np.uint64) -> np.uint64:
    # Fisher-Yates; the high half of a 64-bit product is close enough to uniform below 2^24.
    for i in range(values.size - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        j = np.int64(((mix(state) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32))
        values[i], values[j] = values[j], values[i]
    return state


@kernel()
def draw_shuffles(
    seed: np.uint64,
    order: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int64],
    lanes: npt.NDArray[np.int64],
) -> None:
    """Fill in the shuffles of all passes from a seed; pass 0 keeps the order."""
    n_words = order.shape[1]
    state = seed
    for p in range(order.shape[0]):
        for j in range(n_words):
            order[p, j] = j
        for b in range(LANES):
            lanes[p, 0, b], lanes[p, 1, b] = 0, b
        if p > 0:
            state = _shuffle(order[p], state)
            state = _shuffle(lanes[p, 1], state)
            for b in range(LANES):
                state += np.uint64(0x9E3779B97F4A7C15)
                lanes[p, 0, b] = np.int64(mix(state) % np.uint64(n_words))
        for j in range(n_words):
            slots[p, order[p, j]] = j
        for b in range(LANES):
            lanes[p, 2, lanes[p, 1, b]] = b


@inner()
def interleave(
    source: npt.NDArray[np.uint64],
    order: npt.NDArray[np.int64],
    lanes: npt.NDArray[np.int64],
    moved: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
) -> None:
    n_words = source.size
    for j in range(n_words):
        moved[j] = source[order[j]]
        out[j] = np.uint64(0)
    one = np.uint64(1)
    for b in range(LANES):
        offset = lanes[0, b]
        lane, target = np.uint64(lanes[1, b]), np.uint64(b)
        ahead, behind = moved[offset:], moved[:offset]
        begin, end = out[: n_words - offset], out[n_words - offset :]
        for j in range(ahead.size):
            begin[j] |= ((ahead[j] >> lane) & one) << target
        for j in range(behind.size):
            end[j] |= ((behind[j] >> lane) & one) << target
