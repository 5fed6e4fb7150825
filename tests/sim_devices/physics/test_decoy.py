"""Decoy BB84 against the formulas of weak coherent pulses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.physics.clicks import Place
from sim_devices.physics.decoy import (
    Receiver,
    Transmitter,
    gains,
    mean_photons,
    pulse_numbers,
    receive,
)
from sim_devices.physics.detection import Detectors, Response

ALICE = Transmitter(1e9, (0.5, 0.1, 0.0), (0.7, 0.2, 0.1), z_probability=0.8, seed=9)
BOB = Receiver(0.02, z_probability=0.9, misalignment=0.01, dark_rate_cps=1000.0)
SPAN_PS = 200_000_000_000


def test_choices_have_their_probabilities() -> None:
    states, kinds = ALICE.choices(np.arange(1_000_000))

    assert np.bincount(states) / 1e6 == pytest.approx([0.4, 0.4, 0.1, 0.1], abs=2e-3)
    assert np.bincount(kinds) / 1e6 == pytest.approx([0.7, 0.2, 0.1], abs=2e-3)
    assert abs(np.corrcoef(states, kinds)[0, 1]) < 4e-3


@given(st.integers(0, 2**60), st.integers(1, 50))
def test_choices_can_be_asked_for_any_pulse(first: int, n: int) -> None:
    pulses = first + np.arange(n)
    states, kinds = ALICE.choices(pulses)

    again = ALICE.choices(pulses[::-1].copy())

    assert np.array_equal(again[0][::-1], states)
    assert np.array_equal(again[1][::-1], kinds)


def test_gains_of_every_class_follow_the_formula() -> None:
    arrivals = receive(ALICE, BOB, (0, SPAN_PS), Place(1, 2, 3))
    pulses = pulse_numbers(arrivals.times_ps, ALICE)
    _, first = np.unique(pulses * 4 + arrivals.detectors, return_index=True)
    states, kinds = ALICE.choices(pulses[first])
    sent = np.array([0.4, 0.4, 0.1, 0.1])[:, None] * np.array([0.7, 0.2, 0.1]) * SPAN_PS / 1000

    counts = np.zeros((4, 3, 4))
    np.add.at(counts, (states, kinds, arrivals.detectors[first]), 1)

    expected = gains(ALICE, BOB) * sent[:, :, None]
    sigmas = (counts - expected) / np.sqrt(np.maximum(expected, 1.0))
    assert np.abs(sigmas).max() < 4.5
    assert (sigmas**2).sum() < 48 + 4 * np.sqrt(2 * 48)


def test_error_rate_is_misalignment_and_darks() -> None:
    q = gains(ALICE, BOB)

    error = q[0, 0, 1] / (q[0, 0, 0] + q[0, 0, 1])

    signal = 0.5 * 0.02 * 0.9
    assert error == pytest.approx((0.01 * signal + 1e-6) / (signal + 2e-6), rel=0.01)
    assert mean_photons(ALICE, BOB)[2, 0, :2] == pytest.approx([signal / 2] * 2)


def test_dead_time_lowers_the_gains() -> None:
    dead_ps = 100_000
    arrivals = receive(ALICE, BOB, (0, SPAN_PS), Place(1, 2, 3))
    detectors = Detectors(Response(dead_time_ps=dead_ps))

    _, inputs = detectors.register(arrivals, SPAN_PS, (0, 0, 1.0), Place(1, 5, 3))

    states = np.array([0.4, 0.4, 0.1, 0.1])
    per_pulse = np.einsum("s,k,skd->d", states, [0.7, 0.2, 0.1], gains(ALICE, BOB, dead_ps))
    counts = np.bincount(inputs, minlength=5)[1:]
    assert counts == pytest.approx(per_pulse * SPAN_PS / 1000, rel=0.01)


def test_dark_transmitter_is_silent() -> None:
    dark = Transmitter(1e9, (0.0,), (1.0,))

    assert receive(dark, Receiver(0.1), (0, SPAN_PS), Place(1, 2, 3)).times_ps.size == 0


@pytest.mark.parametrize(
    ("intensities", "probabilities"),
    [((0.5, 0.1), (1.0,)), ((0.5,), (0.9,)), ((-0.1,), (1.0,)), ((), ())],
)
def test_impossible_transmitters_are_refused(
    intensities: tuple[float, ...], probabilities: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"transmitter|add up|negative"):
        Transmitter(1e9, intensities, probabilities)
