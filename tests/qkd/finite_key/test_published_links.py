"""Links from the literature: what must come out, and what must not."""

from __future__ import annotations

import pytest

from qnx_hw.qkd.finite_key import (
    DecoyBasis,
    DecoyChannel,
    DecoyKeyLength,
    EpsilonBudget,
    bb84_fraction,
    bbm92_key_length,
    binary_entropy,
    decoy_key_length,
    decoy_rate_limit,
)
from qnx_hw.qkd.finite_key.counts import CountBounds

# Lucamarini et al., Opt. Express 21, 24550 (2013): 1 GHz, decoys in 1 % of the pulses.
T12_MEANS, T12_SHARES = (0.425, 0.044, 0.001), (0.9883, 0.0078, 0.0039)
T12_KEY_BASIS = 15 / 16


def basis(channel: DecoyChannel, pulses: float) -> DecoyBasis:
    """Return what a basis shows on average."""
    each = list(zip(T12_MEANS, T12_SHARES, strict=True))
    return DecoyBasis(
        tuple(round(pulses * share * channel.gain(mu)) for mu, share in each),
        tuple(round(pulses * share * channel.error_gain(mu)) for mu, share in each),
    )


def t12(channel: DecoyChannel, pulses: float, bounds: CountBounds) -> DecoyKeyLength:
    key = basis(channel, pulses * T12_KEY_BASIS**2)
    test = basis(channel, pulses * (1 - T12_KEY_BASIS) ** 2)
    n = sum(key.detections)
    return decoy_key_length(
        key,
        test,
        round(1.1 * n * binary_entropy(sum(key.errors) / n)),
        means=T12_MEANS,
        shares=T12_SHARES,
        budget=EpsilonBudget(),
        bounds=bounds,
    )


@pytest.mark.parametrize(
    ("loss_db", "published_bps"), [(7, 2.20e6), (10, 1.09e6), (13, 0.40e6), (16, 0.12e6)]
)
def test_rare_decoys_give_the_published_rates_with_clopper_pearson_only(
    loss_db: float, published_bps: float
) -> None:
    channel = DecoyChannel(0.2 * 10 ** (-loss_db / 10), background=2e-5, misalignment=0.03)
    seconds = 1_200  # blocks of 20 minutes
    pulses = 1e9 * seconds

    tight = t12(channel, pulses, CountBounds.CLOPPER_PEARSON).bits / seconds
    loose = t12(channel, pulses, CountBounds.HOEFFDING).bits / seconds

    # The detectors' details are not published in full; a factor of two is what can be said.
    assert published_bps / 2 < tight < 2 * published_bps
    assert loose == 0


def test_a_finite_block_never_beats_the_endless_one() -> None:
    channel = DecoyChannel(efficiency=0.2 * 10**-0.7, background=2e-5, misalignment=0.03)
    pulses = 1e12

    bits = t12(channel, pulses, CountBounds.CLOPPER_PEARSON).bits

    # Every intensity could make key at best as the signal does, and the decoys less.
    endless = decoy_rate_limit(channel, T12_MEANS[0], f=1.1, sifting=T12_KEY_BASIS**2)
    assert 0.5 * endless < bits / pulses < endless


def test_the_satellite_s_asymptotic_fraction() -> None:
    assert bb84_fraction(0.0451, 0.0451, 1.19) == pytest.approx(0.419, abs=5e-4)


def test_the_satellite_s_published_key_is_not_composable() -> None:
    # Yin et al. 2020 printed 372 bits from 3100 at 1e-10.
    best = max(
        bbm92_key_length(
            3100 - k,
            k,
            round(0.0451 * k),
            round(1.19 * (3100 - k) * binary_entropy(0.0451)),
            budget=EpsilonBudget(1e-10, 1e-12),
        ).bits
        for k in range(600, 2000, 50)
    )

    assert 20 < best < 100


def test_the_free_space_link_stays_below_its_limit() -> None:
    # Erven et al., Opt. Express 16, 16840 (2008): 565 sifted bits/s at 4.92 %, 85 bits/s of key.
    assert 565 * bb84_fraction(0.0492, 0.0492, 1.2) == pytest.approx(213, abs=4)


def test_intercept_and_resend_leaves_nothing() -> None:
    assert bb84_fraction(0.25, 0.25) == 0.0


@pytest.mark.parametrize(
    ("qber", "smallest"), [(0.01, 962), (0.02, 1266), (0.03, 1697), (0.05, 3381)]
)
def test_the_smallest_block_with_a_key(qber: float, smallest: int) -> None:
    def best(total: int) -> int:
        return max(
            bbm92_key_length(
                total - k,
                k,
                round(qber * k),
                round(1.16 * (total - k) * binary_entropy(qber)),
                budget=EpsilonBudget(),
            ).bits
            for k in range(total // 10, total * 2 // 3, 7)
        )

    # How counts are rounded moves the border by a few per cent.
    assert best(round(smallest * 1.05)) > 0
    assert best(round(smallest * 0.93)) == 0
