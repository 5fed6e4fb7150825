"""The settings window on a real API: typed, checked, reviewed, applied, undone, gone back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QLineEdit, QPushButton, QWidget

from gui.desktop.settings.review import ReviewDialog
from gui.desktop.settings.window import SettingsWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lab
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000
LEFT = Qt.MouseButton.LeftButton
LINK = ("links", "alice-bob")
WINDOW = (*LINK, "coincidence_window_ps")


@pytest.fixture
def window(lab: Lab, qtbot: QtBot) -> Iterator[SettingsWindow]:
    """Open the settings at the table of a link."""
    parent = QWidget()
    qtbot.addWidget(parent)
    window = SettingsWindow(lab.desk, parent)
    window.show()
    window.load()
    qtbot.waitUntil(lambda: bool(window.draft.file), timeout=WAIT_MS)
    window.show_path(LINK)
    yield window
    window.close()


def line(window: SettingsWindow, *path: str) -> QLineEdit:
    editor = window.row(*path).editor
    assert isinstance(editor, QLineEdit)
    return editor


def type_in(qtbot: QtBot, editor: QLineEdit, text: str) -> None:
    editor.setFocus()
    editor.selectAll()
    qtbot.keyClicks(editor, text)


def review(window: SettingsWindow, qtbot: QtBot) -> ReviewDialog:
    """Click on review and wait for the dialog."""
    return new_dialog(window, window.review_button, qtbot)


def new_dialog(window: SettingsWindow, button: QPushButton, qtbot: QtBot) -> ReviewDialog:
    """Click and wait for a dialog that was not there before."""
    seen = window.findChildren(ReviewDialog)

    def new() -> list[ReviewDialog]:
        return [each for each in window.findChildren(ReviewDialog) if each not in seen]

    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: bool(new()), timeout=WAIT_MS)
    return new()[-1]


def apply(dialog: ReviewDialog, window: SettingsWindow, qtbot: QtBot) -> None:
    qtbot.mouseClick(dialog.apply_button, LEFT)
    qtbot.waitUntil(lambda: not window.draft.edited, timeout=WAIT_MS)


def test_a_change_is_typed_with_a_prefix_reviewed_and_applied(
    window: SettingsWindow, lab: Lab, qtbot: QtBot
) -> None:
    type_in(qtbot, line(window, *WINDOW), "4n")

    assert window.row(*WINDOW).editor.property("edited")
    assert "was 6000 ps, not applied yet" in window.row(*WINDOW).note.text()
    assert window.state.text() == "1 value changed, not applied"
    dialog = review(window, qtbot)
    cells = [dialog.table.item(0, column).text() for column in range(4)]
    assert cells == ["links.alice-bob.coincidence_window_ps", "6000", "4000", "at once"]
    assert "coincidence_window_ps = 6000" in lab.file.read_text()
    apply(dialog, window, qtbot)

    assert "coincidence_window_ps = 4000" in lab.file.read_text()
    assert "# the TDC1 rounds to 2 ns" in lab.file.read_text()
    assert line(window, *WINDOW).text() == "4000 ps"
    assert not window.row(*WINDOW).editor.property("edited")


def test_what_is_wrong_is_told_in_place_and_cannot_be_applied(
    window: SettingsWindow, qtbot: QtBot
) -> None:
    type_in(qtbot, line(window, *WINDOW), "3 V")

    row = window.row(*WINDOW)
    assert row.problem.isVisible()
    assert "not a unit of this field" in row.problem.text()
    assert not window.review_button.isEnabled()
    qtbot.keyClick(row.editor, Qt.Key.Key_Escape)
    assert row.problem.isHidden()
    assert line(window, *WINDOW).text() == "6000 ps"


def test_switches_and_choices_are_changed_by_keys_and_discarded(
    window: SettingsWindow, qtbot: QtBot
) -> None:
    autostart = window.row(*LINK, "autostart").editor
    protocol = window.row(*LINK, "protocol").editor
    assert isinstance(autostart, QCheckBox)
    assert isinstance(protocol, QComboBox)

    autostart.setFocus()
    qtbot.keyClick(autostart, Qt.Key.Key_Space)
    protocol.setFocus()
    qtbot.keyClick(protocol, Qt.Key.Key_Down)

    assert len(window.draft.edited) == 2
    qtbot.mouseClick(window.discard_button, LEFT)
    assert window.draft.edited == ()
    shown = window.row(*LINK, "autostart").editor
    assert isinstance(shown, QCheckBox)
    assert shown.isChecked()


def test_edits_are_undone_and_redone_field_by_field(window: SettingsWindow, qtbot: QtBot) -> None:
    type_in(qtbot, line(window, *WINDOW), "4000")
    type_in(qtbot, line(window, *LINK, "max_block_s"), "120")
    assert len(window.draft.edited) == 2

    qtbot.keyClick(window.tree, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.draft.edited == (WINDOW,)
    qtbot.keyClick(window.tree, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    assert window.draft.edited == ()
    assert line(window, *WINDOW).text() == "6000 ps"
    window._desk.undo.redo()
    assert window.draft.value(WINDOW) == 4000


def test_a_file_that_somebody_else_changed_is_explained_and_the_edit_kept(
    window: SettingsWindow, lab: Lab, qtbot: QtBot
) -> None:
    type_in(qtbot, line(window, *WINDOW), "4000")
    text = lab.file.read_text().replace("= 6000 ", "= 5000 ")
    lab.file.write_text(text)

    qtbot.mouseClick(window.review_button, LEFT)
    qtbot.waitUntil(window.reload_button.isVisible, timeout=WAIT_MS)
    assert "somebody changed the network file" in window.stale.text()
    qtbot.mouseClick(window.reload_button, LEFT)
    qtbot.waitUntil(lambda: not window.reload_button.isVisible(), timeout=WAIT_MS)

    assert "links.alice-bob.coincidence_window_ps" in window.stale.text()
    assert window.draft.value(WINDOW) == 4000
    assert "was 5000 ps" in window.row(*WINDOW).note.text()
    apply(review(window, qtbot), window, qtbot)
    assert "coincidence_window_ps = 4000" in lab.file.read_text()


def test_going_back_to_an_earlier_file_is_reviewed_too(
    window: SettingsWindow, lab: Lab, qtbot: QtBot
) -> None:
    before = lab.file.read_text()
    type_in(qtbot, line(window, *WINDOW), "4000")
    apply(review(window, qtbot), window, qtbot)
    qtbot.waitUntil(lambda: window.history.list.count() == 1, timeout=WAIT_MS)

    window.tabs.setCurrentIndex(1)
    window.history.list.setCurrentRow(0)
    dialog = new_dialog(window, window.history.revert_button, qtbot)
    qtbot.mouseClick(dialog.apply_button, LEFT)
    qtbot.waitUntil(lambda: lab.file.read_text() == before, timeout=WAIT_MS)


def test_a_value_goes_back_to_its_default(window: SettingsWindow, lab: Lab, qtbot: QtBot) -> None:
    row = window.row(*WINDOW)

    qtbot.mouseClick(row.reset, LEFT)

    assert line(window, *WINDOW).text() == "2000 ps"
    apply(review(window, qtbot), window, qtbot)
    assert "coincidence_window_ps" not in lab.file.read_text()


def test_searching_finds_the_tables_that_have_the_field(
    window: SettingsWindow, qtbot: QtBot
) -> None:
    window.search.setFocus()
    qtbot.keyClicks(window.search, "qber_limit")

    found = [window.tree.topLevelItem(row) for row in range(window.tree.topLevelItemCount())]
    assert [item.text(0) for item in found if item] == ["links.alice-bob.security"]


def test_the_wheel_changes_nothing(window: SettingsWindow, qtbot: QtBot) -> None:
    for path, row in list(window._page.rows.items() if window._page else ()):
        event = QWheelEvent(
            QPointF(5, 5), row.editor.mapToGlobal(QPointF(5, 5)), QPoint(0, 0), QPoint(0, 120),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
            False,
        )  # fmt: skip
        row.editor.clearFocus()
        QApplication.sendEvent(row.editor, event)
        assert not window.draft.is_edited(path), path


def test_every_field_has_a_name_for_screen_readers(window: SettingsWindow) -> None:
    takers = [
        each
        for each in window.findChildren(QWidget)
        if each.focusPolicy() & Qt.FocusPolicy.TabFocus and each.isVisible()
    ]

    nameless = [w for w in takers if not (w.accessibleName() or getattr(w, "text", str)())]

    assert len(takers) > 12
    assert [type(each).__name__ for each in nameless] == []
