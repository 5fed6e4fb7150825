"""The model of an actuator against the bench's own physics, and the settings it finds."""

from __future__ import annotations

import numpy as np
import pytest
from actuators import AXES, actuator
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.control.polarization.rotations import scattered, turn
from qnx_hw.control.polarization.solution import loss, solve
from sim_devices.physics.polarization import mueller, paddles, rotation

angle = st.floats(0.0, 170.0)
small = st.floats(-3.0, 3.0)


@given(st.tuples(angle, angle, angle))
def test_paddles_do_to_the_model_what_they_do_to_the_bench(angles: tuple[float, ...]) -> None:
    ours = actuator("paddles").rotations(np.array([angles]))[0]

    assert np.allclose(ours, mueller(paddles(angles))[1:, 1:], atol=1e-12)


@given(st.tuples(small, small, small))
def test_turns_agree_with_the_bench(vector: tuple[float, ...]) -> None:
    assert np.allclose(
        turn(np.array(vector)), mueller(rotation(np.array(vector)))[1:, 1:], atol=1e-12
    )


@pytest.mark.parametrize("kind", ["plates", "squeezers", "crystals"])
def test_every_rotation_can_be_undone_within_the_limits(kind: str) -> None:
    made = actuator(kind)
    for channel in scattered(40, np.random.default_rng(3)):
        values = np.array(solve(made, channel, made.resting))

        assert np.all((made.lows <= values) & (values <= made.highs))
        assert loss(channel, made.rotations(values[None])[0]) < 0.002


def test_paddles_reach_nearly_every_rotation_in_their_170_degrees() -> None:
    made = actuator("paddles")
    losses = []
    for channel in scattered(60, np.random.default_rng(4)):
        values = np.array(solve(made, channel, made.resting))
        losses.append(float(loss(channel, made.rotations(values[None])[0])))

    assert np.quantile(losses, 0.9) < 0.003


@pytest.mark.parametrize("kind", list(AXES))
def test_a_setting_that_is_right_already_is_kept(kind: str) -> None:
    made = actuator(kind)
    here = tuple((made.lows + 0.4 * (made.highs - made.lows)).tolist())

    found = solve(made, made.rotations(np.array([here]))[0], here)

    assert np.allclose(found, here, atol=1e-3)


def test_axes_with_backlash_arrive_from_below() -> None:
    made = actuator("paddles")
    slack = type(made)(made.elements, made.axes, backlash=(1.0, 1.0, 0.0))

    via = slack.approach((100.0, 50.0, 90.0), (80.0, 60.0, 20.0))

    assert via == (78.0, 60.0, 20.0)
    assert slack.approach((10.0, 10.0, 10.0), (20.0, 20.0, 5.0)) is None
