"""Pauli matrices against plain Jones vectors and density matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.physics.polarization import (
    BELL_KETS,
    analyser,
    click_probabilities,
    intercept_resend,
    mueller,
    paddles,
    pauli_matrix,
    random_rotation,
    retarder,
    rotation,
    werner,
)

ANGLES = st.tuples(*[st.floats(0.0, 170.0)] * 3)
KETS = np.array([[1, 0], [0, 1], [np.sqrt(0.5)] * 2, [np.sqrt(0.5), -np.sqrt(0.5)]])


def test_paddles_at_zero_change_nothing() -> None:
    assert np.allclose(mueller(paddles((0.0, 0.0, 0.0))), np.eye(4))


@given(ANGLES)
def test_paddles_are_unitary_and_turn_the_sphere(angles: tuple[float, float, float]) -> None:
    jones = paddles(angles)

    turn = mueller(jones)

    assert np.linalg.det(jones) == pytest.approx(1.0)
    assert np.allclose(turn @ turn.T, np.eye(4))
    assert np.linalg.det(turn[1:, 1:]) == pytest.approx(1.0)


@given(ANGLES, ANGLES, st.sampled_from(sorted(BELL_KETS)))
def test_probabilities_are_those_of_jones_vectors(
    here: tuple[float, float, float], there: tuple[float, float, float], state: str
) -> None:
    effects = analyser([0.5] * 4, 0.0)
    ket = np.kron(paddles(here), paddles(there)) @ BELL_KETS[state]
    projected = np.abs(np.einsum("ax,by,xy->ab", KETS, KETS, ket.reshape(2, 2))) ** 2

    seen = click_probabilities(
        werner(BELL_KETS[state], 1.0),
        effects @ mueller(paddles(here)),
        effects @ mueller(paddles(there)),
    )

    assert np.allclose(seen[:4, :4], projected / 4, atol=1e-12)


@given(
    st.lists(st.floats(0.0, 0.5), min_size=4, max_size=4),
    st.floats(0.0, 0.5),
    st.integers(0, 1000),
)
def test_probabilities_of_any_state_add_up(
    weights: list[float], extinction: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
    density = root @ root.conj().T
    density /= np.trace(density)

    seen = click_probabilities(
        pauli_matrix(density), analyser(weights, extinction), analyser([0.3] * 4, 0.0)
    )

    assert seen.min() >= 0.0
    assert seen.sum() == pytest.approx(1.0)


def test_half_wave_plate_swaps_h_and_v() -> None:
    turned = retarder(np.pi, np.pi / 4) @ np.array([1, 0])

    assert abs(turned[1]) == pytest.approx(1.0)


def test_quarter_wave_plate_makes_circular_light() -> None:
    stokes = mueller(retarder(np.pi / 2, np.pi / 4)) @ np.array([1, 0, 0, 1])

    assert np.abs(stokes) == pytest.approx([1, 0, 1, 0], abs=1e-12)


@given(st.floats(-3.0, 3.0))
def test_rotation_turns_by_its_angle(angle: float) -> None:
    turn = mueller(rotation(np.array([0.0, 0.0, angle])))

    assert turn[1, 1] == pytest.approx(np.cos(angle))
    assert turn[2, 1] == pytest.approx(np.sin(angle))


def test_random_rotations_fill_the_sphere_evenly() -> None:
    rng = np.random.default_rng(5)

    where = np.array([mueller(random_rotation(rng))[1:, 3] for _ in range(4000)])

    assert np.allclose(where.mean(axis=0), 0.0, atol=4 / np.sqrt(3 * 4000))
    assert np.allclose((where**2).mean(axis=0), 1 / 3, atol=0.02)


@given(st.floats(0.0, 1.0))
def test_intercept_resend_makes_a_quarter_of_errors(fraction: float) -> None:
    effects = analyser([0.5] * 4, 0.0)

    seen = click_probabilities(
        werner(BELL_KETS["phi+"], 1.0), effects, effects @ intercept_resend(fraction)
    )

    for block in (seen[:2, :2], seen[2:4, 2:4]):
        assert (block[0, 1] + block[1, 0]) / block.sum() == pytest.approx(fraction / 4)


def test_extinction_mixes_the_outcomes() -> None:
    effects = analyser([0.5] * 4, 0.01)

    seen = click_probabilities(werner(BELL_KETS["phi+"], 1.0), effects, effects)

    wrong = (seen[0, 1] + seen[1, 0]) / seen[:2, :2].sum()
    assert wrong == pytest.approx(2 * 0.01 * 0.99)
