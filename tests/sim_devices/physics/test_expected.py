"""Closed formulas against a published example and against themselves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_benches import bench

from sim_devices.physics.expected import window_fraction


def test_link_budget_of_a_known_example() -> None:
    """B 5e6, η 0.15/0.015, darks 2000 each, 1 ns window, 0.6 ns jitter, 1 % polarization error."""
    jitter = 600 / math.sqrt(2)
    arms = [
        {"efficiency": eta, "loss_db": 0.0, "dark_rate_cps": 500.0, "jitter_ps": jitter}
        for eta in (0.15, 0.015)
    ]
    expected = bench(*arms, {"pair_rate_hz": 5e6, "visibility": 0.98}, window_ps=1000).expected(
        "alice-bob"
    )

    assert sum(expected.singles_alice_cps) == pytest.approx(752_000)
    assert sum(expected.singles_bob_cps) == pytest.approx(77_000)
    true_cps = expected.coincidences_cps - expected.accidentals_cps
    assert true_cps == pytest.approx(10_690.63, rel=1e-4)
    # The rate product counts 57.9; clicks with a partner of their own make no accidentals.
    unpaired = (752_000 - 11_250) * (77_000 - 11_250) * 1e-9
    assert expected.accidentals_cps == pytest.approx(unpaired, rel=1e-6)
    assert expected.qber == pytest.approx(0.0123, abs=3e-4)


@given(st.floats(100, 1e5), st.floats(1, 1e4))
def test_window_without_slots_is_the_error_function(window_ps: float, sigma_ps: float) -> None:
    caught = window_fraction(window_ps, sigma_ps, (0, 0))

    assert caught == pytest.approx(math.erf(window_ps / (2 * math.sqrt(2) * sigma_ps)), abs=1e-9)


def test_window_of_one_slot_catches_three_quarters() -> None:
    # The difference of two uniform slots is a triangle of ± 1 slot.
    assert window_fraction(2000, 0.0, (2000, 2000)) == pytest.approx(0.75, abs=2e-3)
    assert window_fraction(4000, 0.0, (2000, 2000)) == pytest.approx(1.0)


def test_swapping_the_arms_changes_nothing_for_a_link() -> None:
    unequal = {"loss_db": 10.0, "dark_rate_cps": 100.0}
    state = {"state": [[1, 0], [0.2, 0], [0, 0.5], [0.8, 0]], "visibility": 0.9}

    here = bench(unequal, source=state).expected("alice-bob")
    there = bench(
        unequal,
        source={
            "state": [[1, 0], [0, 0.5], [0.2, 0], [0.8, 0]],
            "visibility": 0.9,
            "arms": ["bob", "alice"],
        },
    ).expected("alice-bob")

    assert here.qber_x == pytest.approx(there.qber_x)
    assert here.singles_alice_cps == pytest.approx(there.singles_alice_cps)
    assert here.coincidences_cps == pytest.approx(there.coincidences_cps)


def test_unknown_link_is_refused() -> None:
    with pytest.raises(KeyError):
        bench().expected("alice-carol")


@given(st.floats(0.0, 1.0), st.floats(0.0, 30.0))
def test_chsh_and_errors_tell_the_same(visibility: float, loss_db: float) -> None:
    expected = bench(
        {"loss_db": loss_db, "dark_rate_cps": 1000.0}, source={"visibility": visibility}
    ).expected("alice-bob")

    assert expected.chsh_s == pytest.approx(
        math.sqrt(2) * (2 - 2 * expected.qber_z - 2 * expected.qber_x)
    )
    assert 0.0 <= expected.qber <= 0.5 + 1e-9
    assert expected.sifted_cps <= expected.coincidences_cps
