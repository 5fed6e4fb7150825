"""The view of such rows: sortable, chosen by row, wide where words are long."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHeaderView, QTableView

from gui.desktop.exports import Table
from gui.desktop.traffic.rows import RowsModel

_LEAST_PX = 160
"""Of the wide column; where there is less room, the table scrolls."""


class RowsTable(QTableView):
    """Shows rows; says by name which one is chosen."""

    chosen = Signal(str)

    def __init__(self, name: str, model: RowsModel[Any], *, wide: int) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.rows = model
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(model)
        self.sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.setModel(self.sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(26)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        header = self.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(wide, QHeaderView.ResizeMode.Stretch)
        self._wide = wide
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.selectionModel().currentRowChanged.connect(lambda *_: self.chosen.emit(self.name()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the width anew."""
        super().resizeEvent(event)
        self._share_width()

    def _share_width(self) -> None:
        header = self.horizontalHeader()
        others = sum(
            header.sectionSize(index) for index in range(header.count()) if index != self._wide
        )
        is_tight = self.viewport().width() - others < _LEAST_PX
        mode = QHeaderView.ResizeMode.Fixed if is_tight else QHeaderView.ResizeMode.Stretch
        if header.sectionResizeMode(self._wide) is not mode:
            header.setSectionResizeMode(self._wide, mode)
        if is_tight:
            header.resizeSection(self._wide, _LEAST_PX)

    def name(self) -> str:
        """Return the name of the chosen row's view; empty where none is chosen."""
        index = self.currentIndex()
        if not index.isValid():
            return ""
        return str(self.rows.view(self.sorted.mapToSource(index).row()).name)

    def text(self, row: int, column: int) -> str:
        """Return what a cell shows, as sorted."""
        return str(self.sorted.index(row, column).data())

    def table(self) -> Table:
        """Return all rows as plain values."""
        columns = self.rows.columns
        return Table(
            tuple(column.export or column.heading for column in columns),
            tuple(
                tuple(column.cell(self.rows.view(row)) for column in columns)
                for row in range(self.rows.rowCount())
            ),
        )
