from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.qkd.finite_key.hypergeometric import hypergeometric_upper, log_lower_tail


def exact_tail(total: int, marked: int, drawn: int, x: int) -> Fraction:
    ways = sum(
        math.comb(marked, i) * math.comb(total - marked, drawn - i)
        for i in range(x + 1)
        if i <= marked and drawn - i <= total - marked
    )
    return Fraction(ways, math.comb(total, drawn))


@st.composite
def draws(draw: st.DrawFn) -> tuple[int, int, int, int]:
    total = draw(st.integers(1, 300))
    marked, drawn = draw(st.integers(0, total)), draw(st.integers(0, total))
    return total, marked, drawn, draw(st.integers(0, drawn))


@pytest.mark.parametrize(
    ("n", "k", "x", "eps", "upper"),
    [
        (1000, 1000, 0, 1e-5, 32),
        (1000, 1000, 10, 1e-5, 61),
        (50_000, 2_500, 100, 2.5e-11, 4_524),
        (1_000_000, 100_000, 2_000, 2.5e-11, 24_754),
        (100, 100, 50, 1e-3, 82),
    ],
)
def test_worked_bounds(n: int, k: int, x: int, eps: float, upper: int) -> None:
    assert hypergeometric_upper(n, k, x, eps) == upper


@given(draws())
def test_the_tail_is_the_sum_of_counted_draws(draw: tuple[int, int, int, int]) -> None:
    tail = exact_tail(*draw)

    if tail == 0:
        assert log_lower_tail(*draw) == -math.inf
    else:
        assert log_lower_tail(*draw) == pytest.approx(
            math.log(tail.numerator) - math.log(tail.denominator), rel=1e-9, abs=1e-9
        )


@given(st.integers(0, 120), st.integers(1, 120), st.integers(0, 120), st.floats(1e-9, 0.5))
def test_the_bound_is_the_largest_count_not_ruled_out(n: int, k: int, x: int, eps: float) -> None:
    x = min(x, k)
    goal = Fraction(eps) ** 2

    upper = hypergeometric_upper(n, k, x, eps)

    assert 0 <= upper <= n
    assert exact_tail(n + k, upper + x, k, x) > goal * Fraction(999_999, 1_000_000)
    if upper < n:
        assert exact_tail(n + k, upper + 1 + x, k, x) <= goal * Fraction(1_000_001, 1_000_000)


def test_nothing_is_ruled_out_where_every_test_bit_is_wrong() -> None:
    assert hypergeometric_upper(500, 40, 40, 1e-10) == 500


def test_a_billion_bits_are_bounded() -> None:
    upper = hypergeometric_upper(900_000_000, 100_000_000, 3_000_000, 2.5e-11)

    assert 0.03 < upper / 900_000_000 < 0.0302


@pytest.mark.parametrize(("n", "k", "x"), [(-1, 1, 0), (1, 1, 2), (1, 1, -1)])
def test_samples_that_cannot_be_are_refused(n: int, k: int, x: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        hypergeometric_upper(n, k, x, 1e-10)
