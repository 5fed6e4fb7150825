import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.qkd.estimation import Tally, chsh, correlation, error_rate, tally


def of(equal: int, different: int) -> Tally:
    return Tally(((equal // 2, different // 2), (different - different // 2, equal - equal // 2)))


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), max_size=50))
def test_a_tally_counts_every_round_once(rounds: list[tuple[int, int]]) -> None:
    alice, bob = (np.array([r[i] for r in rounds], dtype=np.uint8) for i in range(2))

    counted = tally(alice, bob)

    assert counted.rounds == len(rounds)
    assert counted.errors == sum(a != b for a, b in rounds)


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 outcomes"):
        tally(np.zeros(2, dtype=np.uint8), np.zeros(3, dtype=np.uint8))


def test_nothing_measured_has_no_value() -> None:
    assert error_rate(0, 0).value is None
    assert correlation(of(0, 0)).value is None
    assert chsh(of(1, 1), of(1, 1), of(0, 0), of(1, 1)).value is None


def test_the_error_of_a_rate_covers_it_two_thirds_of_the_time() -> None:
    random = np.random.default_rng(5)
    errors = random.binomial(400, 0.03, size=4000)

    estimates = [error_rate(int(n), 400) for n in errors]
    hits = sum(abs((e.value or 0) - 0.03) < (e.sigma or 0) for e in estimates)

    assert 0.60 < hits / len(estimates) < 0.76


def test_a_rate_without_an_error_is_not_certain() -> None:
    estimate = error_rate(0, 100)

    assert estimate.value == 0.0
    assert estimate.sigma == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("visibility", [1.0, 0.97, 0.8, 0.5])
def test_a_werner_state_shows_s_in_proportion_to_its_visibility(visibility: float) -> None:
    n = 200_000
    good = round(n * (1 + visibility) / 2)
    even = of(n // 2, n // 2)

    estimate = chsh(of(good, n - good), even, even, of(good, n - good))

    assert estimate.value == pytest.approx(2 * math.sqrt(2) * visibility, abs=1e-3)
    assert estimate.sigma == pytest.approx(
        2 * math.sqrt((1 - visibility**2) / n), rel=0.05, abs=1e-4
    )


def test_an_intercepted_link_stays_below_two() -> None:
    n = 10_000
    estimate = chsh(of(7500, 2500), of(n // 2, n // 2), of(n // 2, n // 2), of(7500, 2500))

    assert estimate.value == pytest.approx(math.sqrt(2), abs=0.01)


def test_a_turned_frame_shows_the_same_s() -> None:
    n = 100_000
    angle = math.radians(15)  # twice the polarizer's angle on the sphere
    same, crossed = (
        of(round(n * (1 + e) / 2), n - round(n * (1 + e) / 2))
        for e in (math.cos(angle), math.sin(angle))
    )
    opposite = of(round(n * (1 - math.sin(angle)) / 2), n - round(n * (1 - math.sin(angle)) / 2))

    estimate = chsh(same, crossed, opposite, same)

    assert estimate.value == pytest.approx(2 * math.sqrt(2), abs=1e-3)


def test_noise_alone_shows_no_correlation() -> None:
    random = np.random.default_rng(3)
    bits = [random.integers(0, 2, size=(2, 500)).astype(np.uint8) for _ in range(4)]

    estimate = chsh(*(tally(a, b) for a, b in bits))

    assert estimate.value is not None
    assert estimate.value < 0.4
