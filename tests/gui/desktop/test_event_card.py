"""The card of the events, by real clicks, and cards that have grown old, on a fake node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import Qt

from qnx_hw.api.schema import Event, Level

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot


WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
CTRL = Qt.KeyboardModifier.ControlModifier
DETECTORS = "HVDA"


def alarm(number: int, source: str, level: Level = Level.ALARM) -> Event:
    return Event(
        number=number, time_s=1.78e9 + number, level=level, source=source, message=f"event {number}"
    )


def test_an_alarm_is_acknowledged_at_the_node(desktop: Desktop, qtbot: QtBot) -> None:
    window, card = desktop.window, desktop.window.panel("events")
    first = alarm(1, "alice-bob")
    desktop.node.snapshot = type(desktop.node.snapshot)(
        **{f: getattr(desktop.node.snapshot, f) for f in desktop.node.snapshot.__struct_fields__}
        | {"events": (first,)}
    )
    desktop.node.push("event", first)
    qtbot.waitUntil(lambda: window.top_bar.bell.text() == "1", timeout=WAIT_MS)
    qtbot.waitUntil(card.acknowledge_button.isEnabled, timeout=WAIT_MS)

    qtbot.mouseClick(card.acknowledge_button, LEFT)

    qtbot.waitUntil(lambda: window.top_bar.bell.text() == "", timeout=WAIT_MS)
    assert card.model.index(0, 3).data() == "✓ event 1"


def test_an_alarm_that_is_over_waits_for_nobody(desktop: Desktop, qtbot: QtBot) -> None:
    window, card = desktop.window, desktop.window.panel("events")
    lost = msgspec.structs.replace(alarm(2, "bob tagger"), about="connection")
    desktop.node.push("event", lost)
    qtbot.waitUntil(lambda: window.top_bar.bell.text() == "1", timeout=WAIT_MS)
    qtbot.mouseClick(card.levels["Alarms"], LEFT)
    qtbot.waitUntil(lambda: card.model.rowCount() == 1, timeout=WAIT_MS)
    assert card.model.index(0, 3).data() == "event 2"

    desktop.node.push("event", msgspec.structs.replace(lost, cleared_s=lost.time_s + 3.0))

    qtbot.waitUntil(lambda: window.top_bar.bell.text() == "", timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not card.acknowledge_button.isEnabled(), timeout=WAIT_MS)
    assert card.model.index(0, 3).data() == "over · event 2"
    assert "over since" in card.model.index(0, 3).data(Qt.ItemDataRole.ToolTipRole)


def test_events_are_filtered_by_level_and_words(desktop: Desktop, qtbot: QtBot) -> None:
    card = desktop.window.panel("events")
    for number, level in enumerate((Level.WARNING, Level.ALARM, Level.INFO), start=2):
        desktop.node.push("event", alarm(number, f"source {number}", level))
    qtbot.waitUntil(lambda: card.model.rowCount() == 4, timeout=WAIT_MS)

    qtbot.mouseClick(card.levels["Warnings"], LEFT)
    assert card.model.rowCount() == 2
    qtbot.keyClicks(card.filter, "source 3")

    assert [card.model.at(0).number] == [3]
    assert card.model.rowCount() == 1


def test_a_double_click_jumps_to_the_instrument(desktop: Desktop, qtbot: QtBot) -> None:
    window, card = desktop.window, desktop.window.panel("events")
    desktop.node.push("event", alarm(5, "bob detectors"))
    qtbot.waitUntil(lambda: card.model.rowCount() == 2, timeout=WAIT_MS)
    card.table.selectRow(0)

    qtbot.mouseClick(card.jump_button, LEFT)

    assert window.desk.instrument == ("bob", "detectors")
    assert not window.panel("detector").isHidden()


def test_a_hundred_thousand_events_are_kept_and_filtered(desktop: Desktop, qtbot: QtBot) -> None:
    log, card = desktop.client.events, desktop.window.panel("events")
    for number in range(2, 100_001):
        log.add(alarm(number, f"s{number % 7}", Level.INFO))

    card.model.follow(log)
    assert card.model.rowCount() == 100_000
    card.filter.setText("event 99999")

    assert card.model.rowCount() == 1
    qtbot.keyClicks(card.filter, "x")
    assert card.model.rowCount() == 0


def test_the_events_are_a_proper_model(desktop: Desktop, qtmodeltester: object) -> None:
    for number in range(2, 20):
        desktop.client.events.add(alarm(number, "x"))
    card = desktop.window.panel("events")
    card.model.follow(desktop.client.events)

    qtmodeltester.check(card.model)

    assert card.model.rowCount() >= 18


def test_old_cards_are_greyed_within_two_seconds(desktop: Desktop, qtbot: QtBot) -> None:
    veils = [panel._veil for panel in desktop.window.panels.values() if panel.isVisible()]
    qtbot.waitUntil(lambda: not any(veil.isVisible() for veil in veils), timeout=WAIT_MS)

    desktop.node.fall_silent()

    qtbot.waitUntil(lambda: all(veil.isVisible() for veil in veils), timeout=WAIT_MS)
