"""Earlier network files, and going back to one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk
from gui.desktop.words import clock
from qnx_hw.api.settings import FileVersion, Preview


class HistoryView(QWidget):
    """One line for each earlier file, newest first; `review` gets what going back would change."""

    def __init__(self, review: Callable[[int, Preview], None]) -> None:
        super().__init__()
        self._review = review
        self._desk: Desk | None = None
        self.list = QListWidget()
        self.list.setAccessibleName("Earlier network files")
        self.list.setWordWrap(True)
        self.list.currentItemChanged.connect(lambda *_: self._offer())
        self.list.itemActivated.connect(lambda _: self._ask())
        self.empty = QLabel("The file was not changed from here yet.")
        self.empty.setObjectName("dim")
        self.revert_button = QPushButton("Go back to this file…")
        self.revert_button.setAutoDefault(False)
        self.revert_button.clicked.connect(self._ask)
        row = QHBoxLayout()
        row.addWidget(self.empty, 1)
        row.addWidget(self.revert_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.addWidget(self.list, 1)
        layout.addLayout(row)
        self._offer()

    def load(self, desk: Desk) -> None:
        """Ask for the history."""
        self._desk = desk
        desk.client.requests.get(
            ("settings", "versions"),
            tuple[FileVersion, ...],
            then=self.show_versions,
            otherwise=lambda _: None,
        )

    def show_versions(self, versions: tuple[FileVersion, ...]) -> None:
        """Show other files."""
        self.list.clear()
        for each in versions:
            item = QListWidgetItem(f"{clock(each.time_s)}   {each.who}\n{each.words or 'no value'}")
            item.setData(Qt.ItemDataRole.UserRole, each.number)
            self.list.addItem(item)
        self.empty.setVisible(not versions)
        self._offer()

    def _offer(self) -> None:
        self.revert_button.setEnabled(self.list.currentItem() is not None)

    def _ask(self) -> None:
        item = self.list.currentItem()
        if item is None or self._desk is None:
            return
        number = int(item.data(Qt.ItemDataRole.UserRole))
        self._desk.client.requests.get(
            ("settings", "versions", str(number)),
            Preview,
            then=partial(self._review, number),
            otherwise=self._desk.told.emit,
        )
