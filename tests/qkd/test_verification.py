from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.qkd import verification

KEY = bytes(range(100, 132))


def random_bits(count: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


@given(st.integers(1, 3000), st.data())
def test_a_flipped_bit_changes_the_tag(n: int, data: st.DataObject) -> None:
    bits = random_bits(n, 1)
    flipped = bits.copy()
    flipped[data.draw(st.integers(0, n - 1))] ^= 1

    assert verification.tag(bits, KEY, 50) != verification.tag(flipped, KEY, 50)
    assert verification.tag(bits, KEY, 50) == verification.tag(bits.copy(), KEY, 50)


def test_zeros_at_the_end_are_seen() -> None:
    # Both fill the same two bytes.
    short, long = np.zeros(9, dtype=np.uint8), np.zeros(10, dtype=np.uint8)

    assert verification.tag(short, KEY, 128) != verification.tag(long, KEY, 128)


@pytest.mark.parametrize("byte", [0, 15, 16, 24])
def test_another_key_makes_another_tag(byte: int) -> None:
    bits = random_bits(1000, 2)
    other = bytearray(KEY)
    other[byte] ^= 1

    assert verification.tag(bits, KEY, 64) != verification.tag(bits, bytes(other), 64)


@pytest.mark.parametrize(("tag_bits", "octets"), [(40, 5), (50, 7), (51, 7), (128, 16)])
def test_a_tag_tells_no_more_than_its_bits(tag_bits: int, octets: int) -> None:
    tag = verification.tag(random_bits(500, 3), KEY, tag_bits)

    assert len(tag) == octets
    assert int.from_bytes(tag, "big") % 2 ** (8 * octets - tag_bits) == 0


def test_cut_tags_collide_as_rarely_as_promised() -> None:
    # 40 bits cannot be counted; half of each of their bits must differ for any two strings.
    one, other = random_bits(200, 4), random_bits(200, 5)
    rng = np.random.default_rng(6)
    trials = 400
    differences = np.zeros(40)
    for _ in range(trials):
        key = rng.bytes(verification.KEY_BYTES)
        pair = [
            np.unpackbits(np.frombuffer(verification.tag(bits, key, 40), dtype=np.uint8))
            for bits in (one, other)
        ]
        differences += pair[0] ^ pair[1]

    # Six standard errors of a fair coin.
    assert np.abs(differences / trials - 0.5).max() < 6 * 0.5 / trials**0.5


@given(st.integers(0, 10**9), st.floats(1e-20, 1e-3))
def test_the_fewest_bits_that_do_are_taken(n: int, correctness: float) -> None:
    tag_bits = verification.tag_bits_for(n, correctness)

    assert verification.epsilon(n, tag_bits) <= min(correctness, 1e-12)
    if tag_bits > verification.MIN_TAG_BITS:
        assert verification.epsilon(n, tag_bits - 1) > correctness


def test_the_usual_correctness_costs_50_bits() -> None:
    assert verification.tag_bits_for(1_000_000, 1e-15) == 50


def test_a_correctness_that_no_tag_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="no tag"):
        verification.tag_bits_for(10**6, 1e-40)


def test_wrong_keys_and_lengths_are_refused() -> None:
    bits = random_bits(10, 7)
    with pytest.raises(ValueError, match="key"):
        verification.tag(bits, b"short", 50)
    with pytest.raises(ValueError, match="tag"):
        verification.tag(bits, KEY, 39)
    with pytest.raises(ValueError, match="0 and 1"):
        verification.tag(bits + 2, KEY, 50)
