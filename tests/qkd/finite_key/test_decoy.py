from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.qkd.finite_key import (
    DecoyBasis,
    DecoyChannel,
    DecoyKeyLength,
    EpsilonBudget,
    decoy_key_length,
    decoy_rate,
    decoy_rate_limit,
    fibre_transmission,
)
from qnx_hw.qkd.finite_key.counts import CountBounds
from qnx_hw.qkd.finite_key.decoy import SAFETY_BITS, Vacuum

TWO_KEY = DecoyBasis((3_000_000, 175_000, 600), (32_000, 2_100, 290))
TWO_TEST = DecoyBasis((330_000, 19_500, 70), (3_500, 235, 34))
ONE_KEY = DecoyBasis((3_000_000, 390_000), (32_000, 4_600))
ONE_TEST = DecoyBasis((330_000, 43_000), (3_500, 510))


def two_decoys(leak: int = 317_693, safety_bits: int = 0) -> DecoyKeyLength:
    return decoy_key_length(
        TWO_KEY,
        TWO_TEST,
        leak,
        means=(0.5, 0.1, 0.0),
        shares=(0.7, 0.2, 0.1),
        budget=EpsilonBudget(),
        safety_bits=safety_bits,
    )


def one_decoy(vacuum: Vacuum) -> DecoyKeyLength:
    return decoy_key_length(
        ONE_KEY,
        ONE_TEST,
        338_297,
        means=(0.5, 0.15),
        shares=(0.7, 0.3),
        budget=EpsilonBudget(),
        vacuum=vacuum,
        safety_bits=0,
    )


def test_two_decoys_match_the_worked_block() -> None:
    length = two_decoys()

    assert length.bits == 1_192_975
    assert length.vacuum_x == pytest.approx(2_740.56, abs=0.005)
    assert length.single_x == pytest.approx(1_881_250.43, abs=0.005)
    assert length.single_z == pytest.approx(194_019.13, abs=0.005)
    assert length.single_errors_z == pytest.approx(5_169.44, abs=0.005)
    assert length.phase_error_bound == pytest.approx(0.030506, abs=5e-7)


@pytest.mark.parametrize(("sampling", "bits"), [("exact", 528_770), ("serfling", 489_977)])
def test_hoeffding_matches_the_worked_block(sampling: str, bits: int) -> None:
    length = decoy_key_length(
        TWO_KEY,
        TWO_TEST,
        317_693,
        means=(0.5, 0.1, 0.0),
        shares=(0.7, 0.2, 0.1),
        budget=EpsilonBudget(),
        bounds=CountBounds.HOEFFDING,
        sampling="exact" if sampling == "exact" else "serfling",
        safety_bits=0,
    )

    assert length.bits == bits
    assert length.single_x == pytest.approx(1_543_270.18, abs=0.005)
    assert length.single_z == pytest.approx(82_617.56, abs=0.005)


@pytest.mark.parametrize(
    ("vacuum", "bits", "single_x", "single_z", "error"),
    [
        ("published", 1_145_096, 1_885_249.0, 179_780.3, 0.033798),
        ("tight", 1_216_612, 1_939_702.04, 197_483.21, 0.030786),
    ],
)
def test_one_decoy_matches_the_worked_block(
    vacuum: Vacuum, bits: int, single_x: float, single_z: float, error: float
) -> None:
    length = one_decoy(vacuum)

    assert length.bits == bits
    assert length.single_x == pytest.approx(single_x, abs=0.05)
    assert length.single_z == pytest.approx(single_z, abs=0.05)
    assert length.single_errors_z == pytest.approx(5_320.91, abs=0.005)
    assert length.phase_error_bound == pytest.approx(error, abs=5e-7)


def test_the_safety_margin_is_taken_off() -> None:
    assert two_decoys(safety_bits=SAFETY_BITS).bits == two_decoys().bits - 16


@settings(max_examples=30)
@given(st.integers(1, 10_000))
def test_more_errors_of_the_decoy_never_lengthen_the_key(more: int) -> None:
    signal, decoy, vacuum = TWO_TEST.errors
    worse = decoy_key_length(
        TWO_KEY,
        dataclasses.replace(TWO_TEST, errors=(signal, decoy + more, vacuum)),
        317_693,
        means=(0.5, 0.1, 0.0),
        shares=(0.7, 0.2, 0.1),
        budget=EpsilonBudget(),
        safety_bits=0,
    )

    assert worse.bits <= two_decoys().bits


def test_silence_makes_no_key() -> None:
    nothing = DecoyBasis((0, 0, 0), (0, 0, 0))

    length = decoy_key_length(
        nothing,
        nothing,
        0,
        means=(0.5, 0.1, 0.0),
        shares=(0.7, 0.2, 0.1),
        budget=EpsilonBudget(),
    )

    assert length.bits == 0


@pytest.mark.parametrize(
    ("means", "shares"),
    [
        ((0.5, 0.6, 0.0), (0.7, 0.2, 0.1)),
        ((0.5, 0.3, 0.25), (0.7, 0.2, 0.1)),
        ((0.5, 0.1, 0.0), (0.7, 0.2, 0.2)),
        ((0.5, 0.1, 0.0), (0.9, 0.1, 0.0)),
        ((0.5, 0.1), (0.7, 0.3)),
        ((0.5, 0.1, 0.0), (0.7, math.nan, 0.3)),
        ((math.inf, 0.1, 0.0), (0.7, 0.2, 0.1)),
        ((1e3, 0.1, 0.0), (0.7, 0.2, 0.1)),
    ],
)
def test_sources_that_the_proof_does_not_cover_are_refused(
    means: tuple[float, ...], shares: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"intensit|probabilit|signal"):
        decoy_key_length(TWO_KEY, TWO_TEST, 0, means=means, shares=shares, budget=EpsilonBudget())


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))][1:])
def test_counts_in_another_order_give_no_key(order: tuple[int, ...]) -> None:
    def swapped(basis: DecoyBasis) -> DecoyBasis:
        return DecoyBasis(
            tuple(basis.detections[index] for index in order),
            tuple(basis.errors[index] for index in order),
        )

    lengths = [
        decoy_key_length(
            key, test, 0, means=(0.5, 0.1, 0.0), shares=(0.7, 0.2, 0.1), budget=EpsilonBudget()
        )
        for key, test in [(swapped(TWO_KEY), TWO_TEST), (TWO_KEY, swapped(TWO_TEST))]
    ]

    # Exchanging two weak intensities can leave a key basis that fits some other channel.
    assert lengths[1].bits == 0
    assert all(length.single_x <= sum(TWO_KEY.detections) for length in lengths)


def test_more_errors_at_less_light_give_no_key() -> None:
    odd = DecoyBasis(ONE_TEST.detections, (510, 3_500))

    length = decoy_key_length(
        ONE_KEY, odd, 0, means=(0.5, 0.15), shares=(0.7, 0.3), budget=EpsilonBudget()
    )

    assert length.bits == 0


def gys(length_km: float) -> DecoyChannel:
    return DecoyChannel(0.045 * fibre_transmission(length_km, 0.21), 1.7e-6, 0.033)


def test_the_asymptotic_rate_ends_where_the_literature_says() -> None:
    assert decoy_rate_limit(gys(142.0), 0.48, f=1.22) > 0.0
    assert decoy_rate_limit(gys(142.1), 0.48, f=1.22) == 0.0
    assert decoy_rate(gys(140.5), 0.48, 0.05, f=1.22) > 0.0
    assert decoy_rate(gys(140.7), 0.48, 0.05, f=1.22) == 0.0
    assert decoy_rate_limit(DecoyChannel(0.0, 0.0, 0.03), 0.48) == 0.0


@given(st.floats(0.0, 140.0))
def test_a_real_decoy_never_beats_infinitely_many(length_km: float) -> None:
    channel = gys(length_km)

    assert decoy_rate(channel, 0.48, 0.05, f=1.22) <= decoy_rate_limit(channel, 0.48, f=1.22)
