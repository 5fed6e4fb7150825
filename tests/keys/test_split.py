"""A block's key is shared out without a byte used twice or lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.keys.split import split
from qnx_hw.secret import Secret


@given(st.integers(1, 1000), st.binary(max_size=300))
def test_the_parts_join_to_the_key(block: int, key: bytes) -> None:
    parts = split(block, Secret(key))

    assert b"".join(part.reveal() for part in parts.values()) == key


@given(st.integers(1, 1000))
def test_consecutive_blocks_go_to_different_parties(block: int) -> None:
    ours, theirs = (split(number, Secret(bytes(200))) for number in (block, block + 1))

    assert list(ours)[-1] != list(theirs)[-1]
