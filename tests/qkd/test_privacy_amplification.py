from __future__ import annotations

import itertools

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.errors import BlockAborted
from qnx_hw.qkd import carryless
from qnx_hw.qkd.privacy_amplification import Method, amplify, parities, seed_length

Bits = npt.NDArray[np.uint8]
METHODS = [Method.FOURIER, Method.SCHOOLBOOK]
if carryless.is_available():
    METHODS.append(Method.CARRYLESS)


def random_bits(count: int, seed: int) -> Bits:
    return np.random.default_rng(seed).integers(0, 2, count, dtype=np.uint8)


def matrix(seed: Bits, n: int, length: int) -> npt.NDArray[np.int64]:
    """Write (I | T) out by its definition."""
    rows, columns = np.indices((length, n - length))
    toeplitz = seed[rows - columns + n - length - 1].astype(np.int64)
    return np.hstack([np.eye(length, dtype=np.int64), toeplitz])


def rank(rows: npt.NDArray[np.int64]) -> int:
    left = [int("".join(map(str, row)), 2) for row in rows]
    found = 0
    while left:
        pivot = left.pop()
        if pivot:
            found += 1
            low = pivot & -pivot
            left = [row ^ pivot if row & low else row for row in left]
    return found


def linear_complexity(bits: Bits) -> int:
    """Return the length of the shortest feedback register that makes `bits` (Massey 1969)."""
    connection, before, length, gap = 1, 1, 0, 1
    seen = 0
    for n, bit in enumerate(bits.tolist()):
        seen = seen << 1 | bit
        if (connection & seen).bit_count() & 1:
            kept = connection
            connection ^= before << gap
            if 2 * length <= n:
                length, before, gap = n + 1 - length, kept, 1
                continue
        gap += 1
    return length


def test_the_fast_way_is_taken_where_the_processor_has_it() -> None:
    has_instruction = llvm.get_host_cpu_features().get("pclmul", False)

    assert carryless.is_available() is has_instruction


@given(st.integers(2, 400), st.data())
@settings(deadline=None)
def test_every_method_multiplies_by_the_matrix(n: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, n - 1))
    source = data.draw(st.integers(0, 2**32 - 1))
    bits, seed = random_bits(n, source), random_bits(n - 1, source + 1)
    expected = matrix(seed, n, length) @ bits % 2

    for method in METHODS:
        np.testing.assert_array_equal(amplify(bits, seed, length, method=method), expected)


@pytest.mark.parametrize(
    ("n", "length"),
    [(4096, 2048), (9000, 1000), (9000, 8000), (20_000, 20), (20_001, 19_980), (131_072, 50_000)],
)
def test_methods_agree_on_long_strings(n: int, length: int) -> None:
    bits, seed = random_bits(n, 1), random_bits(n - 1, 2)
    methods = [method for method in METHODS if n < 30_000 or method is not Method.SCHOOLBOOK]

    first, *others = [amplify(bits, seed, length, method=method) for method in methods]

    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [64, 1000, 50_000])
def test_strings_of_ones_do_not_overflow(method: Method, n: int) -> None:
    length = n // 2
    ones = np.ones(n, dtype=np.uint8)

    result = amplify(ones, ones[1:], length, method=method)

    assert (result == (1 + n - length) % 2).all()


@pytest.mark.parametrize(("n", "length"), [(5, 2), (5, 4), (6, 3), (7, 1)])
def test_the_family_is_exactly_two_universal(n: int, length: int) -> None:
    # The hash is linear: two strings collide where their difference hashes to zero.
    strings = np.array(list(itertools.product((0, 1), repeat=n)))[1:]
    seeds = np.array(list(itertools.product((0, 1), repeat=n - 1)), dtype=np.uint8)

    zeros = sum(
        (strings @ matrix(seed, n, length).T % 2 == 0).all(axis=1).astype(int) for seed in seeds
    )

    assert max(zeros) <= len(seeds) / 2**length


def test_the_implementation_is_two_universal() -> None:
    n, length = 5, 2
    seeds = [np.array(seed, dtype=np.uint8) for seed in itertools.product((0, 1), repeat=n - 1)]

    for difference in itertools.product((0, 1), repeat=n):
        bits = np.array(difference, dtype=np.uint8)
        zeros = sum(not amplify(bits, seed, length).any() for seed in seeds)
        assert zeros <= len(seeds) / 2**length or not bits.any()


def test_the_matrix_loses_no_rank() -> None:
    n, length = 300, 120
    seed = random_bits(n - 1, 3)
    units = np.eye(n, dtype=np.uint8)

    columns = np.array([amplify(unit, seed, length) for unit in units])

    assert rank(columns.T.astype(np.int64)) == length


def test_the_output_is_no_short_register() -> None:
    length = 1000
    key = amplify(random_bits(4000, 4), random_bits(3999, 5), length)

    # Random bits have a complexity of length/2, give or take a few.
    assert abs(linear_complexity(key) - length / 2) < 20


def test_the_complexity_of_a_short_register_is_seen() -> None:
    register = np.tile(np.array([1, 0, 0, 1, 0, 1, 1], dtype=np.uint8), 20)

    assert linear_complexity(register) == 3


def test_nothing_is_hashed_where_nothing_or_all_is_kept() -> None:
    bits, none = random_bits(100, 6), np.empty(0, dtype=np.uint8)

    assert amplify(bits, none, 0).size == 0
    np.testing.assert_array_equal(amplify(bits, none, 100), bits)
    assert (seed_length(100, 0), seed_length(100, 1), seed_length(100, 100)) == (0, 99, 0)


def test_small_rounding_is_undone() -> None:
    sums = np.array([0.0, 1.2, 1.8, 2.9, -0.1])

    np.testing.assert_array_equal(parities(sums), [0, 1, 0, 1, 0])


@pytest.mark.parametrize("broken", [0.26, 2.5, float("nan"), float("inf")])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_large_rounding_gives_the_block_up(broken: float) -> None:
    with pytest.raises(BlockAborted, match="rounded"):
        parities(np.array([1.0, broken, 0.0]))


def test_lengthening_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot become"):
        seed_length(10, 11)


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="seed bits"):
        amplify(random_bits(10, 1), random_bits(10, 2), 5)


def test_values_that_are_no_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="0 and 1"):
        amplify(np.full(10, 2, dtype=np.uint8), random_bits(9, 2), 5)
