"""Everything that can be done, found by typing a few letters; and the list of all keys."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk

_WIDTH = 560
_TEXT = QKeySequence.SequenceFormat.NativeText


class CommandPalette(QDialog):
    """A line to type in, and the actions that fit, best first; Enter does the chosen one."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Commands")
        self.setWindowFlag(Qt.WindowType.FramelessWindowHint)
        self._desk = desk
        self.line = QLineEdit()
        self.line.setAccessibleName("Command")
        self.line.setPlaceholderText("Type a command, a card or a link")
        self.list = QListWidget()
        self.list.setAccessibleName("Commands that fit")
        self.list.setUniformItemSizes(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 10)
        layout.addWidget(self.line)
        layout.addWidget(self.list)
        self.line.textChanged.connect(self._fill)
        self.line.returnPressed.connect(self._run)
        self.list.itemActivated.connect(lambda _: self._run())
        self.line.installEventFilter(self)
        self.resize(_WIDTH, 420)

    def open_over(self, window: QWidget) -> None:
        """Appear near the top of a window, empty."""
        self.line.clear()
        self._fill("")
        corner = window.mapToGlobal(window.rect().topLeft())
        self.move(corner.x() + (window.width() - self.width()) // 2, corner.y() + 80)
        self.open()
        self.line.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Move through the list with the arrows while typing."""
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()))
            if step is not None and self.list.count():
                self.list.setCurrentRow((self.list.currentRow() + step) % self.list.count())
                return True
        return super().eventFilter(watched, event)

    def _fill(self, typed: str) -> None:
        self.list.clear()
        ranked = [
            (rank, action.text(), action)
            for action in self._desk.actions
            if (rank := fit(typed, action.text())) is not None
        ]
        for _, text, action in sorted(ranked, key=lambda entry: entry[:2]):
            keys = action.shortcut().toString(_TEXT)
            item = QListWidgetItem(f"{text}    {keys}" if keys else text)
            item.setData(Qt.ItemDataRole.UserRole, action.objectName())
            if icon := action.property("icon_name"):
                item.setIcon(self._desk.look.icon(str(icon)))
            if not action.isEnabled():
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(item)
        self.list.setCurrentRow(0)

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        action = self._desk.action(item.data(Qt.ItemDataRole.UserRole))
        self.close()
        if action is not None:
            action.trigger()


class ShortcutList(QDialog):
    """All keys in one table."""

    def __init__(self, actions: tuple[QAction, ...], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keyboard shortcuts")
        shown = [action for action in actions if not action.shortcut().isEmpty()]
        self.table = QTableWidget(len(shown), 2)
        self.table.setAccessibleName("Keyboard shortcuts")
        self.table.setHorizontalHeaderLabels(["Keys", "What they do"])
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        for row, action in enumerate(shown):
            self.table.setItem(row, 0, QTableWidgetItem(action.shortcut().toString(_TEXT)))
            self.table.setItem(row, 1, QTableWidgetItem(action.text()))
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        self.resize(_WIDTH, 520)


def fit(typed: str, text: str) -> tuple[int, int] | None:
    """Rank how well letters fit a text, smaller is better; None where they are not all in it.

    >>> fit("run", "Workspace Run") < fit("run", "Show the routing plan now")
    """
    wanted, offered = typed.lower().strip(), text.lower()
    if wanted in offered:
        return 0, offered.index(wanted)
    place, first = -1, -1
    for letter in wanted.replace(" ", ""):
        place = offered.find(letter, place + 1)
        if place < 0:
            return None
        first = place if first < 0 else first
    return 1, place - first
