"""A block's key is shared out without a byte used twice or lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.keys import TAGS
from qnx_hw.keys.split import split
from qnx_hw.secret import Secret


@given(st.integers(1, 1000), st.binary(min_size=80, max_size=300), *[st.integers(0, 40)] * 2)
def test_the_parts_join_to_the_key(block: int, key: bytes, alice: int, bob: int) -> None:
    parts = split(block, Secret(key), (alice, bob))

    assert b"".join(part.reveal() for part in parts.values()) == key
    assert [len(parts[each]) for each in TAGS] == [alice, bob]


def test_tags_cannot_get_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        split(1, Secret(bytes(100)), (60, 50))


@given(st.integers(1, 1000))
def test_consecutive_blocks_go_to_different_parties(block: int) -> None:
    ours, theirs = (split(number, Secret(bytes(200))) for number in (block, block + 1))

    assert list(ours)[-1] != list(theirs)[-1]
