"""Window, delays, pump and attenuators: policies against the physics they model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rounded_delays import delay_histogram, rounded_delays

from qnx_hw.api.schema import Histogram
from qnx_hw.control.delays import DelaysSeen, DelayTracking
from qnx_hw.control.source import DecoyAttenuation, MeansSeen, PowerSeen, SourcePower
from qnx_hw.control.window import WindowPolicy, WindowSeen, kept, spread_of
from qnx_hw.qkd.finite_key.expectation import secret_rate_bps
from qnx_hw.qkd.finite_key.links import LinkRates, PairLink


def _link(pairs_cps: float, window_s: float, efficiency: float = 0.1) -> LinkRates:
    return PairLink(
        pairs_cps, efficiency, efficiency, 1000.0, 1000.0, window_s, 500e-12, 0.01
    ).rates()


SPREAD_PS = 500.0 / np.sqrt(8 * np.log(2))


def _window_seen(window_ps: float) -> WindowSeen:
    rates = _link(1e7, window_ps * 1e-12)
    return WindowSeen(
        (window_ps,), SPREAD_PS, 0, rates.coincidences_cps, rates.accidental_cps, rates.qber, 10.0
    )


@pytest.mark.parametrize("slots", [1, 3, 8])
@pytest.mark.parametrize("spread_ps", [60.0, 250.0, 900.0])
def test_what_a_window_holds_is_that_of_rounded_times(slots: int, spread_ps: float) -> None:
    delays = rounded_delays(2000.0, slots, spread_ps)
    inside = float((np.abs(delays) <= 1000.0).mean())

    # Six standard errors of a part of 200 000.
    assert kept(2000.0, slots, spread_ps) == pytest.approx(inside, abs=6 * 0.5 / 200_000**0.5)
    assert kept(2000.0, 0, spread_ps) == pytest.approx(math.erf(1000.0 / (2**0.5 * spread_ps)))


@pytest.mark.parametrize("spread_ps", [60.0, 250.0, 900.0])
def test_the_spread_is_told_by_what_falls_out_of_the_window(spread_ps: float) -> None:
    shown = delay_histogram(2000, 1, spread_ps, chance=100_000)

    # The peak itself is as wide as the window, whatever the detectors do.
    assert spread_of(shown, 2000.0, 1) == pytest.approx(spread_ps, rel=0.15)


def test_no_peak_has_no_spread() -> None:
    assert spread_of(Histogram(start_ps=-50, bin_ps=1, counts=(0,) * 101), 10.0, 1) is None
    flat = Histogram(start_ps=-50, bin_ps=1, counts=(3,) * 101, peak_ps=0.0)
    assert spread_of(flat, 10.0, 1) is None


@pytest.mark.parametrize("window_ps", [6000.0, 20_000.0])
def test_a_window_far_beyond_the_spread_is_never_widened(window_ps: float) -> None:
    """As wide as rounding makes the peak, it would seem to want a window without end."""
    seen = WindowSeen((window_ps,), 250.0, 1, 30_000.0, window_ps / 10, 0.02, 10.0)

    decision = WindowPolicy(1000.0, 100_000.0, secret_rate_bps).observe(seen)

    assert decision.move_to is None or decision.move_to[0] < window_ps


@pytest.mark.parametrize("window_ps", [200.0, 3000.0])
def test_the_window_goes_where_the_key_is(window_ps: float) -> None:
    policy, found = WindowPolicy(100.0, 10_000.0, secret_rate_bps), window_ps
    for _ in range(4):
        (found,) = policy.observe(_window_seen(found)).move_to or (found,)

    rates = {
        each: secret_rate_bps(
            _link(1e7, each * 1e-12).coincidences_cps, _link(1e7, each * 1e-12).qber, 10.0
        )
        for each in [*np.geomspace(100, 10_000, 80), found]
    }

    assert rates[found] > 0.95 * max(rates.values())
    assert policy.observe(_window_seen(found)).move_to is None


def test_another_window_is_predicted_as_the_link_shows_it() -> None:
    coincidences, qber = _window_seen(1000.0).at(400.0)
    there = _link(1e7, 400e-12)

    assert coincidences == pytest.approx(there.coincidences_cps, rel=1e-6)
    assert qber == pytest.approx(there.qber, rel=1e-6)


def test_delays_are_found_under_noise_and_followed() -> None:
    rng, policy = np.random.default_rng(1), DelayTracking(4)
    true, values = np.array([0.0, 150.0, -80.0, 30.0]), (0.0,) * 4
    for _ in range(30):
        late = true - np.array(values) + rng.normal(0, 20, 4)
        seen = DelaysSeen(values, tuple(late.tolist()), (20.0,) * 4)
        values = policy.observe(seen).move_to or values
        true = true + np.array([0.0, 1.0, 0.0, 0.0])

    left = true - np.array(values)
    assert np.abs(left - left.mean()).max() < 30.0


def test_delays_that_are_right_are_left_alone() -> None:
    rng, policy = np.random.default_rng(2), DelayTracking(4)

    moves = [
        policy.observe(
            DelaysSeen((0.0,) * 4, tuple(rng.normal(0, 10, 4).tolist()), (10.0,) * 4)
        ).move_to
        for _ in range(40)
    ]

    assert moves == [None] * 40


def _power_seen(power: float) -> PowerSeen:
    rates = _link(2e6 * power, 1e-9)
    return PowerSeen(
        (power,),
        *(rates.singles_a_cps, rates.singles_b_cps, rates.coincidences_cps),
        *(rates.accidental_cps, rates.qber, 1e-9, 10.0, 1000.0, 1000.0),
    )


@pytest.mark.parametrize("power", [0.3, 90.0])
def test_the_pump_goes_where_the_key_is(power: float) -> None:
    policy = SourcePower(0.1, 100.0, secret_rate_bps)
    for _ in range(12):
        (power,) = policy.observe(_power_seen(power)).move_to or (power,)

    def key(at: float) -> float:
        rates = _link(2e6 * at, 1e-9)
        return secret_rate_bps(rates.coincidences_cps, rates.qber, 10.0)

    assert key(power) > 0.97 * max(key(each) for each in np.geomspace(0.1, 100, 100))


def test_the_pump_is_left_alone_without_pairs() -> None:
    dark = PowerSeen((1.0,), 1000.0, 1000.0, 0.0, 0.0, 0.5, 1e-9, 10.0)

    assert SourcePower(0.1, 100.0, secret_rate_bps).observe(dark).move_to is None


def test_decoy_means_are_held() -> None:
    policy = DecoyAttenuation((0.5, 0.1), least_db=3.0, most_db=60.0)
    values = (20.0, 20.0)
    for _ in range(3):
        means = tuple(60.0 * 10 ** (-each / 10) for each in values)
        values = policy.observe(MeansSeen(values, means, (0.001, 0.001))).move_to or values

    assert [60.0 * 10 ** (-each / 10) for each in values] == pytest.approx([0.5, 0.1], rel=0.02)


def test_attenuators_never_go_below_their_limit() -> None:
    policy = DecoyAttenuation((0.5,), least_db=10.0, most_db=60.0)

    assert policy.observe(MeansSeen((12.0,), (0.01,), (0.0001,))).move_to == (10.0,)
