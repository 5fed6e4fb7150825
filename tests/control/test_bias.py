"""Bias: latched wires come back; the climb finds the top of a noisy hill."""

from __future__ import annotations

import numpy as np

from qnx_hw.control.bias import AutoBias, BiasClimb, BiasSeen, Relatching
from sim_devices.physics.bias import Bias


def _rates(bias: Bias) -> tuple[float, ...]:
    clicks = 40_000 * bias.efficiency_scale + 100 * bias.dark_scale
    return tuple(float(each) for each in clicks)


def test_a_latched_wire_is_brought_back() -> None:
    wires, values = Bias(), (20.0,) * 4
    policy = Relatching()
    for _ in range(4):
        assert policy.observe(BiasSeen(values, _rates(wires))).move_to is None
    wires.set(2, 30.0)
    wires.set(2, 20.0)
    assert wires.is_latched[1]

    for _ in range(2):
        decision = policy.observe(BiasSeen(values, _rates(wires)))
        assert decision.move_to is not None
        values = decision.move_to
        for number, value in enumerate(values, start=1):
            wires.set(number, value)

    assert not any(wires.is_latched)
    assert 19.0 < values[1] < 20.0
    assert values[0] == 20.0
    assert policy.observe(BiasSeen(values, _rates(wires))).move_to is None


def test_darkness_is_not_taken_for_latching() -> None:
    policy = Relatching()
    for _ in range(4):
        policy.observe(BiasSeen((20.0,) * 4, (4e4,) * 4))

    assert policy.observe(BiasSeen((20.0,) * 4, (0.0,) * 4)).move_to is None


def test_the_climb_finds_the_best_bias_of_each_detector() -> None:
    rng, values = np.random.default_rng(2), (15.0, 15.0)
    policy = BiasClimb(10.0, 22.0, step=1.0, least_step=0.2)

    for _ in range(150):
        merit = 1000 - 8 * ((values[0] - 18) ** 2 + (values[1] - 13) ** 2)
        seen = BiasSeen(values, (1.0, 1.0), merit + rng.normal(0, 1), 1.0)
        values = policy.observe(seen).move_to or values

    assert abs(values[0] - 18) < 0.7
    assert abs(values[1] - 13) < 0.7


def test_the_climb_stays_within_its_limits() -> None:
    values, policy = (21.0,), BiasClimb(10.0, 22.0, step=2.0, least_step=0.5)
    seen_at = []
    for _ in range(30):
        values = policy.observe(BiasSeen(values, (1.0,), values[0] ** 2, 0.1)).move_to or values
        seen_at.append(values[0])

    assert max(seen_at) == 22.0
    assert min(seen_at) >= 10.0


def test_a_bias_is_found_once_in_the_dark_and_anew_when_asked() -> None:
    policy = AutoBias(100.0)
    dark, light = BiasSeen((20.0,) * 4, (90.0,) * 4), BiasSeen((20.0,) * 4, (4e4,) * 4)

    assert not policy.observe(light).finds
    assert policy.observe(dark).finds
    assert not any(policy.observe(each).finds for each in (dark, dark, light, light))
    policy.restart()
    assert policy.observe(dark).finds
