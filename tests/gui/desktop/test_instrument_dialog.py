"""Settings of an instrument: requested and read back stand apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QWidget

from gui.desktop.settings.instrument import InstrumentDialog

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dialog(lab: Lab, qtbot: QtBot) -> Iterator[InstrumentDialog]:
    """Open the settings of bob's tagger."""
    lab.api.laboratory.held = {"threshold_v": 0.5, "is_gated": False, "mode": "free"}
    lab.api.laboratory.refusal = ""
    parent = QWidget()
    qtbot.addWidget(parent)
    lab.desk.choose_instrument("bob", "tagger")
    dialog = InstrumentDialog(lab.desk, parent)
    dialog.show()
    qtbot.waitUntil(lambda: bool(dialog.rows), timeout=WAIT_MS)
    yield dialog
    dialog.close()


def type_threshold(dialog: InstrumentDialog, qtbot: QtBot, text: str) -> None:
    editor = dialog.rows["threshold_v"].editor
    assert isinstance(editor, QLineEdit)
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, text)


def test_an_edit_is_sent_on_apply_and_the_read_back_replaces_it(
    dialog: InstrumentDialog, lab: Lab, qtbot: QtBot
) -> None:
    assert dialog.choice.currentText() == "bob tagger"
    assert dialog.badge.text() == "SIMULATED"

    type_threshold(dialog, qtbot, "430m")
    assert dialog.read_backs["threshold_v"].text() == "0.5 V"
    assert lab.api.laboratory.held["threshold_v"] == 0.5
    qtbot.mouseClick(dialog.apply_button, LEFT)

    qtbot.waitUntil(lambda: dialog.read_backs["threshold_v"].text() == "0.43 V", timeout=WAIT_MS)
    assert lab.api.laboratory.held["threshold_v"] == pytest.approx(0.43)
    assert dialog.state.text() == "holds what was asked"


def test_what_somebody_else_changed_meanwhile_refuses_the_edit(
    dialog: InstrumentDialog, lab: Lab, qtbot: QtBot
) -> None:
    type_threshold(dialog, qtbot, "0.4")
    lab.api.laboratory.held["mode"] = "gated"

    qtbot.mouseClick(dialog.apply_button, LEFT)

    qtbot.waitUntil(lambda: "somebody changed" in dialog.state.text(), timeout=WAIT_MS)
    qtbot.mouseClick(dialog.read_button, LEFT)
    qtbot.waitUntil(lambda: dialog.read_backs["mode"].text() == "gated", timeout=WAIT_MS)
    assert lab.api.laboratory.held["threshold_v"] == 0.5


def test_what_is_wrong_is_not_sent(dialog: InstrumentDialog, qtbot: QtBot) -> None:
    type_threshold(dialog, qtbot, "2 ps")

    assert dialog.rows["threshold_v"].problem.isVisible()
    assert not dialog.apply_button.isEnabled()


def test_an_instrument_that_settles_elsewhere_is_told(
    dialog: InstrumentDialog, lab: Lab, qtbot: QtBot
) -> None:
    from qnx_hw.api.instrument import InstrumentSettings

    dialog._asked = {"threshold_v": 0.43}
    dialog.show_held(
        InstrumentSettings(
            node="bob", name="tagger", revision="r", settings={"threshold_v": 0.4297}, time_s=1.0
        )
    )

    assert dialog.state.text() == "holds another value than asked: threshold_v"
    assert dialog.read_backs["threshold_v"].text() == "0.4297 V"
    editor = dialog.rows["threshold_v"].editor
    assert isinstance(editor, QLineEdit)
    assert editor.text() == "0.43 V"
