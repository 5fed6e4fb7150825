"""Sorting by bases, and the sample that is tested."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.qkd.selection import choose_test, part, sample_size, sift

PAIRS = st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 255))
ORDER = ((0, 0), (1, 1), (0, 1), (1, 0), (0, 2), (0, 3), (1, 2), (1, 3))


@given(st.lists(PAIRS, max_size=60))
def test_every_event_is_sifted_into_one_class_and_keeps_its_order(
    events: list[tuple[int, int, int]],
) -> None:
    alice, bob, values = (np.array([e[i] for e in events], dtype=np.uint8) for i in range(3))

    sifted = sift(alice, bob, values)

    expected = [[v for a, b, v in events if (a, b) == bases] for bases in ORDER]
    assert sifted.z.tolist() == expected[0]
    assert sifted.x.tolist() == expected[1]
    parts = np.split(sifted.mismatched, sifted.cuts)
    assert [each.tolist() for each in parts] == expected[2:]


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 1)), max_size=60))
def test_a_mask_parts_values_and_keeps_their_order(pairs: list[tuple[int, int]]) -> None:
    values, mask = (np.array([pair[i] for pair in pairs], dtype=np.uint8) for i in range(2))

    chosen, others = part(values, mask)

    assert chosen.tolist() == [value for value, is_chosen in pairs if is_chosen]
    assert others.tolist() == [value for value, is_chosen in pairs if not is_chosen]


@given(st.integers(0, 300), st.floats(0.01, 0.9), st.integers(0, 1000))
def test_a_sample_has_its_size(rounds: int, fraction: float, seed: int) -> None:
    octets = np.random.default_rng(seed).bytes(8 * sample_size(rounds, fraction))

    mask = choose_test(rounds, fraction, octets)

    assert mask.size == rounds
    assert int(mask.sum()) == sample_size(rounds, fraction)


def test_every_round_is_tested_equally_often() -> None:
    random = np.random.default_rng(8)
    counts = np.zeros(40)
    for _ in range(4000):
        counts += choose_test(40, 0.25, random.bytes(80))

    # 1000 +- 27 each; five deviations are seen once in two million.
    assert np.abs(counts - 1000).max() < 140
