"""The model-based policy on fibres with shot noise."""

from __future__ import annotations

import numpy as np
import pytest
from actuators import AXES, actuator

from qnx_hw.api.loops import LoopState
from qnx_hw.control.polarization import Measurement, ModelBased
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.rotations import turn
from sim_devices.physics.channel import Channel
from sim_devices.physics.description import Fibre
from sim_devices.physics.polarization import mueller


def _acquire(kind: str, seed: int, settings: int) -> tuple[Rehearsal, ModelBased]:
    made = actuator(kind)
    fibre, policy = Rehearsal(made, np.random.default_rng(seed)), ModelBased(made)
    _follow(fibre, policy, settings)
    return fibre, policy


def _follow(fibre: Rehearsal, policy: ModelBased, settings: int, counts: int = 5000) -> list[float]:
    rates = []
    for _ in range(settings):
        decision = policy.observe(fibre.measure(counts))
        if decision.move_to is not None:
            fibre.move(decision.move_to)
        rates.append(fibre.excess)
    return rates


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(AXES))
def test_a_random_fibre_is_aligned_within_a_few_settings(kind: str) -> None:
    ends = []
    for seed in range(3):
        fibre, policy = _acquire(kind, seed, 3)
        ends.append(fibre.excess - fibre.least_excess)
        assert policy.belief is not None

    assert np.median(ends) < 0.003
    assert max(ends) < 0.02


def test_a_still_fibre_is_left_alone_at_the_target() -> None:
    fibre, _ = _acquire("plates", 1, 12)
    policy = ModelBased(actuator("plates"), target=0.03)

    decisions = [policy.observe(fibre.measure(5000)) for _ in range(10)]

    assert all(decision.move_to is None for decision in decisions)


@pytest.mark.slow
def test_a_drifting_fibre_is_followed() -> None:
    fibre, policy = _acquire("plates", 5, 8)
    rates = []
    for _ in range(60):
        fibre.drift(0.02)
        rates += _follow(fibre, policy, 1)

    assert np.mean(rates[10:]) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "fibre"),
    [
        # A setting takes 5 s: a ramp of 0.01 rad and a walk of 0.02 rad for each, and a knock.
        ("ramp", Fibre(ramp_rad_per_s=0.002)),
        ("walk", Fibre(drift_rad_per_sqrt_s=0.0052)),
        ("knock", Fibre(knock_at_s=100.0, knock_rad=np.pi / 2)),
    ],
)
def test_the_excess_stays_bounded_while_the_bench_moves_its_fibre(words: str, fibre: Fibre) -> None:
    made = actuator("paddles")
    stage = Rehearsal(made, np.random.default_rng(2))
    policy = ModelBased(made)
    channel = Channel(fibre, np.random.default_rng(3))
    laid = stage.fibre
    rates = []
    for _ in range(50):
        stage.fibre = mueller(channel.jones)[1:, 1:] @ laid
        rates += _follow(stage, policy, 1, 2000)
        channel.advance(5.0)

    assert np.trace(mueller(channel.jones)[1:, 1:]) < 2.995, "the fibre has moved"
    # A knock costs the settings of one search; nothing else may cost more than 0.5 %.
    assert np.mean(sorted(rates[8:])[: -6 if words == "knock" else None]) < 0.005
    assert rates[-1] < 0.02


def test_a_jump_of_the_fibre_is_found_and_undone() -> None:
    fibre, policy = _acquire("plates", 2, 8)
    fibre.fibre = turn(np.array([0.0, np.pi / 2, 0.0])) @ fibre.fibre
    assert fibre.excess > 0.1

    _follow(fibre, policy, 5)

    assert fibre.excess < 0.01


def test_a_move_that_went_astray_is_undone_first() -> None:
    fibre, policy = _acquire("plates", 3, 8)
    # A step is decided because the fibre turned a little; the plates end up somewhere else.
    fibre.fibre = turn(np.array([0.0, 0.25, 0.0])) @ fibre.fibre
    decision = policy.observe(fibre.measure(5000))
    assert decision.move_to is not None
    before = fibre.values
    fibre.move(tuple(value + 40.0 for value in decision.move_to))
    astray = fibre.measure(5000)
    told = Measurement(decision.move_to, astray.equal, astray.rounds)

    undoing = policy.observe(told)

    assert undoing.undoes
    assert undoing.move_to == before


def test_too_few_counts_move_nothing() -> None:
    fibre, policy = _acquire("plates", 4, 0)

    decision = policy.observe(fibre.measure(5))

    assert decision.move_to is None
    assert decision.state is LoopState.SEARCHING
