"""The compiled part of carry-less Toeplitz products; import it only where the processor can."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from qnx_hw.timing.arrays import inner, kernel

Words = npt.NDArray[np.uint64]

PLAIN_WORDS = 32
"""Smaller blocks are multiplied plainly."""


@intrinsic
def _add_products(_typing: Any, window: Any, x: Any, count: Any) -> Any:  # numba's own types
    """Return (low, high) of xor over j < count of window[-j] * x[j]; addresses as integers."""
    two_words: Any = types.Tuple  # numba has no annotations
    signature = two_words([types.uint64] * 2)(types.uint64, types.uint64, types.int64)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        pair = ir.VectorType(word, 2)
        multiply = builder.module.declare_intrinsic(
            "llvm.x86.pclmulqdq", fnty=ir.FunctionType(pair, [pair, pair, ir.IntType(8)])
        )
        window_at = builder.inttoptr(arguments[0], word.as_pointer())
        x_at = builder.inttoptr(arguments[1], word.as_pointer())
        entry = builder.block
        head = builder.append_basic_block("products")
        after = builder.append_basic_block("products.end")
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(word)
        total = builder.phi(pair)
        index.add_incoming(ir.Constant(word, 0), entry)
        total.add_incoming(ir.Constant(pair, [0, 0]), entry)
        zero, lane = ir.Constant(pair, [0, 0]), ir.Constant(ir.IntType(32), 0)

        def load(base: Any, offset: Any) -> Any:
            value = builder.load(builder.gep(base, [offset]), align=8)
            return builder.insert_element(zero, value, lane)

        left = load(window_at, builder.neg(index))
        right = load(x_at, index)
        product = builder.call(multiply, [left, right, ir.Constant(ir.IntType(8), 0)])
        summed = builder.xor(total, product)
        following = builder.add(index, ir.Constant(word, 1))
        index.add_incoming(following, head)
        total.add_incoming(summed, head)
        builder.cbranch(builder.icmp_unsigned("<", following, arguments[2]), head, after)
        builder.position_at_end(after)
        halves = [builder.extract_element(summed, ir.Constant(ir.IntType(32), i)) for i in range(2)]
        return context.make_tuple(builder, _signature.return_type, halves)

    return signature, generate


@inner()
def _plain(window: Words, x: Words, low: Words, high: Words) -> None:
    n = x.size
    window_at, x_at = np.uint64(window.ctypes.data), np.uint64(x.ctypes.data)
    for i in range(n):
        at = window_at + np.uint64(8 * (i + n - 1))
        low[i], high[i] = _add_products(at, x_at, n)  # type: ignore[call-arg]  # the typing context


@kernel("void(uint64[::1], uint64[::1], uint64[::1], uint64[::1], uint64[::1])", _nrt=False)
def multiply_square(window: Words, x: Words, low: Words, high: Words, workspace: Words) -> None:
    """Set low, high to the halves of z[i] = xor over j of window[i - j + n - 1] * x[j].

    `x`, `low` and `high` have n words, `window` 2 n - 1, `workspace` 8 n and 64 for each halving.
    """
    n = x.size
    if n < PLAIN_WORDS or n % 2:
        _plain(window, x, low, high)
        return
    half = n // 2
    sums = workspace[: 2 * half - 1]
    vector = workspace[2 * half : 3 * half]
    part_low = workspace[3 * half : 4 * half]
    part_high = workspace[4 * half : 5 * half]
    rest = workspace[5 * half :]
    for i in range(half):
        vector[i] = x[i] ^ x[half + i]
    multiply_square(window[half : 3 * half - 1], vector, part_low, part_high, rest)
    for i in range(2 * half - 1):
        sums[i] = window[i] ^ window[half + i]
    multiply_square(sums, x[half:], low[:half], high[:half], rest)
    for i in range(2 * half - 1):
        sums[i] = window[half + i] ^ window[2 * half + i]
    multiply_square(sums, x[:half], low[half:], high[half:], rest)
    for i in range(half):
        low[i] ^= part_low[i]
        high[i] ^= part_high[i]
        low[half + i] ^= part_low[i]
        high[half + i] ^= part_high[i]
