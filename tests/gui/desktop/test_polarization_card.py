"""The cards of the polarization and of other loops, by real clicks, on a fake node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fake_node import sample_loop
from PySide6.QtCore import Qt

from qnx_hw.api.loops import ActuatorAxis, LoopState
from qnx_hw.api.value import Estimate

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot


WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier
DETECTORS = "HVDA"


def test_the_sphere_draws_where_the_state_went(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("sphere")
    qtbot.waitUntil(lambda: "DOP 1.000" in card.numbers.text(), timeout=WAIT_MS)
    at, depth = card.sphere.project(np.asarray([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))

    assert depth[0] > 0 > depth[1]
    middle = np.array([card.sphere.width() / 2, card.sphere.height() / 2])
    assert at.mean(axis=0) == pytest.approx(middle)
    before = card.sphere.view
    qtbot.keyClick(card.sphere, Qt.Key.Key_Left)
    assert card.sphere.view != before
    qtbot.keyClick(card.sphere, Qt.Key.Key_Home)
    assert card.sphere.view == before


def test_hold_resume_and_relock_are_sent_and_read_back(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")
    qtbot.waitUntil(card.hold_button.isEnabled, timeout=WAIT_MS)

    qtbot.mouseClick(card.hold_button, LEFT)
    assert not card.hold_button.isEnabled()
    qtbot.waitUntil(lambda: card.state.text() == LoopState.HOLDING, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: card.hold_button.text() == "Resume", timeout=WAIT_MS)
    qtbot.waitUntil(card.hold_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(card.hold_button, LEFT)
    qtbot.waitUntil(lambda: card.state.text() == LoopState.TRACKING, timeout=WAIT_MS)
    qtbot.waitUntil(card.relock_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(card.relock_button, LEFT)
    qtbot.waitUntil(lambda: card.state.text() == LoopState.SEARCHING, timeout=WAIT_MS)

    sent = [path.rsplit("/", 1)[1] for path, _ in desktop.node.commands]
    assert sent == ["hold", "resume", "relock"]


def test_the_target_is_asked_with_what_it_was_and_can_be_undone(
    desktop: Desktop, qtbot: QtBot
) -> None:
    card = desktop.window.panel("polarization")
    qtbot.waitUntil(lambda: card.target.text() == "2 %", timeout=WAIT_MS)
    card.target.selectAll()
    qtbot.keyClicks(card.target, "3")
    qtbot.keyClick(card.target, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: card.target.text() == "3 %", timeout=WAIT_MS)

    qtbot.keyClick(desktop.window, Qt.Key.Key_Z, CTRL)

    qtbot.waitUntil(lambda: card.target.text() == "2 %", timeout=WAIT_MS)
    asked = [(body["target"], body["expected_target"]) for body in desktop.node.bodies]
    assert asked == [(0.03, 0.02), (0.02, 0.03)]


def test_asked_and_actual_positions_stand_apart(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")

    qtbot.waitUntil(lambda: "asked 34.0 deg, at 30.0 deg" in card.axes.toolTip(), timeout=WAIT_MS)


def test_the_residual_stands_with_its_error_and_the_estimated_state(
    desktop: Desktop, qtbot: QtBot
) -> None:
    card = desktop.window.panel("polarization")
    residual = Estimate(value=0.0123, sigma=0.004)

    desktop.node.push(
        "loop", sample_loop(residual=residual, unit="QBER", stokes=((0.6, 0.8, 0.0),))
    )

    qtbot.waitUntil(lambda: "0.0123 ± 0.004 QBER" in card.residual.text(), timeout=WAIT_MS)
    assert card.estimate.text() == "state at S = (0.600, 0.800, 0.000)"


def test_a_fault_of_the_loop_is_told_in_its_words(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")

    desktop.node.push("loop", sample_loop(state=LoopState.FAULT, message="paddle 2 is stuck"))

    qtbot.waitUntil(lambda: card.state.text() == "fault · paddle 2 is stuck", timeout=WAIT_MS)


def test_other_loops_are_steered_from_the_same_card(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("polarization")
    axis = ActuatorAxis(name="detector 1", unit="A", low=0.0, high=4e-5, actual=1.86e-5)
    name = "alice-bob bob bias"
    bias = sample_loop(name=name, kind="bias", target=None, axes=(axis,), unit="")

    desktop.node.push("loop", bias)
    qtbot.waitUntil(lambda: card.loops.findText(name) > 0, timeout=WAIT_MS)
    card.loops.setCurrentText(name)

    qtbot.waitUntil(lambda: "at 1.86e-05 A" in card.axes.toolTip(), timeout=WAIT_MS)
    assert not card.target.isEnabled()
    assert card.hold_button.isEnabled()
