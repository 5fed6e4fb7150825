"""Fields: typed units, edits that are seen, and a wheel that changes nothing by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractSlider, QAbstractSpinBox, QApplication, QComboBox, QScrollBar

from gui.desktop.fields import Choice, QuantityField, Slider, read_quantity

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1.4n", "ps", 1400.0),
        ("200 ps", "ps", 200.0),
        ("-0.3", "V", -0.3),
        ("−300 mV", "V", -0.3),
        ("2 µs", "ps", 2e6),
        ("5 k", "cps", 5000.0),
        ("1e3", "", 1000.0),
    ],
)
def test_quantities_are_read_with_si_prefixes(text: str, unit: str, value: float) -> None:
    assert read_quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(("text", "unit"), [("", "V"), ("1.2.3", "V"), ("3 apples", "V")])
def test_what_is_no_quantity_is_refused_in_words(text: str, unit: str) -> None:
    with pytest.raises(ValueError, match="is not a"):
        read_quantity(text, unit)


def test_enter_commits_and_escape_reverts(qtbot: QtBot) -> None:
    field = QuantityField("Dead time", "ns", 0.0, 1000.0)
    qtbot.addWidget(field)
    field.show_held(50.0)
    got: list[float] = []
    field.committed.connect(got.append)

    field.selectAll()
    qtbot.keyClicks(field, "70 n")
    field.show_held(51.0)
    assert field.text() == "70 n"
    qtbot.keyClick(field, Qt.Key.Key_Escape)
    assert field.text() == "51 ns"
    field.selectAll()
    qtbot.keyClicks(field, "80n")
    qtbot.keyClick(field, Qt.Key.Key_Return)

    assert got == [pytest.approx(80.0)]
    assert field.text() == "51 ns"


def test_a_value_outside_the_limits_is_not_sent(qtbot: QtBot) -> None:
    field = QuantityField("Threshold", "V", -1.0, 1.0)
    qtbot.addWidget(field)
    got: list[float] = []
    field.committed.connect(got.append)
    qtbot.keyClicks(field, "3")

    with qtbot.waitSignal(field.problem) as told:
        qtbot.keyClick(field, Qt.Key.Key_Return)

    assert told.args == ["Threshold: 3 V is outside -1 to 1 V"]
    assert not got


def turn_wheel(widget: QComboBox | QAbstractSlider | QAbstractSpinBox) -> None:
    middle = QPointF(widget.rect().center())
    no_buttons, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
    turn = QWheelEvent(
        middle, QPointF(widget.mapToGlobal(middle.toPoint())), QPoint(), QPoint(0, 120),
        no_buttons, Qt.KeyboardModifier.NoModifier, phase, False,
    )  # fmt: skip
    QApplication.sendEvent(widget, turn)


def test_the_wheel_changes_only_what_has_the_focus(qtbot: QtBot) -> None:
    choice, slider = Choice("Algorithm"), Slider("Axis")
    for widget in (choice, slider):
        qtbot.addWidget(widget)
    choice.show_choices(("a", "b", "c"), "b")
    slider.setValue(50)

    turn_wheel(choice)
    turn_wheel(slider)

    assert (choice.currentText(), slider.value()) == ("b", 50)


def test_the_wheel_changes_nothing_anywhere_in_the_window(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    for panel in window.panels.values():
        panel.show()
    window.setFocus()
    inputs = [
        widget
        for kind in (QComboBox, QAbstractSlider, QAbstractSpinBox)
        for widget in window.findChildren(kind)
        if not isinstance(widget, QScrollBar) and not widget.hasFocus()
    ]

    def values() -> list[object]:
        return [w.currentIndex() if isinstance(w, QComboBox) else w.value() for w in inputs]

    before = values()
    for widget in inputs:
        turn_wheel(widget)

    assert inputs
    assert values() == before
