"""The bench against closed formulas; fixed seeds, four standard deviations."""

from __future__ import annotations

import numpy as np
import pytest
from physics_benches import bench, coincidences, error_rate

from sim_devices.physics.bench import Bench


def _close(count: float, mean: float, sigmas: float = 4.0) -> bool:
    return bool(abs(count - mean) <= sigmas * np.sqrt(mean) + 1)


def test_singles_and_coincidences_follow_loss_and_efficiency() -> None:
    made = bench()
    expected = made.expected("alice-bob")

    singles_a, singles_b, matrix = coincidences(made, 1.0, 2000)

    eta = 0.5 * 10**-0.3
    assert sum(expected.singles_alice_cps) == pytest.approx(1e6 * eta)
    assert all(_close(n, 1e6 * eta / 4) for n in [*singles_a, *singles_b])
    assert expected.coincidences_cps == pytest.approx(1e6 * eta**2, rel=0.01)
    assert _close(matrix.sum(), expected.coincidences_cps)
    assert _close(matrix[:2, :2].sum() + matrix[2:, 2:].sum(), expected.sifted_cps)


@pytest.mark.parametrize("visibility", [1.0, 0.97, 0.8, 0.0])
def test_error_rate_follows_visibility(visibility: float) -> None:
    made = bench(source={"visibility": visibility})
    expected = made.expected("alice-bob")

    _, _, matrix = coincidences(made, 1.0, 2000)

    sifted = expected.sifted_cps
    sigma = np.sqrt(max(expected.qber * (1 - expected.qber), 1e-6) / sifted)
    assert expected.qber == pytest.approx((1 - visibility) / 2, abs=1e-3)
    assert expected.chsh_s == pytest.approx(2 * np.sqrt(2) * (1 - 2 * expected.qber))
    assert abs(error_rate(matrix) - expected.qber) < 4 * sigma


@pytest.mark.parametrize(
    ("state", "qber_z", "qber_x"),
    [("phi+", 0, 0), ("phi-", 0, 1), ("psi+", 1, 0), ("psi-", 1, 1)],
)
def test_bell_states_correlate_as_they_must(state: str, qber_z: float, qber_x: float) -> None:
    made = bench(source={"state": state}, window_ps=100)
    expected = made.expected("alice-bob")

    _, _, matrix = coincidences(made, 0.1, 100)

    assert expected.qber_z == pytest.approx(qber_z, abs=1e-3)
    assert expected.qber_x == pytest.approx(qber_x, abs=1e-3)
    assert (matrix[0, 1] + matrix[1, 0]) / matrix[:2, :2].sum() == pytest.approx(qber_z, abs=0.01)
    assert (matrix[2, 3] + matrix[3, 2]) / matrix[2:, 2:].sum() == pytest.approx(qber_x, abs=0.01)


def test_accidentals_follow_the_rate_product() -> None:
    dark = {"dark_rate_cps": 100_000.0}
    made = bench(dark, dark, {"pair_rate_hz": 0.0}, window_ps=20_000)
    expected = made.expected("alice-bob")

    _, _, matrix = coincidences(made, 2.0, 20_000)

    assert expected.accidentals_cps == pytest.approx(4e5**2 * 20e-9)
    # Alice's click takes one partner at most, and sees none with exp(−S·window).
    assert _close(matrix.sum(), 2 * 4e5 * (1 - np.exp(-4e5 * 20e-9)))
    assert abs(error_rate(matrix) - 0.5) < 4 * 0.5 / np.sqrt(matrix.sum() / 2)


def test_shifted_window_holds_the_accidentals_only() -> None:
    made = bench(window_ps=10_000)

    singles_a, singles_b, matrix = coincidences(made, 2.0, 10_000, shift_ps=1_000_000)

    assert _close(matrix.sum(), singles_a.sum() / 2 * singles_b.sum() / 2 * 10e-9 * 2, 5)


def test_dead_time_is_not_paralysable() -> None:
    made = bench({"dark_rate_cps": 2e6, "dead_time_ps": 100_000}, source={"pair_rate_hz": 0.0})

    times, inputs = made.station("alice").take_tags(0.5)

    rate = 2e6 / (1 + 2e6 * 100e-9)
    counts = np.bincount(inputs, minlength=5)[1:]
    assert made.expected("alice-bob").singles_alice_cps == pytest.approx((rate,) * 4)
    assert all(abs(n - rate / 2) < 4 * np.sqrt(rate / 2) for n in counts)
    assert all(np.diff(times[inputs == d]).min() >= 100_000 for d in (1, 2, 3, 4))


def test_dark_counts_alone_are_poisson() -> None:
    rates = [100.0, 1000.0, 10_000.0, 100_000.0]
    made = bench({"dark_rate_cps": rates}, source={"pair_rate_hz": 0.0})

    times, inputs = made.station("alice").take_tags(2.0)

    counts = np.bincount(inputs, minlength=5)[1:]
    gaps = np.diff(times[inputs == 4])
    assert all(_close(n, 2 * r) for n, r in zip(counts, rates, strict=True))
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.02)
    assert made.station("bob").take_tags(2.0)[0].size == 0


def test_stamps_show_offset_and_drift_of_the_clock() -> None:
    made = bench(bob={"clock_offset_s": -3.25, "clock_drift_ppm": 40.0}, window_ps=10)
    times_a, _ = made.station("alice").take_tags(1.0)
    times_b, _ = made.station("bob").take_tags(1.0)

    back = np.rint((times_b + 3_250_000_000_000) / (1 + 40e-6)).astype(np.int64)

    partners = np.searchsorted(back, times_a - 2).clip(0, len(back) - 1)
    found = np.abs(back[partners] - times_a) <= 2
    assert _close(found.sum(), made.expected("alice-bob").coincidences_cps)
    assert made.station("bob").stamp_at(1.0) == -2_249_960_000_000


def test_jitter_spreads_pairs_and_the_window_cuts_them() -> None:
    made = bench({"jitter_ps": 300}, {"jitter_ps": 400}, window_ps=500)
    expected = made.expected("alice-bob")

    _, _, matrix = coincidences(made, 1.0, 500)

    # erf(√ln2 · window / FWHM) with 500 ps against a summed FWHM of 500 ps.
    assert expected.window_fraction == pytest.approx(0.7610, abs=1e-3)
    assert _close(matrix.sum(), expected.coincidences_cps)


def test_tags_do_not_depend_on_how_they_are_fetched() -> None:
    at_once, in_steps = bench({"jitter_ps": 500}), bench({"jitter_ps": 500})
    times, inputs = at_once.station("alice").take_tags(0.1)

    parts = [in_steps.station("alice").take_tags(0.1 * k / 37) for k in range(1, 38)]

    assert np.array_equal(np.concatenate([part[0] for part in parts]), times)
    assert np.array_equal(np.concatenate([part[1] for part in parts]), inputs)
    assert (np.diff(times) >= 0).all()


def test_seed_decides_all_clicks() -> None:
    drift = {"drift_rad_per_sqrt_s": 1.0, "clock_wander_ppm_per_sqrt_s": 0.1, "jitter_ps": 100}
    first, again, other = (bench(drift, seed=seed) for seed in (3, 3, 4))

    tags = [each.station("alice").take_tags(0.05)[0] for each in (first, again, other)]

    assert np.array_equal(tags[0], tags[1])
    assert not np.array_equal(tags[0], tags[2])


def test_counts_agree_with_tags_whoever_asks_first() -> None:
    made = bench()
    station = made.station("bob")

    early = station.take_counts(0.033)
    _, inputs = station.take_tags(0.1)
    late = station.take_counts(0.1)

    assert np.array_equal(early + late, np.bincount(inputs, minlength=5)[1:])
    assert early.sum() == pytest.approx(0.33 * inputs.size, rel=0.05)


def test_tags_nobody_fetches_are_dropped_but_counted() -> None:
    made = bench(source={"pair_rate_hz": 20_000.0})
    station = made.station("alice")
    made.advance(8.0)

    times, _ = station.take_tags(8.0)
    counts = station.take_counts(8.0)

    assert times[0] > 2.9e12
    assert _close(counts.sum(), 8.0 * 20_000 * 0.5 * 10**-0.3)


def test_paddles_turn_the_state_and_turn_it_back() -> None:
    made = bench(window_ps=100)
    station = made.station("bob")

    station.set_paddle(2, 45.0)
    _, _, matrix = coincidences(made, 0.1, 100)
    station.set_paddle(2, 0.0)
    made.advance(0.2)
    station.take_tags(0.12)
    made.station("alice").take_tags(0.12)
    _, _, restored = coincidences(made, 0.2, 100)

    # λ/4(0) λ/2(45°) λ/4(0) is half a turn about D/A: Z flips, X stays.
    assert matrix[0, 0] + matrix[1, 1] < 0.01 * matrix[:2, :2].sum()
    assert matrix[2, 3] + matrix[3, 2] < 0.01 * matrix[2:, 2:].sum()
    assert error_rate(restored) < 0.01


def test_paddle_positions_are_checked_and_kept() -> None:
    station = bench().station("alice")

    station.set_paddle(3, 12.5)

    assert station.paddles_deg == (0.0, 0.0, 12.5)
    with pytest.raises(ValueError, match="no paddle 4"):
        station.set_paddle(4, 0.0)


def test_bias_off_or_disabled_means_no_clicks() -> None:
    made = bench({"dark_rate_cps": 1000.0})
    station = made.station("alice")
    station.set_bias(1, 0.0)
    _, one_off = station.take_tags(0.05)

    station.set_enabled(False)
    made.advance(0.1)
    station.take_tags(0.1)
    times, _ = station.take_tags(0.15)

    assert set(one_off.tolist()) == {2, 3, 4}
    assert times.size == 0


def test_too_much_bias_latches_until_it_is_taken_away() -> None:
    station = bench().station("alice")

    station.set_bias(2, 30.0)
    station.set_bias(2, 20.0)
    latched = station.bias.is_latched
    station.set_bias(2, 0.0)
    station.set_bias(2, 20.0)

    assert latched == (False, True, False, False)
    assert station.bias.is_latched == (False,) * 4
    assert station.bias.efficiency_scale.tolist() == pytest.approx([1.0] * 4)


def test_threshold_outside_the_pulse_hides_a_detector() -> None:
    station = bench().station("alice")

    station.set_threshold(1, 600.0)
    station.set_threshold(2, 100.0)
    _, inputs = station.take_tags(0.02)

    assert set(inputs.tolist()) == {2, 3, 4}


def test_unlit_station_has_its_dark_counts() -> None:
    made: Bench = bench()
    lonely = Bench.from_network(
        {"bench": {"stations": {"alone": {"dark_rate_cps": 10_000.0, "efficiency": 0.1}}}}
    )

    _, inputs = lonely.station("alone").take_tags(1.0)

    assert made.links == ("alice-bob",)
    assert lonely.links == ()
    assert _close(inputs.size, 40_000)


def test_drifting_fibre_ends_far_from_where_it_began() -> None:
    made = bench(bob={"drift_rad_per_sqrt_s": 0.5})

    made.advance(4.0)

    jones = made.station("bob").channel.jones
    assert np.allclose(jones @ jones.conj().T, np.eye(2))
    assert abs(np.trace(jones)) / 2 < 0.99
