"""Tags packed for the classical channel: gaps in Rice code, each with a few bits of its own.

Layout, numbers little-endian: version (1 byte), Rice parameter (1), symbol bits (1), zero (1),
number of tags (4), unit in ps (8), first time in units (8), then a stream of bits, lowest bit of
each byte first, filled up with zeros. Per tag: the gap to the tag before as quotient (that many
ones and a zero) and remainder (as many bits as the Rice parameter), then the symbol. The first
tag's gap is 0. A gap whose quotient reaches `_ESCAPE` is that many ones and 63 bits of gap.
Rice 1979; the best parameter for geometric gaps is near log2(mean gap * ln 2).
"""

import math
import struct

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Times, as_channels, as_times, kernel

MAX_TAGS = 1 << 24
"""Tags in one message; more are refused on both sides."""
MAX_UNIT_PS = 1 << 40
_VERSION = 1
_HEAD = struct.Struct("<BBBBIqq")
_ESCAPE = 24
_MAX_RICE = 40
_MAX_SYMBOL_BITS = 8
_GAP_BITS = 63
_MOST_UNITS = 1 << 62

Symbols = npt.NDArray[np.uint8]
Bits = npt.NDArray[np.uint8]


def encode(
    times_ps: Times,
    symbols: Symbols | None = None,
    *,
    unit_ps: int = 1,
    symbol_bits: int = 4,
) -> bytes:
    """Pack sorted times, rounded to the nearest multiple of `unit_ps`, and one symbol each.

    A symbol (basis, channel) is below `2 ** symbol_bits`, with `symbol_bits` 0 to 8; without
    symbols none are sent. Near the entropy of a Poisson stream: 1e6 tags/s at 1 ps with 4 bits
    take 3.2 bytes each, 3e5 tags/s at 2 ns take 2.1. Rising indices can be packed as well.

    Raise `ValueError` for times out of order, symbols too large or more than `MAX_TAGS` tags.
    """
    times = as_times(times_ps)
    bits = symbol_bits if symbols is not None else 0
    values = np.zeros(times.size, np.uint8) if symbols is None else as_channels(symbols, times)
    if times.size > MAX_TAGS or not 1 <= unit_ps <= MAX_UNIT_PS or not 0 <= bits <= 8:
        raise ValueError(f"cannot pack {times.size} tags, unit {unit_ps} ps, {bits} bits each")
    if int(values.max(initial=0)) >> bits:
        raise ValueError(f"a symbol of {values.max()} does not fit into {bits} bits")
    units = times if unit_ps == 1 else (times + unit_ps // 2) // unit_ps
    first, span = (int(units[0]), int(units[-1]) - int(units[0])) if units.size else (0, 0)
    rice = _rice_parameter(span, units.size)
    head = _HEAD.pack(_VERSION, rice, bits, 0, units.size, unit_ps, first)
    size = _packed_bits(units, rice, bits)
    packed = np.zeros((size + 7) // 8, np.uint8)
    _pack(units, values, rice, bits, packed)
    return head + packed.tobytes()


def decode(packed: bytes, *, max_tags: int = MAX_TAGS) -> tuple[Times, Symbols]:
    """Unpack times in picoseconds (multiples of the sender's unit, sorted) and symbols.

    Bytes from a hostile peer are safe: raise `ValueError` for anything `encode` does not write,
    before memory for more than `max_tags` is taken.
    """
    if len(packed) < _HEAD.size:
        raise ValueError(f"packed tags are cut short: {len(packed)} bytes")
    version, rice, bits, zero, count, unit_ps, first = _HEAD.unpack_from(packed)
    if version != _VERSION or zero or rice > _MAX_RICE or bits > _MAX_SYMBOL_BITS:
        raise ValueError(f"packed tags of an unknown kind: {packed[:4].hex(' ')}")
    body = np.frombuffer(packed, np.uint8, offset=_HEAD.size).copy()
    if count > max_tags or count * (1 + rice + bits) > body.size * 8:
        raise ValueError(f"{count} packed tags announced in {body.size} bytes")
    if not 1 <= unit_ps <= MAX_UNIT_PS:
        raise ValueError(f"packed tags with a unit of {unit_ps} ps")
    units, values = np.empty(count, np.int64), np.empty(count, np.uint8)
    used = _unpack(body, rice, bits, units, values)
    if used < 0 or (used + 7) // 8 != body.size or (used % 8 and body[-1] >> used % 8):
        raise ValueError("packed tags are damaged")
    if count and not (_fits(first, unit_ps) and _fits(first + int(units[-1]), unit_ps)):
        raise ValueError(f"packed times from {first} units of {unit_ps} ps are out of range")
    return (units + first) * unit_ps, values


def _rice_parameter(span: int, count: int) -> int:
    mean = span / count if count else 0.0
    return min(_MAX_RICE, max(0, round(math.log2(mean * math.log(2))))) if mean > 2 else 0


def _fits(units: int, unit_ps: int) -> bool:
    return abs(units * unit_ps) < 1 << 62


@kernel()
def _packed_bits(units: Times, rice: int, symbol_bits: int) -> int:
    total, before = 0, units[0] if units.size else 0
    for time in units:
        quotient = (time - before) >> rice
        total += quotient + 1 + rice if quotient < _ESCAPE else _ESCAPE + _GAP_BITS
        before = time
    return total + units.size * symbol_bits


@kernel()
def _pack(units: Times, symbols: Symbols, rice: int, symbol_bits: int, packed: Bits) -> None:
    # Bits wait in `pool` until whole bytes can be written; it never holds more than 8 + 32 bits.
    # Adding 0 to a byte makes it a signed 64-bit number.
    pool, held, at = 0, 0, 0
    before = units[0] if units.size else 0
    for i in range(units.size):
        gap = units[i] - before
        before = units[i]
        quotient = gap >> rice
        if quotient < _ESCAPE:
            pool, held, at = _put(packed, pool, held, at, (1 << quotient) - 1, quotient + 1)
            pool, held, at = _put_long(packed, pool, held, at, gap & ((1 << rice) - 1), rice)
        else:
            pool, held, at = _put(packed, pool, held, at, (1 << _ESCAPE) - 1, _ESCAPE)
            pool, held, at = _put_long(packed, pool, held, at, gap, _GAP_BITS)
        pool, held, at = _put(packed, pool, held, at, symbols[i] + 0, symbol_bits)
    if held:
        packed[at] = pool


@kernel()
def _put_long(
    packed: Bits, pool: int, held: int, at: int, value: int, bits: int
) -> tuple[int, int, int]:
    while bits > 32:
        pool, held, at = _put(packed, pool, held, at, value & 0xFFFFFFFF, 32)
        value, bits = value >> 32, bits - 32
    pool, held, at = _put(packed, pool, held, at, value, bits)
    return pool, held, at


@kernel()
def _put(
    packed: Bits, pool: int, held: int, at: int, value: int, bits: int
) -> tuple[int, int, int]:
    pool, held = pool | (value << held), held + bits
    while held >= 8:
        packed[at] = pool & 0xFF
        pool, held, at = pool >> 8, held - 8, at + 1
    return pool, held, at


@kernel()
def _unpack(packed: Bits, rice: int, symbol_bits: int, units: Times, symbols: Symbols) -> int:
    """Fill `units` (counted from the first) and `symbols`; return the bits used, or -1."""
    end, at, time = packed.size * 8, 0, 0
    for i in range(units.size):
        quotient = 0
        while quotient < _ESCAPE and at < end and packed[at >> 3] >> (at & 7) & 1:
            quotient, at = quotient + 1, at + 1
        escaped = quotient == _ESCAPE
        at += not escaped
        bits = _GAP_BITS if escaped else rice
        if at + bits + symbol_bits > end:
            return -1
        gap = _take(packed, at, bits)
        if not escaped:
            gap |= quotient << rice
        elif gap >> rice < _ESCAPE:
            return -1
        at += bits
        if gap > _MOST_UNITS - time or (i == 0 and gap):
            return -1
        time += gap
        units[i] = time
        symbols[i] = _take(packed, at, symbol_bits)
        at += symbol_bits
    return at


@kernel()
def _take(packed: Bits, at: int, bits: int) -> int:
    """Read a number of at most 63 bits; the caller has checked that they are there."""
    value, got = 0, 0
    while got < bits:
        shift = at & 7
        part = min(8 - shift, bits - got)
        value |= ((packed[at >> 3] + 0) >> shift & ((1 << part) - 1)) << got
        got, at = got + part, at + part
    return value
