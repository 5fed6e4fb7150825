"""What a new key gives to the ledgers of tags: what they lack, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd.refill import check_aside, set_aside

LACKING = st.tuples(st.integers(-100, 10_000), st.integers(-100, 10_000))


@given(LACKING, st.integers(16, 1 << 20))
def test_no_ledger_gets_more_than_it_lacks_and_users_keep_half(
    lacking: tuple[int, int], key_bytes: int
) -> None:
    aside = set_aside(lacking, key_bytes)

    assert all(0 <= given <= max(0, lack) for given, lack in zip(aside, lacking, strict=True))
    assert 2 * sum(aside) <= key_bytes
    check_aside(aside, key_bytes)


@given(st.integers(0, 64), st.integers(0, 64), st.integers(256, 1 << 20))
def test_what_the_last_blocks_cost_is_made_good_at_once(alice: int, bob: int, key: int) -> None:
    assert set_aside((alice, bob), key) == (alice, bob)


def test_an_emptied_ledger_takes_an_eighth_of_a_long_key() -> None:
    assert set_aside((8192, 0), 8000) == (1000, 0)


def test_a_peer_that_takes_more_is_refused() -> None:
    with pytest.raises(BlockAborted, match="set"):
        check_aside((0, 251), 1000)
