"""The searches that look at the error rate alone, and the names they go by."""

from __future__ import annotations

import numpy as np
import pytest
from actuators import actuator

from qnx_hw.control.polarization import Actuator, Measurement, make
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.rotations import Real
from qnx_hw.control.polarization.searches import line_search
from qnx_hw.errors import ConfigError


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model", "coordinate", "spsa", "spgd", "line", "nelder-mead"])
def test_every_algorithm_brings_the_error_rate_down(name: str) -> None:
    made = actuator("plates")
    ends = []
    for seed in (1, 2, 3):
        fibre = Rehearsal(made, np.random.default_rng(seed))
        policy = make(name, made, target=0.0 if name == "model" else 0.03)
        least = fibre.excess
        for _ in range(6 if name == "model" else 400):
            decision = policy.observe(fibre.measure(20_000))
            if decision.move_to is not None:
                fibre.move(decision.move_to)
            least = min(least, fibre.excess)
        ends.append(least)

    assert np.median(ends) < (0.01 if name == "model" else 0.03)


def test_a_line_search_is_exact_for_plates_and_squeezers() -> None:
    for kind in ("plates", "squeezers"):
        made = actuator(kind)
        fibre = Rehearsal(made, np.random.default_rng(2), visibility=1.0)
        search = line_search(made, made.parts(fibre.values), np.random.default_rng(1))
        wanted = next(search)
        for _ in range(5):
            rate = fibre.excess_at(_setting(made, wanted.at))
            wanted = search.send(rate)

        beside = [
            _setting(made, wanted.rests + np.eye(len(made.axes))[0] * s) for s in (-0.02, 0.02)
        ]
        best = fibre.excess_at(_setting(made, wanted.rests))
        assert best < min(map(fibre.excess_at, beside))
        scanned = np.linspace(0.0, 1.0, 400)
        line = [fibre.excess_at(_setting(made, np.array([p, *wanted.rests[1:]]))) for p in scanned]
        assert best < min(line) + 1e-3


def _setting(made: Actuator, parts: Real) -> tuple[float, ...]:
    return tuple(made.settings(parts).tolist())


def test_a_search_begins_anew_where_its_own_place_became_far_worse() -> None:
    def seen(values: tuple[float, ...], errors: int) -> Measurement:
        right = 1000 - errors
        return Measurement(values, ((right, 500), (500, right)), ((1000, 1000), (1000, 1000)))

    made = actuator("plates")
    policy = make("coordinate", made, target=0.0)
    here = made.resting
    policy.observe(seen(here, 100))
    first = policy.observe(seen(here, 100)).move_to
    assert first is not None

    elsewhere = policy.observe(seen(first, 400))
    assert "new search" not in elsewhere.reason

    again = make("coordinate", made, target=0.0)
    again.observe(seen(here, 100))
    assert "new search" in again.observe(seen(here, 400)).reason


@pytest.mark.slow
def test_the_gaussian_process_chooses_by_what_it_learnt() -> None:
    made = actuator("paddles")
    scattered: list[float] = []
    chosen: list[float] = []
    for seed in (1, 2):
        fibre = Rehearsal(made, np.random.default_rng(seed))
        policy = make("gaussian-process", made, target=0.02)
        for number in range(40):
            decision = policy.observe(fibre.measure(20_000))
            if decision.move_to is None:
                break
            fibre.move(decision.move_to)
            # Where it starts and twelve settings by chance come first.
            (scattered if number < 13 else chosen).append(fibre.excess)

    assert len(chosen) > 10
    assert np.median(chosen) < 0.8 * np.median(scattered)
    assert min(chosen) < min(0.12, *scattered)


def test_a_search_rests_at_its_target() -> None:
    policy = make("coordinate", actuator("plates"), target=0.03)

    decision = policy.observe(
        Measurement((0.0,) * 3, ((990, 500), (500, 990)), ((1000, 1000), (1000, 1000)))
    )

    assert decision.move_to is None


def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(ConfigError, match="'magic'"):
        make("magic", actuator("plates"), target=0.0)


def test_the_matrix_of_a_block_is_read_for_the_controllers_end() -> None:
    matrix = ((40, 10, 30, 20), (10, 40, 20, 30), (5, 45, 60, 0), (45, 5, 0, 60))

    bob = Measurement.of_matrix(matrix, (), near_is_rows=False, tested=(10, 12))
    alice = Measurement.of_matrix(matrix, (), near_is_rows=True, tested=(10, 12))

    assert bob.rounds == ((10, 100), (100, 12))
    assert bob.equal == ((8, 60), (10, 12))
    assert alice.equal == ((8, 10), (60, 12))


@pytest.mark.parametrize("name", ["model", "coordinate"])
def test_one_basis_that_gives_blocks_up_is_not_at_the_target(name: str) -> None:
    made = actuator("plates")
    fine, off = (990, 500), (900, 500)
    rounds = ((1000, 1000), (1000, 1000))
    policy = make(name, made, target=0.06)

    both = Measurement(made.resting, (fine, fine[::-1]), rounds)
    assert policy.observe(both).move_to is None
    one = Measurement(made.resting, (fine, off[::-1]), rounds)
    assert one.qber < 0.06 < one.worse_qber
    assert policy.observe(one).move_to is not None
