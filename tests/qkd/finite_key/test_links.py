from __future__ import annotations

import math

import pytest

from qnx_hw.qkd.finite_key import (
    PairLink,
    binary_entropy,
    dead_time_rate,
    fibre_transmission,
    free_space_transmission,
    pulsed_pair_statistics,
)


def test_a_metropolitan_pair_link() -> None:
    rates = PairLink(5e6, 0.15, 0.015, 2e3, 2e3, 1e-9, 6e-10, 0.01).rates()

    assert (rates.singles_a_cps, rates.singles_b_cps) == pytest.approx((752_000, 77_000))
    assert rates.true_cps == pytest.approx(10_690.630365, rel=1e-9)
    assert rates.accidental_cps == pytest.approx(57.904, rel=1e-9)
    assert rates.qber == pytest.approx(0.01264, abs=5e-7)
    assert rates.visibility == pytest.approx(0.974721, abs=5e-7)
    assert rates.key_bps(1.16) == pytest.approx(4_238.6838, rel=1e-7)


def test_a_long_pair_link() -> None:
    rates = PairLink(1e8, 0.1, 5e-4, 1e3, 500, 1.5e-10, 1e-10, 0.008).rates()

    assert rates.true_cps == pytest.approx(4_613.117241, rel=1e-9)
    assert rates.accidental_cps == pytest.approx(75.757575, rel=1e-9)
    assert rates.key_bps(1.16) == pytest.approx(1_746.6446, rel=1e-7)


def test_without_jitter_every_pair_is_inside_the_window() -> None:
    assert PairLink(1e6, 0.1, 0.1, 0, 0, 1e-9, 0.0, 0.0).rates().true_cps == pytest.approx(1e4)


def test_a_pulsed_pair_source() -> None:
    gain, qber = pulsed_pair_statistics(0.05, (0.1, 0.1), (1e-5, 1e-5), 0.015)

    assert gain == pytest.approx(1.1185308e-3, rel=1e-7)
    assert qber == pytest.approx(0.053476165, rel=1e-7)


def test_no_light_makes_no_pairs_and_less_than_none_is_refused() -> None:
    assert pulsed_pair_statistics(0.0, (0.1, 0.1), (0.0, 0.0), 0.015) == (0.0, 0.5)
    with pytest.raises(ValueError, match="cannot be"):
        pulsed_pair_statistics(-0.1, (0.1, 0.1), (0.0, 0.0), 0.015)
    for pairs_cps, efficiency in [(-1.0, 0.1), (math.nan, 0.1), (1e6, 1.1)]:
        with pytest.raises(ValueError, match="link"):
            PairLink(pairs_cps, efficiency, 0.1, 0, 0, 1e-9, 0.0, 0.0)


def test_a_cancelling_formula_is_refused() -> None:
    with pytest.raises(ValueError, match="1e-5"):
        pulsed_pair_statistics(0.05, (1e-6, 0.1), (0, 0), 0)


def test_losses() -> None:
    assert fibre_transmission(50, 0.2) == pytest.approx(0.1)
    assert dead_time_rate(1e6, 1e-6) == pytest.approx(5e5)
    clear = free_space_transmission(
        1e4,
        transmitter_m=0.1,
        receiver_m=0.2,
        divergence_rad=2e-5,
        visibility_km=23.0,
        wavelength_nm=810.0,
    )
    # Geometric (0.2/0.3)^2; air 13/23 (810/550)^-1.3 = 0.3418 dB/km over 10 km.
    assert clear == pytest.approx(0.4444 * 0.4552, rel=2e-3)


@pytest.mark.parametrize(("visibility_km", "q"), [(60, 1.6), (3, 0.82), (0.7, 0.2), (0.3, 0.0)])
def test_haze_scatters_by_its_visibility(visibility_km: float, q: float) -> None:
    seen = free_space_transmission(
        1e3,
        transmitter_m=0.0,
        receiver_m=1.0,
        divergence_rad=1e-6,
        visibility_km=visibility_km,
        wavelength_nm=1550.0,
    )

    assert seen == pytest.approx(10 ** (-1.3 / visibility_km * (1550 / 550) ** -q))


@pytest.mark.parametrize(("x", "h"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.11, 0.499916)])
def test_binary_entropy(x: float, h: float) -> None:
    assert binary_entropy(x) == pytest.approx(h, abs=1e-6)


@pytest.mark.parametrize("x", [-0.1, 1.1, float("nan")])
def test_entropy_of_no_probability_is_refused(x: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        binary_entropy(x)
