"""What goes wrong on the way: eavesdroppers, knocks, fading, dispersion, many users, bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_benches import bench, coincidences, error_rate

from sim_devices.physics.bench import Bench
from sim_devices.physics.bias import Bias
from sim_devices.physics.channel import Channel
from sim_devices.physics.description import Fibre
from sim_devices.physics.polarization import mueller


def _channel(fibre: Fibre, seed: int = 1) -> Channel:
    return Channel(fibre, np.random.default_rng(seed))


@pytest.mark.parametrize("fraction", [0.2, 1.0])
def test_intercept_resend_shows_as_a_quarter_of_errors(fraction: float) -> None:
    eve = {"station": "bob", "fraction": fraction, "begins_at_s": 0.2}
    attacked = bench(window_ps=100, eavesdropper=eve)

    _, _, before = coincidences(attacked, 0.2, 100)
    _, _, after = coincidences(attacked, 0.6, 100)

    n = after[:2, :2].sum() + after[2:, 2:].sum()
    assert error_rate(before) < 5e-3
    assert abs(error_rate(after) - fraction / 4) < 4 * 0.5 / np.sqrt(n)


def test_blinding_hides_in_the_errors_and_shows_in_the_darks() -> None:
    dark = {"dark_rate_cps": 10_000.0}
    eve = {"station": "bob", "kind": "blinding"}
    made = bench(dark, dark, {"pair_rate_hz": 0.0}, eavesdropper=eve)

    assert made.station("alice").take_tags(0.1)[0].size > 3000
    assert made.station("bob").take_tags(0.1)[0].size == 0


def test_users_behind_splitters_share_the_pairs() -> None:
    names = ("alice", "bob", "carol")
    made = Bench.from_network(
        {
            "bench": {
                "stations": {name: {"efficiency": 1.0} for name in names},
                "sources": {"spdc": {"pair_rate_hz": 9e5, "arms": list(names)}},
            },
            "links": {
                "alice-bob": {
                    "coincidence_window_ps": 100,
                    "alice": {"node": "alice"},
                    "bob": {"node": "bob"},
                }
            },
        }
    )
    expected = made.expected("alice-bob")

    singles_a, _, matrix = coincidences(made, 0.5, 100)

    assert sum(expected.singles_alice_cps) == pytest.approx(6e5)
    assert abs(singles_a.sum() - 3e5) < 4 * np.sqrt(2 * 3e5)
    # Both photons to one user: 1/9; to two given users: 2/9.
    assert abs(matrix.sum() - 1e5) < 4 * np.sqrt(1e5) + 20
    assert error_rate(matrix) < 2e-3


@given(st.floats(0.0, 50.0))
def test_loss_is_in_decibel(loss_db: float) -> None:
    assert _channel(Fibre(loss_db=loss_db)).transmission == pytest.approx(10 ** (-loss_db / 10))


def test_drift_is_a_random_walk() -> None:
    turned = []
    for seed in range(150):
        channel = _channel(Fibre(drift_rad_per_sqrt_s=0.05), seed)
        for _ in range(100):
            channel.advance(0.01)
        turned.append(mueller(channel.jones)[1, 3])

    # After one second H has moved towards D by 0.05 rad in the mean square.
    assert np.std(turned) == pytest.approx(0.05, rel=0.25)


def test_knock_happens_once_and_a_ramp_all_the_time() -> None:
    knocked = _channel(Fibre(knock_at_s=0.05, knock_rad=1.0))
    ramped = _channel(Fibre(ramp_rad_per_s=2.0))
    for _ in range(4):
        knocked.advance(0.01)
    before = knocked.jones.copy()
    for _ in range(50):
        knocked.advance(0.01)
        ramped.advance(0.01)

    assert np.array_equal(before, np.eye(2))
    assert np.trace(knocked.jones).real / 2 == pytest.approx(np.cos(0.5))
    assert np.trace(ramped.jones).real / 2 == pytest.approx(np.cos(0.5))


def test_random_fibre_is_far_from_identity() -> None:
    angles = [
        np.arccos(abs(np.trace(_channel(Fibre(is_rotation_random=True), s).jones)) / 2)
        for s in range(200)
    ]

    # Haar: the mean of |cos| over the 3-sphere is 4/(3π).
    assert np.mean(np.cos(angles)) == pytest.approx(4 / (3 * np.pi), abs=0.06)


def test_fading_is_log_normal_about_the_mean_loss() -> None:
    channel = _channel(Fibre(loss_db=20.0, scintillation_index=0.5, fading_time_s=0.01))
    seen = np.empty(20_000)
    for i in range(len(seen)):
        channel.advance(0.02)
        seen[i] = channel.transmission

    assert seen.mean() == pytest.approx(0.01, rel=0.03)
    assert seen.var() / seen.mean() ** 2 == pytest.approx(0.5, rel=0.15)


def test_dispersion_widens_the_pairs() -> None:
    fibre = {"dispersion_ps_per_nm": 170.0}
    made = bench(fibre, fibre, {"bandwidth_nm": 2.0}, window_ps=340)
    expected = made.expected("alice-bob")

    _, _, matrix = coincidences(made, 0.5, 340)

    # 340 ps FWHM in each arm: a window of one of them catches erf(√(ln2/2)).
    assert expected.window_fraction == pytest.approx(0.5948, abs=1e-3)
    count = expected.coincidences_cps / 2
    assert abs(matrix.sum() - count) < 4 * np.sqrt(count)


def test_thermal_pulses_raise_the_errors() -> None:
    pulsed = {"pair_rate_hz": 2e6, "pulse_rate_hz": 1e7, "modes": 1.0}
    thermal, poisson = (
        bench(source=pulsed | {"modes": modes}, window_ps=2000) for modes in (1.0, 0.0)
    )

    errors = [error_rate(coincidences(each, 0.2, 2000)[2]) for each in (thermal, poisson)]

    assert errors[0] > 1.3 * errors[1] > 0.02


@given(st.floats(0.0, 60.0), st.floats(0.0, 60.0))
def test_more_bias_never_means_fewer_counts_below_switching(first: float, second: float) -> None:
    biases = [Bias(50.0), Bias(50.0)]
    for bias, current in zip(biases, sorted((first, second)), strict=True):
        bias.set(1, current)

    low, high = biases

    assert low.efficiency_scale[0] <= high.efficiency_scale[0]
    assert low.dark_scale[0] <= high.dark_scale[0]


def test_bias_of_a_missing_detector_is_refused() -> None:
    with pytest.raises(ValueError, match="no detector 5"):
        Bias().set(5, 10.0)
