from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from qnx_hw.qkd.finite_key.counts import CountBounds


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, float]:
    total = draw(st.integers(1, 100_000))
    return draw(st.integers(0, total)), total, draw(st.floats(1e-23, 0.1))


@given(counts(), st.sampled_from(CountBounds))
def test_a_count_lies_within_its_bounds(count: tuple[int, int, float], bounds: CountBounds) -> None:
    seen, total, p = count

    assert 0.0 <= bounds.at_least(seen, total, p) <= seen * (1 + 1e-9)
    assert seen * (1 - 1e-9) <= bounds.at_most(seen, total, p)


@given(counts())
def test_clopper_pearson_fails_exactly_as_often_as_asked(count: tuple[int, int, float]) -> None:
    seen, total, p = count
    bounds = CountBounds.CLOPPER_PEARSON
    low, high = bounds.at_least(seen, total, p), bounds.at_most(seen, total, p)

    if seen > 0:
        assert binom.sf(seen - 1, total, low / total) == pytest.approx(p, rel=1e-5)
    if seen < total:
        assert binom.cdf(seen, total, high / total) == pytest.approx(p, rel=1e-3)


@given(counts())
def test_clopper_pearson_is_the_tighter_bound(count: tuple[int, int, float]) -> None:
    seen, total, p = count
    tight, loose = CountBounds.CLOPPER_PEARSON, CountBounds.HOEFFDING

    assert tight.at_least(seen, total, p) >= loose.at_least(seen, total, p) - 1e-6
    assert tight.at_most(seen, total, p) <= loose.at_most(seen, total, p) + 1e-6


def test_published_example_of_a_rare_count() -> None:
    # No event in n trials: the upper bound is n (1 - p^(1/n)).
    high = CountBounds.CLOPPER_PEARSON.at_most(0, 1000, 1e-10)

    assert high == pytest.approx(1000 * (1 - 1e-10 ** (1 / 1000)), rel=1e-9)
    assert CountBounds.CLOPPER_PEARSON.at_most(1000, 1000, 1e-10) == 1000.0
