"""What happened, newest first."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QTableView

from gui.desktop.desk import Desk
from gui.desktop.look import Look, mono_font
from gui.desktop.panels.panel import Panel
from qnx_hw.api.schema import Event, Level

_HEADINGS = ("Time", "Level", "Source", "Message")
_ICONS = {
    Level.OK: "circle-check",
    Level.INFO: "info",
    Level.WARNING: "triangle-alert",
    Level.ALARM: "circle-x",
}
Index = QModelIndex | QPersistentModelIndex


class EventsPanel(Panel):
    """The event log."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("events", "Events", "list", desk)
        self.model = EventModel(desk.look)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Events")
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(23)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        for column, width in enumerate((90, 90, 130)):
            self.table.setColumnWidth(column, width)
        self.body.addWidget(self.table, 1)

    def refresh(self) -> None:
        """Show the newest events."""
        self.model.show(tuple(reversed(self.client.events.events)))

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        if hasattr(self, "model"):
            self.model.layoutChanged.emit()


class EventModel(QAbstractTableModel):
    """Events as rows."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._events: tuple[Event, ...] = ()

    def show(self, events: tuple[Event, ...]) -> None:
        """Replace all rows, if any changed."""
        if events == self._events:
            return
        self.beginResetModel()
        self._events = events
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """Return the number of events."""
        return 0 if parent is not None and parent.isValid() else len(self._events)

    def columnCount(self, parent: Index | None = None) -> int:
        """Return the number of columns."""
        return len(_HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return a column's heading."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _HEADINGS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return what a cell shows."""
        event, column = self._events[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            time = datetime.fromtimestamp(event.time_s).astimezone()
            return (f"{time:%H:%M:%S}", event.level.capitalize(), event.source, event.message)[
                column
            ]
        if role == Qt.ItemDataRole.ToolTipRole:
            return event.message
        if role == Qt.ItemDataRole.FontRole and column in (0, 2):
            return mono_font()
        if role == Qt.ItemDataRole.ForegroundRole and column in (0, 2):
            return QColor(self._look.colours.dim)
        if column == 1 and role in (Qt.ItemDataRole.DecorationRole, Qt.ItemDataRole.ForegroundRole):
            return self._level(event.level, role)
        return None

    def _level(self, level: Level, role: int) -> object:
        colours = self._look.colours
        tint = {
            Level.OK: colours.ok,
            Level.INFO: colours.accent,
            Level.WARNING: colours.warn,
            Level.ALARM: colours.error,
        }[level]
        if role == Qt.ItemDataRole.ForegroundRole:
            return QColor(tint)
        return self._look.icon(_ICONS[level], tint)
