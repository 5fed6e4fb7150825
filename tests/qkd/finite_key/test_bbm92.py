from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.qkd.finite_key import (
    EpsilonBudget,
    Mismatch,
    bb84_fraction,
    bbm92_key_length,
    binary_entropy,
    serfling_error_bound,
    widened_for_mismatch,
)

# Blocks of (n, k, errors, leak, secrecy), errors allowed in the key, length; correctness 1e-15.
WORKED = [
    (90_000, 10_000, 200, 14_767, 1e-10, 3_364, 54_404),
    (8_000, 2_000, 30, 1_043, 1e-10, 500, 4_142),
    (1_700, 1_300, 13, 160, 1e-10, 137, 736),
    (900_000, 100_000, 2_500, 176_083, 1e-9, 27_002, 548_844),
]
# The satellite link of Yin et al., Nature 582, 501 (2020), with a proof that composes.
SATELLITE = [(1e-6, 27, 218, 220), (1e-8, 34, 245, 124), (1e-10, 40, 269, 42)]

blocks = st.tuples(st.integers(1, 20_000), st.integers(2, 5_000), st.floats(0.0, 0.2))


@pytest.mark.parametrize(("n", "k", "errors", "leak", "secrecy", "worst", "bits"), WORKED)
def test_worked_blocks_come_out_to_the_bit(
    n: int, k: int, errors: int, leak: int, secrecy: float, worst: int, bits: int
) -> None:
    length = bbm92_key_length(n, k, errors, leak, budget=EpsilonBudget(secrecy, 1e-15))

    assert (length.phase_errors, length.bits) == (worst, bits)
    assert length.phase_error_bound == pytest.approx(worst / n)
    assert length.tag_bits == 50


@pytest.mark.parametrize(("secrecy", "tag_bits", "worst", "bits"), SATELLITE)
def test_the_satellite_block_keeps_what_composable_security_allows(
    secrecy: float, tag_bits: int, worst: int, bits: int
) -> None:
    length = bbm92_key_length(1829, 1271, 57, 578, budget=EpsilonBudget(secrecy, secrecy / 100))

    assert (length.tag_bits, length.phase_errors, length.bits) == (tag_bits, worst, bits)


@pytest.mark.parametrize(
    ("n", "k", "errors"), [(0, 100, 0), (1000, 0, 0), (1000, 50, 50), (1000, 1000, 400)]
)
def test_blocks_that_prove_nothing_have_no_key(n: int, k: int, errors: int) -> None:
    assert bbm92_key_length(n, k, errors, 0, budget=EpsilonBudget()).bits == 0


@pytest.mark.parametrize(
    ("n", "k", "errors", "leak"), [(-1, 1, 0, 0), (1, -1, 0, 0), (9, 3, 4, 0), (9, 3, 0, -1)]
)
def test_counts_that_cannot_be_are_refused(n: int, k: int, errors: int, leak: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        bbm92_key_length(n, k, errors, leak, budget=EpsilonBudget())


@given(blocks, st.integers(0, 500))
def test_more_leak_costs_exactly_as_much_key(block: tuple[int, int, float], more: int) -> None:
    n, k, rate = block
    budget = EpsilonBudget()
    before = bbm92_key_length(n, k, int(rate * k), 10, budget=budget)
    after = bbm92_key_length(n, k, int(rate * k), 10 + more, budget=budget)

    assert after.bits == max(0, before.bits - more) or before.bits == 0


@given(blocks)
def test_more_errors_never_lengthen_the_key(block: tuple[int, int, float]) -> None:
    n, k, rate = block
    errors = int(rate * k)
    budget = EpsilonBudget()

    assert (
        bbm92_key_length(n, k, errors + 1, 0, budget=budget).bits
        <= bbm92_key_length(n, k, errors, 0, budget=budget).bits
    )


@given(blocks, st.floats(1e-12, 1e-2), st.floats(1.0, 1e6))
def test_stricter_secrecy_never_lengthens_the_key(
    block: tuple[int, int, float], secrecy: float, stricter: float
) -> None:
    n, k, rate = block
    loose, strict = EpsilonBudget(secrecy), EpsilonBudget(secrecy / stricter)

    assert (
        bbm92_key_length(n, k, int(rate * k), 0, budget=strict).bits
        <= bbm92_key_length(n, k, int(rate * k), 0, budget=loose).bits
    )


@given(blocks)
def test_the_exact_bound_is_never_looser_than_serfling(block: tuple[int, int, float]) -> None:
    n, k, rate = block
    errors = int(rate * k)
    budget = EpsilonBudget()

    exact = bbm92_key_length(n, k, errors, 0, budget=budget).phase_error_bound

    assert exact <= serfling_error_bound(n, k, errors, budget.eps_at)


def test_serfling_matches_its_worked_value() -> None:
    bound = serfling_error_bound(90_000, 10_000, 200, 2.5e-11)

    assert bound - 0.02 == pytest.approx(0.052084, rel=1e-4)


def test_the_budget_adds_up() -> None:
    budget = EpsilonBudget(1e-10, 1e-15)

    assert budget.eps_pa + 2 * budget.eps_at == pytest.approx(1e-10)
    assert budget.amplification_bits == pytest.approx(66.4386, rel=1e-6)
    assert budget.split(2) == EpsilonBudget(5e-11, 5e-16)


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-9, float("nan")])
def test_an_impossible_epsilon_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="secrecy"):
        EpsilonBudget(secrecy=value)
    with pytest.raises(ValueError, match="correctness"):
        EpsilonBudget(correctness=value)


@pytest.mark.parametrize(
    ("qber", "f", "fraction"),
    [
        (0.01, 1.0, 0.8384),
        (0.02, 1.0, 0.7171),
        (0.03, 1.0, 0.6112),
        (0.05, 1.0, 0.4272),
        (0.07, 1.0, 0.2682),
        (0.01, 1.16, 0.8255),
        (0.02, 1.16, 0.6945),
        (0.03, 1.16, 0.5801),
        (0.05, 1.16, 0.3814),
        (0.07, 1.16, 0.2096),
    ],
)
def test_asymptotic_fractions(qber: float, f: float, fraction: float) -> None:
    assert bb84_fraction(qber, qber, f) == pytest.approx(fraction, abs=6e-5)


def test_the_asymptotic_key_ends_at_11_percent() -> None:
    assert bb84_fraction(0.1100, 0.1100) > 0.0
    assert bb84_fraction(0.1101, 0.1101) == 0.0
    assert bb84_fraction(0.0981, 0.0981, 1.16) > 0.0
    assert bb84_fraction(0.0982, 0.0982, 1.16) == 0.0
    assert bb84_fraction(1.0, 1.0) == 0.0


def test_unequal_detectors_widen_the_bound() -> None:
    huge = 10**15

    assert widened_for_mismatch(0.02, huge, 0.0, 1e-10) == pytest.approx(0.02, abs=1e-6)
    assert widened_for_mismatch(0.02, huge, 0.01, 1e-10) == pytest.approx(0.061, abs=1e-4)
    swapped = widened_for_mismatch(0.02, huge, 0.01, 1e-10, roles_swapped=True)
    assert swapped == pytest.approx(0.0204, abs=1e-5)


def test_unequal_detectors_shorten_the_key_and_swapping_them_gives_most_of_it_back() -> None:
    budget = EpsilonBudget(1e-10, 1e-15)

    def bits(mismatch: Mismatch | None) -> int:
        return bbm92_key_length(
            900_000, 100_000, 2_000, 150_000, budget=budget, mismatch=mismatch
        ).bits

    equal, unequal = bits(None), bits(Mismatch(0.01))
    swapped = bits(Mismatch(0.01, roles_swapped=True))
    assert unequal < swapped < equal
    # +-1 % turns 2 % of errors into more than 6 %.
    assert equal - unequal > 900_000 * (binary_entropy(0.061) - binary_entropy(0.022))
