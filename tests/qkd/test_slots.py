"""Rows of event numbers survive the way, and cost what they must."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import ChannelError
from qnx_hw.qkd.slots import decode_slots, encode_slots


@given(st.sets(st.integers(0, 1 << 50), max_size=50))
def test_slots_survive_the_way(slots: set[int]) -> None:
    row = np.array(sorted(slots), dtype=np.int64)

    assert decode_slots(encode_slots(row), (1 << 50) + 1).tolist() == row.tolist()


@given(st.binary(max_size=60), st.integers(1, 1 << 40))
def test_any_bytes_are_rising_slots_or_refused(octets: bytes, limit: int) -> None:
    try:
        slots = decode_slots(octets, limit)
    except ChannelError:
        return
    assert (np.diff(slots) > 0).all()
    assert not slots.size or 0 <= slots[0] <= slots[-1] < limit


@given(st.sets(st.integers(0, 5000), min_size=1, max_size=50), st.data())
def test_a_changed_bit_never_gives_the_same_slots(slots: set[int], data: st.DataObject) -> None:
    octets = bytearray(encode_slots(np.array(sorted(slots), dtype=np.int64)))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    try:
        changed = decode_slots(bytes(octets), 1 << 40)
    except ChannelError:
        return
    assert changed.tolist() != sorted(slots)


@pytest.mark.parametrize("mean_gap", [12, 30, 75, 200, 777, 5000])
def test_independent_events_cost_their_entropy(mean_gap: int) -> None:
    random = np.random.default_rng(mean_gap)
    slots = np.cumsum(random.geometric(1 / mean_gap, size=50_000)).astype(np.int64)

    p = 1 / mean_gap
    entropy_bits = -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) / p * slots.size
    assert 8 * len(encode_slots(slots)) < 1.015 * entropy_bits
