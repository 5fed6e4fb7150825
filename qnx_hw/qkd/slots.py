"""Rising rows of slot or pulse numbers in few bytes: Golomb's code of their gaps.

S. W. Golomb, IEEE Trans. Inf. Theory 12, 399 (1966): a gap g becomes g // M in unary and g % M in
plain bits, which is within a hundredth of the entropy where events are independent. M is 2^k or
3 * 2^k, whatever fits the row's mean gap best. Layout: code (2k, or 2k + 1 for three times 2^k),
count (4 bytes), all low k bits, all ternary digits five to a byte, all unary parts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import ChannelError

Numbers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

MAX_EVENTS = 1 << 21
"""Most events of one row; longer spans are cut into several."""
MAX_LOW_BITS = 50
HEAD_BYTES = 5
TRITS = 3 ** np.arange(5, dtype=np.int64)


def encode_slots(slots: Numbers) -> bytes:
    """Code a rising row of slot numbers, the first at least 0."""
    gaps = np.diff(slots, prepend=np.int64(-1)) - 1
    if gaps.size and int(gaps.min()) < 0:
        raise ValueError("slots must rise")
    if not gaps.size:
        return b""
    code = _best_code(float(slots[-1] + 1) / gaps.size)
    low_bits, is_ternary = divmod(code, 2)
    whole = gaps >> low_bits
    quotients, digits = np.divmod(whole, 3) if is_ternary else (whole, np.zeros_like(whole))
    unary = np.zeros(int(quotients.sum()) + gaps.size, dtype=np.uint8)
    unary[np.cumsum(quotients + 1) - 1] = 1
    places = np.arange(low_bits - 1, -1, -1)
    low = ((gaps[:, None] >> places) & 1).astype(np.uint8)
    return b"".join(
        (
            code.to_bytes(1, "big") + gaps.size.to_bytes(4, "big"),
            np.packbits(low.ravel()).tobytes(),
            _packed_trits(digits) if is_ternary else b"",
            np.packbits(unary).tobytes(),
        )
    )


def decode_slots(octets: bytes, limit: int) -> Numbers:
    """Return the rising slot numbers in `[0, limit)`; anything else is a `ChannelError`."""
    if not octets:
        return np.empty(0, dtype=np.int64)
    count = int.from_bytes(octets[1:HEAD_BYTES], "big")
    low_bits, is_ternary = divmod(octets[0], 2)
    if not 1 <= count <= MAX_EVENTS or low_bits > MAX_LOW_BITS:
        raise ChannelError(f"the peer sent a row of {count} events, which no row has")
    coded = np.frombuffer(octets, dtype=np.uint8, offset=min(HEAD_BYTES, len(octets)))
    low_end = (low_bits * count + 7) // 8
    trit_end = low_end + ((count + 4) // 5 if is_ternary else 0)
    if trit_end >= coded.size:
        raise ChannelError("the peer's event times end in the middle of a number")
    low = np.unpackbits(coded[:low_end])
    if low[low_bits * count :].any():
        raise ChannelError("the peer sent bits beyond the end")
    quotients = _quotients(np.unpackbits(coded[trit_end:]), count)
    digits = _trits(coded[low_end:trit_end], count) if is_ternary else np.int64(0)
    step = (3 if is_ternary else 1) << low_bits
    if (float(quotients.sum()) + count) * step > float(1 << 60):
        raise ChannelError("the peer sent event times that are too far away")
    weights = np.int64(1) << np.arange(low_bits - 1, -1, -1, dtype=np.int64)
    rests = low[: low_bits * count].reshape(count, low_bits) @ weights
    slots = np.cumsum(quotients * step + (digits << low_bits) + rests + 1) - 1
    if int(slots[-1]) >= limit:
        raise ChannelError("the peer sent events beyond the end of their span")
    return np.asarray(slots, dtype=np.int64)


def _best_code(mean_gap: float) -> int:
    """Return the code with the fewest expected bits for independent events."""
    rest = -math.log1p(-min(1.0 / mean_gap, 1.0 - 1e-12))

    def bits(code: int) -> float:
        low_bits, is_ternary = divmod(code, 2)
        step = (3 if is_ternary else 1) << low_bits
        return low_bits + 1.6 * is_ternary - 1.0 / math.expm1(-rest * step)

    return min(range(2 * MAX_LOW_BITS + 2), key=bits)


def _quotients(unary: Octets, count: int) -> Numbers:
    ends = np.flatnonzero(unary)
    if ends.size != count or unary.size - int(ends[-1]) > 8:
        raise ChannelError("the peer's event times end in the middle of a number")
    return np.diff(ends, prepend=-1) - 1


def _packed_trits(digits: Numbers) -> bytes:
    padded = np.zeros((digits.size + 4) // 5 * 5, dtype=np.int64)
    padded[: digits.size] = digits
    return bytes((padded.reshape(-1, 5) @ TRITS).astype(np.uint8))


def _trits(octets: Octets, count: int) -> Numbers:
    digits = (octets.astype(np.int64)[:, None] // TRITS % 3).ravel()
    if int(octets.max(initial=0)) >= 3**5 or digits[count:].any():
        raise ChannelError("the peer sent bits beyond the end")
    return digits[:count]
