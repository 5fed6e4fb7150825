"""Everything can be reached by the keyboard and has a name for those who hear the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QAccessible, QWheelEvent
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from gui.desktop.workspaces import WORKSPACES

if TYPE_CHECKING:
    from conftest import Desktop
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
MOST_TABS = 400


def takers(window: QWidget) -> list[QWidget]:
    """Return what takes the focus with the Tab key now."""
    return [
        widget
        for widget in window.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and widget.isVisible()
        and widget.isEnabled()
        and widget.window() is window
    ]


def spoken(widget: QWidget) -> str:
    """Return what a screen reader says of a widget."""
    seen = QAccessible.queryAccessibleInterface(widget)
    return seen.text(QAccessible.Text.Name) if seen is not None else ""


@pytest.mark.parametrize("place", [each.name for each in WORKSPACES])
def test_every_control_of_every_card_has_a_spoken_name(
    desktop: Desktop, qtbot: QtBot, place: str
) -> None:
    desktop.window.use_workspace(place)
    for panel in desktop.window.panels.values():
        panel.show()
    desktop.window.draw()

    controls = takers(desktop.window)

    assert len(controls) > 40
    nameless = [f"{type(w).__name__} {w.objectName()}" for w in controls if not spoken(w).strip()]
    assert nameless == []


@pytest.mark.parametrize("place", [each.name for each in WORKSPACES])
def test_the_tab_key_reaches_every_control(desktop: Desktop, qtbot: QtBot, place: str) -> None:
    window = desktop.window
    window.use_workspace(place)
    window.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is window, timeout=WAIT_MS)
    window.top_bar.links.setFocus()
    window.draw()
    reached: set[QWidget] = set()

    for _ in range(MOST_TABS):
        held = QApplication.focusWidget()
        if held is None or held in reached:
            break
        reached.add(held)
        qtbot.keyClick(held, Qt.Key.Key_Tab)

    missed = [spoken(each) for each in takers(window) if each not in reached and can_be_seen(each)]
    assert len(reached) > 10
    assert missed == []


def can_be_seen(widget: QWidget) -> bool:
    """Whether a part of it is on the screen: what is in a tab behind another is not."""
    return not widget.visibleRegion().isEmpty()


@pytest.mark.parametrize("name", ["attach", "connect", "settings", "new-link", "palette"])
def test_every_dialog_names_its_controls_and_closes_by_escape(
    desktop: Desktop, qtbot: QtBot, name: str
) -> None:
    action = desktop.window.desk.action(name)
    assert action is not None
    action.trigger()
    dialog = next(each for each in desktop.window.findChildren(QDialog) if each.isVisible())

    nameless = [type(w).__name__ for w in takers(dialog) if not spoken(w).strip()]
    assert takers(dialog)
    assert nameless == []
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_a_chart_is_zoomed_and_moved_by_wheel_drag_and_keys(desktop: Desktop, qtbot: QtBot) -> None:
    plot = desktop.window.panel("histogram").plot
    desktop.window.draw()
    whole = plot.frame
    centre = whole.area.center()
    place = QPointF(centre.x() + 60, centre.y())

    turn = QWheelEvent(
        place, place, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    held = whole.x_at(place.x())
    QApplication.sendEvent(plot, turn)

    near = plot.frame
    assert near.high_x - near.low_x < whole.high_x - whole.low_x
    assert near.x_at(place.x()) == pytest.approx(held)
    qtbot.keyClick(plot, Qt.Key.Key_Plus)
    assert plot.frame.high_x - plot.frame.low_x < near.high_x - near.low_x
    before = plot.frame.low_x
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert plot.frame.low_x < before
    before = plot.frame.low_x
    left = QPointF(whole.area.left() + 20, centre.y()).toPoint()
    right = left + QPoint(80, 0)
    qtbot.mousePress(plot, Qt.MouseButton.LeftButton, pos=left)
    qtbot.mouseMove(plot, right)
    qtbot.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=right)
    assert plot.frame.low_x < before
    qtbot.keyClick(plot, Qt.Key.Key_Home)
    assert (plot.frame.low_x, plot.frame.high_x) == (whole.low_x, whole.high_x)
