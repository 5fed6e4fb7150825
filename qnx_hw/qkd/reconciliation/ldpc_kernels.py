"""Compiled kernels of the LDPC codes: syndromes, and layered sum-product decoding.

Layered: one block row of the matrix at a time, whose new messages count at once for the next. All
lanes of a circulant are worked on side by side, in loops over contiguous slices that the compiler
turns into vector code. Messages are log-likelihood ratios in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qnx_hw.timing.arrays import inner, kernel

Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]
Words = npt.NDArray[np.int32]

# The rational form of tanh below is accurate to 1e-4 up to here, where it reaches 0.9999.
_LARGEST = np.float32(4.97)
# Products of tangents stay below this, so that their inverse stays finite.
_NEAR_ONE = np.float32(0.99995)
_LEAST = np.float32(1e-4)
"""Tangents are at least so large: next to nothing for whoever listens."""
_LN_2 = np.float32(0.6931472)
# tanh(y) = y (a0 + q (a1 + q (a2 + q))) / (a0 + q (b1 + q (b2 + q b3))), q = y²: the seventh
# convergent of Lambert's continued fraction.
_A0, _A1, _A2 = np.float32(135135.0), np.float32(17325.0), np.float32(378.0)
_B1, _B2, _B3 = np.float32(62370.0), np.float32(3150.0), np.float32(28.0)
# ln m on [1, 2), interpolated at Chebyshev's points: error 1.2e-5.
_L0, _L1, _L2 = np.float32(-1.93244319), np.float32(3.49890675), np.float32(-2.41899948)
_L3, _L4, _L5 = np.float32(1.10173963), np.float32(-0.27900102), np.float32(0.02980877)
_NEARLY = 16
"""Checks are counted anew after a round that found no more than this part of them wrong."""
STANDSTILL_ROUNDS = 30
"""The decoder gives up when its best round lies so far back."""
_HALF, _ZERO = np.float32(0.5), np.float32(0.0)

# Arrays without reference counts: these loops are short, and are called for each edge.
_vector = inner(fastmath=True, _nrt=False)


def _same_bits(source: Any, target: Any) -> Any:
    """Return code that reads a number's 32 bits as another type; the parameters are numba types."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FloatType() if target is types.float32 else ir.IntType(32)
        return builder.bitcast(arguments[0], kind)

    return target(source), generate


@intrinsic
def _to_word(_typing: Any, value: Any) -> Any:
    return _same_bits(types.float32, types.int32)


@intrinsic
def _from_word(_typing: Any, value: Any) -> Any:
    return _same_bits(types.int32, types.float32)


@kernel()
def syndrome(word: Bits, starts: Whole, columns: Whole, shifts: Whole, lifting: int) -> Bits:
    """Return the parity of each check, shape `(rows * lifting,)`, of a word of 0 and 1."""
    rows = starts.size - 1
    found = np.zeros(rows * lifting, np.uint8)
    for row in range(rows):
        out = found[row * lifting : (row + 1) * lifting]
        for edge in range(starts[row], starts[row + 1]):
            base, shift = columns[edge] * lifting, shifts[edge]
            split = lifting - shift
            head = word[base + shift : base + lifting]
            tail = word[base : base + shift]
            for z in range(split):
                out[z] ^= head[z]
            for z in range(shift):
                out[split + z] ^= tail[z]
    return found


@intrinsic
def _copy(_typing: Any, target: Any, source: Any) -> Any:
    """Copy a slice into one of the same size that does not overlap; numba types all."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, out_of = (
            context.make_array(kind)(context, builder, array)
            for kind, array in zip(signature.args, arguments, strict=True)
        )
        copy: Any = cgutils.raw_memcpy  # it has no annotations
        copy(builder, to.data, out_of.data, out_of.nitems, out_of.itemsize)
        return context.get_dummy_value()

    return types.void(target, source), generate


@_vector
def _turn(total: Floats, shift: int, out: Floats) -> None:
    """Copy a column's totals, turned by a shift."""
    split = out.size - shift
    # numba passes the typing context itself
    _copy(out[:split], total[shift:])  # type: ignore[call-arg]
    _copy(out[split:], total[:shift])


@_vector
def _go_forward(
    old: Floats, values: Floats, tangents: Floats, product: Floats, signs: Words
) -> None:
    """Turn totals into tangents of half of what other rows say, and multiply them up.

    The highest bit of `signs` becomes the parity of the totals' signs.
    """
    for z in range(values.size):
        signs[z] ^= _to_word(values[z])  # type: ignore[call-arg]
        y = _HALF * (values[z] - old[z])
        y = y if y < _LARGEST else _LARGEST
        y = y if y > -_LARGEST else -_LARGEST
        q = y * y
        upper = _A0 + q * (_A1 + q * (_A2 + q))
        lower = _A0 + q * (_B1 + q * (_B2 + q * _B3))
        tangent = y * upper / lower
        # The product is divided by it later.
        tangent = tangent if abs(tangent) > _LEAST else _LEAST
        tangents[z] = tangent
        product[z] *= tangent


@_vector
def _go_back(product: Floats, tangents: Floats, old: Floats, values: Floats) -> None:
    """Make an edge's new messages from the others' tangents, and add the change to the totals.

    2 artanh(p / t) = ln((t + p) / (t - p)), by sizes, and then the sign.
    """
    for z in range(values.size):
        tangent, p = tangents[z], product[z]
        size = abs(tangent)
        others = min(abs(p), _NEAR_ONE * size)
        # numba passes the typing context itself
        word: np.int32 = _to_word((size + others) / (size - others))  # type: ignore[call-arg]
        exponent = np.float32(np.int32(np.int32(word >> 23) - 127))
        m = _from_word(np.int32(np.int32(word & 0x7FFFFF) | 0x3F800000))
        series = _L0 + m * (_L1 + m * (_L2 + m * (_L3 + m * (_L4 + m * _L5))))
        message = exponent * _LN_2 + series
        message = message if tangent * p >= _ZERO else -message
        values[z] += message - old[z]
        old[z] = message


@inner()
def _unsatisfied(
    totals: Floats, wanted: Floats, starts: Whole, columns: Whole, shifts: Whole, lifting: int
) -> int:
    """Count the checks whose parity is not the wanted one (`wanted` is 1 for even, -1 for odd)."""
    word = np.empty(totals.size, np.uint8)
    for bit in range(totals.size):
        word[bit] = totals[bit] < 0
    found = syndrome(word, starts, columns, shifts, lifting)
    bad = 0
    for check in range(found.size):
        bad += (wanted[check] < 0) != (found[check] == 1)
    return bad


@_vector
def _round(
    totals: Floats,
    messages: Floats,
    wanted: Floats,
    matrix: tuple[Whole, Whole, Whole],
    room: Floats,
    signs: Words,
) -> int:
    """Let every row tell its bits once what the others in it say; count rows found wrong."""
    bad = 0
    starts, columns, shifts = matrix
    lifting = room.shape[2]
    product = room[0, 0]
    for row in range(starts.size - 1):
        first, last = starts[row], starts[row + 1]
        _turn(wanted[row * lifting : (row + 1) * lifting], np.int64(0), product)
        for z in range(lifting):
            signs[z] = _to_word(product[z])  # type: ignore[call-arg]
        for edge in range(first, last):
            base, values = columns[edge] * lifting, room[0, 1 + edge - first]
            _turn(totals[base : base + lifting], shifts[edge], values)
            old = messages[edge * lifting : (edge + 1) * lifting]
            _go_forward(old, values, room[1, 1 + edge - first], product, signs)
        for edge in range(first, last):
            base, values = columns[edge] * lifting, room[0, 1 + edge - first]
            old = messages[edge * lifting : (edge + 1) * lifting]
            _go_back(product, room[1, 1 + edge - first], old, values)
            # No other edge of the row touches this column; turned back by the rest of a turn.
            _turn(values, lifting - shifts[edge], totals[base : base + lifting])
        for z in range(lifting):
            bad += signs[z] < 0
    return bad


@kernel()
def decode(
    totals: Floats, wanted: Floats, starts: Whole, columns: Whole, shifts: Whole, *sizes: int
) -> int:
    """Decode an error pattern; return the rounds taken, or -1 where it came to a standstill.

    `totals` float32 `(columns * lifting,)` holds each bit's log-likelihood ratio ln(P(0)/P(1))
    before, and after: a negative one says the bit is wrong. `wanted` is 1 or -1 for each check.
    `sizes` are the lifting and the most rounds.
    """
    lifting, most_rounds = sizes
    messages = np.zeros(columns.size * lifting, np.float32)
    widest = 0
    for row in range(starts.size - 1):
        widest = max(widest, starts[row + 1] - starts[row])
    room = np.empty((2, widest + 1, lifting), np.float32)
    signs = np.empty(lifting, np.int32)
    fewest, since = wanted.size + 1, 0
    for count in range(1, most_rounds + 1):
        bad = _round(totals, messages, wanted, (starts, columns, shifts), room, signs)
        if bad <= wanted.size // _NEARLY:
            bad = _unsatisfied(totals, wanted, starts, columns, shifts, lifting)
        if bad == 0:
            return count
        if bad < fewest:
            fewest, since = bad, count
        if count - since >= STANDSTILL_ROUNDS:
            break
    return -1


@kernel()
def shuffle(n: int, seed: np.uint64) -> Whole:
    """Return the numbers below `n` in an order that the seed alone decides.

    Fisher and Yates' shuffle with SplitMix64 (Steele, Lea and Flood 2014), the same with every
    version of every library.
    """
    order = np.arange(n)
    state = seed
    for left in range(n - 1, 0, -1):
        state += np.uint64(0x9E3779B97F4A7C15)
        word = state
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
        # The bias of a remainder is below 2^-40 here, and no secret hangs on it.
        other = np.int64(word % np.uint64(left + 1))
        order[left], order[other] = order[other], order[left]
    return order
