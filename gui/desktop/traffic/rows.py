"""A table of views: one row each, columns that say how a value is written and coloured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from gui.desktop.exports import Cell
from gui.desktop.look import mono_font

_Index = QModelIndex | QPersistentModelIndex


class Named(Protocol):
    """What a row shows."""

    @property
    def name(self) -> str: ...


_View = TypeVar("_View", bound=Named)


@dataclass(frozen=True, slots=True)
class Column(Generic[_View]):
    """A heading and what stands below it."""

    heading: str
    words: Callable[[_View], str]
    cell: Callable[[_View], Cell]
    """The plain value, for sorting and for export; its unit stands in `export`."""
    export: str = ""
    colour: Callable[[_View], str] | None = None
    is_number: bool = False


class RowsModel(QAbstractTableModel, Generic[_View]):
    """Rows by name; a row whose view did not change is not drawn again."""

    def __init__(self, columns: Sequence[Column[_View]]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self._views: list[_View] = []

    def show_views(self, views: Iterable[_View]) -> None:
        """Show newer views."""
        fresh = list(views)
        if [each.name for each in fresh] != [each.name for each in self._views]:
            self.beginResetModel()
            self._views = fresh
            self.endResetModel()
            return
        for row, (before, after) in enumerate(zip(self._views, fresh, strict=True)):
            if before != after:
                self._views[row] = after
                last = len(self.columns) - 1
                self.dataChanged.emit(self.index(row, 0), self.index(row, last))

    def view(self, row: int) -> _View:
        """Return what a row shows."""
        return self._views[row]

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own default
        """Return how many rows there are."""
        return 0 if parent.isValid() else len(self._views)

    def columnCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own default
        """Return how many columns there are."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return a heading."""
        if role == Qt.ItemDataRole.DisplayRole and orientation is Qt.Orientation.Horizontal:
            return self.columns[section].heading
        return None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return what a cell shows, and how."""
        if not index.isValid():
            return None
        column, view = self.columns[index.column()], self._views[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return column.words(view)
            case Qt.ItemDataRole.UserRole:
                return column.cell(view)
            case Qt.ItemDataRole.ForegroundRole if column.colour is not None:
                return _colour(column.colour(view))
        return _number_look(role) if column.is_number else None


def _number_look(role: int) -> object:
    """Return how a number stands in its cell: to the right, with figures of equal width."""
    if role == Qt.ItemDataRole.FontRole:
        return mono_font(11)
    if role == Qt.ItemDataRole.TextAlignmentRole:
        return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return None


def _colour(name: str) -> QColor | None:
    return QColor(name) if name else None
