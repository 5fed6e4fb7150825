"""The cards of instruments and of their alarms, by real clicks, on a fake node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from PySide6.QtCore import Qt

from gui.desktop.setting_words import read_name, why_unsafe
from qnx_hw.api.schema import Event, Level

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot


WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier
DETECTORS = "HVDA"


def test_an_unsafe_threshold_is_coloured_with_the_reason(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.show_panel("tagger")
    card = window.panel("tagger")
    qtbot.waitUntil(lambda: card.held is not None, timeout=WAIT_MS)

    assert "noise makes tags" in card.reason("threshold_4_v").text()
    assert card.input("threshold_4_v").property("unsafe")
    assert not card.reason("threshold_1_v").text()


def test_a_setting_is_sent_with_its_revision_and_read_back(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    window.show_panel("tagger")
    card = window.panel("tagger")
    qtbot.waitUntil(lambda: card.held is not None, timeout=WAIT_MS)
    field, revision = card.input("threshold_4_v"), card.held.revision
    field.selectAll()
    qtbot.keyClicks(field, "300 mV")

    qtbot.keyClick(field, Qt.Key.Key_Return)

    qtbot.waitUntil(lambda: card.held.settings["threshold_4_v"] == 0.3, timeout=WAIT_MS)
    assert field.text() == "300 mV"
    assert not card.reason("threshold_4_v").text()
    body = {"settings": {"threshold_4_v": 0.3}, "revision": revision}
    assert desktop.node.bodies == [body]
    qtbot.keyClick(window, Qt.Key.Key_Z, CTRL)
    assert desktop.node.bodies == [body]
    qtbot.waitUntil(card.revert_button.isEnabled, timeout=WAIT_MS)
    qtbot.mouseClick(card.revert_button, LEFT)
    qtbot.waitUntil(lambda: card.held.settings["threshold_4_v"] == 0.02, timeout=WAIT_MS)


def test_the_tree_chooses_what_the_cards_show(desktop: Desktop, qtbot: QtBot) -> None:
    window = desktop.window
    qtbot.keyClick(window, "1", CTRL)
    tree, card = window.panel("instruments").tree, window.panel("detector")
    qtbot.waitUntil(lambda: card.choice.count() == 2, timeout=WAIT_MS)

    tree.setCurrentItem(tree.topLevelItem(1).child(1))

    assert card.choice.currentText() == "bob detectors"
    qtbot.waitUntil(lambda: card.held is not None and card.held.node == "bob", timeout=WAIT_MS)
    assert card.badge.text() == "SIMULATED"
    assert card.input("bias_1_A").text() == "18 µA"


def test_blinding_is_an_alarm_on_the_detectors_card(desktop: Desktop, qtbot: QtBot) -> None:
    qtbot.keyClick(desktop.window, "1", CTRL)
    card = desktop.window.panel("detector")
    words = "bob sees 40 clicks where 900 were expected: the detectors may be blinded"
    alarm = Event(number=9, time_s=1.78e9, level=Level.ALARM, source="alice-bob", message=words)

    desktop.node.push("event", alarm)

    qtbot.waitUntil(card.alarm.isVisible, timeout=WAIT_MS)
    assert card.alarm.text().startswith("BLINDING ALARM")

    desktop.node.push("event", msgspec.structs.replace(alarm, is_muted=True))

    qtbot.waitUntil(card.alarm.isHidden, timeout=WAIT_MS)


@pytest.mark.parametrize(
    ("name", "value", "rate_cps", "safe"),
    [
        ("threshold_v", 0.01, None, False),
        ("threshold_1_v", -0.3, None, True),
        ("dead_time_ns", 50.0, 1e6, True),
        ("dead_time_ns", 50.0, 3e6, False),
        ("delay_2_ps", 5_000_000, None, False),
        ("temperature_c", -20.0, None, True),
        ("temperature_c", 21.0, None, False),
        ("enabled", True, None, True),
    ],
)
def test_what_asks_for_trouble_is_said(
    name: str, value: float, rate_cps: float | None, safe: bool
) -> None:
    assert (why_unsafe(read_name(name), value, rate_cps) == "") is safe
