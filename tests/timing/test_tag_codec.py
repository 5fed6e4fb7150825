"""Packed tags survive the way there and back; hostile bytes are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.timing.tag_codec import decode, encode

TIMES = st.lists(st.integers(-(1 << 60), 1 << 60) | st.integers(0, 3000), max_size=60).map(
    lambda values: np.array(sorted(values), dtype=np.int64)
)


@settings(max_examples=300, deadline=None)
@given(TIMES, st.integers(0, 8), st.randoms(use_true_random=False))
def test_times_and_symbols_survive(times: np.ndarray, bits: int, random: object) -> None:
    symbols = np.array([random.randrange(1 << bits) for _ in times], dtype=np.uint8)

    unpacked, unpacked_symbols = decode(encode(times, symbols, symbol_bits=bits))

    assert np.array_equal(unpacked, times)
    assert np.array_equal(unpacked_symbols, symbols)


@settings(max_examples=200, deadline=None)
@given(TIMES, st.integers(1, 10_000))
def test_rounding_is_to_the_nearest_unit(times: np.ndarray, unit_ps: int) -> None:
    unpacked, _ = decode(encode(times, unit_ps=unit_ps))

    assert np.all(unpacked % unit_ps == 0)
    assert np.all(2 * np.abs(unpacked - times) <= unit_ps)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=80))
def test_hostile_bytes_are_refused_or_read_but_never_crash(head: bytes, body: bytes) -> None:
    plausible = b"\x01" + head[:1] + b"\x04\x00" + head[1:2] + b"\x00\x00\x00" + bytes(16) + body
    for hostile in (head + body, plausible):
        try:
            times, symbols = decode(hostile, max_tags=1000)
        except ValueError:
            continue
        assert times.size == symbols.size <= 1000
        assert np.all(np.diff(times) >= 0)


@settings(max_examples=200, deadline=None)
@given(TIMES, st.data())
def test_what_is_read_is_what_encode_writes(times: np.ndarray, data: st.DataObject) -> None:
    packed = bytearray(encode(times, np.zeros(times.size, np.uint8)))
    where = data.draw(st.integers(0, len(packed) - 1))
    packed[where] ^= 1 << data.draw(st.integers(0, 7))

    try:
        changed, symbols = decode(bytes(packed))
    except ValueError:
        return

    # A changed head may speak of wider symbols than 4 bits.
    again, symbols_again = decode(encode(changed, symbols, symbol_bits=8))
    assert np.array_equal(changed, again)
    assert np.array_equal(symbols, symbols_again)


@settings(max_examples=100, deadline=None)
@given(TIMES.filter(lambda times: times.size > 0), st.integers(1, 20))
def test_cut_or_lengthened_bytes_are_refused(times: np.ndarray, count: int) -> None:
    packed = encode(times, np.zeros(times.size, np.uint8))

    with pytest.raises(ValueError, match="packed"):
        decode(packed[:-count])
    with pytest.raises(ValueError, match="packed"):
        decode(packed + bytes(count))


def test_a_huge_count_is_refused_before_memory_is_taken() -> None:
    packed = struct.pack("<BBBBIqq", 1, 0, 0, 0, 0xFFFFFFFF, 1, 0) + bytes(64)

    with pytest.raises(ValueError, match="announced"):
        decode(packed)


@pytest.mark.parametrize(
    ("rate_hz", "unit_ps", "most_bytes"), [(1e6, 1, 3.3), (3e5, 2000, 2.2), (1e4, 100, 3.3)]
)
def test_packing_is_near_the_entropy(rate_hz: float, unit_ps: int, most_bytes: float) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.exponential(1e12 / rate_hz, 50_000).astype(np.int64))

    packed = encode(times, np.zeros(times.size, np.uint8), unit_ps=unit_ps)

    assert len(packed) / times.size < most_bytes


def test_a_symbol_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="a symbol of 4 does not fit into 2 bits"):
        encode(np.zeros(1, np.int64), np.array([4], np.uint8), symbol_bits=2)
